// A front with several loops for tests: one engine on a thread each.
#pragma once

#include "harness.h"
#include "passon/keeper_relay.h"

#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace hasp::passon::testing {

inline constexpr std::size_t loops = 4;

// The home has the listeners, a real keeper in memory behind it; the others ask through relays.
class Looped {
  public:
    explicit Looped(const Settings& settings = {}, const TestRealm* realm = nullptr)
        : group_(make_loop_group(loops)),
          ring_(std::move(*billing::UsageRing::map(
              billing::UsageRing::create(loops, 1024, {}).value().get()))) {
        for (std::size_t i = 0; i < loops; ++i) {
            auto& made = *all_.emplace_back(std::make_unique<One>());
            made.reactor = std::move(*net::Reactor::create(clock_));
            if (i > 0) {
                made.relay =
                    std::make_unique<KeeperRelay>(*made.reactor, *all_[0]->reactor, keeper);
            }
            made.engine = std::make_unique<Engine>(
                EngineParts{*made.reactor, made.random,
                            made.relay ? static_cast<KeeperPort&>(*made.relay) : keeper,
                            made.access_log, log_, ring_.lane(static_cast<std::uint32_t>(i)),
                            group_},
                settings);
        }
        Fd listener;
        port_ = listen_loopback(listener);
        EXPECT_TRUE(home().add_listener(std::move(listener), ListenerKind::users, nullptr).ok());
        Fd metrics;
        metrics_port_ = listen_loopback(metrics);
        EXPECT_TRUE(home().add_listener(std::move(metrics), ListenerKind::metrics, nullptr).ok());
        if (realm != nullptr) {
            listen_for_children(*realm);
        }
        spec.tier = "front";
        spec.app_host = "{app}.localhost";
        spec.portal_hosts = {"localhost"};
        keeper.know("cookie:secret", person("anna", {"wiki", "low"}));
        for (const auto& one : all_) {
            one->thread = std::thread([&one] { one->reactor->run(); });
        }
    }

    ~Looped() {
        for (const auto& one : all_) {
            one->reactor->stop_from_any_thread();
            one->thread.join();
        }
        for (const auto& one : all_) {
            one->engine.reset();
        }
    }

    registry::SnapshotSpec spec;
    FakeKeeper keeper;
    int port() const { return port_; }
    int metrics_port() const { return metrics_port_; }
    int link_port() const { return link_port_; }

    template <typename What>
    void on_loop(std::size_t loop, What what) {
        std::promise<void> done;
        all_[loop]->reactor->post_from_any_thread([&] {
            what(*all_[loop]->engine);
            done.set_value();
        });
        done.get_future().wait();
    }
    // The home first, as front does it.
    template <typename What>
    void everywhere(What what) {
        for (std::size_t i = 0; i < loops; ++i) {
            on_loop(i, what);
        }
    }
    // What has begun is done, and what one told the others has arrived.
    void settle() {
        everywhere([](Engine&) {});
        everywhere([](Engine&) {});
    }
    EngineCounters counters(std::size_t loop) {
        EngineCounters out;
        on_loop(loop, [&](Engine& engine) { out = engine.counters(); });
        return out;
    }
    // The link to a parent: the home opens it, the others have pools.
    void join(const TestRealm& realm, int parent_link_port) {
        const TestRealm::Leaf leaf = realm.issue("front");
        net::ClientTls client;
        client.ca_pem = realm.ca_pem;
        client.chain_pem = leaf.chain_pem;
        client.key_pem = leaf.key_pem;
        client.between_tiers = true;
        LinkCredentials link;
        link.client = *net::TlsContext::client(client);
        link.name_parent = TestRealm::name_of;
        link.parent_addresses = {"127.0.0.1:" + std::to_string(parent_link_port)};
        for (std::size_t i = 0; i < loops; ++i) {
            on_loop(i, [&](Engine& engine) {
                engine.set_link(link, i == 0 ? LinkPart::control : LinkPart::pool);
            });
        }
    }
    void publish() {
        const Result<std::string> bytes = registry::build_snapshot_bytes(spec);
        ASSERT_TRUE(bytes.ok());
        auto snapshot = registry::Snapshot::from_bytes(*bytes);
        everywhere([&](Engine& engine) { engine.set_snapshot(*snapshot); });
    }
    // What is on the way to this child, once its control stream is there.
    void route_to(Tier& child, const std::string& app) {
        registry::AppSpec low;
        low.name = app;
        low.route = registry::Route::child;
        low.child = child.spec.tier;
        spec.apps.push_back(low);
        publish();
        child.join(link_port());
        ASSERT_TRUE(child.keeper.wait([](FakeKeeper& k) { return k.up(); }));
    }
    void add_app(const std::string& name, const std::vector<int>& ports,
                 registry::Access access = registry::Access::users) {
        registry::AppSpec app;
        app.name = name;
        app.route = registry::Route::here;
        app.kind = registry::Kind::upstream;
        app.access = access;
        for (const int port : ports) {
            app.upstream.addresses.push_back({"127.0.0.1:" + std::to_string(port)});
        }
        spec.apps.push_back(std::move(app));
        publish();
    }
    std::vector<std::unique_ptr<Client>> clients(std::size_t count) const {
        std::vector<std::unique_ptr<Client>> out;
        for (std::size_t i = 0; i < count; ++i) {
            out.push_back(std::make_unique<Client>(port_));
        }
        return out;
    }

  private:
    struct One {
        std::unique_ptr<net::Reactor> reactor;
        SystemRandom random;
        AccessLog access_log{Fd(), "front"};
        std::unique_ptr<KeeperRelay> relay; // not the home's
        std::unique_ptr<Engine> engine;
        std::thread thread;
    };
    Engine& home() { return *all_[0]->engine; }
    void listen_for_children(const TestRealm& realm) {
        const TestRealm::Leaf leaf = realm.issue("front");
        net::ServerTls server;
        server.chain_pem = leaf.chain_pem;
        server.key_pem = leaf.key_pem;
        server.client_ca_pem = realm.ca_pem;
        server.peer = net::PeerCertificate::required;
        server.between_tiers = true;
        Fd link;
        link_port_ = listen_loopback(link);
        EXPECT_TRUE(home()
                        .add_listener(std::move(link), ListenerKind::children,
                                      *net::TlsContext::server(server))
                        .ok());
        LinkCredentials credentials;
        credentials.name_child = TestRealm::name_of;
        home().set_link(credentials);
    }

    SystemClock clock_;
    Log log_{-1, clock_, "test", false};
    std::shared_ptr<LoopGroup> group_;
    billing::UsageRing ring_;
    std::vector<std::unique_ptr<One>> all_;
    int port_ = 0;
    int metrics_port_ = 0;
    int link_port_ = 0;
};

} // namespace hasp::passon::testing
