#include "net/body.h"

#include "chars.h"
#include "head_lines.h"

#include <algorithm>
#include <cassert>
#include <charconv>
#include <cstring>

namespace hasp::net {
namespace {

constexpr std::uint8_t size_digits_max = 15; // 2^60: no overflow is possible
constexpr std::size_t trailer_line_max = 4'096;

// RFC 9110 §6.5.1: what frames, routes, identifies, or says how to take the answer means nothing
// behind the body. Of the names that are known, that is all but these.
bool trailer_allowed(Name id) {
    return id == Name::other || id == Name::etag;
}

} // namespace

void BodyDecoder::start(Framing framing, std::uint64_t length) {
    *this = BodyDecoder{};
    framing_ = framing;
    left_ = framing == Framing::length ? length : 0;
    const bool nothing = framing == Framing::none || (framing == Framing::length && length == 0);
    state_ = nothing ? State::done : State::more;
}

BodyDecoder::State BodyDecoder::fail(const char* reason) {
    reason_ = reason;
    state_ = State::bad;
    return state_;
}

// RFC 9112 §7.1.1: *( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] ). Dropped, but
// only after it is known to be one: junk behind the size has been used to smuggle requests.
bool BodyDecoder::frame_extension(unsigned char byte) {
    const char c = static_cast<char>(byte);
    if (++extension_bytes_ > extension_bytes_max) {
        fail("chunk extensions are too long");
        return false;
    }
    const bool space = c == ' ' || c == '\t';
    const bool token = has_class(c, char_token);
    switch (at_) {
    case At::extension: // white space, which only a ";" may follow
        if (c == ';') {
            at_ = At::extension_name;
        }
        return space || c == ';';
    case At::extension_name: // behind ";", before the name
        if (token) {
            at_ = At::extension_equals;
        }
        return space || token;
    case At::extension_equals: // inside the name
        if (token) {
            return true;
        }
        at_ = c == '=' ? At::extension_value : c == ';' ? At::extension_name : At::extension_end;
        return space || c == '=' || c == ';' || c == '\r';
    case At::extension_value: // behind "=": white space, then a value
        if (c == '"') {
            at_ = At::extension_quoted;
        } else if (token) {
            at_ = At::extension_token;
        }
        return space || token || c == '"';
    case At::extension_token: // inside a value
        if (token) {
            return true;
        }
        at_ = c == ';' ? At::extension_name : At::extension;
        return space || c == ';';
    case At::extension_quoted:
        at_ = c == '"' ? At::extension_after : c == '\\' ? At::extension_escape : at_;
        return has_class(c, char_value);
    case At::extension_escape:
        at_ = At::extension_quoted;
        return has_class(c, char_value);
    case At::extension_end: // white space behind a name
        at_ = c == '=' ? At::extension_value : c == ';' ? At::extension_name : at_;
        return space || c == '=' || c == ';';
    default: // extension_after: behind a quoted value
        at_ = c == ';' ? At::extension_name : At::extension;
        return space || c == ';';
    }
}

bool BodyDecoder::frame(unsigned char byte) {
    const char c = static_cast<char>(byte);
    switch (at_) {
    case At::size_first:
    case At::size:
        if (const int digit = hex_digit(c); digit >= 0) {
            if (++digits_ > size_digits_max) {
                fail("a chunk size that is too long");
                return false;
            }
            left_ = left_ * 16 + static_cast<std::uint64_t>(digit);
            at_ = At::size;
            return true;
        }
        if (at_ == At::size_first) {
            break;
        }
        if (c == '\r') {
            at_ = At::size_lf;
            return true;
        }
        at_ = At::extension;
        if (frame_extension(byte)) {
            return true;
        }
        break;
    case At::size_lf:
        if (c != '\n') {
            break;
        }
        at_ = left_ == 0 ? At::trailer : At::data;
        return true;
    case At::data_cr:
        at_ = At::data_lf;
        if (c == '\r') {
            return true;
        }
        break;
    case At::data_lf:
        at_ = At::size_first;
        digits_ = 0;
        if (c == '\n') {
            return true;
        }
        break;
    default: {
        const bool may_end =
            at_ == At::extension_equals || at_ == At::extension_token || at_ == At::extension_after;
        if (c == '\r' && may_end) {
            at_ = At::size_lf;
            return true;
        }
        if (frame_extension(byte)) {
            return true;
        }
        break;
    }
    }
    if (state_ != State::bad) {
        fail(at_ == At::data_lf || at_ == At::size_first
                 ? "no CRLF behind a chunk, or no chunk size"
                 : "a malformed chunk size line");
    }
    return false;
}

// Lines are taken whole: one that is not complete stays in the input.
BodyDecoder::Step BodyDecoder::trailer(std::string_view in, std::size_t consumed) {
    const char* const end = in.data() + in.size();
    for (;;) {
        const char* at = in.data() + consumed;
        if (at == end) {
            break;
        }
        if (*at == '\r') {
            if (at + 1 == end) {
                break;
            }
            if (at[1] != '\n') {
                return {consumed, {}, fail("a bare CR among the trailers")};
            }
            state_ = State::done;
            return {consumed + 2, {}, state_};
        }
        std::string_view name;
        std::string_view value;
        const char* const line = at;
        const ParseResult result = parse_field_line(at, end, trailer_line_max, name, value);
        if (result.bad()) {
            return {consumed, {}, fail(result.reason)};
        }
        if (!result.done()) {
            break;
        }
        consumed += static_cast<std::size_t>(at - line);
        // As it is written anew: what passes here must pass the next reader's limits too.
        const std::size_t size =
            std::max(static_cast<std::size_t>(at - line), name.size() + value.size() + 4);
        trailer_bytes_ += size;
        if (++trailer_count_ > trailers_max || trailer_bytes_ > trailer_bytes_max ||
            size > trailer_line_max) {
            return {consumed, {}, fail("too many trailers")};
        }
        if (trailers_ != nullptr && trailer_allowed(name_id(name))) {
            std::transform(name.begin(), name.end(), std::back_inserter(*trailers_), lower);
            trailers_->append(": ").append(value).append("\r\n");
        }
    }
    return {consumed, {}, state_};
}

BodyDecoder::Step BodyDecoder::step(std::string_view in) {
    if (state_ != State::more) {
        return {0, {}, state_};
    }
    if (framing_ == Framing::until_close) {
        payload_bytes_ += in.size();
        return {in.size(), in, state_};
    }
    std::size_t consumed = 0;
    if (framing_ == Framing::chunked) {
        while (at_ != At::data && at_ != At::trailer) {
            if (consumed == in.size()) {
                return {consumed, {}, state_};
            }
            if (!frame(static_cast<unsigned char>(in[consumed]))) {
                return {consumed, {}, state_};
            }
            ++consumed;
        }
        if (at_ == At::trailer) {
            return trailer(in, consumed);
        }
    }
    const std::string_view payload = in.substr(
        consumed, static_cast<std::size_t>(std::min<std::uint64_t>(left_, in.size() - consumed)));
    left_ -= payload.size();
    payload_bytes_ += payload.size();
    consumed += payload.size();
    if (left_ == 0) {
        if (framing_ == Framing::length) {
            state_ = State::done;
        } else {
            at_ = At::data_cr;
        }
    }
    return {consumed, payload, state_};
}

BodyDecoder::Compacted BodyDecoder::compact(std::span<char> bytes) {
    const std::string_view in{bytes.data(), bytes.size()};
    Compacted out{0, 0, state_};
    for (;;) {
        const Step one = step(in.substr(out.consumed));
        if (!one.payload.empty() && one.payload.data() != bytes.data() + out.payload) {
            std::memmove(bytes.data() + out.payload, one.payload.data(), one.payload.size());
        }
        out.payload += one.payload.size();
        out.consumed += one.consumed;
        out.state = one.state;
        if (one.consumed == 0 || one.state != State::more) {
            return out;
        }
    }
}

void BodyDecoder::skip(std::uint64_t bytes) {
    left_ -= bytes;
    payload_bytes_ += bytes;
    if (left_ == 0) {
        state_ = State::done;
    }
}

BodyDecoder::State BodyDecoder::end() {
    if (state_ == State::more) {
        if (framing_ == Framing::until_close) {
            state_ = State::done;
        } else {
            return fail("the body was cut short");
        }
    }
    return state_;
}

void BodyEncoder::start(Framing framing, std::uint64_t length) {
    *this = BodyEncoder{};
    framing_ = framing;
    left_ = framing == Framing::length ? length : 0;
}

std::size_t BodyEncoder::frame(std::span<const iovec> payload, std::span<iovec> out) {
    assert(out.size() >= payload.size() + extra_pieces);
    std::uint64_t total = 0;
    for (const iovec& piece : payload) {
        total += piece.iov_len;
    }
    if (total == 0) {
        return 0;
    }
    const bool counted = framing_ == Framing::none || framing_ == Framing::length;
    if (failed_ || (counted && total > left_)) {
        failed_ = true;
        return 0;
    }
    std::size_t used = 0;
    if (counted) {
        left_ -= total;
    } else if (framing_ == Framing::chunked) {
        char* p = std::to_chars(prefix_.data(), prefix_.data() + size_room, total, 16).ptr;
        *p++ = '\r';
        *p++ = '\n';
        out[used++] = {prefix_.data(), static_cast<std::size_t>(p - prefix_.data())};
    }
    for (const iovec& piece : payload) {
        if (piece.iov_len != 0) {
            out[used++] = piece;
        }
    }
    if (framing_ == Framing::chunked) {
        char* const crlf = prefix_.data() + size_room + 2;
        crlf[0] = '\r';
        crlf[1] = '\n';
        out[used++] = {crlf, 2};
    }
    return used;
}

std::string_view BodyEncoder::finish() {
    if (framing_ == Framing::chunked) {
        return "0\r\n\r\n";
    }
    failed_ = failed_ || left_ != 0;
    return {};
}

std::string_view BodyEncoder::finish_with_trailers(std::string_view trailers,
                                                   std::string& storage) {
    if (framing_ != Framing::chunked || trailers.empty()) {
        return finish();
    }
    storage.assign("0\r\n").append(trailers).append("\r\n");
    return storage;
}

} // namespace hasp::net
