// Grammars of single header fields. Pure; views point into the value.
#pragma once

#include "net/header.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace hasp::net {

// Elements of a comma-separated list (RFC 9110 §5.6.1), trimmed; empty ones are skipped, quoted
// strings are kept whole.
class ListItems {
  public:
    explicit ListItems(std::string_view value) : rest_(value) {}
    std::optional<std::string_view> next();

  private:
    std::string_view rest_;
};

// A token is in the list of any field of that name, without case ("Connection: close").
bool list_has(const Headers& headers, Name id, std::string_view token);
bool list_has(std::string_view value, std::string_view token);

struct Cookie {
    std::string_view name;
    std::string_view value; // with its quotes, as sent
};
// Pairs of one Cookie field (RFC 6265 §4.2.1): token "=" value, separated by "; " (a bare ";"
// passes too). Values may hold what browsers really send, but no control character, ";" or NUL. A
// pair that is not one is skipped and malformed() set.
class Cookies {
  public:
    explicit Cookies(std::string_view value);
    std::optional<Cookie> next();
    bool malformed() const { return malformed_; }

  private:
    std::string_view rest_;
    bool clean_; // no pair holds a character that none may
    bool malformed_ = false;
};

// Ranges of bytes (RFC 9110 §14). Half-open against `size`.
struct ByteRange {
    std::uint64_t first;
    std::uint64_t last; // inclusive
    std::uint64_t size() const { return last - first + 1; }
};
struct Ranges {
    static constexpr std::size_t ranges_max = 8;
    enum class Kind : std::uint8_t {
        ignore,        // not bytes, malformed, too many or overlapping: answer with the whole (200)
        satisfiable,   // 206 with the first `count`
        unsatisfiable, // 416
    };
    Kind kind = Kind::ignore;
    std::size_t count = 0;
    std::array<ByteRange, ranges_max> ranges{};
};
Ranges parse_range(std::string_view value, std::uint64_t size);

// RFC 9110 §5.6.7. Formats IMF-fixdate; reads all three forms. nullopt for anything else, also for
// dates that do not exist. `now_s` settles the two-digit years of RFC 850.
std::array<char, 29> format_http_date(std::int64_t unix_s);
std::optional<std::int64_t> parse_http_date(std::string_view text, std::int64_t now_s);
// As a cache reads what an app says of freshness (RFC 9111 §4.2): names in any case, and whatever
// weekday stands there.
std::optional<std::int64_t> parse_loose_http_date(std::string_view text, std::int64_t now_s);

// The media type ("text/html") or coding ("gzip") is acceptable: named or covered by a wildcard,
// and not with q=0. An empty value accepts everything. Preferences among several are not weighed.
bool accepts_type(std::string_view accept, std::string_view type);
bool accepts_coding(std::string_view accept_encoding, std::string_view coding);

// An entity tag is in an If-None-Match or If-Match list (or the list is "*"); weak comparison
// unless `strong`. `etag` with quotes.
bool etag_listed(std::string_view list, std::string_view etag, bool strong);

} // namespace hasp::net
