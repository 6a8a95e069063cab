// A parent that cannot be reached, or that moves: who waits for that, and who does not.
#include "core.h"
#include "endpoint.h"
#include "harness.h"
#include "link_socket.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <poll.h>

#include <algorithm>
#include <array>

namespace hasp::passon::testing {
namespace {

using ::testing::HasSubstr;

// Connections are made there and nobody ever says a word: a try ends by its time limit.
class SilentAddress {
  public:
    SilentAddress() : port_(listen_loopback(listener_)) {}
    int port() const { return port_; }

  private:
    Fd listener_;
    int port_;
};

std::int64_t took_ms(const std::function<void()>& what) {
    SystemClock clock;
    const std::int64_t before = clock.boot_us();
    what();
    return (clock.boot_us() - before) / 1000;
}

Settings soon_probed(std::int64_t connect_ms) {
    Settings settings;
    settings.connect_ms = connect_ms;
    settings.probe_ms_max = 50;
    return settings;
}

TEST(ParentDown, BeforeASilentAddressNoRequestWaitsWhileTheLinkKnocksThere) {
    constexpr std::int64_t connect_ms = 1'000;
    TestRealm realm;
    SilentAddress first;
    SilentAddress second;
    Tier tokyo("tokyo", soon_probed(connect_ms), &realm);
    tokyo.spec.has_parent = true;
    tokyo.publish();
    tokyo.join({first.port(), second.port()});
    ASSERT_TRUE(tokyo.keeper.wait([](FakeKeeper& k) { return k.down(); }));
    std::int64_t longest = 0;
    Client client(tokyo.port());
    for (int i = 0; i < 50; ++i) {
        longest = std::max(longest, took_ms([&] {
                               const Answer answer = client.get("/apps/all/");
                               EXPECT_EQ(answer.status, 503);
                               EXPECT_THAT(answer.body, HasSubstr("Since 20"));
                           }));
        ::poll(nullptr, 0, 20); // many times longer than a probe is due after
    }
    EXPECT_LT(longest, connect_ms / 2);
    EXPECT_EQ(tokyo.counters().upstream_opened, 0U) << "no request tried for itself";
}

// center ← (gate) ← tokyo, which has not joined yet.
class TwoTiers : public ::testing::Test {
  protected:
    TwoTiers()
        : backend_(echo_head()), center_("center", {}, &realm_), gate_(center_.link_port()),
          tokyo_("tokyo", soon_probed(5'000), &realm_) {
        tokyo_.spec.has_parent = true;
        center_.add_upstream("all", backend_.port(), registry::Access::open);
        center_.publish();
        tokyo_.publish();
    }

    TestRealm realm_;
    Backend backend_;
    Tier center_;
    Gate gate_;
    Tier tokyo_;
};

TEST_F(TwoTiers, WhileTheParentsNameIsLookedUpRequestsWaitForIt) {
    tokyo_.join(std::vector<int>{});
    Client client(tokyo_.port());
    client.send("GET /apps/all/ HTTP/1.1\r\nHost: localhost\r\n\r\n");
    pollfd answered{client.fd(), POLLIN, 0};
    EXPECT_EQ(::poll(&answered, 1, 100), 0) << "it is not refused";
    tokyo_.move({gate_.port()});
    EXPECT_EQ(client.read().status, 200);
}

TEST_F(TwoTiers, ANameThatIsNotFoundIsSaidToThoseWhoWait) {
    Tier osaka("osaka", soon_probed(200), &realm_);
    osaka.spec.has_parent = true;
    osaka.publish();
    osaka.join(std::vector<int>{});
    const Answer answer = Client(osaka.port()).get("/apps/all/");
    EXPECT_EQ(answer.status, 503);
    EXPECT_THAT(answer.body, HasSubstr("no address of the parent is known"));
}

TEST_F(TwoTiers, ARequestMakesTheLinkKnockWhenThatWouldHaveWaitedLonger) {
    tokyo_.join(gate_.port());
    ASSERT_TRUE(tokyo_.keeper.wait([](FakeKeeper& k) { return k.up(); }));
    gate_.cut();
    ASSERT_TRUE(tokyo_.keeper.wait([](FakeKeeper& k) { return k.down(); }));
    ::poll(nullptr, 0, 1'500); // its own pauses are half a second and more by then
    gate_.open();
    Client client(tokyo_.port());
    int status = 0;
    const std::int64_t back_ms = took_ms([&] {
        for (int i = 0; i < 1'000 && status != 200; ++i) {
            ::poll(nullptr, 0, 5);
            status = client.get("/apps/all/").status;
        }
    });
    EXPECT_EQ(status, 200);
    EXPECT_LT(back_ms, 400);
}

// Addresses that the parent has told while the link stands.
class Moves : public TwoTiers {
  protected:
    Moves() : other_(center_.link_port()) {
        tokyo_.join(gate_.port());
        EXPECT_TRUE(reached(gate_.port()));
    }
    bool reached(int port) {
        return tokyo_.keeper.wait([&](FakeKeeper& k) {
            return k.up() && k.parent.back().reached == "127.0.0.1:" + std::to_string(port);
        });
    }
    std::size_t ups() {
        std::size_t count = 0;
        tokyo_.keeper.wait([&](FakeKeeper& k) {
            count = static_cast<std::size_t>(
                std::count_if(k.controls.begin(), k.controls.end(),
                              [](const auto& one) { return one.opened.to_parent; }));
            return true;
        });
        return count;
    }
    Gate other_;
};

TEST_F(Moves, AnAddressThatComesBeforeTheOneInUseIsTriedAndTheLinkStaysUp) {
    tokyo_.move({other_.port(), gate_.port()});
    EXPECT_TRUE(reached(other_.port()));
    EXPECT_EQ(ups(), 1U);
    EXPECT_EQ(Client(tokyo_.port()).get("/apps/all/").status, 200);
    gate_.cut();
    ASSERT_TRUE(tokyo_.keeper.wait([](FakeKeeper& k) { return k.controls.back().closed; }));
    EXPECT_TRUE(tokyo_.keeper.wait([&](FakeKeeper& k) {
        return k.up() && k.parent.back().address == "127.0.0.1:" + std::to_string(other_.port());
    })) << "the parent has moved";
}

TEST_F(Moves, AMistakeAmongThemCostsNoRequestAnything) {
    SilentAddress mistake;
    tokyo_.move({mistake.port(), gate_.port()});
    Client client(tokyo_.port());
    const std::int64_t longest = took_ms([&] {
        for (int i = 0; i < 20; ++i) {
            EXPECT_EQ(Client(tokyo_.port()).get("/apps/all/").status, 200);
        }
    });
    EXPECT_LT(longest, 5'000) << "less than one try of that address takes";
    EXPECT_TRUE(reached(gate_.port()));
}

TEST_F(Moves, AListInWhichTheAddressInUseIsNotEndsNoLink) {
    tokyo_.move({other_.port()});
    EXPECT_EQ(Client(tokyo_.port()).get("/apps/all/").status, 200);
    EXPECT_EQ(ups(), 1U);
    gate_.cut();
    EXPECT_TRUE(reached(other_.port()));
}

TEST_F(Moves, AddressesThatAllAreMistakesDisturbNothingWhereTheLinkStands) {
    EXPECT_EQ(Client(tokyo_.port()).get("/apps/all/").status, 200);
    const std::uint64_t opened = tokyo_.counters().upstream_opened;
    SilentAddress mistake;
    // As a keeper says that was started again: what its names stand for comes later.
    const std::vector<int> lists[] = {
        {}, {mistake.port()}, {mistake.port(), gate_.port()}, {mistake.port()}};
    const std::int64_t took = took_ms([&] {
        for (const std::vector<int>& list : lists) {
            tokyo_.move(list);
            EXPECT_EQ(Client(tokyo_.port()).get("/apps/all/").status, 200);
        }
        // More at once than are kept idle.
        std::vector<std::unique_ptr<Client>> clients;
        for (int i = 0; i < 5; ++i) {
            clients.push_back(std::make_unique<Client>(tokyo_.port()));
            clients.back()->send("GET /apps/all/ HTTP/1.1\r\nHost: localhost\r\n\r\n");
        }
        for (const auto& one : clients) {
            EXPECT_EQ(one->read().status, 200);
        }
    });
    EXPECT_LT(took, 5'000) << "less than one try of that address takes";
    EXPECT_LE(tokyo_.counters().upstream_opened, opened + 4) << "kept connections stay in use";
    EXPECT_EQ(ups(), 1U);
    EXPECT_TRUE(reached(gate_.port()));
}

TEST_F(TwoTiers, WithoutAControlStreamOfItsOwnALoopSaysSoTooWhenNoAddressIsFound) {
    Tier osaka("osaka", soon_probed(200), &realm_);
    osaka.part = LinkPart::reversed;
    osaka.spec.has_parent = true;
    osaka.publish();
    osaka.join(std::vector<int>{});
    const std::int64_t first = took_ms([&] {
        const Answer answer = Client(osaka.port()).get("/apps/all/");
        EXPECT_EQ(answer.status, 503);
        EXPECT_THAT(answer.body, HasSubstr("no address of the parent is known"));
    });
    EXPECT_LT(first, 2'000) << "as long as a connect may take, and not as a start";
    EXPECT_LT(took_ms([&] {
                  for (int i = 0; i < 10; ++i) {
                      EXPECT_EQ(Client(osaka.port()).get("/apps/all/").status, 503);
                  }
              }),
              1'000);
    osaka.move({gate_.port()});
    EXPECT_EQ(Client(osaka.port()).get("/apps/all/").status, 200) << "it is tried at once";
}

TEST_F(TwoTiers, WhoWaitsForAParentThatIsTakenAwayIsToldSo) {
    tokyo_.join(std::vector<int>{});
    Client client(tokyo_.port());
    client.send("GET /apps/all/ HTTP/1.1\r\nHost: localhost\r\n\r\n");
    pollfd answered{client.fd(), POLLIN, 0};
    EXPECT_EQ(::poll(&answered, 1, 100), 0);
    const std::int64_t took = took_ms([&] {
        tokyo_.on_loop([](Engine& engine) { engine.set_link({}); });
        EXPECT_EQ(client.read().status, 503);
    });
    EXPECT_LT(took, 2'000);
}

// Of `count` pauses up to `ms`: none is shorter than half of it, and each fifth of what is left to
// chance has its share.
void expect_spread(const std::vector<std::int64_t>& pauses, std::int64_t ms) {
    std::array<std::size_t, 5> fifths{};
    for (const std::int64_t pause : pauses) {
        ASSERT_GE(pause, ms / 2);
        ASSERT_LE(pause, ms);
        const std::int64_t fifth = (pause - ms / 2) * 5 / (ms - ms / 2 + 1);
        ++fifths.at(static_cast<std::size_t>(fifth));
    }
    for (const std::size_t share : fifths) {
        EXPECT_GT(share, pauses.size() / 10);
    }
}

TEST(ParentDown, ThePausesOfAThousandLocalsAreSpreadOverHalfOfThem) {
    for (const std::int64_t ms : {250, 60'000}) { // the link's first and its longest
        SeededRandom random(7);
        std::vector<std::int64_t> pauses(1'000);
        std::generate(pauses.begin(), pauses.end(),
                      [&] { return half_by_chance(ms, random.u64()); });
        expect_spread(pauses, ms);
    }
    EXPECT_EQ(half_by_chance(1, 5), 1);
    EXPECT_EQ(half_by_chance(0, 5), 0);
}

TEST(ParentDown, SoAreTheProbesOfWhatIsMarkedDown) {
    SystemClock clock;
    const auto reactor = std::move(*net::Reactor::create(clock));
    SeededRandom random(8);
    FakeKeeper keeper;
    AccessLog access_log{Fd(), "test"};
    const Log log(-1, clock, "test", false);
    const Result<Fd> memory = billing::UsageRing::create(1, 1024, {});
    billing::UsageRing ring = std::move(*billing::UsageRing::map(memory->get()));
    Core core({*reactor, random, keeper, access_log, log, ring.lane(0)}, {});
    std::vector<std::int64_t> pauses;
    for (int i = 0; i < 1'000; ++i) {
        Endpoint& one =
            core.endpoints.get(EndpointKind::peer, std::string(peer_key) + std::to_string(i));
        const std::int64_t now_ms = core.now_ms();
        one.mark_down("nobody answers");
        pauses.push_back(one.retry_at_ms - now_ms);
    }
    expect_spread(pauses, 500);
}

} // namespace
} // namespace hasp::passon::testing
