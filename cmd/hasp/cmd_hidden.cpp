// Commands that hasp runs of itself; in no help and no manual.
#include "base/log.h"
#include "commands.h"
#include "maint/release_store.h"
#include "process.h"
#include "state.h"

#include <unistd.h>

namespace hasp::cmd {

namespace {

int run_process(const Args& args, Env& env, const char* name,
                int (*run)(const ProcessOptions&, const Log&)) {
    ProcessOptions options;
    options.state = absolute_path(args.state());
    auto config = maint::load_config(args.get("config"));
    if (!config.ok() && config.error().code != Code::not_found) {
        return report(args, env, config.error());
    }
    ::close(config_fd); // no app is to have it
    if (config.ok()) {
        options.config = *config;
    }
    const Log log(STDERR_FILENO, env.clock, name,
                  args.json() || options.config.log.format == maint::Config::LogFormat::json,
                  static_cast<Level>(options.config.log.level));
    return run(options, log);
}

int process_front(const Args& args, Env& env) {
    return run_process(args, env, "front", run_front);
}
int process_keeper(const Args& args, Env& env) {
    return run_process(args, env, "keeper", run_keeper);
}
int process_spawner(const Args& args, Env& env) {
    return run_process(args, env, "spawner", run_spawner);
}
int import_pack(const Args&, Env&) {
    return maint::import_child_main();
}

} // namespace

std::vector<Command> hidden_commands() {
    const Option config{
        .name = "config", .metavar = "FILE", .text = "the config", .kind = Kind::value};
    return {
        {.path = {"process", "front"},
         .summary = "front",
         .options = {config},
         .run = process_front,
         .hidden = true},
        {.path = {"process", "keeper"},
         .summary = "keeper",
         .options = {config},
         .run = process_keeper,
         .hidden = true},
        {.path = {"process", "spawner"},
         .summary = "spawner",
         .options = {config},
         .run = process_spawner,
         .hidden = true},
        successor_command(),
        {.path = {"import-pack"}, .summary = "read a pack", .run = import_pack, .hidden = true},
    };
}

} // namespace hasp::cmd
