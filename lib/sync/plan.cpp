#include "sync/plan.h"

#include "base/text.h"
#include "sync/attributes.h"

#include <algorithm>
#include <set>
#include <string_view>

namespace hasp::sync {

namespace {

constexpr unsigned copy_attempts_max = 1000;

const Entry* at(const Tree& tree, const std::string& path) {
    const auto found = tree.find(path);
    return found == tree.end() ? nullptr : &found->second;
}

bool unchanged(const Entry* before, const Entry* now) {
    return before == nullptr || now == nullptr ? before == now : same(*before, *now);
}

bool content_unchanged(const Entry* before, const Entry* now) {
    return before == nullptr || now == nullptr ? before == now : same_content(*before, *now);
}

class Merge {
  public:
    Merge(const Tree& base, const Tree& mine, const Tree& theirs, const CopyName& copy_name)
        : base_(base), mine_(mine), theirs_(theirs), copy_name_(copy_name) {}

    Plan run() {
        std::set<std::string> paths;
        for (const Tree* tree : {&base_, &mine_, &theirs_}) {
            for (const auto& [path, entry] : *tree) {
                paths.insert(path);
            }
        }
        for (const std::string& path : paths) {
            merge(path);
        }
        bring_back_folders();
        make_copies();
        differences(Side::mine, mine_);
        differences(Side::theirs, theirs_);
        order();
        return std::move(plan_);
    }

  private:
    void take(const std::string& path, const Entry* entry) {
        if (entry != nullptr) {
            plan_.result[path] = *entry;
        }
    }

    // Each name for itself: what the home has counts where both changed one.
    void merge_attributes(const std::string& path, const Entry* b, const Entry* m, const Entry* t) {
        if (m->kind == t->kind) {
            plan_.result[path].attributes = sync::merge_attributes(
                b == nullptr ? std::string() : b->attributes, m->attributes, t->attributes);
        }
    }

    void merge(const std::string& path) {
        const Entry* b = at(base_, path);
        const Entry* m = at(mine_, path);
        const Entry* t = at(theirs_, path);
        if (unchanged(b, m)) {
            take(path, t);
        } else if (unchanged(b, t)) {
            take(path, m);
        } else if (m == nullptr || t == nullptr) {
            // Deleted at one side. Metadata alone is no edit, a folder's children speak for
            // themselves.
            const Entry* left = m == nullptr ? t : m;
            if (left != nullptr && (!content_unchanged(b, left) || b == nullptr)) {
                take(path, left);
            }
        } else if (content_unchanged(m, t) || content_unchanged(b, m)) {
            take(path, t);
            merge_attributes(path, b, m, t);
        } else if (content_unchanged(b, t)) {
            take(path, m);
            merge_attributes(path, b, m, t);
        } else if (m->kind == FileKind::folder) {
            take(path, m);
            copies_.push_back({path, Side::theirs});
        } else {
            take(path, t);
            copies_.push_back({path, Side::mine});
        }
    }

    // Whatever is kept stands in a folder: one that was deleted comes back, and a file that took
    // its name stays beside it.
    void bring_back_folders() {
        std::vector<std::string> paths;
        for (const auto& [path, entry] : plan_.result) {
            paths.push_back(path);
        }
        for (const std::string& path : paths) {
            for (std::string up = parent_path(path); !up.empty(); up = parent_path(up)) {
                const auto there = plan_.result.find(up);
                if (there != plan_.result.end() && there->second.kind == FileKind::folder) {
                    continue;
                }
                const Entry* folder = nullptr;
                for (const Tree* tree : {&theirs_, &mine_, &base_}) {
                    const Entry* entry = at(*tree, up);
                    if (folder == nullptr && entry != nullptr && entry->kind == FileKind::folder) {
                        folder = entry;
                    }
                }
                if (folder == nullptr) {
                    continue; // outside of the part that was given
                }
                if (there != plan_.result.end()) {
                    const Entry* m = at(mine_, up);
                    const bool ours = m != nullptr && same(*m, there->second);
                    copies_.push_back({up, ours ? Side::mine : Side::theirs});
                }
                plan_.result[up] = *folder;
            }
        }
    }

    void make_copies() {
        for (const auto& [path, side] : copies_) {
            const Entry* entry = at(side == Side::mine ? mine_ : theirs_, path);
            if (entry == nullptr || entry->kind == FileKind::folder) {
                continue;
            }
            std::string name;
            for (unsigned i = 0; i < copy_attempts_max; ++i) {
                name = copy_name_(path, i);
                if (at(mine_, name) == nullptr && at(theirs_, name) == nullptr &&
                    at(plan_.result, name) == nullptr) {
                    break;
                }
            }
            plan_.result[name] = *entry;
            plan_.kept.push_back({path, name, side});
        }
    }

    void differences(Side side, const Tree& tree) {
        for (const auto& [path, entry] : tree) {
            const Entry* after = at(plan_.result, path);
            if (after == nullptr || after->kind != entry.kind) {
                plan_.operations.push_back({side, Act::remove, path, entry, {}});
            }
        }
        for (const auto& [path, after] : plan_.result) {
            const Entry* before = at(tree, path);
            if (before != nullptr && same(*before, after)) {
                continue;
            }
            const auto copy =
                std::find_if(plan_.kept.begin(), plan_.kept.end(),
                             [&path = path](const Kept& kept) { return kept.copy == path; });
            plan_.operations.push_back(
                {side, Act::put, path, after, copy == plan_.kept.end() ? "" : copy->path});
        }
    }

    void order() {
        std::stable_sort(plan_.operations.begin(), plan_.operations.end(),
                         [](const Operation& a, const Operation& b) {
                             if (a.act != b.act) {
                                 return a.act == Act::remove;
                             }
                             return a.act == Act::remove ? a.path > b.path : a.path < b.path;
                         });
    }

    const Tree& base_;
    const Tree& mine_;
    const Tree& theirs_;
    const CopyName& copy_name_;
    std::vector<std::pair<std::string, Side>> copies_;
    Plan plan_;
};

} // namespace

Plan plan(const Tree& base, const Tree& mine, const Tree& theirs, const CopyName& copy_name) {
    return Merge(base, mine, theirs, copy_name).run();
}

std::string conflict_name(const std::string& path, const std::string& who, std::int64_t wall_us,
                          unsigned attempt) {
    const std::string folder = parent_path(path);
    std::string name = folder.empty() ? path : path.substr(folder.size() + 1);
    std::string extension;
    if (const std::size_t dot = name.rfind('.'); dot != std::string::npos && dot > 0) {
        extension = name.substr(dot);
        name.resize(dot);
    }
    std::string when = rfc3339(wall_us).substr(0, 19); // colons are no part of a name elsewhere
    when[10] = ' ';
    when[13] = when[16] = '.';
    const std::string mark = " (conflict " + who + " " + when +
                             (attempt == 0 ? "" : " " + std::to_string(attempt + 1)) + ")";
    if (mark.size() + extension.size() > name_bytes_max) {
        extension.clear();
    }
    if (name.size() + mark.size() + extension.size() > name_bytes_max) {
        std::size_t cut = name_bytes_max - mark.size() - extension.size();
        while (cut > 0 && (static_cast<unsigned char>(name[cut]) & 0xC0U) == 0x80U) {
            --cut; // not in the middle of a character
        }
        name.resize(cut);
    }
    return (folder.empty() ? "" : folder + "/") + name + mark + extension;
}

bool is_mass_deletion(const Tree& base, const Tree& mine) {
    std::uint64_t files = 0;
    for (const auto& [path, entry] : base) {
        files += entry.kind != FileKind::folder ? 1 : 0;
    }
    return is_mass_deletion(files, deleted_files(base, mine), mine.empty());
}

std::uint64_t deleted_files(const Tree& base, const Tree& mine) {
    std::map<std::string_view, std::uint64_t> came; // contents, at paths where they were not
    for (const auto& [path, entry] : mine) {
        const Entry* before = at(base, path);
        if (entry.kind == FileKind::file && (before == nullptr || !same_content(*before, entry))) {
            ++came[entry.hash];
        }
    }
    std::uint64_t gone = 0;
    for (const auto& [path, entry] : base) {
        if (entry.kind == FileKind::folder || mine.contains(path)) {
            continue;
        }
        // Each that came is one that went.
        const auto moved = entry.kind == FileKind::file ? came.find(entry.hash) : came.end();
        if (moved != came.end() && moved->second > 0) {
            --moved->second;
        } else {
            ++gone;
        }
    }
    return gone;
}

bool is_mass_deletion(std::uint64_t files, std::uint64_t gone, bool nothing_left) {
    return (gone > 1 && gone == files && nothing_left) ||
           (gone > mass_deletion_files && gone * 4 > files);
}

} // namespace hasp::sync
