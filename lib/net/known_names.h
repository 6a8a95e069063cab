// From a name in a buffer to its id, in a handful of instructions: every field line of every head
// asks once. Pure; any thread.
#pragma once

#include "net/header.h"

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace hasp::net {

// The bytes of a name, in words: all that is needed to tell it from every other one of its length.
// `first` and `last` are its first and last eight bytes (of a shorter name both are what there is),
// the other two are what lies behind and before those in a name of more than sixteen.
struct NameWords {
    std::uint64_t first = 0;
    std::uint64_t last = 0;
    std::uint64_t second = 0;
    std::uint64_t third = 0;
};

// No known name is longer, which is checked where the table is made.
inline constexpr std::size_t known_name_max = 32;
// So many bytes must be readable behind the start of a name for known_name(), however short it is.
inline constexpr std::size_t name_room = 8;

// Letters in lower case, in each of eight bytes; what is no letter keeps being none. A dash stays
// apart from the CR that differs by the same bit, so that who is found is a token.
constexpr std::uint64_t fold_word(std::uint64_t word) {
    return word | ((word >> 1U) & 0x2020202020202020U);
}

inline constexpr std::size_t known_name_slots = 1'024;

constexpr std::size_t known_name_slot(std::uint64_t first, std::uint64_t last, std::size_t size,
                                      std::uint64_t factor) {
    return static_cast<std::size_t>(((first ^ std::rotl(last, 23)) + size) * factor >> 54U);
}
static_assert(known_name_slots == std::size_t{1} << (64U - 54U));

// Made in header.cpp, by the compiler.
struct KnownNames {
    struct Entry {
        NameWords words;
        std::size_t size = 0;
    };
    std::uint64_t factor = 0;
    std::array<std::uint8_t, known_name_slots> ids{};
    std::array<Entry, names_known> entries{};
};
extern const KnownNames known_names;

inline std::uint64_t load_word(const char* at) {
    static_assert(std::endian::native == std::endian::little);
    std::uint64_t word = 0;
    std::memcpy(&word, at, sizeof word);
    return word;
}

// The known name of these bytes, without case; Name::other for any others, whatever they are.
// Precondition: `size` is not 0, and name_room bytes are readable.
[[gnu::always_inline]] inline Name known_name(const char* name, std::size_t size) {
    if (size > known_name_max) {
        return Name::other;
    }
    std::uint64_t first = fold_word(load_word(name));
    std::uint64_t last = 0;
    if (size >= 8) {
        last = fold_word(load_word(name + size - 8));
    } else {
        first &= ~std::uint64_t{0} >> (8U * (8U - size));
        last = first;
    }
    const std::uint8_t id =
        known_names.ids.data()[known_name_slot(first, last, size, known_names.factor)];
    const KnownNames::Entry& entry = known_names.entries.data()[id];
    if (entry.size != size || entry.words.first != first || entry.words.last != last) {
        return Name::other; // also of an empty slot, whose entry has no size
    }
    if (size > 16 && (entry.words.second != fold_word(load_word(name + 8)) ||
                      entry.words.third != fold_word(load_word(name + size - 16)))) {
        return Name::other;
    }
    return static_cast<Name>(id);
}

} // namespace hasp::net
