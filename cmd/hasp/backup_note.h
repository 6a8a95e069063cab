// STATE/backup.json: what `hasp backup` has done last, for status and doctor.
#pragma once

#include "json_tools.h"

#include <string>

namespace hasp::cmd {

// {"at_us", "id", "folder"} of the last backup and {"keys_at_us", "keys"} of the last time that the
// keys were saved (their fingerprint); empty where there was none.
Json read_backup_note(const std::string& state);
// Adds to what is there.
Status write_backup_note(const std::string& state, const Json& fields);

} // namespace hasp::cmd
