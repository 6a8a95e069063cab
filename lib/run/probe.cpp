#include "probe.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace hasp::run {
namespace {

constexpr int listen_queue = 512;
constexpr std::size_t status_line_bytes = 12; // "HTTP/1.1 200"
constexpr std::size_t dialer_message_max = 256;

// The address of `path`, by way of its folder's descriptor, so that a long path fits.
bool address_of(const std::string& path, Fd& folder, sockaddr_un& address) {
    const std::size_t slash = path.rfind('/');
    if (slash == std::string::npos) {
        errno = EINVAL;
        return false;
    }
    folder.reset(::open(path.substr(0, slash + 1).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!folder) {
        return false;
    }
    const std::string text = "/proc/self/fd/" + std::to_string(folder.get()) + path.substr(slash);
    address.sun_family = AF_UNIX;
    if (text.size() >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return false;
    }
    text.copy(address.sun_path, text.size());
    return true;
}

} // namespace

Fd connect_unix(const std::string& path, int& error) {
    Fd folder;
    sockaddr_un address{};
    Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd || !address_of(path, folder, address) ||
        ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        error = errno;
        return Fd();
    }
    return fd;
}

Fd listen_unix(const std::string& path, int& error) {
    Fd folder;
    sockaddr_un address{};
    Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    // The mode is the socket's own before it has a name, so that it is never open to others.
    if (!fd || ::fchmod(fd.get(), 0600) != 0 || !address_of(path, folder, address) ||
        (::unlink(path.c_str()) != 0 && errno != ENOENT) ||
        ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        ::listen(fd.get(), listen_queue) != 0) {
        error = errno;
        return Fd();
    }
    return fd;
}

Probe::Probe(const std::string& socket_path, const std::string& request_path,
             std::int64_t deadline_us)
    : request_("GET " + request_path +
               " HTTP/1.0\r\nHost: localhost\r\nUser-Agent: hasp-probe\r\nAccept: "
               "*/*\r\nConnection: close\r\n\r\n"),
      deadline_us_(deadline_us) {
    int error = 0;
    dialer_ = connect_unix(socket_path, error);
    if (!dialer_) {
        reason_ = std::string("the dialer cannot be reached: ") + std::strerror(error);
    }
}

unsigned Probe::events() const {
    return app_ && !request_.empty() ? EPOLLOUT : EPOLLIN;
}

Probe::Step Probe::failed(std::string reason) {
    reason_ = std::move(reason);
    return Step::failed;
}

Probe::Step Probe::go_on() {
    if (!dialer_ && !app_) {
        return Step::failed;
    }
    if (!app_) {
        if (const Step step = read_dialer(); step == Step::failed || !app_) {
            return step;
        }
    }
    while (!request_.empty()) {
        const ssize_t n =
            ::send(app_.get(), request_.data(), request_.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0) {
            return errno == EAGAIN ? Step::waiting
                                   : failed(std::string("cannot send: ") + std::strerror(errno));
        }
        request_.erase(0, static_cast<std::size_t>(n));
    }
    return read_answer();
}

Probe::Step Probe::read_dialer() {
    char bytes[dialer_message_max];
    alignas(cmsghdr) char space[CMSG_SPACE(sizeof(int))];
    iovec part{bytes, sizeof bytes};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = space;
    message.msg_controllen = sizeof space;
    const ssize_t n = ::recvmsg(dialer_.get(), &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) {
        return Step::waiting;
    }
    if (n <= 0) {
        return failed("the dialer has ended");
    }
    const cmsghdr* header = CMSG_FIRSTHDR(&message);
    if (header != nullptr && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS) {
        int fd = -1;
        std::memcpy(&fd, CMSG_DATA(header), sizeof fd);
        app_.reset(fd);
    }
    if (bytes[0] != 'F' || !app_) {
        app_.reset();
        return failed(std::string(bytes + 1, static_cast<std::size_t>(n - 1)));
    }
    dialer_.reset();
    return Step::waiting;
}

Probe::Step Probe::read_answer() {
    while (answer_.size() < status_line_bytes) {
        char bytes[status_line_bytes];
        const ssize_t n =
            ::recv(app_.get(), bytes, status_line_bytes - answer_.size(), MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN) {
            return Step::waiting;
        }
        if (n < 0) {
            return failed(std::string("cannot receive: ") + std::strerror(errno));
        }
        if (n == 0) {
            return failed("it closed the connection without an answer");
        }
        answer_.append(bytes, static_cast<std::size_t>(n));
    }
    const auto digit = [&](std::size_t i) { return answer_[i] >= '0' && answer_[i] <= '9'; };
    if (!answer_.starts_with("HTTP/1.") || answer_[8] != ' ' || !digit(9) || !digit(10) ||
        !digit(11)) {
        return failed("its answer is not HTTP/1");
    }
    status_ = (answer_[9] - '0') * 100 + (answer_[10] - '0') * 10 + (answer_[11] - '0');
    return Step::answered;
}

} // namespace hasp::run
