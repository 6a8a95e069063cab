// Delegation as a parent: what goes into a child's lease and desired state.
#include "base/text.h"
#include "delegation.h"
#include "trust/envelope.h"
#include "trust/hash.h"
#include "trust/verifier.h"

#include <algorithm>

namespace hasp::maint {

namespace {

// What a child did not take is offered again after this time.
constexpr std::int64_t offer_again_us = 60'000'000;
constexpr std::size_t at_expiry_known_max = 10'000;
constexpr std::int64_t sign_again_us = 60'000'000;

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

// Whoever was disabled loses his grants by an order of an operator, not because a table is empty.
void forget_disabled(trust::Grants& grants, signon::AccountStore& accounts) {
    std::map<std::string, bool> known;
    const auto disabled = [&](const std::string& user) {
        const auto [at, fresh] = known.emplace(user, false);
        if (fresh) {
            const auto account = accounts.show(user);
            at->second = account.ok() && account->disabled;
        }
        return at->second;
    };
    const auto is = [&](const auto& grant) { return disabled(grant.user); };
    std::erase_if(grants.login, is);
    std::erase_if(grants.use, is);
    std::erase_if(grants.keep, is);
}

template <typename T, typename Same>
void keep_held(std::vector<T>& grants, const std::vector<T>& held, const trust::TierName& me,
               const Same& same) {
    std::erase_if(grants, [&](const T& grant) {
        return grant.origin != me && std::none_of(held.begin(), held.end(),
                                                  [&](const T& one) { return same(one, grant); });
    });
}

// What the tier above took away from us goes below too: it has looked whether that is meant.
void forget_not_held(trust::Grants& grants, const trust::Grants& held, const trust::TierName& me) {
    const auto same_user = [](const auto& a, const auto& b) { return a.user == b.user; };
    keep_held(grants.login, held.login, me, same_user);
    keep_held(grants.keep, held.keep, me, same_user);
    keep_held(grants.use, held.use, me,
              [](const auto& a, const auto& b) { return a.user == b.user && a.app == b.app; });
    keep_held(grants.run, held.run, me, [](const auto& a, const auto& b) {
        return a.app == b.app && a.release == b.release;
    });
    keep_held(grants.write, held.write, me,
              [](const auto& a, const auto& b) { return a.dataset == b.dataset; });
}

} // namespace

// As the release itself says, whether or not this tier holds the app.
run::AtExpiry Delegation::manifest_at_expiry(const std::string& app, const std::string& release) {
    const auto known = at_expiry_.find(release);
    if (known != at_expiry_.end()) {
        return known->second;
    }
    auto manifest = run::read_manifest(world_.releases.tree_path(app, release));
    if (!manifest.ok()) {
        return run::AtExpiry::go_on; // not here (any more): nothing stricter is known
    }
    if (at_expiry_.size() >= at_expiry_known_max) {
        at_expiry_.clear();
    }
    return at_expiry_[release] = manifest->at_expiry;
}

trust::Grants Delegation::signed_grants(const LeaseRow& row) {
    trust::Grants grants;
    for (const auto& [name, hash] : row.sections) {
        if (auto body = world_.store.section(hash); body.ok() && *body) {
            [[maybe_unused]] const Status decoded = trust::decode_section({name, **body}, grants);
        }
    }
    return grants;
}

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
                                 const std::function<std::int64_t(const std::string&)>& until) {
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
        const std::int64_t until_us = until(login.user);
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

trust::Grants Delegation::grants_for(const ChildRow& child, std::int64_t from_us,
                                     const std::map<std::string, std::int64_t>& longer) {
    const auto at_least = [&](std::int64_t until_us, const std::string& what) {
        const auto one = longer.find(what);
        const auto all = longer.find("all");
        until_us = one == longer.end() ? until_us : std::max(until_us, one->second);
        return all == longer.end() ? until_us : std::max(until_us, all->second);
    };
    trust::Grants grants;
    const auto child_name = world_.me.name.child(child.name);
    auto assignments = world_.store.assignments(child.name);
    auto allowed_rows = world_.store.allowed(child.name);
    if (!child_name.ok() || !assignments.ok() || !allowed_rows.ok()) {
        return grants;
    }
    const std::int64_t until_us = from_us + world_.config.lease.days * day_us;
    const std::int64_t run_until_us = from_us + world_.config.lease.run_days * day_us;
    std::set<std::string> seen;
    for (const AssignmentRow& row : *assignments) {
        const auto origin = trust::TierName::parse(row.origin);
        if (!row.wanted || !origin.ok() || (*origin != world_.me.name && !lease_)) {
            continue;
        }
        trust::RunGrant run{row.app, row.release_id, *origin, trust::AtExpiry::go_on,
                            at_least(run_until_us, "app " + row.app)};
        run.at_expiry = at_expiry_of(manifest_at_expiry(row.app, row.release_id));
        if (*origin != world_.me.name) {
            // Only what we hold ourselves: the order may be here before the lease that goes with
            // it, or after it. Either release lets the child go on with what it has.
            const trust::RunGrant* ours =
                run_grant(lease_->grants, row.app, row.release_id, row.origin);
            if (ours == nullptr) {
                continue;
            }
            run.release = ours->release;
            run.expires_us = std::min(run.expires_us, ours->expires_us);
            run.at_expiry = ours->at_expiry;
        }
        if (!seen.insert(run.app + "/" + run.release).second) {
            continue;
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
        add_user(grants, child, *child_name, user, at_least(until_us, "user " + user));
    }
    hand_down_users(grants, child, *child_name, allowed,
                    [&](const std::string& user) { return at_least(until_us, "user " + user); });
    return grants;
}

Result<std::int64_t> Delegation::sign_lease(const ChildRow& child) {
    auto last = world_.store.lease(child.name);
    const auto child_name = world_.me.name.child(child.name);
    if (!last.ok() || !child_name.ok()) {
        return last.ok() ? child_name.error() : last.error();
    }
    const std::int64_t now_us = now().now_us;
    const std::int64_t shortest_us =
        std::min(world_.config.lease.days, world_.config.lease.run_days) * day_us;
    const bool due =
        !*last ||
        now_us - (*last)->granted_us >= shortest_us / 100 * world_.config.lease.renew_percent ||
        now_us < (*last)->granted_us;
    // Between renewals the same grants have the same ends, so that only what changed is signed and
    // sent.
    const std::int64_t from_us = due ? now_us : (*last)->granted_us;
    const trust::Grants grants = grants_for(child, from_us, extensions(child.name));
    auto sections = trust::encode_sections(grants);
    if (!sections.ok()) {
        return sections.error();
    }
    if (!due && hashes_of(*sections) == (*last)->sections) {
        return from_us;
    }
    if (*last && !forced_.contains(child.name)) {
        trust::Grants before = signed_grants(**last);
        forget_disabled(before, world_.accounts);
        if (lease_) {
            forget_not_held(before, lease_->grants, world_.me.name);
        }
        if (trust::drops_too_much(before, grants)) {
            return fail(Code::refused,
                        "the next lease for '" + child.name +
                            "' would drop more than a quarter of its grants, so it was not signed",
                        "if that is meant: hasp lease sign " + child.name);
        }
    }
    std::int64_t end_us =
        from_us + std::max(world_.config.lease.days, world_.config.lease.run_days) * day_us;
    for (const GrantLine& line : grant_lines(grants)) {
        end_us = std::max(end_us, line.expires_us); // extended ones
    }
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
    const Status kept = world_.store.transact([&]() -> Status {
        if (Status put = world_.store.put_lease(row, bodies); !put.ok()) {
            return put;
        }
        if (Status noted = on_keeps_ ? on_keeps_(child.name, grants.keep) : Status{}; !noted.ok()) {
            return noted;
        }
        auto fresh = world_.store.child(child.name);
        if (!fresh.ok() || !*fresh) {
            return fresh.ok() ? Status{} : Status{fresh.error()};
        }
        ChildRow next = **fresh;
        next.lease_number = row.number;
        return world_.store.put_child(next);
    });
    if (!kept.ok()) {
        return kept.error();
    }
    lent_users_.erase(child.name); // as the row says, when somebody asks
    return from_us;
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
        if (auto release = world_.store.release(row.app, row.release_id);
            row.wanted && release.ok() && *release) {
            apps.back()["sequence"] = {(*release)->sequence.epoch, (*release)->sequence.number};
        }
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
    Offered& offered = offered_[child_name];
    offer_desired(**found, offered);
    offer_lease(**found, offered);
}

void Delegation::offer_desired(const ChildRow& child, Offered& offered) {
    const auto generation = static_cast<std::uint64_t>(child.desired_generation);
    const std::int64_t now = world_.clock.boot_us();
    if (child.reached_generation == child.desired_generation ||
        (offered.generation == generation && now - offered.generation_at_us < offer_again_us)) {
        return;
    }
    if (std::string envelope = desired_envelope(child); !envelope.empty()) {
        offered.generation = generation;
        offered.generation_at_us = now;
        world_.links.tell(child.name, {{"t", "desired"}}, std::move(envelope));
    }
}

void Delegation::offer_lease(const ChildRow& child, Offered& offered) {
    const auto number = static_cast<std::uint64_t>(child.lease_number);
    const std::int64_t now = world_.clock.boot_us();
    if (number == 0 || child.reached_lease == child.lease_number ||
        (offered.lease == number && now - offered.lease_at_us < offer_again_us)) {
        return;
    }
    auto row = world_.store.lease(child.name);
    if (!row.ok() || !*row) {
        return;
    }
    const trust::Grants grants = signed_grants(**row);
    auto chain = trust::enclose(world_.me.name, grants, lease_bytes_ ? &*lease_bytes_ : nullptr,
                                chain_ ? &*chain_ : nullptr, world_.me.ca_chain_der);
    if (!chain.ok()) {
        world_.log.error("lease.chain", chain.error().message, {{"tier", child.name}});
        return;
    }
    offered.lease = number;
    offered.lease_at_us = now;
    const std::string& envelope = (*row)->envelope;
    world_.links.tell(child.name, {{"t", "lease"}, {"envelope_bytes", envelope.size()}},
                      envelope + trust::encode_chain(*chain));
}

void Delegation::sign_and_note(const ChildRow& child) {
    const auto from_us = sign_lease(child);
    if (from_us.ok()) {
        forced_.erase(child.name);
        const std::int64_t shortest_us =
            std::min(world_.config.lease.days, world_.config.lease.run_days) * day_us;
        renew_at_us_[child.name] = *from_us + shortest_us / 100 * world_.config.lease.renew_percent;
        return;
    }
    renew_at_us_[child.name] = now().now_us + sign_again_us;
    world_.log.error("lease.sign", from_us.error().message, {{"tier", child.name}});
    [[maybe_unused]] const Status kept =
        world_.store.add_error({world_.clock.wall_us(), "lease.sign",
                                from_us.error().message + ". " + from_us.error().hint});
}

void Delegation::flush() {
    std::set<std::string> sign;
    std::set<std::string> names;
    sign.swap(stale_children_);
    names.swap(offers_);
    names.insert(sign.begin(), sign.end());
    if (stale_) {
        auto children = world_.store.children();
        if (!children.ok()) {
            return;
        }
        for (const ChildRow& child : *children) {
            sign.insert(child.name);
            names.insert(child.name);
        }
        stale_ = false;
    }
    for (const std::string& name : names) {
        auto child = world_.store.child(name);
        if (!child.ok() || !*child || (*child)->state != "enrolled") {
            continue;
        }
        if (sign.contains(name)) {
            sign_and_note(**child);
        }
        offer(name);
    }
}

void Delegation::child_connected(const std::string& child) {
    offered_.erase(child);
    stale_children_.insert(child);
}

void Delegation::child_revoked(const std::string& child) {
    lent_users_.erase(child);
    [[maybe_unused]] const Status forgotten = world_.store.set_fact("extended." + child, "");
    offered_.erase(child);
    forced_.erase(child);
    renew_at_us_.erase(child);
}

void Delegation::child_reached(const std::string& child, std::int64_t generation,
                               std::int64_t lease) {
    const Offered& offered = offered_[child];
    if (static_cast<std::uint64_t>(generation) != offered.generation ||
        static_cast<std::uint64_t>(lease) != offered.lease) {
        offers_.insert(child);
    }
}

} // namespace hasp::maint
