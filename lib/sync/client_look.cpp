// Client: what has changed in a working copy since it was last agreed on.
#include "sync/client.h"

#include "client_parts.h"
#include "client_store.h"

#include <algorithm>

namespace hasp::sync {

namespace {
constexpr const char* held_gone = "the folder is gone";
constexpr const char* held_many = "many files were deleted at once";
} // namespace

Result<Client::Look> Client::look_at(const WorkingFolder& folder) {
    if (Status settled = settle_placing(folder); !settled) {
        return settled.error();
    }
    Look look;
    auto row = store_->folder(folder.id);
    auto base = row ? store_->base(folder.id) : Result<std::map<std::string, BaseRow>>(row.error());
    if (!base) {
        return base.error();
    }
    look.row = *std::move(row);
    look.base = *std::move(base);
    std::map<std::string, Seen> known;
    Tree base_tree;
    for (const auto& [path, agreed] : look.base) {
        base_tree[path] = agreed.entry;
        if (agreed.entry.kind == FileKind::file) {
            known[path] = agreed.seen;
        }
    }
    std::map<std::string, Seen>& unsent = seen_[folder.id];
    for (const auto& [path, seen] : unsent) {
        known[path] = seen;
    }
    // Before the scan: a folder that is put in its place meanwhile is seen as another the next
    // time.
    auto identity = disk_.identity(folder.path);
    if (!identity && identity.error().code != Code::not_found) {
        return identity.error();
    }
    auto scan = reader_->scan(folder.path, known);
    if (!scan) {
        return scan.error();
    }
    look.scan = *std::move(scan);
    unsent.clear();
    auto transaction = store::Transaction::begin(store_->db());
    if (!transaction) {
        return transaction.error();
    }
    for (const auto& [path, seen] : look.scan.seen) {
        const auto agreed = look.base.find(path);
        if (agreed == look.base.end() || agreed->second.entry.hash != seen.hash) {
            unsent[path] = seen;
        } else if (agreed->second.seen.at_us != seen.at_us) {
            if (Status put = store_->put_seen(folder.id, path, seen); !put) {
                return put.error();
            }
        }
    }
    if (Status kept = transaction->commit(); !kept) {
        return kept.error();
    }
    FolderStatus& status = look.row.status;
    status.skipped = look.scan.skipped;
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
    const bool another = identity && !look.row.identity.empty() && *identity != look.row.identity;
    const bool vanished =
        (look.scan.missing || another || was_gone) && files_go && !look.row.released;
    if (identity) {
        look.row.identity = *identity;
    }
    const bool mass = were_many || is_mass_deletion(base_tree, look.scan.tree);
    const bool hold = vanished || (mass && files_go && !look.row.released);
    std::size_t deletions = 0;
    for (const Operation& op : planned.operations) {
        if (op.at != Side::theirs) {
            continue;
        }
        const bool deletion = is_deletion(op);
        deletions += deletion ? 1 : 0;
        if (hold && (deletion || vanished)) {
            status.held_files += op.entry.kind == FileKind::folder ? 0 : 1;
            continue;
        }
        look.operations.push_back(op);
    }
    if (hold && deletions > 0) {
        status.held = vanished ? held_gone : held_many;
    }
    if (deletions == 0) {
        look.row.released = false; // it was meant for those deletions, not for later ones
    }
    status.unsent_files = look.operations.size() + status.held_files;
    status.unsent_bytes = 0;
    for (const Operation& op : look.operations) {
        status.unsent_bytes += op.act == Act::put ? op.entry.size : 0;
    }
    if (status.unsent_files == 0) {
        status.unsent_since_us = 0;
    } else if (status.unsent_since_us == 0) {
        status.unsent_since_us = clock_.wall_us();
    }
    return look;
}

Result<FolderStatus> Client::look(const WorkingFolder& folder) {
    auto look = look_at(folder);
    if (!look) {
        return look.error();
    }
    if (Status put = store_->put_folder(look->row); !put) {
        return put.error();
    }
    return look->row.status;
}

} // namespace hasp::sync
