// hasp init: a center from nothing.
#include "base/files.h"
#include "base/log.h"
#include "commands.h"
#include "maint/keeper.h"
#include "maint/tier_identity.h"
#include "state.h"

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <sys/stat.h>

namespace hasp::cmd {

namespace {

// An address that others can dial as it stands: no wildcard, no port that is chosen later.
bool dialable(const std::string& address) {
    return maint::valid_peer_address(address) && !address.starts_with("0.0.0.0:") &&
           !address.starts_with("[::]:");
}

// The text of the config that the options ask for, held to the same rules as a file.
Result<std::string> config_text(const Args& args) {
    maint::Config config;
    if (args.given("listen")) {
        config.web.listen = args.list("listen");
    }
    config.link.listen = args.list("link-listen");
    config.link.addresses = args.list("link-address");
    if (config.link.addresses.empty()) {
        std::copy_if(config.link.listen.begin(), config.link.listen.end(),
                     std::back_inserter(config.link.addresses), dialable);
    }
    std::string text = maint::example_config(config);
    if (auto checked = maint::parse_config(text, "the new hasp.toml"); !checked.ok()) {
        return checked.error();
    }
    return text;
}

int run_init(const Args& args, Env& env) {
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
    auto config = config_text(args);
    if (!config.ok()) {
        return report(args, env, config.error());
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
        const std::string file = state + "/hasp.toml";
        if (Status written =
                std::filesystem::exists(file) ? Status() : write_file_durably(file, *config, 0644);
            !written.ok()) {
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
            .description =
                "Makes the top tier of a new realm: its keys, the realm's root certificate, "
                "a config to edit unless there is one, and, if named, the first "
                "operator's account. The keys under STATE/keys are the realm: keep a copy "
                "of them in a safe place.",
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
                         .text = "account of the first operator; needs --password-file",
                         .kind = Kind::value},
                        {.name = "password-file",
                         .metavar = "FILE",
                         .text = "file with the operator's password; - for standard input",
                         .kind = Kind::value},
                        {.name = "listen",
                         .metavar = "IP:PORT",
                         .text = "where users connect (default: 127.0.0.1:8480)",
                         .kind = Kind::list},
                        {.name = "link-listen",
                         .metavar = "IP:PORT",
                         .text = "where tiers below connect (default: none can)",
                         .kind = Kind::list},
                        {.name = "link-address",
                         .metavar = "HOST:PORT",
                         .text = "how tiers below reach that; goes into invitations (default: as "
                                 "--link-listen, unless that names every address)",
                         .kind = Kind::list}},
            .examples =
                {{"hasp init --state /srv/hasp --realm clinics --operator anna --password-file pw",
                  "Makes the realm clinics with the operator anna."}},
            .exit_codes = {4, 5, 6},
            .run = run_init};
}

} // namespace hasp::cmd
