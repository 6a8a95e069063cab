// Delegation for operators: what is lent and held, in lines, and for how much longer.
#include "base/text.h"
#include "delegation.h"

#include <algorithm>

namespace hasp::maint {

namespace {
const char* at_expiry_name(trust::AtExpiry at) {
    return at == trust::AtExpiry::go_on       ? "continue"
           : at == trust::AtExpiry::read_only ? "read-only"
                                              : "stop";
}
} // namespace

const trust::RunGrant* run_grant(const trust::Grants& grants, const std::string& app,
                                 const std::string& release, const std::string& origin) {
    const trust::RunGrant* other = nullptr;
    for (const trust::RunGrant& run : grants.run) {
        if (run.app != app) {
            continue;
        }
        if (run.release == release) {
            return &run;
        }
        if (run.origin.text() == origin &&
            (other == nullptr || run.expires_us > other->expires_us)) {
            other = &run;
        }
    }
    return other;
}

std::vector<GrantLine> grant_lines(const trust::Grants& g) {
    std::vector<GrantLine> out;
    for (const auto& run : g.run) {
        out.push_back({"run", run.app, run.expires_us, at_expiry_name(run.at_expiry)});
    }
    for (const auto& login : g.login) {
        out.push_back({"log-in", login.user, login.expires_us, ""});
    }
    for (const auto& use : g.use) {
        out.push_back({"use", use.user + " " + use.app, use.expires_us, ""});
    }
    for (const auto& keep : g.keep) {
        out.push_back({"keep", keep.user, keep.expires_us, ""});
    }
    for (const auto& write : g.write) {
        out.push_back({"write", write.dataset, write.expires_us, ""});
    }
    return out;
}

Json to_json(const std::vector<GrantLine>& lines) {
    Json out = Json::array();
    for (const GrantLine& line : lines) {
        Json one{{"kind", line.kind}, {"what", line.what}, {"expires", rfc3339(line.expires_us)}};
        if (!line.at_expiry.empty()) {
            one["at_expiry"] = line.at_expiry;
        }
        out.push_back(std::move(one));
    }
    return out;
}

std::map<std::string, std::int64_t> Delegation::extensions(const std::string& child) {
    std::map<std::string, std::int64_t> out;
    const std::int64_t now_us = now().now_us;
    auto text = world_.store.fact("extended." + child);
    const Json json = parse_object(text.ok() ? *text : "");
    for (const auto& [what, until] : json.items()) {
        if (until.is_number_integer() && until.get<std::int64_t>() > now_us) {
            out[what] = until.get<std::int64_t>();
        }
    }
    return out;
}

Result<Delegation::LentLease> Delegation::lent(const std::string& child) {
    auto row = world_.store.child(child);
    auto lease = world_.store.lease(child);
    if (!row.ok() || !lease.ok()) {
        return row.ok() ? lease.error() : row.error();
    }
    if (!*row) {
        return fail(Code::not_found, "there is no tier '" + child + "' below this one",
                    "hasp local list shows those that are");
    }
    if (!*lease) {
        return LentLease{};
    }
    return LentLease{
        {static_cast<std::uint64_t>((*row)->epoch), static_cast<std::uint64_t>((*lease)->number)},
        (*lease)->granted_us,
        (*row)->reached_lease == (*lease)->number,
        grant_lines(signed_grants(**lease)),
        extensions(child)};
}

std::optional<std::string> Delegation::waits_for(const std::string& app) const {
    for (const AssignmentRow& row : desired_) {
        if (row.app != app || !row.wanted || row.target != world_.me.name.text()) {
            continue;
        }
        if (is_held(row)) {
            const auto over = world_.gate.over(Purpose::packs);
            return over ? over->message : "its release is about to come";
        }
        const auto failed = failed_.find(row.app + "/" + row.release_id);
        return failed == failed_.end()
                   ? "release " + row.release_id.substr(0, 12) + " is on its way"
                   : failed->second;
    }
    return std::nullopt;
}

const std::set<std::string>& Delegation::lent_users(const std::string& child) {
    const auto known = lent_users_.find(child);
    if (known != lent_users_.end()) {
        return known->second;
    }
    std::set<std::string>& users = lent_users_[child];
    if (auto lease = world_.store.lease(child); lease.ok() && *lease) {
        for (const trust::LoginGrant& login : signed_grants(**lease).login) {
            users.insert(login.user);
        }
    }
    return users;
}

Result<std::vector<Delegation::Extended>> Delegation::extend(const std::string& child_name,
                                                             const Extension& what) {
    if (what.days < 1 || what.days > extend_days_max) {
        return fail(Code::usage,
                    "a grant is extended to 1 to " + std::to_string(extend_days_max) + " days");
    }
    auto held = lent(child_name);
    auto child = world_.store.child(child_name);
    if (!held.ok() || !child.ok()) {
        return held.ok() ? child.error() : held.error();
    }
    if ((*child)->state != "enrolled") {
        return fail(Code::refused, "the tier '" + child_name + "' is " + (*child)->state,
                    "hasp local list shows those that hold a lease");
    }
    const std::string key = !what.app.empty()    ? "app " + what.app
                            : !what.user.empty() ? "user " + what.user
                                                 : "all";
    const bool lent_at_all =
        key == "all" ||
        std::any_of(held->grants.begin(), held->grants.end(), [&](const GrantLine& line) {
            return (line.kind == "run" && line.what == what.app && !what.app.empty()) ||
                   (line.kind == "log-in" && line.what == what.user && !what.user.empty());
        });
    if (!lent_at_all) {
        return what.app.empty()
                   ? fail(Code::not_found,
                          "the lease of '" + child_name + "' lets no '" + what.user + "' log in",
                          "put the account on its list: hasp local allow " + child_name + " " +
                              what.user)
                   : fail(Code::not_found,
                          "the lease of '" + child_name + "' has no app '" + what.app + "'",
                          "hasp lease show " + child_name + " lists what it has");
    }
    std::map<std::string, std::int64_t> longer = held->extended;
    std::int64_t& until = longer[key];
    until = std::max(until, now().now_us + what.days * day_us);
    if (longer.size() > extensions_max) {
        return fail(Code::refused,
                    "'" + child_name + "' has " + std::to_string(extensions_max) +
                        " extensions already",
                    "extend everything at once: leave out --app and --user");
    }
    std::map<std::pair<std::string, std::string>, std::int64_t> after;
    for (const GrantLine& line : grant_lines(grants_for(**child, held->signed_us, longer))) {
        after[{line.kind, line.what}] = line.expires_us;
    }
    std::vector<Extended> changed;
    for (const GrantLine& line : held->grants) {
        const auto at = after.find({line.kind, line.what});
        if (at != after.end() && at->second > line.expires_us) {
            changed.push_back({line, at->second});
        }
    }
    if (what.dry_run) {
        return changed;
    }
    if (const Status kept = world_.store.set_fact("extended." + child_name, dump(Json(longer)));
        !kept.ok()) {
        return kept.error();
    }
    stale_children_.insert(child_name);
    return changed;
}

} // namespace hasp::maint
