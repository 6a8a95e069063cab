// Contents of users' files at their home: by (user, name), kept once for a user and never shared
// between users, encrypted under a key of the user's, compressed where that helps. A name is the
// SHA-256 of the content or, of a large one, made of its chunks (chunks.h), whose list is kept
// beside it. It may have come under both, and then lies there twice.
//
// A large content that came as a difference is kept as one: as which parts of which contents it is
// made of, and what is new as a content of its own (recipe.h). What another is made of stays as
// long as that is needed, and is never itself put together.
//
// Files: STATE/contents/NNN/N, NNN the thousands of N. Small contents of a batch go together behind
// one another into the newest segment, so that a batch is durable with one sync however many there
// are; one that is larger than small_content_bytes_max has a file of its own. How a content lies
// there: sealed.h. What lies where is in the database, in the caller's transaction; what is behind
// that is no content.
// Keys: a user's is random and stands in the database, wrapped by the tier's, which stands in
// STATE/contents.key (0600) alone: a copy of database and contents is of no use without it. Where
// the user's key is destroyed, so are his contents, wherever copies of them are.
//
// What a crash left is found by number, never by looking at all there is: only files from the
// number on that the database would give out next, and those that it has noted as gone. The former
// may be what a newer database knows, where an older one was put back: they are set aside in
// contents/lost for lost_days, and a segment that is longer than the database says is not cut.
// A database that knows nothing of what lies there, a folder without anything of what it knows, and
// a key that is not the users' are refused.
//
// Damaged is what was read and is not what was written. What cannot be read is marked likewise, so
// that it holds up nothing else, where other contents can be; both keep their place and are read
// again, at a start and with each pass over everything, and what is whole again loses its mark.
// STATE/blobs of older versions is read as long as it is there, and taken over step by step, as far
// as there is room.
// One thread at a time; blocking; memory bounded. Errors: not_found; refused (a content that is
// damaged or has another hash); failed (disk, a user's key that does not open).
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
inline constexpr std::int64_t lost_days = 7;

inline constexpr const char* contents_folder = "contents";
inline constexpr const char* contents_lost_folder = "contents/lost";
inline constexpr const char* contents_key_file = "contents.key";
inline constexpr const char* legacy_folder = "blobs";

class ChunkList;
class Composing;
class MembersWork;
class Sealer;
struct Recipe;

// What a database says that lies in contents/: for a backup of both. `database` is a copy that
// nobody writes to.
struct ContentExtent {
    std::string path;        // of the file, beneath the state folder
    std::uint64_t bytes = 0; // that count, from its beginning; they never change
};
Result<std::vector<ContentExtent>> content_extents(const std::string& database);
std::string content_path(std::uint64_t number);

class ContentStore {
  public:
    // The tables are there already (sql/home). `temporary` is a folder, cleared by its owner.
    ContentStore(store::Db& db, Disk& disk, Random& random, std::string tenant,
                 std::string temporary);
    ~ContentStore();
    // refused: the key is missing or another one, or the database and contents/ are not of one
    // another. Nothing is changed then.
    Status open();

    // False also of one that is damaged: it is to be sent again.
    Result<bool> has(const std::string& user, const std::string& hash);

    // Takes what comes; it counts with record(). It must be called `hash`, else refused. `size`: of
    // what is called by its chunks.
    Status stage(const std::string& user, const std::string& hash, const Pull& content,
                 std::uint64_t size = 0);
    // As stage(): what `difference` makes of `basis`, of at most `size_max` bytes. `basis_content`
    // is of read(). `applied`: an error is none of the basis or the difference. `members`: it is
    // one of members (members.h), and this counts what it costs.
    Status stage_difference(const std::string& user, const std::string& hash,
                            const std::string& basis, ReadFile& basis_content,
                            const Pull& difference, std::uint64_t size_max, bool& applied,
                            MembersWork* members = nullptr);
    // Contents of less are kept as they are; what is copied of less is kept as if it were new.
    struct Composed {
        std::uint64_t content_least = small_content_bytes_max + 1;
        std::uint64_t copy_least = 4096;
    };
    void bound_composed(Composed bounds) { composed_ = bounds; }
    // Stretches of contents (effort.h) that were unsealed so far, by all readers.
    std::uint64_t unsealed() const { return unsealed_; }
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

    // What a content is called otherwise, by its chunks or by its bytes alone; empty: in no other
    // way, or (known_name) not as far as is known. other_name reads the content where it must.
    Result<std::string> known_name(const std::string& user, const std::string& name);
    Result<std::string> other_name(const std::string& user, const std::string& name);

    // In the caller's transaction. Of a content that no version needs any more, its place; of one
    // that turned out damaged, that.
    Status drop_unneeded(const std::string& user, const std::string& hash);
    Status mark_damaged(const std::string& user, const std::string& hash);
    // In the caller's transaction: the key and all that it opens. Then, after the commit, scour().
    Status destroy(const std::string& user);
    // Overwrites what the database's files still have of deleted rows.
    Status scour();

    // Reads all of it, and marks it when it is damaged, or cannot be read while others can: after a
    // read that failed. True: it is marked. An error: nothing is known of it now.
    Result<bool> look_at(const std::string& user, const std::string& hash);
    Result<std::vector<Damaged>> damaged(std::size_t max);
    Result<std::vector<std::string>> damaged_of(const std::string& user); // hashes
    Result<std::uint64_t> damaged_count();

    // Steps of the work in the background, bounded by step_bytes_max and step_rows_max. True: there
    // is more to do.
    // `healed` is told in the transaction that gives marked contents back.
    using Healed = std::function<Status(const std::vector<Damaged>&)>;
    // Of blobs/, each of which goes once all who need it have its content. What cannot be had stays
    // there, is marked, and is tried again with each start.
    Result<bool> take_over_some(const Healed& healed);
    // A file that cannot be read is an error, and left as it is until the others are done.
    Result<bool> compact_some();
    // Reads and compares contents from where it was. `now_us`: the wall clock, for a pass that
    // begins. True: this pass goes on.
    Result<bool> scrub_some(std::int64_t now_us);
    // Reads those again that are marked: once after the start, and with each pass of scrub_some.
    Result<bool> recheck_some(const Healed& healed);
    // Removes what was set aside longer ago.
    Status remove_lost(std::int64_t now_us);
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
        std::uint64_t parts = 0; // plain bytes of its recipe; 0: it lies there itself
    };
    struct Written { // a file that the staged contents are in
        std::uint64_t number = 0;
        std::uint64_t bytes = 0;
        std::uint64_t before = 0; // bytes that were there
        bool made = false;
    };
    using Name = std::pair<std::string, std::string>; // user, hash
    struct One {
        Damaged name;
        Place place;
    };
    enum class Look : unsigned char { whole, damaged, unreadable };

    static Place read_place(const store::Statement& s);
    Result<std::optional<Place>> place(const std::string& user, const std::string& hash);
    Result<std::string> key_of(const std::string& user, bool make);
    Result<Sealer*> sealer_of(const std::string& user);
    Result<std::unique_ptr<ReadFile>> open_place(const std::string& user, const std::string& hash,
                                                 const Place& at);
    Result<std::unique_ptr<ReadFile>> open_sealed_at(const std::string& user,
                                                     const std::string& name, const Place& at,
                                                     std::size_t at_hand);
    Status belong_together();
    Result<bool> any_file();
    Status load_key();
    Status key_fits();
    Status clean();
    Status set_aside(const std::string& path, const std::string& name);
    Status leave_longer_segment();

    // content_chunks.cpp
    static bool is_chunk_list(const std::string& name);
    static std::string named_by_list(const std::string& name);
    static Result<ChunkList> list_in(ReadFile& file, const std::string& name);
    static Result<bool> is_as_named(ReadFile& content, const std::string& name);
    Status stage_chunks(const std::string& user, const std::string& name, const ChunkList& chunks);
    // Nothing: there is none, or it is damaged.
    Result<std::shared_ptr<const ChunkList>> chunks_of(const std::string& user,
                                                       const std::string& name);
    Status drop_list(const std::string& user, const std::string& list);
    Status forget_names(const std::string& user, const std::string& name);

    // content_ingest.cpp
    Status begin_batch();
    Status stage_large(Sealer& sealer, const Name& name, std::string_view first,
                       const Pull& content, std::uint64_t size, Place& place);
    Result<std::uint64_t> new_file(bool segment);
    Result<std::unique_ptr<WriteFile>> make_file(std::uint64_t number);
    Status append(std::string_view sealed, Place& place);
    // Sealed as a whole and appended; of `place` the size is left to say.
    Status append_sealed(Sealer& sealer, const std::string& name, std::string_view text,
                         Place& place);
    Status flush();
    Status record_files();
    // True: it was damaged. What it was made of before and is no more is added to `left`; nothing:
    // it is what it was, elsewhere.
    Result<bool> record_one(const Name& name, const Place& place, std::vector<Name>* left);

    // content_compose.cpp
    Result<std::optional<Place>> where(const Name& name);
    Result<std::unique_ptr<ReadFile>> open_composed(const Name& name, const Place& at);
    Result<Recipe> recipe_of(const Name& name, const Place& at);
    Result<std::vector<std::string>> sources_of(const Name& name);
    Result<bool> is_source(const Name& name); // of one that is kept
    bool is_staged_source(const Name& name) const;
    Status forget_parts(const Name& name, std::vector<Name>& left);
    Status record_parts(const Name& name, const std::vector<std::string>& sources);
    Result<std::optional<Recipe>> compose(const Name& name, const std::string& basis,
                                          const Composing& made);

    // content_upkeep.cpp
    Status release(const Place& place);
    Status remove_gone();
    Result<bool> wanted(const std::string& user, const std::string& hash);

    // content_legacy.cpp
    std::string legacy_path(const std::string& hash) const;
    Result<std::unique_ptr<ReadFile>> read_legacy(const std::string& hash, bool& given);
    Result<bool> remove_legacy();
    Result<Look> take_over(const std::string& user, const std::string& hash, std::uint64_t& bytes);
    Status room_for(std::uint64_t size);
    Status remove_taken(const std::vector<Damaged>& whole);

    // content_scrub.cpp
    // An error is one of the database or the key, and says nothing of the content.
    Result<Look> look(const One& one, std::uint64_t offset, std::uint64_t bytes);
    Result<bool> others_read(const Place& but);
    Result<std::vector<One>> contents_behind(const Damaged& name, bool marked);
    Status unmark(const std::vector<Damaged>& whole, const Healed& healed);

    std::string path_of(std::uint64_t number) const;
    std::string folder_of(std::uint64_t number) const;

    store::Db& db_;
    Disk& disk_;
    Random& random_;
    std::string tenant_;
    std::string temporary_;
    std::string key_; // the tier's
    bool legacy_ = false;
    bool legacy_swept_ = false;        // nothing more can be taken over in this life
    std::string legacy_swept_to_;      // folder of blobs/
    bool unsure_ = false;              // the last commit failed
    std::uint64_t compact_behind_ = 0; // files up to here have nothing to give now
    struct Recheck {
        Damaged name;
        std::uint64_t offset = 0; // in the next one, if it is large
    };
    std::optional<Recheck> recheck_ = Recheck{}; // nothing: not now
    std::uint64_t next_temporary_ = 0;
    Composed composed_;
    std::uint64_t unsealed_ = 0;

    // The staged batch.
    std::map<Name, Place> staged_;
    std::map<Name, std::vector<std::string>> staged_sources_; // of those that are put together
    std::vector<Written> written_;
    std::optional<std::size_t> segment_; // of written_: where small ones go now
    std::unique_ptr<WriteFile> segment_file_;
    std::string pending_; // behind what is written of it
    std::uint64_t next_number_ = 0;
    std::string sealer_user_;
    std::unique_ptr<Sealer> sealer_; // of sealer_user_
};

} // namespace hasp::sync
