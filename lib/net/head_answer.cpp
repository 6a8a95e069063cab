#include "chars.h"
#include "head_lines.h"
#include "net/head.h"

#include <cstring>

namespace hasp::net {
namespace {

constexpr std::size_t fixed_size = 13; // "HTTP/1.1 200 "

ParseResult bad_answer(const char* reason) {
    return refuse(502, reason);
}

// RFC 9112 §4: the space behind the status stands even when the phrase is empty.
ParseResult parse_status_line(const char*& at, const char* end, AnswerHead& head,
                              const HeadLimits& limits) {
    const auto left = static_cast<std::size_t>(end - at);
    if (left < fixed_size) {
        return std::memchr(at, '\n', left) == nullptr
                   ? need_more()
                   : bad_answer("the status line is too short, or no HTTP");
    }
    if (std::memcmp(at, "HTTP/1.", 7) != 0 || !is_digit(at[7]) || at[8] != ' ') {
        return bad_answer("the status line does not begin with HTTP/1.1 or HTTP/1.0");
    }
    if (!is_digit(at[9]) || !is_digit(at[10]) || !is_digit(at[11]) || at[12] != ' ') {
        return bad_answer("the status is not three digits between two spaces");
    }
    head.version_minor = at[7] == '0' ? 0 : 1;
    head.status = (at[9] - '0') * 100 + (at[10] - '0') * 10 + (at[11] - '0');
    if (head.status < 100 || head.status > 599) {
        return bad_answer("the status is not in 100 to 599");
    }
    const char* const reason = at + fixed_size;
    const char* const stop = value_end(reason, end);
    if (static_cast<std::size_t>(stop - at) > limits.line_max) {
        return bad_answer("the status line is too long");
    }
    if (stop == end) {
        return need_more();
    }
    if (*stop != '\r') {
        return bad_answer("a control character or a bare LF in the status line");
    }
    if (stop + 1 == end) {
        return need_more();
    }
    if (stop[1] != '\n') {
        return bad_answer("a bare CR in the status line");
    }
    head.reason = {reason, static_cast<std::size_t>(stop - reason)};
    at = stop + 2;
    return {ParseResult::State::done};
}

// As in requests (head_request.cpp); Content-Length and Transfer-Encoding have their own sentences.
constexpr NameSet single_fields_of_answers = {Name::content_range, Name::content_type,
                                              Name::location, Name::sec_websocket_accept};

ParseResult understand_fields(AnswerHead& head, const AnswerTo& to) {
    const FramingFields framing = framing_fields(head.headers, head.version_minor);
    if (framing.fault != nullptr) {
        return bad_answer(framing.fault);
    }
    if (head.headers.any_repeated(single_fields_of_answers)) {
        return bad_answer("a field twice that has one value");
    }
    const auto options = connection_options(head.headers);
    if (!options) {
        return bad_answer("Connection is not a list of tokens");
    }
    head.switched = head.status == 101;
    head.interim = head.status < 200 && !head.switched;
    if (head.switched && (!to.upgrade || !options->upgrade || !head.headers.has(Name::upgrade))) {
        return bad_answer("101 without an upgrade that was asked for");
    }
    if (head.interim && head.version_minor == 0) {
        return bad_answer("a 1xx answer of HTTP/1.0"); // RFC 9110 §15.2
    }
    // RFC 9112 §6.1, RFC 9110 §8.6: these have no body, so a field that announces one is an attempt
    // to slip in another answer. A length of 0 is common and harmless.
    const bool bodiless = head.status < 200 || head.status == 204;
    if (bodiless && (framing.chunked || framing.length != 0)) {
        return bad_answer("a body announced where the status allows none");
    }
    // RFC 9110 §15.3.6; some clients read no body after it, whatever the length says.
    if (head.status == 205 && framing.length != 0 && !to.head) {
        return bad_answer("a 205 answer that announces content");
    }
    head.has_length = framing.has_length && !bodiless;
    head.content_length = framing.length;
    head.keep_alive = !options->close && (head.version_minor != 0 || options->keep_alive);
    if (bodiless || to.head || head.status == 304) {
        head.framing = Framing::none;
    } else if (framing.chunked) {
        head.framing = Framing::chunked;
    } else if (framing.has_length) {
        head.framing = Framing::length;
    } else {
        head.framing = Framing::until_close;
        head.keep_alive = false;
    }
    return {ParseResult::State::done};
}

} // namespace

ParseResult parse_answer_head(std::string_view bytes, AnswerHead& head, const AnswerTo& to,
                              const HeadLimits& limits, std::size_t seen) {
    if (seen != 0 && seen < bytes.size() && bytes.size() < limits.head_max &&
        std::memchr(bytes.data() + seen, '\n', bytes.size() - seen) == nullptr) {
        return need_more();
    }
    if (bytes.empty()) {
        return need_more();
    }
    const char* const begin = bytes.data();
    const char* const end = begin + bytes.size();
    const char* at = begin;
    ParseResult part = parse_status_line(at, end, head, limits);
    if (!part.done()) {
        return part;
    }
    head.headers.clear();
    part = parse_field_lines(at, begin, end, head.headers, limits);
    if (part.bad()) {
        return bad_answer(part.reason);
    }
    if (part.done()) {
        part = understand_fields(head, to);
    }
    part.consumed = part.done() ? static_cast<std::size_t>(at - begin) : 0;
    return part;
}

} // namespace hasp::net
