// Marks on single folders, as inotify has them, but without its limit on their number for whoever
// may do as root does, and with both ends of a rename in one event. A mark on the whole file system
// would need none of them, and would wake us for every write of every program on that disk.
#include "base/files.h"
#include "watch_source.h"

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <fcntl.h>
#include <sys/fanotify.h>
#include <sys/statfs.h>
#include <unistd.h>
#include <utility>

namespace hasp::sync {

namespace {

constexpr std::size_t fanotify_buffer_bytes = std::size_t{64} * 1024;
constexpr std::uint64_t fanotify_in_folder = FAN_CREATE | FAN_DELETE | FAN_RENAME | FAN_MODIFY |
                                             FAN_CLOSE_WRITE | FAN_ATTRIB | FAN_ONDIR |
                                             FAN_EVENT_ON_CHILD;
constexpr unsigned add_flags = FAN_MARK_ADD | FAN_MARK_ONLYDIR;

// A file_handle: how many bytes, their type, the bytes.
struct HandleHead {
    std::uint32_t bytes = 0;
    std::int32_t type = 0;
};
static_assert(sizeof(HandleHead) == sizeof(file_handle));

FolderKey key_of(const void* fsid, std::size_t fsid_bytes, int type, const void* handle,
                 std::size_t handle_bytes) {
    FolderKey key(static_cast<const char*>(fsid), fsid_bytes);
    key += std::to_string(type) + ":";
    key.append(static_cast<const char*>(handle), handle_bytes);
    return key;
}

class Fanotify final : public WatchSource {
  public:
    explicit Fanotify(Fd fd) : fd_(std::move(fd)) {}
    int fd() const override { return fd_.get(); }
    std::string name() const override { return "fanotify"; }

    Result<FolderKey> mark(int folder, bool root) override {
        struct statfs fs {};
        alignas(file_handle) std::array<char, sizeof(HandleHead) + MAX_HANDLE_SZ> handle{};
        HandleHead head{MAX_HANDLE_SZ, 0};
        std::memcpy(handle.data(), &head, sizeof head);
        int mount = 0;
        if (::fstatfs(folder, &fs) != 0 ||
            ::name_to_handle_at(folder, "", reinterpret_cast<file_handle*>(handle.data()), &mount,
                                AT_EMPTY_PATH) != 0 ||
            ::fanotify_mark(fd_.get(), add_flags,
                            fanotify_in_folder | (root ? FAN_DELETE_SELF | FAN_MOVE_SELF : 0ULL),
                            folder, nullptr) != 0) {
            if (errno == ENOSPC) {
                return fail(Code::failed, "the kernel watches no more folders for this user",
                            "raise fs.fanotify.max_user_marks (sysctl)");
            }
            return errno_error(errno, "a folder cannot be watched");
        }
        std::memcpy(&head, handle.data(), sizeof head);
        return key_of(&fs.f_fsid, sizeof fs.f_fsid, head.type, handle.data() + sizeof head,
                      head.bytes);
    }
    // A mark ends with its folder; without one at hand it stays, and what it says is of no folder
    // that anybody knows.
    void forget(const FolderKey&, int folder_or_none) override {
        if (folder_or_none >= 0) {
            ::fanotify_mark(fd_.get(), FAN_MARK_REMOVE | FAN_MARK_ONLYDIR,
                            fanotify_in_folder | FAN_DELETE_SELF | FAN_MOVE_SELF, folder_or_none,
                            nullptr);
        }
    }

    void read(const std::function<void(const RawEvent&)>& event) override {
        for (;;) {
            const ssize_t got = ::read(fd_.get(), buffer_.data(), buffer_.size());
            if (got < 0 && errno == EINTR) {
                continue;
            }
            if (got <= 0) {
                return;
            }
            for (std::size_t at = 0;
                 at + sizeof(fanotify_event_metadata) <= static_cast<std::size_t>(got);) {
                fanotify_event_metadata raw{};
                std::memcpy(&raw, buffer_.data() + at, sizeof raw);
                if (raw.event_len < sizeof raw ||
                    raw.event_len > static_cast<std::size_t>(got) - at) {
                    event({});
                    break;
                }
                one(raw, buffer_.data() + at, event);
                at += raw.event_len;
            }
        }
    }

  private:
    struct Place {
        FolderKey folder;
        std::string name;
    };
    // [header][fsid][handle][name, ended by a NUL]
    static Place place(const char* info, std::size_t bytes) {
        fanotify_event_info_fid fid{};
        HandleHead handle;
        const std::size_t handle_at = offsetof(fanotify_event_info_fid, handle);
        if (bytes < handle_at + sizeof handle) {
            return {};
        }
        std::memcpy(&fid, info, handle_at);
        std::memcpy(&handle, info + handle_at, sizeof handle);
        const std::size_t name_at = handle_at + sizeof handle + handle.bytes;
        if (handle.bytes > MAX_HANDLE_SZ || name_at > bytes) {
            return {};
        }
        const char* name = info + name_at;
        return {key_of(&fid.fsid, sizeof fid.fsid, handle.type, info + handle_at + sizeof handle,
                       handle.bytes),
                std::string(name, ::strnlen(name, bytes - name_at))};
    }

    static void one(const fanotify_event_metadata& raw, const char* bytes,
                    const std::function<void(const RawEvent&)>& event) {
        using Kind = RawEvent::Kind;
        if ((raw.mask & FAN_Q_OVERFLOW) != 0) {
            event({});
            return;
        }
        RawEvent out;
        out.is_folder = (raw.mask & FAN_ONDIR) != 0;
        for (std::size_t at = raw.metadata_len;
             at + sizeof(fanotify_event_info_header) <= raw.event_len;) {
            fanotify_event_info_header info{};
            std::memcpy(&info, bytes + at, sizeof info);
            if (info.len < sizeof info || info.len > raw.event_len - at) {
                event({});
                return;
            }
            Place where = place(bytes + at, info.len);
            if (info.info_type == FAN_EVENT_INFO_TYPE_NEW_DFID_NAME) {
                out.to = std::move(where.folder);
                out.to_name = std::move(where.name);
            } else if (info.info_type == FAN_EVENT_INFO_TYPE_DFID_NAME ||
                       info.info_type == FAN_EVENT_INFO_TYPE_OLD_DFID_NAME) {
                out.folder = std::move(where.folder);
                out.name = std::move(where.name);
            }
            at += info.len;
        }
        // One event may carry several kinds, in the order in which nobody can say they happened:
        // each is a reason to look.
        const auto say = [&](Kind kind) {
            out.kind = kind;
            event(out);
        };
        if ((raw.mask & FAN_RENAME) != 0) {
            say(Kind::moved);
            return;
        }
        if (out.name == ".") {
            if ((raw.mask & (FAN_DELETE_SELF | FAN_MOVE_SELF)) != 0) {
                say(Kind::self_gone);
            }
            if ((raw.mask & FAN_ATTRIB) != 0) { // told of the folder, and not beneath its parent
                out.name.clear();
                say(Kind::closed);
            }
            return;
        }
        if ((raw.mask & FAN_DELETE) != 0) {
            say(Kind::removed);
        }
        if ((raw.mask & FAN_CREATE) != 0) {
            say(Kind::made);
        }
        if ((raw.mask & (FAN_CLOSE_WRITE | FAN_ATTRIB)) != 0) {
            say(Kind::closed);
        } else if ((raw.mask & FAN_MODIFY) != 0) {
            say(Kind::written);
        }
    }

    Fd fd_;
    alignas(fanotify_event_metadata) std::array<char, fanotify_buffer_bytes> buffer_{};
};

} // namespace

Result<std::unique_ptr<WatchSource>> open_fanotify(int probe) {
    constexpr unsigned base = FAN_CLASS_NOTIF | FAN_REPORT_DFID_NAME | FAN_NONBLOCK | FAN_CLOEXEC;
    Fd fd(::fanotify_init(base | FAN_UNLIMITED_MARKS, O_RDONLY));
    if (!fd) {
        fd = Fd(::fanotify_init(base, O_RDONLY)); // without root's rights
    }
    if (!fd) {
        return errno_error(errno, "the kernel tells nothing of changed files (fanotify)");
    }
    auto source = std::make_unique<Fanotify>(std::move(fd));
    auto marked = source->mark(probe, true);
    if (!marked.ok()) {
        return marked.error();
    }
    source->forget(*marked, probe);
    return std::unique_ptr<WatchSource>(std::move(source));
}

} // namespace hasp::sync
