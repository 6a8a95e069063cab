// What a scanner has said of contents, and what the home does with those that do not count.
//
// The home calls no scanner: whoever has one asks Home::to_scan() what a batch brings that is new,
// has that looked at wherever and as long as it takes, and hands the results in with the question.
// Infected content is kept, sealed as any other, and given to nobody: no version has it, so no
// answer brings it and no restore finds it. It goes after quarantine_days, or when an operator says
// so; released, it is put where its sender had it.
#pragma once

#include "sync/tree.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace hasp::sync {

inline constexpr std::int64_t quarantine_days = 30;
// Of a user's infected ones. Beyond them, the oldest goes.
inline constexpr std::size_t quarantine_files_max = 1000;

inline constexpr std::size_t quarantine_told_max = 100;

// Plain contents in one file, for a scanner; whoever asked for them removes it.
struct ToScan {
    struct Part {
        std::string hash;
        std::uint64_t at = 0; // byte in the file
        std::uint64_t bytes = 0;
    };
    std::string file; // on the disk; empty: nothing is to be looked at
    std::vector<Part> parts;
};

struct Scanned {
    std::map<std::string, std::string> found; // hash → as the scanner calls it; empty: nothing
    // Hashes of those that could not be looked at: they count all the same, or wait. A new content
    // that is in neither came in only since: the batch is to be looked at again.
    std::set<std::string> unknown;
    bool lets_by = false;
    std::uint64_t bytes_max = 0; // larger ones count, whatever is said of them
};

// A content in quarantine, or one that waits for a scanner.
struct Quarantined {
    std::int64_t id = 0;
    std::string user;
    std::string app;
    std::string path;
    Entry entry; // its revision is that of what its sender had agreed on
    std::string found;
    bool released = false;
    std::string who;
    std::int64_t at_us = 0;
};

} // namespace hasp::sync
