// Contents of users' files at their home: by (user, SHA-256), kept once for a user and never shared
// between users, encrypted under a key of the user's, compressed where that helps.
//
// Files: STATE/contents/NNN/N, NNN the thousands of N. Small contents of a batch go together behind
// one another into the newest segment, so that a batch is durable with one sync however many there
// are; one that is larger than small_content_bytes_max has a file of its own. How a content lies
// there: sealed.h. What lies where is in the database, in the caller's transaction; bytes behind
// what the database knows are of no use and are overwritten.
// Keys: a user's is random and stands in the database, wrapped by the tier's, which stands in
// STATE/contents.key (0600) alone: a copy of database and contents is of no use without it. Where
// the user's key is destroyed, so are his contents, wherever copies of them are.
//
// What a crash left is found by number, never by looking at all there is: only files from the
// number on that the database would give out next, and those that it has noted as gone.
// STATE/blobs of older versions is read as long as it is there, and taken over step by step.
// One thread at a time; blocking; memory bounded. Errors: not_found; refused (a content that is
// damaged or has another hash, a key that does not fit); failed (disk).
#pragma once

#include "base/random.h"
#include "sync/scratch.h"
#include "sync/tree.h"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace hasp::store {
class Db;
class Statement;
} // namespace hasp::store

namespace hasp::sync {

inline constexpr std::uint64_t small_content_bytes_max = std::uint64_t{1} << 20;
inline constexpr std::uint64_t segment_bytes_max = std::uint64_t{64} << 20;
// What is collected in memory before it is written.
inline constexpr std::uint64_t pending_bytes_max = std::uint64_t{4} << 20;
// What one step of the work in the background reads or writes, about.
inline constexpr std::uint64_t step_bytes_max = std::uint64_t{8} << 20;
inline constexpr std::size_t step_rows_max = 1000;
inline constexpr std::uint64_t files_a_folder = 1000;

inline constexpr const char* contents_folder = "contents";
inline constexpr const char* contents_key_file = "contents.key";
inline constexpr const char* legacy_folder = "blobs";

class Sealer;

class ContentStore {
  public:
    // The tables are there already (sql/home). `temporary` is a folder, cleared by its owner.
    ContentStore(store::Db& db, Disk& disk, Random& random, std::string tenant,
                 std::string temporary);
    ~ContentStore();
    // refused: the key is missing or another one.
    Status open();

    // False also of one that is damaged: it is to be sent again.
    Result<bool> has(const std::string& user, const std::string& hash);

    // Takes what comes; it counts with record(). Its digest must be `hash`, else refused.
    Status stage(const std::string& user, const std::string& hash, const Pull& content);
    bool staged(const std::string& user, const std::string& hash) const;
    // Makes everything that is staged durable.
    Status keep_all();
    // In the caller's transaction: those of it that one of the user's versions needs. Then, after
    // the commit, recorded(); or drop_staged(). What it gives took the place of damaged ones.
    struct Damaged {
        std::string user;
        std::string hash;
    };
    Result<std::vector<Damaged>> record();
    void recorded();
    void drop_staged();
    // In the place of both where the commit failed: what the disk has of it comes to light at the
    // next start alone, so nothing that it may speak of is touched until then.
    void commit_failed();

    // The plain content, from any offset. Staged ones too. An error of a read is that of a content
    // that is damaged or a disk that fails, and nothing false was given out before it.
    Result<std::unique_ptr<ReadFile>> read(const std::string& user, const std::string& hash);

    // In the caller's transaction. Of a content that no version needs any more, its place; of one
    // that turned out damaged, that.
    Status drop_unneeded(const std::string& user, const std::string& hash);
    Status mark_damaged(const std::string& user, const std::string& hash);
    // In the caller's transaction: the key and all that it opens. Then, after the commit, scour().
    Status destroy(const std::string& user);
    // Overwrites what the database's files still have of deleted rows.
    Status scour();

    // Reads all of it, and marks it when it is damaged: after a read that was refused.
    Status look_at(const std::string& user, const std::string& hash);
    Result<std::vector<Damaged>> damaged(std::size_t max);
    Result<std::uint64_t> damaged_count();

    // Steps of the work in the background, bounded by step_bytes_max and step_rows_max. True: there
    // is more to do.
    Result<bool> take_over_some(); // of blobs/
    Result<bool> compact_some();
    // Reads and compares contents from where it was. `began_us`: the wall clock now, for a pass
    // that begins. True: this pass goes on.
    Result<bool> scrub_some(std::int64_t now_us);
    struct Scrub {
        std::int64_t began_us = 0;
        std::int64_t ended_us = 0; // of the last whole pass; 0: none yet
    };
    Result<Scrub> scrub();

  private:
    struct Place {
        std::uint64_t file = 0;
        std::uint64_t at = 0;
        std::uint64_t bytes = 0;
        std::uint64_t size = 0;
        bool damaged = false;
    };
    struct Written { // a file that the staged contents are in
        std::uint64_t number = 0;
        std::uint64_t bytes = 0;
        std::uint64_t before = 0; // bytes that were there
        bool made = false;
    };
    using Name = std::pair<std::string, std::string>; // user, hash

    static Place read_place(const store::Statement& s);
    Result<std::optional<Place>> place(const std::string& user, const std::string& hash);
    Result<std::string> key_of(const std::string& user, bool make);
    Result<Sealer*> sealer_of(const std::string& user);
    Status load_key();
    Status clean();

    // content_ingest.cpp
    Status begin_batch();
    Status stage_large(Sealer& sealer, const std::string& hash, std::string_view first,
                       const Pull& content, Place& place);
    Result<std::uint64_t> new_file(bool segment);
    Result<std::unique_ptr<WriteFile>> make_file(std::uint64_t number);
    Status append(std::string_view sealed, Place& place);
    Status flush();
    Status record_files();
    Result<bool> record_one(const Name& name, const Place& place); // true: it was damaged

    // content_upkeep.cpp
    Status release(const Place& place);
    Status remove_gone();
    Result<bool> wanted(const std::string& user, const std::string& hash);
    std::string legacy_path(const std::string& hash) const;
    Result<std::unique_ptr<ReadFile>> read_legacy(const std::string& hash);
    Result<bool> remove_legacy();
    Status take_over(const std::string& user, const std::string& hash, std::uint64_t& bytes);
    Status check(const Damaged& name, std::uint64_t offset, std::uint64_t bytes);

    std::string path_of(std::uint64_t number) const;
    std::string folder_of(std::uint64_t number) const;

    store::Db& db_;
    Disk& disk_;
    Random& random_;
    std::string tenant_;
    std::string temporary_;
    std::string key_; // the tier's
    bool legacy_ = false;
    bool unsure_ = false; // the last commit failed
    std::uint64_t next_temporary_ = 0;

    // The staged batch.
    std::map<Name, Place> staged_;
    std::vector<Written> written_;
    std::optional<std::size_t> segment_; // of written_: where small ones go now
    std::unique_ptr<WriteFile> segment_file_;
    std::string pending_; // behind what is written of it
    std::uint64_t next_number_ = 0;
    std::string sealer_user_;
    std::unique_ptr<Sealer> sealer_; // of sealer_user_
};

} // namespace hasp::sync
