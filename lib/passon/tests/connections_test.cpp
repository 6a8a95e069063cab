// How many connections there may be: in all, of one address, and of those who have not said who
// they are.
#include "core.h"
#include "proxy_fixture.h"
#include "server_conn.h"

#include "net/tls.h"

#include <gmock/gmock.h>

#include <array>
#include <poll.h>
#include <sys/socket.h>

namespace hasp::passon::testing {
namespace {

Settings few(std::size_t in_all, std::size_t an_address) {
    Settings settings;
    EXPECT_TRUE(settings.proxies.add("127.0.0.0/8").ok());
    settings.proxies_say = ProxySays::proxy_protocol;
    settings.connections_max = in_all;
    settings.connections_an_address_max = an_address;
    return settings;
}

// Version 2 of the PROXY protocol: the connection is that of this client.
std::string of_ipv4(const std::string& address) {
    return std::string("\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c", 16) + address +
           std::string("\xc0\x00\x02\x01\x12\x67\x01\xbb", 8);
}
// In 2001:db8:0:N::/64, with this last byte.
std::string of_ipv6(char network, char host) {
    const std::string there = std::string("\x20\x01\x0d\xb8\0\0\0", 7) + network;
    return std::string("\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x24", 16) + there +
           std::string("\0\0\0\0\0\0\0", 7) + host + there + std::string("\0\0\0\0\0\0\0\x01", 8) +
           std::string("\x12\x67\x01\xbb", 4);
}

const std::string request = "GET /apps/open/ HTTP/1.1\r\nHost: localhost\r\n\r\n";

// The connection, if it was let in and stays.
std::unique_ptr<Client> come(const Tier& tier, const std::string& header) {
    auto client = std::make_unique<Client>(tier.port());
    client->try_send(header + request);
    return client->read().status == 200 ? std::move(client) : nullptr;
}

void wait_for_connections(Tier& tier, std::size_t count) {
    for (int i = 0; i < wait_ms / 10 && tier.counters().connections != count; ++i) {
        ::poll(nullptr, 0, 10);
    }
    EXPECT_EQ(tier.counters().connections, count);
}

class FewAnAddress : public Proxy {
  protected:
    FewAnAddress() : Proxy(echo_head(), few(8, 3)) {}
};

TEST_F(FewAnAddress, OneHasSoManyAndTheOthersAreServed) {
    const std::string here("\xcb\x00\x71\x09", 4);
    std::vector<std::unique_ptr<Client>> open;
    for (int i = 0; i < 3; ++i) {
        open.push_back(come(tier_, of_ipv4(here)));
        ASSERT_NE(open.back(), nullptr);
    }
    EXPECT_EQ(come(tier_, of_ipv4(here)), nullptr);
    EXPECT_EQ(tier_.counters().refused_connections, 1U);
    EXPECT_NE(come(tier_, of_ipv4(std::string("\xcb\x00\x71\x0a", 4))), nullptr);
    open.pop_back();
    wait_for_connections(tier_, 2);
    EXPECT_NE(come(tier_, of_ipv4(here)), nullptr) << "one of them has ended";
}

// Of that network one more is refused, and of another one is not.
std::vector<std::unique_ptr<Client>> four_of_one_network(Tier& tier) {
    std::vector<std::unique_ptr<Client>> open;
    for (char host = 1; host <= 4; ++host) {
        open.push_back(come(tier, of_ipv6(1, host)));
        EXPECT_NE(open.back(), nullptr);
    }
    EXPECT_EQ(come(tier, of_ipv6(1, 9)), nullptr);
    EXPECT_NE(come(tier, of_ipv6(2, 1)), nullptr);
    return open;
}

TEST_F(FewAnAddress, ANetworkOfIpv6HasHalfOfAll) {
    std::vector<std::unique_ptr<Client>> open = four_of_one_network(tier_);
    open.clear();
    wait_for_connections(tier_, 0);
    EXPECT_NE(come(tier_, of_ipv6(1, 9)), nullptr);
}

class FewOfSixteen : public Proxy {
  protected:
    FewOfSixteen() : Proxy(echo_head(), few(16, 1)) {}
};

TEST_F(FewOfSixteen, ANetworkOfIpv6HasFourTimesWhatAnAddressHas) {
    four_of_one_network(tier_);
}

TEST_F(FewOfSixteen, UsersLeaveAnEighthOfAllToLinks) {
    std::vector<std::unique_ptr<Client>> open;
    for (char host = 1; host <= 14; ++host) {
        open.push_back(come(tier_, of_ipv4(std::string("\xcb\x00\x71", 3) + host)));
        ASSERT_NE(open.back(), nullptr);
    }
    EXPECT_EQ(come(tier_, of_ipv4(std::string("\xcb\x00\x71\x5a", 4))), nullptr);
}

class FewInAll : public Proxy {
  protected:
    FewInAll() : Proxy(echo_head(), few(4, 1'000)) {}
};

TEST_F(FewInAll, BeyondThemNobodyIsLetIn) {
    std::vector<std::unique_ptr<Client>> open;
    for (char host = 1; host <= 4; ++host) {
        open.push_back(come(tier_, of_ipv4(std::string("\xcb\x00\x71", 3) + host)));
        ASSERT_NE(open.back(), nullptr);
    }
    EXPECT_EQ(come(tier_, of_ipv4(std::string("\xcb\x00\x71\x09", 4))), nullptr);
    open.pop_back();
    wait_for_connections(tier_, 3);
    EXPECT_NE(come(tier_, of_ipv4(std::string("\xcb\x00\x71\x09", 4))), nullptr);
}

// The listener for neighbours, before a certificate has said whose a connection is.
class Strangers : public ::testing::Test {
  protected:
    static Settings settings() {
        Settings settings;
        settings.connections_max = 8; // so 4 of strangers, from wherever
        return settings;
    }
    Strangers()
        : backend_(echo_head()), center_("center", settings(), &realm_),
          tokyo_("tokyo", {}, &realm_) {
        tokyo_.spec.has_parent = true;
        center_.add_upstream("all", backend_.port(), registry::Access::open);
        center_.publish();
        tokyo_.publish();
    }
    TestRealm realm_;
    Backend backend_;
    Tier center_;
    Tier tokyo_;
};

TEST_F(Strangers, LeaveRoomForUsersAndMakeWayForWhoeverComesNext) {
    std::vector<std::unique_ptr<Client>> silent;
    for (int i = 0; i < 4; ++i) {
        silent.push_back(std::make_unique<Client>(center_.link_port()));
        wait_for_connections(center_, static_cast<std::size_t>(i) + 1);
    }
    Client next(center_.link_port());
    EXPECT_TRUE(silent.front()->closed()) << "half of all there may be, and it came first";
    wait_for_connections(center_, 4);
    EXPECT_EQ(center_.counters().refused_connections, 1U);
    EXPECT_EQ(Client(center_.port()).get("/apps/all/").status, 200);
    tokyo_.join(center_.link_port());
    EXPECT_TRUE(tokyo_.keeper.wait([](FakeKeeper& k) { return k.up(); }));
    for (int i = 0; i < 8; ++i) {
        EXPECT_EQ(Client(tokyo_.port()).get("/apps/all/").status, 200)
            << "who has shown its name is no stranger";
    }
}

class HastyStrangers : public ::testing::Test {
  protected:
    static Settings settings() {
        Settings settings;
        settings.head_ms = 300;
        return settings;
    }
    HastyStrangers() : center_("center", settings(), &realm_) { center_.publish(); }
    TestRealm realm_;
    Tier center_;
};

TEST_F(HastyStrangers, AreNotKeptWhenTheySayNothing) {
    Client silent(center_.link_port());
    EXPECT_TRUE(silent.closed());
    wait_for_connections(center_, 0);
}

// By address: loopback has no limit, so an engine's core is told where they come from.
class StrangersOfAddresses : public ::testing::Test {
  protected:
    static Settings settings() {
        Settings settings;
        settings.connections_max = 16; // so 8 of strangers, and 4 of one address
        settings.unverified_an_address_max = 3;
        return settings;
    }
    StrangersOfAddresses()
        : reactor_(std::move(*net::Reactor::create(clock_))), access_log_(Fd(), "test"),
          log_(-1, clock_, "test", false),
          ring_fd_(std::move(*billing::UsageRing::create(1, 1024, {}))),
          ring_(std::move(*billing::UsageRing::map(ring_fd_.get()))),
          core_({*reactor_, random_, keeper_, access_log_, log_, ring_.lane(0)}, settings()) {
        const TestRealm::Leaf leaf = realm_.issue("center");
        net::ServerTls server{leaf.chain_pem,
                              leaf.key_pem,
                              realm_.ca_pem,
                              net::PeerCertificate::optional,
                              {},
                              {},
                              true};
        tls_ = *net::TlsContext::server(server);
    }
    // What is at the other end.
    Fd come(const std::string& address) {
        std::array<int, 2> ends{};
        EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()),
                  0);
        core_.admit(ListenerKind::children, tls_, Fd(ends[0]), *net::Address::parse(address));
        return Fd(ends[1]);
    }
    static bool open(const Fd& end) {
        char byte = 0;
        return ::recv(end.get(), &byte, 1, 0) < 0;
    }
    TestRealm realm_;
    SystemClock clock_;
    SystemRandom random_;
    FakeKeeper keeper_;
    std::unique_ptr<net::Reactor> reactor_;
    AccessLog access_log_;
    Log log_;
    Fd ring_fd_;
    billing::UsageRing ring_;
    Core core_;
    std::shared_ptr<const net::TlsContext> tls_;
};

TEST_F(StrangersOfAddresses, TheFirstOfAnAddressMakesWayForTheNextFromThere) {
    std::vector<Fd> here;
    const Fd elsewhere = come("203.0.113.8:999");
    for (int port = 1; port <= 4; ++port) {
        here.push_back(come("203.0.113.9:" + std::to_string(port)));
    }
    EXPECT_FALSE(open(here[0]));
    EXPECT_TRUE(open(here[1]) && open(here[2]) && open(here[3]) && open(elsewhere));
    EXPECT_EQ(core_.strangers.of("203.0.113.9"), 3U);
    EXPECT_EQ(core_.counters.refused_connections, 1U);
}

TEST_F(StrangersOfAddresses, ANetworkOfIpv6IsOneOfThem) {
    std::vector<Fd> here;
    for (int host = 1; host <= 4; ++host) {
        here.push_back(come("[2001:db8:0:1::" + std::to_string(host) + "]:9"));
    }
    const Fd beside = come("[2001:db8:0:2::1]:9");
    EXPECT_FALSE(open(here[0]));
    EXPECT_TRUE(open(here[1]) && open(beside));
    EXPECT_EQ(core_.strangers.of("2001:db8:0:1::77"), 3U);
    EXPECT_EQ(core_.strangers.sites(), 2U);
}

TEST_F(StrangersOfAddresses, WhereMostAreOneMakesWayForWhoeverComesFromElsewhere) {
    const Fd box = come("198.51.100.1:9");
    std::vector<Fd> flood;
    for (int i = 0; i < 7; ++i) {
        flood.push_back(come("203.0.113." + std::to_string(1 + i / 3) + ":9"));
    }
    EXPECT_EQ(core_.strangers.count(), 8U);
    for (int i = 0; i < 3; ++i) {
        EXPECT_TRUE(open(come("198.51.100.2:9"))) << "it is let in, and leaves";
    }
    EXPECT_TRUE(open(box));
    EXPECT_FALSE(open(flood[0]));
    EXPECT_LE(core_.strangers.count(), 8U);
}

TEST_F(StrangersOfAddresses, NobodyIsCountedOnceAllHaveGone) {
    std::vector<Fd> ends;
    for (int i = 0; i < 8; ++i) {
        ends.push_back(come("203.0.113." + std::to_string(i) + ":9"));
    }
    for (std::size_t i = 0; i < ends.size(); i += 2) {
        EXPECT_GT(::send(ends[i].get(), "GET / HTTP/1.1\r\n\r\n", 18, MSG_NOSIGNAL), 0)
            << "no handshake";
    }
    for (std::size_t i = 1; i < ends.size(); i += 2) {
        ends[i].reset();
    }
    for (int i = 0; i < wait_ms / 10 && core_.strangers.count() > 0; ++i) {
        reactor_->run_once(10);
    }
    EXPECT_EQ(core_.strangers.count(), 0U);
    EXPECT_EQ(core_.strangers.sites(), 0U);
    EXPECT_TRUE(core_.conns.empty());
}

} // namespace
} // namespace hasp::passon::testing
