#include "sync/bases.h"

#include "base/text.h"
#include "embedded/sync_bases_sql.h"
#include "store/db.h"
#include "store/migrate.h"
#include "store/transaction.h"
#include "sync/scratch.h"

#include <algorithm>
#include <set>
#include <utility>

namespace hasp::sync {

namespace {

// Fast: most of what is kept is replaced or dropped and never read.
constexpr int level = 1;
constexpr std::int64_t dropped_together = 64;
constexpr std::uint64_t row_bytes = 100; // around a content
// Read of contents that go, in one transaction.
constexpr std::uint64_t going_bytes_max = std::uint64_t{256} << 20;

Result<std::string> packed(ReadFile& content) {
    std::string out;
    Compressor compressor(
        [&out](std::string_view bytes) {
            out.append(bytes);
            return Status{};
        },
        level);
    auto read =
        digest(content, [&compressor](std::string_view bytes) { return compressor.write(bytes); });
    Status done = read ? Status{} : Status(read.error());
    if (done) {
        done = compressor.finish();
    }
    return done ? Result<std::string>(std::move(out)) : done.error();
}

Result<std::string> unpacked(std::string bytes, std::uint64_t size) {
    MemoryFile file(std::move(bytes));
    Decompressor in(pull_from(file));
    std::string out(static_cast<std::size_t>(std::min(size, base_small_bytes_max)), '\0');
    std::size_t done = 0;
    while (done < out.size()) {
        auto got = in.read(std::span(out).subspan(done));
        if (!got) {
            return got.error();
        }
        if (*got == 0) {
            return fail(Code::refused, "a content is shorter than it was");
        }
        done += *got;
    }
    char more = 0;
    auto end = in.read(std::span(&more, 1)); // with the frame's checksum
    return end && *end == 0 ? Result<std::string>(std::move(out))
           : end            ? fail(Code::refused, "a content is longer than it was")
                            : end.error();
}

} // namespace

Status Bases::open() {
    Status made = store::migrate(db_, "sync_bases", embedded::sync_bases_sql());
    if (made) {
        made = make_folders(disk_, folder_);
    }
    if (!made) {
        return made;
    }
    std::set<std::string> files;
    Status read = db_.each(
        "SELECT file FROM sync_bases WHERE tenant = ?1 AND file IS NOT NULL",
        [&](const store::Statement& s) { files.insert(s.text(0)); }, tenant_);
    if (read) {
        read = store::done(db_.execute("INSERT OR REPLACE INTO sync_bases_taken (tenant, bytes) "
                                       "SELECT ?1, COALESCE(SUM(taken), 0) FROM sync_bases "
                                       "WHERE tenant = ?1",
                                       tenant_));
    }
    if (!read) {
        return read;
    }
    auto there = disk_.list(folder_);
    for (const DirEntry& entry : there ? *there : std::vector<DirEntry>{}) {
        if (!files.contains(entry.name)) {
            [[maybe_unused]] const Status gone = disk_.remove(path_of(entry.name));
        }
    }
    return {};
}

Result<std::uint64_t> Bases::bytes() {
    auto taken = db_.first(
        "SELECT bytes FROM sync_bases_taken WHERE tenant = ?1",
        [](const store::Statement& s) { return s.count(0); }, tenant_);
    return taken ? Result<std::uint64_t>(taken->value_or(0)) : taken.error();
}

Status Bases::set_bytes_max(std::uint64_t bytes) {
    bytes_max_ = bytes;
    return make_room(false); // all of it, perhaps: it would take long
}

Result<std::unique_ptr<ReadFile>> Bases::find(const FolderId& id, const std::string& hash) {
    std::unique_ptr<ReadFile> none;
    auto there = row(id, hash);
    if (!there || !*there) {
        return there ? Result<std::unique_ptr<ReadFile>>(std::move(none)) : there.error();
    }
    if (!(*there)->file.empty()) {
        if (auto file = open_file(hash, **there)) {
            return file;
        }
    } else {
        auto bytes = db_.first(
            "SELECT content FROM sync_bases WHERE tenant = ?1 AND user = ?2 AND "
            "app = ?3 AND hash = ?4",
            [](const store::Statement& s) { return s.blob(0); }, tenant_, id.user, id.app,
            store::Blob{hash});
        if (!bytes) {
            return bytes.error();
        }
        auto content = unpacked(bytes->value_or(""), (*there)->size);
        if (content) {
            return std::unique_ptr<ReadFile>(new MemoryFile(*std::move(content)));
        }
    }
    // It does not hold.
    if (Status gone = drop(id, hash); !gone) {
        return gone.error();
    }
    return none;
}

Result<bool> Bases::keep(const FolderId& id, const std::string& hash, ReadFile& content,
                         const Place& place) {
    auto stat = content.stat();
    if (!stat || stat->size == 0 || stat->size > bytes_max_ || disk_is_full()) {
        return false;
    }
    if (stat->size > base_small_bytes_max) {
        return keep_file(id, hash, content, place);
    }
    auto bytes = packed(content);
    if (!bytes) {
        return false; // it cannot be read, which whoever sends it will notice
    }
    pending_bytes_ += bytes->size();
    const std::uint64_t taken = bytes->size() + row_bytes;
    pending_.push_back({id, hash, stat->size, taken, *std::move(bytes), "", ""});
    Status written = pending_bytes_ > base_pending_bytes_max ? write() : Status{};
    return written ? Result<bool>(true) : written.error();
}

// So full that a row failed: until there is more room than then.
bool Bases::disk_is_full() {
    if (full_at_) {
        auto room = disk_.free_bytes();
        if (room && *room > *full_at_ + base_pending_bytes_max) {
            full_at_.reset();
        }
    }
    return full_at_.has_value();
}

Status Bases::write() {
    if (pending_.empty()) {
        return {};
    }
    std::vector<Pending> rows = std::exchange(pending_, {});
    const std::size_t bytes = std::exchange(pending_bytes_, 0);
    auto room = disk_.free_bytes();
    if (room && bytes > *room / base_share_of_disk) {
        std::erase_if(rows, [](const Pending& row) { return !row.content.empty(); });
    }
    if (Status put = put_rows(rows); !put) {
        // A transaction around this one may be undone too, which whoever began it learns.
        full_at_ = room.value_or(0);
        for (const Pending& row : rows) {
            forget_file(row.file);
        }
    }
    return {};
}

Status Bases::put_rows(const std::vector<Pending>& rows) {
    auto transaction = store::Transaction::begin(db_);
    if (!transaction) {
        return transaction.error();
    }
    for (const Pending& row : rows) {
        Status put = drop(row.id, row.hash);
        if (put && !row.file.empty()) {
            put = store::done(db_.execute(
                "INSERT INTO sync_bases (tenant, user, app, hash, size, taken, file, extents) "
                "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, NULLIF(?8, x''))",
                tenant_, row.id.user, row.id.app, store::Blob{row.hash}, row.size, row.taken,
                row.file, store::Blob{row.extents}));
        } else if (put) {
            put = store::done(
                db_.execute("INSERT INTO sync_bases (tenant, user, app, hash, size, taken, "
                            "content) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                            tenant_, row.id.user, row.id.app, store::Blob{row.hash}, row.size,
                            row.taken, store::Blob{row.content}));
        }
        if (!put) {
            return put;
        }
    }
    Status room = make_room(true);
    return room ? transaction->commit() : room;
}

Result<std::optional<Bases::Row>> Bases::row(const FolderId& id, const std::string& hash) {
    return db_.first(
        "SELECT size, taken, file, extents FROM sync_bases WHERE tenant = ?1 AND user = ?2 AND "
        "app = ?3 AND hash = ?4",
        [](const store::Statement& s) {
            return Row{s.count(0), s.count(1), s.text(2), s.blob(3)};
        },
        tenant_, id.user, id.app, store::Blob{hash});
}

Status Bases::drop_row(const FolderId& id, const std::string& hash) {
    return store::done(db_.execute(
        "DELETE FROM sync_bases WHERE tenant = ?1 AND user = ?2 AND app = ?3 AND hash = ?4",
        tenant_, id.user, id.app, store::Blob{hash}));
}

// The row first: a file without one goes when this is opened again.
Status Bases::drop(const FolderId& id, const std::string& hash) {
    auto there = row(id, hash);
    if (!there || !*there) {
        return there ? Status{} : Status(there.error());
    }
    Status gone = drop_row(id, hash);
    if (const auto at = proven_.find((*there)->file); at != proven_.end()) {
        at->second.hashes.erase(hash); // while edits of it stand in the file
    }
    return gone && !(*there)->file.empty() ? leave_file(**there) : gone;
}

Status Bases::drop_all(const FolderId& id) {
    return drop_those(id,
                      "SELECT hash FROM sync_bases WHERE tenant = ?1 AND user = ?2 AND app = ?3");
}

Status Bases::drop_unused(const FolderId& id) {
    return drop_those(id, "SELECT hash FROM sync_bases AS kept WHERE tenant = ?1 AND user = ?2 AND "
                          "app = ?3 AND NOT EXISTS (SELECT 1 FROM sync_base AS agreed WHERE "
                          "agreed.tenant = ?1 AND agreed.user = ?2 AND agreed.app = ?3 AND "
                          "agreed.hash = kept.hash)");
}

Status Bases::drop_those(const FolderId& id, const char* sql) {
    std::vector<std::string> hashes;
    Status read = db_.each(
        sql, [&](const store::Statement& s) { hashes.push_back(s.blob(0)); }, tenant_, id.user,
        id.app);
    for (const std::string& hash : hashes) {
        if (read) {
            read = drop(id, hash);
        }
    }
    return read;
}

void Bases::drop_pending(const std::string& user, const std::string* app) {
    std::vector<std::string> files;
    std::erase_if(pending_, [&](const Pending& row) {
        const bool meant = row.id.user == user && (app == nullptr || row.id.app == *app);
        if (meant) {
            files.push_back(row.file);
        }
        return meant;
    });
    for (const std::string& file : files) {
        forget_file(file);
    }
}

Status Bases::drop_folder(const FolderId& id) {
    drop_pending(id.user, &id.app);
    auto transaction = store::Transaction::begin(db_);
    if (!transaction) {
        return transaction.error();
    }
    Status done = drop_all(id);
    return done ? transaction->commit() : done;
}

Status Bases::drop_user(const std::string& user) {
    drop_pending(user, nullptr);
    auto transaction = store::Transaction::begin(db_);
    if (!transaction) {
        return transaction.error();
    }
    std::set<std::string> apps;
    Status done = db_.each(
        "SELECT DISTINCT app FROM sync_bases WHERE tenant = ?1 AND user = ?2",
        [&](const store::Statement& s) { apps.insert(s.text(0)); }, tenant_, user);
    for (const std::string& app : apps) {
        done = done ? drop_all({user, app}) : done;
    }
    return done ? transaction->commit() : done;
}

Status Bases::make_room(bool tell) {
    auto room = disk_.free_bytes();
    auto taken = bytes();
    const std::uint64_t most =
        room && taken ? std::min(bytes_max_, (*room + *taken) / base_share_of_disk) : bytes_max_;
    std::uint64_t told = 0;
    while (taken && *taken > most) {
        struct Old {
            FolderId id;
            std::string hash;
            std::uint64_t size = 0;
        };
        std::vector<Old> oldest;
        Status read = db_.each(
            "SELECT user, app, hash, size FROM sync_bases WHERE tenant = ?1 ORDER BY kept LIMIT ?2",
            [&](const store::Statement& s) {
                oldest.push_back({{s.text(0), s.text(1)}, s.blob(2), s.count(3)});
            },
            tenant_, dropped_together);
        if (!read || oldest.empty()) {
            return read;
        }
        for (const auto& [id, hash, size] : oldest) {
            told += size;
            auto content = tell && going_ && told <= going_bytes_max
                               ? find(id, hash)
                               : Result<std::unique_ptr<ReadFile>>(std::unique_ptr<ReadFile>());
            Status gone = content && *content != nullptr
                              ? going_(id, hash, **content)
                              : Status(content ? Status{} : content.error());
            gone = gone ? drop(id, hash) : gone;
            if (gone) {
                taken = bytes();
            }
            if (!gone || !taken || *taken <= most) {
                return gone && !taken ? Status(taken.error()) : gone;
            }
        }
    }
    return taken ? Status{} : Status(taken.error());
}

Result<unsigned> Bases::format(const FolderId& id) {
    auto found = db_.first(
        "SELECT format FROM sync_homes WHERE tenant = ?1 AND user = ?2 ORDER BY app <> ?3 LIMIT 1",
        [](const store::Statement& s) { return static_cast<unsigned>(s.integer(0)); }, tenant_,
        id.user, id.app);
    return found ? Result<unsigned>(found->value_or(1)) : found.error();
}

Result<bool> Bases::knows_format(const FolderId& id) {
    auto found = db_.first(
        "SELECT 1 FROM sync_homes WHERE tenant = ?1 AND user = ?2 LIMIT 1",
        [](const store::Statement&) { return true; }, tenant_, id.user);
    return found ? Result<bool>(found->has_value()) : found.error();
}

Status Bases::set_format(const FolderId& id, unsigned format) {
    return store::done(db_.execute(
        "INSERT OR REPLACE INTO sync_homes (tenant, user, app, format) VALUES (?1, ?2, ?3, ?4)",
        tenant_, id.user, id.app, format));
}

} // namespace hasp::sync
