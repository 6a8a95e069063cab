#include "supervisor.h"

#include "base/clock.h"
#include "base/files.h"
#include "base/random.h"
#include "base/text.h"
#include "billing/usage_ring.h"
#include "control.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <netdb.h>
#include <optional>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

namespace hasp::cmd {

namespace {

enum Role : std::size_t { front, keeper, spawner, roles };
constexpr std::array<const char*, roles> role_names{"front", "keeper", "spawner"};

// A process that dies again within this time of its start waits before the next start: 0, 100, 200,
// 400 … ms.
constexpr std::int64_t quick_death_us = 2'000'000;
constexpr std::int64_t restart_delay_us_max = 1'600'000;
constexpr std::int64_t certificate_look_every_us = 2'000'000;
constexpr std::int64_t stop_grace_us =
    5'000'000; // from SIGTERM to SIGKILL when a process does not end by itself

struct Process {
    pid_t pid = -1;
    Fd control;
    std::int64_t started_us = 0;
    std::int64_t restart_at_us = -1; // >= 0: to be started then
    std::int64_t delay_us = 0;
    bool drained = false;
};

struct Listening {
    std::string kind;
    std::string address;
    Fd fd;
};

Result<Listening> listen_on(const ListenSpec& spec) {
    const std::string what = "cannot listen on " + spec.address;
    const std::size_t colon = spec.address.rfind(':');
    if (colon == std::string::npos) {
        return fail(Code::usage, what + ": no port in it",
                    "write HOST:PORT, for example 127.0.0.1:8480");
    }
    std::string host = spec.address.substr(0, colon);
    if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
        host = host.substr(1, host.size() - 2);
    }
    addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV;
    addrinfo* found = nullptr;
    if (const int rc = ::getaddrinfo(host.empty() ? nullptr : host.c_str(),
                                     spec.address.c_str() + colon + 1, &hints, &found);
        rc != 0) {
        return fail(Code::usage, what + ": " + ::gai_strerror(rc),
                    "write a numeric address, for example 127.0.0.1:8480 or [::]:8480");
    }
    Fd fd(::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const int on = 1;
    int rc = fd ? ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) : -1;
    if (rc == 0) {
        rc = ::bind(fd.get(), found->ai_addr, found->ai_addrlen);
    }
    if (rc == 0) {
        rc = ::listen(fd.get(), 4096);
    }
    const int error = errno;
    ::freeaddrinfo(found);
    if (rc != 0) {
        Error e = errno_error(error, what);
        if (error == EADDRINUSE) {
            e.code = Code::conflict;
            e.hint =
                "another program has this port: stop it, or choose another address in hasp.toml";
        }
        return e;
    }
    sockaddr_storage bound{};
    socklen_t size = sizeof bound;
    std::array<char, 16> port{};
    if (::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&bound), &size) == 0 &&
        ::getnameinfo(reinterpret_cast<sockaddr*>(&bound), size, nullptr, 0, port.data(),
                      port.size(), NI_NUMERICSERV) == 0) {
        return Listening{spec.kind, spec.address.substr(0, colon + 1) + port.data(), std::move(fd)};
    }
    return errno_error(errno, what);
}

class Supervisor {
  public:
    Supervisor(const SupervisorOptions& options, const Log& log) : options_(options), log_(log) {}

    Status prepare() {
        for (const ListenSpec& spec : options_.listen) {
            auto listening = listen_on(spec);
            if (!listening.ok()) {
                return listening.error();
            }
            listening_.push_back(*std::move(listening));
        }
        std::array<std::uint8_t, 16> id{};
        SystemRandom().fill(id.data(), id.size());
        auto ring = billing::UsageRing::create(1, options_.usage_records, id);
        if (!ring.ok()) {
            return ring.error();
        }
        ring_ = *std::move(ring);
        if (Status opened = open_access_log(); !opened.ok()) {
            return opened;
        }
        open_cache();
        certificate_seen_ = certificate_state();
        sigset_t set;
        sigemptyset(&set);
        for (const int s : {SIGTERM, SIGINT, SIGCHLD, SIGHUP}) {
            sigaddset(&set, s);
        }
        ::sigprocmask(SIG_BLOCK, &set, nullptr);
        ::signal(SIGPIPE, SIG_IGN);
        signals_.reset(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
        // Apps that a dead spawner leaves behind come to us, so that they can be reaped.
        ::prctl(PR_SET_CHILD_SUBREAPER, 1);
        return {};
    }

    int run() {
        for (std::size_t role = 0; role < roles; ++role) {
            start(role);
        }
        while (!finished()) {
            wait_and_dispatch();
        }
        return failed_ ? 1 : 0;
    }

  private:
    // Anew after a rotation: the file of that name may be another one by then.
    Status open_access_log() {
        if (options_.access_log.empty()) {
            return {};
        }
        Fd file(
            ::open(options_.access_log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
        if (!file) {
            return errno_error(errno, "cannot open " + options_.access_log);
        }
        access_log_ = std::move(file);
        return {};
    }

    // Front makes it as large as it is to be. A tier without it serves as well, only slower.
    void open_cache() {
        if (options_.cache.empty()) {
            return;
        }
        cache_.reset(
            ::open(options_.cache.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
        if (!cache_) {
            log_.warn("supervisor.cache",
                      "cannot open " + options_.cache + ": " + std::strerror(errno));
        }
    }

    void on_hangup() {
        if (Status opened = open_access_log(); !opened.ok()) {
            log_.error("supervisor.access_log", opened.error().message);
        } else if (access_log_ && processes_[front].pid >= 0) {
            say(front, "access-log", access_log_.get());
        }
        offer_certificate();
    }

    // Which file of that name, and as of when: renewed certificates are renamed into place, or
    // written over.
    std::string certificate_state() const {
        std::string out;
        for (const std::string& file : {options_.tls_cert, options_.tls_key}) {
            struct stat now {};
            if (!file.empty() && ::stat(file.c_str(), &now) == 0) {
                out += std::to_string(now.st_ino) + "." + std::to_string(now.st_mtim.tv_sec) + "." +
                       std::to_string(now.st_mtim.tv_nsec) + " ";
            }
        }
        return out;
    }

    // Front is in its jail and opens no file: it gets both as descriptors, and judges them.
    void offer_certificate() {
        certificate_seen_ = certificate_state();
        const Fd chain(::open(options_.tls_cert.c_str(), O_RDONLY | O_CLOEXEC));
        const Fd key(::open(options_.tls_key.c_str(), O_RDONLY | O_CLOEXEC));
        if (options_.tls_cert.empty() || processes_[front].pid < 0) {
            return;
        }
        if (!chain || !key) {
            log_.error("supervisor.certificate",
                       "cannot open " + (chain ? options_.tls_key : options_.tls_cert) + ": " +
                           std::strerror(errno));
            return;
        }
        say(front, "web-certificate", chain.get());
        say(front, "web-key", key.get());
    }

    bool finished() const {
        return stopping_ && std::all_of(processes_.begin(), processes_.end(),
                                        [](const Process& p) { return p.pid < 0; });
    }

    void start(std::size_t role) {
        Process& p = processes_[role];
        std::array<int, 2> pair{};
        if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair.data()) != 0) {
            log_.error("supervisor.start", "cannot make a socket pair");
            return;
        }
        const pid_t pid = ::fork();
        if (pid == 0) {
            ::dup2(pair[1], control_fd);
            // Ctrl-C in a terminal is for the supervisor, which lets users finish what they have
            // begun.
            ::setpgid(0, 0);
            sigset_t none;
            sigemptyset(&none);
            ::sigprocmask(SIG_SETMASK, &none, nullptr);
            ::execl("/proc/self/exe", role_names[role], "process", role_names[role], "--state",
                    options_.state.c_str(), "--config", options_.config.c_str(),
                    options_.json_log ? "--json" : nullptr, nullptr);
            ::_exit(127);
        }
        ::close(pair[1]);
        if (pid < 0) {
            ::close(pair[0]);
            log_.error("supervisor.start", "cannot make a process, trying again");
            p.restart_at_us = clock_.boot_us() + restart_delay_us_max;
            return;
        }
        p.control.reset(pair[0]);
        p.pid = pid;
        p.started_us = clock_.boot_us();
        p.restart_at_us = -1;
        p.drained = false;
        if (role == front) {
            for (const Listening& l : listening_) {
                say(role, "listen " + l.kind + " " + l.address, l.fd.get());
            }
            if (access_log_) {
                say(role, "access-log", access_log_.get());
            }
            if (cache_) {
                say(role, "cache", cache_.get());
            }
        }
        if (role != spawner) {
            say(role, "ring", ring_.get());
        }
        join(role);
        tell_pids();
        say(role, "start");
    }

    // New socket pairs between `role` and the others that it speaks with. keeper is one end of
    // every pair.
    void join(std::size_t role) {
        for (std::size_t other = 0; other < roles; ++other) {
            if (other != role && (role == keeper || other == keeper)) {
                join_pair(role, other);
            }
        }
    }

    void join_pair(std::size_t role, std::size_t other) {
        if (processes_[role].pid < 0 || processes_[other].pid < 0) {
            return; // the start of the one that is missing joins them
        }
        std::array<int, 2> pair{};
        if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair.data()) !=
            0) {
            log_.error("supervisor.join", "cannot make a socket pair");
            return;
        }
        const Fd mine(pair[0]);
        const Fd theirs(pair[1]);
        say(role, std::string("peer ") + role_names[other], mine.get());
        say(other, std::string("peer ") + role_names[role], theirs.get());
    }

    void tell_pids() {
        std::string text = "pids supervisor=" + std::to_string(::getpid());
        for (std::size_t role = 0; role < roles; ++role) {
            text +=
                std::string(" ") + role_names[role] + "=" + std::to_string(processes_[role].pid);
        }
        if (processes_[keeper].pid >= 0) {
            say(keeper, text);
        }
    }

    void say(std::size_t role, const std::string& text, int fd = -1) {
        if (const Status sent = send_control(processes_[role].control.get(), text, fd);
            !sent.ok()) {
            log_.warn("supervisor.say", sent.error().message, {{"process", role_names[role]}});
        }
    }

    void wait_and_dispatch() {
        std::array<pollfd, roles + 1> fds{};
        fds[roles] = {signals_.get(), POLLIN, 0};
        std::int64_t next_us = -1;
        for (std::size_t role = 0; role < roles; ++role) {
            fds[role] = {processes_[role].control.get(), POLLIN, 0};
            const std::int64_t at = processes_[role].restart_at_us;
            if (at >= 0 && (next_us < 0 || at < next_us)) {
                next_us = at;
            }
        }
        if (deadline_us_ >= 0 && (next_us < 0 || deadline_us_ < next_us)) {
            next_us = deadline_us_;
        }
        if (!options_.tls_cert.empty() && (next_us < 0 || certificate_look_us_ < next_us)) {
            next_us = certificate_look_us_;
        }
        int wait_ms = -1;
        if (next_us >= 0) {
            wait_ms = static_cast<int>(
                std::max<std::int64_t>(0, (next_us - clock_.boot_us() + 999) / 1000));
        }
        ::poll(fds.data(), fds.size(), wait_ms);
        if ((fds[roles].revents & POLLIN) != 0) {
            on_signals();
        }
        for (std::size_t role = 0; role < roles; ++role) {
            if (fds[role].revents != 0 && fds[role].fd == processes_[role].control.get()) {
                on_control(role);
            }
        }
        const std::int64_t now = clock_.boot_us();
        for (std::size_t role = 0; role < roles; ++role) {
            if (!stopping_ && processes_[role].restart_at_us >= 0 &&
                processes_[role].restart_at_us <= now) {
                start(role);
            }
        }
        if (deadline_us_ >= 0 && deadline_us_ <= now) {
            on_deadline();
        }
        if (!options_.tls_cert.empty() && certificate_look_us_ <= now) {
            certificate_look_us_ = now + certificate_look_every_us;
            // Both files must have come to rest: a pair that is half renewed does not fit.
            const std::string state = certificate_state();
            if (state != certificate_seen_ && state == certificate_last_look_) {
                offer_certificate();
            }
            certificate_last_look_ = state;
        }
    }

    void on_signals() {
        signalfd_siginfo info{};
        while (::read(signals_.get(), &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
            if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT) {
                begin_stop();
            } else if (info.ssi_signo == SIGHUP) {
                on_hangup();
            }
        }
        reap();
    }

    void reap() {
        int status = 0;
        for (pid_t pid = ::waitpid(-1, &status, WNOHANG); pid > 0;
             pid = ::waitpid(-1, &status, WNOHANG)) {
            for (std::size_t role = 0; role < roles; ++role) {
                if (processes_[role].pid == pid) {
                    on_death(role, status);
                }
            }
        }
    }

    void on_death(std::size_t role, int status) {
        Process& p = processes_[role];
        p.pid = -1;
        p.control.reset();
        const std::int64_t now = clock_.boot_us();
        if (stopping_) {
            next_stop_step();
            return;
        }
        const std::string how = WIFSIGNALED(status)
                                    ? std::string("killed by ") + ::strsignal(WTERMSIG(status))
                                    : "ended with status " + std::to_string(WEXITSTATUS(status));
        if (!ready_) {
            // A tier that never came up would only fail again: the process has said why.
            log_.error("supervisor.death",
                       std::string(role_names[role]) + " " + how + " before the tier was ready");
            failed_ = true;
            begin_stop();
            return;
        }
        p.delay_us =
            now - p.started_us > quick_death_us
                ? 0
                : std::min(restart_delay_us_max, p.delay_us == 0 ? 100'000 : p.delay_us * 2);
        p.restart_at_us = now + p.delay_us;
        log_.error("supervisor.restart",
                   std::string(role_names[role]) + " " + how + ", starting it again");
    }

    void on_control(std::size_t role) {
        for (;;) {
            auto message = receive_control(processes_[role].control.get());
            if (!message.ok()) {
                processes_[role].control.reset();
                reap();
                return;
            }
            if (!*message) {
                return;
            }
            if ((*message)->verb == "ready" && role == front && !ready_) {
                ready_ = true;
                for (const Listening& l : listening_) {
                    if (l.kind == "web" || l.kind == "web-tls") {
                        std::printf("ready %s://%s\n", l.kind == "web" ? "http" : "https",
                                    l.address.c_str());
                    }
                }
                std::fflush(stdout);
            } else if ((*message)->verb == "drained") {
                processes_[role].drained = true;
            } else if ((*message)->verb == "rejoin" && role == keeper) {
                join_pair(keeper, (*message)->rest == role_names[front] ? front : spawner);
            }
        }
    }

    // Front first (it finishes what users have begun), then the apps, the stores last.
    void begin_stop() {
        if (stopping_) {
            return;
        }
        stopping_ = true;
        listening_.clear();
        step_ = front;
        stop_step();
    }

    void next_stop_step() {
        while (step_ < roles && processes_[order(step_)].pid < 0) {
            ++step_;
            if (step_ < roles) {
                stop_step();
            }
        }
    }

    static std::size_t order(std::size_t step) {
        constexpr std::array<std::size_t, roles> stop_order{front, spawner, keeper};
        return stop_order[step];
    }

    void stop_step() {
        const std::size_t role = order(step_);
        if (processes_[role].pid < 0) {
            next_stop_step();
            return;
        }
        say(role, "drain");
        deadline_us_ = clock_.boot_us() + options_.drain_ms * 1000 + stop_grace_us;
    }

    void on_deadline() {
        deadline_us_ = clock_.boot_us() + stop_grace_us;
        if (step_ < roles && processes_[order(step_)].pid >= 0) {
            log_.warn("supervisor.stop",
                      std::string(role_names[order(step_)]) + " did not end in time and is killed");
            ::kill(processes_[order(step_)].pid, SIGKILL);
        }
    }

    const SupervisorOptions& options_;
    const Log& log_;
    SystemClock clock_;
    std::vector<Listening> listening_;
    Fd ring_;
    Fd access_log_;
    Fd cache_;
    std::string certificate_seen_; // what front has
    std::string certificate_last_look_;
    std::int64_t certificate_look_us_ = 0;
    Fd signals_;
    std::array<Process, roles> processes_;
    bool ready_ = false;
    bool stopping_ = false;
    bool failed_ = false;
    std::size_t step_ = 0;
    std::int64_t deadline_us_ = -1;
};

} // namespace

Result<int> run_supervisor(const SupervisorOptions& options, const Log& log) {
    Supervisor supervisor(options, log);
    if (Status prepared = supervisor.prepare(); !prepared.ok()) {
        return prepared.error();
    }
    return supervisor.run();
}

} // namespace hasp::cmd
