// Home: deciding about a batch.
#include "base/text.h"
#include "home_parts.h"
#include "home_store.h"
#include "sync/home.h"

#include <algorithm>
#include <set>

namespace hasp::sync {

namespace {

constexpr unsigned copy_names_max = 1000;
constexpr std::size_t healed_files_max = 1000;

// What a batch touches, as three trees.
struct Part {
    Tree base;
    Tree mine;
    Tree theirs;
};

class PartReader {
  public:
    PartReader(HomeStore& store, const FolderId& folder) : store_(store), folder_(folder) {}

    // `unsaid`: whoever sent it says nothing of attributes, so that they are as they were.
    Status add(const std::string& path, std::uint64_t base_revision, Entry* mine, bool unsaid) {
        auto row = store_.row(folder_, path);
        if (!row) {
            return row.error();
        }
        if (*row && (*row)->entry) {
            part_.theirs[path] = *(*row)->entry;
        }
        if (mine != nullptr && unsaid) {
            mine->attributes = *row && (*row)->entry && (*row)->entry->kind == mine->kind
                                   ? (*row)->entry->attributes
                                   : "";
        }
        if (base_revision != 0) {
            auto before = store_.version_at(folder_, path, base_revision);
            if (!before) {
                return before.error();
            }
            if (*before && (*before)->entry && (*before)->revision == base_revision) {
                part_.base[path] = *(*before)->entry;
                if (mine != nullptr && unsaid && (*before)->entry->kind == mine->kind) {
                    mine->attributes = (*before)->entry->attributes;
                }
            }
        }
        if (mine != nullptr) {
            part_.mine[path] = *mine;
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
    for (Pushed& one : pushed) {
        if (one.unsaid) {
            continue;
        }
        const bool put = one.record.type == Record::Type::put;
        Status read;
        if (put && one.content_there) {
            read = reader.add(one.record.path, one.record.entry.revision, &one.record.entry,
                              !one.attributes_known);
        } else if (!put && !reader.part().mine.contains(one.record.path)) {
            read = reader.add(one.record.path, one.record.revision, nullptr, false);
        }
        if (!read) {
            return read;
        }
    }
    for (const Pushed& one : pushed) {
        if (one.unsaid) {
            continue;
        }
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
        if (pushed[i].unsaid) {
            verdict.verdict = Verdict::say_each;
            taken.verdicts.push_back(std::move(verdict));
            continue;
        }
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
            taken.copies.insert(kept->copy);
        } else if (put ? result != decided.result.end() && same(result->second, record.entry)
                       : result == decided.result.end()) {
            verdict.verdict = Verdict::taken;
            // Where it is met with the same file, and could not say that it has no attributes, it
            // is told of them.
            if (pushed[i].attributes_known || record.entry.revision != 0 ||
                record.entry.attributes.empty()) {
                taken.agreed[record.path] = verdict.revision;
            }
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

} // namespace hasp::sync
