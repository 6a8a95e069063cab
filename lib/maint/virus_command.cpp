// A scanner that is a program: a process a content.
#include "base/fd.h"
#include "base/text.h"
#include "virus_scanner.h"
#include "virus_wait.h"

#include <array>
#include <csignal>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace hasp::maint {

namespace {

constexpr int exit_clean = 0;
constexpr int exit_infected = 1;

// One that stops reading would end us where nobody ignores the signal: in a command, in a test.
class NoSigpipe {
  public:
    NoSigpipe() {
        sigemptyset(&pipe_);
        sigaddset(&pipe_, SIGPIPE);
        ::pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
    }
    NoSigpipe(const NoSigpipe&) = delete;
    NoSigpipe& operator=(const NoSigpipe&) = delete;
    ~NoSigpipe() {
        const timespec now{};
        while (sigismember(&before_, SIGPIPE) == 0 && ::sigtimedwait(&pipe_, nullptr, &now) > 0) {
        }
        ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
    }

  private:
    sigset_t pipe_{};
    sigset_t before_{};
};

// A process in a group of its own, which ends with this.
class Child {
  public:
    Child() = default;
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;
    ~Child() { end(); }

    Status start(const std::vector<std::string>& arguments) {
        std::array<int, 2> in{};
        std::array<int, 2> out{};
        if (::pipe2(in.data(), O_CLOEXEC) != 0) {
            return errno_error(errno, "cannot make a pipe");
        }
        Fd in_read(in[0]);
        input = Fd(in[1]);
        if (::pipe2(out.data(), O_CLOEXEC) != 0) {
            return errno_error(errno, "cannot make a pipe");
        }
        output = Fd(out[0]);
        const Fd out_write(out[1]);
        for (const Fd* one : {&input, &output}) {
            ::fcntl(one->get(), F_SETFL, O_NONBLOCK);
        }
        std::vector<char*> argv;
        for (const std::string& one : arguments) {
            argv.push_back(const_cast<char*>(one.c_str()));
        }
        argv.push_back(nullptr);
        // Nothing of our environment is its business.
        std::string path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        const std::array<char*, 2> environment{path.data(), nullptr};
        posix_spawn_file_actions_t actions;
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_adddup2(&actions, in_read.get(), STDIN_FILENO);
        posix_spawn_file_actions_adddup2(&actions, out_write.get(), STDOUT_FILENO);
        posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
        posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
        posix_spawnattr_t attributes;
        posix_spawnattr_init(&attributes);
        sigset_t usual;
        sigemptyset(&usual);
        sigaddset(&usual, SIGPIPE);
        posix_spawnattr_setsigdefault(&attributes, &usual);
        posix_spawnattr_setpgroup(&attributes, 0);
        sigset_t none;
        sigemptyset(&none);
        posix_spawnattr_setsigmask(&attributes, &none);
        posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF |
                                                  POSIX_SPAWN_SETSIGMASK);
        const int code = ::posix_spawn(&pid_, arguments.front().c_str(), &actions, &attributes,
                                       argv.data(), environment.data());
        posix_spawnattr_destroy(&attributes);
        posix_spawn_file_actions_destroy(&actions);
        if (code != 0) {
            pid_ = -1;
            return errno_error(code, "cannot start " + arguments.front());
        }
        handle_ = Fd(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
        return {};
    }

    bool ends(const ScanWait& wait) const { return handle_ && wait(handle_.get(), POLLIN); }

    // Its whole group: waitpid's status. The group's number is its own until it was waited for.
    int end() {
        if (pid_ < 0) {
            return -1;
        }
        ::kill(-pid_, SIGKILL);
        int status = -1;
        while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
        }
        pid_ = -1;
        return status;
    }

    Fd input;
    Fd output;

  private:
    pid_t pid_ = -1;
    Fd handle_;
};

class ScanCommand final : public VirusScanner {
  public:
    ScanCommand(std::vector<std::string> arguments, std::int64_t limit_us, const Clock& clock)
        : arguments_(std::move(arguments)), limit_us_(limit_us), clock_(clock) {}

    std::string name() const override { return arguments_.front(); }
    void stop() override { stopped_ = true; }
    Result<std::string> version() override { return std::string(); }

    ScanVerdict scan(const sync::Pull& content) override {
        const ScanWait wait(clock_, stopped_, limit_us_);
        const NoSigpipe quiet;
        Child child;
        if (Status started = child.start(arguments_); !started.ok()) {
            return ScanVerdict::unreachable(started.error().message);
        }
        std::string said;
        if (auto problem = feed(child, content, wait, said)) {
            return *std::move(problem);
        }
        if (!child.ends(wait)) {
            return late();
        }
        const int status = child.end();
        if (!WIFEXITED(status)) {
            return ScanVerdict::unknown(name() + " was ended by a signal");
        }
        const int code = WEXITSTATUS(status);
        return code == exit_clean ? ScanVerdict::clean()
               : code == exit_infected
                   ? ScanVerdict::infected(virus_name_in(said))
                   : ScanVerdict::unknown(name() + " ended with " + std::to_string(code) +
                                          (said.empty() ? "" : ": ") + scan_words(said));
    }

  private:
    // Of this content alone: a slow one must not have it counted as gone for everybody's.
    ScanVerdict late() const { return ScanVerdict::unknown(name() + " did not end in its time"); }

    // Both pipes until it closes its output. It need not read all.
    std::optional<ScanVerdict> feed(Child& child, const sync::Pull& content, const ScanWait& wait,
                                    std::string& said) const {
        std::string chunk(scan_chunk_bytes, '\0');
        std::string_view left;
        for (;;) {
            if (child.input && left.empty()) {
                auto got = content(chunk);
                if (!got.ok()) {
                    return ScanVerdict::unknown(got.error().message);
                }
                left = std::string_view(chunk).substr(0, *got);
                if (left.empty()) {
                    child.input = Fd();
                }
            }
            std::array<pollfd, 2> fds{{{child.output.get(), POLLIN, 0},
                                       {child.input ? child.input.get() : -1, POLLOUT, 0}}};
            if (!wait(fds)) {
                return late();
            }
            if (fds[1].revents != 0) {
                const ssize_t put = ::write(child.input.get(), left.data(), left.size());
                if (put > 0) {
                    left.remove_prefix(static_cast<std::size_t>(put));
                } else if (errno != EAGAIN && errno != EINTR) {
                    child.input = Fd(); // it has seen enough
                }
            }
            if (fds[0].revents == 0) {
                continue;
            }
            std::array<char, 1024> piece{};
            const ssize_t got = ::read(child.output.get(), piece.data(), piece.size());
            if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
                return std::nullopt;
            }
            const std::size_t room = scan_answer_bytes_max - said.size();
            said.append(piece.data(),
                        std::min(room, static_cast<std::size_t>(std::max<ssize_t>(got, 0))));
        }
    }

    std::vector<std::string> arguments_;
    std::int64_t limit_us_;
    const Clock& clock_;
    std::atomic<bool> stopped_ = false;
};

} // namespace

std::unique_ptr<VirusScanner> make_scan_command(std::vector<std::string> arguments,
                                                std::int64_t limit_us, const Clock& clock) {
    return std::make_unique<ScanCommand>(std::move(arguments), limit_us, clock);
}

} // namespace hasp::maint
