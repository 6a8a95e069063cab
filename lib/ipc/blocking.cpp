#include "ipc/channel.h"

#include "socket.h"

#include <cerrno>
#include <chrono>
#include <cstring>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace hasp::ipc {
namespace {

using Steady = std::chrono::steady_clock;

// Waits for `events`; false when the time is over.
bool wait_for(int fd, short events, Steady::time_point until) {
    for (;;) {
        const auto left =
            std::chrono::duration_cast<std::chrono::milliseconds>(until - Steady::now()).count();
        if (left <= 0) {
            return false;
        }
        pollfd one{fd, events, 0};
        const int got = ::poll(&one, 1, static_cast<int>(left));
        if (got > 0) {
            return true;
        }
        if (got < 0 && errno != EINTR) {
            return true; // the call that follows will say what is wrong
        }
    }
}

Result<sockaddr_un> address_of(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof address.sun_path) {
        return fail(Code::usage,
                    "the socket path " + path + " has " + std::to_string(path.size()) +
                        " bytes; the system allows " + std::to_string(sizeof address.sun_path - 1),
                    "choose a shorter state folder");
    }
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    return address;
}

int connect_to(int fd, const sockaddr_un& address) {
    return ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
}

} // namespace

Status send_frame(int fd, std::string_view head, std::string_view body, std::span<const int> fds,
                  int timeout_ms) {
    std::string bytes;
    if (Status status = encode_frame(bytes, head, body, fds.size()); !status) {
        return status;
    }
    const auto until = Steady::now() + std::chrono::milliseconds(timeout_ms);
    std::string_view rest = bytes;
    while (!rest.empty()) {
        if (!wait_for(fd, POLLOUT, until)) {
            return fail(Code::timed_out, "the peer did not take a message within " +
                                             std::to_string(timeout_ms) + " ms");
        }
        const ssize_t sent =
            send_with_fds(fd, rest, rest.size() == bytes.size() ? fds : std::span<const int>{});
        if (sent < 0 && errno == EAGAIN) {
            continue;
        }
        if (sent < 0) {
            return fail(Code::unreachable, errno_error(errno, "cannot send a message").message);
        }
        rest.remove_prefix(static_cast<std::size_t>(sent));
    }
    return {};
}

Result<Frame> FrameReader::next(int timeout_ms) {
    const auto until = Steady::now() + std::chrono::milliseconds(timeout_ms);
    std::string buffer(64 * std::size_t{1024}, '\0');
    while (ready_.empty()) {
        if (!wait_for(fd_, POLLIN, until)) {
            return fail(Code::timed_out, "no answer within " + std::to_string(timeout_ms) + " ms");
        }
        const ssize_t got = receive_with_fds(fd_, buffer.data(), buffer.size(), arrived_);
        if (got < 0 && errno == EAGAIN) {
            continue;
        }
        if (got <= 0) {
            return fail(Code::unreachable,
                        got == 0 ? "the peer closed the connection without an answer"
                                 : errno_error(errno, "cannot read an answer").message);
        }
        const Status status =
            decoder_.feed(std::string_view(buffer.data(), static_cast<std::size_t>(got)),
                          [this](Frame&& frame, std::size_t fds) {
                              if (fds > arrived_.size()) {
                                  return false;
                              }
                              for (; fds > 0; --fds) {
                                  frame.fds.push_back(std::move(arrived_.front()));
                                  arrived_.pop_front();
                              }
                              ready_.push_back(std::move(frame));
                              return true;
                          });
        if (!status) {
            return fail(Code::refused, status.error().message);
        }
    }
    Frame frame = std::move(ready_.front());
    ready_.pop_front();
    return frame;
}

Result<Fd> connect_unix(const std::string& path) {
    Result<sockaddr_un> address = address_of(path);
    if (!address) {
        return address.error();
    }
    Fd fd{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    if (!fd) {
        return errno_error(errno, "cannot make a socket");
    }
    if (connect_to(fd.get(), *address) != 0) {
        return fail(Code::unreachable, "cannot connect to " + path + ": " + std::strerror(errno),
                    "check that the daemon runs and that --state names its folder");
    }
    return fd;
}

Result<Frame> call_unix(const std::string& path, std::string_view head, std::string_view body,
                        int timeout_ms) {
    Result<Fd> fd = connect_unix(path);
    if (!fd) {
        return fd.error();
    }
    if (Status status = send_frame(fd->get(), head, body, {}, timeout_ms); !status) {
        return status.error();
    }
    return FrameReader(fd->get()).next(timeout_ms);
}

Result<Fd> listen_unix(const std::string& path, unsigned mode, int backlog) {
    Result<sockaddr_un> address = address_of(path);
    if (!address) {
        return address.error();
    }
    {
        const Fd probe{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
        if (!probe) {
            return errno_error(errno, "cannot make a socket");
        }
        if (connect_to(probe.get(), *address) == 0 || errno == EAGAIN) {
            return fail(Code::conflict, "somebody listens at " + path + " already",
                        "stop the other daemon first");
        }
    }
    struct stat seen {};
    if (::lstat(path.c_str(), &seen) == 0 && S_ISSOCK(seen.st_mode)) {
        ::unlink(path.c_str());
    }
    Fd fd{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    if (!fd) {
        return errno_error(errno, "cannot make a socket");
    }
    // The mode is set on the socket before bind(2) makes the file, so that it is never open to
    // others for a moment.
    ::fchmod(fd.get(), static_cast<mode_t>(mode));
    if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) != 0) {
        return errno_error(errno, "cannot listen at " + path);
    }
    ::chmod(path.c_str(), static_cast<mode_t>(mode));
    if (::listen(fd.get(), backlog) != 0) {
        return errno_error(errno, "cannot listen at " + path);
    }
    return fd;
}

Result<std::pair<Fd, Fd>> socket_pair() {
    int fds[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) {
        return errno_error(errno, "cannot make a socket pair");
    }
    return std::pair<Fd, Fd>{Fd{fds[0]}, Fd{fds[1]}};
}

} // namespace hasp::ipc
