// Private: what stands under the MAC of a direct pass, ticket or cookie.
//
//   offset 0  1   kind: 'p', 't' or 'c'; the MAC covers it, so none passes for another
//          1  8   end, microseconds, big-endian
//          9  16  random, names the text
//          25     fields, each a length of two bytes, big-endian, and so many bytes; to the end
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hasp::signon {

inline constexpr std::size_t direct_id_bytes = 16;

struct DirectText {
    char kind = 0;
    std::int64_t until_us = 0;
    std::string id; // direct_id_bytes
    std::vector<std::string> fields;
};

// Precondition: each field is shorter than 64 KiB.
std::string format_direct(const DirectText& text);
// Nothing: cut off, too long, of more than 8 fields, or with a negative end.
std::optional<DirectText> parse_direct(std::string_view bytes);

} // namespace hasp::signon
