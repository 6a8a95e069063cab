// Gets a connected socket out of another process: connect to its unix socket, wait, receive one
// descriptor (SCM_RIGHTS). So a socket made inside a sandbox is used outside and no byte is copied.
//
// The protocol is lib/run's (PROTOCOL.md there, "Dialling an app"): one message, 'F' with exactly
// one descriptor, or 'E' and text for people, then the end of the stream.
#pragma once

#include "base/fd.h"
#include "base/result.h"
#include "net/reactor.h"

#include <functional>
#include <string>
#include <string_view>

namespace hasp::net {

inline constexpr std::size_t dial_text_max = 200;

// One dial; may be started again when done. Destroying or cancelling it forgets the answer. Its
// reactor's thread.
class Dial final : private Handler {
  public:
    // unreachable: nothing listens at the path, or it hung up without a word; timed_out; else what
    // the other side said. The socket is non-blocking and close-on-exec.
    using Done = std::function<void(Result<Fd>)>;

    explicit Dial(Reactor& reactor);
    ~Dial();
    Dial(const Dial&) = delete;
    Dial& operator=(const Dial&) = delete;

    // `done` is called once, never inside this call; it may destroy the Dial. Precondition:
    // !busy().
    void start(const std::string& unix_path, std::int64_t timeout_ms, Done done);
    void cancel();
    bool busy() const { return done_ != nullptr; }

  private:
    void on_edges(Edges edges) override;
    void on_time();
    void on_deferred();
    void receive();
    void finish(Result<Fd> result);
    Reactor& reactor_;
    Fd socket_;
    Timer limit_;
    Task deferred_;
    Done done_;
    Error early_;
    std::string text_;
    bool refused_ = false; // 'E' came, text follows
};

// The other side, for a stream socket with an empty send queue. `text` is cut to dial_text_max.
Status answer_dial(int socket, int descriptor);
Status refuse_dial(int socket, std::string_view text);

} // namespace hasp::net
