#include "report_pace.h"

#include <gtest/gtest.h>

namespace hasp::maint {
namespace {

constexpr std::int64_t start_us = 1'000'000'000;

TEST(ReportPace, TellsTheFirstOnALinkAtOnceAndThenWhatMatters) {
    ReportPace pace;
    EXPECT_TRUE(pace.look(start_us));
    EXPECT_TRUE(pace.tell(start_us, "a", 0));
    EXPECT_FALSE(pace.look(start_us + report_step_us)) << "nothing may be new";
    pace.changed();
    EXPECT_FALSE(pace.look(start_us + report_step_us - 1)) << "one step after the other";
    EXPECT_TRUE(pace.look(start_us + report_step_us));
    EXPECT_FALSE(pace.tell(start_us + report_step_us, "a", 0));
    EXPECT_TRUE(pace.tell(start_us + report_step_us, "b", 0));
    pace.parent_connected();
    EXPECT_TRUE(pace.look(start_us + report_step_us + 1));
    EXPECT_TRUE(pace.tell(start_us + report_step_us + 1, "b", 0)) << "another parent, perhaps";
}

TEST(ReportPace, LooksByTheClockAndTellsAnIdleTierEachHalfHour) {
    ReportPace pace;
    ASSERT_TRUE(pace.look(start_us) && pace.tell(start_us, "a", 7));
    std::int64_t told_us = start_us;
    int looks = 0;
    for (std::int64_t now = start_us; now < start_us + 2 * report_idle_us; now += 1'000'000) {
        pace.tick(now);
        if (pace.look(now)) {
            ++looks;
            if (pace.tell(now, "a", 7)) {
                EXPECT_EQ(now - told_us, report_idle_us);
                told_us = now;
            }
        }
    }
    EXPECT_EQ(told_us, start_us + report_idle_us);
    EXPECT_EQ(looks, 2 * report_idle_us / report_look_us - 1);
}

TEST(ReportPace, TellsEachMinuteOfBytesThatWereOfUse) {
    ReportPace pace;
    ASSERT_TRUE(pace.look(start_us) && pace.tell(start_us, "a", 7));
    EXPECT_FALSE(pace.tell(start_us + report_busy_us - 1, "a", 8));
    EXPECT_TRUE(pace.tell(start_us + report_busy_us, "a", 8));
    EXPECT_FALSE(pace.tell(start_us + 2 * report_busy_us, "a", 8)) << "none since then";
}

TEST(ReportPace, TellsEverythingForAWhileWhenItIsAskedAndOnceMoreWhatMayBeLost) {
    ReportPace pace;
    ASSERT_TRUE(pace.look(start_us) && pace.tell(start_us, "a", 0));
    pace.asked(start_us + report_step_us);
    EXPECT_TRUE(pace.look(start_us + report_step_us));
    EXPECT_TRUE(pace.tell(start_us + report_step_us, "a", 0));
    EXPECT_TRUE(pace.tell(start_us + report_asked_for_us, "a", 0));
    EXPECT_FALSE(pace.tell(start_us + report_step_us + report_asked_for_us, "a", 0));
    pace.forget_told();
    EXPECT_TRUE(pace.look(start_us + report_look_us));
    EXPECT_TRUE(pace.tell(start_us + report_step_us + report_asked_for_us, "a", 0));
}

} // namespace
} // namespace hasp::maint
