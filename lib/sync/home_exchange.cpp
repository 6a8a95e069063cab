// Home: deciding about a batch, and the answer.
#include "base/text.h"
#include "home_parts.h"
#include "home_store.h"
#include "sync/difference.h"
#include "sync/home.h"

#include <algorithm>
#include <set>

namespace hasp::sync {

namespace {

// Below this, what a difference needs around it is no less than the content.
constexpr std::uint64_t delta_worth_bytes = 256;
constexpr unsigned copy_names_max = 1000;
constexpr std::size_t healed_files_max = 1000;
constexpr std::size_t no_difference_max = 10'000; // remembered

// What a batch touches, as three trees.
struct Part {
    Tree base;
    Tree mine;
    Tree theirs;
};

class PartReader {
  public:
    PartReader(HomeStore& store, const FolderId& folder) : store_(store), folder_(folder) {}

    Status add(const std::string& path, std::uint64_t base_revision, const Entry* mine) {
        auto row = store_.row(folder_, path);
        if (!row) {
            return row.error();
        }
        if (*row && (*row)->entry) {
            part_.theirs[path] = *(*row)->entry;
        }
        if (mine != nullptr) {
            part_.mine[path] = *mine;
        }
        if (base_revision != 0) {
            auto before = store_.version_at(folder_, path, base_revision);
            if (!before) {
                return before.error();
            }
            if (*before && (*before)->entry && (*before)->revision == base_revision) {
                part_.base[path] = *(*before)->entry;
            }
        }
        return {};
    }

    // What stands in a folder that is to go keeps it, if the sender did not know of it.
    Status add_below(const std::string& path) {
        auto rows = store_.rows_below(folder_, path);
        if (!rows) {
            return rows.error();
        }
        for (const Row& row : *rows) {
            part_.theirs.try_emplace(row.path, *row.entry);
        }
        return {};
    }

    // The sender has folders above what it puts, whatever became of them here.
    Status add_above(const std::string& path) {
        for (std::string up = parent_path(path); !up.empty(); up = parent_path(up)) {
            if (part_.mine.contains(up)) {
                continue;
            }
            auto row = store_.row(folder_, up);
            if (!row) {
                return row.error();
            }
            Entry folder{FileKind::folder, 0755, 0, 0, "", "", 0};
            if (*row && (*row)->entry) {
                part_.theirs[up] = *(*row)->entry;
                if ((*row)->entry->kind == FileKind::folder) {
                    folder = *(*row)->entry;
                }
            }
            part_.base[up] = folder;
            part_.mine[up] = folder;
        }
        return {};
    }

    Part& part() { return part_; }

  private:
    HomeStore& store_;
    const FolderId& folder_;
    Part part_;
};

// To whoever knows nothing of quarantine its file is done with: he keeps it, and sends it no more.
Record as_known(Record verdict, unsigned format) {
    if (format < batch_format_scanned &&
        (verdict.verdict == Verdict::infected || verdict.verdict == Verdict::waits)) {
        verdict.verdict = Verdict::taken;
        verdict.copy.clear();
    }
    return verdict;
}

} // namespace

Status Home::decide(const Question& question, std::vector<Pushed>& pushed, Taken& taken) {
    const FolderId& folder = question.folder;
    auto transaction = store::Transaction::begin(store_->db());
    if (!transaction) {
        return transaction.error();
    }
    auto revision = store_->revision(folder);
    if (!revision) {
        return revision.error();
    }
    const std::uint64_t epoch =
        revision->epoch != 0 ? revision->epoch : static_cast<std::uint64_t>(clock_.wall_us());
    const std::uint64_t next = revision->number + 1;
    PartReader reader(*store_, folder);
    for (const Pushed& one : pushed) {
        const bool put = one.record.type == Record::Type::put;
        Status read;
        if (put && one.content_there) {
            read = reader.add(one.record.path, one.record.entry.revision, &one.record.entry);
        } else if (!put && !reader.part().mine.contains(one.record.path)) {
            read = reader.add(one.record.path, one.record.revision, nullptr);
        }
        if (!read) {
            return read;
        }
    }
    for (const Pushed& one : pushed) {
        const bool put = one.record.type == Record::Type::put;
        Status read = put ? reader.add_above(one.record.path) : reader.add_below(one.record.path);
        if (!read) {
            return read;
        }
    }
    if (Status noted = note_held(question, pushed); !noted) {
        return noted;
    }
    const Part& part = reader.part();
    std::optional<Error> problem;
    unsigned tried = 0;
    const CopyName name = [&](const std::string& path, unsigned) {
        for (;; ++tried) {
            const std::string copy = conflict_name(path, question.who, clock_.wall_us(), tried);
            auto row = store_->row(folder, copy);
            if (!row) {
                problem = row.error();
            }
            if (problem || tried > copy_names_max || !*row || !(*row)->entry) {
                ++tried;
                return copy;
            }
        }
    };
    const Plan decided = plan(part.base, part.mine, part.theirs, name);
    if (problem) {
        return *problem;
    }
    std::map<std::string, Row> changes;
    for (const Operation& op : decided.operations) {
        if (op.at != Side::theirs) {
            continue;
        }
        Row& row = changes[op.path];
        row = {op.path, std::nullopt, next};
        if (op.act == Act::put) {
            row.entry = op.entry;
            row.entry->revision = next;
        }
    }
    std::uint64_t index = 0;
    for (const auto& [path, row] : changes) {
        const std::string operation = question.batch + "/" + std::to_string(index++);
        if (Status put = store_->put(folder, row, operation, clock_.wall_us(), question.who);
            !put) {
            return put;
        }
    }
    auto healed = contents_.record();
    auto again =
        healed ? give_again(*healed, {&question, &changes, next}) : Result<bool>(healed.error());
    if (!again) {
        return again.error();
    }
    taken.changed = !changes.empty() || *again;
    taken.number = taken.changed ? next : revision->number;
    taken.epoch = epoch;
    if (Status set = store_->set_revision(folder, {epoch, taken.number}); !set) {
        return set;
    }
    judge(pushed, decided, changes, part.theirs, taken);
    std::string verdicts;
    BatchWriter writer({Direction::down, epoch, taken.number, batch_format_newest},
                       [&](std::string_view bytes) {
                           verdicts.append(bytes);
                           return Status{};
                       });
    for (const Record& verdict : taken.verdicts) {
        if (Status added = writer.add(verdict); !added) {
            return added;
        }
    }
    if (Status finished = writer.finish(); !finished) {
        return finished;
    }
    if (Status put =
            store_->put_batch(folder, question.batch, {taken.number, verdicts}, clock_.wall_us());
        !put) {
        return put;
    }
    if (Status committed = transaction->commit(); !committed) {
        contents_.commit_failed();
        return committed;
    }
    contents_.recorded();
    return {};
}

// Contents that were damaged were left out of answers: the files that have them get a new revision,
// so that everybody is told.
Result<bool> Home::give_again(const std::vector<ContentStore::Damaged>& healed, const Healing& by) {
    bool here = false;
    for (const ContentStore::Damaged& one : healed) {
        auto files = store_->files_of(one.user, one.hash, healed_files_max);
        if (!files) {
            return files.error();
        }
        for (const DamagedFile& file : *files) {
            const bool same_folder = by.question != nullptr && file.folder == by.question->folder;
            if (!file.stands || (same_folder && by.changes->contains(file.path))) {
                continue;
            }
            auto row = store_->row(file.folder, file.path);
            auto now = store_->revision(file.folder);
            if (!row || !now) {
                return row ? now.error() : row.error();
            }
            const std::uint64_t number = same_folder ? by.next : now->number + 1;
            if (!*row || !(*row)->entry) {
                continue;
            }
            Row told = **row;
            told.revision = told.entry->revision = number;
            Status put = store_->put(
                file.folder, told, (by.question != nullptr ? by.question->batch : "") + "/healed",
                clock_.wall_us(), by.question != nullptr ? by.question->who : file.folder.user);
            if (put && !same_folder) {
                put = store_->set_revision(file.folder, {now->epoch, number});
                std::erase_if(beside_, [&](const Beside& b) { return b.folder == file.folder; });
                beside_.push_back({file.folder, {now->epoch, number}});
            }
            if (!put) {
                return put.error();
            }
            here = here || same_folder;
        }
    }
    return here;
}

void Home::judge(const std::vector<Pushed>& pushed, const Plan& decided,
                 const std::map<std::string, Row>& changes, const Tree& theirs, Taken& taken) {
    for (std::size_t i = 0; i < pushed.size(); ++i) {
        const Record& record = pushed[i].record;
        const bool put = record.type == Record::Type::put;
        Record verdict;
        verdict.type = Record::Type::verdict;
        verdict.index = i;
        const auto change = changes.find(record.path);
        const auto there = theirs.find(record.path);
        verdict.revision = change != changes.end() ? change->second.revision
                           : there != theirs.end() ? there->second.revision
                                                   : taken.number;
        const auto result = decided.result.find(record.path);
        const auto kept =
            std::find_if(decided.kept.begin(), decided.kept.end(), [&](const Kept& k) {
                return k.path == record.path && k.side == Side::mine;
            });
        if (pushed[i].held) {
            verdict.verdict = *pushed[i].held;
            verdict.copy = pushed[i].found;
            verdict.revision = pushed[i].stands;
        } else if (!pushed[i].content_there) {
            verdict.verdict = Verdict::send_whole;
        } else if (put && kept != decided.kept.end()) {
            verdict.verdict = Verdict::copied;
            verdict.copy = kept->copy;
        } else if (put ? result != decided.result.end() && same(result->second, record.entry)
                       : result == decided.result.end()) {
            verdict.verdict = Verdict::taken;
            taken.agreed[record.path] = verdict.revision;
        } else {
            verdict.verdict = Verdict::superseded;
        }
        if (put && pushed[i].content_there && record.entry.kind == FileKind::file) {
            taken.hashes.insert(record.entry.hash);
        }
        if (verdict.verdict == Verdict::copied || verdict.verdict == Verdict::superseded) {
            taken.differs[record.path] = put ? record.entry.hash : "";
        }
        taken.verdicts.push_back(std::move(verdict));
    }
}

Result<Home::Answer> Home::answer(const Question& question, const Taken& taken) {
    const FolderId& folder = question.folder;
    auto revision = store_->revision(folder);
    if (!revision) {
        return revision.error();
    }
    std::uint64_t since = question.since.epoch == 0 ? 0 : question.since.number;
    if (question.verdicts_only) {
        auto out = write_answer(question, taken, {revision->epoch, since}, {});
        if (out) {
            out->revision = *revision;
        }
        return out;
    }
    if (taken.oldest <= since) {
        since = taken.oldest == 0 ? 0 : taken.oldest - 1;
    }
    auto rows = store_->rows_since(folder, since);
    if (!rows) {
        return rows.error();
    }
    for (const auto& [path, hash] : taken.differs) {
        const auto has = [&path = path](const Row& row) { return row.path == path; };
        if (std::none_of(rows->begin(), rows->end(), has)) {
            auto row = store_->row(folder, path);
            if (!row) {
                return row.error();
            }
            rows->push_back(*row ? **row : Row{path, std::nullopt, revision->number});
        }
    }
    std::sort(rows->begin(), rows->end(),
              [](const Row& a, const Row& b) { return a.path < b.path; });
    return write_answer(question, taken, *revision, *rows);
}

Result<Home::Answer> Home::write_answer(const Question& question, const Taken& taken,
                                        Revision as_of, const std::vector<Row>& rows) {
    Answer out;
    out.file = "answer" + std::to_string(next_++);
    out.revision = as_of;
    out.changed = taken.changed;
    const std::string path = std::string(home_answers) + "/" + out.file;
    auto file = disk_.create(path, 0600, {});
    if (!file) {
        return file.error();
    }
    const unsigned format = std::min(question.format, batch_format_newest);
    BatchWriter writer({Direction::down, as_of.epoch, as_of.number, format},
                       [&](std::string_view bytes) {
                           out.bytes += bytes.size();
                           return (*file)->write(bytes);
                       });
    Status status;
    for (std::size_t i = 0; status && i < taken.verdicts.size(); ++i) {
        status = writer.add(as_known(taken.verdicts[i], format));
    }
    // Removals from the leaves, then puts from the root.
    for (auto row = rows.rbegin(); status && row != rows.rend(); ++row) {
        const auto agreed = taken.agreed.find(row->path);
        if (!row->entry && (agreed == taken.agreed.end() || agreed->second != row->revision)) {
            Record record;
            record.type = Record::Type::remove;
            record.path = row->path;
            record.revision = row->revision;
            status = writer.add(record);
            ++out.records;
        }
    }
    for (auto row = rows.begin(); status && row != rows.end(); ++row) {
        const auto agreed = taken.agreed.find(row->path);
        if (row->entry && (agreed == taken.agreed.end() || agreed->second != row->revision)) {
            status = add_row(question, taken, writer, row->path, *row->entry);
            ++out.records;
        }
    }
    if (status) {
        status = writer.finish();
    }
    if (!status) {
        (*file).reset();
        forget(out.file);
        return status.error();
    }
    return out;
}

// An answer cannot take back what is in it already: the next one is without that content, or
// without a difference.
Status Home::found_damaged(const FolderId& folder, const Record& record, const Error& why) {
    auto marked = contents_.look_at(folder.user, record.entry.hash);
    if (record.codec != Codec::whole) {
        if (no_difference_.size() >= no_difference_max) {
            no_difference_.clear();
        }
        no_difference_.insert({folder.user, record.entry.hash});
        auto basis =
            marked ? contents_.look_at(folder.user, record.basis) : Result<bool>(marked.error());
        marked = basis ? Result<bool>(*marked || *basis) : std::move(basis);
    }
    if (!marked) {
        return marked.error();
    }
    return *marked ? Status(fail(Code::try_later, why.message + ": it is left out from now on",
                                 "`hasp doctor` says which files it concerns"))
                   : Status(why);
}

Status Home::add_row(const Question& question, const Taken& taken, BatchWriter& out,
                     const std::string& path, const Entry& entry) {
    const FolderId& folder = question.folder;
    Record record;
    record.path = path;
    record.entry = entry;
    if (entry.kind != FileKind::file) {
        return out.add(record);
    }
    const bool fresh = question.since.epoch == 0 || question.whole;
    if (!fresh) {
        auto had = store_->had_content(folder, entry.hash, question.since.number);
        if (!had) {
            return had.error();
        }
        if (*had || taken.hashes.contains(entry.hash)) {
            return out.add(record);
        }
        const auto differs = taken.differs.find(path);
        if (differs != taken.differs.end()) {
            record.basis = differs->second;
        } else {
            auto before = store_->version_at(folder, path, question.since.number);
            if (!before) {
                return before.error();
            }
            if (*before && (*before)->entry && (*before)->entry->kind == FileKind::file &&
                (*before)->entry->size >= delta_worth_bytes) {
                record.basis = (*before)->entry->hash;
            }
        }
    }
    const Codec difference =
        question.format >= batch_format_compared ? Codec::compared : Codec::delta;
    const bool differs = !record.basis.empty() && entry.size >= delta_worth_bytes &&
                         !no_difference_.contains({folder.user, entry.hash});
    auto basis = differs ? contents_.read(folder.user, record.basis)
                         : Result<std::unique_ptr<ReadFile>>(std::unique_ptr<ReadFile>());
    // A basis that is no longer kept, or cannot be read, is none.
    record.codec = differs && basis ? difference : Codec::whole;
    auto content = contents_.read(folder.user, entry.hash);
    if (!content) {
        // Left out until somebody sends it again: what is damaged holds up nothing else.
        auto marked = contents_.look_at(folder.user, entry.hash);
        return !marked ? Status(marked.error()) : *marked ? Status{} : Status(content.error());
    }
    if (Status added = out.add(record); !added) {
        return added;
    }
    bool written = true;
    const Sink sink = [&out, &written](std::string_view bytes) {
        Status put = out.content(bytes);
        written = put.ok();
        return put;
    };
    Status sent;
    if (record.codec != Codec::whole) {
        sent = record.codec == Codec::delta ? delta_from_base(**basis, **content, sink)
                                            : make_difference(**basis, **content, sink);
    } else if (auto whole = digest(**content, sink); !whole) {
        sent = whole.error();
    }
    if (!sent) {
        return written ? found_damaged(folder, record, sent.error()) : sent;
    }
    return out.end_content();
}

} // namespace hasp::sync
