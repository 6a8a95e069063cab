// What heads of requests and of answers share: field lines, Connection, framing fields.
#pragma once

#include "net/head.h"

#include <cstdint>
#include <optional>

namespace hasp::net {

inline ParseResult need_more() {
    return {ParseResult::State::need_more};
}
inline ParseResult refuse(int status, const char* reason) {
    return {ParseResult::State::bad, status, 0, reason};
}

// Field lines up to and with the empty line (RFC 9112 §5). `at` stands behind the start line; done:
// `at` stands behind the empty line. Statuses are those of a request.
ParseResult parse_field_lines(const char*& at, const char* begin, const char* end, Headers& headers,
                              const HeadLimits& limits);

// One field line at `at`, which is not the empty line. done: `at` is behind its CRLF.
ParseResult parse_field_line(const char*& at, const char* end, std::size_t line_max,
                             std::string_view& name, std::string_view& value);

struct ConnectionOptions {
    bool close = false;
    bool keep_alive = false;
    bool upgrade = false;
};
// nullopt: not a list of tokens (RFC 9110 §7.6.1).
std::optional<ConnectionOptions> connection_options(const Headers& headers);

// The fields that say where the body ends (RFC 9112 §6): refused unless there is exactly one
// meaning.
struct FramingFields {
    const char* fault = nullptr;
    int status = 400;
    bool chunked = false;
    bool has_length = false;
    std::uint64_t length = 0;
};
FramingFields framing_fields(const Headers& headers, std::uint8_t version_minor);

} // namespace hasp::net
