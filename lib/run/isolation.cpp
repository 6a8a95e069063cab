#include "run/isolation.h"

#include "base/fd.h"
#include "base/files.h"
#include "base/text.h"
#include "cgroup.h"
#include "landlock.h"
#include "sandbox.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <grp.h>
#include <sys/wait.h>
#include <unistd.h>

namespace hasp::run {
namespace {

constexpr std::size_t message_bytes_max = 400;
constexpr std::size_t proc_file_bytes_max = 1024 * 1024;

// Runs `words` as `uid` (when root) and waits. Empty: it exited with 0; else what it said.
std::string try_run(std::vector<std::string> words, unsigned uid) {
    int pipe[2];
    if (::pipe2(pipe, O_CLOEXEC) != 0) {
        return std::strerror(errno);
    }
    const Fd read_end(pipe[0]);
    Fd write_end(pipe[1]);
    std::vector<char*> argv;
    for (std::string& word : words) {
        argv.push_back(word.data());
    }
    argv.push_back(nullptr);
    const pid_t pid = ::fork();
    if (pid == 0) {
        ::dup2(write_end.get(), 2);
        if (::geteuid() == 0 && (::setgroups(0, nullptr) != 0 || ::setresgid(uid, uid, uid) != 0 ||
                                 ::setresuid(uid, uid, uid) != 0)) {
            ::_exit(126);
        }
        ::execv(argv[0], argv.data());
        ::_exit(127);
    }
    if (pid < 0) {
        return std::strerror(errno);
    }
    write_end.reset();
    std::string said;
    char buffer[256];
    for (ssize_t n = ::read(read_end.get(), buffer, sizeof buffer); n > 0;
         n = ::read(read_end.get(), buffer, sizeof buffer)) {
        said.append(buffer, static_cast<std::size_t>(n));
        said.resize(std::min(said.size(), message_bytes_max));
    }
    int status = 0;
    ::waitpid(pid, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        return {};
    }
    const std::string text(trim(said));
    return text.empty() ? "bwrap ended with status " + std::to_string(status) : text;
}

void add_reason(Isolation& to, const std::string& text) {
    to.reason += (to.reason.empty() ? "" : "; ") + text;
}

bool find_bwrap(Isolation& to, unsigned try_uid) {
    for (const char* path : {"/usr/bin/bwrap", "/usr/local/bin/bwrap", "/bin/bwrap"}) {
        if (::access(path, X_OK) != 0) {
            continue;
        }
        std::vector<std::string> words = {path};
        const auto namespaces = bwrap_namespaces();
        words.insert(words.end(), namespaces.begin(), namespaces.end());
        words.insert(words.end(), {"--", "/usr/bin/true"});
        const std::string wrong = try_run(std::move(words), try_uid);
        if (wrong.empty()) {
            to.bwrap = path;
            return true;
        }
        add_reason(to, wrong);
        return false;
    }
    add_reason(to, "the program bwrap (package bubblewrap) is not installed");
    return false;
}

} // namespace

Isolation detect_isolation(unsigned try_uid) {
    Isolation found;
    found.landlock_abi = landlock_abi();
    if (find_bwrap(found, try_uid)) {
        found.kind = IsolationKind::bwrap;
        found.name = "bwrap";
        const auto mounts = read_file("/proc/self/mountinfo", proc_file_bytes_max);
        const auto own = read_file("/proc/self/cgroup", proc_file_bytes_max);
        auto cgroup = find_cgroup(mounts.value_or(""), own.value_or(""));
        if (cgroup) {
            found.cgroup = std::move(*cgroup);
        } else {
            found.name = "bwrap (no cgroup)";
            add_reason(found, cgroup.error().message +
                                  ": memory is limited for each process, not for an app");
        }
        return found;
    }
    if (found.landlock_abi > 0) {
        found.kind = IsolationKind::landlock;
        found.name = "landlock";
        add_reason(found, "apps see other processes and share the host's network");
        if (found.landlock_abi < landlock_abi_network) {
            add_reason(found, "this kernel's Landlock does not hold TCP connections");
        }
        if (found.landlock_abi < landlock_abi_scopes) {
            add_reason(found, "this kernel's Landlock does not hold signals");
        }
        return found;
    }
    found.name = "none";
    add_reason(found, "the kernel has no Landlock");
    return found;
}

} // namespace hasp::run
