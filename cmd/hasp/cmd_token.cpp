// hasp token …: credentials of programs.
#include "commands.h"
#include "state.h"

namespace hasp::cmd {

namespace {

std::string or_never(const Json& time) {
    return time.is_string() ? time.get<std::string>() : "never";
}

int create(const Args& args, Env& env) {
    Json arguments{{"user", args.get("USER")},
                   {"apps", args.list("app")},
                   {"push", args.list("push")},
                   {"label", args.get("label")},
                   {"operator", args.flag("operator")}};
    if (args.given("expires")) {
        auto days = args.number("expires", 1, 3650);
        if (!days.ok()) {
            return report(args, env, days.error());
        }
        arguments["days"] = *days;
    }
    return show(args, env, run_at_state(args, env, "token.create", arguments),
                [](const Json& r) { return text_of(r, "token") + "\n"; });
}

int list_tokens(const Args& args, Env& env) {
    return show(args, env, run_at_state(args, env, "token.list", {{"user", args.get("USER")}}),
                [&](const Json& r) {
                    std::vector<std::vector<std::string>> rows{
                        {"ID", "USER", "SCOPE", "LABEL", "EXPIRES", "LAST USED"}};
                    for (const Json& token : member(r, "tokens")) {
                        rows.push_back({text_of(token, "id"), text_of(token, "user"),
                                        text_of(token, "scope"), text_of(token, "label"),
                                        or_never(member(token, "expires")),
                                        or_never(member(token, "last_used"))});
                    }
                    return listing(args, rows);
                });
}

int revoke_token(const Args& args, Env& env) {
    return show(args, env, run_at_state(args, env, "token.revoke", {{"id", args.get("ID")}}),
                [](const Json&) { return std::string(); });
}

} // namespace

std::vector<Command> token_commands() {
    return {
        {.path = {"token"}, .summary = "make, list and end tokens for programs"},
        {.path = {"token", "create"},
         .summary = "make a token and print it, once",
         .description =
             "For calendars, file clients and pipelines, which cannot use the log-in page. A "
             "program sends it as a bearer token, or as the password beside the user's "
             "name. Only its hash is kept, so it cannot be shown again.",
         .options =
             {{.name = "app",
               .metavar = "APP",
               .text = "good for this app alone (default: for every app of the user)",
               .kind = Kind::list},
              {.name = "push",
               .metavar = "APP",
               .text =
                   "good for pushing releases of this app, and for nothing else; of an operator",
               .kind = Kind::list},
              {.name = "operator", .text = "good for operators' pages and for no app"},
              {.name = "label", .metavar = "TEXT", .text = "what it is for", .kind = Kind::value},
              {.name = "expires",
               .metavar = "DAYS",
               .text = "days until it ends (default: never)",
               .kind = Kind::value}},
         .positionals = {{.name = "USER", .text = "the account, whose home is this tier"}},
         .examples = {{"hasp token create reception --app calendar --label phone",
                       "Makes a token for the calendar on a phone."},
                      {"hasp token create otto --push wiki --label pipeline --expires 90",
                       "Makes a token with which a pipeline may push the wiki."}},
         .exit_codes = {4, 5, 75},
         .run = create},
        {.path = {"token", "list"},
         .summary = "list tokens",
         .positionals = {{.name = "USER", .text = "only those of this account", .required = false}},
         .exit_codes = {5, 75},
         .run = list_tokens},
        {.path = {"token", "revoke"},
         .summary = "end a token",
         .description = "A program that shows it is refused from now on.",
         .positionals = {{.name = "ID", .text = "its id, from `hasp token list`"}},
         .exit_codes = {5, 75},
         .run = revoke_token},
    };
}

} // namespace hasp::cmd
