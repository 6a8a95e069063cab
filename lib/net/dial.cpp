#include "net/dial.h"

#include "net/address.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

namespace hasp::net {
namespace {

constexpr char word_socket = 'F';
constexpr char word_error = 'E';

// connect(2) to a path that may be longer than sun_path: through the folder's descriptor then.
int connect_path(int socket, const std::string& path) {
    sockaddr_un un{};
    un.sun_family = AF_UNIX;
    std::string short_path = path;
    Fd folder;
    if (path.size() >= sizeof un.sun_path) {
        const std::size_t slash = path.rfind('/');
        folder.reset(open(path.substr(0, slash).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
        if (!folder) {
            return -1;
        }
        short_path = "/proc/self/fd/" + std::to_string(folder.get()) + path.substr(slash);
    }
    if (short_path.size() >= sizeof un.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    std::copy(short_path.begin(), short_path.end(), un.sun_path);
    return connect(socket, reinterpret_cast<const sockaddr*>(&un), sizeof un);
}

Error dial_error(int why, const std::string& path) {
    Error error = errno_error(why, "cannot dial " + path);
    error.code = why == ENOENT || why == ECONNREFUSED ? Code::not_found
                 : why == EAGAIN                      ? Code::try_later
                                                      : Code::failed;
    return error;
}

} // namespace

Dial::Dial(Reactor& reactor)
    : reactor_(reactor), limit_(reactor.timers(), timer_call<&Dial::on_time>, this),
      deferred_(timer_call<&Dial::on_deferred>, this) {}

Dial::~Dial() {
    cancel();
}

void Dial::start(const std::string& unix_path, std::int64_t timeout_ms, Done done) {
    done_ = std::move(done);
    text_.clear();
    refused_ = false;
    socket_.reset(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    Status status;
    if (!socket_) {
        status = errno_error(errno, "cannot make a socket to dial " + unix_path);
    } else if (connect_path(socket_.get(), unix_path) != 0) {
        status = dial_error(errno, unix_path);
        socket_.reset();
    } else if (status = reactor_.add(socket_.get(), *this); !status) {
        socket_.reset();
    }
    if (!status) {
        early_ = status.error();
        reactor_.post(deferred_);
        return;
    }
    limit_.arm(timeout_ms);
}

void Dial::cancel() {
    if (socket_) {
        reactor_.remove(socket_.get(), *this);
        socket_.reset();
    }
    limit_.cancel();
    deferred_.cancel();
    done_ = nullptr;
}

void Dial::on_deferred() {
    finish(std::move(early_));
}

void Dial::on_time() {
    finish(fail(Code::timed_out, "the app's dialer did not answer in time"));
}

void Dial::finish(Result<Fd> result) {
    const Done done = std::move(done_);
    cancel();
    done(std::move(result)); // may destroy us
}

void Dial::on_edges(Edges edges) {
    if (edges.readable || edges.peer_closed || edges.broken) {
        receive();
    }
}

void Dial::receive() {
    for (;;) {
        char bytes[1 + dial_text_max];
        iovec piece{bytes, sizeof bytes};
        // Room for one descriptor; more are dropped by the kernel and the message is refused.
        alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
        msghdr message{};
        message.msg_iov = &piece;
        message.msg_iovlen = 1;
        message.msg_control = control;
        message.msg_controllen = sizeof control;
        const ssize_t got = recvmsg(socket_.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0 && errno == EAGAIN) {
            return;
        }
        Fd received;
        const cmsghdr* header = got > 0 ? CMSG_FIRSTHDR(&message) : nullptr;
        if (header != nullptr && header->cmsg_level == SOL_SOCKET &&
            header->cmsg_type == SCM_RIGHTS && header->cmsg_len == CMSG_LEN(sizeof(int))) {
            int fd = -1;
            std::memcpy(&fd, CMSG_DATA(header), sizeof fd);
            received.reset(fd);
        }
        if (got <= 0) {
            if (refused_) {
                finish(fail(Code::unreachable, "the app cannot be reached: " + text_));
            } else {
                finish(fail(Code::unreachable, "the app's dialer hung up without an answer"));
            }
            return;
        }
        const auto size = static_cast<std::size_t>(got);
        if (!refused_ && bytes[0] == word_socket && size == 1 && received &&
            (message.msg_flags & MSG_CTRUNC) == 0) {
            finish(std::move(received));
            return;
        }
        const bool first = !refused_;
        if ((first && bytes[0] != word_error) || received) {
            finish(fail(Code::failed, "the app's dialer does not keep to its protocol"));
            return;
        }
        refused_ = true;
        const std::size_t skip = first ? 1 : 0;
        text_.append(bytes + skip, std::min(size - skip, dial_text_max - text_.size()));
        if (text_.size() == dial_text_max) {
            finish(fail(Code::unreachable, "the app cannot be reached: " + text_));
            return;
        }
    }
}

Status answer_dial(int socket, int descriptor) {
    char word = word_socket;
    iovec piece{&word, 1};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))]{};
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(header), &descriptor, sizeof descriptor);
    return sendmsg(socket, &message, MSG_NOSIGNAL) == 1 ? Status{}
                                                        : errno_error(errno, "answering a dial");
}

Status refuse_dial(int socket, std::string_view text) {
    std::string message(1, word_error);
    message += text.substr(0, dial_text_max);
    return send(socket, message.data(), message.size(), MSG_NOSIGNAL) ==
                   static_cast<ssize_t>(message.size())
               ? Status{}
               : errno_error(errno, "refusing a dial");
}

} // namespace hasp::net
