#include "passon/request_rules.h"

#include "identity_cache.h"
#include "registry/snapshot.h"
#include "static_files.h"

#include <gtest/gtest.h>

namespace hasp::passon {
namespace {

TEST(Rules, NamesThatCarryIdentityOrOriginAreForgeable) {
    for (const char* name :
         {"Remote-User", "remote-anything", "X-Remote-User", "X-Forwarded-For",
          "x-forwarded-anything", "Forwarded", "X-Hasp-User", "hasp-app", "HASP-USER",
          "X-Auth-Request-User", "X-Real-IP", "Remote_User", "a_b", "Proxy", "Remote.User",
          "x!forwarded~for", "X-Original-URL", "X-SSL-Client-CN", "True-Client-IP"}) {
        EXPECT_TRUE(is_forgeable(name, nullptr)) << name;
    }
    for (const char* name : {"Accept", "X-Requested-With", "Forward", "X-Authentic", "Depth", "Has",
                             "Remote", "Proxy-Status", "X-Hosted", "a.b"}) {
        EXPECT_FALSE(is_forgeable(name, nullptr)) << name;
    }
}

TEST(Rules, NamesThatAnyManifestMapsAreForgeable) {
    registry::SnapshotSpec spec;
    registry::AppSpec app;
    app.name = "wiki";
    app.identity.user = "X-Clinic-User";
    spec.apps.push_back(app);
    const auto snapshot = registry::Snapshot::from_bytes(*registry::build_snapshot_bytes(spec));
    EXPECT_TRUE(is_forgeable("x-clinic-USER", snapshot->get()));
    EXPECT_FALSE(is_forgeable("x-clinic-name", snapshot->get()));
}

std::string filtered(std::string_view value, bool own) {
    std::string out;
    filter_cookies(out, value, own);
    return out;
}

TEST(Rules, HaspsCookiesAreTakenOutAndTheOthersStay) {
    EXPECT_EQ(filtered("a=1; __Host-hasp-session=secret; b=2", false), "a=1; b=2");
    EXPECT_EQ(filtered("hasp-session=x", false), "");
    EXPECT_EQ(filtered("a=1; HASP-Session=secret", true), "HASP-Session=secret");
}

std::string cleaned(std::string_view value, std::string_view mount = {}) {
    std::string out;
    return clean_set_cookie(out, value, mount, !mount.empty()) ? out : "refused";
}

TEST(Rules, AnAppsCookieLosesItsDomainAndMayNotBearHaspsName) {
    EXPECT_EQ(cleaned("a=1; Domain=example.com; Secure; HttpOnly"), "a=1; Secure; HttpOnly");
    EXPECT_EQ(cleaned("a=1;domain=.example.com"), "a=1");
    EXPECT_EQ(cleaned("__Host-hasp-session=x; Path=/"), "refused");
    EXPECT_EQ(cleaned("HASP-session=x"), "refused");
    EXPECT_EQ(cleaned("nonsense"), "refused");
    EXPECT_EQ(cleaned("=hasp-session=x"), "refused") << "a browser would send the value alone";
    EXPECT_EQ(cleaned(" = __Host-hasp-session=x; Path=/"), "refused");
}

TEST(Rules, AnAppsCookieStaysBeneathItsMount) {
    EXPECT_EQ(cleaned("a=1; Path=/", "/apps/wiki"), "a=1; Path=/apps/wiki/");
    EXPECT_EQ(cleaned("a=1; Path=/x", "/apps/wiki"), "a=1; Path=/apps/wiki/x");
    EXPECT_EQ(cleaned("a=1; Path=/apps/wiki/x", "/apps/wiki"), "a=1; Path=/apps/wiki/x");
    EXPECT_EQ(cleaned("a=1; Path=/apps/wikis", "/apps/wiki"), "a=1; Path=/apps/wiki/apps/wikis");
}

TEST(Rules, ARedirectToTheAppsInnerAddressLeadsToWhereTheUserSeesIt) {
    LocationMap map;
    map.inner = "127.0.0.1:8080";
    map.inner_host = "inner.example";
    map.base = "/base";
    map.origin = "https://tokyo.example";
    map.mount = "/apps/wiki";
    map.stripped = true;
    EXPECT_EQ(map_location("http://127.0.0.1:8080/base/login?x=1", map), "/apps/wiki/login?x=1");
    EXPECT_EQ(map_location("http://inner.example", map), "/apps/wiki/");
    EXPECT_EQ(map_location("/login", map), "/apps/wiki/login");
    EXPECT_EQ(map_location("/apps/wiki/login", map), "/apps/wiki/login");
    EXPECT_EQ(map_location("https://tokyo.example/login", map), "/apps/wiki/login");
    EXPECT_EQ(map_location("https://elsewhere.example/x", map), "https://elsewhere.example/x");
    EXPECT_EQ(map_location("next", map), "next");
    EXPECT_EQ(map_location("http://127.0.0.1:8080//evil.example/x", map),
              "/apps/wiki/evil.example/x");
    LocationMap at_host;
    at_host.origin = "https://wiki.example";
    EXPECT_EQ(map_location("http://wiki.example/login", at_host), "/login")
        << "never down to plain HTTP";
    for (const char* trick :
         {"//evil.example", "/\\evil.example", "/\t/evil.example", "/\\\\/evil.example",
          "///evil.example", "\\\\evil.example", "\\/evil.example"}) {
        EXPECT_EQ(map_location(std::string("http://wiki.example") + trick, at_host),
                  trick[0] == '/' ? "/evil.example" : std::string("http://wiki.example") + trick);
        const bool plain = trick == std::string("//evil.example");
        EXPECT_EQ(map_location(trick, at_host), plain ? trick : "/evil.example")
            << "another host is the app's to name, but plainly";
    }
    EXPECT_EQ(map_location("http:///evil.example/x", at_host), "/evil.example/x");
    EXPECT_EQ(map_location("..\\x", at_host), "..\\x");
}

TEST(Rules, AContentLocationThatIsAPathStaysAndOneThatNamesTheAppsAddressIsMapped) {
    LocationMap map;
    map.inner = "127.0.0.1:8080";
    map.origin = "https://tokyo.example";
    map.mount = "/apps/wiki";
    map.stripped = true;
    for (const char* path : {"/", "/bar", "/apps/wiki/bar", "bar", "https://elsewhere.example/x"}) {
        EXPECT_EQ(map_content_location(path, map), path);
    }
    EXPECT_EQ(map_content_location("http://127.0.0.1:8080/bar", map), "/apps/wiki/bar");
    EXPECT_EQ(map_content_location("/\\evil.example", map), "/apps/wiki/evil.example");
    map.base = "/base";
    EXPECT_EQ(map_content_location("/base/bar", map), "/apps/wiki/bar");
}

TEST(Rules, TheTargetOfARefreshIsMappedLikeALocation) {
    LocationMap map;
    map.inner = "127.0.0.1:8080";
    map.origin = "https://tokyo.example";
    map.mount = "/apps/wiki";
    map.stripped = true;
    EXPECT_EQ(map_refresh("5", map), "5");
    EXPECT_EQ(map_refresh("5; url=http://127.0.0.1:8080/next", map), "5; url=/apps/wiki/next");
    EXPECT_EQ(map_refresh("0;URL = '/next'x", map), "0; url=/apps/wiki/next");
    EXPECT_EQ(map_refresh("0, \"/\\evil.example\"", map), "0; url=/apps/wiki/evil.example");
    EXPECT_EQ(map_refresh("0; url=", map), "0; url=");
    EXPECT_EQ(map_refresh("3; url=https://elsewhere.example/x", map),
              "3; url=https://elsewhere.example/x");
}

TEST(Rules, AnUnsafeRequestFromAnotherOriginIsRefused) {
    OriginCheck check;
    check.unsafe = true;
    check.scheme = "https";
    check.authority = "tokyo.example:8443";
    EXPECT_TRUE(origin_allowed(check)) << "no browser sent it";
    check.origin = "https://tokyo.example:8443";
    EXPECT_TRUE(origin_allowed(check));
    for (const char* origin : {"null", "https://tokyo.example", "http://tokyo.example:8443",
                               "https://evil.example:8443", ""}) {
        check.origin = origin;
        EXPECT_FALSE(origin_allowed(check)) << origin;
    }
    check.origin.reset();
    check.sec_fetch_site = "same-site";
    EXPECT_FALSE(origin_allowed(check)) << "a neighbouring app is a stranger";
    check.unsafe = false;
    EXPECT_TRUE(origin_allowed(check));
}

TEST(Rules, AMountOfANeighbourEndsWhereASegmentDoes) {
    EXPECT_TRUE(mount_fits("/apps/wiki/x", ""));
    EXPECT_TRUE(mount_fits("/apps/wiki/x", "/apps/wiki"));
    EXPECT_TRUE(mount_fits("/apps/wiki", "/apps/wiki"));
    EXPECT_FALSE(mount_fits("/apps/wiki-private/x", "/apps/wiki")) << "-private/x is left";
    EXPECT_FALSE(mount_fits("/apps/wiki/x", "/apps/wiki/"));
    EXPECT_FALSE(mount_fits("/x", "/apps/wiki"));
}

TEST(Rules, ARequestThatGoesInCirclesIsStopped) {
    EXPECT_TRUE(hops_allowed("", "tokyo", 16));
    EXPECT_TRUE(hops_allowed("tokyo, center", "tokyo", 16));
    EXPECT_FALSE(hops_allowed("tokyo, center, tokyo; x=1", "tokyo", 16));
    EXPECT_FALSE(hops_allowed("a, b, c", "tokyo", 3));
}

TEST(Rules, MaxForwardsIsANumberOfAnySize) {
    EXPECT_EQ(parse_max_forwards("0"), 0U);
    EXPECT_EQ(parse_max_forwards("0010"), 10U);
    EXPECT_EQ(parse_max_forwards("99999999999999999999999"), UINT64_MAX);
    for (const char* bad : {"", "-1", "+1", "1.0", "1 1", "x"}) {
        EXPECT_FALSE(parse_max_forwards(bad)) << bad;
    }
}

TEST(Rules, ATraceOfTheClientIsTakenWhereItIsWellFormed) {
    const std::string good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const auto parsed = parse_traceparent(good);
    ASSERT_TRUE(parsed);
    EXPECT_EQ(parsed->trace, "4bf92f3577b34da6a3ce929d0e0e4736");
    EXPECT_EQ(parsed->flags, "01");
    EXPECT_TRUE(parse_traceparent("cc" + good.substr(2) + "-what-comes-later"));
    const std::vector<std::string> malformed{
        "",
        good.substr(1),
        good + "-x",
        "cc" + good.substr(2) + "x",
        "ff" + good.substr(2),
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-" + std::string(32, '0') + "-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"};
    for (const std::string& bad : malformed) {
        EXPECT_FALSE(parse_traceparent(bad)) << bad;
    }
}

TEST(HeaderEncode, KeepsVisibleAsciiAndEncodesTheRest) {
    EXPECT_EQ(header_encode("Anna Berg"), "Anna Berg");
    EXPECT_EQ(header_encode("Zo\xc3\xab 100%\r\n"), "Zo%C3%AB 100%25%0D%0A");
    EXPECT_EQ(header_encode("a,b", true), "a%2Cb");
}

TEST(IdentityCache, ForgetsTheLeastRecentlyUsedAndTheEnded) {
    IdentityCache cache(2, 7);
    const auto who = [](std::int64_t until) {
        auto identity = std::make_shared<Identity>();
        identity->user = "anna";
        identity->until_us = until;
        return render(std::move(identity));
    };
    using Kind = WhoQuestion::Kind;
    using State = IdentityCache::State;
    cache.put(Kind::cookie, "h", "a", who(1000), 50);
    cache.put(Kind::cookie, "h", "b", who(1000), 50);
    EXPECT_EQ(cache.find(Kind::cookie, "h", "a", 10, 10, 100).state, State::fresh);
    EXPECT_EQ(cache.find(Kind::bearer, "h", "a", 10, 10, 100).state, State::unknown)
        << "a cookie is no token";
    EXPECT_EQ(cache.find(Kind::cookie, "other", "a", 10, 10, 100).state, State::unknown)
        << "nor good elsewhere";
    cache.put(Kind::cookie, "h", "c", who(1000), 50);
    EXPECT_EQ(cache.find(Kind::cookie, "h", "b", 10, 10, 100).state, State::unknown);
    const IdentityCache::Found stale = cache.find(Kind::cookie, "h", "a", 60, 10, 100);
    EXPECT_EQ(stale.state, State::stale);
    EXPECT_TRUE(stale.ask);
    EXPECT_TRUE(stale.who);
    EXPECT_FALSE(cache.find(Kind::cookie, "h", "a", 61, 10, 100).ask) << "it is being asked";
    EXPECT_EQ(cache.find(Kind::cookie, "h", "c", 150, 10, 100).state, State::unknown)
        << "too long ago";
    EXPECT_EQ(cache.find(Kind::cookie, "h", "a", 10, 1000, 100).state, State::unknown)
        << "it has ended";
    IdentityFilter filter;
    filter.user = "anna";
    cache.drop(filter);
    EXPECT_EQ(cache.size(), 0U);
}

TEST(StaticPath, MapsARequestPathToNamesAndNeverToHiddenOnes) {
    std::string out;
    EXPECT_TRUE(static_path(out, "/a%20b/c.html"));
    EXPECT_EQ(out, "a b/c.html");
    out.clear();
    EXPECT_FALSE(static_path(out, "/.git/config"));
    out.clear();
    EXPECT_TRUE(static_path(out, "/.well-known/x"));
    EXPECT_EQ(content_type_of("a/b.HTML"), "text/html; charset=utf-8");
    EXPECT_EQ(content_type_of("a.b/c"), "application/octet-stream");
}

} // namespace
} // namespace hasp::passon
