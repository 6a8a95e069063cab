// The command line: finds the command in the table, lets CLI11 take its options apart, and turns
// every mistake into a message with the nearest thing that would have been right.
#include "command.h"

#include "base/files.h"
#include "base/text.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <exception>

namespace hasp::cmd {

namespace {

constexpr const char* program_name = "hasp";

using Words = std::vector<std::string>;

std::string join(const Words& words) {
    std::string out;
    for (const std::string& word : words) {
        out += (out.empty() ? "" : " ") + word;
    }
    return out;
}

bool starts_with(const Words& path, const Words& prefix) {
    return path.size() >= prefix.size() && std::equal(prefix.begin(), prefix.end(), path.begin());
}

const Command* find_command(const Program& program, const Words& path) {
    for (const Command& command : program.commands) {
        if (command.path == path) {
            return &command;
        }
    }
    return nullptr;
}

bool is_path(const Program& program, const Words& path) {
    return std::any_of(program.commands.begin(), program.commands.end(),
                       [&](const Command& command) { return starts_with(command.path, path); });
}

// The words that may follow `path`, without hidden ones.
Words next_words(const Program& program, const Words& path) {
    Words out;
    for (const Command& command : program.commands) {
        if (!command.hidden && command.path.size() > path.size() &&
            starts_with(command.path, path) &&
            std::find(out.begin(), out.end(), command.path[path.size()]) == out.end()) {
            out.push_back(command.path[path.size()]);
        }
    }
    return out;
}

std::string help_line(const Words& path) {
    return "`" + join({program_name}) + (path.empty() ? "" : " " + join(path)) +
           " --help` says more";
}

Error usage_error(std::string message, const std::string& near, const Words& path) {
    return fail(Code::usage, std::move(message),
                (near.empty() ? "" : "did you mean `" + near + "`? ") + help_line(path));
}

// What stands before and after the command's words: global options may stand in both places.
struct Split {
    Words path;
    Words rest; // options and positionals, without the path
};

Result<Split> split_line(const Program& program, const Words& words) {
    Split out;
    std::size_t i = 0;
    for (; i < words.size(); ++i) {
        const std::string& word = words[i];
        if (word == "--") {
            break;
        }
        if (word.size() > 1 && word.front() == '-') {
            out.rest.push_back(word);
            // The only global option with a value. A command's own options come after its words.
            if (word == "--state" && i + 1 < words.size()) {
                out.rest.push_back(words[++i]);
            } else if (!out.path.empty() && word != "--json" && word != "--quiet" && word != "-q" &&
                       !word.starts_with("--state=")) {
                ++i;
                break;
            }
            continue;
        }
        Words longer = out.path;
        longer.push_back(word);
        if (is_path(program, longer)) {
            out.path = std::move(longer);
            continue;
        }
        const Command* command = find_command(program, out.path);
        if (command == nullptr || command->run == nullptr) {
            std::string near = nearest(word, next_words(program, out.path));
            if (!near.empty()) {
                near = join({program_name}) + " " + (out.path.empty() ? "" : join(out.path) + " ") +
                       near;
            }
            return usage_error("there is no command `" + join({program_name}) + " " + join(longer) +
                                   "`",
                               near, out.path);
        }
        break;
    }
    out.rest.insert(out.rest.end(), words.begin() + static_cast<std::ptrdiff_t>(i), words.end());
    return out;
}

bool wants_json(const Words& words) {
    for (const std::string& word : words) {
        if (word == "--") {
            return false;
        }
        if (word == "--json") {
            return true;
        }
    }
    return false;
}

int print_paths(const Program& program, const Words& path, Env& env) {
    env.err(render_help(program, path));
    return exit_code(Code::usage);
}

int dump_documents(const Program& program, const Words& arguments, bool json, Env& env) {
    if (arguments.size() != 2) {
        print_error(
            json, env,
            fail(Code::usage, "help-dump takes a format (man, bash, zsh, fish, all) and a folder"));
        return exit_code(Code::usage);
    }
    const std::vector<Document> documents = render_documents(program, arguments[0]);
    if (documents.empty()) {
        print_error(json, env,
                    fail(Code::usage, "help-dump does not know the format " + arguments[0],
                         "use man, bash, zsh, fish or all"));
        return exit_code(Code::usage);
    }
    for (const Document& document : documents) {
        const std::string path = arguments[1] + "/" + document.path;
        Status written = make_folders(path.substr(0, path.rfind('/')), 0755);
        if (written.ok()) {
            written = write_file_durably(path, document.text, 0644);
        }
        if (!written.ok()) {
            print_error(json, env, written.error());
            return exit_code(written.error().code);
        }
    }
    return 0;
}

} // namespace

// Fills Args from the words after the command's path.
class Parser {
  public:
    Parser(const Command& command, Env& env) : command_(command), env_(env) {}

    bool help = false;
    bool version = false;

    Result<Args> parse(const Words& rest) {
        CLI::App app;
        app.set_help_flag();
        app.allow_extras(true);
        add_globals(app);
        for (const Option& option : command_.options) {
            add(app, option);
        }
        Words positionals;
        app.add_option("WORDS", positionals)->take_all();
        try {
            // What follows "--" is nothing that CLI11 has to take apart.
            const auto end = std::find(rest.begin(), rest.end(), "--");
            app.parse(Words(std::make_reverse_iterator(end), rest.rend()));
            if (end != rest.end()) {
                positionals.insert(positionals.end(), end + 1, rest.end());
            }
        } catch (const CLI::ArgumentMismatch& e) {
            const std::string text = e.what();
            return usage_error("the option " + text.substr(0, text.find(':')) +
                                   " takes one value, once",
                               {}, command_.path);
        } catch (const CLI::Error& e) {
            return usage_error(e.what(), {}, command_.path);
        }
        if (help || version) {
            return std::move(args_);
        }
        if (const Words extra = app.remaining(); !extra.empty()) {
            return unknown(extra.front());
        }
        for (const Option& option : command_.options) {
            if (Status taken = take(app, option); !taken.ok()) {
                return taken.error();
            }
        }
        if (Status placed = place(positionals); !placed.ok()) {
            return placed.error();
        }
        return finish(app);
    }

  private:
    void add_globals(CLI::App& app) {
        app.add_option("--state", args_.state_)->expected(1);
        app.add_flag("--json", args_.json_);
        app.add_flag("-q,--quiet", args_.quiet_);
        app.add_flag("-h,--help", help);
        app.add_flag("--version", version);
    }

    void add(CLI::App& app, const Option& option) {
        const std::string letter = option.letter == 0 ? "" : std::string("-") + option.letter + ",";
        Args::Value& value = args_.values_[option.name];
        switch (option.kind) {
        case Kind::flag:
            app.add_flag(letter + "--" + option.name, value.on);
            break;
        case Kind::toggle:
            app.add_flag(letter + "--" + option.name + ",!--no-" + option.name, value.on);
            break;
        case Kind::value:
            app.add_option(letter + "--" + option.name, value.texts)
                ->expected(1)
                ->allow_extra_args(false); // the next word is a positional
            break;
        case Kind::list:
            app.add_option(letter + "--" + option.name, value.texts)
                ->take_all()
                ->allow_extra_args(false);
            break;
        }
    }

    // Gives each positional its word, and a repeated one, which is the last, all that are left.
    Status place(const Words& words) {
        std::size_t next = 0;
        for (const Positional& positional : command_.positionals) {
            Args::Value& value = args_.values_[positional.name];
            while (next < words.size() && (positional.repeated || value.texts.empty())) {
                value.texts.push_back(words[next++]);
            }
            value.given = !value.texts.empty();
            if (positional.required && !value.given) {
                return usage_error(
                    positional.name + " is missing" +
                        (positional.text.empty() ? "" : " (" + positional.text + ")"),
                    {}, command_.path);
            }
        }
        if (next < words.size()) {
            return surplus(words[next]);
        }
        return {};
    }

    Error surplus(const std::string& word) const {
        return usage_error("`hasp " + join(command_.path) + "` does not take the argument `" +
                               word + "`",
                           {}, command_.path);
    }

    Error unknown(const std::string& word) const {
        if (word.size() > 1 && word.front() == '-') {
            Words names = {"--state", "--json", "--quiet", "--help"};
            for (const Option& option : command_.options) {
                names.push_back("--" + option.name);
                if (option.kind == Kind::toggle) {
                    names.push_back("--no-" + option.name);
                }
            }
            const std::string name = word.substr(0, word.find('='));
            return usage_error("`hasp " + join(command_.path) + "` has no option " + name,
                               nearest(name, names), command_.path);
        }
        return surplus(word);
    }

    // Environment, default, choices and presence of one option.
    Status take(const CLI::App& app, const Option& option) {
        Args::Value& value = args_.values_[option.name];
        value.given = app.get_option("--" + option.name)->count() > 0;
        const bool texts = option.kind == Kind::value || option.kind == Kind::list;
        if (!value.given && !option.env.empty()) {
            if (const std::optional<std::string> set = env_.variable(option.env);
                set && !set->empty()) {
                value.given = true;
                if (texts) {
                    value.texts = {*set};
                } else if (*set == "1" || *set == "true" || *set == "0" || *set == "false") {
                    value.on = *set == "1" || *set == "true";
                } else {
                    return usage_error(option.env + " must be 1, true, 0 or false, not `" + *set +
                                           "`",
                                       {}, command_.path);
                }
            }
        }
        if (!value.given) {
            if (option.required) {
                return usage_error("--" + option.name + " is missing (" + option.text + ")", {},
                                   command_.path);
            }
            if (texts && !option.default_text.empty()) {
                value.texts = {option.default_text};
            } else {
                value.on = option.default_text == "true";
            }
        }
        for (const std::string& text : value.texts) {
            if (!option.choices.empty() && std::find(option.choices.begin(), option.choices.end(),
                                                     text) == option.choices.end()) {
                return usage_error("--" + option.name + " must be one of " + choices_text(option) +
                                       ", not `" + text + "`",
                                   nearest(text, option.choices), command_.path);
            }
        }
        return {};
    }

    static std::string choices_text(const Option& option) {
        std::string out;
        for (const std::string& choice : option.choices) {
            out += (out.empty() ? "" : ", ") + choice;
        }
        return out;
    }

    Result<Args> finish(const CLI::App& app) {
        args_.state_given_ = app.get_option("--state")->count() > 0;
        if (!args_.state_given_) {
            const std::optional<std::string> set = env_.variable("HASP_STATE");
            args_.state_given_ = set && !set->empty();
            args_.state_ = args_.state_given_ ? *set : default_state;
        }
        if (args_.state_.empty()) {
            return usage_error("--state must name a folder", {}, command_.path);
        }
        return std::move(args_);
    }

    const Command& command_;
    Env& env_;
    Args args_;
};

namespace {

// `hasp help local invite`: like `hasp local invite --help`.
int help_command(const Program& program, const Words& words, bool json, Env& env) {
    Words path;
    for (const std::string& word : words) {
        if (!word.starts_with("-")) {
            path.push_back(word);
        }
    }
    if (!is_path(program, path)) {
        const Words parent(path.begin(), path.end() - 1);
        print_error(json, env,
                    usage_error("there is no command `hasp " + join(path) + "`",
                                nearest(path.back(), next_words(program, parent)), {}));
        return exit_code(Code::usage);
    }
    env.out(render_help(program, path));
    return 0;
}

int run_checked(const Program& program, const Words& words, Env& env) {
    const bool json = wants_json(words);
    if (!words.empty() && words.front() == "help-dump") {
        return dump_documents(program, Words(words.begin() + 1, words.end()), json, env);
    }
    if (!words.empty() && words.front() == "help") {
        return help_command(program, Words(words.begin() + 1, words.end()), json, env);
    }
    Result<Split> split = split_line(program, words);
    if (!split.ok()) {
        print_error(json, env, split.error());
        return exit_code(split.error().code);
    }
    const Command* command = find_command(program, split->path);
    Command noun;
    noun.path = split->path;
    const bool runs = command != nullptr && command->run != nullptr;
    Parser parser(runs ? *command : noun, env);
    const Result<Args> args = parser.parse(split->rest);
    if (args.ok() && parser.version) {
        env.out(std::string("hasp ") + HASP_VERSION + "\n");
        return 0;
    }
    if (args.ok() && parser.help) {
        env.out(render_help(program, split->path));
        return 0;
    }
    if (!args.ok()) {
        print_error(json, env, args.error());
        return exit_code(args.error().code);
    }
    return runs ? command->run(*args, env) : print_paths(program, split->path, env);
}

} // namespace

int run_cli(const Program& program, int argc, const char* const* argv, Env& env) {
    const Words words(argv + (argc > 0 ? 1 : 0), argv + argc);
    try {
        return run_checked(program, words, env);
    } catch (const std::exception& e) {
        print_error(wants_json(words), env,
                    fail(Code::failed, std::string("internal error: ") + e.what(),
                         "please report it with the command line"));
        return exit_code(Code::failed);
    }
}

} // namespace hasp::cmd
