// Client: folders that were moved as they were, which go as one record each.
#include "sync/client.h"

#include "client_parts.h"
#include "client_store.h"
#include "moved.h"

#include <algorithm>
#include <iterator>
#include <span>
#include <utility>

namespace hasp::sync {

namespace {

// Of a look: folders that went and may have been moved, entries that are held against each other,
// and what all that moved holds.
constexpr std::size_t went_max = 1000;
constexpr std::size_t compared_max = 1'000'000;
constexpr std::size_t moved_together_max = moved_entries_max;

struct Went {
    std::string path;
    Tree tree; // what was agreed on there
    bool taken = false;
};

// By path.
using Puts = std::vector<const Operation*>;

// What is put beneath a folder.
std::span<const Operation* const> below(const Puts& puts, const std::string& folder) {
    const auto before = [](const Operation* op, const std::string& path) {
        return op->path < path;
    };
    const auto first = std::lower_bound(puts.begin(), puts.end(), folder + "/", before);
    return {first, std::lower_bound(first, puts.end(), folder + "0", before)}; // behind '/'
}

// They are equally many.
bool went_to(const Went& from, const Operation& to, std::span<const Operation* const> beneath) {
    return same(from.tree.begin()->second, to.entry) &&
           std::equal(std::next(from.tree.begin()), from.tree.end(), beneath.begin(),
                      [&to](const auto& one, const Operation* other) {
                          return other->path.compare(to.path.size() + 1, std::string::npos,
                                                     one.first) == 0 &&
                                 same(one.second, other->entry);
                      });
}

bool is_above(const std::string& folder, const std::string& path) {
    return path.size() > folder.size() && path[folder.size()] == '/' && path.starts_with(folder);
}

} // namespace

// What was agreed on beneath a folder that went; nothing: not all of it went, or the home has never
// had some of it.
Result<std::optional<Tree>> Client::agreed_that_went(const FolderId& folder,
                                                     const std::string& path,
                                                     const std::set<std::string>& removes) {
    const std::string within = path + "/";
    std::size_t gone = 0;
    for (auto at = removes.lower_bound(within); at != removes.end() && at->starts_with(within);
         ++at) {
        if (++gone >= moved_entries_max) {
            return std::optional<Tree>();
        }
    }
    auto itself = store_->base_row(folder, path);
    auto below = itself ? store_->base_below(folder, path)
                        : Result<std::map<std::string, BaseRow>>(itself.error());
    if (!below) {
        return below.error();
    }
    std::optional<Tree> out;
    if (!*itself || below->empty() || below->size() != gone) {
        return out;
    }
    out.emplace();
    std::uint64_t attributes = (*itself)->entry.attributes.size();
    out->emplace("", std::move((*itself)->entry));
    for (auto& [name, agreed] : *below) {
        attributes += agreed.entry.attributes.size();
        if (!removes.contains(name) || attributes > batch_attributes_bytes) {
            return std::optional<Tree>();
        }
        out->emplace(name.substr(path.size() + 1), std::move(agreed.entry));
    }
    const bool had = std::all_of(out->begin(), out->end(),
                                 [](const auto& one) { return one.second.revision != 0; });
    return had ? out : std::optional<Tree>();
}

// Only what was looked at just now, and is neither changed nor to be sent whole. The operations of
// each stand together then: behind the other removals, before the other puts.
Status Client::find_moved(const WorkingFolder& folder, Look& look) {
    look.moved.clear();
    if (!look.fresh || look.row.whole || look.next != 0) {
        return {};
    }
    const std::map<std::string, Seen>& seen = attention(folder.id).seen;
    std::set<std::string> removes;
    Puts puts;
    for (const Operation& op : look.operations) {
        if (op.act == Act::put) {
            puts.push_back(&op);
        } else if (!look.replaced.contains(op.path)) {
            removes.insert(op.path);
        }
    }
    std::sort(puts.begin(), puts.end(),
              [](const Operation* a, const Operation* b) { return a->path < b->path; });
    std::multimap<std::size_t, Went> went; // by how much it holds
    for (const Operation& op : look.operations) {
        if (op.act == Act::remove && op.entry.kind == FileKind::folder && went.size() < went_max &&
            removes.contains(op.path) && !removes.contains(parent_path(op.path))) {
            auto tree = agreed_that_went(folder.id, op.path, removes);
            if (!tree) {
                return tree.error();
            }
            if (*tree) {
                const std::size_t size = (*tree)->size();
                went.emplace(size, Went{op.path, **std::move(tree)});
            }
        }
    }
    std::set<std::string> moved; // paths
    std::size_t compared = 0;
    for (auto at = puts.begin(); !went.empty() && at != puts.end() && compared < compared_max;) {
        const Operation& op = **at;
        const auto beneath = below(puts, op.path);
        ++at;
        if (op.entry.kind != FileKind::folder) {
            continue;
        }
        const auto [first, last] = went.equal_range(beneath.size() + 1);
        const auto from = std::find_if(first, last, [&](const auto& one) {
            compared += one.second.taken ? 0 : one.first;
            return !one.second.taken && went_to(one.second, op, beneath);
        });
        if (from == last || moved.size() / 2 + from->first > moved_together_max) {
            continue;
        }
        const bool known = std::all_of(beneath.begin(), beneath.end(), [&](const Operation* one) {
            const auto looked = seen.find(one->path);
            return one->entry.kind != FileKind::file ||
                   (looked != seen.end() && looked->second.hash == one->entry.hash);
        });
        auto stood = store_->base_row(folder.id, op.path);
        auto others = stood ? store_->base_below(folder.id, op.path)
                            : Result<std::map<std::string, BaseRow>>(stood.error());
        if (!others) {
            return others.error();
        }
        if (!known || *stood || !others->empty()) {
            continue;
        }
        Went& one = from->second;
        one.taken = true;
        for (const auto& [within, entry] : one.tree) {
            moved.insert(path_within(one.path, within));
            moved.insert(path_within(op.path, within));
        }
        look.moved.push_back({one.path, op.path, 0, std::move(one.tree)});
        at = std::find_if(at, puts.end(), [&op](const Operation* other) {
            return !is_above(op.path, other->path);
        });
    }
    if (!look.moved.empty()) {
        put_together(look, moved);
    }
    return {};
}

// The folders above where it came to stand are put before it: the home would make others in their
// places.
void Client::put_together(Look& look, const std::set<std::string>& moved) {
    const auto before = [&look](const Operation& op) {
        return op.act == Act::remove ||
               std::any_of(look.moved.begin(), look.moved.end(),
                           [&op](const Look::Moved& one) { return is_above(op.path, one.to); });
    };
    std::map<std::string, Operation> removals;
    std::map<std::string, Operation> puts;
    std::vector<Operation> together;
    std::vector<Operation> behind;
    for (Operation& op : look.operations) {
        if (moved.contains(op.path)) {
            const std::string path = op.path;
            (op.act == Act::put ? puts : removals).emplace(path, std::move(op));
        } else {
            (before(op) ? together : behind).push_back(std::move(op));
        }
    }
    for (Look::Moved& one : look.moved) {
        one.first = together.size();
        for (auto at = one.tree.rbegin(); at != one.tree.rend(); ++at) {
            together.push_back(std::move(removals.at(path_within(one.from, at->first))));
        }
        for (const auto& [within, entry] : one.tree) {
            together.push_back(std::move(puts.at(path_within(one.to, within))));
        }
    }
    std::move(behind.begin(), behind.end(), std::back_inserter(together));
    look.operations = std::move(together);
}

} // namespace hasp::sync
