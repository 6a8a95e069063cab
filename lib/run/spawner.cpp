#include "run/spawner.h"

#include "base/text.h"
#include "spawner_impl.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace hasp::run {
namespace {

constexpr std::size_t instances_max = 4096; // remembered ones included

} // namespace

const char* state_name(State state) {
    switch (state) {
    case State::starting:
        return "starting";
    case State::ready:
        return "ready";
    case State::failing:
        return "failing";
    case State::stopping:
        return "stopping";
    case State::stopped:
        return "stopped";
    }
    return "stopped";
}

Spawner::Impl::Impl(Options options, const Clock& clock, OnEvent on_event)
    : options_(std::move(options)), clock_(clock), on_event_(std::move(on_event)) {}

Spawner::Impl::~Impl() {
    for (auto& [id, instance] : instances) {
        kill(instance);
    }
    for (auto& [id, instance] : instances) {
        if (instance.running()) {
            pollfd ended{instance.sandbox.pidfd.get(), POLLIN, 0};
            if (!instance.sandbox.exit_status && ::poll(&ended, 1, kill_patience_ms) != 1) {
                ::kill(instance.sandbox.pid, SIGKILL);
            }
            if (!instance.sandbox.exit_status) {
                ::waitpid(instance.sandbox.pid, nullptr, 0);
            }
            read_control(instance);
            ended.fd = instance.sandbox.inner.get();
            ::poll(&ended, instance.sandbox.inner ? 1 : 0, kill_patience_ms);
            clear_sandbox(instance);
        }
    }
}

Status Spawner::Impl::open() {
    if (options_.isolation.kind == IsolationKind::none && !options_.allow_no_isolation) {
        return fail(Code::refused,
                    "apps cannot be kept apart on this machine: " + options_.isolation.reason,
                    "install bubblewrap and allow user namespaces, or allow running without "
                    "isolation in the config");
    }
    if (::access(options_.dialer_binary.c_str(), X_OK) != 0) {
        return errno_error(errno, "cannot execute " + options_.dialer_binary);
    }
    epoll_.reset(::epoll_create1(EPOLL_CLOEXEC));
    if (!epoll_) {
        return errno_error(errno, "cannot make an epoll descriptor");
    }
    if (options_.reap_orphans) {
        ::prctl(PR_SET_CHILD_SUBREAPER, 1);
    }
    return {};
}

void Spawner::Impl::watch(const AppInstance& instance, int fd, unsigned events, unsigned what) {
    epoll_event event{};
    event.events = events;
    event.data.u64 = instance.serial * what_count + what;
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0 && errno == EEXIST) {
        ::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event);
    }
}

void Spawner::Impl::handle(std::uint64_t tag) {
    const auto found = std::ranges::find_if(
        instances, [&](const auto& entry) { return entry.second.serial == tag / what_count; });
    if (found == instances.end() || !found->second.running()) {
        return;
    }
    AppInstance& instance = found->second;
    switch (tag % what_count) {
    case what_exit:
        on_exit(instance);
        break;
    case what_output:
        read_output(instance);
        break;
    case what_control:
        read_control(instance);
        break;
    default:
        step_probe(instance);
        break;
    }
}

void Spawner::Impl::on_ready() {
    constexpr int batch = 64;
    epoll_event events[batch];
    const int count = ::epoll_wait(epoll_.get(), events, batch, 0);
    for (int i = 0; i < count; ++i) {
        handle(events[i].data.u64);
    }
    const std::int64_t now = clock_.boot_us();
    // By id: a callback may add to the map, and entries are removed in start() only.
    for (auto& [id, instance] : instances) {
        tick(instance, now);
    }
    if (options_.reap_orphans && options_.isolation.kind != IsolationKind::bwrap) {
        siginfo_t info{};
        while (::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0) {
            const auto ours = std::ranges::any_of(instances, [&](const auto& entry) {
                return entry.second.sandbox.pid == info.si_pid;
            });
            if (ours) {
                break; // its pidfd is readable: the next round takes it
            }
            ::waitpid(info.si_pid, nullptr, WNOHANG);
            info.si_pid = 0;
        }
    }
}

std::optional<std::int64_t> Spawner::Impl::next_deadline_us() const {
    std::optional<std::int64_t> next;
    for (const auto& [id, instance] : instances) {
        const std::int64_t probe =
            instance.probe ? instance.probe->deadline_us() : instance.next_probe_us;
        for (const std::int64_t at :
             {instance.start_deadline_us, probe, instance.kill_us, instance.save_us}) {
            if (at != 0 && (!next || at < *next)) {
                next = at;
            }
        }
    }
    return next;
}

AppInstance* Spawner::Impl::find(const std::string& id) {
    const auto found = instances.find(id);
    return found == instances.end() ? nullptr : &found->second;
}

InstanceStatus Spawner::Impl::snapshot(const AppInstance& instance) const {
    InstanceStatus status = instance.status;
    status.last_lines = instance.output.last_lines(last_lines_max);
    status.pid = instance.sandbox.pid;
    const std::int64_t until = instance.crashes.refused_until_us(clock_.boot_us());
    status.retry_after_us = until == 0 ? 0 : clock_.wall_us() + until - clock_.boot_us();
    return status;
}

Status Spawner::Impl::check(const InstanceSpec& spec) const {
    const auto absolute = [](const std::string& path) { return path.starts_with('/'); };
    if (spec.id.empty() || !valid_name(spec.app) || spec.process.command.empty() ||
        !absolute(spec.code_dir) || !absolute(spec.socket_path) ||
        (!spec.data_dir.empty() && !absolute(spec.data_dir))) {
        return fail(Code::usage, "the instance \"" + spec.id + "\" of app \"" + spec.app +
                                     "\" lacks an id, a name, a command or an absolute path");
    }
    if (::geteuid() == 0 && (spec.uid == 0 || spec.gid == 0)) {
        return fail(Code::usage,
                    "the app " + spec.app + " would run as root: its uid must be another");
    }
    if (options_.isolation.kind == IsolationKind::bwrap || spec.process.listen.unix_socket) {
        return {};
    }
    for (const auto& [id, other] : instances) {
        if (id != spec.id && other.running() &&
            other.spec.process.listen.port == spec.process.listen.port) {
            return fail(Code::conflict,
                        "port " + std::to_string(spec.process.listen.port) + " is taken by " + id +
                            ", and apps share the host's network here",
                        "let the app listen on a unix socket, or on another port");
        }
    }
    return {};
}

Status Spawner::Impl::start(const InstanceSpec& spec) {
    if (Status s = check(spec); !s) {
        return s;
    }
    if (const auto found = instances.find(spec.id); found != instances.end()) {
        AppInstance& old = found->second;
        if (old.running() && old.ending == Ending::none) {
            return {};
        }
        if (old.running()) {
            return fail(Code::try_later, spec.id + " is being stopped: " + old.status.reason);
        }
        if (const std::int64_t until = old.crashes.refused_until_us(clock_.boot_us()); until != 0) {
            return fail(Code::try_later,
                        spec.id + " failed again and again, and is not started before " +
                            rfc3339(clock_.wall_us() + until - clock_.boot_us()) +
                            "; the last time: " + old.status.reason,
                        "see its last lines: hasp logs " + spec.app);
        }
    }
    if (instances.size() >= instances_max) {
        std::erase_if(instances, [&](const auto& entry) {
            return !entry.second.running() &&
                   entry.second.crashes.refused_until_us(clock_.boot_us()) == 0;
        });
        if (instances.size() >= instances_max) {
            return fail(Code::try_later,
                        "too many app processes: " + std::to_string(instances_max));
        }
    }
    AppInstance& instance = instances[spec.id];
    instance.spec = spec;
    instance.status.id = spec.id;
    return begin(instance);
}

Spawner::Spawner(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Spawner::~Spawner() = default;

Result<std::unique_ptr<Spawner>> Spawner::create(Options options, const Clock& clock,
                                                 OnEvent on_event) {
    auto impl = std::make_unique<Impl>(std::move(options), clock, std::move(on_event));
    if (Status s = impl->open(); !s) {
        return s.error();
    }
    return std::unique_ptr<Spawner>(new Spawner(std::move(impl)));
}

Status Spawner::start(const InstanceSpec& spec) {
    return impl_->start(spec);
}

void Spawner::stop(const std::string& id, const std::string& reason) {
    if (AppInstance* instance = impl_->find(id)) {
        impl_->stop(*instance, reason);
    }
}

void Spawner::stop_all(const std::string& reason) {
    for (auto& [id, instance] : impl_->instances) {
        impl_->stop(instance, reason);
    }
}

bool Spawner::idle() const {
    return std::ranges::none_of(impl_->instances,
                                [](const auto& entry) { return entry.second.running(); });
}

std::optional<InstanceStatus> Spawner::status(const std::string& id) const {
    const AppInstance* instance = impl_->find(id);
    return instance == nullptr ? std::nullopt : std::optional(impl_->snapshot(*instance));
}

std::vector<InstanceStatus> Spawner::list() const {
    std::vector<InstanceStatus> all;
    for (const auto& [id, instance] : impl_->instances) {
        all.push_back(impl_->snapshot(instance));
    }
    return all;
}

void Spawner::forget_crashes(const std::string& id) {
    if (AppInstance* instance = impl_->find(id)) {
        instance->crashes.forget();
    }
}

int Spawner::poll_fd() const {
    return impl_->poll_fd();
}
std::optional<std::int64_t> Spawner::next_deadline_us() const {
    return impl_->next_deadline_us();
}
void Spawner::on_ready() {
    impl_->on_ready();
}

} // namespace hasp::run
