// Reload and restart: who serves is followed by another, which is there before it goes.
#include "base/files.h"
#include "base/text.h"
#include "process.h"
#include "supervisor_core.h"
#include "version.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

extern char** environ;

namespace hasp::cmd {

namespace {

constexpr std::int64_t trial_us_max = 20'000'000;
constexpr std::int64_t front_us_max = 30'000'000;
constexpr std::int64_t keeper_end_us_max = 15'000'000;
// A new program that dies within this is gone back from. And no front is followed sooner: children
// come to it in this time, and requests for them wait there.
constexpr std::int64_t settle_us = 2'000'000;
constexpr std::size_t trial_text_max = 4'000;
constexpr int inherited_above = 16;

Fd handover_file(const Handover& handover) {
    Fd file(::memfd_create("hasp-handover", MFD_CLOEXEC));
    if (file && !write_all(file.get(), pack(handover)).ok()) {
        file.reset();
    }
    return file ? Fd(::fcntl(file.get(), F_DUPFD_CLOEXEC, inherited_above)) : Fd();
}

Error failure(const std::string& why) {
    return fail(Code::failed, why, "what ran before serves on");
}

} // namespace

void Supervisor::on_command(Door::Client client, const std::string& command) {
    Status may = may_succeed(command == "restart");
    if (may.ok() && command == "reload") {
        reload(client);
    } else if (may.ok() && command == "restart") {
        restart(client);
    } else {
        door_->answer(client, may.ok() ? fail(Code::usage, "there is no command '" +
                                                               command.substr(0, 40) + "' here")
                                       : may.error());
    }
}

Status Supervisor::may_succeed(bool restart) const {
    if (stopping_ || !ready_ || processes_[front].pid < 0 || !processes_[front].serves ||
        processes_[keeper].pid < 0) {
        return fail(Code::try_later, "the tier is starting or stopping", "try again in a moment");
    }
    if (succession_ || next_) { // one that was given up is still ending
        return fail(Code::conflict, "a reload or restart is under way", "wait for its end");
    }
    // Beside those that leave: the one that serves and the next, and at a restart one more, to go
    // back with.
    if (leaving_.size() + (restart ? 3 : 2) > fronts_max) {
        return fail(Code::try_later,
                    std::to_string(leaving_.size()) +
                        " fronts of earlier reloads still finish what was begun there",
                    "wait, or lower drain_s under [process] at the next reload");
    }
    return {};
}

void Supervisor::reload(Door::Client client) {
    auto config = options_.read();
    if (!config.ok()) {
        door_->answer(client, config.error());
        return;
    }
    succession_.emplace();
    succession_->client = client;
    begin_front(*std::move(config));
}

void Supervisor::begin_front(maint::Config config) {
    succession_->phase = Succession::Phase::front;
    succession_->deadline_us = clock_.boot_us() + front_us_max;
    std::vector<maint::ConfigChange>& changes = succession_->changes;
    changes = maint::config_changes(setup_.config, config);
    if (keeper_config_) {
        // What the front has since a reload that failed is new to the keeper.
        for (maint::ConfigChange& one : maint::config_changes(*keeper_config_, config)) {
            if (one.takes == maint::Takes::keeper &&
                std::none_of(changes.begin(), changes.end(),
                             [&one](const auto& known) { return known.key == one.key; })) {
                changes.push_back(std::move(one));
            }
        }
    }
    auto setup = make_setup(maint::config_in_effect(setup_.config, config));
    if (!setup.ok()) {
        give_up(setup.error());
        return;
    }
    setup->certificate = certificate_state(setup->config);
    succession_->setup = *std::move(setup);
    next_.emplace();
    if (!spawn(*next_, succession_->setup->config)) {
        next_.reset();
        give_up(failure("no process could be made"));
        return;
    }
    start_front(*next_, *succession_->setup);
}

// The next front serves: the one before it finishes what it has.
void Supervisor::promote() {
    if (!succession_ || !succession_->setup) {
        return; // it was given up, and is being ended
    }
    const bool keeper_late = keeper_config_.has_value();
    succession_->before = keeper_config_ ? *std::exchange(keeper_config_, {}) : setup_.config;
    setup_ = *std::move(succession_->setup);
    succession_->setup.reset();
    const maint::Config& config = setup_.config;
    log_as(config);
    certificate_seen_ = setup_.certificate;
    Process& serving = processes_[front];
    if (serving.pid >= 0) {
        serving.until_us = clock_.boot_us() + config.process.drain_s * 1'000'000;
        if (serving.serves) {
            say(serving, "leave");
        } else {
            ::kill(serving.pid, SIGKILL); // it has nothing to finish
        }
        leaving_.push_back(std::move(serving));
    }
    serving = std::move(*next_);
    next_.reset();
    say(serving, "lead");
    hand_cache_on();
    tell_pids();
    log().info("supervisor.front", "a new front serves",
               {{"front", std::to_string(serving.number)}});
    const bool keepers =
        keeper_late ||
        std::any_of(succession_->changes.begin(), succession_->changes.end(),
                    [](const auto& one) { return one.takes == maint::Takes::keeper; });
    if (succession_->restart || keepers) {
        replace_keeper();
    } else {
        settle();
    }
}

// Stores have one owner: the old one goes first. Questions wait in the fronts meanwhile.
void Supervisor::replace_keeper() {
    succession_->phase = Succession::Phase::keeper;
    Process& p = processes_[keeper];
    if (p.pid < 0) {
        succession_->deadline_us = clock_.boot_us() + keeper_us_max;
        start(keeper);
        return;
    }
    succession_->deadline_us = clock_.boot_us() + keeper_end_us_max;
    p.told_to_end = true;
    say(p, "drain");
}

void Supervisor::on_keeper_ready() {
    if (!succession_ || succession_->phase != Succession::Phase::keeper ||
        processes_[keeper].told_to_end) {
        return;
    }
    settle();
}

void Supervisor::settle() {
    succession_->phase = Succession::Phase::settle;
    succession_->deadline_us = clock_.boot_us() + settle_us;
}

void Supervisor::succeed() {
    Json changed = Json::array();
    Json waits = Json::array();
    for (const maint::ConfigChange& one : succession_->changes) {
        (one.takes == maint::Takes::start ? waits : changed).push_back(one.key);
    }
    const std::string failure = options_.from ? options_.from->failure : std::string();
    if (failure.empty()) {
        Json answer{{"changed", changed}, {"at_start", waits}, {"version", hasp_version}};
        const std::uint32_t loops = processes_[front].lanes.more.value_or(MoreLanes{}).count + 1;
        if (loops < static_cast<std::uint32_t>(setup_.config.web.loops)) {
            answer["loops"] = loops;
        }
        door_->answer(succession_->client, answer);
    } else {
        door_->answer(succession_->client,
                      fail(Code::failed, failure, "the program that ran before serves on"));
    }
    options_.from.reset();
    previous_.reset();
    succession_.reset();
}

// Nothing has changed; or a restart whose program serves already goes back to the one before; or a
// reload whose keeper does not come up leaves that as it was.
void Supervisor::give_up(Error why) {
    log().error("supervisor.succession", why.message);
    using Phase = Succession::Phase;
    const Phase phase = succession_->phase;
    end_trial();
    if (next_) {
        ::kill(next_->pid, SIGKILL);
    }
    if (previous_ && !stopping_ && options_.from && options_.from->failure.empty()) {
        exec_back(why);
    }
    if (!stopping_ && (phase == Phase::keeper || phase == Phase::settle)) {
        undo_keeper(why);
    }
    door_->answer(succession_->client, why);
    succession_.reset();
    options_.from.reset();
    previous_.reset();
}

// The front serves with the new settings already, and what was begun there is not to end.
void Supervisor::undo_keeper(Error& why) {
    Process& p = processes_[keeper];
    if (processes_[front].pid < 0) {
        why.hint = "it is started again with the new settings";
    } else if (options_.from || !succession_->before) {
        why.hint = "the tier serves on, and the keeper is started again";
    } else {
        why.hint = "the front has the new settings, and the keeper is started again with those "
                   "before: mend the config, then reload";
        keeper_config_ = *std::move(succession_->before);
        if (p.pid >= 0) {
            ::kill(p.pid, SIGKILL); // it missed its time
        }
    }
    if (p.pid < 0) {
        p.restart_at_us = clock_.boot_us();
    }
}

// Comes back only where that program cannot be run any more.
void Supervisor::exec_back(const Error& why) {
    end_next();
    Process& p = processes_[keeper];
    if (succession_->phase != Succession::Phase::front && p.pid >= 0) {
        // It must not hold the stores when the other one opens them.
        ::kill(p.pid, SIGKILL);
        ::waitpid(p.pid, nullptr, 0);
        p.pid = -1;
        p.control.reset();
    }
    Handover back = handover(succession_->client);
    back.program = -1;
    // As that one wrote it: it knows those keys.
    back.config = options_.from->config;
    back.failure = why.message;
    const Status gone = exec_into(previous_.get(), {}, back);
    log().error("supervisor.back", gone.error().message);
}

// At once, so that nobody is told of it any more.
void Supervisor::end_next() {
    if (!next_) {
        return;
    }
    ::kill(next_->pid, SIGKILL);
    ::waitpid(next_->pid, nullptr, 0);
    const Process ended = std::move(*next_);
    next_.reset();
    front_gone(ended);
}

// With all that it has started.
void Supervisor::end_trial() {
    if (succession_->trial_group >= 0) {
        ::kill(-std::exchange(succession_->trial_group, -1), SIGKILL);
    }
}

void Supervisor::succession_time(std::int64_t now) {
    using Phase = Succession::Phase;
    Process& p = processes_[keeper];
    if (succession_->phase == Phase::settle) {
        succeed();
    } else if (succession_->phase == Phase::keeper && p.told_to_end && p.pid >= 0) {
        ::kill(p.pid, SIGKILL);
        succession_->deadline_us = now + keeper_us_max;
    } else if (succession_->phase == Phase::keeper) {
        give_up(failure("the new keeper did not come up in time"));
    } else if (succession_->phase == Phase::front) {
        give_up(failure("the new front did not come up in time"));
    } else {
        give_up(failure("the trial of " + options_.program + " did not end in time"));
    }
}

// The program that is installed now has to say that it could take over, in a process of its own.
void Supervisor::restart(Door::Client client) {
    const Fd file = handover_file(handover(client));
    std::array<int, 2> says{};
    if (!file || ::pipe2(says.data(), O_CLOEXEC) != 0) {
        door_->answer(client, fail(Code::failed, "cannot make what a trial is started with"));
        return;
    }
    succession_.emplace();
    succession_->restart = true;
    succession_->phase = Succession::Phase::trial;
    succession_->client = client;
    succession_->deadline_us = clock_.boot_us() + trial_us_max;
    succession_->trial_says.reset(says[0]);
    ::fcntl(says[0], F_SETFL, O_NONBLOCK);
    const Fd end(::fcntl(says[1], F_DUPFD_CLOEXEC, inherited_above));
    ::close(says[1]);
    const pid_t pid = end ? ::fork() : -1;
    if (pid == 0) {
        ::dup2(end.get(), STDOUT_FILENO);
        ::dup2(end.get(), STDERR_FILENO);
        ::dup2(file.get(), config_fd);
        ::setpgid(0, 0);
        sigset_t none;
        sigemptyset(&none);
        ::sigprocmask(SIG_SETMASK, &none, nullptr);
        const std::string number = std::to_string(config_fd);
        ::execl(options_.program.c_str(), options_.program.c_str(), "process", "supervisor",
                "--state", options_.state.c_str(), "--config", options_.config.c_str(),
                "--handover", number.c_str(), "--trial", nullptr);
        const std::string why = options_.program + ": " + std::strerror(errno) + "\n";
        [[maybe_unused]] const Status written = write_all(STDERR_FILENO, why);
        ::_exit(126);
    }
    succession_->trial = pid;
    succession_->trial_group = pid;
    if (pid >= 0) {
        ::setpgid(pid, pid); // it does the same: whoever is first
    }
    if (pid < 0) {
        give_up(failure("no process could be made"));
    }
}

void Supervisor::read_trial() {
    std::array<char, 1024> buffer{};
    const ssize_t n = ::read(succession_->trial_says.get(), buffer.data(), buffer.size());
    if (n > 0 && succession_->trial_text.size() < trial_text_max) {
        succession_->trial_text.append(buffer.data(), static_cast<std::size_t>(n));
    } else if (n == 0 || (n < 0 && errno != EAGAIN)) {
        succession_->trial_says.reset();
    }
}

void Supervisor::on_trial_end(int status) {
    while (succession_->trial_says && succession_->trial_text.size() < trial_text_max) {
        const std::size_t before = succession_->trial_text.size();
        read_trial();
        if (succession_->trial_text.size() == before) {
            break;
        }
    }
    end_trial();
    const std::string said(trim(succession_->trial_text));
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        give_up(failure(said.empty() ? "the trial of " + options_.program + " failed" : said));
        return;
    }
    if (said != trial_word) {
        // Some other program: it knows nothing of a trial.
        give_up(failure(options_.program + " is no hasp that could take over"));
        return;
    }
    if (processes_[front].pid < 0 || !processes_[front].serves) {
        give_up(fail(Code::try_later, "the front is starting again", "try again in a moment"));
        return;
    }
    log().info("supervisor.restart", "another program takes over", {{"program", options_.program}});
    const Status gone = exec_into(-1, options_.program, handover(succession_->client));
    give_up(gone.error());
}

Handover Supervisor::handover(Door::Client client) const {
    Handover out;
    out.lock = options_.lock.get();
    out.ring = ring_.get();
    out.gate = gate_.get();
    out.client = door_->socket_of(client);
    out.next_number = next_number_;
    out.cache_holder = cache_holder_;
    out.program_path = options_.program;
    out.config = maint::example_config(setup_.config);
    for (const Listening& one : setup_.listening) {
        out.listening.push_back({one.spec.kind, one.spec.address, one.address, one.fd.get()});
    }
    const auto add = [&out](const Process& one, bool leaving) {
        if (one.pid >= 0 && one.control) {
            out.processes.push_back({role_names[one.role], one.pid, one.control.get(), one.number,
                                     one.lanes.lane, leaving,
                                     std::max<std::int64_t>(0, one.until_us), one.lanes.more});
        }
    };
    for (const Process& one : processes_) {
        add(one, false);
    }
    for (const Process& one : leaving_) {
        add(one, true);
    }
    return out;
}

Status Supervisor::exec_into(int program, const std::string& path, const Handover& plan) {
    Handover given = plan;
    Fd own;
    if (program < 0) {
        own.reset(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
        given.program = own.get();
    }
    const Fd file = handover_file(given);
    if (!file) {
        return fail(Code::failed, "cannot write down what is handed over");
    }
    std::vector<int> kept = descriptors_of(given);
    kept.push_back(file.get());
    for (const int fd : kept) {
        ::fcntl(fd, F_SETFD, 0);
    }
    const std::string number = std::to_string(file.get());
    std::vector<std::string> words{options_.program, "process",      "supervisor",
                                   "--state",        options_.state, "--config",
                                   options_.config,  "--handover",   number};
    if (options_.json_log) {
        words.emplace_back("--json");
    }
    std::vector<char*> arguments;
    for (std::string& word : words) {
        arguments.push_back(word.data());
    }
    arguments.push_back(nullptr);
    if (program >= 0) {
        ::fexecve(program, arguments.data(), environ);
    } else {
        ::execv(path.c_str(), arguments.data());
    }
    const int error = errno;
    for (const int fd : kept) {
        ::fcntl(fd, F_SETFD, FD_CLOEXEC);
    }
    return errno_error(error, "cannot run " + options_.program);
}

// In the new program, or in the old one that was gone back to.
void Supervisor::after_exec() {
    const Handover& from = *options_.from;
    succession_.emplace();
    succession_->restart = from.failure.empty();
    succession_->client = from.client < 0 ? 0 : door_->adopt(Fd(from.client));
    const bool keeper_is_ours =
        std::any_of(from.processes.begin(), from.processes.end(),
                    [](const Handover::Process& one) { return one.role == "keeper"; });
    if (!from.failure.empty() && keeper_is_ours) {
        succeed(); // the other one did not get as far as its front
        return;
    }
    auto config = options_.read();
    // The trial has read it; where it was spoilt since, what is in effect stays so.
    begin_front(config.ok() ? *std::move(config) : setup_.config);
}

} // namespace hasp::cmd
