// Private: rules for texts that people type, and the hashes that the stores use.
#pragma once

#include <string>
#include <string_view>

namespace hasp::signon {

// Well-formed UTF-8 (RFC 3629: no overlong forms, no surrogates) without control characters (C0,
// DEL, C1).
bool printable_utf8(std::string_view text);

// Empty, or SOMETHING@SOMETHING of printable characters without spaces, at most email_bytes_max.
bool plausible_email(std::string_view text);

// 32 hex digits in lower case.
bool valid_sid(std::string_view text);

// 32 bytes.
std::string sha256(std::string_view bytes);
std::string hmac_sha256(std::string_view key, std::string_view bytes);

} // namespace hasp::signon
