#include "base/clock.h"

#include "base/files.h"
#include "base/text.h"

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
std::string SystemClock::boot_id() const {
    auto text = read_file("/proc/sys/kernel/random/boot_id", 256);
    return text.ok() ? std::string(trim(*text)) : std::string("unknown");
}

} // namespace hasp
