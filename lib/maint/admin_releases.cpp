// hasp app releases, rollback, allow: what was published here, and by whom.
#include "admin.h"
#include "base/text.h"

#include <algorithm>
#include <memory>

namespace hasp::maint {

void Admin::list_releases(const Json& args, const Answer& answer) {
    const std::string app = text_of(args, "app");
    auto rows = world_.store.releases(app);
    auto keys = world_.publishing.keys(app);
    if (!rows.ok() || !keys.ok()) {
        answer(rows.ok() ? keys.error() : rows.error());
        return;
    }
    if (rows->empty()) {
        answer(fail(Code::not_found, "this tier holds no release of '" + app + "'",
                    "hasp app list shows the apps"));
        return;
    }
    const std::vector<Rollout> rollouts = world_.rollouts.known(app);
    Json list = Json::array();
    for (const ReleaseRow& row : *rows) {
        Json serves = Json::array();
        for (const Rollout& one : rollouts) {
            if (one.serves == row.release_id) {
                serves.push_back(one.tier);
            }
        }
        list.push_back({{"release", row.release_id},
                        {"epoch", row.sequence.epoch},
                        {"number", row.sequence.number},
                        {"commit", row.source},
                        {"published", rfc3339(row.created_us)},
                        {"key", key_name(row.key)},
                        {"held", world_.releases.holds(app, row.release_id)},
                        {"serves", serves}});
    }
    Json names = Json::array();
    for (const std::string& key : *keys) {
        names.push_back(key_name(key));
    }
    answer(Json{{"app", app}, {"keys", names}, {"releases", list}});
}

void Admin::roll_back(const Json& args, const Answer& answer) {
    const std::string app = text_of(args, "app");
    const std::string wanted = text_of(args, "release");
    auto rows = world_.store.releases(app);
    auto newest = world_.store.publishers(app);
    if (!rows.ok() || !newest.ok()) {
        answer(rows.ok() ? newest.error() : rows.error());
        return;
    }
    if (!*newest || (*newest)->origin != world_.me.name.text()) {
        answer(*newest
                   ? fail(Code::refused, "'" + app + "' is here by order of " + (*newest)->origin,
                          "roll it back there")
                   : fail(Code::not_found, "no release of '" + app + "' was published here",
                          "hasp app list shows the apps"));
        return;
    }
    std::vector<std::string> found;
    for (const ReleaseRow& row : *rows) {
        const bool meant = wanted.empty() ? row.release_id != (*newest)->release_id
                                          : row.release_id.starts_with(wanted);
        if (meant && world_.releases.holds(app, row.release_id)) {
            found.push_back(row.release_id);
        }
    }
    if (found.empty() || (found.size() > 1 && !wanted.empty())) {
        answer(fail(found.empty() ? Code::not_found : Code::usage,
                    !found.empty() ? "'" + wanted + "' begins several releases of '" + app + "'"
                    : wanted.empty()
                        ? "'" + app + "' has no release before this one"
                        : "this tier holds no release '" + wanted + "' of '" + app + "'",
                    "hasp app releases " + app + " shows those that are held"));
        return;
    }
    auto release = world_.releases.manifest(app, found.front());
    auto sequence = world_.publishing.next_sequence(app);
    auto manifest = run::read_manifest(world_.releases.tree_path(app, found.front()));
    if (!release.ok() || !sequence.ok() || !manifest.ok()) {
        answer(!release.ok()    ? release.error()
               : !sequence.ok() ? sequence.error()
                                : manifest.error());
        return;
    }
    auto where = placement(app, manifest->data == run::DataScope::app, args);
    const Status begun = where.ok() ? begin_import(app) : Status{where.error()};
    if (!begun.ok()) {
        answer(begun.error());
        return;
    }
    const std::string source = [&] {
        const auto at = std::find_if(rows->begin(), rows->end(), [&](const ReleaseRow& row) {
            return row.release_id == found.front();
        });
        return at->source;
    }();
    release->epoch = sequence->epoch;
    release->number = sequence->number;
    auto made = std::make_shared<Release>(*std::move(release));
    auto result = std::make_shared<Status>();
    world_.apps.import_work(
        [releases = &world_.releases, made, result] {
            auto renewed = releases->import_from_repo(*made);
            *result = renewed.ok() ? Status{} : Status{renewed.error()};
        },
        [this, made, result, source, where = *where, answer] {
            world_.apps.end_import(made->app);
            answer(result->ok() ? pushed(*made, {}, std::nullopt, source, where)
                                : Result<Json>(result->error()));
        });
}

void Admin::allow_key(const Json& args, const Answer& answer) {
    const std::string app = text_of(args, "app");
    auto key = public_key_from_pem(text_of(args, "key"));
    if (!key.ok() || !valid_name(app)) {
        answer(key.ok() ? fail(Code::usage, "'" + app + "' is not the name of an app")
                        : key.error());
        return;
    }
    const Status allowed = world_.publishing.allow(app, key->raw(), !true_of(args, "remove"));
    auto keys = allowed.ok() ? world_.publishing.keys(app)
                             : Result<std::vector<std::string>>(allowed.error());
    if (!keys.ok()) {
        answer(keys.error());
        return;
    }
    Json names = Json::array();
    for (const std::string& one : *keys) {
        names.push_back(key_name(one));
    }
    answer(Json{{"app", app}, {"keys", names}});
}

void Admin::release_commands() {
    commands_["app.releases"] = [this](const Json& args, const Answer& answer) {
        list_releases(args, answer);
    };
    commands_["app.rollback"] = [this](const Json& args, const Answer& answer) {
        roll_back(args, answer);
    };
    commands_["app.allow"] = [this](const Json& args, const Answer& answer) {
        allow_key(args, answer);
    };
}

} // namespace hasp::maint
