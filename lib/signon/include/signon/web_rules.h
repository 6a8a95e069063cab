// Pure decisions about browsers' requests. Any thread.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace hasp::signon {

// May this request change something, or open a WebSocket, with the authority of a cookie?
struct OriginQuestion {
    std::string_view method;                        // "GET"; case matters, as in HTTP
    bool websocket = false;                         // a request for an upgrade
    std::optional<std::string_view> origin;         // header Origin
    std::optional<std::string_view> sec_fetch_site; // header Sec-Fetch-Site
    std::string_view scheme;                        // that the user typed: "https"
    std::string_view host; // that the user typed, with the port unless it is the scheme's own
};

// GET, HEAD and OPTIONS are allowed unless they ask for a WebSocket. Else Origin, where there is
// one, must be scheme://host, and Sec-Fetch-Site, where there is one, "same-origin" or "none".
// Neither header: no browser sent it (each one sends Origin with an unsafe method), so allowed.
// "null" and siblings are refused: a neighbouring app is a stranger.
bool same_origin_allowed(const OriginQuestion& question);

inline constexpr std::size_t next_bytes_max = 2048;

// Where to go after a log-in: `next` if it is a path of this host ("/…"), or an address of scheme
// `scheme` at one of `hosts` (exact, port included: the tier's own app hosts); else "/". Never
// leads elsewhere, whatever is in it: no "//", no backslash, no control characters, no user part.
// The answer is fit for a Location header.
std::string safe_next(std::string_view next, std::string_view scheme,
                      std::span<const std::string> hosts);

} // namespace hasp::signon
