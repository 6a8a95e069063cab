#include "manifest_upstream.h"

#include "base/log.h"
#include "base/text.h"
#include "manifest_text.h"

#include <algorithm>
#include <array>
#include <tuple>

namespace hasp::run {
namespace {

constexpr std::size_t urls_max = 8;
constexpr std::int64_t weight_max = 100;
constexpr std::size_t map_entries_max = 32;
constexpr std::size_t map_value_bytes_max = 1024;
constexpr std::array<std::string_view, 4> identity_words = {"{user}", "{name}", "{email}",
                                                            "{groups}"};

Status read_weights(const ManifestReader& in, Manifest& m) {
    const auto weights = in.numbers("upstream", "weights");
    if (weights.empty()) {
        return {};
    }
    if (weights.size() != m.upstream.size()) {
        return in.error("upstream", "weights",
                        "has " + std::to_string(weights.size()) + " entries, and urls has " +
                            std::to_string(m.upstream.size()),
                        "give one weight for each address, in the same order");
    }
    for (std::size_t i = 0; i < weights.size(); ++i) {
        if (weights[i] < 1 || weights[i] > weight_max) {
            return in.error("upstream", "weights", "every entry must be from 1 to 100",
                            "to send nothing to an address, leave it out of urls");
        }
        m.upstream[i].weight = static_cast<int>(weights[i]);
    }
    return {};
}

// "200-399" or "204".
std::optional<std::pair<int, int>> status_range(std::string_view text) {
    const auto dash = text.find('-');
    const auto low = parse_u64(text.substr(0, dash));
    const auto high = dash == std::string_view::npos ? low : parse_u64(text.substr(dash + 1));
    if (!low || !high || *low < 200 || *high > 599 || *low > *high) {
        return std::nullopt;
    }
    return std::pair{static_cast<int>(*low), static_cast<int>(*high)};
}

Status read_health(const ManifestReader& in, Manifest& m) {
    UpstreamHealth& health = m.health;
    health.path = in.text("upstream", "health_path");
    for (const std::string_view key : {"health_interval_s", "health_timeout_s", "health_status",
                                       "health_fails", "health_passes"}) {
        if (health.path.empty() && in.has("upstream", key)) {
            return in.error("upstream", key, "means nothing without health_path",
                            "set health_path to a path that answers quickly, for example /health");
        }
    }
    if (!health.path.empty() && !request_path(health.path)) {
        return in.error("upstream", "health_path",
                        "must begin with '/' and have no spaces, controls or '#'");
    }
    health.interval_s = in.number("upstream", "health_interval_s", health.interval_s);
    health.timeout_s = in.number("upstream", "health_timeout_s", health.timeout_s);
    health.fails = in.number("upstream", "health_fails", health.fails);
    health.passes = in.number("upstream", "health_passes", health.passes);
    health.errors = in.number("upstream", "errors", health.errors);
    health.error_window_s = in.number("upstream", "error_window_s", health.error_window_s);
    const auto range = status_range(in.text("upstream", "health_status", "200-399"));
    if (!range) {
        return in.error("upstream", "health_status",
                        "must be a status from 200 to 599, or two of them as \"200-399\"");
    }
    std::tie(health.status_min, health.status_max) = *range;
    return {};
}

// Empty: it may be set. Else why not.
std::string request_refusal(std::string_view name, std::string_view value) {
    const std::string lower = to_lower(name);
    const auto begins = [&lower](std::string_view with) { return lower.starts_with(with); };
    if (lower == "host") {
        return "Host is that of the address in [upstream] urls";
    }
    if (connection_header(lower) || lower == "expect") {
        return "this header is about the connection or the body, which hasp frames anew";
    }
    if (begins("hasp-") || begins("x-hasp-") || begins("x-forwarded-") || begins("if-") ||
        begins("sec-") || begins("content-") || lower == "cookie" || lower == "forwarded" ||
        lower == "via" || lower == "cdn-loop" || lower == "traceparent" || lower == "tracestate" ||
        lower == "x-request-id" || lower == "max-forwards" || lower == "origin" ||
        lower == "range" || lower == "proxy") {
        return "this header has a meaning of its own";
    }
    const bool tells_who = begins("remote-") || begins("x-remote-") || begins("x-auth-") ||
                           begins("x-webauth-") || begins("x-user") || begins("x-ssl-") ||
                           begins("ssl-client-") || begins("x-client-cert");
    if (tells_who && std::ranges::find(identity_words, value) == identity_words.end()) {
        return "apps take this header for who asks: its value must be {user}, {name}, {email} or "
               "{groups}, and nothing else";
    }
    return {};
}

std::string answer_refusal(std::string_view name) {
    static constexpr std::array<std::string_view, 17> cached = {"cache-control",
                                                                "expires",
                                                                "etag",
                                                                "last-modified",
                                                                "vary",
                                                                "age",
                                                                "cache-status",
                                                                "accept-ranges",
                                                                "pragma",
                                                                "date",
                                                                "via",
                                                                "location",
                                                                "set-cookie",
                                                                "set-cookie2",
                                                                "x-request-id",
                                                                "cdn-cache-control",
                                                                "content-location"};
    const std::string lower = to_lower(name);
    if (connection_header(lower)) {
        return "this header is about the connection or the body, which hasp frames anew";
    }
    if (std::ranges::find(cached, lower) != cached.end() || lower.starts_with("hasp-") ||
        lower.starts_with("content-encoding") || lower.starts_with("content-range") ||
        lower.starts_with("content-type") || lower.starts_with("sec-websocket-")) {
        return "hasp and its caches go by this header, so the app itself must say it";
    }
    return {};
}

// What a field's value may hold, RFC 9110 section 5.5, ASCII alone.
bool plain_value(std::string_view value) {
    return !value.empty() && value.size() <= map_value_bytes_max && value.front() != ' ' &&
           value.back() != ' ' &&
           std::ranges::all_of(value, [](char c) { return c >= 0x20 && c < 0x7f; });
}

// Every {word} in `value` stands for who asks.
Status check_words(const ManifestReader& in, const std::string& name, std::string_view value) {
    static const std::vector<std::string> words = {"user", "name", "email", "groups"};
    for (std::size_t i = value.find('{'); i != std::string_view::npos; i = value.find('{', i + 1)) {
        const std::size_t end = value.find_first_not_of("abcdefghijklmnopqrstuvwxyz_", i + 1);
        if (end == std::string_view::npos || value[end] != '}' || end == i + 1) {
            continue;
        }
        const std::string word(value.substr(i + 1, end - i - 1));
        if (std::ranges::find(words, word) == words.end()) {
            const std::string near = nearest(word, words);
            return in.error("headers", "request", name + ": {" + word + "} is not known",
                            near.empty() ? "known are {user} {name} {email} {groups}"
                                         : "did you mean {" + near + "}?");
        }
    }
    return {};
}

// Names and values of one list. `shown` is the name as it may be printed.
Status check_entry(const ManifestReader& in, std::string_view key, const std::string& name,
                   const std::string& value, const std::string& refusal) {
    if (name.empty() || !header_name(name)) {
        return in.error("headers", key,
                        "\"" + json_escape(name.substr(0, 60)) +
                            "\" is no header name: 1-64 letters, digits and '-'");
    }
    if (!refusal.empty()) {
        return in.error("headers", key, name + " cannot be mapped: " + refusal);
    }
    if (!plain_value(value)) {
        return in.error("headers", key,
                        name + ": the value must be 1-1024 printable ASCII characters, without a "
                               "space at either end");
    }
    return {};
}

Status too_many(const ManifestReader& in, std::string_view key) {
    return in.error("headers", key, "has more than 32 entries");
}

bool has_name(const std::vector<MappedHeader>& list, std::string_view name) {
    return std::ranges::any_of(list, [&](const auto& one) { return iequals(one.name, name); });
}

Status read_request_headers(const ManifestReader& in, Manifest& m) {
    const IdentityHeaders& id = m.identity;
    const auto entries = in.map("headers", "request");
    if (entries.size() > map_entries_max) {
        return too_many(in, "request");
    }
    for (const auto& [name, value] : entries) {
        if (Status s = check_entry(in, "request", name, value, request_refusal(name, value)); !s) {
            return s;
        }
        if (Status s = check_words(in, name, value); !s) {
            return s;
        }
        for (const std::string* taken : {&id.user, &id.name, &id.email, &id.groups, &id.prefix}) {
            if (iequals(*taken, name)) {
                return in.error("headers", "request", name + " is set by [identity] already",
                                "set its key in [identity] to another name, or to \"\"");
            }
        }
        if (has_name(m.headers.request, name)) {
            return in.error("headers", "request", name + " is there twice");
        }
        m.headers.request.push_back({name, value});
    }
    return {};
}

Status read_answer_headers(const ManifestReader& in, Manifest& m) {
    const auto entries = in.map("headers", "answer");
    const auto remove = in.list("headers", "remove");
    if (entries.size() > map_entries_max || remove.size() > map_entries_max) {
        return too_many(in, entries.size() > map_entries_max ? "answer" : "remove");
    }
    for (const auto& [name, value] : entries) {
        if (Status s = check_entry(in, "answer", name, value, answer_refusal(name)); !s) {
            return s;
        }
        if (has_name(m.headers.answer, name)) {
            return in.error("headers", "answer", name + " is there twice");
        }
        m.headers.answer.push_back({name, value});
    }
    for (const std::string& name : remove) {
        if (Status s = check_entry(in, "remove", name, "-", answer_refusal(name)); !s) {
            return s;
        }
        if (has_name(m.headers.answer, name)) {
            return in.error("headers", "remove", name + " is set by answer",
                            "what answer sets replaces what the app said: leave it out here");
        }
        m.headers.remove.push_back(name);
    }
    return {};
}

} // namespace

Status read_upstream(const ManifestReader& in, Manifest& m) {
    const auto urls = in.list("upstream", "urls");
    if (urls.empty() || urls.size() > urls_max) {
        return in.error("upstream", "urls",
                        urls.empty() ? "is missing" : "has more than 8 entries");
    }
    for (const std::string& text : urls) {
        auto url = parse_url(text);
        if (!url) {
            return in.error(
                "upstream", "urls",
                "every entry must be http://HOST[:PORT][/PATH] or https://HOST[:PORT][/PATH]");
        }
        m.upstream.push_back(std::move(*url));
    }
    if (Status s = read_weights(in, m); !s) {
        return s;
    }
    return read_health(in, m);
}

Status read_headers(const ManifestReader& in, Manifest& m) {
    if (m.kind == Kind::static_files && in.has("headers")) {
        return in.error("headers", "(section)",
                        "only an app of kind = \"process\" or \"upstream\" has it",
                        "remove the section, or change [app] kind");
    }
    if (Status s = read_request_headers(in, m); !s) {
        return s;
    }
    return read_answer_headers(in, m);
}

} // namespace hasp::run
