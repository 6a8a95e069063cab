#include "net/header.h"

#include "chars.h"

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

constexpr std::size_t slots = 2'048;

// Bit 0x20 makes letters lower case and maps no other token character onto a letter's code that
// would matter: a match is compared in full.
constexpr std::size_t slot_of(std::string_view name, unsigned factor) {
    const char* const bytes = name.data();
    const auto at = [bytes](std::size_t i) {
        return static_cast<unsigned>(static_cast<unsigned char>(bytes[i])) | 0x20U;
    };
    const auto size = static_cast<unsigned>(name.size());
    unsigned h = at(0) * factor;
    h = (h + at(size / 2) + 256 * at(size * 3 / 4)) * factor;
    h = (h + at(size - 1)) * factor;
    h = (h + size) * factor;
    return (h >> 16U) % slots;
}

struct Table {
    unsigned factor = 0; // 0: none was found
    std::array<std::uint8_t, slots> ids{};
};

// A factor under which no two names share a slot, found by the compiler.
constexpr Table make_table() {
    for (unsigned factor = 2654435769U; factor < 2654435769U + 4000; factor += 2) {
        Table table;
        bool free = true;
        for (std::size_t id = 1; id < names_known && free; ++id) {
            auto& entry = table.ids[slot_of(texts[id], factor)];
            free = entry == 0;
            entry = static_cast<std::uint8_t>(id);
        }
        if (free) {
            table.factor = factor;
            return table;
        }
    }
    return {};
}
constexpr Table table = make_table();
static_assert(table.factor != 0, "no perfect hash: change slot_of");

template <typename Word>
Word load(const char* at) {
    Word word{};
    std::memcpy(&word, at, sizeof word);
    return word;
}

// Are `size` bytes at `name` those of `text`, which is in lower case? Words at a time, the last one
// overlapping. Bit 0x20 may be set in a token without making another token into a known name.
template <typename Word>
bool same_words(const char* name, const char* text, std::size_t size) {
    constexpr Word lower_bits = static_cast<Word>(0x2020202020202020U);
    for (std::size_t i = 0; i + sizeof(Word) < size; i += sizeof(Word)) {
        if ((load<Word>(name + i) | lower_bits) != load<Word>(text + i)) {
            return false;
        }
    }
    const std::size_t last = size - sizeof(Word);
    return (load<Word>(name + last) | lower_bits) == load<Word>(text + last);
}

bool same_name(std::string_view name, std::string_view text) {
    if (name.size() != text.size()) {
        return false;
    }
    if (name.size() >= 8) {
        return same_words<std::uint64_t>(name.data(), text.data(), name.size());
    }
    return name.size() >= 4 ? same_words<std::uint32_t>(name.data(), text.data(), name.size())
                            : same_text(name, text);
}

} // namespace

Name name_id(std::string_view name) {
    if (name.empty()) {
        return Name::other;
    }
    const std::uint8_t id = table.ids.data()[slot_of(name, table.factor)];
    return id != 0 && same_name(name, texts.data()[id]) ? static_cast<Name>(id) : Name::other;
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
