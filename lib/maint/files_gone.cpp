// Files of accounts that were removed: their home says that they are gone to whoever has a copy,
// and the copy goes. What was never sent of it stays until an operator says that it may go. An
// ended copy is never one again: nothing is sent of it, and no program starts on it.
#include "base/clock.h"
#include "files_parts.h"

#include <algorithm>
#include <utility>

namespace hasp::maint {

namespace {

// Of a folder of an account that is gone, as holders are told it: no folder has such a revision.
constexpr sync::Revision gone_revision{0, 1};

} // namespace

Error Files::ended_error(const FolderId& id) {
    return fail(Code::conflict,
                "the account of " + id.user +
                    " was removed: its files are neither sent nor opened any more, and go",
                "what was never sent stays, and `hasp sync --list` counts it, until "
                "`hasp sync --discard --user " +
                    id.user + " --app " + id.app + "`");
}

// For whoever has the name by now.
Error Files::in_the_way(const FolderId& id) {
    return fail(Code::conflict,
                "Files of an earlier account '" + id.user +
                    "', which was removed, are still at this site. Nobody is to find them, so "
                    "nothing is opened here until they are gone.",
                "an operator of this tier can say that nobody needs what was never sent of them: "
                "hasp sync --discard --user " +
                    id.user + " --app " + id.app);
}

Status Files::know_gone() {
    auto users = engine_->home->users_gone();
    auto ended = engine_->client->ended();
    if (!users.ok() || !ended.ok()) {
        return users.ok() ? ended.error() : users.error();
    }
    users_gone_ = *std::move(users);
    auto leaving = engine_->client->leaving();
    if (!leaving.ok()) {
        return leaving.error();
    }
    for (const auto& [id, wholly] : *ended) {
        const bool there = world_.disk->stat("data/users/" + id.user + "/" + id.app).ok() ||
                           std::find(leaving->begin(), leaving->end(), id) != leaving->end();
        if (!there) { // it went, and a crash came before that was written down
            if (Status dropped = engine_->client->forget_end(id); !dropped.ok()) {
                return dropped;
            }
            continue;
        }
        folder(id).ended = true;
        folder(id).wholly = wholly;
    }
    return {};
}

std::vector<sync::FolderId> Files::folders_of(const std::string& user) const {
    std::vector<FolderId> out;
    for (auto at = folders_.lower_bound({user, ""}); at != folders_.end() && at->first.user == user;
         ++at) {
        out.push_back(at->first);
    }
    return out;
}

void Files::known_folders(const std::string& user, std::function<void(Json)> done) {
    if (engine_ == nullptr) {
        done(Json::array());
        return;
    }
    auto known =
        std::make_shared<Result<std::vector<sync::GoneFolder>>>(std::vector<sync::GoneFolder>());
    home_work_.run([this, user, known] { *known = engine_->home->epochs(user); },
                   [this, known, done = std::move(done)] {
                       Json list = Json::array();
                       if (!known->ok()) {
                           world_.log.error("files.gone", known->error().message);
                       }
                       for (const sync::GoneFolder& one :
                            known->ok() ? **known : std::vector<sync::GoneFolder>{}) {
                           list.push_back({{"app", one.app}, {"epoch", one.epoch}});
                       }
                       done(std::move(list));
                   });
}

void Files::forget_account(const std::string& user, std::function<void(Status)> done) {
    if (engine_ == nullptr) {
        done(fail(Code::try_later,
                  "the account is removed, but not yet what it kept in files, which this tier has "
                  "not opened: " +
                      problem_,
                  "it is tried again when this tier starts"));
        return;
    }
    auto forgotten = std::make_shared<Status>();
    client_work_.run(
        [this, user, forgotten] { *forgotten = engine_->client->forget_bases(user); },
        [this, user, forgotten] {
            if (!forgotten->ok()) {
                world_.log.error("files.forgetting", forgotten->error().message, {{"user", user}});
            }
        });
    struct Done {
        Status gone;
        Result<std::vector<sync::GoneFolder>> known = std::vector<sync::GoneFolder>();
    };
    auto work = std::make_shared<Done>();
    home_work_.run(
        [this, user, work] {
            work->known = engine_->home->epochs(user);
            work->gone = engine_->home->forget_user(user);
        },
        [this, user, work, done = std::move(done)] {
            if (!work->gone.ok()) {
                done(fail(work->gone.error().code,
                          "the account is removed, but not yet what it kept in files: " +
                              work->gone.error().message,
                          "it is tried again when this tier starts"));
                return;
            }
            users_gone_.insert(user);
            for (const sync::GoneFolder& one :
                 work->known.ok() ? *work->known : std::vector<sync::GoneFolder>{}) {
                tell_gone({user, one.app});
            }
            done({});
        });
}

// Where the account itself was, nothing of it is needed.
void Files::account_removed(const std::string& user, std::function<void(Status)> done) {
    forget_account(user, [this, user, done = std::move(done)](const Status& gone) {
        if (!gone.ok()) {
            done(gone);
            return;
        }
        for (const FolderId& id : folders_of(user)) {
            mark_ended(id, true);
            end_gone(id);
        }
        when_left(user, done);
    });
}

void Files::end_earlier(const std::string& user, bool here, std::function<void(Status)> done) {
    auto known = std::make_shared<std::vector<FolderId>>();
    const auto look = [this, user, done](const Status& left) {
        const std::vector<FolderId> theirs = folders_of(user);
        const bool there = std::any_of(theirs.begin(), theirs.end(), [this](const FolderId& id) {
            return folders_.at(id)->ended;
        });
        const std::string why = left.ok() ? "" : ": " + left.error().message;
        done(!there
                 ? Status{}
                 : fail(Code::try_later,
                        "files of an earlier account '" + user +
                            "' are still here, and whoever gets the name must not find them" + why,
                        world_.daemon
                            ? "hasp sync --list says what is unsent of them; it goes with "
                              "hasp sync --discard --user " +
                                  user + " --app APP"
                            : "they go when this tier runs: hasp serve"));
    };
    if (!here || engine_ == nullptr) {
        if (here) {
            forget_account(user, std::move(done)); // says why not
        } else {
            look({});
        }
        return;
    }
    forget_account(user, [this, user, known, look, done](const Status& gone) {
        if (!gone.ok()) {
            done(gone);
            return;
        }
        std::vector<std::pair<FolderId, std::uint64_t>> theirs;
        for (const FolderId& id : folders_of(user)) {
            theirs.emplace_back(id, folder(id).status.revision.epoch);
        }
        home_work_.run(
            [this, theirs, known] {
                for (const auto& [id, epoch] : theirs) {
                    auto ended = engine_->home->destroyed(id, epoch);
                    if (ended.ok() && *ended) {
                        known->push_back(id);
                    }
                }
            },
            [this, user, known, look] {
                for (const FolderId& id : *known) {
                    if (folders_.contains(id)) {
                        mark_ended(id, true);
                        end_gone(id);
                    }
                }
                when_left(user, look);
            });
    });
}

void Files::given_up(const std::string& user, const Json& gone, std::function<void(Status)> done) {
    if (engine_ == nullptr) {
        done({}); // the name is free all the same
        return;
    }
    std::vector<sync::GoneFolder> folders;
    for (const Json& one : gone) {
        folders.push_back({text_of(one, "app"), count_of(one, "epoch")});
    }
    auto noted = std::make_shared<Status>();
    home_work_.run(
        [this, user, folders, noted] { *noted = engine_->home->note_gone(user, folders); },
        [this, user, folders, noted, done = std::move(done)] {
            if (noted->ok()) {
                users_gone_.insert(user);
                for (const sync::GoneFolder& one : folders) {
                    tell_gone({user, one.app});
                    ask_if_gone({user, one.app});
                }
            }
            done(*noted);
        });
}

std::uint64_t Files::asked_if_gone(const Json& head) {
    return true_of(head, files_gone) ? revision_of(member(head, "since")).epoch : 0;
}

void Files::unless_gone(const FolderId& folder, std::uint64_t epoch, const Links::Answer& answer,
                        const std::function<void()>& go_on) {
    if (epoch == 0 || engine_ == nullptr || !users_gone_.contains(folder.user)) {
        go_on();
        return;
    }
    auto gone = std::make_shared<Result<bool>>(false);
    home_work_.run([this, gone, folder, epoch] { *gone = engine_->home->is_gone(folder, epoch); },
                   [gone, answer, go_on] {
                       if (!gone->ok()) {
                           answer(gone->error());
                       } else if (**gone) {
                           answer(Message{{{files_gone, true}}, {}});
                       } else {
                           go_on();
                       }
                   });
}

// As in People::on_release.
bool Files::may_say_gone(const std::string& user, std::uint64_t epoch) {
    auto claimed_us = world_.store.claimed_us(user);
    return claimed_us.ok() && epoch >= gone_since_us(*claimed_us);
}

void Files::tell_gone(const FolderId& folder) {
    tell_holders(folder, gone_revision);
}

void Files::ask_if_gone(const FolderId& id) {
    const auto held = folders_.find(id);
    if (held != folders_.end() && world_.daemon && !held->second->ended) {
        held->second->confirms = true;
        schedule(id, 0);
        start_due();
    }
}

// For good: no other folder ever has its epoch.
void Files::mark_ended(const FolderId& id, bool wholly) {
    Folder& at = folder(id);
    if (at.ended && (at.wholly || !wholly)) {
        return;
    }
    at.ended = true;
    at.wholly = at.wholly || wholly;
    at.stays_until_us = 0;
    copies_due_us_ = std::min(copies_due_us_, world_.clock.boot_us());
    auto kept = std::make_shared<Status>();
    client_work_.run([this, id, wholly, kept] { *kept = engine_->client->end(id, wholly); },
                     [this, kept] { note_copy(*kept); });
}

// Programs on it end first, whatever becomes of it; whoever waits for the folder finds a new one.
// Where there is no daemon, no program runs.
void Files::end_gone(const FolderId& id) {
    Folder& at = folder(id);
    if (!at.ended || at.leaving || unfinished_.contains(id)) {
        return;
    }
    const std::int64_t now = world_.clock.boot_us();
    const bool runs =
        world_.daemon && (at.waiting.empty() ? world_.apps.may_run(id.app, id.user)
                                             : world_.apps.has_process(id.app, id.user));
    if (runs) {
        world_.apps.stop(id.app, id.user, "its user's account was removed");
    }
    if (runs || at.running || at.applying) {
        copies_due_us_ = std::min(copies_due_us_, now + busy_again_us);
    } else if (at.stays_until_us <= now &&
               (at.wholly || (at.status.unsent_files == 0 && at.status.held.empty()))) {
        remove_copy(id, "the account was removed",
                    at.wholly ? sync::Client::Unsent::goes : sync::Client::Unsent::stays);
    }
}

void Files::when_left(const std::string& user, std::function<void(Status)> done) {
    leaving_waits_[user].push_back(std::move(done));
    tell_left(user, {});
}

void Files::tell_left(const std::string& user, const Status& left) {
    const auto waits = leaving_waits_.find(user);
    const std::vector<FolderId> theirs = folders_of(user);
    if (waits == leaving_waits_.end() ||
        std::any_of(theirs.begin(), theirs.end(), [this](const FolderId& id) {
            return folders_.at(id)->leaving && !unfinished_.contains(id);
        })) {
        return;
    }
    const auto told = std::move(waits->second);
    leaving_waits_.erase(waits);
    for (const auto& done : told) {
        done(left);
    }
}

Status Files::may_discard(const std::vector<FolderId>& meant) const {
    const auto stands = std::find_if(meant.begin(), meant.end(), [this](const FolderId& id) {
        const auto held = folders_.find(id);
        return held == folders_.end() || !held->second->ended;
    });
    return stands == meant.end()
               ? Status{}
               : fail(Code::refused,
                      "the home of " + stands->user +
                          "'s files has not said that the account was removed: nothing is "
                          "discarded",
                      "hasp sync --user " + stands->user + " asks it");
}

bool Files::discard(const FolderId& id) {
    if (!may_discard({id}).ok()) {
        return false;
    }
    mark_ended(id, true);
    folder(id).stays_until_us = 0;
    end_gone(id);
    if (!folder(id).leaving) { // a program runs on it: it goes when that has ended
        ask_once(id);
    }
    return true;
}

} // namespace hasp::maint
