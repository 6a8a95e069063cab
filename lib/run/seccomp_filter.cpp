#include "seccomp_filter.h"

#include <cerrno>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

namespace hasp::run {
namespace {

// By name, so that a libseccomp or kernel without one of them does not break the build. Each is
// either an administrator's (mounts, modules, clocks, quotas), a way to look into other processes,
// or kernel surface that apps do not need.
constexpr const char* denied[] = {
    "acct",
    "add_key",
    "adjtimex",
    "bpf",
    "chroot",
    "clock_adjtime",
    "clock_settime",
    "create_module",
    "delete_module",
    "fanotify_init",
    "finit_module",
    "fsconfig",
    "fsmount",
    "fsopen",
    "fspick",
    "get_kernel_syms",
    "init_module",
    "ioperm",
    "iopl",
    "io_uring_enter",
    "io_uring_register",
    "io_uring_setup",
    "kcmp",
    "kexec_file_load",
    "kexec_load",
    "keyctl",
    "lookup_dcookie",
    "mbind",
    "migrate_pages",
    "mount",
    "mount_setattr",
    "move_mount",
    "move_pages",
    "name_to_handle_at",
    "nfsservctl",
    "open_by_handle_at",
    "open_tree",
    "perf_event_open",
    "pidfd_getfd",
    "pivot_root",
    "process_madvise",
    "process_vm_readv",
    "process_vm_writev",
    "ptrace",
    "query_module",
    "quotactl",
    "quotactl_fd",
    "reboot",
    "request_key",
    "set_mempolicy",
    "setdomainname",
    "sethostname",
    "setns",
    "settimeofday",
    "stime",
    "swapoff",
    "swapon",
    "sysfs",
    "syslog",
    "_sysctl",
    "umount",
    "umount2",
    "unshare",
    "uselib",
    "userfaultfd",
    "ustat",
    "vhangup",
    "vm86",
    "vm86old",
};

constexpr unsigned new_namespaces[] = {CLONE_NEWNS,   CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC,
                                       CLONE_NEWUSER, CLONE_NEWPID,    CLONE_NEWNET};
// Socket families that reach the host or the kernel past the network namespace.
constexpr unsigned denied_families[] = {AF_PACKET, AF_VSOCK, AF_ALG, AF_BLUETOOTH,
                                        AF_RDS,    AF_TIPC,  AF_CAN};
constexpr unsigned internet_families[] = {AF_INET, AF_INET6};
constexpr unsigned datagram_types[] = {SOCK_DGRAM, SOCK_RAW};
constexpr unsigned socket_type_mask = 0xf;
constexpr unsigned terminal_requests[] = {TIOCSTI, TIOCLINUX};

struct Release {
    void operator()(void* filter) const { seccomp_release(filter); }
};
using Filter = std::unique_ptr<void, Release>;

// Arguments that the kernel takes as 32 bits are compared as such: the upper half is the caller's
// to choose.
constexpr std::uint64_t int_mask = 0xffff'ffff;

scmp_arg_cmp masked(unsigned argument, std::uint64_t mask, std::uint64_t value) {
    return {argument, SCMP_CMP_MASKED_EQ, mask, value};
}

bool deny(scmp_filter_ctx f, int error, int call, std::initializer_list<scmp_arg_cmp> when) {
    return seccomp_rule_add_array(f, SCMP_ACT_ERRNO(static_cast<unsigned>(error)), call,
                                  static_cast<unsigned>(when.size()), when.begin()) == 0;
}

bool add_socket_rules(scmp_filter_ctx f, const SeccompOptions& options) {
    const int call = SCMP_SYS(socket);
    bool ok = true;
    for (const unsigned family : denied_families) {
        ok = ok && deny(f, EAFNOSUPPORT, call, {masked(0, int_mask, family)});
    }
    for (const unsigned family : internet_families) {
        if (options.deny_internet) {
            ok = ok && deny(f, EAFNOSUPPORT, call, {masked(0, int_mask, family)});
        } else if (options.deny_datagrams) {
            for (const unsigned type : datagram_types) {
                ok = ok && deny(f, EAFNOSUPPORT, call,
                                {masked(0, int_mask, family), masked(1, socket_type_mask, type)});
            }
        }
    }
    return ok;
}

Result<Filter> build(const SeccompOptions& options) {
    Filter filter(seccomp_init(SCMP_ACT_ALLOW));
    if (!filter) {
        return fail(Code::failed, "libseccomp cannot make a filter");
    }
    const auto f = filter.get();
    bool ok = true;
    for (const char* name : denied) {
        const int number = seccomp_syscall_resolve_name(name);
        ok = ok && (number < 0 || deny(f, EPERM, number, {}));
    }
    // clone3 hides its flags from a filter; ENOSYS makes libraries take clone.
    ok = ok && deny(f, ENOSYS, SCMP_SYS(clone3), {});
    for (const unsigned flag : new_namespaces) {
        ok = ok && deny(f, EPERM, SCMP_SYS(clone), {masked(0, flag, flag)});
    }
    // Typing into the terminal of whoever started us.
    for (const unsigned request : terminal_requests) {
        ok = ok && deny(f, EPERM, SCMP_SYS(ioctl), {masked(1, int_mask, request)});
    }
    if (!ok || !add_socket_rules(f, options)) {
        return fail(Code::failed, "libseccomp cannot add a rule to the filter");
    }
    return filter;
}

} // namespace

Result<Fd> seccomp_program(const SeccompOptions& options) {
    const auto filter = build(options);
    if (!filter) {
        return filter.error();
    }
    Fd file(::memfd_create("hasp-seccomp", MFD_CLOEXEC));
    if (!file) {
        return errno_error(errno, "cannot make a memory file");
    }
    if (const int rc = seccomp_export_bpf(filter->get(), file.get()); rc != 0) {
        return errno_error(-rc, "cannot write the seccomp filter");
    }
    ::lseek(file.get(), 0, SEEK_SET);
    return file;
}

Status seccomp_load_here(const SeccompOptions& options) {
    const auto filter = build(options);
    if (!filter) {
        return filter.error();
    }
    if (const int rc = seccomp_load(filter->get()); rc != 0) {
        return errno_error(-rc, "cannot load the seccomp filter");
    }
    return {};
}

} // namespace hasp::run
