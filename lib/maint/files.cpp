// Files: opening, and operators' questions.
#include "files.h"

#include "base/text.h"
#include "files_parts.h"
#include "store/settle.h"

#include <algorithm>
#include <limits>

namespace hasp::maint {

namespace {
constexpr std::int64_t first_look_us = 1'000'000; // after the start, so that the link may come up
constexpr std::int64_t look_us = 1'000'000;
} // namespace

Files::Files(World world)
    : world_(std::move(world)), keeps_(world_.db, world_.me.name.realm()),
      copies_(world_.db, world_.me.name.realm()), home_work_(world_.ports),
      client_work_(world_.ports), scan_small_(world_.ports), scan_large_(world_.ports),
      fill_work_(world_.ports) {
    serve_neighbours();
}
Files::~Files() = default;

Status Files::load() {
    if (Status migrated = keeps_.migrate(); !migrated) {
        return migrated;
    }
    if (Status loaded = copies_.load(); !loaded) {
        return loaded;
    }
    Status opened = open_engine();
    if (!opened && opened.error().code != Code::refused) {
        return opened; // a disk that fails now: the next start may do better
    }
    if (!opened) {
        // The tier's apps and links are of use without it; nothing is sent, taken or removed.
        engine_.reset();
        problem_ = opened.error().message;
        next_ = opened.error().hint;
        world_.log.error("files.open", problem_ + (next_.empty() ? "" : ": " + next_));
    }
    return {};
}

Status Files::open_engine() {
    auto engine = std::make_unique<Engine>();
    auto home_db = store::Db::open(world_.state + "/files.db");
    auto client_db = store::Db::open(world_.state + "/sync.db");
    if (!home_db.ok() || !client_db.ok()) {
        return home_db.ok() ? client_db.error() : home_db.error();
    }
    engine->home_db = *std::move(home_db);
    engine->client_db = *std::move(client_db);
    const std::string realm = world_.me.name.realm();
    auto home =
        sync::Home::open(*engine->home_db, *world_.disk, realm, world_.clock, world_.random);
    if (!home.ok()) {
        return home.error();
    }
    if (world_.config.files.compose_small) {
        (*home)->bound_composed({1, 1});
    }
    (*home)->bound_answers({static_cast<std::uint64_t>(world_.config.files.answer_rows),
                            sync::AnswerBounds{}.content_bytes});
    (*home)->bound_along(static_cast<std::uint64_t>(world_.config.files.along_bytes));
    if (Status forgotten = forget_removed_accounts(**home); !forgotten.ok()) {
        world_.log.error("files.destroyed", forgotten.error().message);
    }
    auto client =
        sync::Client::open(*engine->client_db, *world_.disk, realm, world_.clock, world_.random,
                           [state = world_.state](const std::string& path) {
                               return store::settle_copy(state + "/" + path);
                           });
    if (!client.ok()) {
        return client.error();
    }
    (*client)->bound_batches({static_cast<std::uint64_t>(world_.config.files.batch_operations),
                              sync::batch_content_bytes});
    const auto kept_bytes_max = static_cast<std::uint64_t>(world_.config.files.kept_mib) << 20U;
    if (Status bounded = (*client)->set_base_bytes_max(kept_bytes_max); !bounded.ok()) {
        return bounded;
    }
    engine->home = *std::move(home);
    engine->client = *std::move(client);
    auto known = engine->client->status();
    auto leaving = engine->client->leaving();
    if (!known.ok() || !leaving.ok()) {
        return known.ok() ? leaving.error() : known.error();
    }
    engine_ = std::move(engine);
    if (Status known_gone = know_gone(); !known_gone.ok()) {
        return known_gone;
    }
    for (const FolderId& id : *leaving) { // what is left of them is nothing that anybody wrote
        if (world_.daemon) {
            finish_removal(id);
        }
    }
    in_quarantine_ = look_at_quarantine();
    if (Status settling = settle_folders(); !settling.ok()) {
        return settling;
    }
    for (const sync::FolderStatus& status : *known) {
        folder(status.folder).status = status;
        folder(status.folder).unheld = status.to_come_files > 0;
        schedule(status.folder, first_look_us);
    }
    // Folders from before they were kept equal with anything.
    auto users = world_.disk->list("data/users");
    for (const sync::DirEntry& user : users.ok() ? *users : std::vector<sync::DirEntry>{}) {
        auto apps = valid_name(user.name) ? world_.disk->list("data/users/" + user.name)
                                          : Result<std::vector<sync::DirEntry>>(Error{});
        for (const sync::DirEntry& app : apps.ok() ? *apps : std::vector<sync::DirEntry>{}) {
            if (valid_name(app.name)) {
                schedule({user.name, app.name}, first_look_us);
            }
        }
    }
    return {};
}

// The first work of all: where the whole tier starts, before anybody's app is there to change
// something. Apps that run on while the keeper alone is started again have the moment until then.
Status Files::settle_folders() {
    auto unsettled = engine_->client->unsettled();
    if (!unsettled.ok()) {
        return unsettled.error();
    }
    for (const FolderId& id : *unsettled) {
        auto at = working_folder(id);
        if (!at.ok()) {
            world_.log.warn("files.settle", at.error().message);
            continue;
        }
        auto settled = std::make_shared<Status>();
        client_work_.run([this, at = *at, settled] { *settled = engine_->client->settle(at); },
                         [this, settled] {
                             if (!settled->ok()) { // the first look tries it again
                                 world_.log.warn("files.settle", settled->error().message);
                             }
                         });
    }
    return {};
}

void Files::begin(const Wish& wish, const std::function<void(Result<std::int64_t>)>& begun) {
    if (engine_ == nullptr) {
        begun(not_opened());
        return;
    }
    if (!world_.daemon) {
        begun(fail(Code::try_later, "files are compared by the running tier",
                   "start it with `hasp serve`, and try again"));
        return;
    }
    std::vector<FolderId> meant;
    for (const auto& [id, held] : folders_) {
        if ((wish.user.empty() || wish.user == id.user) &&
            (wish.app.empty() || wish.app == id.app) && (holds(id.app) || wish.discard) &&
            !held->leaving) {
            meant.push_back(id);
        }
    }
    if (meant.empty() && (!wish.user.empty() || !wish.app.empty())) {
        begun(fail(Code::not_found,
                   "this tier keeps no such files" +
                       (wish.app.empty() ? "" : " of '" + wish.app + "'") +
                       (wish.user.empty() ? "" : " of '" + wish.user + "'"),
                   "hasp sync --list shows what it keeps"));
        return;
    }
    if (Status may = wish.discard ? may_discard(meant) : Status{}; !may.ok()) {
        begun(may.error());
        return;
    }
    auto problem = std::make_shared<Status>();
    client_work_.run(
        [this, meant, wish, problem] {
            for (const FolderId& id : meant) {
                if (wish.release_deletions && problem->ok()) {
                    *problem = engine_->client->release_deletions(id);
                }
                engine_->client->ask_again(id);
                if (wish.begin_anew && problem->ok()) {
                    *problem = engine_->client->begin_anew(id);
                }
            }
        },
        [this, meant, problem, begun, wish] {
            if (!problem->ok()) {
                begun(problem->error());
                return;
            }
            const std::int64_t number = next_wanted_++;
            Wanted& wanted = wanted_[number];
            wanted.wait = wish.wait;
            for (const FolderId& id : meant) {
                wanted.folders[id] = nullptr;
                if (wish.discard) {
                    if (!discard(id)) {
                        wanted.folders[id] = removed_json(id);
                    }
                } else if (wish.begin_anew || wish.release_deletions) {
                    ask_fully(id);
                } else {
                    ask_once(id);
                }
            }
            while (wanted_.size() > rounds_remembered_max) {
                Wanted old = std::move(wanted_.begin()->second);
                wanted_.erase(wanted_.begin());
                old.tell(std::numeric_limits<std::int64_t>::max());
            }
            begun(number);
            start_due();
        });
}

std::size_t Files::Wanted::done() const {
    return static_cast<std::size_t>(
        std::count_if(folders.begin(), folders.end(),
                      [](const auto& folder) { return !folder.second.is_null(); }));
}

Json Files::Wanted::json() const {
    Json list = Json::array();
    for (const auto& [id, result] : folders) {
        list.push_back(result.is_null() ? Json{{"user", id.user}, {"app", id.app}} : result);
        if (const auto why = waits.find(id); result.is_null() && why != waits.end()) {
            list.back()["waits"] = why->second;
        }
    }
    return {{"done", done() == folders.size()}, {"folders_done", done()}, {"folders", list}};
}

void Files::Wanted::tell(std::int64_t now_us) {
    std::vector<Looking> told;
    const std::size_t now_done = done();
    std::erase_if(looking, [&](Looking& one) {
        const bool due =
            now_done > one.seen || now_done == folders.size() || one.until_us <= now_us;
        if (due) {
            told.push_back(std::move(one));
        }
        return due;
    });
    for (const Looking& one : told) {
        one.answer(json());
    }
}

void Files::look(std::int64_t round, std::size_t seen, std::function<void(Result<Json>)> answer) {
    const auto found = wanted_.find(round);
    if (found == wanted_.end()) {
        answer(fail(Code::not_found, "that round is no longer remembered"));
        return;
    }
    const std::int64_t now = world_.clock.boot_us();
    found->second.looking.push_back({seen, now + look_us, std::move(answer)});
    found->second.tell(now);
}

Json Files::status() const {
    Json folders = Json::array();
    for (const auto& [id, held] : folders_) {
        const sync::FolderStatus& s = held->status;
        Json one{
            {"user", id.user},
            {"app", id.app},
            {"revision", revision_json(s.revision)},
            {"unsent_files", s.unsent_files},
            {"unsent_bytes", s.unsent_bytes},
            {"to_come_files", s.to_come_files},
            {"to_come_bytes", s.to_come_bytes},
            {"unsent_since", s.unsent_since_us > 0 ? Json(rfc3339(s.unsent_since_us)) : Json()},
            {"conflicts", s.conflicts},
            {"skipped", s.skipped},
            {"attributes_left", s.attributes_left},
            {"held", s.held},
            {"held_files", s.held_files},
            {"infected", s.infected},
            {"unscanned", s.unscanned},
            {"refused", refused_json(s)},
            {"synced", s.synced_us > 0 ? Json(rfc3339(s.synced_us)) : Json()}};
        if (!s.error.empty()) {
            one["error"] = s.error;
        }
        one["watched"] = held->watched;
        if (!held->unwatched.empty()) {
            one["unwatched"] = held->unwatched;
        }
        if (held->unchecked) {
            one["unchecked"] = true;
        }
        if (held->last.is_object()) {
            one["last"] = held->last;
        }
        if (held->moved.is_object()) {
            one["last_moved"] = held->moved;
        }
        folders.push_back(std::move(one));
    }
    return {{"folders", folders}, {"wire_up", wire_up_}, {"wire_down", wire_down_}};
}

Files::Unsent Files::unsent() const {
    Unsent out;
    for (const auto& [id, held] : folders_) {
        const sync::FolderStatus& s = held->status;
        out.files += s.unsent_files;
        out.bytes += s.unsent_bytes;
        if (s.unsent_since_us > 0 && (out.since_us == 0 || s.unsent_since_us < out.since_us)) {
            out.since_us = s.unsent_since_us;
        }
    }
    return out;
}

} // namespace hasp::maint
