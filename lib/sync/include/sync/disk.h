// The disk as sync uses it: paths beneath one root, and nothing that a simulation could not have.
// Everything of sync that outlives a crash goes through here or through lib/store.
//
// Paths are relative to the root, parts divided by '/', "" is the root itself; "." and ".." are no
// parts. A name is any 1-255 bytes but '/' and NUL. No call ever passes a symbolic link: one that
// stands where a folder must be is Code::refused.
// Durability: what was written is on the disk after sync() of the file (or sync_file()), what was
// made, renamed or removed after sync_folder() of the folder it stands in; sync_all() does both for
// everything. Until then a crash may lose any part of it, or keep the name and lose the content.
// Errors: not_found; conflict (exists already, is not empty); refused (a link or another kind
// stands in the way, a path that is none); failed (the rest: the disk is full, I/O).
// Any thread, one call at a time for the same path. Blocking.
#pragma once

#include "base/result.h"
#include "sync/absent.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

namespace hasp::sync {

enum class FileKind : unsigned char { file = 1, folder = 2, symlink = 3, other = 4 };

// What lstat says, as far as it is used. Two equal stats of a file that was last changed longer ago
// than the file system's clock is coarse mean equal content.
struct FileStat {
    FileKind kind = FileKind::other;
    std::uint32_t mode = 0; // 07777
    std::uint64_t size = 0; // files only
    std::int64_t mtime_ns = 0;
    std::int64_t ctime_ns = 0;
    std::uint64_t inode = 0;
    std::uint64_t links = 1; // names that a file has
    friend bool operator==(const FileStat&, const FileStat&) = default;
};

// Whom a new file belongs to; {0, 0}: whoever runs hasp.
struct Owner {
    uid_t uid = 0;
    gid_t gid = 0;
};

struct DirEntry {
    std::string name;
    FileStat stat;
};

// Extended attributes as they stand at a file or folder. Of those that come to more than
// attributes_bytes_max (attributes.h) none is given out.
struct FoundAttributes {
    std::string attributes; // as attributes.h writes them
    bool all = true;        // false: there are too many, and `attributes` is empty
    bool supported = true;  // false: the file system has none
};

// An open regular file; its content may change while it is read.
class ReadFile {
  public:
    virtual ~ReadFile() = default;
    // Fewer than asked for only at the end; 0 beyond it.
    virtual Result<std::size_t> read(std::uint64_t offset, std::span<char> into) = 0;
    virtual Result<FileStat> stat() = 0;
};

// A regular file that grows at its end. Long runs of zeros may become holes.
class WriteFile {
  public:
    virtual ~WriteFile() = default;
    virtual Status write(std::string_view bytes) = 0;
    virtual Status sync() = 0;
};

// An open file whose content is to come. One thread at a time; blocking. Errors: failed.
class AbsentFile {
  public:
    virtual ~AbsentFile() = default;
    virtual const Absent& absent() const = 0;
    virtual std::uint64_t inode() const = 0;
    // False: it is whole by now, by another that had it open.
    virtual Result<bool> still() = 0;
    // It has no name any more.
    virtual bool unlinked() = 0;
    // So many of its first bytes, and perhaps some more, were written before it was opened; what
    // they are nobody knows after a power cut. Less than its size.
    virtual std::uint64_t begun() = 0;
    // Of those. 0 at the end.
    virtual Result<std::size_t> read(std::uint64_t offset, std::span<char> out) = 0;
    // In any order. What the file was cut by stays away.
    virtual Status write(std::uint64_t offset, std::string_view bytes) = 0;
    // All was written: it is durable, then as old as it was before, then absent no more. What it is
    // from then on, until somebody changes it.
    virtual Result<FileStat> finish() = 0;
};

class Disk {
  public:
    virtual ~Disk() = default;

    virtual Result<FileStat> stat(const std::string& path) = 0;
    // What no other file or folder that had this path, before or after, has: for comparing alone.
    virtual Result<std::string> identity(const std::string& path) = 0;
    // Sorted by name. Entries that vanish meanwhile are left out.
    virtual Result<std::vector<DirEntry>> list(const std::string& path) = 0;

    // Never blocks on a pipe or a device: those are refused. try_later: its content is to come.
    virtual Result<std::unique_ptr<ReadFile>> open(const std::string& path) = 0;
    // Code::conflict when something has that name.
    virtual Result<std::unique_ptr<WriteFile>> create(const std::string& path, std::uint32_t mode,
                                                      Owner owner) = 0;
    // A new file, mode 0600, that shares what `from` has until one of the two is written. False:
    // the file system cannot do that, and nothing was made.
    virtual Result<bool> clone(const std::string& from, const std::string& to);
    // An existing file, cut to `size` bytes first; refused when it is shorter.
    virtual Result<std::unique_ptr<WriteFile>> append(const std::string& path,
                                                      std::uint64_t size) = 0;

    // Files whose content is to come (absent.h). Whoever has a disk without them need not say:
    // refused. make_absent() makes a file as create() does, but empty of all that it is to have.
    virtual Status make_absent(const std::string& path, std::uint32_t mode, Owner owner,
                               const Absent& absent);
    // Nothing: it is whole, or no file.
    virtual Result<std::optional<Absent>> absent(const std::string& path);
    // not_found: nothing stands there, or it is whole.
    virtual Result<std::unique_ptr<AbsentFile>> open_absent(const std::string& path);

    // Of a file or folder; of a symlink the time alone.
    virtual Status set_meta(const std::string& path, std::uint32_t mode, std::int64_t mtime_us) = 0;
    // Of a file or folder; refused for anything else. Whoever has a disk without them need not say.
    virtual Result<FoundAttributes> attributes(const std::string& path);
    // Of those that belong to users, does what differs between `before` and `after`, and leaves all
    // others as they are. What the file system has no room for is left out, and found missing by
    // attributes(). Sets no mtime.
    virtual Status set_attributes(const std::string& path, const std::string& before,
                                  const std::string& after);
    // Atomically puts a file or symlink in the place of what has that name, which must not be a
    // folder.
    virtual Status rename(const std::string& from, const std::string& to) = 0;
    virtual Status remove(const std::string& path) = 0;        // anything but a folder
    virtual Status remove_folder(const std::string& path) = 0; // conflict: it is not empty
    virtual Status make_folder(const std::string& path, std::uint32_t mode, Owner owner) = 0;
    virtual Status make_symlink(const std::string& path, const std::string& target,
                                Owner owner) = 0;
    virtual Result<std::string> read_symlink(const std::string& path) = 0;

    // Of a regular file, whoever wrote it.
    virtual Status sync_file(const std::string& path) = 0;
    virtual Status sync_folder(const std::string& path) = 0;
    virtual Status sync_all() = 0;
    virtual Result<std::uint64_t> free_bytes() = 0;
};

// The folder `root` of this machine. `root` must exist.
Result<std::unique_ptr<Disk>> open_disk(const std::string& root);

inline constexpr std::size_t path_bytes_max = 4096;
inline constexpr std::size_t name_bytes_max = 255;
inline constexpr std::size_t link_bytes_max = 4095; // a symlink's target

// As above; "" is not one.
bool valid_path(std::string_view path);

// Where a folder's, or a batch's, files are to be durable together: more than these, and one
// sync_all() is cheaper.
inline constexpr std::size_t syncs_one_by_one = 4;

} // namespace hasp::sync
