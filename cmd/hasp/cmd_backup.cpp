// hasp backup: backups of a tier, and what is in them. hasp restore: cmd_put_back.cpp.
#include "backup/key_file.h"
#include "backup/repository.h"
#include "backup/take.h"
#include "backup_note.h"
#include "base/clock.h"
#include "base/files.h"
#include "base/text.h"
#include "commands.h"
#include "maint/tier_identity.h"
#include "repository_at.h"
#include "state.h"
#include "version.h"

#include <algorithm>
#include <filesystem>

namespace hasp::cmd {

namespace {

constexpr std::uint64_t keep_max = 100'000;

std::string mib(std::uint64_t bytes) {
    const std::uint64_t tenths = bytes * 10 >> 20U;
    return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " MiB";
}

// The folder is neither in the state nor the other way round: a backup would hold itself.
Status apart(const std::string& folder, const std::string& state) {
    std::error_code ec;
    const std::string a = std::filesystem::weakly_canonical(folder, ec).string() + "/";
    const std::string b = std::filesystem::weakly_canonical(state, ec).string() + "/";
    return a.starts_with(b) || b.starts_with(a)
               ? Status(fail(Code::usage, folder + " and " + state + " lie in one another",
                             "give a folder elsewhere, best on another disk or machine"))
               : Status{};
}

std::string taken_text(const Args& args, const Json& r) {
    std::string out;
    for (const Json& one : member(r, "left")) {
        out += "left out: " + text_of(one, "path") + ": " + text_of(one, "why") + "\n";
    }
    if (!args.quiet()) {
        out += "backup " + text_of(r, "id") + ": " + std::to_string(int_of(r, "files")) +
               " files, " + mib(static_cast<std::uint64_t>(int_of(r, "bytes"))) + "; " +
               mib(static_cast<std::uint64_t>(int_of(r, "written"))) + " are new\n";
    }
    return out;
}

void warn_of_keys(const Args& args, Env& env) {
    if (!args.json()) {
        env.err("warning: the keys are in no backup, and without them none can be restored; save "
                "them once: hasp backup keys FILE --passphrase-file FILE\n");
    }
}

Result<Json> make_backup(const Args& args, Env& env, const std::string& folder) {
    const std::string state = absolute_path(args.state());
    auto keys = backup::read_keys(state);
    auto me = keys.ok() ? maint::load_identity(state + "/keys")
                        : Result<maint::TierIdentity>(keys.error());
    if (!me.ok()) {
        return me.error();
    }
    Status can = apart(folder, state);
    can = can.ok() ? make_folders(folder, 0700) : can;
    if (!can.ok()) {
        return can.error();
    }
    auto at = repository_at(folder, backup::Repository::Open::make, backup::Share::write);
    if (!at.ok()) {
        return at.error();
    }
    if (Status begun = at->repository->begin_writing(); !begun.ok()) {
        return begun.error();
    }
    std::vector<std::string> prints;
    const auto keys_now = [&]() -> Result<std::string> {
        auto now = backup::read_keys(state);
        if (!now.ok()) {
            return now.error();
        }
        prints = backup::key_prints(*now);
        return backup::fingerprint(*now);
    };
    Drawn drawn(env, args);
    const backup::Wish wish{state,
                            folder + "/" + backup::temporary_folder,
                            me->name.text(),
                            hasp_version,
                            keys_now,
                            [&](const backup::Wish::Progress& p) {
                                drawn.show([&] {
                                    return std::to_string(p.files) + " files, " + mib(p.bytes) +
                                           ", " + mib(p.written) + " new";
                                });
                            }};
    auto taken = backup::take(wish, *at->repository, env.clock, env.random);
    drawn.end();
    if (!taken.ok()) {
        return taken.error();
    }
    const bool saved = all_saved(read_backup_note(state), prints);
    if (Status noted = write_backup_note(
            state, {{"at_us", taken->head.at_us},
                    {"id", taken->head.id},
                    {"folder", folder},
                    {"left", taken->left.size()},
                    {"left_first", taken->left.empty() ? ""
                                                       : taken->left.front().path + ": " +
                                                             taken->left.front().why}});
        !noted.ok()) {
        return noted.error();
    }
    if (!saved) {
        warn_of_keys(args, env);
    }
    Json left = Json::array();
    for (const auto& one : taken->left) {
        left.push_back({{"path", one.path}, {"why", one.why}});
    }
    return Json{{"id", taken->head.id},     {"at", rfc3339(taken->head.at_us)},
                {"tier", taken->head.tier}, {"files", taken->files},
                {"bytes", taken->bytes},    {"written", taken->written},
                {"rounds", taken->rounds},  {"left", left},
                {"keys_saved", saved}};
}

int run_backup(const Args& args, Env& env) {
    auto made = make_backup(args, env, absolute_path(args.get("DIR")));
    const int code = show(args, env, made, [&](const Json& r) { return taken_text(args, r); });
    return code == 0 && !member(*made, "left").empty() ? exit_code(Code::partial) : code;
}

int run_list(const Args& args, Env& env) {
    auto at = repository_at(absolute_path(args.get("DIR")), backup::Repository::Open::existing,
                            backup::Share::read);
    auto all = at.ok() ? at->repository->list()
                       : Result<std::vector<backup::Repository::Listed>>(at.error());
    if (!all.ok()) {
        return report(args, env, all.error());
    }
    Json list = Json::array();
    std::vector<std::vector<std::string>> rows{{"BACKUP", "TIER", "FILES", "SIZE", "PROBLEM"}};
    for (const auto& one : *all) {
        list.push_back({{"id", one.id},
                        {"at", rfc3339(one.head.at_us)},
                        {"tier", one.head.tier},
                        {"version", one.head.version},
                        {"files", one.files},
                        {"bytes", one.bytes},
                        {"problem", one.problem}});
        rows.push_back(
            {one.id, one.head.tier, std::to_string(one.files), mib(one.bytes), one.problem});
    }
    return show(args, env, Json{{"backups", list}},
                [&](const Json&) { return listing(args, rows); });
}

int run_check(const Args& args, Env& env) {
    const std::string folder = absolute_path(args.get("DIR"));
    const bool aside = args.flag("set-aside");
    auto at = repository_at(folder, backup::Repository::Open::existing,
                            aside ? backup::Share::write : backup::Share::read);
    Drawn drawn(env, args);
    auto checked = at.ok() ? at->repository->check(aside,
                                                   [&](std::uint64_t done, std::uint64_t of) {
                                                       drawn.show([&] {
                                                           return std::to_string(done) + " of " +
                                                                  std::to_string(of) + " parts";
                                                       });
                                                   })
                           : Result<backup::Repository::Checked>(at.error());
    drawn.end();
    if (!checked.ok()) {
        return report(args, env, checked.error());
    }
    Json damages = Json::array();
    std::string text;
    for (const auto& one : checked->damages) {
        damages.push_back({{"id", one.id}, {"path", one.path}, {"why", one.why}});
        text += one.id + ": " + (one.path.empty() ? "its list" : one.path) + ": " + one.why + "\n";
    }
    if (checked->set_aside) {
        text += "damaged parts were set aside: the next backup writes those anew that the tier "
                "still has\n";
    }
    if (!args.quiet()) {
        text += std::to_string(checked->backups) + " backups, " + std::to_string(checked->chunks) +
                " parts, " + mib(checked->bytes) + " read; " +
                (checked->damaged == 0 ? "all is whole"
                                       : std::to_string(checked->damaged) + " are damaged") +
                "\n";
    }
    const int code = show(args, env,
                          Json{{"backups", checked->backups},
                               {"parts", checked->chunks},
                               {"bytes", checked->bytes},
                               {"damaged", checked->damaged},
                               {"damages", damages},
                               {"set_aside", checked->set_aside}},
                          [&](const Json&) { return text; });
    return code == 0 && checked->damaged > 0 ? exit_code(Code::refused) : code;
}

int run_prune(const Args& args, Env& env) {
    if (args.given("keep") == args.given("days")) {
        return report(args, env, fail(Code::usage, "say what stays", "give --keep N or --days N"));
    }
    auto number = args.number(args.given("keep") ? "keep" : "days", 1, keep_max);
    if (!number.ok()) {
        return report(args, env, number.error());
    }
    auto at = repository_at(absolute_path(args.get("DIR")), backup::Repository::Open::existing,
                            backup::Share::write);
    auto all = at.ok() ? at->repository->list()
                       : Result<std::vector<backup::Repository::Listed>>(at.error());
    if (!all.ok()) {
        return report(args, env, all.error());
    }
    // The newest stays in any case. What cannot be read is not counted.
    std::vector<std::string> gone;
    std::uint64_t newer = 0;
    for (auto one = all->rbegin(); one != all->rend(); ++one) {
        if (!one->problem.empty()) {
            continue;
        }
        const std::int64_t age_us = env.clock.wall_us() - one->head.at_us;
        const bool old = args.given("keep")
                             ? newer >= *number
                             : newer > 0 && age_us > static_cast<std::int64_t>(*number) * day_us;
        ++newer;
        if (old) {
            gone.push_back(one->id);
        }
    }
    auto pruned = at->repository->prune(gone);
    if (!pruned.ok()) {
        return report(args, env, pruned.error());
    }
    return show(
        args, env,
        Json{{"removed", pruned->removed}, {"parts", pruned->chunks}, {"bytes", pruned->bytes}},
        [&](const Json&) {
            return args.quiet() ? std::string()
                                : "removed " + std::to_string(pruned->removed.size()) +
                                      " backups, " + mib(pruned->bytes) + " freed\n";
        });
}

int run_keys(const Args& args, Env& env) {
    const std::string state = absolute_path(args.state());
    const std::string file = absolute_path(args.get("FILE"));
    auto keys = backup::read_keys(state);
    auto passphrase = keys.ok() ? read_secret(args.get("passphrase-file"), env)
                                : Result<std::string>(keys.error());
    auto sealed = passphrase.ok() ? backup::seal_keys(*keys, *passphrase, env.random)
                                  : Result<std::string>(passphrase.error());
    if (!sealed.ok()) {
        return report(args, env, sealed.error());
    }
    // What cannot be read back is no copy.
    if (auto back = backup::open_keys(*sealed, *passphrase); !back.ok() || *back != *keys) {
        return report(args, env, fail(Code::failed, "the sealed keys could not be opened again"));
    }
    Status done = write_file_durably(file, *sealed, 0600);
    const std::string print = backup::fingerprint(*keys);
    done = done.ok() ? write_backup_note(state, {{"keys", print},
                                                 {"private_keys", backup::key_prints(*keys)},
                                                 {"keys_at_us", env.clock.wall_us()}})
                     : done;
    if (!done.ok()) {
        return report(args, env, done.error());
    }
    return show(args, env, Json{{"file", file}, {"keys", print}}, [&](const Json&) {
        return args.quiet() ? std::string()
                            : "the keys are in " + file +
                                  "\n  keep it, and its passphrase, apart from the backups: who "
                                  "has all three has everything\n";
    });
}

} // namespace

std::vector<Command> backup_commands() {
    const Positional dir{.name = "DIR", .text = "the folder with the backups"};
    return {
        {.path = {"backup"},
         .summary = "make a backup of this tier, also while it serves",
         .description =
             "Copies databases, contents of users' files, releases, datasets of apps and the "
             "config into a folder that may hold many backups; only what is new is written. All of "
             "a backup is of one moment, and users do not notice. It counts only when it is whole "
             "and on the disk: one that is cut off leaves the earlier ones as they were, and what "
             "it copied is used by the next.\n\nNot in it: the keys (`hasp backup keys`), caches, "
             "logs, and working copies of users' files at this tier, which come back from their "
             "homes; an edit of a program here that the home has not taken yet is not in it. What "
             "changes each time it is read, is lost, or can be read only in part is named, and the "
             "exit code is 3. Each tier needs a folder of its own.",
         .positionals = {dir},
         .examples = {{"hasp backup /mnt/backup/center", "Makes a backup; also from cron."}},
         .exit_codes = {3, 4, 5, 6, 75},
         .run = run_backup},
        {.path = {"backup", "list"},
         .summary = "show the backups in a folder",
         .positionals = {dir},
         .examples = {{"hasp backup list /mnt/backup/center --json", "Shows them for a program."}},
         .exit_codes = {4, 5, 6},
         .run = run_list},
        {.path = {"backup", "check"},
         .summary = "read all backups in a folder and verify them",
         .description =
             "Reads every part and compares it with its hash. Each damaged file is named with its "
             "backup, and the exit code is 4. It needs no tier and no keys.",
         .options = {{.name = "set-aside",
                      .text = "move damaged parts away, so that the next backup writes them anew"}},
         .positionals = {dir},
         .examples = {{"hasp backup check /mnt/backup/center --quiet",
                       "Prints what is damaged, for cron."}},
         .exit_codes = {4, 5, 6},
         .run = run_check},
        {.path = {"backup", "prune"},
         .summary = "remove old backups and what only they need",
         .options =
             {{.name = "keep", .metavar = "N", .text = "the newest N stay", .kind = Kind::value},
              {.name = "days",
               .metavar = "N",
               .text = "those of the last N days stay, and the newest in any case",
               .kind = Kind::value}},
         .positionals = {dir},
         .examples = {{"hasp backup prune /mnt/backup/center --days 90",
                       "Removes what is older than 90 days."}},
         .exit_codes = {4, 5, 6},
         .run = run_prune},
        {.path = {"backup", "keys"},
         .summary = "save this tier's keys under a passphrase, apart from its backups",
         .description =
             "The keys are in no backup: whoever has both reads everything. Save them once, and "
             "again when `hasp doctor` says so; without them no backup can be restored.",
         .options = {{.name = "passphrase-file",
                      .metavar = "FILE",
                      .text =
                          "file with the passphrase, of at least 12 bytes; - for standard input",
                      .kind = Kind::value,
                      .required = true}},
         .positionals = {{.name = "FILE", .text = "where to; it is replaced"}},
         .examples = {{"hasp backup keys /media/stick/center.keys --passphrase-file -",
                       "Asks standard input for the passphrase."}},
         .exit_codes = {5},
         .run = run_keys},
    };
}

} // namespace hasp::cmd
