// Paths of request targets: safe or refused, decoded lazily.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace hasp::net {

// Null when the path (beginning with "/") is safe for every reader behind us; else why not, a
// static sentence for a 400. Refused: malformed escapes, and segments that decode to "." or ".."
// (also before a ";") or to nothing but "/", or that contain "\", NUL or UTF-8 in a longer form
// than it has (RFC 3629 §3) after decoding. An encoded
// "/" inside a name is allowed, since programs name things by it, and is a slash for these rules:
// what is between two of them may not be "." or "..". Empty segments are allowed. Pure.
const char* check_path(std::string_view path);

// Segments of a path that check_path() allows, decoded one at a time: for those who map paths to
// files.
// "/a/b%20c/" gives "a", "b c" and ""; "/a%2Fb" gives "a/b", which is no file's name.
class PathSegments {
  public:
    static constexpr std::size_t segment_max = 255; // NAME_MAX: no file has a longer name

    explicit PathSegments(std::string_view path) : rest_(path) {}
    // nullopt at the end, or when a segment is longer than segment_max: too_long() tells. The view
    // is valid until the next call.
    std::optional<std::string_view> next();
    // What next() has not taken, still encoded, "/" in front; empty at the end.
    std::string_view rest() const { return rest_; }
    bool too_long() const { return too_long_; }

  private:
    std::string_view rest_;
    char decoded_[segment_max];
    bool too_long_ = false;
};

// Host of an authority: RFC 3986 §3.2.2 without user information and without percent-encoding.
struct Authority {
    std::string_view host;
    unsigned port = 0; // 0: none
    bool ip = false;
};
std::optional<Authority> parse_authority(std::string_view text);

// Value of a query parameter, decoded; first occurrence. nullopt when absent or malformed.
std::optional<std::string> query_value(std::string_view query, std::string_view name);

} // namespace hasp::net
