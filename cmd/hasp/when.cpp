#include "when.h"

#include "base/clock.h"

#include <array>
#include <chrono>

namespace hasp::cmd {

namespace {

// Digits at `at`, exactly so many.
std::optional<int> digits(std::string_view text, std::size_t at, std::size_t count) {
    if (at + count > text.size()) {
        return std::nullopt;
    }
    int out = 0;
    for (const char c : text.substr(at, count)) {
        if (c < '0' || c > '9') {
            return std::nullopt;
        }
        out = out * 10 + (c - '0');
    }
    return out;
}

} // namespace

std::optional<std::int64_t> time_of(std::string_view text) {
    if (text.ends_with('Z')) {
        text.remove_suffix(1);
    }
    const auto year = digits(text, 0, 4);
    const auto month = digits(text, 5, 2);
    const auto day = digits(text, 8, 2);
    if (!year || !month || !day || text[4] != '-' || text[7] != '-') {
        return std::nullopt;
    }
    const std::chrono::year_month_day date{std::chrono::year(*year),
                                           std::chrono::month(static_cast<unsigned>(*month)),
                                           std::chrono::day(static_cast<unsigned>(*day))};
    std::array<int, 3> clock{};
    constexpr std::array<int, 3> limits{24, 60, 60};
    const std::string_view rest = text.substr(10);
    const bool minutes = rest.size() == 6 || rest.size() == 9;
    if (!date.ok() || (!rest.empty() && !minutes) ||
        (minutes && rest[0] != 'T' && rest[0] != ' ')) {
        return std::nullopt;
    }
    for (std::size_t i = 0; i < rest.size() / 3; ++i) {
        const auto part = digits(rest, 3 * i + 1, 2);
        if (!part || *part >= limits[i] || (i > 0 && rest[3 * i] != ':')) {
            return std::nullopt;
        }
        clock[i] = *part;
    }
    const std::int64_t days = std::chrono::sys_days(date).time_since_epoch().count();
    return days * day_us +
           ((clock[0] * std::int64_t{60} + clock[1]) * std::int64_t{60} + clock[2]) * second_us;
}

} // namespace hasp::cmd
