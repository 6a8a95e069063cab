// Client: putting in place what came from the home.
#include "client_parts.h"
#include "sync/client.h"

#include "base/text.h"
#include "trust/hash.h"

#include <algorithm>
#include <limits>
#include <set>

namespace hasp::sync {

namespace {

// What was staged, and what the file that it replaces was when it was looked at.
struct Change {
    Operation op;
    std::string staged; // files and symlinks: beneath client_temporary
    std::string signature;
    std::optional<FileStat> before; // nothing: nothing stood there
    bool content = true;            // false: the content stands there already, only metadata change
};

} // namespace

struct Client::Staging {
    BatchHead head;
    std::map<std::string, BaseRow> base; // of the paths that are touched
    Tree theirs;
    std::map<std::string, std::uint64_t> removed; // and at which revision
    std::map<std::string, Entry> mine;            // as they stand now
    std::map<std::string, Seen> seen;
    std::map<std::string, Change> changes; // puts, by path
    std::vector<Operation> removals;
    std::map<std::string, BaseRow> agreed; // both sides have it already, or had it put in place
    std::set<std::string> gone;            // the same for removals
    std::vector<Touched> standing;         // of these, what was here already
    std::uint64_t skipped = 0;
    // Up to which revision nothing was left out.
    std::uint64_t complete = std::numeric_limits<std::uint64_t>::max();
    std::uint64_t files = 0;
    bool whole = false; // a difference did not fit

    // It stays for the next round.
    void skip(const std::string& path) {
        ++skipped;
        const auto put = theirs.find(path);
        const auto gone_there = removed.find(path);
        const std::uint64_t revision = put != theirs.end()           ? put->second.revision
                                       : gone_there != removed.end() ? gone_there->second
                                                                     : 0;
        complete = std::min(complete, revision == 0 ? 0 : revision - 1);
    }
};

namespace {

// What stands at `path` may be replaced: it is what was last agreed.
bool untouched(const std::map<std::string, Entry>& mine, const std::map<std::string, BaseRow>& base,
               const std::string& path) {
    const auto now = mine.find(path);
    const auto then = base.find(path);
    if (now == mine.end() || then == base.end()) {
        return now == mine.end() && then == base.end();
    }
    return same(now->second, then->second.entry);
}

} // namespace

Result<Client::Applied> Client::apply(const WorkingFolder& folder, bool in_use) {
    Staging staging;
    Status done = stage(folder, staging);
    if (done) {
        done = make_durable(disk_, *reader_, folder, staging.standing);
    }
    if (done) {
        done = note_placing(folder, staging);
    }
    if (done) {
        done = put_in_place(folder, staging, in_use);
    }
    for (const auto& [path, change] : staging.changes) {
        if (!change.staged.empty()) {
            [[maybe_unused]] const Status gone = disk_.remove(change.staged);
        }
    }
    if (!done) {
        return done.error();
    }
    Applied applied;
    if (Status noted = note_base(folder, staging, applied); !noted) {
        return noted.error();
    }
    [[maybe_unused]] const Status gone = disk_.remove(client_answer_path(folder.id));
    return applied;
}

// Two passes over the answer: what is to change, then the contents of what will.
Status Client::stage(const WorkingFolder& folder, Staging& staging) {
    const std::string answer = client_answer_path(folder.id);
    {
        auto file = disk_.open(answer);
        if (!file) {
            return file.error();
        }
        BatchReader reader(pull_from(**file));
        auto head = reader.head();
        if (!head) {
            return head.error();
        }
        staging.head = *head;
        for (Record record;;) {
            auto more = reader.next(record);
            if (!more) {
                return more.error();
            }
            if (!*more) {
                break;
            }
            if (record.type == Record::Type::put) {
                staging.theirs[record.path] = record.entry;
            } else if (record.type == Record::Type::remove) {
                staging.removed[record.path] = record.revision;
            }
        }
    }
    Tree base_tree;
    Tree mine;
    std::set<std::string> paths;
    for (const auto& [path, revision] : staging.removed) {
        paths.insert(path);
    }
    for (const auto& [path, entry] : staging.theirs) {
        paths.insert(path);
    }
    Tree theirs = staging.theirs;
    for (const std::string& path : paths) {
        auto row = store_->base_row(folder.id, path);
        if (!row) {
            return row.error();
        }
        if (*row) {
            staging.base[path] = **row;
        }
        Seen seen;
        auto now = reader_->entry(folder.path + "/" + path, *row ? &(*row)->seen : nullptr, &seen);
        if (now) {
            staging.mine[path] = *now;
            staging.seen[path] = seen;
        } else if (now.error().code != Code::not_found && now.error().code != Code::refused) {
            // It changes all the time, or cannot be read: it stays for the next round.
            theirs.erase(path);
            staging.skip(path);
            continue;
        }
        const auto coming = theirs.find(path);
        const bool equal_now = coming == theirs.end() ? !staging.mine.contains(path)
                                                      : now && same(*now, coming->second);
        if (equal_now) {
            staging.standing.push_back(
                {path, coming != theirs.end() && coming->second.kind == FileKind::file});
            if (coming == theirs.end()) {
                staging.gone.insert(path);
            } else {
                staging.agreed[path] = {coming->second, *row ? (*row)->signature : "", seen};
            }
            theirs.erase(path);
            continue;
        }
        if (!untouched(staging.mine, staging.base, path)) {
            // Changed here as well: ours goes up first, and the home decides.
            staging.skip(path);
            theirs.erase(path);
            continue;
        }
        if (*row) {
            base_tree[path] = (*row)->entry;
            mine[path] = (*row)->entry;
        }
    }
    const Plan planned =
        plan(base_tree, mine, theirs, [](const std::string& path, unsigned) { return path; });
    for (const Operation& op : planned.operations) {
        if (op.at != Side::mine) {
            continue;
        }
        if (op.act == Act::remove) {
            staging.removals.push_back(op);
            continue;
        }
        Change change{op, "", "", std::nullopt, true};
        auto stat = disk_.stat(folder.path + "/" + op.path);
        if (stat) {
            change.before = *stat;
        } else if (stat.error().code != Code::not_found && stat.error().code != Code::refused) {
            return stat.error();
        }
        const auto now = staging.mine.find(op.path);
        change.content = now == staging.mine.end() || !same_content(now->second, op.entry) ||
                         op.entry.kind != FileKind::file;
        if (!change.content) {
            change.signature = staging.base[op.path].signature;
        }
        staging.changes[op.path] = std::move(change);
    }
    auto file = disk_.open(answer);
    if (!file) {
        return file.error();
    }
    BatchReader reader(pull_from(**file));
    auto head = reader.head();
    if (!head) {
        return head.error();
    }
    for (Record record;;) {
        auto more = reader.next(record);
        if (!more) {
            return more.error();
        }
        if (!*more) {
            break;
        }
        const auto change = staging.changes.find(record.path);
        if (record.type != Record::Type::put || change == staging.changes.end() ||
            !change->second.content) {
            continue;
        }
        if (Status staged = stage_file(folder, reader, record, staging); !staged) {
            return staged;
        }
    }
    std::size_t contents = 0;
    for (const auto& [path, change] : staging.changes) {
        contents += change.staged.empty() ? 0 : 1;
    }
    if (contents > syncs_one_by_one) {
        return disk_.sync_all();
    }
    for (const auto& [path, change] : staging.changes) {
        if (change.op.entry.kind == FileKind::file && !change.staged.empty()) {
            auto written = disk_.append(change.staged, change.op.entry.size);
            if (!written) {
                return written.error();
            }
            if (Status synced = (*written)->sync(); !synced) {
                return synced;
            }
        }
    }
    return {};
}

Status Client::stage_file(const WorkingFolder& folder, BatchReader& reader, const Record& record,
                          Staging& staging) {
    Change& change = staging.changes[record.path];
    const std::string path = reader_->temporary_path();
    if (record.entry.kind == FileKind::symlink) {
        change.staged = path;
        return disk_.make_symlink(path, record.entry.target, folder.owner);
    }
    if (record.entry.kind != FileKind::file) {
        return {};
    }
    auto made = disk_.create(path, 0600, folder.owner);
    if (!made) {
        return made.error();
    }
    change.staged = path;
    trust::Sha256 sum;
    const Sink keep = [&](std::string_view bytes) {
        sum.update(bytes);
        return (*made)->write(bytes);
    };
    const Pull content = [&reader](std::span<char> into) { return reader.content(into); };
    Status written;
    const std::string& wanted = record.codec == Codec::delta ? record.basis : record.entry.hash;
    if (record.codec == Codec::whole) {
        std::vector<char> buffer(std::size_t{64} * 1024);
        while (written) {
            auto got = content(buffer);
            written = !got       ? Status(got.error())
                      : *got > 0 ? keep({buffer.data(), *got})
                                 : Status();
            if (got && *got == 0) {
                break;
            }
        }
    } else {
        // The home says that we have it: at this path, or at another of the folder.
        auto paths = store_->paths_with(folder.id, wanted);
        if (!paths) {
            return paths.error();
        }
        const auto here = std::find(paths->begin(), paths->end(), record.path);
        if (here != paths->end()) {
            std::rotate(paths->begin(), here, here + 1);
        }
        std::optional<Frozen> basis;
        for (const std::string& from : *paths) {
            auto frozen = reader_->freeze(folder.path + "/" + from);
            if (frozen && frozen->digest.hash == wanted) {
                basis = *std::move(frozen);
                break;
            }
        }
        if (!basis) {
            written = fail(Code::refused, "the content that a difference is made from is gone");
        } else if (record.codec == Codec::delta) {
            written = patch(*basis->file, content, record.entry.size, keep);
        } else if (auto copied = digest(*basis->file, keep); !copied) {
            written = copied.error();
        }
    }
    if (written && sum.finish() != record.entry.hash) {
        written = fail(Code::refused, "a file did not come out as it was at the home");
    }
    made->reset();
    if (!written) {
        [[maybe_unused]] const Status gone = disk_.remove(path);
        staging.changes.erase(record.path);
        if (written.error().code != Code::refused || record.codec == Codec::whole) {
            return written;
        }
        // Asked for again, whole.
        staging.whole = true;
        staging.skip(record.path);
        return {};
    }
    if (record.entry.size >= signature_worth_bytes) {
        auto file = disk_.open(path);
        auto signed_file = file ? signature(**file) : Result<std::string>(file.error());
        if (!signed_file) {
            return signed_file.error();
        }
        change.signature = *std::move(signed_file);
    }
    return disk_.set_meta(path, record.entry.mode, record.entry.mtime_us);
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
        if (Status put = store_->put_placing(folder.id, path, row); !put) {
            return put;
        }
    }
    return transaction->commit();
}

Status Client::settle_placing(const WorkingFolder& folder) {
    auto placing = store_->placing(folder.id);
    if (!placing || placing->empty()) {
        return placing ? Status{} : Status{placing.error()};
    }
    std::map<std::string, BaseRow> standing;
    for (auto& [path, row] : *placing) {
        auto now = reader_->entry(folder.path + "/" + path, nullptr, &row.seen);
        const bool gone =
            !now && (now.error().code == Code::not_found || now.error().code == Code::refused);
        // An app is changing it: so it is the app's now.
        const bool changes = !now && now.error().code == Code::try_later;
        if (!now && !gone && !changes) {
            return now.error();
        }
        if (now && same(*now, row.entry)) {
            standing.emplace(path, std::move(row));
        }
    }
    // From here on it counts as agreed, and only what is on the disk may.
    std::vector<Touched> touched;
    for (const auto& [path, row] : standing) {
        touched.push_back({path, row.entry.kind == FileKind::file});
    }
    if (Status durable = make_durable(disk_, *reader_, folder, touched); !durable) {
        return durable;
    }
    auto transaction = store::Transaction::begin(store_->db());
    if (!transaction) {
        return transaction.error();
    }
    for (const auto& [path, row] : standing) {
        if (Status put = store_->put_base(folder.id, path, row); !put) {
            return put;
        }
    }
    if (Status dropped = store_->drop_placing(folder.id); !dropped) {
        return dropped;
    }
    return transaction->commit();
}

Status Client::put_in_place(const WorkingFolder& folder, Staging& staging, bool in_use) {
    std::set<std::string> folders;
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
        bool may = !stat ? stat.error().code == Code::not_found : true;
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
            put = change.before ? disk_.set_meta(path, entry.mode, change.before->mtime_ns / 1000)
                                : disk_.make_folder(path, entry.mode, folder.owner);
        } else if (!change.content) {
            put = disk_.set_meta(path, entry.mode, entry.mtime_us);
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
        staging.agreed[name] = std::move(row);
        staging.gone.erase(name);
    }
    if (folders.size() > syncs_one_by_one) {
        return disk_.sync_all();
    }
    for (const std::string& touched : folders) {
        if (Status synced = disk_.sync_folder(touched);
            !synced && synced.error().code != Code::not_found) {
            return synced;
        }
    }
    return {};
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
    for (const auto& [path, agreed] : staging.agreed) {
        if (Status put = store_->put_base(folder.id, path, agreed); !put) {
            return put;
        }
    }
    if (Status dropped = store_->drop_placing(folder.id); !dropped) {
        return dropped;
    }
    row->whole = row->whole || staging.whole;
    row->status.revision.epoch = staging.head.epoch;
    // What could not be put in place comes again, and what came before it does not.
    row->status.revision.number =
        std::max(row->status.revision.number, std::min(staging.complete, staging.head.number));
    if (staging.skipped == 0) {
        row->status.synced_us = clock_.wall_us();
    }
    if (Status put = store_->put_folder(*row); !put) {
        return put;
    }
    applied = {staging.files, staging.skipped, staging.whole};
    return transaction->commit();
}

} // namespace hasp::sync
