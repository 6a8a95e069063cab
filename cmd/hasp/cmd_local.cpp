// hasp local …: the tiers directly below this one.
#include "commands.h"
#include "state.h"

namespace hasp::cmd {

namespace {

int invite(const Args& args, Env& env) {
    auto hours = args.number("hours", 1, 24 * 90);
    if (!hours.ok()) {
        return report(args, env, hours.error());
    }
    const Json arguments{
        {"name", args.get("NAME")}, {"addresses", args.list("address")}, {"hours", *hours}};
    return show(args, env, run_at_state(args, env, "local.invite", arguments),
                [](const Json& r) { return text_of(r, "invitation") + "\n"; });
}

int list(const Args& args, Env& env) {
    return show(
        args, env, run_at_state(args, env, "local.list", Json::object()), [](const Json& r) {
            std::vector<std::vector<std::string>> rows{
                {"NAME", "STATE", "LAST SEEN", "DESIRED", "REACHED", "LEASE"}};
            for (const Json& child : member(r, "locals")) {
                const Json& seen = member(child, "last_seen");
                rows.push_back({text_of(child, "name"), text_of(child, "state"),
                                seen.is_string() ? seen.get<std::string>() : "never",
                                std::to_string(int_of(member(child, "desired"), "generation")),
                                std::to_string(int_of(member(child, "reached"), "generation")),
                                std::to_string(int_of(member(child, "reached"), "lease")) + "/" +
                                    std::to_string(int_of(child, "lease"))});
            }
            return columns(rows);
        });
}

int show_one(const Args& args, Env& env) {
    auto all = run_at_state(args, env, "local.list", Json::object());
    if (!all.ok()) {
        return report(args, env, all.error());
    }
    for (const Json& child : member(*all, "locals")) {
        if (text_of(child, "name") == args.get("NAME")) {
            return show(args, env, child, [](const Json& r) { return dump(r, 2) + "\n"; });
        }
    }
    return report(args, env,
                  fail(Code::not_found,
                       "there is no tier '" + args.get("NAME") + "' below this one",
                       "hasp local list shows those that are"));
}

int revoke(const Args& args, Env& env) {
    return show(
        args, env, run_at_state(args, env, "local.revoke", {{"name", args.get("NAME")}}),
        [&](const Json&) { return args.quiet() ? "" : args.get("NAME") + " is revoked\n"; });
}

int allow(const Args& args, Env& env) {
    const Json arguments{{"name", args.get("NAME")},
                         {"users", args.list("USER")},
                         {"groups", args.list("group")},
                         {"remove", args.flag("remove")}};
    return show(args, env, run_at_state(args, env, "local.allow", arguments), [](const Json& r) {
        std::vector<std::vector<std::string>> rows{{"KIND", "NAME"}};
        for (const Json& row : member(r, "allowed")) {
            rows.push_back({text_of(row, "kind"), text_of(row, "name")});
        }
        return columns(rows);
    });
}

} // namespace

std::vector<Command> local_commands() {
    const Positional name{.name = "NAME", .text = "name of the tier"};
    return {
        {.path = {"local"}, .summary = "the tiers below this one"},
        {.path = {"local", "invite"},
         .summary = "print an invitation for a new tier",
         .description = "Prints one line that lets one box join as NAME, once, within its "
                        "lifetime. It is a secret: pass it on by file or standard input. A new "
                        "invitation for a name voids the earlier ones.",
         .options = {{.name = "address",
                      .metavar = "HOST:PORT",
                      .text = "where the box finds this tier (default: addresses under [link])",
                      .kind = Kind::list},
                     {.name = "hours",
                      .metavar = "N",
                      .text = "how long it may be used",
                      .kind = Kind::value,
                      .default_text = "24"}},
         .positionals = {name},
         .examples = {{"hasp local invite tokyo > tokyo.invite",
                       "makes an invitation for the local tokyo"}},
         .exit_codes = {6},
         .run = invite},
        {.path = {"local", "list"},
         .summary = "list the tiers below this one",
         .examples = {{"hasp local list", "lists them"}},
         .run = list},
        {.path = {"local", "show"},
         .summary = "show one of them in full",
         .positionals = {name},
         .examples = {{"hasp local show tokyo", "shows what is known of tokyo"}},
         .exit_codes = {5},
         .run = show_one},
        {.path = {"local", "revoke"},
         .summary = "end a tier's enrolment at once",
         .description = "Drops its live link, ends what its users have above, and accepts nothing "
                        "from its keys any more. Data at the center stays. The name may be "
                        "invited again, with new keys.",
         .positionals = {name},
         .examples = {{"hasp local revoke tokyo", "cuts tokyo off"}},
         .exit_codes = {5},
         .run = revoke},
        {.path = {"local", "allow"},
         .summary = "say who may log in there while the link is down",
         .description = "Adds users and groups to the tier's list, or takes them off with "
                        "--remove, and shows the list. Operators are never on it.",
         .options = {{.name = "group", .metavar = "GROUP", .text = "a group", .kind = Kind::list},
                     {.name = "remove", .text = "take off instead of adding"}},
         .positionals =
             {name, {.name = "USER", .text = "an account", .required = false, .repeated = true}},
         .examples = {{"hasp local allow tokyo --group staff",
                       "lets the staff work at tokyo without the link"}},
         .exit_codes = {5},
         .run = allow},
    };
}

} // namespace hasp::cmd
