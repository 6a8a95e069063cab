// hasp app …: which apps this tier and those below it hold.
#include "admin.h"
#include "base/files.h"
#include "base/text.h"

#include <algorithm>
#include <memory>

namespace hasp::maint {

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
    auto children = world_.store.children();
    if (!children.ok()) {
        return children.error();
    }
    std::vector<trust::TierName> found;
    std::vector<std::string> names{me.leaf()};
    const std::function<void(const trust::TierName&, const Json&)> visit =
        [&](const trust::TierName& name, const Json& status) {
            names.push_back(name.leaf());
            if (name.leaf() == text) {
                found.push_back(name);
            }
            for (const Json& below : member(status, "children")) {
                if (auto next = name.child(text_of(below, "name")); next.ok()) {
                    visit(*next, member(below, "status"));
                }
            }
        };
    for (const ChildRow& child : *children) {
        if (auto name = me.child(child.name); name.ok() && child.state == "enrolled") {
            visit(*name, member(parse_object(child.report), "status"));
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

void Admin::add_app(const Json& args, const Answer& answer) {
    const std::string dir = text_of(args, "dir");
    auto manifest = run::read_manifest(dir);
    if (!manifest.ok()) {
        answer(manifest.error());
        return;
    }
    std::vector<trust::TierName> targets;
    for (const std::string& text : texts_of(args, "to")) {
        auto name = target(text);
        if (!name.ok()) {
            answer(name.error());
            return;
        }
        if (std::find(targets.begin(), targets.end(), *name) == targets.end()) {
            targets.push_back(*name);
        }
    }
    if (targets.empty()) {
        answer(fail(Code::usage, "no tier is named", "say which tiers are to hold it: --to TIER"));
        return;
    }
    for (const AppFacts& known : world_.apps.known()) {
        auto held = world_.store.app(known.name);
        const bool ours = (held.ok() && *held && (*held)->origin == world_.me.name.text()) ||
                          !world_.apps.child_of(known.name).empty();
        if (known.name == manifest->name && !ours) {
            answer(fail(Code::conflict,
                        "there is an app '" + known.name + "' at the tier '" + known.where +
                            "' already",
                        "app names are unique in a realm: change name in " +
                            std::string(run::manifest_file_name)));
            return;
        }
    }
    std::string data_home;
    if (manifest->data != run::DataScope::app && !text_of(args, "home").empty()) {
        answer(fail(Code::usage,
                    "'" + manifest->name + "' has no dataset for all users, so it has no home",
                    "leave out --home, or set scope = \"app\" under [data] in its manifest"));
        return;
    }
    if (manifest->data == run::DataScope::app) {
        const std::string home = text_of(args, "home");
        auto named = home.empty() ? Result<trust::TierName>(targets.front()) : target(home);
        if (!named.ok()) {
            answer(named.error());
            return;
        }
        if (targets.size() > 1 && home.empty()) {
            answer(fail(Code::usage,
                        "'" + manifest->name +
                            "' has one dataset for all users, so one tier must be its home",
                        "say which: --home TIER"));
            return;
        }
        data_home = named->text();
    }
    // Importing may take seconds: it is work for the background, and it changes nothing that
    // anybody uses.
    if (!world_.apps.begin_import(manifest->name)) {
        answer(fail(Code::try_later,
                    "another release of '" + manifest->name + "' is being taken in",
                    "try again in a moment"));
        return;
    }
    auto made = std::make_shared<Result<Release>>(fail(Code::failed, "no release"));
    const auto number = static_cast<std::uint64_t>(world_.clock.wall_us());
    world_.ports.background(
        [this, dir, made, app = manifest->name, epoch = world_.me.epoch, number] {
            const std::string repo = world_.releases.repo_path(app);
            Status folders = make_folders(repo.substr(0, repo.rfind('/')), 0711);
            *made = folders.ok() ? make_release_from_folder(dir, repo, app, epoch, number)
                                 : Result<Release>(folders.error());
            if (made->ok()) {
                if (auto imported = world_.releases.import_from_repo(**made); !imported.ok()) {
                    *made = imported.error();
                }
            }
        },
        [this, app_name = manifest->name, made, targets, data_home, answer] {
            world_.apps.end_import(app_name);
            if (!made->ok()) {
                answer(made->error());
                return;
            }
            const Release& release = **made;
            const std::string id = release_id(release);
            auto text = read_file(world_.releases.tree_path(release.app, id) + "/" +
                                      run::manifest_file_name,
                                  run::manifest_bytes_max);
            if (!text.ok()) {
                answer(text.error());
                return;
            }
            const AppRow app{release.app, id,        world_.me.name.text(),
                             *text,       data_home, world_.clock.wall_us()};
            Status placed = world_.store.put_release(
                {release.app, id, encode_release(release), release.commit, world_.clock.wall_us()});
            Json placed_at = Json::array();
            for (const trust::TierName& name : targets) {
                placed = placed.ok() ? place(name, app, true) : placed;
                placed_at.push_back(name.text());
            }
            answer(placed.ok() ? Result<Json>(Json{{"app", app.name},
                                                   {"release", id},
                                                   {"files", release.files.size()},
                                                   {"to", placed_at}})
                               : Result<Json>(placed.error()));
        });
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
}

} // namespace hasp::maint
