// The home of accounts' files: takes batches from those who hold working copies, decides about
// conflicts, and says what changed. Contents by hash (content_store.h) and rows of a tree are the
// truth.
//
// A batch is taken in one transaction, after its contents are durable; the same batch again changes
// nothing and is answered alike. Who may send and ask is decided by the caller.
// One thread at a time; blocking. Errors: conflict (the sender knows another epoch), refused
// (malformed bytes), failed (disk).
#pragma once

#include "base/clock.h"
#include "base/result.h"
#include "sync/batch.h"
#include "sync/content_store.h"
#include "sync/keep_rule.h"
#include "sync/members.h"
#include "sync/plan.h"
#include "sync/quarantine.h"
#include "sync/restore.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace hasp::store {
class Db;
}

namespace hasp::sync {

struct FolderId {
    std::string user;
    std::string app;
    friend auto operator<=>(const FolderId&, const FolderId&) = default;
};

struct Revision {
    std::uint64_t epoch = 0;
    std::uint64_t number = 0;
    friend bool operator==(const Revision&, const Revision&) = default;
};

inline constexpr std::uint64_t batch_bytes_max = std::uint64_t{64} << 30; // as sent
inline constexpr std::size_t batch_id_bytes = 32;                         // hex digits
inline constexpr std::int64_t batches_kept_us = std::int64_t{60} * 24 * 3600 * 1'000'000;

// What one answer brings of a folder, to whoever takes it in parts: it ends with the row, or the
// file, that brings it to this.
struct AnswerBounds {
    std::uint64_t rows = 20'000;
    std::uint64_t content_bytes = std::uint64_t{64} << 20; // of the files, as they are
    std::uint64_t attribute_bytes = batch_attributes_bytes;
};
// With the folders above them that have to come too.
static_assert(AnswerBounds{}.rows * 3 <= batch_records_max);
// A few seconds of a line of 20 Mbit/s.
inline constexpr std::uint64_t along_bytes_default = std::uint64_t{8} << 20;

bool valid_batch_id(std::string_view id);

class HomeStore;
class QuarantineStore;
struct Row;

// A folder that was destroyed with its user's account.
struct GoneFolder {
    std::string app;
    std::uint64_t epoch = 0;
};

class Home {
  public:
    // `disk` is the tier's state folder: contents/, contents.key and sync/home/ are made beneath
    // it. What a crash left half done is removed. The references must outlive it.
    static Result<std::unique_ptr<Home>> open(store::Db& db, Disk& disk, std::string tenant,
                                              const Clock& clock, Random& random);
    ~Home();

    // Bytes of a batch at `offset`, which count when they follow what is there. How many bytes are
    // there now; a batch that was already taken says `total`. With no bytes it only asks.
    Result<std::uint64_t> receive(const FolderId& folder, const std::string& batch,
                                  std::uint64_t offset, std::uint64_t total,
                                  std::string_view bytes);

    struct Question {
        FolderId folder;
        std::string batch;  // empty: nothing to give
        Revision since;     // what the asker has reached; epoch 0: nothing yet
        std::string who;    // USER@TIER, for names of conflicts
        bool whole = false; // differences did not help: send contents whole
        // The asker may give and not get: the answer judges the batch and brings nothing. What
        // there is to get comes once it asks without this.
        bool verdicts_only = false;
        unsigned format = batch_format_first; // the newest that the asker understands
        // Of what changed since `since`, how much he has already.
        Position after = {};
        // The highest number of the folder that he has met: he may have agreed on what had it. 0:
        // not said.
        std::uint64_t met = 0;
        // Of the batch's new contents. Nothing: this tier has no scanner, and all counts.
        std::optional<Scanned> scanned = std::nullopt;
    };
    struct Answer {
        std::string file; // to read() from, until forget()
        std::uint64_t bytes = 0;
        Revision revision;
        bool changed = false; // the batch changed something: others should know
        std::uint64_t records = 0;
    };
    // Takes the batch, if one is given and complete (else try_later), and prepares what changed, or
    // a part of it where the asker takes parts: its head says whence to go on.
    Result<Answer> exchange(const Question& question);
    // The contents of a complete batch that count once they were looked at, but for those that are
    // `known` to the asker or larger than `bytes_max`. Nothing is taken of it. What is wrong with
    // the batch is for exchange() to say.
    Result<ToScan> to_scan(const Question& question, std::uint64_t bytes_max,
                           const std::function<bool(const std::string& hash)>& known);
    Result<std::string> read(const std::string& file, std::uint64_t offset, std::size_t bytes_max);
    void forget(const std::string& file);
    void bound_answers(AnswerBounds bounds) { bounds_ = bounds; }

    // Contents of absent_bytes_min and more come along with an answer up to so many bytes of them;
    // behind that whoever knows such files asks for them later, by piece().
    void bound_along(std::uint64_t bytes) { along_bytes_max_ = bytes; }
    // Bytes of a content that a file of the folder has, or had in a version that is kept; none at
    // its end. not_found: there is no such one; try_later: it is damaged.
    Result<std::string> piece(const FolderId& folder, const std::string& name, std::uint64_t offset,
                              std::size_t bytes_max);

    void bound_composed(ContentStore::Composed bounds) { contents_.bound_composed(bounds); }

    Result<Revision> revision(const FolderId& folder);
    // The files were restored from a backup since a client of this epoch met them: it may begin
    // anew by itself. Nothing that either side has is lost by that.
    Result<bool> was_restored(const FolderId& folder, std::uint64_t epoch);
    // What stands in the folder now, and one content of it. For tests, restore and doctor.
    Result<Tree> tree(const FolderId& folder);
    Result<std::unique_ptr<ReadFile>> content(const FolderId& folder, const std::string& hash);

    // A piece of the work in the background: versions that the rule does not keep go, and contents
    // that no version needs; room is given back; contents are read and compared. True: there is
    // more to do now. Never together with another call. One kind of work that fails holds up none
    // of the others; the first error is returned behind them.
    struct UpkeepRule {
        KeepRule keep;
        std::int64_t scrub_days = 30; // from one pass over all contents to the next
    };
    Result<bool> upkeep(const UpkeepRule& rule);

    // Folders with new revisions that no batch or restore of theirs made: contents that were
    // damaged are whole again. Each once; whoever holds them should know.
    struct Beside {
        FolderId folder;
        Revision revision;
    };
    std::vector<Beside> changed_beside() { return std::exchange(beside_, {}); }

    // Contents that turned out damaged, and files that have, or had, them. Nobody is given them.
    struct DamagedFile {
        FolderId folder;
        std::string path;
        std::uint64_t revision = 0;
        bool stands = false; // else an older version
    };
    struct Damage {
        std::uint64_t contents = 0;
        std::vector<DamagedFile> files; // the first ones
    };
    Result<Damage> damage(std::size_t max);

    // What is kept of a path and all beneath it ("": everything), by path and newest first, behind
    // `after`: versions_listed_max at most.
    struct VersionsAfter {
        std::string path;
        std::uint64_t revision = 0;
    };
    Result<std::vector<Version>> versions(const FolderId& folder, const std::string& path,
                                          bool removed_only, const VersionsAfter& after);
    // In one transaction; nothing that stands is lost. not_found: no such files or path.
    Result<Restored> restore(const RestoreWish& wish);

    // What is in quarantine or waits for a scanner, by number.
    Result<std::vector<Quarantined>> quarantine(std::size_t max);
    struct QuarantineCount {
        std::uint64_t infected = 0;
        std::uint64_t waiting = 0;
    };
    Result<QuarantineCount> quarantine_count();
    // What batches brought into quarantine, or keep waiting, since this was last asked: the first
    // quarantine_told_max.
    std::vector<Quarantined> newly_held() { return std::exchange(held_, {}); }
    // An operator says that the content is sound: wherever the user's files have it, it is put
    // where its sender had it, as if it came now, and is not held up any more. All of it or
    // nothing. The folders that have it; not_found: no such one.
    Result<std::vector<Beside>> release_quarantined(std::int64_t id);
    // Its content goes, unless a file that counts has it too. not_found: no such one.
    Status delete_quarantined(std::int64_t id);

    // The user's account has ended: the key of his contents and all that is known of his files is
    // destroyed, and with it every copy of them here. Doing it again is a success.
    Status forget_user(const std::string& user);
    // By which epochs others may know his folders, the newest first.
    Result<std::vector<GoneFolder>> epochs(const std::string& user);
    // As forget_user() notes it, of folders whose home was another tier.
    Status note_gone(const std::string& user, const std::vector<GoneFolder>& folders);
    // Whoever has a copy that agreed with this epoch has one of a folder that went so. It stays
    // true whatever becomes of the user's name: no other folder ever has that epoch.
    Result<bool> is_gone(const FolderId& folder, std::uint64_t epoch);
    // And this was its home.
    Result<bool> destroyed(const FolderId& folder, std::uint64_t epoch);
    // Of whom there was any such folder.
    Result<std::set<std::string>> users_gone();
    // Whose files are here.
    Result<std::vector<std::string>> users();

  private:
    struct Pushed;
    struct Taken;
    Home(store::Db& db, Disk& disk, std::string tenant, const Clock& clock, Random& random);
    Result<Taken> take(const Question& question);
    Result<std::vector<Pushed>> stage(const Question& question);
    Result<std::vector<Pushed>> each_of_moved(const FolderId& folder, const Record& moved,
                                              std::uint64_t& attributes);
    Status stage_patched(const std::string& user, const Record& record, ReadFile& basis,
                         const Pull& content, bool& applied);
    Status stage_content(const FolderId& folder, BatchReader& reader, Pushed& pushed,
                         MembersWork& work);
    // home_names.cpp: contents that one side calls by their chunks and the other does not.
    Status as_kept(const FolderId& folder, Record& record);
    Status as_asked(const Question& question, Record& told);
    // home_quarantine.cpp: what of a batch does not count.
    Result<bool> is_new(const std::string& user, const std::string& hash,
                        const std::optional<Quarantined>& known);
    Result<std::uint64_t> content_bytes(const std::string& user, const std::string& hash);
    Status copy_to_scan(const std::string& user, const std::string& hash, WriteFile& out,
                        ToScan& parts);
    static void hold(Pushed& pushed, Verdict verdict, const std::string& found);
    Status hold_back(const Question& question, Pushed& pushed);
    Status note_held(const Question& question, std::vector<Pushed>& pushed);
    Status put_released(const Quarantined& one);
    Result<bool> drop_quarantined_some();
    Status decide(const Question& question, std::vector<Pushed>& pushed, Taken& taken);
    static void judge(const std::vector<Pushed>& pushed, const Plan& decided,
                      const std::map<std::string, Row>& changes, const Tree& theirs, Taken& taken);
    Result<Answer> answer(const Question& question, const Taken& taken);
    struct Rows;
    Result<Rows> choose_rows(const Question& question, const Taken& taken, Revision now);
    Result<Rows> choose_attributes(const Question& question);
    Result<std::vector<Row>> folders_above(const FolderId& folder, const Row& row, const Row& reach,
                                           Rows& rows);
    // The verdicts, and the rows that the sender does not have yet.
    Result<Answer> write_answer(const Question& question, const Taken& taken, Revision as_of,
                                const Rows& rows);
    Result<bool> has_content(const Question& question, const Taken& taken, const std::string& path,
                             const Entry& entry);
    // Who makes contents whole again: a batch, whose folder gets the number `next`; else nobody.
    struct Healing {
        const Question* question = nullptr;
        const std::map<std::string, Row>* changes = nullptr;
        std::uint64_t next = 0;
    };
    Result<bool> give_again(const std::vector<ContentStore::Damaged>& healed, const Healing& by);
    Status has_all(const FolderId& folder);
    Status found_damaged(const FolderId& folder, const Record& record, const Error& why);
    Status leave_out(const FolderId& folder, const Entry& entry, const Status& why);
    // What an answer has brought so far.
    struct Brought {
        MembersWork work;
        std::uint64_t whole_bytes = 0; // of contents that came whole
    };
    Status add_row(const Question& question, const Taken& taken, BatchWriter& out,
                   const std::string& path, const Entry& entry, Brought& brought);
    Result<bool> thin_out_some(const KeepRule& rule);
    std::string incoming(const FolderId& folder, const std::string& batch) const;

    Disk& disk_;
    const Clock& clock_;
    std::unique_ptr<HomeStore> store_;
    std::unique_ptr<QuarantineStore> quarantine_;
    ContentStore contents_;
    AnswerBounds bounds_;
    std::uint64_t along_bytes_max_ = along_bytes_default;
    std::uint64_t next_ = 0;
    std::optional<std::int64_t> last_pass_us_; // boot clock: of thinning out versions
    std::vector<Beside> beside_;
    std::vector<Quarantined> held_;
    // Contents of which a difference could not be made: the next answer has them whole.
    std::set<std::pair<std::string, std::string>> no_difference_; // user, hash
};

// A home's database that was just restored from a backup, before it is opened: every folder goes on
// in a new epoch. `backup_us`, `now_us`: wall clock.
Status begin_restored(store::Db& db, const std::string& tenant, std::int64_t backup_us,
                      std::int64_t now_us);

} // namespace hasp::sync
