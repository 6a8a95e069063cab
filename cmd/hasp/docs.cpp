// Help texts and manual pages from the table of commands. Nothing here depends on the machine, the
// time or the locale, so that the committed pages can be compared with what the binary writes.
#include "command.h"

#include "base/text.h"

#include <algorithm>
#include <array>
#include <map>

namespace hasp::cmd {

// docs_completions.cpp
std::vector<Document> render_completions(const Program& program, std::string_view format);

namespace {

using Words = std::vector<std::string>;

constexpr std::size_t text_width = 78;

struct ExitCode {
    int code;
    const char* text;
};
constexpr std::array<ExitCode, 10> exit_codes = {{
    {0, "done, or nothing to do"},
    {1, "it failed"},
    {2, "the command line or a file is malformed"},
    {3, "some of it was done, or something is incomplete"},
    {4, "refused, or something did not verify"},
    {5, "not found"},
    {6, "it exists already, or is locked by somebody else"},
    {7, "the other side cannot be reached"},
    {8, "timed out"},
    {75, "nothing is wrong, but try again later"},
}};

const std::vector<Option>& global_options() {
    static const std::vector<Option> options = {
        {.name = "state",
         .metavar = "DIR",
         .text = "the folder of the tier",
         .kind = Kind::value,
         .default_text = default_state,
         .env = "HASP_STATE"},
        {.name = "json", .text = "write data and errors as JSON"},
        {.name = "quiet", .letter = 'q', .text = "write nothing when there is nothing to say"},
        {.name = "help", .letter = 'h', .text = "show the help of a command"},
        {.name = "version", .text = "show the version"},
    };
    return options;
}

std::string join(const Words& words, const char* between = " ") {
    std::string out;
    for (const std::string& word : words) {
        out += (out.empty() ? "" : between) + word;
    }
    return out;
}

bool starts_with(const Words& path, const Words& prefix) {
    return path.size() >= prefix.size() && std::equal(prefix.begin(), prefix.end(), path.begin());
}

std::string dashes(const Option& option) {
    std::string out = option.letter == 0 ? "    " : std::string("-") + option.letter + ", ";
    out += option.kind == Kind::toggle ? "--[no-]" + option.name : "--" + option.name;
    return option.metavar.empty() ? out : out + " " + option.metavar;
}

std::string option_text(const Option& option) {
    std::string out = option.text;
    Words notes;
    if (option.required) {
        notes.push_back("required");
    }
    if (!option.choices.empty()) {
        notes.push_back("one of " + join(option.choices, ", "));
    }
    if (option.kind == Kind::list) {
        notes.push_back("may be repeated");
    }
    if (!option.default_text.empty() && option.kind != Kind::flag) {
        notes.push_back("default: " + option.default_text);
    }
    if (!option.env.empty()) {
        notes.push_back("environment: " + option.env);
    }
    return notes.empty() ? out : out + " (" + join(notes, "; ") + ")";
}

std::string positional_text(const Positional& positional) {
    const std::string name = positional.repeated ? positional.name + "..." : positional.name;
    return positional.required ? name : "[" + name + "]";
}

std::string synopsis(const Command& command) {
    std::string out = "hasp " + join(command.path);
    if (!command.options.empty()) {
        out += " [OPTION...]";
    }
    for (const Positional& positional : command.positionals) {
        out += " " + positional_text(positional);
    }
    return out;
}

// Columns on a terminal: one a code point is near enough.
std::size_t width_of(std::string_view text) {
    return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
        return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
    }));
}

// Text wrapped at words; every line indented. Paragraphs stay.
std::string wrap(std::string_view text, std::size_t indent) {
    std::string out;
    for (const std::string_view paragraph : split(text, '\n')) {
        std::size_t column = 0;
        for (const std::string_view word : split(paragraph, ' ')) {
            if (word.empty()) {
                continue;
            }
            if (column > 0 && column + 1 + width_of(word) > text_width) {
                out += '\n';
                column = 0;
            }
            out += column == 0 ? std::string(indent, ' ') : " ";
            out += word;
            column += (column == 0 ? indent : 1) + width_of(word);
        }
        out += '\n';
    }
    return out;
}

// "  LEFT      text", the text in a column of its own.
std::string entry(const std::string& left, const std::string& text) {
    constexpr std::size_t column = 28;
    std::string out = "  " + left;
    const std::string wrapped = wrap(text, column);
    if (width_of(out) + 2 > column) {
        return out + "\n" + wrapped;
    }
    return out + wrapped.substr(width_of(out));
}

struct Entry {
    Words path;
    std::string summary;
};

// The visible commands directly below `path`, each once; a noun without a row of its own is
// described by its verbs.
std::vector<Entry> children(const Program& program, const Words& path) {
    std::vector<Entry> out;
    for (const Command& command : program.commands) {
        if (command.hidden || command.path.size() <= path.size() ||
            !starts_with(command.path, path)) {
            continue;
        }
        const Words child(command.path.begin(),
                          command.path.begin() + static_cast<std::ptrdiff_t>(path.size()) + 1);
        auto found =
            std::find_if(out.begin(), out.end(), [&](const Entry& e) { return e.path == child; });
        if (found == out.end()) {
            out.push_back({child, {}});
            found = out.end() - 1;
        }
        if (command.path == child) {
            found->summary = command.summary;
        }
    }
    return out;
}

const Command* find_command(const Program& program, const Words& path) {
    for (const Command& command : program.commands) {
        if (command.path == path) {
            return &command;
        }
    }
    return nullptr;
}

std::string exit_text(int code) {
    for (const ExitCode& known : exit_codes) {
        if (known.code == code) {
            return known.text;
        }
    }
    return {};
}

// 0, 1 and 2 are everybody's.
std::vector<int> codes_of(const Command& command) {
    std::vector<int> codes = {0, 1, 2};
    codes.insert(codes.end(), command.exit_codes.begin(), command.exit_codes.end());
    std::sort(codes.begin(), codes.end());
    codes.erase(std::unique(codes.begin(), codes.end()), codes.end());
    return codes;
}

std::string first_upper(std::string text) {
    if (!text.empty() && text.front() >= 'a' && text.front() <= 'z') {
        text.front() = static_cast<char>(text.front() - 'a' + 'A');
    }
    return text;
}

} // namespace

std::string render_help(const Program& program, const Words& path) {
    const Command* command = find_command(program, path);
    const bool runs = command != nullptr && command->run != nullptr;
    const std::vector<Entry> below = children(program, path);
    std::string out;
    if (runs) {
        out += "Usage: " + synopsis(*command) + "\n";
    }
    if (!below.empty()) {
        out += (runs ? "       hasp " : "Usage: hasp ") + (path.empty() ? "" : join(path) + " ") +
               "COMMAND ...\n";
    }
    out +=
        "\n" + wrap(command != nullptr ? first_upper(command->summary) + "."
                    : path.empty()
                        ? "A hierarchy of application servers that goes on when the link is down."
                        : "",
                    0);
    if (command != nullptr && !command->description.empty()) {
        out += "\n" + wrap(command->description, 0);
    }
    if (!below.empty()) {
        out += "\nCommands:\n";
        for (const Entry& e : below) {
            out += entry(join(e.path), e.summary);
        }
    }
    if (runs && !command->positionals.empty()) {
        out += "\nArguments:\n";
        for (const Positional& positional : command->positionals) {
            out += entry(positional_text(positional), positional.text);
        }
    }
    if (runs && !command->options.empty()) {
        out += "\nOptions:\n";
        for (const Option& option : command->options) {
            out += entry(dashes(option), option_text(option));
        }
    }
    out += "\nOptions of every command:\n";
    for (const Option& option : global_options()) {
        out += entry(dashes(option), option_text(option));
    }
    if (command != nullptr && !command->examples.empty()) {
        out += "\nExamples:\n";
        for (const Example& example : command->examples) {
            out += "  " + example.line + "\n" + wrap(example.text, 6);
        }
    }
    if (runs) {
        out += "\nExit status:\n";
        for (const int code : codes_of(*command)) {
            out += entry(std::to_string(code), exit_text(code));
        }
    }
    return out;
}

namespace {

std::string roff(const std::string& text) {
    return maint::roff_escape(text);
}

// Paragraphs: an empty line in the text becomes .PP
std::string roff_paragraphs(const std::string& text) {
    std::string out;
    bool gap = false;
    for (const std::string_view line : split(text, '\n')) {
        if (trim(line).empty()) {
            gap = !out.empty();
            continue;
        }
        out += (gap ? ".PP\n" : "") + roff(std::string(trim(line))) + "\n";
        gap = false;
    }
    return out;
}

std::string head(const std::string& name, int section, const std::string& summary) {
    std::string upper;
    for (const char c : name) {
        upper += c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    }
    const std::string number = std::to_string(section);
    return ".\\\" Made by `hasp help-dump man`: do not edit.\n.TH " + roff(upper) + " " + number +
           " " + HASP_RELEASE_DATE + " \"hasp " + HASP_VERSION + "\" \"hasp manual\"\n.SH NAME\n" +
           roff(name) + " \\- " + roff(summary) + "\n";
}

std::string roff_options(const std::vector<Option>& options) {
    std::string out;
    for (const Option& option : options) {
        out += ".TP\n.B " + roff(std::string(trim(dashes(option)))) + "\n" +
               roff(first_upper(option_text(option))) + ".\n";
    }
    return out;
}

std::string roff_body(const Command& command) {
    std::string out = roff(first_upper(command.summary)) + ".\n";
    if (!command.description.empty()) {
        out += ".PP\n" + roff_paragraphs(command.description);
    }
    for (const Positional& positional : command.positionals) {
        out += ".TP\n.I " + roff(positional_text(positional)) + "\n" +
               roff(first_upper(positional.text)) + ".\n";
    }
    out += roff_options(command.options);
    for (const Example& example : command.examples) {
        out += ".PP\n" + roff(example.text) + "\n.PP\n.RS 4\n.nf\n" + roff(example.line) +
               "\n.fi\n.RE\n";
    }
    return out;
}

std::string roff_exit_codes(const std::vector<int>& codes) {
    std::string out = ".SH EXIT STATUS\n";
    for (const int code : codes) {
        out +=
            ".TP\n.B " + std::to_string(code) + "\n" + roff(first_upper(exit_text(code))) + ".\n";
    }
    return out;
}

std::string see_also(const Program& program, const std::string& self) {
    Words pages = {"hasp(1)"};
    if (self == "hasp") {
        pages.clear();
        for (const Entry& e : children(program, {})) {
            pages.push_back("hasp-" + e.path.front() + "(1)");
        }
    }
    for (const FileManual& manual : program.manuals) {
        if (manual.file != self) {
            pages.push_back(manual.file + "(5)");
        }
    }
    std::string out = ".SH SEE ALSO\n";
    for (std::size_t i = 0; i < pages.size(); ++i) {
        const std::size_t bracket = pages[i].find('(');
        out += ".BR " + roff(pages[i].substr(0, bracket)) + " " + pages[i].substr(bracket) +
               (i + 1 < pages.size() ? " ,\n" : "\n");
    }
    return out;
}

std::string main_page(const Program& program) {
    std::string out =
        head("hasp", 1, "a hierarchy of application servers that goes on when the link is down");
    out += ".SH SYNOPSIS\n.B hasp\n.I COMMAND\n.RI [ OPTION... ]\n.SH DESCRIPTION\n";
    out += roff_paragraphs(
        "hasp runs one tier of a tree of application servers. Users reach every app of every tier "
        "through the tier on their "
        "own network; what a tier does not hold, it passes on to its parent. Within its leases a "
        "tier goes on serving when the link to "
        "its parent is down.\n\nCommands talk to a running tier by the socket in its folder; "
        "without a running tier they "
        "take the lock of the folder. Data goes to standard output, messages to standard error.");
    out += ".SH COMMANDS\n";
    std::map<std::string, std::string> environment = {
        {"HASP_STATE", "The folder of the tier, as --state."}};
    for (const Entry& e : children(program, {})) {
        out += ".TP\n.BR " + roff("hasp-" + e.path.front()) + " (1)\n" +
               roff(first_upper(e.summary)) + ".\n";
    }
    for (const Command& command : program.commands) {
        for (const Option& option : command.options) {
            if (!command.hidden && !option.env.empty()) {
                environment.try_emplace(option.env, "The same as --" + option.name + " of hasp " +
                                                        join(command.path) + ".");
            }
        }
    }
    out += ".SH OPTIONS\nThese work with every command.\n" + roff_options(global_options());
    std::vector<int> all;
    for (const ExitCode& code : exit_codes) {
        all.push_back(code.code);
    }
    out += roff_exit_codes(all) +
           ".SH ENVIRONMENT\nAn option wins over its variable, and a variable over a file.\n";
    for (const auto& [name, text] : environment) {
        out += ".TP\n.B " + roff(name) + "\n" + roff(text) + "\n";
    }
    out += ".SH FILES\n";
    constexpr std::array<std::pair<const char*, const char*>, 6> files = {{
        {"STATE/hasp.toml", "The config of the tier, see hasp.toml(5)."},
        {"STATE/keys/", "The keys and certificates of the tier. Keep them secret."},
        {"STATE/keeper.db", "The registry, accounts, sessions, children and leases."},
        {"STATE/admin.sock", "Where the commands of this machine reach the running tier."},
        {"STATE/releases/", "The releases of apps that the tier holds."},
        {"STATE/log/", "The access log and the last output of each app."},
    }};
    for (const auto& [name, text] : files) {
        out += std::string(".TP\n.I ") + roff(name) + "\n" + roff(text) + "\n";
    }
    return out + see_also(program, "hasp");
}

std::string command_page(const Program& program, const Entry& top) {
    const std::string name = "hasp-" + top.path.front();
    std::string out = head(name, 1, top.summary) + ".SH SYNOPSIS\n";
    std::vector<const Command*> runs;
    std::vector<int> codes;
    for (const Command& command : program.commands) {
        if (!command.hidden && command.run != nullptr && starts_with(command.path, top.path)) {
            runs.push_back(&command);
            const std::vector<int> more = codes_of(command);
            codes.insert(codes.end(), more.begin(), more.end());
        }
    }
    std::sort(codes.begin(), codes.end());
    codes.erase(std::unique(codes.begin(), codes.end()), codes.end());
    for (const Command* command : runs) {
        out += std::string(command == runs.front() ? "" : ".br\n") + ".B " +
               roff(synopsis(*command)) + "\n";
    }
    out += ".SH DESCRIPTION\n";
    const Command* self = find_command(program, top.path);
    out += self != nullptr ? roff_body(*self) : roff(first_upper(top.summary)) + ".\n";
    if (runs.size() > 1 || (runs.size() == 1 && runs.front() != self)) {
        out += ".SH COMMANDS\n";
        for (const Command* command : runs) {
            if (command != self) {
                out += ".SS " + roff(synopsis(*command)) + "\n" + roff_body(*command);
            }
        }
    }
    out += ".SH COMMON OPTIONS\nThe options\n.BR \\-\\-state ,\n.BR \\-\\-json\nand\n.B "
           "\\-\\-quiet\nare described in\n.BR hasp (1).\n";
    return out + roff_exit_codes(codes) + see_also(program, name);
}

std::string file_page(const Program& program, const FileManual& manual) {
    std::string out = head(manual.file, 5, manual.summary) + ".SH DESCRIPTION\n" +
                      roff_paragraphs(manual.description) + ".SH KEYS\n" +
                      maint::table_to_roff(manual.rows);
    if (!manual.example.empty()) {
        out += ".SH EXAMPLE\n.nf\n";
        std::string example = manual.example;
        while (example.ends_with('\n')) {
            example.pop_back();
        }
        for (const std::string_view line : split(example, '\n')) {
            out += (line.empty() ? "\\&" : roff(std::string(line))) + "\n";
        }
        out += ".fi\n";
    }
    return out + see_also(program, manual.file);
}

} // namespace

std::vector<Document> render_documents(const Program& program, std::string_view format) {
    std::vector<Document> out;
    if (format == "man" || format == "all") {
        out.push_back({"man/hasp.1", main_page(program)});
        for (const Entry& top : children(program, {})) {
            out.push_back({"man/hasp-" + top.path.front() + ".1", command_page(program, top)});
        }
        for (const FileManual& manual : program.manuals) {
            out.push_back({"man/" + manual.file + ".5", file_page(program, manual)});
        }
    }
    for (Document& completion : render_completions(program, format)) {
        out.push_back(std::move(completion));
    }
    return out;
}

} // namespace hasp::cmd
