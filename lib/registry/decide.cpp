#include "registry/decide.h"

#include <algorithm>

namespace hasp::registry {

Decision decide(const Snapshot& snapshot, std::string_view name, const Viewer& viewer,
                std::int64_t now_us, bool from_parent, bool by_path) {
    const App app = snapshot.find(name);
    // Asked upward until the top says that there is no such app.
    const Decision unknown{
        snapshot.has_parent() && !from_parent ? Verdict::parent : Verdict::nowhere, {}};
    if (!app || (by_path && app.mount() == Mount::host)) {
        return unknown;
    }
    if (app.route() == Route::nowhere) {
        return {};
    }
    if (app.route() == Route::parent && (from_parent || !snapshot.has_parent())) {
        return {};
    }
    if (app.access() == Access::users) {
        if (!viewer.signed_on) {
            return {Verdict::log_in, app};
        }
        if (!std::binary_search(viewer.entitled.begin(), viewer.entitled.end(), app.hash())) {
            // An answer from here would come sooner than that for a name that nobody knows.
            return unknown;
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
