#include "cgroup.h"

#include "base/fd.h"
#include "base/files.h"
#include "base/text.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace hasp::run {
namespace {

constexpr std::size_t control_file_bytes_max = 4096;
constexpr std::int64_t bytes_per_mb = 1024 * 1024;

Status put(const std::string& path, const std::string& value) {
    const Fd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
    if (!fd) {
        return errno_error(errno, "cannot open " + path);
    }
    if (Status s = write_all(fd.get(), value); !s) {
        return fail(Code::failed, path + ": " + s.error().message);
    }
    return {};
}

// The first word sequence after the mount point's dash is the file system: "ID PARENT DEV ROOT
// POINT OPTIONS … - cgroup2 …".
std::string mount_point(const std::string& mounts) {
    for (const std::string_view line : split(mounts, '\n')) {
        const auto words = split(line, ' ');
        const auto dash = std::ranges::find(words, std::string_view("-"));
        if (words.size() > 5 && dash != words.end() && dash + 1 != words.end() &&
            dash[1] == "cgroup2") {
            return std::string(words[4]);
        }
    }
    return {};
}

} // namespace

Result<std::string> find_cgroup(const std::string& mounts, const std::string& own) {
    const std::string point = mount_point(mounts);
    if (point.empty()) {
        return fail(Code::not_found, "cgroup v2 is not mounted");
    }
    std::string path;
    for (const std::string_view line : split(own, '\n')) {
        if (line.starts_with("0::")) {
            path = point + std::string(line.substr(3));
        }
    }
    if (path.empty()) {
        return fail(Code::not_found, "this process is in no group of cgroup v2");
    }
    while (path.ends_with('/')) {
        path.pop_back();
    }
    const auto controllers = read_file(path + "/cgroup.controllers", control_file_bytes_max);
    if (!controllers) {
        return controllers.error();
    }
    const auto words = split(trim(*controllers), ' ');
    for (const std::string_view need : {"memory", "pids"}) {
        if (std::ranges::find(words, need) == words.end()) {
            return fail(Code::not_found, "cgroup v2 does not have the controller \"" +
                                             std::string(need) + "\" at " + path);
        }
    }
    // Fails with EBUSY where this group holds processes itself and is not the root: then whoever
    // started hasp has to give it a group beneath one that it may divide.
    if (Status s = put(path + "/cgroup.subtree_control", "+memory +pids"); !s) {
        return fail(Code::refused, "cgroup v2 cannot be divided: " + s.error().message);
    }
    return path;
}

Status make_cgroup(const std::string& path, const Limits& limits) {
    if (::mkdir(path.c_str(), 0755) != 0 && errno != EEXIST) {
        return errno_error(errno, "cannot make the cgroup " + path);
    }
    for (const auto& [file, value] :
         {std::pair<const char*, std::string>{"memory.max",
                                              std::to_string(limits.memory_mb * bytes_per_mb)},
          {"pids.max", std::to_string(limits.processes)}}) {
        if (Status s = put(path + "/" + file, value); !s) {
            return s;
        }
    }
    // Absent where the kernel does not account for swap.
    (void)put(path + "/memory.swap.max", "0");
    return {};
}

void remove_cgroup(const std::string& path) {
    (void)put(path + "/cgroup.kill", "1");
    ::rmdir(path.c_str());
}

bool cgroup_ran_out_of_memory(const std::string& path) {
    const auto events = read_file(path + "/memory.events", control_file_bytes_max);
    if (!events) {
        return false;
    }
    const auto lines = split(*events, '\n');
    return std::ranges::any_of(lines, [](std::string_view line) {
        return line.starts_with("oom_kill ") && line != "oom_kill 0";
    });
}

} // namespace hasp::run
