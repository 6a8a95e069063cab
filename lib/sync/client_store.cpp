#include "client_store.h"

#include "embedded/sync_client_sql.h"
#include "store/migrate.h"

namespace hasp::sync {

namespace {

constexpr const char* folder_columns =
    "user, app, epoch, number, whole, released, held, held_files, unsent_files, unsent_bytes, "
    "unsent_since_us, conflicts, skipped, synced_us, error, identity, part_number, part_place, "
    "part_complete, met, attributes_left, attributes_told";

FolderRow read_folder(const store::Statement& s) {
    FolderRow row;
    row.status.folder = {s.text(0), s.text(1)};
    row.status.revision = {s.count(2), s.count(3)};
    row.whole = s.truth(4);
    row.released = s.truth(5);
    row.status.held = s.text(6);
    row.status.held_files = s.count(7);
    row.status.unsent_files = s.count(8);
    row.status.unsent_bytes = s.count(9);
    row.status.unsent_since_us = s.integer(10);
    row.status.conflicts = s.count(11);
    row.status.skipped = s.count(12);
    row.status.synced_us = s.integer(13);
    row.status.error = s.text(14);
    row.identity = s.text(15);
    row.after = {s.count(16), s.blob(17)};
    row.complete = s.count(18); // -1 is complete_all
    row.met = s.count(19);
    row.status.attributes_left = s.count(20);
    row.attributes_told = s.truth(21);
    return row;
}

// kind, mode, mtime_us, size, hash, target, revision, signature, stat_size, stat_mtime, stat_ctime,
// stat_inode, seen_us, attributes, seen_attributes from column `at` on.
constexpr char looked_all = '\1';
constexpr char looked_too_many = '\2';
constexpr char looked_stale = '\3';

std::string seen_bytes(const Seen& seen) {
    if (seen.attributes == nullptr || !seen.attributes->looked) {
        return "";
    }
    const SeenAttributes& a = *seen.attributes;
    return (a.stale ? looked_stale : a.all ? looked_all : looked_too_many) + a.here;
}

std::shared_ptr<const SeenAttributes> attributes_from(std::string meant, const std::string& here) {
    if (meant.empty() && here.empty()) {
        return nullptr;
    }
    SeenAttributes out;
    out.meant = std::move(meant);
    out.looked = !here.empty();
    out.all = here.empty() || here[0] != looked_too_many;
    out.stale = !here.empty() && here[0] == looked_stale;
    out.here = here.empty() ? "" : here.substr(1);
    return std::make_shared<const SeenAttributes>(std::move(out));
}

BaseRow read_base(const store::Statement& s, int at) {
    BaseRow row;
    row.entry = {static_cast<FileKind>(s.integer(at)),
                 static_cast<std::uint32_t>(s.integer(at + 1)),
                 s.integer(at + 2),
                 s.count(at + 3),
                 s.blob(at + 4),
                 s.blob(at + 5),
                 s.count(at + 6),
                 s.blob(at + 13)};
    row.signature = s.blob(at + 7);
    row.seen.stat.kind = row.entry.kind;
    row.seen.stat.mode = row.entry.mode;
    row.seen.stat.size = s.count(at + 8);
    row.seen.stat.mtime_ns = s.integer(at + 9);
    row.seen.stat.ctime_ns = s.integer(at + 10);
    row.seen.stat.inode = s.count(at + 11);
    row.seen.at_us = s.integer(at + 12);
    row.seen.hash = row.entry.hash;
    row.seen.size = row.entry.size;
    row.seen.attributes = attributes_from(row.entry.attributes, s.blob(at + 14));
    return row;
}

constexpr const char* base_columns =
    "kind, mode, mtime_us, size, hash, target, revision, signature, stat_size, stat_mtime, "
    "stat_ctime, stat_inode, seen_us, attributes, seen_attributes";

} // namespace

Status ClientStore::migrate() {
    return store::migrate(db_, "sync", embedded::sync_client_sql());
}

Result<FolderRow> ClientStore::folder(const FolderId& folder) {
    static const std::string sql =
        std::string("SELECT ") + folder_columns +
        " FROM sync_folders WHERE tenant = ?1 AND user = ?2 AND app = ?3";
    auto found = db_.first(sql, read_folder, tenant_, folder.user, folder.app);
    if (!found.ok()) {
        return found.error();
    }
    FolderRow fresh;
    fresh.status.folder = folder;
    return found->value_or(fresh);
}

Status ClientStore::put_folder(const FolderRow& row) {
    static const std::string sql =
        std::string("INSERT OR REPLACE INTO sync_folders (tenant, ") + folder_columns +
        ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, "
        "?18, ?19, ?20, ?21, ?22, ?23)";
    const FolderStatus& s = row.status;
    return store::done(db_.execute(sql, tenant_, s.folder.user, s.folder.app, s.revision.epoch,
                                   s.revision.number, row.whole, row.released, s.held, s.held_files,
                                   s.unsent_files, s.unsent_bytes, s.unsent_since_us, s.conflicts,
                                   s.skipped, s.synced_us, s.error, row.identity, row.after.number,
                                   store::Blob{row.after.place}, row.complete, row.met,
                                   s.attributes_left, row.attributes_told));
}

Result<std::vector<FolderRow>> ClientStore::folders() {
    static const std::string sql = std::string("SELECT ") + folder_columns +
                                   " FROM sync_folders WHERE tenant = ?1 ORDER BY user, app";
    std::vector<FolderRow> out;
    Status read = db_.each(
        sql, [&](const store::Statement& s) { out.push_back(read_folder(s)); }, tenant_);
    if (!read) {
        return read.error();
    }
    return out;
}

Result<std::map<std::string, BaseRow>> ClientStore::base(const FolderId& folder) {
    std::map<std::string, BaseRow> out;
    Status read = db_.each(
        "SELECT path, kind, mode, mtime_us, size, hash, target, revision, x'', stat_size, "
        "stat_mtime, stat_ctime, stat_inode, seen_us, attributes, seen_attributes FROM sync_base "
        "WHERE tenant = ?1 AND user = "
        "?2 AND app = ?3",
        [&](const store::Statement& s) { out.emplace(s.blob(0), read_base(s, 1)); }, tenant_,
        folder.user, folder.app);
    if (!read) {
        return read.error();
    }
    return out;
}

Result<std::map<std::string, BaseRow>> ClientStore::base_below(const FolderId& folder,
                                                               const std::string& path) {
    std::map<std::string, BaseRow> out;
    const std::string from = path + "/";
    const std::string to = path + "0"; // the byte behind '/'
    Status read = db_.each(
        "SELECT path, kind, mode, mtime_us, size, hash, target, revision, x'', stat_size, "
        "stat_mtime, stat_ctime, stat_inode, seen_us, attributes, seen_attributes FROM sync_base "
        "WHERE tenant = ?1 AND user = "
        "?2 AND app = ?3 AND path > ?4 AND path < ?5",
        [&](const store::Statement& s) { out.emplace(s.blob(0), read_base(s, 1)); }, tenant_,
        folder.user, folder.app, store::Blob{from}, store::Blob{to});
    if (!read) {
        return read.error();
    }
    return out;
}

Result<std::uint64_t> ClientStore::count_files(const FolderId& folder, std::uint64_t most) {
    auto found = db_.first(
        "SELECT count(*) FROM (SELECT 1 FROM sync_base WHERE tenant = ?1 AND user = ?2 AND app = "
        "?3 AND kind <> 2 LIMIT ?4)",
        [](const store::Statement& s) { return s.count(0); }, tenant_, folder.user, folder.app,
        most);
    return found.ok() ? Result<std::uint64_t>(found->value_or(0)) : found.error();
}

Result<std::optional<BaseRow>> ClientStore::base_row(const FolderId& folder,
                                                     const std::string& path) {
    static const std::string sql =
        std::string("SELECT ") + base_columns +
        " FROM sync_base WHERE tenant = ?1 AND user = ?2 AND app = ?3 AND path = ?4";
    return db_.first(
        sql, [](const store::Statement& s) { return read_base(s, 0); }, tenant_, folder.user,
        folder.app, store::Blob{path});
}

Result<std::string> ClientStore::hash_at(const FolderId& folder, const std::string& path) {
    auto found = db_.first(
        "SELECT hash FROM sync_base WHERE tenant = ?1 AND user = ?2 AND app = ?3 AND path = ?4",
        [](const store::Statement& s) { return s.blob(0); }, tenant_, folder.user, folder.app,
        store::Blob{path});
    return found ? Result<std::string>(found->value_or("")) : found.error();
}

Result<bool> ClientStore::large_flat(const FolderId& folder, std::uint64_t size) {
    auto found = db_.first(
        "SELECT 1 FROM sync_base INDEXED BY sync_base_large_flat WHERE tenant = ?1 AND user = ?2 "
        "AND app = ?3 AND size = ?4 AND size > 1048576 AND length(hash) = 32 LIMIT 1",
        [](const store::Statement&) { return true; }, tenant_, folder.user, folder.app, size);
    return found ? Result<bool>(found->has_value()) : found.error();
}

Result<std::vector<std::string>> ClientStore::paths_with(const FolderId& folder,
                                                         const std::string& hash) {
    std::vector<std::string> out;
    Status read = db_.each(
        "SELECT path FROM sync_base WHERE tenant = ?1 AND user = ?2 AND app = ?3 AND hash = ?4 "
        "LIMIT 16",
        [&](const store::Statement& s) { out.push_back(s.blob(0)); }, tenant_, folder.user,
        folder.app, store::Blob{hash});
    if (!read) {
        return read.error();
    }
    return out;
}

Result<std::vector<std::string>> ClientStore::paths_of(const FolderId& folder, std::uint64_t inode,
                                                       std::uint64_t most) {
    std::vector<std::string> out;
    Status read = db_.each(
        "SELECT path FROM sync_base WHERE tenant = ?1 AND user = ?2 AND app = ?3 AND stat_inode = "
        "?4 AND kind = 1 LIMIT ?5",
        [&](const store::Statement& s) { out.push_back(s.blob(0)); }, tenant_, folder.user,
        folder.app, inode, most);
    if (!read) {
        return read.error();
    }
    return out;
}

Status ClientStore::put_base(const FolderId& folder, const std::string& path, const BaseRow& row) {
    const Entry& e = row.entry;
    return store::done(db_.execute(
        "INSERT OR REPLACE INTO sync_base (tenant, user, app, path, kind, mode, mtime_us, size, "
        "hash, target, revision, signature, stat_size, stat_mtime, stat_ctime, stat_inode, "
        "seen_us, attributes, seen_attributes) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, "
        "?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)",
        tenant_, folder.user, folder.app, store::Blob{path}, static_cast<int>(e.kind), e.mode,
        e.mtime_us, e.size, store::Blob{e.hash}, store::Blob{e.target}, e.revision,
        store::Blob{row.signature}, row.seen.stat.size, row.seen.stat.mtime_ns,
        row.seen.stat.ctime_ns, row.seen.stat.inode, row.seen.at_us, store::Blob{e.attributes},
        store::Blob{seen_bytes(row.seen)}));
}

Status ClientStore::put_seen(const FolderId& folder, const std::string& path, const Seen& seen) {
    return store::done(db_.execute(
        "UPDATE sync_base SET stat_size = ?5, stat_mtime = ?6, stat_ctime = ?7, stat_inode = ?8, "
        "seen_us = ?9, seen_attributes = ?10 WHERE tenant = ?1 AND user = ?2 AND app = ?3 AND path "
        "= ?4",
        tenant_, folder.user, folder.app, store::Blob{path}, seen.stat.size, seen.stat.mtime_ns,
        seen.stat.ctime_ns, seen.stat.inode, seen.at_us, store::Blob{seen_bytes(seen)}));
}

Status ClientStore::put_signature(const FolderId& folder, const std::string& hash,
                                  const std::string& signature) {
    for (const char* sql :
         {"UPDATE sync_base SET signature = ?5 WHERE tenant = ?1 AND user = ?2 AND app = ?3 AND "
          "hash = ?4 AND signature = x''",
          "UPDATE sync_operations SET signature = ?5 WHERE tenant = ?1 AND user = ?2 AND app = ?3 "
          "AND hash = ?4 AND signature = x''",
          "UPDATE sync_placing SET signature = ?5 WHERE tenant = ?1 AND user = ?2 AND app = ?3 AND "
          "hash = ?4 AND signature = x''"}) {
        auto put = db_.execute(sql, tenant_, folder.user, folder.app, store::Blob{hash},
                               store::Blob{signature});
        if (!put || *put > 0) {
            return put ? Status{} : Status(put.error());
        }
    }
    return {};
}

Status ClientStore::drop_base(const FolderId& folder, const std::string& path) {
    return store::done(db_.execute(
        "DELETE FROM sync_base WHERE tenant = ?1 AND user = ?2 AND app = ?3 AND path = ?4", tenant_,
        folder.user, folder.app, store::Blob{path}));
}

Status ClientStore::drop_all_base(const FolderId& folder) {
    return store::done(
        db_.execute("DELETE FROM sync_base WHERE tenant = ?1 AND user = ?2 AND app = ?3", tenant_,
                    folder.user, folder.app));
}

Status ClientStore::put_placing(const FolderId& folder, const std::string& path,
                                const BaseRow& row) {
    const Entry& e = row.entry;
    return store::done(db_.execute(
        "INSERT OR REPLACE INTO sync_placing (tenant, user, app, path, kind, mode, mtime_us, size, "
        "hash, target, revision, signature, attributes) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, "
        "?9, ?10, ?11, ?12, ?13)",
        tenant_, folder.user, folder.app, store::Blob{path}, static_cast<int>(e.kind), e.mode,
        e.mtime_us, e.size, store::Blob{e.hash}, store::Blob{e.target}, e.revision,
        store::Blob{row.signature}, store::Blob{e.attributes}));
}

Result<std::map<std::string, BaseRow>> ClientStore::placing(const FolderId& folder) {
    std::map<std::string, BaseRow> out;
    Status read = db_.each(
        "SELECT path, kind, mode, mtime_us, size, hash, target, revision, signature, 0, 0, 0, 0, "
        "0, "
        "attributes, x'' FROM sync_placing WHERE tenant = ?1 AND user = ?2 AND app = ?3",
        [&](const store::Statement& s) { out.emplace(s.blob(0), read_base(s, 1)); }, tenant_,
        folder.user, folder.app);
    if (!read) {
        return read.error();
    }
    return out;
}

Status ClientStore::drop_placing(const FolderId& folder) {
    return store::done(
        db_.execute("DELETE FROM sync_placing WHERE tenant = ?1 AND user = ?2 AND app = ?3",
                    tenant_, folder.user, folder.app));
}

Result<std::vector<FolderId>> ClientStore::folders_placing() {
    std::vector<FolderId> out;
    Status read = db_.each(
        "SELECT DISTINCT user, app FROM sync_placing WHERE tenant = ?1 ORDER BY user, app",
        [&](const store::Statement& s) {
            out.push_back({s.text(0), s.text(1)});
        },
        tenant_);
    if (!read) {
        return read.error();
    }
    return out;
}

Result<std::optional<BatchRow>> ClientStore::batch(const FolderId& folder) {
    return db_.first(
        "SELECT batch, bytes, content, more FROM sync_batches WHERE tenant = ?1 AND user = ?2 AND "
        "app = ?3",
        [](const store::Statement& s) {
            return BatchRow{s.text(0), s.count(1), s.count(2), s.truth(3)};
        },
        tenant_, folder.user, folder.app);
}

Result<std::vector<OperationRow>> ClientStore::operations(const FolderId& folder) {
    static const std::string sql =
        std::string("SELECT path, ") + base_columns +
        " FROM sync_operations WHERE tenant = ?1 AND user = ?2 AND app = ?3 ORDER BY position";
    std::vector<OperationRow> out;
    Status read = db_.each(
        sql,
        [&](const store::Statement& s) {
            out.push_back({s.blob(0), s.integer(1) == 0, read_base(s, 1)});
        },
        tenant_, folder.user, folder.app);
    if (!read) {
        return read.error();
    }
    return out;
}

Status ClientStore::put_batch(const FolderId& folder, const BatchRow& batch,
                              const std::vector<OperationRow>& operations, std::int64_t at_us) {
    auto put = db_.execute(
        "INSERT INTO sync_batches (tenant, user, app, batch, bytes, content, more, made_us) VALUES "
        "(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        tenant_, folder.user, folder.app, batch.batch, batch.bytes, batch.content, batch.more,
        at_us);
    if (!put.ok()) {
        return put.error();
    }
    std::int64_t position = 0;
    for (const OperationRow& op : operations) {
        const Entry& e = op.row.entry;
        auto added = db_.execute(
            "INSERT INTO sync_operations (tenant, user, app, position, path, kind, mode, mtime_us, "
            "size, hash, target, revision, signature, stat_size, stat_mtime, stat_ctime, "
            "stat_inode, seen_us, attributes, seen_attributes) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, "
            "?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)",
            tenant_, folder.user, folder.app, position++, store::Blob{op.path},
            op.remove ? 0 : static_cast<int>(e.kind), e.mode, e.mtime_us, e.size,
            store::Blob{e.hash}, store::Blob{e.target}, e.revision, store::Blob{op.row.signature},
            op.row.seen.stat.size, op.row.seen.stat.mtime_ns, op.row.seen.stat.ctime_ns,
            op.row.seen.stat.inode, op.row.seen.at_us, store::Blob{e.attributes},
            store::Blob{seen_bytes(op.row.seen)});
        if (!added.ok()) {
            return added.error();
        }
    }
    return {};
}

Status ClientStore::drop_batch(const FolderId& folder) {
    auto gone =
        db_.execute("DELETE FROM sync_operations WHERE tenant = ?1 AND user = ?2 AND app = ?3",
                    tenant_, folder.user, folder.app);
    if (!gone.ok()) {
        return gone.error();
    }
    return store::done(
        db_.execute("DELETE FROM sync_batches WHERE tenant = ?1 AND user = ?2 AND app = ?3",
                    tenant_, folder.user, folder.app));
}

} // namespace hasp::sync
