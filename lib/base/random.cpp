#include "base/random.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <sys/random.h>

namespace hasp {

std::string Random::bytes(std::size_t size) {
    std::string out(size, '\0');
    fill(out.data(), size);
    return out;
}

std::uint64_t Random::u64() {
    std::uint64_t v = 0;
    fill(&v, sizeof v);
    return v;
}

std::uint64_t Random::below(std::uint64_t bound) {
    const std::uint64_t limit = UINT64_MAX - UINT64_MAX % bound;
    std::uint64_t v = u64();
    while (v >= limit) {
        v = u64();
    }
    return v % bound;
}

void SystemRandom::fill(void* out, std::size_t size) {
    auto* p = static_cast<unsigned char*>(out);
    while (size > 0) {
        const ssize_t n = getrandom(p, size, 0);
        if (n < 0) {
            if (errno == EINTR) {
                continue;
            }
            std::abort();
        }
        p += n;
        size -= static_cast<std::size_t>(n);
    }
}

void SeededRandom::fill(void* out, std::size_t size) {
    auto* p = static_cast<unsigned char*>(out);
    while (size > 0) {
        const std::uint64_t v = engine_();
        const std::size_t n = size < sizeof v ? size : sizeof v;
        std::memcpy(p, &v, n);
        p += n;
        size -= n;
    }
}

} // namespace hasp
