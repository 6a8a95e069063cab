#include "client_check.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "names.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <ctime>

namespace hasp::cmd {

namespace {

constexpr std::int64_t slow_ms = 1'000;
constexpr std::int64_t clock_apart_us = 60 * second_us;
constexpr std::int64_t web_certificate_soon_us = 21 * day_us;
constexpr std::size_t shown_bytes_max = 200;
constexpr std::string_view log_in_form = "action=\"/hasp/login\"";

// What comes from outside, for a terminal.
std::string shown(std::string_view text) {
    std::string out = json_escape(text.substr(0, shown_bytes_max));
    return out + (text.size() > shown_bytes_max ? "…" : "");
}

std::string in_ms(std::int64_t ms) {
    return " in " + std::to_string(ms) + " ms";
}

std::string joined(const std::vector<std::string>& words) {
    std::string out;
    for (const std::string& word : words) {
        out += (out.empty() ? "" : ", ") + word;
    }
    return out;
}

bool loopback(const ClientSeen& seen) {
    return std::all_of(seen.connects.begin(), seen.connects.end(), [](const ConnectSeen& one) {
        return one.address == "::1" || one.address.starts_with("127.");
    });
}

void judge_name(std::vector<ClientFinding>& out, const ClientSeen& seen,
                const std::vector<std::string>& expected) {
    const std::string& host = seen.target.host;
    const NameSeen& name = seen.name;
    if (seen.target.is_ip) {
        out.push_back({"name", Sight::warn, host + " is an address and not a name",
                       "users reach apps by names: hasp names at the tier lists them"});
        return;
    }
    if (name.addresses.empty()) {
        out.push_back({"name", Sight::fail, host + " does not resolve: " + shown(name.failure),
                       "the resolver that this terminal asks must know it: hasp names --for … at "
                       "the tier"});
        return;
    }
    std::vector<std::string> v4;
    std::vector<std::string> v6;
    std::vector<std::string> strange;
    for (const std::string& one : name.addresses) {
        (one.find(':') == std::string::npos ? v4 : v6).push_back(one);
        if (!expected.empty() &&
            std::find(expected.begin(), expected.end(), one) == expected.end()) {
            strange.push_back(one);
        }
    }
    const std::string what = host + " is " + (v4.empty() ? "nothing" : joined(v4)) +
                             " (IPv4) and " + (v6.empty() ? "nothing" : joined(v6)) + " (IPv6)" +
                             in_ms(name.took_ms);
    if (!strange.empty()) {
        out.push_back(
            {"name", Sight::warn,
             what + ", but the tier is at " + joined(expected) + " and not at " + joined(strange),
             "look at the resolver's data: hasp names --for … makes it anew"});
    } else if (name.took_ms > slow_ms) {
        out.push_back({"name", Sight::warn, what,
                       "the resolver may be asking outside: let it answer both families itself"});
    } else {
        out.push_back({"name", Sight::ok, what, ""});
    }
}

void judge_connects(std::vector<ClientFinding>& out, const ClientSeen& seen) {
    const bool some = std::any_of(seen.connects.begin(), seen.connects.end(),
                                  [](const ConnectSeen& one) { return one.failure.empty(); });
    const std::string port = std::to_string(seen.target.port);
    for (const ConnectSeen& one : seen.connects) {
        if (one.failure.empty()) {
            out.push_back({"connect", one.took_ms > slow_ms ? Sight::warn : Sight::ok,
                           one.address + " port " + port + " connects" + in_ms(one.took_ms),
                           one.took_ms > slow_ms ? "look at the network between" : ""});
            continue;
        }
        out.push_back({"connect", some ? Sight::warn : Sight::fail,
                       one.address + " port " + port + " does not connect: " + one.failure,
                       some ? "browsers may wait for it: take it out of the resolver's data, or "
                              "let the tier listen there"
                            : "see whether the tier runs and listens there (hasp doctor at the "
                              "tier), and what a firewall between lets through"});
    }
}

void judge_tls(std::vector<ClientFinding>& out, const ClientSeen& seen, std::int64_t now_us) {
    if (!seen.tls) {
        if (!seen.target.tls && !loopback(seen)) {
            out.push_back({"tls", Sight::warn,
                           "without TLS: who can listen on the way reads passwords",
                           "set tls_listen, tls_cert and tls_key under [web] in hasp.toml"});
        }
        return;
    }
    const TlsSeen& tls = *seen.tls;
    if (!tls.failure.empty()) {
        out.push_back({"tls", Sight::fail, "no TLS: " + shown(tls.failure),
                       "see whether the port is one of tls_listen, and whether a proxy between "
                       "takes TLS apart"});
        return;
    }
    out.push_back({"tls", Sight::ok, "it speaks " + tls.version, ""});
    if (!tls.distrust.empty()) {
        out.push_back({"tls", Sight::fail, "its certificate is not trusted: " + tls.distrust,
                       "put its authority into this terminal's store (to try it: --ca FILE), and "
                       "let tls_cert have the whole chain"});
    } else {
        out.push_back({"tls", Sight::ok, "its certificate leads to a trusted authority", ""});
    }
    out.push_back({"tls", tls.name_matches ? Sight::ok : Sight::fail,
                   "its certificate is for " + shown(tls.names) +
                       (tls.name_matches ? "" : ", and not for " + seen.target.host),
                   tls.name_matches ? "" : "get one that has this name, or a wildcard for it"});
    const std::int64_t days = (tls.not_after_us - now_us) / day_us;
    if (tls.not_after_us <= now_us) {
        out.push_back({"tls", Sight::fail, "its certificate has ended " + rfc3339(tls.not_after_us),
                       "renew it; the tier reads it at its start"});
    } else {
        const bool soon = tls.not_after_us - now_us < web_certificate_soon_us;
        out.push_back({"tls", soon ? Sight::warn : Sight::ok,
                       "its certificate is good for " + std::to_string(days) + " days",
                       soon ? "renew it; the tier reads it at its start" : ""});
    }
}

ClientFinding judge_answer(const ClientSeen& seen) {
    const HttpSeen& http = *seen.http;
    const std::string answers = "/hasp/login answers " + std::to_string(http.status);
    if (!http.failure.empty()) {
        return {"http", Sight::fail, "no answer: " + shown(http.failure),
                "see whether it is the tier that listens there, and with TLS or without"};
    }
    if (http.request_id.empty()) {
        const bool sent_away = http.status >= 300 && http.status < 400;
        return {"http", Sight::fail,
                answers + (sent_away ? " and leads to " + shown(http.location) : "") +
                    ", and it is not hasp: it gives no X-Request-Id",
                "another server has this address, or a proxy or captive portal answers in between"};
    }
    const std::string id = ", request " + shown(http.request_id);
    if (http.status == 421) {
        return {"http", Sight::fail, answers + ": the tier does not know this host name" + id,
                "add it to portal_hosts under [web] in hasp.toml, or to hosts of the app"};
    }
    if (http.status >= 500) {
        return {"http", Sight::fail, answers + id,
                "the tier's log has the request by its id: hasp doctor there says more"};
    }
    if (http.status != 200 || !http.log_in_page) {
        return {"http", Sight::fail, answers + ", and it is not hasp's log-in page" + id,
                "another server has this address, or a proxy or captive portal answers in between"};
    }
    return {"http", http.took_ms > slow_ms ? Sight::warn : Sight::ok,
            "hasp shows its log-in page" + in_ms(http.took_ms) + id,
            http.took_ms > slow_ms ? "look at the tier's load and the network between" : ""};
}

void judge_clock(std::vector<ClientFinding>& out, const HttpSeen& http) {
    if (http.date_us == 0) {
        return;
    }
    const std::int64_t ahead_us = http.asked_us - http.date_us;
    const std::int64_t apart_s = std::llabs(ahead_us) / second_us;
    const bool apart = std::llabs(ahead_us) > clock_apart_us;
    out.push_back({"clock", apart ? Sight::warn : Sight::ok,
                   apart ? "this terminal's clock is " + std::to_string(apart_s) + " s " +
                               (ahead_us > 0 ? "ahead of" : "behind") + " the tier's"
                         : "this terminal's clock agrees with the tier's",
                   apart ? "set the clock that is wrong: cookies and certificates end by it" : ""});
}

// no_proxy as curl reads it: host names with or without a dot before them, "*" for every host.
bool spared(const ClientTarget& target, const std::string& list) {
    for (const std::string_view one : split(list, ',')) {
        std::string word = to_lower(trim(one));
        if (word == "*") {
            return true;
        }
        if (word.ends_with(":" + std::to_string(target.port)) && !target.is_ip) {
            word = word.substr(0, word.rfind(':'));
        }
        word.erase(0, word.starts_with("*.") ? 2 : word.starts_with('.') ? 1 : 0);
        if (!word.empty() && (target.host == word || target.host.ends_with("." + word))) {
            return true;
        }
    }
    return false;
}

// The first field of this name, in lower case; empty when there is none.
std::string_view field(std::string_view head, std::string_view name) {
    for (const std::string_view line : split(head, '\n')) {
        const std::size_t colon = line.find(':');
        if (colon != std::string_view::npos && iequals(line.substr(0, colon), name)) {
            return trim(line.substr(colon + 1));
        }
    }
    return {};
}

std::optional<std::int64_t> two_digits(std::string_view text, std::size_t at) {
    const auto number = parse_u64(text.substr(at, 2));
    return number ? std::optional(static_cast<std::int64_t>(*number)) : std::nullopt;
}

} // namespace

std::string ClientTarget::url() const {
    const bool usual = port == (tls ? 443 : 80);
    return (tls ? "https://" : "http://") +
           (host.find(':') == std::string::npos ? host : "[" + host + "]") +
           (usual ? "" : ":" + std::to_string(port)) + "/";
}

Result<ClientTarget> parse_client_target(std::string_view text) {
    const auto wrong = [&](const std::string& why) {
        return fail(Code::usage,
                    "\"" + shown(text) + "\" is no address of a portal or an app: " + why,
                    "for example https://clinic.example or wiki.clinic.example:8443");
    };
    ClientTarget out;
    std::string_view rest = text;
    const std::size_t scheme = rest.find("://");
    const std::string word =
        scheme == std::string_view::npos ? "" : to_lower(rest.substr(0, scheme));
    if (scheme != std::string_view::npos) {
        if (word != "http" && word != "https") {
            return wrong("its scheme is neither http nor https");
        }
        rest.remove_prefix(scheme + 3);
    }
    rest = rest.substr(0, rest.find_first_of("/?#"));
    if (rest.find('@') != std::string_view::npos) {
        return wrong("it has a user name");
    }
    std::string_view port;
    const bool brackets = rest.starts_with('[');
    const std::size_t end = brackets ? rest.find(']') : rest.find(':');
    if (brackets && end == std::string_view::npos) {
        return wrong("a bracket is not closed");
    }
    std::string_view host = rest.substr(0, end);
    if (end != std::string_view::npos) {
        port = rest.substr(end + (brackets ? 1 : 0));
        host.remove_prefix(brackets ? 1 : 0);
    }
    const auto number = parse_u64(port.substr(port.empty() ? 0 : 1));
    if (!port.empty() && (port.front() != ':' || !number || *number < 1 || *number > 65'535)) {
        return wrong("its port is none");
    }
    auto ip = IpAddress::parse(host);
    auto name = DnsName::parse(host);
    if (!ip.ok() && (brackets || !name.ok())) {
        return wrong("its host is none");
    }
    out.is_ip = ip.ok();
    out.host = ip.ok() ? ip->text() : name->text();
    out.tls = word != "http" && !(word.empty() && number.value_or(0) == 80);
    out.guessed = word.empty() && !number;
    out.port = number ? static_cast<std::uint16_t>(*number) : out.tls ? 443 : 80;
    return out;
}

std::vector<ClientFinding> judge_client(const ClientSeen& seen,
                                        const std::vector<std::string>& expected,
                                        std::int64_t now_us) {
    std::vector<ClientFinding> out;
    judge_name(out, seen, expected);
    judge_connects(out, seen);
    judge_tls(out, seen, now_us);
    if (seen.http) {
        out.push_back(judge_answer(seen));
        judge_clock(out, *seen.http);
    }
    return out;
}

ClientFinding
judge_proxies(const ClientTarget& target,
              const std::function<std::optional<std::string>(const std::string&)>& variable) {
    const auto first = [&](std::initializer_list<const char*> names) {
        for (const char* name : names) {
            const auto value = variable(name);
            if (value && !value->empty()) {
                return std::pair<std::string, std::string>{name, *value};
            }
        }
        return std::pair<std::string, std::string>{};
    };
    const auto proxy = target.tls ? first({"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"})
                                  : first({"http_proxy", "all_proxy", "ALL_PROXY"});
    if (proxy.first.empty()) {
        return {"proxy", Sight::ok, "the environment names no proxy for it", ""};
    }
    // After the last "@": what stands before may be a password.
    const std::string where = shown(proxy.second.substr(proxy.second.rfind('@') + 1));
    const auto spare = first({"no_proxy", "NO_PROXY"});
    if (spared(target, spare.second)) {
        return {"proxy", Sight::ok,
                spare.first + " spares it the proxy of " + proxy.first + ", " + where, ""};
    }
    return {"proxy", Sight::warn,
            proxy.first + " leads programs to it over the proxy " + where +
                "; this check does not take it",
            "add " + target.host + " to no_proxy, and to the exceptions in browsers"};
}

HttpSeen read_client_answer(std::string_view bytes) {
    HttpSeen out;
    const std::size_t end = bytes.find("\r\n\r\n");
    const std::string_view head = bytes.substr(0, end);
    const bool long_enough = head.size() >= 12; // "HTTP/1.1 200"
    const std::uint64_t status = long_enough ? parse_u64(head.substr(9, 3)).value_or(0) : 0;
    if (status < 100 || !head.starts_with("HTTP/1.") || head[8] != ' ') {
        out.failure = bytes.empty() ? "the connection was closed" : "what came is not HTTP";
        return out;
    }
    if (end == std::string_view::npos) {
        out.failure = "the answer ended within its head";
        return out;
    }
    out.status = static_cast<int>(status);
    out.request_id = field(head, "x-request-id");
    out.location = field(head, "location");
    out.date_us = http_date_us(field(head, "date")).value_or(0);
    out.log_in_page = bytes.substr(end).find(log_in_form) != std::string_view::npos;
    return out;
}

bool client_answer_is_whole(std::string_view bytes) {
    const std::size_t end = bytes.find("\r\n\r\n");
    if (end == std::string_view::npos) {
        return false;
    }
    const auto length = parse_u64(field(bytes.substr(0, end), "content-length"));
    return length.has_value() && bytes.size() - end - 4 >= *length;
}

std::optional<std::int64_t> http_date_us(std::string_view text) {
    constexpr std::array<std::string_view, 12> months{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    if (text.size() != 29 || text.substr(3, 2) != ", " || text[7] != ' ' || text[11] != ' ' ||
        text[16] != ' ' || text[19] != ':' || text[22] != ':' || text.substr(25) != " GMT") {
        return std::nullopt;
    }
    const auto* month = std::find(months.begin(), months.end(), text.substr(8, 3));
    const auto day = two_digits(text, 5);
    const auto year = parse_u64(text.substr(12, 4));
    const auto hour = two_digits(text, 17);
    const auto minute = two_digits(text, 20);
    const auto second = two_digits(text, 23);
    if (month == months.end() || !day || !year || !hour || !minute || !second || *day < 1 ||
        *day > 31 || *hour > 23 || *minute > 59 || *second > 60 || *year < 1970) {
        return std::nullopt;
    }
    std::tm parts{};
    parts.tm_year = static_cast<int>(*year) - 1900;
    parts.tm_mon = static_cast<int>(month - months.begin());
    parts.tm_mday = static_cast<int>(*day);
    parts.tm_hour = static_cast<int>(*hour);
    parts.tm_min = static_cast<int>(*minute);
    parts.tm_sec = static_cast<int>(*second);
    return std::int64_t{::timegm(&parts)} * second_us;
}

} // namespace hasp::cmd
