#include "net/header.h"

#include "chars.h"
#include "known_names.h"

#include <cstring>

namespace hasp::net {
namespace {

constexpr std::array<std::string_view, names_known> texts = {
    "",
    "accept",
    "accept-encoding",
    "accept-language",
    "accept-ranges",
    "access-control-allow-credentials",
    "access-control-allow-headers",
    "access-control-allow-methods",
    "access-control-allow-origin",
    "access-control-expose-headers",
    "access-control-max-age",
    "access-control-request-headers",
    "access-control-request-method",
    "age",
    "allow",
    "alt-svc",
    "authorization",
    "cache-control",
    "cdn-cache-control",
    "cdn-loop",
    "connection",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-length",
    "content-location",
    "content-range",
    "content-security-policy",
    "content-type",
    "cookie",
    "cross-origin-opener-policy",
    "cross-origin-resource-policy",
    "date",
    "depth",
    "destination",
    "dnt",
    "etag",
    "expect",
    "expires",
    "forwarded",
    "host",
    "http2-settings",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "keep-alive",
    "last-modified",
    "link",
    "location",
    "max-forwards",
    "origin",
    "overwrite",
    "permissions-policy",
    "pragma",
    "priority",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "referer",
    "referrer-policy",
    "refresh",
    "retry-after",
    "sec-ch-ua",
    "sec-ch-ua-mobile",
    "sec-ch-ua-platform",
    "sec-fetch-dest",
    "sec-fetch-mode",
    "sec-fetch-site",
    "sec-fetch-user",
    "sec-gpc",
    "sec-websocket-accept",
    "sec-websocket-extensions",
    "sec-websocket-key",
    "sec-websocket-protocol",
    "sec-websocket-version",
    "server",
    "set-cookie",
    "set-cookie2",
    "strict-transport-security",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "upgrade-insecure-requests",
    "user-agent",
    "vary",
    "via",
    "www-authenticate",
    "x-content-type-options",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-frame-options",
    "x-powered-by",
    "x-request-id",
    "x-requested-with",
    "x-xss-protection",
};
static_assert(!texts[names_known - 1].empty(), "the table and the enum have the same length");

constexpr std::uint64_t word_of(std::string_view text, std::size_t at, std::size_t size) {
    std::uint64_t word = 0;
    for (std::size_t i = 0; i < size; ++i) {
        word |= std::uint64_t{static_cast<unsigned char>(text[at + i])} << (8U * i);
    }
    return word;
}

constexpr NameWords words_of(std::string_view text) {
    NameWords words;
    const std::size_t size = text.size();
    words.first = word_of(text, 0, size < 8 ? size : 8);
    words.last = size < 8 ? words.first : word_of(text, size - 8, 8);
    if (size > 16) {
        words.second = word_of(text, 8, 8);
        words.third = word_of(text, size - 16, 8);
    }
    return words;
}

// With a factor under which no two names share a slot, found by the compiler.
constexpr KnownNames make_known_names() {
    KnownNames out;
    for (std::size_t id = 1; id < names_known; ++id) {
        out.entries[id] = {words_of(texts[id]), texts[id].size()};
    }
    for (std::uint64_t factor = 0x9e3779b97f4a7c15U; factor < 0x9e3779b97f4a7c15U + 2'000;
         factor += 2) {
        out.ids = {};
        bool free = true;
        for (std::size_t id = 1; id < names_known && free; ++id) {
            const KnownNames::Entry& entry = out.entries[id];
            auto& slot =
                out.ids[known_name_slot(entry.words.first, entry.words.last, entry.size, factor)];
            free = slot == 0 && entry.size <= known_name_max;
            slot = static_cast<std::uint8_t>(id);
        }
        if (free) {
            out.factor = factor;
            return out;
        }
    }
    return {};
}

} // namespace

constexpr KnownNames known_names = make_known_names();
static_assert(known_names.factor != 0, "no perfect hash, or too long a name");

Name name_id(std::string_view name) {
    if (name.empty()) {
        return Name::other;
    }
    if (name.size() >= name_room) {
        return known_name(name.data(), name.size());
    }
    char room[name_room] = {};
    std::memcpy(room, name.data(), name.size());
    return known_name(room, name.size());
}

std::string_view name_text(Name id) {
    return texts[static_cast<std::size_t>(id)];
}

const Header* Headers::find(std::string_view name) const {
    for (const Header& field : *this) {
        if (same_text(field.name, name)) {
            return &field;
        }
    }
    return nullptr;
}

} // namespace hasp::net
