// Apps with several addresses: shares, failures, checks, and the header map.
#include "net/listener.h"
#include "proxy_fixture.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <poll.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

namespace hasp::passon::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// Answers with its name; what `serve` does not answer is its own business.
struct Named {
    explicit Named(std::string called)
        : name(std::move(called)), backend([this](Backend::Peer& peer) {
              std::string head;
              std::string body;
              while (peer.request(head, body)) {
                  const bool check = head.find("User-Agent: hasp-health") != std::string::npos;
                  ++(check ? checks : requests);
                  if (check) {
                      peer.send("HTTP/1.1 " + std::to_string(check_status) +
                                " X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                      return;
                  }
                  if (silent) {
                      peer.head(head); // until the proxy leaves
                      return;
                  }
                  if (breaks) {
                      return;
                  }
                  peer.send("HTTP/1.1 200 OK\r\nServer: inner\r\nX-Powered-By: magic\r\n"
                            "X-Name: " +
                            name + "\r\nContent-Length: " + std::to_string(head.size()) +
                            "\r\n\r\n" + head);
              }
          }) {}
    std::string name;
    std::atomic<int> requests{0};
    std::atomic<int> checks{0};
    std::atomic<int> check_status{200};
    std::atomic<bool> silent{false};
    std::atomic<bool> breaks{false};
    Backend backend;
    std::string address() const { return "127.0.0.1:" + std::to_string(backend.port()); }
};

// A port where nobody listens.
int dead_port() {
    Fd listener;
    return listen_loopback(listener);
}

Settings quick() {
    Settings out;
    out.answer_head_ms = 300;
    out.probe_ms_max = 500;
    return out;
}

class Several : public ::testing::Test {
  protected:
    Several() : tier_("tokyo", quick()) {}
    registry::AppSpec& shop(std::vector<registry::UpstreamAddress> addresses) {
        registry::AppSpec& app = tier_.add_upstream("shop", 1, registry::Access::open);
        app.upstream.addresses = std::move(addresses);
        return app;
    }
    Answer get(const std::string& more = {}) {
        return Client(tier_.port()).get("/apps/shop/", more);
    }
    bool wait_state(const std::function<bool(const UpstreamState&)>& what) {
        return tier_.keeper.wait([&](FakeKeeper& keeper) {
            const auto at = keeper.upstreams.find("shop");
            return at != keeper.upstreams.end() && what(at->second);
        });
    }
    bool wait_up(std::size_t index, bool up) {
        return wait_state([&](const UpstreamState& s) {
            return index < s.addresses.size() && s.addresses[index].up == up;
        });
    }
    Named a_{"a"};
    Named b_{"b"};
    Tier tier_;
};

TEST_F(Several, EachAddressGetsTheShareOfItsWeightExactlyAndEvenly) {
    shop({{a_.address(), false, "", "", 3}, {b_.address(), false, "", "", 1}});
    tier_.publish();
    Client client(tier_.port());
    std::string order;
    for (int i = 0; i < 40; ++i) {
        order += client.get("/apps/shop/").header("x-name");
    }
    EXPECT_EQ(a_.requests, 30);
    EXPECT_EQ(b_.requests, 10);
    EXPECT_EQ(order.substr(0, 8), "aabaaaba") << "not the one first and then the other";
    EXPECT_EQ(a_.backend.connections, 1) << "kept, for each address its own";
    EXPECT_EQ(b_.backend.connections, 1);
}

TEST_F(Several, OneThatCannotBeConnectedToIsDownAndNobodyNoticesIt) {
    const std::string dead = "127.0.0.1:" + std::to_string(dead_port());
    shop({{dead}, {b_.address()}});
    tier_.publish();
    for (int i = 0; i < 10; ++i) {
        ASSERT_EQ(get().header("x-name"), "b");
    }
    EXPECT_EQ(b_.requests, 10);
    EXPECT_TRUE(wait_up(0, false));
    EXPECT_TRUE(wait_up(1, true));
}

TEST_F(Several, APostThatCouldNotBeConnectedGoesToTheOtherToo) {
    const std::string dead = "127.0.0.1:" + std::to_string(dead_port());
    shop({{dead}, {b_.address()}});
    tier_.publish();
    Client client(tier_.port());
    client.send("POST /apps/shop/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc");
    EXPECT_EQ(client.read().header("x-name"), "b") << "no byte of it had been sent";
}

TEST_F(Several, OneThatComesBackIsFoundBesideTheRequests) {
    const int port = dead_port();
    shop({{"127.0.0.1:" + std::to_string(port)}, {b_.address()}});
    tier_.publish();
    ASSERT_EQ(get().header("x-name"), "b");
    ASSERT_TRUE(wait_up(0, false));
    Result<Fd> listener = net::listen_on(*net::Address::parse("127.0.0.1:" + std::to_string(port)));
    ASSERT_TRUE(listener.ok());
    // The try is the tier's own: this one does not wait for it.
    ASSERT_EQ(get().header("x-name"), "b");
    EXPECT_TRUE(wait_up(0, true));
}

TEST_F(Several, WhenAllAreDownThePageSaysSoAtOnceAndSinceWhen) {
    const std::string one = "127.0.0.1:" + std::to_string(dead_port());
    const std::string two = "127.0.0.1:" + std::to_string(dead_port());
    shop({{one}, {two}});
    tier_.publish();
    tier_.keeper.on_page = [](const PageQuestion& question) -> Result<PageAnswer> {
        return PageAnswer{503, {}, question.target};
    };
    for (int i = 0; i < 3; ++i) {
        const Answer answer = get("Accept: text/html\r\n");
        EXPECT_EQ(answer.status, 503);
        EXPECT_THAT(answer.body, HasSubstr("kind=unreachable"));
        EXPECT_THAT(answer.body, HasSubstr("Since"));
        EXPECT_THAT(answer.body, HasSubstr("2%20addresses"));
    }
}

TEST_F(Several, AGetThatBrokeOffBeforeAnAnswerIsSentToAnotherOnceAndAPostIsNot) {
    a_.breaks = true;
    registry::AppSpec& app = shop({{a_.address()}, {b_.address()}});
    app.upstream.health.errors = 100;
    tier_.publish();
    Client client(tier_.port());
    for (int i = 0; i < 6; ++i) {
        ASSERT_EQ(client.get("/apps/shop/").header("x-name"), "b");
    }
    EXPECT_GT(a_.requests, 0);
    const int before = a_.requests;
    int failed = 0;
    for (int i = 0; i < 4; ++i) {
        Client poster(tier_.port());
        poster.send("POST /apps/shop/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc");
        failed += poster.read().status == 502 ? 1 : 0;
    }
    EXPECT_EQ(failed, a_.requests - before) << "each that met it, and none was sent twice";
    EXPECT_GT(failed, 0);
    b_.breaks = true;
    EXPECT_EQ(client.get("/apps/shop/").status, 502) << "once";
}

TEST_F(Several, OneThatNeverAnswersIsDownAfterSoManyRequestsAndTheLastStays) {
    a_.silent = true;
    registry::AppSpec& app = shop({{a_.address()}, {b_.address()}});
    app.upstream.health.errors = 2;
    tier_.publish();
    int late = 0;
    for (int i = 0; i < 4; ++i) {
        late += get().status == 504 ? 1 : 0;
    }
    EXPECT_EQ(late, 2);
    EXPECT_EQ(a_.requests, 2);
    EXPECT_TRUE(wait_up(0, false));
    b_.silent = true;
    for (int i = 0; i < 3; ++i) {
        EXPECT_NE(get().status, 503) << "slow pages take nobody's app away";
    }
}

TEST_F(Several, ChecksTakeAnAddressOutAndBringItBack) {
    registry::AppSpec& app = shop({{a_.address()}, {b_.address()}});
    app.upstream.health.path = "/up?deep=1";
    app.upstream.health.interval_ms = 100;
    app.upstream.health.timeout_ms = 200;
    app.upstream.health.fails = 2;
    app.headers.request = {{"X-Key", "k"}, {"X-Mail", "{email}"}};
    a_.check_status = 500;
    tier_.publish();
    ASSERT_TRUE(wait_up(0, false)) << "nobody had asked for anything";
    EXPECT_GE(a_.checks, 2);
    for (int i = 0; i < 6; ++i) {
        ASSERT_EQ(get().header("x-name"), "b");
    }
    EXPECT_TRUE(wait_state([](const UpstreamState& s) {
        return s.addresses[0].why.find("500") != std::string::npos;
    }));
    a_.check_status = 204;
    ASSERT_TRUE(wait_up(0, true));
    const int before = a_.requests;
    for (int i = 0; i < 4; ++i) {
        ASSERT_EQ(get().status, 200);
    }
    EXPECT_EQ(a_.requests - before, 2);
    a_.check_status = b_.check_status = 404;
    ASSERT_TRUE(wait_up(0, false));
    ASSERT_TRUE(wait_up(1, false));
    EXPECT_EQ(get().status, 503) << "at once";
    // An app that is taken away is not knocked at any more.
    tier_.spec.apps.clear();
    tier_.publish();
    EXPECT_TRUE(wait_state([](const UpstreamState& s) { return s.addresses.empty(); }));
}

TEST_F(Several, ACheckedOneThatRefusedARequestIsLookedAtLongBeforeItsNextCheck) {
    const std::string address = "127.0.0.1:" + std::to_string(dead_port());
    shop({{address}}).upstream.health = {"/health", 3'600'000, 1'000, 200, 299, 2, 1, 3, 30'000};
    tier_.publish();
    EXPECT_EQ(get().status, 503);
    ASSERT_TRUE(wait_up(0, false));
    Result<Fd> listener = net::listen_on(*net::Address::parse(address));
    ASSERT_TRUE(listener.ok());
    std::thread server([&listener] {
        pollfd waiting{listener->get(), POLLIN, 0};
        ::poll(&waiting, 1, wait_ms);
        const Fd peer{::accept4(listener->get(), nullptr, nullptr, SOCK_CLOEXEC)};
        char request[1024];
        if (peer && ::read(peer.get(), request, sizeof request) > 0) {
            const std::string good = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
            (void)!::write(peer.get(), good.data(), good.size());
        }
    });
    EXPECT_TRUE(wait_up(0, true));
    server.join();
}

TEST_F(Several, WhatIsKnownOfAnAddressOutlivesANewSnapshot) {
    const std::string dead = "127.0.0.1:" + std::to_string(dead_port());
    shop({{dead}, {b_.address()}});
    tier_.publish();
    get();
    get();
    ASSERT_TRUE(wait_up(0, false));
    tier_.spec.apps[0].upstream.addresses.push_back({a_.address()});
    tier_.publish();
    EXPECT_TRUE(wait_state(
        [](const UpstreamState& s) { return s.addresses.size() == 3 && !s.addresses[0].up; }));
    for (int i = 0; i < 4; ++i) {
        EXPECT_EQ(get().status, 200);
    }
    EXPECT_EQ(a_.requests, 2);
}

TEST_F(Several, EveryAddressHasItsOwnHostAndBasePath) {
    shop({{a_.address(), false, "a.example", "/one"}, {b_.address(), false, "b.example", "/two"}});
    tier_.publish();
    const std::string first = get().body;
    const std::string second = get().body;
    EXPECT_THAT(first, ::testing::StartsWith("GET /one/ HTTP/1.1\r\nHost: a.example\r\n"));
    EXPECT_THAT(second, ::testing::StartsWith("GET /two/ HTTP/1.1\r\nHost: b.example\r\n"));
}

TEST_F(Several, TheMetricsSayWhichAddressIsDown) {
    const std::string dead = "127.0.0.1:" + std::to_string(dead_port());
    shop({{dead}, {b_.address()}});
    tier_.publish();
    get();
    get();
    const std::string text = tier_.metrics();
    EXPECT_THAT(text, HasSubstr("hasp_address_up{app=\"shop\",address=\"" + dead + "\"} 0"));
    EXPECT_THAT(text,
                HasSubstr("hasp_address_up{app=\"shop\",address=\"" + b_.address() + "\"} 1"));
    EXPECT_THAT(text, HasSubstr("hasp_address_requests_total{app=\"shop\",address=\"" +
                                b_.address() + "\"} 2"));
}

TEST_F(Several, TheHeaderMapSetsReplacesAndRemoves) {
    registry::AppSpec& app = shop({{a_.address()}});
    app.headers = {{{"X-Key", "secret"},
                    {"Authorization", "Basic YTpi"},
                    {"X-Mail", "{email}"},
                    {"X-Label", "{user}@{groups}"}},
                   {{"X-Frame-Options", "DENY"}, {"Server", "outer"}},
                   {"X-Powered-By"}};
    app.access = registry::Access::open;
    tier_.publish();
    tier_.keeper.know("cookie:secret", person("anna", {"shop"}));
    const std::string forged = "X-Key: guess\r\nX.Key: guess\r\nx-mail: root@x\r\nX-Label: root\r\n"
                               "Authorization: Bearer mine\r\n";
    const Answer signed_on = get(cookie + forged);
    EXPECT_THAT(signed_on.body, HasSubstr("X-Key: secret\r\n"));
    EXPECT_THAT(signed_on.body, HasSubstr("Authorization: Basic YTpi\r\n"));
    EXPECT_THAT(signed_on.body, HasSubstr("X-Mail: anna@clinic.example\r\n"));
    EXPECT_THAT(signed_on.body, HasSubstr("X-Label: anna@desk,ward\r\n"));
    EXPECT_EQ(signed_on.header("x-frame-options"), "DENY");
    EXPECT_EQ(signed_on.header("server"), "outer");
    EXPECT_EQ(signed_on.header("x-powered-by"), "");
    const Answer stranger =
        get("X-Key: guess\r\nX.Key: guess\r\nx-mail: root@x\r\nX-Label: root\r\n");
    EXPECT_EQ(stranger.status, 200);
    EXPECT_THAT(stranger.body, HasSubstr("X-Key: secret\r\n"));
    for (const std::string& body : {signed_on.body, stranger.body}) {
        EXPECT_THAT(body, Not(HasSubstr("guess")));
        EXPECT_THAT(body, Not(HasSubstr("root")));
    }
    EXPECT_THAT(stranger.body, Not(HasSubstr("X-Mail")));
    EXPECT_THAT(stranger.body, Not(HasSubstr("X-Label")));
}

} // namespace
} // namespace hasp::passon::testing
