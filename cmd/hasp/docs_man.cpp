// Manual pages from the table of commands. Nothing here depends on the machine, the time or the
// locale, so that the committed pages can be compared with what the binary writes.
#include "docs_text.h"

#include "base/text.h"

#include <algorithm>
#include <array>
#include <map>

namespace hasp::cmd {

// docs_completions.cpp
std::vector<Document> render_completions(const Program& program, std::string_view format);

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
                                                        join_words(command.path) + ".");
            }
        }
    }
    out += ".SH OPTIONS\nThese work with every command.\n" + roff_options(global_options());
    out += roff_exit_codes(all_exit_codes()) +
           ".SH ENVIRONMENT\nAn option wins over its variable, and a variable over a file.\n";
    for (const auto& [name, text] : environment) {
        out += ".TP\n.B " + roff(name) + "\n" + roff(text) + "\n";
    }
    out += ".SH FILES\n";
    constexpr std::array<std::pair<const char*, const char*>, 7> files = {{
        {"STATE/hasp.toml", "The config of the tier, see hasp.toml(5)."},
        {"STATE/keys/", "The keys and certificates of the tier. Keep them secret."},
        {"STATE/keeper.db", "The registry, accounts, sessions, children and leases."},
        {"STATE/ledger.db", "Usage of this tier and of those below, tariffs and invoices."},
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
        if (!command.hidden && command.run != nullptr && begins_with(command.path, top.path)) {
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
    const Command* self = command_at(program, top.path);
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
