// Which versions of a file its home keeps. Pure.
#pragma once

#include <cstdint>

namespace hasp::sync {

// Days. A version is older than so many days when it was replaced or removed before that.
struct KeepRule {
    std::int64_t all_days = 30;     // every version
    std::int64_t daily_days = 90;   // what stood at the end of a day (UTC)
    std::int64_t weekly_days = 365; // what stood at the end of a week (Sunday)
    std::int64_t trash_days = 30;   // what was removed
};

// What stood from one time to another, in microseconds since 1970 UTC.
struct Stood {
    std::int64_t from_us = 0;
    std::int64_t until_us = 0;
    bool removed = false; // it ended by a removal, not by another version
};

// Each version is judged alone: whatever was dropped before, the answer is the same, and it only
// ever turns from true to false as time passes.
bool keeps(const KeepRule& rule, const Stood& stood, std::int64_t now_us);

// A clock that was set far ahead must not end what is kept. A pass goes by this much more time than
// the last one at most, and no pass begins sooner after another (boot clock).
inline constexpr std::int64_t keep_pass_step_days_max = 7;
inline constexpr std::int64_t keep_pass_every_hours = 20;

} // namespace hasp::sync
