// Files: what is noticed in working copies, and when everything in them is looked at.
#include "base/clock.h"
#include "base/text.h"
#include "files_parts.h"

#include <algorithm>

namespace hasp::maint {

namespace {

constexpr std::int64_t unwatched_every_us = 300 * second_us; // at least, and after each use
// After a start, so that those who wait for something come first; one folder after the other.
constexpr std::int64_t check_later_us = 10 * second_us;
constexpr std::int64_t check_apart_us = 2 * second_us;
constexpr std::string_view users_folder = "data/users/";

} // namespace

void Files::set_due(const FolderId& id) {
    Folder& at = folder(id);
    std::int64_t first = 0;
    for (const std::int64_t when : {at.asked_us, at.wished_us, at.noticed_us, at.scan_us}) {
        if (when != 0) {
            sooner(first, when);
        }
    }
    if (first == at.due_us) {
        return;
    }
    due_.erase({at.due_us, id});
    at.due_us = first;
    if (first != 0) {
        due_.insert({first, id});
    }
}

void Files::look_soon(const FolderId& id, std::int64_t delay_us) {
    sooner(folder(id).noticed_us, world_.clock.boot_us() + delay_us);
    set_due(id);
}

void Files::scan_later(const FolderId& id, std::int64_t delay_us) {
    sooner(folder(id).scan_us, world_.clock.boot_us() + delay_us);
    set_due(id);
}

void Files::noticed() {
    if (engine_ == nullptr || world_.watch == nullptr) {
        return;
    }
    for (const std::string& path : world_.watch->ready()) {
        const auto parts = path.starts_with(users_folder)
                               ? split(std::string_view(path).substr(users_folder.size()), '/')
                               : std::vector<std::string_view>{};
        if (parts.size() != 2) {
            continue;
        }
        const FolderId id{std::string(parts[0]), std::string(parts[1])};
        if (folders_.contains(id)) {
            look_soon(id, 0);
        }
    }
    start_due();
}

void Files::hear(Round& round) {
    sync::Client& client = *engine_->client;
    if (world_.watch == nullptr) {
        return;
    }
    const std::string& path = round.folder.path;
    auto added = world_.watch->add(path);
    round.watched = added.ok();
    if (!added.ok()) {
        client.watch_ends(round.id);
        round.unwatched = added.error().message;
        if (!added.error().hint.empty()) {
            round.unwatched += "; " + added.error().hint;
        }
        return;
    }
    if (*added) {
        client.watch_begins(round.id);
    }
    client.patient(round.id, !round.wished);
    if (round.scan) {
        client.note(round.id, {true, {}, {}, {}});
    }
    // Whoever asks means all that was written before he asked.
    client.note(round.id,
                world_.watch->take(path, round.asked || round.for_wish ? sync::Take::all
                                                                       : sync::Take::settled));
}

void Files::plan_scan(const FolderId& id, const Round& round) {
    Folder& at = folder(id);
    at.watched = round.watched;
    if (at.unchecked != round.unchecked) {
        unchecked_ += round.unchecked ? 1 : -1;
    }
    at.unchecked = round.unchecked;
    if (!round.unwatched.empty() && at.unwatched.empty()) {
        world_.log.warn("files.watch", round.unwatched, {{"user", id.user}, {"app", id.app}});
    }
    at.unwatched = round.unwatched;
    if (world_.watch == nullptr || round.folder.path.empty()) {
        return;
    }
    if (round.unchecked && at.scan_us == 0) {
        scan_later(id, check_later_us + (unchecked_ - 1) * check_apart_us);
    } else if (const std::int64_t every_us = world_.config.files.scan_hours * 3600 * second_us;
               !round.watched) {
        scan_later(id, std::min(every_us, unwatched_every_us));
    } else if (at.scan_us == 0) {
        scan_later(id, every_us);
    }
}

void Files::finish() {
    if (world_.virus != nullptr) {
        world_.virus->stop();
    }
    // What is being worked on would be noted in part: the next start looks at everything then.
    if (engine_ == nullptr || world_.watch == nullptr || !client_work_.idle() || running_ > 0) {
        return;
    }
    for (const auto& [id, held] : folders_) {
        if (!held->watched) {
            continue;
        }
        const std::string path = std::string(users_folder) + id.user + "/" + id.app;
        if (!world_.watch->watches(path)) {
            engine_->client->watch_ends(id);
            continue;
        }
        engine_->client->note(id, world_.watch->take(path, sync::Take::all));
    }
    if (Status closed = engine_->client->close(); !closed.ok()) {
        world_.log.warn("files.close", closed.error().message);
    }
}

} // namespace hasp::maint
