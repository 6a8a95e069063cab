// Batches: up to 1000 usage records in canonical bytes, chained and signed. One chain a tier and
// epoch; a stream is one start of the keeper, numbered from 1; a record is (tier, epoch, stream,
// seq) for ever. PROTOCOL.md has the bytes. Pure; any thread.
#pragma once

#include "base/result.h"
#include "billing/usage_ring.h"

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace hasp::billing {

inline constexpr std::size_t batch_events_max = 4000;
// What 4000 records whose names all differ take, rounded up.
inline constexpr std::size_t batch_bytes_max = 896 * 1024;
inline constexpr std::size_t batch_header_bytes = 129;
inline constexpr std::size_t digest_bytes = 32;

// The header is what is signed and chained; the events are bound to it by their hash.
struct BatchHeader {
    std::uint64_t epoch = 0;
    std::uint64_t stream = 0; // from 1
    std::uint64_t first = 0;  // seq of the first event in its stream, from 0
    std::uint32_t count = 0;  // 1 to batch_events_max
    std::string prev;         // hash of the batch before in this chain; zeros for the first of all
    std::int64_t sealed_at_us = 0;
    std::int64_t from_us = 0;  // the earliest event's time
    std::int64_t to_us = 0;    // the latest event's
    std::uint64_t dropped = 0; // records that a full ring lost since the batch before
    std::uint32_t events_bytes = 0;
    std::string events_sha256;
    friend bool operator==(const BatchHeader&, const BatchHeader&) = default;
};
std::string encode_header(const BatchHeader& header);
// Code::refused unless these are exactly the bytes of a sensible header.
Result<BatchHeader> decode_header(std::string_view bytes);

// An event as read from a batch. Views live as long as the batch's bytes.
struct Event {
    UsageKind kind = UsageKind::request;
    Served served = Served::here;
    std::uint16_t flags = 0;
    std::uint16_t status = 0;
    std::int64_t time_us = 0;
    std::int64_t duration_us = 0;
    std::uint64_t bytes_in = 0;
    std::uint64_t bytes_out = 0;
    std::string_view app;
    std::string_view user;
    std::string_view peer;
    std::string_view sid; // 16 bytes
    std::string_view rid; // 16 bytes
};

// A record that came through shared memory is believed only as far as it makes sense: known kind
// and side, names of printable ASCII, times and sizes from 0.
bool sensible(const UsageRecord& record);

// Precondition: 1 to batch_events_max records. Code::refused when one of them is not sensible().
Result<std::string> encode_events(std::span<const UsageRecord> records);
// Calls on_event(index, event) for each. Code::refused for anything but what encode_events writes
// (there is one spelling); some calls may have been made by then.
Status decode_events(std::string_view bytes,
                     const std::function<void(std::size_t, const Event&)>& on_event);

// Where a chain ends, or what somebody has confirmed of it.
struct Position {
    std::uint64_t stream = 0; // 0: nothing yet
    std::uint64_t next = 0;   // seq of the next event in that stream
    friend auto operator<=>(const Position&, const Position&) = default;
};
struct ChainHead {
    Position at;
    std::string hash = std::string(digest_bytes, '\0'); // of the last batch
};

// What lib/trust does for this library, which lies beside it.
struct Crypto {
    std::function<std::string(std::string_view)> sha256;
    // The header in a signed envelope of this tier.
    std::function<Result<std::string>(const BatchHeader&, std::string_view header_bytes)> sign;
};
// The hash that the next batch's prev repeats.
std::string batch_hash(const Crypto& crypto, std::string_view header_bytes);

// Counted by UTC day, from the events themselves.
struct DayTotals {
    std::int64_t day = 0; // days since 1970-01-01
    std::uint64_t requests = 0;
    std::uint64_t websockets = 0; // records: one at the opening, one a minute, one at the end
    std::uint64_t app_starts = 0;
    std::uint64_t bytes_in = 0;
    std::uint64_t bytes_out = 0;
    friend bool operator==(const DayTotals&, const DayTotals&) = default;
};

struct SealedBatch {
    BatchHeader header;
    std::string hash;     // batch_hash() of the header
    std::string envelope; // the header, signed
    std::string events;
    std::vector<DayTotals> days; // ascending
};

// Seals up to batch_events_max records as the next batch of the chain and moves `head` behind it.
// `stream` is this start's; a higher one than the head's begins at seq 0. Code::refused when a
// record is not sensible(): nothing has moved, and nothing was signed.
Result<SealedBatch> seal_batch(ChainHead& head, std::uint64_t epoch, std::uint64_t stream,
                               std::span<const UsageRecord> records, std::uint64_t dropped,
                               std::int64_t now_us, const Crypto& crypto);

// The reverse for a batch whose envelope was opened (its signature holds): the header's bytes and
// the events belong together and make sense. Code::refused with what does not.
Result<SealedBatch> check_batch(std::string_view header_bytes, std::string envelope,
                                std::string events, const Crypto& crypto);

// What a receiver makes of a batch, given the chain's end and, for one below it, the hash of the
// batch that begins at the same place (empty: none begins there).
enum class Verdict : unsigned char {
    next,  // continues the chain
    again, // held already, the same
    fork,  // the place is taken by another: two boxes sign with one key, or a disk was rolled back
    ahead, // something is missing between
};
Verdict judge(const ChainHead& head, const BatchHeader& header, std::string_view hash,
              std::string_view held_hash);

} // namespace hasp::billing
