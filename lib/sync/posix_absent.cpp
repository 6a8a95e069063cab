#include "posix_absent.h"

#include "base/clock.h"
#include "posix_file.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fcntl.h>
#include <sys/xattr.h>
#include <unistd.h>

namespace hasp::sync {

namespace {

std::int64_t mtime_of(const struct stat& st) {
    return st.st_mtim.tv_sec * second_ns + st.st_mtim.tv_nsec;
}

Status mark(int fd, const Absent& absent, const std::string& path) {
    const std::string text = absent_text(absent);
    return ::fsetxattr(fd, absent_attribute, text.data(), text.size(), 0) == 0
               ? Status{}
               : disk_error(errno, "cannot mark", path);
}

constexpr std::uint64_t file_block_bytes_max = 64 * 1024; // of any file system

class PosixAbsentFile final : public AbsentFile {
  public:
    PosixAbsentFile(Fd fd, Absent absent, std::uint64_t inode, std::string path)
        : fd_(std::move(fd)), absent_(std::move(absent)), inode_(inode), path_(std::move(path)) {}

    const Absent& absent() const override { return absent_; }
    std::uint64_t inode() const override { return inode_; }

    Result<bool> still() override {
        auto now = absent_of(fd_.get(), path_);
        return now ? Result<bool>(now->has_value()) : now.error();
    }

    bool unlinked() override {
        struct stat st {};
        return ::fstat(fd_.get(), &st) == 0 && st.st_nlink == 0;
    }

    std::uint64_t begun() override {
        if (!absent_.mtime_ns || absent_.size == 0) {
            return 0;
        }
        // A hole begins where a block does, and what was written last may end before that.
        const off_t hole = ::lseek(fd_.get(), 0, SEEK_HOLE);
        const auto blocks =
            static_cast<std::uint64_t>(std::max<off_t>(hole, 0)) / file_block_bytes_max;
        return blocks == 0 ? 0 : std::min((blocks - 1) * file_block_bytes_max, absent_.size - 1);
    }

    Result<std::size_t> read(std::uint64_t offset, std::span<char> out) override {
        ssize_t got = 0;
        do {
            got = ::pread(fd_.get(), out.data(), out.size(), static_cast<off_t>(offset));
        } while (got < 0 && errno == EINTR);
        return got < 0 ? Result<std::size_t>(disk_error(errno, "cannot read", path_))
                       : static_cast<std::size_t>(got);
    }

    // The time is noted before the first byte changes it: a crash in between looks like no edit.
    Status write(std::uint64_t offset, std::string_view bytes) override {
        struct stat st {};
        if (::fstat(fd_.get(), &st) != 0) {
            return disk_error(errno, "cannot look at", path_);
        }
        if (!absent_.mtime_ns) {
            absent_.mtime_ns = mtime_of(st);
            if (Status noted = mark(fd_.get(), absent_, path_); !noted) {
                absent_.mtime_ns.reset();
                return noted;
            }
        }
        const auto size = static_cast<std::uint64_t>(st.st_size);
        cut_ = size != absent_.size;
        bytes = bytes.substr(0, offset < size ? static_cast<std::size_t>(std::min<std::uint64_t>(
                                                    bytes.size(), size - offset))
                                              : 0);
        while (!bytes.empty()) {
            const ssize_t put =
                ::pwrite(fd_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
            if (put < 0 && errno == EINTR) {
                continue;
            }
            if (put <= 0) {
                return disk_error(put < 0 ? errno : EIO, "cannot write", path_);
            }
            offset += static_cast<std::uint64_t>(put);
            bytes.remove_prefix(static_cast<std::size_t>(put));
        }
        return set_time(); // whoever lists the folder meanwhile sees it as old as it was
    }

    Result<FileStat> finish() override {
        if (::fsync(fd_.get()) != 0) {
            return disk_error(errno, "cannot write", path_);
        }
        if (Status set = set_time(); !set) {
            return set.error();
        }
        // What is written to it after this must not find the mark again after a power cut.
        if ((::fremovexattr(fd_.get(), absent_attribute) != 0 && errno != ENODATA) ||
            ::fsync(fd_.get()) != 0) {
            return disk_error(errno, "cannot take the mark from", path_);
        }
        struct stat st {};
        return ::fstat(fd_.get(), &st) == 0 ? Result<FileStat>(stat_from(st))
                                            : disk_error(errno, "cannot look at", path_);
    }

  private:
    Status set_time() const {
        if (!absent_.mtime_ns || cut_) { // when it was cut is its time
            return {};
        }
        std::int64_t seconds = *absent_.mtime_ns / second_ns;
        std::int64_t rest = *absent_.mtime_ns % second_ns;
        if (rest < 0) {
            rest += second_ns;
            --seconds;
        }
        const std::array<timespec, 2> times{timespec{0, UTIME_OMIT}, timespec{seconds, rest}};
        return ::futimens(fd_.get(), times.data()) == 0
                   ? Status{}
                   : disk_error(errno, "cannot set the time of", path_);
    }

    Fd fd_;
    Absent absent_;
    std::uint64_t inode_;
    std::string path_; // for messages
    bool cut_ = false; // by its name, since it was made
};

} // namespace

Result<std::optional<Absent>> absent_of(int fd, const std::string& path) {
    std::string text(absent_text_bytes_max, '\0');
    const ssize_t got = ::fgetxattr(fd, absent_attribute, text.data(), text.size());
    if (got < 0) {
        // ENODATA also where only root would see it, who alone could have set it. Where it cannot
        // be asked for, it cannot have been set.
        return errno == ENODATA || errno == ENOTSUP || errno == EPERM || errno == EACCES ||
                       errno == ENOSYS || errno == EINVAL
                   ? Result<std::optional<Absent>>(std::optional<Absent>())
                   : disk_error(errno, "cannot look for the mark of", path);
    }
    text.resize(static_cast<std::size_t>(got));
    auto out = parse_absent(text);
    if (!out) { // never zeros for want of a word
        return fail(Code::failed, path + " is marked as a file whose content is to come, in a way "
                                         "that this hasp does not know");
    }
    return out;
}

Status make_absent(int fd, const Absent& absent, const std::string& path) {
    if (Status marked = mark(fd, absent, path); !marked) {
        return fail(Code::refused, marked.error().message);
    }
    return ::ftruncate(fd, static_cast<off_t>(absent.size)) == 0
               ? Status{}
               : disk_error(errno, "cannot make", path);
}

std::unique_ptr<AbsentFile> posix_absent_file(Fd fd, Absent absent, std::uint64_t inode,
                                              std::string path) {
    return std::make_unique<PosixAbsentFile>(std::move(fd), std::move(absent), inode,
                                             std::move(path));
}

} // namespace hasp::sync
