#include "landlock.h"

#include "base/fd.h"

#include <cerrno>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace hasp::run {
namespace {

// Debian 12's header ends at ABI 2; the kernel's interface goes on (include/uapi/linux/landlock.h,
// Linux 6.12).
struct RulesetAttr {
    std::uint64_t handled_access_fs;
    std::uint64_t handled_access_net; // ABI 4
    std::uint64_t scoped;             // ABI 6
};
struct PortAttr {
    std::uint64_t allowed_access;
    std::uint64_t port;
};
constexpr int rule_net_port = 2;
constexpr std::uint64_t access_refer = 1ULL << 13;     // ABI 2
constexpr std::uint64_t access_truncate = 1ULL << 14;  // ABI 3
constexpr std::uint64_t access_ioctl_dev = 1ULL << 15; // ABI 5
constexpr std::uint64_t net_bind = 1ULL << 0;
constexpr std::uint64_t net_connect = 1ULL << 1;
constexpr std::uint64_t scope_abstract_sockets = 1ULL << 0;
constexpr std::uint64_t scope_signals = 1ULL << 1;

constexpr std::uint64_t read_access =
    LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
constexpr std::uint64_t file_access = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_EXECUTE;

std::uint64_t all_access(int abi) {
    std::uint64_t all = (1ULL << 13) - 1;
    all |= abi >= 2 ? access_refer : 0;
    all |= abi >= 3 ? access_truncate : 0;
    all |= abi >= 5 ? access_ioctl_dev : 0;
    return all;
}

Status allow(int ruleset, const std::string& path, std::uint64_t access, bool must_exist) {
    const Fd fd(::open(path.c_str(), O_PATH | O_CLOEXEC));
    if (!fd) {
        return must_exist ? Status(errno_error(errno, "cannot open " + path)) : Status();
    }
    landlock_path_beneath_attr rule{};
    rule.allowed_access = access;
    rule.parent_fd = fd.get();
    if (::syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0) {
        return {};
    }
    // A file takes no folder rights.
    rule.allowed_access =
        access & (file_access | LANDLOCK_ACCESS_FS_WRITE_FILE | access_truncate | access_ioctl_dev);
    if (::syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0) {
        return {};
    }
    return errno_error(errno, "Landlock refuses a rule for " + path);
}

} // namespace

int landlock_abi() {
    const long abi =
        ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
    return abi > 0 ? static_cast<int>(abi) : 0;
}

Status landlock_here(const LandlockRules& rules) {
    const int abi = landlock_abi();
    if (abi == 0) {
        return fail(Code::failed, "the kernel has no Landlock");
    }
    RulesetAttr attr{};
    attr.handled_access_fs = all_access(abi);
    std::size_t size = sizeof attr.handled_access_fs;
    if (abi >= landlock_abi_network) {
        attr.handled_access_net = net_bind | net_connect;
        size = 2 * sizeof(std::uint64_t);
    }
    if (abi >= landlock_abi_scopes) {
        attr.scoped = scope_abstract_sockets | scope_signals;
        size = sizeof attr;
    }
    const Fd ruleset(static_cast<int>(::syscall(SYS_landlock_create_ruleset, &attr, size, 0)));
    if (!ruleset) {
        return errno_error(errno, "cannot make a Landlock ruleset");
    }
    const std::uint64_t device = (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE |
                                  access_truncate | access_ioctl_dev) &
                                 attr.handled_access_fs;
    for (const std::string& path : rules.read) {
        if (Status s = allow(ruleset.get(), path, read_access, false); !s) {
            return s;
        }
    }
    for (const std::string& path : rules.devices) {
        if (Status s = allow(ruleset.get(), path, device, false); !s) {
            return s;
        }
    }
    for (const std::string& path : rules.write) {
        if (Status s = allow(ruleset.get(), path, attr.handled_access_fs, true); !s) {
            return s;
        }
    }
    if (abi >= landlock_abi_network && rules.port != 0) {
        const PortAttr port{net_bind | net_connect, rules.port};
        if (::syscall(SYS_landlock_add_rule, ruleset.get(), rule_net_port, &port, 0) != 0) {
            return errno_error(errno, "Landlock refuses a rule for a port");
        }
    }
    if (::syscall(SYS_landlock_restrict_self, ruleset.get(), 0) != 0) {
        return errno_error(errno, "cannot restrict the process by Landlock");
    }
    return {};
}

} // namespace hasp::run
