// The keeper's parts, made and told of each other; what they load at the start.
#include "base/clock.h"
#include "base/files.h"
#include "base/text.h"
#include "keeper_impl.h"
#include "maint/restoration.h"
#include "signon/schema.h"

namespace hasp::maint {

namespace {

signon::SessionTimes session_times(const Config& config) {
    return {config.session.hours * hour_us, config.session.absolute_days * 24 * hour_us};
}

// For the portal: all of his files that the virus check holds back, the first ones by name.
std::string files_words(const std::vector<Files::HeldFile>& held) {
    constexpr std::size_t named_max = 3;
    std::string infected;
    std::string waiting;
    std::size_t left = 0;
    for (std::size_t i = 0; i < held.size(); ++i) {
        const Files::HeldFile& one = held[i];
        std::string& list = one.found.empty() ? waiting : infected;
        if (i >= named_max) {
            ++left;
            continue;
        }
        list += (list.empty() ? "" : ", ") + one.path + " (" + one.app +
                (one.found.empty() ? "" : ", " + one.found) + ")";
    }
    std::string out;
    if (!infected.empty()) {
        out = "The virus check found something in your files, and they go nowhere from where you "
              "wrote them: " +
              infected + ".";
    }
    if (!waiting.empty()) {
        out += (out.empty() ? "" : " ") +
               std::string("These of your files wait for the virus check: ") + waiting + ".";
    }
    return left == 0 ? out : out + " And " + std::to_string(left) + " more of either kind.";
}

ReleaseStore::Inspect inspection(const std::shared_ptr<VirusCheck>& virus) {
    if (virus == nullptr) {
        return {};
    }
    return [virus](const std::string& tree, const Release& release) {
        return virus->check_release(tree, release);
    };
}

} // namespace

Keeper::Impl::Impl(KeeperOptions o, KeeperPorts& p, const Clock& c, Random& r, const Log& l,
                   TierIdentity identity, std::unique_ptr<store::Db> database,
                   std::unique_ptr<store::Db> ledger_database,
                   std::unique_ptr<billing::LedgerStore> usage, TierStore tier_store,
                   const std::string& secret)
    : options(std::move(o)), ports(p), clock(c), random(r), log(l), me(std::move(identity)),
      db(std::move(database)), ledger_db(std::move(ledger_database)),
      ledger_store(std::move(usage)), store(std::move(tier_store)),
      time(clock, store, log, me.has_parent() ? options.config.lease.run_days * day_us : 0),
      copies(options.files.copies), virus(VirusCheck::of(options.config, clock, log)),
      releases(options.state + "/releases", {}, inspection(virus)), publishing(time, me, store),
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
            [this] { reports.changed(); }}),
      ledger({links, clock, log, me, store, *ledger_store}) {
    apps = std::make_unique<Apps>(
        Apps::World{ports, clock, time, log, options.config, store, *copies, releases, rollouts,
                    me.name, options.state},
        [this](const AppRow& app) { return delegation->authority(app); },
        [this] {
            reports.changed();
            children_stale = true;
        });
    delegation = std::make_unique<Delegation>(
        Delegation::World{ports, links, gate, clock, time, random, log, options.config, me, store,
                          *accounts, *apps, releases, publishing, rollouts, options.state});
    renewal = std::make_unique<Renewal>(Renewal::World{
        links, clock, random, log, me, enrolment, options.state + "/keys",
        [this] { return delegation->now().now_us; }, [this] { send_credentials(); }});
    web_certificates = std::make_unique<WebCertificates>(WebCertificates::World{
        ports, links, clock, random, log, options.config, me, web_authority, acme,
        options.state + "/keys", [this] { return delegation->now().now_us; },
        [this] { return lent_us(); }, [this] { reports.changed(); }});
    files = std::make_unique<Files>(Files::World{ports,          links,
                                                 gate,           clock,
                                                 random,         log,
                                                 options.config, me,
                                                 store,          *db,
                                                 *accounts,      *sessions,
                                                 *apps,          *delegation,
                                                 *copies,        options.files.disk,
                                                 options.state,  options.daemon,
                                                 options.watch,  virus});
    apps->before_start([this](const std::string& app, const std::string& user,
                              std::function<void(const Status&)> go) {
        files->before_start(app, user, std::move(go));
    });
    roaming = std::make_unique<Roaming>(
        Roaming::World{links, clock, me, store, *sessions, *files, [this](const std::string& sid) {
                           ports.send_front(dump({{"t", "drop"}, {"sids", {sid}}}), {}, {});
                       }});
    people.on_arrival([this](const signon::Identity& who, const std::string& child) {
        if (!child.empty()) {
            files->visits(child, who.user);
        }
        files->arrived(who.user, who.apps);
        roaming->arrived(who.user);
    });
    people.on_given_up(
        [this](const std::string& user, const Json& gone, std::function<void(Status)> noted) {
            files->given_up(user, gone, std::move(noted));
        });
    delegation->on_keeps(
        [this](const std::string& child, const std::vector<trust::KeepGrant>& keeps) {
            return files->signed_keeps(child, keeps);
        });
    direct = std::make_unique<DirectReturn>(
        DirectReturn::World{links, time, random, log, options.config, people, *apps, *sessions},
        secret);
    people.on_direct([this](const std::string& cookie, const std::string& host,
                            const People::Found& found) { direct->identify(cookie, host, found); });
    pages = std::make_unique<Pages>(Pages::World{
        clock, log, options.config, me, links, people, *apps, peers, enrolment, *sessions, *tokens,
        *direct, random, parent, [this](const auto&... push) { admin->run_push(push...); },
        [this](const std::string& user) { return files_words(files->held_files(user)); },
        *roaming});
    explain = std::make_unique<Explain>(
        Explain::World{clock, time, me, store, *accounts, *sessions, links, *apps, *delegation,
                       peers, parent, [this] { return to_json(unsent()); },
                       [this] { return budgets(); }, [this] { return web_certificates->show(); }});
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
                     [this] { ask_for_reports(); },
                     [this] { return roaming->json(); }});
    links.on_bytes(
        [this](const std::string& neighbour, const std::string& type, std::size_t in,
               std::size_t out) { traffic.frame(neighbour == to_parent, type, in, out); });
    delegation->on_reached([this] { reports.forget_told(); });
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
    links.on_parent_restored([this](std::int64_t at_us) { parent_restored(at_us); });
    delegation->on_lease([this] {
        people.lease_changed();
        files->lease_changed();
    });
    ledger.on_change([this] { reports.changed(); });
    rollouts.on_change([this] { reports.changed(); });
    apps->on_started([this](const std::string& app, const std::string& user) {
        return ledger.app_started(app, user);
    });
    links.on_change([this](const std::string& neighbour, bool connected) {
        neighbour_changed(neighbour, connected);
    });
    links.on("report", [this](const std::string& from, const Message& m, const Links::Answer&) {
        on_report(from, m);
    });
    links.on("report.ask", [this](const std::string& from, const Message&, const Links::Answer&) {
        if (from == to_parent) {
            reports.asked(clock.boot_us());
            ask_for_reports();
        }
    });
    links.on("catalog", [this](const std::string& from, const Message& m, const Links::Answer&) {
        if (from == to_parent) {
            apps->parent_said(member(m.head, "apps"));
        }
    });
}

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
    impl->roaming->load();
    if (Status loaded = impl->peers.load(); !loaded.ok()) {
        return loaded.error();
    }
    if (Status loaded = impl->parent_addresses.load(); !loaded.ok()) {
        return loaded.error();
    }
    auto restored = restored_fact(impl->store);
    if (!restored.ok()) {
        return restored.error();
    }
    impl->links.restored(restored->at_us);
    impl->apps->asked_at_peers(impl->peers.asked());
    return std::unique_ptr<Keeper>(new Keeper(std::move(impl)));
}

} // namespace hasp::maint
