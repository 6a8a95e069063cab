// Every command of hasp, one file for each noun; main.cpp lists them.
#pragma once

#include "command.h"

#include <vector>

namespace hasp::cmd {

Command init_command();
Command serve_command();
Command relay_command();
Command successor_command(); // hidden
std::vector<Command> reload_commands();
Command status_command();
Command sync_command();
std::vector<Command> restore_commands(); // below sync
Command quarantine_command();            // below sync
std::vector<Command> backup_commands();
Command put_back_command(); // hasp restore
std::vector<Command> local_commands();
std::vector<Command> peer_commands();
std::vector<Command> user_commands();
std::vector<Command> token_commands();
std::vector<Command> app_commands();
Command push_command();
std::vector<Command> release_commands();
std::vector<Command> lease_commands();
std::vector<Command> ca_commands();
std::vector<Command> why_commands(); // and offline-report
Command doctor_command();
Command names_command();
std::vector<Command> bill_commands();
std::vector<Command> config_commands();
// What hasp runs of itself: the three processes, the reader of packs.
std::vector<Command> hidden_commands();

} // namespace hasp::cmd
