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

#include <map>
#include <string>

namespace hasp::maint {

struct StatusSources {
    const Clock& clock;
    const Config& config;
    const std::string& version;
    const TierIdentity& me;
    TierStore& store;
    const Links& links;
    const Apps& apps;
    Delegation& delegation;
    const ParentLink& parent;
    const std::map<std::string, std::int64_t>& pids;
    bool daemon;
};
Json status_json(const StatusSources& from);

} // namespace hasp::maint
