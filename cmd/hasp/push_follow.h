// What becomes of a release at the tiers that are to hold it.
#pragma once

#include "push_transport.h"

#include <cstdint>
#include <string>
#include <vector>

namespace hasp::cmd {

struct Followed {
    Json tiers = Json::array(); // {tier, state, why?, last_lines?}
    Status outcome; // failed: a tier rolled it back; timed_out: one does not serve it yet
};
// Asks until every tier of `to` serves the release, one has rolled it back, or `seconds` are over.
// A tier that cannot be reached counts as one that does not serve it yet. On a terminal it prints a
// line whenever a tier changes.
Followed follow_rollout(PushTransport& transport, Env& env, const std::string& app,
                        const std::string& release, const std::vector<std::string>& to,
                        std::int64_t seconds);

// --wait and --timeout.
std::vector<Option> wait_options();
// The seconds of --timeout.
Result<std::int64_t> wait_seconds(const Args& args);

} // namespace hasp::cmd
