// What is remembered of a connection's requests before changes none of its answers: each test asks
// often enough for everything to be remembered, changes one thing, and asks again over the same
// connection.
#include "identity_cache.h"
#include "proxy_fixture.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace hasp::passon::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr int times = 4; // the second request makes the memo, the third uses it

std::string session(const std::string& secret) {
    return "Cookie: theme=dark; hasp-session=" + secret + "\r\n";
}

class Memo : public Proxy {
  protected:
    Memo() : client_(tier_.port()) {}
    Answer ask(const std::string& path = "/apps/wiki/", const std::string& lines = cookie,
               const std::string& host = "localhost") {
        return client_.get(path, lines, host);
    }
    // The last answer of as many as it takes to remember.
    Answer ask_often(const std::string& path = "/apps/wiki/", const std::string& lines = cookie,
                     const std::string& host = "localhost") {
        Answer answer;
        for (int i = 0; i < times; ++i) {
            answer = ask(path, lines, host);
        }
        return answer;
    }
    // Until the same request gets this status; false: it never did.
    bool until(int status) {
        const std::int64_t end_us = clock_.boot_us() + 10'000'000;
        while (clock_.boot_us() < end_us) {
            if (ask().status == status) {
                return true;
            }
        }
        return false;
    }
    SystemClock clock_;
    Client client_;
};

TEST_F(Memo, EveryRequestIsWrittenAlikeHoweverOftenItWasMade) {
    const auto without = [](std::string text, const std::string& name) {
        const std::size_t at = text.find(name);
        return at == std::string::npos ? text : text.erase(at, text.find("\r\n", at) - at);
    };
    const auto plain = [&](const Answer& answer) {
        return without(without(answer.body, "X-Request-Id: "), "traceparent: ");
    };
    const Answer first = ask();
    ASSERT_EQ(first.status, 200);
    EXPECT_THAT(first.body, HasSubstr("Remote-User: anna"));
    EXPECT_THAT(first.body, HasSubstr("Cookie: theme=dark\r\n"));
    EXPECT_THAT(first.body, HasSubstr("Via: 1.1 tokyo"));
    for (int i = 0; i < times; ++i) {
        EXPECT_EQ(plain(ask()), plain(first));
    }
}

TEST_F(Memo, AfterALogOutTheConnectionIsNobodys) {
    ASSERT_EQ(ask_often().status, 200);
    tier_.keeper.forget("cookie:secret");
    tier_.on_loop([](Engine& engine) {
        engine.drop_identities({"0123456789abcdef0123456789abcdef", "", ""});
    });
    EXPECT_EQ(ask().status, 401);
    EXPECT_THAT(ask("/apps/open/").body, Not(HasSubstr("Remote-User")));
}

TEST_F(Memo, WhoMayNoLongerUseAnAppDoesNot) {
    ASSERT_EQ(ask_often().status, 200);
    tier_.keeper.know("cookie:secret", person("anna", {}));
    tier_.on_loop([](Engine& engine) { engine.drop_identities({"", "anna", ""}); });
    EXPECT_EQ(ask().status, 404);
}

TEST_F(Memo, ASessionEndsWhenItsTimeIsOver) {
    Identity brief = person("anna", {"wiki"});
    brief.until_us = clock_.boot_us() + 400'000; // the snapshot has no offset
    tier_.keeper.know("cookie:secret", brief);
    ASSERT_EQ(ask_often().status, 200);
    tier_.keeper.forget("cookie:secret");
    EXPECT_TRUE(until(401));
}

TEST_F(Memo, ALeaseEndsWhenItsTimeIsOver) {
    tier_.spec.apps[0].lease_expires_us = clock_.boot_us() + 400'000;
    tier_.publish();
    ASSERT_EQ(ask_often().status, 200);
    EXPECT_TRUE(until(503));
}

TEST_F(Memo, WhatTheRegistrySaysIsTakenFromItsNewestSnapshot) {
    ASSERT_THAT(ask_often().body, HasSubstr("Remote-User: anna"));
    tier_.spec.apps[0].identity.user = "X-Who";
    tier_.spec.apps[0].identity.groups = "";
    tier_.publish();
    const Answer answer = ask();
    EXPECT_THAT(answer.body, HasSubstr("X-Who: anna"));
    EXPECT_THAT(answer.body, Not(HasSubstr("Remote-User")));
    EXPECT_THAT(answer.body, Not(HasSubstr("Remote-Groups")));
    tier_.spec.apps[0].route = registry::Route::nowhere;
    tier_.publish();
    EXPECT_EQ(ask().status, 404);
}

TEST_F(Memo, AHostThatBecomesAnAppsLeadsThere) {
    tier_.spec.portal_hosts = {"wiki.example"};
    tier_.publish();
    ASSERT_EQ(ask_often("/", cookie, "wiki.example").status, 200); // the portal
    tier_.spec.apps[0].hosts = {"wiki.example"};
    tier_.publish();
    EXPECT_THAT(ask_often("/", cookie, "wiki.example").body, HasSubstr("GET / HTTP/1.1"));
    tier_.spec.apps[0].hosts = {};
    tier_.spec.portal_hosts = {"localhost"};
    tier_.publish();
    EXPECT_EQ(ask("/", cookie, "wiki.example").status, 421);
}

TEST_F(Memo, SettingsThatNameAnotherCookieHold) {
    ASSERT_EQ(ask_often().status, 200);
    Settings other;
    other.cookie = "hasp-other";
    tier_.on_loop([&](Engine& engine) { engine.set_settings(other); });
    EXPECT_EQ(ask().status, 401);
    EXPECT_EQ(ask("/apps/wiki/", "Cookie: hasp-other=secret\r\n").status, 200);
}

TEST_F(Memo, EachRequestIsWhoItsOwnCookieSays) {
    tier_.keeper.know("cookie:other", person("berta", {"wiki"}));
    for (int i = 0; i < times; ++i) {
        EXPECT_THAT(ask("/apps/wiki/", session("secret")).body, HasSubstr("Remote-User: anna"));
        EXPECT_THAT(ask("/apps/wiki/", session("other")).body, HasSubstr("Remote-User: berta"));
        EXPECT_EQ(ask("/apps/wiki/", session("nobody")).status, 401);
        EXPECT_EQ(ask("/apps/wiki/", "").status, 401);
        const Answer two = ask("/apps/wiki/", "Cookie: a=1\r\nCookie: hasp-session=other; b=2\r\n");
        EXPECT_THAT(two.body, HasSubstr("Remote-User: berta"));
        EXPECT_THAT(two.body, HasSubstr("Cookie: a=1\r\n"));
        EXPECT_THAT(two.body, HasSubstr("Cookie: b=2\r\n"));
    }
}

TEST_F(Memo, EachRequestGoesWhereItsOwnPathAndHostSay) {
    for (registry::AppSpec& app : tier_.spec.apps) {
        app.prefix_header = "X-Forwarded-Prefix";
    }
    tier_.publish();
    for (int i = 0; i < times; ++i) {
        EXPECT_THAT(ask("/apps/wiki/a").body, HasSubstr("X-Forwarded-Prefix: /apps/wiki"));
        EXPECT_THAT(ask("/apps/open/a").body, HasSubstr("X-Forwarded-Prefix: /apps/open"));
        EXPECT_EQ(ask("/apps/nothing/a").status, 404);
        EXPECT_THAT(ask("/apps/wiki/", cookie, "LocalHost:81").body,
                    HasSubstr("X-Forwarded-Host: localhost:81"));
        EXPECT_THAT(ask("/apps/wiki/").body, HasSubstr("X-Forwarded-Host: localhost\r\n"));
    }
}

TEST_F(Memo, TheTiersThatARequestCameByAreItsOwn) {
    ASSERT_EQ(ask_often().status, 200);
    const Answer looped = ask("/apps/wiki/", cookie + "CDN-Loop: elsewhere\r\n");
    EXPECT_THAT(looped.body, HasSubstr("CDN-Loop: elsewhere, tokyo"));
    EXPECT_THAT(ask().body, HasSubstr("CDN-Loop: tokyo\r\n"));
    client_.send("GET /apps/wiki/ HTTP/1.0\r\nHost: localhost\r\nConnection: keep-alive\r\n" +
                 cookie + "\r\n");
    EXPECT_THAT(client_.read().body, HasSubstr("Via: 1.0 tokyo"));
    EXPECT_THAT(ask().body, HasSubstr("Via: 1.1 tokyo"));
}

TEST_F(Memo, TextsBeyondItsBoundAreReadAnew) {
    const std::string long_cookie = "Cookie: big=" + std::string(3'000, 'x') + "; hasp-session=";
    tier_.keeper.know("cookie:other", person("berta", {"wiki"}));
    for (int i = 0; i < times; ++i) {
        const Answer anna = ask("/apps/wiki/", long_cookie + "secret\r\n");
        EXPECT_THAT(anna.body, HasSubstr("Remote-User: anna"));
        EXPECT_THAT(anna.body, Not(HasSubstr("hasp-session")));
        EXPECT_THAT(ask("/apps/wiki/", long_cookie + "other\r\n").body,
                    HasSubstr("Remote-User: berta"));
    }
}

// Against the cache without a place, over many random steps.
TEST(IdentityCache, GivesTheSameWithAPlaceAsWithoutOne) {
    using Kind = WhoQuestion::Kind;
    IdentityCache with(8, 7);
    IdentityCache without(8, 7);
    std::vector<IdentityCache::Place> places(3);
    std::mt19937 random(4); // NOLINT: the same steps each time
    const auto pick = [&random](int below) {
        return static_cast<int>(random() % static_cast<unsigned>(below));
    };
    std::size_t found = 0;
    for (std::int64_t now = 0; now < 20'000; ++now) {
        const std::string secret(1, static_cast<char>('a' + pick(12)));
        const std::string scope = pick(4) == 0 ? "other" : "host";
        const Kind kind = pick(8) == 0 ? Kind::bearer : Kind::cookie;
        const int what = pick(32);
        if (what == 0) {
            const IdentityFilter filter{"", std::string(1, static_cast<char>('a' + pick(12))), ""};
            with.drop(filter);
            without.drop(filter);
        } else if (what < 8) {
            auto identity = std::make_shared<Identity>();
            identity->user = secret;
            identity->until_us = now + pick(400);
            const auto who = pick(5) == 0 ? nullptr : render(std::move(identity));
            const std::int64_t fresh_until = now + pick(200);
            with.put(kind, scope, secret, who, fresh_until);
            without.put(kind, scope, secret, who, fresh_until);
        } else {
            const auto a = with.find(kind, scope, secret, now, now, 50,
                                     &places[static_cast<std::size_t>(pick(3))]);
            const auto b = without.find(kind, scope, secret, now, now, 50);
            ASSERT_EQ(a.state, b.state) << now;
            ASSERT_EQ(a.ask, b.ask) << now;
            ASSERT_EQ(a.who, b.who) << now;
            found += a.who ? 1U : 0U;
        }
        ASSERT_EQ(with.size(), without.size());
    }
    EXPECT_GT(found, 500U);
}

} // namespace
} // namespace hasp::passon::testing
