#include "billing/batch.h"

#include "base/clock.h"
#include "wire.h"

#include <algorithm>
#include <limits>

namespace hasp::billing {

namespace {

constexpr std::string_view domain{"hasp-usage-batch-v1\0", 20};
constexpr std::uint64_t header_version = 1;

Error refused(const std::string& what) {
    return fail(Code::refused, "a usage batch is malformed: " + what);
}

void count(DayTotals& day, UsageKind kind, std::uint64_t in, std::uint64_t out) {
    day.requests += kind == UsageKind::request ? 1 : 0;
    day.websockets += kind == UsageKind::websocket ? 1 : 0;
    day.app_starts += kind == UsageKind::app_start ? 1 : 0;
    day.bytes_in += in;
    day.bytes_out += out;
}

// Nearly always one day or two: a list, kept sorted.
DayTotals& day_of(std::vector<DayTotals>& days, std::int64_t time_us) {
    const std::int64_t day = time_us / day_us;
    const auto at = std::lower_bound(days.begin(), days.end(), day,
                                     [](const DayTotals& d, std::int64_t n) { return d.day < n; });
    if (at != days.end() && at->day == day) {
        return *at;
    }
    return *days.insert(at, DayTotals{.day = day});
}

} // namespace

std::string encode_header(const BatchHeader& h) {
    std::string out;
    out.reserve(batch_header_bytes);
    detail::put_fixed(out, header_version, 1);
    detail::put_fixed(out, h.epoch, 8);
    detail::put_fixed(out, h.stream, 8);
    detail::put_fixed(out, h.first, 8);
    detail::put_fixed(out, h.count, 4);
    out += h.prev;
    detail::put_fixed(out, static_cast<std::uint64_t>(h.sealed_at_us), 8);
    detail::put_fixed(out, static_cast<std::uint64_t>(h.from_us), 8);
    detail::put_fixed(out, static_cast<std::uint64_t>(h.to_us), 8);
    detail::put_fixed(out, h.dropped, 8);
    detail::put_fixed(out, h.events_bytes, 4);
    out += h.events_sha256;
    return out;
}

Result<BatchHeader> decode_header(std::string_view bytes) {
    detail::Reader r(bytes);
    BatchHeader h;
    const std::uint64_t version = r.fixed(1);
    h.epoch = r.fixed(8);
    h.stream = r.fixed(8);
    h.first = r.fixed(8);
    h.count = static_cast<std::uint32_t>(r.fixed(4));
    h.prev = r.raw(digest_bytes);
    h.sealed_at_us = static_cast<std::int64_t>(r.fixed(8));
    h.from_us = static_cast<std::int64_t>(r.fixed(8));
    h.to_us = static_cast<std::int64_t>(r.fixed(8));
    h.dropped = r.fixed(8);
    h.events_bytes = static_cast<std::uint32_t>(r.fixed(4));
    h.events_sha256 = r.raw(digest_bytes);
    // Stores and JSON know signed numbers of 64 bits.
    constexpr auto most = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()) / 2;
    const bool numbers = h.epoch <= most && h.stream >= 1 && h.stream <= most && h.first <= most &&
                         h.dropped <= most && h.count >= 1 && h.count <= batch_events_max &&
                         h.events_bytes <= batch_bytes_max;
    if (!r.at_end() || version != header_version || !numbers || h.sealed_at_us < 0 ||
        h.from_us < 0 || h.to_us < h.from_us) {
        return refused("its header makes no sense");
    }
    return h;
}

std::string batch_hash(const Crypto& crypto, std::string_view header_bytes) {
    return crypto.sha256(std::string(domain) + std::string(header_bytes));
}

Result<SealedBatch> seal_batch(ChainHead& head, std::uint64_t epoch, std::uint64_t stream,
                               std::span<const UsageRecord> records, std::uint64_t dropped,
                               std::int64_t now_us, const Crypto& crypto) {
    auto events = encode_events(records);
    if (!events.ok()) {
        return events.error();
    }
    SealedBatch out;
    out.events = *std::move(events);
    BatchHeader& h = out.header;
    h.epoch = epoch;
    h.stream = stream;
    h.first = head.at.stream == stream ? head.at.next : 0;
    h.count = static_cast<std::uint32_t>(records.size());
    h.prev = head.hash;
    h.sealed_at_us = now_us;
    h.from_us = h.to_us = records.front().time_us;
    // Nearly all are of the day of the one before.
    DayTotals* day = &day_of(out.days, h.from_us);
    for (const UsageRecord& r : records) {
        if (r.time_us < day->day * day_us || r.time_us - day->day * day_us >= day_us) {
            day = &day_of(out.days, r.time_us);
        }
        h.from_us = std::min(h.from_us, r.time_us);
        h.to_us = std::max(h.to_us, r.time_us);
        count(*day, r.kind, r.bytes_in, r.bytes_out);
    }
    h.dropped = dropped;
    h.events_bytes = static_cast<std::uint32_t>(out.events.size());
    h.events_sha256 = crypto.sha256(out.events);
    const std::string bytes = encode_header(h);
    auto envelope = crypto.sign(h, bytes);
    if (!envelope.ok()) {
        return envelope.error();
    }
    out.envelope = *std::move(envelope);
    out.hash = batch_hash(crypto, bytes);
    head = {{stream, h.first + h.count}, out.hash};
    return out;
}

Result<SealedBatch> check_batch(std::string_view header_bytes, std::string envelope,
                                std::string events, const Crypto& crypto) {
    auto header = decode_header(header_bytes);
    if (!header.ok()) {
        return header.error();
    }
    SealedBatch out;
    out.header = *std::move(header);
    if (events.size() != out.header.events_bytes ||
        crypto.sha256(events) != out.header.events_sha256) {
        return refused("its events are not those that were signed");
    }
    std::size_t seen = 0;
    std::int64_t from_us = std::numeric_limits<std::int64_t>::max();
    std::int64_t to_us = 0;
    const Status decoded = decode_events(events, [&](std::size_t, const Event& e) {
        ++seen;
        from_us = std::min(from_us, e.time_us);
        to_us = std::max(to_us, e.time_us);
        count(day_of(out.days, e.time_us), e.kind, e.bytes_in, e.bytes_out);
    });
    if (!decoded.ok()) {
        return decoded.error();
    }
    if (seen != out.header.count || from_us != out.header.from_us || to_us != out.header.to_us) {
        return refused("its header counts other events than it has");
    }
    out.hash = batch_hash(crypto, header_bytes);
    out.envelope = std::move(envelope);
    out.events = std::move(events);
    return out;
}

Verdict judge(const ChainHead& head, const BatchHeader& header, std::string_view hash,
              std::string_view held_hash) {
    const Position at{header.stream, header.first};
    const bool continues =
        at == head.at || (header.stream == head.at.stream + 1 && header.first == 0);
    if (continues) {
        return header.prev == head.hash ? Verdict::next : Verdict::fork;
    }
    if (at < head.at) {
        return hash == held_hash ? Verdict::again : Verdict::fork;
    }
    return Verdict::ahead;
}

} // namespace hasp::billing
