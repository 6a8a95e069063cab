#include "sync/bases.h"

#include "base/text.h"
#include "embedded/sync_bases_sql.h"
#include "store/db.h"
#include "store/migrate.h"
#include "store/transaction.h"
#include "sync/scratch.h"

#include <algorithm>
#include <set>

namespace hasp::sync {

namespace {

// Fast: most of what is kept is replaced or dropped and never read.
constexpr int level = 1;
constexpr std::int64_t dropped_together = 64;
constexpr std::uint64_t row_bytes = 100; // around a content

std::uint64_t count_at(const store::Statement& s, int column) {
    return static_cast<std::uint64_t>(s.integer(column));
}

Status copy_content(ReadFile& content, const Sink& out) {
    const Pull pull = pull_from(content);
    std::vector<char> buffer(std::size_t{64} * 1024);
    for (;;) {
        auto got = pull(buffer);
        if (!got || *got == 0) {
            return got ? Status{} : Status(got.error());
        }
        if (Status sent = out({buffer.data(), *got}); !sent) {
            return sent;
        }
    }
}

Result<std::string> packed(ReadFile& content) {
    std::string out;
    Compressor compressor(
        [&out](std::string_view bytes) {
            out.append(bytes);
            return Status{};
        },
        level);
    Status done = copy_content(
        content, [&compressor](std::string_view bytes) { return compressor.write(bytes); });
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

bool as_written(const FileStat& a, const FileStat& b) {
    return a.kind == b.kind && a.size == b.size && a.mtime_ns == b.mtime_ns &&
           a.ctime_ns == b.ctime_ns && a.inode == b.inode;
}

} // namespace

std::string Bases::path_of(const FolderId& id, const std::string& hash) const {
    return folder_ + "/" + id.user + "." + id.app + "." + to_hex(hash);
}

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
        "SELECT user, app, hash FROM sync_bases WHERE tenant = ?1 AND content IS NULL",
        [&](const store::Statement& s) {
            files.insert(path_of({s.text(0), s.text(1)}, s.blob(2)));
        },
        tenant_);
    auto sum = db_.first(
        "SELECT COALESCE(SUM(taken), 0) FROM sync_bases WHERE tenant = ?1",
        [](const store::Statement& s) { return count_at(s, 0); }, tenant_);
    if (!read || !sum) {
        return read ? Status(sum.error()) : read;
    }
    bytes_ = sum->value_or(0);
    auto there = disk_.list(folder_);
    for (const DirEntry& entry : there ? *there : std::vector<DirEntry>{}) {
        const std::string path = folder_ + "/" + entry.name;
        if (!files.contains(path)) {
            [[maybe_unused]] const Status gone = disk_.remove(path);
        }
    }
    return {};
}

Status Bases::set_bytes_max(std::uint64_t bytes) {
    bytes_max_ = bytes;
    return make_room();
}

Result<std::unique_ptr<ReadFile>> Bases::find(const FolderId& id, const std::string& hash) {
    std::unique_ptr<ReadFile> none;
    auto there = row(id, hash);
    if (!there || !*there) {
        return there ? Result<std::unique_ptr<ReadFile>>(std::move(none)) : there.error();
    }
    if ((*there)->is_file) {
        if (auto file = open_file(id, hash, (*there)->size)) {
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

Result<std::unique_ptr<ReadFile>> Bases::open_file(const FolderId& id, const std::string& hash,
                                                   std::uint64_t size) {
    const std::string path = path_of(id, hash);
    auto file = disk_.open(path);
    auto stat = file ? (*file)->stat() : Result<FileStat>(file.error());
    if (!stat) {
        return stat.error();
    }
    const auto proven = proven_.find(path);
    if (proven == proven_.end() || !as_written(proven->second, *stat)) {
        auto content = digest(**file);
        if (!content || content->hash != hash || content->size != size) {
            return content ? fail(Code::refused, "a content is not what it was") : content.error();
        }
        proven_[path] = *stat;
    }
    return file;
}

Status Bases::keep(const FolderId& id, const std::string& hash, ReadFile& content,
                   const Place& place) {
    auto stat = content.stat();
    if (!stat || stat->size == 0 || stat->size > bytes_max_) {
        return {};
    }
    if (stat->size > base_small_bytes_max) {
        return keep_file(id, hash, content, place);
    }
    auto bytes = packed(content);
    if (!bytes) {
        return {}; // it cannot be read, which whoever sends it will notice
    }
    pending_bytes_ += bytes->size();
    const std::uint64_t taken = bytes->size() + row_bytes;
    pending_.push_back({id, hash, stat->size, taken, *std::move(bytes)});
    return pending_bytes_ > base_pending_bytes_max ? write() : Status{};
}

Status Bases::keep_file(const FolderId& id, const std::string& hash, ReadFile& content,
                        const Place& place) {
    const std::string path = path_of(id, hash);
    auto size = content.stat();
    auto room = disk_.free_bytes();
    if (!size || !room || size->size > (*room + bytes_) / base_share_of_disk) {
        return {};
    }
    Status put;
    if (place.taken) {
        put = disk_.rename(place.file, path);
    } else {
        [[maybe_unused]] const Status old = disk_.remove(path);
        auto cloned = place.file.empty() ? Result<bool>(false) : disk_.clone(place.file, path);
        if (!cloned || !*cloned) {
            auto made = disk_.create(path, 0600, {});
            put = made
                      ? copy_content(content, [&](std::string_view b) { return (*made)->write(b); })
                      : Status(made.error());
        }
    }
    auto stat = put ? disk_.stat(path) : Result<FileStat>(put.error());
    if (!stat || stat->size != size->size) {
        [[maybe_unused]] const Status gone = disk_.remove(path);
        return {};
    }
    proven_[path] = *stat;
    pending_.push_back({id, hash, stat->size, stat->size, ""});
    return {};
}

Status Bases::write() {
    if (pending_.empty()) {
        return {};
    }
    std::vector<Pending> rows = std::move(pending_);
    pending_.clear();
    pending_bytes_ = 0;
    auto transaction = store::Transaction::begin(db_);
    if (!transaction) {
        return transaction.error();
    }
    for (const Pending& row : rows) {
        if (Status gone = drop_row(row.id, row.hash); !gone) {
            return gone;
        }
        const bool is_file = row.content.empty();
        Status put =
            is_file
                ? store::done(db_.execute(
                      "INSERT INTO sync_bases (tenant, user, app, hash, size, taken) "
                      "VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                      tenant_, row.id.user, row.id.app, store::Blob{row.hash}, row.size, row.taken))
                : store::done(
                      db_.execute("INSERT INTO sync_bases (tenant, user, app, hash, size, taken, "
                                  "content) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                                  tenant_, row.id.user, row.id.app, store::Blob{row.hash}, row.size,
                                  row.taken, store::Blob{row.content}));
        if (!put) {
            return put;
        }
        bytes_ += row.taken;
    }
    if (Status room = make_room(); !room) {
        return room;
    }
    return transaction->commit();
}

Result<std::optional<Bases::Row>> Bases::row(const FolderId& id, const std::string& hash) {
    return db_.first(
        "SELECT size, taken, content IS NULL FROM sync_bases WHERE tenant = ?1 AND user = ?2 AND "
        "app = ?3 AND hash = ?4",
        [](const store::Statement& s) {
            return Row{count_at(s, 0), count_at(s, 1), s.truth(2)};
        },
        tenant_, id.user, id.app, store::Blob{hash});
}

Status Bases::drop_row(const FolderId& id, const std::string& hash) {
    auto there = row(id, hash);
    if (!there || !*there) {
        return there ? Status{} : Status(there.error());
    }
    bytes_ -= std::min(bytes_, (*there)->taken);
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
    if (gone && (*there)->is_file) {
        const std::string path = path_of(id, hash);
        proven_.erase(path);
        [[maybe_unused]] const Status removed = disk_.remove(path);
    }
    return gone;
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

Status Bases::make_room() {
    auto room = disk_.free_bytes();
    const std::uint64_t most =
        room ? std::min(bytes_max_, (*room + bytes_) / base_share_of_disk) : bytes_max_;
    while (bytes_ > most) {
        std::vector<std::pair<FolderId, std::string>> oldest;
        Status read = db_.each(
            "SELECT user, app, hash FROM sync_bases WHERE tenant = ?1 ORDER BY kept LIMIT ?2",
            [&](const store::Statement& s) {
                oldest.push_back({{s.text(0), s.text(1)}, s.blob(2)});
            },
            tenant_, dropped_together);
        if (!read) {
            return read;
        }
        if (oldest.empty()) {
            bytes_ = 0;
            return {};
        }
        for (const auto& [id, hash] : oldest) {
            if (bytes_ > most) {
                if (Status gone = drop(id, hash); !gone) {
                    return gone;
                }
            }
        }
    }
    return {};
}

Result<unsigned> Bases::format(const FolderId& id) {
    auto found = db_.first(
        "SELECT format FROM sync_homes WHERE tenant = ?1 AND user = ?2 AND app = ?3",
        [](const store::Statement& s) { return static_cast<unsigned>(s.integer(0)); }, tenant_,
        id.user, id.app);
    return found ? Result<unsigned>(found->value_or(1)) : found.error();
}

Status Bases::set_format(const FolderId& id, unsigned format) {
    return store::done(db_.execute(
        "INSERT OR REPLACE INTO sync_homes (tenant, user, app, format) VALUES (?1, ?2, ?3, ?4)",
        tenant_, id.user, id.app, format));
}

} // namespace hasp::sync
