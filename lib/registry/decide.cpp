#include "registry/decide.h"

#include <algorithm>

namespace hasp::registry {

Decision decide(const Snapshot& snapshot, std::string_view name, const Viewer& viewer,
                std::int64_t now_us, bool from_parent) {
    const App app = snapshot.find(name);
    if (!app || app.route() == Route::nowhere) {
        return {snapshot.has_parent() && !from_parent && !app ? Verdict::parent : Verdict::nowhere,
                {}};
    }
    if (app.route() == Route::parent && (from_parent || !snapshot.has_parent())) {
        return {};
    }
    if (app.access() == Access::users) {
        if (!viewer.signed_on) {
            return {Verdict::log_in, app};
        }
        if (!std::binary_search(viewer.entitled.begin(), viewer.entitled.end(), app.hash())) {
            return {};
        }
    }
    switch (app.route()) {
    case Route::child:
        return {Verdict::child, app};
    case Route::parent:
        return {Verdict::parent, app};
    case Route::here:
    case Route::nowhere:
        break;
    }
    // Passing on needs no lease: the tier that serves checks its own.
    if (app.lease_expires_us() != 0 && now_us >= app.lease_expires_us()) {
        switch (app.at_expiry()) {
        case AtExpiry::stop:
            return {Verdict::expired, app};
        case AtExpiry::read_only:
            return {Verdict::read_only, app};
        case AtExpiry::go_on:
            // Nobody begins anything new; whose session's start is not known is new.
            if (viewer.since_us <= 0 || viewer.since_us >= app.lease_expires_us()) {
                return {Verdict::expired, app};
            }
            break;
        }
    }
    return {Verdict::here, app};
}

} // namespace hasp::registry
