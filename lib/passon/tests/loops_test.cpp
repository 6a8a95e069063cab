// A front with several loops: one engine on a thread each.
#include "dialer.h"
#include "looped.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <thread>
#include <vector>

namespace hasp::passon::testing {
namespace {

using ::testing::HasSubstr;

// The child holds the app "low", which the front passes on to it.
void join_child(Looped& front, Tier& child, Backend& backend) {
    child.spec.has_parent = true;
    child.add_upstream("low", backend.port(), registry::Access::users);
    child.publish();
    child.keeper.know("cookie:secret", person("anna", {"low"}));
    front.route_to(child, "low");
}

TEST(Loops, EachGetsItsShareOfTheConnectionsAndAnswersThem) {
    Backend backend(echo_head());
    Looped front;
    front.add_app("wiki", {backend.port()});
    auto clients = front.clients(2 * loops);
    for (const auto& one : clients) {
        EXPECT_EQ(one->get("/apps/wiki/x", session_cookie).status, 200);
    }
    for (std::size_t i = 1; i < loops; ++i) {
        EXPECT_GE(front.counters(i).connections, 1U) << "loop " << i;
        EXPECT_EQ(front.counters(i).requests, front.counters(i).connections) << "loop " << i;
    }
    EXPECT_EQ(front.keeper.who_questions, static_cast<int>(loops))
        << "each asks for itself who that is, by way of the home";
}

TEST(Loops, AConnectionThatOneLoopHasIdleIsUsedByTheOthersBeforeTheyDial) {
    Backend backend(echo_head());
    Looped front;
    front.add_app("wiki", {backend.port()});
    auto clients = front.clients(3 * loops);
    for (int round = 0; round < 3; ++round) {
        for (const auto& one : clients) {
            ASSERT_EQ(one->get("/apps/wiki/x", session_cookie).status, 200);
            front.settle();
        }
    }
    EXPECT_EQ(backend.connections, 1) << "one at a time needs one connection, whichever loop asks";
}

TEST(Loops, NoneKeepsAConnectionOfANeighbourThatWasCutOff) {
    TestRealm realm;
    Backend backend(echo_head());
    Looped front({}, &realm);
    Tier child("tokyo", {}, &realm);
    join_child(front, child, backend);
    auto clients = front.clients(loops);
    for (const auto& one : clients) {
        EXPECT_EQ(one->get("/apps/low/x", session_cookie).status, 200);
    }
    front.everywhere([](Engine& engine) { engine.close_link("tokyo"); });
    std::size_t parked = 0;
    for (std::size_t i = 1; i < loops; ++i) {
        parked += front.counters(i).parked;
    }
    EXPECT_EQ(parked, 0U) << "no loop keeps a connection of who was cut off";
}

TEST(Loops, NoneUsesAConnectionToAProcessThatWasReplacedAndAllSayWhenTheyAreDone) {
    Backend old([](Backend::Peer& peer) {
        std::string head;
        std::string body;
        while (peer.request(head, body)) {
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nold");
        }
    });
    Backend young(echo_head());
    const Folder folder;
    ASSERT_TRUE(make_folders(folder.path + "/notes").ok());
    Looped front;
    registry::AppSpec app;
    app.name = "notes";
    app.route = registry::Route::here;
    app.kind = registry::Kind::process;
    app.access = registry::Access::open;
    app.dial_path = folder.path;
    front.spec.apps.push_back(app);
    front.publish();
    const std::string path = folder.path + "/notes.sock";
    auto dialer = std::make_unique<Dialer>(path, old.port());
    auto clients = front.clients(loops);
    for (const auto& one : clients) {
        ASSERT_EQ(one->get("/apps/notes/").body, "old");
        front.settle();
    }
    EXPECT_EQ(old.connections, 1);
    dialer.reset();
    ::unlink(path.c_str());
    const Dialer next(path, young.port());
    std::atomic<std::size_t> done{0};
    front.everywhere([&](Engine& engine) { engine.retire(path, false, [&] { ++done; }); });
    front.settle(); // what ends inside its own callback is counted out behind the round
    EXPECT_EQ(done, loops);
    for (const auto& one : clients) {
        EXPECT_THAT(one->get("/apps/notes/").body, HasSubstr("GET / HTTP/1.1"));
        front.settle();
    }
    EXPECT_EQ(old.connections, 1);
    EXPECT_EQ(young.connections, 1);
}

// The home opens the link; who asks elsewhere need not wait for its pauses.
TEST(Loops, ARequestAtAnotherLoopMakesTheHomesLinkKnock) {
    TestRealm realm;
    Backend backend(echo_head());
    Tier center("center", {}, &realm);
    center.add_upstream("all", backend.port(), registry::Access::open);
    center.publish();
    Gate gate(center.link_port());
    Settings settings;
    settings.probe_ms_max = 10; // a probe is due at once
    Looped front(settings);
    front.spec.has_parent = true;
    front.publish();
    front.join(realm, gate.port());
    ASSERT_TRUE(front.keeper.wait([](FakeKeeper& k) { return k.up(); }));
    auto clients = front.clients(loops);
    Client* away = nullptr;
    for (const auto& one : clients) {
        const std::uint64_t at_home = front.counters(0).requests;
        EXPECT_EQ(one->get("/apps/all/").status, 200);
        away = front.counters(0).requests == at_home ? one.get() : away;
    }
    ASSERT_NE(away, nullptr);
    gate.cut();
    ASSERT_TRUE(front.keeper.wait([](FakeKeeper& k) { return k.down(); }));
    ::poll(nullptr, 0, 3'000); // the link's pauses are a second and more by then
    gate.open();
    int status = 0;
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < 1'000 && status != 200; ++i) {
        ::poll(nullptr, 0, 5);
        status = away->get("/apps/all/").status;
    }
    EXPECT_EQ(status, 200);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(900));
}

// More requests at once than the child has parked, from every loop: each waits for its turn.
TEST(Loops, EveryLoopReachesAChildByTheConnectionsThatItHasParkedAtTheHome) {
    TestRealm realm;
    Backend backend(echo_head());
    Settings settings;
    settings.parked_min = 1;
    settings.parked_max = 2;
    Looped front(settings, &realm);
    Tier child("tokyo", settings, &realm);
    join_child(front, child, backend);

    std::vector<std::thread> users;
    std::atomic<int> failures{0};
    for (std::size_t i = 0; i < 3 * loops; ++i) {
        users.emplace_back([&] {
            Client client(front.port());
            for (int n = 0; n < 25; ++n) {
                const Answer answer = client.get("/apps/low/x", session_cookie);
                failures += answer.status == 200 ? 0 : 1;
            }
        });
    }
    for (std::thread& one : users) {
        one.join();
    }
    EXPECT_EQ(failures, 0);
}

TEST(Loops, WhatOneHasStoredAllGiveAndWhatOneChangesNoneGivesAgain) {
    std::atomic<int> asked{0};
    Backend backend([&asked](Backend::Peer& peer) {
        std::string head;
        std::string body;
        while (peer.request(head, body)) {
            const std::string text = "page " + std::to_string(++asked);
            peer.send("HTTP/1.1 200 OK\r\nCache-Control: public, max-age=600\r\nContent-Length: " +
                      std::to_string(text.size()) + "\r\n\r\n" + text);
        }
    });
    Looped front;
    front.add_app("open", {backend.port()}, registry::Access::open);
    const Fd file(::memfd_create("cache", MFD_CLOEXEC));
    front.on_loop(0, [&](Engine& engine) {
        EXPECT_TRUE(engine.set_cache(Fd(::dup(file.get())), 8 << 20).ok());
    });
    front.settle();
    auto clients = front.clients(2 * loops);
    for (const auto& one : clients) {
        EXPECT_EQ(one->get("/apps/open/x").body, "page 1");
        front.settle();
    }
    clients[0]->send("POST /apps/open/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
    EXPECT_EQ(clients[0]->read().body, "page 2");
    front.settle();
    for (const auto& one : clients) {
        EXPECT_EQ(one->get("/apps/open/x").body, "page 3");
        front.settle();
    }
    front.everywhere([](Engine& engine) { EXPECT_TRUE(engine.leave_cache()); });
    EXPECT_EQ(clients[1]->get("/apps/open/x").body, "page 4") << "nobody has the file any more";
}

TEST(Loops, ALimitOfConnectionsHoldsForAllOfThemTogether) {
    Settings settings;
    settings.connections_max = 6;
    Backend backend(echo_head());
    Looped front(settings);
    front.add_app("wiki", {backend.port()});
    auto clients = front.clients(6);
    for (const auto& one : clients) {
        EXPECT_EQ(one->get("/apps/wiki/x", session_cookie).status, 200);
    }
    Client beyond(front.port());
    EXPECT_TRUE(beyond.closed());
    clients.pop_back();
    // When the loop has seen its end there is room again.
    int status = 0;
    for (int tries = 0; tries < 1'000 && status != 200; ++tries) {
        Client again(front.port());
        status = again.try_send("") ? again.get("/apps/wiki/x", session_cookie).status : 0;
        ::poll(nullptr, 0, 5);
    }
    EXPECT_EQ(status, 200);
}

TEST(Loops, WhatOneFindsOutOfAnAddressAllKnow) {
    // Bound and not listened on: nobody answers, and nobody else gets the port.
    const Fd bound(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    ASSERT_EQ(::bind(bound.get(), reinterpret_cast<const sockaddr*>(&address), size), 0);
    ASSERT_EQ(::getsockname(bound.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
    Looped front;
    front.add_app("wiki", {ntohs(address.sin_port)});
    auto clients = front.clients(loops);
    EXPECT_EQ(clients[0]->get("/apps/wiki/x", session_cookie).status, 503);
    ASSERT_TRUE(front.keeper.wait([](FakeKeeper& k) {
        return k.upstreams.contains("wiki") && !k.upstreams["wiki"].addresses.empty() &&
               !k.upstreams["wiki"].addresses[0].up;
    }));
    // Nobody tries it again for half a second, and so the others must have been told.
    std::uint64_t opened = 0;
    front.settle();
    for (const auto& one : clients) {
        EXPECT_EQ(one->get("/apps/wiki/x", session_cookie).status, 503);
    }
    for (std::size_t i = 1; i < loops; ++i) {
        opened += front.counters(i).upstream_opened;
    }
    EXPECT_LE(opened, 2U) << "the first found out, and at most one tried again";
}

TEST(Loops, TheMetricsOfTheHomeAreThoseOfAll) {
    Settings settings;
    settings.access_flush_ms = 10;
    Backend backend(echo_head());
    Looped front(settings);
    front.add_app("wiki", {backend.port()});
    auto clients = front.clients(2 * loops);
    for (const auto& one : clients) {
        ASSERT_EQ(one->get("/apps/wiki/x", session_cookie).status, 200);
        front.settle();
    }
    const std::string line = "hasp_requests_total{app=\"wiki\",served=\"here\",code=\"2xx\"} " +
                             std::to_string(2 * loops) + "\n";
    std::string text;
    for (int tries = 0; tries < 1'000 && text.find(line) == std::string::npos; ++tries) {
        text = Client(front.metrics_port()).get("/metrics").body;
        ::poll(nullptr, 0, 5);
    }
    EXPECT_THAT(text, HasSubstr(line));
    EXPECT_THAT(text, HasSubstr("hasp_upstream_connections_total 1\n"));
}

TEST(Loops, AnIdentityThatIsDroppedIsUnknownAtEachOfThem) {
    Backend backend(echo_head());
    Looped front;
    front.add_app("wiki", {backend.port()});
    auto clients = front.clients(loops);
    for (const auto& one : clients) {
        ASSERT_EQ(one->get("/apps/wiki/x", session_cookie).status, 200);
    }
    front.keeper.forget("cookie:secret");
    front.everywhere([](Engine& engine) { engine.drop_identities({"", "anna", ""}); });
    for (const auto& one : clients) {
        EXPECT_NE(one->get("/apps/wiki/x", session_cookie).status, 200);
    }
}

TEST(Loops, AllOfThemDrainAndNoneIsLeft) {
    Backend backend(echo_head());
    Looped front;
    front.add_app("wiki", {backend.port()});
    auto clients = front.clients(2 * loops);
    for (const auto& one : clients) {
        ASSERT_EQ(one->get("/apps/wiki/x", session_cookie).status, 200);
    }
    front.everywhere([](Engine& engine) { engine.drain(); });
    for (const auto& one : clients) {
        EXPECT_TRUE(one->closed());
    }
    front.everywhere([](Engine& engine) { EXPECT_TRUE(engine.idle()); });
}

// For ThreadSanitizer: everything at once.
TEST(Loops, RequestsGoOnWhileEverythingIsChangedUnderThem) {
    Backend backend(echo_head());
    Looped front;
    front.add_app("wiki", {backend.port()});
    std::atomic<bool> stop{false};
    std::atomic<int> failures{0};
    std::atomic<int> served{0};
    std::vector<std::thread> users;
    for (std::size_t i = 0; i < 2 * loops; ++i) {
        users.emplace_back([&, i] {
            while (!stop) {
                Client client(front.port());
                for (std::size_t n = 0; n < 10 + i; ++n) {
                    const Answer answer = client.get("/apps/wiki/x", session_cookie);
                    failures += answer.status == 200 ? 0 : 1;
                    ++served;
                }
            }
        });
    }
    for (int round = 0; round < 50; ++round) {
        front.publish();
        front.everywhere([](Engine& engine) { engine.drop_identities({"", "anna", ""}); });
        Client(front.metrics_port()).get("/metrics");
    }
    stop = true;
    for (std::thread& one : users) {
        one.join();
    }
    EXPECT_EQ(failures, 0);
    EXPECT_GT(served, 0);
    EXPECT_LE(backend.connections, static_cast<int>(4 * loops)) << served << " requests";
}

} // namespace
} // namespace hasp::passon::testing
