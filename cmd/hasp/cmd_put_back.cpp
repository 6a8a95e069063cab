// hasp restore: a tier from a backup.
#include "backup/key_file.h"
#include "backup/put_back.h"
#include "base/clock.h"
#include "base/files.h"
#include "base/text.h"
#include "commands.h"
#include "maint/restoration.h"
#include "repository_at.h"
#include "state.h"
#include "when.h"

#include <filesystem>
#include <limits>
#include <optional>

namespace hasp::cmd {

namespace {

struct Found {
    std::string id;
    backup::Head head;
};

Result<Found> find_backup(const Args& args, backup::Repository& repository) {
    std::string id = args.get("at");
    if (id.empty() || !backup::valid_backup_id(id)) {
        std::optional<std::int64_t> at_us = std::numeric_limits<std::int64_t>::max();
        if (!id.empty()) {
            at_us = time_of(id);
        }
        if (!at_us) {
            return fail(Code::usage, "--at " + id + " is neither a time nor a backup",
                        "give a time in UTC, for example 2026-11-20T10:00, or an id of `hasp "
                        "backup list`");
        }
        auto newest = backup::backup_at(repository, *at_us);
        if (!newest.ok() || !*newest) {
            return newest.ok() ? fail(Code::not_found, "there is no whole backup of that time",
                                      "hasp backup list shows those that are")
                               : newest.error();
        }
        id = **newest;
    }
    auto head = repository.read(id, [](const backup::Item&) { return Status{}; });
    return head.ok() ? Result<Found>(Found{id, *head}) : head.error();
}

Result<backup::Keys> fitting_keys(const Args& args, Env& env, const backup::Head& head) {
    auto text = read_file(args.get("keys"), backup::key_file_bytes_max);
    auto passphrase = text.ok() ? read_secret(args.get("passphrase-file"), env)
                                : Result<std::string>(text.error());
    auto keys = passphrase.ok() ? backup::open_keys(*text, *passphrase)
                                : Result<backup::Keys>(passphrase.error());
    if (keys.ok() && !backup::fit(*keys, head.keys)) {
        return fail(Code::refused, "the keys are others than those of this backup",
                    "give the file that `hasp backup keys` made of that tier at that time");
    }
    return keys;
}

Status empty_folder(const std::string& state) {
    if (Status made = make_folders(state, 0711); !made.ok()) {
        return made;
    }
    std::error_code ec;
    const bool empty = std::filesystem::is_empty(state, ec);
    return !ec && empty ? Status{}
                        : Status(fail(Code::conflict, state + " is not empty",
                                      "give --state a folder that is empty or does not exist; "
                                      "what stands there may be the only copy"));
}

// Everything but the keys, so that nobody can serve what is half done; they come last.
Result<Json> put_all_back(const Args& args, Env& env, backup::Repository& repository,
                          const std::string& state) {
    auto found = find_backup(args, repository);
    auto keys =
        found.ok() ? fitting_keys(args, env, found->head) : Result<backup::Keys>(found.error());
    if (!keys.ok()) {
        return keys.error();
    }
    const std::int64_t now_us = env.clock.wall_us();
    auto life = maint::new_life((*keys)["keys/tier.json"], now_us);
    if (!life.ok()) {
        return life.error();
    }
    (*keys)["keys/tier.json"] = life->tier_json;
    if (Status empty = empty_folder(state); !empty.ok()) {
        return empty.error();
    }
    Drawn drawn(env, args);
    auto back =
        backup::put_back(repository, found->id, state, [&](std::uint64_t bytes, std::uint64_t of) {
            drawn.show([&] {
                return std::to_string(bytes >> 20U) + " of " + std::to_string(of >> 20U) + " MiB";
            });
        });
    drawn.end();
    Status done = back.ok() ? Status{} : Status(back.error());
    done = done.ok() ? maint::begin_new_life(state, *life, {now_us, found->head.at_us, found->id})
                     : done;
    done = done.ok() ? backup::put_keys(*keys, state) : done;
    if (!done.ok()) {
        // Made by us in a folder that was empty.
        std::error_code ec;
        for (const auto& entry : std::filesystem::directory_iterator(state, ec)) {
            [[maybe_unused]] const Status gone = remove_tree(entry.path().string());
        }
        return done.error();
    }
    return Json{{"id", found->id},
                {"at", rfc3339(found->head.at_us)},
                {"tier", life->tier},
                {"state", state},
                {"files", back->files},
                {"bytes", back->bytes},
                {"has_parent", life->has_parent}};
}

std::string restored_text(const Args& args, const Json& r) {
    if (args.quiet()) {
        return {};
    }
    return text_of(r, "tier") + " is in " + text_of(r, "state") + " as it was at " +
           text_of(r, "at") +
           ".\n"
           "  What was done here since then is not in it: users, apps, releases, allowances and "
           "closed bills\n  that came are gone, and whoever was removed, disabled or revoked is "
           "back: do that again.\n"
           "  Tiers that joined since then need a new invitation. Everybody logs in again.\n"
           "  Tiers below keep what they have, and send again what this one lacks.\n" +
           (true_of(r, "has_parent")
                ? "  The tier above counts usage of this one again once it is enrolled anew.\n"
                : "") +
           "  The old one must not come back: two with the same keys would both be believed.\n"
           "  start    hasp serve --state " +
           text_of(r, "state") + "\n";
}

int run_restore(const Args& args, Env& env) {
    auto at = repository_at(absolute_path(args.get("DIR")), backup::Repository::Open::existing,
                            backup::Share::read);
    auto done = at.ok() ? put_all_back(args, env, *at->repository, absolute_path(args.state()))
                        : Result<Json>(at.error());
    return show(args, env, done, [&](const Json& r) { return restored_text(args, r); });
}

} // namespace

Command put_back_command() {
    return {
        .path = {"restore"},
        .summary = "make a tier from a backup, in an empty folder",
        .description =
            "Puts a backup into the folder that --state names, which is empty or does not exist "
            "yet. Each part is compared with its hash, and the tier's keys come last: what fails "
            "is removed again, and nothing half done can be served.\n\nThe tier goes on as what it "
            "was, with a new epoch: tiers below notice it by themselves, keep all they have, and "
            "send what the backup lacks, usage included. What differs is kept at both sides, one "
            "as a conflict copy; nothing is deleted. Only what the tier alone knew since the "
            "backup is lost.",
        .options = {{.name = "at",
                     .metavar = "WHEN",
                     .text = "the newest backup at this time (UTC, 2026-11-20T10:00) or before "
                             "it, or the id of one (default: the newest)",
                     .kind = Kind::value},
                    {.name = "keys",
                     .metavar = "FILE",
                     .text = "the keys, as `hasp backup keys` saved them",
                     .kind = Kind::value,
                     .required = true},
                    {.name = "passphrase-file",
                     .metavar = "FILE",
                     .text = "file with their passphrase; - for standard input",
                     .kind = Kind::value,
                     .required = true}},
        .positionals = {{.name = "DIR", .text = "the folder with the backups"}},
        .examples = {{"hasp restore /mnt/backup/center --keys center.keys --passphrase-file - "
                      "--state /srv/hasp",
                      "Makes the center anew from its newest backup."}},
        .exit_codes = {4, 5, 6},
        .run = run_restore};
}

} // namespace hasp::cmd
