// May this viewer reach this app, and where is it? Pure; the answer to every request starts here.
#pragma once

#include "registry/snapshot.h"

#include <cstdint>
#include <span>
#include <string_view>

namespace hasp::registry {

// Who asks, as far as routes care.
struct Viewer {
    bool signed_on = false;
    std::span<const std::uint64_t> entitled; // name_hash of apps, sorted
    std::int64_t since_us = 0; // trusted time at which the session began; 0: not known
};

enum class Verdict : std::uint8_t {
    here,      // serve it: app is set
    child,     // pass on to app.child()
    parent,    // pass on upward; app may be empty: an unknown name is the parent's business
    nowhere,   // unknown here, or not entitled: the two must look the same to the user
    log_in,    // exists for users, and nobody is signed on
    expired,   // the lease for it has ended
    read_only, // the same, and safe requests are served: app is set
};

struct Decision {
    Verdict verdict = Verdict::nowhere;
    App app;
};

// `now_us`: trusted time. `from_parent`: the request came down a link, so it never goes up again
// (no loops through one neighbour).
Decision decide(const Snapshot& snapshot, std::string_view app, const Viewer& viewer,
                std::int64_t now_us, bool from_parent);

} // namespace hasp::registry
