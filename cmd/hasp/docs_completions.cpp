// Completions for bash, zsh and fish from the table of commands. Each finds the longest path of
// command words on the line and offers what may follow it.
#include "command.h"

#include <algorithm>

namespace hasp::cmd {

std::vector<Document> render_completions(const Program& program, std::string_view format);

namespace {

using Words = std::vector<std::string>;

struct Place {
    std::string path; // "local invite"; empty: nothing typed yet
    std::vector<std::pair<std::string, std::string>> next; // word and summary
    std::vector<Option> options;
    std::vector<Positional> positionals;
};

std::string join(const Words& words, const char* between) {
    std::string out;
    for (const std::string& word : words) {
        out += (out.empty() ? "" : between) + word;
    }
    return out;
}

// Every path of visible commands, nouns included, in the table's order; the empty path first.
std::vector<Place> places_of(const Program& program) {
    std::vector<Place> out = {Place{}};
    const auto place = [&](const std::string& path) -> Place& {
        const auto found =
            std::find_if(out.begin(), out.end(), [&](const Place& p) { return p.path == path; });
        if (found != out.end()) {
            return *found;
        }
        out.push_back(Place{path, {}, {}, {}});
        return out.back();
    };
    for (const Command& command : program.commands) {
        if (command.hidden) {
            continue;
        }
        Words path;
        for (const std::string& word : command.path) {
            const bool last = path.size() + 1 == command.path.size();
            auto& next = place(join(path, " ")).next;
            const auto found = std::find_if(next.begin(), next.end(),
                                            [&](const auto& n) { return n.first == word; });
            if (found == next.end()) {
                next.emplace_back(word, last ? command.summary : "");
            } else if (last) {
                found->second = command.summary;
            }
            path.push_back(word);
            place(join(path, " "));
        }
        Place& self = place(join(path, " "));
        self.options = command.options;
        self.positionals = command.positionals;
    }
    return out;
}

constexpr const char* global_words = "--state --json --quiet --help";

Words option_words(const Place& place) {
    Words out;
    for (const Option& option : place.options) {
        out.push_back("--" + option.name);
        if (option.kind == Kind::toggle) {
            out.push_back("--no-" + option.name);
        }
    }
    return out;
}

bool names_folder(const std::string& metavar) {
    return metavar == "DIR" || metavar == "FOLDER";
}
bool names_file(const std::string& metavar) {
    return metavar == "FILE" || metavar == "PATH";
}
// Whether words of this command are files or folders.
bool takes_files(const Place& place) {
    return std::any_of(place.positionals.begin(), place.positionals.end(), [](const Positional& p) {
        return names_file(p.name) || names_folder(p.name);
    });
}
bool takes_value(const Option& option) {
    return option.kind == Kind::value || option.kind == Kind::list;
}

// Inside single quotes of a shell.
std::string quoted(const std::string& text) {
    std::string out = "'";
    for (const char c : text) {
        out += c == '\'' ? "'\\''" : std::string(1, c);
    }
    return out + "'";
}

// fish has its own escape inside single quotes.
std::string fish_quoted(const std::string& text) {
    std::string out = "'";
    for (const char c : text) {
        out += c == '\'' || c == '\\' ? std::string("\\") + c : std::string(1, c);
    }
    return out + "'";
}

std::string known_paths(const std::vector<Place>& places, const char* prefix) {
    std::string out;
    for (const Place& place : places) {
        if (!place.path.empty()) {
            out += prefix + quoted(place.path);
        }
    }
    return out;
}

std::string bash(const std::vector<Place>& places) {
    std::string out = "# bash completion for hasp. Made by `hasp help-dump bash`: do not edit.\n"
                      "_hasp() {\n"
                      "    local current=${COMP_WORDS[COMP_CWORD]} "
                      "previous=${COMP_WORDS[COMP_CWORD-1]} path= word i\n"
                      "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
                      "        word=${COMP_WORDS[i]}\n"
                      "        case \"${path:+$path }$word\" in\n        ";
    bool first = true;
    for (const Place& place : places) {
        if (!place.path.empty()) {
            out += (first ? "" : "|") + quoted(place.path);
            first = false;
        }
    }
    if (first) {
        out += "''";
    }
    out += ") path=${path:+$path }$word ;;\n        esac\n    done\n"
           "    COMPREPLY=()\n"
           "    case \"$path:$previous\" in\n"
           "    *:--state) COMPREPLY=($(compgen -d -- \"$current\")); return ;;\n";
    for (const Place& place : places) {
        for (const Option& option : place.options) {
            if (!takes_value(option)) {
                continue;
            }
            std::string action = "return";
            if (!option.choices.empty()) {
                action = "COMPREPLY=($(compgen -W " + quoted(join(option.choices, " ")) +
                         " -- \"$current\")); return";
            } else if (names_folder(option.metavar)) {
                action = "COMPREPLY=($(compgen -d -- \"$current\")); return";
            } else if (names_file(option.metavar)) {
                action = "COMPREPLY=($(compgen -f -- \"$current\")); return";
            }
            out += "    " + quoted(place.path + ":--" + option.name) + ") " + action + " ;;\n";
        }
    }
    out += "    esac\n    local words= files=\n    case \"$path\" in\n";
    for (const Place& place : places) {
        Words words;
        for (const auto& [word, summary] : place.next) {
            words.push_back(word);
        }
        const Words options = option_words(place);
        words.insert(words.end(), options.begin(), options.end());
        words.emplace_back(global_words);
        out += "    " + quoted(place.path) + ") words=" + quoted(join(words, " ")) +
               (takes_files(place) ? " files=1" : "") + " ;;\n";
    }
    return out + "    esac\n"
                 "    COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
                 "    if [[ $files && $current != -* ]]; then COMPREPLY+=($(compgen -f -- "
                 "\"$current\")); fi\n"
                 "}\n"
                 "complete -o filenames -F _hasp hasp\n";
}

// In a zsh specification, brackets and colons in a text have a meaning.
std::string zsh_text(const std::string& text) {
    std::string out;
    for (const char c : text) {
        if (c == '[' || c == ']' || c == ':' || c == '\\') {
            out += '\\';
        }
        out += c;
    }
    return out;
}

std::string zsh_action(const Option& option) {
    if (!option.choices.empty()) {
        return "(" + join(option.choices, " ") + ")";
    }
    return names_folder(option.metavar) ? "_files -/" : names_file(option.metavar) ? "_files" : " ";
}

std::string zsh(const std::vector<Place>& places) {
    std::string out =
        "#compdef hasp\n# Made by `hasp help-dump zsh`: do not edit.\n"
        "_hasp() {\n"
        "    local -a known specs commands\n"
        "    local route= word files=0\n"
        "    known=(" +
        known_paths(places, " ") +
        " )\n"
        "    for word in ${words[2,CURRENT-1]}; do\n"
        "        (( ${known[(Ie)${route:+$route }$word]} )) && route=\"${route:+$route }$word\"\n"
        "    done\n"
        "    specs=('--state[the folder of the tier]:DIR:_files -/' '--json[write data and errors "
        "as JSON]'"
        " '(-q --quiet)'{-q,--quiet}'[write nothing when there is nothing to say]' '(-h "
        "--help)'{-h,--help}'[show the help]')\n"
        "    case $route in\n";
    for (const Place& place : places) {
        out += "    " + quoted(place.path) + ")\n";
        if (!place.next.empty()) {
            out += "        commands=(";
            for (const auto& [word, summary] : place.next) {
                out += " " + quoted(zsh_text(word) + ":" + zsh_text(summary));
            }
            out += " )\n";
        }
        for (const Option& option : place.options) {
            const std::string many = option.kind == Kind::list ? "*" : "";
            const std::string value =
                takes_value(option) ? ":" + zsh_text(option.metavar) + ":" + zsh_action(option)
                                    : "";
            const std::string text = "[" + zsh_text(option.text) + "]";
            out += "        specs+=(" + quoted(many + "--" + option.name + text + value) + ")\n";
            if (option.kind == Kind::toggle) {
                out += "        specs+=(" + quoted("--no-" + option.name + text) + ")\n";
            }
        }
        out += takes_files(place) ? "        files=1\n        ;;\n" : "        ;;\n";
    }
    return out + "    esac\n"
                 "    (( ${#commands} )) && _describe command commands\n"
                 "    (( files )) && specs+=('*:file:_files') || specs+=('*: : ')\n"
                 "    _arguments -S $specs\n"
                 "}\n"
                 "_hasp \"$@\"\n";
}

std::string fish(const std::vector<Place>& places) {
    std::string out =
        "# fish completion for hasp. Made by `hasp help-dump fish`: do not edit.\n"
        "set -g __hasp_known" +
        known_paths(places, " ") +
        "\n"
        "function __hasp_at\n"
        "    set -l route\n"
        "    for word in (commandline -opc)[2..-1]\n"
        "        set -l longer (string join -- ' ' $route $word)\n"
        "        contains -- $longer $__hasp_known; and set route $longer\n"
        "    end\n"
        "    test \"$route\" = \"$argv[1]\"\n"
        "end\n"
        "complete -c hasp -f\n"
        "complete -c hasp -l state -x -a '(__fish_complete_directories)' -d 'the folder of the "
        "tier'\n"
        "complete -c hasp -l json -d 'write data and errors as JSON'\n"
        "complete -c hasp -s q -l quiet -d 'write nothing when there is nothing to say'\n"
        "complete -c hasp -s h -l help -d 'show the help'\n";
    for (const Place& place : places) {
        const std::string start =
            "complete -c hasp -n " + fish_quoted("__hasp_at \"" + place.path + "\"");
        for (const auto& [word, summary] : place.next) {
            out += start + " -a " + fish_quoted(word) + " -d " + fish_quoted(summary) + "\n";
        }
        for (const Option& option : place.options) {
            std::string line = start + " -l " + option.name;
            if (option.letter != 0) {
                line += std::string(" -s ") + option.letter;
            }
            if (!option.choices.empty()) {
                line += " -x -a " + fish_quoted(join(option.choices, " "));
            } else if (names_folder(option.metavar)) {
                line += " -x -a '(__fish_complete_directories)'";
            } else if (takes_value(option)) {
                line += names_file(option.metavar) ? " -r -F" : " -x";
            }
            out += line + " -d " + fish_quoted(option.text) + "\n";
            if (option.kind == Kind::toggle) {
                out += start + " -l no-" + option.name + " -d " + fish_quoted(option.text) + "\n";
            }
        }
        if (!place.positionals.empty()) {
            out += takes_files(place) ? start + " -F\n" : "";
        }
    }
    return out;
}

} // namespace

std::vector<Document> render_completions(const Program& program, std::string_view format) {
    const std::vector<Place> places = places_of(program);
    const bool all = format == "all";
    std::vector<Document> out;
    if (all || format == "bash") {
        out.push_back({"completions/hasp.bash", bash(places)});
    }
    if (all || format == "zsh") {
        out.push_back({"completions/_hasp", zsh(places)});
    }
    if (all || format == "fish") {
        out.push_back({"completions/hasp.fish", fish(places)});
    }
    return out;
}

} // namespace hasp::cmd
