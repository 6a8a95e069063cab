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

int list_locals(const Args& args, Env& env) {
    return show(
        args, env, run_at_state(args, env, "local.list", Json::object()), [&](const Json& r) {
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
            return listing(args, rows);
        });
}

std::string held_lines(const Json& holds) {
    std::string out;
    for (const auto& [key, title] :
         {std::pair{"apps", "apps"}, std::pair{"log_ins", "can log in there"},
          std::pair{"files_of", "files of"}, std::pair{"datasets", "datasets"}}) {
        out += std::string(title) + ":";
        for (const Json& one : member(holds, key)) {
            out += (out.ends_with(':') ? " " : ", ") + text_of(one, "name") + " until " +
                   text_of(one, "until");
        }
        out += out.ends_with(':') ? " none\n" : "\n";
    }
    return out;
}

int show_local(const Args& args, Env& env) {
    return show(args, env, run_at_state(args, env, "local.show", {{"name", args.get("NAME")}}),
                [](const Json& r) {
                    Json own = r;
                    own.erase("status"); // `hasp status` shows it, with its age
                    own.erase("holds");
                    own.erase("allowed");
                    std::string list;
                    for (const Json& one : member(r, "allowed")) {
                        list += (list.empty() ? "" : ", ") + text_of(one, "kind") + " " +
                                text_of(one, "name");
                    }
                    return fields(own) + "list: " + (list.empty() ? "nobody" : list) + "\n" +
                           held_lines(member(r, "holds"));
                });
}

int revoke_local(const Args& args, Env& env) {
    return show(
        args, env, run_at_state(args, env, "local.revoke", {{"name", args.get("NAME")}}),
        [&](const Json&) { return args.quiet() ? "" : args.get("NAME") + " is revoked\n"; });
}

int allow(const Args& args, Env& env) {
    const Json arguments{{"name", args.get("NAME")},
                         {"users", args.list("USER")},
                         {"groups", args.list("group")},
                         {"remove", args.flag("remove")}};
    return show(args, env, run_at_state(args, env, "local.allow", arguments), [&](const Json& r) {
        std::vector<std::vector<std::string>> rows{{"KIND", "NAME"}};
        for (const Json& row : member(r, "allowed")) {
            rows.push_back({text_of(row, "kind"), text_of(row, "name")});
        }
        return listing(args, rows);
    });
}

} // namespace

std::vector<Command> local_commands() {
    const Positional name{.name = "NAME", .text = "name of the tier"};
    return {
        {.path = {"local"}, .summary = "invite, list and revoke the tiers below this one"},
        {.path = {"local", "invite"},
         .summary = "print an invitation for a new tier",
         .description = "Prints one line that lets one box join as NAME, once, within its "
                        "lifetime. It is a secret: pass it on by file or standard input. A new "
                        "invitation for a name voids the earlier ones.",
         .options =
             {{.name = "address",
               .metavar = "HOST:PORT",
               .text =
                   "where the box finds this tier (default: addresses under [link] in hasp.toml)",
               .kind = Kind::list},
              {.name = "hours",
               .metavar = "N",
               .text = "for how many hours it may be used",
               .kind = Kind::value,
               .default_text = "24"}},
         .positionals = {name},
         .examples = {{"hasp local invite tokyo > tokyo.invite",
                       "Makes an invitation for the local tokyo."}},
         .exit_codes = {5, 6, 75},
         .run = invite},
        {.path = {"local", "list"},
         .summary = "list the tiers directly below",
         .description =
             "DESIRED and REACHED number the state that each is to have and has; LEASE is "
             "the newest lease that it holds and that was signed for it.",
         .exit_codes = {5, 75},
         .run = list_locals},
        {.path = {"local", "show"},
         .summary = "show one tier below in full",
         .description = "Shows its state and what it holds by its lease: the apps, who can log in "
                        "there without the link, whose files it may keep, and the datasets of "
                        "which it is the home. If the box is lost or stolen, that is what to think "
                        "of, and `hasp local revoke` cuts it off.",
         .positionals = {name},
         .examples = {{"hasp local show tokyo", "Shows what is known of tokyo."}},
         .exit_codes = {5, 75},
         .run = show_local},
        {.path = {"local", "revoke"},
         .summary = "end a tier's enrolment at once",
         .description = "Drops its live link, ends what its users have above, and accepts nothing "
                        "from its keys any more. Its data, here and there, stays. The name may be "
                        "invited again, with new keys.",
         .positionals = {name},
         .examples = {{"hasp local revoke tokyo", "Cuts tokyo off."}},
         .exit_codes = {5, 75},
         .run = revoke_local},
        {.path = {"local", "allow"},
         .summary = "say who may log in there while the link is down",
         .description =
             "Adds users and groups to the tier's list, or takes them off with "
             "--remove, and shows the list; with neither it only shows it. Operators are "
             "never on it. What log-in without the link needs travels in the tier's lease: a "
             "verifier of each password that is worth nothing at any other tier. Whoever takes "
             "the box can guess at the passwords of those on the list, at the cost of Argon2id a "
             "guess.",
         .options = {{.name = "group", .metavar = "GROUP", .text = "a group", .kind = Kind::list},
                     {.name = "remove", .text = "take off instead of adding"}},
         .positionals =
             {name, {.name = "USER", .text = "an account", .required = false, .repeated = true}},
         .examples = {{"hasp local allow tokyo --group staff",
                       "Puts the group staff on tokyo's list."}},
         .exit_codes = {5, 75},
         .run = allow},
    };
}

} // namespace hasp::cmd
