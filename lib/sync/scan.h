// What is in a working copy now. Contents are read only where the file system's stamps do not say
// that they are as they were; a file that changes while it is read is read again.
#pragma once

#include "base/clock.h"
#include "compare.h"
#include "composing.h"
#include "sync/scratch.h"
#include "sync/tree.h"

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

namespace hasp::sync {

inline constexpr int reads_max = 3;                   // of a file that changes meanwhile
inline constexpr std::size_t entries_max = 2'000'000; // of a folder
// A file that was changed this shortly before it was looked at may change again without a new
// stamp.
inline constexpr std::int64_t stamp_grain_us = 2'000'000;

// Of copies that are held: but one may be of any size, as one that is sent may.
inline constexpr std::uint64_t held_bytes_max = std::uint64_t{1} << 30;
inline constexpr std::size_t held_files_max = 64;
// What the disk has to have beside a copy that is not needed yet.
inline constexpr std::uint64_t held_reserve_bytes = std::uint64_t{256} << 20;

// The attributes of a file or folder, as they stood when somebody looked.
struct SeenAttributes {
    // What they mean: those that were agreed on, and what was changed here since. Not what stands
    // here alone, where the file system has no room for all that were agreed on, or no attributes.
    std::string meant;
    std::string here;
    bool looked = true; // false: nobody has, what is `meant` is known by other means
    bool all = true;    // false: there are more than are kept, which are left as they are
    bool stale = false; // they changed since, while the home was told of none
    bool kept() const { return all && meant == here; }
    friend bool operator==(const SeenAttributes&, const SeenAttributes&) = default;
};

// A file as it was when its content was known. Of a folder, `attributes` alone.
struct Seen {
    FileStat stat;
    std::int64_t at_us = 0; // wall clock; 0: never
    std::string hash;
    std::uint64_t size = 0; // of the content: a database's differs from its file's
    std::shared_ptr<const SeenAttributes> attributes = {}; // nothing: none, as far as is known
};

std::string attributes_of(const Seen& seen);
bool same_attributes(const Seen& a, const Seen& b);
// Of what came from the home as `meant`: what stands here of it. The rest had no room, and what
// stands here beside it was changed here since.
std::shared_ptr<const SeenAttributes> came_as(const std::string& meant,
                                              const FoundAttributes& found);
// From `found` on: what is different from what was known is what was changed here.
std::shared_ptr<const SeenAttributes> looked_at(const FoundAttributes& found, const Seen* known);

struct Scan {
    Tree tree;
    std::map<std::string, Seen> seen;  // files; folders, of which attributes are known
    std::uint64_t skipped = 0;         // devices, sockets, pipes, and what cannot be read
    std::uint64_t unnamed = 0;         // of those: files, folders, links with too long a path
    std::uint64_t attributes_left = 0; // files and folders of which not all of them are kept
    // Changed at each attempt; they stand in the tree as they were known.
    std::set<std::string> changing;
    bool missing = false; // the folder itself
};

// What was seen before. By inode: where the path is new and all stamps say that it is that file.
struct Known {
    std::map<std::string, Seen> paths;
    std::unordered_map<std::uint64_t, const Seen*> inodes;
    const Seen* find(const std::string& path, const FileStat& now) const;
};

// A content that was agreed on, and its chunks.
struct AgreedContent {
    std::unique_ptr<ReadFile> file; // nothing: it is not here
    std::shared_ptr<const ChunkList> chunks;
};

// What a content is made of that differs from one that was agreed on.
struct FrozenEdit {
    std::string basis; // its name
    std::unique_ptr<ReadFile> basis_content;
    std::unique_ptr<Composing> made; // of the basis
    std::vector<Extent> pieces;      // as made has them
    std::vector<Step> steps;         // as compare() has them
};

// Content that stands still: a copy, or for small files memory. Of an edit, what is new is a copy.
struct Frozen {
    std::unique_ptr<ReadFile> file;
    Digest digest;
    Seen seen;
    std::string path;                      // of the copy; empty: in memory, or of more than that
    std::shared_ptr<FrozenEdit> edit = {}; // that `file` reads from
};

class Reader {
  public:
    // Finishes a copy of an SQLite database and its journal at this path, so that the file alone is
    // a consistent database. Empty: databases are files like others.
    using SettleDatabase = std::function<Status(const std::string& path)>;

    Reader(Disk& disk, std::string temporary, const Clock& clock, SettleDatabase settle)
        : disk_(disk), temporary_(std::move(temporary)), clock_(clock), settle_(std::move(settle)) {
    }

    // Whether attributes count from now on: a home that knows nothing of them is told nothing of
    // them, and they count as what they were.
    void look_at_attributes(bool looks) {
        looks_at_attributes_ = looks;
        has_untold_attributes_ = false;
    }
    bool looks_at_attributes() const { return looks_at_attributes_; }
    // Something has some, and they do not count.
    bool has_untold_attributes() const { return has_untold_attributes_; }

    // `root` is beneath the disk's root.
    Result<Scan> scan(const std::string& root, const Known& known);
    // What stands at one path beneath `root`, in the way scan() sees it, is added to `out`;
    // `below`: with all beneath it, if that is a folder.
    Status part(const std::string& root, const std::string& path, bool below, const Known& known,
                Scan& out);
    // The database that this would be a part of, by its name alone; empty: of none.
    std::string database_of(const std::string& path) const;
    bool knows_databases() const { return settle_ != nullptr; }
    static std::vector<std::string> companion_names(const std::string& path);
    // How large files are called from here on: by their chunks, or by the SHA-256 of their bytes.
    // One that turns out to be what it was known as keeps that name.
    // `large_before`: whether a large content of this size was agreed on as the latter, and whether
    // that was of this name: a file that came to stand elsewhere keeps it, too.
    struct LargeBefore {
        std::function<bool(std::uint64_t size)> any;
        std::function<bool(const std::string& name)> is;
    };
    void name_by_chunks(bool by_chunks, LargeBefore large_before = {}) {
        by_chunks_ = by_chunks;
        large_before_ = std::move(large_before);
    }
    // From here to let_go(), what is read of a large file that was known as another is kept as a
    // copy, a bounded number of bytes, which freeze() gives out if the file is still that one.
    // Where `agreed` has the other, it is compared with that, and what is new is a copy.
    using Agreed = std::function<Result<AgreedContent>(const std::string& name)>;
    void hold_edits(Agreed agreed = {}) {
        holds_ = true;
        agreed_ = std::move(agreed);
    }
    void let_go();
    // try_later: it changed at each attempt. `expected`: what it may be called; empty: not known.
    // `known`: of the path.
    Result<Frozen> freeze(const std::string& path, const std::string& expected = "",
                          const Seen* known = nullptr);
    // The entry that stands there now; not_found. The content is read if `known` does not fit, and
    // `seen` is set for files and folders. `expected`: what it may be called, where nothing is
    // known.
    Result<Entry> entry(const std::string& path, const Seen* known, Seen* seen,
                        const std::string& expected = "");

    // Companions of a database at `path` that hold a part of it, if it is one.
    Result<std::vector<std::string>> companions(const std::string& path);
    std::string temporary_path() { return temporary_ + "/t" + std::to_string(next_++); }

  private:
    struct Listed {
        FileStat stat;
        bool alone = false; // no name in the folder could be a companion's
    };
    Status walk(const std::string& root, const std::string& below, const Known& known, Scan& out);
    Status add(const std::string& root, const std::string& path, const Listed& listed,
               const Known& known, Scan& out);
    Result<Entry> entry_from(const Listed& listed, const std::string& path, const Seen* known,
                             Seen* seen, const std::string& expected);
    Status add_attributes(const std::string& path, const Seen* known, Seen& now);
    Result<FileStat> stamp(const std::string& path, const FileStat& stat, bool& database);
    Result<FileStat> stamp(const std::string& path, const FileStat& stat, ReadFile& file,
                           bool& database);
    // `start`: the first bytes of what is at `path`; empty: there are none, or nothing is there.
    Result<FileStat> stamp(const std::string& path, const FileStat& stat, const std::string& start,
                           bool& database);
    Result<std::vector<std::string>> companions(const std::string& path, const std::string& start);
    static std::string beginning_of(ReadFile& file);
    std::string beginning_at(const std::string& path);
    Result<Digest> name(ReadFile& file, const std::string& expected, const Sink& also = {});
    Result<Seen> look(const std::string& path, const Seen* known, const std::string& expected);
    Result<Seen> look_at_content(const std::string& path, const std::string& expected);
    Result<Seen> look_at_absent(const std::string& path, const FileStat& stat, const Seen* known);
    Result<Seen> look_at_edit(const std::string& path, const FileStat& stat, const Seen& known,
                              const FileStat& stamped);
    Result<Seen> look_or_let_go(const std::string& path, const Seen* known,
                                const std::string& expected);
    bool may_hold(const std::string& path, const FileStat& stat);
    void drop_held();
    std::optional<Frozen> take_held(const std::string& path);
    Result<Frozen> freeze_content(const std::string& path, const std::string& expected);
    Result<Frozen> freeze_now(const std::string& path, const std::string& expected,
                              const Seen* known);
    Result<Frozen> freeze_database(const std::string& path, const FileStat& stat,
                                   const std::string& expected);
    // scan_edit.cpp
    Result<std::optional<Frozen>> freeze_edit(const std::string& path, const Seen& known);
    Result<std::shared_ptr<FrozenEdit>> compare_with(AgreedContent agreed, const std::string& known,
                                                     ReadFile& file);
    bool is_database(const std::string& path);
    bool is_database(const std::string& path, const std::string& start);

    Disk& disk_;
    std::string temporary_;
    const Clock& clock_;
    SettleDatabase settle_;
    std::uint64_t next_ = 0;
    bool looks_at_attributes_ = true;
    bool has_untold_attributes_ = false;
    bool by_chunks_ = false;
    LargeBefore large_before_;
    bool holds_ = false;
    Agreed agreed_;
    std::map<std::string, Frozen> held_; // by path
    std::uint64_t held_bytes_ = 0;
};

// Equal stamps, and old enough at the time of `seen` to prove something.
bool still_the_same(const Seen& seen, const FileStat& now);

Entry entry_of(const FileStat& stat);

} // namespace hasp::sync
