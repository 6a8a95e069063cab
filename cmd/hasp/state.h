// A tier's state folder as commands see it: its lock, its config, and the way to the keeper's
// logic: through the daemon's admin socket, or, when no daemon runs, in this process under the
// lock.
#pragma once

#include "base/fd.h"
#include "base/result.h"
#include "command.h"
#include "json_tools.h"
#include "maint/config.h"

#include <string>

namespace hasp::cmd {

// Absolute; the folder need not exist.
std::string absolute_path(const std::string& path);

// STATE/lock, held until the Fd is closed. Code::conflict when another process holds it for longer
// than `patience_ms`: the message names what to do. A daemon holds it as long as it lives, a
// command beside no daemon for a moment.
Result<Fd> lock_state(const std::string& state, int patience_ms = 0);

// STATE/hasp.toml, or `file` when given; the defaults when there is none of the former.
Result<maint::Config> state_config(const std::string& state, const std::string& file = {});

// Runs one admin command (maint/keeper.h) at this state. Blocks up to ten minutes (imports).
Result<Json> run_at_state(const Args& args, Env& env, const std::string& command,
                          const Json& arguments, std::string_view body = {});

// Prints `json` when --json was given, else what `text` makes of it; or the error. Gives the exit
// code.
int show(const Args& args, Env& env, const Result<Json>& result,
         const std::function<std::string(const Json&)>& text);

// Columns padded to the widest cell, two spaces apart; the first row is the heading.
std::string columns(const std::vector<std::vector<std::string>>& rows);
// The same as a command's answer: with --quiet, nothing when there is only the heading.
std::string listing(const Args& args, const std::vector<std::vector<std::string>>& rows);

// "12 KiB wait", of what the keeper says that waits for a budget.
std::string kib_waiting(const Json& waits);

// One line a field of the object, for people.
std::string fields(const Json& object);

// A secret from a file, or from standard input with "-"; one newline at its end is not part of it.
// Code::usage when it is empty.
Result<std::string> read_secret(const std::string& file, Env& env);

} // namespace hasp::cmd
