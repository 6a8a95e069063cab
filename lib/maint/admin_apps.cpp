// hasp app …: which apps this tier and those below it hold.
#include "admin.h"
#include "base/files.h"
#include "base/text.h"

#include <algorithm>
#include <memory>

namespace hasp::maint {

// This tier and every one below it, as far as they have said that they are there.
Result<std::vector<trust::TierName>> Admin::tiers() {
    auto children = world_.store.children();
    if (!children.ok()) {
        return children.error();
    }
    std::vector<trust::TierName> all{world_.me.name};
    const std::function<void(const trust::TierName&, const Json&)> visit =
        [&](const trust::TierName& name, const Json& status) {
            all.push_back(name);
            for (const Json& below : member(status, "children")) {
                const std::string state = text_of(below, "state");
                if (auto next = name.child(text_of(below, "name"));
                    next.ok() && (state == "up" || state == "dark")) {
                    visit(*next, member(below, "status"));
                }
            }
        };
    for (const ChildRow& child : *children) {
        if (auto name = world_.me.name.child(child.name); name.ok() && child.state == "enrolled") {
            visit(*name, member(parse_object(child.report), "status"));
        }
    }
    return all;
}

Result<trust::TierName> Admin::target(const std::string& text) {
    const trust::TierName& me = world_.me.name;
    if (text == me.leaf() || text == me.text()) {
        return me;
    }
    if (text.starts_with("hasp://")) {
        auto name = trust::TierName::parse(text);
        if (!name.ok()) {
            return name.error();
        }
        return name->is_in_subtree(me) ? name
                                       : Result<trust::TierName>(fail(
                                             Code::not_found, text + " is not below this tier"));
    }
    auto all = tiers();
    if (!all.ok()) {
        return all.error();
    }
    std::vector<trust::TierName> found;
    std::vector<std::string> names;
    for (const trust::TierName& name : *all) {
        names.push_back(name.leaf());
        if (name.leaf() == text) {
            found.push_back(name);
        }
    }
    if (found.size() == 1) {
        return found.front();
    }
    if (found.size() > 1) {
        return fail(Code::usage,
                    "there are " + std::to_string(found.size()) + " tiers named '" + text +
                        "' below this one",
                    "write the whole name, for example " + found.front().text());
    }
    const std::string near = nearest(text, names);
    return fail(Code::not_found, "there is no tier '" + text + "' here or below",
                near.empty() ? "hasp local list shows those that are"
                             : "did you mean '" + near + "'?");
}

Status Admin::place(const trust::TierName& where, const AppRow& app, bool wanted) {
    const trust::TierName& me = world_.me.name;
    if (where == me) {
        return wanted ? world_.apps.install(app) : world_.apps.remove(app.name);
    }
    const AssignmentRow row{where.at_depth(me.depth() + 1).leaf(),
                            where.text(),
                            app.name,
                            app.release_id,
                            app.origin,
                            app.data_home,
                            wanted,
                            0};
    const Status assigned = world_.store.assign(row);
    world_.delegation.touch();
    return assigned;
}

// Where an app is to be by our order now, and which tier keeps its one dataset.
Admin::Placement Admin::placed(const std::string& app) {
    Placement out;
    const std::string me = world_.me.name.text();
    if (auto row = world_.store.app(app); row.ok() && *row && (*row)->origin == me) {
        out.targets.push_back(world_.me.name);
        out.data_home = (*row)->data_home;
    }
    auto children = world_.store.children();
    for (const ChildRow& child : children.ok() ? *children : std::vector<ChildRow>{}) {
        auto rows = world_.store.assignments(child.name);
        for (const AssignmentRow& row : rows.ok() ? *rows : std::vector<AssignmentRow>{}) {
            const auto name = trust::TierName::parse(row.target);
            if (row.app == app && row.wanted && row.origin == me && name.ok()) {
                out.targets.push_back(*name);
                out.data_home = row.data_home;
            }
        }
    }
    return out;
}

Status Admin::name_is_ours(const std::string& app) {
    for (const AppFacts& known : world_.apps.known()) {
        auto held = world_.store.app(known.name);
        const bool ours = (held.ok() && *held && (*held)->origin == world_.me.name.text()) ||
                          !world_.apps.child_of(known.name).empty();
        if (known.name == app && !ours) {
            return fail(Code::conflict,
                        "there is an app '" + known.name + "' at the tier '" + known.where +
                            "' already",
                        "app names are unique in a realm: change name in " +
                            std::string(run::manifest_file_name));
        }
    }
    return {};
}

Result<Admin::Placement> Admin::placement(const std::string& app, bool dataset, const Json& args) {
    const Placement before = placed(app);
    Placement out;
    std::vector<trust::TierName> named;
    for (const std::string& text : texts_of(args, "to")) {
        auto name = target(text);
        if (!name.ok()) {
            return name.error();
        }
        named.push_back(*name);
    }
    if (true_of(args, "all")) {
        auto all = tiers();
        if (!all.ok()) {
            return all.error();
        }
        named = *std::move(all);
    } else if (named.empty()) {
        named = before.targets;
    }
    for (const trust::TierName& name : named) {
        if (std::find(out.targets.begin(), out.targets.end(), name) == out.targets.end()) {
            out.targets.push_back(name);
        }
    }
    if (out.targets.empty()) {
        return fail(Code::usage, "no tier is named", "say which tiers are to hold it: --to TIER");
    }
    if (const Status ours = name_is_ours(app); !ours.ok()) {
        return ours.error();
    }
    const std::string home = text_of(args, "home");
    if (!dataset) {
        return home.empty() ? Result<Placement>(std::move(out))
                            : fail(Code::usage,
                                   "'" + app + "' has no dataset for all users, so it has no home",
                                   "leave out --home, or set scope = \"app\" under [data] in its "
                                   "manifest");
    }
    if (home.empty() && !before.data_home.empty()) {
        out.data_home = before.data_home;
        return out;
    }
    if (out.targets.size() > 1 && home.empty()) {
        return fail(Code::usage,
                    "'" + app + "' has one dataset for all users, so one tier must be its home",
                    "say which: --home TIER");
    }
    auto name = home.empty() ? Result<trust::TierName>(out.targets.front()) : target(home);
    if (!name.ok()) {
        return name.error();
    }
    out.data_home = name->text();
    return out;
}

// The release is held here and its signature was verified: from now on it is the newest, and the
// tiers of `where` are to hold it.
Result<Json> Admin::publish(const ReleaseRow& release, const Placement& where) {
    auto text = read_file(world_.releases.tree_path(release.app, release.release_id) + "/" +
                              run::manifest_file_name,
                          run::manifest_bytes_max);
    if (!text.ok()) {
        return text.error();
    }
    auto manifest = run::parse_manifest(*text, run::manifest_file_name);
    if (!manifest.ok()) {
        return manifest.error();
    }
    if (manifest->name != release.app ||
        (manifest->data == run::DataScope::app) == where.data_home.empty()) {
        return fail(Code::refused,
                    "the manifest of the release says another name or another scope of data than "
                    "was announced");
    }
    const AppRow app{release.app, release.release_id, world_.me.name.text(),
                     *text,       where.data_home,    world_.clock.wall_us()};
    Status placed = world_.publishing.publish(release);
    Json to = Json::array();
    for (const trust::TierName& name : where.targets) {
        placed = placed.ok() ? place(name, app, true) : placed;
        to.push_back(name.text());
    }
    if (!placed.ok()) {
        return placed.error();
    }
    world_.delegation.tidy(release.app);
    return Json{{"app", release.app},
                {"release", release.release_id},
                {"epoch", release.sequence.epoch},
                {"number", release.sequence.number},
                {"to", to}};
}

// Signed by this tier itself. The release is held already.
Result<ReleaseRow> Admin::sign_here(const Release& release, const std::string& source) {
    auto signature = world_.publishing.sign(release, source);
    if (!signature.ok()) {
        return signature.error();
    }
    return ReleaseRow{release.app,
                      release_id(release),
                      encode_release(release),
                      release.commit,
                      world_.clock.wall_us(),
                      {release.epoch, release.number},
                      *std::move(signature),
                      world_.me.envelope_key.public_key().raw(),
                      source};
}

void Admin::add_app(const Json& args, const Answer& answer) {
    const std::string dir = text_of(args, "dir");
    auto manifest = run::read_manifest(dir);
    if (!manifest.ok()) {
        answer(manifest.error());
        return;
    }
    auto where = placement(manifest->name, manifest->data == run::DataScope::app, args);
    auto sequence = world_.publishing.next_sequence(manifest->name);
    if (!where.ok() || !sequence.ok()) {
        answer(where.ok() ? sequence.error() : where.error());
        return;
    }
    // Importing may take seconds: it is work for the background, and it changes nothing that
    // anybody uses.
    if (const Status begun = begin_import(manifest->name); !begun.ok()) {
        answer(begun.error());
        return;
    }
    auto made = std::make_shared<Result<Release>>(fail(Code::failed, "no release"));
    world_.apps.import_work(
        [this, dir, made, app = manifest->name, sequence = *sequence] {
            const std::string repo = world_.releases.repo_path(app);
            Status folders = make_folders(repo.substr(0, repo.rfind('/')), 0711);
            *made = folders.ok()
                        ? make_release_from_folder(dir, repo, app, sequence.epoch, sequence.number)
                        : Result<Release>(folders.error());
            if (made->ok()) {
                if (auto imported = world_.releases.import_from_repo(**made); !imported.ok()) {
                    *made = imported.error();
                }
            }
        },
        [this, app_name = manifest->name, made, where = *where, answer] {
            world_.apps.end_import(app_name);
            auto row = made->ok() ? sign_here(**made, {}) : Result<ReleaseRow>(made->error());
            auto published = row.ok() ? publish(*row, where) : Result<Json>(row.error());
            if (published.ok()) {
                (*published)["files"] = (*made)->files.size();
            }
            answer(std::move(published));
        });
}

Status Admin::begin_import(const std::string& app) {
    return world_.apps.begin_import(app)
               ? Status{}
               : Status{fail(Code::try_later, "another release of '" + app + "' is being taken in",
                             "try again in a moment")};
}

void Admin::remove_app(const Json& args, const Answer& answer) {
    const std::string name = text_of(args, "name");
    std::vector<trust::TierName> targets;
    for (const std::string& text : texts_of(args, "from")) {
        auto where = target(text);
        if (!where.ok()) {
            answer(where.error());
            return;
        }
        targets.push_back(*where);
    }
    auto held = world_.store.app(name);
    if (!held.ok()) {
        answer(held.error());
        return;
    }
    bool any = false;
    Status removed;
    if (*held && (targets.empty() ||
                  std::find(targets.begin(), targets.end(), world_.me.name) != targets.end())) {
        if ((*held)->origin != world_.me.name.text()) {
            answer(fail(Code::refused, "'" + name + "' is here by order of " + (*held)->origin,
                        "remove it there: hasp app remove " + name + " --from " +
                            world_.me.name.leaf()));
            return;
        }
        removed = world_.apps.remove(name);
        any = true;
    }
    auto children = world_.store.children();
    for (const ChildRow& child : children.ok() ? *children : std::vector<ChildRow>{}) {
        auto rows = world_.store.assignments(child.name);
        for (AssignmentRow row : rows.ok() ? *rows : std::vector<AssignmentRow>{}) {
            const bool meant = targets.empty() || std::any_of(targets.begin(), targets.end(),
                                                              [&](const trust::TierName& t) {
                                                                  return t.text() == row.target;
                                                              });
            if (row.app == name && row.wanted && meant && row.origin == world_.me.name.text()) {
                row.wanted = false;
                removed = removed.ok() ? world_.store.assign(row) : removed;
                any = true;
            }
        }
    }
    world_.delegation.touch();
    world_.delegation.tidy(name);
    if (!any) {
        answer(fail(Code::not_found, "there is no app '" + name + "' to remove",
                    "hasp app list shows those that are"));
        return;
    }
    answer(removed.ok() ? Result<Json>(Json::object()) : Result<Json>(removed.error()));
}

void Admin::app_commands() {
    commands_["app.add"] = [this](const Json& args, const Answer& answer) {
        add_app(args, answer);
    };
    commands_["app.remove"] = [this](const Json& args, const Answer& answer) {
        remove_app(args, answer);
    };
    commands_["app.rollouts"] = [this](const Json& args, const Answer& answer) {
        const std::string release = text_of(args, "release");
        Json list = Json::array();
        for (const Rollout& one : world_.rollouts.known(text_of(args, "app"))) {
            if (release.empty() || one.release_id == release) {
                list.push_back(to_json(one));
            }
        }
        answer(Json{{"rollouts", list}});
    };
    commands_["app.list"] = [this](const Json&, const Answer& answer) {
        Json list = Json::array();
        auto rows = world_.store.apps();
        for (const AppFacts& facts : world_.apps.known()) {
            Json entry{{"name", facts.name},
                       {"title", facts.title},
                       {"where", facts.where},
                       {"access", facts.open ? "public" : "users"},
                       {"release", nullptr}};
            for (const AppRow& row : rows.ok() ? *rows : std::vector<AppRow>{}) {
                if (row.name == facts.name) {
                    entry["release"] = row.release_id;
                    entry["origin"] = row.origin;
                }
            }
            list.push_back(entry);
        }
        answer(Json{{"apps", list}});
    };
    commands_["names"] = [this](const Json&, const Answer& answer) {
        Json list = Json::array();
        for (const AppFacts& facts : world_.apps.reached()) {
            list.push_back({{"name", facts.name},
                            {"where", facts.where},
                            {"mount", facts.mount},
                            {"hosts", facts.hosts}});
        }
        const Config::Web& web = world_.config.web;
        answer(Json{{"tier", world_.me.name.text()},
                    {"listen", web.listen},
                    {"tls_listen", web.tls_listen},
                    {"app_host", web.app_host},
                    {"portal_hosts", web.portal_hosts},
                    {"apps", list}});
    };
}

} // namespace hasp::maint
