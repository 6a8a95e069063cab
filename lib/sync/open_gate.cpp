#include "sync/open_gate.h"

#include "base/files.h"
#include "posix_absent.h"
#include "posix_file.h"
#include "sync/tree.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <fcntl.h>
#include <map>
#include <mutex>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/fanotify.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>
#include <utility>

namespace hasp::sync {

namespace {

// Deny with an error, since Linux 6.13: FAN_DENY_ERRNO() of its headers.
constexpr unsigned deny_error_shift = 24;
constexpr std::size_t buffer_bytes = std::size_t{16} * 1024;
// Descriptors of events are the lowest that are free.
constexpr rlim_t descriptors_left_max = 65'536;
constexpr char probe_name[] = "sync/client/gate";

bool respond(int group, int event, int error) {
    fanotify_response answer{};
    answer.fd = event;
    answer.response =
        error == 0 ? FAN_ALLOW : FAN_DENY | (static_cast<unsigned>(error) << deny_error_shift);
    if (::write(group, &answer, sizeof answer) == sizeof answer) {
        return true;
    }
    if (error == 0 || errno != EINVAL) {
        return false;
    }
    answer.response = FAN_DENY;
    return ::write(group, &answer, sizeof answer) == sizeof answer;
}

class Fanotify final : public OpenGate {
  public:
    Fanotify(Fd group, Fd root, Fd ready, Fd wake)
        : group_(std::move(group)), root_(std::move(root)), ready_(std::move(ready)),
          wake_(std::move(wake)) {
        // A group that is inherited has what an earlier process read and did not answer.
        rlimit limit{};
        const rlim_t most =
            ::getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : descriptors_left_max;
        for (rlim_t event = 0; event < std::min<rlim_t>(most, descriptors_left_max); ++event) {
            respond(group_.get(), static_cast<int>(event), EIO);
        }
        reader_ = std::thread([this] { read_all(); });
        can_hold_ = try_one();
    }
    ~Fanotify() override {
        ending_ = true;
        ring(wake_);
        reader_.join();
        for (const auto& [number, event] : waiting_) {
            respond(group_.get(), event.get(), EIO);
        }
    }

    int fd() const override { return ready_.get(); }

    Status hold(const std::string& path) override {
        const std::size_t slash = path.rfind('/');
        const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash);
        const Fd parent = open_below(root_.get(), folder, O_RDONLY | O_DIRECTORY);
        const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
        if (!parent || ::fanotify_mark(group_.get(), FAN_MARK_ADD | FAN_MARK_DONT_FOLLOW,
                                       FAN_OPEN_PERM, parent.get(), name.c_str()) != 0) {
            return errno_error(errno, "whoever opens " + path + " cannot be made to wait");
        }
        return {};
    }

    Status can_hold() const override { return can_hold_; }

    std::vector<Opening> take() override {
        hear(ready_);
        const std::lock_guard lock(mutex_);
        return std::exchange(openings_, {});
    }

    void answer(std::uint64_t number, int error) override {
        const std::lock_guard lock(mutex_);
        const auto at = waiting_.find(number);
        if (at == waiting_.end()) {
            return;
        }
        if (error == 0) {
            forget_mark(at->second.get());
        }
        respond(group_.get(), at->second.get(), error);
        waiting_.erase(at);
        if (waiting_.size() + 1 == gate_waiting_max) {
            ring(wake_);
        }
    }

  private:
    static void ring(const Fd& bell) {
        const std::uint64_t one = 1;
        [[maybe_unused]] const ssize_t said = ::write(bell.get(), &one, sizeof one);
    }
    static void hear(const Fd& bell) {
        std::uint64_t count = 0;
        [[maybe_unused]] const ssize_t got = ::read(bell.get(), &count, sizeof count);
    }

    Status try_one() {
        ::unlinkat(root_.get(), probe_name, 0);
        const Fd probe = open_below(root_.get(), probe_name, O_RDWR | O_CREAT | O_EXCL, 0600);
        Status can = probe
                         ? make_absent(probe.get(),
                                       {"user", "app", std::string(hash_bytes, '0'), 1}, probe_name)
                         : Status(errno_error(errno, std::string("cannot make ") + probe_name));
        can = can ? hold(probe_name) : can;
        ::unlinkat(root_.get(), probe_name, 0);
        return can;
    }

    void forget_mark(int event) const {
        const std::string path = "/proc/self/fd/" + std::to_string(event);
        ::fanotify_mark(group_.get(), FAN_MARK_REMOVE, FAN_OPEN_PERM, AT_FDCWD, path.c_str());
    }

    bool full() {
        const std::lock_guard lock(mutex_);
        return waiting_.size() >= gate_waiting_max;
    }

    void read_all() {
        alignas(fanotify_event_metadata) std::array<char, buffer_bytes> buffer{};
        while (!ending_) {
            std::array<pollfd, 2> fds{
                {{wake_.get(), POLLIN, 0}, {full() ? -1 : group_.get(), POLLIN, 0}}};
            if (::poll(fds.data(), fds.size(), -1) < 0 && errno != EINTR) {
                return;
            }
            if (fds[0].revents != 0) {
                hear(wake_);
                continue;
            }
            const ssize_t got = ::read(group_.get(), buffer.data(), buffer.size());
            for (ssize_t at = 0; got - at >= ssize_t{sizeof(fanotify_event_metadata)};) {
                fanotify_event_metadata event{};
                std::memcpy(&event, buffer.data() + at, sizeof event);
                if (event.event_len < sizeof event || event.event_len > got - at) {
                    break;
                }
                one(event);
                at += event.event_len;
            }
        }
    }

    void one(const fanotify_event_metadata& event) {
        Fd file(event.fd);
        if (!file || (event.mask & FAN_OPEN_PERM) == 0) {
            return;
        }
        struct stat st {};
        if (event.pid == ::getpid() || ::fstat(file.get(), &st) != 0) {
            respond(group_.get(), file.get(), 0);
            return;
        }
        auto absent = absent_of(file.get(), "a file that somebody opens");
        if (!absent || !*absent) {
            if (absent) {
                forget_mark(file.get());
            }
            respond(group_.get(), file.get(), absent ? 0 : EIO);
            return;
        }
        Fd own(::fcntl(file.get(), F_DUPFD_CLOEXEC, 0));
        if (!own) {
            respond(group_.get(), file.get(), EIO);
            return;
        }
        const std::lock_guard lock(mutex_);
        openings_.push_back({posix_absent_file(std::move(own), **std::move(absent), st.st_ino,
                                               "a file that somebody opens"),
                             next_});
        waiting_.emplace(next_++, std::move(file));
        ring(ready_);
    }

    Fd group_;
    Fd root_;
    Fd ready_;
    Fd wake_;
    std::mutex mutex_;
    std::vector<Opening> openings_;       // not taken yet
    std::map<std::uint64_t, Fd> waiting_; // events that are not answered
    std::uint64_t next_ = 1;
    std::atomic<bool> ending_ = false;
    Status can_hold_;
    std::thread reader_;
};

} // namespace

Result<Fd> open_gate_group() {
    constexpr unsigned flags = FAN_CLASS_PRE_CONTENT | FAN_CLOEXEC | FAN_NONBLOCK |
                               FAN_UNLIMITED_QUEUE | FAN_UNLIMITED_MARKS;
    Fd group(::fanotify_init(flags, O_RDWR | O_LARGEFILE | O_CLOEXEC));
    return group ? Result<Fd>(std::move(group))
                 : errno_error(errno, "who opens a file cannot be made to wait (fanotify)");
}

// What was held before is answered also where nothing more can be held.
Result<std::shared_ptr<OpenGate>> open_gate(Fd group, const std::string& root) {
    Fd folder(::open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    Fd ready(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    Fd wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!folder || !ready || !wake) {
        return errno_error(errno, "nobody can answer who opens files beneath " + root);
    }
    return std::shared_ptr<OpenGate>(std::make_shared<Fanotify>(std::move(group), std::move(folder),
                                                                std::move(ready), std::move(wake)));
}

} // namespace hasp::sync
