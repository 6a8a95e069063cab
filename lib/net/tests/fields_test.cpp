#include "net/fields.h"

#include "net/head.h"
#include "net/target.h"
#include "net/websocket.h"

#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace hasp::net {
namespace {

using Kind = Ranges::Kind;

std::vector<std::string> items(std::string_view value) {
    std::vector<std::string> out;
    ListItems list{value};
    while (const auto item = list.next()) {
        out.emplace_back(*item);
    }
    return out;
}

TEST(List, SkipsEmptyElementsAndKeepsQuotedStringsWhole) {
    EXPECT_EQ(items(" a ,, b;q=1 ,\"c,d\","), (std::vector<std::string>{"a", "b;q=1", "\"c,d\""}));
    EXPECT_TRUE(items(" ,\t, ").empty());
    EXPECT_TRUE(list_has("keep-alive, Upgrade", "upgrade"));
    EXPECT_FALSE(list_has("xupgrade", "upgrade"));
}

TEST(Cookies, ArePairsAndWhatIsNotOneIsToldAndSkipped) {
    Cookies good{"a=1; __Host-s=x=y;b="};
    EXPECT_EQ(good.next()->value, "1");
    const auto session = good.next();
    EXPECT_EQ(session->name, "__Host-s");
    EXPECT_EQ(session->value, "x=y");
    EXPECT_EQ(good.next()->value, "");
    EXPECT_FALSE(good.next());
    EXPECT_FALSE(good.malformed());
    Cookies bad{"novalue; =x; a b=c; ok=1"};
    EXPECT_EQ(bad.next()->name, "ok");
    EXPECT_TRUE(bad.malformed());
    Cookies same{"s=1; s=2"};
    EXPECT_EQ(same.next()->value, "1");
    EXPECT_EQ(same.next()->value, "2");
}

TEST(Range, IsSatisfiedUnsatisfiableOrIgnoredByRfc9110Section14) {
    const auto one = [](std::string_view value) { return parse_range(value, 1000); };
    EXPECT_EQ(one("bytes=0-499").ranges[0].size(), 500U);
    EXPECT_EQ(one("bytes=500-").ranges[0].last, 999U);
    EXPECT_EQ(one("bytes=-1").ranges[0].first, 999U);
    EXPECT_EQ(one("bytes=-5000").ranges[0].first, 0U);
    EXPECT_EQ(one("bytes=990-5000").ranges[0].last, 999U);
    EXPECT_EQ(one("Bytes=0-0, 5-6").count, 2U);
    EXPECT_EQ(one("bytes=1000-").kind, Kind::unsatisfiable);
    EXPECT_EQ(one("bytes=-0").kind, Kind::unsatisfiable);
    EXPECT_EQ(one("bytes=99999999999999999999999-").kind, Kind::unsatisfiable);
    EXPECT_EQ(parse_range("bytes=0-", 0).kind, Kind::unsatisfiable);
    for (const char* bad : {"bytes=", "bytes=5-4", "bytes=a-b", "bytes=-", "bytes=1", "items=0-1",
                            "bytes 0-1", "bytes=0-10,5-20", "bytes=+1-2", "bytes=1 - 2",
                            "bytes=0-0,2-2,4-4,6-6,8-8,10-10,12-12,14-14,16-16"}) {
        EXPECT_EQ(one(bad).kind, Kind::ignore) << bad;
    }
}

TEST(Date, IsReadInAllThreeFormsAndWrittenInOne) {
    constexpr std::int64_t then = 784111777; // RFC 9110 §5.6.7
    constexpr std::int64_t now = 1'700'000'000;
    const auto text = format_http_date(then);
    EXPECT_EQ(std::string_view(text.data(), text.size()), "Sun, 06 Nov 1994 08:49:37 GMT");
    EXPECT_EQ(parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT", now), then);
    EXPECT_EQ(parse_http_date("Sunday, 06-Nov-94 08:49:37 GMT", now), then);
    EXPECT_EQ(parse_http_date("Sun Nov  6 08:49:37 1994", now), then);
    for (const char* bad : {"", "Sun, 06 Nov 1994 08:49:37", "Mon, 06 Nov 1994 08:49:37 GMT",
                            "Sun, 6 Nov 1994 08:49:37 GMT", "Sun, 31 Feb 1994 08:49:37 GMT",
                            "Sun, 06 Nov 1994 24:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 GMT ",
                            "sun, 06 nov 1994 08:49:37 gmt"}) {
        EXPECT_FALSE(parse_http_date(bad, now)) << bad;
    }
}

TEST(Date, IsReadByCachesInAnyCaseAndWithAnyWeekday) {
    constexpr std::int64_t then = 784111777;
    constexpr std::int64_t now = 1'700'000'000;
    for (const char* good : {"Sun, 06 Nov 1994 08:49:37 GMT", "SUN, 06 nov 1994 08:49:37 gMT",
                             "Mon, 06 Nov 1994 08:49:37 GMT", "sunday, 06-NOV-94 08:49:37 gmt",
                             "Sun NOV  6 08:49:37 1994", "Mon Nov  6 08:49:37 1994"}) {
        EXPECT_EQ(parse_loose_http_date(good, now), then) << good;
    }
    for (const char* bad : {"", "0", "Sun, 06 Nov 1994 08:49:37 UTC", "Sun, 06 Nov 1994 08:49:37",
                            "Son, 06 Nov 1994 08:49:37 GMT", "Sun, 31 Feb 1994 08:49:37 GMT",
                            "Sun, 06 Nov 1994 08:49:37 GMT "}) {
        EXPECT_FALSE(parse_loose_http_date(bad, now)) << bad;
    }
}

TEST(Accept, LooksAtNamesWildcardsAndQOfZero) {
    EXPECT_TRUE(accepts_type("text/html, */*;q=0.1", "text/html"));
    EXPECT_TRUE(accepts_type("text/*", "text/html"));
    EXPECT_FALSE(accepts_type("text/html;q=0, */*", "text/html"));
    EXPECT_FALSE(accepts_type("application/json", "text/html"));
    EXPECT_TRUE(accepts_type("", "text/html"));
    EXPECT_TRUE(accepts_coding("br, gzip;q=0.5", "gzip"));
    EXPECT_FALSE(accepts_coding("gzip;q=0.000", "gzip"));
    EXPECT_FALSE(accepts_coding("", "gzip"));
    EXPECT_TRUE(accepts_coding("*", "gzip"));
    EXPECT_TRUE(accepts_coding("gzip", "identity"));
    EXPECT_FALSE(accepts_coding("*;q=0", "identity"));
}

TEST(EntityTags, AreComparedWeaklyUnlessStrong) {
    EXPECT_TRUE(etag_listed("\"a\", W/\"b\"", "\"b\"", false));
    EXPECT_FALSE(etag_listed("\"a\", W/\"b\"", "\"b\"", true));
    EXPECT_TRUE(etag_listed("*", "\"x\"", true));
    EXPECT_TRUE(etag_listed("\"a,b\"", "\"a,b\"", true));
}

TEST(Path, SegmentsAreDecodedOneByOne) {
    PathSegments segments{"/a/b%20c//%C3%A4/"};
    for (const char* expected : {"a", "b c", "", "\xc3\xa4", ""}) {
        EXPECT_EQ(segments.next(), expected);
    }
    EXPECT_FALSE(segments.next());
    const std::string long_name = "/" + std::string(256, 'a');
    PathSegments too_long{long_name};
    EXPECT_FALSE(too_long.next());
    EXPECT_TRUE(too_long.too_long());
}

TEST(Authority, HasAHostAndMaybeAPort) {
    EXPECT_EQ(parse_authority("[::1]:80")->host, "[::1]");
    EXPECT_TRUE(parse_authority("127.0.0.1")->ip);
    EXPECT_FALSE(parse_authority("127.0.0.1.example")->ip);
    EXPECT_EQ(parse_authority("a_b.example:65535")->port, 65535U);
    EXPECT_FALSE(parse_authority(std::string(256, 'a')));
    EXPECT_FALSE(parse_authority(":80"));
}

TEST(WebSocket, TheAcceptOfAKeyIsThatOfTheRfc) {
    EXPECT_EQ(websocket_accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

} // namespace
} // namespace hasp::net
