// One stream of an Http2Server: the request as HTTP/1.1 text on its way to the Conn, the answer's
// text read back into a status, fields and payload. No nghttp2 here.
#pragma once

#include "net/body.h"
#include "net/carrier.h"
#include "net/conn.h"
#include "net/head.h"

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hasp::net {

// The fields of a request as they come, pseudo-header fields among them.
class Http2Request {
  public:
    explicit Http2Request(std::size_t head_max) : head_max_(head_max) {}
    void field(std::string_view name, std::string_view value);
    // The head as HTTP/1.1. `ends`: no body follows. `key` is for a WebSocket's handshake. Empty:
    // it is malformed by RFC 9113 §8.3.1 in a way that HTTP/1.1 cannot say.
    std::string text(bool ends, std::string_view key) const;

    bool is_head() const { return is_head_; }
    bool is_websocket() const { return is_websocket_; }
    bool has_length() const { return has_length_; }
    // What Content-Length says; of no use where there is none.
    std::uint64_t length() const { return length_; }
    // The fields are not needed any more; what is asked above stays.
    void forget();

  private:
    std::size_t head_max_;
    std::string method_;
    std::string path_;
    std::string scheme_;
    std::string authority_;
    std::string protocol_;
    std::string host_;
    std::string cookie_;
    std::string fields_; // "name: value\r\n"
    bool is_head_ = false;
    bool is_websocket_ = false;
    bool has_host_ = false;
    bool has_length_ = false;
    std::uint64_t length_ = 0;
};

// What a stream's answer becomes.
struct Http2Answer {
    int status = 0;
    bool interim = false;
    bool ends = false;                                       // no payload follows
    std::vector<std::pair<std::string, std::string>> fields; // names in lower case
};

// The state of one stream, shared by the server and the carrier.
class Http2Stream {
  public:
    Http2Stream(std::int32_t stream_id, std::size_t head_max, std::size_t room)
        : id(stream_id), request(head_max), room_(room) {}

    // Of the request. One with a length is whole for whoever reads its text when as much has come,
    // and may turn out to be malformed until its stream ends (RFC 9113 §8.1.1): so the last byte
    // waits for that.
    void begin_request(bool ends, std::string_view key);
    void body(std::string_view payload);
    void end_request();
    IoResult read(std::span<char> into);
    // Payload for which window may be given back since the last call: as large a part of what came
    // as was read of its text, so that framing gives none.
    std::size_t take_credit();

    // Of the answer. False: what the writer gave is no HTTP/1.1, the stream is to be reset.
    // `on_head` is called for each complete head.
    bool take_answer(std::string_view bytes, const std::function<void(Http2Answer)>& on_head);
    std::size_t room() const {
        const std::size_t waiting = payload_.size() - payload_at_;
        return waiting < room_ ? room_ - waiting : 0;
    }
    std::string_view payload() const { return std::string_view(payload_).substr(payload_at_); }
    void payload_sent(std::size_t bytes);
    // Of a whole answer: "name: value\r\n" lines, names in lower case.
    std::string_view trailers() const { return trailers_; }
    // The whole answer was given by the writer.
    bool answered() const { return answered_; }
    bool answer_begun() const { return answer_begun_; }
    void end_answer();

    const std::int32_t id;
    Http2Request request;
    Conn* conn = nullptr;
    bool offered = false; // a request for next_request()
    bool whole = false;   // its head has come
    bool taken = false;   // a Conn stands, or stood, on it
    bool bad = false;     // its head made no request
    bool left = false;    // the Conn is gone
    bool closed = false;  // the stream is: of nghttp2's
    bool request_ended = false;
    bool answer_sent = false; // with its last frame
    bool deferred = false;    // nghttp2 waits for payload
    bool wants_in = false;    // the Conn was told "again"
    bool wants_out = false;
    bool edge_in = false;
    bool edge_out = false;
    bool edge_broken = false;
    bool listed = false;             // among those that deliver() looks at
    std::size_t unread = 0;          // payload for which no window was given back
    std::size_t head_bytes = 0;      // of the request's fields as they came, all of them
    std::size_t sent_since_look = 0; // of the answer
    bool looked_at = false;

  private:
    void hold_last();

    std::size_t room_;
    std::string in_;
    std::size_t in_at_ = 0;
    std::size_t credit_ = 0;
    std::uint64_t body_bytes_ = 0;
    std::string held_; // the last byte, until the end
    bool chunked_ = false;
    bool tunnel_ = false; // a WebSocket, once it is answered by 101

    std::string head_;
    BodyDecoder decoder_;
    std::string tail_; // of the answer: the beginning of a trailer's line
    std::string trailers_;
    std::string payload_;
    std::size_t payload_at_ = 0;
    bool answer_begun_ = false;
    bool answered_ = false;
};

} // namespace hasp::net
