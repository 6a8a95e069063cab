// Proxies in front of a tier: who is believed, about what, and how.
#include "proxy_fixture.h"

#include <gmock/gmock.h>
#include <poll.h>

namespace hasp::passon::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Settings behind(ProxySays say, const char* network = "127.0.0.0/8") {
    Settings settings;
    EXPECT_TRUE(settings.proxies.add(network).ok());
    settings.proxies_say = say;
    return settings;
}

const std::string told = "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\n"
                         "X-Forwarded-Host: clinic.example\r\n"
                         "Forwarded: for=203.0.113.7;proto=https;host=rfc.example\r\n";

class Believed : public Proxy {
  protected:
    Believed() : Proxy(echo_head(), behind(ProxySays::x_forwarded)) {}
};

TEST_F(Believed, AProxysWordReachesTheAppAndTheLogInOurOwnForm) {
    Client client(tier_.port());
    const Answer answer = client.get("/apps/open/", told);
    ASSERT_EQ(answer.status, 200);
    EXPECT_THAT(answer.body, HasSubstr("X-Forwarded-For: 203.0.113.9\r\n"));
    EXPECT_THAT(answer.body, HasSubstr("X-Forwarded-Proto: https\r\n"));
    EXPECT_THAT(answer.body, HasSubstr("X-Forwarded-Host: clinic.example\r\n"));
    EXPECT_THAT(answer.body, Not(HasSubstr("Forwarded: for")));
    EXPECT_THAT(answer.body, Not(HasSubstr("rfc.example")));
    EXPECT_THAT(tier_.access_log(), HasSubstr("\"client\":\"203.0.113.9\""));
}

TEST_F(Believed, WhereTheProxyHasTlsTheSafeCookieCounts) {
    Client client(tier_.port());
    EXPECT_EQ(client.get("/apps/wiki/", cookie).status, 200) << "without TLS the plain one does";
    EXPECT_EQ(client.get("/apps/wiki/", cookie + "X-Forwarded-Proto: https\r\n").status, 401);
    EXPECT_EQ(client
                  .get("/apps/wiki/", "Cookie: __Host-hasp-session=secret\r\n"
                                      "X-Forwarded-Proto: https\r\n")
                  .status,
              200);
}

TEST_F(Believed, AHostThatIsNoneIsRefused) {
    Client client(tier_.port());
    EXPECT_EQ(client.get("/apps/open/", "X-Forwarded-Host: a b\r\n").status, 400);
}

class OtherNetwork : public Proxy {
  protected:
    OtherNetwork() : Proxy(echo_head(), behind(ProxySays::x_forwarded, "192.0.2.0/24")) {}
};

TEST_F(OtherNetwork, OfEverybodyElseNothingIsBelieved) {
    Client client(tier_.port());
    const Answer answer = client.get("/apps/open/", told);
    EXPECT_THAT(answer.body, HasSubstr("X-Forwarded-For: 127.0.0.1\r\n"));
    EXPECT_THAT(answer.body, HasSubstr("X-Forwarded-Proto: http\r\n"));
    EXPECT_THAT(answer.body, HasSubstr("X-Forwarded-Host: localhost\r\n"));
}

class ByRfc7239 : public Proxy {
  protected:
    ByRfc7239() : Proxy(echo_head(), behind(ProxySays::forwarded)) {}
};

TEST_F(ByRfc7239, ForwardedCountsAndTheOtherFieldsDoNot) {
    Client client(tier_.port());
    const Answer answer = client.get("/apps/open/", told);
    EXPECT_THAT(answer.body, HasSubstr("X-Forwarded-For: 203.0.113.7\r\n"));
    EXPECT_THAT(answer.body, HasSubstr("X-Forwarded-Host: rfc.example\r\n"));
}

class ByProxyProtocol : public Proxy {
  protected:
    ByProxyProtocol() : Proxy(echo_head(), behind(ProxySays::proxy_protocol)) {}
    static std::string header() {
        return std::string("\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c", 16) +
               std::string("\xcb\x00\x71\x09\xc0\x00\x02\x01\x12\x67\x01\xbb", 12);
    }
};

TEST_F(ByProxyProtocol, TheConnectionIsTheClientsHoweverTheHeaderArrives) {
    for (const std::size_t piece : {std::size_t{1}, std::size_t{13}, std::size_t{1000}}) {
        Client client(tier_.port());
        const std::string bytes =
            header() + "GET /apps/open/a HTTP/1.1\r\nHost: localhost\r\n" + told + "\r\n";
        for (std::size_t at = 0; at < bytes.size(); at += piece) {
            client.send(std::string_view(bytes).substr(at, piece));
        }
        const Answer first = client.read();
        ASSERT_EQ(first.status, 200);
        EXPECT_THAT(first.body, HasSubstr("X-Forwarded-For: 203.0.113.9\r\n"));
        EXPECT_THAT(first.body, HasSubstr("X-Forwarded-Proto: http\r\n"));
        EXPECT_THAT(client.get("/apps/open/b").body, HasSubstr("X-Forwarded-For: 203.0.113.9\r\n"));
    }
}

TEST_F(ByProxyProtocol, AConnectionAtItsGateIsAnsweredByWhoLeaves) {
    Client client(tier_.port());
    const std::string bytes = header() + "GET /apps/open/a HTTP/1.1\r\nHost: localhost\r\n\r\n";
    client.send(std::string_view(bytes).substr(0, 20));
    bool accepted = false;
    for (int i = 0; i < 1'000 && !accepted; ++i) {
        tier_.on_loop([&](Engine& engine) { accepted = !engine.left(); });
        ::poll(nullptr, 0, accepted ? 0 : 10);
    }
    ASSERT_TRUE(accepted);
    tier_.on_loop([](Engine& engine) { engine.leave(); });
    client.send(std::string_view(bytes).substr(20));
    const Answer last = client.read();
    EXPECT_EQ(last.status, 200);
    EXPECT_EQ(last.header("connection"), "close");
    EXPECT_TRUE(client.closed());
}

TEST_F(ByProxyProtocol, AConnectionWithoutTheHeaderIsClosedWithoutAnAnswer) {
    Client client(tier_.port());
    client.send("GET /apps/open/ HTTP/1.1\r\nHost: localhost\r\n\r\n");
    EXPECT_TRUE(client.closed());
    EXPECT_EQ(tier_.counters().requests, 0U);
}

TEST_F(ByProxyProtocol, AProxysOwnCheckIsAnsweredInItsOwnName) {
    Client client(tier_.port());
    client.send(std::string("\r\n\r\n\0\r\nQUIT\n\x20\0\0\0", 16));
    EXPECT_THAT(client.get("/apps/open/").body, HasSubstr("X-Forwarded-For: 127.0.0.1\r\n"));
}

class SlowProxy : public Proxy {
  protected:
    static Settings hasty() {
        Settings settings = behind(ProxySays::proxy_protocol);
        settings.head_ms = 50;
        return settings;
    }
    SlowProxy() : Proxy(echo_head(), hasty()) {}
};

TEST_F(SlowProxy, AHeaderThatDoesNotComeEndsTheConnection) {
    Client client(tier_.port());
    client.send(std::string("\r\n\r\n\0\r\nQU", 9));
    EXPECT_TRUE(client.closed());
}

} // namespace
} // namespace hasp::passon::testing
