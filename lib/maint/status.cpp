#include "status.h"

#include "base/text.h"

#include <algorithm>
#include <functional>
#include <vector>

namespace hasp::maint {

namespace {

constexpr std::int64_t errors_shown = 10;

// Said only where the two differ: what each of them runs, and what the one does not know of the
// other.
void add_skew(Json& entry, const StatusSources& from, const std::string& neighbour) {
    const Links::Skew skew = from.links.skew(neighbour);
    if (!skew.version.empty()) {
        entry["version"] = skew.version;
    }
    if (skew.version != from.version || !skew.lacks.empty() || !skew.unknown.empty()) {
        entry["skew"] = {{"here", from.version},
                         {"there", skew.version.empty() ? "unknown" : skew.version},
                         {"it_lacks", skew.lacks},
                         {"we_lack", skew.unknown}};
    }
}

Json counted(const std::optional<std::int64_t>& number) {
    return number ? Json(*number) : Json();
}

Json link_json(const StatusSources& from) {
    if (!from.me.has_parent()) {
        return nullptr;
    }
    const bool connected = from.links.connected(to_parent);
    Json link{
        {"parent", from.me.name.parent().text()},
        {"state", !from.daemon ? "unknown"
                  : connected  ? "up"
                               : "down"},
        {"since", from.parent.since_us > 0 ? Json(rfc3339(from.parent.since_us)) : Json()},
        {"rtt_ms", from.links.rtt_ms(to_parent) >= 0 ? Json(from.links.rtt_ms(to_parent)) : Json()},
        {"address", from.parent.address}};
    if (!connected && !from.parent.why.empty()) {
        link["reason"] = from.parent.why;
    }
    if (connected) {
        add_skew(link, from, to_parent);
    }
    return link;
}

// Only where one is down; "down" when all are.
void add_addresses(Json& entry, const std::vector<Apps::Address>& addresses) {
    if (addresses.empty()) {
        return;
    }
    Json list = Json::array();
    bool one_up = false;
    for (const Apps::Address& one : addresses) {
        one_up = one_up || one.up;
        Json row{{"address", one.address}, {"state", one.up ? "up" : "down"}};
        if (!one.up) {
            row["since"] = rfc3339(one.since_us);
            row["reason"] = one.why;
        }
        list.push_back(std::move(row));
    }
    entry["addresses"] = std::move(list);
    entry["state"] = one_up ? "ready" : "down";
}

Json apps_json(const StatusSources& from) {
    Json apps = Json::array();
    auto rows = from.store.apps();
    const auto instances = from.apps.instances();
    for (const AppRow& row : rows.ok() ? *rows : std::vector<AppRow>{}) {
        const auto manifest = from.apps.manifests().find(row.name);
        const bool process =
            manifest != from.apps.manifests().end() && manifest->second.kind == run::Kind::process;
        Json entry{{"name", row.name},
                   {"release", row.release_id},
                   {"origin", row.origin},
                   {"state", process ? "starts on first use" : "ready"}};
        Json running = Json::array();
        for (const auto& [id, state] : instances) {
            if (id != row.name && !id.starts_with(row.name + ".")) {
                continue;
            }
            Json one{{"id", id}, {"state", state.state}, {"since", rfc3339(state.since_us)}};
            if (!state.reason.empty()) {
                one["reason"] = state.reason;
            }
            if (state.state == "failing" && !state.last_lines.empty()) {
                one["last_lines"] = state.last_lines;
            }
            if (state.state == "failing" || entry["state"] == "starts on first use") {
                entry["state"] = state.state == "stopped" ? "starts on first use" : state.state;
            }
            running.push_back(std::move(one));
        }
        add_addresses(entry, from.apps.addresses(row.name));
        if (process) {
            entry["instances"] = std::move(running);
        }
        if (const Rollout* rollout = from.rollouts.own(row.name);
            rollout != nullptr && rollout->state != RolloutState::serving) {
            entry["rollout"] = to_json(*rollout);
            const bool nothing_serves =
                rollout->state == RolloutState::rolled_back && rollout->serves.empty();
            entry["state"] = nothing_serves ? Json("failing") : entry["state"];
        }
        if (const auto authority = from.delegation.authority(row); !authority) {
            entry["state"] = "no lease";
        } else if (authority->expires_us > 0) {
            entry["lease_expires"] = rfc3339(authority->expires_us);
            if (authority->expires_us <= from.time.wall_us()) {
                entry["state"] = "lease expired";
            }
        }
        apps.push_back(std::move(entry));
    }
    return apps;
}

Json children_json(const StatusSources& from) {
    Json children = Json::array();
    auto rows = from.store.children();
    for (const ChildRow& child : rows.ok() ? *rows : std::vector<ChildRow>{}) {
        const bool up = from.links.connected(child.name);
        // While it is linked, its heartbeats count; else what was written down when it went dark.
        const std::int64_t silent_us = from.clock.boot_us() - from.links.heard_us(child.name);
        const std::int64_t seen_us = up ? from.clock.wall_us() - silent_us : child.seen_us;
        Json entry{
            {"name", child.name},
            {"state", child.state == "enrolled" ? (up ? "up" : "dark") : child.state},
            {"since", rfc3339(child.since_us)},
            {"last_seen", seen_us > 0 ? Json(rfc3339(seen_us)) : Json()},
            {"desired", {{"epoch", child.epoch}, {"generation", child.desired_generation}}},
            {"reached", {{"generation", child.reached_generation}, {"lease", child.reached_lease}}},
            {"lease", child.lease_number}};
        if (up && from.links.rtt_ms(child.name) >= 0) {
            entry["rtt_ms"] = from.links.rtt_ms(child.name);
        }
        if (up) {
            add_skew(entry, from, child.name);
        }
        if (child.state == "enrolled" && !child.report.empty()) {
            // As the child said it, at the time it said it: its own as_of tells how old it is.
            entry["status"] = member(parse_object(child.report), "status");
        }
        children.push_back(std::move(entry));
    }
    return children;
}

} // namespace

Json to_json(const Unsent& unsent) {
    return {{"files", counted(unsent.files)},
            {"bytes", counted(unsent.bytes)},
            {"events", counted(unsent.events)},
            {"since", unsent.since_us ? Json(rfc3339(*unsent.since_us)) : Json()}};
}

std::string what_matters(Json report) {
    const std::function<void(Json&)> leave_out = [&](Json& value) {
        if (value.is_object()) {
            for (const char* name : {"as_of", "last_seen", "rtt_ms", "wan", "month_bytes"}) {
                value.erase(name);
            }
        }
        if (value.is_structured()) {
            for (Json& part : value) {
                leave_out(part);
            }
        }
    };
    leave_out(report);
    return dump(report);
}

Json errors_below(const Json& status) {
    std::vector<Json> found;
    const std::function<void(const std::string&, const Json&)> visit = [&](const std::string& tier,
                                                                           const Json& below) {
        for (const Json& error : member(below, "errors")) {
            if (!tier.empty() && error.is_object()) {
                found.push_back(error);
                found.back()["tier"] = tier;
            }
        }
        for (const Json& child : member(below, "children")) {
            const std::string name = text_of(child, "name");
            visit(tier.empty() ? name : tier + "/" + name, member(child, "status"));
        }
    };
    visit("", status);
    std::stable_sort(found.begin(), found.end(), [](const Json& a, const Json& b) {
        return text_of(a, "at") > text_of(b, "at");
    });
    if (found.size() > errors_below_max) {
        found.resize(errors_below_max);
    }
    return found;
}

Json status_json(const StatusSources& from) {
    Json errors = Json::array();
    if (auto rows = from.store.errors(errors_shown); rows.ok()) {
        for (const ErrorRow& row : *rows) {
            Json one{{"at", rfc3339(row.at_us)}, {"id", row.id}, {"text", row.text}};
            if (!row.last_lines.empty()) {
                one["last_lines"] = row.last_lines;
            }
            errors.push_back(std::move(one));
        }
    }
    Json processes = Json::object();
    for (const auto& [name, pid] : from.pids) {
        processes[name] = pid;
    }
    const trust::TrustedTime time = from.time.now();
    Json out{{"tier", from.me.name.text()},
             {"version", from.version},
             {"as_of", rfc3339(from.clock.wall_us())},
             {"running", from.daemon},
             {"link", link_json(from)},
             {"leases", to_json(from.delegation.held())},
             {"apps", apps_json(from)},
             {"rollouts", from.rollouts.report()},
             {"certificates_end", rfc3339(from.me.certificates_end_us())},
             {"isolation", from.apps.isolation()},
             {"errors", errors},
             {"children", children_json(from)},
             {"unsent", to_json(from.unsent)},
             {"wan", from.traffic.json(from.me.has_parent())},
             {"processes", processes}};
    // Asked for at half of their life, over any link: that little is left when there was none.
    if (from.me.certificates_end_us() < time.now_us + renew_before_us / 2) {
        out["certificates_late"] = true;
    }
    out["errors_below"] = errors_below(out);
    if (time.suspect() || time.clock_ahead) {
        out["clock"] = time.clock_behind  ? "behind: it was set back, or lost its battery"
                       : time.clock_ahead ? "ahead of the parent's"
                                          : "too long without a signed time";
    }
    return out;
}

} // namespace hasp::maint
