// The answer, written anew for the client.
#include "exchange.h"

#include "base/text.h"
#include "core.h"
#include "link_fields.h"
#include "net/fields.h"
#include "net/websocket.h"
#include "net/write_head.h"
#include "passon/request_rules.h"
#include "request_fields.h"

namespace hasp::passon {
namespace {

constexpr std::size_t interim_max = 16;

Notice notice_of(std::string_view word) {
    constexpr std::pair<std::string_view, Notice> words[] = {
        {"nowhere", Notice::nowhere},
        {"log-in", Notice::log_in},
        {"forbidden", Notice::forbidden},
        {"expired", Notice::expired},
        {"read-only", Notice::read_only},
        {"unreachable", Notice::unreachable},
        {"not-running", Notice::not_running},
        {"arriving", Notice::arriving},
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

// Of a peer these would send our user to log in, or blame him or this tier; it has no say in that.
Notice peers_notice(Notice said) {
    switch (said) {
    case Notice::log_in:
    case Notice::guessing:
    case Notice::forbidden:
    case Notice::keeper:
        return Notice::bad_answer;
    default:
        return said;
    }
}

// These reach beyond the answer: into other paths of the origin, and into what the browser keeps.
bool reaches_beyond(std::string_view name) {
    return iequals(name, "service-worker-allowed") || iequals(name, "clear-site-data");
}

// Known names whose fields every answer takes along as they are, unless its Connection or the app's
// header map says otherwise: those that write_answer_fields() does not name.
constexpr net::NameSet plain_answer_names = [] {
    net::NameSet out;
    for (std::size_t i = 1; i < net::names_known; ++i) {
        const auto id = static_cast<net::Name>(i);
        switch (id) {
        case net::Name::content_length:
        case net::Name::x_request_id:
        case net::Name::etag:
        case net::Name::set_cookie:
        case net::Name::set_cookie2:
        case net::Name::location:
        case net::Name::content_location:
        case net::Name::refresh:
        case net::Name::trailer:
        case net::Name::accept_ranges:
            break;
        default:
            if (!is_hop_by_hop(id)) {
                out.add(id);
            }
            break;
        }
    }
    return out;
}();

bool nominates_names(const net::Headers& headers) {
    for (const net::Header* field = headers.find(net::Name::connection); field != nullptr;
         field = headers.next(*field)) {
        net::ListItems items(field->value);
        while (const auto item = items.next()) {
            if (!iequals(*item, "close") && !iequals(*item, "keep-alive") &&
                !iequals(*item, "upgrade")) {
                return true;
            }
        }
    }
    return false;
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
        } else if (request_.done() && up_->wire.blocked() && !up_->wire.flush()) {
            request_broken_ = true;
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
    const net::AnswerTo to{head.method == net::Method::head, net::asks_websocket(head)};
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
                if (++interim_ > interim_max) {
                    why_ = "the app sends interim answers without end";
                    release_up(false);
                    notice(Notice::bad_answer);
                    return;
                }
                if (!relay_interim(answer)) {
                    return;
                }
                wire.in.consume(parsed.consumed);
                up_seen_ = 0;
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

std::string Exchange::location_for_user(const net::Header& field) const {
    LocationMap map;
    std::string inner;
    if (app_.kind() == registry::Kind::upstream && up_) {
        inner = up_->endpoint.addresses.front().to_string();
        map.inner = inner;
        map.inner_host = up_->endpoint.host_field;
        map.base = up_->endpoint.base_path;
    }
    const std::string origin = std::string(scheme_) + "://" + std::string(authority_);
    map.origin = origin;
    map.mount = mount_;
    map.stripped = app_.strip_prefix() && !mount_.empty();
    return field.id == net::Name::refresh            ? map_refresh(field.value, map)
           : field.id == net::Name::content_location ? map_content_location(field.value, map)
                                                     : map_location(field.value, map);
}

// Where the answer goes, trailers are understood (RFC 9110 §6.5.1): the next tier drops them for a
// user whose program did not say so.
bool Exchange::takes_trailers() const {
    return head.version_minor != 0 && (down_->from() != From::user || down_->is_stream() ||
                                       net::list_has(head.headers, net::Name::te, "trailers"));
}

bool Exchange::passes_trailer(std::string_view name) const {
    return !name.starts_with("hasp-") &&
           !(verdict_ == registry::Verdict::here && replaces_answer(name));
}

// The fields of an answer, also of an interim one, as the user may see them.
void Exchange::write_answer_fields(net::HeadWriter& out, const net::AnswerHead& answer) {
    const bool here = verdict_ == registry::Verdict::here;
    const bool aside = verdict_ == registry::Verdict::peer;
    const bool nominates = answer.headers.has(net::Name::connection);
    net::NameSet by_name;
    if (!nominates && !(here && app_.maps_answers())) {
        by_name = plain_answer_names;
        if (coding_ == net::Coding::identity && !marked_) {
            by_name.add(net::Name::etag);
        }
    }
    net::FieldCopier lines(out);
    for (const net::Header& field : answer.headers) {
        if (by_name.has(field.id)) {
            lines.copy(field);
            continue;
        }
        if (field.id == net::Name::content_length) { // written anew, with the framing
            continue;
        }
        if (nominates && net::list_has(answer.headers, net::Name::connection, field.name)) {
            continue;
        }
        if (here && replaces_answer(field.name)) {
            continue;
        }
        switch (field.id) {
        case net::Name::content_length:
        case net::Name::x_request_id:
            continue;
        case net::Name::etag:
            if (coding_ != net::Coding::identity || marked_) {
                core_.text.clear();
                net::append_coded_etag(core_.text, field.value);
                lines.flush();
                out.field("ETag", core_.text);
                continue;
            }
            break;
        case net::Name::set_cookie:
        case net::Name::set_cookie2: // RFC 2965: some programs still take it for the same
            // Cleaned where it enters the tree and again where the user is: no tier need trust
            // another's word for it.
            // That one may hold several cookies, and what is behind a comma nobody has looked at.
            if (field.id == net::Name::set_cookie2 &&
                field.value.find(',') != std::string_view::npos) {
                continue;
            }
            core_.text.clear();
            if (clean_set_cookie(core_.text, field.value, mount_, here && app_.strip_prefix())) {
                lines.flush();
                out.value(field.name, core_.text);
            }
            continue;
        case net::Name::location:
        case net::Name::content_location:
        case net::Name::refresh:
            if (here) {
                lines.flush();
                out.value(field.name, location_for_user(field));
                continue;
            }
            break;
        case net::Name::other:
            if ((field.name.size() > 5 && iequals(field.name.substr(0, 5), "hasp-")) ||
                (aside && reaches_beyond(field.name))) {
                continue;
            }
            break;
        case net::Name::trailer: // says which will follow, where they do
            if (answer.framing != net::Framing::chunked || coding_ != net::Coding::identity ||
                !takes_trailers()) {
                continue;
            }
            break;
        case net::Name::accept_ranges:
            if (coding_ != net::Coding::identity) {
                continue;
            }
            break;
        default:
            if (is_hop_by_hop(field.id)) {
                continue;
            }
            break;
        }
        lines.copy(field);
    }
}

// RFC 9110 §15.2: passed on, but not to HTTP/1.0. 100 answers an expectation, and that was met
// here. False: the client is gone.
bool Exchange::relay_interim(const net::AnswerHead& answer) {
    // Nobody writes while bytes wait: what only hints at the answer may be left out.
    if (answer.status == 100 || head.version_minor == 0 || down_->wire.blocked()) {
        return true;
    }
    net::HeadWriter out(core_.head_out);
    out.status_line(answer.status);
    write_answer_fields(out, answer);
    out.end();
    if (!out.failed() && !down_->wire.write(out.text())) {
        down_->close();
        return false;
    }
    return true;
}

bool Exchange::write_answer_head(const net::AnswerHead& answer, net::Framing framing,
                                 std::string_view& text) {
    net::HeadWriter out(core_.head_out);
    out.status_line(answer.status);
    write_answer_fields(out, answer);
    if (!answer.headers.has(net::Name::date)) {
        out.trusted("Date", core_.http_date());
    }
    if (verdict_ == registry::Verdict::here) {
        write_mapped_answer(out);
    }
    if (varies_) {
        write_coding_fields(out, answer.headers);
    }
    if (answer.switched) {
        out.block("Connection: upgrade\r\nUpgrade: websocket\r\n");
    } else {
        const bool announces = framing == net::Framing::none && answer.has_length &&
                               answer.status != 204 && coding_ == net::Coding::identity && !marked_;
        if (announces) {
            out.framing(net::Framing::length, answer.content_length);
        } else {
            out.framing(framing, answer.content_length);
        }
        if (answer.status == 426) {
            // It must say which protocol is meant (RFC 9110 §15.5.22); this is the one that could
            // be.
            out.block("Connection: upgrade\r\nUpgrade: websocket\r\n");
        }
        write_connection_field(out, head, keep_);
    }
    tell_request_id(out);
    if (cached_.on) {
        tell_cache_status(out);
        tell_link_cache(out);
    }
    out.end();
    text = out.text();
    return !out.failed();
}

void Exchange::relay_answer(std::size_t head_bytes) {
    const net::AnswerHead& answer = core_.answer_head;
    const bool from_tier = verdict_ != registry::Verdict::here;
    if (from_tier) {
        peer_answers();
        if (const net::Header* word = answer.headers.find(link_notice)) {
            const bool aside = verdict_ == registry::Verdict::peer;
            const Notice said = notice_of(word->value);
            const Notice what = aside ? peers_notice(said) : said;
            const net::Header* given = aside ? nullptr : answer.headers.find(link_notice_text);
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
    if (from_tier && go_directly_for(answer)) {
        return;
    }
    if (!from_tier) {
        choose_coding(answer);
    }
    if (cached_.on && take_for_cache(answer, head_bytes)) {
        return;
    }
    status_ = answer.status;
    if (answer.switched) {
        std::string_view text;
        if (!net::websocket_accepted(answer, head.headers.value(net::Name::sec_websocket_key))) {
            why_ = "the app became something else than the WebSocket that was asked for";
            release_up(false);
            notice(Notice::bad_answer);
            return;
        }
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
    std::unique_ptr<net::Coder> coder;
    if (coding_ != net::Coding::identity && framing != net::Framing::none) {
        coder = take_coder(answer.has_length ? answer.content_length : 0);
        framing = coder ? net::Framing::chunked : framing;
    }
    keep_ = keep_ && framing != net::Framing::until_close &&
            (head.framing == net::Framing::none || request_.done()) && !core_.draining;
    // Content of a request that has none by its meaning (RFC 9110 §9.3.1) may still lie unread at
    // the app, which would take it for the next user's request.
    const bool odd = net::is_safe(head.method) && head.framing != net::Framing::none;
    up_reusable_ = answer.keep_alive && answer.framing != net::Framing::until_close && !odd &&
                   (head.framing == net::Framing::none || request_.done());
    std::string_view text;
    if (!write_answer_head(answer, framing, text)) {
        why_ = "the head of the answer is too large, or holds what must not be sent";
        release_up(false);
        notice(Notice::bad_answer);
        return;
    }
    answer_.start(answer.framing, answer.content_length, framing, answer.content_length);
    if (coder) {
        answer_.code_with(std::move(coder));
    } else if (answer.framing == net::Framing::chunked && takes_trailers()) {
        // Names that Connection nominates end here, in trailers too (RFC 9110 §7.6.1).
        if (!nominates_names(answer.headers)) {
            answer_.keep_trailers([this](std::string_view name) { return passes_trailer(name); });
        }
    }
    if ((core_.cache || core_.leaving) && !net::is_safe(head.method)) {
        forget_changed(answer, text);
    } else if (cached_.on) {
        begin_keeping(text);
    }
    up_->wire.in.consume(head_bytes);
    const BodyRelay::Step step = answer_.pump(up_->wire, down_->wire, text);
    if (step == BodyRelay::Step::source_bad && !answer_.wrote()) {
        // Its head has not gone out yet, so there is still something to be said.
        why_ = "the body of the answer is malformed, or broke off at once";
        release_up(false);
        notice(Notice::bad_answer);
        return;
    }
    answered_ = true;
    at_ = At::answering;
    if (step != BodyRelay::Step::done) { // else the log reads it, now
        let_head_go();
    }
    answer_step(step);
}

void Exchange::answer_step(BodyRelay::Step step) {
    switch (step) {
    case BodyRelay::Step::done:
        if (cached_.writer) {
            finish_keeping();
        }
        end(keep_ && (head.framing == net::Framing::none || request_.done()));
        return;
    case BodyRelay::Step::need_source:
        due(Due::app_body);
        return;
    case BodyRelay::Step::need_sink:
        due(Due::client_out);
        return;
    case BodyRelay::Step::yield:
        due(Due::app_body); // no longer its head
        core_.reactor().post(again_);
        return;
    case BodyRelay::Step::source_bad:
    case BodyRelay::Step::too_long: // it has no limit
        cut("the app's answer broke off");
        return;
    case BodyRelay::Step::sink_failed:
        down_->close();
        return;
    }
}

} // namespace hasp::passon
