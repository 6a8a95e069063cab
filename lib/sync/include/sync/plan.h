// What must be done at both sides so that they are equal and nobody's work is lost. Pure: no disk,
// no clock, no names of machines.
//
//   base    what both sides last agreed on
//   mine    what this side has now
//   theirs  what the other side (the home) has now
//
// Rules, for each path:
//   changed at one side only             that side's state goes to the other
//   changed at both sides, same content  equal already; the home's metadata
//   content here, only metadata there    the content goes
//   edited here, deleted there           the edit stays
//   edited at both                       theirs keeps the name, mine stays beside it as a copy
//   a folder against a file              the folder keeps the name, the file stays beside it
//   something new in a folder that the other side deleted     the folder comes back
// The result is one tree that both sides reach. Nothing that somebody has is left out of it unless
// one side deleted it and the other had not changed its content since base.
#pragma once

#include "sync/tree.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace hasp::sync {

enum class Side : unsigned char { mine, theirs };
enum class Act : unsigned char { put, remove };

struct Operation {
    Side at = Side::mine; // whose tree it changes
    Act act = Act::put;
    std::string path;
    Entry entry;           // put: what is to stand there; remove: what stands there
    std::string copied_of; // put of a conflict's copy: the path at which it stood
};

// A conflict: `side`'s content of `path` stays as `copy`.
struct Kept {
    std::string path;
    std::string copy;
    Side side = Side::mine;
};

struct Plan {
    // First removals, the deepest first; then puts, folders before what is in them.
    std::vector<Operation> operations;
    std::vector<Kept> kept;
    Tree result; // what both sides have afterwards, within the paths given
};

// A name for a copy that is in neither tree: called with 0, 1, … until it is free. See
// conflict_name().
using CopyName = std::function<std::string(const std::string& path, unsigned attempt)>;

Plan plan(const Tree& base, const Tree& mine, const Tree& theirs, const CopyName& copy_name);

// "a/report (conflict anna@tokyo 2026-11-25 10.42.07).txt" of "a/report.txt"; shortened so that the
// name stays within name_bytes_max. `who` is USER@TIER.
std::string conflict_name(const std::string& path, const std::string& who, std::int64_t wall_us,
                          unsigned attempt);

// Deletions that nobody may have meant: more than mass_deletion_files and more than a quarter of
// all files, or everything at once.
inline constexpr std::size_t mass_deletion_files = 50;
bool is_mass_deletion(const Tree& base, const Tree& mine);
// Files and links of base that are gone. Whose content came to stand at another path was moved.
std::uint64_t deleted_files(const Tree& base, const Tree& mine);
// `files` of which `gone` are; `nothing_left`: no folder either.
bool is_mass_deletion(std::uint64_t files, std::uint64_t gone, bool nothing_left);

} // namespace hasp::sync
