// The spawner: lib/run's Spawner behind frames of the keeper. Orders come in, events go out;
// nothing is decided here.
#include "control.h"
#include "ipc/channel.h"
#include "json_tools.h"
#include "process.h"
#include "run/isolation.h"
#include "run/manifest.h"
#include "run/spawner.h"

#include "base/fd.h"
#include "base/files.h"
#include "sync/working_copies.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

namespace hasp::cmd {

namespace {

bool same_content(int one, int other) {
    struct stat of_one {};
    struct stat of_other {};
    if (::fstat(one, &of_one) != 0 || ::fstat(other, &of_other) != 0 ||
        of_one.st_size != of_other.st_size) {
        return false;
    }
    std::string left(std::size_t{1} << 18, '\0');
    std::string right(left.size(), '\0');
    for (off_t at = 0; at < of_one.st_size;) {
        const ssize_t n = ::pread(one, left.data(), left.size(), at);
        if (n <= 0 || ::pread(other, right.data(), static_cast<std::size_t>(n), at) != n ||
            left.compare(0, static_cast<std::size_t>(n), right, 0, static_cast<std::size_t>(n)) !=
                0) {
            return false;
        }
        at += n;
    }
    return true;
}

// False, with errno: what is at `path` then is not whole.
bool copy_program(int from, const std::string& path) {
    const Fd to(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755));
    struct stat st {};
    if (!to || ::fstat(from, &st) != 0) {
        return false;
    }
    for (off_t at = 0; at < st.st_size;) {
        if (::sendfile(to.get(), from, &at, static_cast<std::size_t>(st.st_size - at)) <= 0) {
            return false;
        }
    }
    return ::fchmod(to.get(), 0755) == 0;
}

const char* kind_name(run::EventKind kind) {
    switch (kind) {
    case run::EventKind::ready:
        return "ready";
    case run::EventKind::failed:
        return "failed";
    case run::EventKind::crashed:
        return "crashed";
    case run::EventKind::hung:
        return "hung";
    case run::EventKind::stopped:
        return "stopped";
    }
    return "stopped";
}

Json status_json(const run::InstanceStatus& status) {
    return {{"instance", status.id},       {"state", run::state_name(status.state)},
            {"reason", status.reason},     {"last_lines", status.last_lines},
            {"since_us", status.since_us}, {"retry_after_us", status.retry_after_us}};
}

class SpawnerProcess {
  public:
    SpawnerProcess(const ProcessOptions& options, const Log& log) : options_(options), log_(log) {}

    int run() {
        run::Spawner::Options settings;
        settings.isolation = run::detect_isolation(sync::app_uid_first);
        settings.allow_no_isolation =
            options_.config.apps.isolation == maint::Config::Isolation::none_allowed;
        settings.reap_orphans = true;
        // Front dials the sockets under its own user.
        if (::geteuid() == 0 && !options_.config.process.front_user.empty()) {
            if (const passwd* front = ::getpwnam(options_.config.process.front_user.c_str());
                front != nullptr) {
                settings.socket_owner = {front->pw_uid, front->pw_gid};
            }
        }
        isolation_ = settings.isolation.name +
                     (settings.isolation.reason.empty() ? "" : ": " + settings.isolation.reason);
        if (settings.isolation.kind != run::IsolationKind::bwrap &&
            options_.config.apps.isolation == maint::Config::Isolation::bwrap) {
            log_.error("spawner.isolation",
                       "bubblewrap does not work here, and the config demands it: " +
                           settings.isolation.reason);
            return 1;
        }
        auto dialer = lend_dialer();
        if (!dialer.ok()) {
            log_.error("spawner.dialer", dialer.error().message);
            return 1;
        }
        settings.dialer_binary = *dialer;
        auto spawner = run::Spawner::create(std::move(settings), clock_,
                                            [this](const run::Event& event) { tell(event); });
        if (!spawner.ok()) {
            log_.error("spawner.start", spawner.error().message);
            return 1;
        }
        spawner_ = *std::move(spawner);
        while (!(stopping_ && spawner_->idle())) {
            turn();
        }
        return 0;
    }

  private:
    // This binary where every app's user can read it: the place that it was started from may be
    // closed to them. The copy of an earlier spawner is kept: a full disk does not end the apps.
    Result<std::string> lend_dialer() {
        const std::string path = options_.state + "/run/dialer";
        const Fd from(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
        if (same_content(from.get(), Fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC)).get())) {
            return path;
        }
        const std::string fresh = path + ".new";
        if (!copy_program(from.get(), fresh) || ::rename(fresh.c_str(), path.c_str()) != 0) {
            const int error = errno;
            ::unlink(fresh.c_str());
            return errno_error(error, "cannot copy this program to " + path);
        }
        return path;
    }

    void turn() {
        int wait_ms = -1;
        if (const auto deadline = spawner_->next_deadline_us()) {
            wait_ms = static_cast<int>(
                std::clamp<std::int64_t>((*deadline - clock_.boot_us() + 999) / 1000, 0, 60'000));
        }
        const bool linked = keeper_ != nullptr && !keeper_->closed();
        std::array<pollfd, 3> fds{
            {{control_open_ ? control_fd : -1, POLLIN, 0},
             {spawner_->poll_fd(), POLLIN, 0},
             {linked ? keeper_->fd() : -1,
              static_cast<short>(POLLIN | (linked && keeper_->wants_write() ? POLLOUT : 0)), 0}}};
        ::poll(fds.data(), fds.size(), wait_ms);
        spawner_->on_ready();
        if (linked && fds[2].revents != 0) {
            while (keeper_->on_ready()) {
            }
        }
        take_control();
    }

    void take_control() {
        while (control_open_) {
            auto message = receive_control(control_fd);
            if (!message.ok()) {
                control_open_ = false;
                stop();
                return;
            }
            if (!*message) {
                return;
            }
            if ((*message)->verb == "peer") {
                keeper_ = std::make_unique<ipc::Channel>(
                    std::move((*message)->fd),
                    ipc::Channel::Callbacks{[this](ipc::Frame&& frame) { order(frame); },
                                            [](const Error&) {}});
                // A keeper that has come back learns what goes on.
                for (const run::InstanceStatus& status : spawner_->list()) {
                    if (status.pid != 0) {
                        say(status, status.state == run::State::ready ? "ready" : "running");
                    }
                }
                send({{"t", "isolation"}, {"text", isolation_}});
            } else if ((*message)->verb == "gate") {
                gate_ = std::move((*message)->fd);
            } else if ((*message)->verb == "drain") {
                stop();
            }
        }
    }

    void stop() {
        stopping_ = true;
        spawner_->stop_all("the tier is stopping");
    }

    void order(const ipc::Frame& frame) {
        const Json head = parse_object(frame.head);
        const std::string type = text_of(head, "t");
        const std::string id = text_of(head, "instance");
        if (type == "stop") {
            const auto known = spawner_->status(id);
            if (known && known->pid != 0) {
                spawner_->stop(id, text_of(head, "reason"));
            } else {
                run::InstanceStatus none; // whoever waits for its end need not
                none.id = id;
                none.reason = text_of(head, "reason");
                none.since_us = clock_.wall_us();
                say(none, "stopped");
            }
            return;
        }
        if (type != "start" || stopping_) {
            return;
        }
        auto manifest =
            run::parse_manifest(frame.body, text_of(head, "app") + "/" + run::manifest_file_name);
        Status started = manifest.ok() ? Status{} : Status{manifest.error()};
        if (started.ok()) {
            run::InstanceSpec spec;
            spec.id = id;
            spec.app = text_of(head, "app");
            spec.user = text_of(head, "user");
            spec.process = manifest->process;
            spec.prefix = text_of(head, "prefix");
            spec.code_dir = text_of(head, "code");
            spec.data_dir = text_of(head, "data");
            spec.socket_path = text_of(head, "socket");
            spec.log_path = text_of(head, "log");
            spec.uid = static_cast<uid_t>(int_of(head, "uid"));
            spec.gid = static_cast<gid_t>(int_of(head, "gid"));
            const std::string folder = spec.socket_path.substr(0, spec.socket_path.rfind('/'));
            started = make_folders(folder, 0711);
            if (started.ok()) {
                const auto known = spawner_->status(id);
                const bool was_ready = known && known->state == run::State::ready;
                started = spawner_->start(spec);
                if (started.ok() && was_ready) {
                    say(*spawner_->status(id), "ready");
                }
            }
        }
        if (!started.ok()) {
            Json refused = {{"instance", id},
                            {"state", "failing"},
                            {"reason", started.error().message},
                            {"since_us", clock_.wall_us()}};
            if (const auto status = spawner_->status(id)) {
                refused = status_json(*status);
            }
            refused["t"] = "refused";
            refused["error"] = {{"code", code_name(started.error().code)},
                                {"message", started.error().message},
                                {"hint", started.error().hint}};
            send(refused);
        }
    }

    void say(const run::InstanceStatus& status, const char* kind) {
        Json event = status_json(status);
        event["t"] = "event";
        event["kind"] = kind;
        send(event);
    }

    void tell(const run::Event& event) {
        Json json = status_json(event.status);
        json["t"] = "event";
        json["kind"] = kind_name(event.kind);
        json["took_ms"] = event.took_ms;
        send(json);
        log_.info("app." + std::string(kind_name(event.kind)), event.status.reason,
                  {{"instance", event.status.id}, {"ms", std::to_string(event.took_ms)}});
    }

    void send(const Json& head) {
        if (keeper_ != nullptr && !keeper_->closed()) {
            if (const Status sent = keeper_->send(dump(head)); !sent.ok()) {
                log_.error("spawner.send", sent.error().message);
            }
        }
    }

    const ProcessOptions& options_;
    const Log& log_;
    SystemClock clock_;
    std::string isolation_;
    std::unique_ptr<run::Spawner> spawner_;
    std::unique_ptr<ipc::Channel> keeper_;
    Fd gate_; // not used, but open as long as an app may open what it holds
    bool control_open_ = true;
    bool stopping_ = false;
};

} // namespace

int run_spawner(const ProcessOptions& options, const Log& log) {
    SpawnerProcess process(options, log);
    return process.run();
}

} // namespace hasp::cmd
