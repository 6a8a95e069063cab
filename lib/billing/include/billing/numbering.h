// Numbers for what differs among many, where few differ: names of a thousand records.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

namespace hasp::billing {

// Keys of `words` times 8 bytes get numbers from 0, in the order in which they first came, at most
// `keys_max` of them. Keys are copied: what they were read from may change afterwards.
template <std::size_t words, std::size_t keys_max>
class Numbering {
  public:
    using Key = std::array<std::uint64_t, words>;
    struct Number {
        std::size_t value = 0;
        bool fresh = false; // it came for the first time
    };

    Numbering() { keys_.reserve(reserved); }

    // Precondition: `key` is known, or size() < keys_max. `key` has the bytes of a Key.
    Number of(const void* key) {
        Key wanted;
        std::memcpy(wanted.data(), key, sizeof wanted);
        for (std::size_t at = place(wanted, each);; at = (at + 1) % slots) {
            if (slots_[at] == 0) {
                keys_.push_back(wanted);
                slots_[at] = static_cast<std::uint16_t>(keys_.size());
                return {keys_.size() - 1, true};
            }
            if (equal(keys_[slots_[at] - 1U], wanted, each)) {
                return {slots_[at] - 1U, false};
            }
        }
    }
    std::size_t size() const { return keys_.size(); }
    const Key& key(std::size_t number) const { return keys_[number]; }

  private:
    static constexpr auto each = std::make_index_sequence<words>();
    static constexpr unsigned slot_bits = [] {
        unsigned bits = 1;
        while ((std::size_t{1} << bits) < 2 * keys_max) {
            ++bits;
        }
        return bits;
    }();
    static constexpr std::size_t slots = std::size_t{1} << slot_bits; // at most half of them full
    static constexpr std::size_t reserved = 256 < keys_max ? 256 : keys_max;
    static_assert(keys_max < 0xffff);

    // A sum of products, because its multiplications need not wait for one another. Only its
    // highest bits depend on every bit of the key.
    template <std::size_t... at>
    static std::size_t place(const Key& key, std::index_sequence<at...>) {
        constexpr std::uint64_t golden = 0x9e3779b97f4a7c15; // odd, as each factor
        return static_cast<std::size_t>(((key[at] * (golden * (2 * at + 1))) + ...) >>
                                        (64 - slot_bits));
    }
    // Without a branch for each word, or a call for all of them.
    template <std::size_t... at>
    static bool equal(const Key& a, const Key& b, std::index_sequence<at...>) {
        return ((a[at] ^ b[at]) | ...) == 0;
    }

    std::array<std::uint16_t, slots> slots_{}; // number + 1; 0: free
    std::vector<Key> keys_;
};

} // namespace hasp::billing
