#include "run/dialer.h"

#include "app_process.h"
#include "base/fd.h"

#include <algorithm>
#include <arpa/inet.h>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <ctime>
#include <netinet/in.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

namespace hasp::run {
namespace {

// The dialer is a process of its own inside a sandbox, with nobody to pass it a clock.
std::int64_t now_ms() {
    timespec t{};
    ::clock_gettime(CLOCK_MONOTONIC, &t);
    return std::int64_t{t.tv_sec} * 1000 + t.tv_nsec / 1'000'000;
}

// One message, with a descriptor if there is one. A receiver that has gone away needs none.
void send_message(int to, char* bytes, std::size_t size, int fd) {
    iovec part{bytes, size};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    alignas(cmsghdr) char space[CMSG_SPACE(sizeof(int))] = {};
    if (fd >= 0) {
        message.msg_control = space;
        message.msg_controllen = sizeof space;
        cmsghdr* header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int));
        std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
    }
    (void)::sendmsg(to, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

// By it the spawner sees the end of the whole PID namespace, whose first process this is.
void send_pidfd(int control) {
    const Fd self(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)));
    char word = 'P';
    send_message(control, &word, 1, self.get());
}

constexpr int retry_ms = 20; // a unix socket with a full queue refuses at once instead of waiting

struct Dial {
    Fd client;
    Fd app;
    bool connecting = false; // TCP: wait for the socket; else try again
    std::int64_t deadline_ms = 0;
};

class Dialer {
  public:
    Dialer(const DialerOptions& options, pid_t app, Fd signals)
        : options_(options), app_(app), signals_(std::move(signals)) {}

    int run();

  private:
    void accept_clients();
    // True when the dial has come to its end.
    bool step(Dial& dial, bool writable);
    bool try_connect(Dial& dial);
    void answer(const Dial& dial, const char* error);
    void read_control();
    void read_signals();
    void finish(int status);

    const DialerOptions& options_;
    pid_t app_;
    Fd signals_;
    std::vector<Dial> dials_;
    bool over_ = false;
    int status_ = 0;
};

void Dialer::answer(const Dial& dial, const char* error) {
    char bytes[1 + dial_error_bytes_max] = {'F'};
    std::size_t size = 1;
    if (error != nullptr) {
        bytes[0] = 'E';
        const std::size_t length = std::min(std::strlen(error), dial_error_bytes_max);
        std::memcpy(bytes + 1, error, length);
        size += length;
    }
    send_message(dial.client.get(), bytes, size, error == nullptr ? dial.app.get() : -1);
}

// Begins a connect; true when the dial has come to its end.
bool Dialer::try_connect(Dial& dial) {
    const int family = options_.unix_socket ? AF_UNIX : AF_INET;
    dial.app.reset(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!dial.app) {
        answer(dial, std::strerror(errno));
        return true;
    }
    int rc = 0;
    if (options_.unix_socket) {
        sockaddr_un to{};
        to.sun_family = AF_UNIX;
        options_.socket_path.copy(to.sun_path, sizeof to.sun_path - 1);
        rc = ::connect(dial.app.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to);
    } else {
        sockaddr_in to{};
        to.sin_family = AF_INET;
        to.sin_port = htons(options_.port);
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        rc = ::connect(dial.app.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to);
    }
    if (rc == 0) {
        answer(dial, nullptr);
        return true;
    }
    dial.connecting = errno == EINPROGRESS;
    if (dial.connecting || errno == EAGAIN) {
        return false;
    }
    answer(dial, (std::string("connect: ") + std::strerror(errno)).c_str());
    return true;
}

bool Dialer::step(Dial& dial, bool writable) {
    if (dial.connecting && writable) {
        int error = 0;
        socklen_t size = sizeof error;
        ::getsockopt(dial.app.get(), SOL_SOCKET, SO_ERROR, &error, &size);
        answer(dial,
               error == 0 ? nullptr : (std::string("connect: ") + std::strerror(error)).c_str());
        return true;
    }
    if (now_ms() >= dial.deadline_ms) {
        answer(dial, "the app does not accept connections: its queue is full");
        return true;
    }
    return dial.connecting ? false : try_connect(dial);
}

void Dialer::accept_clients() {
    while (dials_.size() < static_cast<std::size_t>(dials_pending_max)) {
        Dial dial;
        dial.client.reset(
            ::accept4(options_.listen_fd, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
        if (!dial.client) {
            return;
        }
        dial.deadline_ms = now_ms() + dial_timeout_ms;
        if (!try_connect(dial)) {
            dials_.push_back(std::move(dial));
        }
    }
}

void Dialer::finish(int status) {
    over_ = true;
    status_ = status;
}

void Dialer::read_control() {
    char word = 0;
    const ssize_t n = ::recv(options_.control_fd, &word, 1, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (n > 0 && word == 'T') {
        ::kill(-app_, SIGTERM);
    } else {
        // Told to, or the spawner is gone: nobody would ever end this app again.
        finish(SIGKILL);
    }
}

void Dialer::read_signals() {
    signalfd_siginfo info{};
    while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
        if (info.ssi_signo != SIGCHLD) {
            ::kill(-app_, SIGTERM);
        }
    }
    int status = 0;
    for (pid_t pid = ::waitpid(-1, &status, WNOHANG); pid > 0;
         pid = ::waitpid(-1, &status, WNOHANG)) {
        if (pid == app_) {
            finish(status);
        }
    }
}

int Dialer::run() {
    while (!over_) {
        const bool room = dials_.size() < static_cast<std::size_t>(dials_pending_max);
        std::vector<pollfd> polled = {
            {signals_.get(), POLLIN, 0},
            {options_.control_fd, POLLIN, 0},
            {room ? options_.listen_fd : -1, POLLIN, 0},
        };
        const std::size_t first = polled.size();
        int wait_ms = -1;
        for (const Dial& dial : dials_) {
            polled.push_back({dial.connecting ? dial.app.get() : -1, POLLOUT, 0});
            const auto left =
                static_cast<int>(std::max<std::int64_t>(0, dial.deadline_ms - now_ms()));
            const int until = dial.connecting ? left : std::min(left, retry_ms);
            wait_ms = wait_ms < 0 ? until : std::min(wait_ms, until);
        }
        if (::poll(polled.data(), polled.size(), wait_ms) < 0 && errno != EINTR) {
            finish(SIGKILL);
            break;
        }
        std::size_t index = first;
        std::erase_if(dials_, [&](Dial& dial) { return step(dial, polled[index++].revents != 0); });
        if (polled[2].revents != 0) {
            accept_clients();
        }
        if (polled[1].revents != 0) {
            read_control();
        }
        if (polled[0].revents != 0) {
            read_signals();
        }
    }
    return status_;
}

} // namespace

int dialer_main(const DialerOptions& options, const std::vector<std::string>& command) {
    // Keeps the app, which has the same uid, out of this process's memory and descriptors.
    ::prctl(PR_SET_DUMPABLE, 0);
    if (options.landlocked) {
        ::prctl(PR_SET_CHILD_SUBREAPER, 1);
    }
    ::signal(SIGPIPE, SIG_IGN);
    sigset_t mask;
    sigemptyset(&mask);
    for (const int signal : {SIGCHLD, SIGTERM, SIGINT, SIGHUP}) {
        sigaddset(&mask, signal);
    }
    ::sigprocmask(SIG_BLOCK, &mask, nullptr);
    Fd signals(::signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK));
    send_pidfd(options.control_fd);
    const pid_t app = start_app(options, command);
    if (app < 0 || !signals) {
        return 127;
    }
    Dialer dialer(options, app, std::move(signals));
    const int status = dialer.run();
    end_descendants();
    const std::string word = "X" + std::to_string(status);
    (void)::send(options.control_fd, word.data(), word.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

} // namespace hasp::run
