// A non-blocking duplex of frames over one stream socket, with descriptors when it is a unix
// socket. It owns no loop: whoever has one watches fd() and calls on_ready().
#pragma once

#include "base/fd.h"
#include "base/result.h"
#include "ipc/frame.h"

#include <cstddef>
#include <deque>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hasp::ipc {

// One thread. The channel owns the socket and every descriptor queued in either direction.
class Channel {
  public:
    struct Limits {
        std::size_t frame_bytes = frame_bytes_max;
        // Bytes queued for a peer that does not read. 4 frames of the largest size; send() refuses
        // beyond it.
        std::size_t queue_bytes = 4 * frame_bytes_max;
        // Bytes read in one on_ready(), so that one busy peer cannot starve a loop. on_ready() says
        // when there is more.
        std::size_t read_bytes_a_turn = std::size_t{1} << 20;
    };
    struct Callbacks {
        // One call a frame, in order. May call send() and close(); must not destroy the channel.
        std::function<void(Frame&&)> on_frame;
        // Once, when the peer ended the stream (`why` has Code::unreachable) or broke the protocol
        // (Code::refused). Not called after close(). Must not destroy the channel: post that to the
        // loop.
        std::function<void(const Error& why)> on_closed;
    };

    // `socket` is a connected stream socket; it is made non-blocking and close-on-exec. fds_allowed
    // only for unix sockets.
    Channel(Fd socket, Callbacks callbacks, bool fds_allowed, Limits limits);
    Channel(Fd socket, Callbacks callbacks, bool fds_allowed = true)
        : Channel(std::move(socket), std::move(callbacks), fds_allowed, Limits{}) {}
    Channel(const Channel&) = delete;
    Channel& operator=(const Channel&) = delete;

    // Queues a frame and writes what the socket takes. Descriptors are duplicated, so the caller
    // keeps its own. Code::try_later: queue full (nothing queued). Code::unreachable: closed.
    // Code::usage: too large, too many descriptors.
    Status send(std::string_view head, std::string_view body = {}, std::span<const int> fds = {});

    // Reads and writes what can be done now; works with level- and edge-triggered epoll. True when
    // it stopped early by read_bytes_a_turn and must be called again (edge-triggered loops: in the
    // next turn).
    bool on_ready();

    // For the loop's interest: the socket; whether bytes wait to be written.
    int fd() const { return socket_.get(); }
    bool wants_write() const { return !out_.empty(); }
    bool closed() const { return !socket_; }
    std::size_t queued_bytes() const { return queued_bytes_; }

    // Drops what is queued and closes the socket. Idempotent.
    void close();

  private:
    struct Outgoing {
        std::string bytes;
        std::size_t sent = 0;
        std::vector<Fd> fds;
    };
    bool read_some();
    void write_some();
    bool deliver(Frame&& frame, std::size_t fds);
    void fail_with(Error why);

    Fd socket_;
    Callbacks callbacks_;
    Limits limits_;
    bool fds_allowed_;
    FrameDecoder decoder_;
    std::deque<Outgoing> out_;
    std::size_t queued_bytes_ = 0;
    std::deque<Fd> arrived_;
};

// A whole frame over a blocking unix socket, for commands. Both may block up to `timeout_ms` in
// total. Code::timed_out, Code::unreachable (the peer went away), Code::refused (not a frame).
Status send_frame(int fd, std::string_view head, std::string_view body, std::span<const int> fds,
                  int timeout_ms);

// Reads frames one after another from a blocking socket; keeps what came beyond the first for the
// next call.
class FrameReader {
  public:
    explicit FrameReader(int fd, bool fds_allowed = true) : fd_(fd), decoder_(fds_allowed) {}
    Result<Frame> next(int timeout_ms);

  private:
    int fd_;
    FrameDecoder decoder_;
    std::deque<Fd> arrived_;
    std::deque<Frame> ready_;
};

// Connects to the unix socket at `path` (for example STATE/admin.sock). Code::unreachable with a
// hint when nobody listens.
Result<Fd> connect_unix(const std::string& path);

// connect_unix, one frame there, one frame back. For commands; blocks up to timeout_ms.
Result<Frame> call_unix(const std::string& path, std::string_view head, std::string_view body,
                        int timeout_ms);

// A listening unix socket at `path` with `mode`, non-blocking; a stale socket file is replaced, a
// live one is Code::conflict. Paths longer than sockaddr_un are Code::usage.
Result<Fd> listen_unix(const std::string& path, unsigned mode, int backlog = 64);

// A connected pair of stream sockets, close-on-exec: one end for each process.
Result<std::pair<Fd, Fd>> socket_pair();

} // namespace hasp::ipc
