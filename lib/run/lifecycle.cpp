// From a start to an end: launching, output, exits, and what an end means.
#include "spawner_impl.h"

#include "base/files.h"
#include "base/text.h"
#include "cgroup.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <dirent.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace hasp::run {
namespace {

constexpr std::int64_t save_every_us = 2 * second_us;
constexpr std::size_t output_batch_max = 64 * 1024;

} // namespace

Result<bool> folder_is_empty(const std::string& path) {
    DIR* folder = ::opendir(path.c_str());
    if (folder == nullptr) {
        return errno_error(errno, "cannot read the data folder " + path);
    }
    bool empty = true;
    for (const dirent* entry = ::readdir(folder); entry != nullptr && empty;
         entry = ::readdir(folder)) {
        empty = std::strcmp(entry->d_name, ".") == 0 || std::strcmp(entry->d_name, "..") == 0;
    }
    ::closedir(folder);
    return empty;
}

std::string init_folder(const std::string& data_dir) {
    const std::size_t slash = data_dir.rfind('/');
    return data_dir.substr(0, slash + 1) + "." + data_dir.substr(slash + 1) + ".init";
}

SandboxPlan Spawner::Impl::plan_for(const AppInstance& instance) const {
    const InstanceSpec& spec = instance.spec;
    SandboxPlan plan;
    plan.isolation = options_.isolation;
    plan.dialer_binary = options_.dialer_binary;
    plan.code_dir = spec.code_dir;
    // What init writes counts only when it is complete: it fills a folder beside, which then takes
    // the empty one's place.
    const bool beside = instance.init && options_.isolation.kind == IsolationKind::bwrap;
    plan.data_dir = beside ? init_folder(spec.data_dir) : spec.data_dir;
    plan.work_dir = spec.socket_path + ".d";
    plan.cgroup_dir = instance.cgroup_dir;
    plan.listen = spec.process.listen;
    plan.limits = spec.process.limits;
    plan.dial = !instance.init;
    plan.uid = spec.uid;
    plan.gid = spec.gid;
    const SandboxView view = sandbox_view(plan);
    Substitutions words;
    words.prefix = spec.prefix;
    words.user = spec.user;
    words.data = view.data;
    words.app = view.app;
    words.port = std::to_string(spec.process.listen.port);
    words.socket = view.socket;
    plan.env = {{"PATH", "/usr/local/bin:/usr/bin:/bin"},
                {"HOME", view.data},
                {"LANG", "C.UTF-8"},
                {"TMPDIR", view.tmp},
                {"USER", "user"},
                {"XDG_RUNTIME_DIR", "/run/user"},
                {"HASP_SOCKET", view.socket},
                {"HASP_USER", spec.user},
                {"HASP_PREFIX", spec.prefix},
                {"HASP_DATA", view.data},
                {"HASP_APP", spec.app}};
    if (options_.isolation.kind != IsolationKind::bwrap) {
        plan.env["XDG_RUNTIME_DIR"] = view.tmp;
    }
    for (const auto& [name, value] : spec.process.env) {
        plan.env[name] = substitute(value, words);
    }
    for (const std::string& word : instance.init ? spec.process.init : spec.process.command) {
        plan.command.push_back(substitute(word, words));
    }
    return plan;
}

Result<bool> Spawner::Impl::needs_init(const AppInstance& instance) const {
    if (instance.spec.process.init.empty() || instance.spec.data_dir.empty()) {
        return false;
    }
    return folder_is_empty(instance.spec.data_dir);
}

Status Spawner::Impl::begin(AppInstance& instance) {
    instance.serial = next_serial_++;
    instance.output = OutputRing();
    instance.started_us = clock_.boot_us();
    const auto init = needs_init(instance);
    if (!init) {
        set(instance, State::failing, init.error().message);
        return init.error();
    }
    instance.init = *init;
    set(instance, State::starting,
        *init ? "its data folder is being filled" : "it has not answered yet");
    if (Status s = launch_phase(instance); !s) {
        // As an error and not as an event: the caller is still there to hear it.
        instance.crashes.crashed(clock_.boot_us());
        clear_sandbox(instance);
        set(instance, State::failing, s.error().message);
        return s;
    }
    return {};
}

Status Spawner::Impl::launch_phase(AppInstance& instance) {
    const InstanceSpec& spec = instance.spec;
    const std::int64_t now = clock_.boot_us();
    if (instance.init && options_.isolation.kind == IsolationKind::bwrap) {
        const std::string beside = init_folder(spec.data_dir);
        if (Status s = remove_tree(beside); !s) {
            return s;
        }
        if (::mkdir(beside.c_str(), 0700) != 0 ||
            (::geteuid() == 0 && ::lchown(beside.c_str(), spec.uid, spec.gid) != 0)) {
            return errno_error(errno, "cannot make the folder " + beside);
        }
    }
    if (!instance.init) {
        int error = 0;
        instance.listen = listen_unix(spec.socket_path, error);
        if (!instance.listen) {
            return errno_error(error, "cannot listen at " + spec.socket_path);
        }
        if (options_.socket_owner &&
            ::lchown(spec.socket_path.c_str(), options_.socket_owner->first,
                     options_.socket_owner->second) != 0) {
            return errno_error(errno, "cannot give away the socket " + spec.socket_path);
        }
    }
    if (!options_.isolation.cgroup.empty()) {
        instance.cgroup_dir = options_.isolation.cgroup + "/hasp-app-" +
                              std::to_string(::getpid()) + "-" + std::to_string(instance.serial);
        if (Status s = make_cgroup(instance.cgroup_dir, spec.process.limits); !s) {
            return s;
        }
    }
    auto sandbox = launch(plan_for(instance), instance.listen);
    if (!sandbox) {
        return sandbox.error();
    }
    instance.sandbox = std::move(*sandbox);
    instance.ending = Ending::none;
    instance.app_status.reset();
    instance.misses = 0;
    instance.told_to_kill = false;
    instance.ready_us = 0;
    instance.last_probe = "no answer";
    instance.start_deadline_us =
        now + (instance.init ? init_s_max : spec.process.ready_s) * second_us;
    instance.next_probe_us = instance.init ? 0 : now;
    instance.kill_us = 0;
    watch(instance, instance.sandbox.pidfd.get(), EPOLLIN, what_exit);
    watch(instance, instance.sandbox.output.get(), EPOLLIN, what_output);
    watch(instance, instance.sandbox.control.get(), EPOLLIN, what_control);
    return {};
}

void Spawner::Impl::read_output(AppInstance& instance) {
    char buffer[8192];
    std::size_t taken = 0;
    while (taken < output_batch_max) {
        const ssize_t n = ::read(instance.sandbox.output.get(), buffer, sizeof buffer);
        if (n > 0) {
            instance.output.add({buffer, static_cast<std::size_t>(n)});
            taken += static_cast<std::size_t>(n);
            continue;
        }
        if (n == 0) {
            // The end: nobody holds the other end any more; the exit comes by itself.
            ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, instance.sandbox.output.get(), nullptr);
        }
        break;
    }
    if (instance.output.dirty() && instance.save_us == 0 && !instance.spec.log_path.empty()) {
        instance.save_us = clock_.boot_us() + save_every_us;
    }
}

void Spawner::Impl::read_control(AppInstance& instance) {
    for (;;) {
        char word[32] = {};
        alignas(cmsghdr) char space[CMSG_SPACE(sizeof(int))];
        iovec part{word, sizeof word - 1};
        msghdr message{};
        message.msg_iov = &part;
        message.msg_iovlen = 1;
        message.msg_control = space;
        message.msg_controllen = sizeof space;
        const ssize_t n =
            ::recvmsg(instance.sandbox.control.get(), &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
        if (n == 0) {
            ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, instance.sandbox.control.get(), nullptr);
        }
        if (n <= 0) {
            return;
        }
        const cmsghdr* header = CMSG_FIRSTHDR(&message);
        if (header != nullptr && header->cmsg_type == SCM_RIGHTS) {
            int fd = -1;
            std::memcpy(&fd, CMSG_DATA(header), sizeof fd);
            instance.sandbox.inner.reset(fd);
            watch(instance, fd, EPOLLIN, what_exit);
        } else if (word[0] == 'X') {
            instance.app_status = static_cast<int>(parse_u64(word + 1).value_or(0));
        }
    }
}

void Spawner::Impl::clear_sandbox(AppInstance& instance) {
    instance.probe.reset();
    instance.sandbox = Sandbox();
    if (instance.listen) {
        ::unlink(instance.spec.socket_path.c_str());
        instance.listen.reset();
    }
    if (!instance.cgroup_dir.empty()) {
        remove_cgroup(instance.cgroup_dir);
        instance.cgroup_dir.clear();
    }
    instance.start_deadline_us = 0;
    instance.next_probe_us = 0;
    instance.kill_us = 0;
    instance.save_us = 0;
    instance.output.save(instance.spec.log_path);
}

std::string Spawner::Impl::exit_text(const AppInstance& instance, int status) const {
    const int told = instance.app_status.value_or(status);
    if (!instance.cgroup_dir.empty() && cgroup_ran_out_of_memory(instance.cgroup_dir)) {
        return "it used more than its " + std::to_string(instance.spec.process.limits.memory_mb) +
               " MiB of memory";
    }
    if (WIFSIGNALED(told)) {
        const char* name = ::sigabbrev_np(WTERMSIG(told));
        return "it was ended by SIG" + std::string(name == nullptr ? "?" : name);
    }
    return "it ended with exit status " + std::to_string(WEXITSTATUS(told));
}

void Spawner::Impl::on_exit(AppInstance& instance) {
    read_control(instance);
    Sandbox& sandbox = instance.sandbox;
    int status = 0;
    if (!sandbox.exit_status && ::waitpid(sandbox.pid, &status, WNOHANG) == sandbox.pid) {
        sandbox.exit_status = status;
        ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, sandbox.pidfd.get(), nullptr);
    }
    // A killed bwrap ends before the app does: a new start must not meet the old process on its
    // data.
    pollfd inner{sandbox.inner.get(), POLLIN, 0};
    const bool gone = !sandbox.inner || ::poll(&inner, 1, 0) == 1;
    if (gone && sandbox.inner) {
        ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, sandbox.inner.get(), nullptr);
    }
    if (!sandbox.exit_status || !gone) {
        return;
    }
    status = *sandbox.exit_status;
    read_output(instance);
    if (instance.init) {
        after_init(instance, status);
    } else {
        after_app(instance, status);
    }
}

void Spawner::Impl::after_init(AppInstance& instance, int status) {
    const std::string text = exit_text(instance, status);
    const bool done = instance.ending == Ending::none && instance.app_status == 0;
    const Ending ending = instance.ending;
    clear_sandbox(instance);
    const std::string& data = instance.spec.data_dir;
    const bool beside = options_.isolation.kind == IsolationKind::bwrap;
    if (done) {
        if (beside && ::rename(init_folder(data).c_str(), data.c_str()) != 0) {
            fail_start(instance, "what its init command made cannot take the place of " + data +
                                     ": " + std::strerror(errno));
            return;
        }
        instance.init = false;
        set(instance, State::starting, "it has not answered yet");
        if (Status s = launch_phase(instance); !s) {
            clear_sandbox(instance);
            fail_start(instance, s.error().message);
        }
        return;
    }
    if (beside) {
        (void)remove_tree(init_folder(data));
    }
    if (ending == Ending::stop) {
        set(instance, State::stopped, instance.ending_reason);
        emit(EventKind::stopped, instance);
        return;
    }
    fail_start(instance, "its init command did not fill the data folder: " +
                             (ending == Ending::init_too_long ? instance.ending_reason : text));
}

void Spawner::Impl::after_app(AppInstance& instance, int status) {
    const std::string text = exit_text(instance, status);
    const std::int64_t now = clock_.boot_us();
    const bool was_ready = instance.ready_us != 0;
    clear_sandbox(instance);
    if (instance.ending == Ending::stop) {
        set(instance, State::stopped, instance.ending_reason);
        emit(EventKind::stopped, instance);
        return;
    }
    if (instance.ending == Ending::not_ready) {
        fail_start(instance, instance.ending_reason);
        return;
    }
    if (!was_ready) {
        fail_start(instance, text + " before it answered");
        return;
    }
    instance.crashes.ran_well(now - instance.ready_us);
    instance.crashes.crashed(now);
    const bool hung = instance.ending == Ending::hung;
    set(instance, State::failing, hung ? instance.ending_reason : text);
    emit(hung ? EventKind::hung : EventKind::crashed, instance);
}

void Spawner::Impl::fail_start(AppInstance& instance, std::string reason) {
    instance.crashes.crashed(clock_.boot_us());
    set(instance, State::failing, std::move(reason));
    emit(EventKind::failed, instance);
}

void Spawner::Impl::set(AppInstance& instance, State state, std::string reason) {
    instance.status.state = state;
    instance.status.reason = std::move(reason);
    instance.status.since_us = clock_.wall_us();
}

void Spawner::Impl::emit(EventKind kind, const AppInstance& instance, std::int64_t took_ms) {
    if (on_event_) {
        on_event_(Event{kind, snapshot(instance), took_ms});
    }
}

void Spawner::Impl::stop(AppInstance& instance, const std::string& reason) {
    if (!instance.running() || instance.ending == Ending::stop) {
        return;
    }
    instance.ending = Ending::stop;
    instance.ending_reason = reason;
    instance.probe.reset();
    instance.next_probe_us = 0;
    instance.start_deadline_us = 0;
    set(instance, State::stopping, reason);
    if (::send(instance.sandbox.control.get(), "T", 1, MSG_NOSIGNAL | MSG_DONTWAIT) != 1) {
        kill(instance);
        return;
    }
    instance.kill_us = clock_.boot_us() +
                       std::max<std::int64_t>(1, instance.spec.process.stop_grace_s * second_us);
}

void Spawner::Impl::end(AppInstance& instance, Ending why, std::string reason) {
    instance.ending = why;
    instance.ending_reason = std::move(reason);
    instance.probe.reset();
    instance.next_probe_us = 0;
    instance.start_deadline_us = 0;
    set(instance, State::failing, instance.ending_reason);
    kill(instance);
}

void Spawner::Impl::kill(AppInstance& instance) {
    if (!instance.running()) {
        return;
    }
    // Without a PID namespace only the dialer knows what descends from the app: the end of the
    // channel tells it to kill all, and it is killed itself only if it does not end.
    if (options_.isolation.kind != IsolationKind::bwrap && !instance.told_to_kill) {
        instance.told_to_kill = true;
        ::shutdown(instance.sandbox.control.get(), SHUT_WR);
        instance.kill_us = clock_.boot_us() + kill_patience_ms * ms_us;
        return;
    }
    instance.kill_us = 0;
    if (!instance.sandbox.exit_status) {
        ::kill(instance.sandbox.pid, SIGKILL);
    }
}

} // namespace hasp::run
