// A byte stream with optional TLS: the only transport that hasp's engine knows.
#pragma once

#include "base/fd.h"
#include "base/result.h"
#include "net/address.h"
#include "net/buffer.h"
#include "net/carrier.h"
#include "net/pipe.h"
#include "net/reactor.h"
#include "net/tls.h"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <sys/uio.h>
#include <vector>

namespace hasp::net {

class Conn;
class TlsLink;

// News of a connection, on its reactor's thread. The receiver may destroy the Conn inside any of
// them.
class ConnOwner {
  public:
    // Connected and, with TLS, verified. Not called for a plain adopt(), which is open at once.
    // readable() may be true already (data came with the last flight): no on_ready follows for it.
    virtual void on_open(Conn& conn) = 0;
    // readable() or writable() became true. Level state is kept in the Conn, so nothing is lost
    // when the owner does not read now (back-pressure); but no further call comes until it has read
    // to !readable(), or written to !writable().
    virtual void on_ready(Conn& conn) = 0;
    // Connecting, the handshake or verification failed (before on_open). failure() says why.
    virtual void on_fail(Conn& conn) = 0;

  protected:
    ~ConnOwner() = default;
};

// Owned by its user, on one reactor's thread. No call blocks. Idle, it holds no buffer.
class Conn final : private Handler {
  public:
    // Both outlive it (the owner can be exchanged).
    Conn(Reactor& reactor, ConnOwner& owner);
    ~Conn();
    Conn(const Conn&) = delete;
    Conn& operator=(const Conn&) = delete;

    // Takes a connected socket (accepted, or received from another process); makes it non-blocking.
    // Plain: open() on return. TLS: the handshake begins with the first edge, in the role of `tls`;
    // on_open or on_fail follows. `verify_name` is for clients: SNI and the name that the peer's
    // certificate must carry (a DNS name or an IP address); empty: neither.
    Status adopt(Fd socket, const Address& peer, std::shared_ptr<const TlsContext> tls = nullptr,
                 const std::string& verify_name = {});
    // Stands on a carrier instead of a socket: open() on return, readable and writable.
    void adopt(std::unique_ptr<Carrier> carrier, const Address& peer);
    // Begins to connect; on_open or on_fail follows, never inside this call. An error here is a
    // local one (a malformed address; try_later: no descriptor, memory or port is left here, which
    // says nothing about the peer). The time limit is the caller's Timer.
    Status connect(const Address& address, std::shared_ptr<const TlsContext> tls = nullptr,
                   const std::string& verify_name = {});

    bool open() const { return phase_ == Phase::open; }
    // More may be read without waiting. False after a short read: the socket is known to be
    // drained.
    bool readable() const { return readable_; }
    bool writable() const { return writable_ && phase_ == Phase::open; }
    // The peer sends no more (maybe behind bytes not yet read) / the connection is dead both ways.
    // Told by the kernel, so also to an owner that does not read: who waits for an answer may give
    // up.
    bool peer_closed() const { return peer_closed_; }
    bool broken() const { return broken_; }
    // Of a pooled connection, in on_ready or before it is used again: true when there is neither
    // payload nor an end. Takes TLS's own messages (tickets) off. One system call at most, none
    // after a read that drained.
    bool quiet();
    // Everything written has been handed to the kernel.
    bool flushed() const;

    // Reads what is there, up to the size of `into` (not empty). One system call at most for plain;
    // for TLS as many records as fit and are there. After end, cut or
    // failed readable() is false. Precondition: open().
    IoResult read(std::span<char> into);
    // Writes the pieces in order as far as the socket takes them; `bytes` may be short, then
    // writable() is false and on_ready comes when it is not. Plain: one sendmsg(2). TLS: small
    // pieces are put into one record, records into one send(2). Bytes that were taken are never to
    // be given again. At most iovecs_max pieces are looked at.
    IoResult write(std::span<const iovec> pieces);
    IoResult write(std::string_view bytes);
    // Whether send_file() and the pipes may be used: a plain socket. Those calls of the kernel have
    // no MSG_NOSIGNAL: the process ignores SIGPIPE.
    bool takes_files() const { return tls_ == nullptr && carrier_ == nullptr && fd_; }
    // Writes up to `bytes` of an open file from `offset` on, as far as the socket takes them, by
    // sendfile(2): they are not copied to this process. Waits for the disk, as a read would; a file
    // that ends too soon gives end. Precondition: takes_files().
    IoResult send_file(int file, std::uint64_t offset, std::size_t bytes);
    // Moves up to `bytes` of what is there into a pipe that holds nothing, and what a pipe holds
    // out of it, by splice(2). One system call; fewer bytes prove nothing, only again says that the
    // socket is drained, or full. Precondition: takes_files().
    IoResult read_into(Pipe& pipe, std::size_t bytes);
    IoResult write_from(Pipe& pipe);
    // As write(), of what send_file() follows at once: the kernel may hold back the last packet.
    // Precondition: takes_files().
    IoResult write_before_file(std::string_view bytes);

    // Ends our side after what was written (close_notify, FIN); reading goes on. Further writes
    // fail.
    void shutdown_write();
    // Drops the connection now. No callback follows. Allowed in any phase, also twice.
    void close();
    // Resets instead of closing properly, so that the peer cannot take a cut answer for a whole
    // one.
    void abort();

    // A pooled connection changes hands.
    void set_owner(ConnOwner& owner) { owner_ = &owner; }
    // Leaves the reactor (call on its thread) so that another thread may attach it to its own.
    // Precondition: open() and flushed(), on a socket.
    void detach();
    Status attach(Reactor& reactor, ConnOwner& owner);

    // For the carrier alone: what became of it. May destroy this Conn, and the carrier with it.
    void carrier_edges(Edges edges) { on_edges(edges); }

    Reactor& reactor() const { return *reactor_; }
    // -1 on a carrier.
    int fd() const { return fd_.get(); }
    const Address& peer() const { return peer_; }
    const std::string& failure() const { return failure_; }
    // Bytes on the socket, both ways, TLS overhead included; of a carrier, what it moved.
    std::uint64_t wire_in() const { return wire_in_; }
    std::uint64_t wire_out() const { return wire_out_; }
    // Of the bytes out, those that the peer's side has acknowledged: they are in its buffers, or
    // read. One system call. Of a carrier, what it took.
    std::uint64_t delivered() const;
    // What was written to a carrier could go out, and waits for its turn on the connection that
    // carries it. False on a socket.
    bool waits_for_others() const { return carrier_ != nullptr && carrier_->waits_for_others(); }

    // Of TLS connections that are open(); empty otherwise.
    bool is_tls() const { return tls_ != nullptr; }
    std::string peer_certificate() const;            // DER; empty: the peer showed none
    std::vector<std::string> verified_chain() const; // DER, the peer's own first
    std::string_view alpn() const;
    std::string_view server_name() const; // SNI that the client sent

    static constexpr std::size_t iovecs_max = 64;

  private:
    friend class TlsLink;
    enum class Phase : unsigned char { idle, connecting, handshake, open, over };

    void on_edges(Edges edges) override;
    Status take(Fd socket, const Address& peer, std::shared_ptr<const TlsContext> tls,
                const std::string& verify_name, Phase phase);
    void finish_connect();
    void go_on_with_handshake();
    void fail_before_open(std::string why);
    IoResult read_plain(std::span<char> into);
    IoResult write_plain(std::span<const iovec> pieces);
    // What a system call said that was to write `of` bytes.
    void never_wait();
    IoResult sent(ssize_t bytes, std::size_t of);

    Reactor* reactor_;
    ConnOwner* owner_;
    std::unique_ptr<TlsLink> tls_;
    std::unique_ptr<Carrier> carrier_;
    Fd fd_;
    Phase phase_ = Phase::idle;
    bool readable_ = false;
    bool writable_ = false;
    bool peer_closed_ = false; // a short read does not mean drained any more: the end is to be read
    bool broken_ = false;
    bool write_ended_ = false;
    bool attached_ = false;
    bool nonblocking_ = false; // of a socket that has sent a file or used a pipe
    std::uint64_t wire_in_ = 0;
    std::uint64_t wire_out_ = 0;
    Address peer_;
    std::string failure_;
};

// After a refusal: ends the writing side and reads the rest away for a while, so that the peer gets
// the answer and not a reset (RFC 9112 §9.6). Takes the connection and destroys itself when done.
inline constexpr std::int64_t linger_ms = 2'000;
inline constexpr std::size_t linger_bytes_max = 1'048'576;
void close_lingering(std::unique_ptr<Conn> conn);

} // namespace hasp::net
