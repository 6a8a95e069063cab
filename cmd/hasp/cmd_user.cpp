// hasp user …: accounts whose home is this tier.
#include "commands.h"
#include "state.h"

namespace hasp::cmd {

namespace {

const auto nothing = [](const Json&) { return std::string(); };

std::string join(const Json& texts) {
    std::string out;
    for (const Json& text : texts) {
        out += (out.empty() ? "" : ",") + (text.is_string() ? text.get<std::string>() : "");
    }
    return out;
}

int add(const Args& args, Env& env) {
    Json arguments{{"name", args.get("NAME")},
                   {"display_name", args.get("name")},
                   {"email", args.get("email")},
                   {"groups", args.list("group")},
                   {"operator", args.flag("operator")}};
    if (args.given("password-file")) {
        auto password = read_secret(args.get("password-file"), env);
        if (!password.ok()) {
            return report(args, env, password.error());
        }
        arguments["password"] = *password;
    }
    const int code = show(args, env, run_at_state(args, env, "user.add", arguments), nothing);
    if (code == 0 && !args.quiet() && !args.json() && !args.given("password-file")) {
        env.err("hasp: " + args.get("NAME") +
                " cannot log in before a password is set\n  hasp user "
                "password " +
                args.get("NAME") + " --password-file -\n");
    }
    return code;
}

int list_users(const Args& args, Env& env) {
    return show(args, env, run_at_state(args, env, "user.list", Json::object()),
                [&](const Json& r) {
                    std::vector<std::vector<std::string>> rows{
                        {"NAME", "DISPLAY NAME", "ROLE", "STATE", "GROUPS", "APPS"}};
                    for (const Json& user : member(r, "users")) {
                        const std::string state = true_of(user, "disabled")   ? "disabled"
                                                  : true_of(user, "password") ? "active"
                                                                              : "no password";
                        rows.push_back({text_of(user, "name"), text_of(user, "display_name"),
                                        text_of(user, "role"), state, join(member(user, "groups")),
                                        join(member(user, "apps"))});
                    }
                    return listing(args, rows);
                });
}

int show_user(const Args& args, Env& env) {
    return show(args, env, run_at_state(args, env, "user.show", {{"name", args.get("NAME")}}),
                fields);
}

int remove(const Args& args, Env& env) {
    return show(args, env, run_at_state(args, env, "user.remove", {{"name", args.get("NAME")}}),
                nothing);
}
int disable(const Args& args, Env& env) {
    return show(args, env, run_at_state(args, env, "user.disable", {{"name", args.get("NAME")}}),
                nothing);
}
int enable(const Args& args, Env& env) {
    return show(
        args, env,
        run_at_state(args, env, "user.disable", {{"name", args.get("NAME")}, {"enable", true}}),
        nothing);
}

int password(const Args& args, Env& env) {
    auto secret = read_secret(args.get("password-file"), env);
    if (!secret.ok()) {
        return report(args, env, secret.error());
    }
    return show(args, env,
                run_at_state(args, env, "user.password",
                             {{"name", args.get("NAME")}, {"password", *secret}}),
                nothing);
}

int groups(const Args& args, Env& env) {
    auto joined = run_at_state(args, env, "user.join",
                               {{"name", args.get("NAME")}, {"groups", args.list("join")}});
    if (!joined.ok()) {
        return report(args, env, joined.error());
    }
    return show(
        args, env,
        run_at_state(args, env, "user.join",
                     {{"name", args.get("NAME")}, {"groups", args.list("leave")}, {"leave", true}}),
        nothing);
}

int entitle_or_withdraw(const Args& args, Env& env, const std::string& command) {
    std::vector<std::string> apps = args.list("USER APP");
    Json arguments{{"group", args.get("group")}};
    if (args.get("group").empty()) {
        if (apps.size() < 2) {
            return report(args, env,
                          fail(Code::usage, "name a user and at least one app",
                               "or, for everybody in a group: --group GROUP APP"));
        }
        arguments["user"] = apps.front();
        apps.erase(apps.begin());
    }
    arguments["apps"] = apps;
    auto result = run_at_state(args, env, command, arguments);
    if (result.ok() && command == "user.entitle") {
        for (const Json& app : member(*result, "unknown_apps")) {
            env.err("hasp: no app '" + app.get<std::string>() + "' is known here yet\n");
        }
    }
    return show(args, env, result, nothing);
}

int entitle(const Args& args, Env& env) {
    return entitle_or_withdraw(args, env, "user.entitle");
}
int withdraw(const Args& args, Env& env) {
    return entitle_or_withdraw(args, env, "user.withdraw");
}

} // namespace

std::vector<Command> user_commands() {
    const Positional name{.name = "NAME", .text = "name of the account"};
    const Option password_file{.name = "password-file",
                               .metavar = "FILE",
                               .text = "file with the password; - for standard input",
                               .kind = Kind::value};
    Option password_needed = password_file;
    password_needed.required = true;
    const Option group{.name = "group",
                       .metavar = "GROUP",
                       .text = "a group instead of a user",
                       .kind = Kind::value};
    const Positional apps{.name = "USER APP",
                          .text = "the account, then apps; with --group only apps",
                          .required = true,
                          .repeated = true};
    return {
        {.path = {"user"}, .summary = "keep accounts, groups and what they may use"},
        {.path = {"user", "add"},
         .summary = "make an account here",
         .description =
             "The tier where an account is made is its home. The name must be free in "
             "the whole realm, so the parent, if there is one, is asked. Without a password "
             "nobody can log in with it until `hasp user password` has set one.",
         .options =
             {password_file,
              {.name = "name",
               .metavar = "TEXT",
               .text = "the name that people see",
               .kind = Kind::value},
              {.name = "email",
               .metavar = "ADDRESS",
               .text = "e-mail address",
               .kind = Kind::value},
              {.name = "group", .metavar = "GROUP", .text = "a group to join", .kind = Kind::list},
              {.name = "operator", .text = "the account may maintain tiers"}},
         .positionals = {name},
         .examples =
             {{"hasp user add nurse --name \"Night nurse\" --group staff --password-file - < pw",
               "Makes the account nurse."}},
         .exit_codes = {5, 6, 7, 75},
         .run = add},
        {.path = {"user", "list"},
         .summary = "list the accounts whose home is this tier",
         .exit_codes = {5, 75},
         .run = list_users},
        {.path = {"user", "show"},
         .summary = "show one account",
         .positionals = {name},
         .exit_codes = {5, 75},
         .run = show_user},
        {.path = {"user", "password"},
         .summary = "set an account's password",
         .description = "Whoever is logged in with the old one is logged out, everywhere.",
         .options = {password_needed},
         .positionals = {name},
         .examples = {{"hasp user password nurse --password-file -",
                       "Reads the new password from standard input."}},
         .exit_codes = {5, 75},
         .run = password},
        {.path = {"user", "groups"},
         .summary = "let an account join or leave groups",
         .options =
             {{.name = "join", .metavar = "GROUP", .text = "a group to join", .kind = Kind::list},
              {.name = "leave",
               .metavar = "GROUP",
               .text = "a group to leave",
               .kind = Kind::list}},
         .positionals = {name},
         .examples = {{"hasp user groups nurse --join night", "Adds nurse to the group night."}},
         .exit_codes = {5, 75},
         .run = groups},
        {.path = {"user", "entitle"},
         .summary = "let a user or a group use apps",
         .description =
             "What an account may not use is not shown to it, and answers as if it did not "
             "exist. An app need not be known yet.",
         .options = {group},
         .positionals = {apps},
         .examples = {{"hasp user entitle nurse wiki calendar", "Lets nurse use two apps."},
                      {"hasp user entitle --group staff wiki",
                       "Lets everybody in the group staff use one."}},
         .exit_codes = {5, 75},
         .run = entitle},
        {.path = {"user", "withdraw"},
         .summary = "end what entitle gave",
         .options = {group},
         .positionals = {apps},
         .examples = {{"hasp user withdraw nurse wiki", "Takes the wiki from nurse, at once."}},
         .exit_codes = {5, 75},
         .run = withdraw},
        {.path = {"user", "disable"},
         .summary = "lock an account and end its sessions",
         .description = "Whoever is logged in with it is logged out, everywhere.",
         .positionals = {name},
         .exit_codes = {5, 75},
         .run = disable},
        {.path = {"user", "enable"},
         .summary = "unlock an account",
         .positionals = {name},
         .exit_codes = {5, 75},
         .run = enable},
        {.path = {"user", "remove"},
         .summary = "remove an account",
         .description =
             "Its groups, entitlements, sessions and tokens go, and what its home keeps of its "
             "files: the key of their contents and versions is destroyed, also for copies that "
             "were made before, and cannot be made again. Its files here go at once, and those at "
             "other tiers when they hear of it, now or when their link is back; what was written "
             "there and never sent stays until an operator says `hasp sync --discard`.",
         .positionals = {name},
         .exit_codes = {5, 75},
         .run = remove},
    };
}

} // namespace hasp::cmd
