// What applying a difference costs beside its bytes, and how much of that there may be. A content
// at the home is unsealed by stretches: steps that take one byte each from far apart would make
// each byte cost a stretch, and a small batch keep the home busy for hours. Who makes a difference
// keeps to these limits, who applies one refuses what does not (PROTOCOL.md, "Difference"). Pure.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace hasp::sync {

inline constexpr std::uint64_t stretch_bytes = std::uint64_t{128} * 1024;
// Those that were read last cost nothing more: whoever unseals has them in memory.
inline constexpr std::size_t stretches_at_hand = 16;
// Of each so many, and one more for each so many bytes of the new content.
inline constexpr std::uint64_t stretches_least = 64;
inline constexpr std::uint64_t bytes_a_stretch = 4096;
inline constexpr std::uint64_t steps_least = 1024;
inline constexpr std::uint64_t bytes_a_step = 16;
inline constexpr std::uint64_t packs_least = 8; // chunks with a dictionary
inline constexpr std::uint64_t bytes_a_pack = std::uint64_t{64} * 1024;

// Counts one difference. `made`: of the new content, with what is counted. False: it is too much,
// and is not counted.
class Effort {
  public:
    bool step(std::uint64_t made) { return count(steps_, steps_least + made / bytes_a_step); }
    bool pack(std::uint64_t made) { return count(packs_, packs_least + made / bytes_a_pack); }
    // `length` bytes of the base from `from` on, of which the new content has at least as many.
    bool copy(std::uint64_t from, std::uint64_t length, std::uint64_t made) {
        if (length == 0) {
            return true;
        }
        const std::uint64_t most = stretches_least + made / bytes_a_stretch;
        auto at_hand = at_hand_;
        std::uint64_t read = stretches_;
        for (std::uint64_t at = from / stretch_bytes; at <= (from + length - 1) / stretch_bytes;
             ++at) {
            const auto found = std::find(at_hand.begin(), at_hand.end(), at + 1);
            const auto last = found == at_hand.end() ? found - 1 : found;
            if (found == at_hand.end() && ++read > most) {
                return false;
            }
            *last = at + 1;
            std::rotate(at_hand.begin(), last, last + 1);
        }
        at_hand_ = at_hand;
        stretches_ = read;
        return true;
    }

  private:
    static bool count(std::uint64_t& counted, std::uint64_t most) {
        const bool fits = counted < most;
        counted += fits ? 1 : 0;
        return fits;
    }

    std::array<std::uint64_t, stretches_at_hand> at_hand_{}; // and 1; the last read first
    std::uint64_t stretches_ = 0;
    std::uint64_t steps_ = 0;
    std::uint64_t packs_ = 0;
};

} // namespace hasp::sync
