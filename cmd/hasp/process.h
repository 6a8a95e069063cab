// The three processes behind `hasp serve`. Each is started by the supervisor with its control
// socket at descriptor 3, reads the same config, and ends when that socket closes.
#pragma once

#include "base/log.h"
#include "maint/config.h"

#include <string>

namespace hasp::cmd {

inline constexpr int config_fd = 4; // where a process finds the config that it is started with
// What a program prints and no more when it could take the supervisor's place.
inline constexpr const char* trial_word = "this hasp can take over";

struct ProcessOptions {
    std::string state; // absolute
    maint::Config config;
};

// Exit codes: 0 after a drained stop, else not.
int run_front(const ProcessOptions& options, const Log& log);
int run_keeper(const ProcessOptions& options, const Log& log);
int run_spawner(const ProcessOptions& options, const Log& log);

} // namespace hasp::cmd
