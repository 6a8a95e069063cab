// Apps: a release takes over from the one before it, process by process, and gives back.
#include "apps.h"
#include "run/spawner.h"

#include <algorithm>
#include <utility>

namespace hasp::maint {

// What of a release decides where its processes and their data are.
bool Apps::same_shape(const run::Manifest& a, const run::Manifest& b) {
    return a.kind == b.kind && a.instance == b.instance && a.data == b.data;
}

void Apps::proceed(const std::string& app) {
    Switch& one = switches_.at(app);
    one.step = Switch::Step::processes;
    const auto old = manifests_.find(app);
    if (one.first || old == manifests_.end() || !same_shape(old->second, one.manifest)) {
        // Processes and data are elsewhere from now on: nothing is handed over.
        if (!one.first) {
            end_all(app, "a new release was installed");
        }
        finish_switch(app);
        return;
    }
    std::vector<std::pair<std::int64_t, std::string>> running;
    for (const auto& [key, instance] : instances_) {
        if (instance.app == app && !instance.runs.empty()) {
            running.emplace_back(-instance.used_us, key);
        }
    }
    std::sort(running.begin(), running.end());
    for (auto& [used, key] : running) {
        one.remaining.push_back(std::move(key));
    }
    next_process(app);
}

void Apps::next_process(const std::string& app) {
    Switch& one = switches_.at(app);
    one.key.clear();
    one.candidate.clear();
    while (!one.remaining.empty()) {
        const std::string key = one.remaining.front();
        one.remaining.pop_front();
        Instance& instance = instances_.at(key);
        if (instance.runs.empty() || instance.release == one.next.release_id) {
            continue;
        }
        one.key = key;
        if (!one.alone) {
            order_successor(app);
            return;
        }
        hold(instance, "a new release takes its place",
             [this, app, key, release = one.next.release_id] {
                 const auto at = switches_.find(app);
                 if (at != switches_.end() && at->second.key == key &&
                     at->second.next.release_id == release) {
                     order_successor(app);
                 }
             });
        return;
    }
    finish_switch(app);
}

void Apps::order_successor(const std::string& app) {
    Switch& one = switches_.at(app);
    const Instance& instance = instances_.at(one.key);
    one.candidate = process_name(one.key, one.next.release_id);
    if (const auto at = leaving_.find(one.candidate); at != leaving_.end()) {
        at->second.then.emplace_back([this, app, name = one.candidate] {
            const auto found = switches_.find(app);
            if (found != switches_.end() && found->second.candidate == name) {
                order_successor(app);
            }
        });
        return;
    }
    if (const Status ordered =
            send_start(instance.app, instance.user, one.candidate, one.next, one.manifest);
        !ordered.ok()) {
        successor_failed(app, ordered.error().message, "");
    }
}

void Apps::successor_event(const std::string& app, const Json& head) {
    Switch& one = switches_.at(app);
    const std::string kind = text_of(head, "kind");
    if (kind == "running") {
        return;
    }
    if (kind != "ready") {
        if (text_of(head, "t") == "refused" && !one.alone &&
            error_of(member(head, "error")).code == Code::conflict) {
            one.alone = true;
            one.remaining.push_front(one.key);
            next_process(app);
            return;
        }
        successor_failed(app, text_of(head, "reason"), text_of(head, "last_lines"));
        return;
    }
    Instance& instance = instances_.at(one.key);
    if (!one.committed) {
        if (const Status committed = commit(one); !committed.ok()) {
            stop_process(one.candidate, "its release could not be kept");
            successor_failed(app, committed.error().message, "");
            return;
        }
    }
    const std::string old = instance.runs;
    take_over(instance, one.candidate, one.next.release_id, head);
    if (!old.empty()) {
        leave(old, one.key, false, "a new release has taken its place", [] {});
    }
    next_process(app);
}

void Apps::successor_failed(const std::string& app, const std::string& why,
                            const std::string& last_lines) {
    Switch& one = switches_.at(app);
    const std::string key = one.key;
    one.candidate.clear();
    give_up(app, why, last_lines);
    release_hold(instances_.at(key));
}

Status Apps::commit(Switch& one) {
    const std::string app = one.next.name;
    const AppRow old = rows_.at(app);
    one.next.since_us = world_.clock.wall_us();
    const auto write = [&]() -> Status {
        Status done = world_.store.put_app_kept("before", old);
        done = done.ok() ? world_.store.put_app(one.next) : done;
        if (!done.ok() || one.after) {
            return done;
        }
        done = world_.store.drop_app_kept("next", app);
        return done.ok() ? serving(one.next) : done;
    };
    if (Status written = world_.store.transact(write); !written.ok()) {
        return written;
    }
    one.committed = true;
    rows_[app] = one.next;
    manifests_[app] = one.manifest;
    touch();
    on_change_();
    return {};
}

// `say_so` is called in the transaction.
Status Apps::go_back(const std::string& app, const std::function<Status()>& say_so) {
    auto before = world_.store.app_kept("before", app);
    if (!before.ok() || !*before) {
        return before.ok() ? fail(Code::not_found, "the release before it is not known any more")
                           : before.error();
    }
    auto manifest = run::parse_manifest((*before)->manifest, app);
    if (!manifest.ok()) {
        return manifest.error();
    }
    const AppRow bad = std::exchange(rows_.at(app), **before);
    if (Status written = world_.store.transact([&]() -> Status {
            Status done = world_.store.put_app(**before);
            done = done.ok() ? world_.store.drop_app_kept("before", app) : done;
            return done.ok() ? say_so() : done;
        });
        !written.ok()) {
        rows_.at(app) = bad;
        return written;
    }
    const bool same = same_shape(manifests_.at(app), *manifest);
    manifests_[app] = *std::move(manifest);
    touch();
    for (auto& [key, instance] : instances_) {
        if (instance.app != app || instance.runs.empty() || instance.release != bad.release_id) {
            continue;
        }
        if (same) {
            hold(instance, "its release was rolled back",
                 [this, key = key] { release_hold(instances_.at(key)); });
        } else {
            leave(instance.runs, key, true, "its release was rolled back", [] {});
        }
    }
    return {};
}

// True: this was one failure too many of a release that is being watched, and the one before it
// serves again.
bool Apps::watched_failed(const Instance& instance, const std::string& kind) {
    const auto at = switches_.find(instance.app);
    if (at == switches_.end() || at->second.step != Switch::Step::watch ||
        instance.release != at->second.next.release_id) {
        return false;
    }
    if (kind != "failed" && ++at->second.crashes < run::crash_loop_count) {
        return false;
    }
    give_up(std::string(instance.app), instance.state.reason, instance.state.last_lines);
    return true;
}

// A first release that did not come up when it was tried has come up for a user.
void Apps::came_up(const Instance& instance) {
    const Rollout* rollout = world_.rollouts.own(instance.app);
    if (rollout == nullptr || rollout->release_id != instance.release ||
        rollout->state == RolloutState::serving || !rollout->serves.empty()) {
        return;
    }
    cancel_switch(instance.app);
    if (const Status said = serving(rows_.at(instance.app)); !said.ok()) {
        world_.log.error("rollout.keep", said.error().message, {{"app", instance.app}});
    }
}

} // namespace hasp::maint
