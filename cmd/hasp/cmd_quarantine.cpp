// hasp sync quarantine: files that the virus check of their home did not let count.
#include "commands.h"
#include "state.h"

namespace hasp::cmd {

namespace {

constexpr std::uint64_t quarantine_number_max = 1'000'000'000'000;

int run_quarantine(const Args& args, Env& env) {
    Json wish = Json::object();
    for (const char* what : {"release", "delete"}) {
        if (!args.given(what)) {
            continue;
        }
        auto number = args.number(what, 1, quarantine_number_max);
        if (!number.ok()) {
            return report(args, env, number.error());
        }
        wish[what] = *number;
    }
    if (wish.size() > 1) {
        return report(args, env,
                      fail(Code::usage, "--release and --delete are two wishes", "give one"));
    }
    return show(args, env, run_at_state(args, env, "sync.quarantine", wish), [&](const Json& now) {
        std::vector<std::vector<std::string>> rows{
            {"NUMBER", "USER", "APP", "PATH", "SIZE", "FOUND", "SINCE", "BY"}};
        for (const Json& one : member(now, "files")) {
            const std::string found = text_of(one, "found");
            rows.push_back({std::to_string(int_of(one, "id")), text_of(one, "user"),
                            text_of(one, "app"), text_of(one, "path"),
                            std::to_string(int_of(one, "size")),
                            found.empty() ? "waits for the scanner" : found, text_of(one, "at"),
                            text_of(one, "by")});
        }
        return rows.size() > 1 ? listing(args, rows)
               : args.quiet()  ? std::string()
                               : std::string("nothing is in quarantine\n");
    });
}

} // namespace

Command quarantine_command() {
    return {.path = {"sync", "quarantine"},
            .summary = "show files in which the virus scanner found something, release or delete "
                       "them",
            .description =
                "At the tier that has the account, with [scan] in hasp.toml(5). A file in "
                "quarantine stays where it was written and goes nowhere else; what the home has "
                "of it is encrypted as everything else there, and is removed after 30 days. What "
                "could not be looked at is listed too, where when_gone is \"closed\": it counts as "
                "soon as the scanner has looked at it.\n\nRelease what the scanner is wrong about: "
                "it goes where the other files of the folder go, and its content is not held up "
                "again.",
            .options = {{.name = "release",
                         .metavar = "NUMBER",
                         .text = "this file is sound, whatever the scanner says",
                         .kind = Kind::value},
                        {.name = "delete",
                         .metavar = "NUMBER",
                         .text = "remove what the home has of this file; it stays where it was "
                                 "written",
                         .kind = Kind::value}},
            .examples = {{"hasp sync quarantine", "Shows what is there."},
                         {"hasp sync quarantine --release 3", "Lets a file count after all."}},
            .exit_codes = {3, 4, 5, 75},
            .run = run_quarantine};
}

} // namespace hasp::cmd
