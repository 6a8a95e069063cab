// What is kept of users' files at their home, and what a restore makes of it. Values.
#pragma once

#include "sync/tree.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace hasp::sync {

// One version of a path, as long as it is kept.
struct Version {
    std::string path;
    std::uint64_t revision = 0;   // of the folder, that it came with
    std::optional<Entry> entry;   // nothing: there it was removed
    std::int64_t at_us = 0;       // when the home took it
    std::int64_t until_us = 0;    // when it was replaced or removed; 0: it stands
    bool removed = false;         // it ended by a removal
    std::string who;              // USER@TIER that sent it
    bool attributes_known = true; // false: it is from before they were kept
    bool readable = true;         // its content is there
};

// Which files, and as what.
struct RestoreWish {
    std::string user;
    std::string app;  // empty: all of the user's
    std::string path; // a file, or a folder with all that is in it; empty: everything
    // As they were at this time, or at this revision of the folder; with neither, what was removed
    // as it was last.
    std::optional<std::int64_t> at_us;
    std::optional<std::uint64_t> revision;
    std::string who;      // for the new versions
    bool dry_run = false; // nothing is changed
};

struct RestoreItem {
    std::string app;
    std::string path;
    std::uint64_t revision = 0; // of the version that it is taken from
    std::int64_t at_us = 0;     // of that version
    std::uint64_t size = 0;
    std::string left; // why it is not restored; empty: it is
};

struct Restored {
    std::uint64_t restored = 0; // paths
    std::uint64_t left = 0;
    std::uint64_t bytes = 0;
    std::vector<RestoreItem> items; // the first ones
    struct Changed {
        std::string app;
        std::uint64_t epoch = 0;
        std::uint64_t number = 0;
    };
    std::vector<Changed> changed; // folders that have a new revision
};

inline constexpr std::size_t restore_items_max = 1000;
inline constexpr std::size_t versions_listed_max = 500; // with one call

} // namespace hasp::sync
