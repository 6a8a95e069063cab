#include "maint/keeper.h"

#include "acme.h"
#include "admin.h"
#include "apps.h"
#include "base/clock.h"
#include "base/files.h"
#include "base/text.h"
#include "billing/numbering.h"
#include "delegation.h"
#include "direct_return.h"
#include "enrolment.h"
#include "explain.h"
#include "files.h"
#include "ledger.h"
#include "link_gate.h"
#include "links.h"
#include "pages.h"
#include "parent_addresses.h"
#include "peers.h"
#include "people.h"
#include "renewal.h"
#include "signon/schema.h"
#include "status.h"
#include "store/db.h"
#include "web_authority.h"
#include "web_certificates.h"

#include <algorithm>
#include <cstddef>

namespace hasp::maint {

namespace {
// How often a tier looks whether it has something to report.
constexpr std::int64_t report_look_us = 10'000'000;
// A report in which nothing changed but clocks and counters of bytes: with bytes that were of use
// to somebody, and without, when an idle site is to cost its link next to nothing.
constexpr std::int64_t report_busy_us = 60'000'000;
constexpr std::int64_t report_idle_us = 1800'000'000;
// After the parent has asked for it everything is reported for so long: tiers below answer later.
constexpr std::int64_t asked_for_us = 10'000'000;
// Every report of a child makes one of ours: a center of a thousand locals must not make a hundred
// a second of them.
constexpr std::int64_t report_step_us = 1'000'000;
constexpr std::int64_t expire_every_us = 60'000'000;

signon::SessionTimes session_times(const Config& config) {
    return {config.session.hours * hour_us, config.session.absolute_days * 24 * hour_us};
}

} // namespace

struct Keeper::Impl {
    KeeperOptions options;
    KeeperPorts& ports;
    const Clock& clock;
    Random& random;
    const Log& log;
    TierIdentity me;
    std::unique_ptr<store::Db> db;
    std::unique_ptr<store::Db> ledger_db;
    std::unique_ptr<billing::LedgerStore> ledger_store;
    TierStore store;
    TrustedClock time;
    std::shared_ptr<sync::WorkingCopies> copies;
    ReleaseStore releases;
    Publishing publishing;
    std::unique_ptr<signon::AccountStore> accounts;
    std::unique_ptr<signon::SessionStore> sessions;
    std::unique_ptr<signon::TokenStore> tokens;
    ParentLink parent;
    std::map<std::string, std::int64_t> pids;
    Traffic traffic;
    Rollouts rollouts;
    Links links;
    LinkGate gate;
    People people;
    std::unique_ptr<Apps> apps;
    std::unique_ptr<Delegation> delegation;
    std::unique_ptr<Files> files;
    Peers peers;
    ParentAddresses parent_addresses;
    Enrolment enrolment;
    std::unique_ptr<Renewal> renewal;
    WebAuthority web_authority;
    Acme acme;
    std::unique_ptr<WebCertificates> web_certificates;
    Ledger ledger;
    std::unique_ptr<DirectReturn> direct;
    std::unique_ptr<Pages> pages;
    std::unique_ptr<Explain> explain;
    std::unique_ptr<Admin> admin;
    bool front_there = false;
    bool report_stale = true;
    bool children_stale = true;
    std::int64_t looked_us = 0; // for something to report
    std::int64_t asked_until_us = 0;
    std::int64_t reported_us = 0; // 0: not since the parent connected
    std::string reported;         // what_matters() of it
    std::uint64_t reported_bytes = 0;
    std::int64_t expired_us = 0;
    std::map<std::string, std::string> catalog_told; // by child: what it was last told

    Impl(KeeperOptions o, KeeperPorts& p, const Clock& c, Random& r, const Log& l,
         TierIdentity identity, std::unique_ptr<store::Db> database,
         std::unique_ptr<store::Db> ledger_database, std::unique_ptr<billing::LedgerStore> usage,
         TierStore tier_store, const std::string& secret)
        : options(std::move(o)), ports(p), clock(c), random(r), log(l), me(std::move(identity)),
          db(std::move(database)), ledger_db(std::move(ledger_database)),
          ledger_store(std::move(usage)), store(std::move(tier_store)),
          time(clock, store, log, me.has_parent() ? options.config.lease.run_days * day_us : 0),
          copies(options.files.copies), releases(options.state + "/releases"),
          publishing(time, me, store),
          accounts(signon::make_sqlite_account_store(*db, clock, me.name.realm())),
          sessions(signon::make_sqlite_session_store(*db, time, random, me.name.realm(),
                                                     session_times(options.config))),
          tokens(signon::make_sqlite_token_store(*db, *accounts, time, random, me.name.realm())),
          traffic(clock.wall_us()), rollouts(store, me.name.text()),
          links(ports, time, log, me.name, options.version, options.config.link.heartbeat_s,
                options.whole_levels),
          gate({ports, time, log, options.config, store, traffic, me.has_parent()}),
          people({store, *accounts, *sessions, *tokens},
                 {ports, links, time, random, log, options.config}, secret, me.has_parent()),
          peers({ports, clock, time, log, me, store, options.config,
                 [this](const std::string& host, std::uint16_t port) {
                     return apps->resolve(host, port);
                 },
                 [this] { peers_changed(); }, [this] { addresses_moved(); }}),
          parent_addresses({log, me, store, links, options.config,
                            [this](const std::string& host, std::uint16_t port) {
                                return apps->resolve(host, port);
                            },
                            [this] { addresses_moved(); }}),
          enrolment({clock, random, log, me, store, [this] { send_credentials(); }}),
          web_authority({time, random, log, options.config, me, options.state + "/keys"}),
          acme({ports, time, random, log, options.config, me, options.state + "/keys",
                [this] { report_stale = true; }}),
          ledger({links, clock, log, me, store, *ledger_store}) {
        apps = std::make_unique<Apps>(
            Apps::World{ports, clock, time, log, options.config, store, *copies, releases, rollouts,
                        me.name, options.state},
            [this](const AppRow& app) { return delegation->authority(app); },
            [this] {
                report_stale = true;
                children_stale = true;
            });
        delegation = std::make_unique<Delegation>(Delegation::World{
            ports, links, gate, clock, time, random, log, options.config, me, store, *accounts,
            *apps, releases, publishing, rollouts, options.state});
        renewal = std::make_unique<Renewal>(Renewal::World{
            links, clock, random, log, me, enrolment, options.state + "/keys",
            [this] { return delegation->now().now_us; }, [this] { send_credentials(); }});
        web_certificates = std::make_unique<WebCertificates>(WebCertificates::World{
            ports, links, clock, random, log, options.config, me, web_authority, acme,
            options.state + "/keys", [this] { return delegation->now().now_us; },
            [this] { return lent_us(); }, [this] { report_stale = true; }});
        files = std::make_unique<Files>(
            Files::World{ports, links, gate, clock, random, log, options.config, me, store, *db,
                         *accounts, *sessions, *apps, *delegation, *copies, options.files.disk,
                         options.state, options.daemon, options.watch});
        apps->before_start(
            [this](const std::string& app, const std::string& user, std::function<void()> go) {
                files->before_start(app, user, std::move(go));
            });
        people.on_arrival(
            [this](const signon::Identity& who) { files->arrived(who.user, who.apps); });
        delegation->on_keeps(
            [this](const std::string& child, const std::vector<trust::KeepGrant>& keeps) {
                return files->signed_keeps(child, keeps);
            });
        direct = std::make_unique<DirectReturn>(
            DirectReturn::World{links, time, random, log, options.config, people, *apps, *sessions},
            secret);
        people.on_direct(
            [this](const std::string& cookie, const std::string& host, const People::Found& found) {
                direct->identify(cookie, host, found);
            });
        pages = std::make_unique<Pages>(
            Pages::World{clock, log, options.config, me, links, people, *apps, peers, enrolment,
                         *sessions, *tokens, *direct, random, parent,
                         [this](const auto&... push) { admin->run_push(push...); }});
        explain = std::make_unique<Explain>(Explain::World{
            clock, time, me, store, *accounts, *sessions, links, *apps, *delegation, peers, parent,
            [this] { return to_json(unsent()); }, [this] { return budgets(); },
            [this] { return web_certificates->show(); }});
        admin = std::make_unique<Admin>(
            Admin::World{ports,
                         clock,
                         random,
                         options.config,
                         me,
                         store,
                         *accounts,
                         *sessions,
                         *tokens,
                         people,
                         *apps,
                         *delegation,
                         *explain,
                         enrolment,
                         web_authority,
                         *web_certificates,
                         releases,
                         publishing,
                         rollouts,
                         *files,
                         peers,
                         options.state + "/ledger.db",
                         options.state + "/pushes",
                         [this] { return status(); },
                         [this](const std::string& child) { child_revoked(child); },
                         [this] { ask_for_reports(); }});
        links.on_bytes(
            [this](const std::string& neighbour, const std::string& type, std::size_t in,
                   std::size_t out) { traffic.frame(neighbour == to_parent, type, in, out); });
        delegation->on_reached([this] {
            report_stale = true;
            reported.clear(); // said again, even if nothing is new: the parent may have lost it
        });
        links.on_parent_time([this](std::int64_t wall_us) { time.heard_parent_time(wall_us); });
        // A tier that has not heard what time it is, in this boot, tells nobody: its clock may be
        // wrong, and a signed time is believed for good.
        links.on_own_time([this]() -> std::int64_t {
            const trust::TrustedTime now = time.now();
            return me.has_parent() && !now.anchored ? 0 : now.now_us;
        });
        people.on_lent([this](const std::string& user) { return delegation->lent_login(user); },
                       [this](const std::string& child) -> const std::set<std::string>& {
                           return delegation->lent_users(child);
                       });
        delegation->on_lease([this] { people.lease_changed(); });
        ledger.on_change([this] { report_stale = true; });
        rollouts.on_change([this] { report_stale = true; });
        apps->on_started([this](const std::string& app, const std::string& user) {
            return ledger.app_started(app, user);
        });
        links.on_change([this](const std::string& neighbour, bool connected) {
            neighbour_changed(neighbour, connected);
        });
        links.on("report", [this](const std::string& from, const Message& m, const Links::Answer&) {
            on_report(from, m);
        });
        links.on("report.ask",
                 [this](const std::string& from, const Message&, const Links::Answer&) {
                     if (from == to_parent) {
                         asked_until_us = clock.boot_us() + asked_for_us;
                         report_stale = true;
                         ask_for_reports();
                     }
                 });
        links.on("catalog",
                 [this](const std::string& from, const Message& m, const Links::Answer&) {
                     if (from == to_parent) {
                         apps->parent_said(member(m.head, "apps"));
                     }
                 });
    }

    // What waits to be sent upward: each module that keeps such things says its part here.
    Unsent unsent() {
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

    Json budgets() const { return gate.json(delegation->held_bytes(), files->unsent().bytes); }

    Json status() {
        Json out =
            status_json({clock, time, options.config, options.version, me, store, links, *apps,
                         *delegation, rollouts, parent, pids, traffic, unsent(), options.daemon});
        out["usage"] = ledger_json(ledger.status());
        if (Json said = budgets(); !said.empty()) {
            out["budgets"] = std::move(said);
        }
        out["peers"] = peers.json();
        if (Json damaged = files->damage(); !damaged.is_null()) {
            out["damaged_files"] = std::move(damaged);
        }
        if (Json problem = files->problem(); !problem.is_null()) {
            out["files_problem"] = std::move(problem);
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

    void addresses_moved() {
        report_stale = true;
        if (front_there) {
            send_credentials();
        }
    }

    // Of a command too, which has no front.
    void peers_changed() {
        if (front_there) {
            send_credentials();
        }
        apps->asked_at_peers(peers.asked());
    }

    // For how long this tier may go on alone: the time that it gives leases itself, or more where
    // an app was lent for longer. In whole days: it is reported.
    std::int64_t lent_us() {
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

    void neighbour_changed(const std::string& neighbour, bool connected) {
        log.info(connected ? "link.up" : "link.down",
                 neighbour.empty() ? "the parent" : "the tier '" + neighbour + "'");
        if (neighbour.empty()) {
            if (connected) {
                report_stale = true;
                reported_us = 0;
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
            if (const Status kept = store.heard(neighbour, clock.wall_us() - silent_us);
                !kept.ok()) {
                log.error("report.keep", kept.error().message, {{"tier", neighbour}});
            }
            delegation->child_gone(neighbour);
        }
        files->neighbour_changed(neighbour, connected);
        report_stale = true;
    }

    // Whoever has nothing new to say reports seldom. Now it must be known how things stand.
    void ask_for_reports() {
        auto children = store.children();
        for (const ChildRow& child : children.ok() ? *children : std::vector<ChildRow>{}) {
            links.tell(child.name, {{"t", "report.ask"}});
        }
    }

    void on_report(const std::string& from, const Message& message) {
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
        report_stale = true;
    }

    void child_revoked(const std::string& child) {
        send_credentials();
        links.cut(child, "it was revoked");
        people.child_revoked(child);
        apps->forget_child(child);
        rollouts.forget_child(child);
        delegation->child_revoked(child);
        files->child_revoked(child);
        report_stale = true;
    }

    void report(std::int64_t now) {
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
        const Json report{{"t", "report"},
                          {"apps", apps->facts_for_parent()},
                          {"accounts", names},
                          {"generation", delegation->reached().number},
                          {"lease", delegation->held_lease().number},
                          {"rollouts", rollouts.report()},
                          {"status", said}};
        std::string matters = what_matters(report);
        const std::uint64_t bytes = traffic.useful_to_parent();
        const std::int64_t pause = bytes != reported_bytes ? report_busy_us : report_idle_us;
        if (reported_us != 0 && now >= asked_until_us && matters == reported &&
            now - reported_us < pause) {
            return;
        }
        reported_us = now;
        reported = std::move(matters);
        reported_bytes = bytes;
        links.tell(to_parent, report);
    }

    void tell_children() {
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

    // What front needs to speak with neighbours and to know them. Children by the key that
    // enrolment bound to the name.
    void send_credentials() {
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

    void answer_front(const char* type, const Json& question, Json answer) {
        answer["t"] = type;
        answer["id"] = int_of(question, "id");
        ports.send_front(dump(answer), {}, {});
    }

    void on_page(const Json& head, const std::string& body) {
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
                dump(
                    {{"t", "page"}, {"id", id}, {"status", response.status}, {"headers", headers}}),
                response.body, {});
        });
    }
};

Result<std::unique_ptr<Keeper>> Keeper::open(KeeperOptions options, KeeperPorts& ports,
                                             const Clock& clock, Random& random, const Log& log) {
    auto me = load_identity(options.state + "/keys");
    if (!me.ok()) {
        return me.error().code == Code::not_found
                   ? fail(Code::not_found, options.state + " holds no tier",
                          "make a center with `hasp init`, or join one with `hasp relay --join -`")
                   : me.error();
    }
    auto db = store::Db::open(options.state + "/keeper.db");
    if (!db.ok()) {
        return db.error();
    }
    if (Status migrated = signon::migrate_tables(**db); !migrated.ok()) {
        return migrated.error();
    }
    auto store = TierStore::open(**db, me->name.realm());
    if (!store.ok()) {
        return store.error();
    }
    auto secret = store->fact("secret");
    if (!secret.ok()) {
        return secret.error();
    }
    if (secret->empty()) {
        *secret = to_base64url(random.bytes(32));
        if (Status kept = store->set_fact("secret", *secret); !kept.ok()) {
            return kept.error();
        }
    }
    // What a crash left half-done; a command beside no daemon leaves it alone. A failure costs
    // space and nothing else.
    if (options.daemon) {
        for (const Status& swept : {remove_unfinished_files(options.state + "/keys"),
                                    ReleaseStore(options.state + "/releases").sweep()}) {
            if (!swept.ok()) {
                log.warn("keeper.sweep", swept.error().message);
            }
        }
    }
    if (options.files.copies == nullptr) {
        auto copies = sync::WorkingCopies::open(options.state);
        auto disk = copies.ok() ? sync::open_disk(options.state)
                                : Result<std::unique_ptr<sync::Disk>>(copies.error());
        if (!disk.ok()) {
            return disk.error();
        }
        options.files = {*std::move(disk),
                         std::make_shared<sync::WorkingCopies>(*std::move(copies))};
    }
    auto ledger_db = store::Db::open(options.state + "/ledger.db");
    if (!ledger_db.ok()) {
        return ledger_db.error();
    }
    auto usage = billing::open_sqlite_ledger_store(**ledger_db, me->name.realm());
    if (!usage.ok()) {
        return usage.error();
    }
    auto impl =
        std::make_unique<Impl>(std::move(options), ports, clock, random, log, *std::move(me),
                               *std::move(db), *std::move(ledger_db), *std::move(usage),
                               *std::move(store), from_base64url(*secret).value_or(*secret));
    if (Status loaded = impl->gate.load(); !loaded.ok()) {
        return loaded.error();
    }
    if (Status loaded = impl->delegation->load(); !loaded.ok()) {
        return loaded.error();
    }
    if (Status loaded = impl->rollouts.load(); !loaded.ok()) {
        return loaded.error();
    }
    if (Status loaded = impl->web_authority.load(); !loaded.ok()) {
        return loaded.error();
    }
    if (Status loaded = impl->acme.load(); !loaded.ok()) {
        return loaded.error();
    }
    impl->web_certificates->load();
    if (Status loaded = impl->apps->load(); !loaded.ok()) {
        return loaded.error();
    }
    if (Status loaded = impl->files->load(); !loaded.ok()) {
        return loaded.error();
    }
    if (Status loaded = impl->peers.load(); !loaded.ok()) {
        return loaded.error();
    }
    if (Status loaded = impl->parent_addresses.load(); !loaded.ok()) {
        return loaded.error();
    }
    impl->apps->asked_at_peers(impl->peers.asked());
    return std::unique_ptr<Keeper>(new Keeper(std::move(impl)));
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
        impl_->report_stale = true;
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
    if (now - impl_->looked_us >= report_look_us) {
        impl_->report_stale = true;
    }
}

void Keeper::finish() {
    impl_->gate.keep();
    impl_->files->finish();
}

void Keeper::noticed() {
    impl_->files->noticed();
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
    if (impl_->report_stale && impl_->links.connected(to_parent) &&
        (impl_->reported_us == 0 || now - impl_->looked_us >= report_step_us)) {
        impl_->report_stale = false;
        impl_->looked_us = now;
        impl_->report(now);
    }
}

} // namespace hasp::maint
