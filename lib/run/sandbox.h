// One sandbox: its command line, and the fork that becomes it. Private.
#pragma once

#include "base/fd.h"
#include "base/result.h"
#include "run/dialer.h"
#include "run/isolation.h"
#include "run/manifest.h"

#include <map>
#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

namespace hasp::run {

// What goes into a sandbox. Paths are the host's.
struct SandboxPlan {
    Isolation isolation;
    std::string dialer_binary;
    std::string code_dir;
    std::string data_dir; // empty: a small tmpfs (bwrap), a folder in work_dir (Landlock)
    std::string
        work_dir; // Landlock only: for the app's socket and temporary files; made and emptied here
    std::string cgroup_dir; // empty: none
    std::string user;       // what the app is told in HASP_USER
    std::map<std::string, std::string> env;
    std::vector<std::string> command;
    Listen listen;
    Limits limits;
    bool dial = true; // false: nobody dials it (the init command)
    uid_t uid = 0;    // to drop to; only when root
    gid_t gid = 0;
};

// Paths as the app sees them under this isolation.
struct SandboxView {
    std::string app;
    std::string data;
    std::string socket;
    std::string tmp;
};
SandboxView sandbox_view(const SandboxPlan& plan);

struct Sandbox {
    pid_t pid = 0;
    std::optional<int> exit_status; // of pid, once it has been reaped
    Fd pidfd;
    // The dialer's own, told by it before the app starts. It becomes readable when everything in
    // the sandbox is gone, which may be after the process that we started has ended.
    Fd inner;
    Fd control; // our end, SOCK_SEQPACKET
    Fd output;  // read end of the app's stdout and stderr, O_NONBLOCK
};

// Forks and executes. `listen` is the socket to hand in (invalid for plan.dial = false). What fails
// after the fork is told on the output and by the exit status. The sandbox dies with the calling
// thread.
Result<Sandbox> launch(const SandboxPlan& plan, const Fd& listen);

// The arguments of bwrap before the program, without the descriptors that only a launch has: also
// what detection tries.
std::vector<std::string> bwrap_namespaces();

// Descriptors inside a sandbox, from which bwrap reads and the dialer serves.
inline constexpr int fd_seccomp = 10;
inline constexpr int fd_passwd = 11;
inline constexpr int fd_group = 12;
inline constexpr int fd_nsswitch = 13;
inline constexpr int fd_hosts = 14;
inline constexpr int fd_listen = 15;
inline constexpr int fd_control = 16;
inline constexpr int fd_after_last = 17;

// The whole argument list of bwrap. `code`, `data` and `binary` are the paths to bind, which root
// stages.
std::vector<std::string> bwrap_arguments(const SandboxPlan& plan, const std::string& code,
                                         const std::string& data, const std::string& binary);

} // namespace hasp::run
