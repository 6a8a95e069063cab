#include "registry/snapshot.h"

#include <bit>
#include <cstring>

namespace hasp::registry {
namespace {

struct Sip {
    std::uint64_t v0, v1, v2, v3;
    void round() {
        v0 += v1;
        v1 = std::rotl(v1, 13) ^ v0;
        v0 = std::rotl(v0, 32);
        v2 += v3;
        v3 = std::rotl(v3, 16) ^ v2;
        v0 += v3;
        v3 = std::rotl(v3, 21) ^ v0;
        v2 += v1;
        v1 = std::rotl(v1, 17) ^ v2;
        v2 = std::rotl(v2, 32);
    }
};

} // namespace

// SipHash-2-4 (Aumasson, Bernstein 2012), key 00 01 … 0f, so that the paper's test vectors hold.
std::uint64_t name_hash(std::string_view name) {
    static_assert(std::endian::native == std::endian::little);
    constexpr std::uint64_t k0 = 0x0706050403020100;
    constexpr std::uint64_t k1 = 0x0f0e0d0c0b0a0908;
    Sip s{k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261,
          k1 ^ 0x7465646279746573};
    const auto add = [&s](std::uint64_t word) {
        s.v3 ^= word;
        s.round();
        s.round();
        s.v0 ^= word;
    };
    const std::size_t whole = name.size() / 8 * 8;
    std::uint64_t word = 0;
    for (std::size_t i = 0; i < whole; i += 8) {
        std::memcpy(&word, name.data() + i, 8);
        add(word);
    }
    word = 0;
    if (whole < name.size()) {
        std::memcpy(&word, name.data() + whole, name.size() - whole);
    }
    add(word | (static_cast<std::uint64_t>(name.size()) << 56));
    s.v2 ^= 0xff;
    for (int i = 0; i < 4; ++i) {
        s.round();
    }
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

} // namespace hasp::registry
