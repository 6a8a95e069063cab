// What the help and the manual pages say in the same words.
#pragma once

#include "command.h"

#include <string>
#include <vector>

namespace hasp::cmd {

using Words = std::vector<std::string>;

// A command or noun as it is listed.
struct Entry {
    Words path;
    std::string summary;
};

// The options that every command has.
const std::vector<Option>& global_options();
bool begins_with(const Words& path, const Words& prefix);
// "-n, --name VALUE", the long names of all options in one column.
std::string dashes(const Option& option);
std::string option_text(const Option& option);
std::string positional_text(const Positional& positional);
std::string synopsis(const Command& command);
std::string join_words(const Words& words, const char* between = " ");
std::string first_upper(std::string text);
// The visible commands directly below `path`, each once; a noun without a row of its own has no
// summary.
std::vector<Entry> children(const Program& program, const Words& path);
const Command* command_at(const Program& program, const Words& path);
// The meaning of an exit code; every code that there is, in order; those of one command, 0, 1 and 2
// included.
std::string exit_text(int code);
std::vector<int> all_exit_codes();
std::vector<int> codes_of(const Command& command);

} // namespace hasp::cmd
