// hasp init: a center from nothing.
#include "base/files.h"
#include "base/log.h"
#include "commands.h"
#include "maint/keeper.h"
#include "maint/tier_identity.h"
#include "state.h"

#include <filesystem>
#include <sys/stat.h>

namespace hasp::cmd {

namespace {

Status write_config(const std::string& state, const Args& args) {
    const std::string path = state + "/hasp.toml";
    if (std::filesystem::exists(path)) {
        return {};
    }
    maint::Config config;
    if (args.given("listen")) {
        config.web.listen = args.list("listen");
    }
    config.link.listen = args.list("link-listen");
    config.link.addresses =
        args.list("link-address").empty() ? config.link.listen : args.list("link-address");
    const std::string text = maint::example_config(config);
    // What the options made of it is held to the same rules as a file.
    if (auto checked = maint::parse_config(text, path); !checked.ok()) {
        return checked.error();
    }
    return write_file_durably(path, text, 0644);
}

int run(const Args& args, Env& env) {
    const std::string state = absolute_path(args.state());
    std::string password;
    if (args.given("operator")) {
        if (!args.given("password-file")) {
            return report(args, env,
                          fail(Code::usage, "the operator needs a password",
                               "give --password-file FILE, or - for standard input"));
        }
        auto secret = read_secret(args.get("password-file"), env);
        if (!secret.ok()) {
            return report(args, env, secret.error());
        }
        password = *secret;
        if (password.size() < 8) {
            return report(args, env,
                          fail(Code::usage, "the operator's password is too short",
                               "a password has at least 8 characters"));
        }
    }
    auto me = maint::make_top_identity(args.get("realm"), args.get("name"), env.clock, env.random);
    if (!me.ok()) {
        return report(args, env, me.error());
    }
    if (Status made = make_folders(state, 0711); !made.ok()) {
        return report(args, env, made.error());
    }
    {
        auto lock = lock_state(state);
        if (!lock.ok()) {
            return report(args, env, lock.error());
        }
        if (std::filesystem::exists(state + "/keys/tier.json")) {
            return report(
                args, env,
                fail(Code::conflict, state + " holds a tier already", "use another --state"));
        }
        if (Status written = write_config(state, args); !written.ok()) {
            return report(args, env, written.error());
        }
        if (Status saved = maint::save_identity(state + "/keys", *me); !saved.ok()) {
            return report(args, env, saved.error());
        }
    }
    if (!password.empty()) {
        auto added = run_at_state(
            args, env, "user.add",
            {{"name", args.get("operator")}, {"password", password}, {"operator", true}});
        if (!added.ok()) {
            return report(args, env, added.error());
        }
    }
    return show(args, env,
                Json{{"tier", me->name.text()}, {"state", state}, {"config", state + "/hasp.toml"}},
                [&](const Json&) {
                    return me->name.text() + " is ready to serve.\n  state    " + state +
                           "\n  config   " + state + "/hasp.toml\n  start    hasp serve --state " +
                           state + "\n";
                });
}

} // namespace

Command init_command() {
    return {.path = {"init"},
            .summary = "make a center: a new realm with its root key",
            .description = "Makes the top tier of a new realm: keys, the realm's root certificate, "
                           "a config to edit, and, if named, the first operator's account.",
            .options = {{.name = "realm",
                         .metavar = "NAME",
                         .text = "name of the whole tree, for example clinics",
                         .kind = Kind::value,
                         .required = true},
                        {.name = "name",
                         .metavar = "TIER",
                         .text = "name of this tier in it",
                         .kind = Kind::value,
                         .default_text = "center"},
                        {.name = "operator",
                         .metavar = "NAME",
                         .text = "account of the first operator",
                         .kind = Kind::value},
                        {.name = "password-file",
                         .metavar = "FILE",
                         .text = "file with the operator's password; - for standard input",
                         .kind = Kind::value},
                        {.name = "listen",
                         .metavar = "IP:PORT",
                         .text = "where users connect",
                         .kind = Kind::list},
                        {.name = "link-listen",
                         .metavar = "IP:PORT",
                         .text = "where tiers below connect",
                         .kind = Kind::list},
                        {.name = "link-address",
                         .metavar = "HOST:PORT",
                         .text = "how tiers below reach that; goes into invitations",
                         .kind = Kind::list}},
            .examples =
                {{"hasp init --state /srv/hasp --realm clinics --operator anna --password-file pw",
                  "makes the realm clinics with the operator anna"}},
            .exit_codes = {6},
            .run = run};
}

} // namespace hasp::cmd
