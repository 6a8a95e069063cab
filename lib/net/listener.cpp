#include "net/listener.h"

#include <cerrno>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace hasp::net {
namespace {

void set_option(int fd, int level, int option) {
    const int on = 1;
    setsockopt(fd, level, option, &on, sizeof on);
}

// A socket file whose owner is gone refuses connections; one that is alive is left alone.
void remove_dead_socket(const Address& address) {
    const std::string path = address.to_string().substr(5);
    struct stat info {};
    if (lstat(path.c_str(), &info) != 0 || !S_ISSOCK(info.st_mode)) {
        return;
    }
    const Fd probe{socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    if (probe && connect(probe.get(), address.data(), address.size()) != 0 &&
        errno == ECONNREFUSED) {
        unlink(path.c_str());
    }
}

} // namespace

Result<Fd> listen_on(const Address& address, const ListenOptions& options) {
    Fd fd{socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
    if (!fd) {
        return errno_error(errno, "cannot make a socket for " + address.to_string());
    }
    if (address.is_unix()) {
        remove_dead_socket(address);
        fchmod(fd.get(), static_cast<mode_t>(options.unix_mode)); // taken over by bind
    } else {
        set_option(fd.get(), SOL_SOCKET, SO_REUSEADDR);
        if (options.reuse_port) {
            set_option(fd.get(), SOL_SOCKET, SO_REUSEPORT);
        }
    }
    if (bind(fd.get(), address.data(), address.size()) != 0) {
        const int why = errno;
        Error error = errno_error(why, "cannot listen on " + address.to_string());
        if (why == EADDRINUSE) {
            error.code = Code::conflict;
            error.hint = "another program listens there: stop it or choose another address";
        }
        return error;
    }
    if (listen(fd.get(), options.backlog) != 0) {
        return errno_error(errno, "cannot listen on " + address.to_string());
    }
    return fd;
}

Listener::Listener(Reactor& reactor, Fd listening, Accepted accepted)
    : reactor_(reactor), fd_(std::move(listening)), accepted_(std::move(accepted)),
      again_(timer_call<&Listener::accept_some>, this),
      retry_(reactor.timers(), timer_call<&Listener::accept_some>, this) {}

Listener::~Listener() {
    if (added_) {
        reactor_.remove(fd_.get(), *this);
    }
}

Status Listener::start() {
    auto address = Address::of_socket(fd_.get());
    if (!address) {
        return address.error();
    }
    address_ = *address;
    const int flags = fcntl(fd_.get(), F_GETFL);
    if (flags < 0 || fcntl(fd_.get(), F_SETFL, flags | O_NONBLOCK) != 0) {
        return errno_error(errno, "cannot make a listening socket non-blocking");
    }
    Status status = reactor_.add(fd_.get(), *this);
    added_ = status.ok();
    return status;
}

void Listener::pause() {
    paused_ = true;
    again_.cancel();
    retry_.cancel();
}

void Listener::resume() {
    if (paused_) {
        paused_ = false;
        reactor_.post(again_); // the edge may have gone by meanwhile
    }
}

void Listener::on_edges(Edges) {
    if (!retry_.armed()) {
        accept_some();
    }
}

void Listener::accept_some() {
    for (int i = 0; i < accepts_per_wake && !paused_; ++i) {
        sockaddr_storage peer{};
        socklen_t size = sizeof peer;
        Fd socket{accept4(fd_.get(), reinterpret_cast<sockaddr*>(&peer), &size,
                          SOCK_NONBLOCK | SOCK_CLOEXEC)};
        if (!socket) {
            switch (errno) {
            case EAGAIN:
                return;
            case EMFILE:
            case ENFILE:
            case ENOBUFS:
            case ENOMEM:
                ++out_of_descriptors_;
                retry_.arm(pause_ms);
                return;
            case EINTR:
            case ECONNABORTED: // that connection died in the queue
            case EPROTO:
            case ENETDOWN:
            case ENETUNREACH:
            case EHOSTDOWN:
            case EHOSTUNREACH:
            case EPERM: // a firewall's rule
                continue;
            default: // the listening socket itself is ill: look again later, never spin
                retry_.arm(pause_ms);
                return;
            }
        }
        if (peer.ss_family != AF_UNIX) {
            set_option(socket.get(), IPPROTO_TCP, TCP_NODELAY);
        }
        accepted_(std::move(socket), Address::from_kernel(peer, size));
    }
    if (!paused_) {
        reactor_.post(again_);
    }
}

} // namespace hasp::net
