// Client: putting in place what was staged.
#include "client_staging.h"

#include <algorithm>

namespace hasp::sync {

Result<Client::Applied> Client::apply(const WorkingFolder& folder, bool in_use) {
    Staging staging;
    Status done = name_contents(folder.id);
    done = done ? stage(folder, staging) : done;
    if (done) {
        done = make_durable(disk_, *reader_, folder, staging.standing);
    }
    if (done) {
        done = note_placing(folder, staging);
    }
    if (done) {
        done = put_in_place(folder, staging, in_use);
    }
    if (done) {
        done = learn_attributes(folder, staging);
    }
    for (const auto& [path, change] : staging.changes) {
        if (!change.staged.empty()) {
            [[maybe_unused]] const Status gone = disk_.remove(change.staged);
        }
    }
    note_changed(folder.id, staging);
    Applied applied;
    done = done ? note_base(folder, staging, applied) : done;
    if (!done) {
        remember_placed(folder.id, staging);
        return done.error();
    }
    [[maybe_unused]] const Status gone = disk_.remove(client_answer_path(folder.id));
    return applied;
}

// What stood there came from the home, whatever an app makes of it until that can be noted.
void Client::remember_placed(const FolderId& folder, const Staging& staging) {
    std::map<std::string, BaseRow>& placed = attention(folder).placed;
    for (const auto& [path, row] : staging.agreed) {
        if (staging.changes.contains(path)) {
            placed[path] = row;
        }
    }
}

// Without this, what was put in place when the power went or the disk was full would look like new
// files of an app, and would go up again though they were removed at the home meanwhile.
Status Client::note_placing(const WorkingFolder& folder, const Staging& staging) {
    if (staging.changes.empty()) {
        return {};
    }
    auto transaction = store::Transaction::begin(store_->db());
    if (!transaction) {
        return transaction.error();
    }
    for (const auto& [path, change] : staging.changes) {
        const BaseRow row{change.op.entry, change.signature, {}};
        Status put = store_->put_placing(folder.id, path, row);
        if (put && change.absent) {
            put = store_->put_to_come(folder.id,
                                      {row.entry.hash, row.entry.size, row.entry.mtime_us});
        }
        if (!put) {
            return put;
        }
    }
    if (Status kept = bases_->write(); !kept) {
        return kept;
    }
    return transaction->commit();
}

Status Client::settle_placing(const WorkingFolder& folder) {
    auto placing = store_->placing(folder.id);
    if (!placing || placing->empty()) {
        return placing ? Status{} : Status{placing.error()};
    }
    std::map<std::string, BaseRow> standing;
    std::map<std::string, BaseRow> replaced; // by an app, or gone: a change of what came
    std::map<std::string, BaseRow>& placed = attention(folder.id).placed;
    if (Status set = look_at_attributes(folder.id); !set) {
        return set;
    }
    Noticed noticed;
    for (auto& [path, row] : *placing) {
        noticed.trees.insert(path);
        auto now = reader_->entry(folder.path + "/" + path, nullptr, &row.seen, row.entry.hash);
        const bool gone =
            !now && (now.error().code == Code::not_found || now.error().code == Code::refused);
        // An app is changing it: so it is the app's now.
        const bool changes = !now && now.error().code == Code::try_later;
        if (!now && !gone && !changes) {
            return now.error();
        }
        const auto stood = placed.find(path);
        if (now) {
            // Of its attributes, what is another is changed here since, or had no room.
            now->attributes = row.entry.attributes;
        }
        if (now && same(*now, row.entry)) {
            row.seen.attributes.reset();
            if (stood != placed.end() && same(stood->second.entry, row.entry)) {
                // What was set when it came is known: another stamp since is somebody's change.
                row.seen = stood->second.seen;
            } else {
                if (Status again = set_again(folder, path, row.entry); !again) {
                    return again;
                }
                note_attributes(folder, path, row);
            }
            standing.emplace(path, std::move(row));
        } else if (stood != placed.end() && same(stood->second.entry, row.entry)) {
            row.seen = {};
            replaced.emplace(path, std::move(row));
        }
    }
    note(folder.id, std::move(noticed));
    // From here on it counts as agreed, and only what is on the disk may.
    std::vector<Touched> touched;
    for (const auto& [path, row] : standing) {
        touched.push_back({path, row.entry.kind});
    }
    if (Status durable = make_durable(disk_, *reader_, folder, touched); !durable) {
        return durable;
    }
    auto transaction = store::Transaction::begin(store_->db());
    if (!transaction) {
        return transaction.error();
    }
    for (const auto* rows : {&standing, &replaced}) {
        for (const auto& [path, row] : *rows) {
            if (Status put = store_->put_base(folder.id, path, row); !put) {
                return put;
            }
        }
    }
    Status settled = store_->drop_placing(folder.id);
    settled = settled ? transaction->commit() : settled;
    if (settled) {
        placed.clear();
    }
    return settled;
}

Status Client::put_in_place(const WorkingFolder& folder, Staging& staging, bool in_use) {
    std::set<std::string> folders;
    std::set<std::string> marked; // files of which only metadata changed
    const auto busy = [&](const std::string& path) -> Result<bool> {
        auto parts = reader_->companions(path);
        if (!parts) {
            return parts.error().code == Code::not_found || parts.error().code == Code::refused
                       ? Result<bool>(false)
                       : parts.error();
        }
        if (!parts->empty() && in_use) {
            return true; // a database that an app has open
        }
        for (const std::string& part : *parts) {
            if (Status gone = disk_.remove(part); !gone) {
                return gone.error();
            }
        }
        return false;
    };
    const auto as_before = [&](const std::string& path, const std::optional<FileStat>& before) {
        auto now = disk_.stat(path);
        if (!before || !now) {
            return !before && !now && now.error().code == Code::not_found;
        }
        // Of a folder, what is in it changes its stamps.
        return now->kind == before->kind &&
               (now->kind == FileKind::folder ||
                (now->mtime_ns == before->mtime_ns && now->ctime_ns == before->ctime_ns &&
                 now->size == before->size && now->inode == before->inode));
    };
    std::set<std::string> left; // what could not be removed keeps its place
    for (const Operation& op : staging.removals) {
        const std::string path = folder.path + "/" + op.path;
        const auto seen = staging.seen.find(op.path);
        auto stat = disk_.stat(path);
        bool may = !stat ? stat.error().code == Code::not_found : stat->kind == op.entry.kind;
        if (stat && stat->kind == FileKind::file && seen != staging.seen.end()) {
            may = stat->mtime_ns <= seen->second.stat.mtime_ns &&
                  stat->ctime_ns <= seen->second.stat.ctime_ns &&
                  stat->inode == seen->second.stat.inode;
        }
        Result<bool> used =
            may && stat && stat->kind == FileKind::file ? busy(path) : Result<bool>(false);
        if (!used) {
            return used.error();
        }
        Status removed;
        if (!may || *used) {
            removed = fail(Code::conflict, path + " was changed meanwhile");
        } else if (stat) {
            removed =
                stat->kind == FileKind::folder ? disk_.remove_folder(path) : disk_.remove(path);
        }
        if (removed) {
            folders.insert(parent_path(path));
            staging.gone.insert(op.path);
            ++staging.files;
            if (const auto change = staging.changes.find(op.path);
                change != staging.changes.end()) {
                change->second.before.reset();
            }
        } else if (removed.error().code == Code::conflict ||
                   removed.error().code == Code::refused) {
            // A folder with something new in it stays, and goes up again.
            left.insert(op.path);
            staging.differing.insert(op.path);
            if (op.entry.kind == FileKind::folder) {
                staging.gone.insert(op.path);
            } else {
                staging.skip(op.path);
            }
        } else {
            return removed;
        }
    }
    for (auto& [name, change] : staging.changes) {
        const std::string path = folder.path + "/" + name;
        const Entry& entry = change.op.entry;
        Status put;
        Result<bool> used = entry.kind == FileKind::file && change.content && change.before
                                ? busy(path)
                                : Result<bool>(false);
        if (!used) {
            return used.error();
        }
        if (*used || left.contains(name) || !as_before(path, change.before)) {
            put = fail(Code::conflict, path + " was changed meanwhile");
        } else if (entry.kind == FileKind::folder) {
            put = change.before ? Status{} : disk_.make_folder(path, entry.mode, folder.owner);
            if (put) {
                put = set_attributes(path, staging, change.op, change.before.has_value());
            }
            if (put && change.before) {
                put = disk_.set_meta(path, entry.mode, change.before->mtime_ns / 1000);
                folders.insert(path);
            }
        } else if (!change.content) {
            put = set_attributes(path, staging, change.op, true);
            put = put ? disk_.set_meta(path, entry.mode, entry.mtime_us) : put;
            marked.insert(path);
        } else {
            put = disk_.rename(change.staged, path);
            if (put) {
                change.staged.clear();
            }
        }
        if (!put && (put.error().code == Code::conflict || put.error().code == Code::refused ||
                     put.error().code == Code::not_found)) {
            staging.skip(name);
            continue;
        }
        if (!put) {
            return put;
        }
        folders.insert(parent_path(path));
        ++staging.files;
        BaseRow row{entry, change.signature, {}};
        if (auto stat = disk_.stat(path); stat && entry.kind == FileKind::file) {
            row.seen = {*stat, clock_.wall_us(), entry.hash, entry.size};
        }
        note_attributes(folder, name, row);
        staging.agreed[name] = std::move(row);
        staging.gone.erase(name);
    }
    if (folders.size() + marked.size() > syncs_one_by_one) {
        return disk_.sync_all();
    }
    for (const std::string& file : marked) {
        if (Status synced = disk_.sync_file(file); !synced &&
                                                   synced.error().code != Code::not_found &&
                                                   synced.error().code != Code::refused) {
            return synced;
        }
    }
    for (const std::string& touched : folders) {
        // One that is gone, or in whose place a file stands, went with the folder above it.
        if (Status synced = disk_.sync_folder(touched); !synced &&
                                                        synced.error().code != Code::not_found &&
                                                        synced.error().code != Code::refused) {
            return synced;
        }
    }
    return {};
}

// A file that moves may go with one part, and come with a later one: its content stays for that.
Status Client::drop_replaced(const FolderId& folder, const Staging& staging, const FolderRow& row) {
    if (staging.head.next.number != 0 || staging.verdicts_alone(row)) {
        return {};
    }
    if (row.after.number != 0) {
        return bases_->drop_unused(folder);
    }
    std::vector<std::string> replaced;
    for (const auto& [path, before] : staging.base) {
        if (before.entry.kind == FileKind::file &&
            (staging.gone.contains(path) || staging.agreed.contains(path))) {
            replaced.push_back(before.entry.hash);
        }
    }
    return drop_bases(folder, replaced);
}

Status Client::note_base(const WorkingFolder& folder, Staging& staging, Applied& applied) {
    auto transaction = store::Transaction::begin(store_->db());
    if (!transaction) {
        return transaction.error();
    }
    auto row = store_->folder(folder.id);
    if (!row) {
        return row.error();
    }
    for (const std::string& path : staging.gone) {
        if (Status dropped = store_->drop_base(folder.id, path); !dropped) {
            return dropped;
        }
    }
    for (const auto* rows : {&staging.agreed, &staging.learnt}) {
        for (const auto& [path, agreed] : *rows) {
            if (Status put = store_->put_base(folder.id, path, agreed); !put) {
                return put;
            }
        }
    }
    if (Status settled = settle_refused(row->status, staging); !settled) {
        return settled;
    }
    if (Status dropped = drop_replaced(folder.id, staging, *row); !dropped) {
        return dropped;
    }
    if (Status dropped = store_->drop_placing(folder.id); !dropped) {
        return dropped;
    }
    row->whole = row->whole || staging.whole;
    row->status.revision.epoch = staging.head.epoch;
    const bool more = staging.head.next.number != 0;
    auto refused = store_->refused(folder.id);
    if (!refused) {
        return refused.error();
    }
    std::set<std::string> passing = staging.differing;
    for (const RefusedFile& one : *refused) {
        passing.erase(one.path);
    }
    applied = {staging.files, staging.skipped, passing.size(), staging.whole || more};
    if (staging.whole && (more || row->after.number != 0)) {
        // The same part again, whole.
    } else if (note_learnt(*row, staging)) {
        // Changes are asked for behind them.
    } else if (staging.verdicts_alone(*row)) {
        // The parts that came stay had.
    } else if (more) {
        row->after = staging.head.next;
        row->complete = std::min(row->complete, staging.complete);
    } else {
        // What could not be put in place comes again, and what came before it does not.
        const std::uint64_t complete = std::min(row->complete, staging.complete);
        applied.skipped += row->complete != FolderRow::complete_all ? 1 : 0;
        row->status.revision.number =
            std::max(row->status.revision.number, std::min(complete, staging.head.number));
        row->after = {};
        row->complete = FolderRow::complete_all;
        if (complete == FolderRow::complete_all) {
            row->status.synced_us = clock_.wall_us();
        }
    }
    Status noted = store_->put_folder(*row);
    noted = noted ? transaction->commit() : noted;
    if (noted) {
        remember_learnt(folder.id, staging, row->attributes_told);
    }
    return noted;
}

} // namespace hasp::sync
