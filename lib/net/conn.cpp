#include "net/conn.h"

#include "tls_link.h"

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

namespace hasp::net {

Conn::Conn(Reactor& reactor, ConnOwner& owner) : reactor_(&reactor), owner_(&owner) {}

Conn::~Conn() {
    close();
}

Status Conn::take(Fd socket, const Address& peer, std::shared_ptr<const TlsContext> tls,
                  const std::string& verify_name, Phase phase) {
    assert(phase_ == Phase::idle);
    if (tls != nullptr) {
        tls_ = std::make_unique<TlsLink>(*this, std::move(tls));
        if (Status status = tls_->prepare(verify_name); !status) {
            return status;
        }
    }
    fd_ = std::move(socket);
    peer_ = peer;
    if (Status status = reactor_->add(fd_.get(), *this); !status) {
        return status;
    }
    attached_ = true;
    phase_ = phase;
    return {};
}

// O_NONBLOCK is not needed (and a received descriptor may lack it): every call says MSG_DONTWAIT.
Status Conn::adopt(Fd socket, const Address& peer, std::shared_ptr<const TlsContext> tls,
                   const std::string& verify_name) {
    writable_ = true;
    const Phase phase = tls == nullptr ? Phase::open : Phase::handshake;
    return take(std::move(socket), peer, std::move(tls), verify_name, phase);
}

void Conn::adopt(std::unique_ptr<Carrier> carrier, const Address& peer) {
    assert(phase_ == Phase::idle);
    carrier_ = std::move(carrier);
    peer_ = peer;
    readable_ = writable_ = true;
    phase_ = Phase::open;
    carrier_->attach(*this);
}

namespace {
std::size_t size_of(std::span<const iovec> pieces) {
    std::size_t bytes = 0;
    for (const iovec& piece : pieces) {
        bytes += piece.iov_len;
    }
    return bytes;
}

// What this machine lacks says nothing about the peer.
Error connect_error(int errno_value, const std::string& context) {
    Error error = errno_error(errno_value, context);
    switch (errno_value) {
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
    case EAGAIN:
    case EADDRNOTAVAIL:
        error.code = Code::try_later;
        break;
    default:
        break;
    }
    return error;
}
} // namespace

Status Conn::connect(const Address& address, std::shared_ptr<const TlsContext> tls,
                     const std::string& verify_name) {
    Fd socket{::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
    if (!socket) {
        return connect_error(errno, "cannot make a socket for " + address.to_string());
    }
    if (!address.is_unix()) {
        const int on = 1;
        setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    int result = 0;
    do {
        result = ::connect(socket.get(), address.data(), address.size());
    } while (result != 0 && errno == EINTR);
    if (result != 0 && errno != EINPROGRESS) {
        return connect_error(errno, "cannot connect to " + address.to_string());
    }
    // Also when it is connected already: the first edge comes at once and tells the owner.
    return take(std::move(socket), address, std::move(tls), verify_name, Phase::connecting);
}

void Conn::on_edges(Edges edges) {
    if (edges.peer_closed || edges.broken) {
        peer_closed_ = true;
    }
    if (edges.readable || edges.peer_closed || edges.broken) {
        readable_ = true;
        if (tls_ != nullptr) {
            tls_->socket_readable();
        }
    }
    if (edges.writable || edges.broken) {
        writable_ = true;
    }
    broken_ = broken_ || edges.broken;
    switch (phase_) {
    case Phase::connecting:
        finish_connect();
        return;
    case Phase::handshake:
        go_on_with_handshake();
        return;
    case Phase::open:
        if (tls_ != nullptr && writable_ && !tls_->flushed() && tls_->flush() && write_ended_) {
            ::shutdown(fd_.get(), SHUT_WR);
        }
        owner_->on_ready(*this);
        return;
    case Phase::idle:
    case Phase::over:
        return;
    }
}

void Conn::finish_connect() {
    if (!writable_) {
        return;
    }
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) {
        fail_before_open("cannot connect to " + peer_.to_string() + ": " + std::strerror(error));
        return;
    }
    if (tls_ != nullptr) {
        phase_ = Phase::handshake;
        go_on_with_handshake();
        return;
    }
    phase_ = Phase::open;
    owner_->on_open(*this);
}

void Conn::go_on_with_handshake() {
    if (!tls_->flushed() && !tls_->flush()) {
        return;
    }
    switch (tls_->handshake()) {
    case TlsLink::Progress::waiting:
        return;
    case TlsLink::Progress::failed:
        fail_before_open(tls_->handshake_error());
        return;
    case TlsLink::Progress::done:
        // The first request often rides with the last flight: it may sit in OpenSSL's buffer by
        // now, and then no edge will tell.
        readable_ = true;
        phase_ = Phase::open;
        owner_->on_open(*this);
        return;
    }
}

void Conn::fail_before_open(std::string why) {
    close();
    failure_ = std::move(why);
    owner_->on_fail(*this);
}

bool Conn::flushed() const {
    return tls_ == nullptr || tls_->flushed();
}

IoResult Conn::read(std::span<char> into) {
    if (phase_ != Phase::open) {
        return {Io::failed, 0};
    }
    assert(!into.empty());
    if (!readable_) {
        return {Io::again, 0};
    }
    if (carrier_ != nullptr) {
        const IoResult got = carrier_->read(into);
        wire_in_ += got.bytes;
        readable_ = got.state == Io::ok;
        return got;
    }
    const IoResult got = tls_ != nullptr ? tls_->read(into) : read_plain(into);
    readable_ = readable_ && got.state == Io::ok;
    return got;
}

bool Conn::quiet() {
    if (phase_ != Phase::open || broken_) {
        return false;
    }
    if (!readable_) {
        return true;
    }
    if (tls_ != nullptr) {
        return tls_->quiet();
    }
    if (carrier_ != nullptr) {
        return false; // nobody pools one
    }
    char first = 0;
    const ssize_t got = recv(fd_.get(), &first, 1, MSG_DONTWAIT | MSG_PEEK);
    readable_ = !(got < 0 && errno == EAGAIN);
    return !readable_;
}

IoResult Conn::read_plain(std::span<char> into) {
    ssize_t got = 0;
    do {
        got = recv(fd_.get(), into.data(), into.size(), MSG_DONTWAIT);
    } while (got < 0 && errno == EINTR);
    if (got > 0) {
        const auto bytes = static_cast<std::size_t>(got);
        wire_in_ += bytes;
        // A short read means drained: the next arrival is a new edge. (A peer that sends urgent
        // data or descriptors can make this wrong, and then only delays itself.)
        readable_ = bytes == into.size() || peer_closed_;
        return {Io::ok, bytes};
    }
    if (got == 0) {
        return {Io::end, 0};
    }
    if (errno == EAGAIN) {
        readable_ = false;
        return {Io::again, 0};
    }
    failure_ = std::strerror(errno);
    return {Io::failed, 0};
}

IoResult Conn::write(std::span<const iovec> pieces) {
    if (phase_ != Phase::open || write_ended_) {
        return {Io::failed, 0};
    }
    if (!writable_) {
        return {Io::again, 0};
    }
    pieces = pieces.first(std::min(pieces.size(), iovecs_max));
    if (carrier_ != nullptr) {
        const IoResult put = carrier_->write(pieces);
        wire_out_ += put.bytes;
        writable_ = put.state == Io::ok && put.bytes == size_of(pieces);
        return put;
    }
    return tls_ != nullptr ? tls_->write(pieces) : write_plain(pieces);
}

IoResult Conn::write(std::string_view bytes) {
    const iovec piece{const_cast<char*>(bytes.data()), bytes.size()};
    return write({&piece, 1});
}

IoResult Conn::write_plain(std::span<const iovec> pieces) {
    msghdr message{};
    message.msg_iov = const_cast<iovec*>(pieces.data()); // sendmsg does not write to them
    message.msg_iovlen = pieces.size();
    ssize_t done = 0;
    do {
        // For one piece the kernel has a shorter way.
        done = pieces.size() == 1 ? ::send(fd_.get(), pieces[0].iov_base, pieces[0].iov_len,
                                           MSG_DONTWAIT | MSG_NOSIGNAL)
                                  : sendmsg(fd_.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (done < 0 && errno == EINTR);
    return sent(done, size_of(pieces));
}

IoResult Conn::sent(ssize_t bytes, std::size_t of) {
    if (bytes >= 0) {
        wire_out_ += static_cast<std::uint64_t>(bytes);
        writable_ = static_cast<std::size_t>(bytes) == of;
        return {Io::ok, static_cast<std::size_t>(bytes)};
    }
    if (errno == EAGAIN) {
        writable_ = false;
        return {Io::again, 0};
    }
    failure_ = std::strerror(errno);
    return {Io::failed, 0};
}

IoResult Conn::write_before_file(std::string_view bytes) {
    assert(takes_files());
    if (phase_ != Phase::open || write_ended_) {
        return {Io::failed, 0};
    }
    if (!writable_) {
        return {Io::again, 0};
    }
    ssize_t done = 0;
    do {
        done =
            ::send(fd_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL | MSG_MORE);
    } while (done < 0 && errno == EINTR);
    return sent(done, bytes.size());
}

IoResult Conn::send_file(int file, std::uint64_t offset, std::size_t bytes) {
    assert(takes_files());
    if (phase_ != Phase::open || write_ended_) {
        return {Io::failed, 0};
    }
    if (!writable_) {
        return {Io::again, 0};
    }
    never_wait();
    auto at = static_cast<off_t>(offset);
    ssize_t done = 0;
    do {
        done = ::sendfile(fd_.get(), file, &at, bytes);
    } while (done < 0 && errno == EINTR);
    if (done == 0 && bytes > 0) {
        return {Io::end, 0};
    }
    // Less than was asked for may be the end of the file: only EAGAIN says that the socket is full.
    return sent(done, static_cast<std::size_t>(std::max<ssize_t>(done, 0)));
}

// For the calls that cannot be told each time.
void Conn::never_wait() {
    if (!nonblocking_) {
        const int flags = fcntl(fd_.get(), F_GETFL);
        nonblocking_ = flags >= 0 && fcntl(fd_.get(), F_SETFL, flags | O_NONBLOCK) == 0;
    }
}

IoResult Conn::read_into(Pipe& pipe, std::size_t bytes) {
    assert(takes_files() && pipe && pipe.held_ == 0);
    if (phase_ != Phase::open) {
        return {Io::failed, 0};
    }
    if (!readable_) {
        return {Io::again, 0};
    }
    never_wait();
    ssize_t got = 0;
    do {
        got = ::splice(fd_.get(), nullptr, pipe.in_.get(), nullptr, bytes,
                       SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    } while (got < 0 && errno == EINTR);
    if (got > 0) {
        pipe.held_ = static_cast<std::size_t>(got);
        wire_in_ += pipe.held_;
        return {Io::ok, pipe.held_};
    }
    readable_ = false;
    if (got == 0) {
        return {Io::end, 0};
    }
    if (errno == EAGAIN) {
        return {Io::again, 0};
    }
    failure_ = std::strerror(errno);
    return {Io::failed, 0};
}

IoResult Conn::write_from(Pipe& pipe) {
    assert(takes_files() && pipe && pipe.held_ > 0);
    if (phase_ != Phase::open || write_ended_) {
        return {Io::failed, 0};
    }
    if (!writable_) {
        return {Io::again, 0};
    }
    never_wait();
    ssize_t done = 0;
    do {
        done = ::splice(pipe.out_.get(), nullptr, fd_.get(), nullptr, pipe.held_,
                        SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    } while (done < 0 && errno == EINTR);
    const IoResult result = sent(done, static_cast<std::size_t>(std::max<ssize_t>(done, 0)));
    pipe.held_ -= result.bytes;
    return result;
}

std::uint64_t Conn::delivered() const {
    int waiting = 0;
    if (carrier_ != nullptr || !fd_ || ::ioctl(fd_.get(), SIOCOUTQ, &waiting) != 0) {
        return wire_out_;
    }
    return wire_out_ - std::min(wire_out_, static_cast<std::uint64_t>(waiting));
}

void Conn::shutdown_write() {
    if (phase_ != Phase::open || write_ended_) {
        return;
    }
    write_ended_ = true;
    if (carrier_ != nullptr) {
        carrier_->shutdown_write();
        return;
    }
    if (tls_ != nullptr) {
        tls_->end_writing();
        if (!tls_->flushed()) {
            return; // on_edges() goes on
        }
    }
    ::shutdown(fd_.get(), SHUT_WR);
}

void Conn::close() {
    if (attached_) {
        reactor_->remove(fd_.get(), *this);
        attached_ = false;
    }
    phase_ = phase_ == Phase::idle ? Phase::idle : Phase::over;
    readable_ = writable_ = false;
    if (carrier_ != nullptr) {
        carrier_->leave(false);
        carrier_.reset();
    }
    tls_.reset();
    fd_.reset();
}

void Conn::abort() {
    if (carrier_ != nullptr) {
        carrier_->leave(true);
        carrier_.reset();
    }
    if (fd_) {
        const linger now{1, 0};
        setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
    }
    close();
}

void Conn::detach() {
    assert(phase_ == Phase::open && flushed() && attached_);
    reactor_->remove(fd_.get(), *this);
    attached_ = false;
}

Status Conn::attach(Reactor& reactor, ConnOwner& owner) {
    reactor_ = &reactor;
    owner_ = &owner;
    Status status = reactor.add(fd_.get(), *this);
    attached_ = status.ok();
    // What came since detach() was told to nobody.
    readable_ = true;
    if (tls_ != nullptr) {
        tls_->socket_readable();
    }
    return status;
}

std::string Conn::peer_certificate() const {
    return tls_ == nullptr ? std::string{}
                           : certificate_der(SSL_get0_peer_certificate(tls_->ssl()));
}

std::vector<std::string> Conn::verified_chain() const {
    std::vector<std::string> chain;
    const STACK_OF(X509)* certificates =
        tls_ == nullptr ? nullptr : SSL_get0_verified_chain(tls_->ssl());
    for (int i = 0; certificates != nullptr && i < sk_X509_num(certificates); ++i) {
        chain.push_back(certificate_der(sk_X509_value(certificates, i)));
    }
    return chain;
}

std::string_view Conn::alpn() const {
    const unsigned char* name = nullptr;
    unsigned size = 0;
    if (tls_ != nullptr) {
        SSL_get0_alpn_selected(tls_->ssl(), &name, &size);
    }
    return {reinterpret_cast<const char*>(name), size};
}

std::string_view Conn::server_name() const {
    const char* name =
        tls_ == nullptr ? nullptr : SSL_get_servername(tls_->ssl(), TLSEXT_NAMETYPE_host_name);
    return name == nullptr ? std::string_view{} : std::string_view{name};
}

} // namespace hasp::net
