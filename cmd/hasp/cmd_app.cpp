// hasp app …, hasp config …: what tiers hold.
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

int list_apps(const Args& args, Env& env) {
    return show(args, env, run_at_state(args, env, "app.list", Json::object()), [&](const Json& r) {
        std::vector<std::vector<std::string>> rows{
            {"APP", "TITLE", "WHERE", "ACCESS", "RELEASE HERE"}};
        for (const Json& app : member(r, "apps")) {
            rows.push_back({text_of(app, "name"), text_of(app, "title"), text_of(app, "where"),
                            text_of(app, "access"), text_of(app, "release").substr(0, 12)});
        }
        return listing(args, rows);
    });
}

int remove(const Args& args, Env& env) {
    return show(args, env,
                run_at_state(args, env, "app.remove",
                             {{"name", args.get("APP")}, {"from", args.list("from")}}),
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
        {.path = {"app"}, .summary = "install, list and remove apps"},
        {.path = {"app", "add"},
         .summary = "install an app from a folder",
         .description =
             "Makes a release of the folder, which holds a hasp-app.toml, and assigns it to this "
             "tier "
             "or to tiers below it. A tier that cannot be reached now gets it at its next "
             "contact. Users reach the app once they are entitled to it: see `hasp user entitle`.",
         .options = {{.name = "to",
                      .metavar = "TIER",
                      .text = "a tier that is to hold it: this one or one below",
                      .kind = Kind::list,
                      .required = true},
                     {.name = "home",
                      .metavar = "TIER",
                      .text = "the tier that keeps the app's dataset, for an app with scope = "
                              "\"app\" under [data]",
                      .kind = Kind::value}},
         .positionals = {{.name = "DIR", .text = "the folder with the app's hasp-app.toml"}},
         .examples = {{"hasp app add ./wiki --to center --to tokyo",
                       "Lets center and tokyo hold the wiki."}},
         .exit_codes = {4, 5, 6, 75},
         .run = add},
        {.path = {"app", "list"},
         .summary = "list the apps that users of this tier can reach",
         .description =
             "WHERE says who holds it: here, a tier below, or the parent. RELEASE HERE is "
             "empty for what this tier does not hold itself.",
         .exit_codes = {5, 75},
         .run = list_apps},
        {.path = {"app", "remove"},
         .summary = "remove an app",
         .description =
             "Its programs stop and its release goes, here and at the tiers below; data that "
             "users wrote stays on the disk.",
         .options = {{.name = "from",
                      .metavar = "TIER",
                      .text = "only from this tier, which may be this one or one below",
                      .kind = Kind::list}},
         .positionals = {{.name = "APP", .text = "name of the app"}},
         .examples = {{"hasp app remove leaflets --from tokyo",
                       "Removes the leaflets from tokyo alone."}},
         .exit_codes = {4, 5, 75},
         .run = remove},
    };
}

std::vector<Command> config_commands() {
    return {
        {.path = {"config"}, .summary = "check a config file"},
        {.path = {"config", "check"},
         .summary = "say whether a config file is right",
         .description =
             "Reads the file as `hasp serve` does and names the first mistake with its line "
             "and, for an unknown key, the nearest one that there is. Nothing is changed. "
             "The keys are in hasp.toml(5).",
         .positionals = {{.name = "FILE", .text = "the file"}},
         .examples = {{"hasp config check /srv/hasp/hasp.toml",
                       "Says what is wrong in it, and where."}},
         .exit_codes = {2, 5},
         .run = config_check},
    };
}

} // namespace hasp::cmd
