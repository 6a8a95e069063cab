// Delegation as a parent: what goes into a child's lease and desired state.
#include "base/text.h"
#include "delegation.h"
#include "trust/envelope.h"
#include "trust/hash.h"
#include "trust/verifier.h"

#include <algorithm>

namespace hasp::maint {

namespace {

trust::AtExpiry at_expiry_of(run::AtExpiry at) {
    return at == run::AtExpiry::go_on       ? trust::AtExpiry::go_on
           : at == run::AtExpiry::read_only ? trust::AtExpiry::read_only
                                            : trust::AtExpiry::stop;
}

std::map<std::string, std::string> hashes_of(const std::vector<trust::Section>& sections) {
    std::map<std::string, std::string> out;
    for (const trust::Section& section : sections) {
        if (auto digest = trust::section_digest(section); digest.ok()) {
            out[section.name] = to_hex(*digest);
        }
    }
    return out;
}

} // namespace

void Delegation::add_user(trust::Grants& grants, const ChildRow& child,
                          const trust::TierName& child_name, const std::string& user,
                          std::int64_t until_us) {
    auto account = world_.accounts.show(user);
    auto who = world_.accounts.identity_of(user);
    // Never operators: a stolen box must not open what they can.
    if (!account.ok() || !who.ok() || account->fields.role != signon::Role::user) {
        return;
    }
    const trust::TierName& me = world_.me.name;
    grants.login.push_back({user, who->name, who->email, who->groups, who->apps, me, until_us});
    grants.keep.push_back({user, me, until_us});
    for (const std::string& app : who->apps) {
        grants.use.push_back({user, app, me, until_us});
    }
    auto v0 = world_.accounts.verifier(user);
    if (v0.ok() && *v0) {
        const signon::Verifier& v = **v0;
        const trust::VerifierGrant mine{user,
                                        me,
                                        static_cast<std::uint64_t>(v.version),
                                        v.salt,
                                        v.cost.memory_kib,
                                        v.cost.passes,
                                        v.cost.lanes,
                                        v.value,
                                        {}};
        if (auto down = trust::hand_down(mine, me, child_name, child.verifier_key); down.ok()) {
            grants.verifier.push_back(*std::move(down));
        }
    }
}

void Delegation::hand_down_users(trust::Grants& grants, const ChildRow& child,
                                 const trust::TierName& child_name,
                                 const std::set<std::pair<std::string, std::string>>& allowed,
                                 std::int64_t until_us) {
    if (!lease_) {
        return;
    }
    const trust::Grants& mine = lease_->grants;
    for (const trust::LoginGrant& login : mine.login) {
        const bool may =
            allowed.contains({"user", login.user}) ||
            std::any_of(login.groups.begin(), login.groups.end(), [&](const std::string& group) {
                return allowed.contains({"group", group});
            });
        if (!may) {
            continue;
        }
        trust::LoginGrant down = login;
        down.expires_us = std::min(down.expires_us, until_us);
        grants.login.push_back(down);
        for (const trust::UseGrant& use : mine.use) {
            if (use.user == login.user) {
                grants.use.push_back(
                    {use.user, use.app, use.origin, std::min(use.expires_us, until_us)});
            }
        }
        for (const trust::KeepGrant& keep : mine.keep) {
            if (keep.user == login.user) {
                grants.keep.push_back(
                    {keep.user, keep.origin, std::min(keep.expires_us, until_us)});
            }
        }
        for (const trust::VerifierGrant& verifier : mine.verifier) {
            if (verifier.user == login.user) {
                if (auto handed =
                        trust::hand_down(verifier, world_.me.name, child_name, child.verifier_key);
                    handed.ok()) {
                    grants.verifier.push_back(*std::move(handed));
                }
            }
        }
    }
}

trust::Grants Delegation::grants_for(const ChildRow& child, std::int64_t from_us) {
    trust::Grants grants;
    const auto child_name = world_.me.name.child(child.name);
    auto assignments = world_.store.assignments(child.name);
    auto allowed_rows = world_.store.allowed(child.name);
    if (!child_name.ok() || !assignments.ok() || !allowed_rows.ok()) {
        return grants;
    }
    const std::int64_t until_us = from_us + world_.config.lease.days * trust::day_us;
    const std::int64_t run_until_us = from_us + world_.config.lease.run_days * trust::day_us;
    std::set<std::string> seen;
    for (const AssignmentRow& row : *assignments) {
        const auto origin = trust::TierName::parse(row.origin);
        if (!row.wanted || !origin.ok() || !seen.insert(row.app + "/" + row.release_id).second) {
            continue;
        }
        trust::RunGrant run{row.app, row.release_id, *origin, trust::AtExpiry::go_on, run_until_us};
        const auto manifest = world_.apps.manifests().find(row.app);
        if (manifest != world_.apps.manifests().end()) {
            run.at_expiry = at_expiry_of(manifest->second.at_expiry);
        }
        if (*origin != world_.me.name && lease_) {
            for (const trust::RunGrant& mine : lease_->grants.run) {
                if (mine.app == row.app && mine.release == row.release_id) {
                    run.expires_us = std::min(run.expires_us, mine.expires_us);
                    run.at_expiry = mine.at_expiry;
                }
            }
        }
        grants.run.push_back(run);
        if (!row.data_home.empty() && row.data_home == row.target) {
            grants.write.push_back(
                {row.app, *origin, {static_cast<std::uint64_t>(child.epoch), 1}, run.expires_us});
        }
    }
    const std::set<std::pair<std::string, std::string>> allowed(allowed_rows->begin(),
                                                                allowed_rows->end());
    std::set<std::string> users;
    for (const auto& [kind, name] : allowed) {
        if (kind == "user") {
            users.insert(name);
        } else if (auto members = world_.accounts.members(name); members.ok()) {
            users.insert(members->begin(), members->end());
        }
    }
    for (const std::string& user : users) {
        add_user(grants, child, *child_name, user, until_us);
    }
    hand_down_users(grants, child, *child_name, allowed, until_us);
    return grants;
}

Status Delegation::sign_lease(const ChildRow& child) {
    auto last = world_.store.lease(child.name);
    const auto child_name = world_.me.name.child(child.name);
    if (!last.ok() || !child_name.ok()) {
        return last.ok() ? child_name.error() : last.error();
    }
    const std::int64_t now_us = now().now_us;
    const std::int64_t shortest_us =
        std::min(world_.config.lease.days, world_.config.lease.run_days) * trust::day_us;
    const bool due =
        !*last ||
        now_us - (*last)->granted_us >= shortest_us / 100 * world_.config.lease.renew_percent ||
        now_us < (*last)->granted_us;
    // Between renewals the same grants have the same ends, so that only what changed is signed and
    // sent.
    const std::int64_t from_us = due ? now_us : (*last)->granted_us;
    const trust::Grants grants = grants_for(child, from_us);
    auto sections = trust::encode_sections(grants);
    if (!sections.ok()) {
        return sections.error();
    }
    if (!due && hashes_of(*sections) == (*last)->sections) {
        return {};
    }
    if (*last && !forced_.contains(child.name)) {
        trust::Grants before;
        for (const auto& [name, hash] : (*last)->sections) {
            if (auto body = world_.store.section(hash); body.ok() && *body) {
                [[maybe_unused]] const Status decoded =
                    trust::decode_section({name, **body}, before);
            }
        }
        if (trust::drops_too_much(before, grants)) {
            return fail(Code::refused,
                        "the next lease for '" + child.name +
                            "' would drop more than a quarter of its grants, so it was not signed",
                        "if that is meant: hasp lease sign " + child.name);
        }
    }
    forced_.erase(child.name);
    const std::int64_t end_us =
        from_us + std::max(world_.config.lease.days, world_.config.lease.run_days) * trust::day_us;
    const trust::LeaseParams params{world_.me.realm_id,
                                    world_.me.name,
                                    *child_name,
                                    {static_cast<std::uint64_t>(child.epoch),
                                     static_cast<std::uint64_t>(child.lease_number + 1)},
                                    now_us,
                                    end_us};
    auto lease = trust::issue_lease(params, grants, world_.me.envelope_key);
    if (!lease.ok()) {
        return lease.error();
    }
    LeaseRow row{child.name,      child.lease_number + 1,
                 lease->envelope, hashes_of(lease->sections),
                 from_us,         end_us};
    std::map<std::string, std::string> bodies;
    for (const trust::Section& section : lease->sections) {
        bodies[row.sections[section.name]] = section.text;
    }
    return world_.store.transact([&]() -> Status {
        if (Status put = world_.store.put_lease(row, bodies); !put.ok()) {
            return put;
        }
        auto fresh = world_.store.child(child.name);
        if (!fresh.ok() || !*fresh) {
            return fresh.ok() ? Status{} : Status{fresh.error()};
        }
        ChildRow next = **fresh;
        next.lease_number = row.number;
        return world_.store.put_child(next);
    });
}

std::string Delegation::desired_envelope(const ChildRow& child) {
    const auto child_name = world_.me.name.child(child.name);
    auto assignments = world_.store.assignments(child.name);
    if (!child_name.ok() || !assignments.ok()) {
        return {};
    }
    Json apps = Json::array();
    for (const AssignmentRow& row : *assignments) {
        apps.push_back({{"target", row.target},
                        {"app", row.app},
                        {"release", row.release_id},
                        {"origin", row.origin},
                        {"data_home", row.data_home},
                        {"wanted", row.wanted}});
    }
    const std::int64_t now_us = now().now_us;
    const trust::Header header{"desired-state",
                               world_.me.realm_id,
                               world_.me.name,
                               *child_name,
                               {static_cast<std::uint64_t>(child.epoch),
                                static_cast<std::uint64_t>(child.desired_generation)},
                               now_us,
                               now_us + root_life_us};
    auto sealed = trust::seal(header, dump({{"apps", apps}}), world_.me.envelope_key);
    if (!sealed.ok()) {
        world_.log.error("desired.seal", sealed.error().message, {{"tier", child.name}});
        return {};
    }
    return *sealed;
}

void Delegation::offer(const std::string& child_name) {
    auto found = world_.store.child(child_name);
    if (!found.ok() || !*found || (*found)->state != "enrolled" ||
        !world_.links.connected(child_name)) {
        return;
    }
    const ChildRow& child = **found;
    Offered& offered = offered_[child_name];
    if (child.reached_generation != child.desired_generation &&
        offered.generation != static_cast<std::uint64_t>(child.desired_generation)) {
        if (std::string envelope = desired_envelope(child); !envelope.empty()) {
            offered.generation = static_cast<std::uint64_t>(child.desired_generation);
            world_.links.tell(child_name, {{"t", "desired"}}, std::move(envelope));
        }
    }
    if (child.lease_number == 0 || child.reached_lease == child.lease_number ||
        offered.lease == static_cast<std::uint64_t>(child.lease_number)) {
        return;
    }
    auto row = world_.store.lease(child_name);
    if (!row.ok() || !*row) {
        return;
    }
    trust::Grants grants;
    for (const auto& [name, hash] : (*row)->sections) {
        if (auto body = world_.store.section(hash); body.ok() && *body) {
            [[maybe_unused]] const Status decoded = trust::decode_section({name, **body}, grants);
        }
    }
    auto chain = trust::enclose(world_.me.name, grants, lease_bytes_ ? &*lease_bytes_ : nullptr,
                                chain_ ? &*chain_ : nullptr, world_.me.ca_chain_der);
    if (!chain.ok()) {
        world_.log.error("lease.chain", chain.error().message, {{"tier", child_name}});
        return;
    }
    offered.lease = static_cast<std::uint64_t>(child.lease_number);
    const std::string& envelope = (*row)->envelope;
    world_.links.tell(child_name, {{"t", "lease"}, {"envelope_bytes", envelope.size()}},
                      envelope + trust::encode_chain(*chain));
}

void Delegation::flush() {
    auto children = world_.store.children();
    if (!children.ok()) {
        return;
    }
    const bool stale = stale_;
    stale_ = false;
    for (const ChildRow& child : *children) {
        if (child.state != "enrolled") {
            continue;
        }
        if (stale) {
            if (const Status signed_now = sign_lease(child); !signed_now.ok()) {
                world_.log.error("lease.sign", signed_now.error().message, {{"tier", child.name}});
                [[maybe_unused]] const Status kept = world_.store.add_error(
                    {world_.clock.wall_us(), "lease.sign",
                     signed_now.error().message + ". " + signed_now.error().hint});
            }
        }
        offer(child.name);
    }
}

void Delegation::child_connected(const std::string& child) {
    offered_.erase(child);
    touch();
}

void Delegation::child_reached(const std::string& child, std::int64_t generation,
                               std::int64_t lease) {
    // A child that fell back (a restored disk) is offered everything again.
    Offered& offered = offered_[child];
    if (generation >= 0 && static_cast<std::uint64_t>(generation) < offered.generation) {
        offered.generation = 0;
    }
    if (lease >= 0 && static_cast<std::uint64_t>(lease) < offered.lease) {
        offered.lease = 0;
    }
}

} // namespace hasp::maint
