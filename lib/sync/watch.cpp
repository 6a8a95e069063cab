// Watch over the kernel's events: which folder is which path, those that come and go, and a thread
// that reads.
#include "sync/watch.h"

#include "base/fd.h"
#include "base/files.h"
#include "settling.h"
#include "sync/disk.h"
#include "watch_source.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <map>
#include <mutex>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>

namespace hasp::sync {

namespace {

// A disk that is written to all the time does not wake us more often.
constexpr int reads_apart_ms = 2;
constexpr int nothing_due_ms = 60'000;

Fd open_folder(int root, const std::string& path) {
    struct open_how how {};
    how.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NOATIME;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
    for (;;) {
        const long fd = ::syscall(SYS_openat2, root, path.c_str(), &how, sizeof how);
        if (fd >= 0) {
            return Fd(static_cast<int>(fd));
        }
        if (errno == EPERM && (how.flags & O_NOATIME) != 0) {
            how.flags &= ~static_cast<std::uint64_t>(O_NOATIME); // another user's folder
        } else if (errno != EINTR && errno != EAGAIN) {
            return Fd();
        }
    }
}

std::string joined(const std::string& folder, const std::string& name) {
    return folder.empty() ? name : folder + "/" + name;
}

class KernelWatch final : public Watch {
  public:
    KernelWatch(Fd root, std::unique_ptr<WatchSource> source, const Clock& clock, Fd signal,
                Fd wake)
        : root_(std::move(root)), source_(std::move(source)), clock_(clock),
          signal_(std::move(signal)), wake_(std::move(wake)), reader_([this] { run(); }) {}
    ~KernelWatch() override {
        ends_ = true;
        ring(wake_);
        reader_.join();
    }

    Result<bool> add(const std::string& folder) override {
        const Fd fd = open_folder(root_.get(), folder);
        struct stat st {};
        if (!fd || ::fstat(fd.get(), &st) != 0) {
            return errno_error(errno, "cannot watch " + folder);
        }
        {
            const std::lock_guard lock(mutex_);
            const auto at = roots_.find(folder);
            if (at != roots_.end() && !at->second.broken && at->second.device == st.st_dev &&
                at->second.inode == st.st_ino) {
                return false;
            }
            if (at != roots_.end()) {
                drop(at->second);
                roots_.erase(at);
            }
            Root& root = roots_[folder];
            root.path = folder;
            root.device = st.st_dev;
            root.inode = st.st_ino;
        }
        walk(folder, "");
        const std::lock_guard lock(mutex_);
        const auto at = roots_.find(folder);
        if (at != roots_.end() && at->second.broken) {
            Error why = at->second.why;
            drop(at->second);
            roots_.erase(at);
            return why;
        }
        return true;
    }

    void remove(const std::string& folder) override {
        const std::lock_guard lock(mutex_);
        if (const auto at = roots_.find(folder); at != roots_.end()) {
            drop(at->second);
            roots_.erase(at);
        }
    }

    bool watches(const std::string& folder) const override {
        const std::lock_guard lock(mutex_);
        const auto at = roots_.find(folder);
        return at != roots_.end() && !at->second.broken;
    }

    int fd() const override { return signal_.get(); }

    std::vector<std::string> ready() override {
        std::uint64_t count = 0;
        [[maybe_unused]] const ssize_t got = ::read(signal_.get(), &count, sizeof count);
        std::vector<std::string> out;
        const std::int64_t now = clock_.boot_us();
        {
            const std::lock_guard lock(mutex_);
            signalled_ = false;
            for (auto& [path, root] : roots_) {
                const auto due = root.settling.due_us();
                if (!root.announced && due && *due <= now) {
                    root.announced = true;
                    out.push_back(path);
                }
            }
        }
        ring(wake_);
        return out;
    }

    Noticed take(const std::string& folder, Take which) override {
        const std::lock_guard reading(pump_mutex_);
        if (which == Take::all) {
            pump();
        }
        const std::lock_guard lock(mutex_);
        const auto at = roots_.find(folder);
        if (at == roots_.end()) {
            return {};
        }
        at->second.announced = false;
        ring(wake_);
        Noticed out = at->second.settling.take(clock_.boot_us(), which);
        if (at->second.broken) {
            // Until it is added anew.
            at->second.settling.lose_track(clock_.boot_us());
        }
        return out;
    }

    std::string name() const override { return source_->name(); }

  private:
    struct Root {
        std::string path;
        dev_t device = 0;
        ino_t inode = 0;
        std::map<std::string, FolderKey> folders; // by path beneath it
        Settling settling;
        bool broken = false; // something in it is not watched
        Error why;
        bool announced = false;
    };
    struct Place {
        std::string root;
        std::string path;
    };

    static void ring(const Fd& fd) {
        const std::uint64_t one = 1;
        [[maybe_unused]] const ssize_t put = ::write(fd.get(), &one, sizeof one);
    }

    void run() {
        while (!ends_) {
            std::array<pollfd, 2> fds{pollfd{source_->fd(), POLLIN, 0},
                                      pollfd{wake_.get(), POLLIN, 0}};
            ::poll(fds.data(), fds.size(), wait_ms());
            if ((fds[1].revents & POLLIN) != 0) {
                std::uint64_t count = 0;
                [[maybe_unused]] const ssize_t got = ::read(wake_.get(), &count, sizeof count);
            }
            if ((fds[0].revents & POLLIN) != 0) {
                {
                    const std::lock_guard reading(pump_mutex_);
                    pump();
                }
                ::poll(&fds[1], 1, reads_apart_ms);
            }
        }
    }

    // Until something is due; what is due is said.
    int wait_ms() {
        const std::lock_guard lock(mutex_);
        if (signalled_) {
            return nothing_due_ms; // ready() wakes us
        }
        std::optional<std::int64_t> first;
        for (const auto& [path, root] : roots_) {
            const auto due = root.announced ? std::nullopt : root.settling.due_us();
            if (due && (!first || *due < *first)) {
                first = due;
            }
        }
        const std::int64_t now = clock_.boot_us();
        if (!first) {
            return nothing_due_ms;
        }
        if (*first <= now) {
            signalled_ = true;
            ring(signal_);
            return nothing_due_ms;
        }
        return static_cast<int>(std::min<std::int64_t>((*first - now) / 1000 + 1, nothing_due_ms));
    }

    void pump() {
        source_->read([this](const RawEvent& event) { handle(event); });
    }

    void handle(const RawEvent& event) {
        using Kind = RawEvent::Kind;
        using Change = Settling::Change;
        // Folders that may be new. Also where one went: the kernel may say that in one with what
        // came later, and before it.
        std::vector<Place> made;
        {
            const std::lock_guard lock(mutex_);
            if (event.kind == Kind::overflow) {
                for (auto& [path, root] : roots_) {
                    lose(root, fail(Code::failed, "the kernel lost track of what changed"));
                }
                return;
            }
            const std::int64_t now = clock_.boot_us();
            const auto [root, path] = find(event.folder, event.name);
            switch (event.kind) {
            case Kind::made:
                if (root != nullptr && event.is_folder) {
                    made.push_back({root->path, path});
                }
                note(root, path, event.is_folder ? Change::tree : Change::written, now);
                break;
            case Kind::removed:
                note(root, path, event.is_folder ? Change::tree : Change::named, now);
                if (root != nullptr && event.is_folder) {
                    forget_below(*root, path);
                    made.push_back({root->path, path});
                }
                break;
            case Kind::moved: {
                const auto [to_root, to_path] = find(event.to, event.to_name);
                if (event.is_folder) {
                    if (root != nullptr) {
                        forget_below(*root, path);
                        made.push_back({root->path, path});
                    }
                    note(root, path, Change::tree, now);
                    note(to_root, to_path, Change::tree, now);
                    if (to_root != nullptr) {
                        made.push_back({to_root->path, to_path});
                    }
                } else if (root != nullptr && root == to_root) {
                    root->settling.moved(path, to_path, now);
                } else {
                    note(root, path, Change::named, now);
                    note(to_root, to_path, Change::closed, now);
                }
                break;
            }
            case Kind::written:
                note(root, path, Change::written, now);
                break;
            case Kind::closed:
                note(root, path, Change::closed, now);
                break;
            case Kind::self_gone:
                if (root != nullptr) {
                    lose(*root, fail(Code::failed, "the folder was moved or removed"));
                }
                break;
            case Kind::overflow:
                break;
            }
        }
        for (const Place& place : made) {
            walk(place.root, place.path);
        }
    }

    static void note(Root* root, const std::string& path, Settling::Change change,
                     std::int64_t now_us) {
        if (root != nullptr && !path.empty()) {
            root->settling.note(path, change, now_us);
        }
    }

    std::pair<Root*, std::string> find(const FolderKey& key, const std::string& name) {
        const auto at = places_.find(key);
        const auto root = at == places_.end() ? roots_.end() : roots_.find(at->second.root);
        if (root == roots_.end()) {
            return {nullptr, {}};
        }
        return {&root->second, name.empty() ? at->second.path : joined(at->second.path, name)};
    }

    void lose(Root& root, const Error& why) {
        root.broken = true;
        root.why = why;
        root.settling.lose_track(clock_.boot_us());
    }

    void forget(const FolderKey& key) {
        source_->forget(key, -1);
        places_.erase(key);
    }
    void forget_below(Root& root, const std::string& path) {
        for (auto at = root.folders.lower_bound(path); at != root.folders.end();) {
            if (at->first != path && !at->first.starts_with(path + "/")) {
                if (at->first > path + "0") { // the byte behind '/'
                    break;
                }
                ++at;
                continue;
            }
            forget(at->second);
            at = root.folders.erase(at);
        }
    }
    void drop(Root& root) {
        for (const auto& [path, key] : root.folders) {
            forget(key);
        }
        root.folders.clear();
    }

    // Marks first, then lists: what comes into a folder in between is noticed, or listed.
    void walk(const std::string& folder, const std::string& below) {
        std::vector<std::string> left{below};
        while (!left.empty()) {
            const std::string path = std::move(left.back());
            left.pop_back();
            Fd fd = open_folder(root_.get(), path.empty() ? folder : joined(folder, path));
            if (!fd) {
                if (errno != ENOENT && errno != ENOTDIR && errno != ELOOP && errno != EXDEV) {
                    broke(folder, errno_error(errno, "cannot watch " + joined(folder, path)));
                    return;
                }
                continue; // gone meanwhile, which is noticed
            }
            auto key = source_->mark(fd.get(), path.empty());
            if (!key.ok()) {
                broke(folder, key.error());
                return;
            }
            bool too_many = false;
            {
                const std::lock_guard lock(mutex_);
                const auto root = roots_.find(folder);
                if (root == roots_.end()) {
                    return;
                }
                too_many = root->second.folders.size() >= entries_watched_max;
            }
            if (too_many) {
                broke(folder, fail(Code::failed, "more folders than are watched are in " + folder));
                return;
            }
            {
                const std::lock_guard lock(mutex_);
                const auto root = roots_.find(folder);
                if (root == roots_.end()) {
                    return;
                }
                root->second.folders[path] = *key;
                places_[*key] = {folder, path};
            }
            if (!list(std::move(fd), path, left)) {
                broke(folder, fail(Code::failed, "cannot list " + joined(folder, path)));
                return;
            }
        }
    }

    static bool list(Fd fd, const std::string& path, std::vector<std::string>& folders) {
        DIR* dir = ::fdopendir(fd.get());
        if (dir == nullptr) {
            return false;
        }
        const int number = fd.release(); // closedir closes it
        for (;;) {
            const dirent* entry = ::readdir(dir);
            if (entry == nullptr) {
                break;
            }
            const std::string name = entry->d_name;
            bool folder = entry->d_type == DT_DIR;
            if (entry->d_type == DT_UNKNOWN) {
                struct stat st {};
                folder = ::fstatat(number, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0 &&
                         S_ISDIR(st.st_mode);
            }
            if (folder && name != "." && name != "..") {
                folders.push_back(joined(path, name));
            }
        }
        ::closedir(dir);
        return true;
    }

    void broke(const std::string& folder, const Error& why) {
        const std::lock_guard lock(mutex_);
        if (const auto root = roots_.find(folder); root != roots_.end()) {
            lose(root->second, why);
        }
    }

    static constexpr std::size_t entries_watched_max = 2'000'000;

    const Fd root_;
    const std::unique_ptr<WatchSource> source_;
    const Clock& clock_;
    const Fd signal_;       // to the owner: something is ready
    const Fd wake_;         // to the reader: what is due has changed
    std::mutex pump_mutex_; // before mutex_
    mutable std::mutex mutex_;
    std::map<std::string, Root> roots_;
    std::map<FolderKey, Place> places_;
    bool signalled_ = false;
    std::atomic<bool> ends_ = false;
    std::thread reader_; // last: it uses all of the above
};

} // namespace

Result<std::unique_ptr<Watch>> open_watch(const std::string& root, const Clock& clock, WatchBy by) {
    Fd folder(::open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!folder) {
        return errno_error(errno, "cannot open " + root);
    }
    Result<std::unique_ptr<WatchSource>> source =
        by == WatchBy::inotify ? open_inotify() : open_fanotify(folder.get());
    if (!source.ok() && by == WatchBy::best) {
        source = open_inotify();
    }
    if (!source.ok()) {
        return source.error();
    }
    Fd signal(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    Fd wake(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    if (!signal || !wake) {
        return errno_error(errno, "cannot watch " + root);
    }
    return std::unique_ptr<Watch>(std::make_unique<KernelWatch>(
        std::move(folder), *std::move(source), clock, std::move(signal), std::move(wake)));
}

} // namespace hasp::sync
