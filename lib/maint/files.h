// Users' files between tiers: who may send and ask, where their home is, when a folder is compared,
// and the programs that run on it. The engine is lib/sync; messages are in PROTOCOL.md, section
// "Files". One thread; the engine works in the background, one piece at a time.
//
// Every tier passes on what is meant for another home, unchanged; it needs no state for that but
// who below holds which folder, so that news of a change go there.
#pragma once

#include "apps.h"
#include "delegation.h"
#include "files_copies.h"
#include "files_keeps.h"
#include "link_gate.h"
#include "links.h"
#include "owing.h"
#include "signon/account_store.h"
#include "signon/session_store.h"
#include "strand.h"
#include "sync/client.h"
#include "sync/home.h"
#include "sync/open_gate.h"
#include "sync/watch.h"
#include "virus_check.h"

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace hasp::maint {

inline constexpr std::size_t file_chunk_bytes_max = std::size_t{256} * 1024;
inline constexpr std::size_t rounds_at_once_max = 4;
inline constexpr std::size_t rounds_remembered_max = 64;
inline constexpr std::size_t holders_max = 100'000; // folders of which a tier knows who holds them
inline constexpr std::size_t answers_open_max = 64; // at a home, that are being fetched
inline constexpr std::size_t scans_max = 64; // batches at a home, whose contents are looked at
inline constexpr std::size_t quarantine_listed_max = 1'000;
inline constexpr int exchanges_max = 10'000; // of one round
// So long after the first part was put in place no app starts between two.
inline constexpr std::int64_t parts_together_us = 30'000'000;
inline constexpr int tries_max = 20; // of one message that is not answered in time
// Whoever opens a file whose content is to come waits no longer without a byte of it.
inline constexpr std::int64_t open_wait_us = 30'000'000;
inline constexpr std::size_t fills_max = 256; // contents that are on their way, or wait for a link

class Files {
  public:
    struct World {
        KeeperPorts& ports;
        Links& links;
        LinkGate& gate;
        const Clock& clock;
        Random& random;
        const Log& log;
        const Config& config;
        const TierIdentity& me;
        TierStore& store;
        store::Db& db; // keeper.db
        signon::AccountStore& accounts;
        signon::SessionStore& sessions;
        Apps& apps;
        Delegation& delegation;
        sync::WorkingCopies& copies;
        std::shared_ptr<sync::Disk> disk;
        std::string state;
        bool daemon;                        // false: one command, and no link
        std::shared_ptr<sync::Watch> watch; // empty: folders are scanned, when it may be worth it
        std::shared_ptr<VirusCheck> virus;  // empty: nobody looks into files
    };
    explicit Files(World world);
    ~Files();
    // Opens files.db and sync.db and looks at the folders that there are. Once, at start. Where
    // they are refused (a key or contents that are not theirs, a damaged database), that is logged
    // and in problem(), and the tier goes on without files.
    Status load();
    // {text, next}: why files were not opened; null: they were.
    Json problem() const;

    // A request of this user to this app was served: something may have been written.
    void used(const std::string& app, const std::string& user);
    // He is logged in at this child: what is written there meanwhile will be taken.
    void visits(const std::string& child, const std::string& user);
    // He has logged in here, or at a tier below: his newest files are fetched.
    void arrived(const std::string& user, const std::vector<std::string>& apps);
    // `go` is called once: when the folder is up to date, or a few seconds later if that takes long
    // or the home cannot be reached. Code::conflict: what is there are files of an account of that
    // name that was removed, and nobody is to find them.
    using Go = std::function<void(const Status&)>;
    void before_start(const std::string& app, const std::string& user, Go go);
    void neighbour_changed(const std::string& neighbour, bool connected);
    // A lease was signed: whom the child may keep files of. In the lease's transaction.
    Status signed_keeps(const std::string& child, const std::vector<trust::KeepGrant>& keeps);
    void child_revoked(const std::string& child);
    // files_gone.cpp: files of accounts that are removed. `done` is called once.
    // [{app, epoch}] of the folders that this home has of his, for those above.
    void known_folders(const std::string& user, std::function<void(Json)> done);
    // His account was removed here: the key of his contents is destroyed, and with it what the home
    // kept of his files, what is left of that by a crash at the start. What this tier has of them
    // itself goes as soon as no program runs on it; the copies of other tiers, which hear of it,
    // when all of them was sent. `done` when nothing of this tier is on its way out any more.
    void account_removed(const std::string& user, std::function<void(Status)> done);
    // Before the name is given again: what an account that was `here` left behind by a crash is
    // done as above. try_later: files of a removed account are here still.
    void end_earlier(const std::string& user, bool here, std::function<void(Status)> done);
    // The account was a child's, or below it; these folders of his, [{app, epoch}], went with it.
    void given_up(const std::string& user, const Json& gone, std::function<void(Status)> done);
    void tick();
    // The watch has something to say.
    void noticed();
    // files_coming.cpp: see Keeper::come_later() and opened().
    void come_later(std::shared_ptr<sync::OpenGate> gate);
    void opened();
    // In order, and nothing is done after it: what is noted and unsent needs no scan then.
    void finish();

    // Operators. Empty user or app: all. `done` is called once, with the round's result by folder.
    struct Wish {
        std::string user;
        std::string app;
        bool release_deletions = false;
        bool begin_anew = false;
        // What was not sent of files whose account was removed goes with them. Refused where their
        // home has not said that it was.
        bool discard = false;
        bool wait = false; // it ends when all is equal, not when something is out of reach
    };
    // The number of a round that can be looked at until `rounds_remembered_max` others were begun.
    void begin(const Wish& wish, const std::function<void(Result<std::int64_t>)>& begun);
    // Answered when more than `seen` folders are done, or after a second.
    void look(std::int64_t round, std::size_t seen, std::function<void(Result<Json>)> answer);
    // [{user, app, revision, unsent_files, …}] and what crossed links since the start.
    Json status() const;
    // What the home keeps of a user's files, and putting it back. Only where his account is, else
    // refused with the name of that tier.
    struct VersionsWish {
        std::string user;
        std::string app;
        std::string path;
        bool removed_only = false;
        sync::Home::VersionsAfter after;
    };
    using AnswerJson = std::function<void(Result<Json>)>;
    void versions(const VersionsWish& wish, const AnswerJson& answer);
    void restore(const sync::RestoreWish& wish, const AnswerJson& answer);
    // {contents, files: [{user, app, path, revision, stands}]} of contents that are damaged at this
    // home; null: none is known.
    Json damage() const;
    // files_scan.cpp: what the virus check says of files.
    // {infected, waiting, files: [{id, user, app, path, size, found, by, at}]} at this home; null:
    // nothing is in quarantine, and nothing waits.
    Json quarantine() const;
    struct QuarantineWish {
        std::int64_t release = 0; // a number; 0: none
        std::int64_t remove = 0;
    };
    // Does what is wished; the answer is quarantine() as it is then.
    void quarantine(const QuarantineWish& wish, const AnswerJson& answer);
    // Of his files here and at this home, for himself: the app, the path, what was found in it
    // (empty: it waits for the scanner).
    struct HeldFile {
        std::string app;
        std::string path;
        std::string found;
    };
    std::vector<HeldFile> held_files(const std::string& user) const;
    // What is unsent here, for `hasp status`.
    struct Unsent {
        std::uint64_t files = 0;
        std::uint64_t bytes = 0;
        std::int64_t since_us = 0;
    };
    Unsent unsent() const;

    // files_leaving.cpp: how long working copies stay here.
    // Of this user, or of all: what this tier reports of the copies that it has. What is unsent for
    // less than owed_after_us is not in it.
    std::vector<CopyReport> copies(const std::string& user = {}) const;
    // {bytes, most_bytes, users} of working copies and what is kept of their contents; null: there
    // is no bound.
    Json room() const;
    // A child may ask about this user's files.
    bool may_ask_about(const std::string& child, const std::string& user);
    // The users of whose files a child may have some: what it says of them counts.
    Result<std::set<std::string>> may_be_at(const std::string& child);
    // Another lease is in force here: copies may have to go.
    void lease_changed();

  private:
    struct Engine;
    struct Round;
    struct Folder;
    struct Fill;
    using FolderId = sync::FolderId;

    // files_home.cpp: the home, and the way to it.
    struct Way {
        bool here = false;
        std::string neighbour;
        std::string name; // for messages
    };
    Result<Way> way_to(const std::string& user);
    enum class Access : unsigned char { give_and_get, give };
    Result<Access> access(const std::string& from, const std::string& user);
    Error not_kept(const std::string& from, const std::string& user) const;
    void serve_neighbours();
    void on_question(const std::string& from, const Message& message, const Links::Answer& answer);
    void on_question_of(const std::string& from, const FolderId& folder, Message message,
                        const Links::Answer& answer);
    void on_changed(const std::string& from, const Json& head);
    void pass_on(const std::string& from, const FolderId& folder, Message message,
                 const Links::Answer& answer);
    void serve_here(const FolderId& folder, const Message& message, const Links::Answer& answer);
    void serve_push(const FolderId& folder, const Message& message, const Links::Answer& answer);
    // A batch at its home, from its last byte to the answer.
    struct Serving;
    using ServingPtr = std::shared_ptr<Serving>;
    void receive(Serving& serving);  // in the background
    void exchange(Serving& serving); // in the background
    void served(const ServingPtr& serving);
    // files_scan.cpp
    void find_new(Serving& serving); // in the background
    void scan(const ServingPtr& serving);
    void scan_some(const ServingPtr& serving, bool large);
    void scan_piece(Serving& serving, bool large) const; // in the background
    void scanned(const ServingPtr& serving);
    struct InQuarantine {
        sync::Home::QuarantineCount count;
        std::vector<sync::Quarantined> files; // the first quarantine_listed_max
    };
    InQuarantine look_at_quarantine(); // in the background
    void tell_unscanned(const Serving& serving) const;
    void tell_held(const std::vector<sync::Quarantined>& held) const;
    void serve_fetch(const FolderId& folder, const Message& message, const Links::Answer& answer);
    void serve_piece(const FolderId& folder, const Message& message, const Links::Answer& answer);
    void changed_here(const FolderId& folder, sync::Revision revision);
    // Neighbours who have a folder, or pass it on, and the revision of which each has heard.
    struct Heard {
        sync::Revision revision;
        std::int64_t at_us = 0; // boot clock
    };
    struct Holders {
        sync::Revision newest; // zeros: not known
        std::map<std::string, Heard> heard;
    };
    // `known_here`: this tier's own working copy learnt it.
    void changed(const FolderId& folder, sync::Revision revision, bool known_here);
    void tell_holders(const FolderId& folder, sync::Revision revision);
    void tell(const FolderId& folder, const std::string& neighbour, Heard& heard,
              sync::Revision revision);
    // What was said before its link ended may not have arrived.
    void doubt_heard(const std::string& neighbour);
    void tell_again(const std::string& neighbour);
    // The link and time of its question: an answer that came too late for either went nowhere.
    struct Asker {
        std::string neighbour;
        LinkId link = 0;
        std::int64_t asked_us = 0;
    };
    void hears(const Asker& asker, const FolderId& folder, const Result<Message>& reply);
    void forget_old_answers();
    // files_upkeep.cpp: what the home does in the background.
    Status forget_removed_accounts(sync::Home& home);
    void upkeep();
    void upkept(const Result<bool>& more, Result<sync::Home::Damage> damage);
    Status kept_here(const std::string& user);

    // files_gone.cpp
    Status know_gone();
    // Answers where who asks has a copy of what went with its account; else goes on.
    static std::uint64_t asked_if_gone(const Json& head); // of which epoch; 0: it is not asked
    void unless_gone(const FolderId& folder, std::uint64_t epoch, const Links::Answer& answer,
                     const std::function<void()>& go_on);
    std::vector<FolderId> folders_of(const std::string& user) const;
    void forget_account(const std::string& user, std::function<void(Status)> done);
    bool may_say_gone(const std::string& user, std::uint64_t epoch); // the child that has it
    void tell_gone(const FolderId& folder);
    void ask_if_gone(const FolderId& id); // of this tier's own copy
    void mark_ended(const FolderId& id, bool wholly);
    void end_gone(const FolderId& id);
    void when_left(const std::string& user, std::function<void(Status)> done);
    void tell_left(const std::string& user, const Status& left);
    Status may_discard(const std::vector<FolderId>& meant) const;
    bool discard(const FolderId& id); // false: it is not there any more
    static Error ended_error(const FolderId& id);
    static Error not_here_yet(const Folder& folder); // and nobody can be held who opens it
    static Error in_the_way(const FolderId& id);

    // files_rounds.cpp: this tier's working copies.
    bool holds(const std::string& app) const; // are users' folders of this app here
    // A round that compares with the home, whatever is new here.
    void schedule(const FolderId& id, std::int64_t delay_us);
    // One that does so if a look finds something.
    void look_soon(const FolderId& id, std::int64_t delay_us);
    void scan_later(const FolderId& id, std::int64_t delay_us);
    void set_due(const FolderId& id);
    // In the background, before each look: what was noticed, or why nobody watches.
    void hear(Round& round);
    void plan_scan(const FolderId& id, const Round& round);
    Result<sync::WorkingFolder> working_folder(const FolderId& id); // made, if it is not there
    Status open_engine();
    Error not_opened() const;
    Status settle_folders();
    void start_due();
    void start(const FolderId& id);
    using RoundPtr = std::shared_ptr<Round>;
    // Leave to move a piece over the link to the parent; nothing where no such link is used.
    using Turn = std::optional<LinkPace::Piece>;
    static std::size_t bytes_of(const Turn& turn) {
        return turn ? turn->bytes : file_chunk_bytes_max;
    }
    void prepare(const RoundPtr& round);
    void look_only(const RoundPtr& round, const Error& why);
    // files_link.cpp: what of it crosses a link.
    // A batch goes up and an answer comes down in pieces, several at a time and in their order.
    void begin_pieces(const RoundPtr& round, std::uint64_t offset);
    bool another_piece(const RoundPtr& round, std::uint64_t total) const;
    void push(const RoundPtr& round);
    void push_pieces(const RoundPtr& round);
    void read_piece(const RoundPtr& round, const Turn& turn);
    void push_piece(const RoundPtr& round, std::string bytes, const Turn& turn);
    // `end`: of that piece.
    void pushed(const RoundPtr& round, Result<Message> answer, std::uint64_t end);
    void begin_anew(const RoundPtr& round);
    void fetch_pieces(const RoundPtr& round);
    void fetch_piece(const RoundPtr& round, const Turn& turn);
    void fetched(const RoundPtr& round, Result<Message> answer, std::uint64_t offset,
                 std::uint64_t asked);
    // Calls `go` when the link lets a piece through; ends the round when its budget is used up.
    void wait_turn(const RoundPtr& round, LinkWay way, std::uint64_t most_bytes,
                   std::function<void(const Turn&)> go);
    void over_budget(const RoundPtr& round, const Error& why);
    void go_on_with_held();
    void take(const RoundPtr& round, std::string bytes);
    void judge(const RoundPtr& round);
    void stop_app(const RoundPtr& round);
    void apply(const RoundPtr& round, bool in_use);
    void finish(const RoundPtr& round, const std::optional<Error>& error);
    void again_when_needed(const RoundPtr& round, const std::optional<Error>& error,
                           bool unreachable);
    void wait_for_apps();
    bool can_reach_home(const FolderId& id); // as far as this tier knows
    Folder& folder(const FolderId& id);

    // files_starts.cpp: what an app waits for.
    void wake_waiting(Folder& folder);
    void tell_late_starts();
    bool arrives(const Folder& folder);
    void arrives_anew(const FolderId& id);
    static Error on_its_way(const Folder& folder);
    // files_coming.cpp: contents that come later than their files. A fill is one of them, under
    // way or waiting for a link, where it goes on.
    using FillPtr = std::shared_ptr<Fill>;
    void hold_again(const FolderId& id);
    void fill(std::unique_ptr<sync::Filling> filling, const FolderId& id, bool behind,
              std::uint64_t opening);
    bool room_for_a_fill();
    // Ends at once where there is no way to the home: `fill` may be in fills_ no more then.
    void go_on(const FillPtr& fill);
    void take_up(const FillPtr& fill);
    bool another_piece(const Fill& fill) const;
    void ask_pieces(const FillPtr& fill);
    void ask_piece(const FillPtr& fill, const Turn& turn);
    void piece_came(const FillPtr& fill, Result<Message> answer, std::uint64_t offset,
                    std::uint64_t asked);
    void filled(const FillPtr& fill, const Status& done);
    void begin_again(const FillPtr& fill);
    void stop(const FillPtr& fill, const Error& why);
    void answer_opens(Fill& fill, int error);
    void end_fill(const FillPtr& fill);
    // All that is to come of a folder comes one after the other, behind what somebody opens.
    void bring(const FolderId& id);
    void bring_next();
    void brought(const FolderId& id, bool all);
    void look_at_fills();

    // files_leaving.cpp
    void look_after_copies();
    void note_copy(const Status& noted);
    std::uint64_t most_copies_bytes() const; // 0: no bound
    std::map<std::string, std::vector<FolderId>> folders_by_user() const;
    std::set<std::string> lent_keeps() const; // whose files the lease lets this tier keep now
    bool is_in_use(const std::string& user, const std::vector<FolderId>& ids);
    void end_copy(const std::string& user, const std::vector<FolderId>& ids);
    // Whether its home has said just now that it has what was agreed on; else it is asked.
    // `or_before`: where it is out of reach, its last word does.
    bool home_has(const FolderId& id, bool or_before);
    bool is_busy(const FolderId& id);   // with more than the question whether the home is there
    void ask_fully(const FolderId& id); // and not only that
    void ask_once(const FolderId& id);  // unless the home is asked from now on anyway
    void want(const FolderId& id);      // its removal does not go on
    void look_again_after_rounds(const std::vector<FolderId>& ids);
    void note_home(const Round& round, const std::optional<Error>& error, bool unreachable);
    void measure_copies();
    void make_room();
    // A folder's removal in the background, begun or gone on with.
    struct Removal {
        Status left;
        bool begun = false; // and not done
    };
    void remove_copy(const FolderId& id, const std::string& why,
                     sync::Client::Unsent unsent = sync::Client::Unsent::stays);
    void finish_removal(const FolderId& id);
    void removal_ended(const FolderId& id, const Removal& removal, const std::string& why);
    // Somebody needs the folder whose removal cannot be finished.
    void stop_removal(const FolderId& id);
    void let_go(const FolderId& id);
    void removed(const FolderId& id);

    World world_;
    FilesKeeps keeps_;
    FilesCopies copies_;
    std::unique_ptr<Engine> engine_; // nothing: not opened
    std::string problem_;            // why
    std::string next_;               // what to do about it
    Strand home_work_;
    Strand client_work_;
    // Large contents hold up no small ones, and neither holds up anything else.
    Strand scan_small_;
    Strand scan_large_;
    std::size_t scans_ = 0; // batches whose contents are looked at
    std::map<FolderId, std::unique_ptr<Folder>> folders_;
    std::set<std::pair<std::int64_t, FolderId>> due_; // boot clock
    std::int64_t unchecked_ = 0;                      // folders
    std::set<FolderId> held_;                         // by the budget of the link to the parent
    std::size_t running_ = 0;
    std::shared_ptr<sync::OpenGate> gate_;   // nothing: contents come with their files
    Strand fill_work_;                       // behind nobody's looks
    std::map<std::uint64_t, FillPtr> fills_; // by inode
    std::uint64_t copies_made_ = 0;
    std::deque<FolderId> to_bring_;
    std::map<FolderId, std::int64_t> bring_again_; // boot clock
    bool bringing_ = false;
    std::int64_t came_us_ = 0;       // boot clock: when something of any folder came last
    std::vector<RoundPtr> stopping_; // rounds that wait for an app to end
    std::map<FolderId, Holders> holders_;
    struct OpenAnswer {
        FolderId folder;
        std::uint64_t bytes = 0;
        bool verdicts_only = false;
        bool done = false; // its last byte was asked for
        std::int64_t until_us = 0;
        std::string key; // of the question
        std::int64_t made_us = 0;
        Message said; // to the question
    };
    std::map<std::string, OpenAnswer> answers_; // at the home, by name
    // Questions that are being worked on, by what they ask: one that comes again, because the first
    // took too long, waits for the same work.
    std::map<std::string, std::vector<Links::Answer>> asking_;
    struct Wanted {
        std::map<FolderId, Json> folders;      // null: not done yet
        std::map<FolderId, std::string> waits; // why not, of those
        bool wait = false;
        struct Looking {
            std::size_t seen = 0;
            std::int64_t until_us = 0; // boot clock
            std::function<void(Result<Json>)> answer;
        };
        std::vector<Looking> looking;
        std::size_t done() const;
        Json json() const;
        void tell(std::int64_t now_us);
    };
    std::map<std::int64_t, Wanted> wanted_;
    std::int64_t next_wanted_ = 1;
    std::uint64_t wire_up_ = 0;
    std::uint64_t wire_down_ = 0;
    // By user, who is told when none of his folders is being removed any more.
    std::map<std::string, std::vector<std::function<void(Status)>>> leaving_waits_;
    std::set<std::string> users_gone_; // whose accounts were removed, here or below, and had files
    bool keeping_up_ = false;          // a piece of the home's work is under way
    std::int64_t upkeep_us_ = 0;       // boot clock: of the next; 0: not yet
    std::string upkeep_said_;          // the last error, logged once
    sync::Home::Damage damage_;
    InQuarantine in_quarantine_;
    std::int64_t copies_due_us_ = 0; // boot clock: of the next look at who may stay; 0: not yet
    std::size_t removing_ = 0;       // folders whose copies are going
    // Whose removal failed in the middle: tried again, unless it is stopped. With why, for the log.
    std::map<FolderId, std::string> unfinished_;
    bool measuring_ = false;
    std::map<std::string, std::uint64_t> copies_bytes_; // by user, as measured last
};

} // namespace hasp::maint
