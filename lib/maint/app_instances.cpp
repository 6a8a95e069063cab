// Apps' processes: asking the spawner, hearing from it, stopping what nobody uses.
#include "apps.h"
#include "base/text.h"

#include <vector>

namespace hasp::maint {

namespace {
// Smaller changes of trusted time than this are the link's jitter.
constexpr std::int64_t offset_step_us = 200'000;

std::string id_of(const std::string& app, const std::string& user) {
    return user.empty() ? app : app + "." + user;
}
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
    Instance& instance = instances_[id_of(app, owner)];
    instance.app = app;
    instance.user = owner;
    instance.used_us = world_.clock.boot_us();
    const bool first = instance.waiting.empty();
    instance.waiting.push_back(std::move(done));
    if (!first) {
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
    const auto go = [this, id = id_of(instance.app, instance.user)] {
        Instance& at = instances_.at(id); // instances stay
        at.ordering = false;
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
        go();
    }
}

void Apps::stop(const std::string& app, const std::string& user, const std::string& reason) {
    const std::string id = id_of(app, user);
    if (instances_.contains(id)) {
        world_.ports.send_spawner(dump({{"t", "stop"}, {"instance", id}, {"reason", reason}}), {});
    }
}

Status Apps::order_start(Instance& instance, const AppRow& row, const run::Manifest& manifest) {
    sync::Scope scope = sync::Scope::none;
    if (manifest.data == run::DataScope::user) {
        scope = sync::Scope::user;
    } else if (manifest.data == run::DataScope::app) {
        scope = sync::Scope::app;
    }
    auto copy = world_.copies.ensure(scope, instance.user, instance.app);
    if (!copy.ok()) {
        return copy.error();
    }
    const std::string id = id_of(instance.app, instance.user);
    const Json order{{"t", "start"},
                     {"instance", id},
                     {"app", instance.app},
                     {"user", instance.user},
                     {"prefix", manifest.mount == run::Mount::path ? "/apps/" + instance.app : ""},
                     {"code", world_.releases.tree_path(row.name, row.release_id)},
                     {"data", copy->path},
                     {"uid", copy->uid},
                     {"gid", copy->gid},
                     {"socket", world_.state + "/run/apps/" + instance.app +
                                    (instance.user.empty() ? "" : "/" + instance.user) + ".sock"},
                     {"log", world_.state + "/log/" + id + ".log"}};
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
        instances_.find(id_of(app, manifest->second.instance == run::Instance::user ? user : ""));
    if (at != instances_.end()) {
        at->second.used_us = world_.clock.boot_us();
    }
}

void Apps::on_spawner(const Json& head) {
    const std::string type = text_of(head, "t");
    if (type == "isolation") {
        isolation_ = text_of(head, "text");
        return;
    }
    if (type != "event" && type != "refused") {
        return;
    }
    const auto at = instances_.find(text_of(head, "instance"));
    if (at == instances_.end()) {
        return;
    }
    Instance& instance = at->second;
    const std::string kind = text_of(head, "kind");
    instance.state = {text_of(head, "state"), text_of(head, "reason"), text_of(head, "last_lines"),
                      int_of(head, "since_us")};
    if (type == "refused") {
        settle(instance, error_of(member(head, "error")));
        return;
    }
    if (kind == "ready") {
        // One that was up already when it was asked for was not started again.
        const bool came_up =
            instance.ordered_us != 0 && int_of(head, "since_us") >= instance.ordered_us;
        instance.ordered_us = 0;
        settle(instance,
               came_up && on_started_ ? on_started_(instance.app, instance.asked_by) : Status());
    } else if (kind == "stopped") {
        // Somebody may have asked while the old one was ending: then it is started anew.
        if (!instance.waiting.empty() && rows_.contains(instance.app)) {
            order(instance);
        }
    } else {
        // By the name that commands take.
        const std::string text =
            instance.app + (instance.user.empty() ? "" : " of " + instance.user);
        world_.log.warn("app." + kind, instance.state.reason,
                        {{"app", instance.app}, {"user", instance.user}});
        if (const Status kept = world_.store.add_error({world_.clock.wall_us(), "app." + kind,
                                                        text + ": " + instance.state.reason,
                                                        instance.state.last_lines});
            !kept.ok()) {
            world_.log.error("errors.keep", kept.error().message);
        }
        settle(instance, fail(Code::failed, instance.state.reason));
    }
    on_change_();
}

void Apps::spawner_connected() {
    // The apps of a spawner that died went with it.
    for (auto& [id, instance] : instances_) {
        const bool wanted = !instance.waiting.empty();
        if (instance.state.state == "ready" || instance.state.state == "starting") {
            instance.state = {"stopped", "the spawner was started again", "",
                              world_.clock.wall_us()};
        }
        if (wanted && rows_.contains(instance.app)) {
            order(instance);
        }
    }
}

std::optional<Apps::InstanceState> Apps::instance(const std::string& app,
                                                  const std::string& user) const {
    const auto manifest = manifests_.find(app);
    const bool per_user =
        manifest != manifests_.end() && manifest->second.instance == run::Instance::user;
    const auto at = instances_.find(id_of(app, per_user ? user : ""));
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
    for (auto& [id, instance] : instances_) {
        const auto manifest = manifests_.find(instance.app);
        if (instance.state.state != "ready" || manifest == manifests_.end()) {
            continue;
        }
        const std::int64_t idle_s = manifest->second.process.idle_stop_s;
        if (ended_.contains(instance.app)) {
            continue; // what goes on after the lease's end could not be started again
        }
        if (idle_s > 0 && now - instance.used_us > idle_s * 1'000'000) {
            instance.used_us = now;
            world_.ports.send_spawner(
                dump({{"t", "stop"},
                      {"instance", id},
                      {"reason", "nobody used it for " + std::to_string(idle_s) + " s"}}),
                {});
        }
    }
    for (const auto& [key, entry] : resolved_) {
        if (!entry.asking && now - entry.at_us > 60'000'000) {
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
            if (instance.app == name && *over == trust::AtExpiry::stop) {
                world_.ports.send_spawner(
                    dump({{"t", "stop"}, {"instance", id}, {"reason", "its lease has ended"}}), {});
            }
        }
    }
    if (now_ended != ended_) {
        ended_ = std::move(now_ended);
        on_change_();
    }
}

} // namespace hasp::maint
