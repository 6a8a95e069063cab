#include "head_lines.h"

#include "chars.h"
#include "known_names.h"
#include "net/fields.h"

#include <algorithm>
#include <limits>

namespace hasp::net {
namespace {

const char* why_not_a_name(char c, bool first) {
    switch (c) {
    case ' ':
    case '\t':
        return first ? "a line begins with white space (obs-fold)"
                     : "white space between a field's name and its colon";
    case ':':
        return "a field without a name";
    case '\n':
        return "a bare LF, or a field line without a colon";
    case '\r':
        return "a field line without a colon";
    default:
        return "a character that a field's name cannot have";
    }
}

// 1*DIGIT and nothing else (RFC 9110 §8.6). 2^63 and above count as overflow.
std::optional<std::uint64_t> content_length(std::string_view text) {
    if (text.empty() || text.size() > 19) {
        return std::nullopt;
    }
    std::uint64_t value = 0;
    for (const char c : text) {
        if (!is_digit(c)) {
            return std::nullopt;
        }
        value = value * 10 + static_cast<std::uint64_t>(c - '0');
    }
    if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
        return std::nullopt;
    }
    return value;
}

// RFC 9112 §6.1: chunked last and once. hasp decodes no other coding between hops.
void transfer_encoding(const Header& field, FramingFields& out) {
    if (same_text(field.value, "chunked")) {
        out.chunked = true;
        return;
    }
    out.fault = "a Transfer-Encoding that does not end with chunked, once";
    const std::size_t comma = field.value.rfind(',');
    if (comma == std::string_view::npos) {
        return;
    }
    std::string_view last = field.value.substr(comma + 1);
    while (!last.empty() && (last.front() == ' ' || last.front() == '\t')) {
        last.remove_prefix(1);
    }
    if (!same_text(last, "chunked")) {
        return;
    }
    ListItems before(field.value.substr(0, comma));
    bool codings = false;
    while (const auto item = before.next()) {
        if (same_text(item->substr(0, item->find_first_of("; \t")), "chunked") ||
            !has_class(item->front(), char_token)) {
            return;
        }
        codings = true;
    }
    if (codings) {
        out.status = 501;
        out.fault = "a transfer coding other than chunked";
    }
}

// Within the loop over a head's lines, where it is most of the work.
[[gnu::always_inline]] inline ParseResult field_line(const char*& at, const char* end,
                                                     std::size_t line_max, std::string_view& name,
                                                     std::string_view& value) {
    const char* const start = at;
    const char* p = at;
    p = name_end(p, end);
    if (static_cast<std::size_t>(p - start) > line_max) {
        return refuse(431, "a field line is too long");
    }
    if (p == end) {
        return need_more();
    }
    if (*p != ':' || p == start) {
        return refuse(400, why_not_a_name(*p, p == start));
    }
    name = {start, static_cast<std::size_t>(p - start)};
    ++p;
    while (p != end && (*p == ' ' || *p == '\t')) {
        ++p;
    }
    const char* const value_start = p;
    p = value_end(p, end);
    if (static_cast<std::size_t>(p - start) > line_max) {
        return refuse(431, "a field line is too long");
    }
    if (p == end) {
        return need_more();
    }
    if (*p != '\r') {
        return refuse(400, *p == '\n' ? "a line ends with a bare LF"
                                      : "a control character in a field's value");
    }
    if (p + 1 == end) {
        return need_more();
    }
    if (p[1] != '\n') {
        return refuse(400, "a bare CR");
    }
    const char* value_stop = p;
    while (value_stop != value_start && (value_stop[-1] == ' ' || value_stop[-1] == '\t')) {
        --value_stop;
    }
    value = {value_start, static_cast<std::size_t>(value_stop - value_start)};
    at = p + 2;
    return {ParseResult::State::done};
}

// Room behind a line's start: the name of a line that is taken here has its colon within the first
// 32 bytes, and nobody reads beyond the end.
constexpr std::size_t plain_room = 48;

// Takes the lines at `at` that are as nearly everybody writes them, "Name: value" and CRLF. Leaves
// any other where it is, whatever there is to be said of it, for field_line().
[[gnu::always_inline]] inline const char* plain_lines(const char* at, const char* begin,
                                                      const char* end, Headers& headers,
                                                      const HeadLimits& limits,
                                                      std::size_t headers_max) {
    if (static_cast<std::size_t>(end - begin) < plain_room) {
        return at;
    }
    const char* const last_start =
        begin + std::min(static_cast<std::size_t>(end - begin) - plain_room, limits.head_max);
    const char* const last_stop = end - 2;
    // Beyond ' ' in a value: no white space, and no end of it either.
    const auto shows = [](char c) { return static_cast<unsigned char>(c) > ' '; };
    while (at <= last_start && headers.size() < headers_max) {
        const std::size_t size = colon_within_32(at);
        if (size - 1 >= 31 || at[size + 1] != ' ') {
            break;
        }
        const Name id = known_name(at, size);
        if (id == Name::other && name_end(at, end) != at + size) {
            break;
        }
        const char* const value = at + size + 2;
        const char* const stop = value_end(value, end);
        if (stop > last_stop || !is_crlf(stop) || !shows(value[0]) || !shows(stop[-1]) ||
            static_cast<std::size_t>(stop - at) > limits.line_max) {
            break;
        }
        headers.add({at, size}, {value, static_cast<std::size_t>(stop - value)}, id, true);
        at = stop + 2;
    }
    return at;
}

} // namespace

ParseResult parse_field_line(const char*& at, const char* end, std::size_t line_max,
                             std::string_view& name, std::string_view& value) {
    return field_line(at, end, line_max, name, value);
}

ParseResult parse_field_lines(const char*& at, const char* begin, const char* end, Headers& headers,
                              const HeadLimits& limits) {
    const std::size_t headers_max =
        limits.headers_max < Headers::capacity ? limits.headers_max : Headers::capacity;
    for (;;) {
        at = plain_lines(at, begin, end, headers, limits, headers_max);
        if (static_cast<std::size_t>(at - begin) > limits.head_max) {
            return refuse(431, "the head is too long");
        }
        if (at == end) {
            break;
        }
        if (*at == '\r') {
            if (at + 1 == end) {
                break;
            }
            if (at[1] != '\n') {
                return refuse(400, "a bare CR");
            }
            at += 2;
            if (static_cast<std::size_t>(at - begin) > limits.head_max) {
                return refuse(431, "the head is too long");
            }
            return {ParseResult::State::done};
        }
        std::string_view name;
        std::string_view value;
        const ParseResult line = field_line(at, end, limits.line_max, name, value);
        if (line.bad()) {
            return line;
        }
        if (!line.done()) {
            break;
        }
        if (headers.size() >= headers_max || !headers.add(name, value, name_id(name))) {
            return refuse(431, "too many fields");
        }
    }
    if (static_cast<std::size_t>(end - begin) >= limits.head_max) {
        return refuse(431, "the head is too long");
    }
    return need_more();
}

std::optional<ConnectionOptions> connection_options(const Headers& headers) {
    ConnectionOptions options;
    for (const Header* field = headers.find(Name::connection); field != nullptr;
         field = headers.next(*field)) {
        ListItems items(field->value);
        while (const auto item = items.next()) {
            if (same_text(*item, "close")) {
                options.close = true;
            } else if (same_text(*item, "keep-alive")) {
                options.keep_alive = true;
            } else if (same_text(*item, "upgrade")) {
                options.upgrade = true;
            } else if (!is_token(*item)) {
                return std::nullopt;
            }
        }
    }
    return options;
}

FramingFields framing_fields(const Headers& headers, std::uint8_t version_minor) {
    FramingFields out;
    const Header* length = headers.find(Name::content_length);
    const Header* encoding = headers.find(Name::transfer_encoding);
    if (length != nullptr) {
        if (encoding != nullptr) {
            out.fault = "both Content-Length and Transfer-Encoding";
        } else if (length->next_same != 0) {
            out.fault = "several Content-Length fields";
        } else if (const auto value = content_length(length->value)) {
            out.has_length = true;
            out.length = *value;
        } else {
            out.fault = "Content-Length is not a number that fits";
        }
    } else if (encoding != nullptr) {
        if (version_minor == 0) {
            out.fault = "Transfer-Encoding in an HTTP/1.0 message";
        } else if (encoding->next_same != 0) {
            out.fault = "several Transfer-Encoding fields";
        } else {
            transfer_encoding(*encoding, out);
        }
    }
    return out;
}

} // namespace hasp::net
