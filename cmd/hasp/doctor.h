// What can be wrong with a tier, found by looking: each check gives one or more findings with the
// next command. Changes nothing.
#pragma once

#include "json_tools.h"
#include "maint/config.h"

#include <cstdint>
#include <string>
#include <vector>

namespace hasp::cmd {

enum class Health : unsigned char { good, warning, problem };

struct Finding {
    std::string check; // stable: "link", "disk" …
    Health health = Health::good;
    std::string what; // a sentence without a full stop
    std::string next; // what to run or do; empty when all is good
};

// From `hasp status`. Pure. `now_us`: the machine's clock.
std::vector<Finding> examine_status(const Json& status, std::int64_t now_us);

// From the machine: the state folder, keys, certificates, database, disk, and, when the tier runs,
// its addresses. Blocks on the disk, and up to a second on each address.
std::vector<Finding> examine_machine(const std::string& state, const maint::Config& config,
                                     bool running, std::int64_t now_us);

// From STATE/backup.json (backup_note.h), of a tier that is not below another one. `keys`: the
// key_prints() of what it has now. Pure.
Finding examine_backup(const Json& note, const std::vector<std::string>& keys, std::int64_t now_us);

} // namespace hasp::cmd
