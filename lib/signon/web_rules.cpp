#include "signon/web_rules.h"

#include "base/text.h"

#include <algorithm>

namespace hasp::signon {

namespace {

// scheme://host as a browser writes it in Origin: lower case, without the scheme's own port.
std::string serialized_origin(std::string_view scheme, std::string_view host) {
    const std::string own_scheme = to_lower(scheme);
    std::string own_host = to_lower(host);
    const std::string_view default_port = own_scheme == "https"  ? ":443"
                                          : own_scheme == "http" ? ":80"
                                                                 : "";
    if (!default_port.empty() && own_host.ends_with(default_port)) {
        own_host.resize(own_host.size() - default_port.size());
    }
    return own_scheme + "://" + own_host;
}

// Characters that may stand in a Location header and mean nothing to a lenient browser: a backslash
// would be taken for a slash.
bool harmless(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) {
        return c > 0x20 && c < 0x7f &&
               std::string_view("\\\"<>`").find(c) == std::string_view::npos;
    });
}

bool safe_path(std::string_view path) {
    return path.starts_with('/') && !path.starts_with("//") && path != "/hasp/login" &&
           !path.starts_with("/hasp/login?");
}

} // namespace

bool same_origin_allowed(const OriginQuestion& question) {
    const bool safe_method =
        question.method == "GET" || question.method == "HEAD" || question.method == "OPTIONS";
    if (safe_method && !question.websocket) {
        return true;
    }
    if (question.sec_fetch_site && *question.sec_fetch_site != "same-origin" &&
        *question.sec_fetch_site != "none") {
        return false;
    }
    return !question.origin ||
           to_lower(*question.origin) == serialized_origin(question.scheme, question.host);
}

std::string safe_next(std::string_view next, std::string_view scheme,
                      std::span<const std::string> hosts) {
    const std::string home = "/";
    if (next.size() > next_bytes_max || !harmless(next)) {
        return home;
    }
    if (safe_path(next)) {
        return std::string(next);
    }
    const std::string prefix = std::string(scheme) + "://";
    if (next.size() <= prefix.size() || !iequals(next.substr(0, prefix.size()), prefix)) {
        return home;
    }
    const std::string_view rest = next.substr(prefix.size());
    const std::string_view authority = rest.substr(0, rest.find_first_of("/?#"));
    const std::string_view path = rest.substr(authority.size());
    const auto host = std::find_if(hosts.begin(), hosts.end(),
                                   [&](const std::string& h) { return iequals(h, authority); });
    if (host == hosts.end() || host->find('@') != std::string::npos) {
        return home;
    }
    return prefix + *host + (path.starts_with('/') ? "" : "/") + std::string(path);
}

} // namespace hasp::signon
