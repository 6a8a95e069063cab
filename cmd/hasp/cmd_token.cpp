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

int list(const Args& args, Env& env) {
    return show(args, env, run_at_state(args, env, "token.list", {{"user", args.get("USER")}}),
                [](const Json& r) {
                    std::vector<std::vector<std::string>> rows{
                        {"ID", "USER", "SCOPE", "LABEL", "EXPIRES", "LAST USED"}};
                    for (const Json& token : member(r, "tokens")) {
                        rows.push_back({text_of(token, "id"), text_of(token, "user"),
                                        text_of(token, "scope"), text_of(token, "label"),
                                        or_never(member(token, "expires")),
                                        or_never(member(token, "last_used"))});
                    }
                    return columns(rows);
                });
}

int revoke(const Args& args, Env& env) {
    return show(args, env, run_at_state(args, env, "token.revoke", {{"id", args.get("ID")}}),
                [](const Json&) { return std::string(); });
}

} // namespace

std::vector<Command> token_commands() {
    return {
        {.path = {"token"}, .summary = "tokens for programs: calendars, file clients, pipelines"},
        {.path = {"token", "create"},
         .summary = "make a token and print it, once",
         .description = "A program shows it as a bearer token, or as the password beside the "
                        "user's name. Only its hash is kept.",
         .options =
             {{.name = "app",
               .metavar = "APP",
               .text = "good for this app alone; more than once for several",
               .kind = Kind::list},
              {.name = "operator", .text = "good for operators' commands and for no app"},
              {.name = "label", .metavar = "TEXT", .text = "what it is for", .kind = Kind::value},
              {.name = "expires",
               .metavar = "DAYS",
               .text = "days until it ends (default: never)",
               .kind = Kind::value}},
         .positionals = {{.name = "USER", .text = "whose it is; the account's home is this tier"}},
         .examples = {{"hasp token create reception --app calendar --label phone",
                       "makes a token for a calendar client"}},
         .exit_codes = {4, 5},
         .run = create},
        {.path = {"token", "list"},
         .summary = "list tokens",
         .positionals = {{.name = "USER", .text = "only this user's", .required = false}},
         .examples = {{"hasp token list", "lists those of everybody"}},
         .run = list},
        {.path = {"token", "revoke"},
         .summary = "end a token",
         .positionals = {{.name = "ID", .text = "its id, from the list"}},
         .examples = {{"hasp token revoke 0123456789abcdef0123456789abcdef", "ends it"}},
         .exit_codes = {5},
         .run = revoke},
    };
}

} // namespace hasp::cmd
