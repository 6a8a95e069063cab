// Client: looking, preparing a batch, and the home's verdicts.
#include "sync/client.h"

#include "base/text.h"
#include "client_parts.h"
#include "client_store.h"

#include <algorithm>
#include <limits>
#include <set>

namespace hasp::sync {

namespace {
constexpr const char* held_gone = "the folder is gone";
constexpr const char* held_many = "many files were deleted at once";
} // namespace

Client::Client(Disk& disk, const Clock& clock, Random& random, std::unique_ptr<ClientStore> store,
               SettleDatabase settle)
    : disk_(disk), clock_(clock), random_(random), store_(std::move(store)),
      reader_(std::make_unique<Reader>(disk, client_temporary, clock, std::move(settle))) {}
Client::~Client() = default;

Result<std::unique_ptr<Client>> Client::open(store::Db& db, Disk& disk, std::string tenant,
                                             const Clock& clock, Random& random,
                                             SettleDatabase settle) {
    auto store = std::make_unique<ClientStore>(db, std::move(tenant));
    if (Status migrated = store->migrate(); !migrated) {
        return migrated.error();
    }
    for (const char* folder : {client_outgoing, client_answers, client_temporary}) {
        if (Status made = make_folders(disk, folder); !made) {
            return made.error();
        }
    }
    // Half-made files of the last run; an answer that was not put in place is asked for again.
    for (const char* folder : {client_answers, client_temporary}) {
        auto left = disk.list(folder);
        for (const DirEntry& entry : left ? *left : std::vector<DirEntry>{}) {
            [[maybe_unused]] const Status gone =
                disk.remove(std::string(folder) + "/" + entry.name);
        }
    }
    return std::unique_ptr<Client>(
        new Client(disk, clock, random, std::move(store), std::move(settle)));
}

Result<std::vector<FolderId>> Client::unsettled() {
    return store_->folders_placing();
}

// One look at a folder: what is there, what was agreed, and what follows.
struct Client::Look {
    FolderRow row;
    std::map<std::string, BaseRow> base;
    Scan scan;
    std::vector<Operation> operations; // to be sent
};

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

Result<Client::Outgoing> Client::prepare(const WorkingFolder& folder) {
    auto pending = store_->batch(folder.id);
    if (!pending) {
        return pending.error();
    }
    auto row = store_->folder(folder.id);
    if (!row) {
        return row.error();
    }
    if (*pending) {
        auto file = disk_.stat(client_batch_path(folder.id));
        if (file && file->size == (*pending)->bytes) {
            auto operations = store_->operations(folder.id);
            if (!operations) {
                return operations.error();
            }
            return Outgoing{(*pending)->batch,   (*pending)->bytes,    operations->size(),
                            (*pending)->content, row->status.revision, row->whole,
                            (*pending)->more};
        }
        // Its bytes are gone: what it held is found again by looking.
        if (Status dropped = store_->drop_batch(folder.id); !dropped) {
            return dropped.error();
        }
    }
    auto look = look_at(folder);
    if (!look) {
        return look.error();
    }
    auto made = make_batch(folder, *look);
    if (!made) {
        return made.error();
    }
    made->since = look->row.status.revision;
    made->whole = look->row.whole;
    return made;
}

Result<Client::Outgoing> Client::make_batch(const WorkingFolder& folder, Look& look) {
    Outgoing out;
    BatchRow row;
    std::vector<OperationRow> operations;
    const std::string path = client_batch_path(folder.id);
    if (!look.operations.empty()) {
        [[maybe_unused]] const Status old = disk_.remove(path);
        auto file = disk_.create(path, 0600, {});
        if (!file) {
            return file.error();
        }
        BatchWriter writer(
            {Direction::up, look.row.status.revision.epoch, look.row.status.revision.number},
            [&](std::string_view bytes) {
                row.bytes += bytes.size();
                return (*file)->write(bytes);
            });
        std::vector<Touched> touched;
        std::set<std::string> agreed_hashes;
        for (const auto& [base_path, agreed] : look.base) {
            agreed_hashes.insert(agreed.entry.hash);
        }
        BatchFiller filler{folder, *store_, *reader_, look.base, agreed_hashes, look.row.whole};
        for (const Operation& op : look.operations) {
            if (operations.size() >= batch_operations_max || row.content >= batch_content_bytes) {
                row.more = true;
                break;
            }
            auto added = filler.add(op, writer);
            if (!added &&
                (added.error().code == Code::try_later || added.error().code == Code::not_found)) {
                continue; // it changes, or is gone again: the next round sees it
            }
            if (!added) {
                file->reset();
                [[maybe_unused]] const Status gone = disk_.remove(path);
                return added.error();
            }
            row.content += added->remove ? 0 : added->row.entry.size;
            touched.push_back({op.path, !added->remove && added->row.entry.kind == FileKind::file});
            operations.push_back(*std::move(added));
        }
        Status written = writer.finish();
        if (written) {
            written = make_durable(disk_, *reader_, folder, touched);
        }
        if (written) {
            written = (*file)->sync();
        }
        file->reset();
        if (written) {
            written = disk_.sync_folder(client_outgoing);
        }
        if (!written || operations.empty()) {
            [[maybe_unused]] const Status gone = disk_.remove(path);
        }
        if (!written) {
            return written.error();
        }
    }
    auto transaction = store::Transaction::begin(store_->db());
    if (!transaction) {
        return transaction.error();
    }
    Status put = store_->put_folder(look.row);
    if (put && !operations.empty()) {
        row.batch = to_hex(random_.bytes(batch_id_bytes / 2));
        out = {row.batch, row.bytes, operations.size(), row.content, {}, false, row.more};
        put = store_->put_batch(folder.id, row, operations, clock_.wall_us());
    }
    if (put) {
        put = transaction->commit();
    }
    if (!put) {
        return put.error();
    }
    return out;
}

Result<OperationRow> BatchFiller::add(const Operation& op, BatchWriter& writer) {
    OperationRow out;
    out.path = op.path;
    const auto agreed = base.find(op.path);
    const std::uint64_t revision = agreed == base.end() ? 0 : agreed->second.entry.revision;
    Record record;
    record.path = op.path;
    if (op.act == Act::remove) {
        out.remove = true;
        out.row.entry.revision = revision;
        record.type = Record::Type::remove;
        record.revision = revision;
        Status added = writer.add(record);
        return added ? Result<OperationRow>(std::move(out)) : added.error();
    }
    record.entry = op.entry;
    record.entry.revision = revision;
    std::optional<Frozen> content;
    std::string old_signature;
    if (op.entry.kind == FileKind::file) {
        auto before = store.base_row(folder.id, op.path);
        if (!before) {
            return before.error();
        }
        if (*before) {
            old_signature = (*before)->signature;
        }
        const bool same_here = agreed != base.end() && agreed->second.entry.hash == op.entry.hash;
        if (same_here && !whole) {
            out.row.signature = old_signature;
            out.row.seen = agreed->second.seen;
        } else {
            auto frozen = reader.freeze(folder.path + "/" + op.path);
            if (!frozen) {
                return frozen.error();
            }
            // It may have changed since it was looked at: what is sent is what was read now.
            record.entry.hash = frozen->digest.hash;
            record.entry.size = frozen->digest.size;
            record.entry.mtime_us = entry_of(frozen->seen.stat).mtime_us;
            out.row.seen = frozen->seen;
            if (frozen->digest.size >= signature_worth_bytes) {
                auto made = signature(*frozen->file);
                if (!made) {
                    return made.error();
                }
                out.row.signature = *std::move(made);
            }
            if (whole || !hashes.contains(frozen->digest.hash)) {
                content = *std::move(frozen);
            }
        }
    }
    if (content) {
        const bool delta = !whole && !old_signature.empty();
        record.codec = delta ? Codec::delta : Codec::whole;
        record.basis = delta ? agreed->second.entry.hash : "";
    }
    if (Status added = writer.add(record); !added) {
        return added.error();
    }
    if (content) {
        const Sink sink = [&writer](std::string_view bytes) { return writer.content(bytes); };
        Status sent;
        if (record.codec == Codec::delta) {
            sent = delta_from_signature(old_signature, *content->file, sink);
        } else if (auto read = digest(*content->file, sink); !read) {
            sent = read.error();
        }
        if (sent) {
            sent = writer.end_content();
        }
        if (!sent) {
            return sent.error().code == Code::try_later ? fail(Code::failed, sent.error().message)
                                                        : sent.error();
        }
    }
    out.row.entry = record.entry;
    return out;
}

Result<std::string> Client::read(const FolderId& folder, std::uint64_t offset,
                                 std::size_t bytes_max) {
    auto file = disk_.open(client_batch_path(folder));
    if (!file) {
        return file.error();
    }
    std::string out(bytes_max, '\0');
    auto got = (*file)->read(offset, out);
    if (!got) {
        return got.error();
    }
    out.resize(*got);
    return out;
}

Status Client::take(const FolderId& folder, std::uint64_t offset, std::string_view bytes) {
    const std::string path = client_answer_path(folder);
    if (offset == 0) {
        [[maybe_unused]] const Status old = disk_.remove(path);
    }
    auto file = offset == 0 ? disk_.create(path, 0600, {}) : disk_.append(path, offset);
    return file ? (*file)->write(bytes) : Status(file.error());
}

Result<Client::Arrived> Client::arrived(const WorkingFolder& folder) {
    auto file = disk_.open(client_answer_path(folder.id));
    if (!file) {
        return file.error();
    }
    BatchReader reader(pull_from(**file));
    auto head = reader.head();
    auto operations =
        head ? store_->operations(folder.id) : Result<std::vector<OperationRow>>(head.error());
    auto row = operations ? store_->folder(folder.id) : Result<FolderRow>(operations.error());
    auto batch = row ? store_->batch(folder.id) : Result<std::optional<BatchRow>>(row.error());
    if (!batch) {
        return batch.error();
    }
    if (head->direction != Direction::down ||
        (row->status.revision.epoch != 0 && head->epoch != row->status.revision.epoch)) {
        return fail(Code::refused, "the answer is not one to this question");
    }
    auto transaction = store::Transaction::begin(store_->db());
    if (!transaction) {
        return transaction.error();
    }
    Arrived out;
    bool whole = false;
    std::uint64_t verdicts = 0;
    std::uint64_t overruled = std::numeric_limits<std::uint64_t>::max(); // the oldest such revision
    for (Record record;;) {
        auto more = reader.next(record);
        if (!more) {
            return more.error();
        }
        if (!*more) {
            break;
        }
        if (record.type != Record::Type::verdict) {
            ++out.changes;
            continue;
        }
        if (record.index != verdicts++ || record.index >= operations->size()) {
            return fail(Code::refused, "the answer judges what was not asked");
        }
        OperationRow& op = (*operations)[record.index];
        Status noted;
        switch (record.verdict) {
        case Verdict::taken:
            op.row.entry.revision = record.revision;
            noted = op.remove ? store_->drop_base(folder.id, op.path)
                              : store_->put_base(folder.id, op.path, op.row);
            ++out.taken;
            break;
        case Verdict::copied:
            ++out.conflicts;
            [[fallthrough]];
        case Verdict::superseded:
            // The home's state comes in its place: as far as we go, ours is told.
            overruled = std::min(overruled, record.revision);
            noted = op.remove ? store_->drop_base(folder.id, op.path)
                              : store_->put_base(folder.id, op.path, op.row);
            break;
        case Verdict::send_whole:
            whole = true;
            break;
        }
        if (!noted) {
            return noted.error();
        }
    }
    if (*batch && verdicts != operations->size()) {
        return fail(Code::refused, "the answer leaves out verdicts");
    }
    out.again = whole || (*batch && (*batch)->more);
    row->whole = whole;
    row->status.revision.epoch = head->epoch;
    if (overruled <= row->status.revision.number) {
        // It comes with this answer, though it is older than what we have. If this one is not put
        // in place, the next must bring it too: apply() goes forward again.
        row->status.revision.number = overruled == 0 ? 0 : overruled - 1;
    }
    row->status.conflicts += out.conflicts;
    if (*batch) {
        FolderStatus& s = row->status;
        s.unsent_files -= std::min<std::uint64_t>(s.unsent_files, operations->size());
        s.unsent_bytes -= std::min(s.unsent_bytes, (*batch)->content);
        if (s.unsent_files == 0) {
            s.unsent_bytes = 0;
            s.unsent_since_us = 0;
        }
    }
    row->status.error.clear();
    Status put = store_->put_folder(*row);
    if (put) {
        put = store_->drop_batch(folder.id);
    }
    if (put) {
        put = transaction->commit();
    }
    if (!put) {
        return put.error();
    }
    [[maybe_unused]] const Status gone = disk_.remove(client_batch_path(folder.id));
    return out;
}

Status Client::note_error(const FolderId& folder, const std::string& error) {
    auto row = store_->folder(folder);
    if (!row) {
        return row.error();
    }
    if (row->status.error == error) {
        return {};
    }
    row->status.error = error;
    return store_->put_folder(*row);
}

Status Client::release_deletions(const FolderId& folder) {
    auto row = store_->folder(folder);
    if (!row) {
        return row.error();
    }
    if (row->status.held_files == 0) {
        return fail(Code::not_found, "no deletion is held in " + folder.app + " of " + folder.user);
    }
    row->released = true;
    return store_->put_folder(*row);
}

Status Client::begin_anew(const FolderId& folder) {
    auto transaction = store::Transaction::begin(store_->db());
    if (!transaction) {
        return transaction.error();
    }
    auto row = store_->folder(folder);
    if (!row) {
        return row.error();
    }
    row->status.revision = {};
    row->status.error.clear();
    Status done = store_->put_folder(*row);
    if (done) {
        done = store_->drop_all_base(folder);
    }
    if (done) {
        done = store_->drop_batch(folder);
    }
    return done ? transaction->commit() : done;
}

Result<FolderStatus> Client::status(const FolderId& folder) {
    auto row = store_->folder(folder);
    return row ? Result<FolderStatus>(std::move(row->status)) : row.error();
}

Result<std::vector<FolderStatus>> Client::status() {
    auto rows = store_->folders();
    if (!rows) {
        return rows.error();
    }
    std::vector<FolderStatus> out;
    for (FolderRow& row : *rows) {
        out.push_back(std::move(row.status));
    }
    return out;
}

} // namespace hasp::sync
