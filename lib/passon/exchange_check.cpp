// What a request must be before anybody is asked who sent it and whether he may.
#include "exchange.h"

#include "core.h"
#include "net/websocket.h"
#include "passon/request_rules.h"

namespace hasp::passon {
namespace {

constexpr std::string_view methods_offered = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
constexpr std::string_view check_type = "text/plain; charset=utf-8";

} // namespace

// Methods that are answered here whatever they are about. True: it is answered.
bool Exchange::is_for_us() {
    if (head.method == net::Method::trace) {
        // The app would show what the tiers have added to the request (RFC 9110 §9.3.8, §17.9).
        answer_own(405, {{"Allow", methods_offered}}, check_type, "TRACE is not offered here.\n");
        return true;
    }
    if (head.method != net::Method::options) {
        return false;
    }
    const net::Header* forwards = head.headers.find(net::Name::max_forwards);
    const auto left =
        forwards == nullptr ? std::optional<std::uint64_t>(1) : parse_max_forwards(forwards->value);
    if (!left) {
        refuse(400, "Max-Forwards is not a number");
        return true;
    }
    // "*" is about the server as a whole (RFC 9110 §9.3.7), which for users is this one.
    if (*left == 0 || head.form == net::TargetForm::asterisk) {
        answer_own(200, {{"Allow", methods_offered}}, check_type, "");
        return true;
    }
    return false;
}

// A browser may have been led to send it. False: it is answered.
bool Exchange::is_of_this_site() {
    OriginCheck check;
    check.unsafe = !net::is_safe(head.method) || head.upgrade;
    if (const net::Header* origin = head.headers.find(net::Name::origin)) {
        check.origin = origin->value;
    }
    if (const net::Header* site = head.headers.find(net::Name::sec_fetch_site)) {
        check.sec_fetch_site = site->value;
    }
    check.scheme = scheme_;
    check.authority = authority_;
    if (!origin_allowed(check)) {
        notice(Notice::forbidden);
        return false;
    }
    return true;
}

// What asks for a WebSocket is a whole handshake (RFC 6455 §4.2.1), so that app and tier never
// disagree about whether there is one. False: it is answered.
bool Exchange::is_handshake() {
    if (!net::asks_websocket(head)) {
        return true;
    }
    if (const char* fault = net::websocket_fault(head)) {
        refuse(400, fault);
        return false;
    }
    if (!net::websocket_version_known(head)) {
        answer_own(
            426,
            {{"Sec-WebSocket-Version", "13"}, {"Upgrade", "websocket"}, {"Connection", "upgrade"}},
            check_type, "WebSockets of version 13 are offered here.\n");
        return false;
    }
    return true;
}

} // namespace hasp::passon
