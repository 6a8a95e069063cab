// Starting, joining and burying the supervisor's processes.
#include "base/files.h"
#include "control.h"
#include "process.h"
#include "supervisor_core.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace hasp::cmd {

namespace {

// A process that dies again within this time of its start waits before the next start: 0, 100, 200,
// 400 … ms.
constexpr std::int64_t quick_death_us = 2'000'000;
constexpr std::int64_t restart_delay_us_max = 1'600'000;
constexpr std::int64_t leave_grace_us = 15'000'000;  // from "drain" to SIGKILL of a leaving front
constexpr std::int64_t orphaned_us_max = 10'000'000; // of a next front, when the one before dies
constexpr int fds_above = 16; // what a child finds at fixed places lies below

// The config as the supervisor has read and checked it: a process that is started again later must
// not meet a file that somebody is editing.
Fd config_file(const maint::Config& config) {
    const std::string text = maint::example_config(config);
    Fd file(::memfd_create("hasp.toml", MFD_CLOEXEC));
    if (file && !write_all(file.get(), text).ok()) {
        file.reset();
    }
    return file ? Fd(::fcntl(file.get(), F_DUPFD_CLOEXEC, fds_above)) : Fd();
}

std::string how_it_ended(int status) {
    return WIFSIGNALED(status) ? std::string("killed by ") + ::strsignal(WTERMSIG(status))
                               : "ended with status " + std::to_string(WEXITSTATUS(status));
}

} // namespace

void Supervisor::start(Role role) {
    Process& p = processes_[role];
    const std::int64_t delay_us = p.delay_us;
    p = Process{};
    p.role = role;
    p.delay_us = delay_us;
    if (!spawn(p, role == keeper && keeper_config_ ? *keeper_config_ : setup_.config)) {
        p.restart_at_us = clock_.boot_us() + restart_delay_us_max;
        return;
    }
    if (role == front) {
        start_front(p, setup_);
        return;
    }
    if (role == keeper) {
        say(p, "ring 0", ring_.get());
    }
    if (gate_) {
        say(p, "gate", gate_.get());
    }
    join(p);
    tell_pids();
    say(p, "start");
}

// False: there is no such process now.
bool Supervisor::spawn(Process& p, const maint::Config& config) {
    std::array<int, 2> pair{};
    const Fd file = config_file(config);
    if (!file || ::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair.data()) != 0) {
        log().error("supervisor.start", "cannot make what a process is started with, trying again");
        return false;
    }
    p.control.reset(pair[0]);
    const Fd theirs(::fcntl(pair[1], F_DUPFD_CLOEXEC, fds_above));
    ::close(pair[1]);
    const pid_t pid = theirs ? ::fork() : -1;
    if (pid == 0) {
        ::dup2(theirs.get(), control_fd);
        ::dup2(file.get(), config_fd);
        // Ctrl-C in a terminal is for the supervisor, which lets users finish what they have
        // begun.
        ::setpgid(0, 0);
        sigset_t none;
        sigemptyset(&none);
        ::sigprocmask(SIG_SETMASK, &none, nullptr);
        const char* name = role_names[p.role];
        const std::string given = "/proc/self/fd/" + std::to_string(config_fd);
        ::execl("/proc/self/exe", name, "process", name, "--state", options_.state.c_str(),
                "--config", given.c_str(), options_.json_log ? "--json" : nullptr, nullptr);
        ::_exit(127);
    }
    if (pid < 0) {
        p.control.reset();
        log().error("supervisor.start", "cannot make a process, trying again");
        return false;
    }
    p.pid = pid;
    p.started_us = clock_.boot_us();
    return true;
}

void Supervisor::start_front(Process& p, const Setup& setup) {
    p.lanes = lanes_for(p, static_cast<std::uint32_t>(setup.config.web.loops) - 1);
    p.number = next_number_++;
    for (const Listening& l : setup.listening) {
        say(p, "listen " + l.spec.kind + " " + l.address, l.fd.get());
    }
    if (setup.access_log) {
        say(p, "access-log", setup.access_log.get());
    }
    if (setup.cache && cache_holder_ == 0) {
        cache_holder_ = p.number;
        say(p, "cache", setup.cache.get());
    }
    const MoreLanes more = p.lanes.more.value_or(MoreLanes{});
    say(p,
        "ring " + std::to_string(p.lanes.lane) + " " + std::to_string(more.first) + " " +
            std::to_string(more.count),
        ring_.get());
    join(p);
    tell_pids();
    say(p, "start " + std::to_string(p.number));
    if (&p == &processes_[front]) {
        say(p, "lead");
    }
}

// One front at a time works with the file: when that one is done with it, the one that serves gets
// it.
void Supervisor::hand_cache_on() {
    Process& serving = processes_[front];
    if (cache_holder_ == 0 && setup_.cache && serving.pid >= 0 && !stopping_) {
        cache_holder_ = serving.number;
        say(serving, "cache", setup_.cache.get());
    }
}

// New socket pairs between it and the others that it speaks with. keeper is one end of every pair.
void Supervisor::join(Process& process) {
    for (Process* other : all()) {
        if (other != &process && process.role == keeper) {
            join_pair(process, *other);
        } else if (other->role == keeper && process.role != keeper) {
            join_pair(*other, process);
        }
    }
}

void Supervisor::join_pair(Process& the_keeper, Process& other) {
    std::array<int, 2> pair{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair.data()) != 0) {
        log().error("supervisor.join", "cannot make a socket pair");
        return;
    }
    const Fd mine(pair[0]);
    const Fd theirs(pair[1]);
    say(the_keeper,
        other.role == front ? "peer front " + std::to_string(other.number)
                            : std::string("peer ") + role_names[other.role],
        mine.get());
    say(other, "peer keeper", theirs.get());
}

void Supervisor::tell_pids() {
    std::string text = "pids supervisor=" + std::to_string(::getpid());
    for (const Process& one : processes_) {
        text += std::string(" ") + role_names[one.role] + "=" + std::to_string(one.pid);
    }
    for (const Process& one : leaving_) {
        text += " front-" + std::to_string(one.number) + "=" + std::to_string(one.pid);
    }
    if (processes_[keeper].pid >= 0) {
        say(processes_[keeper], text);
    }
}

void Supervisor::say(Process& process, const std::string& text, int fd) {
    if (const Status sent = send_control(process.control.get(), text, fd); !sent.ok()) {
        log().warn("supervisor.say", sent.error().message, {{"process", role_names[process.role]}});
    }
}

FrontLanes Supervisor::lanes_for(const Process& process, std::uint32_t more) const {
    std::vector<FrontLanes> used;
    const auto take = [&used, &process](const Process& one) {
        if (&one != &process && one.pid >= 0 && one.number != 0) {
            used.push_back(one.lanes);
        }
    };
    take(processes_[front]);
    std::for_each(leaving_.begin(), leaving_.end(), take);
    if (next_) {
        take(*next_);
    }
    const auto ring = billing::UsageRing::map(ring_.get());
    return choose_lanes(used, ring.ok() ? ring->lanes() : 0, more); // an older program's has fewer
}

// That run, the serving one last.
std::vector<Supervisor::Process*> Supervisor::fronts() {
    std::vector<Process*> out;
    for (Process* one : all()) {
        if (one->role == front) {
            out.push_back(one);
        }
    }
    return out;
}

// That run.
std::vector<Supervisor::Process*> Supervisor::all() {
    std::vector<Process*> out;
    for (Process& one : leaving_) {
        out.push_back(&one);
    }
    for (Process& one : processes_) {
        if (one.pid >= 0) {
            out.push_back(&one);
        }
    }
    if (next_ && next_->pid >= 0) {
        out.push_back(&*next_);
    }
    return out;
}

// It may have said something before it ended that nobody has read yet.
void Supervisor::hear_last_words(pid_t pid) {
    for (Process* one : all()) {
        while (one->pid == pid && one->control) {
            auto message = receive_control(one->control.get());
            if (!message.ok() || !*message) {
                break;
            }
            if ((*message)->verb == "failed") {
                one->failure = (*message)->rest;
            }
        }
    }
}

void Supervisor::reap() {
    int status = 0;
    for (pid_t pid = ::waitpid(-1, &status, WNOHANG); pid > 0;
         pid = ::waitpid(-1, &status, WNOHANG)) {
        hear_last_words(pid);
        const auto serving = std::find_if(processes_.begin(), processes_.end(),
                                          [pid](const Process& one) { return one.pid == pid; });
        if (serving != processes_.end()) {
            on_death(*serving, status);
        } else {
            on_other_death(pid, status);
        }
    }
}

void Supervisor::on_death(Process& p, int status) {
    p.pid = -1;
    p.control.reset();
    if (p.role == front) {
        front_gone(p);
    }
    const std::int64_t now = clock_.boot_us();
    if (stopping_) {
        if (!keeper_again(p.role)) {
            next_stop_step();
        }
        return;
    }
    if (!ready_) {
        // A tier that never came up would only fail again: the process has said why.
        log().error("supervisor.death", std::string(role_names[p.role]) + " " +
                                            how_it_ended(status) + " before the tier was ready");
        failed_ = true;
        begin_stop();
        return;
    }
    using Phase = Succession::Phase;
    if (p.role == front && next_ && succession_) {
        // That one takes its place. If it does not soon, this one is started again.
        succession_->deadline_us = std::min(succession_->deadline_us, now + orphaned_us_max);
    }
    if (succession_ && succession_->phase == Phase::keeper && p.role == keeper && p.told_to_end) {
        succession_->deadline_us = now + keeper_us_max;
        start(keeper);
        return;
    }
    if (succession_ && p.role != spawner &&
        (succession_->phase == Phase::keeper || succession_->phase == Phase::settle)) {
        const std::string why = std::string(role_names[p.role]) + " " + how_it_ended(status) +
                                (p.failure.empty() ? "" : ": " + p.failure);
        give_up(fail(Code::failed, why)); // where another program is gone back to, that starts it
    }
    p.delay_us = now - p.started_us > quick_death_us
                     ? 0
                     : std::min(restart_delay_us_max, p.delay_us == 0 ? 100'000 : p.delay_us * 2);
    p.restart_at_us = now + p.delay_us;
    log().error("supervisor.restart", std::string(role_names[p.role]) + " " + how_it_ended(status) +
                                          ", starting it again");
}

// Of a front that is no longer, or not yet, the one that serves; or of a trial.
void Supervisor::on_other_death(pid_t pid, int status) {
    const auto left = std::find_if(leaving_.begin(), leaving_.end(),
                                   [pid](const Process& one) { return one.pid == pid; });
    if (left != leaving_.end()) {
        const Process ended = std::move(*left);
        leaving_.erase(left);
        front_gone(ended);
        tell_pids();
        if (status != 0) {
            log().warn("supervisor.left", "a front that was leaving " + how_it_ended(status));
        }
    } else if (next_ && next_->pid == pid) {
        const Process ended = std::move(*next_);
        next_.reset();
        front_gone(ended);
        if (succession_) {
            give_up(fail(Code::failed,
                         "the new front " + how_it_ended(status) +
                             (ended.failure.empty() ? ", see the log" : ": " + ended.failure),
                         "what ran before serves on"));
        }
    } else if (succession_ && succession_->trial == pid) {
        succession_->trial = -1;
        on_trial_end(status);
        return;
    }
    if (stopping_) {
        next_stop_step();
    }
}

void Supervisor::front_gone(const Process& process) {
    if (processes_[keeper].pid >= 0) {
        say(processes_[keeper], "gone " + std::to_string(process.number));
    }
    if (cache_holder_ == process.number) {
        cache_holder_ = 0;
        hand_cache_on();
    }
}

void Supervisor::look_at_leaving(std::int64_t now) {
    for (Process& one : leaving_) {
        if (one.until_us < 0 || one.until_us > now || stopping_) {
            continue;
        }
        if (one.told_to_end) {
            ::kill(one.pid, SIGKILL);
            one.until_us = -1;
            continue;
        }
        log().info("supervisor.left", "what was begun in a front that was replaced took too long",
                   {{"front", std::to_string(one.number)}});
        one.told_to_end = true;
        one.until_us = now + leave_grace_us;
        say(one, "drain");
    }
}

} // namespace hasp::cmd
