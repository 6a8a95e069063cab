#include "traffic.h"

#include "base/clock.h"

#include <gtest/gtest.h>

namespace hasp::maint {
namespace {

constexpr std::int64_t last_of_november = 1'796'083'199 * second_us; // 2026-11-30T23:59:59Z

std::uint64_t packs(const Traffic& traffic) {
    return traffic.month_to_parent(Purpose::packs);
}
Json said(std::int64_t since_us, std::int64_t in, std::int64_t out) {
    return {{"since_us", since_us},
            {"parent", {{"in", in}, {"out", out}}},
            {"children", {{"in", 0}, {"out", 0}}}};
}

TEST(Traffic, AMonthEndsAtMidnightOfItsLastDayAndIsShownAsTheLast) {
    Traffic traffic(0);
    EXPECT_FALSE(traffic.in_month(last_of_november)) << "the first is no change";
    traffic.frame(true, "pack.get", 1000, 24);
    EXPECT_EQ(packs(traffic), 1024U);
    EXPECT_TRUE(traffic.in_month(last_of_november + second_us));
    EXPECT_EQ(traffic.month(), "2026-12");
    EXPECT_EQ(packs(traffic), 0U);
    const Json json = traffic.json(true);
    EXPECT_EQ(text_of(member(json, "last_month"), "month"), "2026-11");
    EXPECT_EQ(int_of(json["last_month"]["parent"]["packs"], "in"), 1000);
    EXPECT_EQ(int_of(json["parent"]["packs"], "in"), 1000) << "since the start";
}

TEST(Traffic, AClockThatJumpsBackGivesNoMonthBack) {
    Traffic traffic(0);
    traffic.in_month(last_of_november + second_us);
    traffic.frame(true, "pack.get", 1000, 0);
    EXPECT_FALSE(traffic.in_month(last_of_november - 40 * day_us));
    EXPECT_EQ(traffic.month(), "2026-12");
    EXPECT_EQ(packs(traffic), 1000U);
    EXPECT_FALSE(traffic.in_month(last_of_november + 2 * second_us));
    EXPECT_EQ(packs(traffic), 1000U) << "nor does it take them when it comes back";
}

TEST(Traffic, WhatIsCountedBeforeTheTimeIsKnownBelongsToTheFirstMonth) {
    Traffic traffic(0);
    traffic.frame(true, "pack.get", 1000, 0);
    EXPECT_FALSE(traffic.in_month(last_of_november));
    EXPECT_EQ(packs(traffic), 1000U);
}

TEST(Traffic, TheDayAfterAMonthIsTheFirstOfTheNext) {
    EXPECT_EQ(day_after_month("2026-11"), "2026-12-01");
    EXPECT_EQ(day_after_month("2026-12"), "2027-01-01");
    EXPECT_EQ(day_after_month("2027-08"), "2027-09-01");
    for (const char* none : {"", "2026", "2026-13", "2026-00", "2026-1x", "2026/11"}) {
        EXPECT_EQ(day_after_month(none), "") << none;
    }
}

TEST(Traffic, AFrontThatLeavesCountsOnBesideTheNext) {
    Traffic traffic(0);
    traffic.in_month(last_of_november);
    traffic.requests(said(7, 700, 70));
    traffic.requests(said(9, 1, 0));
    traffic.requests(said(7, 1'700, 70));
    traffic.requests(said(9, 2, 0));
    EXPECT_EQ(traffic.month_to_parent(Purpose::requests), 1'772U);
    for (int i = 0; i < 100; ++i) { // of which most have ended long ago
        traffic.requests(said(10 + i, 1, 0));
    }
    EXPECT_EQ(traffic.month_to_parent(Purpose::requests), 1'872U);
    EXPECT_EQ(traffic.kept().at("fronts").size(), 16U);
    // The next boot's times are smaller, and its two fronts stay known beside those of before.
    for (int i = 1; i <= 3; ++i) {
        traffic.requests(said(3, i, 0));
        traffic.requests(said(5, i, 0));
    }
    EXPECT_EQ(traffic.month_to_parent(Purpose::requests), 1'878U);
}

TEST(Traffic, WhatWasKeptGoesOnAfterARestart) {
    Traffic before(0);
    before.in_month(last_of_november);
    before.frame(true, "files.push", 10, 1000);
    before.in_month(last_of_november + second_us);
    before.frame(true, "pack.get", 500, 20);
    before.frame(false, "report", 30, 0);
    before.requests(said(7, 700, 70));
    before.set_waits_since(Purpose::packs, 42);
    Traffic after(0);
    after.restore(parse_object(dump(before.kept())));
    EXPECT_EQ(dump(after.kept()), dump(before.kept()));
    EXPECT_EQ(packs(after), 520U);
    EXPECT_EQ(after.waits_since_us(Purpose::packs), 42);
    after.frame(true, "pack.get", 1, 0);
    EXPECT_EQ(packs(after), 521U);
    EXPECT_EQ(int_of(after.json(true)["parent"]["packs"], "in"), 1) << "since the start";
    EXPECT_TRUE(after.in_month(last_of_november + 40 * day_us));
    EXPECT_EQ(after.waits_since_us(Purpose::packs), 0) << "what waited goes on in another month";
}

TEST(Traffic, AFrontThatGoesOnWhileTheKeeperBeginsAnewIsCountedOnce) {
    Traffic before(0);
    before.in_month(last_of_november);
    before.requests(said(7, 700, 70));
    const Json kept = before.kept();
    before.requests(said(7, 900, 70)); // and it crashes before it has written that
    Traffic after(0);
    after.restore(kept);
    after.requests(said(7, 1000, 80));
    EXPECT_EQ(after.month_to_parent(Purpose::requests), 1080U);
    after.requests(said(9, 5, 5)); // another front
    EXPECT_EQ(after.month_to_parent(Purpose::requests), 1090U);
    after.requests(said(9, 5, 5));
    EXPECT_EQ(after.month_to_parent(Purpose::requests), 1090U);
}

TEST(Traffic, WhatIsNotUnderstoodCountsAsNothing) {
    for (const char* text :
         {"", "null", "[]", "{\"month\":7}", "{\"month\":{\"month\":\"2026-99\"}}",
          "{\"month\":{\"month\":\"2026-11\",\"parent\":{\"packs\":{\"in\":-5,\"out\":\"x\"}}}}"}) {
        Traffic traffic(0);
        traffic.restore(parse_object(text));
        EXPECT_EQ(packs(traffic), 0U) << text;
        traffic.in_month(last_of_november);
        EXPECT_EQ(traffic.month(), "2026-11") << text;
    }
}

} // namespace
} // namespace hasp::maint
