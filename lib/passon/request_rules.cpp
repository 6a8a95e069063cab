#include "passon/request_rules.h"

#include "base/text.h"
#include "net/fields.h"
#include "registry/snapshot.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

namespace hasp::passon {
namespace {

char lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
}

bool starts_without_case(std::string_view text, std::string_view lower_prefix) {
    return text.size() >= lower_prefix.size() &&
           std::equal(lower_prefix.begin(), lower_prefix.end(), text.begin(),
                      [](char want, char got) { return want == lower(got); });
}

// A name longer than this is no name of a manifest (they are checked to be shorter), so it need not
// be looked up.
constexpr std::size_t stripped_name_max = 128;

// Is it a name that a manifest maps?
bool is_stripped(std::string_view name, const registry::Snapshot* snapshot) {
    if (snapshot == nullptr || name.empty() || name.size() > stripped_name_max) {
        return false;
    }
    std::array<char, stripped_name_max> small{};
    std::memcpy(small.data(), name.data(), name.size());
    // Eight bytes a step; behind the name there is room, and nobody looks. Bytes of a token are
    // below 0x80, so no sum carries into its neighbour.
    for (std::size_t i = 0; i < name.size(); i += 8) {
        constexpr std::uint64_t ones = 0x0101010101010101U;
        std::uint64_t word = 0;
        std::memcpy(&word, small.data() + i, 8);
        const std::uint64_t capital =
            ((word + ones * (0x80U - 'A')) & ~(word + ones * (0x7fU - 'Z')) & (ones * 0x80U));
        word |= capital >> 2U;
        std::memcpy(small.data() + i, &word, 8);
    }
    return snapshot->is_stripped({small.data(), name.size()});
}

constexpr bool is_letter_or_digit(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

// A name with a character that programs which speak CGI turn into the "_" that a dash becomes too:
// "Remote.User" is REMOTE_USER there.
bool is_forgeable_spelled(std::string_view name, const registry::Snapshot* snapshot) {
    std::string plain(name);
    for (char& c : plain) {
        if (c == '_') {
            return true;
        }
        c = is_letter_or_digit(c) ? c : '-';
    }
    return is_forgeable(plain, snapshot);
}

// Splits "name=value; Attr=x" at the next ";".
std::string_view next_part(std::string_view& rest) {
    const std::size_t end = rest.find(';');
    const std::string_view part = rest.substr(0, end);
    rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
    return trim(part);
}

bool beneath(std::string_view path, std::string_view mount) {
    return path.starts_with(mount) && (path.size() == mount.size() || path[mount.size()] == '/' ||
                                       path[mount.size()] == '?' || path[mount.size()] == '#');
}

} // namespace

bool is_forgeable(std::string_view name, const registry::Snapshot* snapshot) {
    for (const char c : name) {
        if (c != '-' && !is_letter_or_digit(c)) {
            return c == '_' || is_forgeable_spelled(name, snapshot);
        }
    }
    switch (name.empty() ? '\0' : lower(name.front())) {
    case 'r':
        if (starts_without_case(name, "remote-")) {
            return true;
        }
        break;
    case 'x':
        for (const std::string_view prefix :
             {"x-forwarded-", "x-remote-", "x-hasp-", "x-auth-", "x-real-ip", "x-original-",
              "x-rewrite-url", "x-client-ip", "x-client-cert", "x-cluster-client-ip",
              "x-originating-ip", "x-ssl-", "x-webauth-", "x-http-host-override"}) {
            if (starts_without_case(name, prefix)) {
                return true;
            }
        }
        return is_stripped(name, snapshot) || iequals(name, "x-host") || iequals(name, "x-user");
    case 's':
        if (starts_without_case(name, "ssl-client-")) {
            return true;
        }
        break;
    case 't':
        if (iequals(name, "true-client-ip")) {
            return true;
        }
        break;
    case 'c':
        if (iequals(name, "client-ip") || iequals(name, "cf-connecting-ip")) {
            return true;
        }
        break;
    case 'p':
        if (iequals(name, "proxy")) { // HTTP_PROXY to whatever speaks CGI ("httpoxy")
            return true;
        }
        break;
    case 'f':
        if (iequals(name, "forwarded")) {
            return true;
        }
        break;
    case 'h':
        if (starts_without_case(name, "hasp-")) {
            return true;
        }
        break;
    default:
        break;
    }
    return is_stripped(name, snapshot);
}

bool is_own_cookie(std::string_view name) {
    return starts_without_case(name, "hasp-") || starts_without_case(name, "__host-hasp-") ||
           starts_without_case(name, "__secure-hasp-");
}

void filter_cookies(std::string& out, std::string_view value, bool own) {
    net::Cookies cookies(value);
    bool first = true;
    while (const auto cookie = cookies.next()) {
        if (is_own_cookie(cookie->name) != own) {
            continue;
        }
        if (!first) {
            out += "; ";
        }
        first = false;
        out.append(cookie->name);
        out += '=';
        out.append(cookie->value);
    }
}

bool clean_set_cookie(std::string& out, std::string_view value, std::string_view mount,
                      bool stripped) {
    std::string_view rest = value;
    const std::string_view pair = next_part(rest);
    const std::size_t equals = pair.find('=');
    if (equals == std::string_view::npos) {
        return false;
    }
    // Without a name a browser keeps it all the same and sends the value alone: "=hasp-session=x"
    // would come back as hasp's own (RFC 6265bis §5.7).
    const std::string_view named = trim(pair.substr(0, equals));
    if (named.empty() || is_own_cookie(named)) {
        return false;
    }
    out.append(pair);
    while (!rest.empty()) {
        const std::string_view part = next_part(rest);
        const std::size_t at = part.find('=');
        const std::string_view name = trim(part.substr(0, at));
        if (part.empty() || iequals(name, "domain")) {
            continue;
        }
        out += "; ";
        if (stripped && !mount.empty() && iequals(name, "path") && at != std::string_view::npos) {
            const std::string_view path = trim(part.substr(at + 1));
            out += "Path=";
            if (!beneath(path, mount)) {
                out.append(mount);
            }
            out.append(path.starts_with('/') ? path : std::string_view("/"));
            continue;
        }
        out.append(part);
    }
    return true;
}

std::string map_location(std::string_view value, const LocationMap& map) {
    std::string_view rest = value;
    // Browsers take "\\" for "/", and any number of them for two.
    const std::size_t slashes = std::min(value.find_first_not_of("/\\\t"), value.size());
    const bool names_host = slashes == 2 && value.starts_with("//");
    if (slashes == 0 || names_host) {
        std::string_view authority = value;
        if (authority.starts_with("//")) {
            authority.remove_prefix(2);
        } else if (starts_without_case(authority, "http://")) {
            authority.remove_prefix(7);
        } else if (starts_without_case(authority, "https://")) {
            authority.remove_prefix(8);
        } else {
            return std::string(value); // relative to the request's own path: stays on this host
        }
        const std::size_t end = authority.find_first_of("/?#");
        rest = end == std::string_view::npos ? std::string_view("/") : authority.substr(end);
        authority = authority.substr(0, end);
        const bool inner = (!map.inner.empty() && iequals(authority, map.inner)) ||
                           (!map.inner_host.empty() && iequals(authority, map.inner_host));
        const bool ours =
            map.origin.size() > authority.size() &&
            iequals(map.origin.substr(map.origin.size() - authority.size()), authority) &&
            map.origin[map.origin.size() - authority.size() - 1] == '/';
        if (!inner && !ours && !authority.empty()) {
            return std::string(value);
        }
    }
    if (!map.base.empty() && beneath(rest, map.base)) {
        rest.remove_prefix(map.base.size());
    }
    // "//x" alone would name another host, and browsers take "\\" for "/" and pass over tabs.
    std::string one_slash;
    if (const std::size_t name = std::min(rest.find_first_not_of("/\\\t"), rest.size()); name > 1) {
        one_slash.assign("/").append(rest.substr(name));
        rest = one_slash;
    }
    std::string out;
    if (map.stripped && !beneath(rest, map.mount)) {
        out.append(map.mount);
    }
    if (!rest.starts_with('/')) {
        out += '/';
    }
    out.append(rest);
    return out;
}

std::string map_content_location(std::string_view value, const LocationMap& map) {
    const bool plain_path = map.base.empty() && value.starts_with('/') &&
                            (value.size() == 1 || value.find_first_not_of("/\\\t") == 1);
    return plain_path ? std::string(value) : map_location(value, map);
}

std::string map_refresh(std::string_view value, const LocationMap& map) {
    const std::size_t end = std::min(value.find_first_of(";,"), value.size());
    std::string_view target = trim(value.substr(std::min(end + 1, value.size())));
    if (starts_without_case(target, "url")) {
        const std::string_view after = trim(target.substr(3));
        target = after.starts_with('=') ? trim(after.substr(1)) : target;
    }
    if (target.empty()) {
        return std::string(value);
    }
    if (target.starts_with('"') || target.starts_with('\'')) {
        const std::size_t close = target.find(target.front(), 1);
        target = target.substr(1, close == std::string_view::npos ? close : close - 1);
    }
    std::string out(trim(value.substr(0, end)));
    out.append("; url=").append(map_location(trim(target), map));
    return out;
}

bool origin_allowed(const OriginCheck& check) {
    if (!check.unsafe) {
        return true;
    }
    if (check.origin) {
        const std::size_t at = check.origin->find("://");
        return at != std::string_view::npos && check.origin->substr(0, at) == check.scheme &&
               iequals(check.origin->substr(at + 3), check.authority);
    }
    return !check.sec_fetch_site || *check.sec_fetch_site == "same-origin" ||
           *check.sec_fetch_site == "none";
}

bool mount_fits(std::string_view path, std::string_view mount) {
    return path.starts_with(mount) &&
           (mount.empty() || path.size() == mount.size() || path[mount.size()] == '/');
}

std::optional<TraceParent> parse_traceparent(std::string_view value) {
    constexpr std::size_t size = 55;
    if (value.size() < size || (value.size() > size && value[size] != '-')) {
        return std::nullopt;
    }
    const std::string_view version = value.substr(0, 2);
    TraceParent out{value.substr(3, 32), value.substr(53, 2)};
    const std::string_view parent = value.substr(36, 16);
    const auto zero = [](std::string_view text) {
        return text.find_first_not_of('0') == std::string_view::npos;
    };
    if (value[2] != '-' || value[35] != '-' || value[52] != '-' || !is_lower_hex(version, 2) ||
        !is_lower_hex(out.trace, 32) || !is_lower_hex(parent, 16) || !is_lower_hex(out.flags, 2) ||
        version == "ff" || (version == "00" && value.size() != size) || zero(out.trace) ||
        zero(parent)) {
        return std::nullopt;
    }
    return out;
}

std::optional<std::uint64_t> parse_max_forwards(std::string_view value) {
    if (value.empty() || value.find_first_not_of("0123456789") != std::string_view::npos) {
        return std::nullopt;
    }
    return parse_u64(value).value_or(UINT64_MAX);
}

bool is_top_navigation(const Navigation& asked) {
    return asked.get && !asked.partial && !asked.credential && asked.mode == "navigate" &&
           asked.dest == "document" && asked.purpose.empty();
}

bool hops_allowed(std::string_view cdn_loop, std::string_view tier, std::size_t hops_max) {
    std::size_t hops = 0;
    std::size_t own = 0;
    net::ListItems items(cdn_loop);
    while (const auto item = items.next()) {
        ++hops;
        const std::string_view id = trim(item->substr(0, item->find(';')));
        own += iequals(id, tier) ? 1 : 0;
    }
    return hops < hops_max && own < 2;
}

} // namespace hasp::passon
