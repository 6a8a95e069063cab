// The answer, written anew for the client, and tunnels.
#include "exchange.h"

#include "base/text.h"
#include "core.h"
#include "link_fields.h"
#include "net/fields.h"
#include "net/write_head.h"
#include "passon/request_rules.h"
#include "request_fields.h"

namespace hasp::passon {
namespace {

constexpr std::size_t interim_max = 16;
constexpr std::int64_t minute_ms = 60'000;

Notice notice_of(std::string_view word) {
    constexpr std::pair<std::string_view, Notice> words[] = {
        {"nowhere", Notice::nowhere},
        {"log-in", Notice::log_in},
        {"forbidden", Notice::forbidden},
        {"expired", Notice::expired},
        {"read-only", Notice::read_only},
        {"unreachable", Notice::unreachable},
        {"not-running", Notice::not_running},
        {"bad-answer", Notice::bad_answer},
        {"too-slow", Notice::too_slow},
        {"loop", Notice::loop},
        {"busy", Notice::busy},
        {"keeper", Notice::keeper},
        {"guessing", Notice::guessing},
    };
    for (const auto& [known, notice] : words) {
        if (known == word) {
            return notice;
        }
    }
    return Notice::bad_answer;
}

} // namespace

void Exchange::on_up_ready() {
    switch (at_) {
    case At::sent:
        if (!request_.done() && !request_broken_) {
            pump_request();
        } else if (up_->wire.blocked() && !up_->wire.flush()) {
            request_broken_ = true;
        }
        // The exchange may be over, or on another connection, by now.
        if (at_ == At::sent && up_) {
            pump_answer();
        }
        return;
    case At::answering:
        if (!request_.done() && !request_broken_ && up_->wire.conn->writable()) {
            pump_request();
        }
        if (at_ == At::answering && up_) {
            pump_answer();
        }
        return;
    case At::tunnel:
        pump_tunnel();
        return;
    default:
        return;
    }
}

void Exchange::pump_answer() {
    if (at_ == At::sent) {
        read_answer_head();
        return;
    }
    if (at_ == At::answering) {
        answer_step(answer_.pump(up_->wire, down_->wire));
    }
}

void Exchange::read_answer_head() {
    net::AnswerHead& answer = core_.answer_head;
    const net::AnswerTo to{head.method == net::Method::head, asks_websocket()};
    for (;;) {
        Wire& wire = up_->wire;
        if (wire.in.size() > up_seen_) {
            const net::ParseResult parsed = net::parse_answer_head(wire.in.readable(), answer, to,
                                                                   core_.head_limits(), up_seen_);
            if (parsed.bad()) {
                why_ = parsed.reason;
                release_up(false);
                notice(Notice::bad_answer);
                return;
            }
            if (parsed.done() && !answer.interim) {
                relay_answer(parsed.consumed);
                return;
            }
            if (parsed.done()) {
                wire.in.consume(parsed.consumed);
                up_seen_ = 0;
                if (++interim_ > interim_max) {
                    why_ = "the app sends interim answers without end";
                    release_up(false);
                    notice(Notice::bad_answer);
                    return;
                }
                continue;
            }
            up_seen_ = wire.in.size();
        }
        switch (wire.fill()) {
        case Wire::Fill::got:
            continue;
        case Wire::Fill::again:
            return;
        case Wire::Fill::full:
            why_ = "the head of the answer is too large";
            release_up(false);
            notice(Notice::bad_answer);
            return;
        case Wire::Fill::end:
        case Wire::Fill::cut:
        case Wire::Fill::failed:
            if (up_seen_ > 0) {
                why_ = "the answer broke off in its head";
                release_up(false);
                notice(Notice::bad_answer);
            } else {
                retry_or_fail("the connection ended before an answer came");
            }
            return;
        }
    }
}

bool Exchange::write_answer_head(const net::AnswerHead& answer, net::Framing framing,
                                 std::string_view& text) {
    const bool here = verdict_ == registry::Verdict::here;
    net::HeadWriter out(core_.head_out);
    out.status_line(answer.status);
    for (const net::Header& field : answer.headers) {
        switch (field.id) {
        case net::Name::content_length:
        case net::Name::x_request_id:
            continue;
        case net::Name::set_cookie:
            // Cleaned where it enters the tree and again where the user is: no tier need trust
            // another's word for it.
            core_.text.clear();
            if (clean_set_cookie(core_.text, field.value, mount_, here && app_.strip_prefix())) {
                out.field("Set-Cookie", core_.text);
            }
            continue;
        case net::Name::location:
            if (here) {
                const bool upstream = app_.kind() == registry::Kind::upstream;
                LocationMap map;
                if (upstream) {
                    map.inner =
                        app_.upstream_count() > 0 ? app_.upstream_address(0) : std::string_view{};
                    map.inner_host = app_.upstream_host();
                    map.base = app_.upstream_base();
                }
                const std::string origin = std::string(scheme_) + "://" + std::string(authority_);
                map.origin = origin;
                map.mount = mount_;
                map.stripped = app_.strip_prefix() && !mount_.empty();
                out.field("Location", map_location(field.value, map));
                continue;
            }
            break;
        case net::Name::other:
            if (field.name.size() > 5 && iequals(field.name.substr(0, 5), "hasp-")) {
                continue;
            }
            break;
        default:
            if (is_hop_by_hop(field.id)) {
                continue;
            }
            break;
        }
        if (answer.headers.has(net::Name::connection) &&
            net::list_has(answer.headers, net::Name::connection, field.name)) {
            continue;
        }
        out.copy(field);
    }
    if (!answer.headers.has(net::Name::date)) {
        out.trusted("Date", core_.http_date());
    }
    if (answer.switched) {
        out.block("Connection: upgrade\r\nUpgrade: websocket\r\n");
    } else {
        const bool announces =
            framing == net::Framing::none && answer.has_length && answer.status != 204;
        if (announces) {
            out.framing(net::Framing::length, answer.content_length);
        } else {
            out.framing(framing, answer.content_length);
        }
        write_connection_field(out, head, keep_);
    }
    tell_request_id(out);
    out.end();
    text = out.text();
    return !out.failed();
}

void Exchange::relay_answer(std::size_t head_bytes) {
    const net::AnswerHead& answer = core_.answer_head;
    const bool from_tier = verdict_ != registry::Verdict::here;
    if (from_tier) {
        if (const net::Header* word = answer.headers.find(link_notice)) {
            const Notice what = notice_of(word->value);
            const net::Header* given = answer.headers.find(link_notice_text);
            const std::string detail = given == nullptr
                                           ? std::string()
                                           : percent_decode(given->value).value_or(std::string());
            const bool reusable =
                answer.keep_alive &&
                (answer.framing == net::Framing::none ||
                 (answer.framing == net::Framing::length && answer.content_length == 0));
            up_->wire.in.consume(head_bytes);
            release_up(reusable && request_.done());
            notice(what, detail);
            return;
        }
    }
    status_ = answer.status;
    if (answer.switched) {
        std::string_view text;
        if (!write_answer_head(answer, net::Framing::none, text)) {
            release_up(false);
            notice(Notice::bad_answer);
            return;
        }
        up_->wire.in.consume(head_bytes);
        begin_tunnel(text);
        return;
    }
    net::Framing framing = answer.framing;
    if (framing == net::Framing::chunked || framing == net::Framing::until_close) {
        framing = head.version_minor == 0 ? net::Framing::until_close : net::Framing::chunked;
    }
    keep_ = keep_ && framing != net::Framing::until_close &&
            (head.framing == net::Framing::none || request_.done()) && !core_.draining;
    up_reusable_ = answer.keep_alive && answer.framing != net::Framing::until_close &&
                   (head.framing == net::Framing::none || request_.done());
    std::string_view text;
    if (!write_answer_head(answer, framing, text)) {
        why_ = "the head of the answer is too large, or holds what must not be sent";
        release_up(false);
        notice(Notice::bad_answer);
        return;
    }
    answered_ = true;
    at_ = At::answering;
    answer_.start(answer.framing, answer.content_length, framing, answer.content_length);
    up_->wire.in.consume(head_bytes);
    // Nothing reads the request's head any more; an answer may last for days.
    head_buffer_.give_back();
    answer_step(answer_.pump(up_->wire, down_->wire, text));
}

void Exchange::answer_step(BodyRelay::Step step) {
    switch (step) {
    case BodyRelay::Step::done:
        end(keep_ && (head.framing == net::Framing::none || request_.done()));
        return;
    case BodyRelay::Step::need_source:
        due(Due::app_body);
        return;
    case BodyRelay::Step::need_sink:
        due(Due::client_out);
        return;
    case BodyRelay::Step::yield:
        core_.reactor().post(again_);
        return;
    case BodyRelay::Step::source_bad:
        cut("the app's answer broke off");
        return;
    case BodyRelay::Step::sink_failed:
        down_->close();
        return;
    }
}

void Exchange::begin_tunnel(std::string_view text) {
    answered_ = true;
    keep_ = false;
    up_reusable_ = false;
    at_ = At::tunnel;
    ++core_.counters.tunnels;
    whole_.cancel();
    if (!down_->wire.write(text)) {
        down_->close();
        return;
    }
    // Nothing of the head is needed any more; a tunnel may live for days.
    head_buffer_.give_back();
    minute_us_ = core_.boot_us();
    write_usage(billing::UsageKind::websocket, false, minute_us_);
    minute_.arm(minute_ms);
    request_.start(net::Framing::until_close, 0, net::Framing::until_close, 0, true);
    answer_.start(net::Framing::until_close, 0, net::Framing::until_close, 0, true);
    pump_tunnel();
}

void Exchange::pump_tunnel() {
    const bool up_was_done = request_.done();
    const bool down_was_done = answer_.done();
    const BodyRelay::Step there =
        up_was_done ? BodyRelay::Step::done : request_.pump(down_->wire, up_->wire);
    const BodyRelay::Step back =
        down_was_done ? BodyRelay::Step::done : answer_.pump(up_->wire, down_->wire);
    const auto failed = [](BodyRelay::Step step) {
        return step == BodyRelay::Step::sink_failed || step == BodyRelay::Step::source_bad;
    };
    if (failed(there) || failed(back)) {
        down_->close();
        return;
    }
    if (up_was_done) {
        up_->wire.flush();
    }
    if (down_was_done) {
        down_->wire.flush();
    }
    if (request_.done() && answer_.done()) {
        end(false);
        return;
    }
    // One side has ended: the other is told, and gets a while to end too.
    if (request_.done() && !up_was_done) {
        up_->wire.conn->shutdown_write();
        due(Due::client_in);
    } else if (answer_.done() && !down_was_done) {
        down_->wire.conn->shutdown_write();
        due(Due::client_in);
    } else if (!request_.done() && !answer_.done()) {
        due(Due::tunnel);
    }
    if (there == BodyRelay::Step::yield || back == BodyRelay::Step::yield) {
        core_.reactor().post(again_);
    }
}

} // namespace hasp::passon
