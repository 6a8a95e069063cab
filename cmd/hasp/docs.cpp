// Help texts, and the words that they share with the manual pages.
#include "docs_text.h"

#include "base/text.h"

#include <algorithm>
#include <array>

namespace hasp::cmd {

namespace {

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

} // namespace

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

std::string join_words(const Words& words, const char* between) {
    std::string out;
    for (const std::string& word : words) {
        out += (out.empty() ? "" : between) + word;
    }
    return out;
}

bool begins_with(const Words& path, const Words& prefix) {
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
        notes.push_back("one of " + join_words(option.choices, ", "));
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
    if (notes.empty()) {
        return out;
    }
    // A text may end with a note of its own, in brackets.
    if (out.ends_with(')')) {
        out.pop_back();
        return out + "; " + join_words(notes, "; ") + ")";
    }
    return out + " (" + join_words(notes, "; ") + ")";
}

std::string positional_text(const Positional& positional) {
    const std::string name = positional.repeated ? positional.name + "..." : positional.name;
    return positional.required ? name : "[" + name + "]";
}

std::string synopsis(const Command& command) {
    std::string out = "hasp " + join_words(command.path);
    if (!command.options.empty()) {
        out += " [OPTION...]";
    }
    for (const Positional& positional : command.positionals) {
        out += " " + positional_text(positional);
    }
    return out;
}

// The visible commands directly below `path`, each once; a noun without a row of its own is
// described by its verbs.
std::vector<Entry> children(const Program& program, const Words& path) {
    std::vector<Entry> out;
    for (const Command& command : program.commands) {
        if (command.hidden || command.path.size() <= path.size() ||
            !begins_with(command.path, path)) {
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

const Command* command_at(const Program& program, const Words& path) {
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

std::vector<int> all_exit_codes() {
    std::vector<int> out;
    for (const ExitCode& known : exit_codes) {
        out.push_back(known.code);
    }
    return out;
}

std::string render_help(const Program& program, const Words& path) {
    const Command* command = command_at(program, path);
    const bool runs = command != nullptr && command->run != nullptr;
    const std::vector<Entry> below = children(program, path);
    std::string out;
    if (runs) {
        out += "Usage: " + synopsis(*command) + "\n";
    }
    if (!below.empty()) {
        out += (runs ? "       hasp " : "Usage: hasp ") +
               (path.empty() ? "" : join_words(path) + " ") + "COMMAND ...\n";
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
            out += entry(join_words(e.path), e.summary);
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

} // namespace hasp::cmd
