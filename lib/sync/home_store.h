// The rows behind Home. See sql/0001_home.sql.
#pragma once

#include "store/db.h"
#include "store/transaction.h"
#include "sync/home.h"

#include <limits>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace hasp::sync {

// A row as it is now or was; nothing: removed.
struct Row {
    std::string path;
    std::optional<Entry> entry; // with its revision
    std::uint64_t revision = 0;
};

// Of path, kind, mode, mtime_us, size, hash, target, revision, attributes.
Row read_row(const store::Statement& s);
// "SELECT" of these of a folder (?1 to ?3), "WHERE" more. Without `attributes` none are read.
std::string select_rows(const char* table, const char* where, bool attributes = true);

// The order in which rows come down: by revision, within one removals from the leaves, then puts
// from the root. Whoever has all up to some row can go on from there, whatever changes meanwhile:
// a row that changes goes to the end. What must be gone before something can be put in its place
// was removed no later than that was put.
bool comes_before(const Row& a, const Row& b);
Position behind(const Row& row);
// Before it, a put, of whose folders above, down to the one with this path, all were had.
Position below(const std::string& above, const Row& row);
// That one's path; empty: the position says of none.
std::string folder_above(const Position& position);

class HomeStore {
  public:
    HomeStore(store::Db& db, std::string tenant) : db_(db), tenant_(std::move(tenant)) {}
    Status migrate();
    store::Db& db() { return db_; }

    // {0, 0} when nothing of it was ever sent.
    Result<Revision> revision(const FolderId& folder);
    Status set_revision(const FolderId& folder, Revision revision);
    // Of a time before a restore.
    Result<bool> had_epoch(const FolderId& folder, std::uint64_t epoch);
    Status begin_restored(std::int64_t backup_us, std::int64_t now_us);

    Result<std::optional<Row>> row(const FolderId& folder, const std::string& path);
    // Live; by path.
    Result<std::vector<Row>>
    rows_below(const FolderId& folder, const std::string& path,
               std::int64_t most = std::numeric_limits<std::int64_t>::max());
    // Of the attributes of all of that.
    Result<std::uint64_t> attribute_bytes_below(const FolderId& folder, const std::string& path);
    // From there on, in the order in which they come, no more than the bounds allow, but one at
    // least if there is one. `next`: whence to go on; number 0: there are no more. A place that is
    // none is the beginning of its revision. Without `attributes` rows have none, and none count.
    struct Part {
        std::vector<Row> rows;
        Position next;
    };
    Result<Part> rows_from(const FolderId& folder, const Position& asked, const AnswerBounds& most,
                           bool attributes = true);
    // What has attributes, by path, behind this one; as above.
    Result<Part> rows_with_attributes(const FolderId& folder, const std::string& path,
                                      const AnswerBounds& most);
    // The version that this sender made.
    Result<bool> sent_by(const FolderId& folder, const std::string& path, std::uint64_t revision,
                         const std::string& who);
    // What stood at the path when the folder was at `number`; nothing, too, when that version is no
    // longer kept.
    Result<std::optional<Row>> version_at(const FolderId& folder, const std::string& path,
                                          std::uint64_t number);
    // A path at which this content stood when the folder was at `number`.
    Result<bool> had_content(const FolderId& folder, const std::string& hash, std::uint64_t number);
    // Any of them, old ones too.
    Result<bool> has_version_with(const FolderId& folder, const std::string& hash);
    // All that is known of the user's files.
    Status forget_user(const std::string& user);
    // Before that: by which epochs others may know the folders.
    Status note_gone(const std::string& user, std::int64_t now_us);
    Status put_gone(const FolderId& folder, std::uint64_t epoch, std::int64_t now_us);
    Result<std::vector<std::pair<std::string, std::uint64_t>>> epochs(const std::string& user);
    // Whether this tier was its home; nothing: it did not go.
    Result<std::optional<bool>> gone(const FolderId& folder, std::uint64_t epoch);
    Result<std::set<std::string>> users_gone();
    Result<std::vector<std::string>> users();
    Status put(const FolderId& folder, const Row& row, const std::string& operation,
               std::int64_t at_us, const std::string& who);

    struct Batch {
        std::uint64_t number = 0;
        std::string verdicts;
    };
    Result<std::optional<Batch>> batch(const FolderId& folder, const std::string& id);
    Status put_batch(const FolderId& folder, const std::string& id, const Batch& batch,
                     std::int64_t at_us);
    Status drop_batches(std::int64_t before_us);

    // Versions, for thinning them out.
    struct VersionAt {
        std::string user;
        std::string app;
        std::string path;
        std::uint64_t revision = 0;
    };
    struct Ended {
        VersionAt at;
        std::uint64_t ended = 0; // 0: it stands
        Stood stood;
        std::string hash;
    };
    struct Pass {
        std::int64_t now_us = 0; // 0: none is under way
        std::int64_t ended_us = 0;
        VersionAt at;
    };
    // In the order of names, behind `at`.
    Result<std::vector<Ended>> versions_from(const VersionAt& at, std::size_t max);
    Status drop_version(const VersionAt& at);
    Result<Pass> pass();
    Status put_pass(const Pass& pass);
    // A pass goes by time from here on, if none ever did.
    Status begin_passes(std::int64_t now_us);
    // Of the path itself and all beneath it, the removed ones too; behind `behind`, if given. ""
    // is everything.
    Result<std::vector<Row>> paths(const FolderId& folder, const std::string& path,
                                   const std::string* behind, std::size_t max);
    // The newest kept one not after that time and that revision; with neither the newest that is no
    // removal.
    Result<std::optional<Version>> version_for(const FolderId& folder, const std::string& path,
                                               std::optional<std::int64_t> at_us,
                                               std::optional<std::uint64_t> revision);
    // Newest first within a path, behind the given one.
    Result<std::vector<Version>> versions(const FolderId& folder, const std::string& path,
                                          bool removed_only, const std::string& behind_path,
                                          std::uint64_t behind_revision, std::size_t max);
    Result<std::vector<std::string>> apps(const std::string& user);
    // At which paths a content stands now, or else stood last.
    // A file of the folder has this content now.
    Result<bool> stands(const FolderId& folder, const std::string& hash);
    Result<std::vector<Home::DamagedFile>> files_of(const std::string& user,
                                                    const std::string& hash, std::size_t max);

  private:
    // `cut`: there were more, and these have as many attributes as there may be.
    struct ReadRows {
        std::vector<Row> rows;
        bool cut = false;
    };
    Result<ReadRows> read_rows(const std::string& sql, const FolderId& folder, std::uint64_t number,
                               const std::string& path, std::uint64_t max,
                               std::uint64_t attribute_bytes);
    Result<ReadRows> rows_within(const FolderId& folder, const Position& from, std::uint64_t max,
                                 std::uint64_t attribute_bytes, bool attributes);

    store::Db& db_;
    std::string tenant_;
};

} // namespace hasp::sync
