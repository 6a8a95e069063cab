#include "sandbox.h"

#include "dialer_words.h"

namespace hasp::run {
namespace {

constexpr const char* tmp_bytes = "268435456";
constexpr const char* run_bytes = "16777216";
constexpr const char* binary_inside = "/run/hasp-dialer";

void add(std::vector<std::string>& to, std::initializer_list<const char*> words) {
    to.insert(to.end(), words.begin(), words.end());
}

} // namespace

std::vector<std::string> bwrap_namespaces() {
    std::vector<std::string> a;
    add(a, {"--unshare-user", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts",
            "--unshare-cgroup-try", "--disable-userns", "--die-with-parent", "--new-session",
            "--cap-drop", "ALL", "--uid", "1000", "--gid", "1000", "--hostname", "app"});
    add(a, {"--ro-bind", "/usr", "/usr", "--symlink", "usr/bin", "/bin", "--symlink", "usr/sbin",
            "/sbin", "--symlink", "usr/lib", "/lib", "--symlink", "usr/lib64", "/lib64"});
    add(a, {"--proc", "/proc", "--dev", "/dev"});
    return a;
}

std::vector<std::string> bwrap_arguments(const SandboxPlan& plan, const std::string& code,
                                         const std::string& data, const std::string& binary) {
    const SandboxView view = sandbox_view(plan);
    std::vector<std::string> a = {plan.isolation.bwrap};
    const auto base = bwrap_namespaces();
    a.insert(a.end(), base.begin(), base.end());
    // The dialer is the first process: it reaps, and with it ends everything in the namespace.
    add(a, {"--as-pid-1", "--clearenv"});
    for (const auto& [name, value] : plan.env) {
        a.insert(a.end(), {"--setenv", name, value});
    }
    add(a, {"--dir", "/etc"});
    for (const char* path : {"/etc/alternatives", "/etc/ld.so.cache", "/etc/fonts", "/etc/ssl",
                             "/etc/localtime", "/etc/mime.types"}) {
        add(a, {"--ro-bind-try", path, path});
    }
    const auto from_fd = [&](int fd, const char* path) {
        a.insert(a.end(), {"--ro-bind-data", std::to_string(fd), path});
    };
    from_fd(fd_passwd, "/etc/passwd");
    from_fd(fd_group, "/etc/group");
    from_fd(fd_nsswitch, "/etc/nsswitch.conf");
    from_fd(fd_hosts, "/etc/hosts");
    add(a, {"--size", tmp_bytes,   "--tmpfs", "/tmp",    "--size",    run_bytes, "--tmpfs",
            "/run",   "--perms",   "0700",    "--dir",   "/run/user", "--perms", "0700",
            "--dir",  "/run/hasp", "--size",  tmp_bytes, "--tmpfs",   "/dev/shm"});
    a.insert(a.end(), {"--ro-bind", binary, binary_inside, "--ro-bind", code, "/app"});
    if (data.empty()) {
        add(a, {"--size", run_bytes, "--tmpfs", "/data"});
    } else {
        a.insert(a.end(), {"--bind", data, "/data"});
    }
    a.insert(a.end(), {"--chdir", "/app", "--remount-ro", "/", "--seccomp",
                       std::to_string(fd_seccomp), "--", binary_inside});
    DialerOptions o;
    o.listen_fd = plan.dial ? fd_listen : -1;
    o.control_fd = fd_control;
    o.unix_socket = plan.listen.unix_socket;
    o.port = plan.listen.port;
    o.socket_path = view.socket;
    o.limits = plan.limits;
    o.limit_data = plan.cgroup_dir.empty();
    const auto words = dialer_words(o);
    a.insert(a.end(), words.begin(), words.end());
    a.insert(a.end(), plan.command.begin(), plan.command.end());
    return a;
}

} // namespace hasp::run
