// cgroup v2, where this machine lets hasp use it. Private.
#pragma once

#include "base/result.h"
#include "run/manifest.h"

#include <string>

namespace hasp::run {

// The folder beneath which apps get their cgroups, or why there is none. `mounts` and `own` are the
// contents of /proc/self/mountinfo and /proc/self/cgroup.
Result<std::string> find_cgroup(const std::string& mounts, const std::string& own);

// Makes `path` with the limits of memory and of processes. Removed by remove_cgroup().
Status make_cgroup(const std::string& path, const Limits& limits);
// Kills what is in it, and removes it when nothing is left.
void remove_cgroup(const std::string& path);
// The kernel killed something in it because memory ran out.
bool cgroup_ran_out_of_memory(const std::string& path);

} // namespace hasp::run
