// Delegation: releases on their way down, and the desired state being reached one step after
// another. Every step is persisted before the next begins; what fails is tried again.
#include "base/files.h"
#include "base/text.h"
#include "delegation.h"

#include <algorithm>

namespace hasp::maint {

namespace {
constexpr std::int64_t retry_release_us = 10'000'000;
constexpr std::int64_t sign_all_every_us = 3600LL * 1'000'000;
} // namespace

std::optional<AssignmentRow> Delegation::assigned(const std::string& child, const std::string& app,
                                                  const std::string& release_id) {
    auto rows = world_.store.assignments(child);
    for (const AssignmentRow& row : rows.ok() ? *rows : std::vector<AssignmentRow>{}) {
        if (row.wanted && row.app == app && row.release_id == release_id) {
            return row;
        }
    }
    return std::nullopt;
}

void Delegation::serve_children() {
    world_.links.on("lease.section", [this](const std::string& from, const Message& m,
                                            const Links::Answer& answer) {
        const std::string sha256 = text_of(m.head, "sha256");
        auto row = world_.store.lease(from);
        const bool theirs = from != to_parent && row.ok() && *row &&
                            std::any_of((*row)->sections.begin(), (*row)->sections.end(),
                                        [&](const auto& s) { return s.second == sha256; });
        auto body = theirs ? world_.store.section(sha256)
                           : Result<std::optional<std::string>>(std::nullopt);
        if (!body.ok() || !*body) {
            answer(fail(Code::not_found, "no such section in your lease"));
            return;
        }
        answer(Message{Json::object(), **body});
    });
    world_.links.on("release.get", [this](const std::string& from, const Message& m,
                                          const Links::Answer& a) { on_release_get(from, m, a); });
    world_.links.on("pack.get", [this](const std::string& from, const Message& m,
                                       const Links::Answer& a) { on_pack_get(from, m, a); });
}

void Delegation::on_release_get(const std::string& child, const Message& message,
                                const Links::Answer& answer) {
    const std::string app = text_of(message.head, "app");
    const std::string id = text_of(message.head, "release");
    const std::optional<AssignmentRow> row = assigned(child, app, id);
    if (!row) {
        answer(fail(Code::not_found, "that release is not assigned to you"));
        return;
    }
    auto proof = world_.publishing.signed_release(*row);
    auto statement = world_.publishing.statement(app);
    auto release = proof.ok() ? decode_release(proof->manifest) : Result<Release>(proof.error());
    if (!release.ok() || !statement.ok()) {
        answer(release.ok() ? statement.error() : release.error());
        return;
    }
    ReleaseAnswer said{proof->manifest, proof->signature, *statement, "", "", 0, ""};
    if (true_of(message.head, "held")) {
        answer_release(message, std::move(said), answer);
        return;
    }
    packs_.build(*release, commits_of(app, message),
                 [this, answer, said, message, app, id](Result<PackShelf::Pack> pack) mutable {
                     if (!pack.ok()) {
                         answer(pack.error());
                         return;
                     }
                     said.pack_name = pack->key;
                     said.pack_bytes = pack->info.size;
                     said.pack_sha256 = pack->info.sha256;
                     if (pack->info.size <= pack_inline_bytes_max &&
                         !true_of(message.head, "named")) {
                         // What fails here is asked for piece by piece.
                         said.pack = packs_.read(pack->key, app, id, 0).value_or("");
                     }
                     answer_release(message, std::move(said), answer);
                 });
}

namespace {
// Each costs a look at the disk: a child that names more is not listened to any longer.
std::vector<std::string> bases_in(const Message& question) {
    std::vector<std::string> out = texts_of(question.head, "bases");
    out.resize(std::min(out.size(), release_bases_max));
    return out;
}
} // namespace

// What a child has of an app: the commits of its bases, or those that it names.
std::vector<std::string> Delegation::commits_of(const std::string& app,
                                                const Message& question) const {
    std::vector<std::string> out = texts_of(question.head, "have");
    for (const std::string& id : bases_in(question)) {
        if (!valid_release_id(id) || !world_.releases.holds(app, id)) {
            continue;
        }
        if (const auto release = world_.releases.manifest(app, id); release.ok()) {
            out.push_back(release->commit);
        }
    }
    return out;
}

std::string Delegation::base_text_of(const std::string& app, const std::string& id) const {
    if (!valid_release_id(id) || !world_.releases.holds(app, id)) {
        return "";
    }
    const auto release = world_.releases.manifest(app, id);
    return release.ok() ? base_text(encode_release(*release)) : "";
}

void Delegation::answer_release(const Message& question, ReleaseAnswer said,
                                const Links::Answer& answer) {
    if (!question.head.contains("bases")) {
        answer(encode_plain_release_answer(said));
        return;
    }
    std::string base_id;
    std::string base;
    for (const std::string& id : bases_in(question)) {
        if (base = base_text_of(text_of(question.head, "app"), id); !base.empty()) {
            base_id = id;
            break;
        }
    }
    auto made = std::make_shared<Result<Message>>(Message{});
    world_.ports.background([made, said = std::move(said), base_id,
                             base] { *made = encode_release_answer(said, base_id, base); },
                            [made, answer] { answer(std::move(*made)); });
}

void Delegation::on_pack_get(const std::string& child, const Message& message,
                             const Links::Answer& answer) {
    const std::string app = text_of(message.head, "app");
    const std::string id = text_of(message.head, "release");
    if (!assigned(child, app, id)) {
        answer(fail(Code::not_found, "that release is not assigned to you"));
        return;
    }
    auto chunk =
        packs_.read(text_of(message.head, "pack"), app, id, int_of(message.head, "offset"),
                    int_of(message.head, "bytes", static_cast<std::int64_t>(pack_chunk_bytes)));
    answer(chunk.ok() ? Result<Message>(Message{Json::object(), *std::move(chunk)})
                      : Result<Message>(chunk.error()));
}

// Goes through the desired state until a release has to be waited for. What fails is left out until
// the next round: it must not hold up the others.
void Delegation::work() {
    if (working_ || desired_counter_ == trust::Counter{}) {
        return;
    }
    for (const AssignmentRow& row : desired_) {
        if (failed_.contains(row.app + "/" + row.release_id) || is_held(row)) {
            continue;
        }
        if (row.wanted &&
            (!world_.releases.holds(row.app, row.release_id) || !world_.publishing.proven(row))) {
            if (!world_.links.connected(to_parent)) {
                if (!world_.releases.holds(row.app, row.release_id)) {
                    said(row, RolloutState::waiting, "the parent cannot be reached");
                }
                return; // parent_connected() goes on
            }
            working_ = true;
            fetch_release(AssignmentRow(row));
            return;
        }
        if (const Status reached = reach(row); !reached.ok()) {
            said(row, RolloutState::waiting, reached.error().message);
            failed_[row.app + "/" + row.release_id] =
                "cannot install '" + row.app + "': " + reached.error().message;
        }
    }
    round_done();
}

Status Delegation::reach(const AssignmentRow& row) {
    if (row.target != world_.me.name.text()) {
        const auto target = trust::TierName::parse(row.target);
        AssignmentRow below = row;
        below.child = target->at_depth(world_.me.name.depth() + 1).leaf();
        touch();
        return world_.store.assign(below);
    }
    if (row.wanted) {
        return put_in_place(row);
    }
    auto held = world_.store.app(row.app);
    if (!held.ok()) {
        return held.error();
    }
    if (!*held) {
        return world_.rollouts.drop(row.app); // it was still on its way
    }
    return (*held)->origin == row.origin ? world_.apps.remove(row.app) : Status{};
}

void Delegation::round_done() {
    if (!failed_.empty()) {
        for (const auto& [what, why] : failed_) {
            world_.log.warn("desired.delayed", why, {{"release", what}});
            [[maybe_unused]] const Status kept =
                world_.store.add_error({world_.clock.wall_us(), "desired.delayed", why});
        }
        failed_.clear();
        retry_at_us_ = world_.clock.boot_us() + retry_release_us;
        return;
    }
    if (std::any_of(desired_.begin(), desired_.end(),
                    [this](const AssignmentRow& row) { return is_held(row); })) {
        return; // tick() sees when they may go on
    }
    if (reached_ != desired_counter_) {
        reached_ = desired_counter_;
        const Json json{{"epoch", reached_.epoch}, {"number", reached_.number}};
        if (const Status kept = world_.store.set_fact("reached", dump(json)); !kept.ok()) {
            world_.log.error("desired.keep", kept.error().message);
        }
        // Downloads that a later order made superfluous.
        [[maybe_unused]] const Status emptied = remove_tree(world_.state + "/spool");
        std::set<std::string> apps;
        for (const AssignmentRow& row : desired_) {
            apps.insert(row.app);
        }
        for (const std::string& app : apps) {
            tidy(app);
        }
        world_.log.info("desired.reached", "everything that the parent assigned is in place",
                        {{"generation", std::to_string(reached_.number)}});
    }
    // Also when nothing changed: the parent may have lost what we said.
    if (on_reached_) {
        on_reached_();
    }
}

Status Delegation::put_in_place(const AssignmentRow& row) {
    auto held = world_.store.app(row.app);
    if (held.ok() && *held && (*held)->origin == world_.me.name.text()) {
        return fail(Code::conflict, "an app of that name was added here");
    }
    auto manifest = read_file(world_.releases.tree_path(row.app, row.release_id) + "/" +
                                  run::manifest_file_name,
                              run::manifest_bytes_max);
    if (!manifest.ok()) {
        return manifest.error();
    }
    return world_.apps.install(
        {row.app, row.release_id, row.origin, *manifest, row.data_home, world_.clock.wall_us()});
}

void Delegation::failed_with(const AssignmentRow& wanted, const std::string& problem) {
    working_ = false;
    failed_[wanted.app + "/" + wanted.release_id] = problem;
    said(wanted, RolloutState::waiting, problem);
    work();
}

void Delegation::said(const AssignmentRow& wanted, RolloutState state, const std::string& why) {
    const Rollout* own = world_.rollouts.own(wanted.app);
    // What was rolled back is not tried again, so nothing is on its way.
    if (wanted.target != world_.me.name.text() ||
        (own != nullptr && own->release_id == wanted.release_id &&
         own->state == RolloutState::rolled_back)) {
        return;
    }
    const AppRow* held = world_.apps.row(wanted.app);
    const Status set = world_.rollouts.set({"", wanted.app, wanted.release_id, state,
                                            held == nullptr ? "" : held->release_id, why, "",
                                            world_.clock.wall_us()});
    if (!set.ok()) {
        world_.log.error("rollout.keep", set.error().message, {{"app", wanted.app}});
    }
}

void Delegation::tick() {
    packs_.tick();
    if (!held_.empty() && !world_.gate.over(Purpose::packs)) {
        held_.clear();
        work();
    }
    const std::int64_t boot_us = world_.clock.boot_us();
    if (retry_at_us_ != 0 && boot_us >= retry_at_us_) {
        retry_at_us_ = 0;
        work();
    }
    const std::int64_t now_us = now().now_us;
    for (auto at = renew_at_us_.begin(); at != renew_at_us_.end();) {
        if (now_us >= at->second) {
            stale_children_.insert(at->first);
            at = renew_at_us_.erase(at);
        } else {
            ++at;
        }
    }
    // A clock that was set back moves those times out of reach.
    if (boot_us - signed_all_us_ >= sign_all_every_us) {
        signed_all_us_ = boot_us;
        touch();
    }
}

} // namespace hasp::maint
