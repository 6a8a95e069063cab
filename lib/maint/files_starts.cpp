// Files: what an app waits for before it starts on its user's files.
#include "base/text.h"
#include "files_parts.h"

#include <algorithm>
#include <utility>

namespace hasp::maint {

void Files::arrived(const std::string& user, const std::vector<std::string>& apps) {
    for (const std::string& app : apps) {
        const FolderId id{user, app};
        if (valid_name(user) && holds(id.app)) {
            ask_fully(id);
            arrives_anew(id);
        }
    }
    note_copy(copies_.used(user, world_.clock.wall_us()));
    start_due();
}

void Files::before_start(const std::string& app, const std::string& user, Go go) {
    const FolderId id{user, app};
    if (engine_ == nullptr || !valid_name(user) || !holds(id.app)) {
        go({});
        return;
    }
    stop_removal(id);
    Folder& at = folder(id);
    at.confirms = false;
    const bool unheld = at.unheld && at.status.to_come_files > 0;
    if (!can_reach_home(id) && !at.applying && !at.ended && !unheld) {
        go({});
        return;
    }
    if (at.came_us == 0) {
        at.came_us = world_.clock.boot_us();
    }
    at.waiting.push_back({std::move(go), world_.clock.boot_us() + start_wait_us});
    if (at.ended) {
        end_gone(id);
        if (!at.leaving || unfinished_.contains(id)) {
            wake_waiting(at);
        }
        return;
    }
    if (!at.running) { // before those that nobody waits for
        sooner(at.asked_us, 1);
        set_due(id);
        start_due();
    }
}

// It may have become something elsewhere since it was nothing.
void Files::arrives_anew(const FolderId& id) {
    if (const auto at = folders_.find(id); at != folders_.end()) {
        at->second->met = at->second->some_came = false;
        at->second->came_us = world_.clock.boot_us();
    }
}

// It was never here, and is coming: an app that started would find nothing, or some of it, and take
// that for all.
bool Files::arrives(const Folder& at) {
    // While its turn has not come, what comes of others is as good.
    const std::int64_t came_us = at.running ? at.came_us : std::max(at.came_us, came_us_);
    if (at.met || at.status.revision.number != 0 ||
        world_.clock.boot_us() - came_us >= arriving_wait_us) {
        return false;
    }
    auto way = way_to(at.status.folder.user);
    return way.ok() && !way->here && world_.links.connected(way->neighbour);
}

Error Files::on_its_way(const Folder& at) {
    const std::uint64_t mb = at.came_bytes / 1'000'000;
    return fail(Code::partial, "Your files are on their way to this site: " + std::to_string(mb) +
                                   " MB have come so far");
}

void Files::wake_waiting(Folder& at) {
    if (at.unheld && at.status.to_come_files > 0) {
        return;
    }
    std::vector<Folder::Waiting> waiting;
    waiting.swap(at.waiting);
    const Status may = at.ended ? Status(in_the_way(at.status.folder)) : Status{};
    for (const Folder::Waiting& one : waiting) {
        one.go(may);
    }
}

void Files::tell_late_starts() {
    const std::int64_t now = world_.clock.boot_us();
    for (auto& [id, held] : folders_) {
        if (held->waiting.empty() || held->applying) {
            continue;
        }
        std::vector<Folder::Waiting> late;
        std::erase_if(held->waiting, [&](Folder::Waiting& one) {
            if (one.until_us > now) {
                return false;
            }
            late.push_back(std::move(one));
            return true;
        });
        for (const Folder::Waiting& one : late) {
            const bool unheld = held->unheld && held->status.to_come_files > 0;
            one.go(held->ended      ? Status(in_the_way(id))
                   : unheld         ? Status(not_here_yet(*held))
                   : arrives(*held) ? Status(on_its_way(*held))
                                    : Status{});
        }
    }
}

} // namespace hasp::maint
