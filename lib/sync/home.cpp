#include "sync/home.h"

#include "base/text.h"
#include "home_parts.h"
#include "home_store.h"
#include "moved.h"
#include "quarantine_store.h"
#include "recipe.h"
#include "sync/difference.h"

#include <algorithm>
#include <set>

namespace hasp::sync {

bool valid_batch_id(std::string_view id) {
    return id.size() == batch_id_bytes && std::all_of(id.begin(), id.end(), [](char c) {
               return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
           });
}

Home::Home(store::Db& db, Disk& disk, std::string tenant, const Clock& clock, Random& random)
    : disk_(disk), clock_(clock), store_(std::make_unique<HomeStore>(db, tenant)),
      quarantine_(std::make_unique<QuarantineStore>(db, tenant)),
      contents_(db, disk, random, std::move(tenant), home_temporary) {}
Home::~Home() = default;

Result<std::unique_ptr<Home>> Home::open(store::Db& db, Disk& disk, std::string tenant,
                                         const Clock& clock, Random& random) {
    std::unique_ptr<Home> home(new Home(db, disk, std::move(tenant), clock, random));
    HomeStore& store = *home->store_;
    if (Status migrated = store.migrate(); !migrated) {
        return migrated.error();
    }
    if (Status dropped = store.drop_batches(clock.wall_us() - batches_kept_us); !dropped) {
        return dropped.error();
    }
    for (const char* folder : {home_incoming, home_answers, home_temporary}) {
        if (Status made = make_folders(disk, folder); !made) {
            return made.error();
        }
    }
    // Batches on their way stay: they go on where they were cut.
    for (const char* folder : {home_answers, home_temporary}) {
        auto left = disk.list(folder);
        for (const DirEntry& entry : left ? *left : std::vector<DirEntry>{}) {
            [[maybe_unused]] const Status gone =
                disk.remove(std::string(folder) + "/" + entry.name);
        }
    }
    if (Status opened = home->contents_.open(); !opened) {
        return opened.error();
    }
    if (Status begun = store.begin_passes(clock.wall_us()); !begun) {
        return begun.error();
    }
    return home;
}

std::string Home::incoming(const FolderId& folder, const std::string& batch) const {
    return std::string(home_incoming) + "/" + batch + "." + folder.user + "." + folder.app;
}

Result<std::uint64_t> Home::receive(const FolderId& folder, const std::string& batch,
                                    std::uint64_t offset, std::uint64_t total,
                                    std::string_view bytes) {
    if (!valid_batch_id(batch) || !valid_name(folder.user) || !valid_name(folder.app)) {
        return fail(Code::usage, "not the name of a batch");
    }
    if (total > batch_bytes_max || offset > total || bytes.size() > total - offset) {
        return fail(Code::refused, "a batch of files is larger than it may be");
    }
    auto known = store_->batch(folder, batch);
    if (!known) {
        return known.error();
    }
    if (*known) {
        return total;
    }
    const std::string path = incoming(folder, batch);
    auto stat = disk_.stat(path);
    if (!stat && stat.error().code != Code::not_found) {
        return stat.error();
    }
    const std::uint64_t have = stat ? stat->size : 0;
    if (bytes.empty() || offset != have) {
        return have;
    }
    auto file = stat ? disk_.append(path, have) : disk_.create(path, 0600, {});
    if (!file) {
        return file.error();
    }
    if (Status written = (*file)->write(bytes); !written) {
        [[maybe_unused]] auto cut = disk_.append(path, have);
        return written.error();
    }
    return have + bytes.size();
}

Result<Home::Answer> Home::exchange(const Question& question) {
    auto revision = store_->revision(question.folder);
    if (!revision) {
        return revision.error();
    }
    if (question.since.epoch != 0 && question.since.epoch != revision->epoch) {
        return fail(Code::conflict,
                    "the home of " + question.folder.user +
                        "'s files has begun anew since this "
                        "tier last met it: nothing is changed on either side",
                    "if that is right: hasp sync --begin-anew --user " + question.folder.user +
                        " --app " + question.folder.app);
    }
    // An older state of the same history: what came after it would look removed to whoever has it.
    const std::uint64_t agreed =
        std::max({question.since.number, question.after.number, question.met});
    if (question.since.epoch != 0 && agreed > revision->number) {
        return fail(Code::conflict,
                    "the home of " + question.folder.user +
                        "'s files was restored from a backup: it is at " +
                        std::to_string(revision->number) + ", and this tier has agreed on " +
                        std::to_string(agreed) + ": nothing is changed on either side",
                    "to bring back to it what is here: hasp sync --begin-anew --user " +
                        question.folder.user + " --app " + question.folder.app);
    }
    if (question.verdicts_only && question.batch.empty()) { // may it be forgotten elsewhere?
        if (Status has = has_all(question.folder); !has) {
            return has.error();
        }
    }
    auto taken = take(question);
    if (!taken) {
        contents_.drop_staged();
        return taken.error();
    }
    return answer(question, *taken);
}

Status Home::has_all(const FolderId& folder) {
    auto damaged = contents_.damaged_of(folder.user);
    if (!damaged) {
        return damaged.error();
    }
    for (const std::string& hash : *damaged) {
        auto standing = store_->stands(folder, hash);
        if (!standing || *standing) {
            return !standing ? Status(standing.error())
                             : fail(Code::try_later,
                                    "the home's copy of a file in " + folder.app + " of " +
                                        folder.user + " is damaged",
                                    "hasp doctor says which there; hasp sync --begin-anew sends it "
                                    "again from a tier that has it");
        }
    }
    return {};
}

Result<Home::Taken> Home::take(const Question& question) {
    Taken taken;
    auto revision = store_->revision(question.folder);
    if (!revision) {
        return revision.error();
    }
    taken.number = revision->number;
    if (question.batch.empty()) {
        return taken;
    }
    auto known = store_->batch(question.folder, question.batch);
    if (!known) {
        return known.error();
    }
    if (*known) {
        auto file = MemoryFile((*known)->verdicts);
        BatchReader reader(pull_from(file));
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
                return taken;
            }
            if (record.verdict == Verdict::superseded || record.verdict == Verdict::copied) {
                taken.oldest = std::min(taken.oldest, record.revision);
            }
            taken.verdicts.push_back(record);
        }
    }
    auto pushed = stage(question);
    if (!pushed) {
        if (pushed.error().code == Code::refused) {
            // Sent again from its beginning: what arrived may have been damaged on this disk.
            [[maybe_unused]] const Status gone =
                disk_.remove(incoming(question.folder, question.batch));
        }
        return pushed.error();
    }
    const bool waits = std::any_of(pushed->begin(), pushed->end(),
                                   [](const Pushed& one) { return one.held == Verdict::waits; });
    if (waits && question.format < batch_format_scanned) {
        return fail(Code::try_later,
                    "the home of " + question.folder.user +
                        "'s files cannot have them looked at by its virus scanner now",
                    "they wait here, and nothing is lost");
    }
    if (Status kept = contents_.keep_all(); !kept) {
        return kept.error();
    }
    if (Status decided = decide(question, *pushed, taken); !decided) {
        return decided.error();
    }
    [[maybe_unused]] const Status gone = disk_.remove(incoming(question.folder, question.batch));
    return taken;
}

Result<std::vector<Home::Pushed>> Home::stage(const Question& question) {
    auto file = disk_.open(incoming(question.folder, question.batch));
    if (!file) {
        return file.error().code == Code::not_found
                   ? fail(Code::try_later, "the batch has not arrived yet")
                   : file.error();
    }
    BatchReader reader(pull_from(**file));
    auto head = reader.head();
    if (!head) {
        return head.error();
    }
    if (head->direction != Direction::up) {
        return fail(Code::refused, "a batch that goes down was sent up");
    }
    std::vector<Pushed> pushed;
    std::set<std::string> paths;
    std::uint64_t attributes = 0; // of what was moved; bytes
    MembersWork work;
    for (;;) {
        Record record;
        auto more = reader.next(record);
        if (!more) {
            return more.error();
        }
        if (!*more) {
            return pushed;
        }
        if (record.type == Record::Type::verdict || record.type == Record::Type::attributes) {
            return fail(Code::refused, "a batch judges itself");
        }
        const bool moved = record.type == Record::Type::moved;
        auto said = moved ? each_of_moved(question.folder, record, attributes)
                          : Result<std::vector<Pushed>>(std::vector<Pushed>(1));
        if (!said) {
            return said.error();
        }
        if (!moved) {
            said->front().record = std::move(record);
            said->front().attributes_known = head->format >= batch_format_attributes;
        }
        if (pushed.size() + said->size() > batch_records_max) {
            return fail(Code::refused, "a batch moves more than can be judged at once");
        }
        for (Pushed& one : *said) {
            const bool put = one.record.type == Record::Type::put;
            if (put && !one.unsaid && !paths.insert(one.record.path).second) {
                return fail(Code::refused, "a batch says something twice");
            }
            if (put && !one.unsaid && one.record.entry.kind == FileKind::file) {
                Status staged = stage_content(question.folder, reader, one, work);
                staged = staged && one.content_there ? hold_back(question, one) : staged;
                if (!staged) {
                    return staged.error();
                }
            }
            pushed.push_back(std::move(one));
        }
    }
}

// What a folder that was moved stands for, where both ends mean the same by it.
Result<std::vector<Home::Pushed>> Home::each_of_moved(const FolderId& folder, const Record& moved,
                                                      std::uint64_t& attributes) {
    const std::size_t count = static_cast<std::size_t>(moved.count);
    std::vector<Pushed> out(2 * count);
    const auto unsaid = [&out] {
        for (Pushed& one : out) {
            one.record.type = Record::Type::remove;
            one.unsaid = true;
        }
        return std::move(out);
    };
    auto bytes = store_->attribute_bytes_below(folder, moved.path);
    if (!bytes) {
        return bytes.error();
    }
    attributes += *bytes;
    if (attributes > batch_attributes_bytes_max) {
        return unsaid();
    }
    auto itself = store_->row(folder, moved.path);
    // One more than there may be tells that there are more.
    auto below =
        itself ? store_->rows_below(folder, moved.path, static_cast<std::int64_t>(moved.count))
               : Result<std::vector<Row>>(itself.error());
    if (!below) {
        return below.error();
    }
    Tree tree;
    if (*itself && (*itself)->entry) {
        tree[""] = *(*itself)->entry;
        attributes += tree[""].attributes.size();
    }
    for (Row& row : *below) {
        tree[row.path.substr(moved.path.size() + 1)] = *std::move(row.entry);
    }
    bool fits =
        tree.size() == count && tree.contains("") && attributes <= batch_attributes_bytes_max;
    for (const auto& [within, entry] : tree) {
        fits = fits && valid_path(path_within(moved.to, within));
    }
    if (!fits || sum_of_moved(tree) != moved.sum) {
        return unsaid();
    }
    auto gone = out.rbegin() + static_cast<std::ptrdiff_t>(count);
    auto put = out.begin() + static_cast<std::ptrdiff_t>(count);
    for (auto& [within, entry] : tree) {
        gone->record.type = Record::Type::remove;
        gone->record.path = path_within(moved.path, within);
        gone->record.revision = entry.revision;
        put->record.path = path_within(moved.to, within);
        put->record.entry = std::move(entry);
        put->record.entry.revision = 0;
        ++gone;
        ++put;
    }
    return out;
}

namespace {

// Whoever is given such a file could never put it in place.
Error other_size(const Record& record) {
    return fail(Code::refused, record.path + ": its content is not of the size that was announced");
}

} // namespace

Status Home::stage_content(const FolderId& folder, BatchReader& reader, Pushed& pushed,
                           MembersWork& work) {
    if (Status kept = as_kept(folder, pushed.record); !kept) {
        return kept;
    }
    const Record& record = pushed.record;
    std::uint64_t came = 0;
    const Pull content = [&](std::span<char> into) {
        auto got = reader.content(into);
        came += got.value_or(0);
        return got;
    };
    // What another user has counts for nothing: to know a hash is not to have the content.
    const std::string& user = folder.user;
    const auto theirs = [&](const std::string& hash) -> Result<bool> {
        return contents_.staged(user, hash) ? Result<bool>(true) : contents_.has(user, hash);
    };
    auto have = theirs(record.entry.hash);
    if (!have) {
        return have.error();
    }
    if (*have) {
        return {};
    }
    Status staged;
    switch (record.codec) {
    case Codec::known:
    case Codec::later: // no batch has it
        pushed.content_there = false;
        return {};
    case Codec::whole:
        staged = contents_.stage(user, record.entry.hash, content, record.entry.size);
        if (staged && came != record.entry.size) {
            return other_size(record);
        }
        break;
    case Codec::delta:
    case Codec::compared:
    case Codec::members: {
        std::string basis_hash = record.basis;
        if (basis_hash.empty()) {
            auto before = store_->version_at(folder, record.path, record.entry.revision);
            if (!before) {
                return before.error();
            }
            if (*before && (*before)->entry) {
                basis_hash = (*before)->entry->hash;
            }
        }
        auto basis_known = basis_hash.empty() ? Result<bool>(false) : theirs(basis_hash);
        if (!basis_known) {
            return basis_known.error();
        }
        if (!*basis_known) {
            pushed.content_there = false;
            return {};
        }
        auto basis = contents_.read(user, basis_hash);
        if (!basis) {
            // The whole content needs no basis.
            auto marked = contents_.look_at(user, basis_hash);
            pushed.content_there = false;
            return !marked ? Status(marked.error()) : *marked ? Status{} : Status(basis.error());
        }
        bool applied = false;
        staged = record.codec == Codec::delta
                     ? stage_patched(folder.user, record, **basis, content, applied)
                     : contents_.stage_difference(user, record.entry.hash, basis_hash, **basis,
                                                  content, record.entry.size, applied,
                                                  record.codec == Codec::members ? &work : nullptr);
        if (!staged && !applied) {
            auto marked = contents_.look_at(user, basis_hash);
            if (!marked) {
                return marked.error();
            }
            if (*marked) {
                pushed.content_there = false;
                return {};
            }
        }
        break;
    }
    }
    if (!staged && staged.error().code == Code::refused) {
        pushed.content_there = false; // it did not come out as it should: asked for whole
        return {};
    }
    return staged;
}

// `applied`: an error is none of the basis or the difference.
Status Home::stage_patched(const std::string& user, const Record& record, ReadFile& basis,
                           const Pull& content, bool& applied) {
    Scratch made(disk_, std::string(home_temporary) + "/patched" + std::to_string(next_++));
    auto basis_stat = basis.stat();
    if (!basis_stat) {
        return basis_stat.error();
    }
    const std::uint64_t before = contents_.unsealed();
    const Sink keep = [&](std::string_view bytes) {
        if (Status bearable =
                bearable_effort(contents_.unsealed() - before, made.size(), basis_stat->size);
            !bearable) {
            return bearable;
        }
        Status put = made.write(bytes);
        applied = !put.ok();
        return put;
    };
    Status staged = patch(basis, content, record.entry.size, keep);
    if (!staged) {
        return staged;
    }
    applied = true;
    if (made.size() != record.entry.size) {
        return other_size(record);
    }
    auto file = made.finish();
    return file ? contents_.stage(user, record.entry.hash, pull_from(**file), record.entry.size)
                : Status(file.error());
}

Result<Revision> Home::revision(const FolderId& folder) {
    return store_->revision(folder);
}

Result<Tree> Home::tree(const FolderId& folder) {
    Tree out;
    Position from{1, ""};
    while (from.number != 0) {
        auto part = store_->rows_from(folder, from, {AnswerBounds{}.rows, batch_bytes_max});
        if (!part) {
            return part.error();
        }
        for (const Row& row : part->rows) {
            if (row.entry) {
                out[row.path] = *row.entry;
            }
        }
        from = std::move(part->next);
    }
    return out;
}

Result<std::unique_ptr<ReadFile>> Home::content(const FolderId& folder, const std::string& hash) {
    return contents_.read(folder.user, hash);
}

Result<std::string> Home::piece(const FolderId& folder, const std::string& name,
                                std::uint64_t offset, std::size_t bytes_max) {
    auto known = store_->has_version_with(folder, name);
    if (!known) {
        return known.error();
    }
    if (!*known) {
        return fail(Code::not_found, "no file of " + folder.app + " of " + folder.user +
                                         " has that content any more");
    }
    auto content = contents_.read(folder.user, name);
    if (!content) {
        return content.error();
    }
    std::string out(bytes_max, '\0');
    auto got = (*content)->read(offset, out);
    if (!got) {
        auto damaged = contents_.look_at(folder.user, name);
        return damaged && *damaged ? fail(Code::try_later, got.error().message) : got.error();
    }
    out.resize(*got);
    return out;
}

Status Home::forget_user(const std::string& user) {
    auto transaction = store::Transaction::begin(store_->db());
    if (!transaction) {
        return transaction.error();
    }
    Status gone = contents_.destroy(user);
    gone = gone ? store_->note_gone(user, clock_.wall_us()) : gone;
    gone = gone ? store_->forget_user(user) : gone;
    gone = gone ? transaction->commit() : gone;
    if (!gone) {
        return gone;
    }
    auto incoming = disk_.list(home_incoming);
    for (const DirEntry& one : incoming ? *incoming : std::vector<DirEntry>{}) {
        const std::size_t at = batch_id_bytes + 1;
        if (one.name.size() > at && one.name.substr(at).starts_with(user + ".")) {
            [[maybe_unused]] const Status removed =
                disk_.remove(std::string(home_incoming) + "/" + one.name);
        }
    }
    return contents_.scour();
}

Result<std::vector<std::string>> Home::users() {
    return store_->users();
}

Result<std::string> Home::read(const std::string& file, std::uint64_t offset,
                               std::size_t bytes_max) {
    auto opened = disk_.open(std::string(home_answers) + "/" + file);
    if (!opened) {
        return opened.error();
    }
    std::string out(bytes_max, '\0');
    auto got = (*opened)->read(offset, out);
    if (!got) {
        return got.error();
    }
    out.resize(*got);
    return out;
}

void Home::forget(const std::string& file) {
    [[maybe_unused]] const Status gone = disk_.remove(std::string(home_answers) + "/" + file);
}

} // namespace hasp::sync
