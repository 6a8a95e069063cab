// The contents of files as they were last agreed on with the home, kept at the tier that has the
// working copies: a change is then sent as what differs from them. They are a help and never
// needed: a content that is not here is one that was not kept, and whoever asks sends another way.
//
// Small contents stand compressed in the database, so that a folder of 100,000 files takes no
// inodes; large ones are files of their own beneath `folder`. An edit of a large one stands in its
// file: as which parts of it, and what is new behind its end. What is given out is what was kept: a
// row's checksum has held, a file is byte for byte as this process wrote it (its stamps say so,
// nobody else writes there) or its hash was compared since. What does not hold is dropped; what
// turns out unreadable while it is read, the next time that it is asked for.
// When there are too many, those that were kept first go first: an edit keeps a content anew.
// One thread at a time; blocking. Errors: those of the database where it is read or a content is
// dropped. A disk that is full or fails only keeps less: where even a row fails, nothing more is
// kept until there is more room, though SQLite may have undone the caller's transaction with it.
#pragma once

#include "sync/chunks.h"
#include "sync/codec.h"
#include "sync/home.h"

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace hasp::sync {

// Up to here a content stands in the database.
inline constexpr std::uint64_t base_small_bytes_max = std::uint64_t{1} << 20;
// All contents together: as much as files that are edited usually come to, and never more than a
// tenth of what the disk has left for them.
inline constexpr std::uint64_t base_bytes_default = std::uint64_t{4} << 30;
inline constexpr std::uint64_t base_share_of_disk = 10;
// Lists of chunks that are remembered, together.
inline constexpr std::size_t base_chunks_bytes_max = std::size_t{6} << 20;
// So many compressed bytes wait in memory for their row.
inline constexpr std::size_t base_pending_bytes_max = std::size_t{4} << 20;

struct Extent; // recipe.h

class Bases {
  public:
    Bases(store::Db& db, Disk& disk, std::string folder, std::string tenant)
        : db_(db), disk_(disk), folder_(std::move(folder)), tenant_(std::move(tenant)) {}
    // Removes what a crash left without a row.
    Status open();
    // 0: nothing is kept, and what was kept goes.
    Status set_bytes_max(std::uint64_t bytes);
    // Told of contents that go because others need their room, in that transaction, the first 256
    // MiB of them.
    using Going = std::function<Status(const FolderId& id, const std::string& hash, ReadFile&)>;
    void tell_of_going(Going going) { going_ = std::move(going); }

    // Nothing: it is not kept. It must not outlive this, which forgets what cannot be read in it.
    Result<std::unique_ptr<ReadFile>> find(const FolderId& id, const std::string& hash);

    // Where a content stands beneath the disk's root. Taken: a large one moves from there.
    struct Place {
        std::string file; // empty: in memory
        bool taken = false;
    };
    // `content` has this hash. False: it is not kept, as in all cases of doubt. It gets its row at
    // write(), or here when too much waits for one.
    Result<bool> keep(const FolderId& id, const std::string& hash, ReadFile& content,
                      const Place& place);
    // As keep(), of an edit of `basis`, which find() gave out: `pieces` of it (source 0) and of
    // what is new (source 1). False also where it would hold on to much for little: to be kept as
    // any other.
    struct Edit {
        std::string basis;
        const std::vector<Extent>* pieces = nullptr;
        ReadFile* fresh = nullptr;
        std::uint64_t size = 0; // of the content
    };
    Result<bool> keep_edit(const FolderId& id, const std::string& hash, const Edit& edit);
    // The chunks of a content that is called by them (chunks.h): as they were told, else `content`
    // is read for them. A bounded number of lists is remembered.
    void remember(const Digest& named);
    Result<std::shared_ptr<const ChunkList>> chunks_of(const std::string& hash, ReadFile& content);
    // Rows for what waits, and room for them; small contents only where the disk has ten times as
    // much.
    Status write();

    Status drop(const FolderId& id, const std::string& hash);
    Status drop_all(const FolderId& id);
    // Those of contents that no file has any more as it was agreed on (sync_base).
    Status drop_unused(const FolderId& id);
    // Of all folders of this user, also what waits; in a transaction of its own.
    Status drop_user(const std::string& user);
    // The same of one folder.
    Status drop_folder(const FolderId& id);
    // What all of them take.
    Result<std::uint64_t> bytes();
    // Names that are remembered as right in their files: no more than have a row or wait for one.
    std::size_t names_proven() const;

    // What the folder's home understands, as it said last, of this or another folder of the user's;
    // 1: it has said nothing.
    Result<unsigned> format(const FolderId& id);
    Result<bool> knows_format(const FolderId& id); // it has said something
    Status set_format(const FolderId& id, unsigned format);

  private:
    struct Pending {
        FolderId id;
        std::string hash;
        std::uint64_t size = 0;
        std::uint64_t taken = 0;
        std::string content; // empty: in a file
        std::string file;    // beneath folder_; its parts, if not its beginning
        std::string extents;
    };
    struct Row {
        std::uint64_t size = 0;
        std::uint64_t taken = 0;
        std::string file; // empty: in the row
        std::string extents;
    };
    // A file as it stood when what these hashes name was right in it.
    struct Proven {
        FileStat stat;
        std::set<std::string> hashes;
    };
    friend class KeptFile;
    Result<std::optional<Row>> row(const FolderId& id, const std::string& hash);
    Status drop_row(const FolderId& id, const std::string& hash);
    Status drop_those(const FolderId& id, const char* sql);
    void drop_pending(const std::string& user, const std::string* app);
    // bases_files.cpp
    std::string path_of(const std::string& file) const { return folder_ + "/" + file; }
    Result<std::string> new_file(const FolderId& id, const std::string& hash);
    Result<bool> in_use(const std::string& file);
    Status leave_file(const Row& row);
    void forget_file(const std::string& file);
    bool has_room(std::uint64_t bytes);
    Result<bool> keep_file(const FolderId& id, const std::string& hash, ReadFile& content,
                           const Place& place);
    Result<std::unique_ptr<ReadFile>> open_file(const std::string& hash, const Row& row);
    Result<std::optional<Row>> pending_or_row(const FolderId& id, const std::string& hash);
    Status make_room(bool tell);
    Status put_rows(const std::vector<Pending>& rows);
    bool disk_is_full();

    store::Db& db_;
    Disk& disk_;
    std::string folder_;
    std::string tenant_;
    std::uint64_t bytes_max_ = base_bytes_default;
    Going going_;
    std::vector<Pending> pending_;
    std::size_t pending_bytes_ = 0;
    std::optional<std::uint64_t> full_at_; // free bytes when a row could not be written
    std::map<std::string, Proven> proven_; // by file
    std::vector<Digest> chunks_;           // that were told last, last
};

} // namespace hasp::sync
