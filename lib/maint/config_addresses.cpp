// Checks of addresses by their form alone: nothing is looked up.
#include "maint/config.h"

#include "base/text.h"

#include <algorithm>
#include <arpa/inet.h>

namespace hasp::maint {

namespace {

bool is_ip(std::string_view text, int family) {
    unsigned char address[16];
    return text.find('\0') == std::string_view::npos &&
           ::inet_pton(family, std::string(text).c_str(), address) == 1;
}

struct HostPort {
    std::string_view host;
    bool bracketed = false;
    std::uint64_t port = 0;
};

std::optional<HostPort> split_port(std::string_view text) {
    const std::size_t colon = text.rfind(':');
    if (colon == std::string_view::npos || text.size() - colon > 6) {
        return std::nullopt;
    }
    const std::optional<std::uint64_t> port = parse_u64(text.substr(colon + 1));
    if (!port || *port > 65'535) {
        return std::nullopt;
    }
    HostPort out{text.substr(0, colon), false, *port};
    if (out.host.size() >= 2 && out.host.front() == '[' && out.host.back() == ']') {
        out.host = out.host.substr(1, out.host.size() - 2);
        out.bracketed = true;
    }
    return out;
}

bool is_address(const HostPort& at) {
    return is_ip(at.host, at.bracketed ? AF_INET6 : AF_INET);
}

} // namespace

bool valid_listen_address(std::string_view text) {
    const std::optional<HostPort> at = split_port(text);
    return at && is_address(*at);
}

bool valid_peer_address(std::string_view text) {
    const std::optional<HostPort> at = split_port(text);
    return at && at->port > 0 && (is_address(*at) || (!at->bracketed && valid_host_name(at->host)));
}

bool valid_host_name(std::string_view text) {
    if (text.empty() || text.size() > 253) {
        return false;
    }
    bool letters = false;
    for (const std::string_view label : split(text, '.')) {
        if (label.empty() || label.size() > 63 || label.front() == '-' || label.back() == '-') {
            return false;
        }
        for (const char c : label) {
            const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
            if (!letter && !(c >= '0' && c <= '9') && c != '-') {
                return false;
            }
            letters = letters || letter;
        }
    }
    return letters; // else it is a mistyped IP address
}

std::vector<std::string> browser_names(const Config& config) {
    if (!config.web.tls_names.empty()) {
        return config.web.tls_names;
    }
    constexpr std::string_view mark = "{app}.";
    std::vector<std::string> out;
    const std::string host = to_lower(config.web.app_host);
    const bool whole_label = host.starts_with(mark);
    for (const std::string& portal : config.web.portal_hosts) {
        out.push_back(to_lower(portal));
    }
    if (out.empty() && whole_label) {
        out.push_back(host.substr(mark.size()));
    }
    if (whole_label) {
        out.push_back("*." + host.substr(mark.size()));
    }
    return out;
}

} // namespace hasp::maint
