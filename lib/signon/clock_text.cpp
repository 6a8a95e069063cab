// Times as people say them: of pages.h.
#include "signon/pages.h"

#include <cstdio>
#include <ctime>

namespace hasp::signon {

namespace {

constexpr std::int64_t day_s = 86'400;

std::int64_t floor_div(std::int64_t a, std::int64_t b) {
    return a / b - (a % b < 0 ? 1 : 0);
}

} // namespace

std::string clock_text(std::int64_t at_us, std::int64_t now_us, int utc_offset_s) {
    static constexpr const char* weekdays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static constexpr const char* months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                             "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    const std::int64_t at_s = floor_div(at_us, 1'000'000) + utc_offset_s;
    const std::int64_t now_s = floor_div(now_us, 1'000'000) + utc_offset_s;
    const std::int64_t days_ago = floor_div(now_s, day_s) - floor_div(at_s, day_s);
    const std::time_t shifted = at_s;
    std::tm parts{};
    if (::gmtime_r(&shifted, &parts) == nullptr) {
        return "an unknown time";
    }
    char time[16];
    std::snprintf(time, sizeof time, "%02d:%02d", parts.tm_hour, parts.tm_min);
    if (days_ago == 0) {
        return time;
    }
    if (days_ago > 0 && days_ago <= 6) {
        return std::string(weekdays[parts.tm_wday]) + " " + time;
    }
    return std::to_string(parts.tm_mday) + " " + months[parts.tm_mon] + " " + time;
}

} // namespace hasp::signon
