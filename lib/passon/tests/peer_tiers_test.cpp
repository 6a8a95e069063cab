// Two centers beside each other, and a local below one of them, over real TLS links on loopback.
#include "harness.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <poll.h>
#include <sys/socket.h>

namespace hasp::passon::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const std::string mias_sid = "0123456789abcdef0123456789abcdef";

// tokyo → east ⇄ (gate) ⇄ west. West holds "books"; east asks there for it.
class PeerTiers : public ::testing::Test {
  protected:
    explicit PeerTiers(const std::function<void(Backend::Peer&)>& serve = echo_head())
        : backend_(serve), west_("west", {}, &realm_), east_("east", {}, &realm_),
          gate_(west_.link_port()), tokyo_("tokyo", {}, &realm_) {
        west_.add_upstream("books", backend_.port(), registry::Access::users);
        west_.add_upstream("open", backend_.port(), registry::Access::open);
        for (const char* there : {"books", "open"}) {
            east_.add(aside(there, "@west"));
        }
        tokyo_.spec.has_parent = true;
        for (Tier* tier : {&west_, &east_, &tokyo_}) {
            tier->publish();
            tier->keeper.know("cookie:secret", person("mia", {"books", "open"}));
        }
        east_.keeper.know("link:tokyo:" + mias_sid, person("mia", {"books", "open"}));
        Identity there = person("mia@east", {"books"});
        there.sid.clear();
        west_.keeper.know("peer:@east:word-of-mia-for-books", there);
        east_.keeper.on_assertion =
            [](const AssertionQuestion& question) -> Result<AssertionAnswer> {
            return AssertionAnswer{"word-of-" + question.user + "-for-" + question.app, INT64_MAX};
        };
        know(east_, {{"west", gate_.port()}});
        know(west_, {{"east", east_.link_port()}});
    }
    static registry::AppSpec aside(const std::string& name, const std::string& peer) {
        registry::AppSpec app;
        app.name = name;
        app.route = registry::Route::peer;
        app.child = peer;
        return app;
    }
    // Certificates of those that are listed are a peer's, all others a child's.
    void know(Tier& tier, const std::map<std::string, int>& peers) {
        const TestRealm::Leaf leaf = realm_.issue(&tier == &east_ ? "east" : "west");
        net::ClientTls client;
        client.ca_pem = realm_.ca_pem;
        client.chain_pem = leaf.chain_pem;
        client.key_pem = leaf.key_pem;
        client.between_tiers = true;
        const auto context = net::TlsContext::client(client);
        ASSERT_TRUE(context.ok());
        const NamePeer name = [peers](const std::vector<std::string>& chain) {
            Result<std::string> plain = TestRealm::name_of(chain);
            if (plain && peers.contains(*plain)) {
                return Result<std::string>("@" + *plain);
            }
            return plain && *plain == "tokyo"
                       ? plain
                       : Result<std::string>(fail(Code::refused, "not a neighbour"));
        };
        std::vector<PeerLink> links;
        for (const auto& [peer, port] : peers) {
            links.push_back({"@" + peer, {"127.0.0.1:" + std::to_string(port)}, *context, name});
        }
        tier.on_loop([&](Engine& engine) {
            LinkCredentials children;
            children.name_child = name;
            engine.set_link(children);
            engine.set_peers(links);
        });
    }
    Answer books(Tier& tier, const std::string& more = session_cookie) {
        return Client(tier.port()).get("/apps/books/shelf", more);
    }

    TestRealm realm_;
    Backend backend_;
    Tier west_;
    Tier east_;
    Gate gate_;
    Tier tokyo_;
};

TEST_F(PeerTiers, WhatAPeerHoldsIsServedByItToTheUsersOfThisTierAndOfThoseBelow) {
    const Answer here = books(east_);
    EXPECT_EQ(here.status, 200) << here.head;
    tokyo_.join(east_.link_port());
    ASSERT_TRUE(tokyo_.keeper.wait([](FakeKeeper& k) { return k.up(); }));
    const Answer below = books(tokyo_);
    ASSERT_EQ(below.status, 200) << below.head;
    EXPECT_THAT(below.body, HasSubstr("GET /shelf HTTP/1.1"));
    EXPECT_THAT(below.body, HasSubstr("Remote-User: mia@east"));
    EXPECT_THAT(below.body, HasSubstr("CDN-Loop: tokyo, east, west"));
    EXPECT_THAT(west_.access_log(), HasSubstr(R"("from":"peer")"));
    EXPECT_THAT(east_.access_log(), HasSubstr(R"("served":"peer")"));
}

TEST_F(PeerTiers, ThePeerIsToldNeitherTheSessionNorTheAddressNorMoreThanTheUsersName) {
    Settings behind_a_proxy;
    behind_a_proxy.proxies_say = ProxySays::x_forwarded;
    ASSERT_TRUE(behind_a_proxy.proxies.add("127.0.0.1").ok());
    east_.on_loop([&](Engine& engine) { engine.set_settings(behind_a_proxy); });
    const Answer answer = books(east_, session_cookie + "X-Forwarded-For: 203.0.113.7\r\n");
    ASSERT_EQ(answer.status, 200);
    EXPECT_THAT(answer.body, Not(HasSubstr("hasp-")));
    EXPECT_THAT(answer.body, Not(HasSubstr("203.0.113.7")));
    EXPECT_THAT(answer.body, HasSubstr("X-Forwarded-For: 127.0.0.1")) << "of the peer";
    EXPECT_THAT(east_.access_log(), HasSubstr("203.0.113.7"));
    EXPECT_THAT(west_.access_log(), Not(HasSubstr("203.0.113.7")));
    EXPECT_THAT(west_.access_log(), Not(HasSubstr(mias_sid)));
}

TEST_F(PeerTiers, APasswordOrTokenBesideTheSessionDoesNotReachThePeer) {
    const Answer answer = books(east_, session_cookie + "Authorization: Basic bWlhOmE=\r\n");
    EXPECT_EQ(answer.status, 200);
    EXPECT_THAT(answer.body, Not(HasSubstr("Authorization")));
}

TEST_F(PeerTiers, APeerIsNotToldWhyAnAppOfOursCannotBeReached) {
    west_.spec.apps.clear();
    west_.add_upstream("books", 1, registry::Access::users);
    west_.publish();
    const Answer there = Client(west_.port()).get("/apps/books/shelf", session_cookie);
    EXPECT_EQ(there.status, 503);
    EXPECT_THAT(there.body, HasSubstr("127.0.0.1"));
    const Answer aside = books(east_);
    EXPECT_EQ(aside.status, 503);
    EXPECT_THAT(aside.body, Not(HasSubstr("127.0.0.1")));
}

TEST_F(PeerTiers, APeerCannotSayThatOurUserGuessesOrThatOurKeeperIsAway) {
    for (const Code code : {Code::try_later, Code::failed}) {
        west_.keeper.on_who = [code](const WhoQuestion&) -> WhoAnswer {
            return fail(code, "what the west says");
        };
        const Answer answer = books(east_);
        EXPECT_EQ(answer.status, 502);
        EXPECT_THAT(answer.body, Not(HasSubstr("what the west says")));
    }
}

TEST_F(PeerTiers, AHundredRequestsAskEachKeeperOnce) {
    Client client(east_.port());
    for (int i = 0; i < 100; ++i) {
        ASSERT_EQ(client.get("/apps/books/shelf", session_cookie).status, 200);
    }
    EXPECT_EQ(east_.keeper.assertion_questions, 1);
    EXPECT_EQ(west_.keeper.who_questions, 1);
    EXPECT_EQ(east_.counters().upstream_opened, 1U);
}

TEST_F(PeerTiers, WithoutASessionNobodyIsPassedOnAndWhoIsNotEntitledFindsNothing) {
    EXPECT_EQ(books(east_, "").status, 401);
    east_.keeper.know("bearer:other", person("ben", {"diary"}));
    EXPECT_EQ(books(east_, "Authorization: Bearer other\r\n").status, 404);
    EXPECT_EQ(east_.keeper.assertion_questions, 0);
    EXPECT_THAT(west_.access_log(), Not(HasSubstr("books")));
}

TEST_F(PeerTiers, AnAssertionThatThePeersKeeperDoesNotAcceptIsAnswered404) {
    east_.keeper.on_assertion = [](const AssertionQuestion&) -> Result<AssertionAnswer> {
        return AssertionAnswer{"forged", INT64_MAX};
    };
    EXPECT_EQ(books(east_).status, 404);
    EXPECT_EQ(backend_.connections, 0);
    EXPECT_EQ(west_.counters().identities, 0U) << "nor does it push out those who are known";
}

TEST_F(PeerTiers, AnAssertionIsGoodForItsAppAloneAndAnOpenAppIsNotOpenToPeers) {
    EXPECT_EQ(Client(east_.port()).get("/apps/open/", session_cookie).status, 404);
    Identity there = person("mia@east", {"open"});
    west_.keeper.know("peer:@east:word-of-mia-for-open", there);
    east_.keeper.on_assertion = [](const AssertionQuestion&) -> Result<AssertionAnswer> {
        return AssertionAnswer{"word-of-mia-for-open", INT64_MAX};
    };
    EXPECT_EQ(books(east_).status, 404);
}

TEST_F(PeerTiers, WhatAUserSendsUnderThePeersNamesReachesNobody) {
    const Answer answer =
        books(east_, session_cookie + "hasp-assertion: word-of-ben\r\nhasp-user: ben\r\n");
    EXPECT_EQ(answer.status, 200);
    EXPECT_THAT(answer.body, Not(HasSubstr("ben")));
}

TEST_F(PeerTiers, TwoThatAskEachOtherForTheSameAppEndTheRequestAtTheSecond) {
    west_.spec.apps.clear();
    west_.add(aside("books", "@east"));
    west_.publish();
    EXPECT_EQ(books(east_).status, 404);
    EXPECT_EQ(west_.keeper.assertion_questions, 0);
}

TEST_F(PeerTiers, APeerThatIsRemovedIsCutOffAtOnceInBothDirections) {
    ASSERT_EQ(books(east_).status, 200);
    know(west_, {});
    EXPECT_EQ(west_.counters().identities, 0U);
    EXPECT_EQ(books(east_).status, 503);
    EXPECT_TRUE(east_.keeper.wait([](FakeKeeper& k) { return !k.peers["@west"].up; }))
        << "though each connection begins well";
    know(west_, {{"east", east_.link_port()}});
    know(east_, {});
    EXPECT_EQ(books(east_).status, 503);
}

TEST_F(PeerTiers, AStrangerAtThePeersAddressGetsNoRequest) {
    Tier stranger("north", {}, &realm_);
    stranger.add_upstream("books", backend_.port(), registry::Access::open);
    stranger.publish();
    know(east_, {{"west", stranger.link_port()}});
    EXPECT_EQ(books(east_).status, 503);
    EXPECT_TRUE(east_.keeper.wait([](FakeKeeper& k) { return !k.peers["@west"].why.empty(); }));
    EXPECT_EQ(backend_.connections, 0);
}

TEST_F(PeerTiers, WhileThePeerCannotBeReachedThatIsSaidWithTheTimeAndItComesBackByItself) {
    gate_.cut();
    const Answer down = books(east_);
    EXPECT_EQ(down.status, 503);
    EXPECT_THAT(down.body, HasSubstr("Since "));
    EXPECT_TRUE(east_.keeper.wait(
        [](FakeKeeper& k) { return k.peers.contains("@west") && !k.peers["@west"].up; }));
    gate_.open();
    Answer again;
    for (int i = 0; i < 200 && again.status != 200; ++i) {
        ::poll(nullptr, 0, 50);
        again = books(east_);
    }
    EXPECT_EQ(again.status, 200);
    EXPECT_TRUE(east_.keeper.wait([](FakeKeeper& k) { return k.peers["@west"].up; }));
}

TEST_F(PeerTiers, TheServingTierMetersThePeersUserUnderHisNameThere) {
    ASSERT_EQ(books(east_).status, 200);
    const auto records = west_.usage();
    ASSERT_EQ(records.size(), 1U);
    EXPECT_EQ(billing::name_of(records[0].user), "mia@east");
    EXPECT_EQ(billing::name_of(records[0].peer), "@east");
    EXPECT_EQ(records[0].served, billing::Served::here);
}

TEST_F(PeerTiers, APeerGetsNoControlStreamAndSoParksNoConnection) {
    east_.on_loop([&](Engine& engine) {
        LinkCredentials credentials;
        const TestRealm::Leaf leaf = realm_.issue("east");
        net::ClientTls client{realm_.ca_pem, false, leaf.chain_pem, leaf.key_pem, {}, {}, true};
        credentials.client = *net::TlsContext::client(client);
        credentials.name_parent = TestRealm::name_of;
        credentials.parent_addresses = {"127.0.0.1:" + std::to_string(west_.link_port())};
        engine.set_link(credentials);
    });
    EXPECT_TRUE(east_.keeper.wait([](FakeKeeper& k) { return k.down(); }));
    EXPECT_TRUE(west_.keeper.wait([](FakeKeeper& k) { return k.controls.empty(); }));
    EXPECT_EQ(west_.counters().parked, 0U);
}

class PeerPages : public PeerTiers {
  protected:
    PeerPages()
        : PeerTiers([](Backend::Peer& peer) {
              std::string head;
              while (peer.head(head)) {
                  peer.send("HTTP/1.1 200 OK\r\nService-Worker-Allowed: /\r\nClear-Site-Data: "
                            "\"*\"\r\nX-Own: kept\r\nContent-Length: 2\r\n\r\nok");
              }
          }) {}
};

TEST_F(PeerPages, APeersAnswerReachesIntoNoOtherPathAndClearsNothingInTheBrowser) {
    const Answer own = Client(west_.port()).get("/apps/books/shelf", session_cookie);
    EXPECT_EQ(own.header("service-worker-allowed"), "/");
    const Answer aside = books(east_);
    ASSERT_EQ(aside.status, 200);
    EXPECT_EQ(aside.header("x-own"), "kept");
    EXPECT_EQ(aside.header("service-worker-allowed"), "");
    EXPECT_EQ(aside.header("clear-site-data"), "");
}

class PeerSockets : public PeerTiers {
  protected:
    PeerSockets()
        : PeerTiers([](Backend::Peer& peer) {
              std::string head;
              while (peer.head(head)) {
                  peer.send(websocket_answer + "hello");
                  char byte = 0;
                  while (::recv(peer.fd, &byte, 1, 0) > 0) {
                  }
              }
          }) {}
};

TEST_F(PeerSockets, AWebSocketGoesToThePeerAndEndsWhenThePeerIsRemoved) {
    Client client(east_.port());
    client.send("GET /apps/books/live HTTP/1.1\r\nHost: localhost\r\n" + session_cookie +
                websocket_lines + "\r\n");
    EXPECT_EQ(client.read(true).status, 101);
    EXPECT_EQ(client.read_bytes(5), "hello");
    west_.publish(); // every open tunnel is looked at
    west_.on_loop([](Engine&) {});
    EXPECT_EQ(west_.counters().tunnels, 1U);
    know(west_, {});
    EXPECT_TRUE(client.closed());
}

TEST_F(PeerSockets, APeerHasNoMoreConnectionsThanItsShare) {
    Settings few;
    few.connections_a_peer_max = 1;
    west_.on_loop([&](Engine& engine) { engine.set_settings(few); });
    const std::string live = "GET /apps/books/live HTTP/1.1\r\nHost: localhost\r\n" +
                             session_cookie + websocket_lines + "\r\n";
    Client first(east_.port());
    first.send(live);
    EXPECT_EQ(first.read(true).status, 101);
    Client second(east_.port());
    second.send(live);
    EXPECT_EQ(second.read().status, 503);
    EXPECT_EQ(west_.counters().refused_connections, 1U);
}

} // namespace
} // namespace hasp::passon::testing
