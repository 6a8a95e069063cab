// Copies of a few bytes whose number the compiler does not know. Pure; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace hasp {

// Like memcpy, without a call where there are 64 bytes or fewer: pieces of one size, the last one
// overlapping. Names and values of a head are nearly always so short, and a head has dozens.
// Returns the end of what was written. The ranges do not overlap; both pointers may be null when
// `size` is 0.
[[gnu::always_inline]] inline char* copy_short(char* to, const char* from, std::size_t size) {
    const auto move = [to, from](std::size_t at, auto piece) {
        std::memcpy(&piece, from + at, sizeof piece);
        std::memcpy(to + at, &piece, sizeof piece);
    };
    struct Block {
        std::uint64_t low, high;
    };
    if (size > 64) {
        std::memcpy(to, from, size);
    } else if (size >= 16) {
        for (std::size_t at = 0; at + 16 < size; at += 16) {
            move(at, Block{});
        }
        move(size - 16, Block{});
    } else if (size >= 8) {
        move(0, std::uint64_t{});
        move(size - 8, std::uint64_t{});
    } else if (size >= 4) {
        move(0, std::uint32_t{});
        move(size - 4, std::uint32_t{});
    } else if (size != 0) {
        to[0] = from[0];
        to[size / 2] = from[size / 2];
        to[size - 1] = from[size - 1];
    }
    return to + size;
}

} // namespace hasp
