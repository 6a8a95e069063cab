// Which blocks of the store's file are taken.
#pragma once

#include "cache/store.h"

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <vector>

namespace hasp::cache {

inline std::uint32_t blocks_of(std::size_t bytes) {
    return static_cast<std::uint32_t>((bytes + block_bytes - 1) / block_bytes);
}

// Its own lock, once it is shared: entries give their blocks back wherever the last one who has
// them lets go.
class Blocks {
  public:
    struct Run {
        std::uint32_t first = 0;
        std::uint32_t count = 0; // 0: none
    };
    explicit Blocks(std::uint32_t count) : taken_((count + 63) / 64), count_(count), free_(count) {
        for (std::uint32_t i = count; i < taken_.size() * 64; ++i) {
            taken_[i / 64] |= std::uint64_t{1} << (i % 64); // behind the end
        }
    }
    void share() { shared_ = true; }
    std::uint32_t count() const { return count_; }
    std::uint32_t free() const { return free_.load(std::memory_order_relaxed); }
    // Of recovery, which is before anybody else works with it; like take().
    bool taken(std::uint32_t block) const { return (taken_[block / 64] >> (block % 64) & 1U) != 0; }
    void take(std::uint32_t first, std::uint32_t count) {
        for (std::uint32_t i = first; i < first + count; ++i) {
            taken_[i / 64] |= std::uint64_t{1} << (i % 64);
        }
        free_ -= count;
    }
    void give(std::uint32_t first, std::uint32_t count) {
        const Lock lock = guard();
        for (std::uint32_t i = first; i < first + count; ++i) {
            taken_[i / 64] &= ~(std::uint64_t{1} << (i % 64));
        }
        free_ += count;
    }
    // The next free blocks that lie together: at least `least` and at most `most` of them. Taken.
    Run take_run(std::uint32_t least, std::uint32_t most) {
        const Lock lock = guard();
        if (free_ < least) {
            return {};
        }
        for (std::uint32_t seen = 0, at = cursor_; seen < count_;) {
            if (at >= count_) {
                at = 0;
            }
            if (at % 64 == 0 && taken_[at / 64] == UINT64_MAX) {
                at += 64;
                seen += 64;
                continue;
            }
            std::uint32_t length = 0;
            while (length < most && at + length < count_ && !taken(at + length)) {
                ++length;
            }
            if (length >= least && length > 0) {
                take(at, length);
                cursor_ = at + length;
                return {at, length};
            }
            at += length + 1;
            seen += length + 1;
        }
        return {};
    }

  private:
    using Lock = std::unique_lock<std::mutex>;
    Lock guard() const { return shared_ ? Lock(mutex_) : Lock(mutex_, std::defer_lock); }

    mutable std::mutex mutex_;
    bool shared_ = false;
    std::vector<std::uint64_t> taken_;
    std::uint32_t count_;
    std::atomic<std::uint32_t> free_;
    std::uint32_t cursor_ = 0;
};

} // namespace hasp::cache
