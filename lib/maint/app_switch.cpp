// Apps: from one release to the next. The new one is tried in a sandbox of its own on an empty
// folder; then each running process is replaced by its successor, and when the first of them
// answers (or none runs) the new release is the one that serves, in one transaction. It is watched
// for a while, and gives way to the one before it when it does not hold.
#include "apps.h"
#include "base/files.h"
#include "base/text.h"

#include <algorithm>
#include <filesystem>
#include <unistd.h>

namespace hasp::maint {

namespace {

// Each is a start of a program that nobody waits for: the machine has others to serve.
constexpr std::size_t trials_max = 2;
// Long enough for what breaks at the first real requests, short enough that a release which broke
// later is not confused with one that never worked.
constexpr std::int64_t watch_us = 30'000'000;
constexpr const char* trial_user = "trial";

// A static app must have what it would show first.
Status probe_files(const run::Manifest& manifest, const std::string& code) {
    const std::string root = manifest.files.root == "." ? code : code + "/" + manifest.files.root;
    std::error_code error;
    const bool any =
        std::filesystem::is_regular_file(root + "/" + manifest.files.index, error) ||
        std::filesystem::directory_iterator(root, error) != std::filesystem::directory_iterator();
    return any ? Status{}
               : fail(Code::failed,
                      "there is nothing to serve in its folder '" + manifest.files.root + "'");
}

bool side_by_side(const run::Manifest& manifest) {
    return manifest.handover == run::Handover::overlap;
}

} // namespace

Status Apps::install(const AppRow& row) {
    auto manifest = run::parse_manifest(row.manifest, row.name + "/" + run::manifest_file_name);
    if (!manifest.ok()) {
        return manifest.error();
    }
    if (manifest->name != row.name) {
        return fail(Code::usage,
                    "the manifest is that of '" + manifest->name + "', not of '" + row.name + "'");
    }
    const auto held = rows_.find(row.name);
    const bool same = held != rows_.end() && held->second.release_id == row.release_id;
    const auto same_as = [&](const AppRow& other) {
        return other.release_id == row.release_id && other.data_home == row.data_home &&
               other.origin == row.origin;
    };
    const auto active = switches_.find(row.name);
    if (active != switches_.end() && active->second.step != Switch::Step::watch) {
        Switch& now = active->second;
        if (same_as(now.after ? *now.after : now.next)) {
            return {};
        }
        return supersede(now, row);
    }
    const Rollout* rollout = world_.rollouts.own(row.name);
    if (rollout != nullptr && rollout->release_id == row.release_id &&
        rollout->state == RolloutState::rolled_back) {
        return {}; // only another release is tried
    }
    if (same) {
        if (same_as(held->second)) {
            return serving(held->second); // another had been assigned, and had not come yet
        }
        return replace_row(row); // the same files under another order
    }
    if (active != switches_.end()) {
        switches_.erase(active); // it has come up: the next one may go back to it
    }
    return begin_switch(row, *std::move(manifest));
}

// Another release was assigned before this one had come to an end: it is next.
Status Apps::supersede(Switch& now, const AppRow& row) {
    if (Status kept = world_.store.put_app_kept("next", row); !kept.ok()) {
        return kept;
    }
    now.after = row;
    return say(row.name, row.release_id, RolloutState::waiting,
               "another release is being taken in");
}

Status Apps::say(const std::string& app, const std::string& release, RolloutState state,
                 const std::string& why, const std::string& last_lines) {
    const auto row = rows_.find(app);
    const bool serves =
        row != rows_.end() && (row->second.release_id != release || state == RolloutState::serving);
    return world_.rollouts.set({"", app, release, state, serves ? row->second.release_id : "", why,
                                last_lines, world_.clock.wall_us()});
}

Status Apps::serving(const AppRow& row) {
    if (Status dropped = world_.store.drop_app_kept("unproven", row.name); !dropped.ok()) {
        return dropped;
    }
    return world_.rollouts.set({"", row.name, row.release_id, RolloutState::serving, row.release_id,
                                "", "", row.since_us});
}

Status Apps::replace_row(const AppRow& row) {
    if (Status put = world_.store.put_app(row); !put.ok()) {
        return put;
    }
    rows_[row.name] = row;
    touch();
    on_change_();
    return {};
}

Status Apps::begin_switch(const AppRow& row, run::Manifest manifest) {
    Switch next;
    next.next = row;
    auto unproven = world_.store.app_kept("unproven", row.name);
    if (!unproven.ok()) {
        return unproven.error();
    }
    next.first = !rows_.contains(row.name) || *unproven;
    next.alone = !side_by_side(manifest);
    // Nobody is served by what was there, so nothing is lost: whoever asks has it started, also
    // while it is being tried.
    const auto take = [&]() -> Status {
        if (!next.first) {
            return world_.store.put_app_kept("next", row);
        }
        const Status put = world_.store.put_app(row);
        return put.ok() ? world_.store.put_app_kept("unproven", row) : put;
    };
    if (Status taken = world_.store.transact(take); !taken.ok()) {
        return taken;
    }
    if (next.first) {
        end_all(row.name, "a new release was installed");
        rows_[row.name] = row;
        manifests_[row.name] = manifest;
        touch();
    }
    next.manifest = std::move(manifest);
    switches_[row.name] = std::move(next);
    if (Status said = say(row.name, row.release_id, RolloutState::probing); !said.ok()) {
        return said;
    }
    on_change_();
    begin_trials();
    return {};
}

void Apps::begin_trials() {
    std::vector<std::string> queued;
    std::size_t under_way = 0;
    for (const auto& [app, one] : switches_) {
        under_way += one.step == Switch::Step::trial ? 1 : 0;
        if (one.step == Switch::Step::queued) {
            queued.push_back(app);
        }
    }
    for (const std::string& app : queued) {
        const auto at = switches_.find(app); // one that gives up begins others
        if (at == switches_.end() || at->second.step != Switch::Step::queued) {
            continue;
        }
        Switch& one = at->second;
        if (one.manifest.kind == run::Kind::process) {
            if (under_way < trials_max && spawner_there_) {
                ++under_way;
                one.step = Switch::Step::trial;
                if (const Status begun = order_trial(one); !begun.ok()) {
                    give_up(app, begun.error().message, "");
                }
            }
            continue;
        }
        const Status probed =
            one.manifest.kind == run::Kind::static_files
                ? probe_files(one.manifest, world_.releases.tree_path(app, one.next.release_id))
                : Status{};
        if (probed.ok()) {
            proceed(app);
        } else {
            give_up(app, probed.error().message, "");
        }
    }
}

Status Apps::order_trial(Switch& one) {
    const std::string& app = one.next.name;
    // Never the name or the folder of another one, which a keeper before us may have left.
    one.trial = process_name(app + "~trial" + std::to_string(next_ask_++), one.next.release_id);
    auto copy = world_.copies.ensure(sync::Scope::none, "", app);
    if (!copy.ok()) {
        return copy.error();
    }
    std::string data;
    if (one.manifest.data != run::DataScope::none) {
        data = world_.state + "/run/trial/" + one.trial;
        Status made = make_folders(world_.state + "/run/trial", 0711);
        made = made.ok() ? make_folders(data) : made;
        if (!made.ok()) {
            return made;
        }
        if (::geteuid() == 0 && ::lchown(data.c_str(), copy->uid, copy->gid) != 0) {
            return errno_error(errno, "cannot give away the folder " + data);
        }
    }
    const bool per_user = one.manifest.instance == run::Instance::user;
    const Json order{{"t", "start"},
                     {"instance", one.trial},
                     {"app", app},
                     {"user", per_user ? trial_user : ""},
                     {"prefix", one.manifest.mount == run::Mount::path ? "/apps/" + app : ""},
                     {"code", world_.releases.tree_path(app, one.next.release_id)},
                     {"data", data},
                     {"uid", copy->uid},
                     {"gid", copy->gid},
                     {"socket", world_.state + "/run/apps/" + one.trial + ".sock"},
                     {"log", ""}};
    world_.ports.send_spawner(dump(order), one.next.manifest);
    return {};
}

void Apps::drop_trial_folder(const std::string& trial) {
    world_.ports.background(
        [folder = world_.state + "/run/trial/" + trial] { static_cast<void>(remove_tree(folder)); },
        [] {});
}

// Events of trials and of successors; true: it was one.
bool Apps::switch_event(const std::string& name, const Json& head) {
    for (auto& [app, one] : switches_) {
        if (one.step == Switch::Step::trial && one.trial == name) {
            trial_event(std::string(app), head);
            return true;
        }
        if (!one.candidate.empty() && one.candidate == name) {
            successor_event(std::string(app), head);
            return true;
        }
    }
    return false;
}

void Apps::trial_event(const std::string& app, const Json& head) {
    Switch& one = switches_.at(app);
    const std::string kind = text_of(head, "kind");
    if (kind == "ready") {
        one.tried = true;
        stop_process(one.trial, "it was only tried");
        return;
    }
    if (kind == "running") {
        return;
    }
    const bool refused = text_of(head, "t") == "refused";
    // Where apps share the network of the machine, two cannot listen on one port: then only the
    // change itself shows whether the new one comes up.
    const bool untried = refused && error_of(member(head, "error")).code == Code::conflict;
    one.alone = one.alone || untried;
    drop_trial_folder(one.trial);
    if (one.tried || untried) {
        proceed(app);
        begin_trials();
    } else {
        give_up(app, text_of(head, "reason"), text_of(head, "last_lines"));
    }
}

// No process of the old release takes requests any more.
void Apps::finish_switch(const std::string& app) {
    Switch& one = switches_.at(app);
    const Status done = one.first ? serving(one.next) : one.committed ? Status{} : commit(one);
    if (!done.ok()) {
        give_up(app, done.error().message, "");
        return;
    }
    world_.log.info("app.release", "a new release serves",
                    {{"app", app}, {"release", one.next.release_id}});
    one.step = Switch::Step::watch;
    one.watch_until_us = world_.clock.boot_us() + watch_us;
    if (one.first || one.after) {
        settled(app);
    }
}

// The switch of this app is over; another release that came meanwhile is next.
void Apps::settled(const std::string& app) {
    const auto at = switches_.find(app);
    const std::optional<AppRow> after = at->second.after;
    switches_.erase(at);
    if (!after) {
        prune(app);
        return;
    }
    if (const Status begun = install(*after); !begun.ok()) {
        world_.log.error("app.install", begun.error().message, {{"app", app}});
    }
}

// The new release does not come up, or does not hold: what served before serves.
void Apps::give_up(const std::string& app, const std::string& why, const std::string& last_lines) {
    Switch& one = switches_.at(app);
    const std::string release = one.next.release_id;
    const std::string text =
        one.first ? app + ": the release " + release.substr(0, 12) + " does not come up: " + why
                  : app + ": the release " + release.substr(0, 12) + " was rolled back: " + why;
    world_.log.warn("app.rolled_back", text, {{"app", app}});
    Status kept =
        world_.store.add_error({world_.clock.wall_us(), "app.rolled_back", text, last_lines});
    const auto say_so = [&]() -> Status {
        return one.after ? Status{} : say(app, release, RolloutState::rolled_back, why, last_lines);
    };
    if (one.committed) {
        kept = go_back(app, say_so);
    } else {
        kept = world_.store.transact([&]() -> Status {
            const Status dropped =
                one.after || one.first ? Status{} : world_.store.drop_app_kept("next", app);
            return dropped.ok() ? say_so() : dropped;
        });
    }
    if (!kept.ok()) {
        world_.log.error("app.rolled_back", kept.error().message, {{"app", app}});
    }
    settled(app);
    on_change_();
    begin_trials();
}

Status Apps::load_switches() {
    auto next = world_.store.apps_kept("next");
    if (!next.ok()) {
        return next.error();
    }
    for (const AppRow& row : *next) {
        auto manifest = run::parse_manifest(row.manifest, row.name);
        if (manifest.ok() && rows_.contains(row.name)) {
            Switch one;
            one.next = row;
            one.alone = !side_by_side(*manifest);
            one.manifest = *std::move(manifest);
            switches_[row.name] = std::move(one);
        }
    }
    for (const auto& [app, row] : rows_) {
        const Rollout* rollout = world_.rollouts.own(app);
        auto before = world_.store.app_kept("before", app);
        if (!before.ok()) {
            return before.error();
        }
        if (rollout == nullptr || rollout->release_id != row.release_id ||
            switches_.contains(app)) {
            continue;
        }
        const std::int64_t age_us = world_.clock.wall_us() - rollout->at_us;
        Switch one;
        one.next = row;
        one.manifest = manifests_.at(app);
        one.alone = !side_by_side(one.manifest);
        if (rollout->state == RolloutState::probing) {
            one.first = true;
        } else if (rollout->state == RolloutState::serving && *before && age_us >= 0 &&
                   age_us < watch_us) {
            one.committed = true;
            one.step = Switch::Step::watch;
            one.watch_until_us = world_.clock.boot_us() + watch_us - age_us;
        } else {
            continue;
        }
        switches_[app] = std::move(one);
    }
    return {};
}

void Apps::cancel_switch(const std::string& app) {
    const auto at = switches_.find(app);
    if (at == switches_.end()) {
        return;
    }
    const Switch one = std::move(at->second);
    switches_.erase(at);
    if (one.step == Switch::Step::trial) {
        stop_process(one.trial, "it is not needed any more");
    }
    if (!one.candidate.empty()) {
        stop_process(one.candidate, "it is not needed any more");
    }
}

// All processes are gone with their spawner: what was under way begins anew.
void Apps::switches_anew() {
    for (auto& [app, one] : switches_) {
        if (one.step == Switch::Step::watch) {
            continue;
        }
        one.step = Switch::Step::queued;
        one.tried = false;
        one.remaining.clear();
        one.key.clear();
        one.candidate.clear();
    }
    begin_trials();
}

void Apps::tick_switches() {
    std::vector<std::string> over;
    for (const auto& [app, one] : switches_) {
        if (one.step == Switch::Step::watch && world_.clock.boot_us() >= one.watch_until_us) {
            over.push_back(app);
        }
    }
    for (const std::string& app : over) {
        settled(app);
    }
}

// Of releases that others decide, only the one that serves and the one to go back to are kept, and
// what tiers below are to fetch.
void Apps::prune(const std::string& app) {
    const auto row = rows_.find(app);
    auto before = world_.store.app_kept("before", app);
    auto children = world_.store.children();
    if (row == rows_.end() || row->second.origin == world_.me.text() || !before.ok() ||
        !children.ok() || !begin_import(app)) {
        return;
    }
    std::set<std::string> keep{row->second.release_id};
    if (const Rollout* rollout = world_.rollouts.own(app); rollout != nullptr) {
        keep.insert(rollout->release_id);
    }
    auto next = world_.store.app_kept("next", app);
    for (const auto* kept : {&before, &next}) {
        if (kept->ok() && **kept) {
            keep.insert((**kept)->release_id);
        }
    }
    for (const ChildRow& child : *children) {
        auto rows = world_.store.assignments(child.name);
        for (const AssignmentRow& one : rows.ok() ? *rows : std::vector<AssignmentRow>{}) {
            if (one.app == app) {
                keep.insert(one.release_id);
            }
        }
    }
    world_.ports.background(
        [releases = &world_.releases, app, keep] {
            auto held = releases->list(app);
            for (const HeldRelease& one : held.ok() ? *held : std::vector<HeldRelease>{}) {
                if (!keep.contains(one.id)) {
                    static_cast<void>(releases->remove_release(app, one.id));
                }
            }
        },
        [this, app] { end_import(app); });
}

} // namespace hasp::maint
