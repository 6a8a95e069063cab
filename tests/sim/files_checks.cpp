// What must have become of users' files.
#include "files.h"
#include "store/db.h"
#include "sync/home.h"
#include "sync_disk.h"
#include "trust/hash.h"
#include "world.h"

#include "base/text.h"

#include <algorithm>

namespace hasp::sim {

namespace {

constexpr const char* lost = "no acknowledged file is lost";
constexpr const char* comes_back = "what was removed or replaced does not come back";
constexpr const char* made_up = "no file is made up or torn";
constexpr const char* equal = "after peace files are equal everywhere";
constexpr const char* held_back = "a mass deletion waits for an operator";
constexpr int rounds_of_peace = 8;

std::string short_hash(const std::string& hash) {
    return to_hex(hash).substr(0, 8);
}

} // namespace

std::string UserFiles::root(const Account& account) {
    return "/data/users/" + account.name + "/" + files_app;
}

UserFiles::Folder& UserFiles::folder(const Account& account) {
    return folders_[account.name];
}

void UserFiles::replaced(const Account& account, const std::string& hash) {
    folder(account).contents[hash].replaced = true;
}

Listing UserFiles::list(const Machine& at, const Account& account) {
    Listing out;
    const Disk& disk = const_cast<Machine&>(at).disk();
    const std::string top = root(account);
    std::vector<std::string> folders{top};
    while (!folders.empty()) {
        const std::string here = folders.back();
        folders.pop_back();
        for (const std::string& name : disk.list(here)) {
            const std::string path = here + "/" + name;
            const File file = disk.find(path);
            out[path.substr(top.size() + 1)] =
                is_folder(file) ? std::string() : trust::sha256(file->seen);
            if (is_folder(file)) {
                folders.push_back(path);
            }
        }
    }
    return out;
}

// As the home's tables have it. Nothing: they cannot be read now.
std::optional<Listing> UserFiles::home_of(const Account& account) const {
    auto db = store::Db::open(account.home->state + "/files.db", {5000, false, false});
    if (!db.ok()) {
        return std::nullopt;
    }
    Listing out;
    const Status read = (*db)->each(
        "SELECT path, kind, hash FROM files_rows WHERE user = ?1 AND app = ?2 AND kind <> 0",
        [&out](const store::Statement& s) { out[std::string(s.blob(0))] = s.blob(2); },
        account.name, std::string(files_app));
    return read.ok() ? std::optional(out) : std::nullopt;
}

void UserFiles::done(Machine& at, Deed deed) {
    deed.number = deeds_;
    Folder& files = folder(*deed.account);
    for (const Standing& given : deed.gave) {
        files.given[given].deed = deed.number;
        files.given[given].at.insert(at.name);
        files.retired.erase(given);
        files.paths.insert(given.first);
    }
    files.taken.insert(deed.took.begin(), deed.took.end());
    unsynced_[&at].push_back(std::move(deed));
}

// It was begun and not ended: what stands there now is somebody's work, and nothing is sure of it.
void UserFiles::undecided(Machine& at, const Deed& deed) {
    Folder& files = folder(*deed.account);
    for (const auto& [path, hash] : list(at, *deed.account)) {
        if (!hash.empty() && !files.contents.contains(hash)) {
            files.contents[hash] = {"a deed that the disk ended at " + at.name, false, true};
        }
        files.paths.insert(path);
        files.given[{path, hash}].deed = deeds_;
        files.given[{path, hash}].at.insert(at.name);
        files.retired.erase({path, hash});
    }
    for (const Standing& given : deed.gave) {
        files.paths.insert(given.first);
    }
}

// Nothing takes it back.
void UserFiles::certain(const Deed& deed) {
    Folder& files = folder(*deed.account);
    for (const auto& [path, hash] : deed.gave) {
        files.contents[hash].sure = true;
    }
    for (const Standing& taken : deed.took) {
        const auto again = files.given.find(taken);
        // What two tiers put at the same place, one of them may have taken before it saw the
        // other's.
        if (again == files.given.end() ||
            (again->second.deed <= deed.number && again->second.at.size() == 1)) {
            files.retired.insert(taken);
        }
    }
    for (const Standing& given : deed.gave) {
        files.retired.erase(given);
    }
}

void UserFiles::power_went(Machine& at) {
    std::map<std::string, Listing> there;
    for (Account& account : world_.accounts) {
        there[account.name] = list(at, account);
    }
    for (const Deed& deed : unsynced_[&at]) {
        const Listing& now = there[deed.account->name];
        const auto home = home_of(*deed.account);
        const bool disk_failed = deed.disk_failures != at.disk().stats().failures;
        bool stands = !deed.gave.empty();
        bool home_has = false;
        for (const auto& [path, hash] : deed.gave) {
            const auto found = now.find(path);
            stands = stands && found != now.end() && found->second == hash;
            // What was moved was at the home before, too.
            const bool moved = std::any_of(deed.took.begin(), deed.took.end(),
                                           [&](const Standing& one) { return one.second == hash; });
            home_has =
                home_has || (home && std::any_of(home->begin(), home->end(), [&](const auto& row) {
                                 return row.second == hash && (!moved || row.first == path);
                             }));
        }
        if (stands || (home_has && !disk_failed)) {
            certain(deed);
        }
    }
    unsynced_[&at].clear();
    for (Account& account : world_.accounts) {
        Folder& files = folder(account);
        for (const auto& [path, hash] : there[account.name]) {
            if (hash.empty() || files.contents.contains(hash)) {
                continue;
            }
            const File file = at.disk().find(root(account) + "/" + path);
            world_.hold(tearable_[&at].contains(file->number), made_up,
                        account.name + "'s " + path + " at " + at.name +
                            " was torn by the power cut, and no app had it open");
            files.contents[hash] = {path + ", torn at " + at.name, false, true};
            files.paths.insert(path);
        }
    }
    tearable_[&at].clear();
}

void UserFiles::check_known(const Account& account, const Machine& at, const Listing& there) {
    const Folder& files = folder(account);
    for (const auto& [path, hash] : there) {
        world_.hold(hash.empty() || files.contents.contains(hash), made_up,
                    account.name + "'s " + path + " at " + at.name + " has a content " +
                        short_hash(hash) + " that nobody wrote");
    }
}

// Everything there is what the home has, and the tier says that it has seen to it: from here on it
// knows that a file that is missing was removed.
bool UserFiles::quiet(const Account& account, Machine& at, const Listing& there) {
    const auto home = home_of(account);
    const auto files = std::count_if(there.begin(), there.end(),
                                     [](const auto& one) { return !one.second.empty(); });
    if (!home || *home != there || files < 2) {
        return false;
    }
    auto db = store::Db::open(account.home->state + "/files.db", {5000, false, false});
    auto number = db.ok() ? (*db)->first(
                                "SELECT number FROM files_folders WHERE user = ?1 AND app = ?2",
                                [](const store::Statement& s) { return s.integer(0); },
                                account.name, std::string(files_app))
                          : Result<std::optional<std::int64_t>>(db.error());
    const Json status = at.look("sync.status");
    for (const Json& one : member(status, "folders")) {
        if (text_of(one, "user") == account.name && text_of(one, "app") == files_app) {
            return number.ok() && *number && text_of(one, "held").empty() &&
                   int_of(one, "unsent_files") == 0 &&
                   int_of(member(one, "revision"), "number") == **number;
        }
    }
    return false;
}

bool UserFiles::waits(const Account& account, const Machine& at) const {
    return std::any_of(held_.begin(), held_.end(), [&](const auto& held) {
        return held->account == &account && held->at == &at;
    });
}

// Until now nothing of it went; from now on all of it may.
void UserFiles::release(const std::shared_ptr<Held>& held) {
    if (!waits(*held->account, *held->at) || !held->at->up()) {
        return;
    }
    Folder& files = folder(*held->account);
    const auto home = home_of(*held->account);
    for (const Standing& gone : held->gone) {
        const auto found = home ? home->find(gone.first) : Listing::const_iterator{};
        // A folder that another tier made under the name of a file moves that aside.
        const bool there = !home || (found != home->end() && found->second == gone.second) ||
                           std::any_of(home->begin(), home->end(), [&gone](const auto& one) {
                               return one.second == gone.second &&
                                      one.first.starts_with(gone.first + " (conflict ");
                           });
        world_.hold(there || files.contents[gone.second].replaced || files.taken.contains(gone),
                    held_back,
                    held->account->name + "'s " + gone.first +
                        " was removed at the home, when all "
                        "went at " +
                        held->at->name);
    }
    world_.engine.note("operator", "releases the deletions of " + held->account->name + " at " +
                                       held->at->name);
    for (const Standing& gone : held->gone) {
        files.contents[gone.second].replaced = true;
    }
    held->at->admin(
        "sync.begin",
        {{"user", held->account->name}, {"app", files_app}, {"release_deletions", true}},
        [this, held](std::optional<Result<Json>> answer) {
            world_.engine.note("operator", !answer        ? "no answer"
                                           : answer->ok() ? "done"
                                                          : answer->error().message);
            if (answer && answer->ok()) {
                std::erase(held_, held);
            }
        });
}

// Operators say of every deletion that waits that it is meant.
void UserFiles::release_all() {
    const auto waiting = held_;
    for (const auto& held : waiting) {
        release(held);
    }
    for (const auto& at : world_.machines) {
        const Json status = at->look("sync.status");
        for (const Json& one : member(status, "folders")) {
            if (!text_of(one, "held").empty()) {
                at->admin("sync.begin",
                          {{"user", text_of(one, "user")},
                           {"app", files_app},
                           {"release_deletions", true}},
                          [](std::optional<Result<Json>>) {});
            }
        }
        at->admin("sync.begin", {{"wait", true}}, [](std::optional<Result<Json>>) {});
    }
}

bool UserFiles::has_no_copy(Machine& at, const Account& account) {
    const Json status = at.look("sync.status");
    const Json& folders = member(status, "folders");
    return !is_folder(at.disk().find(root(account))) && folders.is_array() &&
           std::none_of(folders.begin(), folders.end(), [&](const Json& one) {
               return text_of(one, "user") == account.name && text_of(one, "app") == files_app;
           });
}

bool UserFiles::all_equal(std::string& why) const {
    for (const Account& account : world_.accounts) {
        const auto home = home_of(account);
        if (!home) {
            why = "the home of " + account.name + " cannot be read";
            return false;
        }
        for (const auto& at : world_.machines) {
            const Listing there = list(*at, account);
            if (there.empty() && has_no_copy(*at, account)) {
                continue; // it was removed with the right to it
            }
            const auto [mine, theirs] =
                std::mismatch(there.begin(), there.end(), home->begin(), home->end());
            if (mine == there.end() && theirs == home->end()) {
                continue;
            }
            const bool here =
                theirs == home->end() || (mine != there.end() && mine->first <= theirs->first);
            const bool both =
                mine != there.end() && theirs != home->end() && mine->first == theirs->first;
            why = account.name + "'s " + (here ? mine->first : theirs->first) +
                  (both ? " differs at " + at->name + " (" + short_hash(mine->second) +
                              ") and at the home (" + short_hash(theirs->second) + ")"
                   : here ? " is at " + at->name + " and not at the home"
                          : " is at the home and not at " + at->name);
            return false;
        }
    }
    return true;
}

void UserFiles::check() {
    std::string why;
    for (int round = 0; round < rounds_of_peace; ++round) {
        release_all();
        world_.engine.run_until(world_.engine.now_us() + 15 * second);
        if (held_.empty() && all_equal(why)) {
            break;
        }
    }
    if (world_.engine.stopped()) {
        return;
    }
    const bool are_equal = all_equal(why);
    for (auto& [at, deeds] : unsynced_) {
        for (const Deed& deed : deeds) {
            certain(deed);
        }
        deeds.clear();
    }
    for (const Account& account : world_.accounts) {
        const Listing home = home_of(account).value_or(Listing());
        Folder& files = folder(account);
        std::set<std::string> hashes;
        auto db = store::Db::open(account.home->state + "/files.db");
        const auto disk = make_sync_disk(account.home->disk());
        SeededRandom random(1); // of keys, which are there already
        auto opened = db.ok()
                          ? sync::Home::open(**db, *disk, "clinics", account.home->clock, random)
                          : Result<std::unique_ptr<sync::Home>>(db.error());
        for (const auto& [path, hash] : home) {
            if (hash.empty()) {
                continue;
            }
            hashes.insert(hash);
            world_.hold(files.paths.contains(path) || path.find(" (conflict ") != std::string::npos,
                        made_up, account.name + " has a file " + path + " that nobody named so");
            auto content = opened.ok() ? (*opened)->content({account.name, files_app}, hash)
                                       : Result<std::unique_ptr<sync::ReadFile>>(opened.error());
            const auto read =
                content.ok() ? sync::digest(**content) : Result<sync::Digest>(content.error());
            world_.hold(read.ok() && read->hash == hash, lost,
                        account.name + "'s " + path + " cannot be read at the home: " +
                            (read.ok() ? "it is another content" : read.error().message));
        }
        check_known(account, *account.home, home);
        for (const auto& [hash, content] : files.contents) {
            world_.hold(!content.sure || content.replaced || hashes.contains(hash), lost,
                        content.origin + " (" + short_hash(hash) + ") is nowhere");
        }
        for (const auto& [path, hash] : files.retired) {
            const auto found = home.find(path);
            world_.hold(found == home.end() || found->second != hash, comes_back,
                        files.contents[hash].origin + " stands again at " + path);
        }
    }
    world_.hold(are_equal, equal, why);
}

} // namespace hasp::sim
