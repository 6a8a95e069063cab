// Heads of HTTP/1 messages: strict, in place, no allocation, apart from I/O (RFC 9110, RFC 9112).
// The model is version-neutral, so that another codec (HTTP/2) can fill it too.
#pragma once

#include "net/header.h"

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace hasp::net {

enum class Method : std::uint8_t { other, get, head, post, put, delete_, options, patch, trace };
// RFC 9110 §9.2: what may be done without being asked for, and what may be sent twice.
bool is_safe(Method method);
bool is_idempotent(Method method);

// How a body's end is known (RFC 9112 §6.3). An announced length of 0 is `length`, so that it is
// announced again; `none` in an answer means that its status or HEAD allows no body.
enum class Framing : std::uint8_t { none, length, chunked, until_close };

enum class TargetForm : std::uint8_t { origin, absolute, asterisk };

struct HeadLimits {
    std::size_t target_max = 8'192;              // 414
    std::size_t line_max = 16'384;               // one header line: 431
    std::size_t head_max = 32'768;               // everything up to the empty line: 431
    std::size_t headers_max = Headers::capacity; // 431; not above Headers::capacity
};

struct ParseResult {
    enum class State : std::uint8_t { done, need_more, bad };
    State state;
    int status = 0; // bad: what to answer with (400, 414, 417, 431, 501, 505; answers: 502)
    std::size_t consumed = 0; // done: bytes of the head; the body begins there
    const char* reason = "";  // bad: a static sentence for the log
    bool done() const { return state == State::done; }
    bool bad() const { return state == State::bad; }
};

struct RequestHead {
    Method method;
    TargetForm form;
    Framing framing;            // none, length or chunked
    std::uint8_t version_minor; // 0 or 1 (HTTP/1.2 and later count as 1.1)
    bool keep_alive;            // the peer wants and the message allows another request
    bool expect_continue;       // 1.1, "Expect: 100-continue" and a body that is not empty
    bool upgrade;       // 1.1, "Connection: upgrade" and an Upgrade field: see Name::upgrade
    bool has_query;     // "?" was there, maybe with nothing behind it
    bool target_clean;  // path and query are as RFC 3986 has them and can go out as they are
    bool host_is_ip;    // host is an IPv4 or bracketed IPv6 address
    std::uint16_t port; // of the authority; 0: none was given
    std::uint64_t content_length; // framing length
    std::string_view method_text;
    std::string_view target; // as sent
    std::string_view
        path; // begins with "/", percent-encoded, safe by check_path(); "*" for asterisk
    std::string_view query; // without "?"
    // Of the target when it is absolute (the Host field is then ignored, RFC 9112 §3.2.2), else of
    // the Host field. Host without port, as sent (compare without case). Empty only in HTTP/1.0.
    std::string_view host;
    std::string_view authority; // host with port, as sent
    // "http" or "https" in any case, of an absolute target; empty otherwise. Whether the connection
    // is one of that scheme the parser cannot know (RFC 9110 §7.4).
    std::string_view scheme;
    Headers headers;
};

// Parses the head at the front of `bytes`. Call again with more bytes after need_more; `seen` is
// the size of `bytes` at the last need_more (0 at first), so that a head that drips in is not
// parsed for every byte. On done all views point into `bytes`. One empty line before the request
// line is skipped (RFC 9112 §2.2). CONNECT is answered with 501. Pure.
ParseResult parse_request_head(std::string_view bytes, RequestHead& head, const HeadLimits& limits,
                               std::size_t seen = 0);

struct AnswerHead {
    int status;      // 100-599
    Framing framing; // what follows on the wire
    std::uint8_t version_minor;
    bool interim;                 // 1xx but 101: another head follows
    bool switched;                // 101: after the head the connection is a tunnel
    bool keep_alive;              // the connection may be used again after the body
    std::uint64_t content_length; // framing length; also what HEAD and 304 announce, see has_length
    bool has_length;
    std::string_view reason; // as sent
    Headers headers;
};

// What the answer is to: it decides about the body and about 101.
struct AnswerTo {
    bool head = false;    // HEAD: no body whatever the head says
    bool upgrade = false; // an upgrade was asked for; otherwise 101 is bad
};

// As parse_request_head; every fault has status 502.
ParseResult parse_answer_head(std::string_view bytes, AnswerHead& head, const AnswerTo& to,
                              const HeadLimits& limits, std::size_t seen = 0);

// "OK" for 200; empty for a status without a registered phrase.
std::string_view reason_phrase(int status);

// tchar and field-value grammar, for names and values that do not come from a parser (RFC 9110 §5).
bool is_token(std::string_view text);
bool is_field_value(std::string_view text);

} // namespace hasp::net
