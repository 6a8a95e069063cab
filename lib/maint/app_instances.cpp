// Apps' processes: asking the spawner, hearing from it, stopping what nobody uses.
#include "apps.h"
#include "base/text.h"

#include <vector>

namespace hasp::maint {

namespace {
// Smaller changes of trusted time than this are the link's jitter.
constexpr std::int64_t offset_step_us = 200'000;
constexpr std::int64_t unasked_us = 3'600'000'000; // a name is forgotten after that

} // namespace

void Apps::start(const std::string& app, const std::string& user, Started done) {
    const auto row = rows_.find(app);
    const auto manifest = manifests_.find(app);
    if (row == rows_.end() || manifest == manifests_.end() ||
        manifest->second.kind != run::Kind::process) {
        done(fail(Code::not_found, "there is no program '" + app + "' at this tier"), "");
        return;
    }
    if (const auto over = ended(row->second); over && *over != trust::AtExpiry::read_only) {
        done(fail(Code::refused,
                  "The time for which it was lent to this site is over, so it is not started."),
             "");
        return;
    }
    const bool per_user = manifest->second.instance == run::Instance::user;
    if (per_user && !valid_name(user)) {
        done(fail(Code::refused, "'" + app + "' runs once for each user, and nobody is signed on"),
             "");
        return;
    }
    const std::string owner = per_user ? user : "";
    Instance& instance = instances_[key_of(app, owner)];
    instance.app = app;
    instance.user = owner;
    instance.used_us = world_.clock.boot_us();
    const bool first = instance.waiting.empty();
    instance.waiting.push_back(std::move(done));
    if (!first || instance.held) {
        return;
    }
    instance.asked_by = user;
    instance.ordered_us = world_.clock.wall_us();
    order(instance);
}

void Apps::order(Instance& instance) {
    if (instance.ordering) {
        return;
    }
    instance.ordering = true;
    const auto go = [this, id = key_of(instance.app, instance.user)](const Status& may) {
        Instance& at = instances_.at(id); // instances stay
        at.ordering = false;
        if (!may.ok()) {
            at.state.last_lines.clear(); // of who was there before
            settle(at, may);
            return;
        }
        if (!spawner_there_) {
            return; // spawner_ready() orders
        }
        const auto row = rows_.find(at.app);
        const auto manifest = manifests_.find(at.app);
        const Status ordered =
            row == rows_.end() || manifest == manifests_.end()
                ? fail(Code::not_found, "there is no program '" + at.app + "' at this tier")
                : order_start(at, row->second, manifest->second);
        if (!ordered.ok()) {
            settle(at, ordered);
        }
    };
    if (before_start_) {
        before_start_(instance.app, instance.user, go);
    } else {
        go({});
    }
}

Status Apps::order_start(Instance& instance, const AppRow& row, const run::Manifest& manifest) {
    const std::string key = key_of(instance.app, instance.user);
    const std::string name = process_name(key, row.release_id);
    if (take_back(instance, name)) {
        return {};
    }
    if (!instance.runs.empty() && instance.runs != name) {
        leave(instance.runs, key, true, "another release is asked for", [] {});
    }
    // Two processes of an app that must be alone on its data, or of one name, never meet.
    for (auto& [other, one] : leaving_) {
        if (one.key == key && (other == name || manifest.handover == run::Handover::exclusive)) {
            one.then.emplace_back([this, key] { order(instances_.at(key)); });
            return {};
        }
    }
    if (Status sent = send_start(instance.app, instance.user, name, row, manifest); !sent.ok()) {
        return sent;
    }
    instance.runs = name;
    instance.release = row.release_id;
    return {};
}

Status Apps::send_start(const std::string& app, const std::string& user, const std::string& name,
                        const AppRow& row, const run::Manifest& manifest) {
    sync::Scope scope = sync::Scope::none;
    if (manifest.data == run::DataScope::user) {
        scope = sync::Scope::user;
    } else if (manifest.data == run::DataScope::app) {
        scope = sync::Scope::app;
    }
    auto copy = world_.copies.ensure(scope, user, app);
    if (!copy.ok()) {
        return copy.error();
    }
    const std::string folder = world_.state + "/run/apps/" + (user.empty() ? "" : app + "/");
    const Json order{{"t", "start"},
                     {"instance", name},
                     {"app", app},
                     {"user", user},
                     {"prefix", manifest.mount == run::Mount::path ? "/apps/" + app : ""},
                     {"code", world_.releases.tree_path(row.name, row.release_id)},
                     {"data", copy->path},
                     {"uid", copy->uid},
                     {"gid", copy->gid},
                     {"socket", folder + name + ".sock"},
                     {"log", world_.state + "/log/" + name + ".log"}};
    world_.ports.send_spawner(dump(order), row.manifest);
    return {};
}

void Apps::settle(Instance& instance, const Status& status) {
    std::vector<Started> waiting;
    waiting.swap(instance.waiting);
    const std::string lines = instance.state.last_lines;
    for (const Started& done : waiting) {
        done(status, lines);
    }
}

void Apps::used(const std::string& app, const std::string& user) {
    const auto manifest = manifests_.find(app);
    if (manifest == manifests_.end()) {
        return;
    }
    const auto at =
        instances_.find(key_of(app, manifest->second.instance == run::Instance::user ? user : ""));
    if (at != instances_.end()) {
        at->second.used_us = world_.clock.boot_us();
    }
}

void Apps::on_spawner(const Json& head) {
    const std::string type = text_of(head, "t");
    if (type == "isolation") {
        isolation_ = text_of(head, "text");
        spawner_ready();
        return;
    }
    if (type != "event" && type != "refused") {
        return;
    }
    const std::string name = text_of(head, "instance");
    if (switch_event(name, head)) {
        on_change_();
        return;
    }
    const auto at = instances_.find(name.substr(0, name.find('@')));
    Instance* instance = at == instances_.end() ? nullptr : &at->second;
    const bool leaves = leaving_.contains(name);
    if ((instance == nullptr || instance->runs != name) && !leaves) {
        instance = adopt(name);
    }
    if (instance != nullptr && instance->runs == name) {
        instance_event(*instance, head);
    }
    const std::string kind = text_of(head, "kind");
    if (leaves && kind != "ready" && kind != "running") {
        left(name);
    }
    on_change_();
}

// A process that a keeper before us had started. It goes on if it is what we would start, and ends
// otherwise.
Apps::Instance* Apps::adopt(const std::string& name) {
    const std::size_t at = name.find('@');
    const std::string key = name.substr(0, at);
    const std::size_t dot = key.find('.');
    const std::string app = key.substr(0, dot);
    const std::string user = dot == std::string::npos ? "" : key.substr(dot + 1);
    const auto row = rows_.find(app);
    const auto manifest = manifests_.find(app);
    const bool ours = row != rows_.end() && manifest != manifests_.end() &&
                      manifest->second.kind == run::Kind::process &&
                      (manifest->second.instance == run::Instance::user) == !user.empty() &&
                      process_name(key, row->second.release_id) == name;
    Instance* instance = ours ? &instances_[key] : nullptr;
    if (instance == nullptr || !instance->runs.empty()) {
        leave(name, key, true, "another release of it serves", [this, name] {
            if (name.find("~trial") != std::string::npos) {
                drop_trial_folder(name);
            }
        });
        return nullptr;
    }
    instance->app = app;
    instance->user = user;
    instance->runs = name;
    instance->release = row->second.release_id;
    instance->used_us = world_.clock.boot_us();
    return instance;
}

void Apps::instance_event(Instance& instance, const Json& head) {
    const std::string kind = text_of(head, "kind");
    instance.state = {text_of(head, "state"), text_of(head, "reason"), text_of(head, "last_lines"),
                      int_of(head, "since_us")};
    if (kind == "running") {
        return;
    }
    if (text_of(head, "t") == "refused") {
        instance.runs.clear();
        settle(instance, error_of(member(head, "error")));
        return;
    }
    if (kind == "ready") {
        // One that was up already when it was asked for was not started again.
        const bool came_up_now =
            instance.ordered_us != 0 && int_of(head, "since_us") >= instance.ordered_us;
        instance.ordered_us = 0;
        if (instance.held || leaving_.contains(instance.runs)) {
            return;
        }
        Status ready = point(instance);
        if (ready.ok() && came_up_now && on_started_) {
            ready = on_started_(instance.app, instance.asked_by);
        }
        settle(instance, ready);
        came_up(instance);
        return;
    }
    instance.runs.clear();
    if (kind == "stopped") {
        // Somebody may have asked while the old one was ending: then it is started anew.
        if (!instance.waiting.empty() && !instance.held && rows_.contains(instance.app)) {
            order(instance);
        }
        return;
    }
    failed_event(instance, kind);
}

void Apps::failed_event(Instance& instance, const std::string& kind) {
    // By the name that commands take.
    const std::string text = instance.app + (instance.user.empty() ? "" : " of " + instance.user);
    world_.log.warn("app." + kind, instance.state.reason,
                    {{"app", instance.app}, {"user", instance.user}});
    if (const Status kept = world_.store.add_error({world_.clock.wall_us(), "app." + kind,
                                                    text + ": " + instance.state.reason,
                                                    instance.state.last_lines});
        !kept.ok()) {
        world_.log.error("errors.keep", kept.error().message);
    }
    if (instance.held) {
        return;
    }
    if (watched_failed(instance, kind)) {
        if (!instance.waiting.empty()) {
            order(instance); // of the release before
        }
        return;
    }
    // What ended had been up: whoever waits asked while it was dying, and not for this one. How
    // often it is started again is the spawner's to limit.
    if (kind != "failed" && !instance.waiting.empty()) {
        order(instance);
        return;
    }
    settle(instance, fail(Code::failed, instance.state.reason));
}

void Apps::spawner_connected() {
    spawner_there_ = false;
    // The apps of a spawner that died went with it.
    leaving_.clear();
    for (auto& [id, instance] : instances_) {
        instance.runs.clear();
        instance.held = false;
        if (instance.state.state == "ready" || instance.state.state == "starting") {
            instance.state = {"stopped", "the spawner was started again", "",
                              world_.clock.wall_us()};
        }
    }
}

// It has said what runs, which comes first: nothing is started beside a process that a keeper
// before us has left.
void Apps::spawner_ready() {
    spawner_there_ = true;
    for (auto& [id, instance] : instances_) {
        if (!instance.waiting.empty() && rows_.contains(instance.app)) {
            order(instance);
        }
    }
    switches_anew();
}

std::optional<Apps::InstanceState> Apps::instance(const std::string& app,
                                                  const std::string& user) const {
    const auto manifest = manifests_.find(app);
    const bool per_user =
        manifest != manifests_.end() && manifest->second.instance == run::Instance::user;
    const auto at = instances_.find(key_of(app, per_user ? user : ""));
    if (at == instances_.end() || at->second.state.state.empty()) {
        return std::nullopt;
    }
    return at->second.state;
}

std::vector<std::pair<std::string, Apps::InstanceState>> Apps::instances() const {
    std::vector<std::pair<std::string, InstanceState>> out;
    for (const auto& [id, instance] : instances_) {
        if (!instance.state.state.empty()) {
            out.emplace_back(id, instance.state);
        }
    }
    return out;
}

void Apps::tick() {
    const std::int64_t now = world_.clock.boot_us();
    tick_switches();
    tick_leaving();
    for (auto& [id, instance] : instances_) {
        const auto manifest = manifests_.find(instance.app);
        if (instance.state.state != "ready" || instance.runs.empty() ||
            manifest == manifests_.end()) {
            continue;
        }
        const std::int64_t idle_s = manifest->second.process.idle_stop_s;
        if (ended_.contains(instance.app)) {
            continue; // what goes on after the lease's end could not be started again
        }
        if (idle_s > 0 && now - instance.used_us > idle_s * 1'000'000) {
            instance.used_us = now;
            leave(instance.runs, id, true, "nobody used it for " + std::to_string(idle_s) + " s",
                  [] {});
        }
    }
    std::erase_if(resolved_, [now](const auto& one) {
        return !one.second.asking && now - one.second.asked_us > unasked_us;
    });
    for (const auto& [key, entry] : resolved_) {
        if (entry.of_an_app && !entry.asking && now - entry.at_us > 60'000'000) {
            touch();
            break;
        }
    }
    // Trusted time follows the wall clock until the parent has said what time it is.
    const std::int64_t offset = world_.trusted.wall_us() - now;
    if (offset - trusted_offset_us_ > offset_step_us ||
        trusted_offset_us_ - offset > offset_step_us ||
        (next_end_us_ != 0 && world_.trusted.wall_us() >= next_end_us_)) {
        touch();
    }
}

std::optional<trust::AtExpiry> Apps::ended(const AppRow& row) const {
    const auto authority = authority_(row);
    if (!authority) {
        return trust::AtExpiry::stop;
    }
    return authority->expires_us != 0 && world_.trusted.wall_us() >= authority->expires_us
               ? std::optional(authority->at_expiry)
               : std::nullopt;
}

void Apps::follow_expiry() {
    std::set<std::string> now_ended;
    next_end_us_ = 0;
    for (const auto& [name, row] : rows_) {
        const auto authority = authority_(row);
        const auto over = ended(row);
        if (!over) {
            if (authority->expires_us != 0 &&
                (next_end_us_ == 0 || authority->expires_us < next_end_us_)) {
                next_end_us_ = authority->expires_us;
            }
            continue;
        }
        now_ended.insert(name);
        if (ended_.contains(name)) {
            continue;
        }
        world_.log.warn("lease.ended", "the lease for an app has ended", {{"app", name}});
        for (auto& [id, instance] : instances_) {
            if (instance.app == name && *over == trust::AtExpiry::stop && !instance.runs.empty()) {
                stop_process(instance.runs, "its lease has ended");
            }
        }
    }
    if (now_ended != ended_) {
        ended_ = std::move(now_ended);
        on_change_();
    }
}

} // namespace hasp::maint
