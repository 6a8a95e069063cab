#include "sync/keep_rule.h"

#include "base/clock.h"
#include "base/random.h"

#include <gtest/gtest.h>

namespace hasp::sync {
namespace {

constexpr std::int64_t monday = 20'787 * day_us; // 30 November 2026
const KeepRule usual{30, 90, 365, 30};

bool after(const Stood& stood, std::int64_t days) {
    return keeps(usual, stood, stood.until_us + days * day_us);
}

TEST(KeepRule, KeepsEverythingForAWhile) {
    const Stood minute{monday + hour_us, monday + hour_us + 60 * second_us, false};
    EXPECT_TRUE(after(minute, 0));
    EXPECT_TRUE(after(minute, 29));
    EXPECT_FALSE(after(minute, 30));
}

TEST(KeepRule, KeepsWhatStoodAtTheEndOfADayThenOfAWeek) {
    const Stood over_night{monday + 23 * hour_us, monday + 25 * hour_us, false};
    EXPECT_TRUE(after(over_night, 89));
    EXPECT_FALSE(after(over_night, 90));
    const Stood over_sunday{monday - hour_us, monday + hour_us, false};
    EXPECT_TRUE(after(over_sunday, 364));
    EXPECT_FALSE(after(over_sunday, 365));
}

TEST(KeepRule, KeepsWhatWasRemovedForAsLongAsItsTrash) {
    const KeepRule little{0, 0, 0, 30};
    const Stood removed{monday, monday + second_us, true};
    EXPECT_TRUE(keeps(little, removed, removed.until_us + 29 * day_us));
    EXPECT_FALSE(keeps(little, removed, removed.until_us + 30 * day_us));
    const Stood replaced{monday, monday + second_us, false};
    EXPECT_FALSE(keeps(little, replaced, replaced.until_us));
}

TEST(KeepRule, KeepsWhatAClockThatWentBackPutsIntoTheFuture) {
    EXPECT_TRUE(keeps(usual, {monday, monday + second_us, false}, monday - 900 * day_us));
    EXPECT_TRUE(keeps(usual, {-day_us, -hour_us, false}, 0));
}

TEST(KeepRule, LeavesOneVersionForEachDayAndEachWeekHoweverManyThereWere) {
    SeededRandom random(3);
    for (int run = 0; run < 50; ++run) {
        std::vector<std::int64_t> times;
        for (std::int64_t at = monday; at < monday + 300 * day_us;) {
            times.push_back(at);
            at += static_cast<std::int64_t>(random.below(3 * static_cast<std::uint64_t>(day_us)));
        }
        const std::int64_t now = times.back();
        const auto stands = [&](std::int64_t at, bool kept_only) {
            for (std::size_t i = 0; i + 1 < times.size(); ++i) {
                if (times[i] < at && at <= times[i + 1]) {
                    return !kept_only || keeps(usual, {times[i], times[i + 1], false}, now);
                }
            }
            return false;
        };
        for (std::int64_t day = monday + day_us; day < now; day += day_us) {
            const bool sunday = (day - monday) % (7 * day_us) == 0;
            if (sunday || now - day < 90 * day_us) {
                EXPECT_EQ(stands(day, true), stands(day, false)) << day;
            }
        }
        // What was dropped once is never kept again.
        for (std::size_t i = 0; i + 1 < times.size(); ++i) {
            bool kept = true;
            for (std::int64_t later = 0; later < 400; later += 13) {
                const bool now_kept =
                    keeps(usual, {times[i], times[i + 1], false}, now + later * day_us);
                EXPECT_FALSE(now_kept && !kept);
                kept = now_kept;
            }
        }
    }
}

} // namespace
} // namespace hasp::sync
