// The table of commands: everything that the parser, the help, the manual pages and the completions
// know about hasp's command line. A command is a value and a function; tests call the function.
#pragma once

#include "base/result.h"
#include "maint/table.h"

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace hasp {
class Clock;
class Random;
} // namespace hasp

namespace hasp::cmd {

enum class Kind : unsigned char {
    flag,   // --now            true or false
    value,  // --days N         at most once
    list,   // --to A --to B    any number of times, one value each
    toggle, // --pull, --no-pull
};

struct Option {
    std::string name;         // without the dashes: "dry-run"
    char letter = 0;          // short form, 0 for none
    std::string metavar = {}; // "DIR"; empty for flag and toggle
    std::string text = {};    // one sentence without a full stop
    Kind kind = Kind::flag;
    bool required = false; // neither flag nor environment: exit 2
    std::string default_text =
        {}; // given to get() when nothing else is; shown in the help. "true"/"false" for a toggle
    std::string env = {}; // "HASP_…": used when the flag is absent; empty for none
    std::vector<std::string> choices = {}; // the only values allowed; empty: any. Also completed
};

struct Positional {
    std::string name; // "APP": get("APP")
    std::string text = {};
    bool required = true;
    bool repeated = false; // the last one only; list("FILE")
};

struct Example {
    std::string line; // "hasp local invite kiosk > kiosk.invite"
    std::string text; // what it does, a sentence
};

class Args;
struct Env;

struct Command {
    std::vector<std::string> path; // {"local", "invite"}
    std::string summary;           // one line without a full stop
    std::string description = {};  // paragraphs divided by an empty line
    std::vector<Option> options = {};
    std::vector<Positional> positionals = {};
    std::vector<Example> examples = {};
    std::vector<int> exit_codes = {}; // those worth naming beside 0, 1 and 2
    // Null for a noun that only has verbs (`hasp local`): it prints them and ends with 2.
    int (*run)(const Args&, Env&) = nullptr;
    bool hidden = false; // internal: works, but is in no help, manual or completion
};

// What a command is given from outside. Tests make their own. Owner: the caller of run_cli; one
// thread.
struct Env {
    std::function<void(std::string_view)> out; // data
    std::function<void(std::string_view)> err; // messages
    // All of standard input; refused above limit_bytes.
    std::function<Result<std::string>(std::size_t limit_bytes)> in;
    std::function<std::optional<std::string>(const std::string& name)> variable; // environment
    Clock& clock;
    Random& random;
    bool out_is_tty = false;
    bool err_is_tty = false;
    bool in_is_tty = false;
};

// The parsed command line: flag, then HASP_*, then default. Names without dashes. Asking for a name
// that the command's table does not have ends the process: it is a bug.
class Args {
  public:
    bool flag(std::string_view name) const;  // flag or toggle
    bool given(std::string_view name) const; // by flag or environment, not by default
    std::string
    get(std::string_view name) const; // value or positional; empty when absent and without default
    std::optional<std::string>
    find(std::string_view name) const; // nullopt when absent and without default
    const std::vector<std::string>&
    list(std::string_view name) const; // list, or repeated positional
    // get() as a decimal number in [least, most]; Code::usage with the option's name otherwise.
    Result<std::uint64_t> number(std::string_view name, std::uint64_t least,
                                 std::uint64_t most) const;

    const std::string& state() const {
        return state_;
    } // --state or HASP_STATE or the default, never empty
    bool state_given() const { return state_given_; }
    bool json() const { return json_; }
    bool quiet() const { return quiet_; }

  private:
    friend class Parser;
    struct Value {
        std::vector<std::string> texts;
        bool given = false;
        bool on = false;
    };
    const Value& at(std::string_view name) const;
    std::map<std::string, Value, std::less<>> values_;
    std::string state_;
    bool state_given_ = false;
    bool json_ = false;
    bool quiet_ = false;
};

inline constexpr const char* default_state = "/var/lib/hasp";

// Prints the error (text or JSON, by args.json()) on env.err and gives the exit code: `return
// report(args, env, r.error());`
int report(const Args& args, Env& env, const Error& error);
void print_error(bool json, Env& env, const Error& error);

// A manual page of section 5 made from a table of keys: hasp.toml(5), hasp-app.toml(5).
struct FileManual {
    std::string file;        // "hasp.toml"
    std::string summary;     // one line
    std::string description; // paragraphs divided by an empty line
    std::vector<maint::TableRow> rows;
    std::string example; // a whole example file; may be empty
};

struct Program {
    std::span<const Command> commands; // in the order in which help lists them
    std::span<const FileManual> manuals;
};

// Parses and runs. Gives the process's exit code; never throws. `hasp help …`, `hasp --version` and
// the hidden `hasp help-dump FORMAT DIR` (man, bash, zsh, fish or all) are built in.
int run_cli(const Program& program, int argc, const char* const* argv, Env& env);

// Help of one command, of a noun, or (empty path) of the program; for a terminal 80 columns wide.
std::string render_help(const Program& program, const std::vector<std::string>& path);

// --- docs.cpp: from the same table; the output depends on the table alone ---

struct Document {
    std::string path; // beneath the folder: "man/hasp.1", "completions/hasp.bash"
    std::string text;
};
// man/*.1, man/*.5, completions/hasp.bash, _hasp and hasp.fish. `format`: man, bash, zsh, fish or
// all; otherwise empty.
std::vector<Document> render_documents(const Program& program, std::string_view format);

} // namespace hasp::cmd
