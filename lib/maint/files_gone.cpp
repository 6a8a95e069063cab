// Files of accounts that were removed: their home says that they are gone to whoever has a copy,
// and the copy goes. What was never sent of it stays until an operator says that it may go.
#include "base/clock.h"
#include "files_parts.h"

#include <algorithm>
#include <utility>

namespace hasp::maint {

void Files::account_removed(const std::string& user, std::function<void(Status)> done) {
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
    auto gone = std::make_shared<Status>();
    home_work_.run([this, user, gone] { *gone = engine_->home->forget_user(user); },
                   [this, user, gone, done = std::move(done)] {
                       if (gone->ok()) {
                           users_gone_.insert(user);
                           tell_gone(user);
                           end_own(user, done);
                       } else {
                           done(fail(gone->error().code,
                                     "the account is removed, but not yet what it kept in files: " +
                                         gone->error().message,
                                     "it is tried again when this tier starts"));
                       }
                   });
}

// Where the account itself was, nothing of it is needed.
void Files::end_own(const std::string& user, const std::function<void(Status)>& done) {
    for (const FolderId& id : folders_of(user)) {
        folder(id).gone = folder(id).discards = true;
        folder(id).stays_until_us = 0;
        end_gone(id);
    }
    if (any_leaving(user)) {
        leaving_waits_[user].push_back(done);
    } else {
        done(Status{});
    }
}

bool Files::any_leaving(const std::string& user) const {
    const std::vector<FolderId> theirs = folders_of(user);
    return std::any_of(theirs.begin(), theirs.end(),
                       [this](const FolderId& id) { return folders_.at(id)->leaving; });
}

void Files::tell_left(const std::string& user) {
    const auto waits = leaving_waits_.find(user);
    if (waits == leaving_waits_.end() || any_leaving(user)) {
        return;
    }
    const auto told = std::move(waits->second);
    leaving_waits_.erase(waits);
    for (const auto& done : told) {
        done(Status{});
    }
}

bool Files::has_gone_copies(const std::string& user) const {
    const std::vector<FolderId> theirs = folders_of(user);
    return std::any_of(theirs.begin(), theirs.end(),
                       [this](const FolderId& id) { return folders_.at(id)->gone; });
}

std::vector<sync::FolderId> Files::folders_of(const std::string& user) const {
    std::vector<FolderId> out;
    for (auto at = folders_.lower_bound({user, ""}); at != folders_.end() && at->first.user == user;
         ++at) {
        out.push_back(at->first);
    }
    return out;
}

Status Files::know_gone() {
    auto users = engine_->home->users_gone();
    if (users.ok()) {
        users_gone_ = *std::move(users);
    }
    return users.ok() ? Status{} : users.error();
}

// What was destroyed here with its account is nowhere else either. Where the account was a child's,
// that child knows it; it is asked where nobody else knows the account.
void Files::unless_gone(const FolderId& folder, const Json& head, const Links::Answer& answer,
                        const std::function<void(const Links::Answer&)>& go_on) {
    const std::uint64_t epoch =
        true_of(head, files_gone) ? revision_of(member(head, "since")).epoch : 0;
    if (epoch == 0 || engine_ == nullptr) {
        go_on(answer);
        return;
    }
    const Links::Answer or_left = [this, folder, head, answer](Result<Message> reply) {
        if (reply.ok() || reply.error().code != Code::not_found) {
            answer(std::move(reply));
        } else {
            ask_who_had(folder, head, answer, reply.error());
        }
    };
    if (!users_gone_.contains(folder.user)) {
        go_on(or_left);
        return;
    }
    auto gone = std::make_shared<Result<bool>>(false);
    home_work_.run([this, gone, folder, epoch] { *gone = engine_->home->is_gone(folder, epoch); },
                   [gone, answer, go_on, or_left] {
                       if (!gone->ok()) {
                           answer(gone->error());
                       } else if (**gone) {
                           answer(Message{{{files_gone, true}}, {}});
                       } else {
                           go_on(or_left);
                       }
                   });
}

void Files::ask_who_had(const FolderId& folder, const Json& head, const Links::Answer& answer,
                        const Error& unknown) {
    auto child = world_.store.directory_left(folder.user);
    if (!child.ok() || child->empty() || !world_.links.connected(*child)) {
        answer(unknown);
        return;
    }
    Json asked{{"t", "files.push"},
               {"user", folder.user},
               {"app", folder.app},
               {"tier", text_of(head, "tier")},
               {"since", member(head, "since")},
               {verdicts_only, true},
               {files_gone, true}};
    world_.links.ask(*child, std::move(asked), {}, [answer, unknown](const Result<Message>& reply) {
        const bool gone = reply.ok() && true_of(reply->head, files_gone);
        answer(gone ? Result<Message>(Message{{{files_gone, true}}, {}}) : unknown);
    });
}

bool Files::knows_of_gone(const std::string& user) {
    auto child = world_.store.directory_left(user);
    return users_gone_.contains(user) || (child.ok() && !child->empty());
}

// Who has copies, and does not know it by other means.
void Files::tell_gone(const std::string& user) {
    std::vector<FolderId> theirs;
    for (auto at = holders_.lower_bound({user, ""}); at != holders_.end() && at->first.user == user;
         ++at) {
        theirs.push_back(at->first);
    }
    for (const FolderId& id : theirs) {
        tell_gone(id);
    }
}

void Files::tell_gone(const FolderId& folder) {
    const auto holders = holders_.find(folder);
    if (holders == holders_.end()) {
        return;
    }
    Holders told = std::move(holders->second);
    holders_.erase(holders); // or it would be told back
    for (auto& [neighbour, heard] : told.heard) {
        tell(folder, neighbour, heard, {});
    }
}

void Files::ask_if_gone(const FolderId& id) {
    if (const auto held = folders_.find(id); held != folders_.end() && world_.daemon) {
        held->second->confirms = true;
        schedule(id, 0);
        start_due();
    }
}

void Files::note_gone(const Round& round, const std::optional<Error>& error) {
    Folder& at = folder(round.id);
    if (round.gone) {
        at.gone = true;
        copies_due_us_ = std::min(copies_due_us_, world_.clock.boot_us());
    } else if (round.asked && !error) {
        at.gone = at.discards = false;
    }
}

// Not from under a program; whoever waits for the folder finds a new one.
void Files::end_gone(const FolderId& id) {
    Folder& at = folder(id);
    if (!at.gone || at.leaving || unfinished_.contains(id) ||
        at.stays_until_us > world_.clock.boot_us() ||
        (!at.discards && (at.status.unsent_files > 0 || !at.status.held.empty()))) {
        return;
    }
    const bool runs = at.waiting.empty() ? world_.apps.may_run(id.app, id.user)
                                         : world_.apps.has_process(id.app, id.user);
    if (at.running || at.applying || runs) {
        world_.apps.stop(id.app, id.user, "its user's account was removed");
        copies_due_us_ = std::min(copies_due_us_, world_.clock.boot_us() + busy_again_us);
        return;
    }
    remove_copy(id, "the account was removed",
                at.discards ? sync::Client::Unsent::goes : sync::Client::Unsent::stays);
}

Status Files::may_discard(const std::vector<FolderId>& meant) const {
    const auto stands = std::find_if(meant.begin(), meant.end(),
                                     [this](const FolderId& id) { return !folders_.at(id)->gone; });
    return stands == meant.end() ? Status{}
                                 : fail(Code::refused,
                                        "the home of " + stands->user +
                                            "'s files has not said that the account was "
                                            "removed: nothing is discarded",
                                        "hasp sync --user " + stands->user + " asks it");
}

void Files::discard(const FolderId& id) {
    Folder& at = folder(id);
    at.discards = true;
    at.stays_until_us = 0;
    end_gone(id);
    if (!at.leaving) { // a program runs on it: it goes when that has ended
        ask_once(id);
    }
}

} // namespace hasp::maint
