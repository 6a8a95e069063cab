#include "front_jail.h"

#include "base/fd.h"

#include <array>
#include <cerrno>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <grp.h>
#include <linux/landlock.h>
#include <memory>
#include <pwd.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace hasp::cmd {

namespace {

// Kernel ABI 1 (Linux 5.13): what a file system rule can hold back. Newer rights are not needed:
// nothing is granted but reading.
constexpr std::uint64_t all_access =
    LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE |
    LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |
    LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
    LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK |
    LANDLOCK_ACCESS_FS_MAKE_SYM;

Status become(const std::string& user) {
    if (::geteuid() != 0 || user.empty()) {
        return {};
    }
    const passwd* found = ::getpwnam(user.c_str());
    if (found == nullptr || found->pw_uid == 0) {
        return fail(Code::usage, "there is no user '" + user + "' for front",
                    "set front_user under [process] in hasp.toml");
    }
    if (::setgroups(0, nullptr) != 0 ||
        ::setresgid(found->pw_gid, found->pw_gid, found->pw_gid) != 0 ||
        ::setresuid(found->pw_uid, found->pw_uid, found->pw_uid) != 0) {
        return errno_error(errno, "front cannot become the user '" + user + "'");
    }
    return {};
}

// False when the kernel has no Landlock.
Result<bool> close_paths(const std::string& releases) {
    landlock_ruleset_attr attributes{};
    attributes.handled_access_fs = all_access;
    const Fd rules(static_cast<int>(
        ::syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes, 0)));
    if (!rules) {
        if (errno == ENOSYS || errno == EOPNOTSUPP) {
            return false;
        }
        return errno_error(errno, "cannot make a Landlock rule set");
    }
    const Fd folder(::open(releases.c_str(), O_PATH | O_CLOEXEC));
    if (!folder) {
        return errno_error(errno, "cannot open " + releases);
    }
    landlock_path_beneath_attr beneath{};
    beneath.allowed_access = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
    beneath.parent_fd = folder.get();
    if (::syscall(SYS_landlock_add_rule, rules.get(), LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) !=
            0 ||
        ::syscall(SYS_landlock_restrict_self, rules.get(), 0) != 0) {
        return errno_error(errno, "cannot close the file system to front");
    }
    return true;
}

Status filter_calls() {
    // A proxy that serves files needs none of these. EPERM rather than a kill, so that a library's
    // probing does no harm.
    constexpr std::array denied{SCMP_SYS(execve),
                                SCMP_SYS(execveat),
                                SCMP_SYS(fork),
                                SCMP_SYS(vfork),
                                SCMP_SYS(ptrace),
                                SCMP_SYS(mount),
                                SCMP_SYS(umount2),
                                SCMP_SYS(pivot_root),
                                SCMP_SYS(chroot),
                                SCMP_SYS(unshare),
                                SCMP_SYS(setns),
                                SCMP_SYS(bpf),
                                SCMP_SYS(keyctl),
                                SCMP_SYS(add_key),
                                SCMP_SYS(request_key),
                                SCMP_SYS(init_module),
                                SCMP_SYS(finit_module),
                                SCMP_SYS(delete_module),
                                SCMP_SYS(kexec_load),
                                SCMP_SYS(reboot),
                                SCMP_SYS(swapon),
                                SCMP_SYS(swapoff),
                                SCMP_SYS(acct),
                                SCMP_SYS(settimeofday),
                                SCMP_SYS(clock_settime),
                                SCMP_SYS(clock_adjtime),
                                SCMP_SYS(adjtimex),
                                SCMP_SYS(sethostname),
                                SCMP_SYS(setdomainname),
                                SCMP_SYS(iopl),
                                SCMP_SYS(ioperm),
                                SCMP_SYS(userfaultfd),
                                SCMP_SYS(perf_event_open),
                                SCMP_SYS(process_vm_readv),
                                SCMP_SYS(process_vm_writev),
                                SCMP_SYS(pidfd_getfd),
                                SCMP_SYS(open_by_handle_at),
                                SCMP_SYS(name_to_handle_at),
                                SCMP_SYS(io_uring_setup),
                                SCMP_SYS(mknod),
                                SCMP_SYS(mknodat),
                                SCMP_SYS(chmod),
                                SCMP_SYS(fchmodat),
                                SCMP_SYS(chown),
                                SCMP_SYS(fchownat),
                                SCMP_SYS(rename),
                                SCMP_SYS(renameat),
                                SCMP_SYS(renameat2),
                                SCMP_SYS(unlink),
                                SCMP_SYS(unlinkat),
                                SCMP_SYS(link),
                                SCMP_SYS(linkat),
                                SCMP_SYS(symlink),
                                SCMP_SYS(symlinkat),
                                SCMP_SYS(truncate),
                                SCMP_SYS(setuid),
                                SCMP_SYS(setgid),
                                SCMP_SYS(setresuid),
                                SCMP_SYS(setresgid),
                                SCMP_SYS(setgroups)};
    const std::unique_ptr<void, decltype(&seccomp_release)> filter(seccomp_init(SCMP_ACT_ALLOW),
                                                                   seccomp_release);
    if (filter == nullptr) {
        return fail(Code::failed, "cannot make a system call filter");
    }
    for (const int call : denied) {
        if (seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(EPERM), call, 0) != 0) {
            return fail(Code::failed, "cannot add a rule to the system call filter");
        }
    }
    if (const int rc = seccomp_load(filter.get()); rc != 0) {
        return errno_error(-rc, "cannot load the system call filter");
    }
    return {};
}

} // namespace

Status check_reach(const std::string& user, const std::string& folder) {
    if (::geteuid() != 0 || user.empty()) {
        return {};
    }
    const passwd* found = ::getpwnam(user.c_str());
    if (found == nullptr) {
        return {}; // enter_jail says so
    }
    for (std::filesystem::path path = folder; !path.empty(); path = path.parent_path()) {
        struct stat st {};
        if (::stat(path.c_str(), &st) != 0) {
            return errno_error(errno, "cannot look at " + path.string());
        }
        const mode_t needed = st.st_uid == found->pw_uid   ? S_IXUSR
                              : st.st_gid == found->pw_gid ? S_IXGRP
                                                           : S_IXOTH;
        if ((st.st_mode & needed) == 0) {
            return fail(Code::refused,
                        "the user '" + user + "', as whom front runs, cannot pass through " +
                            path.string(),
                        "chmod o+x " + path.string() +
                            ", put the state elsewhere, or set front_user under [process]");
        }
        if (path == path.root_path()) {
            break;
        }
    }
    return {};
}

Status enter_jail(const JailOptions& options, std::string& reached) {
#ifdef __SANITIZE_ADDRESS__
    // LeakSanitizer has to open /proc and to trace, which the jail is there to forbid.
    if (std::getenv("HASP_FRONT_UNJAILED") != nullptr) {
        reached = "nothing: this build with sanitizers was told to leave the jail open";
        return {};
    }
#endif
    if (Status changed = become(options.user); !changed.ok()) {
        return changed;
    }
    reached = "uid " + std::to_string(::geteuid());
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || ::prctl(PR_SET_DUMPABLE, 0) != 0) {
        return errno_error(errno, "cannot give up privileges");
    }
    auto closed = close_paths(options.releases);
    if (!closed.ok()) {
        return closed.error();
    }
    reached += *closed ? ", landlock" : ", no landlock in this kernel";
    if (options.seccomp) {
        if (Status filtered = filter_calls(); !filtered.ok()) {
            return filtered;
        }
        reached += ", seccomp";
    }
    return {};
}

} // namespace hasp::cmd
