// What a Conn can stand on besides a socket: one stream of a connection that carries many.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <sys/uio.h>

namespace hasp::net {

class Conn;

enum class Io : unsigned char {
    ok,     // bytes > 0 were moved
    again,  // nothing now: on_ready will come
    end,    // the peer ended its side properly (FIN; with TLS close_notify)
    cut,    // TLS only: the transport ended without close_notify; what was read may be truncated
    failed, // reset, or a TLS error: failure() says why
};

struct IoResult {
    Io state;
    std::size_t bytes;
};

// Owned by its Conn, on the same thread. No call blocks, and none calls the Conn back inside
// itself: what becomes readable or writable is told later, by Conn::carrier_edges().
class Carrier {
  public:
    virtual ~Carrier() = default;
    // Once, before any other call.
    virtual void attach(Conn& conn) = 0;
    // As the Conn's own. After `again` an edge follows.
    virtual IoResult read(std::span<char> into) = 0;
    virtual IoResult write(std::span<const iovec> pieces) = 0;
    virtual void shutdown_write() = 0;
    // Its peer would take what was written; the connection that carries it has not yet.
    virtual bool waits_for_others() const = 0;
    // The Conn has no use for it any more; it is destroyed next. `abort`: what was written is not
    // to be taken for a whole answer.
    virtual void leave(bool abort) = 0;
};

} // namespace hasp::net
