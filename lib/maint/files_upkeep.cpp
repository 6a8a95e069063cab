// Files: what the home does in the background, and what a crash left of the files of accounts that
// were removed.
#include "base/text.h"
#include "files_parts.h"
#include "sync/chunks.h"

namespace hasp::maint {

namespace {

// A piece of at most 8 MiB at a time: while there is more to do it takes about a second of disk in
// five, and 130 GB a day are read.
constexpr std::int64_t upkeep_first_us = 600'000'000; // after the start: users come first
constexpr std::int64_t upkeep_more_us = 5'000'000;
constexpr std::int64_t upkeep_again_us = 600'000'000;
constexpr std::size_t damaged_listed_max = 100;

Json version_json(const sync::Version& one) {
    Json out{{"path", one.path},
             {"revision", one.revision},
             {"at", rfc3339(one.at_us)},
             {"until", one.until_us > 0 ? Json(rfc3339(one.until_us)) : Json()},
             {"by", one.who}};
    if (!one.entry) {
        out["kind"] = "removed";
        return out;
    }
    out["kind"] = one.entry->kind == sync::FileKind::file     ? "file"
                  : one.entry->kind == sync::FileKind::folder ? "folder"
                                                              : "symlink";
    out["removed"] = one.removed;
    out["readable"] = one.readable;
    if (one.entry->kind == sync::FileKind::file) {
        out["size"] = one.entry->size;
        out["mtime"] = rfc3339(one.entry->mtime_us);
        out[sync::named_by_chunks(one.entry->hash) ? "chunks_name" : "sha256"] =
            to_hex(one.entry->hash);
    }
    return out;
}

Json restored_json(const sync::Restored& done, bool dry_run) {
    Json items = Json::array();
    for (const sync::RestoreItem& one : done.items) {
        Json item{{"app", one.app},
                  {"path", one.path},
                  {"from_revision", one.revision},
                  {"from", rfc3339(one.at_us)},
                  {"size", one.size}};
        if (!one.left.empty()) {
            item["left"] = one.left;
        }
        items.push_back(std::move(item));
    }
    return {{"restored", done.restored},
            {"left", done.left},
            {"bytes", done.bytes},
            {"dry_run", dry_run},
            {"items", std::move(items)}};
}

} // namespace

// An account that was here and is gone is known by its state, which stays. One that never was here
// is no reason to destroy anything: a database may have been put back from a backup.
Status Files::forget_removed_accounts(sync::Home& home) {
    auto users = home.users();
    if (!users.ok()) {
        return users.error();
    }
    Status first;
    for (const std::string& user : *users) {
        const auto account = world_.accounts.show(user);
        const auto state = world_.accounts.state_of(user);
        if (account.ok() || account.error().code != Code::not_found || !state.ok() ||
            state->generation == 0) {
            continue;
        }
        if (Status gone = home.forget_user(user); !gone.ok()) {
            first = first.ok() ? gone : first;
            continue;
        }
        world_.log.info("files.destroyed", "the key of a removed account's files is destroyed",
                        {{"user", user}});
    }
    return first;
}

// The strand of the home: never beside a batch or an answer.
void Files::upkeep() {
    const std::int64_t now = world_.clock.boot_us();
    if (upkeep_us_ == 0) {
        upkeep_us_ = now + upkeep_first_us;
    }
    if (!world_.daemon || keeping_up_ || now < upkeep_us_ || engine_ == nullptr) {
        return;
    }
    keeping_up_ = true;
    struct Done {
        Result<bool> more = false;
        Result<sync::Home::Damage> damage = sync::Home::Damage{};
        std::vector<sync::Home::Beside> beside;
    };
    auto done = std::make_shared<Done>();
    const Config::Files& days = world_.config.files;
    home_work_.run(
        [this, done,
         rule = sync::Home::UpkeepRule{{days.versions_days, days.versions_daily_days,
                                        days.versions_weekly_days, days.trash_days},
                                       days.scrub_days}] {
            done->more = engine_->home->upkeep(rule);
            done->beside = engine_->home->changed_beside();
            done->damage = engine_->home->damage(damaged_listed_max);
        },
        [this, done] {
            for (const sync::Home::Beside& one : done->beside) {
                changed_here(one.folder, one.revision);
            }
            upkept(done->more, std::move(done->damage));
        });
}

void Files::upkept(const Result<bool>& more, Result<sync::Home::Damage> damage) {
    keeping_up_ = false;
    upkeep_us_ = world_.clock.boot_us() + (more.ok() && *more ? upkeep_more_us : upkeep_again_us);
    const std::string said = more.ok() ? "" : more.error().message;
    if (!said.empty() && said != upkeep_said_) {
        world_.log.error("files.upkeep", said);
    }
    upkeep_said_ = said;
    if (!damage.ok()) {
        return;
    }
    if (damage->contents > damage_.contents) {
        const std::string first = damage->files.empty() ? ""
                                                        : ", the first " + damage->files[0].path +
                                                              " in " + damage->files[0].folder.app +
                                                              " of " + damage->files[0].folder.user;
        world_.log.error("files.damaged",
                         "kept contents of users' files are damaged: " +
                             std::to_string(damage->contents) + first,
                         {{"contents", std::to_string(damage->contents)}});
    }
    damage_ = *std::move(damage);
}

Json Files::problem() const {
    return problem_.empty() ? Json() : Json{{"text", problem_}, {"next", next_}};
}

Error Files::not_opened() const {
    return fail(Code::try_later,
                "this tier has not opened its files" + (problem_.empty() ? "" : ": " + problem_),
                problem_.empty() ? "" : "`hasp doctor` says what to do");
}

Json Files::damage() const {
    if (damage_.contents == 0) {
        return {};
    }
    Json files = Json::array();
    for (const sync::Home::DamagedFile& one : damage_.files) {
        files.push_back({{"user", one.folder.user},
                         {"app", one.folder.app},
                         {"path", one.path},
                         {"revision", one.revision},
                         {"stands", one.stands}});
    }
    return {{"contents", damage_.contents}, {"files", std::move(files)}};
}

Status Files::kept_here(const std::string& user) {
    if (engine_ == nullptr) {
        return not_opened();
    }
    auto way = way_to(user);
    if (!way.ok()) {
        return way.error();
    }
    return way->here ? Status{}
                     : fail(Code::refused,
                            "the home of " + user + "'s files is another tier, by way of '" +
                                way->name + "'",
                            "run it at the tier that has the account");
}

void Files::versions(const VersionsWish& wish, const AnswerJson& answer) {
    if (Status here = kept_here(wish.user); !here.ok()) {
        answer(here.error());
        return;
    }
    struct Found {
        Result<std::vector<sync::Version>> versions = std::vector<sync::Version>{};
        bool known = false;
    };
    auto found = std::make_shared<Found>();
    home_work_.run(
        [this, found, wish] {
            const FolderId folder{wish.user, wish.app};
            auto revision = engine_->home->revision(folder);
            found->known = revision.ok() && revision->epoch != 0;
            found->versions =
                engine_->home->versions(folder, wish.path, wish.removed_only, wish.after);
        },
        [found, answer, wish] {
            if (!found->versions.ok()) {
                answer(found->versions.error());
            } else if (!found->known) {
                answer(fail(Code::not_found, "the home keeps no files of '" + wish.user + "' in '" +
                                                 wish.app + "'"));
            } else {
                Json list = Json::array();
                for (const sync::Version& one : *found->versions) {
                    list.push_back(version_json(one));
                }
                const bool more = list.size() == sync::versions_listed_max;
                Json page{{"versions", std::move(list)}, {"more", more}};
                if (more) {
                    const sync::Version& last = found->versions->back();
                    page["next"] = {{"path_hex", to_hex(last.path)}, {"revision", last.revision}};
                }
                answer(std::move(page));
            }
        });
}

void Files::restore(const sync::RestoreWish& asked, const AnswerJson& answer) {
    sync::RestoreWish wish = asked;
    if (Status here = kept_here(wish.user); !here.ok()) {
        answer(here.error());
        return;
    }
    wish.who = wish.user + "@" + world_.me.name.leaf();
    auto done = std::make_shared<Result<sync::Restored>>(sync::Restored{});
    home_work_.run([this, wish, done] { *done = engine_->home->restore(wish); },
                   [this, wish, done, answer] {
                       if (!done->ok()) {
                           answer(done->error());
                           return;
                       }
                       for (const sync::Restored::Changed& one : (*done)->changed) {
                           if (!wish.dry_run) {
                               changed_here({wish.user, one.app}, {one.epoch, one.number});
                           }
                       }
                       answer(restored_json(**done, wish.dry_run));
                   });
}

} // namespace hasp::maint
