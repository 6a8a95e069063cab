// Client: the home's verdicts about what was sent.
#include "sync/client.h"

#include "client_parts.h"
#include "client_store.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace hasp::sync {

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
    std::set<std::string> agreed;
    std::set<std::string> ours; // of those, what the home decided otherwise
    bool whole = false;
    bool members_failed = false;
    bool moves_fit = true;
    const std::set<std::string>& by_members = this->attention(folder.id).by_members;
    std::vector<std::string> replaced; // contents that were agreed on at these paths
    std::uint64_t verdicts = 0;
    std::uint64_t refused_bytes = 0;
    const std::int64_t now = clock_.wall_us();
    auto refused = store_->refused(folder.id);
    if (!refused) {
        return refused.error();
    }
    std::set<std::string> were_refused;
    for (const RefusedFile& one : *refused) {
        were_refused.insert(one.path);
    }
    std::uint64_t overruled = std::numeric_limits<std::uint64_t>::max(); // the oldest such revision
    std::uint64_t settled = 0; // the newest that a verdict names
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
        const bool held = record.verdict == Verdict::infected || record.verdict == Verdict::waits;
        settled = std::max(settled, record.revision);
        const bool undecided =
            record.verdict == Verdict::send_whole || record.verdict == Verdict::say_each;
        if (!undecided && !held) {
            auto before = store_->hash_at(folder.id, op.path);
            if (!before) {
                return before.error();
            }
            if (!before->empty() && (op.remove || *before != op.row.entry.hash)) {
                replaced.push_back(*std::move(before));
            }
        }
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
            ours.insert(op.path);
            noted = op.remove ? store_->drop_base(folder.id, op.path)
                              : store_->put_base(folder.id, op.path, op.row);
            break;
        case Verdict::send_whole:
            whole = true;
            members_failed = members_failed || by_members.contains(op.path);
            break;
        case Verdict::say_each:
            moves_fit = false;
            break;
        case Verdict::infected:
        case Verdict::waits:
            if (op.remove) {
                return fail(Code::refused, "the answer finds something in a file that is gone");
            }
            noted = store_->put_refused(
                folder.id, {op.path, op.row.entry.hash, op.row.entry.size, record.copy, now, now});
            ++out.refused;
            refused_bytes += op.row.entry.size;
            break;
        }
        if (!noted) {
            return noted.error();
        }
        if (!undecided && !held) {
            agreed.insert(op.path);
            if (Status gone = were_refused.contains(op.path)
                                  ? store_->drop_refused(folder.id, op.path)
                                  : Status{};
                !gone) {
                return gone.error();
            }
        }
    }
    if (*batch && verdicts != operations->size()) {
        return fail(Code::refused, "the answer leaves out verdicts");
    }
    out.again = whole || !moves_fit || (*batch && (*batch)->more) ||
                std::exchange(this->attention(folder.id).asks_first, false);
    row->whole = whole;
    if (row->status.revision.epoch == 0) {
        row->attributes_told = true; // nothing was agreed on before
    }
    row->status.revision.epoch = head->epoch;
    row->met = std::max({row->met, head->number, settled});
    if (overruled <= row->status.revision.number) {
        // It comes with this answer, though it is older than what we have. If this one is not put
        // in place, the next must bring it too: apply() goes forward again.
        row->status.revision.number = overruled == 0 ? 0 : overruled - 1;
    }
    // The same where changes come in parts.
    if (row->after.number != 0 && overruled <= row->after.number) {
        row->after = {std::max<std::uint64_t>(overruled, 1), ""};
    }
    row->status.conflicts += out.conflicts;
    if (*batch) {
        FolderStatus& s = row->status;
        const std::uint64_t sent = operations->size() - out.refused;
        s.unsent_files -= std::min<std::uint64_t>(s.unsent_files, sent);
        s.unsent_bytes -= std::min(s.unsent_bytes,
                                   (*batch)->content - std::min((*batch)->content, refused_bytes));
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
        put = drop_bases(folder.id, replaced);
    }
    if (put) {
        put = transaction->commit();
    }
    if (!put) {
        return put.error();
    }
    Attention& attention = this->attention(folder.id);
    attention.members_fit = attention.members_fit && !members_failed;
    attention.by_members.clear();
    if (*batch) { // what was moved goes one by one in the next
        attention.moves_fit = moves_fit;
        if (!moves_fit) { // it is looked for anew
            attention.rest = {};
        }
    }
    out.again = std::exchange(attention.look_again, false) || out.again;
    for (const std::string& path : agreed) {
        attention.seen.erase(path);
        attention.overruled.erase(path);
        if (attention.batch_is_last) {
            attention.unsent.erase(path);
        } else { // a look since then compared it with what was agreed before
            attention.unsent.insert(path);
        }
    }
    attention.overruled.merge(ours);
    attention.batch_is_last = false;
    [[maybe_unused]] const Status gone = disk_.remove(client_batch_path(folder.id));
    return out;
}

} // namespace hasp::sync
