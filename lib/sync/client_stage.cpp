// Client: what of an answer is to be put in place, with its contents complete on the disk.
#include "client_staging.h"

#include "sync/chunks.h"
#include "sync/difference.h"
#include "sync/members.h"

#include <algorithm>

namespace hasp::sync {

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

// Two passes over the answer: what is to change, then the contents of what will.
Status Client::stage(const WorkingFolder& folder, Staging& staging) {
    const std::string answer = client_answer_path(folder.id);
    if (Status set = look_at_attributes(folder.id); !set) {
        return set;
    }
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
        const Status read = each_record(reader, [&](const Record& record) {
            if (record.type == Record::Type::put) {
                staging.theirs[record.path] = record.entry;
            } else if (record.type == Record::Type::remove) {
                staging.removed[record.path] = record.revision;
            } else if (record.type == Record::Type::attributes) {
                staging.told[record.path] = record.entry;
            }
            return Status{};
        });
        if (!read) {
            return read;
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
        const auto told = theirs.find(path);
        if (told != theirs.end() && staging.head.format < batch_format_attributes &&
            told->second.kind != FileKind::symlink) {
            // Nothing was said of them.
            const bool kept = *row && (*row)->entry.kind == told->second.kind;
            told->second.attributes = kept ? (*row)->entry.attributes : "";
        }
        // Before its content is read: what an app makes of it since then is its own.
        auto stood = disk_.stat(folder.path + "/" + path);
        if (stood) {
            staging.stood[path] = *stood;
        } else if (stood.error().code != Code::not_found && stood.error().code != Code::refused) {
            return stood.error();
        }
        Seen seen;
        const auto brought = theirs.find(path);
        auto now = reader_->entry(folder.path + "/" + path, *row ? &(*row)->seen : nullptr, &seen,
                                  brought == theirs.end() ? "" : brought->second.hash);
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
                {path, coming == theirs.end() ? std::nullopt : std::optional(coming->second.kind)});
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
        StagedChange change{op, "", "", std::nullopt, true, "", false};
        if (const auto stood = staging.stood.find(op.path); stood != staging.stood.end()) {
            change.before = stood->second;
        }
        const auto now = staging.mine.find(op.path);
        change.content = now == staging.mine.end() || !same_content(now->second, op.entry) ||
                         op.entry.kind != FileKind::file ||
                         (change.before && change.before->links > 1);
        if (!change.content) {
            change.signature = staging.base[op.path].signature;
        } else if (op.entry.kind == FileKind::file) {
            auto attributes = attributes_to_set(folder, staging, op);
            if (!attributes) { // they change all the time
                staging.skip(op.path);
                continue;
            }
            change.attributes = *std::move(attributes);
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
    if (head->format > attention(folder.id).asked) {
        return fail(Code::failed, "the home answers in a format that it was not asked for");
    }
    const Status read = each_record(reader, [&](const Record& record) {
        const auto change = staging.changes.find(record.path);
        return record.type == Record::Type::put && change != staging.changes.end() &&
                       change->second.content
                   ? stage_file(folder, reader, record, staging)
                   : Status{};
    });
    if (!read) {
        return read;
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
    StagedChange& change = staging.changes[record.path];
    const std::string path = reader_->temporary_path();
    if (record.entry.kind == FileKind::symlink) {
        change.staged = path;
        return disk_.make_symlink(path, record.entry.target, folder.owner);
    }
    if (record.entry.kind != FileKind::file) {
        return {};
    }
    const std::string& wanted = record.codec == Codec::known ? record.entry.hash : record.basis;
    const bool brought = record.codec == Codec::whole || record.codec == Codec::later;
    auto basis = brought ? Result<std::unique_ptr<ReadFile>>(std::unique_ptr<ReadFile>())
                         : basis_of(folder, record.path, wanted);
    if (!basis) {
        return basis.error();
    }
    auto to_come = brought || *basis != nullptr ? Result<bool>(record.codec == Codec::later)
                                                : is_to_come(folder, record.path, wanted);
    if (!to_come) {
        return to_come.error();
    }
    if (*to_come && gate_ != nullptr && record.entry.size >= absent_bytes_min) {
        return stage_absent(folder, record, change);
    }
    auto made = disk_.create(path, 0600, folder.owner);
    if (!made) {
        return made.error();
    }
    change.staged = path;
    Naming naming(record.entry.size, named_by_chunks(record.entry.hash));
    const Sink keep = [&](std::string_view bytes) {
        naming.update(bytes);
        return (*made)->write(bytes);
    };
    const Pull content = [&reader](std::span<char> into) { return reader.content(into); };
    Status written;
    bool by_members = false;
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
        // The home says that we have it, or that it may come later, which is not so any more.
        if (*basis == nullptr) {
            written = fail(Code::refused, "the content that a difference is made from is gone");
        } else if (record.codec == Codec::delta) {
            written = patch(**basis, content, record.entry.size, keep);
        } else if (record.codec == Codec::compared) {
            written = apply_difference(**basis, content, record.entry.size, keep);
        } else if (record.codec == Codec::members) {
            by_members = true;
            written = apply_members(**basis, content, record.entry.size, staging.work, keep);
        } else if (auto copied = digest(**basis, keep); !copied) {
            written = copied.error();
        }
    }
    const Digest named = naming.finish();
    if (written && named.hash != record.entry.hash) {
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
        attention(folder.id).members_fit = attention(folder.id).members_fit && !by_members;
        staging.whole = true;
        staging.skip(record.path);
        return {};
    }
    auto file = disk_.open(path);
    if (!file) {
        return file.error();
    }
    bases_->remember(named);
    auto kept = bases_->keep(folder.id, record.entry.hash, **file, {path, false});
    if (!kept) {
        return kept.error();
    }
    if (!*kept && record.entry.size >= signature_worth_bytes) {
        auto signed_file = signature(**file);
        if (!signed_file) {
            return signed_file.error();
        }
        change.signature = *std::move(signed_file);
    }
    Status set =
        change.attributes.empty() ? Status{} : disk_.set_attributes(path, "", change.attributes);
    return set ? disk_.set_meta(path, record.entry.mode, record.entry.mtime_us) : set;
}

// A content that was agreed on: as it was kept, or as it stands at this path or at another of the
// folder. Nothing: it is gone.
Result<std::unique_ptr<ReadFile>>
Client::basis_of(const WorkingFolder& folder, const std::string& path, const std::string& hash) {
    auto kept = bases_->find(folder.id, hash);
    if (!kept || *kept != nullptr) {
        return kept;
    }
    auto paths = store_->paths_with(folder.id, hash);
    if (!paths) {
        return paths.error();
    }
    const auto here = std::find(paths->begin(), paths->end(), path);
    if (here != paths->end()) {
        std::rotate(paths->begin(), here, here + 1);
    }
    for (const std::string& from : *paths) {
        auto frozen = reader_->freeze(folder.path + "/" + from, hash);
        if (frozen && frozen->digest.hash == hash) {
            return std::move(frozen->file);
        }
    }
    return std::unique_ptr<ReadFile>();
}

} // namespace hasp::sync
