#include "supervisor.h"

#include "base/files.h"
#include "base/random.h"
#include "base/text.h"
#include "billing/usage_ring.h"
#include "control.h"
#include "supervisor_core.h"
#include "sync/open_gate.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

namespace hasp::cmd {

namespace {

constexpr std::int64_t certificate_look_every_us = 2'000'000;
constexpr std::int64_t stop_grace_us =
    5'000'000; // from SIGTERM to SIGKILL when a process does not end by itself

std::vector<ListenSpec> listeners(const maint::Config& config) {
    std::vector<ListenSpec> out;
    for (const auto& [kind, addresses] :
         {std::pair{"web", &config.web.listen}, std::pair{"web-tls", &config.web.tls_listen},
          std::pair{"metrics", &config.metrics.listen}, std::pair{"link", &config.link.listen}}) {
        for (const std::string& address : *addresses) {
            out.push_back({kind, address});
        }
    }
    return out;
}

} // namespace

Supervisor::Supervisor(SupervisorOptions options, const Clock& clock)
    : options_(std::move(options)), clock_(clock) {
    for (std::size_t role = 0; role < roles; ++role) {
        processes_[role].role = static_cast<Role>(role);
    }
}

Status Supervisor::prepare() {
    // After an exec the file may be one that this program does not know how to read: what was in
    // effect counts until a front is to follow.
    auto config = options_.from ? maint::parse_config(options_.from->config, "the config in effect")
                                : options_.read();
    if (options_.from && !config.ok()) {
        config = options_.read(); // it had settings that there are no more
    }
    log_as(config.ok() ? *config : maint::Config{});
    if (!config.ok()) {
        return go_back(config.error());
    }
    door_.emplace(options_.state, *log_, [this](Door::Client client, const std::string& command) {
        on_command(client, command);
    });
    if (options_.from) {
        adopt(*std::move(config));
    } else {
        auto setup = make_setup(*std::move(config));
        if (!setup.ok()) {
            return setup.error();
        }
        setup_ = *std::move(setup);
        std::array<std::uint8_t, 16> id{};
        SystemRandom().fill(id.data(), id.size());
        auto ring = billing::UsageRing::create(lanes_all, options_.usage_records, id);
        if (!ring.ok()) {
            return ring.error();
        }
        ring_ = *std::move(ring);
    }
    if (Status opened = door_->open(); !opened.ok() && !options_.from) {
        return opened;
    } else if (!opened.ok()) {
        // Serving goes before taking commands.
        log().error("supervisor.door", opened.error().message);
    }
    certificate_seen_ = certificate_state(setup_.config);
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

void Supervisor::log_as(const maint::Config& config) {
    log_.emplace(STDERR_FILENO, clock_, "supervisor",
                 options_.json_log || config.log.format == maint::Config::LogFormat::json,
                 static_cast<Level>(config.log.level));
}

// Before anything of the handover was taken: all of it goes to the program that it came from.
// Does not come back where there is one.
Status Supervisor::go_back(const Error& why) {
    if (!options_.from || options_.from->program < 0) {
        return why;
    }
    log().error("supervisor.succession", why.message);
    Handover back = *options_.from;
    const Fd before(std::exchange(back.program, -1));
    ::fcntl(before.get(), F_SETFD, FD_CLOEXEC);
    back.failure = why.message;
    options_.program = back.program_path;
    return exec_into(before.get(), {}, back);
}

Result<Supervisor::Setup> Supervisor::make_setup(maint::Config config) const {
    Setup out;
    auto listening = listen_as(listeners(config), setup_.listening);
    if (!listening.ok()) {
        return listening.error();
    }
    out.listening = *std::move(listening);
    auto access_log = open_access_log(config);
    if (!access_log.ok()) {
        return access_log.error();
    }
    out.access_log = *std::move(access_log);
    out.cache = open_cache(config);
    out.config = std::move(config);
    return out;
}

// The processes of the program that was here before, and what it had made.
void Supervisor::adopt(maint::Config was) {
    Handover& from = *options_.from;
    for (const int fd : descriptors_of(from)) {
        ::fcntl(fd, F_SETFD, FD_CLOEXEC);
    }
    options_.lock.reset(from.lock);
    options_.program = from.program_path;
    ring_.reset(from.ring);
    gate_.reset(from.gate);
    previous_.reset(from.program);
    for (const Handover::Socket& one : from.listening) {
        setup_.listening.push_back({{one.kind, one.spec}, one.address, Fd(one.fd)});
    }
    auto access_log = open_access_log(was);
    setup_.access_log = access_log.ok() ? *std::move(access_log) : Fd();
    setup_.cache = open_cache(was);
    setup_.config = std::move(was);
    next_number_ = from.next_number;
    cache_holder_ = from.cache_holder;
    for (const Handover::Process& one : from.processes) {
        Process made;
        made.role = one.role == "front" ? front : one.role == "keeper" ? keeper : spawner;
        made.pid = one.pid;
        made.control.reset(one.control);
        made.number = one.number;
        made.lanes = {one.lane, one.more};
        made.started_us = clock_.boot_us();
        made.until_us = one.leaving ? one.until_us : -1;
        if (one.leaving) {
            leaving_.push_back(std::move(made));
        } else {
            const Role role = made.role;
            made.serves = true;
            processes_[role] = std::move(made);
        }
    }
    ready_ = true;
}

int Supervisor::run() {
    if (!gate_) {
        auto group = sync::open_gate_group();
        if (group.ok()) {
            gate_ = *std::move(group);
        } else {
            log().info("files.on_demand", "users' files come whole: " + group.error().message);
        }
    }
    for (std::size_t role = 0; role < roles; ++role) {
        if (processes_[role].pid < 0) {
            start(static_cast<Role>(role));
        }
    }
    if (options_.from) {
        after_exec();
    }
    while (!finished()) {
        wait_and_dispatch();
    }
    return failed_ ? 1 : 0;
}

// Anew after a rotation: the file of that name may be another one by then.
Result<Fd> Supervisor::open_access_log(const maint::Config& config) const {
    if (!config.log.access) {
        return Fd();
    }
    const std::string path = options_.state + "/log/access.jsonl";
    Fd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    if (!file) {
        return errno_error(errno, "cannot open " + path);
    }
    return file;
}

// Front makes it as large as it is to be. A tier without it serves as well, only slower.
Fd Supervisor::open_cache(const maint::Config& config) const {
    if (config.cache.size_mib == 0) {
        return {};
    }
    const std::string path = options_.state + "/cache/answers";
    const Status made = make_folders(options_.state + "/cache");
    Fd file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!made.ok() || !file) {
        log().warn("supervisor.cache", "cannot open " + path + ": " + std::strerror(errno));
    }
    return file;
}

void Supervisor::on_hangup() {
    auto opened = open_access_log(setup_.config);
    if (!opened.ok()) {
        log().error("supervisor.access_log", opened.error().message);
    } else if (*opened) {
        setup_.access_log = *std::move(opened);
        for (Process* one : fronts()) {
            say(*one, "access-log", setup_.access_log.get());
        }
    }
    offer_certificate();
}

// Which file of that name, and as of when: renewed certificates are renamed into place, or
// written over.
std::string Supervisor::certificate_state(const maint::Config& config) {
    std::string out;
    for (const std::string& file : {config.web.tls_cert, config.web.tls_key}) {
        struct stat now {};
        if (!file.empty() && ::stat(file.c_str(), &now) == 0) {
            out += std::to_string(now.st_ino) + "." + std::to_string(now.st_mtim.tv_sec) + "." +
                   std::to_string(now.st_mtim.tv_nsec) + " ";
        }
    }
    return out;
}

void Supervisor::look_at_certificate(std::int64_t now) {
    certificate_look_us_ = now + certificate_look_every_us;
    // Both files must have come to rest: a pair that is half renewed does not fit.
    const std::string state = certificate_state(setup_.config);
    if (state != certificate_seen_ && state == certificate_last_look_) {
        offer_certificate();
    }
    certificate_last_look_ = state;
}

// Front is in its jail and opens no file: it gets both as descriptors, and judges them.
void Supervisor::offer_certificate() {
    const maint::Config::Web& web = setup_.config.web;
    certificate_seen_ = certificate_state(setup_.config);
    const Fd chain(::open(web.tls_cert.c_str(), O_RDONLY | O_CLOEXEC));
    const Fd key(::open(web.tls_key.c_str(), O_RDONLY | O_CLOEXEC));
    Process& serving = processes_[front];
    if (web.tls_cert.empty() || serving.pid < 0) {
        return;
    }
    if (!chain || !key) {
        log().error("supervisor.certificate", "cannot open " +
                                                  (chain ? web.tls_key : web.tls_cert) + ": " +
                                                  std::strerror(errno));
        return;
    }
    say(serving, "web-certificate", chain.get());
    say(serving, "web-key", key.get());
}

bool Supervisor::finished() const {
    return stopping_ && !next_ && leaving_.empty() &&
           std::all_of(processes_.begin(), processes_.end(),
                       [](const Process& p) { return p.pid < 0; });
}

std::int64_t Supervisor::next_event_us() const {
    std::int64_t next = -1;
    const auto at = [&next](std::int64_t us) {
        if (us >= 0 && (next < 0 || us < next)) {
            next = us;
        }
    };
    for (const Process& one : processes_) {
        at(stopping_ || (one.role == front && next_) ? -1 : one.restart_at_us);
    }
    for (const Process& one : leaving_) {
        at(stopping_ ? -1 : one.until_us); // a stop has its own time
    }
    at(deadline_us_);
    at(succession_ ? succession_->deadline_us : -1);
    at(setup_.config.web.tls_cert.empty() ? -1 : certificate_look_us_);
    return next;
}

void Supervisor::wait_and_dispatch() {
    std::vector<pollfd> fds{{signals_.get(), POLLIN, 0}};
    const int trial = succession_ ? succession_->trial_says.get() : -1;
    fds.push_back({trial, POLLIN, 0});
    for (const Process* one : all()) {
        fds.push_back({one->control.get(), POLLIN, 0});
    }
    const std::size_t doors = fds.size();
    door_->watch(fds);
    const std::int64_t next_us = next_event_us();
    int wait_ms = -1;
    if (next_us >= 0) {
        wait_ms = static_cast<int>(
            std::clamp<std::int64_t>((next_us - clock_.boot_us() + 999) / 1000, 0, 60'000));
    }
    ::poll(fds.data(), fds.size(), wait_ms);
    if ((fds[0].revents & POLLIN) != 0) {
        on_signals();
    }
    if (fds[1].revents != 0 && succession_ && succession_->trial_says.get() == trial) {
        read_trial();
    }
    for (std::size_t i = 2; i < doors; ++i) {
        // What was done for one may have ended others: each is looked up again.
        for (Process* one : all()) {
            if (fds[i].revents != 0 && one->control.get() == fds[i].fd) {
                on_control(*one);
                break;
            }
        }
    }
    for (std::size_t i = doors; i < fds.size(); ++i) {
        door_->on_ready(fds[i]);
    }
    on_time(clock_.boot_us());
}

void Supervisor::on_time(std::int64_t now) {
    for (Process& one : processes_) {
        // A front that is about to serve takes the place: another would lead beside it.
        if (!stopping_ && one.restart_at_us >= 0 && one.restart_at_us <= now &&
            (one.role != front || !next_)) {
            start(one.role);
        }
    }
    if (deadline_us_ >= 0 && deadline_us_ <= now) {
        on_deadline();
    }
    look_at_leaving(now);
    if (succession_ && succession_->deadline_us <= now) {
        succession_time(now);
    }
    if (!setup_.config.web.tls_cert.empty() && certificate_look_us_ <= now) {
        look_at_certificate(now);
    }
}

void Supervisor::on_signals() {
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

void Supervisor::on_control(Process& process) {
    const int socket = process.control.get();
    for (;;) {
        auto message = receive_control(socket);
        if (!message.ok()) {
            process.control.reset();
            reap();
            return;
        }
        if (!*message) {
            return;
        }
        const Role role = process.role;
        take_message(process, **message);
        // It may have moved: the next one is read in the next round.
        if (role == front) {
            return;
        }
    }
}

void Supervisor::take_message(Process& process, const ControlMessage& message) {
    if (message.verb == "ready" && process.role == front) {
        process.serves = true;
        if (next_ && &process == &*next_) {
            promote();
        } else if (!ready_) {
            first_ready();
        }
    } else if (message.verb == "ready" && process.role == keeper) {
        on_keeper_ready();
    } else if (message.verb == "failed") {
        process.failure = message.rest;
    } else if (message.verb == "changed" && processes_[front].pid >= 0 &&
               &process != &processes_[front]) {
        say(processes_[front], "confirm");
    } else if (message.verb == "cache-left" && cache_holder_ == process.number) {
        cache_holder_ = 0;
        hand_cache_on();
    } else if (message.verb == "rejoin" && process.role == keeper) {
        for (Process* other : all()) {
            const std::string name =
                other->role == front ? "front " + std::to_string(other->number) : "spawner";
            if (other->role != keeper && message.rest == name) {
                join_pair(process, *other);
            }
        }
    }
}

void Supervisor::first_ready() {
    ready_ = true;
    for (const Listening& l : setup_.listening) {
        if (l.spec.kind == "web" || l.spec.kind == "web-tls") {
            std::printf("ready %s://%s\n", l.spec.kind == "web" ? "http" : "https",
                        l.address.c_str());
        }
    }
    std::fflush(stdout);
}

// Front first (it finishes what users have begun), then the apps, the stores last.
void Supervisor::begin_stop() {
    if (stopping_) {
        return;
    }
    stopping_ = true;
    if (succession_) {
        give_up(fail(Code::try_later, "the tier is stopping"));
    }
    setup_.listening.clear();
    step_ = 0;
    if (processes_[keeper].pid < 0) {
        keeper_again(keeper);
    }
    stop_step();
}

namespace {

constexpr std::array<Role, roles> stop_order{front, spawner, keeper};

} // namespace

// Log-ins that are under way need it, and what was used stays in the ring until it takes it. Once:
// one that dies again would do so for ever.
bool Supervisor::keeper_again(Role role) {
    if (role != keeper || !ready_ || failed_ || keeper_again_ || step_ >= roles ||
        stop_order[step_] == keeper) {
        return false;
    }
    keeper_again_ = true;
    start(keeper);
    return true;
}

bool Supervisor::step_over() const {
    return processes_[stop_order[step_]].pid < 0 &&
           (stop_order[step_] != front || (leaving_.empty() && !next_));
}

void Supervisor::next_stop_step() {
    while (step_ < roles && step_over()) {
        ++step_;
        if (step_ < roles) {
            stop_step();
        }
    }
}

void Supervisor::stop_step() {
    if (step_over()) {
        next_stop_step();
        return;
    }
    deadline_us_ = clock_.boot_us() + options_.drain_ms * 1000 + stop_grace_us;
    if (stop_order[step_] != front) {
        say(processes_[stop_order[step_]], "drain");
        return;
    }
    for (Process* one : fronts()) {
        say(*one, "drain");
    }
}

void Supervisor::on_deadline() {
    deadline_us_ = clock_.boot_us() + stop_grace_us;
    for (const Process* one : all()) {
        if (step_ < roles && one->role == stop_order[step_]) {
            log().warn("supervisor.stop",
                       std::string(role_names[one->role]) + " did not end in time and is killed");
            ::kill(one->pid, SIGKILL);
        }
    }
}

Result<int> run_supervisor(SupervisorOptions options, const Clock& clock) {
    Supervisor supervisor(std::move(options), clock);
    if (Status prepared = supervisor.prepare(); !prepared.ok()) {
        return prepared.error();
    }
    return supervisor.run();
}

} // namespace hasp::cmd
