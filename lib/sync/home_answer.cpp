// Home: the answer, of what changed since the asker was here, in parts of bounded size.
#include "home_parts.h"
#include "home_store.h"
#include "sync/absent.h"
#include "sync/difference.h"
#include "sync/home.h"

#include <algorithm>
#include <limits>
#include <set>

namespace hasp::sync {

namespace {

// Below this, what a difference needs around it is no less than the content.
constexpr std::uint64_t delta_worth_bytes = 256;
constexpr std::size_t no_difference_max = 10'000; // remembered

// `agreed` is Home::Taken's.
bool sent_just_now(const std::map<std::string, std::uint64_t>& agreed, const Row& row) {
    const auto sent = agreed.find(row.path);
    return sent != agreed.end() && sent->second == row.revision;
}

// To whoever knows nothing of quarantine its file is done with: he keeps it, and sends it no more.
Record as_known(Record verdict, unsigned format) {
    if (format < batch_format_scanned &&
        (verdict.verdict == Verdict::infected || verdict.verdict == Verdict::waits)) {
        verdict.verdict = Verdict::taken;
        verdict.copy.clear();
    }
    if (format < batch_format_moved && verdict.verdict == Verdict::say_each) {
        verdict.verdict = Verdict::send_whole;
    }
    return verdict;
}

} // namespace

// What goes into an answer, by path.
struct Home::Rows {
    std::map<std::string, Row> rows;
    std::vector<Row> attributes = {}; // of these paths they are said, and nothing else
    Position next;                    // whence to go on; number 0: that is all
    std::set<std::string> had;        // folders that the asker has
    std::uint64_t attribute_bytes = 0;
    bool says_attributes = true; // else none are kept here

    void add(const Row& row) {
        const auto [at, fresh] = rows.emplace(row.path, row);
        if (!fresh || !row.entry) {
            return;
        }
        if (!says_attributes) {
            at->second.entry->attributes.clear();
        }
        attribute_bytes += at->second.entry->attributes.size();
    }
};

Result<Home::Answer> Home::answer(const Question& question, const Taken& taken) {
    auto revision = store_->revision(question.folder);
    if (!revision) {
        return revision.error();
    }
    if (question.verdicts_only) {
        std::uint64_t since = question.since.epoch == 0 ? 0 : question.since.number;
        // What overruled the sender does not come along: it comes when he may get again.
        for (const Record& one : taken.verdicts) {
            if (one.verdict == Verdict::superseded || one.verdict == Verdict::copied) {
                since = std::min(since, std::max<std::uint64_t>(one.revision, 1) - 1);
            }
        }
        auto out = write_answer(question, taken, {revision->epoch, since}, {});
        if (out) {
            out->revision = *revision;
        }
        return out;
    }
    auto rows = choose_rows(question, taken, *revision);
    return rows ? write_answer(question, taken, *revision, *rows) : rows.error();
}

Result<Home::Rows> Home::choose_rows(const Question& question, const Taken& taken, Revision now) {
    const FolderId& folder = question.folder;
    const bool parts = question.format >= batch_format_parts;
    const bool attributes = question.format >= batch_format_attributes;
    if (attributes && is_place(question.after, attributes_behind)) {
        return choose_attributes(question);
    }
    const std::uint64_t since = question.since.epoch == 0 ? 0 : question.since.number;
    Position from{since + 1, ""};
    if (question.since.epoch != 0 && question.after.number > since) {
        from = question.after;
    }
    if (taken.oldest <= from.number) {
        from = {std::max<std::uint64_t>(taken.oldest, 1), ""};
    }
    constexpr std::uint64_t any = std::numeric_limits<std::uint64_t>::max();
    const AnswerBounds all{batch_records_max, any, any};
    auto part = store_->rows_from(folder, from, parts ? bounds_ : all, attributes);
    // What the batch brought is no part of its own.
    const auto sent = [&taken](const Row& row) { return sent_just_now(taken.agreed, row); };
    while (part && parts && part->next.number != 0 &&
           std::all_of(part->rows.begin(), part->rows.end(), sent)) {
        part = store_->rows_from(folder, part->next, bounds_, attributes);
    }
    if (!part) {
        return part.error();
    }
    if (!parts && part->next.number != 0) {
        return fail(Code::failed,
                    "the folder " + folder.app + " of " + folder.user + " has more than " +
                        std::to_string(batch_records_max) +
                        " files and folders to bring, and this tier's hasp takes no more at once",
                    "install a newer hasp at that tier");
    }
    Rows out;
    out.says_attributes = attributes;
    out.next = part->next;
    if (const std::string above = folder_above(from); !above.empty()) {
        out.had.insert(above);
    }
    const auto full = [&] {
        return out.rows.size() >= bounds_.rows * 2 ||
               out.attribute_bytes >= bounds_.attribute_bytes * 2;
    };
    for (std::size_t i = 0; i < part->rows.size(); ++i) {
        const Row row = part->rows[i];
        auto above = folders_above(folder, row, row, out);
        if (!above) {
            return above.error();
        }
        bool complete = true;
        for (std::size_t k = 0; complete && k < above->size(); ++k) {
            if (parts && k > 0 && full()) { // these alone may be more than an answer may have
                out.next = below((*above)[k - 1].path, row);
                part->rows.resize(i);
                complete = false;
            } else {
                out.add((*above)[k]);
            }
        }
        if (complete) {
            out.add(row);
        }
        if (complete && parts && full() && i + 1 < part->rows.size()) {
            out.next = behind(row);
            part->rows.resize(i + 1);
        }
    }
    const Row last = part->rows.empty() ? Row{"", std::nullopt, from.number} : part->rows.back();
    std::uint64_t left_out = any; // the oldest revision of what has to wait
    // What the batch met comes with its verdicts, wherever its turn would be.
    std::set<std::string> met = taken.copies;
    for (const auto& [path, hash] : taken.differs) {
        met.insert(path);
    }
    for (const std::string& path : met) {
        if (out.rows.contains(path)) {
            continue;
        }
        auto row = store_->row(folder, path);
        if (!row) {
            return row.error();
        }
        const Row there = *row ? **row : Row{path, std::nullopt, now.number};
        // What takes a folder's place comes in its turn, behind what goes from the folder.
        const auto differing = taken.differs.find(path);
        const bool may_end_a_folder =
            !there.entry || (there.entry->kind != FileKind::folder &&
                             differing != taken.differs.end() && differing->second.empty());
        if (out.next.number != 0 && may_end_a_folder && !comes_before(there, last)) {
            continue;
        }
        auto above = out.next.number == 0 ? Result<std::vector<Row>>(std::vector<Row>())
                                          : folders_above(folder, there, last, out);
        if (!above) {
            return above.error();
        }
        above->push_back(there);
        std::uint64_t bytes = out.attribute_bytes;
        for (const Row& one : *above) {
            bytes += attributes && one.entry ? one.entry->attributes.size() : 0;
        }
        if (parts && there.entry && bytes >= bounds_.attribute_bytes * 3) {
            left_out = std::min(left_out, there.revision);
            continue;
        }
        for (const Row& one : *above) {
            out.add(one);
        }
    }
    if (left_out != any && (out.next.number == 0 || left_out <= out.next.number)) {
        out.next = {left_out, ""};
    }
    return out;
}

// The folders above something that would come only later: behind `reach`, since they were changed
// after that. From the root on.
Result<std::vector<Row>> Home::folders_above(const FolderId& folder, const Row& row,
                                             const Row& reach, Rows& rows) {
    std::vector<Row> out;
    for (std::string up = row.entry ? parent_path(row.path) : ""; !up.empty();
         up = parent_path(up)) {
        if (rows.rows.contains(up) || rows.had.contains(up)) {
            break;
        }
        auto above = store_->row(folder, up);
        if (!above) {
            return above.error();
        }
        if (!*above || !(*above)->entry) {
            break;
        }
        if (comes_before(**above, reach)) {
            rows.had.insert(up); // and those above that
            break;
        }
        out.push_back(**std::move(above));
    }
    std::reverse(out.begin(), out.end());
    return out;
}

// Whoever had agreed on rows before he kept attributes asks for them once.
Result<Home::Rows> Home::choose_attributes(const Question& question) {
    auto part =
        store_->rows_with_attributes(question.folder, question.after.place.substr(1), bounds_);
    if (!part) {
        return part.error();
    }
    Rows out;
    out.attributes = std::move(part->rows);
    out.next = std::move(part->next);
    if (out.next.number == 0) {
        out.next = {question.since.number + 1, std::string(1, attributes_end)};
    }
    return out;
}

Result<Home::Answer> Home::write_answer(const Question& question, const Taken& taken,
                                        Revision as_of, const Rows& rows) {
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
    BatchWriter writer({Direction::down, as_of.epoch, as_of.number, format, rows.next},
                       [&](std::string_view bytes) {
                           out.bytes += bytes.size();
                           return (*file)->write(bytes);
                       });
    const auto had = [&taken](const Row& row) { return sent_just_now(taken.agreed, row); };
    Status status;
    Brought brought;
    for (std::size_t i = 0; status && i < taken.verdicts.size(); ++i) {
        status = writer.add(as_known(taken.verdicts[i], format));
    }
    for (std::size_t i = 0; status && i < rows.attributes.size(); ++i) {
        Record record;
        record.type = Record::Type::attributes;
        record.path = rows.attributes[i].path;
        record.entry.kind = rows.attributes[i].entry->kind;
        record.entry.attributes = rows.attributes[i].entry->attributes;
        status = writer.add(record);
        ++out.records;
    }
    // Removals from the leaves, then puts from the root.
    for (auto row = rows.rows.rbegin(); status && row != rows.rows.rend(); ++row) {
        if (!row->second.entry && !had(row->second)) {
            Record record;
            record.type = Record::Type::remove;
            record.path = row->first;
            record.revision = row->second.revision;
            status = writer.add(record);
            ++out.records;
        }
    }
    for (auto row = rows.rows.begin(); status && row != rows.rows.end(); ++row) {
        if (row->second.entry && !had(row->second)) {
            status = add_row(question, taken, writer, row->first, *row->second.entry, brought);
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

// If it turns out that he has not, he asks for it whole.
Result<bool> Home::has_content(const Question& question, const Taken& taken,
                               const std::string& path, const Entry& entry) {
    if (taken.hashes.contains(entry.hash)) {
        return true;
    }
    auto had = store_->had_content(question.folder, entry.hash, question.since.number);
    if (!had || *had || question.after.number == 0) {
        return had;
    }
    // While he takes parts he sends, too, and what he sent comes by in its turn.
    return store_->sent_by(question.folder, path, entry.revision, question.who);
}

// Until somebody sends it again: what is damaged holds up nothing else.
Status Home::leave_out(const FolderId& folder, const Entry& entry, const Status& why) {
    auto marked = contents_.look_at(folder.user, entry.hash);
    return !marked ? Status(marked.error()) : *marked ? Status{} : why;
}

Status Home::add_row(const Question& question, const Taken& taken, BatchWriter& out,
                     const std::string& path, const Entry& entry, Brought& brought) {
    const FolderId& folder = question.folder;
    Record record;
    record.path = path;
    record.entry = entry;
    if (entry.kind != FileKind::file) {
        return out.add(record);
    }
    const bool fresh = question.since.epoch == 0 || question.whole;
    if (!fresh) {
        auto had = has_content(question, taken, path, entry);
        if (!had) {
            return had.error();
        }
        if (*had) {
            Status named = as_asked(question, record);
            return named ? out.add(record) : leave_out(folder, entry, named);
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
        return leave_out(folder, entry, content.error());
    }
    Record told = record;
    Status named =
        record.codec == Codec::whole ? fail(Code::not_found, "") : as_asked(question, told);
    if (!named) { // the basis may be what cannot be read
        record.codec = Codec::whole;
        told = record;
        told.basis.clear();
        named = as_asked(question, told);
    }
    if (!named) {
        return leave_out(folder, entry, named);
    }
    if (record.codec == Codec::whole) {
        // Whoever takes parts has waited for what came along with the first.
        const std::uint64_t along = question.after.number != 0 ? 0 : along_bytes_max_;
        if (question.format >= batch_format_later && entry.size >= absent_bytes_min &&
            brought.whole_bytes + entry.size > along) {
            told.codec = Codec::later;
            return out.add(told);
        }
        brought.whole_bytes += entry.size;
    }
    std::optional<std::string> members;
    if (record.codec == Codec::compared && question.format >= batch_format_members) {
        // What cannot be read is met again, in the way that is without this.
        auto made = members_difference(**basis, **content, brought.work);
        members = made ? *std::move(made) : std::nullopt;
        told.codec = members ? Codec::members : told.codec;
    }
    if (Status added = out.add(told); !added) {
        return added;
    }
    bool written = true;
    const Sink sink = [&out, &written](std::string_view bytes) {
        Status put = out.content(bytes);
        written = put.ok();
        return put;
    };
    Status sent;
    if (members) {
        sent = sink(*members);
    } else if (record.codec != Codec::whole) {
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
