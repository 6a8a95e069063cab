// Lets a sandbox that runs as an app's own uid bind folders that only root can reach. Private; in
// the forked child.
#pragma once

#include "base/result.h"

#include <string>

namespace hasp::run {

struct StagedPaths {
    std::string code;
    std::string data; // empty: none
    std::string binary;
};

// In a mount namespace of this process alone, binds the three beneath a fresh /tmp and replaces the
// paths by those. As root. (bwrap 0.8 finds its sources by path, as the uid that it runs as, and
// STATE is closed to that.)
Status stage(StagedPaths& paths);

} // namespace hasp::run
