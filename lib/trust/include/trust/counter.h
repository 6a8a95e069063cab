// Counters of everything that is versioned between tiers. Values; any thread.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>

namespace hasp::trust {

// The epoch changes only by a restore, a disk loss or a new key, and is given out by the parent;
// within it the number never falls. Counters of different epochs cannot be ordered: that asks a
// person, and deletes nothing.
struct Counter {
    std::uint64_t epoch = 0;
    std::uint64_t number = 0;
    friend bool operator==(const Counter&, const Counter&) = default;
};

enum class Acceptance : unsigned char {
    ok,             // the same epoch and a higher number, or nothing was held
    older,          // the same epoch, and a number that is lower or the same
    epoch_mismatch, // stop and ask
};
Acceptance accept_newer(const std::optional<Counter>& current, const Counter& offered);

} // namespace hasp::trust
