// Starts, watches and stops app processes in their sandboxes. It decides nothing about who may use
// an app or when an idle app ends: its owner tells it, and hears what happened through one
// callback.
//
// One thread, the one that made it (a sandbox dies with the *thread* that started it). Nothing here
// blocks longer than a fork; waiting happens in the owner's loop:
//     poll(poll_fd() for reading, until next_deadline_us()); on_ready();
#pragma once

#include "base/clock.h"
#include "base/result.h"
#include "run/isolation.h"
#include "run/manifest.h"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <sys/types.h>
#include <utility>
#include <vector>

namespace hasp::run {

inline constexpr std::size_t output_bytes_max = 64 * 1024; // of an instance's last output
inline constexpr int last_lines_max = 20;                  // lines that travel with a failure
inline constexpr int probe_interval_ms = 50;               // between two readiness probes
inline constexpr int health_misses_max = 2;                // then the app counts as hung
inline constexpr int crash_loop_count = 3;                 // crashes …
inline constexpr int crash_loop_window_s = 60;             // … within this time make a loop
inline constexpr int back_off_s_min = 10;
inline constexpr int back_off_s_max = 300;
inline constexpr int init_s_max = 300; // time limit of an init command

enum class State : unsigned char { starting, ready, failing, stopping, stopped };
// "starting" and the like. Never null.
const char* state_name(State state);

// Everything the spawner needs to know to run one process of an app.
struct InstanceSpec {
    std::string id;   // unique among instances; the owner's word, for example "wiki" or "wiki.anna"
    std::string app;  // valid_name()
    std::string user; // empty when instance = app
    Process process;  // from the manifest
    std::string prefix;      // for {prefix}
    std::string code_dir;    // absolute, readable for uid; the app sees it read-only as /app
    std::string data_dir;    // absolute, exists, belongs to uid; the app sees it as /data. Empty:
                             // /data is a small tmpfs
    std::string socket_path; // absolute; bound here, mode 0600; removed when the instance has
                             // ended. Dialled as PROTOCOL.md says
    std::string log_path; // absolute; file of at most 2 × output_bytes_max with the last output.
                          // Empty: memory only
    uid_t uid =
        0; // when the spawner is root: what the sandbox drops to; must not be 0. Else ignored
    gid_t gid = 0;
};

enum class EventKind : unsigned char {
    ready,   // the probe was answered
    failed,  // could not be started, or was not ready in time
    crashed, // ended by itself after it had been ready
    hung,    // missed its health probes and was killed
    stopped, // ended because stop() said so
};

struct InstanceStatus {
    std::string id;
    State state = State::stopped;
    std::string reason;              // one sentence; why it stands as it does
    std::string last_lines;          // of its output, at most last_lines_max
    std::int64_t since_us = 0;       // wall clock, of the state
    std::int64_t retry_after_us = 0; // wall clock, before which start() refuses; 0: none
    pid_t pid = 0;                   // of the sandbox, 0 when none runs
};

struct Event {
    EventKind kind = EventKind::stopped;
    InstanceStatus status;
    std::int64_t took_ms = 0; // ready: since start()
};

class Spawner {
  public:
    struct Options {
        Isolation isolation;
        bool allow_no_isolation = false; // run apps even when isolation.kind is none
        std::string dialer_binary; // absolute path of an executable that runs dialer_command(),
                                   // readable by every uid
        // Who may dial the apps' sockets, when the spawner is root; nullopt: root alone.
        std::optional<std::pair<uid_t, gid_t>> socket_owner;
        // Makes this process a child subreaper and reaps orphans of apps. The process must then
        // have no other children.
        bool reap_orphans = false;
    };
    using OnEvent = std::function<void(const Event&)>;

    // `clock` must outlive the spawner. `on_event` is called from start(), stop() and on_ready();
    // it may call start() and stop(). Errors: no epoll, or no isolation while it is not allowed.
    static Result<std::unique_ptr<Spawner>> create(Options options, const Clock& clock,
                                                   OnEvent on_event);
    // Kills every sandbox at once and waits for them (milliseconds).
    ~Spawner();
    Spawner(const Spawner&) = delete;
    Spawner& operator=(const Spawner&) = delete;

    // Begins to start an instance; the end is an event (ready or failed). Success when it is
    // starting or ready already, with no second process and no second event (single flight).
    // Errors: try_later (stopping, or backing off after crashes: the message says until when and
    // why), usage (a bad spec), conflict (two apps on one TCP port without network namespaces);
    // anything else: it could not be launched, which counts as a crash and makes no event.
    Status start(const InstanceSpec& spec);

    // SIGTERM to the app, after stop_grace_s SIGKILL to the sandbox; then a stopped event. Not
    // running: nothing happens.
    void stop(const std::string& id, const std::string& reason);
    void stop_all(const std::string& reason);
    // Nothing runs.
    bool idle() const;

    std::optional<InstanceStatus> status(const std::string& id) const;
    std::vector<InstanceStatus> list() const;
    // Forgets the crashes of an instance and of its start refusals (an operator repaired it).
    void forget_crashes(const std::string& id);

    // Readable when on_ready() has work.
    int poll_fd() const;
    // Clock::boot_us() at which on_ready() must be called even so; nullopt: never.
    std::optional<std::int64_t> next_deadline_us() const;
    void on_ready();

  private:
    class Impl;
    explicit Spawner(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

} // namespace hasp::run
