// What the parts of Client share.
#pragma once

#include "client_store.h"
#include "scan.h"
#include "sync/bases.h"
#include "sync/batch.h"
#include "sync/client.h"
#include "sync/members.h"
#include "sync/plan.h"

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace hasp::sync {

inline constexpr const char* client_outgoing = "sync/client/out";
inline constexpr const char* client_answers = "sync/client/in";
inline constexpr const char* client_temporary = "sync/client/tmp";
inline constexpr const char* client_bases = "sync/client/base";

inline std::string client_batch_path(const FolderId& folder) {
    return std::string(client_outgoing) + "/" + folder.user + "." + folder.app;
}
inline std::string client_answer_path(const FolderId& folder) {
    return std::string(client_answers) + "/" + folder.user + "." + folder.app;
}

// The records of a batch or an answer, one after the other, behind its head.
template <typename Each>
Status each_record(BatchReader& reader, const Each& each) {
    for (Record record;;) {
        auto more = reader.next(record);
        if (!more) {
            return more.error();
        }
        if (!*more) {
            return {};
        }
        if (Status done = each(record); !done) {
            return done;
        }
    }
}

// Something in a working copy that the home is about to rely on, or does already: an app may have
// written or removed it and not have synced it. A power cut would bring back what was there before,
// which looks like a new edit or a deletion, and would go over what the home has of it.
struct Touched {
    std::string path; // beneath the folder
    // Of a file and of a folder what it is counts too, else only its name.
    std::optional<FileKind> kind;
};
Status make_durable(Disk& disk, Reader& reader, const WorkingFolder& folder,
                    const std::vector<Touched>& touched);

// Where to look in a folder.
struct Client::Attention {
    bool watched = false;
    bool carried_over = false; // from a client that was closed in order; not watched since
    bool unchecked = false;    // what changed while nobody watched is not known
    // Deletions that go on: how many there were when the last one was seen, and the first wait.
    bool patient = false;
    std::uint64_t deleted = 0;
    std::int64_t deleted_us = 0; // boot clock
    std::int64_t waits_us = 0;   // boot clock; 0: none waits
    // No look since the batch that is on its way was made: its paths are as they are in it, but for
    // what is noted.
    bool batch_is_last = false;
    // Since the last look.
    Noticed noted{true, {}, {}, {}};
    // Paths that differed then. Those on which both sides have agreed meanwhile leave it; what
    // happens to them after that is noticed.
    std::set<std::string> unsent;
    // Where the home decided otherwise: the base has our content there, and the home never had it
    // at the revision beside it. Naming it does no harm where that is no longer so; after a restart
    // the home asks for such a content whole.
    std::set<std::string> overruled;
    // Files may have attributes that the home was not told of, since it takes none.
    bool untold_attributes = true;
    // False: the two ends have packed a member differently. Nothing of them goes either way by its
    // members as long as this process runs.
    bool members_fit = true;
    std::set<std::string> by_members; // paths that are on their way so
    bool moves_fit = true; // false: the home knew otherwise what the last moved folder holds
    unsigned asked = batch_format_newest; // the newest format that the last question named
    bool look_again = false; // in this round: its home takes more than the last look was for
    bool ask_again = false;  // about what the home refused
    bool asks_first = false; // the question that is on its way, as Outgoing has it
    // That one asks for the attributes of what was agreed on before any were kept; and the home has
    // not said them when it was asked last.
    bool asks_attributes = false;
    bool attributes_unsaid = false;
    // What was put in place and could not be noted as agreed yet (settle_placing()).
    std::map<std::string, BaseRow> placed;
    // Files that were read and not yet agreed on, so that a look does not read them again.
    std::map<std::string, Seen> seen;
    // What the last look found, from `next` on not sent yet; and what else it was.
    struct Rest {
        std::vector<Operation> operations;
        std::size_t next = 0;
        std::set<std::string> replaced; // see Look
        bool left_out = false;          // as in Look
        std::uint64_t changing = 0;
        bool released = false;
        std::optional<std::int64_t> looked_us; // boot clock; nothing: another look is needed
    };
    Rest rest;
};

// One look at a folder: what is there, what was agreed, and what follows.
struct Client::Look {
    // Of the operations those from `first` on, which one record stands for.
    struct Moved {
        std::string from;
        std::string to;
        std::size_t first = 0;
        Tree tree; // as moved.h has it
        std::size_t operations() const { return 2 * tree.size(); }
    };
    FolderRow row;
    bool everywhere = true; // else base and scan are of the paths that were looked at
    Result<std::string> identity = std::string();
    std::map<std::string, BaseRow> base;
    Scan scan;
    std::vector<Operation> operations; // to be sent
    std::set<std::string> waiting;     // deletions that are not sent yet
    // Of the removals those at whose paths something of another kind stands now.
    std::set<std::string> replaced;
    std::vector<Moved> moved = {};   // in the order of the operations
    std::size_t next = 0;            // the first operation that is not in a batch yet
    bool left_out = false;           // some of those before it are in none
    bool fresh = true;               // else it was a while ago: what it says may have changed since
    std::set<std::string> refused;   // files that the home does not count
    std::set<std::string> unscanned; // contents that it has, and does not count yet
};

// Writes operations into a batch, each with its content in the cheapest form.
struct BatchFiller {
    const WorkingFolder& folder;
    ClientStore& store;
    Reader& reader;
    Disk& disk;
    const std::map<std::string, Seen>& seen; // of what differs from what was agreed, as looked at
    const std::set<std::string>& replaced;   // see Look
    bool fresh;                              // the look was just now
    bool whole;
    Bases& bases;
    unsigned format;                        // of the batch
    const std::set<std::string>& overruled; // as Attention has it
    const std::set<std::string>& unscanned; // as Look has it
    std::set<std::string> sent = {};        // contents that stand in this batch already
    bool untold_attributes = false;         // something has other attributes than it can say
    bool members_fit = true;                // as Attention has it
    std::set<std::string> by_members = {};  // paths whose contents go so
    MembersWork work = {};

    // How a content that the home does not have goes, as the record says.
    struct Way {
        std::unique_ptr<ReadFile> base; // what it differs from, if that is here
        std::string signature;          // or at least this of it
        std::string basis;              // what that is called
        std::string members;            // the difference of its members, if it goes so
    };

    // try_later and not_found: nothing was written, the file is left out.
    Result<OperationRow> add(const Operation& op, BatchWriter& writer);
    // Of a folder that was moved as it was, in the order of `operations`.
    Result<std::vector<OperationRow>> add_moved(const std::string& from, const std::string& to,
                                                const Tree& tree, BatchWriter& writer);

  private:
    void leave_attributes(const BaseRow* agreed, Record& record, Seen& sent_as);
    // It is as it was looked at.
    bool still(const std::string& path, const Seen& looked) const;
    Result<Way> choose(const std::string& signature, const Frozen& content, Record& record);
    static Status send(const Way& way, const Record& record, const Frozen& content,
                       BatchWriter& writer);
    Result<bool> keep(Frozen& content);
};

} // namespace hasp::sync
