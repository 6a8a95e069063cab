#include "http2_stream.h"

#include "base/text.h"
#include "chars.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <utility>

namespace hasp::net {
namespace {

// Not to be said in HTTP/2 (RFC 9113 §8.2.2), or about the connection that the text never travels
// on.
bool is_of_http1(Name id) {
    switch (id) {
    case Name::connection:
    case Name::keep_alive:
    case Name::proxy_connection:
    case Name::transfer_encoding:
    case Name::upgrade:
        return true;
    default:
        return false;
    }
}

// How much of what was read already is kept in front of what was not.
constexpr std::size_t read_kept_max = 64 * 1024;

// A part of a request line: anything that could end it, or divide it, makes another request.
bool is_one_word(std::string_view text) {
    return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
        const auto byte = static_cast<unsigned char>(c);
        return byte > 0x20 && byte != 0x7f;
    });
}

} // namespace

void Http2Request::field(std::string_view name, std::string_view value) {
    const auto keep = [this](std::string& into, std::string_view text) {
        into.assign(text.substr(0, head_max_ + 1));
    };
    if (!name.empty() && name.front() == ':') {
        if (name == ":method") {
            keep(method_, value);
            is_head_ = method_ == "HEAD";
        } else if (name == ":path") {
            keep(path_, value);
        } else if (name == ":scheme") {
            keep(scheme_, value);
        } else if (name == ":authority") {
            keep(authority_, value);
        } else if (name == ":protocol") {
            keep(protocol_, value);
        }
        is_websocket_ = method_ == "CONNECT" && protocol_ == "websocket";
        return;
    }
    // One that is too long anyway need not be kept whole.
    if (fields_.size() + cookie_.size() > head_max_) {
        return;
    }
    if (name == "cookie") { // RFC 9113 §8.2.3: crumbs of one field
        cookie_.append(cookie_.empty() ? "" : "; ").append(value);
        return;
    }
    if (name == "host") {
        has_host_ = true;
        keep(host_, value);
        return;
    }
    const Name id = is_token(name) ? name_id(name) : Name::other;
    if (is_of_http1(id)) {
        return; // nghttp2 has refused them
    }
    if (id == Name::sec_websocket_key && is_websocket_) {
        return; // the handshake is ours
    }
    if (id == Name::content_length) {
        has_length_ = true; // of digits alone, or nghttp2 has refused it
        std::from_chars(value.data(), value.data() + value.size(), length_);
    }
    fields_.append(name).append(": ").append(value).append("\r\n");
}

std::string Http2Request::text(bool ends, std::string_view key) const {
    if (!is_one_word(method_) ||
        (has_host_ && !authority_.empty() && !iequals(host_, authority_))) {
        return {};
    }
    const bool websocket = is_websocket();
    const bool connect = method_ == "CONNECT" && protocol_.empty();
    if (!connect && ((scheme_ != "https" && scheme_ != "http") || !is_one_word(path_))) {
        return {};
    }
    if (!protocol_.empty() && !websocket) {
        return {};
    }
    const std::string& authority = authority_.empty() ? host_ : authority_;
    std::string out;
    out.reserve(fields_.size() + cookie_.size() + path_.size() + 256);
    out.append(websocket ? std::string_view("GET") : std::string_view(method_)).append(" ");
    // Connections are TLS: a target of the other scheme is said in full, so that it is refused as
    // one that is sent to the wrong place (RFC 9110 §7.4).
    if (!connect && scheme_ == "http") {
        out.append("http://").append(authority);
    }
    if (path_ != "*" || scheme_ != "http") {
        out.append(connect ? std::string_view(authority) : std::string_view(path_));
    }
    out.append(" HTTP/1.1\r\nHost: ").append(authority).append("\r\n").append(fields_);
    if (!cookie_.empty()) {
        out.append("Cookie: ").append(cookie_).append("\r\n");
    }
    if (websocket) {
        out.append("Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: ");
        out.append(key).append("\r\n");
    } else if (!ends && !has_length_) {
        out.append("Transfer-Encoding: chunked\r\n");
    } else if (ends && !has_length_ &&
               (method_ == "POST" || method_ == "PUT" || method_ == "PATCH")) {
        out.append("Content-Length: 0\r\n");
    }
    return out.append("\r\n");
}

void Http2Request::forget() {
    for (std::string* one :
         {&method_, &path_, &scheme_, &authority_, &protocol_, &host_, &cookie_, &fields_}) {
        *one = {};
    }
}

void Http2Stream::begin_request(bool ends, std::string_view key) {
    in_ = request.text(ends, key);
    request.forget();
    bad = in_.empty();
    chunked_ = !ends && !request.has_length() && !request.is_websocket();
    request_ended = ends;
    hold_last();
}

void Http2Stream::hold_last() {
    const bool counted = request.has_length() && !request.is_websocket();
    if (counted && !request_ended && body_bytes_ == request.length() && in_.size() > in_at_) {
        held_.assign(1, in_.back());
        in_.pop_back();
    }
}

void Http2Stream::body(std::string_view payload) {
    unread += payload.size();
    if (payload.empty()) {
        return; // an empty chunk would end the body
    }
    if (in_at_ > read_kept_max) {
        in_.erase(0, in_at_);
        in_at_ = 0;
    }
    body_bytes_ += payload.size();
    if (!chunked_) {
        in_.append(payload);
        hold_last();
        return;
    }
    std::array<char, 20> size;
    const auto written = std::to_chars(size.data(), size.data() + size.size(), payload.size(), 16);
    in_.append(size.data(), written.ptr).append("\r\n").append(payload).append("\r\n");
}

void Http2Stream::end_request() {
    if (chunked_ && !request_ended) {
        in_.append("0\r\n\r\n");
    }
    in_.append(std::exchange(held_, {}));
    request_ended = true;
}

IoResult Http2Stream::read(std::span<char> into) {
    const std::size_t waiting = in_.size() - in_at_;
    const std::size_t bytes = std::min(into.size(), waiting);
    if (bytes > 0) {
        std::memcpy(into.data(), in_.data() + in_at_, bytes);
        in_at_ += bytes;
        const std::size_t owed = unread - credit_;
        credit_ += bytes == waiting ? owed : owed * bytes / waiting;
        if (in_at_ == in_.size()) {
            in_ = {};
            in_at_ = 0;
        }
        return {Io::ok, bytes};
    }
    if (closed && !answer_sent) {
        return {Io::failed, 0};
    }
    // That the request has ended is no end of the client: it waits for the answer.
    if (tunnel_ ? request_ended : answered_) {
        return {Io::end, 0};
    }
    wants_in = true;
    return {Io::again, 0};
}

std::size_t Http2Stream::take_credit() {
    unread -= credit_;
    return std::exchange(credit_, 0);
}

void Http2Stream::payload_sent(std::size_t bytes) {
    payload_at_ += bytes;
    sent_since_look += bytes;
    if (payload_at_ == payload_.size()) {
        payload_.clear();
        payload_at_ = 0;
        if (answered_) {
            payload_ = {};
        }
    } else if (payload_at_ > room_) {
        payload_.erase(0, payload_at_);
        payload_at_ = 0;
    }
}

void Http2Stream::end_answer() {
    // Until its close an answer without a length goes on; every other one ends by itself.
    if (answer_begun_ && decoder_.end() == BodyDecoder::State::done) {
        answered_ = true;
    }
}

bool Http2Stream::take_answer(std::string_view bytes,
                              const std::function<void(Http2Answer)>& on_head) {
    std::string rest;
    while (!answer_begun_) {
        head_.append(bytes);
        bytes = {};
        AnswerHead head;
        HeadLimits limits;
        limits.head_max = limits.line_max = 64 * 1024; // our own writer has smaller limits
        const ParseResult parsed =
            parse_answer_head(head_, head, {request.is_head(), request.is_websocket()}, limits);
        if (parsed.bad()) {
            return false;
        }
        if (!parsed.done()) {
            return true;
        }
        Http2Answer answer;
        answer.status = head.switched ? 200 : head.status; // RFC 8441 §5
        if (request.is_websocket() && !head.switched && head.status / 100 == 2) {
            answer.status = 502; // a page instead of a tunnel, which 200 would promise
        }
        answer.interim = head.interim;
        answer.ends = !head.interim && !head.switched &&
                      (head.framing == Framing::none ||
                       (head.framing == Framing::length && head.content_length == 0));
        for (const Header& field : head.headers) {
            if (is_of_http1(field.id) ||
                (head.switched && field.id == Name::sec_websocket_accept)) {
                continue;
            }
            answer.fields.emplace_back(to_lower(field.name), field.value);
        }
        if (!head.interim) {
            answer_begun_ = true;
            tunnel_ = head.switched;
            answered_ = answer.ends;
            decoder_.start(head.switched ? Framing::until_close : head.framing,
                           head.content_length);
            decoder_.keep_trailers(&trailers_);
        }
        rest = head_.substr(parsed.consumed);
        bytes = rest;
        head_.clear();
        on_head(std::move(answer));
    }
    head_ = {};
    if (!tail_.empty()) {
        tail_.append(bytes);
        rest = std::exchange(tail_, {});
        bytes = rest;
    }
    while (!bytes.empty()) {
        if (answered_) {
            return request.is_head(); // more than it announced; of a refusal, which knows no method
        }
        const BodyDecoder::Step step = decoder_.step(bytes);
        payload_.append(step.payload);
        bytes.remove_prefix(step.consumed);
        if (step.state == BodyDecoder::State::bad) {
            return false;
        }
        answered_ = step.state == BodyDecoder::State::done;
        if (step.consumed == 0 && !answered_) {
            tail_.assign(bytes); // trailers are taken by whole lines, and lines have a limit
            return true;
        }
    }
    return true;
}

} // namespace hasp::net
