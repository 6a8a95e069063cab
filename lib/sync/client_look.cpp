// Client: what has changed in a working copy since it was last agreed on.
#include "sync/client.h"

#include "client_parts.h"
#include "client_store.h"

#include <algorithm>
#include <set>

namespace hasp::sync {

namespace {
constexpr const char* held_gone = "the folder is gone";
constexpr const char* held_many = "many files were deleted at once";
// Each path by itself costs several times what it costs as one of all.
constexpr std::size_t part_paths_max = 20'000;
// How long a round goes on by one look: what changes meanwhile is seen after that, or after what is
// sent. Looks then cost a small part of the time, however large the folder is.
constexpr std::int64_t look_again_us = 60'000'000;
} // namespace

Result<std::optional<Client::Look>> Client::rest_of_look(const WorkingFolder& folder,
                                                         const FolderRow& row) {
    std::optional<Look> out;
    Attention::Rest& rest = attention(folder.id).rest;
    if (!rest.looked_us || clock_.boot_us() - *rest.looked_us > look_again_us || row.whole ||
        row.released != rest.released) {
        return out;
    }
    // Judged by what is there now: see judge_look().
    auto identity = disk_.identity(folder.path);
    if (!identity || *identity != row.identity) {
        return identity || identity.error().code == Code::not_found
                   ? Result<std::optional<Look>>(std::move(out))
                   : identity.error();
    }
    out.emplace();
    out->row = row;
    out->operations = std::move(rest.operations);
    out->next = rest.next;
    out->replaced = std::move(rest.replaced);
    out->left_out = rest.left_out;
    out->fresh = false;
    return out;
}

Result<Client::Look> Client::look_at(const WorkingFolder& folder) {
    attention(folder.id).rest = {};
    if (Status named = name_contents(folder.id); !named) {
        return named.error();
    }
    if (Status settled = settle_placing(folder); !settled) {
        return settled.error();
    }
    auto row = store_->folder(folder.id);
    if (!row) {
        return row.error();
    }
    Look look;
    look.row = *std::move(row);
    // Before anything is looked at: a folder that is put in its place meanwhile is seen as another
    // the next time.
    if (Status set = look_at_attributes(folder.id); !set) {
        return set.error();
    }
    look.identity = disk_.identity(folder.path);
    if (!look.identity && look.identity.error().code != Code::not_found) {
        return look.identity.error();
    }
    Attention& attention = this->attention(folder.id);
    // Whatever is out of the ordinary is judged by all that there is.
    look.everywhere = !attention.watched || attention.noted.everything || !look.identity ||
                      *look.identity != look.row.identity || !look.row.status.held.empty() ||
                      look.row.released ||
                      attention.unsent.size() + attention.noted.paths.size() > part_paths_max;
    if (!look.everywhere) {
        Status looked = look_where_noted(folder, look);
        auto mass = looked ? may_be_mass_deletion(folder.id, look) : Result<bool>(looked.error());
        if (!mass) {
            return mass.error();
        }
        look.everywhere = look.everywhere || *mass;
    }
    if (look.everywhere) {
        if (Status looked = look_everywhere(folder, look); !looked) {
            return looked.error();
        }
    }
    // Moved away or unmounted in the middle: what was not found since then is not gone.
    if (auto still = disk_.identity(folder.path);
        look.identity && (!still || *still != *look.identity)) {
        attention.noted.everything = true;
        return fail(Code::try_later, "the folder was moved while it was looked at");
    }
    attention.untold_attributes =
        reader_->has_untold_attributes() || (!look.everywhere && attention.untold_attributes);
    if (Status kept = keep_seen(folder.id, look); !kept) {
        return kept.error();
    }
    judge_look(attention, look);
    if (Status left = leave_refused(folder.id, look); !left) {
        return left.error();
    }
    attention.batch_is_last = false;
    // What is held is known by this look alone until it is written down.
    attention.noted = {!look.row.status.held.empty(), {}, {}, {}};
    attention.unsent = look.scan.changing;
    for (const Operation& op : look.operations) {
        attention.unsent.insert(op.path);
    }
    attention.unsent.insert(look.waiting.begin(), look.waiting.end());
    attention.unsent.insert(look.refused.begin(), look.refused.end());
    if (look.everywhere) {
        attention.unchecked = false;
    }
    return look;
}

Status Client::look_everywhere(const WorkingFolder& folder, Look& look) {
    auto base = store_->base(folder.id);
    if (!base) {
        return base.error();
    }
    look.base = *std::move(base);
    Known known;
    known.inodes.reserve(look.base.size());
    for (const auto& [path, agreed] : look.base) {
        if (agreed.entry.kind != FileKind::symlink) {
            known.paths[path] = agreed.seen;
        }
        if (agreed.entry.kind == FileKind::file) {
            known.inodes.emplace(agreed.seen.stat.inode, &agreed.seen);
        }
    }
    for (const auto& [path, seen] : attention(folder.id).seen) {
        known.paths[path] = seen;
    }
    auto scan = reader_->scan(folder.path, known);
    if (!scan) {
        return scan.error();
    }
    look.scan = *std::move(scan);
    look.row.status.skipped = look.scan.skipped;
    look.row.status.attributes_left = look.scan.attributes_left;
    return {};
}

Status Client::keep_seen(const FolderId& folder, const Look& look) {
    std::map<std::string, Seen>& unsent = attention(folder).seen;
    if (look.everywhere) {
        unsent.clear();
    }
    std::vector<const std::pair<const std::string, Seen>*> anew;
    for (const auto& one : look.scan.seen) {
        const auto& [path, seen] = one;
        const auto agreed = look.base.find(path);
        if (agreed == look.base.end() || agreed->second.entry.hash != seen.hash ||
            agreed->second.entry.attributes != attributes_of(seen)) {
            unsent[path] = seen;
            continue;
        }
        unsent.erase(path);
        if (agreed->second.seen.at_us != seen.at_us ||
            !same_attributes(agreed->second.seen, seen)) {
            anew.push_back(&one);
        }
    }
    if (anew.empty()) {
        return {};
    }
    auto transaction = store::Transaction::begin(store_->db());
    if (!transaction) {
        return transaction.error();
    }
    for (const auto* one : anew) {
        if (Status put = store_->put_seen(folder, one->first, one->second); !put) {
            return put;
        }
    }
    return transaction->commit();
}

void Client::judge_look(Attention& attention, Look& look) {
    Tree base_tree;
    for (const auto& [path, agreed] : look.base) {
        base_tree[path] = agreed.entry;
    }
    FolderStatus& status = look.row.status;
    // A folder that was gone stays suspect until an operator has spoken, whatever is in it now: a
    // program may have filled the empty one with what it ships.
    const bool was_gone = status.held == held_gone;
    // Deletions that are held stay so, also when something comes from the home beside them.
    const bool were_many = status.held == held_many;
    status.held.clear();
    status.held_files = 0;
    const Plan planned = plan(base_tree, look.scan.tree, base_tree,
                              [](const std::string& path, unsigned) { return path; });
    // What takes a file's place is a change of the file, not a deletion.
    const auto is_deletion = [&look](const Operation& op) {
        return op.at == Side::theirs && op.act == Act::remove && !look.scan.tree.contains(op.path);
    };
    // Folders alone are nothing to lose.
    const bool files_go =
        std::any_of(planned.operations.begin(), planned.operations.end(), [&](const Operation& op) {
            return is_deletion(op) && op.entry.kind != FileKind::folder;
        });
    const bool another =
        look.identity && !look.row.identity.empty() && *look.identity != look.row.identity;
    const bool vanished =
        (look.scan.missing || another || was_gone) && files_go && !look.row.released;
    if (look.identity) {
        look.row.identity = *look.identity;
    }
    // A part alone is judged before: see may_be_mass_deletion().
    const bool mass = were_many || (look.everywhere && is_mass_deletion(base_tree, look.scan.tree));
    const bool hold = vanished || (mass && files_go && !look.row.released);
    const bool wait =
        !hold && !look.row.released &&
        deletions_wait(attention, files_go ? deleted_files(base_tree, look.scan.tree) : 0);
    std::size_t deletions = 0;
    std::set<std::string> stay; // deletions that are not sent now
    for (const Operation& op : planned.operations) {
        if (op.at != Side::theirs) {
            continue;
        }
        const bool deletion = is_deletion(op);
        deletions += deletion ? 1 : 0;
        if (hold && (deletion || vanished)) {
            status.held_files += op.entry.kind == FileKind::folder ? 0 : 1;
            if (deletion) {
                stay.insert(op.path);
            }
            continue;
        }
        if (wait && deletion) {
            look.waiting.insert(op.path);
            stay.insert(op.path);
            continue;
        }
        if (op.act == Act::remove && !deletion) {
            look.replaced.insert(op.path);
        }
        look.operations.push_back(op);
    }
    // A folder goes, or becomes a file, with what was in it and not before.
    std::erase_if(look.operations, [&](const Operation& op) {
        const std::string below = op.path + "/";
        const auto first = stay.lower_bound(below);
        const bool stays = (op.act == Act::remove || op.entry.kind != FileKind::folder) &&
                           first != stay.end() && first->starts_with(below);
        if (stays && wait) {
            look.waiting.insert(op.path);
        }
        return stays;
    });
    if (hold && deletions > 0) {
        status.held = vanished ? held_gone : held_many;
    }
    if (deletions == 0) {
        look.row.released = false; // it was meant for those deletions, not for later ones
    }
    status.unsent_files = look.operations.size() + look.waiting.size() + status.held_files;
    status.unsent_bytes = 0;
    for (const Operation& op : look.operations) {
        status.unsent_bytes += op.act == Act::put ? op.entry.size : 0;
    }
    if (status.unsent_files == 0) {
        status.unsent_since_us = 0;
    } else if (status.unsent_since_us == 0) {
        status.unsent_since_us = clock_.wall_us();
    }
}

Result<FolderStatus> Client::look(const WorkingFolder& folder) {
    auto look = look_at(folder);
    if (!look) {
        return look.error();
    }
    if (Status put = store_->put_folder(look->row); !put) {
        return put.error();
    }
    Status counted = store_->count_to_come(look->row.status);
    return counted ? Result<FolderStatus>(std::move(look->row.status)) : counted.error();
}

} // namespace hasp::sync
