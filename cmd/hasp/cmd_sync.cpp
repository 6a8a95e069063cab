// hasp sync: users' files, compared with their homes now.
#include "commands.h"
#include "state.h"

#include <map>
#include <utility>

namespace hasp::cmd {

namespace {

std::string size_text(std::int64_t bytes) {
    return bytes < 10'000       ? std::to_string(bytes) + " B"
           : bytes < 10'000'000 ? std::to_string(bytes / 1000) + " kB"
                                : std::to_string(bytes / 1'000'000) + " MB";
}

std::string folder_name(const Json& folder) {
    return text_of(folder, "app") + " of " + text_of(folder, "user");
}

// What is worth a line: nothing for a folder that was equal already.
std::string folder_text(const Json& folder) {
    std::string out;
    const auto add = [&](std::int64_t count, const std::string& text) {
        if (count > 0) {
            out += (out.empty() ? "" : ", ") + std::to_string(count) + text;
        }
    };
    add(int_of(folder, "sent_files"), " sent (" + size_text(int_of(folder, "sent_bytes")) + ")");
    add(int_of(folder, "received_files"), " received");
    add(int_of(folder, "conflicts"), " kept beside another (conflict)");
    add(int_of(folder, "left"), " left for the next round: in use or changing");
    if (!out.empty()) {
        out += "; on the wire " + size_text(int_of(folder, "wire_up")) + " up, " +
               size_text(int_of(folder, "wire_down")) + " down";
    }
    if (true_of(folder, "removed")) {
        out = "removed from this tier";
    }
    if (int_of(folder, "held_files") > 0) {
        out += (out.empty() ? "" : "; ") + text_of(folder, "held") + ": " +
               std::to_string(int_of(folder, "held_files")) +
               " deletions are held. If they are meant: hasp sync --release-deletions --user " +
               text_of(folder, "user") + " --app " + text_of(folder, "app");
    }
    for (const Json& one : member(folder, "refused")) {
        const std::string found = text_of(one, "found");
        out += (out.empty() ? "" : "; ") + text_of(one, "path") + " is not sent: " +
               (found.empty() ? "its home's virus scanner has not looked at it yet"
                              : "its home's virus scanner found " + found + " in it");
    }
    const auto refused = int_of(folder, "infected") + int_of(folder, "unscanned");
    if (const auto named = static_cast<std::int64_t>(member(folder, "refused").size());
        refused > named) {
        out += "; and " + std::to_string(refused - named) + " more";
    }
    return out.empty() ? out : folder_name(folder) + ": " + out + "\n";
}

void draw_progress(Env& env, const Json& seen) {
    const auto all = static_cast<std::int64_t>(member(seen, "folders").size());
    const std::int64_t done = int_of(seen, "folders_done");
    constexpr std::int64_t width = 30;
    const auto full = static_cast<std::size_t>(all == 0 ? width : width * done / all);
    env.err("\r[" + std::string(full, '#') + std::string(width - full, '.') + "] " +
            std::to_string(done) + "/" + std::to_string(all) + " folders ");
}

// With --wait: what a folder waits for, when that changes.
void tell_waits(const Args& args, Env& env, const Json& seen,
                std::map<std::string, std::string>& told) {
    for (const Json& folder : member(seen, "folders")) {
        const std::string why = text_of(folder, "waits");
        std::string& before = told[folder_name(folder)];
        if (why != before && !why.empty() && !args.quiet()) {
            env.err((env.err_is_tty ? "\r\033[K" : "") + folder_name(folder) + " waits: " + why +
                    "\n");
        }
        before = why;
    }
}

// One round, to its end.
Result<Json> one_round(const Args& args, Env& env, const Json& wish) {
    auto begun = run_at_state(args, env, "sync.begin", wish);
    if (!begun.ok()) {
        return begun;
    }
    bool drawn = false;
    std::int64_t done = 0;
    std::map<std::string, std::string> told;
    for (;;) { // each question is answered when there is something new, or after a second
        auto seen = run_at_state(args, env, "sync.look",
                                 {{"round", int_of(*begun, "round")}, {"seen", done}});
        if (!seen.ok() || true_of(*seen, "done")) {
            if (drawn) {
                env.err("\r\033[K");
            }
            return seen;
        }
        tell_waits(args, env, *seen, told);
        if (env.err_is_tty && !args.quiet() && !args.json()) {
            drawn = true;
            draw_progress(env, *seen);
        }
        done = int_of(*seen, "folders_done");
    }
}

std::string problem_text(const Json& folder) {
    std::string out = text_of(folder, "error");
    if (const std::string why = text_of(folder, "unwatched"); !why.empty()) {
        out += (out.empty() ? "" : "; ") + ("scanned, not watched: " + why);
    }
    for (const auto& [what, words] : {std::pair{"infected", " infected"},
                                      std::pair{"unscanned", " to wait for the virus scanner"}}) {
        if (const auto files = int_of(folder, what); files > 0) {
            out += (out.empty() ? "" : "; ") + std::to_string(files) + words + ": not sent";
        }
    }
    for (const auto& [what, words] :
         {std::pair{"skipped", " devices, pipes or sockets"},
          std::pair{"attributes_left", " files whose extended attributes have no room"}}) {
        if (const auto files = int_of(folder, what); files > 0) {
            out += (out.empty() ? "" : "; ") + std::to_string(files) + words + ": not kept";
        }
    }
    if (const auto files = int_of(folder, "to_come_files"); files > 0) {
        out += (out.empty() ? "" : "; ") + std::to_string(files) +
               " files without their content (" + std::to_string(int_of(folder, "to_come_bytes")) +
               " bytes are to come)";
    }
    if (true_of(folder, "unchecked")) {
        out += out.empty() ? "" : "; ";
        out += "what changed while hasp was down is being looked for";
    }
    return out;
}

int list_folders(const Args& args, Env& env) {
    return show(args, env, run_at_state(args, env, "sync.status", Json::object()),
                [&](const Json& r) {
                    std::vector<std::vector<std::string>> rows{{"USER", "APP", "REVISION", "UNSENT",
                                                                "BYTES", "HELD", "CONFLICTS",
                                                                "LAST AGREED", "PROBLEM"}};
                    for (const Json& f : member(r, "folders")) {
                        rows.push_back({text_of(f, "user"), text_of(f, "app"),
                                        std::to_string(int_of(member(f, "revision"), "number")),
                                        std::to_string(int_of(f, "unsent_files")),
                                        std::to_string(int_of(f, "unsent_bytes")),
                                        std::to_string(int_of(f, "held_files")),
                                        std::to_string(int_of(f, "conflicts")),
                                        text_of(f, "synced"), problem_text(f)});
                    }
                    return listing(args, rows);
                });
}

// What other tiers have not sent of the files of users who are here.
void tell_owed(const Args& args, Env& env) {
    auto said = run_at_state(args, env, "sync.owed", Json::object());
    if (!said.ok() || args.quiet()) {
        return;
    }
    for (const Json& one : member(*said, "owed")) {
        const std::string user = args.get("user");
        if (user.empty() || user == text_of(one, "user")) {
            env.out(args.json() ? dump(Json{{"owed", one}}) + "\n" : text_of(one, "text") + "\n");
        }
    }
}

int run_sync(const Args& args, Env& env) {
    if (args.flag("list")) {
        return list_folders(args, env);
    }
    const Json wish{{"user", args.get("user")},
                    {"app", args.get("app")},
                    {"release_deletions", args.flag("release-deletions")},
                    {"begin_anew", args.flag("begin-anew")},
                    {"discard", args.flag("discard")},
                    {"wait", args.flag("wait")}};
    if ((args.flag("release-deletions") || args.flag("begin-anew") || args.flag("discard")) &&
        (args.get("user").empty() || args.get("app").empty())) {
        return report(args, env,
                      fail(Code::usage, "this is said of one folder: give --user and --app"));
    }
    auto seen = one_round(args, env, wish);
    if (!seen.ok()) {
        return report(args, env, seen.error());
    }
    std::size_t failed = 0;
    std::optional<Error> worst;
    bool left = false;
    for (const Json& folder : member(*seen, "folders")) {
        if (args.json()) {
            env.out(dump(folder) + "\n");
        } else if (!args.quiet()) {
            env.out(folder_text(folder));
        }
        left = left || int_of(folder, "left") > 0;
        if (!folder.contains("error")) {
            continue;
        }
        ++failed;
        Error error = error_of(member(folder, "error"));
        if (!args.json()) {
            print_error(false, env,
                        fail(error.code, folder_name(folder) + ": " + error.message, error.hint));
        }
        if (!worst || worst->code == Code::unreachable) {
            worst = std::move(error);
        }
    }
    tell_owed(args, env);
    if (!worst) {
        return left ? exit_code(Code::try_later) : 0;
    }
    return exit_code(failed == member(*seen, "folders").size() ? worst->code : Code::partial);
}

} // namespace

Command sync_command() {
    return {
        .path = {"sync"},
        .summary = "compare users' files with their homes now",
        .description =
            "A running tier sends what programs write in users' folders by itself, within "
            "seconds, and fetches what changed elsewhere. This does one round now and says what it "
            "did; it says nothing when all was equal, which suits cron. Without a link nothing is "
            "lost: changes wait, `--list` shows them.\n\nWhen both sides changed a file, both "
            "stay, one as \"name (conflict USER@TIER TIME).ext\". When very many files were "
            "deleted at once, or a folder vanished, the deletions are held until "
            "--release-deletions says that they are meant.\n\nModes, times, links, holes and the "
            "attributes user.* of files come along. ACLs and all other attributes do not; two "
            "names of one file are two files elsewhere; devices, pipes and sockets stay where they "
            "are, which --list counts.\n\nWhere another tier has not sent all of the files of a "
            "user who is logged in here, or is out of reach and may have changes to them, a line "
            "names it and says since when. They come by themselves when it is back.\n\nThe files "
            "of an "
            "account that was removed go from the tiers that have copies when those are told. What "
            "was written here and never sent stays until --discard says that nobody needs it.",
        .options = {{.name = "user",
                     .metavar = "USER",
                     .text = "only files of this user",
                     .kind = Kind::value},
                    {.name = "app",
                     .metavar = "APP",
                     .text = "only files of this app",
                     .kind = Kind::value},
                    {.name = "wait",
                     .text = "go on until all is equal, also while the home cannot be reached"},
                    {.name = "list", .text = "show the folders and what is unsent, and end"},
                    {.name = "release-deletions", .text = "the deletions that are held are meant"},
                    {.name = "begin-anew",
                     .text = "the home began anew: compare everything, delete nothing"},
                    {.name = "discard",
                     .text = "the account was removed: what was not sent here is not needed"}},
        .examples = {{"hasp sync --wait --user anna",
                      "Ends when anna's home has all that she wrote here."},
                     {"hasp sync --list --json | jq '[.folders[].unsent_bytes] | add'",
                      "Prints how many bytes wait for the link."}},
        .exit_codes = {3, 4, 5, 7, 8, 75},
        .run = run_sync};
}

} // namespace hasp::cmd
