// The supervisor's state; its parts are in supervisor.cpp (the loop, signals, the end),
// supervisor_processes.cpp (starting, joining, burying) and supervisor_succession.cpp (reload and
// restart). One thread.
#pragma once

#include "base/clock.h"
#include "control.h"
#include "door.h"
#include "lanes.h"
#include "listening.h"
#include "supervisor.h"

#include <array>
#include <cstdint>
#include <optional>
#include <poll.h>
#include <string>
#include <sys/types.h>
#include <vector>

namespace hasp::cmd {

enum Role : std::size_t { front, keeper, spawner, roles };
inline constexpr std::array<const char*, roles> role_names{"front", "keeper", "spawner"};
// From its start to "ready": opening the stores may bring them up to date.
inline constexpr std::int64_t keeper_us_max = 60'000'000;

class Supervisor {
  public:
    Supervisor(SupervisorOptions options, const Clock& clock);

    Status prepare();
    int run();

  private:
    struct Process {
        Role role = front;
        pid_t pid = -1;
        Fd control;
        std::uint32_t number = 0; // of a front
        FrontLanes lanes;
        std::int64_t started_us = 0;
        std::int64_t restart_at_us = -1; // >= 0: to be started then
        std::int64_t delay_us = 0;
        std::int64_t until_us = -1; // of a leaving front: then it is told to end, or killed
        bool told_to_end = false;
        bool serves = false; // of a front: it has said that it is ready
        std::string failure; // what it said of why it cannot start
    };
    // What follows from one reading of the config.
    struct Setup {
        maint::Config config;
        std::vector<Listening> listening;
        Fd access_log;
        Fd cache;
        std::string certificate; // see certificate_state(); before a front has read it
    };
    // A reload or restart under way.
    struct Succession {
        enum class Phase { trial, front, keeper, settle };
        Phase phase = Phase::front;
        bool restart = false;
        Door::Client client = 0;
        std::int64_t deadline_us = 0;
        std::optional<Setup> setup; // until its front serves
        std::vector<maint::ConfigChange> changes;
        std::optional<maint::Config> before; // of a keeper that was told to end
        pid_t trial = -1;
        pid_t trial_group = -1; // of it and what it has started, also when it has ended
        Fd trial_says;
        std::string trial_text;
    };

    // supervisor.cpp
    Result<Setup> make_setup(maint::Config config) const;
    void log_as(const maint::Config& config);
    Status go_back(const Error& why);
    void adopt(maint::Config was);
    Fd open_cache(const maint::Config& config) const;
    Result<Fd> open_access_log(const maint::Config& config) const;
    void on_hangup();
    static std::string certificate_state(const maint::Config& config);
    void look_at_certificate(std::int64_t now);
    void offer_certificate();
    bool finished() const;
    void wait_and_dispatch();
    std::int64_t next_event_us() const;
    void on_time(std::int64_t now);
    void on_signals();
    void on_control(Process& process);
    void take_message(Process& process, const ControlMessage& message);
    void first_ready();
    void begin_stop();
    void next_stop_step();
    void stop_step();
    bool step_over() const;
    bool keeper_again(Role role);
    void on_deadline();

    // supervisor_processes.cpp
    void start(Role role);
    bool spawn(Process& process, const maint::Config& config);
    void start_front(Process& process, const Setup& setup);
    void hand_cache_on();
    void join(Process& process);
    void join_pair(Process& one, Process& other);
    void tell_pids();
    void say(Process& process, const std::string& text, int fd = -1);
    void reap();
    void hear_last_words(pid_t pid);
    void on_death(Process& process, int status);
    void on_other_death(pid_t pid, int status);
    FrontLanes lanes_for(const Process& process, std::uint32_t more) const;
    std::vector<Process*> fronts();
    std::vector<Process*> all();
    void look_at_leaving(std::int64_t now);
    void front_gone(const Process& process);

    // supervisor_succession.cpp
    void on_command(Door::Client client, const std::string& command);
    Status may_succeed(bool restart) const;
    void reload(Door::Client client);
    void begin_front(maint::Config config);
    void promote();
    void replace_keeper();
    void on_keeper_ready();
    void settle();
    void succeed();
    void give_up(Error why);
    void undo_keeper(Error& why);
    void exec_back(const Error& why);
    void end_next();
    void end_trial();
    void restart(Door::Client client);
    void read_trial();
    void on_trial_end(int status);
    Handover handover(Door::Client client) const;
    // Does not come back where it succeeds.
    Status exec_into(int program, const std::string& path, const Handover& handover);
    void after_exec();
    void succession_time(std::int64_t now);

    const Log& log() const { return *log_; }

    SupervisorOptions options_;
    const Clock& clock_;
    std::optional<Log> log_;
    Setup setup_;
    Fd ring_;
    Fd gate_;     // who opens users' files that are without content waits as long as this is open
    Fd previous_; // the binary that this one followed, until it is settled that this one stays
    std::string certificate_seen_; // what front has
    std::string certificate_last_look_;
    std::int64_t certificate_look_us_ = 0;
    Fd signals_;
    std::array<Process, roles> processes_;
    std::optional<Process> next_;
    std::vector<Process> leaving_;
    std::uint32_t next_number_ = 1;
    std::uint32_t cache_holder_ = 0; // number of the front that has the file; 0: none
    std::optional<Succession> succession_;
    std::optional<Door> door_;
    bool ready_ = false;
    bool stopping_ = false;
    bool failed_ = false;
    bool keeper_again_ = false; // during a stop
    // Of a keeper that did not come up with the settings of a reload: what it has until the next.
    std::optional<maint::Config> keeper_config_;
    std::size_t step_ = 0;
    std::int64_t deadline_us_ = -1;
};

} // namespace hasp::cmd
