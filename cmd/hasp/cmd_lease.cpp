// hasp lease …: what tiers may do without asking, and until when.
#include "commands.h"
#include "state.h"

namespace hasp::cmd {

namespace {

std::string grants_table(const Args& args, const Json& grants) {
    std::vector<std::vector<std::string>> rows{{"KIND", "WHAT", "EXPIRES", "THEN"}};
    for (const Json& grant : grants) {
        rows.push_back({text_of(grant, "kind"), text_of(grant, "what"), text_of(grant, "expires"),
                        text_of(grant, "at_expiry")});
    }
    return listing(args, rows);
}

int lease_show(const Args& args, Env& env) {
    return show(args, env, run_at_state(args, env, "lease.show", {{"name", args.get("TIER")}}),
                [&](const Json& r) {
                    std::string out;
                    if (!args.quiet()) {
                        out = "lease " + std::to_string(int_of(r, "epoch")) + "." +
                              std::to_string(int_of(r, "number"));
                        if (!text_of(r, "tier").empty()) {
                            out += " lent to " + text_of(r, "tier") +
                                   (true_of(r, "taken") ? "" : ", which does not have it yet");
                        }
                        out += "\n";
                        for (const auto& [what, until] : member(r, "extended").items()) {
                            out += "extended: " + what + " until " +
                                   (until.is_string() ? until.get<std::string>() : "") + "\n";
                        }
                    }
                    return out + grants_table(args, member(r, "grants"));
                });
}

int lease_extend(const Args& args, Env& env) {
    auto days = args.number("days", 1, 366);
    if (!days.ok()) {
        return report(args, env, days.error());
    }
    if (args.given("app") && args.given("user")) {
        return report(args, env,
                      fail(Code::usage, "--app and --user name different grants",
                           "give one of them, or neither to extend everything"));
    }
    const Json arguments{{"name", args.get("TIER")},
                         {"days", *days},
                         {"app", args.get("app")},
                         {"user", args.get("user")},
                         {"dry_run", args.flag("dry-run")}};
    return show(args, env, run_at_state(args, env, "lease.extend", arguments), [&](const Json& r) {
        std::vector<std::vector<std::string>> rows{{"KIND", "WHAT", "ENDED", "ENDS"}};
        for (const Json& one : member(r, "extended")) {
            rows.push_back({text_of(one, "kind"), text_of(one, "what"), text_of(one, "expired"),
                            text_of(one, "expires")});
        }
        if (rows.size() == 1) {
            return args.quiet() ? std::string() : "every grant lasts as long already\n";
        }
        return (true_of(r, "dry_run") && !args.quiet() ? std::string("would be extended:\n")
                                                       : std::string()) +
               listing(args, rows);
    });
}

int lease_sign(const Args& args, Env& env) {
    return show(args, env, run_at_state(args, env, "lease.sign", {{"name", args.get("NAME")}}),
                [](const Json&) { return std::string(); });
}

} // namespace

std::vector<Command> lease_commands() {
    return {
        {.path = {"lease"}, .summary = "show, extend and sign what tiers may do without asking"},
        {.path = {"lease", "show"},
         .summary = "show what a tier may do, and until when",
         .description =
             "A lease is lent by the parent and renewed over the link. Without the link each grant "
             "lasts until it expires, by a time that setting the machine's clock does not move. "
             "Without TIER it shows what this tier holds, with TIER what it lends to that tier. "
             "THEN is what an app does when its grant has ended: at_expiry in hasp-app.toml(5).",
         .positionals = {{.name = "TIER", .text = "a tier directly below", .required = false}},
         .examples = {{"hasp lease show tokyo", "Shows what tokyo was lent."}},
         .exit_codes = {5, 75},
         .run = lease_show},
        {.path = {"lease", "extend"},
         .summary = "lengthen what is lent to a tier",
         .description =
             "Lengthens the grants of a tier directly below to N days from now, for example before "
             "it goes where no link is. A tier that is linked has them at once, another at its "
             "next contact. Renewals go on as before and shorten nothing. What this tier was lent "
             "itself never lasts longer below: extend it above first.",
         .options = {{.name = "days",
                      .metavar = "N",
                      .text = "how many days from now, at most 366",
                      .kind = Kind::value,
                      .required = true},
                     {.name = "app",
                      .metavar = "APP",
                      .text = "only what lets it run this app",
                      .kind = Kind::value},
                     {.name = "user",
                      .metavar = "USER",
                      .text = "only what lets it serve this user",
                      .kind = Kind::value},
                     {.name = "dry-run", .text = "only say what would be lengthened"}},
         .positionals = {{.name = "TIER", .text = "a tier directly below"}},
         .examples = {{"hasp lease extend ship --days 120",
                       "Lets ship work for four months without a link."}},
         .exit_codes = {4, 5, 75},
         .run = lease_extend},
        {.path = {"lease", "sign"},
         .summary = "sign a lease that drops much",
         .description =
             "A tier refuses by itself to sign a lease that takes away more than a quarter of what "
             "the last one gave; grants of disabled accounts do not count. This says that it is "
             "meant.",
         .positionals = {{.name = "NAME", .text = "name of a tier directly below"}},
         .examples = {{"hasp lease sign tokyo", "Signs tokyo's next lease whatever it drops."}},
         .exit_codes = {5, 75},
         .run = lease_sign},
    };
}

} // namespace hasp::cmd
