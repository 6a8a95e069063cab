// What is kept of an exchange: its line in the access log and its usage record.
#include "core.h"
#include "exchange.h"
#include "static_files.h"

#include <array>
#include <utility>

namespace hasp::passon {

namespace {
// What is more than the last time. A body that began anew, in another attempt, counts anew.
std::uint64_t gained(std::uint64_t now, std::uint64_t& before) {
    const std::uint64_t last = std::exchange(before, now);
    return now >= last ? now - last : now;
}
} // namespace

// On the side where it came from, and on that where it went.
void Exchange::count_link_bytes() {
    const std::uint64_t request = gained(request_.moved(), counted_.request);
    const std::uint64_t answer = gained(answer_.sent() + own_bytes_, counted_.answer);
    const std::uint64_t came = gained(answer_.moved(), counted_.came);
    if (down_->from() != From::user) {
        LinkBytes& side = down_->from() == From::parent ? core_.counters.parent
                          : down_->from() == From::peer ? core_.counters.peers
                                                        : core_.counters.children;
        side.in += request;
        side.out += answer;
    }
    if (served_ == "parent" || served_ == "child" || served_ == "peer") {
        LinkBytes& side = served_ == "parent" ? core_.counters.parent
                          : served_ == "peer" ? core_.counters.peers
                                              : core_.counters.children;
        side.in += came;
        side.out += request;
    }
}

void Exchange::write_log(std::int64_t now_us) {
    count_link_bytes();
    AccessLine line;
    line.time_us = wall_us_;
    line.request_id = request_id();
    constexpr std::array<std::string_view, 4> sources{"user", "child", "parent", "peer"};
    line.from = sources[static_cast<std::size_t>(down_->from())];
    line.peer = down_->peer();
    line.client = client_.empty() ? std::string_view(down_->address()) : client_;
    if (who_) {
        line.user = who_->identity->user;
    }
    line.app = app_name_;
    if (head_buffer_) {
        line.method = head.method_text;
        line.host = head.host;
        line.path = head.path;
    } else {
        const std::string_view text = log_text_; // empty: there was no head that could be read
        line.method = text.substr(0, log_method_);
        line.host = text.substr(log_method_, log_host_);
        line.path = text.substr(log_method_ + log_host_);
    }
    line.status = status_;
    line.bytes_in = request_.moved();
    line.bytes_out = answer_.sent() + own_bytes_;
    line.duration_us = now_us - boot_us_;
    line.served = served_;
    line.cache = cache_word();
    line.why = why_;
    if (traced_) {
        line.trace = {trace_.data(), 32};
        line.span = {&trace_[32], 16};
    }
    core_.parts.access_log.write(line);
    if (!down_->metrics) {
        core_.metrics.count(line, bool(app_), status_ == 101);
    }
}

// Who meters: the tier that serves, and the account's home when it passed the request on above
// itself or aside. The tiers between record nothing.
void Exchange::write_usage(billing::UsageKind kind, bool last, std::int64_t now_us) {
    using registry::Verdict;
    // What the cache answered by itself, nobody else has seen.
    const bool here = verdict_ == Verdict::here || (cached_.served && !cached_.asked);
    if (!who_ || down_->beside ||
        (!here &&
         !((verdict_ == Verdict::parent || verdict_ == Verdict::peer) && who_->identity->home))) {
        return;
    }
    billing::UsageRecord record;
    record.kind = kind;
    record.served = here ? billing::Served::here : billing::Served::parent;
    record.status = static_cast<std::uint16_t>(status_);
    const std::uint64_t in = request_.moved();
    const std::uint64_t out = answer_.sent() + own_bytes_;
    const bool whole = for_app_ || at_ == At::tunnel ||
                       (at_ == At::file     ? file_->offset == file_->end
                        : at_ == At::stored ? cached_.left == 0
                                            : answer_.done());
    record.flags = static_cast<std::uint16_t>((down_->tls() ? billing::usage_tls : 0) |
                                              (last ? billing::usage_final : 0) |
                                              (whole ? 0 : billing::usage_aborted));
    if (kind == billing::UsageKind::websocket) {
        // Each record of a tunnel counts what came since the one before.
        record.time_us = core_.wall_us();
        record.duration_us = now_us - minute_us_;
        minute_us_ = now_us;
        record.bytes_in = in - std::exchange(minute_in_, in);
        record.bytes_out = out - std::exchange(minute_out_, out);
    } else {
        record.duration_us = now_us - boot_us_;
        record.time_us = wall_us_ + record.duration_us;
        record.bytes_in = in;
        record.bytes_out = out;
    }
    billing::set_name(record.app, app_name_);
    billing::set_name(record.user, who_->identity->user);
    record.sid = who_->sid_bytes;
    record.rid = id_bytes_;
    if (down_->from() != From::user) {
        billing::set_name(record.peer, down_->peer());
    }
    core_.parts.lane.write(record);
}

} // namespace hasp::passon
