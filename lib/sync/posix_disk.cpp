// Disk over this machine's file system. Every path is opened part by part beneath the root by the
// kernel (openat2), since apps write what they like into their folders.
#include "base/clock.h"
#include "base/fd.h"
#include "posix_absent.h"
#include "posix_attributes.h"
#include "posix_file.h"
#include "sync/disk.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

namespace hasp::sync {

namespace {

class PosixDisk final : public Disk {
  public:
    explicit PosixDisk(Fd root) : root_(std::move(root)) {}

    Result<FileStat> stat(const std::string& path) override {
        struct stat st {};
        if (path.empty()) {
            return ::fstat(root_.get(), &st) == 0 ? Result<FileStat>(stat_from(st))
                                                  : disk_error(errno, "cannot look at", path);
        }
        auto at = parent(path);
        if (!at) {
            return at.error();
        }
        if (::fstatat(at->fd.get(), at->name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
            return disk_error(errno, "cannot look at", path);
        }
        return stat_from(st);
    }

    // Inode numbers are given out again; with the time of birth, where the file system knows it,
    // they are not.
    Result<std::string> identity(const std::string& path) override {
        auto at = path.empty() ? Result<Parent>(Parent{}) : parent(path);
        if (!at) {
            return at.error();
        }
        struct statx st {};
        if (::statx(path.empty() ? root_.get() : at->fd.get(), at->name.c_str(),
                    AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH, STATX_INO | STATX_BTIME, &st) != 0) {
            return disk_error(errno, "cannot look at", path);
        }
        std::string out = std::to_string(st.stx_ino);
        if ((st.stx_mask & STATX_BTIME) != 0) {
            out += "." + std::to_string(st.stx_btime.tv_sec) + "." +
                   std::to_string(st.stx_btime.tv_nsec);
        }
        return out;
    }

    Result<std::vector<DirEntry>> list(const std::string& path) override {
        auto folder = open_folder(path);
        if (!folder) {
            return folder.error();
        }
        const int fd = folder->get();
        DIR* dir = ::fdopendir(fd);
        if (dir == nullptr) {
            return disk_error(errno, "cannot list", path);
        }
        static_cast<void>(folder->release()); // closedir closes it
        std::vector<DirEntry> out;
        int error = 0;
        for (;;) {
            errno = 0;
            const dirent* entry = ::readdir(dir);
            if (entry == nullptr) {
                error = errno;
                break;
            }
            const std::string name = entry->d_name;
            struct stat st {};
            if (name != "." && name != ".." &&
                ::fstatat(fd, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0) {
                out.push_back({name, stat_from(st)});
            }
        }
        ::closedir(dir);
        if (error != 0) {
            return disk_error(error, "cannot list", path);
        }
        std::sort(out.begin(), out.end(),
                  [](const DirEntry& a, const DirEntry& b) { return a.name < b.name; });
        return out;
    }

    Result<std::unique_ptr<ReadFile>> open(const std::string& path) override {
        auto fd = open_whole(path);
        if (!fd) {
            return fd.error();
        }
        return posix_read_file(*std::move(fd), path);
    }

    Result<std::unique_ptr<WriteFile>> create(const std::string& path, std::uint32_t mode,
                                              Owner owner) override {
        if (!valid_path(path)) {
            return bad(path);
        }
        Fd fd = open_below(root_.get(), path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
        if (!fd) {
            return disk_error(errno, "cannot make", path);
        }
        if ((owner.uid != 0 && ::fchown(fd.get(), owner.uid, owner.gid) != 0) ||
            ::fchmod(fd.get(), mode) != 0) {
            return disk_error(errno, "cannot give away", path);
        }
        return posix_write_file(std::move(fd), path, 0);
    }

    Result<bool> clone(const std::string& from, const std::string& to) override {
        auto source = open_whole(from);
        auto made =
            source ? create(to, 0600, {}) : Result<std::unique_ptr<WriteFile>>(source.error());
        if (!made) {
            return made.error();
        }
        made->reset();
        const Fd target = open_below(root_.get(), to, O_WRONLY | O_NOFOLLOW);
        if (target && ::ioctl(target.get(), FICLONE, source->get()) == 0) {
            return true;
        }
        [[maybe_unused]] const Status gone = remove(to);
        return false;
    }

    Result<std::unique_ptr<WriteFile>> append(const std::string& path,
                                              std::uint64_t size) override {
        if (!valid_path(path)) {
            return bad(path);
        }
        Fd fd = open_below(root_.get(), path, O_WRONLY | O_APPEND | O_NONBLOCK | O_NOFOLLOW);
        struct stat st {};
        if (!fd || ::fstat(fd.get(), &st) != 0) {
            return disk_error(errno, "cannot open", path);
        }
        if (!S_ISREG(st.st_mode) || static_cast<std::uint64_t>(st.st_size) < size) {
            return fail(Code::refused, "cannot go on with " + path + ": it is shorter than it was");
        }
        // Cutting nothing would still set the file's time.
        if (static_cast<std::uint64_t>(st.st_size) != size &&
            ::ftruncate(fd.get(), static_cast<off_t>(size)) != 0) {
            return disk_error(errno, "cannot cut", path);
        }
        return posix_write_file(std::move(fd), path, size);
    }

    Status make_absent(const std::string& path, std::uint32_t mode, Owner owner,
                       const Absent& absent) override {
        auto made = create(path, mode, owner);
        if (!made) {
            return made.error();
        }
        made->reset();
        const Fd fd = open_below(root_.get(), path, O_WRONLY | O_NOFOLLOW);
        Status done =
            fd ? sync::make_absent(fd.get(), absent, path) : disk_error(errno, "cannot open", path);
        if (!done) {
            [[maybe_unused]] const Status gone = remove(path);
        }
        return done;
    }

    Result<std::optional<Absent>> absent(const std::string& path) override {
        auto fd = open_file(path);
        if (!fd && fd.error().code == Code::refused) {
            return std::optional<Absent>();
        }
        return fd ? absent_of(fd->get(), path) : fd.error();
    }

    Result<std::unique_ptr<AbsentFile>> open_absent(const std::string& path) override {
        if (!valid_path(path)) {
            return bad(path);
        }
        Fd fd = open_below(root_.get(), path, O_RDWR | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY);
        struct stat st {};
        if (!fd || ::fstat(fd.get(), &st) != 0) {
            return disk_error(errno, "cannot open", path);
        }
        auto absent = absent_of(fd.get(), path);
        if (!absent) {
            return absent.error();
        }
        if (!*absent) {
            return fail(Code::not_found, "the content of " + path + " is here");
        }
        return posix_absent_file(std::move(fd), **std::move(absent), st.st_ino, path);
    }

    Status set_meta(const std::string& path, std::uint32_t mode, std::int64_t mtime_us) override {
        auto at = parent(path);
        if (!at) {
            return at.error();
        }
        struct stat st {};
        if (::fstatat(at->fd.get(), at->name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
            return disk_error(errno, "cannot look at", path);
        }
        if (!S_ISLNK(st.st_mode)) {
            const Fd fd = open_below(at->fd.get(), at->name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW);
            if (!fd || ::fchmod(fd.get(), mode) != 0) {
                return disk_error(errno, "cannot set the mode of", path);
            }
        }
        std::int64_t seconds = mtime_us / second_us;
        std::int64_t rest_us = mtime_us % second_us;
        if (rest_us < 0) {
            rest_us += second_us;
            --seconds;
        }
        const std::array<timespec, 2> times{timespec{0, UTIME_OMIT},
                                            timespec{seconds, rest_us * 1000}};
        if (::utimensat(at->fd.get(), at->name.c_str(), times.data(), AT_SYMLINK_NOFOLLOW) != 0) {
            return disk_error(errno, "cannot set the time of", path);
        }
        return {};
    }

    Result<FoundAttributes> attributes(const std::string& path) override {
        auto fd = open_file_or_folder(path);
        return fd ? attributes_of(fd->get(), path) : fd.error();
    }

    Status set_attributes(const std::string& path, const std::string& before,
                          const std::string& after) override {
        auto fd = open_file_or_folder(path);
        return fd ? change_attributes(fd->get(), path, before, after) : Status{fd.error()};
    }

    Status rename(const std::string& source, const std::string& target) override {
        auto old = parent(source);
        if (!old) {
            return old.error();
        }
        auto at = parent(target);
        if (!at) {
            return at.error();
        }
        return ::renameat(old->fd.get(), old->name.c_str(), at->fd.get(), at->name.c_str()) == 0
                   ? Status{}
                   : disk_error(errno, "cannot put in place", target);
    }

    Status remove(const std::string& path) override { return unlink(path, 0); }
    Status remove_folder(const std::string& path) override { return unlink(path, AT_REMOVEDIR); }

    Status make_folder(const std::string& path, std::uint32_t mode, Owner owner) override {
        auto at = parent(path);
        if (!at) {
            return at.error();
        }
        if (::mkdirat(at->fd.get(), at->name.c_str(), 0700) != 0) {
            return disk_error(errno, "cannot make the folder", path);
        }
        const Fd fd = open_below(at->fd.get(), at->name, O_RDONLY | O_DIRECTORY);
        if (!fd || (owner.uid != 0 && ::fchown(fd.get(), owner.uid, owner.gid) != 0) ||
            ::fchmod(fd.get(), mode) != 0) {
            return disk_error(errno, "cannot give away the folder", path);
        }
        return {};
    }

    Status make_symlink(const std::string& path, const std::string& target, Owner owner) override {
        auto at = parent(path);
        if (!at) {
            return at.error();
        }
        if (::symlinkat(target.c_str(), at->fd.get(), at->name.c_str()) != 0) {
            return disk_error(errno, "cannot make the link", path);
        }
        if (owner.uid != 0 && ::fchownat(at->fd.get(), at->name.c_str(), owner.uid, owner.gid,
                                         AT_SYMLINK_NOFOLLOW) != 0) {
            return disk_error(errno, "cannot give away the link", path);
        }
        return {};
    }

    Result<std::string> read_symlink(const std::string& path) override {
        auto at = parent(path);
        if (!at) {
            return at.error();
        }
        std::string out(link_bytes_max + 1, '\0');
        const ssize_t n = ::readlinkat(at->fd.get(), at->name.c_str(), out.data(), out.size());
        if (n < 0) {
            return errno == EINVAL ? fail(Code::refused, path + " is no symbolic link")
                                   : disk_error(errno, "cannot read the link", path);
        }
        out.resize(static_cast<std::size_t>(n));
        return out;
    }

    Status sync_file(const std::string& path) override {
        auto file = open_file(path);
        if (!file) {
            return file.error();
        }
        return ::fsync(file->get()) == 0 ? Status{} : disk_error(errno, "cannot write", path);
    }

    Status sync_folder(const std::string& path) override {
        auto folder = open_folder(path);
        if (!folder) {
            return folder.error();
        }
        return ::fsync(folder->get()) == 0 ? Status{} : disk_error(errno, "cannot write", path);
    }

    Status sync_all() override {
        return ::syncfs(root_.get()) == 0 ? Status{} : disk_error(errno, "cannot write", "");
    }

    Result<std::uint64_t> free_bytes() override {
        struct statvfs vfs {};
        if (::fstatvfs(root_.get(), &vfs) != 0) {
            return disk_error(errno, "cannot ask for free space of", "");
        }
        return static_cast<std::uint64_t>(vfs.f_bavail) * vfs.f_frsize;
    }

  private:
    struct Parent {
        Fd fd;
        std::string name;
    };

    static Error bad(const std::string& path) {
        return fail(Code::refused, "\"" + path.substr(0, name_bytes_max) + "\" is not a path");
    }

    Result<Fd> open_file(const std::string& path) { return open_for_reading(path, false); }

    // Nobody is given the zeros of what is to come.
    Result<Fd> open_whole(const std::string& path) {
        struct stat st {};
        auto fd = open_for_reading(path, false, &st);
        if (!fd || st.st_size == 0) {
            return fd;
        }
        auto absent = absent_of(fd->get(), path);
        if (!absent) {
            return absent.error();
        }
        return *absent ? Result<Fd>(fail(Code::try_later, "the content of " + path + " is to come"))
                       : std::move(fd);
    }

    Result<Fd> open_file_or_folder(const std::string& path) {
        return path.empty() ? open_folder(path) : open_for_reading(path, true);
    }

    Result<Fd> open_for_reading(const std::string& path, bool or_folder,
                                struct stat* found = nullptr) {
        if (!valid_path(path)) {
            return bad(path);
        }
        // O_NONBLOCK: a pipe that an app made must not hold us up.
        Fd fd = open_below(root_.get(), path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY);
        struct stat st {};
        if (!fd || ::fstat(fd.get(), &st) != 0) {
            return disk_error(errno, "cannot open", path);
        }
        if (!S_ISREG(st.st_mode) && !(or_folder && S_ISDIR(st.st_mode))) {
            return fail(Code::refused, "cannot open " + path + ": it is no regular file");
        }
        if (found != nullptr) {
            *found = st;
        }
        return fd;
    }

    Result<Fd> open_folder(const std::string& path) {
        if (!path.empty() && !valid_path(path)) {
            return bad(path);
        }
        Fd fd = open_below(root_.get(), path.empty() ? "." : path, O_RDONLY | O_DIRECTORY);
        if (!fd) {
            return disk_error(errno, "cannot open the folder", path);
        }
        return fd;
    }

    Result<Parent> parent(const std::string& path) {
        if (!valid_path(path)) {
            return bad(path);
        }
        const std::size_t slash = path.rfind('/');
        auto fd = open_folder(slash == std::string::npos ? "" : path.substr(0, slash));
        if (!fd) {
            return fd.error();
        }
        return Parent{*std::move(fd), slash == std::string::npos ? path : path.substr(slash + 1)};
    }

    Status unlink(const std::string& path, int flags) {
        auto at = parent(path);
        if (!at) {
            return at.error();
        }
        return ::unlinkat(at->fd.get(), at->name.c_str(), flags) == 0
                   ? Status{}
                   : disk_error(errno, "cannot remove", path);
    }

    Fd root_;
};

} // namespace

Result<bool> Disk::clone(const std::string&, const std::string&) {
    return false;
}

Status Disk::make_absent(const std::string& path, std::uint32_t, Owner, const Absent&) {
    return fail(Code::refused, "this disk has no place for " + path + " without its content");
}

Result<std::optional<Absent>> Disk::absent(const std::string&) {
    return std::optional<Absent>();
}

Result<std::unique_ptr<AbsentFile>> Disk::open_absent(const std::string& path) {
    return fail(Code::not_found, "the content of " + path + " is here");
}

Result<FoundAttributes> Disk::attributes(const std::string&) {
    return FoundAttributes{"", true, false};
}

Status Disk::set_attributes(const std::string&, const std::string&, const std::string&) {
    return {};
}

Result<std::unique_ptr<Disk>> open_disk(const std::string& root) {
    Fd fd(::open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd) {
        return errno_error(errno, "cannot open the folder " + root);
    }
    return std::unique_ptr<Disk>(new PosixDisk(std::move(fd)));
}

} // namespace hasp::sync
