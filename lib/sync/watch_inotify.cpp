#include "base/files.h"
#include "base/text.h"
#include "watch_source.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <sys/inotify.h>
#include <unistd.h>
#include <utility>

namespace hasp::sync {

namespace {

constexpr std::size_t buffer_bytes = std::size_t{64} * 1024;
constexpr std::uint32_t in_folder = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO |
                                    IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB | IN_ONLYDIR;

class Inotify final : public WatchSource {
  public:
    explicit Inotify(Fd fd) : fd_(std::move(fd)) {}
    int fd() const override { return fd_.get(); }
    std::string name() const override { return "inotify"; }

    Result<FolderKey> mark(int folder, bool root) override {
        const std::string path = "/proc/self/fd/" + std::to_string(folder);
        const int number = ::inotify_add_watch(
            fd_.get(), path.c_str(), in_folder | (root ? IN_DELETE_SELF | IN_MOVE_SELF : 0U));
        if (number < 0 && errno == ENOSPC) {
            return fail(Code::failed, "the kernel watches no more folders for this user",
                        "raise fs.inotify.max_user_watches (sysctl)");
        }
        return number < 0 ? Result<FolderKey>(errno_error(errno, "a folder cannot be watched"))
                          : std::to_string(number);
    }
    void forget(const FolderKey& key, int) override {
        ::inotify_rm_watch(fd_.get(), static_cast<int>(parse_u64(key).value_or(0)));
    }

    void read(const std::function<void(const RawEvent&)>& event) override {
        for (;;) {
            const ssize_t got = ::read(fd_.get(), buffer_.data(), buffer_.size());
            if (got < 0 && errno == EINTR) {
                continue;
            }
            if (got <= 0) {
                break;
            }
            for (std::size_t at = 0; at + sizeof(inotify_event) <= static_cast<std::size_t>(got);) {
                inotify_event raw{};
                std::memcpy(&raw, buffer_.data() + at, sizeof raw);
                const char* name = buffer_.data() + at + sizeof raw;
                one(raw, raw.len == 0 ? std::string() : std::string(name), event);
                at += sizeof raw + raw.len;
            }
        }
        flush(event);
    }

  private:
    // The two halves of a move follow one another.
    void one(const inotify_event& raw, std::string name,
             const std::function<void(const RawEvent&)>& event) {
        using Kind = RawEvent::Kind;
        const bool folder = (raw.mask & IN_ISDIR) != 0;
        const FolderKey key = std::to_string(raw.wd);
        if ((raw.mask & IN_MOVED_TO) != 0) {
            if (half_ && half_cookie_ == raw.cookie) {
                half_->to = key;
                half_->to_name = std::move(name);
                event(*std::exchange(half_, std::nullopt));
            } else {
                flush(event);
                event({Kind::made, folder, key, std::move(name), {}, {}});
            }
            return;
        }
        flush(event);
        if ((raw.mask & IN_Q_OVERFLOW) != 0) {
            event({});
        } else if ((raw.mask & IN_MOVED_FROM) != 0) {
            half_ = RawEvent{Kind::moved, folder, key, std::move(name), {}, {}};
            half_cookie_ = raw.cookie;
        } else if ((raw.mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT)) != 0) {
            event({Kind::self_gone, true, key, {}, {}, {}});
        } else if ((raw.mask & IN_CREATE) != 0) {
            event({Kind::made, folder, key, std::move(name), {}, {}});
        } else if ((raw.mask & IN_DELETE) != 0) {
            event({Kind::removed, folder, key, std::move(name), {}, {}});
        } else if (!name.empty() && (raw.mask & (IN_CLOSE_WRITE | IN_ATTRIB)) != 0) {
            event({Kind::closed, folder, key, std::move(name), {}, {}});
        } else if (!name.empty() && (raw.mask & IN_MODIFY) != 0) {
            event({Kind::written, folder, key, std::move(name), {}, {}});
        }
    }
    void flush(const std::function<void(const RawEvent&)>& event) {
        if (half_) {
            event(*std::exchange(half_, std::nullopt));
        }
    }

    Fd fd_;
    alignas(inotify_event) std::array<char, buffer_bytes> buffer_{};
    std::optional<RawEvent> half_;
    std::uint32_t half_cookie_ = 0;
};

} // namespace

Result<std::unique_ptr<WatchSource>> open_inotify() {
    Fd fd(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
    if (!fd) {
        return errno_error(errno, "the kernel tells nothing of changed files (inotify)");
    }
    return std::unique_ptr<WatchSource>(std::make_unique<Inotify>(std::move(fd)));
}

} // namespace hasp::sync
