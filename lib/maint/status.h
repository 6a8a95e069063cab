// What `hasp status` shows, and what a child tells its parent of itself: facts with their age, and
// what could not be asked.
#pragma once

#include "apps.h"
#include "delegation.h"
#include "json_tools.h"
#include "links.h"
#include "maint/config.h"
#include "maint/tier_identity.h"
#include "maint/tier_store.h"
#include "pages.h"
#include "traffic.h"

#include <map>
#include <optional>
#include <string>

namespace hasp::maint {

// What this tier has and its parent does not yet. A part that no module of this tier counts is not
// said (null), never 0.
struct Unsent {
    std::optional<std::int64_t> files;
    std::optional<std::int64_t> bytes;    // of those files
    std::optional<std::int64_t> events;   // of usage
    std::optional<std::int64_t> since_us; // of the oldest
};
Json to_json(const Unsent& unsent);

struct StatusSources {
    const Clock& clock;
    const TrustedClock& time;
    const Config& config;
    const std::string& version;
    const TierIdentity& me;
    TierStore& store;
    const Links& links;
    const Apps& apps;
    Delegation& delegation;
    const Rollouts& rollouts;
    const ParentLink& parent;
    const std::map<std::string, std::int64_t>& pids;
    const Traffic& traffic;
    Unsent unsent;
    bool daemon;
};
Json status_json(const StatusSources& from);

// A report without what changes by itself: clocks, counters of bytes, round trips. While this stays
// the same, a parent that has heard one of them knows what there is to know.
std::string what_matters(Json report);

// The newest errors of the tiers below, as they told of them: {tier, at, id, text, last_lines}.
inline constexpr std::size_t errors_below_max = 20;
Json errors_below(const Json& status);

} // namespace hasp::maint
