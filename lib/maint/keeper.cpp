// The keeper at work: what front, spawner and operators ask, what changes at its neighbours, and
// what it says to them.
#include "maint/keeper.h"

#include "base/clock.h"
#include "base/files.h"
#include "base/text.h"
#include "billing/numbering.h"
#include "keeper_impl.h"
#include "maint/restoration.h"

#include <algorithm>
#include <cstddef>

namespace hasp::maint {

namespace {
constexpr std::int64_t expire_every_us = 60'000'000;
constexpr std::size_t backup_note_bytes_max = 64 * 1024;
} // namespace

Unsent Keeper::Impl::unsent() {
    Unsent out;
    const Files::Unsent waiting = files->unsent();
    out.files = static_cast<std::int64_t>(waiting.files);
    out.bytes = static_cast<std::int64_t>(waiting.bytes);
    if (waiting.since_us > 0) {
        out.since_us = waiting.since_us;
    }
    if (me.has_parent()) {
        const LedgerStatus usage = ledger.status();
        out.events = static_cast<std::int64_t>(usage.events_unsent);
        if (usage.oldest_unsent_us > 0) {
            out.since_us =
                std::min(out.since_us.value_or(usage.oldest_unsent_us), usage.oldest_unsent_us);
        }
    }
    return out;
}

Json Keeper::Impl::status() {
    Json out =
        status_json({clock, time, options.config, options.version, me, store, links, *apps,
                     *delegation, rollouts, parent, pids, traffic, unsent(), options.daemon});
    out["usage"] = ledger_json(ledger.status());
    if (Json said = budgets(); !said.empty()) {
        out["budgets"] = std::move(said);
    }
    out["peers"] = peers.json();
    out["copies"] = to_json(files->copies());
    if (Json room = files->room(); !room.is_null()) {
        out["room"] = std::move(room);
    }
    if (Json owed = roaming->json(); !owed.empty()) {
        out["owed"] = std::move(owed);
    }
    if (Json damaged = files->damage(); !damaged.is_null()) {
        out["damaged_files"] = std::move(damaged);
    }
    if (Json held = files->quarantine(); !held.is_null()) {
        out["quarantine"] = std::move(held);
    }
    if (virus != nullptr) {
        const VirusCheck::State scan = virus->state();
        out["scan"] = {{"scanner", scan.scanner},
                       {"version", scan.version},
                       {"problem", scan.problem},
                       {"since", scan.since_us > 0 ? Json(rfc3339(scan.since_us)) : Json()},
                       {"when_gone", virus->rules().closed ? "closed" : "open"},
                       {"scanned", scan.scanned},
                       {"infected", scan.infected},
                       {"let_by", scan.let_by}};
    }
    if (Json problem = files->problem(); !problem.is_null()) {
        out["files_problem"] = std::move(problem);
    }
    // Written by `hasp backup`, which needs no running tier.
    if (auto note = read_file(options.state + "/backup.json", backup_note_bytes_max); note.ok()) {
        const Json json = parse_object(*note);
        if (int_of(json, "at_us") > 0) {
            out["last_backup"] = {{"at", rfc3339(int_of(json, "at_us"))},
                                  {"folder", text_of(json, "folder")}};
        }
    }
    if (auto restored = restored_fact(store); restored.ok() && restored->at_us != 0) {
        out["restored"] = {{"at", rfc3339(restored->at_us)},
                           {"backup", restored->backup},
                           {"backup_at", rfc3339(restored->backup_us)}};
    }
    if (me.has_parent()) {
        out["link"]["addresses"] = parent_addresses.json();
    }
    if (Json certificate = web_certificates->show(); !certificate.is_null()) {
        out["browser_certificate"] = std::move(certificate);
    }
    if (acme.there()) {
        out["acme"] = acme.show();
    }
    return out;
}

void Keeper::Impl::addresses_moved() {
    reports.changed();
    if (front_there) {
        send_credentials();
    }
}

void Keeper::Impl::peers_changed() {
    if (front_there) {
        send_credentials();
    }
    apps->asked_at_peers(peers.asked());
}

std::int64_t Keeper::Impl::lent_us() {
    if (!me.has_parent()) {
        return 0;
    }
    std::int64_t longest = options.config.lease.run_days;
    for (const GrantLine& line : delegation->held()) {
        if (line.kind == "run") {
            const std::int64_t left = line.expires_us - delegation->now().now_us;
            longest = std::max(longest, (left + day_us - 1) / day_us);
        }
    }
    return longest * day_us;
}

void Keeper::Impl::parent_restored(std::int64_t at_us) {
    ledger.parent_restored(at_us);
    const std::string now = std::to_string(at_us);
    if (auto known = store.fact("parent.restored"); known.ok() && *known != now) {
        const std::string what = "the tier above was restored from a backup at " + rfc3339(at_us) +
                                 ": it is sent again what it lacks, and nothing is deleted here; "
                                 "what was decided there since the backup is not known any more";
        log.warn("parent.restored", what);
        Status kept = store.add_error({clock.wall_us(), "parent.restored", what});
        kept = kept.ok() ? store.set_fact("parent.restored", now) : kept;
        if (!kept.ok()) {
            log.error("errors.keep", kept.error().message);
        }
    }
}

void Keeper::Impl::neighbour_changed(const std::string& neighbour, bool connected) {
    log.info(connected ? "link.up" : "link.down",
             neighbour.empty() ? "the parent" : "the tier '" + neighbour + "'");
    if (neighbour.empty()) {
        if (connected) {
            reports.parent_connected();
            delegation->parent_connected();
            people.parent_connected();
            renewal->parent_connected();
            web_certificates->parent_connected();
            ledger.parent_connected();
        }
    } else if (connected) {
        catalog_told.erase(neighbour);
        children_stale = true;
        parent_addresses.child_connected(neighbour);
        delegation->child_connected(neighbour);
    } else {
        // Its last report may be old: it says nothing while nothing changes.
        const std::int64_t silent_us = clock.boot_us() - links.heard_us(neighbour);
        if (const Status kept = store.heard(neighbour, clock.wall_us() - silent_us); !kept.ok()) {
            log.error("report.keep", kept.error().message, {{"tier", neighbour}});
        }
        delegation->child_gone(neighbour);
    }
    files->neighbour_changed(neighbour, connected);
    reports.changed();
}

void Keeper::Impl::ask_for_reports() {
    auto children = store.children();
    for (const ChildRow& child : children.ok() ? *children : std::vector<ChildRow>{}) {
        links.tell(child.name, {{"t", "report.ask"}});
    }
}

void Keeper::Impl::on_report(const std::string& from, const Message& message) {
    if (from == to_parent) {
        return;
    }
    const std::int64_t generation = int_of(message.head, "generation");
    const std::int64_t lease = int_of(message.head, "lease");
    if (const Status seen =
            store.seen(from, clock.wall_us(), generation, lease, dump(message.head));
        !seen.ok()) {
        log.error("report.keep", seen.error().message, {{"tier", from}});
    }
    people.reported(from, texts_of(message.head, "accounts"));
    delegation->child_reached(from, generation, lease);
    apps->child_said(from, member(message.head, "apps"));
    rollouts.child_said(from, member(message.head, "rollouts"));
    roaming->reported(from, message.head);
    reports.changed();
}

void Keeper::Impl::child_revoked(const std::string& child) {
    send_credentials();
    links.cut(child, "it was revoked");
    people.child_revoked(child);
    apps->forget_child(child);
    rollouts.forget_child(child);
    delegation->child_revoked(child);
    files->child_revoked(child);
    roaming->child_revoked(child);
    reports.changed();
}

void Keeper::Impl::report(std::int64_t now) {
    Json names = Json::array();
    if (auto list = accounts->list(); list.ok()) {
        for (const signon::Account& account : *list) {
            names.push_back(account.fields.name);
        }
    }
    if (auto below = store.directory_names(); below.ok()) {
        for (const std::string& name : *below) {
            names.push_back(name);
        }
    }
    // Those of the tiers below are among ours, once.
    Json said = status();
    said.erase("rollouts");
    for (const char* own : {"owed", "room"}) { // of nobody's interest above, and never the same
        said.erase(own);
    }
    bound_copies(said);
    const Json report{{"t", "report"},
                      {"apps", apps->facts_for_parent()},
                      {"accounts", names},
                      {"generation", delegation->reached().number},
                      {"lease", delegation->held_lease().number},
                      {"rollouts", rollouts.report()},
                      {"status", said}};
    if (reports.tell(now, what_matters(report), traffic.useful_to_parent())) {
        links.tell(to_parent, report);
    }
}

void Keeper::Impl::tell_children() {
    auto children = store.children();
    if (!children.ok()) {
        return;
    }
    for (const ChildRow& child : *children) {
        if (!links.connected(child.name)) {
            continue;
        }
        const Json facts = apps->facts_for_child(child.name);
        std::string text = dump(facts);
        if (catalog_told[child.name] != text) {
            catalog_told[child.name] = std::move(text);
            links.tell(child.name, {{"t", "catalog"}, {"apps", facts}});
        }
    }
}

void Keeper::Impl::send_credentials() {
    Json children = Json::array();
    if (auto rows = store.children(); rows.ok()) {
        for (const ChildRow& child : *rows) {
            if (child.state == "enrolled") {
                children.push_back({{"name", child.name}, {"key", child.tls_key_sha256}});
            }
        }
    }
    ports.send_front(dump({{"t", "credentials"},
                           {"name", me.name.text()},
                           {"cookie", Pages::cookie_name(me.name)},
                           {"realm_id", to_hex(me.realm_id)},
                           {"chain", me.tls_chain_pem()},
                           {"key", me.tls_key.pem()},
                           {"root", me.root_pem()},
                           {"parent", me.has_parent()},
                           {"addresses", parent_addresses.numeric()},
                           {"peers", peers.credentials()},
                           {"children", children}}),
                     {}, {});
}

void Keeper::Impl::answer_front(const char* type, const Json& question, Json answer) {
    answer["t"] = type;
    answer["id"] = int_of(question, "id");
    ports.send_front(dump(answer), {}, {});
}

void Keeper::Impl::on_page(const Json& head, const std::string& body) {
    Pages::Request request{text_of(head, "method"),    text_of(head, "scheme"),
                           text_of(head, "authority"), text_of(head, "host"),
                           text_of(head, "target"),    text_of(head, "client"),
                           text_of(head, "sid"),       text_of(head, "door"),
                           member(head, "headers"),    body};
    pages->serve(request, [this, id = int_of(head, "id")](const Pages::Response& response) {
        Json headers = Json::array();
        for (const auto& [name, value] : response.headers) {
            headers.push_back({name, value});
        }
        ports.send_front(
            dump({{"t", "page"}, {"id", id}, {"status", response.status}, {"headers", headers}}),
            response.body, {});
    });
}

Keeper::Keeper(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Keeper::~Keeper() = default;

const TierIdentity& Keeper::identity() const {
    return impl_->me;
}

void Keeper::front_connected() {
    impl_->front_there = true;
    impl_->apps->front_connected();
    impl_->send_credentials();
    impl_->web_certificates->front_connected();
    impl_->apps->touch();
}

void Keeper::front_gone() {
    impl_->front_there = false;
    impl_->apps->front_gone();
    impl_->links.all_closed("front was started again");
}

void Keeper::spawner_connected() {
    impl_->apps->spawner_connected();
}

void Keeper::on_front(const ipc::Frame& frame) {
    const Json head = parse_object(frame.head);
    const std::string type = text_of(head, "t");
    const auto link = static_cast<LinkId>(int_of(head, "link"));
    if (type == "who" && text_of(head, "kind") == "peer") {
        impl_->answer_front("who", head, impl_->peers.identify(head));
    } else if (type == "assertion") {
        impl_->answer_front("assertion", head, impl_->peers.assertion(head));
    } else if (type == "peer") {
        impl_->peers.said(head);
    } else if (type == "who") {
        impl_->people.identify(head, [this, id = int_of(head, "id")](Json answer) {
            // What it is passed on above its home, the home meters.
            answer["home"] =
                answer.contains("identity") &&
                impl_->accounts->show(text_of(member(answer, "identity"), "user")).ok();
            // He chose to read only while another tier owes him changes.
            if (impl_->roaming->choice(text_of(member(answer, "identity"), "sid")) ==
                Roaming::Choice::read) {
                answer["reads"] = true;
            }
            answer["t"] = "who";
            answer["id"] = id;
            impl_->ports.send_front(dump(answer), {}, {});
        });
    } else if (type == "page") {
        impl_->on_page(head, frame.body);
    } else if (type == "start") {
        impl_->apps->start(
            text_of(head, "app"), text_of(head, "user"),
            [this, id = int_of(head, "id")](const Status& status, const std::string& lines) {
                Json answer{{"t", "start"}, {"id", id}};
                if (!status.ok()) {
                    answer["error"] = error_json(status.error());
                    answer["last_lines"] = lines;
                }
                impl_->ports.send_front(dump(answer), {}, {});
            });
    } else if (type == "link.open") {
        impl_->links.opened(link, text_of(head, "neighbour"));
    } else if (type == "link.data") {
        impl_->links.arrived(link, frame.body);
    } else if (type == "link.close") {
        impl_->links.closed(link, text_of(head, "why"));
    } else if (type == "retired") {
        impl_->apps->on_retired(int_of(head, "ask"));
    } else if (type == "upstream") {
        impl_->apps->upstream_said(head);
    } else if (type == "traffic") {
        impl_->traffic.requests(head);
        impl_->gate.front_said();
    } else if (type == "parent") {
        impl_->parent = {true_of(head, "up"), text_of(head, "address"), int_of(head, "since_us"),
                         text_of(head, "why")};
        if (const std::string at = text_of(head, "reached"); !at.empty()) {
            impl_->parent_addresses.reached(at);
        }
        impl_->reports.changed();
    }
}

void Keeper::on_spawner(const ipc::Frame& frame) {
    impl_->apps->on_spawner(parse_object(frame.head));
}

void Keeper::on_admin(std::uint64_t client, const ipc::Frame& frame) {
    impl_->admin->run(parse_object(frame.head), frame.body, [this, client](Result<Json> result) {
        impl_->ports.answer_admin(client,
                                  dump(result.ok() ? Json{{"result", *result}}
                                                   : Json{{"error", error_json(result.error())}}),
                                  {});
    });
}

std::size_t Keeper::on_usage(const billing::RingPlace& at,
                             std::span<const billing::UsageRecord> records) {
    // Thousands of records name the same few pairs. Each batch begins anew, so that the table stays
    // small.
    constexpr std::size_t pair_bytes =
        sizeof(billing::UsageRecord::app) + sizeof(billing::UsageRecord::user);
    static_assert(offsetof(billing::UsageRecord, user) + sizeof(billing::UsageRecord::user) ==
                  offsetof(billing::UsageRecord, app) + pair_bytes);
    for (std::size_t begin = 0; begin < records.size(); begin += billing::batch_events_max) {
        billing::Numbering<pair_bytes / 8, billing::batch_events_max> pairs;
        for (const billing::UsageRecord& record :
             records.subspan(begin, std::min(billing::batch_events_max, records.size() - begin))) {
            if (pairs.of(record.app.data()).fresh) {
                const std::string app(billing::name_of(record.app));
                const std::string user(billing::name_of(record.user));
                impl_->apps->used(app, user);
                impl_->files->used(app, user);
            }
        }
    }
    return impl_->ledger.record(at, records);
}

void Keeper::set_pids(const std::map<std::string, std::int64_t>& pids) {
    impl_->pids = pids;
}

void Keeper::tick() {
    impl_->links.tick();
    impl_->gate.tick(!impl_->me.has_parent() || impl_->time.now().anchored);
    impl_->apps->tick();
    impl_->delegation->tick();
    impl_->renewal->tick();
    impl_->acme.tick();
    impl_->web_certificates->tick();
    impl_->files->tick();
    impl_->roaming->tick();
    impl_->peers.tick();
    impl_->parent_addresses.tick();
    if (impl_->me.has_parent()) {
        impl_->time.tick();
    }
    impl_->ledger.tick();
    impl_->direct->tick();
    const std::int64_t now = impl_->clock.boot_us();
    if (now - impl_->expired_us >= expire_every_us) {
        impl_->expired_us = now;
        impl_->people.expire();
    }
    impl_->reports.tick(now);
}

void Keeper::finish() {
    impl_->gate.keep();
    impl_->files->finish();
}

void Keeper::noticed() {
    impl_->files->noticed();
}

void Keeper::come_later(std::shared_ptr<sync::OpenGate> gate) {
    impl_->files->come_later(std::move(gate));
}

void Keeper::opened() {
    impl_->files->opened();
}

void Keeper::flush() {
    impl_->delegation->flush();
    impl_->ledger.flush();
    if (impl_->front_there) {
        impl_->apps->flush();
    }
    if (impl_->children_stale) {
        impl_->children_stale = false;
        impl_->tell_children();
    }
    const std::int64_t now = impl_->clock.boot_us();
    if (impl_->links.connected(to_parent) && impl_->reports.look(now)) {
        impl_->report(now);
    }
}

} // namespace hasp::maint
