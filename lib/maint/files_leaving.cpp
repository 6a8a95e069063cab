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

constexpr std::int64_t copies_every_us = 60 * second_us;
// A copy that turned out to hold something unsent: each try looks at all of it.
constexpr std::int64_t stays_us = 600 * second_us;
// Of somebody whom no lease ever let this tier keep, and who has no session any more. He may come
// back tomorrow morning.
constexpr std::int64_t unkept_us = std::int64_t{24} * 3600 * second_us;

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
        if (s.unsent_files == 0 || now - s.unsent_since_us < owed_after_us) {
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

bool Files::may_speak_of(const std::string& child, const std::string& user) {
    return access(child, user).ok();
}

void Files::lease_changed() {
    copies_due_us_ = std::min(copies_due_us_, world_.clock.boot_us());
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
               const Folder& at = folder(id);
               return at.running || at.applying || !at.waiting.empty() || runs(world_.apps, id);
           });
}

void Files::look_after_copies() {
    const std::int64_t now = world_.clock.boot_us();
    if (copies_due_us_ == 0) {
        copies_due_us_ = now + copies_every_us;
    }
    if (!world_.daemon || removing_ > 0 || measuring_ || now < copies_due_us_) {
        return;
    }
    copies_due_us_ = now + copies_every_us;
    for (const FolderId& id : std::set<FolderId>(unfinished_)) {
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
    for (const std::string& user : kept) {
        note_copy(copies_.kept(user));
    }
    // Without a lease nothing is known of anybody's right.
    if (world_.me.has_parent() && world_.delegation.held_lease().number != 0) {
        for (const auto& [user, ids] : by_user) {
            if (!kept.contains(user)) {
                end_copy(user, ids);
            }
        }
    }
    if (removing_ == 0 && most_copies_bytes() > 0) {
        measure_copies();
    }
}

// No grant is in force. What was written while one was is sent first, as long as the home takes it.
void Files::end_copy(const std::string& user, const std::vector<FolderId>& ids) {
    const auto copy = copies_.all().find(user);
    auto way = way_to(user);
    if (copy == copies_.all().end() || !way.ok() || way->here || way->neighbour != to_parent ||
        is_in_use(user, ids) ||
        (!copy->second.kept && world_.clock.wall_us() - copy->second.used_us < unkept_us)) {
        return;
    }
    for (const FolderId& id : ids) {
        Folder& at = folder(id);
        if (at.status.unsent_files > 0 || !at.status.held.empty()) {
            if (can_reach_home(id)) {
                schedule(id, 0);
            }
        } else if (at.stays_until_us <= world_.clock.boot_us()) {
            remove_copy(id, "this tier may not keep them any more");
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
        if (ids == by_user.end() || std::find(pinned.begin(), pinned.end(), user) != pinned.end() ||
            is_in_use(user, ids->second)) {
            continue;
        }
        // Only what can be brought again.
        const bool stays =
            std::any_of(ids->second.begin(), ids->second.end(), [this](const FolderId& id) {
                const Folder& at = folder(id);
                return at.status.unsent_files > 0 || !at.status.held.empty() ||
                       at.status.revision.epoch == 0 || !can_reach_home(id) ||
                       at.stays_until_us > world_.clock.boot_us();
            });
        if (stays) {
            continue;
        }
        total -= copies_bytes_[user];
        for (const FolderId& id : ids->second) {
            remove_copy(id, "to make room: they were used longest ago");
        }
    }
}

void Files::remove_copy(const FolderId& id, const std::string& why) {
    Folder& at = folder(id);
    at.running = true; // nobody looks at it, and no app starts on it, until it is done
    at.applying = true;
    ++removing_;
    struct Done {
        Status left;
        bool begun = false;
    };
    auto done = std::make_shared<Done>();
    client_work_.run(
        [this, id, done] {
            sync::Client& client = *engine_->client;
            const sync::WorkingFolder folder = folder_at(id);
            client.watch_ends(id);
            if (world_.watch != nullptr) {
                world_.watch->remove(folder.path);
            }
            done->left = client.leave(folder);
            auto leaving = done->left.ok() ? Result<std::vector<FolderId>>(std::vector<FolderId>())
                                           : client.leaving();
            done->begun =
                !leaving.ok() || std::find(leaving->begin(), leaving->end(), id) != leaving->end();
        },
        [this, id, why, done] {
            --removing_;
            if (done->left.ok()) {
                world_.log.info("files.removed", "a working copy was removed: " + why,
                                {{"user", id.user}, {"app", id.app}});
                removed(id);
                return;
            }
            if (done->begun) {
                world_.log.error("files.removed", done->left.error().message,
                                 {{"user", id.user}, {"app", id.app}});
                unfinished_.insert(id);
                return;
            }
            Folder& held = folder(id);
            held.running = false;
            held.applying = false;
            held.stays_until_us = world_.clock.boot_us() + stays_us;
            wake_waiting(held);
            schedule(id, 0); // it is watched again, and what is unsent in it goes
        });
}

// What a crash or a disk that failed left of a removal.
void Files::finish_removal(const FolderId& id) {
    Folder& at = folder(id);
    at.running = true;
    at.applying = true;
    unfinished_.insert(id);
    ++removing_;
    auto done = std::make_shared<Status>();
    client_work_.run([this, id, done] { *done = engine_->client->finish_leaving(folder_at(id)); },
                     [this, id, done] {
                         --removing_;
                         if (done->ok()) {
                             unfinished_.erase(id);
                             removed(id);
                         } else {
                             world_.log.error("files.removed", done->error().message,
                                              {{"user", id.user}, {"app", id.app}});
                         }
                     });
}

void Files::removed(const FolderId& id) {
    const auto found = folders_.find(id);
    Folder& at = *found->second;
    unchecked_ -= at.unchecked ? 1 : 0;
    held_.erase(id);
    due_.erase({at.due_us, id});
    std::vector<Folder::Waiting> waiting = std::move(at.waiting);
    folders_.erase(found);
    for (auto& [number, wanted] : wanted_) {
        const auto one = wanted.folders.find(id);
        if (one != wanted.folders.end() && one->second.is_null()) {
            one->second = {{"user", id.user}, {"app", id.app}};
            wanted.tell(world_.clock.boot_us());
        }
    }
    const auto next = folders_.lower_bound({id.user, ""});
    if (next == folders_.end() || next->first.user != id.user) {
        copies_bytes_.erase(id.user);
        note_copy(copies_.forget(id.user));
    }
    if (!waiting.empty()) { // he came back meanwhile: all of it is brought again
        folder(id).waiting = std::move(waiting);
        schedule(id, 0);
        start_due();
    }
}

} // namespace hasp::maint
