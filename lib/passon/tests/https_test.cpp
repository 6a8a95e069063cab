// TLS toward users and toward an upstream, in one chain: client → tier → HTTPS → another tier's
// users' listener → backend.
#include "proxy_fixture.h"

#include <gmock/gmock.h>

namespace hasp::passon::testing {
namespace {

class Https : public Proxy {
  protected:
    explicit Https(const std::string& certified = "inner.example")
        : Proxy(echo_body()), outer_("outer") {
        tier_.spec.portal_hosts = {"inner.example"};
        tier_.publish();
        registry::AppSpec& app = outer_.add_upstream("remote", tier_.listen_tls(realm_, certified),
                                                     registry::Access::open);
        app.upstream.addresses[0].tls = true;
        app.upstream.addresses[0].host = "inner.example";
        app.upstream.addresses[0].base_path = "/apps/open";
        outer_.publish();
        net::ClientTls client;
        client.ca_pem = realm_.ca_pem;
        auto context = net::TlsContext::client(client);
        EXPECT_TRUE(context.ok());
        outer_.on_loop([&](Engine& engine) { engine.set_upstream_tls(*context); });
    }
    TestRealm realm_;
    Tier outer_;
};

TEST_F(Https, BodiesPassOverTlsOnBothSidesAndConnectionsAreReused) {
    Client client(outer_.port());
    for (const std::size_t size : {std::size_t{0}, std::size_t{1000}, std::size_t{3'000'000}}) {
        const std::string body(size, 's');
        std::thread sender([&] {
            client.send("POST /apps/remote/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: " +
                        std::to_string(size) + "\r\n\r\n");
            client.send(body);
        });
        const Answer answer = client.read();
        sender.join();
        ASSERT_EQ(answer.status, 200) << answer.body;
        EXPECT_TRUE(answer.body == body);
    }
    EXPECT_EQ(outer_.counters().upstream_opened, 1U);
    EXPECT_THAT(tier_.access_log(),
                ::testing::HasSubstr("\"host\":\"inner.example\",\"path\":\"/apps/open/x\""));
}

TEST_F(Https, OverTlsOnlyTheCookieCountsThatNoOtherHostCanSet) {
    outer_.spec.apps[0].upstream.addresses[0].base_path = "/apps/wiki";
    outer_.publish();
    Client client(outer_.port());
    // hasp's cookies never leave the outer tier, so the inner one sees nobody.
    EXPECT_EQ(client.get("/apps/remote/", "Cookie: __Host-hasp-session=secret\r\n").status, 401);
    tier_.keeper.know("bearer:tok", person("anna", {"wiki"}));
    EXPECT_EQ(client.get("/apps/remote/", "Authorization: Bearer tok\r\n").status, 200)
        << "a token that is not of the outer tier is the app's";
}

class WrongName : public Https {
  protected:
    WrongName() : Https("other.example") {}
};

TEST_F(WrongName, AnUpstreamWithTheWrongCertificateIsNotTalkedTo) {
    EXPECT_EQ(Client(outer_.port()).get("/apps/remote/").status, 503);
    EXPECT_EQ(tier_.counters().requests, 0U);
}

} // namespace
} // namespace hasp::passon::testing
