// What goes between reading an answer and having it in its place.
#pragma once

#include "client_parts.h"
#include "sync/client.h"
#include "sync/members.h"

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace hasp::sync {

// What was staged, and what the file that it replaces was when it was looked at.
struct StagedChange {
    Operation op;
    std::string staged; // files and symlinks: beneath client_temporary
    std::string signature;
    std::optional<FileStat> before; // nothing: nothing stood there
    // False: the content stands there already, and metadata change in place. Not of a file with
    // more names, which would have them, too.
    bool content = true;
    std::string attributes; // of a file that was staged
    bool absent = false;    // its content is to come
};

struct Client::Staging {
    BatchHead head;
    std::map<std::string, BaseRow> base; // of the paths that are touched
    Tree theirs;
    std::map<std::string, std::uint64_t> removed; // and at which revision
    std::map<std::string, Entry> mine;            // as they stand now
    std::map<std::string, Seen> seen;
    std::map<std::string, FileStat> stood;       // before they were read
    std::map<std::string, StagedChange> changes; // puts, by path
    std::vector<Operation> removals;
    std::map<std::string, BaseRow> agreed; // both sides have it already, or had it put in place
    std::set<std::string> gone;            // the same for removals
    std::map<std::string, Entry> told;     // kind and attributes of what was agreed on before
    std::map<std::string, BaseRow> learnt; // as that is known now
    std::vector<Touched> standing;         // of these, what was here already
    std::uint64_t skipped = 0;
    // Left as they were, since they are not what was agreed: a look must see them.
    std::set<std::string> differing;
    // Up to which revision nothing was left out.
    std::uint64_t complete = FolderRow::complete_all;
    std::uint64_t files = 0;
    bool whole = false; // a difference did not fit
    MembersWork work;

    // An answer that brings anything is of now, and not of before what was had in parts.
    bool verdicts_alone(const FolderRow& row) const { return head.number < row.after.number; }

    // It stays for the next round.
    void skip(const std::string& path) {
        ++skipped;
        differing.insert(path);
        const auto put = theirs.find(path);
        const auto gone_there = removed.find(path);
        const std::uint64_t revision = put != theirs.end()           ? put->second.revision
                                       : gone_there != removed.end() ? gone_there->second
                                                                     : 0;
        complete = std::min(complete, revision == 0 ? 0 : revision - 1);
    }
};

} // namespace hasp::sync
