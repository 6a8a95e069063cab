#include "sandbox.h"

#include "base/files.h"
#include "dialer_words.h"
#include "landlock.h"
#include "seccomp_filter.h"
#include "stage.h"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <grp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

namespace hasp::run {
namespace {

constexpr int exit_setup_failed = 125;
constexpr int fd_above_all = 64; // where descriptors wait until their final numbers are free

constexpr const char* passwd = "root:x:0:0:root:/root:/usr/sbin/nologin\n"
                               "user:x:1000:1000:user:/data:/bin/sh\n"
                               "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n";
constexpr const char* group = "root:x:0:\nuser:x:1000:\nnogroup:x:65534:\n";
constexpr const char* nsswitch = "passwd: files\ngroup: files\nhosts: files\n";
constexpr const char* hosts = "127.0.0.1 localhost app\n::1 localhost\n";

struct Prepared {
    Fd seccomp, passwd, group, nsswitch, hosts, control, output;
    int listen = -1;
};

[[noreturn]] void give_up(const char* what, int error) {
    ::dprintf(2, "hasp: cannot %s: %s\n", what, std::strerror(error));
    ::_exit(exit_setup_failed);
}

[[noreturn]] void give_up(const Error& error) {
    ::dprintf(2, "hasp: %s\n", error.message.c_str());
    ::_exit(exit_setup_failed);
}

Result<Fd> memory_file(const char* name, std::string_view content) {
    Fd fd(::memfd_create(name, MFD_CLOEXEC));
    if (!fd) {
        return errno_error(errno, "cannot make a memory file");
    }
    if (Status s = write_all(fd.get(), content); !s) {
        return s.error();
    }
    ::lseek(fd.get(), 0, SEEK_SET);
    return fd;
}

void join_cgroup(const SandboxPlan& plan) {
    if (plan.cgroup_dir.empty()) {
        return;
    }
    const Fd procs(::open((plan.cgroup_dir + "/cgroup.procs").c_str(), O_WRONLY | O_CLOEXEC));
    if (!procs || ::write(procs.get(), "0", 1) != 1) {
        give_up("join the app's cgroup", errno);
    }
}

// Final numbers for the descriptors, and nothing else open.
void place_descriptors(const Prepared& p) {
    const std::pair<int, int> wanted[] = {
        {p.output.get(), 1},         {p.output.get(), 2},       {p.seccomp.get(), fd_seccomp},
        {p.passwd.get(), fd_passwd}, {p.group.get(), fd_group}, {p.nsswitch.get(), fd_nsswitch},
        {p.hosts.get(), fd_hosts},   {p.listen, fd_listen},     {p.control.get(), fd_control},
    };
    int moved[std::size(wanted)];
    for (std::size_t i = 0; i < std::size(wanted); ++i) {
        moved[i] = wanted[i].first < 0 ? -1 : ::fcntl(wanted[i].first, F_DUPFD, fd_above_all);
    }
    const int null = ::open("/dev/null", O_RDONLY);
    ::dup2(null, 0);
    for (std::size_t i = 0; i < std::size(wanted); ++i) {
        if (moved[i] >= 0 && ::dup2(moved[i], wanted[i].second) < 0) {
            ::_exit(exit_setup_failed);
        }
    }
    ::syscall(SYS_close_range, 3U, static_cast<unsigned>(fd_seccomp - 1), 0U);
    if (p.listen < 0) {
        ::close(fd_listen);
    }
    ::syscall(SYS_close_range, static_cast<unsigned>(fd_after_last), ~0U, 0U);
}

void drop_to(const SandboxPlan& plan) {
    if (::geteuid() != 0) {
        return;
    }
    if (::setgroups(0, nullptr) != 0 || ::setresgid(plan.gid, plan.gid, plan.gid) != 0 ||
        ::setresuid(plan.uid, plan.uid, plan.uid) != 0) {
        give_up("drop root", errno);
    }
}

[[noreturn]] void execute(std::vector<std::string> words,
                          const std::map<std::string, std::string>& env) {
    std::vector<std::string> pairs;
    for (const auto& [name, value] : env) {
        pairs.push_back(name + "=" + value);
    }
    std::vector<char*> argv;
    std::vector<char*> envp;
    for (std::string& word : words) {
        argv.push_back(word.data());
    }
    for (std::string& pair : pairs) {
        envp.push_back(pair.data());
    }
    argv.push_back(nullptr);
    envp.push_back(nullptr);
    ::execve(argv[0], argv.data(), envp.data());
    give_up(("execute " + words[0]).c_str(), errno);
}

[[noreturn]] void become_bwrap(const SandboxPlan& plan) {
    StagedPaths paths{plan.code_dir, plan.data_dir, plan.dialer_binary};
    if (::geteuid() == 0) {
        if (Status s = stage(paths); !s) {
            give_up(s.error());
        }
    }
    drop_to(plan);
    ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    execute(bwrap_arguments(plan, paths.code, paths.data, paths.binary),
            {{"PATH", "/usr/bin:/bin"}});
}

SeccompOptions landlock_seccomp(const SandboxPlan& plan) {
    SeccompOptions options;
    options.deny_internet = plan.listen.unix_socket;
    options.deny_datagrams = true;
    return options;
}

[[noreturn]] void become_dialer(const SandboxPlan& plan) {
    const SandboxView view = sandbox_view(plan);
    ::setsid();
    drop_to(plan);
    if (::chdir(plan.code_dir.c_str()) != 0) {
        give_up(("enter " + plan.code_dir).c_str(), errno);
    }
    ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (plan.isolation.kind == IsolationKind::landlock) {
        LandlockRules rules;
        rules.read = {"/usr",
                      "/bin",
                      "/sbin",
                      "/lib",
                      "/lib64",
                      "/proc",
                      "/etc/alternatives",
                      "/etc/ld.so.cache",
                      "/etc/fonts",
                      "/etc/ssl",
                      "/etc/localtime",
                      "/etc/mime.types",
                      "/etc/passwd",
                      "/etc/group",
                      "/etc/nsswitch.conf",
                      "/etc/hosts",
                      "/dev/urandom",
                      "/dev/random",
                      plan.code_dir,
                      plan.dialer_binary};
        rules.devices = {"/dev/null", "/dev/zero", "/dev/full", "/dev/tty"};
        rules.write = {plan.work_dir, view.data};
        rules.port = plan.listen.port;
        if (Status s = landlock_here(rules); !s) {
            give_up(s.error());
        }
    }
    if (Status s = seccomp_load_here(landlock_seccomp(plan)); !s) {
        give_up(s.error());
    }
    DialerOptions o;
    o.listen_fd = plan.dial ? fd_listen : -1;
    o.control_fd = fd_control;
    o.unix_socket = plan.listen.unix_socket;
    o.port = plan.listen.port;
    o.socket_path = view.socket;
    o.limits = plan.limits;
    o.limit_data = plan.cgroup_dir.empty();
    o.landlocked = true;
    std::vector<std::string> words = {plan.dialer_binary};
    const auto more = dialer_words(o);
    words.insert(words.end(), more.begin(), more.end());
    words.insert(words.end(), plan.command.begin(), plan.command.end());
    execute(std::move(words), plan.env);
}

[[noreturn]] void become(const SandboxPlan& plan, const Prepared& prepared) {
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::signal(SIGPIPE, SIG_DFL);
    ::umask(0077);
    place_descriptors(prepared);
    join_cgroup(plan);
    if (plan.isolation.kind == IsolationKind::bwrap) {
        become_bwrap(plan);
    }
    become_dialer(plan);
}

// Landlock gives no private /tmp: each instance gets a fresh folder instead.
Status make_work_dir(const SandboxPlan& plan) {
    if (plan.isolation.kind == IsolationKind::bwrap) {
        return {};
    }
    const SandboxView view = sandbox_view(plan);
    if (view.socket.size() >= sizeof sockaddr_un::sun_path) {
        return fail(Code::failed, view.socket + " is too long for a socket's path",
                    "use a state folder with a shorter path");
    }
    if (Status s = remove_tree(plan.work_dir); !s) {
        return s;
    }
    for (const std::string& path :
         {plan.work_dir, view.tmp, plan.data_dir.empty() ? view.data : view.tmp}) {
        if (Status s = make_folders(path); !s) {
            return s;
        }
        if (::geteuid() == 0 && ::chown(path.c_str(), plan.uid, plan.gid) != 0) {
            return errno_error(errno, "cannot give away " + path);
        }
    }
    return {};
}

} // namespace

SandboxView sandbox_view(const SandboxPlan& plan) {
    if (plan.isolation.kind == IsolationKind::bwrap) {
        return {"/app", "/data", "/run/hasp/http.sock", "/tmp"};
    }
    return {plan.code_dir, plan.data_dir.empty() ? plan.work_dir + "/data" : plan.data_dir,
            plan.work_dir + "/http.sock", plan.work_dir + "/tmp"};
}

Result<Sandbox> launch(const SandboxPlan& plan, const Fd& listen) {
    if (Status s = make_work_dir(plan); !s) {
        return s.error();
    }
    Prepared p;
    if (plan.isolation.kind == IsolationKind::bwrap) {
        const std::pair<Fd*, std::pair<const char*, const char*>> files[] = {
            {&p.passwd, {"passwd", passwd}},
            {&p.group, {"group", group}},
            {&p.nsswitch, {"nsswitch", nsswitch}},
            {&p.hosts, {"hosts", hosts}}};
        for (const auto& [fd, file] : files) {
            auto made = memory_file(file.first, file.second);
            if (!made) {
                return made.error();
            }
            *fd = std::move(*made);
        }
        auto filter = seccomp_program({});
        if (!filter) {
            return filter.error();
        }
        p.seccomp = std::move(*filter);
    }
    int pair[2];
    int pipe[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
        return errno_error(errno, "cannot make a socket pair");
    }
    Sandbox sandbox;
    sandbox.control.reset(pair[0]);
    p.control.reset(pair[1]);
    if (::pipe2(pipe, O_CLOEXEC) != 0) {
        return errno_error(errno, "cannot make a pipe");
    }
    sandbox.output.reset(pipe[0]);
    p.output.reset(pipe[1]);
    ::fcntl(pipe[0], F_SETFL, O_NONBLOCK);
    // Programs open /dev/stderr by name, and may only as its owner.
    if (::geteuid() == 0 && ::fchown(pipe[1], plan.uid, plan.gid) != 0) {
        return errno_error(errno, "cannot give away a pipe");
    }
    p.listen = plan.dial ? listen.get() : -1;

    const pid_t pid = ::fork();
    if (pid == 0) {
        become(plan, p);
    }
    if (pid < 0) {
        return errno_error(errno, "cannot fork");
    }
    sandbox.pid = pid;
    sandbox.pidfd.reset(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    return sandbox;
}

} // namespace hasp::run
