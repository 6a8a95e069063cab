// Files: how long a working copy stays here, and what is said of it to the tiers above. It goes
// when this tier's right to it has ended, or to make room; never with anything in it that its home
// does not have, and never from under somebody who is there.
#include "base/clock.h"
#include "base/text.h"
#include "files_parts.h"

#include <algorithm>
#include <utility>

namespace hasp::maint {

namespace {

constexpr std::int64_t first_copies_us = 10 * second_us; // after the start: links come up
constexpr std::int64_t copies_every_us = 60 * second_us;
// A copy that turned out to hold something unsent, or that its home did not confirm: each try looks
// at all of it, or asks.
constexpr std::int64_t stays_us = 600 * second_us;
// Of somebody whom no lease ever let this tier keep, and who has no session any more. He may come
// back tomorrow morning.
constexpr std::int64_t unkept_us = std::int64_t{24} * 3600 * second_us;

// Its home's word that it has everything is good for so long.
constexpr std::int64_t confirmed_for_us = 600 * second_us;

bool is_leaving(sync::Client& client, const sync::FolderId& id) {
    auto leaving = client.leaving();
    return !leaving.ok() || std::find(leaving->begin(), leaving->end(), id) != leaving->end();
}

sync::WorkingFolder folder_at(const sync::FolderId& id) {
    return {id, "data/users/" + id.user + "/" + id.app, {}};
}

} // namespace

void Files::note_copy(const Status& noted) {
    if (!noted.ok()) {
        world_.log.error("files.copies", noted.error().message);
    }
}

std::vector<CopyReport> Files::copies(const std::string& user) const {
    std::map<std::string, CopyReport> out;
    const std::int64_t now = world_.clock.wall_us();
    const FolderId first{user, ""};
    for (auto at = user.empty() ? folders_.begin() : folders_.lower_bound(first);
         at != folders_.end() && (user.empty() || at->first.user == user); ++at) {
        const sync::FolderStatus& s = at->second->status;
        CopyReport& copy = out[at->first.user];
        copy.user = at->first.user;
        if (s.unsent_files == 0 || at->second->ended || now - s.unsent_since_us < owed_after_us) {
            continue;
        }
        copy.files += s.unsent_files;
        copy.bytes += s.unsent_bytes;
        copy.unsent_since_us = copy.unsent_since_us == 0
                                   ? s.unsent_since_us
                                   : std::min(copy.unsent_since_us, s.unsent_since_us);
    }
    std::vector<CopyReport> list;
    for (auto& [name, copy] : out) {
        const auto known = copies_.all().find(name);
        copy.since_us = known == copies_.all().end() ? 0 : known->second.since_us;
        list.push_back(std::move(copy));
    }
    return list;
}

Json Files::room() const {
    const std::uint64_t most = most_copies_bytes();
    if (most == 0) {
        return {};
    }
    std::uint64_t bytes = 0;
    for (const auto& [user, taken] : copies_bytes_) {
        bytes += taken;
    }
    return {{"bytes", bytes}, {"most_bytes", most}, {"users", copies_.all().size()}};
}

std::uint64_t Files::most_copies_bytes() const {
    return static_cast<std::uint64_t>(world_.config.files.copies_mib) << 20U;
}

bool Files::may_ask_about(const std::string& child, const std::string& user) {
    return access(child, user).ok();
}

Result<std::set<std::string>> Files::may_be_at(const std::string& child) {
    auto out = world_.store.directory_of(child); // accounts of its own side
    auto kept = out.ok() ? keeps_.users(child, world_.delegation.now().now_us) : out;
    if (kept.ok()) {
        out->merge(*kept);
    }
    return kept.ok() ? out : kept;
}

// What was agreed on before may be what the parent has lost: it may speak so because it was
// restored from a backup that is older than the right to a copy.
void Files::lease_changed() {
    copies_due_us_ = std::min(copies_due_us_, world_.clock.boot_us());
    const std::set<std::string> kept = lent_keeps();
    for (auto& [id, held] : folders_) {
        if (!kept.contains(id.user)) {
            held->agreed_us = held->confirmed_us = 0;
        } else if (std::exchange(held->not_kept, false)) {
            schedule(id, 0);
        }
    }
}

std::map<std::string, std::vector<Files::FolderId>> Files::folders_by_user() const {
    std::map<std::string, std::vector<FolderId>> out;
    for (const auto& [id, held] : folders_) {
        out[id.user].push_back(id);
    }
    return out;
}

std::set<std::string> Files::lent_keeps() const {
    std::set<std::string> out;
    const std::int64_t now = world_.delegation.now().now_us;
    for (const GrantLine& line : world_.delegation.held()) {
        if (line.kind == "keep" && line.expires_us > now) {
            out.insert(line.what);
        }
    }
    return out;
}

// He is here, or something of his is being done.
bool Files::is_in_use(const std::string& user, const std::vector<FolderId>& ids) {
    auto sessions = world_.sessions.of_user(user);
    auto grants = world_.sessions.grants_of_user(user);
    if (!sessions.ok() || !grants.ok() || !sessions->empty()) {
        return true;
    }
    const std::int64_t now = world_.clock.wall_us();
    return std::any_of(grants->begin(), grants->end(),
                       [now](const signon::Grant& one) { return one.identity.until_us > now; }) ||
           std::any_of(ids.begin(), ids.end(), [this](const FolderId& id) {
               return !unfinished_.contains(id) && is_busy(id);
           });
}

bool Files::is_busy(const FolderId& id) {
    const Folder& at = folder(id);
    return (at.running && !at.confirming) || at.applying || !at.waiting.empty() ||
           world_.apps.may_run(id.app, id.user);
}

// A round does not last long, and may come whenever it is looked.
void Files::look_again_after_rounds(const std::vector<FolderId>& ids) {
    if (std::any_of(ids.begin(), ids.end(), [this](const FolderId& id) {
            const Folder& at = folder(id);
            return at.running && !at.confirming && !at.leaving;
        })) {
        copies_due_us_ = std::min(copies_due_us_, world_.clock.boot_us() + busy_again_us);
    }
}

void Files::ask_fully(const FolderId& id) {
    stop_removal(id);
    schedule(id, 0);
    want(id);
}

// A round that is under way may be about to ask, with everything that is new here.
void Files::ask_once(const FolderId& id) {
    stop_removal(id);
    sooner(folder(id).wished_us, world_.clock.boot_us());
    set_due(id);
    want(id);
}

void Files::want(const FolderId& id) {
    if (const auto at = folders_.find(id); at != folders_.end()) {
        at->second->confirms = false;
        at->second->needed = at->second->leaving;
    }
}

void Files::look_after_copies() {
    const std::int64_t now = world_.clock.boot_us();
    if (copies_due_us_ == 0) {
        copies_due_us_ = now + first_copies_us;
    }
    if (!world_.daemon || removing_ > 0 || measuring_ || now < copies_due_us_) {
        return;
    }
    copies_due_us_ = now + copies_every_us;
    for (const auto& [id, why] : std::map<FolderId, std::string>(unfinished_)) {
        finish_removal(id);
    }
    const auto by_user = folders_by_user();
    const auto known = copies_.all();
    for (const auto& [user, copy] : known) {
        if (!by_user.contains(user)) {
            note_copy(copies_.forget(user));
        }
    }
    const std::set<std::string> kept = lent_keeps();
    for (const auto& [user, ids] : by_user) {
        if (!known.contains(user)) { // the disk was full when it came
            note_copy(copies_.there(user, world_.clock.wall_us(), kept.contains(user)));
        }
    }
    for (const std::string& user : kept) {
        note_copy(copies_.kept(user));
    }
    const std::size_t old_removals = removing_;
    for (const auto& [user, ids] : by_user) {
        for (const FolderId& id : ids) {
            end_gone(id);
        }
    }
    // Without a lease nothing is known of anybody's right, and by a clock that nobody has confirmed
    // nothing has ended.
    if (world_.me.has_parent() && world_.delegation.held_lease().number != 0 &&
        world_.delegation.now().anchored) {
        for (const auto& [user, ids] : by_user) {
            if (!kept.contains(user)) {
                end_copy(user, ids);
            }
        }
    }
    if (removing_ == old_removals && most_copies_bytes() > 0) {
        measure_copies();
    }
}

// No grant is in force. What was written while one was is sent first, as long as the home takes it.
void Files::end_copy(const std::string& user, const std::vector<FolderId>& ids) {
    const auto copy = copies_.all().find(user);
    auto way = way_to(user);
    if (copy == copies_.all().end() || !way.ok() || way->here || way->neighbour != to_parent ||
        (!copy->second.kept && world_.clock.wall_us() - copy->second.used_us < unkept_us)) {
        return;
    }
    if (is_in_use(user, ids)) {
        look_again_after_rounds(ids);
        return;
    }
    for (const FolderId& id : ids) {
        Folder& at = folder(id);
        if (unfinished_.contains(id) || at.ended) {
            continue;
        }
        if (at.status.unsent_files > 0 || !at.status.held.empty()) {
            if (can_reach_home(id)) {
                schedule(id, 0);
            }
        } else if (at.stays_until_us <= world_.clock.boot_us() && home_has(id, true) &&
                   !at.running) {
            remove_copy(id, "this tier may not keep them any more");
        }
    }
}

bool Files::home_has(const FolderId& id, bool or_before) {
    Folder& at = folder(id);
    const std::int64_t now = world_.clock.boot_us();
    const auto lately = [now](std::int64_t when) {
        return when != 0 && now - when < confirmed_for_us;
    };
    if (lately(at.confirmed_us)) {
        return true;
    }
    if (at.running) {
        return false;
    }
    const bool reachable = can_reach_home(id);
    if (or_before && at.agreed_us != 0 && !at.lacks && (!reachable || lately(at.away_us))) {
        return true;
    }
    if (reachable) {
        at.confirms = true;
        schedule(id, 0);
    }
    return false;
}

void Files::note_home(const Round& round, const std::optional<Error>& error, bool unreachable) {
    Folder& at = folder(round.id);
    const std::int64_t now = world_.clock.boot_us();
    if (unreachable) {
        at.away_us = round.confirms && !round.held ? now : at.away_us;
    } else if (error) {
        at.lacks = at.lacks || round.confirms;
        at.not_kept = error->code == Code::not_found;
        at.agreed_us = at.confirmed_us = 0;
        at.stays_until_us = round.confirms ? now + stays_us : at.stays_until_us;
    } else if (round.asked) {
        at.agreed_us = now;
        at.away_us = 0;
        at.not_kept = false;
        if (round.confirms) {
            at.lacks = false;
            at.confirmed_us = now;
            copies_due_us_ = std::min(copies_due_us_, now);
        }
    }
}

void Files::measure_copies() {
    measuring_ = true;
    auto bytes = std::make_shared<Result<std::map<std::string, std::uint64_t>>>(
        std::map<std::string, std::uint64_t>());
    client_work_.run([this, bytes] { *bytes = engine_->client->bytes_by_user(); },
                     [this, bytes] {
                         measuring_ = false;
                         if (!bytes->ok()) {
                             world_.log.error("files.room", bytes->error().message);
                             return;
                         }
                         copies_bytes_ = **bytes;
                         for (const auto& [id, held] : folders_) {
                             copies_bytes_[id.user] += held->status.unsent_bytes;
                         }
                         make_room();
                     });
}

void Files::make_room() {
    std::uint64_t total = 0;
    std::vector<std::pair<std::int64_t, std::string>> by_use;
    for (const auto& [user, bytes] : copies_bytes_) {
        total += bytes;
        if (const auto copy = copies_.all().find(user); copy != copies_.all().end()) {
            by_use.emplace_back(copy->second.used_us, user);
        }
    }
    std::sort(by_use.begin(), by_use.end());
    const auto by_user = folders_by_user();
    const std::vector<std::string>& pinned = world_.config.files.pinned;
    for (const auto& [used_us, user] : by_use) {
        if (total <= most_copies_bytes()) {
            return;
        }
        const auto ids = by_user.find(user);
        if (ids == by_user.end() || std::find(pinned.begin(), pinned.end(), user) != pinned.end()) {
            continue;
        }
        if (is_in_use(user, ids->second)) {
            look_again_after_rounds(ids->second);
            continue;
        }
        // Only what can be brought again.
        const bool stays =
            std::any_of(ids->second.begin(), ids->second.end(), [this](const FolderId& id) {
                const Folder& at = folder(id);
                return at.status.unsent_files > 0 || !at.status.held.empty() || at.ended ||
                       at.status.revision.epoch == 0 || !can_reach_home(id) ||
                       at.stays_until_us > world_.clock.boot_us() || unfinished_.contains(id) ||
                       (at.away_us != 0 && world_.clock.boot_us() - at.away_us < confirmed_for_us);
            });
        if (stays) {
            continue;
        }
        // Where a home is asked only now, he is meant all the same, and nobody in his place.
        total -= std::min(total, copies_bytes_[user]);
        const auto asked =
            std::count_if(ids->second.begin(), ids->second.end(),
                          [this](const FolderId& id) { return !home_has(id, false); });
        for (const FolderId& id : asked == 0 ? ids->second : std::vector<FolderId>{}) {
            if (!folder(id).running) {
                remove_copy(id, "to make room: they were used longest ago");
            }
        }
    }
}

void Files::remove_copy(const FolderId& id, const std::string& why, sync::Client::Unsent unsent) {
    Folder& at = folder(id);
    at.running = true; // nobody looks at it, and no app starts on it, until it is done
    at.applying = at.leaving = true;
    ++removing_;
    auto removal = std::make_shared<Removal>();
    client_work_.run(
        [this, id, removal, unsent] {
            sync::Client& client = *engine_->client;
            const sync::WorkingFolder folder = folder_at(id);
            client.watch_ends(id);
            if (world_.watch != nullptr) {
                world_.watch->remove(folder.path);
            }
            removal->left = client.leave(folder, unsent);
            removal->begun = !removal->left.ok() && is_leaving(client, id);
        },
        [this, id, removal, why] { removal_ended(id, *removal, why); });
}

// What a crash or a disk that failed left of a removal.
void Files::finish_removal(const FolderId& id) {
    Folder& at = folder(id);
    at.running = true;
    at.applying = at.leaving = true;
    unfinished_.emplace(id, "");
    ++removing_;
    auto removal = std::make_shared<Removal>();
    client_work_.run(
        [this, id, removal] {
            sync::Client& client = *engine_->client;
            removal->left = client.finish_leaving(folder_at(id));
            removal->begun = !removal->left.ok() && is_leaving(client, id);
        },
        [this, id, removal] { removal_ended(id, *removal, "it was begun before"); });
}

void Files::removal_ended(const FolderId& id, const Removal& removal, const std::string& why) {
    --removing_;
    if (removal.left.ok()) {
        world_.log.info("files.removed", "a working copy was removed: " + why,
                        {{"user", id.user}, {"app", id.app}});
        unfinished_.erase(id);
        removed(id);
    } else if (removal.begun) {
        const std::string& failed = removal.left.error().message;
        if (std::exchange(unfinished_[id], failed) != failed) {
            world_.log.error("files.removed", failed, {{"user", id.user}, {"app", id.app}});
        }
        Folder& at = folder(id);
        if (at.ended) {
            wake_waiting(at);
        } else if (at.needed || !at.waiting.empty()) {
            stop_removal(id);
        }
    } else {
        unfinished_.erase(id);
        folder(id).stays_until_us = world_.clock.boot_us() + stays_us;
        let_go(id);
    }
    tell_left(id.user, removal.left);
}

void Files::stop_removal(const FolderId& id) {
    if (!unfinished_.contains(id) || folder(id).ended) {
        return;
    }
    ++removing_; // nothing goes on with it meanwhile
    auto stopped = std::make_shared<Status>();
    client_work_.run([this, id, stopped] { *stopped = engine_->client->stop_leaving(id); },
                     [this, id, stopped] {
                         --removing_;
                         if (!stopped->ok()) {
                             world_.log.error("files.removed", stopped->error().message,
                                              {{"user", id.user}, {"app", id.app}});
                         } else if (unfinished_.erase(id) > 0) {
                             let_go(id);
                         }
                     });
}

// It is as any other again: it is watched, and what is unsent in it goes.
void Files::let_go(const FolderId& id) {
    Folder& at = folder(id);
    at.running = false;
    at.applying = at.leaving = at.needed = false;
    for (Folder::Waiting& one : at.waiting) { // what they wait for begins only now
        one.until_us = world_.clock.boot_us() + start_wait_us;
    }
    schedule(id, 0);
    start_due();
}

void Files::removed(const FolderId& id) {
    const auto found = folders_.find(id);
    Folder& at = *found->second;
    unchecked_ -= at.unchecked ? 1 : 0;
    held_.erase(id);
    due_.erase({at.due_us, id});
    std::vector<Folder::Waiting> waiting = std::move(at.waiting);
    const bool needed = at.needed;
    if (at.ended) { // it may have been said while the copy went
        auto dropped = std::make_shared<Status>();
        client_work_.run([this, id, dropped] { *dropped = engine_->client->forget_end(id); },
                         [this, dropped] { note_copy(*dropped); });
    }
    folders_.erase(found);
    for (auto& [number, wanted] : wanted_) {
        const auto one = wanted.folders.find(id);
        if (one != wanted.folders.end() && one->second.is_null()) {
            one->second = removed_json(id);
            wanted.tell(world_.clock.boot_us());
        }
    }
    const auto next = folders_.lower_bound({id.user, ""});
    if (next == folders_.end() || next->first.user != id.user) {
        copies_bytes_.erase(id.user);
        note_copy(copies_.forget(id.user));
    }
    if (needed || !waiting.empty()) { // he came back meanwhile: all of it is brought again
        for (Folder::Waiting& one : waiting) {
            one.until_us = world_.clock.boot_us() + start_wait_us;
        }
        folder(id).waiting = std::move(waiting);
        schedule(id, 0);
        start_due();
    }
}

} // namespace hasp::maint
