#include "sync/keep_rule.h"

#include "base/clock.h"

namespace hasp::sync {

namespace {

constexpr std::int64_t days_a_week = 7;
constexpr std::int64_t first_monday = 4; // 5 January 1970, in days since the first

std::int64_t floor_div(std::int64_t a, std::int64_t b) {
    return a / b - (a % b < 0 ? 1 : 0);
}
std::int64_t day_of(std::int64_t us) {
    return floor_div(us, day_us);
}
std::int64_t week_of(std::int64_t us) {
    return floor_div(day_of(us) - first_monday, days_a_week);
}

} // namespace

bool keeps(const KeepRule& rule, const Stood& stood, std::int64_t now_us) {
    const std::int64_t age_us = now_us - stood.until_us;
    const auto within = [age_us](std::int64_t days) { return age_us < days * day_us; };
    return within(rule.all_days) || (stood.removed && within(rule.trash_days)) ||
           (within(rule.daily_days) && day_of(stood.from_us) != day_of(stood.until_us)) ||
           (within(rule.weekly_days) && week_of(stood.from_us) != week_of(stood.until_us));
}

} // namespace hasp::sync
