// STATE/backup.json: what `hasp backup` has done last, for status and doctor.
#pragma once

#include "json_tools.h"

#include <string>
#include <vector>

namespace hasp::cmd {

// {"at_us", "id", "folder", "left", "left_first"} of the last backup (left: files that it lacks or
// has in part; the first of them) and {"keys_at_us", "keys", "private_keys"} of the last time that
// the keys were saved (their fingerprint, and each one's print); empty where there was none.
Json read_backup_note(const std::string& state);
// Whether all of these keys' prints are in it.
bool all_saved(const Json& note, const std::vector<std::string>& key_prints);
// Adds to what is there.
Status write_backup_note(const std::string& state, const Json& fields);

} // namespace hasp::cmd
