// A tier that was restored from a backup goes on as another life of the same tier: what was given
// out after the backup was made is not given out a second time, and nobody below has to delete
// anything (doc/decisions/0027).
#pragma once

#include "base/result.h"

#include <cstdint>
#include <string>

namespace hasp::maint {

class TierStore;

struct Restored {
    std::int64_t at_us = 0;     // 0: never
    std::int64_t backup_us = 0; // when the backup was made
    std::string backup;         // its id
};
Result<Restored> restored_fact(TierStore& store);

// The text of tier.json, with a new epoch for a tier without a parent: its sequences of releases
// and its own usage begin anew above all that it ever gave out. A tier below another one has its
// epoch from above, and keeps it. Code::refused: it is none.
struct NewLife {
    std::string tier_json;
    std::string tier;  // its name
    std::string realm; // tenant in its databases
    bool has_parent = false;
};
Result<NewLife> new_life(const std::string& tier_json, std::int64_t now_us);

// Changes the databases in `state`, which nobody has opened yet: numbers of leases and of desired
// states go on far above those that the backup knows of; sessions end, since who logged out or was
// shut out after the backup would be in again; folders of files get a new epoch, and remember the
// former ones. Doing it again, as after a crash, does no harm.
Status begin_new_life(const std::string& state, const NewLife& life, const Restored& restored);

} // namespace hasp::maint
