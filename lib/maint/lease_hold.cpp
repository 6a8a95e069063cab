// Delegation as a child: taking leases and desired states from the parent, and reaching what they
// say.
#include "base/text.h"
#include "delegation.h"
#include "trust/envelope.h"

#include <algorithm>
#include <utility>

namespace hasp::maint {

namespace {

constexpr std::size_t sections_text_max = trust::section_bytes_max;

} // namespace

// The lease that is being put together.
struct Delegation::Fetch {
    trust::Lease lease;
    trust::LeaseChain chain;
    std::vector<trust::SectionInfo> missing;
};

Delegation::Delegation(World world)
    : world_(std::move(world)),
      packs_(world_.ports, world_.clock, world_.releases, world_.state + "/packs") {
    serve_children();
    serve_parent();
}

Status Delegation::load() {
    auto reached = world_.store.fact("reached");
    auto desired = world_.store.fact("desired");
    auto row = world_.store.lease("");
    auto chain = world_.store.fact("lease.chain");
    for (const Status& status : {reached.ok() ? Status{} : Status{reached.error()},
                                 desired.ok() ? Status{} : Status{desired.error()},
                                 row.ok() ? Status{} : Status{row.error()},
                                 chain.ok() ? Status{} : Status{chain.error()}}) {
        if (!status.ok()) {
            return status;
        }
    }
    const Json json = parse_object(*reached);
    reached_ = {static_cast<std::uint64_t>(int_of(json, "epoch")),
                static_cast<std::uint64_t>(int_of(json, "number"))};
    if (*row) {
        trust::Lease lease{(*row)->envelope, {}};
        for (const auto& [name, hash] : (*row)->sections) {
            auto body = world_.store.section(hash);
            if (!body.ok()) {
                return body.error(); // a disk that fails is no lease that is missing
            }
            if (*body) {
                lease.sections.push_back({name, **body});
            }
        }
        auto decoded = trust::decode_chain(from_base64url(*chain).value_or(""));
        if (decoded.ok()) {
            // As it was when it was taken: one that has ended lends nothing more (each grant has
            // its end), but it says what its end means for each app, and its number still fences
            // off every lower one.
            auto verified = trust::verify_lease(lease, *decoded,
                                                {world_.me.realm_id, world_.me.name, std::nullopt},
                                                std::min(now().now_us, (*row)->granted_us));
            if (verified.ok()) {
                lease_ = *std::move(verified);
                chain_ = *std::move(decoded);
                lease_bytes_ = std::move(lease);
            } else {
                world_.log.warn("lease.load", verified.error().message);
            }
        }
    }
    if (!desired->empty()) {
        take_desired(from_base64url(*desired).value_or(""), true);
    }
    return {};
}

std::optional<Apps::Authority> Delegation::authority(const AppRow& app) {
    if (app.origin == world_.me.name.text()) {
        return Apps::Authority{};
    }
    if (!lease_) {
        return std::nullopt;
    }
    // Which release is to run, the desired state says; the lease, until when. So the one that is
    // held goes on by the grant for its successor, which may be far from here yet.
    const trust::RunGrant* run = run_grant(lease_->grants, app.name, app.release_id, app.origin);
    return run == nullptr ? std::nullopt
                          : std::optional(Apps::Authority{run->expires_us, run->at_expiry});
}

std::vector<GrantLine> Delegation::held() const {
    return lease_ ? grant_lines(lease_->grants) : std::vector<GrantLine>{};
}

std::optional<LentLogin> Delegation::lent_login(const std::string& user) const {
    if (!lease_) {
        return std::nullopt;
    }
    const std::int64_t now_us = now().now_us;
    const trust::Grants& g = lease_->grants;
    const auto of_user = [&](const auto& grant) { return grant.user == user; };
    const auto login = std::find_if(g.login.begin(), g.login.end(), of_user);
    const auto verifier = std::find_if(g.verifier.begin(), g.verifier.end(), of_user);
    if (login == g.login.end() || verifier == g.verifier.end() || login->expires_us <= now_us) {
        return std::nullopt;
    }
    LentLogin out;
    out.verifier = *verifier;
    out.who.user = user;
    out.who.name = login->display_name;
    out.who.email = login->email;
    out.who.groups = login->groups;
    for (const trust::UseGrant& use : g.use) {
        if (use.user == user && use.expires_us > now_us &&
            std::binary_search(login->apps.begin(), login->apps.end(), use.app)) {
            out.who.apps.push_back(use.app);
        }
    }
    out.who.until_us = login->expires_us;
    signon::normalise(out.who);
    return out;
}

void Delegation::serve_parent() {
    world_.links.on("lease",
                    [this](const std::string& from, const Message& m, const Links::Answer&) {
                        if (from == to_parent) {
                            take_lease(m);
                        }
                    });
    world_.links.on("desired",
                    [this](const std::string& from, const Message& m, const Links::Answer&) {
                        if (from == to_parent) {
                            take_desired(m.body, false);
                        }
                    });
}

void Delegation::parent_connected() {
    // What was under way over the old link has ended by now: Links answers every question.
    failed_.clear();
    retry_at_us_ = 0;
    work();
}

void Delegation::take_lease(const Message& message) {
    const std::size_t envelope_bytes = count_of(message.head, "envelope_bytes");
    if (fetching_lease_) {
        next_lease_ = message;
        return;
    }
    if (envelope_bytes > message.body.size()) {
        return;
    }
    // Offered once more because our report crossed the offer on its way.
    if (lease_bytes_ && message.body.compare(0, envelope_bytes, lease_bytes_->envelope) == 0) {
        if (on_reached_) {
            on_reached_();
        }
        return;
    }
    auto chain = trust::decode_chain(std::string_view(message.body).substr(envelope_bytes));
    if (!chain.ok()) {
        world_.log.warn("lease.refused", chain.error().message);
        return;
    }
    auto fetch = std::make_shared<Fetch>();
    fetch->lease.envelope = message.body.substr(0, envelope_bytes);
    fetch->chain = *std::move(chain);
    std::optional<trust::Counter> current;
    if (lease_) {
        current = lease_->header.counter;
    }
    auto manifest =
        trust::verify_lease_envelope(fetch->lease.envelope, fetch->chain,
                                     {world_.me.realm_id, world_.me.name, current}, now().now_us);
    if (!manifest.ok()) {
        world_.log.warn("lease.refused", manifest.error().message);
        return;
    }
    for (const trust::SectionInfo& info : manifest->sections) {
        auto body = world_.store.section(to_hex(info.sha256));
        if (body.ok() && *body) {
            fetch->lease.sections.push_back({info.name, **body});
        } else {
            fetch->missing.push_back(info);
        }
    }
    fetching_lease_ = true;
    fetch_sections(fetch);
}

void Delegation::fetch_sections(const std::shared_ptr<Fetch>& fetch) {
    if (fetch->missing.empty()) {
        finish_lease(fetch);
        lease_fetch_ended();
        return;
    }
    const trust::SectionInfo info = fetch->missing.back();
    world_.links.ask(to_parent, {{"t", "lease.section"}, {"sha256", to_hex(info.sha256)}}, {},
                     [this, fetch, info](Result<Message> answer) {
                         if (!answer.ok() || answer->body.size() > sections_text_max) {
                             lease_fetch_ended();
                             return;
                         }
                         fetch->missing.pop_back();
                         fetch->lease.sections.push_back({info.name, std::move(answer->body)});
                         fetch_sections(fetch);
                     });
}

void Delegation::lease_fetch_ended() {
    fetching_lease_ = false;
    if (next_lease_) {
        const Message next = *std::exchange(next_lease_, std::nullopt);
        take_lease(next);
    }
}

void Delegation::finish_lease(const std::shared_ptr<Fetch>& fetch) {
    // In the manifest's order, as verify_lease and the store expect them.
    std::sort(fetch->lease.sections.begin(), fetch->lease.sections.end(),
              [](const trust::Section& a, const trust::Section& b) { return a.name < b.name; });
    std::optional<trust::Counter> current;
    if (lease_) {
        current = lease_->header.counter;
    }
    auto verified = trust::verify_lease(
        fetch->lease, fetch->chain, {world_.me.realm_id, world_.me.name, current}, now().now_us);
    if (!verified.ok()) {
        world_.log.warn("lease.refused", verified.error().message);
        [[maybe_unused]] const Status kept = world_.store.add_error(
            {world_.clock.wall_us(), "lease.refused", verified.error().message});
        return;
    }
    LeaseRow row{"",
                 static_cast<std::int64_t>(verified->header.counter.number),
                 fetch->lease.envelope,
                 {},
                 verified->header.issued_at_us,
                 verified->header.not_after_us};
    std::map<std::string, std::string> bodies;
    for (const trust::SectionInfo& info : verified->manifest.sections) {
        row.sections[info.name] = to_hex(info.sha256);
    }
    for (const trust::Section& section : fetch->lease.sections) {
        bodies[row.sections[section.name]] = section.text;
    }
    const Status kept = world_.store.transact([&]() -> Status {
        if (Status put = world_.store.put_lease(row, bodies); !put.ok()) {
            return put;
        }
        return world_.store.set_fact("lease.chain",
                                     to_base64url(trust::encode_chain(fetch->chain)));
    });
    if (!kept.ok()) {
        world_.log.error("lease.keep", kept.error().message);
        return;
    }
    lease_ = *std::move(verified);
    chain_ = std::move(fetch->chain);
    lease_bytes_ = std::move(fetch->lease);
    world_.log.info("lease.taken", "a lease is in force",
                    {{"number", std::to_string(row.number)}, {"until", rfc3339(row.expires_us)}});
    world_.apps.touch();
    touch(); // what our children may have follows from what we have
    if (on_lease_) {
        on_lease_();
    }
    if (on_reached_) {
        on_reached_();
    }
}

void Delegation::take_desired(const std::string& envelope, bool from_disk) {
    if (!world_.me.has_parent()) {
        return;
    }
    const std::vector<std::string> above(world_.me.ca_chain_der.begin() + 1,
                                         world_.me.ca_chain_der.end());
    auto keys = trust::verify_ca_chain(above, world_.me.realm_id, now().now_us);
    if (!keys.ok() || keys->empty()) {
        world_.log.error("desired.refused",
                         keys.ok() ? "no key of the parent" : keys.error().message);
        return;
    }
    const trust::Expectation expectation{"desired-state", world_.me.realm_id,
                                         world_.me.name.parent(), world_.me.name};
    auto opened = trust::open(envelope, keys->front().key, expectation, now().now_us);
    if (!opened.ok()) {
        world_.log.warn("desired.refused", opened.error().message);
        return;
    }
    const trust::Counter counter = opened->header.counter;
    if (desired_counter_ != trust::Counter{}) {
        const auto acceptance = trust::accept_newer(desired_counter_, counter);
        if (acceptance == trust::Acceptance::epoch_mismatch) {
            world_.log.error("desired.refused", "the parent's desired state is of another epoch: "
                                                "nothing is changed until an operator looks at it");
            return;
        }
        if (acceptance == trust::Acceptance::older) {
            return;
        }
    }
    if (!from_disk) {
        if (const Status kept = world_.store.set_fact("desired", to_base64url(envelope));
            !kept.ok()) {
            world_.log.error("desired.keep", kept.error().message);
            return;
        }
    }
    desired_counter_ = counter;
    desired_.clear();
    for (const Json& app : member(parse_object(opened->body), "apps")) {
        AssignmentRow row{"",
                          text_of(app, "target"),
                          text_of(app, "app"),
                          text_of(app, "release"),
                          text_of(app, "origin"),
                          text_of(app, "data_home"),
                          true_of(app, "wanted"),
                          0};
        // A parent of an earlier version does not say it.
        if (const Json& sequence = member(app, "sequence");
            sequence.is_array() && sequence.size() == 2 && sequence[0].is_number_unsigned() &&
            sequence[1].is_number_unsigned()) {
            row.sequence = {sequence[0].get<std::uint64_t>(), sequence[1].get<std::uint64_t>()};
        }
        const auto target = trust::TierName::parse(row.target);
        if (target.ok() && target->is_in_subtree(world_.me.name) && valid_name(row.app) &&
            (valid_release_id(row.release_id) || !row.wanted)) {
            desired_.push_back(std::move(row));
        }
    }
    failed_.clear();
    if (!from_disk) {
        work(); // a step that is under way goes on with the new list when it is done
    }
}

} // namespace hasp::maint
