// hasp app …, hasp lease …, hasp config …: what tiers hold, and by which right.
#include "commands.h"
#include "state.h"

namespace hasp::cmd {

namespace {

int add(const Args& args, Env& env) {
    const Json arguments{{"dir", absolute_path(args.get("DIR"))},
                         {"to", args.list("to")},
                         {"home", args.get("home")}};
    return show(args, env, run_at_state(args, env, "app.add", arguments), [](const Json& r) {
        std::string to;
        for (const Json& name : member(r, "to")) {
            to += " " + (name.is_string() ? name.get<std::string>() : "");
        }
        return text_of(r, "app") + " release " + text_of(r, "release").substr(0, 12) + " (" +
               std::to_string(int_of(r, "files")) + " files) is assigned to" + to + "\n";
    });
}

int list(const Args& args, Env& env) {
    return show(args, env, run_at_state(args, env, "app.list", Json::object()), [](const Json& r) {
        std::vector<std::vector<std::string>> rows{
            {"APP", "TITLE", "WHERE", "ACCESS", "RELEASE HERE"}};
        for (const Json& app : member(r, "apps")) {
            rows.push_back({text_of(app, "name"), text_of(app, "title"), text_of(app, "where"),
                            text_of(app, "access"), text_of(app, "release").substr(0, 12)});
        }
        return columns(rows);
    });
}

int remove(const Args& args, Env& env) {
    return show(args, env,
                run_at_state(args, env, "app.remove",
                             {{"name", args.get("APP")}, {"from", args.list("from")}}),
                [](const Json&) { return std::string(); });
}

int lease_show(const Args& args, Env& env) {
    return show(args, env, run_at_state(args, env, "lease.show", Json::object()),
                [](const Json& r) {
                    std::vector<std::vector<std::string>> rows{{"KIND", "WHAT", "EXPIRES"}};
                    for (const Json& grant : member(r, "grants")) {
                        rows.push_back({text_of(grant, "kind"), text_of(grant, "what"),
                                        text_of(grant, "expires")});
                    }
                    return "lease " + std::to_string(int_of(r, "epoch")) + "." +
                           std::to_string(int_of(r, "number")) + "\n" + columns(rows);
                });
}

int lease_sign(const Args& args, Env& env) {
    return show(args, env, run_at_state(args, env, "lease.sign", {{"name", args.get("NAME")}}),
                [](const Json&) { return std::string(); });
}

int config_check(const Args& args, Env& env) {
    auto config = maint::load_config(args.get("FILE"));
    if (!config.ok()) {
        return report(args, env, config.error());
    }
    return show(args, env, Json{{"file", args.get("FILE")}, {"valid", true}},
                [&](const Json&) { return args.quiet() ? "" : args.get("FILE") + " is valid\n"; });
}

} // namespace

std::vector<Command> app_commands() {
    return {
        {.path = {"app"}, .summary = "the apps of this tier and of those below"},
        {.path = {"app", "add"},
         .summary = "install an app from a folder",
         .description =
             "Makes a release of the folder, which holds a hasp-app.toml, and assigns it to each "
             "tier named. A tier that cannot be reached now gets it at its next contact.",
         .options =
             {{.name = "to",
               .metavar = "TIER",
               .text =
                   "a tier that is to hold it: this one or one below; more than once for several",
               .kind = Kind::list,
               .required = true},
              {.name = "home",
               .metavar = "TIER",
               .text = "for an app with one dataset for all users: the tier that keeps it",
               .kind = Kind::value}},
         .positionals = {{.name = "DIR", .text = "folder with hasp-app.toml"}},
         .examples = {{"hasp app add wiki --to center --to tokyo",
                       "lets center and tokyo hold the wiki"}},
         .exit_codes = {4, 5, 6},
         .run = add},
        {.path = {"app", "list"},
         .summary = "list the apps that users of this tier can reach",
         .examples = {{"hasp app list", "lists them"}},
         .run = list},
        {.path = {"app", "remove"},
         .summary = "remove an app",
         .description = "Its programs stop and its release goes; data of users stays.",
         .options = {{.name = "from",
                      .metavar = "TIER",
                      .text = "only from this tier; more than once for several",
                      .kind = Kind::list}},
         .positionals = {{.name = "APP", .text = "name of the app"}},
         .examples = {{"hasp app remove leaflets --from tokyo", "removes it from tokyo"}},
         .exit_codes = {4, 5},
         .run = remove},
    };
}

std::vector<Command> lease_commands() {
    return {
        {.path = {"lease"}, .summary = "authority lent from above"},
        {.path = {"lease", "show"},
         .summary = "show what this tier holds, and until when",
         .examples = {{"hasp lease show", "shows every grant"}},
         .run = lease_show},
        {.path = {"lease", "sign"},
         .summary = "sign a lease that drops much",
         .description = "A tier refuses by itself to sign a lease that takes away more than a "
                        "quarter of what the last one gave. This says that it is meant.",
         .positionals = {{.name = "NAME", .text = "the tier below"}},
         .examples = {{"hasp lease sign tokyo", "signs tokyo's next lease whatever it drops"}},
         .exit_codes = {5},
         .run = lease_sign},
    };
}

std::vector<Command> config_commands() {
    return {
        {.path = {"config"}, .summary = "the config file"},
        {.path = {"config", "check"},
         .summary = "check a config file",
         .positionals = {{.name = "FILE", .text = "the file"}},
         .examples = {{"hasp config check /srv/hasp/hasp.toml",
                       "says what is wrong in it, and where"}},
         .exit_codes = {2, 5},
         .run = config_check},
    };
}

} // namespace hasp::cmd
