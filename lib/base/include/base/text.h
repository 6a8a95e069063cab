// Small text tools: hex, base64url, percent encoding, splitting, numbers. All pure; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hasp {

std::string to_hex(std::string_view bytes);
std::optional<std::string> from_hex(std::string_view text);
// Exactly this many digits, as to_hex() writes them.
bool is_lower_hex(std::string_view text, std::size_t digits);

// RFC 4648 §5, without padding. Decoding refuses padding, other alphabets and non-canonical tails.
std::string to_base64url(std::string_view bytes);
std::optional<std::string> from_base64url(std::string_view text);
// RFC 4648 §4, with padding (basic authentication).
std::optional<std::string> from_base64(std::string_view text);
std::string to_base64(std::string_view bytes);

// RFC 3986 §2.1: everything but unreserved characters.
std::string percent_encode(std::string_view text);
// nullopt on a truncated or non-hex escape. With plus_is_space it decodes forms
// (application/x-www-form-urlencoded).
std::optional<std::string> percent_decode(std::string_view text, bool plus_is_space = false);

// Value of `name` in an application/x-www-form-urlencoded text, first occurrence; nullopt when
// absent or malformed.
std::optional<std::string> form_value(std::string_view form, std::string_view name);

// For text and attribute values in HTML.
std::string html_escape(std::string_view text);

std::vector<std::string_view> split(std::string_view text, char separator);
std::string_view trim(std::string_view text);
std::string to_lower(std::string_view text);
bool iequals(std::string_view a, std::string_view b);

// Decimal digits only, no sign, no space, no overflow.
std::optional<std::uint64_t> parse_u64(std::string_view text);

// Same length and bytes, in time that depends on the length alone.
bool equal_constant_time(std::string_view a, std::string_view b);

// Names of tiers, apps, accounts and groups: 1-40 characters of a-z, 0-9 and '-', starting with a
// letter, not ending in '-'.
bool valid_name(std::string_view name);
inline constexpr std::size_t name_length_max = 40;

// "did you mean": the candidate nearest to `word` by edit distance, empty when none is near.
std::string nearest(std::string_view word, const std::vector<std::string>& candidates);

// RFC 3339 in UTC with milliseconds: 2026-11-23T16:02:16.000Z.
std::string rfc3339(std::int64_t wall_us);
// What such a text begins with, to the second; what follows counts for nothing. 0: it is no time.
std::int64_t us_of_rfc3339(std::string_view text);

} // namespace hasp
