#include "app_process.h"

#include "base/files.h"
#include "base/text.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace hasp::run {
namespace {

constexpr rlim_t rlim_per_mb = 1024 * 1024;
constexpr std::size_t children_file_bytes_max = 64 * 1024;
constexpr int rounds_max = 100; // of killing what forks meanwhile

// Tasks of this uid that exist already: the kernel counts them against RLIMIT_NPROC, and without a
// user namespace of the app's own they are other apps' and the user's.
rlim_t tasks_now() {
    rlim_t tasks = 0;
    DIR* proc = ::opendir("/proc");
    if (proc == nullptr) {
        return 0;
    }
    for (const dirent* entry = ::readdir(proc); entry != nullptr; entry = ::readdir(proc)) {
        struct stat st {};
        const std::string path = std::string("/proc/") + entry->d_name;
        if (!parse_u64(entry->d_name) || ::stat(path.c_str(), &st) != 0 ||
            st.st_uid != ::getuid()) {
            continue;
        }
        // A link count of /proc/PID/task is the number of threads plus two.
        tasks +=
            ::stat((path + "/task").c_str(), &st) == 0 && st.st_nlink > 2 ? st.st_nlink - 2 : 1;
    }
    ::closedir(proc);
    return tasks;
}

void limit(__rlimit_resource resource, rlim_t value) {
    rlimit now{};
    ::getrlimit(resource, &now);
    const rlim_t most = std::min(value, now.rlim_max);
    const rlimit wanted{most, most};
    ::setrlimit(resource, &wanted);
}

[[noreturn]] void become_app(const DialerOptions& options, std::vector<char*> argv, rlim_t tasks) {
    ::setpgid(0, 0);
    // Whatever else the dialer was given must not reach the app, its listening socket above all.
    ::syscall(SYS_close_range, 3U, ~0U, 0U);
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_NOFILE, static_cast<rlim_t>(options.limits.files));
    limit(RLIMIT_FSIZE, static_cast<rlim_t>(options.limits.file_size_mb) * rlim_per_mb);
    limit(RLIMIT_NPROC, static_cast<rlim_t>(options.limits.processes) + tasks);
    if (options.limit_data) {
        limit(RLIMIT_DATA, static_cast<rlim_t>(options.limits.memory_mb) * rlim_per_mb);
    }
    ::signal(SIGPIPE, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::execvp(argv[0], argv.data());
    const int error = errno;
    // By single writes: under the limits of the app, memory may not be had any more.
    for (const char* part : {"hasp: cannot execute ", static_cast<const char*>(argv[0]), ": ",
                             ::strerrordesc_np(error), "\n"}) {
        if (part != nullptr && ::write(2, part, std::strlen(part)) < 0) {
            break;
        }
    }
    ::_exit(error == ENOENT ? 127 : 126);
}

} // namespace

pid_t start_app(const DialerOptions& options, const std::vector<std::string>& command) {
    std::vector<std::string> words = command;
    std::vector<char*> argv;
    for (std::string& word : words) {
        argv.push_back(word.data());
    }
    argv.push_back(nullptr);
    const rlim_t tasks = tasks_now();
    const pid_t pid = ::fork();
    if (pid == 0) {
        become_app(options, std::move(argv), tasks);
    }
    if (pid < 0) {
        ::dprintf(2, "hasp: cannot fork: %s\n", std::strerror(errno));
        return -1;
    }
    // In both processes: whoever comes first, the group is there before a signal is sent to it.
    ::setpgid(pid, pid);
    return pid;
}

void end_descendants() {
    if (::getpid() == 1) {
        ::kill(-1, SIGKILL);
        return;
    }
    const std::string list =
        "/proc/self/task/" + std::to_string(static_cast<long>(::syscall(SYS_gettid))) + "/children";
    for (int round = 0; round < rounds_max; ++round) {
        const auto children = read_file(list, children_file_bytes_max);
        if (!children || trim(*children).empty()) {
            return;
        }
        for (const std::string_view word : split(*children, ' ')) {
            if (const auto pid = parse_u64(trim(word)); pid && *pid > 1) {
                ::kill(static_cast<pid_t>(*pid), SIGKILL);
                ::waitpid(static_cast<pid_t>(*pid), nullptr, 0);
            }
        }
        // What they had started is ours now, and in the next round's list.
    }
}

} // namespace hasp::run
