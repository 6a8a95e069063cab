#include "base/clock.h"

#include <ctime>

namespace hasp {

namespace {
std::int64_t read_us(clockid_t id) {
    timespec ts{};
    clock_gettime(id, &ts);
    return std::int64_t{ts.tv_sec} * 1'000'000 + ts.tv_nsec / 1000;
}
} // namespace

std::int64_t SystemClock::wall_us() const {
    return read_us(CLOCK_REALTIME);
}
std::int64_t SystemClock::boot_us() const {
    return read_us(CLOCK_BOOTTIME);
}

} // namespace hasp
