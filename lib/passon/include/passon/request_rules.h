// What may come from outside, as pure functions. docs: DESIGN.md 5, RFC 9110 §7.6.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace hasp::registry {
class Snapshot;
}

namespace hasp::passon {

// A header name that carries identity or origin by convention, so that a user could forge it: with
// "_", remote-*, x-remote-*, x-forwarded-*, forwarded, x-hasp-*, hasp-*, x-auth-*, and what proxies
// say of the client's address, certificate or target (x-real-ip, x-original-*, x-ssl-*,
// true-client-ip, …), and names mapped by a manifest. Any case, and with any character in place of
// a dash.
bool is_forgeable(std::string_view name, const registry::Snapshot* snapshot);

// A cookie that belongs to hasp: its name begins (without case) with "hasp-", "__host-hasp-" or
// "__secure-hasp-".
bool is_own_cookie(std::string_view name);

// Appends a Cookie value without (own = false) or with only (own = true) hasp's cookies. Nothing is
// appended when none is left.
void filter_cookies(std::string& out, std::string_view value, bool own);

// Appends a Set-Cookie value of an app as the user may see it: without Domain; Path put beneath
// `mount` when that is not empty and the app's prefix is stripped. False: the cookie is refused
// (hasp's name, or not a cookie).
bool clean_set_cookie(std::string& out, std::string_view value, std::string_view mount,
                      bool stripped);

// A Location of an app as the user may see it. `inner` are the authorities under which we reach the
// app ("127.0.0.1:8080"); `origin` is "scheme://authority" of the user; `base` the upstream's base
// path; `mount` the prefix of the app ("" at its own host); `stripped` whether the app does not see
// that prefix.
struct LocationMap {
    std::string_view inner;
    std::string_view inner_host;
    std::string_view base;
    std::string_view origin;
    std::string_view mount;
    bool stripped = false;
};
std::string map_location(std::string_view value, const LocationMap& map);
// The same of a Content-Location (RFC 9110 §8.7). It is what the app calls the content, and nobody
// follows it: a plain path stays as it is.
std::string map_content_location(std::string_view value, const LocationMap& map);
// The same of the target in a Refresh, "5; url=/next", as browsers read it (HTML Standard
// §4.2.5.3).
std::string map_refresh(std::string_view value, const LocationMap& map);

// May a browser have been led to send this? For WebSockets and unsafe methods. `own` is
// "scheme://authority" that the user typed.
struct OriginCheck {
    bool unsafe = false; // the method is not safe, or the request asks for a WebSocket
    std::optional<std::string_view> origin;
    std::optional<std::string_view> sec_fetch_site;
    std::string_view scheme;
    std::string_view authority;
};
bool origin_allowed(const OriginCheck& check);

// A neighbour's `mount` is cut off the path here, so it ends where a segment does: what is left is
// empty or begins with a slash, and stays beneath the upstream's own path.
bool mount_fits(std::string_view path, std::string_view mount);

// A traceparent (W3C Trace Context, level 1, §3.2): "00-" trace "-" parent "-" flags. Of a later
// version the part that this one knows is taken. Nothing for what is malformed: the request begins
// a trace of its own then.
struct TraceParent {
    std::string_view trace; // 32 lower-case hex digits, not all zero
    std::string_view flags; // 2
};
std::optional<TraceParent> parse_traceparent(std::string_view value);

// How often a request may be passed on (RFC 9110 §7.6.2). A number that does not fit counts as the
// largest. Nothing for what is no number.
std::optional<std::uint64_t> parse_max_forwards(std::string_view value);

// Does a browser open a page or a file at the top of a window? What a page loads by itself, and
// programs, are not sent to another origin: cookies and scripts mean something else there. Browsers
// say it over HTTPS and to localhost (Fetch Metadata Request Headers); whoever does not say it does
// not.
struct Navigation {
    bool get = false;         // without a body
    bool partial = false;     // Range, or If-Range
    bool credential = false;  // Authorization
    std::string_view mode;    // Sec-Fetch-Mode
    std::string_view dest;    // Sec-Fetch-Dest
    std::string_view purpose; // Sec-Purpose or Purpose: not empty, it is fetched on suspicion
};
bool is_top_navigation(const Navigation& asked);

// One more hop in CDN-Loop (RFC 8586): false when `tier` stands twice already or `hops_max` is
// reached.
bool hops_allowed(std::string_view cdn_loop, std::string_view tier, std::size_t hops_max);

} // namespace hasp::passon
