// The spawner's insides: instances and their lives. Private; one thread.
#pragma once

#include "crash_history.h"
#include "output_ring.h"
#include "probe.h"
#include "run/spawner.h"
#include "sandbox.h"

#include <map>
#include <memory>
#include <optional>
#include <string>

namespace hasp::run {

// How long a dialer may take to kill what it started, before it is killed.
inline constexpr int kill_patience_ms = 2000;

// What of an instance an event of epoll is about.
enum What : unsigned { what_exit, what_output, what_control, what_probe, what_count };

// Why the running sandbox is being ended, which decides the event at its end.
enum class Ending : unsigned char { none, stop, not_ready, hung, init_too_long };

struct AppInstance {
    std::uint64_t serial =
        0; // in epoll's data: an id may be started anew while an event of the old one is pending
    InstanceSpec spec;
    InstanceStatus status;
    CrashHistory crashes;
    OutputRing output;

    // Of the sandbox that runs, empty between two:
    Sandbox sandbox;
    Fd listen;
    std::string cgroup_dir;
    bool init = false; // the sandbox runs the init command
    Ending ending = Ending::none;
    std::string ending_reason;
    std::optional<int> app_status; // wait status that the dialer told
    std::unique_ptr<Probe> probe;
    int misses = 0;
    bool told_to_kill = false;
    std::int64_t started_us = 0; // boot clock
    std::int64_t ready_us = 0;
    std::string last_probe; // why the last readiness probe failed

    // Boot clock; 0: none.
    std::int64_t start_deadline_us = 0;
    std::int64_t next_probe_us = 0;
    std::int64_t kill_us = 0;
    std::int64_t save_us = 0;

    bool running() const { return sandbox.pid != 0; }
};

class Spawner::Impl {
  public:
    Impl(Options options, const Clock& clock, OnEvent on_event);
    ~Impl();

    Status open();
    Status start(const InstanceSpec& spec);
    void stop(AppInstance& instance, const std::string& reason);
    AppInstance* find(const std::string& id);
    InstanceStatus snapshot(const AppInstance& instance) const;
    void on_ready();
    std::optional<std::int64_t> next_deadline_us() const;

    std::map<std::string, AppInstance> instances;
    int poll_fd() const { return epoll_.get(); }

  private:
    Status check(const InstanceSpec& spec) const;
    Status begin(AppInstance& instance);
    Status launch_phase(AppInstance& instance);
    SandboxPlan plan_for(const AppInstance& instance) const;
    Result<bool> needs_init(const AppInstance& instance) const;

    void watch(const AppInstance& instance, int fd, unsigned events, unsigned what);
    void handle(std::uint64_t tag);
    void read_output(AppInstance& instance);
    void read_control(AppInstance& instance);
    void on_exit(AppInstance& instance);
    void after_init(AppInstance& instance, int status);
    void after_app(AppInstance& instance, int status);
    void clear_sandbox(AppInstance& instance);

    void begin_probe(AppInstance& instance);
    void step_probe(AppInstance& instance);
    void end_probe(AppInstance& instance, bool answered);
    void became_ready(AppInstance& instance);
    void end(AppInstance& instance, Ending why, std::string reason);
    void kill(AppInstance& instance);
    void tick(AppInstance& instance, std::int64_t now);
    void fail_start(AppInstance& instance, std::string reason);
    void set(AppInstance& instance, State state, std::string reason);
    void emit(EventKind kind, const AppInstance& instance, std::int64_t took_ms = 0);
    std::string exit_text(const AppInstance& instance, int status) const;

    Options options_;
    const Clock& clock_;
    OnEvent on_event_;
    Fd epoll_;
    std::uint64_t next_serial_ = 1;
};

// Whether a folder has no entries. Errors: it cannot be read.
Result<bool> folder_is_empty(const std::string& path);
// Where the init command fills a folder that then takes the place of `data_dir` at once.
std::string init_folder(const std::string& data_dir);

} // namespace hasp::run
