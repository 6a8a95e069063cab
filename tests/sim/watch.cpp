#include "watch.h"

#include <algorithm>

namespace hasp::sim {

namespace {

constexpr std::uint64_t lost_of = 150; // one event in so many is the one at which track is lost
constexpr std::int64_t wakes_within = 400 * ms;
constexpr const char* told_folder = "/data/users/";

} // namespace

SimWatch::SimWatch(Engine& engine, Disk& disk, std::function<void()> wake)
    : engine_(engine), disk_(disk), wake_(std::move(wake)) {
    disk_.on_change(told_folder,
                    [this](const std::string& path, const std::string& to) { changed(path, to); });
}

SimWatch::~SimWatch() {
    *lives_ = false;
    disk_.on_change(told_folder, {});
}

Result<bool> SimWatch::add(const std::string& name) {
    const File there = disk_.find("/" + name);
    if (!is_folder(there)) {
        return fail(Code::not_found, "the simulated watch: no folder " + name);
    }
    Folder& folder = folders_[name];
    if (folder.inode == there->number && !folder.broken) {
        return false;
    }
    folder = Folder{};
    folder.inode = there->number;
    return true;
}

SimWatch::Folder* SimWatch::of(const std::string& path, std::string& name, std::string& below) {
    for (auto& [folder, state] : folders_) {
        if (path == "/" + folder || path.starts_with("/" + folder + "/")) {
            name = folder;
            below = path.size() > folder.size() + 1 ? path.substr(folder.size() + 2) : "";
            return &state;
        }
    }
    return nullptr;
}

void SimWatch::changed(const std::string& path, const std::string& to) {
    std::string name;
    std::string to_name;
    std::string below;
    std::string to_below;
    Folder* from = of(path, name, below);
    Folder* into = to.empty() ? nullptr : of(to, to_name, to_below);
    sync::Noticed noticed;
    for (auto& [folder, where, whose, absolute] :
         {std::tuple{from, below, name, path}, std::tuple{into, to_below, to_name, to}}) {
        if (folder == nullptr) {
            continue;
        }
        if (where.empty()) { // the folder itself came or went
            lose_track(*folder);
            folder->broken = true;
        } else if (engine_.below(lost_of) == 0) {
            engine_.note("watch", "loses track of " + whose);
            lose_track(*folder);
        } else {
            // Of a folder that came, with all in it; of one that went as well.
            const File there = disk_.find(absolute);
            const bool tree = !to.empty() || there == nullptr || is_folder(there);
            sync::Noticed one;
            (tree && !(there != nullptr && !is_folder(there)) ? one.trees : one.paths)
                .insert(where);
            folder->noticed.add(std::move(one));
        }
        wake_later(whose);
    }
    const File moved = to.empty() ? nullptr : disk_.find(to);
    if (from != nullptr && from == into && !from->noticed.everything && moved != nullptr &&
        moved->kind == Inode::Kind::file && from->noticed.paths.contains(to_below)) {
        from->noticed.moves.push_back({below, to_below});
    }
}

void SimWatch::lose_track(Folder& folder) {
    folder.noticed = {};
    folder.noticed.everything = !hides_lost_track;
}

void SimWatch::wake_later(const std::string& name) {
    Folder& folder = folders_[name];
    if (folder.woken) {
        return;
    }
    folder.woken = true;
    engine_.after(engine_.between(0, wakes_within), [this, name, lives = lives_] {
        const auto at = *lives ? folders_.find(name) : folders_.end();
        if (!*lives || at == folders_.end()) {
            return;
        }
        at->second.woken = false;
        at->second.ready = true;
        wake_();
    });
}

std::vector<std::string> SimWatch::ready() {
    std::vector<std::string> out;
    for (auto& [name, folder] : folders_) {
        if (std::exchange(folder.ready, false)) {
            out.push_back(name);
        }
    }
    return out;
}

sync::Noticed SimWatch::take(const std::string& name, sync::Take which) {
    const auto at = folders_.find(name);
    if (at == folders_.end()) {
        return {};
    }
    sync::Noticed all = std::exchange(at->second.noticed, {});
    if (which == sync::Take::all || all.everything) {
        return all;
    }
    // Some of it is not settled yet.
    sync::Noticed now;
    sync::Noticed later;
    for (const std::string& path : all.paths) {
        (engine_.chance(20) ? later : now).paths.insert(path);
    }
    for (const std::string& path : all.trees) {
        (engine_.chance(20) ? later : now).trees.insert(path);
    }
    if (!later.empty()) {
        at->second.noticed = std::move(later);
        wake_later(name);
    }
    return now;
}

} // namespace hasp::sim
