// How many connections there may be: in all, of one address, and of those who have not said who
// they are.
#include "proxy_fixture.h"

#include "net/tls.h"

#include <gmock/gmock.h>

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

TEST_F(FewAnAddress, ANetworkOfIpv6HasHalfOfAll) {
    std::vector<std::unique_ptr<Client>> open;
    for (char host = 1; host <= 4; ++host) {
        open.push_back(come(tier_, of_ipv6(1, host)));
        ASSERT_NE(open.back(), nullptr);
    }
    EXPECT_EQ(come(tier_, of_ipv6(1, 9)), nullptr);
    EXPECT_NE(come(tier_, of_ipv6(2, 1)), nullptr);
    open.clear();
    wait_for_connections(tier_, 0);
    EXPECT_NE(come(tier_, of_ipv6(1, 9)), nullptr);
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
        settings.head_ms = 300;
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

TEST_F(Strangers, LeaveRoomForUsersAndForTiersAndHaveLittleTime) {
    std::vector<std::unique_ptr<Client>> silent;
    for (int i = 0; i < 4; ++i) {
        silent.push_back(std::make_unique<Client>(center_.link_port()));
    }
    wait_for_connections(center_, 4);
    EXPECT_TRUE(Client(center_.link_port()).closed()) << "half of all there may be";
    EXPECT_EQ(Client(center_.port()).get("/apps/all/").status, 200);
    for (const auto& one : silent) {
        EXPECT_TRUE(one->closed()) << "who says nothing is not kept";
    }
    tokyo_.join(center_.link_port());
    EXPECT_TRUE(tokyo_.keeper.wait([](FakeKeeper& k) { return k.up(); }));
    for (int i = 0; i < 8; ++i) {
        EXPECT_EQ(Client(tokyo_.port()).get("/apps/all/").status, 200)
            << "who has shown its name is no stranger";
    }
}

} // namespace
} // namespace hasp::passon::testing
