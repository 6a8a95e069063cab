// hasp serve, hasp relay: a tier in the foreground.
#include "base/files.h"
#include "commands.h"
#include "front_jail.h"
#include "join.h"
#include "maint/tier_identity.h"
#include "process.h"
#include "state.h"
#include "supervisor.h"

#include <filesystem>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

namespace hasp::cmd {

namespace {

// For a command that began when no daemon was there.
constexpr int command_patience_ms = 3'000;

constexpr std::size_t invitation_file_bytes_max = 8192;

// Folders that the processes expect; front and apps' users pass through STATE, so it is searchable
// but not readable.
Status lay_out(const std::string& state, bool cache) {
    if (Status removed = remove_tree(state + "/run"); !removed.ok()) {
        return removed;
    }
    if (Status done = cache ? make_folders(state + "/cache") : remove_tree(state + "/cache");
        !done.ok()) {
        return done;
    }
    for (const auto& [folder, mode] :
         {std::pair{"", 0711}, std::pair{"/run", 0711}, std::pair{"/run/apps", 0711},
          std::pair{"/releases", 0711}, std::pair{"/log", 0711}}) {
        const std::string path = state + folder;
        if (Status made = make_folders(path, static_cast<mode_t>(mode)); !made.ok()) {
            return made;
        }
        ::chmod(path.c_str(), static_cast<mode_t>(mode));
    }
    return {};
}

SupervisorOptions supervisor_options(const Args& args, const std::string& state,
                                     const std::string& config_file) {
    SupervisorOptions options;
    options.state = state;
    options.config = config_file;
    options.json_log = args.json();
    // A tier without a file of that name has the defaults; one that names another has that.
    options.read = [state, config_file] {
        return state_config(state,
                            config_file == state + "/hasp.toml" ? std::string() : config_file);
    };
    return options;
}

int serve(const Args& args, Env& env, bool needs_parent) {
    const std::string state = absolute_path(args.state());
    const std::string config_file =
        args.get("config").empty() ? state + "/hasp.toml" : absolute_path(args.get("config"));
    auto config = state_config(state, args.get("config"));
    if (!config.ok()) {
        return report(args, env, config.error());
    }
    auto me = maint::load_identity(state + "/keys");
    if (!me.ok()) {
        return report(
            args, env,
            me.error().code == Code::not_found
                ? fail(Code::not_found, state + " holds no tier",
                       "make a center with `hasp init`, or join one with `hasp relay --join -`")
                : me.error());
    }
    if (needs_parent && !me->has_parent()) {
        return report(args, env,
                      fail(Code::refused,
                           me->name.text() + " has no parent, so there is nothing to relay to",
                           "run it with `hasp serve`"));
    }
    auto lock = lock_state(state, command_patience_ms);
    if (!lock.ok()) {
        return report(args, env, lock.error());
    }
    if (Status laid_out = lay_out(state, config->cache.size_mib > 0); !laid_out.ok()) {
        return report(args, env, laid_out.error());
    }
    if (Status reached = check_reach(config->process.front_user, state); !reached.ok()) {
        return report(args, env, reached.error());
    }
    SupervisorOptions options = supervisor_options(args, state, config_file);
    options.lock = *std::move(lock);
    options.program = absolute_path(
        reinterpret_cast<const char*>(::getauxval(AT_EXECFN))); // not what it links to
    const Result<int> code = run_supervisor(std::move(options), env.clock);
    return code.ok() ? *code : report(args, env, code.error());
}

// Everything that the successor will need, read as it will read it.
int run_trial(const Args& args, Env& env, const SupervisorOptions& options) {
    if (auto config = options.read(); !config.ok()) {
        return report(args, env, config.error());
    }
    if (auto me = maint::load_identity(options.state + "/keys"); !me.ok()) {
        return report(args, env, me.error());
    }
    env.out(std::string(trial_word) + "\n");
    return 0;
}

// In the place of a supervisor that has started this program by exec (supervisor_succession.cpp),
// or in a trial of whether it could be.
int run_successor(const Args& args, Env& env) {
    const std::string state = absolute_path(args.state());
    auto number = args.number("handover", 0, 1 << 20);
    auto text = number.ok()
                    ? read_file("/proc/self/fd/" + std::to_string(*number), handover_bytes_max)
                    : Result<std::string>(number.error());
    auto from = text.ok() ? unpack_handover(*text) : Result<Handover>(text.error());
    if (!from.ok()) {
        return report(args, env, from.error());
    }
    SupervisorOptions options = supervisor_options(args, state, args.get("config"));
    if (args.flag("trial")) {
        return run_trial(args, env, options);
    }
    // From here on there is no way out but serving, or back to the program before: the file may
    // have been spoilt since the trial, or may be of a program that is newer than this one.
    ::close(static_cast<int>(*number));
    options.from = *std::move(from);
    const Result<int> code = run_supervisor(std::move(options), env.clock);
    return code.ok() ? *code : report(args, env, code.error());
}

int run_serve(const Args& args, Env& env) {
    return serve(args, env, false);
}

int run_relay(const Args& args, Env& env) {
    if (args.given("join")) {
        const std::string file = args.get("join");
        if (file.empty() || file.starts_with("hasp-join:")) {
            // What a command line says can be read by everybody on the machine.
            return report(args, env,
                          fail(Code::usage,
                               "--join takes a file with the invitation, or - for standard input",
                               file.empty() ? ""
                                            : "this invitation may have been read by others: "
                                              "ask for a new one"));
        }
        auto line = file == "-" ? env.in(invitation_file_bytes_max)
                                : read_file(file, invitation_file_bytes_max);
        if (!line.ok()) {
            return report(args, env, line.error());
        }
        auto joined = join_parent(absolute_path(args.state()), *line, env.clock, env.random);
        if (!joined.ok()) {
            return report(args, env, joined.error());
        }
        if (!args.quiet()) {
            env.err("hasp: this is now " + *joined + "\n");
        }
        if (args.flag("only-join")) {
            return 0;
        }
    }
    return serve(args, env, true);
}

const Option config_option{.name = "config",
                           .metavar = "FILE",
                           .text = "the config (default: STATE/hasp.toml)",
                           .kind = Kind::value};

} // namespace

Command serve_command() {
    return {.path = {"serve"},
            .summary = "run a tier in the foreground",
            .description =
                "Serves users, children and apps until SIGTERM or SIGINT; then nothing new is "
                "accepted, what users have begun is finished, apps are "
                "stopped, and it ends. Prints one line for each address, \"ready http://ADDRESS\", "
                "as soon as it answers there. Log lines go to standard error, as JSON with "
                "--json.",
            .options = {config_option},
            .examples = {{"hasp serve --state /srv/hasp",
                          "Runs the tier whose state is in /srv/hasp."}},
            .exit_codes = {4, 5, 6},
            .run = run_serve};
}

Command successor_command() {
    return {.path = {"process", "supervisor"},
            .summary = "supervisor",
            .options = {config_option,
                        {.name = "handover",
                         .metavar = "FD",
                         .text = "a memory file",
                         .kind = Kind::value},
                        {.name = "trial", .text = "only say whether it could"}},
            .run = run_successor,
            .hidden = true};
}

Command relay_command() {
    return {.path = {"relay"},
            .summary = "run a tier below a parent; join it first with --join",
            .description = "Like serve, for a tier that has a parent. With --join it first takes "
                           "an invitation (a line made by `hasp local invite` at the parent): it "
                           "makes its keys, checks the parent before it shows the secret, and is "
                           "enrolled. Joining again with the same invitation and keys is no error.",
            .options = {config_option,
                        {.name = "join",
                         .metavar = "FILE",
                         .text = "an invitation to take first; - reads it from standard input",
                         .kind = Kind::value},
                        {.name = "only-join", .text = "with --join: end after joining"}},
            .examples = {{"hasp relay --state /srv/hasp --join - < tokyo.invite",
                          "Joins as tokyo, and runs."},
                         {"hasp relay --state /srv/hasp", "Runs it, from then on."}},
            .exit_codes = {4, 5, 6, 7},
            .run = run_relay};
}

} // namespace hasp::cmd
