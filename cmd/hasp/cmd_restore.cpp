// hasp sync versions, hasp sync restore: what the home keeps of users' files, and putting it back.
#include "base/text.h"
#include "commands.h"
#include "state.h"
#include "when.h"

namespace hasp::cmd {

namespace {

constexpr std::uint64_t any_number = 1'000'000'000'000;

// As the home names it: no slash before or behind.
std::string path_of(const Args& args) {
    std::string path = args.get("PATH");
    while (path.ends_with('/')) {
        path.pop_back();
    }
    return path;
}

std::string state_of(const Json& version) {
    return text_of(version, "kind") == "removed"   ? "removed"
           : !true_of(version, "readable")         ? "damaged"
           : !member(version, "until").is_string() ? "stands"
           : true_of(version, "removed")           ? "in the trash"
                                                   : "replaced";
}

int run_versions(const Args& args, Env& env) {
    Json after = Json::object();
    bool any = false;
    for (;;) {
        auto page = run_at_state(args, env, "sync.versions",
                                 {{"user", args.get("USER")},
                                  {"app", args.get("APP")},
                                  {"path_hex", to_hex(path_of(args))},
                                  {"removed", args.flag("removed")},
                                  {"after", after}});
        if (!page.ok()) {
            return report(args, env, page.error());
        }
        std::vector<std::vector<std::string>> rows;
        if (!any) {
            rows.push_back({"PATH", "REVISION", "FROM", "UNTIL", "SIZE", "STATE", "BY"});
        }
        for (const Json& one : member(*page, "versions")) {
            if (args.json()) {
                env.out(dump(one) + "\n");
                continue;
            }
            rows.push_back(
                {text_of(one, "path"), std::to_string(int_of(one, "revision")), text_of(one, "at"),
                 text_of(one, "until"),
                 member(one, "size").is_number() ? std::to_string(int_of(one, "size")) : "-",
                 state_of(one), text_of(one, "by")});
        }
        if (!args.json() && (any || rows.size() > 1 || !args.quiet())) {
            env.out(columns(rows));
        }
        any = true;
        if (!true_of(*page, "more")) {
            return 0;
        }
        after = member(*page, "next");
    }
}

std::string restored_text(const Args& args, const Json& r) {
    std::string out;
    const bool dry = true_of(r, "dry_run");
    const Json& items = member(r, "items");
    for (const Json& one : items) {
        const std::string left = text_of(one, "left");
        if (dry || !left.empty()) {
            out += text_of(one, "app") + ": " + text_of(one, "path") +
                   (left.empty() ? " as of " + text_of(one, "from") + " (revision " +
                                       std::to_string(int_of(one, "from_revision")) + ")"
                                 : " stays as it is: " + left) +
                   "\n";
        }
    }
    const std::int64_t all = int_of(r, "restored") + int_of(r, "left");
    if (const auto shown = static_cast<std::int64_t>(items.size()); all > shown) {
        out += "and " + std::to_string(all - shown) + " more\n";
    }
    if (!args.quiet()) {
        out += (dry ? "would restore " : "restored ") + std::to_string(int_of(r, "restored")) +
               " paths, " + std::to_string(int_of(r, "bytes")) + " bytes" +
               (int_of(r, "left") > 0 ? "; " + std::to_string(int_of(r, "left")) + " left" : "") +
               "\n";
    }
    return out;
}

int run_restore(const Args& args, Env& env) {
    Json wish{{"user", args.get("USER")},
              {"app", args.get("APP")},
              {"path_hex", to_hex(path_of(args))},
              {"dry_run", args.flag("dry-run")}};
    if (args.given("time") && args.given("revision")) {
        return report(
            args, env,
            fail(Code::usage, "--time and --revision both say which version", "give one of them"));
    }
    if (args.given("time")) {
        const auto at = time_of(args.get("time"));
        if (!at) {
            return report(args, env,
                          fail(Code::usage, "--time " + args.get("time") + " is not a time",
                               "give it in UTC, for example 2026-11-20T10:00"));
        }
        wish["at_us"] = *at;
    }
    if (args.given("revision")) {
        auto number = args.number("revision", 1, any_number);
        if (!number.ok()) {
            return report(args, env, number.error());
        }
        if (args.get("APP").empty()) {
            return report(
                args, env,
                fail(Code::usage, "a revision is one of one folder", "give the app, too"));
        }
        wish["revision"] = *number;
    }
    auto done = run_at_state(args, env, "sync.restore", wish);
    const int code =
        show(args, env, done, [&args](const Json& r) { return restored_text(args, r); });
    return code == 0 && int_of(*done, "left") > 0 ? exit_code(Code::partial) : code;
}

} // namespace

std::vector<Command> restore_commands() {
    const Positional user{.name = "USER", .text = "whose files"};
    const Positional path{
        .name = "PATH", .text = "a file, or a folder with all that is in it", .required = false};
    return {
        {.path = {"sync", "versions"},
         .summary = "show which versions of a user's files are kept, and what was removed",
         .description =
             "At the tier that has the account. Each line is a version: from when until when it "
             "stood, and whether it was replaced or removed. How long versions are kept is said "
             "in [files] of hasp.toml(5). With --json, a line each.",
         .options = {{.name = "removed", .text = "only what was removed and can be restored"}},
         .positionals = {user, {.name = "APP", .text = "in which app"}, path},
         .examples = {{"hasp sync versions anna notes report.txt", "Shows what is kept of a file."},
                      {"hasp sync versions anna notes --removed", "Shows the trash."}},
         .exit_codes = {4, 5, 75},
         .run = run_versions},
        {.path = {"sync", "restore"},
         .summary = "put back a file, a folder or all files of a user as they were",
         .description =
             "At the tier that has the account. Without --time and --revision it puts back what "
             "was removed, as it was last. What stands there now becomes a version itself, and "
             "files that came later stay, so a restore can be undone by another. It is one "
             "change, and goes to all tiers that hold these files as any other does.\n\nOf a time "
             "whose version is no longer kept, the newest kept one before it is taken.",
         .options = {{.name = "time",
                      .metavar = "TIME",
                      .text = "as they were then: UTC, 2026-11-20 or 2026-11-20T10:00",
                      .kind = Kind::value},
                     {.name = "revision",
                      .metavar = "N",
                      .text = "as they were at this revision of the folder",
                      .kind = Kind::value},
                     {.name = "dry-run", .text = "only say what would be restored"}},
         .positionals = {user,
                         {.name = "APP", .text = "only in this app", .required = false},
                         path},
         .examples = {{"hasp sync restore anna notes report.txt",
                       "Takes a removed file out of the trash."},
                      {"hasp sync restore anna notes plans --time 2026-11-20T10:00 --dry-run",
                       "Says what a folder would be set back to."}},
         .exit_codes = {3, 4, 5, 75},
         .run = run_restore},
    };
}

} // namespace hasp::cmd
