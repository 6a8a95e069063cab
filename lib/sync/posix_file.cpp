#include "posix_file.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <limits>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace hasp::sync {

namespace {

constexpr std::uint64_t stat_block_bytes = 512; // st_blocks counts these, whatever the file system

// The nearest that there is: some file systems know times until 2446, nanoseconds end in 2262.
std::int64_t nanoseconds(const timespec& time) {
    std::int64_t ns = 0;
    if (__builtin_mul_overflow(std::int64_t{time.tv_sec}, second_ns, &ns) ||
        __builtin_add_overflow(ns, std::int64_t{time.tv_nsec}, &ns)) {
        return time.tv_sec < 0 ? std::numeric_limits<std::int64_t>::min()
                               : std::numeric_limits<std::int64_t>::max();
    }
    return ns;
}

bool zeros(std::string_view bytes) {
    return bytes.empty() ||
           (bytes[0] == '\0' && std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
}

class PosixReadFile final : public ReadFile {
  public:
    PosixReadFile(Fd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {
        struct stat st {};
        sparse_ = ::fstat(fd_.get(), &st) == 0 &&
                  static_cast<std::uint64_t>(st.st_blocks) * stat_block_bytes <
                      static_cast<std::uint64_t>(st.st_size);
    }
    Result<std::size_t> read(std::uint64_t offset, std::span<char> into) override {
        std::size_t done = 0;
        while (done < into.size()) {
            if (const std::size_t hole = hole_at(offset + done, into.size() - done); hole > 0) {
                std::fill_n(into.data() + done, hole, '\0');
                done += hole;
                continue;
            }
            const ssize_t n = ::pread(fd_.get(), into.data() + done, into.size() - done,
                                      static_cast<off_t>(offset + done));
            if (n < 0 && errno == EINTR) {
                continue;
            }
            if (n < 0) {
                return disk_error(errno, "cannot read", path_);
            }
            if (n == 0) {
                break;
            }
            done += static_cast<std::size_t>(n);
        }
        return done;
    }
    Result<FileStat> stat() override {
        struct stat st {};
        if (::fstat(fd_.get(), &st) != 0) {
            return disk_error(errno, "cannot look at", path_);
        }
        return stat_from(st);
    }

  private:
    // How many of the next `wanted` bytes from `offset` on are in a hole. The file system is asked
    // once for each hole and each piece of data; who changes the file meanwhile changes its stamps,
    // as with what was read just before.
    std::size_t hole_at(std::uint64_t offset, std::size_t wanted) {
        if (!sparse_) {
            return 0;
        }
        if (offset < known_from_ || offset >= known_to_) {
            const off_t data = ::lseek(fd_.get(), static_cast<off_t>(offset), SEEK_DATA);
            const bool no_more = data < 0 && errno == ENXIO;
            const off_t end = data < 0 && !no_more ? -1
                              : no_more            ? ::lseek(fd_.get(), 0, SEEK_END)
                              : static_cast<std::uint64_t>(data) > offset
                                  ? data
                                  : ::lseek(fd_.get(), data, SEEK_HOLE);
            if (end < 0 || static_cast<std::uint64_t>(end) <= offset) {
                sparse_ = end >= 0; // a file system that does not know its holes; or the end
                return 0;
            }
            in_hole_ = no_more || static_cast<std::uint64_t>(data) > offset;
            known_from_ = offset;
            known_to_ = static_cast<std::uint64_t>(end);
        }
        return in_hole_
                   ? static_cast<std::size_t>(std::min<std::uint64_t>(wanted, known_to_ - offset))
                   : 0;
    }

    Fd fd_;
    std::string path_;
    bool sparse_ = false;
    // This is all hole, or all data.
    bool in_hole_ = false;
    std::uint64_t known_from_ = 0;
    std::uint64_t known_to_ = 0;
};

class PosixWriteFile final : public WriteFile {
  public:
    PosixWriteFile(Fd fd, std::string path, std::uint64_t size)
        : fd_(std::move(fd)), path_(std::move(path)), size_(size) {}
    Status write(std::string_view bytes) override {
        while (!bytes.empty()) {
            const Hole hole = hole_in(bytes);
            Status written = write_all(bytes.substr(0, hole.from));
            if (written && hole.to > hole.from) {
                size_ += hole.to - hole.from;
                in_hole_ = true;
                written = ::ftruncate(fd_.get(), static_cast<off_t>(size_)) == 0
                              ? Status{}
                              : disk_error(errno, "cannot write", path_);
            }
            if (!written) {
                return written;
            }
            bytes.remove_prefix(hole.to);
        }
        return {};
    }
    Status sync() override {
        return ::fsync(fd_.get()) == 0 ? Status{} : disk_error(errno, "cannot write", path_);
    }

  private:
    struct Hole {
        std::size_t from = 0;
        std::size_t to = 0;
    };
    // The first run of zeros that is left out; none: both are the end. Where the last write ended
    // in one, it goes on with any zeros; one that reaches the end may go on with the next write.
    Hole hole_in(std::string_view bytes) const {
        Hole run{0, 0};
        bool aligned = in_hole_ || size_ % hole_block_bytes == 0;
        const auto worth = [&] {
            const std::size_t length = run.to - run.from;
            return (in_hole_ && run.from == 0 && length > 0) ||
                   length >= (run.to == bytes.size() ? hole_block_bytes : hole_bytes_least);
        };
        for (std::size_t at = 0; at < bytes.size();) {
            const std::size_t block = std::min<std::size_t>(
                hole_block_bytes - (size_ + at) % hole_block_bytes, bytes.size() - at);
            const bool zero = aligned && zeros(bytes.substr(at, block));
            at += block;
            aligned = true;
            if (zero) {
                run.to = at;
            } else if (worth()) {
                return run;
            } else {
                run = {at, at};
            }
        }
        return worth() ? run : Hole{bytes.size(), bytes.size()};
    }
    Status write_all(std::string_view bytes) {
        while (!bytes.empty()) {
            const ssize_t n =
                ::pwrite(fd_.get(), bytes.data(), bytes.size(), static_cast<off_t>(size_));
            if (n < 0 && errno == EINTR) {
                continue;
            }
            if (n < 0) {
                return disk_error(errno, "cannot write", path_);
            }
            size_ += static_cast<std::uint64_t>(n);
            in_hole_ = false;
            bytes.remove_prefix(static_cast<std::size_t>(n));
        }
        return {};
    }

    Fd fd_;
    std::string path_;
    std::uint64_t size_;
    bool in_hole_ = false; // the file ends in one
};

} // namespace

Fd open_below(int root, const std::string& path, std::uint64_t flags, std::uint64_t mode) {
    struct open_how how {};
    how.flags = flags | O_CLOEXEC;
    how.mode = mode;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
    for (;;) {
        const long fd = ::syscall(SYS_openat2, root, path.c_str(), &how, sizeof how);
        if (fd >= 0 || (errno != EINTR && errno != EAGAIN)) {
            return Fd(static_cast<int>(fd));
        }
    }
}

FileStat stat_from(const struct stat& st) {
    FileStat out;
    out.kind = S_ISREG(st.st_mode)   ? FileKind::file
               : S_ISDIR(st.st_mode) ? FileKind::folder
               : S_ISLNK(st.st_mode) ? FileKind::symlink
                                     : FileKind::other;
    out.mode = st.st_mode & 07777U;
    out.size = out.kind == FileKind::file ? static_cast<std::uint64_t>(st.st_size) : 0;
    out.mtime_ns = nanoseconds(st.st_mtim);
    out.ctime_ns = nanoseconds(st.st_ctim);
    out.inode = st.st_ino;
    out.links = st.st_nlink;
    return out;
}

Error disk_error(int error, const std::string& doing, const std::string& path) {
    const std::string where = doing + " " + (path.empty() ? "the folder" : path);
    switch (error) {
    case ELOOP:
    case EXDEV:
    case ENOTDIR:
        return fail(Code::refused,
                    where + ": a symbolic link or a file stands where a folder must be");
    case EEXIST:
    case ENOTEMPTY:
        return fail(Code::conflict, where + ": it exists, or is not empty");
    case EISDIR:
        return fail(Code::refused, where + ": it is a folder");
    case ENOSPC:
    case EDQUOT:
        return fail(Code::failed, where + ": the disk is full", "make room: it goes on by itself");
    default:
        return errno_error(error, where);
    }
}

std::unique_ptr<ReadFile> posix_read_file(Fd fd, std::string path) {
    return std::make_unique<PosixReadFile>(std::move(fd), std::move(path));
}

std::unique_ptr<WriteFile> posix_write_file(Fd fd, std::string path, std::uint64_t size) {
    return std::make_unique<PosixWriteFile>(std::move(fd), std::move(path), size);
}

} // namespace hasp::sync
