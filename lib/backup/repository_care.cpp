// Repository: reading all of it, and giving back room.
#include "backup/repository.h"

#include "base/text.h"

#include <algorithm>
#include <utility>

namespace hasp::backup {

Result<Repository::Checked> Repository::check(bool set_aside, const OnProgress& progress) {
    auto all = ids();
    auto names = all ? names_in(*all, false) : Result<std::vector<ChunkName>>(all.error());
    if (!names) {
        return names.error();
    }
    Checked out;
    out.backups = all->size();
    std::vector<std::pair<ChunkName, std::string>> bad; // sorted, as the names are
    for (const ChunkName& name : *names) {
        auto bytes = chunk(name);
        ++out.chunks;
        if (bytes) {
            out.bytes += bytes->size();
        } else {
            ++out.damaged;
            bad.emplace_back(name, bytes.error().message);
        }
        if (progress) {
            progress(out.chunks, names->size());
        }
    }
    const auto note = [&out](Damage damage) {
        if (out.damages.size() < damages_max) {
            out.damages.push_back(std::move(damage));
        }
    };
    for (const std::string& id : *all) {
        auto head = read(id, [&](const Item& item) {
            for (const ChunkName& name : item.chunks) {
                const auto at = std::lower_bound(
                    bad.begin(), bad.end(), name,
                    [](const auto& one, const ChunkName& than) { return one.first < than; });
                if (at != bad.end() && at->first == name) {
                    note({id, item.path, at->second});
                    break;
                }
            }
            return Status{};
        });
        if (!head) {
            ++out.damaged;
            note({id, "", head.error().message});
        }
    }
    if (!set_aside || bad.empty()) {
        return out;
    }
    Status moved = disk_.make_folder("damaged", 0700, {});
    moved = !moved && moved.error().code == Code::conflict ? Status{} : moved;
    for (const auto& [name, why] : bad) {
        const std::string path = path_of(name);
        if (moved && disk_.stat(path).ok()) {
            moved = disk_.rename(path, "damaged/" + path.substr(path.rfind('/') + 1));
        }
    }
    out.set_aside = moved.ok();
    return out;
}

Result<Repository::Pruned> Repository::prune(const std::vector<std::string>& gone) {
    auto all = ids();
    if (!all) {
        return all.error();
    }
    std::vector<std::string> stay;
    Pruned out;
    for (const std::string& id : *all) {
        (std::find(gone.begin(), gone.end(), id) == gone.end() ? stay : out.removed).push_back(id);
    }
    auto needed = names_in(stay, true);
    if (!needed) {
        return needed.error();
    }
    if (Status swept = sweep(); !swept) {
        return swept.error();
    }
    for (const std::string& id : out.removed) {
        if (Status removed = disk_.remove("backups/" + id); !removed) {
            return removed.error();
        }
    }
    // No list that counts may name a chunk that is gone.
    if (Status durable = disk_.sync_folder("backups"); !durable) {
        return durable.error();
    }
    auto folders = disk_.list("objects");
    if (!folders) {
        return folders.error();
    }
    for (const sync::DirEntry& folder : *folders) {
        const std::string at = "objects/" + folder.name;
        auto files = disk_.list(at);
        if (!files) {
            return files.error();
        }
        for (const sync::DirEntry& file : *files) {
            const auto raw = from_hex(file.name);
            ChunkName name{};
            if (raw && raw->size() == name.size()) {
                std::copy(raw->begin(), raw->end(), name.begin());
                if (std::binary_search(needed->begin(), needed->end(), name)) {
                    continue;
                }
            }
            if (Status removed = disk_.remove(at + "/" + file.name); !removed) {
                return removed.error();
            }
            ++out.chunks;
            out.bytes += file.stat.size;
        }
    }
    auto aside = disk_.list("damaged");
    for (const sync::DirEntry& file : aside ? *aside : std::vector<sync::DirEntry>{}) {
        if (disk_.remove("damaged/" + file.name).ok()) {
            out.bytes += file.stat.size;
        }
    }
    return out;
}

} // namespace hasp::backup
