// What the parts of Files share.
#pragma once

#include "files.h"

#include "store/db.h"

#include <algorithm>

namespace hasp::maint {

// In a question: who asks may give and not get, or only wants to know that the home is there and
// has what was agreed on.
inline constexpr const char* verdicts_only = "verdicts";

// In a question: who asks begins anew by itself where the home was restored from a backup; in an
// answer: it was.
inline constexpr const char* begins_anew = "restored";

// In a question: who asks knows what it means in an answer, that the files went with their user's
// account.
inline constexpr const char* files_gone = "gone";

// What works in the background. Home and client have a database and a strand each.
struct Files::Engine {
    std::unique_ptr<store::Db> home_db;
    std::unique_ptr<store::Db> client_db;
    std::unique_ptr<sync::Home> home;
    std::unique_ptr<sync::Client> client;
};

struct Files::Folder {
    bool running = false;
    bool applying = false; // no app may start on it now
    // Boot clock; 0: not. The first of those below.
    std::int64_t due_us = 0;
    std::int64_t asked_us = 0;   // a comparison with the home
    std::int64_t wished_us = 0;  // one, unless the home was asked since the wish was made
    std::int64_t noticed_us = 0; // a look at what was noticed
    std::int64_t scan_us = 0;    // a look at everything
    std::int64_t used_us = 0;
    std::int64_t hint = 0; // the newest number that the home spoke of
    // Wishes with lower numbers were made before the home was asked for what is in place now.
    std::int64_t compared = 0;
    sync::FolderStatus status;
    std::int64_t stays_until_us = 0; // something in it is unsent: it is not removed before
    // Boot clock; 0: not. When the home, in this run and under this lease, last spoke as who has
    // what was agreed on, and nothing else since; when it was asked for that alone; and when that
    // question did not reach it.
    std::int64_t agreed_us = 0;
    std::int64_t confirmed_us = 0;
    std::int64_t away_us = 0;
    bool not_kept = false;   // this tier may not have them, it said
    bool lacks = false;      // when it was asked so last, it had not all of it
    bool ended = false;      // with his account: it is neither sent nor brought any more
    bool wholly = false;     // and nothing of it is needed
    bool confirms = false;   // the next comparison asks it so
    bool confirming = false; // the one that runs does
    bool leaving = false;    // it is being removed
    bool needed = false;     // and somebody wants it meanwhile
    bool unheld = false; // something is to come, and whoever opens it reads zeros: no app may run
    std::uint64_t came_bytes = 0; // over a link, in the round that runs
    // Since its user came last: a comparison with its home ended well; something of it came; and
    // when that was, or somebody began to wait for it.
    bool met = false;
    bool some_came = false;
    std::int64_t came_us = 0;
    std::int64_t brought_for = 0; // wishes with lower numbers wait for what is to come
    unsigned refused_rounds = 0;  // one after the other, which left out nothing else
    bool watched = false;
    bool unchecked = false; // what changed while hasp was down is not known yet
    std::string unwatched;  // why
    struct Waiting {
        Go go;
        std::int64_t until_us = 0;
    };
    std::vector<Waiting> waiting;
    Json last;  // result of the last round
    Json moved; // of the last that moved something
};

// One comparison of one folder with its home.
struct Files::Round {
    FolderId id;
    sync::WorkingFolder folder;
    std::int64_t born = 0;     // wishes with lower numbers are answered by it
    bool asked = false;        // the home; else it ends where a look finds nothing
    bool for_wish = false;     // which it answers also then
    std::int64_t compares = 0; // wishes with lower numbers were made before it asked last
    bool wished = false;       // by an operator, who means what is there now
    bool scan = false;         // it looks at everything
    bool confirms = false;     // it asks the home whether it is there, and for nothing
    // What hear() found.
    bool watched = false;
    bool unchecked = false;
    std::string unwatched;
    std::uint64_t changing = 0; // files, at each attempt to read them
    sync::Client::Outgoing out;
    struct Pieces {
        std::uint64_t asked = 0; // the next one begins here
        unsigned under_way = 0;
        unsigned run = 0;     // what belongs to an earlier one is not heard any more
        bool turning = false; // one waits for its turn, or is being read
    };
    Pieces pieces;
    bool late = false;        // one was, so that there is one at a time from here on
    std::uint64_t offset = 0; // of the batch: what the home has
    int tries = 0;
    int exchanges = 0;
    std::int64_t parts_us = 0; // boot clock: when its first part was put in place
    bool began_anew = false;
    bool answered = false; // what was asked last
    std::string answer;    // its name at the home, where there is more of it to fetch
    std::uint64_t answer_bytes = 0;
    std::uint64_t answer_offset = 0; // what came of it
    unsigned format = 0;             // of batches: what the home says that it takes
    std::int64_t came_us = 0;        // boot clock: when what it brings waits for the app to end
    std::int64_t stop_until_us = 0;  // 0: the app has not been told yet
    // Of the whole round.
    std::uint64_t sent_files = 0;
    std::uint64_t sent_bytes = 0;
    std::uint64_t received_files = 0;
    std::uint64_t conflicts = 0;
    std::uint64_t skipped = 0;
    std::uint64_t passing = 0; // of what was skipped: not held up by what the home refused
    std::uint64_t wire_up = 0;
    std::uint64_t wire_down = 0;
    bool over_a_link = false;
    bool over_parent = false; // that link is the one to the parent
    bool held = false;        // by that link's budget
    bool gone = false;        // with his account, their home says
    bool again = false;
    bool quiet = false; // nothing was to be sent, nothing wished, and the home was not asked
};

// The content of one file that stands without it, on its way.
struct Files::Fill {
    FolderId id;
    std::shared_ptr<sync::Filling> filling;
    std::vector<std::uint64_t> openings; // of whom waits for it
    bool behind = false;                 // it is the one that comes while nobody waits
    bool over_parent = false;
    std::uint64_t asked = 0; // the next piece begins here
    std::uint64_t came = 0;  // what came of it is taken in the background
    unsigned under_way = 0;
    unsigned run = 0;     // what belongs to an earlier one is not heard any more
    bool turning = false; // a piece waits for its turn
    enum class Begun : unsigned char { unknown, looked_at, known };
    Begun begun = Begun::unknown; // what an earlier keeper wrote of it
    std::uint64_t writing = 0;    // bytes that came and are not written yet
    bool stopped = true;          // until a link is there, or somebody opens it
    int tries = 0;
    int wrong = 0; // how often it was not what was to come
    std::int64_t heard_us = 0;
    std::uint64_t wire_up = 0;
    std::uint64_t wire_down = 0;
};

struct Files::Serving {
    FolderId folder;
    std::string batch; // empty: a question
    std::uint64_t total = 0;
    std::uint64_t offset = 0;
    std::string tier;
    std::string key; // of the question
    sync::Revision since;
    bool whole = false;
    bool only_verdicts = false;
    unsigned format = 0;
    sync::Position after;  // how much of it he has
    std::uint64_t met = 0; // the highest number that he has met
    std::size_t most = 0;  // bytes of the first piece
    std::string body;

    bool may_begin = false; // anew, by itself

    Result<bool> restored = false; // since he met us
    Result<std::uint64_t> have = std::uint64_t{0};
    Result<sync::ToScan> to_scan = sync::ToScan{};
    std::optional<sync::Scanned> scanned; // nothing: there is no scanner
    std::size_t next = 0;                 // part of to_scan
    bool large = false;                   // there are large ones among them
    std::string why;                      // contents could not be looked at: of one of them
    std::optional<Result<sync::Home::Answer>> exchanged;
    std::string first;
    std::vector<sync::Home::Beside> beside;
    std::vector<sync::Quarantined> held;
    std::optional<InQuarantine> in_quarantine;

    sync::Home::Question question() const {
        return {folder, total > 0 ? batch : "",
                since,  folder.user + "@" + tier,
                whole,  only_verdicts,
                format, after,
                met,    scanned};
    }
};

// Of one folder, where the link says how much may be under way (link_pace.h).
inline constexpr unsigned pieces_at_once_max = 4;

// A folder that was never here is waited for until so long nothing of it came.
inline constexpr std::int64_t arriving_wait_us = 60'000'000;
inline constexpr std::int64_t start_wait_us = 5'000'000; // of an app for its user's files

// Who may stay is looked at again so soon where a round or a program held it up.
inline constexpr std::int64_t busy_again_us = 5'000'000;

// Of times at which something is due; 0 is never.
inline void sooner(std::int64_t& when, std::int64_t us) {
    const std::int64_t at = std::max<std::int64_t>(1, us);
    when = when == 0 ? at : std::min(when, at);
}

inline bool runs(const Apps& apps, const sync::FolderId& id) {
    const auto instance = apps.instance(id.app, id.user);
    return instance && (instance->state == "ready" || instance->state == "starting");
}

// [{path, size, found, since}] of files that their home does not count.
Json refused_json(const sync::FolderStatus& status);

// Of a round that was asked for a folder that is not here any more.
inline Json removed_json(const sync::FolderId& id) {
    return {{"user", id.user}, {"app", id.app}, {"removed", true}};
}

inline Json revision_json(const sync::Revision& revision) {
    return {{"epoch", revision.epoch}, {"number", revision.number}};
}
inline sync::Revision revision_of(const Json& json) {
    return {static_cast<std::uint64_t>(int_of(json, "epoch")),
            static_cast<std::uint64_t>(int_of(json, "number"))};
}

} // namespace hasp::maint
