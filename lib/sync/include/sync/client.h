// Working copies that are kept equal with the home of their user: what is to be sent, what came,
// and the journal that makes both survive a crash.
//
//   round   prepare → (bytes of the batch go up, an answer comes) → arrived → apply
//
// Order of a change: content durable → journal durable → sent → the home's verdict → base moves.
// What comes down is noted as such and put in place file by file (complete, durable, renamed), and
// only where the file is still what it was when last agreed: what was changed meanwhile goes up
// first.
// Nothing is ever deleted because it is missing in some list, but only where the home says that it
// was removed.
// One thread at a time; blocking. Errors: refused (malformed answer), failed (disk).
#pragma once

#include "base/clock.h"
#include "base/random.h"
#include "sync/filling.h"
#include "sync/home.h"
#include "sync/open_gate.h"
#include "sync/watch.h"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace hasp::sync {

inline constexpr std::uint64_t batch_operations_max = 5'000;
inline constexpr std::uint64_t batch_content_bytes = std::uint64_t{64} << 20;
// A batch ends with the file that brings it to this.
struct BatchBounds {
    std::uint64_t operations = batch_operations_max;
    std::uint64_t content_bytes = batch_content_bytes;
    std::uint64_t attribute_bytes = batch_attributes_bytes;
};

// A working copy: where it is beneath the disk's root, whose files it holds.
struct WorkingFolder {
    FolderId id;
    std::string path; // "data/users/anna/wiki"
    Owner owner;
};

// A file that the home does not count: it is unsent, and stays where it is.
struct RefusedFile {
    std::string path;
    std::string hash;
    std::uint64_t size = 0;
    std::string found; // what the home's scanner found in it; empty: it waits for the scanner
    std::int64_t since_us = 0;
    std::int64_t asked_us = 0; // the home, last
};
inline constexpr std::size_t refused_listed_max = 100;
// How often a home is asked about what waits there for its scanner.
inline constexpr std::int64_t refused_again_us = 60'000'000;
// And about what is infected: it may have been released, or be gone from there.
inline constexpr std::int64_t infected_again_us = 24 * 3'600 * std::int64_t{1'000'000};

// As `hasp status` shows it.
struct FolderStatus {
    FolderId folder;
    Revision revision;
    std::uint64_t unsent_files = 0; // operations: deletions count
    std::uint64_t unsent_bytes = 0; // of the files' contents
    std::int64_t unsent_since_us = 0;
    std::uint64_t conflicts = 0;
    std::uint64_t skipped = 0;         // devices, pipes, sockets
    std::uint64_t attributes_left = 0; // files and folders of which not all attributes are kept
    std::uint64_t to_come_files = 0;   // contents that stand nowhere in it yet
    std::uint64_t to_come_bytes = 0;
    std::uint64_t infected = 0;       // of the unsent files: the home has them in quarantine
    std::uint64_t unscanned = 0;      // of the unsent files: they wait for the home's scanner
    std::vector<RefusedFile> refused; // of both, the first refused_listed_max
    std::string held;                 // why something waits for an operator; empty: nothing does
    std::uint64_t held_files = 0;
    std::int64_t synced_us = 0;
    std::string error;
};

class Bases;
class ClientStore;
class Reader;
struct BaseRow;
struct FolderRow;
struct Operation;
struct Record;
struct StagedChange;

class Client {
  public:
    // See scan.h: makes a copied SQLite database complete. Empty: databases are files like others.
    using SettleDatabase = std::function<Status(const std::string& path)>;

    // `disk` is the tier's state folder; sync/client/ is made beneath it. The references must
    // outlive the client.
    static Result<std::unique_ptr<Client>> open(store::Db& db, Disk& disk, std::string tenant,
                                                const Clock& clock, Random& random,
                                                SettleDatabase settle = {});
    ~Client();

    // Folders in which an apply() was cut short by a crash, and their settling: what stands there
    // of it is agreed from then on. Before an app or a user changes anything there, since a file
    // that came from the home and is gone then was deleted.
    Result<std::vector<FolderId>> unsettled();
    Status settle(const WorkingFolder& folder) { return settle_placing(folder); }

    // What a look is of: everything, or where somebody watches the folder and everything was looked
    // at since, what was noticed and what is unsent. Costs then grow with that and not with the
    // folder.
    //
    // Somebody watches it from now on, before he takes the first of what he notices: everything is
    // looked at once. But where the last client was closed in order, what it knew comes first:
    // `unchecked` until everything was noted (see note()), which should be soon.
    void watch_begins(const FolderId& folder);
    void watch_ends(const FolderId& folder);
    void note(const FolderId& folder, Noticed noticed);
    bool unchecked(const FolderId& folder) const;
    // Deletions of several files wait until no more come, so that the guard judges them together:
    // somebody who removes a folder is seen in the middle of it. Outgoing::changing counts them.
    void patient(const FolderId& folder, bool patient);
    // In order, and nothing is noticed any more: what is noted outlives it. Nothing else after it.
    Status close();

    // Looks at the folder and notes what is unsent.
    Result<FolderStatus> look(const WorkingFolder& folder);

    struct Outgoing {
        std::string batch; // empty: nothing to send
        std::uint64_t bytes = 0;
        std::uint64_t operations = 0;
        std::uint64_t content_bytes = 0; // of the files in it
        Revision since;
        bool whole = false;
        bool more = false; // another batch follows
        unsigned format = batch_format_first;
        unsigned reads = batch_format_later - 1; // the newest of an answer
        // Changed whenever they were read, or deletions that wait: to be looked at again soon.
        std::uint64_t changing = 0;
        bool resumed = false; // made before: nobody has looked since
        // There is something to send, and the home, which was never met, is asked first what it
        // knows; or which attributes has what was agreed on before they were kept.
        bool asks_first = false;
        Position after = {};   // how much of what changed since was had in parts
        std::uint64_t met = 0; // the highest number of the home's that any answer had
    };
    // The batch that is on its way, or one with what has changed since. `same_round`: this goes on
    // from an arrived() or apply() that said `again`: what the round's look found and did not send
    // yet is sent without another look, unless that was a while ago.
    Result<Outgoing> prepare(const WorkingFolder& folder, bool same_round = false);
    Result<std::string> read(const FolderId& folder, std::uint64_t offset, std::size_t bytes_max);

    // Bytes of the home's answer, in order; offset 0 begins anew.
    Status take(const FolderId& folder, std::uint64_t offset, std::string_view bytes);

    struct Arrived {
        std::uint64_t taken = 0;
        std::uint64_t conflicts = 0;
        std::uint64_t refused = 0; // infected, or to wait for a scanner
        std::uint64_t changes = 0; // for apply
        bool again = false;        // something must be sent once more
    };
    // The answer is complete: the verdicts count.
    Result<Arrived> arrived(const WorkingFolder& folder);

    struct Applied {
        std::uint64_t files = 0; // put or removed
        // Changed meanwhile, or in use: next round. With the last of several parts 1 for those
        // before it.
        std::uint64_t skipped = 0;
        // Of them, those that may pass: at none of these paths is a file that the home refused.
        std::uint64_t passing = 0;
        bool again = false; // there is more, or something is to come once more
    };
    // Puts in place what came. `in_use`: an app runs on the folder; its databases are left alone.
    Result<Applied> apply(const WorkingFolder& folder, bool in_use);

    // The newest format of batches that the home of the folder understands, as it says with its
    // answers.
    Status home_takes(const FolderId& folder, unsigned format);
    // It refused a batch: perhaps it is older than it was. What is unsent is made anew for it.
    Status home_refused(const FolderId& folder);
    void bound_batches(BatchBounds bounds) { bounds_ = bounds; }
    // How much may be kept of what was agreed on, so that changes cost less (bases.h). 0: nothing.
    Status set_base_bytes_max(std::uint64_t bytes);
    // His account is gone, and with it the reason to keep any of that.
    Status forget_bases(const std::string& user);

    // Removes the working copy, what is kept of its contents, and all that is known of it: the home
    // has it, and the next round brings it again as a first one does. That the home has it still is
    // the caller's to ask. No app may run on it, and nothing else be done with it meanwhile.
    // Everything is looked at before. Code::conflict: something in it is unsent or held, or not all
    // of it is kept at the home, and nothing was removed; or something was written while it was
    // removed, which stays: the next round compares what is there as a first one does. Another
    // error: it is not done, see leaving(). A crash does not undo what was begun, either.
    // With Unsent::goes all of it goes, whatever it is and whenever it was written.
    enum class Unsent : unsigned char { stays, goes };
    Status leave(const WorkingFolder& folder, Unsent of_it = Unsent::stays);
    // Its user's account was removed: kept here, durably, until the copy is gone. `wholly`: and
    // nothing of it is needed. What becomes of the folder meanwhile is the caller's affair.
    Status end(const FolderId& folder, bool wholly);
    Result<std::map<FolderId, bool>> ended();
    Status forget_end(const FolderId& folder);
    // Those whose removal was cut short; before anything else is done with them.
    Result<std::vector<FolderId>> leaving();
    // As leave(), of one of those; of another: not_found.
    Status finish_leaving(const WorkingFolder& folder);
    // What is left of it stays, and is compared by the next round as by a first one.
    Status stop_leaving(const FolderId& folder);
    // What working copies take, and what is kept of their contents, as they were agreed on.
    Result<std::map<std::string, std::uint64_t>> bytes_by_user();

    // client_absent.cpp: contents that come later than their files. Whoever opens such a file waits
    // at the gate; `more`: homes may leave out contents from here on. After each start, before any
    // app is on a folder to which contents are to come, hold_opens() is called of it.
    void come_later(std::shared_ptr<OpenGate> gate, bool more) {
        gate_ = std::move(gate);
        more_later_ = more;
    }
    Status hold_opens(const WorkingFolder& folder);
    // The next content that is to come, of the newest files first; nothing: all are here, or stand
    // where nobody has looked since. `in_use`: as with apply(). `number`: of the copy that it
    // makes, each another.
    Result<std::unique_ptr<Filling>> next_to_come(const WorkingFolder& folder, bool in_use,
                                                  std::uint64_t number);
    static std::string copy_path(std::uint64_t number);
    // It finished. What is there is agreed on as before, and the next change a difference from it.
    Status came(const WorkingFolder& folder, Filling& filling);

    // What waits for the home's scanner is asked about with the next batch.
    void ask_again(const FolderId& folder);

    Status note_error(const FolderId& folder, const std::string& error);
    // Operator: the deletions that are held are meant.
    Status release_deletions(const FolderId& folder);
    // Operator: the home began anew; everything is compared again, and nothing is deleted.
    Status begin_anew(const FolderId& folder);
    Result<std::vector<FolderStatus>> status();
    Result<FolderStatus> status(const FolderId& folder);

  private:
    struct Staging;
    Client(Disk& disk, const Clock& clock, Random& random, std::unique_ptr<ClientStore> store,
           SettleDatabase settle, std::unique_ptr<Bases> bases);
    struct Look;
    struct Attention;
    Attention& attention(const FolderId& folder);
    void note_changed(const FolderId& folder, const Staging& staging);
    Result<Look> look_at(const WorkingFolder& folder);
    Result<std::int64_t> look_before_leaving(const WorkingFolder& folder); // client_leave.cpp
    // client_look.cpp
    Status look_everywhere(const WorkingFolder& folder, Look& look);
    Status keep_seen(const FolderId& folder, const Look& look);
    void judge_look(Attention& attention, Look& look);
    Status leave_refused(const FolderId& folder, Look& look); // client_refused.cpp
    unsigned ask(const FolderId& folder);
    Status add_counted(FolderStatus& status);
    Status add_refused(FolderStatus& status);
    Status settle_refused(FolderStatus& status, const Staging& staging);
    bool deletions_wait(Attention& attention, std::uint64_t deleted) const;
    // client_part.cpp
    Status look_where_noted(const WorkingFolder& folder, Look& look);
    Result<bool> may_be_mass_deletion(const FolderId& folder, const Look& look);
    // What apply() put in place and could not note: it is agreed, as far as it stands there.
    Status settle_placing(const WorkingFolder& folder);
    Result<Outgoing> make_batch(const WorkingFolder& folder, Look& look);
    // client_moved.cpp
    Status find_moved(const WorkingFolder& folder, Look& look);
    Result<std::optional<Tree>> agreed_that_went(const FolderId& folder, const std::string& path,
                                                 const std::set<std::string>& removes);
    static void put_together(Look& look, const std::set<std::string>& moved);
    Result<Outgoing> send_some(const WorkingFolder& folder, Look& look);
    // What is left of the last look; nothing: another one is needed.
    Result<std::optional<Look>> rest_of_look(const WorkingFolder& folder, const FolderRow& row);
    Status stage(const WorkingFolder& folder, Staging& staging);
    Status stage_file(const WorkingFolder& folder, BatchReader& reader, const Record& record,
                      Staging& staging);
    Status stage_absent(const WorkingFolder& folder, const Record& record, StagedChange& change);
    Status keep_copy(const FolderId& folder, const Filling& filling, const std::string& copy,
                     std::string& made);
    Result<bool> is_to_come(const WorkingFolder& folder, const std::string& path,
                            const std::string& name);
    Result<std::vector<std::string>> absent_paths(const WorkingFolder& folder,
                                                  const std::string& name);
    Status note_placing(const WorkingFolder& folder, const Staging& staging);
    void remember_placed(const FolderId& folder, const Staging& staging);
    Status put_in_place(const WorkingFolder& folder, Staging& staging, bool in_use);
    Result<std::int64_t> disk_time_ns();
    Status look_at_attributes(const FolderId& folder);
    Result<std::string> attributes_to_set(const WorkingFolder& folder, const Staging& staging,
                                          const Operation& op);
    static std::string agreed_attributes(const Staging& staging, const Operation& op);
    Status set_attributes(const std::string& path, const Staging& staging, const Operation& op,
                          bool stands);
    Status set_again(const WorkingFolder& folder, const std::string& path, const Entry& came);
    void note_attributes(const WorkingFolder& folder, const std::string& path, BaseRow& row);
    Result<std::unique_ptr<ReadFile>> basis_of(const WorkingFolder& folder, const std::string& path,
                                               const std::string& hash);
    // Contents of these hashes are kept no longer, but where something has them yet.
    Status name_contents(const FolderId& folder); // as the folder's home can read
    Result<bool> asks_first(const FolderId& folder, const Look& look);
    // client_learn.cpp: attributes of what was agreed on before any were kept.
    Result<unsigned> batch_format(const FolderId& folder);
    Position asked_after(const FolderRow& row);
    Status learn_attributes(const WorkingFolder& folder, Staging& staging);
    bool note_learnt(FolderRow& row, const Staging& staging);
    void remember_learnt(const FolderId& folder, const Staging& staging, bool all);
    Status drop_bases(const FolderId& folder, const std::vector<std::string>& hashes);
    Status drop_replaced(const FolderId& folder, const Staging& staging, const FolderRow& row);
    Status note_base(const WorkingFolder& folder, Staging& staging, Applied& applied);

    Disk& disk_;
    const Clock& clock_;
    Random& random_;
    std::unique_ptr<ClientStore> store_;
    std::unique_ptr<Reader> reader_;
    std::map<FolderId, std::unique_ptr<Attention>> attention_;
    std::unique_ptr<Bases> bases_;
    bool more_later_ = false;
    std::shared_ptr<OpenGate> gate_; // nothing: all contents come with their files
    BatchBounds bounds_;
};

} // namespace hasp::sync
