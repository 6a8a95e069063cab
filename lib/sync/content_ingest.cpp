// The content store: taking contents in.
#include "base/text.h"
#include "sealed.h"
#include "store/db.h"
#include "sync/chunks.h"
#include "sync/content_store.h"
#include "trust/hash.h"

#include <algorithm>
#include <set>

namespace hasp::sync {

namespace {

Error other_hash() {
    return fail(Code::refused, "a content does not have the hash that it was sent under");
}

} // namespace

// What is there is asked of the database each time: nothing in memory outlives a batch that failed.
Status ContentStore::begin_batch() {
    if (next_number_ != 0) {
        return {};
    }
    struct State {
        std::uint64_t next = 0;
        std::uint64_t segment = 0;
    };
    auto state = db_.first(
        "SELECT next, segment FROM content_state WHERE tenant = ?1",
        [](const store::Statement& s) {
            return State{static_cast<std::uint64_t>(s.integer(0)),
                         static_cast<std::uint64_t>(s.integer(1))};
        },
        tenant_);
    if (!state || !*state) {
        return state ? fail(Code::failed, "the content store was not opened") : state.error();
    }
    next_number_ = (*state)->next;
    const std::uint64_t number = (*state)->segment;
    if (number == 0 || unsure_) {
        return {};
    }
    auto bytes = db_.first(
        "SELECT bytes FROM content_files WHERE tenant = ?1 AND number = ?2",
        [](const store::Statement& s) { return s.integer(0); }, tenant_, number);
    if (!bytes) {
        return bytes.error();
    }
    const auto have = static_cast<std::uint64_t>(bytes->value_or(0));
    if (have == 0 || have >= segment_bytes_max) {
        return {};
    }
    // Cuts off what a batch left that never counted. One that is shorter than it was is damaged and
    // is left as it is.
    auto file = disk_.append(path_of(number), have);
    if (file) {
        segment_file_ = *std::move(file);
        segment_ = written_.size();
        written_.push_back({number, have, have, false});
    }
    return {};
}

Result<std::unique_ptr<WriteFile>> ContentStore::make_file(std::uint64_t number) {
    if (Status made = make_folders(disk_, folder_of(number)); !made) {
        return made.error();
    }
    return disk_.create(path_of(number), 0600, {});
}

// Segment: the new one is where small contents go from now on.
Result<std::uint64_t> ContentStore::new_file(bool segment) {
    for (;;) {
        const std::uint64_t number = next_number_++;
        auto file = make_file(number);
        if (!file && file.error().code == Code::conflict) {
            // A rest of what never counted: noted, and gone with the record of this batch.
            written_.push_back({number, 0, 0, false});
            continue;
        }
        if (!file) {
            return file.error();
        }
        written_.push_back({number, 0, 0, true});
        segment_file_ = *std::move(file);
        segment_.reset();
        if (segment) {
            segment_ = written_.size() - 1;
        }
        return number;
    }
}

Status ContentStore::append(std::string_view sealed, Place& place) {
    const bool full =
        segment_ && written_[*segment_].bytes + pending_.size() + sealed.size() > segment_bytes_max;
    if (!segment_ || full) {
        if (Status written = flush(); !written) {
            return written;
        }
        if (auto made = new_file(true); !made) {
            return made.error();
        }
    }
    place.file = written_[*segment_].number;
    place.at = written_[*segment_].bytes + pending_.size();
    place.bytes = sealed.size();
    pending_.append(sealed);
    return pending_.size() < pending_bytes_max ? Status{} : flush();
}

Status ContentStore::flush() {
    if (pending_.empty()) {
        return {};
    }
    if (Status written = segment_file_->write(pending_); !written) {
        return written;
    }
    written_[*segment_].bytes += pending_.size();
    pending_.clear();
    return {};
}

Status ContentStore::stage(const std::string& user, const std::string& hash, const Pull& content,
                           std::uint64_t size) {
    if (staged(user, hash)) {
        return {};
    }
    if (Status begun = begin_batch(); !begun) {
        return begun;
    }
    auto sealer = sealer_of(user);
    if (!sealer) {
        return sealer.error();
    }
    std::string first;
    std::size_t have = 0;
    while (have <= small_content_bytes_max) {
        first.resize(std::min<std::size_t>(std::max<std::size_t>(have * 2, 16 * 1024),
                                           small_content_bytes_max + 1));
        auto got = content({first.data() + have, first.size() - have});
        if (!got) {
            return got.error();
        }
        if (*got == 0) {
            break;
        }
        have += *got;
    }
    first.resize(have);
    Place place;
    if (have > small_content_bytes_max) {
        if (Status large = stage_large(**sealer, {user, hash}, first, content, size, place);
            !large) {
            return large;
        }
    } else {
        if (trust::sha256(first) != hash) {
            return other_hash();
        }
        if (Status made = append_sealed(**sealer, hash, first, place); !made) {
            return made;
        }
        place.size = have;
    }
    staged_[{user, hash}] = place;
    return {};
}

Status ContentStore::append_sealed(Sealer& sealer, const std::string& name, std::string_view text,
                                   Place& place) {
    std::string sealed;
    sealed.reserve(text.size() + sealed_head_bytes + 1024);
    Status made = sealer.begin(name, [&sealed](std::string_view bytes) {
        sealed.append(bytes);
        return Status{};
    });
    made = made ? sealer.write(text) : made;
    made = made ? sealer.finish() : made;
    return made ? append(sealed, place) : made;
}

Status ContentStore::stage_large(Sealer& sealer, const Name& name, std::string_view first,
                                 const Pull& content, std::uint64_t size, Place& place) {
    const std::string& hash = name.second;
    if (Status written = flush(); !written) {
        return written;
    }
    // The segment stays the place of small ones.
    const std::optional<std::size_t> segment = segment_;
    std::unique_ptr<WriteFile> segment_file = std::move(segment_file_);
    auto number = new_file(false);
    const std::unique_ptr<WriteFile> file = std::move(segment_file_);
    segment_ = segment;
    segment_file_ = std::move(segment_file);
    if (!number) {
        return number.error();
    }
    Naming naming(size, named_by_chunks(hash));
    Status status =
        sealer.begin(hash, [&file](std::string_view bytes) { return file->write(bytes); });
    std::vector<char> buffer(sealed_frame_bytes);
    std::string_view part = first;
    while (status && !part.empty()) {
        naming.update(part);
        if (status = sealer.write(part); !status) {
            break;
        }
        auto got = content(buffer);
        if (!got) {
            status = got.error();
            break;
        }
        part = {buffer.data(), *got};
    }
    status = status ? sealer.finish() : status;
    const Digest named = naming.finish();
    if (status && named.hash != hash) {
        status = other_hash();
    }
    if (!status) {
        [[maybe_unused]] const Status gone = disk_.remove(path_of(*number));
        written_.pop_back();
        return status;
    }
    written_.back().bytes = sealer.sealed_bytes();
    place = {*number, 0, sealer.sealed_bytes(), sealer.plain_bytes(), false};
    return named.chunks ? stage_chunks(name.first, hash, *named.chunks) : Status{};
}

Status ContentStore::keep_all() {
    if (staged_.empty()) {
        return {};
    }
    if (Status written = flush(); !written) {
        return written;
    }
    if (written_.size() > syncs_one_by_one) {
        return disk_.sync_all();
    }
    std::set<std::string> folders;
    for (const Written& one : written_) {
        if (one.bytes == one.before) {
            continue;
        }
        if (Status synced = disk_.sync_file(path_of(one.number)); !synced) {
            return synced;
        }
        if (one.made) {
            folders.insert(folder_of(one.number));
        }
    }
    for (const std::string& folder : folders) {
        if (Status synced = disk_.sync_folder(folder); !synced) {
            return synced;
        }
    }
    return {};
}

Status ContentStore::record_files() {
    for (const Written& one : written_) {
        if (Status put = store::done(db_.execute(
                "INSERT INTO content_files (tenant, number, bytes, live) VALUES (?1, ?2, ?3, 0) ON "
                "CONFLICT DO UPDATE SET bytes = excluded.bytes",
                tenant_, one.number, one.bytes));
            !put) {
            return put;
        }
    }
    return store::done(db_.execute(
        "UPDATE content_state SET next = ?2, segment = CASE ?3 WHEN 0 THEN segment ELSE ?3 END "
        "WHERE tenant = ?1",
        tenant_, next_number_, segment_ ? written_[*segment_].number : 0));
}

Result<bool> ContentStore::record_one(const Name& name, const Place& place,
                                      std::vector<Name>* left) {
    auto before = this->place(name.first, name.second);
    if (!before) {
        return before.error();
    }
    if (*before) {
        Status released = release(**before);
        if (released && left != nullptr && (*before)->parts != 0 && place.parts == 0) {
            released = forget_parts(name, *left);
        }
        if (!released) {
            return released.error();
        }
    }
    Status put = store::done(db_.execute(
        "INSERT OR REPLACE INTO contents (tenant, user, hash, file, at, bytes, size, damaged, "
        "parts) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, ?8)",
        tenant_, name.first, store::Blob{name.second}, place.file, place.at, place.bytes,
        place.size, place.parts));
    put = put ? store::done(db_.execute("UPDATE content_files SET live = live + ?3 WHERE tenant = "
                                        "?1 AND number = ?2",
                                        tenant_, place.file, place.bytes))
              : put;
    return put ? Result<bool>(*before && (*before)->damaged) : put.error();
}

Result<std::vector<ContentStore::Damaged>> ContentStore::record() {
    std::vector<Damaged> healed;
    if (staged_.empty()) {
        return healed;
    }
    if (Status files = record_files(); !files) {
        return files.error();
    }
    // First what needs others: before anything is dropped, and before these are judged.
    std::vector<Name> left;
    for (const auto& [name, sources] : staged_sources_) {
        auto needed = wanted(name.first, name.second);
        Status parts = needed ? Status{} : Status(needed.error());
        if (parts && *needed) {
            parts = forget_parts(name, left);
            parts = parts ? record_parts(name, sources) : parts;
        }
        if (!parts) {
            return parts.error();
        }
    }
    for (const auto& [name, place] : staged_) {
        auto needed = wanted(name.first, name.second);
        if (!needed) {
            return needed.error();
        }
        if (!*needed) {
            continue; // it lost against another change: its bytes are of no use
        }
        auto put = record_one(name, place, &left);
        if (!put) {
            return put.error();
        }
        if (*put) {
            healed.push_back({name.first, name.second});
            recheck_ = Recheck{}; // what is made of it may be whole now
        }
    }
    for (const Name& name : left) {
        if (Status dropped = drop_unneeded(name.first, name.second); !dropped) {
            return dropped.error();
        }
    }
    // A file that nothing is in after all.
    for (const Written& one : written_) {
        if (Status gone = release({one.number, 0, 0, 0, false}); !gone) {
            return gone.error();
        }
    }
    return healed;
}

void ContentStore::recorded() {
    written_.clear(); // they stay
    drop_staged();
    unsure_ = false;
}

// A commit whose sync failed may be there after a crash, until another has overwritten it.
void ContentStore::commit_failed() {
    written_.clear();
    drop_staged();
    unsure_ = true;
}

void ContentStore::drop_staged() {
    segment_file_.reset();
    for (const Written& one : written_) {
        if (one.made) {
            [[maybe_unused]] const Status gone = disk_.remove(path_of(one.number));
        }
    }
    staged_.clear();
    staged_sources_.clear();
    written_.clear();
    segment_.reset();
    pending_.clear();
    next_number_ = 0;
    sealer_.reset();
}

} // namespace hasp::sync
