// The app as a child of its dialer: limits, start and end. Private to the dialer's process.
#pragma once

#include "run/dialer.h"

#include <sys/types.h>

namespace hasp::run {

// Forks and executes the app in a process group of its own, with its limits. -1: fork failed (said
// on stderr).
pid_t start_app(const DialerOptions& options, const std::vector<std::string>& command);

// Kills and reaps everything that descends from this process. As first process of a PID namespace
// there is little to do: the kernel ends the others with it.
void end_descendants();

} // namespace hasp::run
