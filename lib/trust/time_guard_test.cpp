#include "trust/time_guard.h"

#include <gtest/gtest.h>

namespace hasp::trust {
namespace {

constexpr std::int64_t second = 1'000'000;
constexpr std::int64_t day = 86'400 * second;
constexpr std::int64_t noon = 1'700'000'000 * second; // the true time when the tests begin

TEST(TimeGuard, ABoxThatNeverHeardASignedTimeBelievesItsClock) {
    TimeGuard guard({}, 7 * day, 10 * second, "a");
    const TrustedTime t = guard.now(noon, 10 * second);
    EXPECT_EQ(t.now_us, noon);
    EXPECT_FALSE(t.suspect());
}

TEST(TimeGuard, AClockThatIsSetBackDoesNotTurnTimeBack) {
    TimeGuard guard({}, 7 * day, 0, "a");
    guard.observe_signed(noon, 10 * second);
    const TrustedTime t = guard.now(noon - 30 * day, 70 * second);
    EXPECT_EQ(t.now_us, noon + 60 * second);
    EXPECT_TRUE(t.clock_behind);
    EXPECT_TRUE(t.suspect());
}

TEST(TimeGuard, AClockThatIsSetForwardAfterASignedTimeDoesNotCount) {
    TimeGuard guard({}, 7 * day, 0, "a");
    guard.observe_signed(noon, 0);
    const TrustedTime t = guard.now(noon + 400 * day, 60 * second);
    EXPECT_EQ(t.now_us, noon + 60 * second);
    EXPECT_TRUE(t.clock_ahead);
    EXPECT_FALSE(t.suspect());
}

TEST(TimeGuard, AfterARebootWithoutAClockTimeGoesOnFromTheFloor) {
    TimeGuard before({}, 7 * day, 0, "a");
    before.observe_signed(noon, 10 * second);
    const TimeState saved = before.state(10 * second + 2 * day);
    TimeGuard after(saved, 7 * day, 30 * second, "b");
    const TrustedTime t = after.now(0, 40 * second); // 1970: no battery
    EXPECT_EQ(t.now_us, noon + 2 * day + 40 * second);
    EXPECT_TRUE(t.clock_behind);
}

TEST(TimeGuard, AfterARebootALaterClockIsBelieved) {
    TimeGuard before({}, 30 * day, 0, "a");
    before.observe_signed(noon, 0);
    TimeGuard after(before.state(day), 30 * day, 20 * second, "b");
    const TrustedTime t = after.now(noon + 9 * day, 20 * second); // switched off for eight days
    EXPECT_EQ(t.now_us, noon + 9 * day);
    EXPECT_FALSE(t.suspect());
    // Once believed, it cannot be taken back by setting the clock.
    const TrustedTime later = after.now(noon + 2 * day, 50 * second);
    EXPECT_EQ(later.now_us, noon + 9 * day + 30 * second);
    EXPECT_TRUE(later.clock_behind);
}

TEST(TimeGuard, RebootingAgainAndAgainDoesNotRenewTheBudget) {
    TimeGuard first({}, 7 * day, 0, "0");
    first.observe_signed(noon, 0);
    TimeState state = first.state(0);
    for (int boot = 1; boot <= 8; ++boot) {
        TimeGuard guard(state, 7 * day, 5 * second, std::to_string(boot));
        // The clock always says the same.
        const TrustedTime t = guard.now(noon, day);
        EXPECT_EQ(t.now_us, noon + boot * day);
        EXPECT_EQ(t.offline_too_long, boot > 7) << boot;
        state = guard.state(day);
    }
}

TEST(TimeGuard, ARestartInTheSameBootCountsTheTimeBetween) {
    TimeGuard first({}, 7 * day, 0, "a");
    first.observe_signed(noon, 100 * second);
    TimeGuard second_run(first.state(200 * second), 7 * day, 500 * second, "a");
    EXPECT_EQ(second_run.now(0, 500 * second).now_us, noon + 400 * second);
}

TEST(TimeGuard, ASignedTimeRenewsTheBudgetAndCorrectsAClockThatWasAhead) {
    TimeGuard before({}, day, 0, "a");
    before.observe_signed(noon, 0);
    TimeGuard guard(before.state(2 * day), day, 10 * second, "b");
    const TrustedTime ahead = guard.now(noon + 100 * day, 10 * second);
    EXPECT_EQ(ahead.now_us, noon + 100 * day);
    EXPECT_TRUE(ahead.offline_too_long);
    guard.observe_signed(noon + 3 * day, 20 * second);
    const TrustedTime t = guard.now(noon + 100 * day, 20 * second);
    EXPECT_EQ(t.now_us, noon + 3 * day);
    EXPECT_FALSE(t.offline_too_long);
}

TEST(TimeGuard, AnOlderSignedTimeDoesNotLowerTheFloor) {
    TimeGuard guard({}, day, 0, "a");
    guard.observe_signed(noon, 0);
    guard.observe_signed(noon - day, second);
    EXPECT_EQ(guard.now(noon, second).now_us, noon);
    EXPECT_EQ(guard.state(second).signed_floor_us, noon);
}

TEST(TimeGuard, ATopHasNoBudget) {
    TimeGuard guard({}, 0, 0, "a");
    guard.observe_signed(noon, 0);
    EXPECT_FALSE(guard.now(noon + 900 * day, 900 * day).suspect());
}

} // namespace
} // namespace hasp::trust
