// The server's half of one HTTP/2 connection (RFC 9113), apart from its socket: bytes in, bytes
// out. Each stream is offered as a carrier that speaks HTTP/1.1, so that one strict parser judges
// every request and one writer makes every answer, whatever the client speaks. The frames and HPACK
// are nghttp2's.
#pragma once

#include "base/random.h"
#include "net/carrier.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace hasp::net {

struct Http2Limits {
    std::uint32_t streams_max = 100;     // open at once: SETTINGS_MAX_CONCURRENT_STREAMS
    std::size_t head_max = 32 * 1024;    // of a request, as text; a longer one is handed on cut, so
                                         // that it is refused as in HTTP/1.1
    std::uint32_t window = 128 * 1024;   // of a stream's request body, unread: memory
    std::uint32_t window_all = 1 << 20;  // of all of a connection together
    std::size_t answer_room = 64 * 1024; // of a stream's answer, not yet taken by the client
    // Against floods. Frames that ask for work and bring none (resets, pings, settings, priorities,
    // empty data, windows) use up an allowance that useful frames and time give back.
    std::int64_t allowance_max = 2'000;
    std::int64_t allowance_per_s = 200;
};

// One thread. Streams (carriers) may outlive it: they fail then.
class Http2Server {
  public:
    //    // Called when there may be something for produce() or deliver(). Never inside receive()
    //    or
    // produce().
    using Wake = void (*)(void* context);

    // `random` outlives it: keys of WebSocket handshakes (RFC 8441) are made of it.
    Http2Server(const Http2Limits& limits, Random& random, Wake wake, void* context);
    ~Http2Server();
    Http2Server(const Http2Server&) = delete;
    Http2Server& operator=(const Http2Server&) = delete;

    // Takes bytes from the client, beginning with its preface. False: the connection is to end once
    // what produce() gives is written; why() says the cause. `now_ms` never goes back.
    bool receive(std::string_view bytes, std::int64_t now_ms);
    const std::string& why() const;

    // Appends frames to `out` until it holds `enough` bytes (and up to a frame more) or until
    // nothing can be sent at the moment.
    void produce(std::string& out, std::size_t enough);

    // A request whose head has come, as a carrier; null: none. What is not taken waits.
    std::unique_ptr<Carrier> next_request();
    // Tells the Conns of streams what became readable, writable or broken since the last call.
    void deliver();

    // No further streams (GOAWAY); those that are open go on.
    void go_away();
    // A notice ahead of it (RFC 9113 §6.8): the client is to take another connection, and streams
    // that it opens meanwhile are served.
    void ask_to_go();
    // Ends everything now: each stream's Conn is told that it is broken.
    void close();

    // Nothing is to come or to go any more: the connection may be closed.
    bool finished() const;
    // Whose requests are whole: under way, or their answers on their way out.
    std::size_t streams() const;
    // A part of an answer waits for the client's window.
    bool owes() const;
    // Resets the streams whose exchange has ended and whose client has taken less than `bytes_min`
    // of the rest since the last look. Nobody else watches them.
    void reset_stuck(std::size_t bytes_min);
    // When the head began of which a part is still to come; 0: there is none.
    std::int64_t head_since_ms() const;

    class State;

  private:
    std::shared_ptr<State> state_;
};

} // namespace hasp::net
