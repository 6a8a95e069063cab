#include "manifest_text.h"

#include "base/text.h"

#include <algorithm>
#include <array>

namespace hasp::run {
namespace {

constexpr std::size_t path_bytes_max = 1024;
constexpr std::size_t host_bytes_max = 253;
constexpr std::size_t header_bytes_max = 64;

bool letter_or_digit(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

} // namespace

bool printable(std::string_view text) {
    return std::ranges::none_of(
        text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

bool request_path(std::string_view path) {
    return !path.empty() && path.size() <= path_bytes_max && path[0] == '/' &&
           std::ranges::all_of(path, [](char c) { return c > 0x20 && c < 0x7f && c != '#'; });
}

bool host_name(std::string_view host) {
    return !host.empty() && host.size() <= host_bytes_max && letter_or_digit(host.front()) &&
           letter_or_digit(host.back()) && host.find("..") == std::string_view::npos &&
           std::ranges::all_of(host,
                               [](char c) { return letter_or_digit(c) || c == '-' || c == '.'; });
}

bool header_name(std::string_view name) {
    return name.size() <= header_bytes_max &&
           std::ranges::all_of(name, [](char c) { return letter_or_digit(c) || c == '-'; });
}

bool reserved_header(std::string_view name) {
    static constexpr std::array<std::string_view, 24> names = {
        "host",          "connection", "content-length",  "transfer-encoding",
        "upgrade",       "te",         "trailer",         "cookie",
        "authorization", "keep-alive", "cdn-loop",        "accept",
        "content-type",  "expect",     "max-forwards",    "origin",
        "range",         "referer",    "traceparent",     "tracestate",
        "user-agent",    "via",        "x-forwarded-for", "x-request-id"};
    const std::string lower = to_lower(name);
    return std::ranges::find(names, lower) != names.end() || lower.starts_with("hasp-");
}

bool connection_header(std::string_view lower_name) {
    static constexpr std::array<std::string_view, 11> names = {"connection",
                                                               "content-length",
                                                               "http2-settings",
                                                               "keep-alive",
                                                               "proxy-authenticate",
                                                               "te",
                                                               "trailer",
                                                               "transfer-encoding",
                                                               "upgrade",
                                                               "proxy-authorization",
                                                               "proxy-connection"};
    return std::ranges::find(names, lower_name) != names.end();
}

bool inside(std::string_view path) {
    if (path.empty() || path[0] == '/' || path.size() > path_bytes_max || !printable(path)) {
        return false;
    }
    const auto parts = split(path, '/');
    return std::ranges::find(parts, std::string_view("..")) == parts.end();
}

bool env_name(std::string_view name) {
    return !name.empty() && !(name[0] >= '0' && name[0] <= '9') && !name.starts_with("HASP_") &&
           std::ranges::all_of(name, [](char c) { return letter_or_digit(c) || c == '_'; });
}

std::optional<UpstreamUrl> parse_url(std::string_view text) {
    UpstreamUrl url;
    if (text.starts_with("https://")) {
        url.tls = true;
        url.port = 443;
        text.remove_prefix(8);
    } else if (text.starts_with("http://")) {
        text.remove_prefix(7);
    } else {
        return std::nullopt;
    }
    const auto slash = text.find('/');
    std::string_view authority = text.substr(0, slash);
    if (slash != std::string_view::npos) {
        url.path = text.substr(slash);
        if (!request_path(url.path) || url.path.find('?') != std::string::npos) {
            return std::nullopt;
        }
        while (url.path.ends_with('/')) {
            url.path.pop_back();
        }
    }
    std::string_view port;
    if (authority.starts_with('[')) {
        const auto end = authority.find(']');
        if (end == std::string_view::npos) {
            return std::nullopt;
        }
        url.host = authority.substr(1, end - 1);
        const bool v6 =
            url.host.find(':') != std::string::npos && std::ranges::all_of(url.host, [](char c) {
                return c == ':' || c == '.' || from_hex(std::string{c, '0'}).has_value();
            });
        if (!v6) {
            return std::nullopt;
        }
        authority.remove_prefix(end + 1);
        if (!authority.empty() && authority[0] != ':') {
            return std::nullopt;
        }
        port = authority.empty() ? authority : authority.substr(1);
        if (!authority.empty() && port.empty()) {
            return std::nullopt;
        }
    } else {
        const auto colon = authority.find(':');
        url.host = to_lower(authority.substr(0, colon));
        if (!host_name(url.host)) {
            return std::nullopt;
        }
        if (colon != std::string_view::npos) {
            port = authority.substr(colon + 1);
            if (port.empty()) {
                return std::nullopt;
            }
        }
    }
    if (!port.empty()) {
        const auto number = parse_u64(port);
        if (!number || *number == 0 || *number > 65535) {
            return std::nullopt;
        }
        url.port = static_cast<std::uint16_t>(*number);
    }
    return url;
}

} // namespace hasp::run
