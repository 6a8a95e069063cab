// A listening socket on a reactor.
#pragma once

#include "base/result.h"
#include "net/address.h"
#include "net/reactor.h"

#include <functional>

namespace hasp::net {

struct ListenOptions {
    int backlog = 4096;
    bool reuse_port = false; // one socket per loop, the kernel spreads connections
    int unix_mode = 0600;    // of the socket file; a dead socket file in the way is replaced
};

// socket + bind + listen, non-blocking and close-on-exec. conflict when the address is in use.
Result<Fd> listen_on(const Address& address, const ListenOptions& options = {});

// Accepts on its reactor's thread. Owned by the front; destruction closes the descriptor (for
// others that inherited it the socket goes on listening).
class Listener final : private Handler {
  public:
    // Bound so that one busy listener cannot starve the loop's connections.
    static constexpr int accepts_per_wake = 64;
    // After EMFILE, ENFILE or ENOMEM: the queue waits this long instead of spinning.
    static constexpr std::int64_t pause_ms = 250;

    // Gets a connected socket: non-blocking, close-on-exec, TCP_NODELAY. May pause the listener,
    // not destroy it.
    using Accepted = std::function<void(Fd socket, const Address& peer)>;

    Listener(Reactor& reactor, Fd listening, Accepted accepted);
    ~Listener();
    Listener(const Listener&) = delete;
    Listener& operator=(const Listener&) = delete;

    // Registers with the reactor. Also makes an inherited descriptor non-blocking.
    Status start();
    // Leaves new connections in the kernel's queue (a limit is reached, or a drain began) / takes
    // them again.
    void pause();
    void resume();
    const Address& address() const { return address_; }
    int fd() const { return fd_.get(); }
    std::uint64_t refused_for_descriptors() const { return out_of_descriptors_; }

  private:
    void on_edges(Edges edges) override;
    void accept_some();
    Reactor& reactor_;
    Fd fd_;
    Accepted accepted_;
    Address address_;
    Task again_;
    Timer retry_;
    std::uint64_t out_of_descriptors_ = 0;
    bool added_ = false;
    bool paused_ = false;
};

} // namespace hasp::net
