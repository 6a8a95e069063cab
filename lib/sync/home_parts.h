// What goes between taking a batch and answering it.
#pragma once

#include "sync/home.h"

#include <limits>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace hasp::sync {

inline constexpr const char* home_incoming = "sync/home/in";
inline constexpr const char* home_answers = "sync/home/out";
inline constexpr const char* home_temporary = "sync/home/tmp";

// One operation of a batch.
struct Home::Pushed {
    Record record;
    bool content_there = true;   // of a file: staged, or known to be the user's
    std::optional<Verdict> held; // infected or waits: it is as if it had not been sent
    std::string found;
    bool attributes_known = true; // false: its format says nothing of them
    bool unsaid = false;      // of a moved folder that the home knows otherwise: it does not count
    std::uint64_t stands = 0; // held: the revision of what is at the path; 0: nothing
};

struct Home::Taken {
    std::uint64_t number = 0; // of the folder afterwards
    std::uint64_t epoch = 0;
    bool changed = false;
    std::vector<Record> verdicts;
    std::map<std::string, std::uint64_t> agreed; // path → revision: the sender has it
    std::set<std::string> hashes;                // contents that the sender has
    std::map<std::string, std::string> differs;  // path → content that the sender has there
    std::set<std::string> copies;                // that conflicts left
    // Of a batch that is judged already, the oldest revision that overruled it: as differs, for an
    // answer that is given again.
    std::uint64_t oldest = std::numeric_limits<std::uint64_t>::max();
};

} // namespace hasp::sync
