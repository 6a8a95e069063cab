// Client: a look at what was noted alone. It finds what a look at everything would find, as long as
// all that changed is noted.
#include "client_parts.h"

#include <algorithm>
#include <deque>

namespace hasp::sync {

namespace {

// Of files with several names so many are followed in one look: for each, the rows are read.
constexpr std::size_t linked_max = 16;
constexpr std::uint64_t links_max = 64;

class PartLook {
  public:
    // `trusted_us`: until then nothing but what is noted or unsent has changed since it was agreed,
    // by the word of a watch that was there all the time; 0: nobody can say.
    PartLook(const WorkingFolder& folder, ClientStore& store, Reader& reader, Disk& disk,
             const std::set<std::string>& unsent, std::int64_t trusted_us)
        : folder_(folder), store_(store), reader_(reader), disk_(disk), unsent_(unsent),
          trusted_us_(trusted_us) {}

    std::map<std::string, BaseRow> base;
    Scan scan;
    Known known;
    bool too_many_links = false; // to follow them: everything is to be looked at

    // The rows first: with all that was agreed and may be gone, what came is known again.
    Status add(const std::string& path, bool tree) {
        if (path.empty()) { // the folder itself: all of it is noted otherwise
            return {};
        }
        auto [at, fresh] = paths_.emplace(path, tree);
        if (!fresh && (!tree || at->second)) {
            return {};
        }
        at->second = tree;
        const std::string database = reader_.database_of(path);
        if (!database.empty()) {
            if (Status added = add(database, false); !added) {
                return added;
            }
        }
        auto row = store_.base_row(folder_.id, path);
        if (!row) {
            return row.error();
        }
        auto stat = disk_.stat(folder_.path + "/" + path);
        if (!stat && stat.error().code != Code::not_found && stat.error().code != Code::refused) {
            return stat.error();
        }
        const bool was_folder = *row && (*row)->entry.kind == FileKind::folder;
        const bool is_folder = stat && stat->kind == FileKind::folder;
        if (*row) {
            keep(path, **row);
        }
        if (stat && stat->kind == FileKind::file && stat->links > 1) {
            if (Status added = add_other_names(stat->inode, stat->links); !added) {
                return added;
            }
        }
        if (*row && (*row)->entry.kind == FileKind::file && (*row)->seen.stat.inode != 0 &&
            (!stat || stat->inode != (*row)->seen.stat.inode)) {
            // What was done by this name before it was gone is done under the others.
            if (Status added = add_other_names((*row)->seen.stat.inode, 0); !added) {
                return added;
            }
        }
        if (tree || (was_folder && !is_folder)) {
            auto rows = store_.base_below(folder_.id, path);
            if (!rows) {
                return rows.error();
            }
            for (const auto& [below, one] : *rows) {
                keep(below, one);
            }
        }
        at->second = tree || is_folder != was_folder;
        if (!stat && reader_.knows_databases()) {
            // What was a part of a database that is gone is a file now.
            for (const std::string& part : reader_.companion_names(path)) {
                auto left = disk_.stat(folder_.path + "/" + part);
                if (Status added = left ? add(part, false) : Status{}; !added) {
                    return added;
                }
            }
        }
        return add_above(path);
    }

    // A file that was only renamed has its content: nothing else was noticed of it, and its stamps
    // say the same of what was read long enough after its last change.
    Status move(const Noticed::Move& move, std::int64_t now_us) {
        const auto row = then_.find(move.from);
        auto gone = disk_.stat(folder_.path + "/" + move.from);
        auto there = disk_.stat(folder_.path + "/" + move.to);
        if (row == then_.end() || unsent_.contains(move.from) || gone || !there ||
            there->kind != FileKind::file) {
            return {};
        }
        const Seen& seen = row->second;
        if (!still_the_same(seen, seen.stat) || there->inode != seen.stat.inode ||
            there->size != seen.stat.size || there->mtime_ns != seen.stat.mtime_ns) {
            return {};
        }
        auto beside = reader_.companions(folder_.path + "/" + move.to);
        if (!beside) {
            return beside.error();
        }
        if (beside->empty()) {
            renamed_[move.to] = {*there, now_us, seen.hash, seen.size, seen.attributes};
        }
        return {};
    }

    Status look() {
        for (const auto& [path, seen] : then_) {
            known.inodes.emplace(seen.stat.inode, &seen);
        }
        for (const auto& [path, tree] : paths_) {
            if (scan.tree.contains(path) && !tree) {
                continue; // as part of a folder that is new
            }
            if (const auto at = renamed_.find(path); at != renamed_.end()) {
                Entry entry = entry_of(at->second.stat);
                entry.hash = at->second.hash;
                entry.size = at->second.size;
                entry.attributes = attributes_of(at->second);
                scan.tree[path] = std::move(entry);
                scan.seen[path] = at->second;
                continue;
            }
            if (Status looked = reader_.part(folder_.path, path, tree, known, scan); !looked) {
                return looked;
            }
        }
        return {};
    }

  private:
    void keep(const std::string& path, const BaseRow& row) {
        base.emplace(path, row);
        if (row.entry.kind != FileKind::symlink) {
            known.paths.emplace(path, row.seen);
        }
        if (row.entry.kind == FileKind::file) {
            Seen& seen = then_.emplace(path, row.seen).first->second;
            if (seen.at_us != 0 && !unsent_.contains(path)) {
                seen.at_us = std::max(seen.at_us, trusted_us_);
            }
        }
    }

    // What was done to a file by one of its names was done to it under all of them.
    // `links`: 0, where the name is gone and nobody can say.
    Status add_other_names(std::uint64_t inode, std::uint64_t links) {
        if (too_many_links || linked_.contains(inode)) {
            return {};
        }
        auto names = links > links_max
                         ? Result<std::vector<std::string>>(std::vector<std::string>())
                         : store_.paths_of(folder_.id, inode, links_max + 1);
        if (!names) {
            return names.error();
        }
        if (links == 0 && names->size() <= 1) {
            return {}; // as most files that go
        }
        linked_.insert(inode);
        if (linked_.size() > linked_max || links > links_max || names->size() > links_max) {
            too_many_links = true;
            return {};
        }
        for (const std::string& name : *names) {
            if (Status added = add(name, false); !added) {
                return added;
            }
        }
        return {};
    }

    // What stands in a folder that is not agreed brings that.
    Status add_above(const std::string& path) {
        const std::string above = parent_path(path);
        if (above.empty() || paths_.contains(above) || !above_.insert(above).second) {
            return {};
        }
        auto row = store_.base_row(folder_.id, above);
        if (!row) {
            return row.error();
        }
        return *row && (*row)->entry.kind == FileKind::folder ? add_above(above)
                                                              : add(above, false);
    }

    const WorkingFolder& folder_;
    ClientStore& store_;
    Reader& reader_;
    Disk& disk_;
    const std::set<std::string>& unsent_;
    const std::int64_t trusted_us_;
    std::map<std::string, Seen> then_;  // agreed files, and until when they were what they are
    std::map<std::string, bool> paths_; // with all beneath?
    std::set<std::string> above_;
    std::set<std::uint64_t> linked_; // inodes
    std::map<std::string, Seen> renamed_;
};

} // namespace

Status Client::look_where_noted(const WorkingFolder& folder, Look& look) {
    Attention& attention = this->attention(folder.id);
    PartLook part(folder, *store_, *reader_, disk_, attention.unsent,
                  attention.unchecked ? 0 : clock_.wall_us());
    for (const std::set<std::string>* paths : {&attention.unsent, &attention.noted.paths}) {
        for (const std::string& path : *paths) {
            if (Status added = part.add(path, false); !added) {
                return added;
            }
        }
    }
    for (const std::string& path : attention.noted.trees) {
        if (Status added = part.add(path, true); !added) {
            return added;
        }
    }
    if (part.too_many_links) {
        look.everywhere = true;
        return {};
    }
    for (const Noticed::Move& move : attention.noted.moves) {
        if (Status moved = part.move(move, clock_.wall_us()); !moved) {
            return moved;
        }
    }
    for (const auto& [path, seen] : attention.seen) {
        part.known.paths[path] = seen;
    }
    if (Status looked = part.look(); !looked) {
        return looked;
    }
    look.base = std::move(part.base);
    look.scan = std::move(part.scan);
    return {};
}

// Counted no further than it must be: the costs grow with what is gone, not with the folder.
Result<bool> Client::may_be_mass_deletion(const FolderId& folder, const Look& look) {
    Tree base;
    for (const auto& [path, agreed] : look.base) {
        base[path] = agreed.entry;
    }
    const std::uint64_t gone = deleted_files(base, look.scan.tree);
    if (gone == 0) {
        return false;
    }
    auto files = store_->count_files(folder, std::max(gone * 4, mass_deletion_files + 1));
    if (!files) {
        return files.error();
    }
    // Of few files all are looked at: one that goes may be the first to be noticed of all. Whether
    // anything is left, folders too, the look at everything finds.
    return (*files > 1 && *files <= mass_deletion_files) || is_mass_deletion(*files, gone, true);
}

} // namespace hasp::sync
