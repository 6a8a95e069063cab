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
    parent,    // pass on upward; app is empty for a name that is unknown here or that the viewer is
               // not entitled to: the two take the same way to the same answer, so that not even
               // its time tells them apart
    peer,      // pass on to the peer app.child(), with our assertion of who asks
    nowhere,   // the same where there is no parent to ask
    log_in,    // exists for users, and nobody is signed on
    expired,   // the lease for it has ended
    read_only, // the same, and safe requests are served: app is set
};

struct Decision {
    Verdict verdict = Verdict::nowhere;
    App app;
};

// From where a request came.
enum class Source : std::uint8_t {
    below,  // a user of this tier, or a child
    parent, // down a link: it never goes up again, nor aside
    peer,   // it ends here: only what is served here, and only to whom it is entitled
};

// `now_us`: trusted time. `by_path`: the request named the app under /apps/, where those that only
// have a host of their own are not.
Decision decide(const Snapshot& snapshot, std::string_view app, const Viewer& viewer,
                std::int64_t now_us, Source source, bool by_path = false);
// The same of what snapshot.find() gave for the name: an app, or none.
Decision decide(const Snapshot& snapshot, const App& app, const Viewer& viewer, std::int64_t now_us,
                Source source, bool by_path = false);

} // namespace hasp::registry
