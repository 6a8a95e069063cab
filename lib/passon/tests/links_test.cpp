// Tiers joined by real TLS links on loopback.
#include "harness.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <set>
#include <thread>
#include <vector>

namespace hasp::passon::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const std::string sid = "0123456789abcdef0123456789abcdef";

registry::AppSpec toward(const std::string& name, registry::Route route,
                         const std::string& child = {}) {
    registry::AppSpec app;
    app.name = name;
    app.route = route;
    app.child = child;
    return app;
}

// upper ← center ← (gate) ← tokyo. The apps "top", "mid" and "low" are where their names say.
class Links : public ::testing::Test {
  protected:
    explicit Links(std::function<void(Backend::Peer&)> serve = echo_head(),
                   const Settings& settings = {})
        : backend_(std::move(serve)), upper_("upper", settings, &realm_),
          center_("center", settings, &realm_), gate_(center_.link_port()),
          tokyo_("tokyo", settings, &realm_) {
        tokyo_.spec.has_parent = center_.spec.has_parent = true;
        upper_.add_upstream("top", backend_.port(), registry::Access::users);
        upper_.add_upstream("all", backend_.port(), registry::Access::open);
        upper_.add(toward("mid", registry::Route::child, "center"));
        upper_.add(toward("low", registry::Route::child, "center"));
        center_.add_upstream("mid", backend_.port(), registry::Access::users);
        center_.add(toward("low", registry::Route::child, "tokyo"));
        tokyo_.add_upstream("low", backend_.port(), registry::Access::users);
        const std::vector<std::string> everything{"top", "mid", "low"};
        for (Tier* tier : {&upper_, &center_, &tokyo_}) {
            tier->publish();
            tier->keeper.know("cookie:secret", person("anna", everything));
        }
        Identity at_home = person("anna", everything);
        at_home.home = true;
        tokyo_.keeper.know("cookie:secret", at_home);
        center_.keeper.know("link:tokyo:" + sid, person("anna", everything));
        upper_.keeper.know("link:center:" + sid, person("anna", everything));
        center_.join(upper_.link_port());
        tokyo_.join(gate_.port());
        EXPECT_TRUE(center_.keeper.wait([](FakeKeeper& k) { return k.up(); }));
        EXPECT_TRUE(tokyo_.keeper.wait([](FakeKeeper& k) { return k.up(); }));
    }

    TestRealm realm_;
    Backend backend_;
    Tier upper_;
    Tier center_;
    Gate gate_;
    Tier tokyo_;
};

TEST_F(Links, ARequestGoesUpThroughEveryTierToTheOneThatHolds) {
    Client client(tokyo_.port());
    const Answer answer =
        client.get("/apps/top/x", session_cookie + "hasp-user: root\r\n", "localhost:99");
    ASSERT_EQ(answer.status, 200) << answer.body;
    EXPECT_THAT(answer.body, ::testing::StartsWith("GET /x HTTP/1.1\r\n"));
    EXPECT_THAT(answer.body, HasSubstr("Remote-User: anna\r\n"));
    EXPECT_THAT(answer.body, HasSubstr("X-Forwarded-Host: localhost:99\r\n"));
    EXPECT_THAT(answer.body, HasSubstr("X-Forwarded-For: 127.0.0.1\r\n"));
    EXPECT_THAT(answer.body, HasSubstr("CDN-Loop: tokyo, center, upper\r\n"));
    EXPECT_THAT(answer.body, Not(HasSubstr("hasp-")));
    EXPECT_THAT(answer.body, Not(HasSubstr("root")));
    const std::string id = answer.body.substr(answer.body.find("X-Request-Id: ") + 14, 32);
    for (Tier* tier : {&tokyo_, &center_, &upper_}) {
        EXPECT_THAT(tier->access_log(), HasSubstr(id));
    }
    EXPECT_EQ(tokyo_.usage().size(), 1U) << "the account's home meters what came from above";
    EXPECT_EQ(center_.usage().size(), 0U) << "a tier between does not";
    EXPECT_EQ(upper_.usage().size(), 1U) << "the tier that serves does";
}

// The value of a text in a JSON line.
std::string said(const std::string& line, const std::string& key) {
    const std::size_t at = line.find("\"" + key + "\":\"");
    if (at == std::string::npos) {
        return {};
    }
    const std::size_t from = at + key.size() + 4;
    return line.substr(from, line.find('"', from) - from);
}

TEST_F(Links, ATraceRunsThroughTheTiersAndEachLogsItsOwnSpan) {
    Client client(tokyo_.port());
    const std::string trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    const Answer answer =
        client.get("/apps/top/x", session_cookie + "traceparent: 00-" + trace +
                                      "-00f067aa0ba902b7-01\r\ntracestate: a=b\r\n");
    std::set<std::string> spans{"00f067aa0ba902b7"};
    for (Tier* tier : {&tokyo_, &center_, &upper_}) {
        EXPECT_EQ(said(tier->access_log(), "trace"), trace);
        EXPECT_TRUE(spans.insert(said(tier->access_log(), "span")).second) << "of its own";
    }
    // What the app is told is the last tier's span.
    EXPECT_THAT(answer.body, HasSubstr("traceparent: 00-" + trace + "-" +
                                       said(upper_.access_log(), "span") + "-01\r\n"));
    EXPECT_THAT(answer.body, HasSubstr("tracestate: a=b\r\n"));
    client.get("/apps/top/x", session_cookie);
    const std::string log = tokyo_.access_log();
    EXPECT_EQ(said(log.substr(log.find('\n')), "trace"), "") << "the request's id is its name";
}

TEST_F(Links, TheMetricsNameAnAppOfTheParentsThatIsKnownHere) {
    tokyo_.add(toward("top", registry::Route::parent));
    tokyo_.publish();
    Client client(tokyo_.port());
    ASSERT_EQ(client.get("/apps/top/x", session_cookie).status, 200);
    client.get("/apps/never-heard-of/x", session_cookie);
    const std::string text = tokyo_.metrics();
    EXPECT_THAT(text,
                HasSubstr("hasp_request_duration_seconds_count{app=\"top\",served=\"parent\"} 1"));
    EXPECT_THAT(text,
                HasSubstr("hasp_request_duration_seconds_count{app=\"\",served=\"parent\"} 1"));
    EXPECT_THAT(text, Not(HasSubstr("never-heard-of")));
}

TEST_F(Links, AHomeBetweenMetersWhatItPassesOnAndTheTierWhereTheUserIsDoesNot) {
    tokyo_.keeper.know("cookie:secret", person("anna", {"top", "mid", "low"}));
    Identity at_home = person("anna", {"top", "mid", "low"});
    at_home.home = true;
    center_.keeper.know("link:tokyo:" + sid, at_home);
    Client client(tokyo_.port());
    ASSERT_EQ(client.get("/apps/top/x", session_cookie).status, 200);
    ASSERT_EQ(client.get("/apps/mid/x", session_cookie).status, 200);
    EXPECT_EQ(tokyo_.usage().size(), 0U);
    const auto center = center_.usage();
    ASSERT_EQ(center.size(), 2U);
    EXPECT_EQ(center[0].served, billing::Served::parent);
    EXPECT_EQ(center[1].served, billing::Served::here);
    EXPECT_EQ(billing::name_of(center[0].app), "top");
    EXPECT_EQ(upper_.usage().size(), 1U);
}

TEST_F(Links, ARequestGoesDownOverReversedConnections) {
    Client client(upper_.port());
    for (int i = 0; i < 5; ++i) {
        const Answer answer = client.get("/apps/low/x", session_cookie);
        ASSERT_EQ(answer.status, 200) << answer.body;
        EXPECT_THAT(answer.body, HasSubstr("Remote-User: anna\r\n"));
        EXPECT_THAT(answer.body, HasSubstr("Remote-Name: Zo%C3%AB anna\r\n"));
        EXPECT_THAT(answer.body, HasSubstr("Remote-Groups: desk,ward\r\n"));
        EXPECT_THAT(answer.body, HasSubstr("CDN-Loop: upper, center, tokyo\r\n"));
    }
}

TEST_F(Links, ManyRequestsDownAtOnceAreAllServed) {
    std::vector<std::unique_ptr<Client>> clients;
    for (int i = 0; i < 30; ++i) {
        clients.push_back(std::make_unique<Client>(center_.port()));
        clients.back()->send("GET /apps/low/ HTTP/1.1\r\nHost: localhost\r\n" + session_cookie +
                             "\r\n");
    }
    for (auto& client : clients) {
        EXPECT_EQ(client->read().status, 200);
    }
}

TEST_F(Links, TheUsersOwnTierMakesThePageForWhatAnotherRefused) {
    Client client(tokyo_.port());
    const Answer missing = client.get("/apps/none/", session_cookie + "Accept: text/html\r\n");
    EXPECT_EQ(missing.status, 404);
    EXPECT_THAT(missing.body, HasSubstr("Not found"));
    const Answer stranger = client.get("/apps/top/", "Accept: text/html\r\n");
    EXPECT_EQ(stranger.status, 303);
    EXPECT_EQ(stranger.header("location"), "/hasp/login?next=%2Fapps%2Ftop%2F");
    EXPECT_EQ(client.get("/apps/top/").status, 401);
    EXPECT_EQ(client.get("/apps/all/").status, 200) << "open to all, three tiers up";
}

TEST_F(Links, ASessionThatTheParentDoesNotKnowIsAskedToLogIn) {
    upper_.keeper.forget("link:center:" + sid);
    Client client(tokyo_.port());
    EXPECT_EQ(client.get("/apps/top/", session_cookie).status, 401);
    EXPECT_EQ(client.get("/apps/mid/", session_cookie).status, 200);
}

TEST_F(Links, AControlStreamCarriesBytesBothWaysAndEndsWithItsLink) {
    ControlId up = 0;
    ControlId down = 0;
    ASSERT_TRUE(tokyo_.keeper.wait([&](FakeKeeper& k) {
        up = k.controls.front().opened.id;
        return k.controls.front().opened.to_parent && k.controls.front().opened.peer == "center";
    }));
    ASSERT_TRUE(center_.keeper.wait([&](FakeKeeper& k) {
        for (const auto& one : k.controls) {
            if (one.opened.peer == "tokyo" && !one.opened.to_parent) {
                down = one.opened.id;
                return !one.opened.chain.empty();
            }
        }
        return false;
    }));
    const std::string big(500'000, 'u');
    tokyo_.on_loop([&](Engine& engine) { EXPECT_TRUE(engine.control_send(up, big).ok()); });
    EXPECT_TRUE(center_.keeper.wait([&](FakeKeeper& k) {
        return std::any_of(k.controls.begin(), k.controls.end(),
                           [&](const auto& one) { return one.bytes == big; });
    }));
    center_.on_loop([&](Engine& engine) { EXPECT_TRUE(engine.control_send(down, "down").ok()); });
    EXPECT_TRUE(
        tokyo_.keeper.wait([&](FakeKeeper& k) { return k.controls.front().bytes == "down"; }));
    gate_.cut();
    EXPECT_TRUE(tokyo_.keeper.wait([&](FakeKeeper& k) { return k.controls.front().closed; }));
    tokyo_.on_loop([&](Engine& engine) {
        EXPECT_EQ(engine.control_send(up, "x").error().code, Code::unreachable);
    });
}

TEST_F(Links, AKeeperThatStartsAgainEndsTheControlStreamAndNoRequest) {
    ControlId down = 0;
    ASSERT_TRUE(center_.keeper.wait([&](FakeKeeper& k) {
        for (const auto& one : k.controls) {
            if (one.opened.peer == "tokyo" && !one.opened.to_parent) {
                down = one.opened.id;
                return true;
            }
        }
        return false;
    }));
    center_.on_loop([&](Engine& engine) { engine.control_close(down); });
    ASSERT_TRUE(tokyo_.keeper.wait([](FakeKeeper& k) { return k.controls.front().closed; }));
    Client client(tokyo_.port());
    EXPECT_EQ(client.get("/apps/top/", session_cookie).status, 200);
    EXPECT_TRUE(tokyo_.keeper.wait([](FakeKeeper& k) { return k.up(); })) << "it is opened anew";
}

TEST_F(Links, WhoLeavesAnswersOnceMoreOnEachConnectionAndThenIsGone) {
    Client idle(center_.port());
    ASSERT_EQ(idle.get("/apps/top/1", session_cookie).status, 200);
    ASSERT_GT(upper_.counters().parked, 0U);
    center_.on_loop([](Engine& engine) { engine.leave(); });
    bool left = true;
    center_.on_loop([&](Engine& engine) { left = engine.left(); });
    EXPECT_FALSE(left) << "a request may be on its way";
    EXPECT_TRUE(center_.keeper.wait([](FakeKeeper& k) { return k.controls.front().closed; }));
    EXPECT_TRUE(upper_.keeper.wait([](FakeKeeper& k) { return k.controls.back().closed; }));
    const auto given_back = [this] { return upper_.counters().parked == 0; };
    for (int i = 0; i < 1'000 && !given_back(); ++i) {
        ::poll(nullptr, 0, 10);
    }
    EXPECT_TRUE(given_back()) << "the parent closes what waits for its requests";

    const Answer last = idle.get("/apps/top/2", session_cookie);
    EXPECT_EQ(last.status, 200);
    EXPECT_EQ(last.header("connection"), "close");
    EXPECT_TRUE(idle.closed());
}

TEST_F(Links, WhoHasLeftTakesNewCredentialsAndNoLink) {
    tokyo_.on_loop([](Engine& engine) { engine.leave(); });
    const auto open = [](FakeKeeper& k) {
        return std::count_if(k.controls.begin(), k.controls.end(), [](const auto& one) {
            return one.opened.peer == "tokyo" && !one.closed;
        });
    };
    ASSERT_TRUE(center_.keeper.wait([&](FakeKeeper& k) { return open(k) == 0; }));
    tokyo_.join(gate_.port());
    ::poll(nullptr, 0, 200); // many times what a control stream takes here
    EXPECT_TRUE(center_.keeper.wait([&](FakeKeeper& k) {
        EXPECT_EQ(open(k), 0);
        return true;
    }));
}

TEST_F(Links, AChildThatWentInOrderIsWaitedFor) {
    // Idle reversed connections would do as well: none is left.
    upper_.on_loop([](Engine& engine) { engine.close_link("center"); });
    EXPECT_TRUE(center_.keeper.wait([](FakeKeeper& k) { return k.up() && k.parent.size() > 2; }));
    ControlId id = 0;
    upper_.keeper.wait([&](FakeKeeper& k) {
        id = k.controls.back().opened.id;
        return true;
    });
    upper_.on_loop([id](Engine& engine) { engine.control_close(id); });
    Client client(upper_.port());
    EXPECT_EQ(client.get("/apps/mid/x", session_cookie).status, 200);
}

TEST_F(Links, WhileTheLinkIsCutTheOthersGoOnAndItComesBackByItself) {
    Client client(tokyo_.port());
    ASSERT_EQ(client.get("/apps/top/", session_cookie).status, 200);
    gate_.cut();
    ASSERT_TRUE(tokyo_.keeper.wait([](FakeKeeper& k) { return k.down(); }));
    EXPECT_EQ(client.get("/apps/low/", session_cookie).status, 200) << "what tokyo holds goes on";
    const Answer gone = client.get("/apps/top/", session_cookie + "Accept: text/html\r\n");
    EXPECT_EQ(gone.status, 503);
    EXPECT_THAT(gone.body, HasSubstr("Since 20"));
    EXPECT_NE(gone.header("retry-after"), "");
    EXPECT_EQ(Client(center_.port()).get("/apps/low/", session_cookie).status, 503)
        << "nor can the center reach down";
    gate_.open();
    ASSERT_TRUE(tokyo_.keeper.wait([](FakeKeeper& k) { return k.up(); }));
    EXPECT_EQ(client.get("/apps/top/", session_cookie).status, 200) << "at once";
}

TEST_F(Links, ClosingALinkCutsEverythingOfThatNeighbour) {
    center_.on_loop([](Engine& engine) {
        LinkCredentials none;
        none.name_child = [](const std::vector<std::string>&) -> Result<std::string> {
            return fail(Code::refused, "revoked");
        };
        engine.set_link(none);
        engine.close_link("tokyo");
    });
    ASSERT_TRUE(tokyo_.keeper.wait([](FakeKeeper& k) { return k.down(); }));
    EXPECT_EQ(Client(tokyo_.port()).get("/apps/top/", session_cookie).status, 503);
    EXPECT_EQ(Client(center_.port()).get("/apps/low/", session_cookie).status, 503);
}

TEST_F(Links, AStrangersCertificateGetsNoLink) {
    TestRealm other;
    Tier stranger("tokyo", {}, &other);
    stranger.join(center_.link_port());
    EXPECT_TRUE(stranger.keeper.wait([](FakeKeeper& k) { return k.down(); }));
}

// Takes a request and never answers.
void keep_silent(Backend::Peer& peer) {
    std::string head;
    peer.head(head);
    peer.head(head);
}

class SilentLinks : public Links {
  protected:
    SilentLinks() : Links(keep_silent) {}
};

TEST_F(SilentLinks, WhoWaitsOverALinkThatIsGivenUpIsToldSinceWhen) {
    Client client(tokyo_.port());
    client.send("GET /apps/top/ HTTP/1.1\r\nHost: localhost\r\n" + session_cookie + "\r\n");
    while (backend_.connections == 0) {
        ::poll(nullptr, 0, 5);
    }
    tokyo_.on_loop([](Engine& engine) { engine.close_link("center"); });
    const Answer answer = client.read();
    EXPECT_EQ(answer.status, 503);
    EXPECT_THAT(answer.body, HasSubstr("Since 20"));
}

// The app answers when it is told to.
class HeldLinks : public Links {
  protected:
    HeldLinks() : HeldLinks(std::make_shared<std::atomic<bool>>(false)) {}
    explicit HeldLinks(const std::shared_ptr<std::atomic<bool>>& go)
        : Links([go](Backend::Peer& peer) {
              for (std::string head, body; peer.request(head, body);) {
                  while (!*go) {
                      ::poll(nullptr, 0, 1);
                  }
                  peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
              }
          }),
          go_(go) {}
    ~HeldLinks() override { *go_ = true; }

    // What `change` makes of the connection to the parent that a request is on meanwhile: those
    // that the next request opened.
    std::uint64_t opened_after(const std::function<void()>& change) {
        Client client(tokyo_.port());
        client.send("GET /apps/top/ HTTP/1.1\r\nHost: localhost\r\n" + session_cookie + "\r\n");
        while (backend_.connections == 0) {
            ::poll(nullptr, 0, 1);
        }
        change();
        *go_ = true;
        EXPECT_EQ(client.read().status, 200);
        const std::uint64_t before = tokyo_.counters().upstream_opened;
        EXPECT_EQ(client.get("/apps/top/", session_cookie).status, 200);
        return tokyo_.counters().upstream_opened - before;
    }

  private:
    std::shared_ptr<std::atomic<bool>> go_;
};

TEST_F(HeldLinks, AConnectionIsReusedWhileAllIsAsItWas) {
    EXPECT_EQ(opened_after([] {}), 0U);
}

TEST_F(HeldLinks, AConnectionUnderAnOlderCertificateTakesNoFurtherRequest) {
    EXPECT_EQ(opened_after([this] { tokyo_.join(gate_.port()); }), 1U);
}

TEST_F(HeldLinks, AConnectionToAnAddressThatIsNoneAnyMoreTakesNoFurtherRequest) {
    Gate other(center_.link_port());
    EXPECT_EQ(opened_after([&] {
                  tokyo_.move({other.port()});
                  EXPECT_TRUE(tokyo_.keeper.wait([&](FakeKeeper& k) {
                      return k.parent.back().reached == "127.0.0.1:" + std::to_string(other.port());
                  })) << "until then the old one is better than none";
              }),
              1U);
}

TEST_F(HeldLinks, AFurtherAddressCostsNoConnection) {
    Gate other(center_.link_port());
    EXPECT_EQ(opened_after([&] { tokyo_.move({other.port(), gate_.port()}); }), 0U);
}

class LargeLinks : public Links {
  protected:
    LargeLinks() : Links(echo_body()) {}
};

TEST_F(LargeLinks, LargeBodiesPassThreeTiersBothWays) {
    const std::string big(5'000'000, 'z');
    Client client(tokyo_.port());
    std::thread sender([&] {
        client.send("PUT /apps/top/ HTTP/1.1\r\nHost: localhost\r\n" + session_cookie +
                    "Content-Length: 5000000\r\n\r\n");
        client.send(big);
    });
    const Answer answer = client.read();
    sender.join();
    EXPECT_EQ(answer.status, 200);
    EXPECT_TRUE(answer.body == big);
}

void echo_tunnel(Backend::Peer& peer) {
    std::string head;
    peer.head(head);
    peer.send(websocket_answer);
    char bytes[4096];
    for (ssize_t got = 0; (got = ::recv(peer.fd, bytes, sizeof bytes, 0)) > 0;) {
        peer.send({bytes, static_cast<std::size_t>(got)});
    }
}

std::string upgrade_of(const std::string& app) {
    return "GET /apps/" + app + "/ws HTTP/1.1\r\nHost: localhost\r\n" + websocket_lines +
           session_cookie + "\r\n";
}

class SocketLinks : public Links {
  protected:
    SocketLinks() : Links(echo_tunnel) {}
};

TEST_F(SocketLinks, AWebSocketWorksThroughThreeTiersUpAndDown) {
    for (const auto& [tier, app] :
         {std::pair<Tier*, std::string>{&tokyo_, "top"}, {&upper_, "low"}}) {
        Client client(tier->port());
        client.send(upgrade_of(app));
        ASSERT_EQ(client.read(true).status, 101) << app;
        client.send("ping");
        EXPECT_EQ(client.read_bytes(4), "ping");
    }
}

TEST_F(SocketLinks, WhatALongExchangeMovesIsCountedWhileItGoesOn) {
    Client client(tokyo_.port());
    client.send(upgrade_of("top"));
    ASSERT_EQ(client.read(true).status, 101);
    const LinkBytes begun = tokyo_.counters().parent;
    for (std::uint64_t words = 1; words <= 3; ++words) {
        client.send("ping");
        EXPECT_EQ(client.read_bytes(4), "ping");
        const LinkBytes now = tokyo_.counters().parent;
        EXPECT_EQ(now.out - begun.out, 4 * words);
        EXPECT_EQ(now.in - begun.in, 4 * words);
    }
}

Settings soon_unused() {
    Settings settings;
    settings.upstream_idle_ms = 100;
    return settings;
}

class BusyLinks : public Links {
  protected:
    BusyLinks() : Links(echo_tunnel, soon_unused()) {}
};

TEST_F(BusyLinks, ReversedConnectionsThatABurstBroughtAreClosedAgainDownToTheFewThatWait) {
    std::vector<std::unique_ptr<Client>> clients;
    for (int i = 0; i < 12; ++i) {
        clients.push_back(std::make_unique<Client>(center_.port()));
        clients.back()->send(upgrade_of("low"));
        ASSERT_EQ(clients.back()->read(true).status, 101) << i;
    }
    // Each in use at once made the child park more; now all are idle and those are too many.
    for (int i = 0; i < 1'000'000 && center_.counters().parked < 4; ++i) {
        std::this_thread::yield();
    }
    ASSERT_GE(center_.counters().parked, 4U);
    clients.clear();
    for (int i = 0; i < 10'000'000 && center_.counters().parked != Settings{}.parked_min; ++i) {
        std::this_thread::yield();
    }
    EXPECT_EQ(center_.counters().parked, Settings{}.parked_min);
    Client again(center_.port());
    again.send(upgrade_of("low"));
    EXPECT_EQ(again.read(true).status, 101);
}

// Accepts, and never says a word: TLS handshakes begin there and end by the time limit.
class SilentParent {
  public:
    SilentParent()
        : backend_([](Backend::Peer& peer) {
              char byte = 0;
              while (::recv(peer.fd, &byte, 1, 0) > 0) {
              }
          }) {}
    int port() const { return backend_.port(); }
    int connections() const { return backend_.connections; }

  private:
    Backend backend_;
};

Settings few_connects() {
    Settings settings;
    settings.connecting_an_endpoint_max = 4;
    settings.connect_ms = 400;
    return settings;
}

TEST(Burst, ConnectsToOneAddressAreMadeAFewAtATimeAndTheOthersHearAtOnceThatNobodyAnswers) {
    TestRealm realm;
    SilentParent parent;
    Tier tokyo("tokyo", few_connects(), &realm);
    tokyo.spec.has_parent = true;
    tokyo.publish();
    tokyo.join(parent.port());
    std::vector<std::unique_ptr<Client>> clients;
    for (int i = 0; i < 40; ++i) {
        clients.push_back(std::make_unique<Client>(tokyo.port()));
        clients.back()->send("GET /apps/all/ HTTP/1.1\r\nHost: localhost\r\n\r\n");
    }
    for (auto& client : clients) {
        EXPECT_EQ(client->read().status, 503);
    }
    EXPECT_LE(parent.connections(), 4 + 1) << "and the one of the link itself";
}

class BurstLinks : public Links {
  protected:
    BurstLinks() : Links(echo_head(), few_connects()) {}
};

TEST_F(BurstLinks, RequestsBeyondTheConnectsUnderWayAreServedOnConnectionsThatBecomeFree) {
    std::vector<std::unique_ptr<Client>> clients;
    for (int i = 0; i < 100; ++i) {
        clients.push_back(std::make_unique<Client>(tokyo_.port()));
        clients.back()->send("GET /apps/top/ HTTP/1.1\r\nHost: localhost\r\n" + session_cookie +
                             "\r\n");
    }
    for (auto& client : clients) {
        EXPECT_EQ(client->read().status, 200);
    }
}

} // namespace
} // namespace hasp::passon::testing
