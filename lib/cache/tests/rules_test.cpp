#include "cache/label.h"
#include "cache/rules.h"

#include <gtest/gtest.h>

#include <initializer_list>
#include <utility>

namespace hasp::cache {
namespace {

constexpr std::int64_t day0_s = 1'795'000'000;

class Fields {
  public:
    Fields(std::initializer_list<std::pair<const char*, const char*>> lines) {
        for (const auto& [name, value] : lines) {
            headers.add(name, value, net::name_id(name));
        }
    }
    net::Headers headers;
};

AskedBy anybody() {
    AskedBy by;
    by.get = true;
    return by;
}

Scope scope(std::initializer_list<std::pair<const char*, const char*>> lines,
            AskedBy by = anybody(), int status = 200) {
    return scope_of(status, Fields(lines).headers, by, true);
}

Freshness fresh(std::initializer_list<std::pair<const char*, const char*>> lines,
                Scope scope = Scope::shared) {
    return freshness_of(200, Fields(lines).headers, scope, day0_s, day0_s);
}

TEST(CacheRules, AnAnswerWithALifetimeIsStoredForAllAndOneWithoutAnyIsNot) {
    EXPECT_EQ(scope({{"Cache-Control", "max-age=60"}}), Scope::shared);
    EXPECT_EQ(scope({{"Expires", "0"}}), Scope::shared);
    EXPECT_EQ(scope({{"ETag", "\"a\""}}), Scope::shared);
    EXPECT_EQ(scope({{"Content-Type", "text/plain"}}), Scope::none);
}

TEST(CacheRules, WhatSaysNoStoreOrPrivateOrVariesOnEverythingIsNotShared) {
    EXPECT_EQ(scope({{"Cache-Control", "max-age=60, No-Store"}}), Scope::none);
    EXPECT_EQ(scope({{"Cache-Control", "max-age=60, private"}}), Scope::none);
    EXPECT_EQ(scope({{"Cache-Control", "max-age=60, private=\"x\""}}), Scope::none);
    EXPECT_EQ(scope({{"Cache-Control", "max-age=60"}, {"Vary", "Foo, *"}}), Scope::none);
}

TEST(CacheRules, APartAnInterimAnswerAndOneWithoutAnEndAreNotStored) {
    EXPECT_EQ(scope({{"Cache-Control", "max-age=60"}}, anybody(), 206), Scope::none);
    EXPECT_EQ(scope({{"Cache-Control", "max-age=60"}}, anybody(), 103), Scope::none);
    EXPECT_EQ(scope_of(200, Fields({{"Cache-Control", "max-age=60"}}).headers, anybody(), false),
              Scope::none);
}

TEST(CacheRules, WhatAnswersOneRequestAndNotItsTargetIsNotStored) {
    for (const int status : {412, 417, 428, 429, 431, 511}) {
        EXPECT_EQ(scope({{"Cache-Control", "max-age=60, public"}}, anybody(), status), Scope::none)
            << status;
    }
    EXPECT_EQ(scope({{"Cache-Control", "max-age=60"}}, anybody(), 400), Scope::shared);
}

TEST(CacheRules, AnAnswerToASignedOnUserIsHisAloneUnlessItIsMarkedAsShareable) {
    AskedBy by = anybody();
    by.identity = true;
    EXPECT_EQ(scope({{"Cache-Control", "max-age=60"}}, by), Scope::none);
    by.may_own = true;
    EXPECT_EQ(scope({{"Cache-Control", "max-age=60"}}, by), Scope::owner);
    EXPECT_EQ(scope({{"Cache-Control", "max-age=60, private"}}, by), Scope::owner);
    for (const char* mark : {"public", "s-maxage=5"}) {
        EXPECT_EQ(scope({{"Cache-Control", "max-age=60"}, {"Cache-Control", mark}}, by),
                  Scope::shared)
            << mark;
    }
    EXPECT_EQ(scope({{"Cache-Control", "max-age=60, must-revalidate"}}, by), Scope::owner);
    EXPECT_EQ(scope({{"Cache-Control", "max-age=60, public, private"}}, by), Scope::owner);
}

TEST(CacheRules, CredentialsAndCookiesOfTheAppMakeAnAnswerPersonalToo) {
    AskedBy by = anybody();
    by.authorization = true;
    EXPECT_EQ(scope({{"Cache-Control", "max-age=60"}}, by), Scope::none);
    EXPECT_EQ(scope({{"Cache-Control", "max-age=60, public"}}, by), Scope::shared);
    EXPECT_EQ(scope({{"Cache-Control", "max-age=60, must-revalidate"}}, by), Scope::shared);
    by = anybody();
    by.cookie = true;
    EXPECT_EQ(scope({{"Cache-Control", "max-age=60"}}, by), Scope::none);
    EXPECT_EQ(scope({{"Cache-Control", "s-maxage=60"}}, by), Scope::shared);
    by.identity = by.may_own = by.authorization = true;
    EXPECT_EQ(scope({{"Cache-Control", "max-age=60"}}, by), Scope::none);
}

TEST(CacheRules, AnAnswerThatSetsACookieIsSharedOnlyIfItSaysSo) {
    EXPECT_EQ(scope({{"Cache-Control", "max-age=60"}, {"Set-Cookie", "a=b"}}), Scope::none);
    EXPECT_EQ(scope({{"Cache-Control", "max-age=60, public"}, {"Set-Cookie", "a=b"}}),
              Scope::shared);
}

TEST(CacheRules, AStatusThatIsNotUnderstoodIsStoredOnlyWithALifetime) {
    EXPECT_EQ(scope({{"Last-Modified", "x"}}, anybody(), 599), Scope::none);
    EXPECT_EQ(scope({{"Last-Modified", "x"}, {"Cache-Control", "public"}}, anybody(), 599),
              Scope::shared);
    EXPECT_EQ(scope({{"Cache-Control", "max-age=60"}}, anybody(), 599), Scope::shared);
    EXPECT_EQ(scope({{"Cache-Control", "max-age=60, no-store, must-understand"}}, anybody(), 599),
              Scope::none);
    EXPECT_EQ(scope({{"Cache-Control", "max-age=60, no-store, must-understand"}}), Scope::shared);
}

TEST(CacheRules, ASharedCachePrefersSMaxageAndAUsersOwnDoesNot) {
    EXPECT_EQ(fresh({{"Cache-Control", "max-age=1, s-maxage=3600"}}).lifetime_s, 3'600);
    EXPECT_EQ(fresh({{"Cache-Control", "max-age=1, s-maxage=3600"}}, Scope::owner).lifetime_s, 1);
}

TEST(CacheRules, ALifetimeThatCannotBeReadIsNone) {
    for (const char* text : {"max-age=-1", "max-age='60'", "max-age=60a", "max-age=60.0",
                             "max-age =60", "max-age= 60", "max-age", "x=\"max-age=60\""}) {
        EXPECT_EQ(fresh({{"Cache-Control", text}}).lifetime_s, 0) << text;
    }
    EXPECT_EQ(fresh({{"Cache-Control", "MaX-aGe=\"060\""}}).lifetime_s, 60);
    EXPECT_EQ(fresh({{"Cache-Control", "max-age=99999999999999999999"}}).lifetime_s,
              delta_seconds_max);
    EXPECT_EQ(fresh({{"Cache-Control", "max-age=60"}, {"Cache-Control", "max-age=1"}}).lifetime_s,
              60);
}

TEST(CacheRules, ADateInAnyCaseAndWithAnyWeekdayEndsALifetimeAndOneOfAnotherZoneIsNone) {
    const auto lifetime = [](const char* expires) {
        return fresh({{"Date", "Thu, 18 Aug 2050 02:00:00 GMT"}, {"Expires", expires}}).lifetime_s;
    };
    for (const char* good : {"THU, 18 AUG 2050 02:01:00 gMT", "Mon, 18 Aug 2050 02:01:00 GMT",
                             "Thursday, 18-Aug-50 02:01:00 GMT", "Mon Aug 18 02:01:00 2050"}) {
        EXPECT_EQ(lifetime(good), 60) << good;
    }
    for (const char* bad : {"Thu, 18 Aug 2050 02:01:00 UTC", "Thu, 18 Aug 2050 02:01:00 +0000"}) {
        EXPECT_EQ(lifetime(bad), 0) << bad;
    }
}

TEST(CacheRules, CdnCacheControlCountsInsteadOfCacheControlIfItIsADictionary) {
    const auto lifetime = [](const char* aimed) {
        return fresh({{"CDN-Cache-Control", aimed}, {"Cache-Control", "max-age=7"}}).lifetime_s;
    };
    EXPECT_EQ(lifetime("foobar, max-age=60;x=1"), 60);
    EXPECT_EQ(lifetime("max-age=60, &&&"), 7);
    EXPECT_EQ(lifetime("max-age=\"60\""), 7);
    EXPECT_EQ(lifetime("max-age =60"), 7);
    EXPECT_EQ(lifetime("max-age=60,"), 7);
    EXPECT_EQ(lifetime("MaX-aGe=60"), 7);
    EXPECT_EQ(scope({{"CDN-Cache-Control", "max-age=60"}, {"Cache-Control", "no-store"}}),
              Scope::shared);
    EXPECT_EQ(scope({{"CDN-Cache-Control", "private"}, {"Cache-Control", "max-age=60"}}),
              Scope::none);
}

TEST(CacheRules, AgeCountsFromDateFromAgeAndFromWhenItCame) {
    const Fields old({{"Age", "30, 1"}, {"Cache-Control", "max-age=60"}});
    const Freshness late = freshness_of(200, old.headers, Scope::shared, day0_s - 5, day0_s);
    EXPECT_EQ(late.initial_age_s, 35);
    EXPECT_EQ(late.age_s(day0_s + 10), 45);
    EXPECT_EQ(late.age_s(day0_s - 10), 35) << "a clock that was set back";
    EXPECT_EQ(parse_age("abc"), std::nullopt);
    EXPECT_EQ(parse_age("-1"), std::nullopt);
    EXPECT_EQ(parse_age("1.0"), std::nullopt);
}

TEST(CacheRules, WithoutALifetimeATenthOfTheAgeIsGuessedForAllAndNothingForOne) {
    const auto of = [](Scope scope) {
        return fresh({{"Last-Modified", "Tue, 17 Nov 2020 10:26:40 GMT"}}, scope).lifetime_s;
    };
    EXPECT_EQ(of(Scope::shared), heuristic_s_max);
    EXPECT_EQ(of(Scope::owner), 0);
}

TEST(CacheRules, AFreshAnswerIsUsedUntilTheClientOrTheAppWantsItConfirmed) {
    const Freshness one = fresh({{"Cache-Control", "max-age=60"}});
    RequestDirectives asked;
    EXPECT_EQ(use_of(one, asked, day0_s + 59, true), Use::as_it_is);
    EXPECT_EQ(use_of(one, asked, day0_s + 60, true), Use::validate);
    EXPECT_EQ(use_of(one, asked, day0_s, false), Use::validate);
    asked.max_age = 10;
    EXPECT_EQ(use_of(one, asked, day0_s + 11, true), Use::validate);
    asked = {};
    asked.min_fresh = 50;
    EXPECT_EQ(use_of(one, asked, day0_s + 11, true), Use::validate);
    asked = {};
    asked.max_stale = 20;
    EXPECT_EQ(use_of(one, asked, day0_s + 70, true), Use::as_it_is);
    asked.no_cache = true;
    EXPECT_EQ(use_of(one, asked, day0_s, true), Use::validate);
    EXPECT_EQ(use_of(fresh({{"Cache-Control", "max-age=60, no-cache"}}), {}, day0_s, true),
              Use::validate);
}

TEST(CacheRules, AStaleAnswerIsUsedWhileItIsRenewedIfTheAppSaysForHowLong) {
    const Freshness one = fresh({{"Cache-Control", "max-age=1, stale-while-revalidate=10"}});
    EXPECT_EQ(use_of(one, {}, day0_s + 5, true), Use::and_renew);
    EXPECT_EQ(use_of(one, {}, day0_s + 12, true), Use::validate);
    EXPECT_EQ(use_of(fresh({{"Cache-Control", "max-age=1, must-revalidate, "
                                              "stale-while-revalidate=10"}}),
                     {}, day0_s + 5, true),
              Use::validate);
}

TEST(CacheRules, AStaleAnswerStandsInForNobodyAndForAnErrorOnlyAsFarAsItMay) {
    const Freshness plain = fresh({{"Cache-Control", "max-age=1"}});
    EXPECT_TRUE(may_stand_in(plain, Trouble::disconnected, 100, day0_s + 50));
    EXPECT_FALSE(may_stand_in(plain, Trouble::disconnected, 100, day0_s + 200));
    EXPECT_FALSE(may_stand_in(plain, Trouble::server_error, 100, day0_s + 50));
    const Freshness lasting = fresh({{"Cache-Control", "max-age=1, stale-if-error=500"}});
    EXPECT_TRUE(may_stand_in(lasting, Trouble::server_error, 100, day0_s + 200));
    EXPECT_TRUE(may_stand_in(lasting, Trouble::disconnected, 100, day0_s + 200));
    for (const char* never : {"must-revalidate", "proxy-revalidate", "s-maxage=1", "no-cache"}) {
        const Freshness one = fresh({{"Cache-Control", "max-age=1"}, {"Cache-Control", never}});
        EXPECT_FALSE(may_stand_in(one, Trouble::disconnected, 100, day0_s + 50)) << never;
    }
}

TEST(CacheRules, ValuesOfVaryAreComparedWithoutLinesAndWhiteSpace) {
    EXPECT_EQ(vary_value(Fields({{"Foo", "1, 2"}}).headers, "foo"), "1,2");
    EXPECT_EQ(vary_value(Fields({{"Foo", "1"}, {"foo", "2"}}).headers, "foo"), "1,2");
    EXPECT_EQ(vary_value(Fields({{"Accept-Language", "eN, De"}}).headers, "accept-language"),
              "en,de");
    EXPECT_EQ(vary_value(Fields({}).headers, "foo"), "");
    std::vector<std::string> names;
    EXPECT_TRUE(vary_names(Fields({{"Vary", "B, a"}, {"Vary", "b"}}).headers, names));
    EXPECT_EQ(names, (std::vector<std::string>{"a", "b"}));
    EXPECT_FALSE(vary_names(Fields({{"Vary", ", *"}}).headers, names));
}

TEST(CacheRules, AClientsConditionsAreJudgedInTheirOrder) {
    const Fields stored({{"ETag", "\"a\""}, {"Last-Modified", "Tue, 17 Nov 2020 10:26:40 GMT"}});
    const auto of = [&](std::initializer_list<std::pair<const char*, const char*>> lines) {
        return condition_of(Fields(lines).headers, stored.headers, day0_s, day0_s);
    };
    EXPECT_EQ(of({{"If-None-Match", "\"b\", W/\"a\""}}), Condition::not_modified);
    EXPECT_EQ(
        of({{"If-None-Match", "\"b\""}, {"If-Modified-Since", "Tue, 17 Nov 2020 10:26:40 GMT"}}),
        Condition::none);
    EXPECT_EQ(of({{"If-Modified-Since", "Tue, 17 Nov 2020 10:26:40 GMT"}}),
              Condition::not_modified);
    EXPECT_EQ(of({{"If-Match", "\"b\""}}), Condition::failed);
    EXPECT_EQ(of({{"If-Unmodified-Since", "Sun, 17 Nov 2019 10:26:40 GMT"}}), Condition::failed);
    EXPECT_TRUE(if_range_matches(Fields({{"If-Range", "\"a\""}}).headers, stored.headers, day0_s));
    EXPECT_FALSE(
        if_range_matches(Fields({{"If-Range", "W/\"a\""}}).headers, stored.headers, day0_s));
}

TEST(CacheRules, A304ReplacesFieldsButForTheLength) {
    const Fields stored({{"A", "1"}, {"B", "1"}, {"Age", "9"}, {"Cache-Control", "max-age=1"}});
    const Fields newer({{"b", "2"}, {"Content-Length", "5"}, {"Connection", "close"}});
    std::string out;
    merge_fields(stored.headers, newer.headers, out);
    EXPECT_EQ(out, "A: 1\r\nCache-Control: max-age=1\r\nb: 2\r\n");
}

TEST(CacheRules, A304OfAnotherContentConfirmsNothing) {
    using Lines = std::initializer_list<std::pair<const char*, const char*>>;
    const auto confirmed = [](Lines stored, Lines newer) {
        return confirms(Fields(stored).headers, Fields(newer).headers);
    };
    constexpr const char* day0 = "Wed, 18 Nov 2026 00:00:00 GMT";
    const Lines tagged = {{"ETag", "\"a\""}, {"Last-Modified", day0}};
    EXPECT_TRUE(confirmed(tagged, {{"ETag", "\"a\""}}));
    EXPECT_TRUE(confirmed(tagged, {{"ETag", "W/\"a\""}, {"Last-Modified", "later"}}));
    EXPECT_TRUE(confirmed(tagged, {{"Last-Modified", day0}}));
    EXPECT_TRUE(confirmed(tagged, {{"Cache-Control", "max-age=1"}}));
    EXPECT_FALSE(confirmed(tagged, {{"ETag", "\"b\""}, {"Last-Modified", day0}}));
    EXPECT_FALSE(confirmed(tagged, {{"ETag", "W/\"b\""}}));
    EXPECT_FALSE(confirmed(tagged, {{"Last-Modified", "later"}}));
    EXPECT_TRUE(confirmed({{"Last-Modified", day0}}, {{"ETag", "\"a\""}, {"Last-Modified", day0}}));
    EXPECT_FALSE(confirmed({{"Last-Modified", day0}}, {{"ETag", "\"a\""}}));
}

TEST(CacheRules, ALabelSurvivesPackingAndOneThatIsCutIsRefused) {
    Label label;
    label.owner = "anna";
    label.app = "wiki";
    label.origin = "http://localhost";
    label.target = "/a?b";
    label.vary = {{"foo", "1"}};
    label.release = "r1";
    label.open = true;
    label.request_s = 1;
    label.response_s = 2;
    label.confirmed_s = 3;
    label.head = "HTTP/1.1 200 OK\r\nETag: \"a\"\r\n\r\n";
    const std::string bytes = pack(label);
    Label again;
    ASSERT_TRUE(unpack(bytes, again));
    EXPECT_EQ(pack(again), bytes);
    net::AnswerHead head;
    ASSERT_TRUE(parse_head(again, head));
    EXPECT_EQ(head.headers.value(net::Name::etag), "\"a\"");
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        EXPECT_FALSE(unpack(std::string_view(bytes).substr(0, i), again)) << i;
    }
    EXPECT_FALSE(unpack(bytes + "x", again));
}

} // namespace
} // namespace hasp::cache
