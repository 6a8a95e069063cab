#include "billing/period.h"

#include "base/clock.h"
#include "base/text.h"

#include <chrono>
#include <optional>

namespace hasp::billing {

namespace {

constexpr std::int64_t minute_us = 60 * second_us;
constexpr std::size_t fraction_digits_max = 6;

// Exactly `size` digits from `at`.
std::optional<int> digits(std::string_view text, std::size_t at, std::size_t size) {
    if (text.size() < at + size) {
        return std::nullopt;
    }
    const auto value = parse_u64(text.substr(at, size));
    return value ? std::optional<int>(static_cast<int>(*value)) : std::nullopt;
}

std::optional<std::int64_t> utc_day_us(int year, int month, int day) {
    const std::chrono::year_month_day date{std::chrono::year{year},
                                           std::chrono::month{static_cast<unsigned>(month)},
                                           std::chrono::day{static_cast<unsigned>(day)}};
    if (!date.ok() || year < 1970 || year > 9999) {
        return std::nullopt;
    }
    return std::chrono::sys_days{date}.time_since_epoch().count() * 86'400 * second_us;
}

Error no_time(std::string_view text) {
    return fail(Code::usage, "\"" + std::string(text.substr(0, 60)) + "\" is no time",
                "write it as 2026-11-23T16:02:16Z or 2026-11-23T16:02:16+09:00");
}

} // namespace

Result<int> parse_zone(std::string_view text) {
    if (text == "Z") {
        return 0;
    }
    const auto hours = digits(text, 1, 2);
    const auto minutes = digits(text, 4, 2);
    const bool shape = text.size() == 6 && (text[0] == '+' || text[0] == '-') && text[3] == ':';
    if (!shape || !hours || !minutes || *minutes > 59 || *hours * 60 + *minutes > 14 * 60) {
        return fail(Code::usage, "\"" + std::string(text.substr(0, 40)) + "\" is no zone",
                    "write \"Z\", or the distance from UTC as \"+09:00\"");
    }
    return (text[0] == '-' ? -1 : 1) * (*hours * 60 + *minutes);
}

Result<std::int64_t> parse_rfc3339(std::string_view text) {
    const auto year = digits(text, 0, 4);
    const auto month = digits(text, 5, 2);
    const auto day = digits(text, 8, 2);
    const auto hour = digits(text, 11, 2);
    const auto minute = digits(text, 14, 2);
    const auto second = digits(text, 17, 2);
    const bool shape = text.size() >= 20 && text[4] == '-' && text[7] == '-' && text[10] == 'T' &&
                       text[13] == ':' && text[16] == ':';
    if (!shape || !year || !month || !day || !hour || !minute || !second || *hour > 23 ||
        *minute > 59 || *second > 59) {
        return no_time(text);
    }
    const auto date_us = utc_day_us(*year, *month, *day);
    std::string_view rest = text.substr(19);
    std::int64_t fraction_us = 0;
    if (rest.starts_with('.')) {
        std::size_t count = 0;
        for (std::int64_t unit = second_us / 10;
             count + 1 < rest.size() && rest[count + 1] >= '0' && rest[count + 1] <= '9';
             ++count, unit /= 10) {
            fraction_us += unit * (rest[count + 1] - '0');
        }
        if (count == 0 || count > fraction_digits_max) {
            return no_time(text);
        }
        rest.remove_prefix(count + 1);
    }
    const auto zone = parse_zone(rest);
    if (!date_us || !zone.ok()) {
        return no_time(text);
    }
    const std::int64_t us = *date_us + (*hour * 60 + *minute) * minute_us + *second * second_us +
                            fraction_us - *zone * minute_us;
    return us < 0 ? Result<std::int64_t>(no_time(text)) : Result<std::int64_t>(us);
}

Result<std::int64_t> parse_date(std::string_view text, int zone_minutes) {
    const auto year = digits(text, 0, 4);
    const auto month = digits(text, 5, 2);
    const auto day = digits(text, 8, 2);
    const bool shape = text.size() == 10 && text[4] == '-' && text[7] == '-';
    const auto date_us = shape && year && month && day ? utc_day_us(*year, *month, *day)
                                                       : std::optional<std::int64_t>();
    if (!date_us) {
        return fail(Code::usage, "\"" + std::string(text.substr(0, 40)) + "\" is no day",
                    "write it as 2026-11-23");
    }
    return *date_us - zone_minutes * minute_us;
}

Result<Period> parse_period(std::string_view text, int zone_minutes) {
    const std::size_t slash = text.find('/');
    if (slash != std::string_view::npos) {
        const auto from = parse_rfc3339(text.substr(0, slash));
        const auto to = parse_rfc3339(text.substr(slash + 1));
        if (!from.ok() || !to.ok()) {
            return from.ok() ? to.error() : from.error();
        }
        if (*to <= *from) {
            return fail(Code::usage,
                        "the period " + std::string(text) + " ends before it has begun");
        }
        return Period{*from, *to, std::string(text)};
    }
    const auto year = digits(text, 0, 4);
    const auto month = digits(text, 5, 2);
    if (text.size() != 7 || text[4] != '-' || !year || !month || *month < 1 || *month > 12) {
        return fail(Code::usage, "\"" + std::string(text.substr(0, 60)) + "\" is no period",
                    "write a month as 2026-11, or FROM/TO with times as 2026-11-23T16:02:16Z");
    }
    const auto from = utc_day_us(*year, *month, 1);
    const auto to = *month == 12 ? utc_day_us(*year + 1, 1, 1) : utc_day_us(*year, *month + 1, 1);
    if (!from || !to) {
        return fail(Code::usage, std::string(text) + " is before 1970 or after 9999");
    }
    return Period{*from - zone_minutes * minute_us, *to - zone_minutes * minute_us,
                  std::string(text)};
}

} // namespace hasp::billing
