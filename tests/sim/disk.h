// A disk in memory that forgets what was not synced. It keeps for every file what a reader sees and
// what would be there after a power cut, and for the names of files the changes that no sync of
// their folder has made durable. crash() draws from a seed what of the rest survives.
//
// What is modelled (after ext4 with ordered data, and stricter where POSIX promises less):
//   - a file's bytes are durable after sync() of that file; before, any part of each 512-byte
//     sector's history may survive: nothing, all, the first writes with the last one torn, or any
//     sectors; a size change alike. Bytes outside a write are never hurt by it.
//   - names (create, unlink, rename, folders) are durable after sync_folder() of their folder, and
//     not by syncing the file; before, they survive in order, either of the whole disk (a journal)
//     or of each folder by itself. A rename is whole or not at all.
//   - after a crash a file's times are as old as its content, or as its newest part.
//   - the disk may be full; a read, write or sync may fail; after a failed sync the bytes are seen
//     until the crash and are never durable by a later sync alone (they count as clean).
//   - power may go between any two operations, also inside a transaction: die_after().
//
// One thread. Errors are errno values; 0 is success.
#pragma once

#include "base/random.h"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace hasp::sim {

inline constexpr std::size_t sector_bytes = 512;

// A file or folder apart from its names.
struct Inode {
    std::uint64_t number = 0;
    enum class Kind : unsigned char { file, folder, symlink } kind = Kind::file;
    unsigned mode = 0;
    bool told = false; // it had a name beneath the folder that on_change() is of
    std::int64_t mtime_ns = 0;
    std::int64_t ctime_ns = 0;
    std::int64_t durable_mtime_ns = 0; // of the content in `durable`
    std::int64_t durable_ctime_ns = 0;
    std::string seen;    // what a reader gets; of a symlink its target
    std::string durable; // what a crash cannot take
    struct Change {
        std::uint64_t at = 0;
        std::string bytes;
        bool size_only = false; // `at` is the new size
    };
    std::vector<Change> unsynced;
};
using File = std::shared_ptr<Inode>;
inline bool is_folder(const File& file) {
    return file != nullptr && file->kind == Inode::Kind::folder;
}

struct DiskStats {
    std::uint64_t writes = 0;
    std::uint64_t syncs = 0;
    std::uint64_t folder_syncs = 0;
    std::uint64_t failures = 0; // operations that failed for want of room or by fail_after()
};

class Disk {
  public:
    explicit Disk(std::uint64_t seed) : random_(seed) {}

    // Paths are absolute and normal; a folder must exist before what is in it.
    int open(const std::string& path, bool create, bool exclusive, File& out, unsigned mode = 0600);
    File find(const std::string& path) const;
    int read(const File& file, std::uint64_t at, char* out, std::size_t size, std::size_t& got);
    int write(const File& file, std::uint64_t at, std::string_view bytes);
    int truncate(const File& file, std::uint64_t size);
    int sync(const File& file);
    int make_folder(const std::string& path, unsigned mode = 0700);
    int rename(const std::string& from, const std::string& to);
    int unlink(const std::string& path); // also an empty folder
    int sync_folder(const std::string& path);
    int sync_all();
    int make_symlink(const std::string& path, const std::string& target);
    int set_meta(const std::string& path, unsigned mode, std::int64_t mtime_ns);
    // Names beneath, without the folder's own path, in order.
    std::vector<std::string> list(const std::string& folder) const;
    // Times of files come from here; without it they stand still.
    void set_clock(std::function<std::int64_t()> now_ns) { now_ns_ = std::move(now_ns); }
    // Calls `changed` for each change of what is beneath `folder`: with its path, or of a rename
    // with both, of which one may be elsewhere. Empty: no more. Nothing else of the disk may be
    // used in it but find().
    using Changed = std::function<void(const std::string& path, const std::string& to)>;
    void on_change(std::string folder, Changed changed);
    // A folder that was there before any history.
    void plant_folder(const std::string& path);

    // Faults.
    void set_capacity(std::uint64_t bytes) { capacity_ = bytes; } // 0: none
    std::uint64_t used() const;
    // The operation that comes after `operations` more of them fails with EIO; once.
    void fail_after(std::uint64_t operations) { fail_at_ = operations_ + operations + 1; }
    // Power goes after so many more changing operations: from then on everything fails with EIO and
    // changes nothing, until crash() or kill().
    void die_after(std::uint64_t operations) { die_at_ = changes_ + operations + 1; }
    void die() { dead_ = true; }
    // No fault is to come any more.
    void calm() {
        capacity_ = fail_at_ = 0;
        die_at_ = 0;
    }
    bool dead() const { return dead_; }

    // The power is back: what was not durable is there in part.
    void crash();
    // Only the processes died: everything that was written is there.
    void kill();

    // For a planted bug: syncs of files of which this says true do nothing.
    void lie_about_sync(std::function<bool(const std::string& path)> lie) { lie_ = std::move(lie); }

    // A copy of what is durable and seen; the history is dropped. The copy draws from its own seed.
    std::unique_ptr<Disk> clone(std::uint64_t seed) const;

    std::uint64_t changes() const { return changes_; }
    std::uint64_t lives() const {
        return lives_;
    } // counts crashes and kills: older handles are void
    const DiskStats& stats() const { return stats_; }
    // Over names and bytes as seen.
    std::uint64_t digest() const;

  private:
    enum class NameChange : unsigned char { link, unlink, rename };
    struct NameOp {
        NameChange kind;
        std::string path;
        std::string to;
        File file;   // that has the name, or had it
        File folder; // that the name is made in; of an unlink nothing
    };
    using Names = std::map<std::string, File>;

    bool begin(bool changing, int& error);
    int make(const std::string& path, Inode::Kind kind, unsigned mode, File& out);
    void touch(Inode& file);
    void record(NameChange kind, const std::string& path, const std::string& to, const File& file);
    // What it was done to is there, though other changes of names were lost.
    bool may_survive(const NameOp& op) const;
    static void apply(Names& names, const NameOp& op);
    static void apply(std::string& content, const Inode::Change& change);
    void survive(Inode& file);
    static void settle(Inode& file);
    void tell(const Inode& file);
    std::string path_of(const Inode* file) const;
    bool chance(std::uint64_t of_100) { return random_.below(100) < of_100; }

    SeededRandom random_;
    Names names_;
    Names durable_names_;
    std::vector<NameOp> journal_;
    std::uint64_t next_number_ = 1;
    std::uint64_t capacity_ = 0;
    std::uint64_t operations_ = 0;
    std::uint64_t changes_ = 0;
    std::uint64_t fail_at_ = 0;
    std::uint64_t die_at_ = 0;
    std::uint64_t lives_ = 0;
    bool dead_ = false;
    std::function<bool(const std::string&)> lie_;
    std::function<std::int64_t()> now_ns_;
    std::string told_folder_;
    Changed changed_;
    DiskStats stats_;
};

// "/a" of "/a/b"; "/" of "/a".
std::string folder_of(const std::string& path);

} // namespace hasp::sim
