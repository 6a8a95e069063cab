#include "registry/decide.h"

#include <algorithm>

namespace hasp::registry {

namespace {

bool is_entitled(const App& app, const Viewer& viewer) {
    return viewer.signed_on &&
           std::binary_search(viewer.entitled.begin(), viewer.entitled.end(), app.hash());
}

// Open or not, a peer's request needs somebody for whom the peer has spoken. Its users have no
// folder here, so that an app with one process and one folder a user is none of theirs.
bool is_for_peers(const App& app, const Viewer& viewer) {
    return app.route() == Route::here && app.instance() == Instance::app &&
           is_entitled(app, viewer);
}

} // namespace

Decision decide(const Snapshot& snapshot, std::string_view name, const Viewer& viewer,
                std::int64_t now_us, Source source, bool by_path) {
    return decide(snapshot, snapshot.find(name), viewer, now_us, source, by_path);
}

Decision decide(const Snapshot& snapshot, const App& app, const Viewer& viewer, std::int64_t now_us,
                Source source, bool by_path) {
    // Asked upward until the top says that there is no such app.
    const Decision unknown{
        snapshot.has_parent() && source == Source::below ? Verdict::parent : Verdict::nowhere, {}};
    if (!app || (by_path && app.mount() == Mount::host)) {
        return unknown;
    }
    if (app.route() == Route::nowhere) {
        return {};
    }
    if (source == Source::peer && !is_for_peers(app, viewer)) {
        return {};
    }
    if (app.route() == Route::parent && (source != Source::below || !snapshot.has_parent())) {
        return {};
    }
    if (app.route() == Route::peer && source != Source::below) {
        return {};
    }
    if (app.access() == Access::users) {
        if (!viewer.signed_on) {
            return {Verdict::log_in, app};
        }
        if (!is_entitled(app, viewer)) {
            // An answer from here would come sooner than that for a name that nobody knows.
            return unknown;
        }
    }
    switch (app.route()) {
    case Route::child:
        return {Verdict::child, app};
    case Route::parent:
        return {Verdict::parent, app};
    case Route::peer:
        return {Verdict::peer, app};
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
