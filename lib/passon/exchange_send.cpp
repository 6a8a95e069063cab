// The request, written anew for whoever serves it: nothing of the client's bytes is forwarded as it
// came.
#include "exchange.h"

#include "base/text.h"
#include "core.h"
#include "link_fields.h"
#include "net/fields.h"
#include "net/websocket.h"
#include "net/write_head.h"
#include "passon/request_rules.h"
#include "request_fields.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

namespace hasp::passon {
namespace {

// A tier keeps so much of the time for itself: who is nearest to the app gives up first, and its
// word comes down in time, over a connection that stays.
constexpr std::int64_t hop_ms = 500;

// Names that the request's Connection field nominates: dropped with it (RFC 9110 §7.6.1).
class Nominated {
  public:
    static constexpr std::size_t names_max = 16;

    explicit Nominated(const net::Headers& headers) {
        for (const net::Header* field = headers.find(net::Name::connection); field != nullptr;
             field = headers.next(*field)) {
            net::ListItems items(field->value);
            while (const auto item = items.next()) {
                if (iequals(*item, "close") || iequals(*item, "keep-alive") ||
                    iequals(*item, "upgrade")) {
                    continue;
                }
                if (count_ == names_max) {
                    too_many_ = true;
                    return;
                }
                names_[count_++] = *item;
            }
        }
    }
    bool too_many() const { return too_many_; }
    bool any() const { return count_ != 0; }
    bool has(std::string_view name) const {
        for (std::size_t i = 0; i < count_; ++i) {
            if (iequals(names_[i], name)) {
                return true;
            }
        }
        return false;
    }

  private:
    std::array<std::string_view, names_max> names_;
    std::size_t count_ = 0;
    bool too_many_ = false;
};

// Conditions may name the tag of an answer that was coded here; the app knows its own. Not
// If-Range: a part of its answer is no part of what was coded.
bool may_name_coded(const net::Header& field) {
    return (field.id == net::Name::if_none_match || field.id == net::Name::if_match ||
            (field.id == net::Name::other && field.name.size() == 2 &&
             iequals(field.name, "if"))) &&
           net::has_coded_etag(field.value);
}

void if_any(net::HeadWriter& out, std::string_view name, std::string_view value) {
    if (!name.empty() && !value.empty()) {
        out.value(name, value);
    }
}

// Under a name of ours, a value that a parser took.
void parsed_if_any(net::HeadWriter& out, std::string_view name, std::string_view value) {
    if (!value.empty()) {
        out.trusted(name, value);
    }
}

} // namespace

void Exchange::write_identity_fields(net::HeadWriter& out) {
    const bool here = verdict_ == registry::Verdict::here;
    const Identity* who = who_ ? who_->identity.get() : nullptr;
    if (here) {
        if (who != nullptr) {
            if_any(out, app_.identity_header(0), who->user);
            if_any(out, app_.identity_header(1), who_->name);
            if_any(out, app_.identity_header(2), who_->email);
            if_any(out, app_.identity_header(3), who_->groups);
        }
        parsed_if_any(out, "X-Forwarded-For", client_);
        parsed_if_any(out, "X-Forwarded-Proto", scheme_);
        parsed_if_any(out, "X-Forwarded-Host", authority_);
        if_any(out, app_.prefix_header(), mount_);
        write_mapped_request(out);
        return;
    }
    out.trusted(link_app, app_name_);
    if_any(out, link_mount, mount_);
    // Neither where its user sits nor which session he has is a peer's business.
    const bool aside = verdict_ == registry::Verdict::peer;
    if_any(out, link_client, aside ? std::string_view{} : client_);
    core_.text.assign(scheme_).append("://").append(authority_);
    out.value(link_origin, core_.text);
    const std::int64_t left = left_ms();
    out.field(link_deadline, static_cast<std::uint64_t>(
                                 std::max<std::int64_t>(1, left - std::min(hop_ms, left / 10))));
    if (who == nullptr) {
        return;
    }
    if (aside) {
        out.field(link_assertion, *word_);
        return;
    }
    if_any(out, link_session, who->sid);
    if (verdict_ == registry::Verdict::child) {
        out.value(link_user, who->user);
        if_any(out, link_user_name, who_->name);
        if_any(out, link_user_email, who_->email);
        if_any(out, link_user_groups, who_->groups);
    }
}

// By which tiers it came.
void Exchange::write_tier_fields(net::HeadWriter& out) {
    // RFC 9110 §7.6.3: behind the entries of others, which were copied.
    core_.text.assign(down_->is_stream() ? "2 " : head.version_minor == 0 ? "1.0 " : "1.1 ");
    core_.text.append(snapshot_->tier());
    out.value("Via", core_.text);
    core_.text.clear();
    for (const net::Header* field = head.headers.find(net::Name::cdn_loop); field != nullptr;
         field = head.headers.next(*field)) {
        core_.text.append(field->value).append(", ");
    }
    core_.text.append(snapshot_->tier());
    if_any(out, "CDN-Loop", core_.text);
}

// Every tier is a span of its own. A trace that begins here has the request's id for its name, so
// that an app's own records lead to the tiers' logs.
void Exchange::write_trace_fields(net::HeadWriter& out) {
    const net::Header* given = head.headers.find(net::Name::traceparent);
    const bool one = given != nullptr && head.headers.next(*given) == nullptr;
    const std::optional<TraceParent> parent = one ? parse_traceparent(given->value) : std::nullopt;
    std::array<char, 55> text{'0', '0', '-'};
    std::memcpy(&text[3], (parent ? parent->trace : request_id()).data(), 32);
    text[35] = '-';
    write_hex(&text[36], core_.random_u64() | 1); // never all zero
    text[52] = '-';
    std::memcpy(&text[53], parent ? parent->flags.data() : "00", 2);
    if (parent && parent->trace != request_id()) {
        traced_ = true;
        std::memcpy(trace_.data(), &text[3], 32);
        std::memcpy(&trace_[32], &text[36], 16);
    }
    out.trusted("traceparent", {text.data(), text.size()});
    // Without the one, the other means nothing (§3.3).
    for (const net::Header* field = parent ? head.headers.find(net::Name::tracestate) : nullptr;
         field != nullptr; field = head.headers.next(*field)) {
        out.copy(*field);
    }
}

bool Exchange::write_request_head(std::string_view& text) {
    using registry::Verdict;
    const bool here = verdict_ == Verdict::here;
    const Nominated nominated(head.headers);
    if (nominated.too_many()) {
        return false;
    }
    net::HeadWriter out(core_.head_out);
    std::string_view path = head.path;
    if (here && !mount_.empty() && app_.strip_prefix()) {
        path.remove_prefix(mount_.size());
        if (path.empty()) {
            path = "/";
        }
    }
    const Endpoint& at = up_->endpoint;
    const bool under_base = here && !at.base_path.empty();
    if (under_base) {
        core_.text.assign(at.base_path).append(path);
        path = core_.text;
    }
    out.request_line(head.method_text, path, head.has_query, head.query,
                     head.target_clean && !under_base);
    if (here && app_.kind() == registry::Kind::upstream) {
        out.value("Host", at.host_field);
    } else {
        out.trusted("Host", authority_);
    }
    net::FieldCopier lines(out);
    // Of most requests most fields are told by their name alone.
    const bool by_name =
        !nominated.any() && snapshot_ == core_.snapshot && !(here && app_.set_request_count() != 0);
    for (const net::Header& field : head.headers) {
        if (by_name && core_.passing_names.has(field.id)) {
            lines.copy(field);
            continue;
        }
        if (is_rewritten(field.id) || nominated.has(field.name) ||
            ((cached_.validating || cached_.anew) && is_condition(field.id)) ||
            (here && replaces_request(field.name))) {
            continue;
        }
        if (field.id == net::Name::other
                ? is_forgeable(field.name, snapshot_.get())
                : core_.is_mapped(field.id) ||
                      (snapshot_ != core_.snapshot && is_forgeable(field.name, snapshot_.get()))) {
            continue;
        }
        if (here && may_name_coded(field)) {
            core_.text.clear();
            net::append_uncoded_etags(core_.text, field.value);
            lines.flush();
            out.field(field.name, core_.text);
            continue;
        }
        if (field.id == net::Name::max_forwards && head.method == net::Method::options) {
            lines.flush();
            out.field("Max-Forwards", parse_max_forwards(field.value).value_or(1) - 1);
            continue;
        }
        lines.copy(field);
    }
    lines.flush();
    if (!nominated.has("cookie")) {
        write_cookies(out);
    }
    // To a peer none at all: it may be a password or a token of this realm's.
    if (const net::Header* given = head.headers.find(net::Name::authorization);
        given != nullptr && !by_credential_ && verdict_ != Verdict::peer &&
        !nominated.has("authorization") && !(here && replaces_request("authorization"))) {
        out.copy(*given);
    }
    if (cached_.validating) {
        core_.text.clear();
        if (here) {
            net::append_uncoded_etags(core_.text, cached_.etag);
        }
        parsed_if_any(out, "If-None-Match", here ? std::string_view(core_.text) : cached_.etag);
        parsed_if_any(out, "If-Modified-Since", cached_.modified);
    }
    out.trusted("X-Request-Id", request_id());
    write_trace_fields(out);
    write_own_lines(out);
    if (net::asks_websocket(head)) {
        out.block("Connection: upgrade\r\nUpgrade: websocket\r\n");
    }
    out.framing(head.framing, head.content_length);
    out.end();
    text = out.text();
    return !out.failed();
}

void Exchange::send_request() {
    at_ = At::sent;
    answer_ms_ = left_ms();
    up_seen_ = 0;
    interim_ = 0;
    std::string_view text;
    if (!write_request_head(text)) {
        release_up(false);
        refuse(400, "the head of the request cannot be forwarded");
        return;
    }
    if (head.framing == net::Framing::none) {
        due(Due::app_head);
        if (!up_->wire.write(text)) {
            retry_or_fail("the connection broke before the request was sent");
            return;
        }
        // A pooled connection may have ended a moment ago: its edge is still to come.
        return;
    }
    if (continue_due_) {
        continue_due_ = false;
        if (!down_->wire.write("HTTP/1.1 100 Continue\r\n\r\n")) {
            down_->close();
            return;
        }
    }
    const BodyRelay::Step step = request_.pump(down_->wire, up_->wire, text);
    if (step == BodyRelay::Step::sink_failed && up_->reused && !retried_ && !request_.wrote()) {
        // Nothing was sent and nothing was taken from the client's buffer: any method may be sent
        // again.
        retried_ = true;
        ++core_.counters.retries;
        release_up(false);
        start_request_body();
        acquire(true);
        return;
    }
    request_step(step);
}

void Exchange::pump_request() {
    if (!request_.done() && up_) {
        request_step(request_.pump(down_->wire, up_->wire));
    }
}

void Exchange::request_step(BodyRelay::Step step) {
    switch (step) {
    case BodyRelay::Step::done:
        if (head.framing != net::Framing::none) {
            // The app's time to think begins when it has everything; it gets no more than was left.
            deadline_ms_ = std::max(deadline_ms_, core_.now_ms() + answer_ms_);
        }
        due(answered_ ? Due::app_body : Due::app_head);
        return;
    case BodyRelay::Step::need_source:
        if (!answered_) {
            due(Due::client_in);
        }
        return;
    case BodyRelay::Step::need_sink:
        if (!answered_) {
            due(Due::app_in);
        }
        return;
    case BodyRelay::Step::yield:
        due(Due::app_in); // it takes what comes, as fast as it comes
        core_.reactor().post(again_);
        return;
    case BodyRelay::Step::source_bad:
        release_up(false);
        if (answered_) {
            cut("the body of the request broke off");
        } else {
            refuse(400, "the body of the request is malformed or broke off");
        }
        return;
    case BodyRelay::Step::too_long:
        release_up(false); // the app has a part of it, and gets no end
        if (answered_) {
            cut("the body of the request is too long");
        } else {
            refuse(413, "the body of the request is too long");
        }
        return;
    case BodyRelay::Step::sink_failed:
        // It may have answered early and closed: what it said is still to be read.
        if (!answered_) {
            request_broken_ = true;
            pump_answer();
        }
        return;
    }
}

void Exchange::retry_or_fail(const char* why) {
    // A body whose beginning is gone from our buffer cannot be sent twice; who has said something
    // has read the request.
    const bool unsent = !request_.started() && interim_ == 0;
    const bool reused = up_ && up_->reused;
    if (!answered_) {
        blame_address(why, reused);
        blame_peer(reused);
    }
    if (up_ && (reused || has_other_address()) && !retried_ && !answered_ && unsent &&
        net::is_idempotent(head.method)) {
        retried_ = true;
        avoid_ = reused ? nullptr : &up_->endpoint;
        ++core_.counters.retries;
        release_up(false);
        request_broken_ = false; // the other one has read nothing yet
        start_request_body();
        why_.clear();
        acquire(true);
        return;
    }
    if (why_.empty()) {
        why_ = why;
    }
    if (answered_) {
        cut(why);
        return;
    }
    const bool tier = verdict_ != registry::Verdict::here;
    release_up(false);
    if (tier) {
        unreachable(why_);
    } else {
        notice(Notice::bad_answer);
    }
}

} // namespace hasp::passon
