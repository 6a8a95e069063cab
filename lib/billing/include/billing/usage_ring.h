// Usage records on their way from the front process to the ledger, through shared memory. The
// memory belongs to the supervisor, so a crash of either side loses no record that was committed.
//
// Invariant: tail is stored (release) only after a record's bytes, head only after the consumer
// made them durable. So at any instruction where a process may die, [head, tail) holds whole
// records only.
#pragma once

#include "base/fd.h"
#include "base/result.h"

#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

namespace hasp::billing {

enum class UsageKind : std::uint8_t { request = 1, websocket = 2, app_start = 3 };
enum class Served : std::uint8_t { here = 1, parent = 2, child = 3 };

// Bits of UsageRecord::flags.
inline constexpr std::uint16_t usage_aborted = 1; // the user went away before the end
inline constexpr std::uint16_t usage_failed = 2;  // the app's answer broke off
inline constexpr std::uint16_t usage_tls = 4;     // the user's side was encrypted
inline constexpr std::uint16_t usage_cached = 8;  // answered without asking the app
inline constexpr std::uint16_t usage_final =
    16; // last record of a WebSocket; without it, one of its minutes

// 192 bytes, written as they lie; names are NUL-padded and have no terminator when they fill their
// field.
struct UsageRecord {
    std::uint8_t version = 1;
    UsageKind kind = UsageKind::request;
    Served served = Served::here;
    std::uint8_t reserved = 0;
    std::uint16_t flags = 0;
    std::uint16_t status = 0;     // of the answer's head; 101 for a WebSocket
    std::int64_t time_us = 0;     // wall clock at the answer's end; of a WebSocket: of the record
    std::int64_t duration_us = 0; // from the request's head to the end of the answer
    std::uint64_t bytes_in = 0;   // of bodies, as the app saw and sent them
    std::uint64_t bytes_out = 0;
    std::array<char, 40> app{};
    std::array<char, 40> user{};
    std::array<std::uint8_t, 16> sid{};
    std::array<std::uint8_t, 16> rid{};
    std::array<char, 40> peer{}; // the child that the request came from; empty: a user of this tier
};
static_assert(sizeof(UsageRecord) == 192);
static_assert(std::is_trivially_copyable_v<UsageRecord>);

// Copies up to 40 characters, the rest is NUL.
inline void set_name(std::array<char, 40>& field, std::string_view name) {
    field.fill('\0');
    if (!name.empty()) { // an empty view may have no address, which memcpy must not be given
        std::memcpy(field.data(), name.data(),
                    name.size() < field.size() ? name.size() : field.size());
    }
}
inline std::string_view name_of(const std::array<char, 40>& field) {
    return {field.data(), ::strnlen(field.data(), field.size())};
}

// Where records that a reader took from a ring lay in it: with the ring's id, a record's identity.
struct RingPlace {
    std::array<std::uint8_t, 16> ring{};
    std::uint32_t lane = 0;
    std::uint64_t first = 0;   // position of the first record
    std::uint64_t dropped = 0; // as the lane counted when they were read
};

// Positions of one lane. Three cache lines, so that producer and consumer do not share one.
struct LaneState {
    alignas(64) std::atomic<std::uint64_t> tail;    // records committed since the ring was made
    alignas(64) std::atomic<std::uint64_t> head;    // records taken
    alignas(64) std::atomic<std::uint64_t> dropped; // records lost because the lane was full
};
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

// The writing side of one lane: one thread at a time in one process. Never blocks, allocates or
// calls the kernel.
class UsageLane {
  public:
    UsageLane() = default;

    // False when the lane is full: the drop is counted in the ring. About 10 ns.
    bool write(const UsageRecord& record) {
        if (state_ == nullptr) {
            return false;
        }
        const std::uint64_t tail = state_->tail.load(std::memory_order_relaxed);
        if (tail - state_->head.load(std::memory_order_acquire) >= capacity_) {
            state_->dropped.fetch_add(1, std::memory_order_relaxed);
            return false;
        }
        std::memcpy(&records_[tail & (capacity_ - 1)], &record, sizeof record);
        state_->tail.store(tail + 1, std::memory_order_release);
        return true;
    }

  private:
    friend class UsageRing;
    UsageLane(LaneState* state, UsageRecord* records, std::uint64_t capacity)
        : state_(state), records_(records), capacity_(capacity) {}
    LaneState* state_ = nullptr;
    UsageRecord* records_ = nullptr;
    std::uint64_t capacity_ = 0;
};

// The mapped ring. The object must outlive its lanes. Lanes are independent; each has one writer
// and one reader.
class UsageRing {
  public:
    static constexpr std::uint32_t lanes_max = 64;
    static constexpr std::uint32_t records_max = 1U << 20;

    // A new memory file. `records` a lane is a power of two (16,384 = 3 MiB a lane). Code::usage
    // for other values. `id` names this ring for ever: (id, lane, position) is a record's identity.
    static Result<Fd> create(std::uint32_t lanes, std::uint32_t records,
                             const std::array<std::uint8_t, 16>& id);

    // Maps a ring made by create(); the descriptor may be closed afterwards. Code::refused when it
    // is not a ring.
    static Result<UsageRing> map(int fd);

    UsageRing(UsageRing&& other) noexcept;
    UsageRing& operator=(UsageRing&& other) noexcept;
    UsageRing(const UsageRing&) = delete;
    UsageRing& operator=(const UsageRing&) = delete;
    ~UsageRing();

    std::uint32_t lanes() const { return lanes_; }
    std::uint32_t capacity() const { return capacity_; }
    std::array<std::uint8_t, 16> id() const;

    // A front that starts anew goes on where its predecessor's lane ended. Precondition: lane <
    // lanes().
    UsageLane lane(std::uint32_t lane);

    // Reading side, one thread of one process a lane.
    struct Batch {
        std::uint64_t first = 0; // position of records[0]
        std::span<const UsageRecord> records;
    };
    // Committed records not yet taken, at most up to the ring's end (so a full lane may need two
    // calls). They stay valid and are given again until take(): a consumer that dies in between
    // sees them anew, with the same positions.
    Batch peek(std::uint32_t lane) const;
    // Frees `count` records, after they are durable. More than peek() gave is cut to that.
    void take(std::uint32_t lane, std::size_t count);
    std::uint64_t dropped(std::uint32_t lane) const;

  private:
    UsageRing() = default;
    LaneState& state(std::uint32_t lane) const;
    UsageRecord* records(std::uint32_t lane) const;

    void* memory_ = nullptr;
    std::size_t size_ = 0;
    std::uint32_t lanes_ = 0;
    std::uint32_t capacity_ = 0;
};

} // namespace hasp::billing
