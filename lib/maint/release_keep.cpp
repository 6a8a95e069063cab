// Which releases of an app a tier still needs.
#include "delegation.h"

#include <memory>

namespace hasp::maint {

void Delegation::tidy(const std::string& app) {
    std::set<std::string> in_use;
    bool ours = false;
    if (auto row = world_.store.app(app); row.ok() && *row) {
        in_use.insert((*row)->release_id);
        ours = (*row)->origin == world_.me.name.text();
    }
    // What it goes back to, and what is being tried.
    for (const char* role : {"before", "next", "unproven"}) {
        if (auto row = world_.store.app_kept(role, app); row.ok() && *row) {
            in_use.insert((*row)->release_id);
        }
    }
    auto children = world_.store.children();
    if (!children.ok()) {
        return;
    }
    for (const ChildRow& child : *children) {
        auto rows = world_.store.assignments(child.name);
        if (!rows.ok()) {
            return;
        }
        for (const AssignmentRow& row : *rows) {
            if (row.app == app && row.wanted) {
                in_use.insert(row.release_id);
                ours = ours || row.origin == world_.me.name.text();
            }
        }
    }
    for (const AssignmentRow& row : desired_) {
        if (row.app == app && row.wanted) {
            in_use.insert(row.release_id);
        }
    }
    // An app that is nowhere any more takes its releases with it.
    const std::size_t kept = in_use.empty() ? 0
                             : ours         ? releases_kept_max
                                            : releases_kept_below_max;
    const std::vector<std::string> away = world_.publishing.superfluous(app, in_use, kept);
    if (away.empty() || !world_.apps.begin_import(app)) {
        return;
    }
    auto gone = std::make_shared<std::vector<std::string>>();
    world_.ports.background(
        [releases = &world_.releases, app, away, gone] {
            for (const std::string& id : away) {
                if (releases->remove_release(app, id).ok()) {
                    gone->push_back(id);
                }
            }
        },
        [this, app, gone] {
            world_.apps.end_import(app);
            for (const std::string& id : *gone) {
                if (const Status dropped = world_.store.drop_release(app, id); !dropped.ok()) {
                    world_.log.warn("release.drop", dropped.error().message, {{"app", app}});
                }
            }
        });
}

} // namespace hasp::maint
