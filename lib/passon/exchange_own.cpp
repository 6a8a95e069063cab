// Answers that are hasp's own: notices, pages asked of the keeper, and the upgrades of a child's
// link.
#include "exchange.h"

#include "base/text.h"
#include "control_stream.h"
#include "core.h"
#include "link_fields.h"
#include "loop_group.h"
#include "net/fields.h"
#include "net/write_head.h"
#include "passon/request_rules.h"
#include "request_fields.h"

#include <algorithm>
#include <array>

namespace hasp::passon {
namespace {

struct NoticeText {
    Notice notice;
    int status;
    std::string_view word; // between tiers
    std::string_view title;
    std::string_view text;
};

constexpr std::array<NoticeText, 14> notices{{
    {Notice::nowhere, 404, "nowhere", "Not found",
     "There is nothing at this address, or it is not meant for you."},
    {Notice::log_in, 401, "log-in", "Log in", "Please log in to use this."},
    {Notice::forbidden, 403, "forbidden", "Refused",
     "Another site sent you here with a request that this one does not take from others."},
    {Notice::expired, 503, "expired", "Not now",
     "The time for which this app was lent to this place is over. It comes back when the place "
     "above renews it."},
    {Notice::read_only, 409, "read-only", "For reading only",
     "The time for which this app was lent to this place is over: what is there can be read, and "
     "nothing was changed. It can be written again when the place above renews it."},
    {Notice::unreachable, 503, "unreachable", "Cannot be reached",
     "The place that holds this app cannot be reached."},
    {Notice::not_running, 503, "not-running", "Not running",
     "This app does not run at the moment."},
    {Notice::arriving, 503, "arriving", "Not here yet",
     "This app starts when your files are here."},
    {Notice::bad_answer, 502, "bad-answer", "Broken answer",
     "The app gave an answer that cannot be understood, or none."},
    {Notice::too_slow, 504, "too-slow", "No answer in time", "The app took too long."},
    {Notice::loop, 508, "loop", "Going in circles",
     "The request came back to a place where it had been."},
    {Notice::busy, 503, "busy", "Too many at once",
     "Too many requests wait here. Please try again in a moment."},
    {Notice::keeper, 503, "keeper", "Not now",
     "It cannot be checked at the moment who you are. Please try again in a moment."},
    {Notice::guessing, 429, "guessing", "Too many tries",
     "There were too many wrong tries. Please wait a while."},
}};

const NoticeText& text_of(Notice what) {
    return *std::find_if(notices.begin(), notices.end(),
                         [what](const NoticeText& one) { return one.notice == what; });
}

constexpr std::string_view html_type = "text/html; charset=utf-8";
constexpr std::string_view plain_type = "text/plain; charset=utf-8";

} // namespace

// So that a user's report can be found in every tier's log.
void Exchange::tell_request_id(net::HeadWriter& out) const {
    if (down_->from() == From::user) {
        out.trusted("X-Request-Id", request_id());
    }
}

// A browser that goes somewhere, and not a program or a picture of a page.
bool Exchange::wants_page() const {
    if (head.method != net::Method::get && head.method != net::Method::head) {
        return false;
    }
    const net::Header* accept = head.headers.find(net::Name::accept);
    return accept != nullptr && accept->value.find("text/html") != std::string_view::npos;
}

void Exchange::notice(Notice what, std::string_view detail) {
    const bool unreached = what == Notice::unreachable || what == Notice::not_running ||
                           what == Notice::bad_answer || what == Notice::too_slow ||
                           what == Notice::busy;
    if (unreached && cached_.entry && stand_in(cache::Trouble::disconnected)) {
        return;
    }
    const NoticeText& known = text_of(what);
    if (why_.empty() && what != Notice::nowhere && what != Notice::log_in) {
        why_.assign(known.word);
        if (!detail.empty()) {
            why_.append(": ").append(detail);
        }
    }
    if (down_->from() != From::user) {
        // How things stand inside is no peer's business.
        const std::string note =
            down_->from() == From::peer ? std::string() : header_encode(detail);
        answer_own(known.status,
                   {{link_notice, known.word}, {note.empty() ? "" : link_notice_text, note}},
                   plain_type, "");
        return;
    }
    if (what == Notice::log_in) {
        log_in_notice();
        return;
    }
    const bool later = known.status == 503 || known.status == 429;
    if (!wants_page()) {
        std::string body(known.text);
        if (!detail.empty()) {
            body.append(" ").append(detail);
        }
        body += '\n';
        answer_own(known.status, {{later ? "Retry-After" : "", later ? "10" : ""}}, plain_type,
                   body);
        return;
    }
    if (!notice_asked_ && what != Notice::keeper && request_body_done()) {
        // The keeper knows titles, neighbours and times, and has the style; what follows is for
        // when it cannot be asked.
        notice_asked_ = true;
        ask_notice(what, detail);
        return;
    }
    std::string page = "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>";
    page.append(known.title)
        .append("</title><meta name=\"viewport\" content=\"width=device-width\">");
    page += "<style>body{font:18px/1.5 system-ui,sans-serif;max-width:36em;margin:4em "
            "auto;padding:0 1em}</style></head><body><h1>";
    page.append(known.title).append("</h1><p>").append(known.text).append("</p>");
    if (!detail.empty()) {
        page.append("<pre>").append(html_escape(detail)).append("</pre>");
    }
    page += "<p><a href=\"/\">Back to the start</a></p></body></html>\n";
    answer_own(known.status, {{later ? "Retry-After" : "", later ? "10" : ""}}, html_type, page);
}

void Exchange::log_in_notice() {
    if (wants_page() && !head.upgrade) {
        // On an app's own host the way leads over the portal's host, which hands the session over.
        std::string to;
        std::string next(head.path);
        if (head.has_query) {
            next.append("?").append(head.query);
        }
        if (mount_.empty()) {
            to.append(scheme_).append("://");
            const std::size_t dot = host_.find('.');
            const std::string_view pattern = snapshot_->app_host();
            const bool by_pattern = pattern.size() > 6 && !snapshot_->app_of_host(host_).empty();
            std::string_view portal =
                by_pattern && dot != std::string_view::npos ? host_.substr(dot + 1) : host_;
            if (const std::string_view named = snapshot_->first_portal_host(); !named.empty()) {
                portal = named;
            }
            to.append(portal);
            to.append(authority_.substr(std::min(host_.size(), authority_.size())));
            next = std::string(scheme_) + "://" + std::string(authority_) + next;
        }
        to.append("/hasp/login?next=").append(percent_encode(next));
        if (who_) {
            // Signed on here, but not where the app is: only a new log-in helps, so the page must
            // not send him straight back.
            to.append("&again=1");
        }
        answer_own(303, {{"Location", to}, {"Cache-Control", "no-store"}}, plain_type,
                   "Log in first.\n");
        return;
    }
    const std::string challenge = "Basic realm=\"" + core_.settings.realm + "\", charset=\"UTF-8\"";
    const std::string bearer = "Bearer realm=\"" + core_.settings.realm + "\"";
    answer_own(401,
               {{"WWW-Authenticate", challenge},
                {"WWW-Authenticate", bearer},
                {"Cache-Control", "no-store"}},
               plain_type, "Log in first.\n");
}

std::size_t Exchange::own_body_max() const {
    return who_ && by_credential_ && head.path == "/hasp/push" ? core_.settings.push_body_bytes_max
                                                               : core_.settings.own_body_bytes_max;
}

void Exchange::own_page() {
    at_ = At::own_body;
    served_ = "own";
    if (head.framing == net::Framing::length && head.content_length > own_body_max()) {
        refuse(413, "the body is too large for a page of hasp");
        return;
    }
    read_own_body();
}

void Exchange::read_own_body() {
    if (head.framing != net::Framing::none && !request_.done()) {
        if (continue_due_) {
            continue_due_ = false;
            down_->wire.write("HTTP/1.1 100 Continue\r\n\r\n");
        }
        const BodyRelay::Step step = request_.collect(down_->wire, own_body_, own_body_max());
        if (step == BodyRelay::Step::need_source) {
            due(Due::client_in);
            return;
        }
        if (step != BodyRelay::Step::done) {
            refuse(step == BodyRelay::Step::need_sink ? 413 : 400,
                   "the body of the request is too large or malformed");
            return;
        }
    }
    ask_page();
}

void Exchange::ask_page() {
    PageQuestion question;
    question.method = head.method_text;
    question.scheme = scheme_;
    question.authority = authority_;
    question.host = host_;
    question.target = head.path;
    if (head.has_query) {
        question.target.append("?").append(head.query);
    }
    constexpr std::array<std::string_view, 10> asked{
        "accept", "accept-language", "content-type",   "cookie",     "if-none-match",
        "origin", "referer",         "sec-fetch-site", "user-agent", "authorization"};
    for (const net::Header& field : head.headers) {
        const std::string name = to_lower(field.name);
        if (std::find(asked.begin(), asked.end(), name) == asked.end()) {
            continue;
        }
        std::string value(field.value);
        if (field.id == net::Name::cookie) {
            value.clear();
            filter_cookies(value, field.value, true);
        }
        if (!value.empty()) {
            question.headers.emplace_back(name, std::move(value));
        }
    }
    question.body = std::move(own_body_);
    own_body_.clear();
    question.client_address = client_;
    question.request_id = request_id();
    question.identity = who_ ? who_->identity : nullptr;
    at_ = At::page;
    due(Due::keeper);
    core_.parts.keeper.ask_page(std::move(question),
                                [handle = handle()](Result<PageAnswer> answer) {
                                    if (*handle != nullptr) {
                                        (*handle)->on_page(std::move(answer));
                                    }
                                });
}

void Exchange::ask_notice(Notice what, std::string_view detail) {
    release_up(false);
    PageQuestion question;
    question.method = "GET";
    question.scheme = scheme_;
    question.authority = authority_;
    question.host = host_;
    // Without a slash, so that no client can ask for it.
    question.target = "notice?kind=" + std::string(text_of(what).word) +
                      "&app=" + percent_encode(app_name_) + "&detail=" + percent_encode(detail);
    question.client_address = client_;
    question.request_id = request_id();
    question.identity = who_ ? who_->identity : nullptr;
    at_ = At::page;
    due(Due::keeper);
    core_.parts.keeper.ask_page(
        std::move(question),
        [handle = handle(), what, text = std::string(detail)](Result<PageAnswer> answer) {
            if (*handle == nullptr) {
                return;
            }
            if (!answer || answer->status < 400) {
                (*handle)->notice(what, text);
                return;
            }
            (*handle)->on_page(std::move(answer));
        });
}

void Exchange::on_page(Result<PageAnswer> answer) {
    if (at_ != At::page) {
        return;
    }
    due(Due::nothing);
    if (!answer) {
        why_ = answer.error().message;
        switch (answer.error().code) {
        case Code::not_found:
            notice(Notice::nowhere);
            return;
        case Code::try_later:
            notice(Notice::guessing);
            return;
        default:
            notice(Notice::keeper);
            return;
        }
    }
    net::HeadWriter out(core_.head_out);
    const bool keep = keep_ && request_body_done();
    status_ = answer->status;
    out.status_line(answer->status);
    out.trusted("Date", core_.http_date());
    tell_request_id(out);
    for (const auto& [name, value] : answer->headers) {
        if (!iequals(name, "content-length") && !iequals(name, "transfer-encoding") &&
            !iequals(name, "connection")) {
            out.field(name, value);
        }
    }
    if (answer->status != 204 && answer->status != 304) {
        out.framing(net::Framing::length, answer->body.size());
    }
    write_connection_field(out, head, keep);
    out.end();
    if (out.failed()) {
        why_ = "the keeper's page has a header that cannot be sent";
        notice(Notice::keeper);
        return;
    }
    const bool body =
        head.method != net::Method::head && answer->status != 204 && answer->status != 304;
    own_bytes_ = body ? answer->body.size() : 0;
    const std::array<iovec, 2> pieces{
        piece(out.text()), piece(body ? std::string_view(answer->body) : std::string_view{})};
    if (!down_->wire.write(pieces)) {
        down_->close();
        return;
    }
    end(keep);
}

void Exchange::answer_own(int status, std::initializer_list<Extra> extra, std::string_view type,
                          std::string_view body, bool keep) {
    due(Due::nothing);
    release_up(false);
    keep = keep && keep_ && request_body_done() && !core_.draining;
    status_ = status;
    net::HeadWriter out(core_.head_out);
    out.status_line(status);
    out.trusted("Date", core_.http_date());
    tell_request_id(out);
    for (const Extra& one : extra) {
        if (!one.name.empty()) {
            out.field(one.name, one.value);
        }
    }
    out.trusted("Content-Type", type);
    out.trusted("X-Content-Type-Options", "nosniff");
    out.framing(net::Framing::length, body.size());
    write_connection_field(out, head, keep);
    out.end();
    const bool with_body = head.method != net::Method::head;
    own_bytes_ = with_body ? body.size() : 0;
    const std::array<iovec, 2> pieces{piece(out.text()),
                                      piece(with_body ? body : std::string_view{})};
    if (out.failed() || !down_->wire.write(pieces)) {
        down_->close();
        return;
    }
    end(keep);
}

void Exchange::tell_metrics() {
    if (head.path != "/metrics" ||
        (head.method != net::Method::get && head.method != net::Method::head)) {
        answer_own(404, {}, plain_type, "GET /metrics is all that there is here.\n");
        return;
    }
    core_.count_now();
    EngineCounters now = core_.counters;
    std::vector<Metrics::AddressRow> addresses = core_.upstreams.rows();
    Metrics all;
    if (core_.loops != nullptr) {
        all.add(core_.metrics.routes());
        core_.loops->others(core_.loop, [&](const LoopReport& one) {
            add(now, one.counters);
            all.add(one.routes);
            Metrics::add(addresses, one.addresses);
        });
    }
    const Metrics& metrics = core_.loops == nullptr ? core_.metrics : all;
    answer_own(200, {{"Cache-Control", "no-store"}}, "text/plain; version=0.0.4; charset=utf-8",
               metrics.text(now, snapshot_ ? snapshot_->tier() : std::string_view{}, addresses));
}

// The child makes this connection something else: its control stream, or one on which we are the
// client from now on.
void Exchange::upgrade_link(bool control) {
    const std::string_view wanted = control ? "hasp-control" : "hasp-reverse";
    if ((!control && head.path != "/hasp/link/park") || !head.upgrade ||
        !net::list_has(head.headers.value(net::Name::upgrade), wanted) ||
        head.framing != net::Framing::none) {
        refuse(400, "a link asks for an upgrade that does not exist");
        return;
    }
    net::HeadWriter out(core_.head_out);
    out.status_line(101);
    out.trusted("Connection", "upgrade");
    out.trusted("Upgrade", wanted);
    out.end();
    status_ = 101;
    if (!down_->wire.write(out.text())) {
        down_->close();
        return;
    }
    why_ = "became a link";
    const std::string peer = down_->peer();
    std::string early;
    early.assign(down_->wire.in.readable());
    std::unique_ptr<net::Conn> conn = down_->give_up();
    Core& core = core_;
    // From here on this exchange and its connection are over; what follows must not touch them.
    down_->close();
    if (control) {
        ControlStream::begin(core, std::move(conn), peer, false, early);
        return;
    }
    Endpoint& home = core.child_endpoint(peer);
    auto reversed = std::make_unique<UpstreamConn>(core, home);
    reversed->adopt(std::move(conn));
    reversed->reused = true;
    if (core.draining) {
        core.bury(std::move(reversed)); // it began before the listeners were closed
        return;
    }
    home.put_idle(std::move(reversed));
}

} // namespace hasp::passon
