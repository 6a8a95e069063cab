// Billing periods: half-open, [from, to). Pure; any thread.
#pragma once

#include "base/result.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace hasp::billing {

struct Period {
    std::int64_t from_us = 0; // inclusive
    std::int64_t to_us = 0;   // exclusive
    std::string name;         // "2026-11", or "FROM/TO" in UTC
    friend bool operator==(const Period&, const Period&) = default;
};

// RFC 3339: 2026-11-23T16:02:16Z, with a fraction of up to 6 digits or none, and Z or +HH:MM. No
// leap second. Code::usage for anything else, and before 1970 or after 9999.
Result<std::int64_t> parse_rfc3339(std::string_view text);
// "Z", "+HH:MM" or "-HH:MM" (up to 14:00) as minutes.
Result<int> parse_zone(std::string_view text);

// "YYYY-MM" (the month of a zone) or "FROM/TO" (RFC 3339 each). Code::usage with what is wrong.
Result<Period> parse_period(std::string_view text, int zone_minutes);
// "YYYY-MM-DD": the day's first moment in the zone.
Result<std::int64_t> parse_date(std::string_view text, int zone_minutes);

} // namespace hasp::billing
