// Which tiers have, or may have, changes to a user's files that they have not sent: as tiers report
// it of themselves, as it is asked for and answered between tiers, and as people are told of it.
// Pure; any thread.
#pragma once

#include "json_tools.h"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace hasp::maint {

// Of one report, with all that it says of the tiers below; what is beyond counts for nothing.
inline constexpr std::size_t copies_reported_max = 1'000; // the unsent ones come first
inline constexpr std::size_t tiers_deep_max = 32;
inline constexpr std::size_t owing_told_max = 20; // in one answer
// A change is on its way for so long before it counts as owed: less is no news to anybody.
inline constexpr std::int64_t owed_after_us = 20'000'000;

// What a tier says of the copy that it has of a user's files. Times are wall clock, 0: none.
struct CopyReport {
    std::string user;
    std::int64_t since_us = 0; // it is there
    std::uint64_t files = 0;   // that are unsent
    std::uint64_t bytes = 0;
    std::int64_t unsent_since_us = 0;
};
// [{user, since, files?, bytes?, unsent_since?}], the unsent ones first, and the last ones cut off.
Json to_json(std::vector<CopyReport> copies);
// Of a status with those of the tiers below in it: no more copies than a report may have.
void bound_copies(Json& status);

// The same as it is known above.
struct Owing {
    std::string tier;          // its full name
    bool up = false;           // it is linked, by way of all tiers between
    std::int64_t heard_us = 0; // last; of one that is up: now
    CopyReport copy;
    // It has not sent something; or it cannot be asked, and may have something.
    bool owes() const { return copy.files > 0 || !up; }
};

// The copies that a child's report tells of, its own and those of all tiers below it. `up` and
// `heard_us` of each are seen from the child: heard_us 0 where it is linked to it all the way.
using Copies = std::map<std::string, std::vector<Owing>>; // by user
Copies copies_in(const std::string& child_name, const Json& report);

// As it is asked for between tiers. From elsewhere: what is malformed is left out.
Json to_json(const std::vector<Owing>& owing);
std::vector<Owing> owing_of(const Json& json);

// "Tokyo has not yet sent changes to your files since 09:14 (3 files, 1.2 MB); last heard of
// 09:20." `whose`: "your", "anna's".
std::string owing_text(const Owing& owing, const std::string& whose, std::int64_t now_us,
                       int utc_offset_s);

} // namespace hasp::maint
