#include "chars.h"
#include "net/fields.h"

namespace hasp::net {
namespace {

constexpr std::string_view days = "SunMonTueWedThuFriSat";
constexpr std::string_view months = "JanFebMarAprMayJunJulAugSepOctNovDec";
constexpr std::string_view long_days[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                          "Thursday", "Friday", "Saturday"};
constexpr std::int64_t day_s = 86'400;

// Days since 1970-01-01 in the proleptic Gregorian calendar.
std::int64_t days_from_civil(std::int64_t year, int month, int day) {
    year -= month <= 2 ? 1 : 0;
    const std::int64_t era = (year >= 0 ? year : year - 399) / 400;
    const std::int64_t of_era = year - era * 400;
    const std::int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146'097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719'468;
}

struct Civil {
    std::int64_t year;
    int month; // 1-12
    int day;
};
Civil civil_from_days(std::int64_t days_since) {
    const std::int64_t z = days_since + 719'468;
    const std::int64_t era = (z >= 0 ? z : z - 146'096) / 146'097;
    const std::int64_t of_era = z - era * 146'097;
    const std::int64_t y = (of_era - of_era / 1'460 + of_era / 36'524 - of_era / 146'096) / 365;
    const std::int64_t of_year = of_era - (365 * y + y / 4 - y / 100);
    const std::int64_t m = (5 * of_year + 2) / 153;
    const int month = static_cast<int>(m < 10 ? m + 3 : m - 9);
    return {y + era * 400 + (month <= 2 ? 1 : 0), month,
            static_cast<int>(of_year - (153 * m + 2) / 5 + 1)};
}

std::int64_t floor_div(std::int64_t a, std::int64_t b) {
    return a / b - (a % b < 0 ? 1 : 0);
}

// Dates are case-sensitive (RFC 9110 §5.6.7), but not to caches (RFC 9111 §4.2).
bool same(std::string_view a, std::string_view b, bool loose) {
    return loose ? same_text(a, b) : a == b;
}

// 0-based place in a table of three-letter names; -1: none.
int place_of(std::string_view table, std::string_view name, bool loose) {
    for (std::size_t i = 0; name.size() == 3 && i < table.size(); i += 3) {
        if (same(table.substr(i, 3), name, loose)) {
            return static_cast<int>(i / 3);
        }
    }
    return -1;
}

// Reads fixed text and numbers from the front.
struct Reader {
    std::string_view rest;
    bool loose = false;
    bool good = true;

    void text(std::string_view expected) {
        good = good && same(rest.substr(0, expected.size()), expected, loose);
        rest.remove_prefix(good ? expected.size() : 0);
    }
    int number(std::size_t digits) {
        int value = 0;
        good = good && rest.size() >= digits;
        for (std::size_t i = 0; good && i < digits; ++i) {
            good = is_digit(rest[i]);
            value = value * 10 + (rest[i] - '0');
        }
        rest.remove_prefix(good ? digits : 0);
        return good ? value : 0;
    }
    int name(std::string_view table) {
        const int place = place_of(table, rest.substr(0, 3), loose);
        good = good && place >= 0;
        rest.remove_prefix(good ? 3 : 0);
        return place;
    }
};

struct Clock24 {
    int hour, minute, second;
};
Clock24 read_clock(Reader& in) {
    Clock24 t{};
    t.hour = in.number(2);
    in.text(":");
    t.minute = in.number(2);
    in.text(":");
    t.second = in.number(2);
    return t;
}

std::optional<std::int64_t> assemble(const Reader& in, int year, int month0, int day, Clock24 t,
                                     int weekday) {
    if (!in.good || !in.rest.empty() || t.hour > 23 || t.minute > 59 || t.second > 60 || day < 1) {
        return std::nullopt;
    }
    const std::int64_t days_since = days_from_civil(year, month0 + 1, day);
    const Civil back = civil_from_days(days_since);
    const std::int64_t real_weekday = ((days_since + 4) % 7 + 7) % 7;
    if (back.month != month0 + 1 || back.day != day || (real_weekday != weekday && !in.loose)) {
        return std::nullopt;
    }
    return days_since * day_s + t.hour * 3'600 + t.minute * 60 + t.second;
}

std::optional<std::int64_t> parse_rfc850(std::string_view text, std::int64_t now_s, bool loose) {
    Reader in{text, loose};
    int weekday = 0;
    while (weekday < 7 &&
           !same(text.substr(0, long_days[weekday].size()), long_days[weekday], loose)) {
        ++weekday;
    }
    if (weekday == 7) {
        return std::nullopt;
    }
    in.text(long_days[weekday]);
    in.text(", ");
    const int day = in.number(2);
    in.text("-");
    const int month = in.name(months);
    in.text("-");
    int year = in.number(2);
    in.text(" ");
    const Clock24 t = read_clock(in);
    in.text(" GMT");
    // More than 50 years ahead means the century before (RFC 9110 §5.6.7).
    const auto this_year = static_cast<int>(civil_from_days(floor_div(now_s, day_s)).year);
    year += this_year - this_year % 100;
    if (year > this_year + 50) {
        year -= 100;
    }
    return assemble(in, year, month, day, t, weekday);
}

std::optional<std::int64_t> parse_asctime(std::string_view text, bool loose) {
    Reader in{text, loose};
    const int weekday = in.name(days);
    in.text(" ");
    const int month = in.name(months);
    in.text(" ");
    const bool padded = in.good && !in.rest.empty() && in.rest.front() == ' ';
    if (padded) {
        in.text(" ");
    }
    const int day = in.number(padded ? 1 : 2);
    in.text(" ");
    const Clock24 t = read_clock(in);
    in.text(" ");
    const int year = in.number(4);
    return assemble(in, year, month, day, t, weekday);
}

std::optional<std::int64_t> parse_date(std::string_view text, std::int64_t now_s, bool loose) {
    Reader in{text, loose};
    const int weekday = in.name(days);
    if (in.good && in.rest.substr(0, 2) == ", ") {
        in.text(", ");
        const int day = in.number(2);
        in.text(" ");
        const int month = in.name(months);
        in.text(" ");
        const int year = in.number(4);
        in.text(" ");
        const Clock24 t = read_clock(in);
        in.text(" GMT");
        return assemble(in, year, month, day, t, weekday);
    }
    if (const auto time = parse_asctime(text, loose)) {
        return time;
    }
    return parse_rfc850(text, now_s, loose);
}

} // namespace

std::array<char, 29> format_http_date(std::int64_t unix_s) {
    const std::int64_t days_since = floor_div(unix_s, day_s);
    const Civil date = civil_from_days(days_since);
    const auto second = static_cast<int>(unix_s - days_since * day_s);
    const auto weekday = static_cast<std::size_t>(((days_since + 4) % 7 + 7) % 7);
    std::array<char, 29> out{};
    char* p = out.data();
    const auto text = [&p](std::string_view s) {
        for (const char c : s) {
            *p++ = c;
        }
    };
    const auto two = [&p](std::int64_t n) {
        *p++ = static_cast<char>('0' + n / 10 % 10);
        *p++ = static_cast<char>('0' + n % 10);
    };
    text(days.substr(weekday * 3, 3));
    text(", ");
    two(date.day);
    text(" ");
    text(months.substr(static_cast<std::size_t>(date.month - 1) * 3, 3));
    text(" ");
    two(date.year / 100);
    two(date.year % 100);
    text(" ");
    two(second / 3'600);
    text(":");
    two(second / 60 % 60);
    text(":");
    two(second % 60);
    text(" GMT");
    return out;
}

std::optional<std::int64_t> parse_http_date(std::string_view text, std::int64_t now_s) {
    return parse_date(text, now_s, false);
}

std::optional<std::int64_t> parse_loose_http_date(std::string_view text, std::int64_t now_s) {
    return parse_date(text, now_s, true);
}

} // namespace hasp::net
