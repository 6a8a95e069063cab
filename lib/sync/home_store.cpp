#include "home_store.h"

#include "embedded/sync_home_sql.h"
#include "store/migrate.h"

namespace hasp::sync {

namespace {

constexpr const char* columns = "path, kind, mode, mtime_us, size, hash, target, revision, ";

} // namespace

Row read_row(const store::Statement& s) {
    Row row;
    row.path = s.blob(0);
    row.revision = static_cast<std::uint64_t>(s.integer(7));
    if (s.integer(1) != 0) {
        row.entry = Entry{static_cast<FileKind>(s.integer(1)),
                          static_cast<std::uint32_t>(s.integer(2)),
                          s.integer(3),
                          static_cast<std::uint64_t>(s.integer(4)),
                          s.blob(5),
                          s.blob(6),
                          row.revision,
                          s.blob(8)};
    }
    return row;
}

std::string select_rows(const char* table, const char* where, bool attributes) {
    return std::string("SELECT ") + columns + (attributes ? "attributes" : "x''") + " FROM " +
           table + " WHERE tenant = ?1 AND user = ?2 AND app = ?3 AND " + where;
}

Status HomeStore::migrate() {
    return store::migrate(db_, "files", embedded::sync_home_sql());
}

Result<Revision> HomeStore::revision(const FolderId& folder) {
    auto found = db_.first(
        "SELECT epoch, number FROM files_folders WHERE tenant = ?1 AND user = ?2 AND app = ?3",
        [](const store::Statement& s) {
            return Revision{static_cast<std::uint64_t>(s.integer(0)),
                            static_cast<std::uint64_t>(s.integer(1))};
        },
        tenant_, folder.user, folder.app);
    if (!found.ok()) {
        return found.error();
    }
    return found->value_or(Revision{});
}

Status HomeStore::set_revision(const FolderId& folder, Revision revision) {
    return store::done(db_.execute(
        "INSERT INTO files_folders (tenant, user, app, epoch, number) VALUES (?1, ?2, ?3, ?4, ?5) "
        "ON CONFLICT DO UPDATE SET number = excluded.number",
        tenant_, folder.user, folder.app, revision.epoch, revision.number));
}

Result<std::optional<Row>> HomeStore::row(const FolderId& folder, const std::string& path) {
    static const std::string sql = select_rows("files_rows", "path = ?4");
    return db_.first(sql, read_row, tenant_, folder.user, folder.app, store::Blob{path});
}

Result<std::vector<Row>> HomeStore::rows_below(const FolderId& folder, const std::string& path,
                                               std::int64_t most) {
    static const std::string sql =
        select_rows("files_rows", "path > ?4 AND path < ?5 AND kind <> 0 ORDER BY path LIMIT ?6");
    std::vector<Row> out;
    const std::string from = path + "/";
    const std::string to = path + "0"; // the byte behind '/'
    Status read = db_.each(
        sql, [&](const store::Statement& s) { out.push_back(read_row(s)); }, tenant_, folder.user,
        folder.app, store::Blob{from}, store::Blob{to}, most);
    if (!read) {
        return read.error();
    }
    return out;
}

Result<std::uint64_t> HomeStore::attribute_bytes_below(const FolderId& folder,
                                                       const std::string& path) {
    auto bytes = db_.first(
        "SELECT coalesce(sum(length(attributes)), 0) FROM files_rows WHERE tenant = ?1 AND user = "
        "?2 AND app = ?3 AND path > ?4 AND path < ?5 AND kind <> 0",
        [](const store::Statement& s) { return s.count(0); }, tenant_, folder.user, folder.app,
        store::Blob{path + "/"}, store::Blob{path + "0"});
    return bytes ? Result<std::uint64_t>(bytes->value_or(0)) : bytes.error();
}

Result<std::optional<Row>> HomeStore::version_at(const FolderId& folder, const std::string& path,
                                                 std::uint64_t number) {
    static const std::string sql =
        select_rows("files_versions", "path = ?4 AND revision <= ?5 AND (ended = 0 OR ended > ?5) "
                                      "ORDER BY revision DESC LIMIT 1");
    return db_.first(sql, read_row, tenant_, folder.user, folder.app, store::Blob{path}, number);
}

Result<bool> HomeStore::had_content(const FolderId& folder, const std::string& hash,
                                    std::uint64_t number) {
    auto found = db_.first(
        "SELECT 1 FROM files_versions WHERE tenant = ?1 AND user = ?2 AND hash = ?4 AND app = ?3 "
        "AND revision <= ?5 AND (ended = 0 OR ended > ?5) LIMIT 1",
        [](const store::Statement&) { return true; }, tenant_, folder.user, folder.app,
        store::Blob{hash}, number);
    if (!found.ok()) {
        return found.error();
    }
    return found->has_value();
}

Result<bool> HomeStore::has_version_with(const FolderId& folder, const std::string& hash) {
    auto found = db_.first(
        "SELECT 1 FROM files_versions WHERE tenant = ?1 AND user = ?2 AND hash = ?4 AND app = ?3 "
        "LIMIT 1",
        [](const store::Statement&) { return true; }, tenant_, folder.user, folder.app,
        store::Blob{hash});
    return found.ok() ? Result<bool>(found->has_value()) : found.error();
}

Status HomeStore::forget_user(const std::string& user) {
    for (const char* sql : {"DELETE FROM files_folders WHERE tenant = ?1 AND user = ?2",
                            "DELETE FROM files_rows WHERE tenant = ?1 AND user = ?2",
                            "DELETE FROM files_versions WHERE tenant = ?1 AND user = ?2",
                            "DELETE FROM files_batches WHERE tenant = ?1 AND user = ?2",
                            "DELETE FROM files_epochs WHERE tenant = ?1 AND user = ?2",
                            "DELETE FROM files_quarantine WHERE tenant = ?1 AND user = ?2"}) {
        if (Status gone = store::done(db_.execute(sql, tenant_, user)); !gone) {
            return gone;
        }
    }
    return {};
}

Result<std::vector<std::string>> HomeStore::users() {
    std::vector<std::string> out;
    Status read = db_.each(
        "SELECT user FROM files_folders WHERE tenant = ?1 UNION SELECT user FROM content_keys "
        "WHERE tenant = ?1",
        [&](const store::Statement& s) { out.push_back(s.text(0)); }, tenant_);
    if (!read) {
        return read.error();
    }
    return out;
}

Status HomeStore::put(const FolderId& folder, const Row& row, const std::string& operation,
                      std::int64_t at_us, const std::string& who) {
    const Entry entry = row.entry.value_or(Entry{});
    const int kind = row.entry ? static_cast<int>(entry.kind) : 0;
    auto now = db_.execute(
        "INSERT OR REPLACE INTO files_rows (tenant, user, app, path, kind, mode, mtime_us, size, "
        "hash, target, revision, operation, attributes) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, "
        "?9, "
        "?10, ?11, ?12, ?13)",
        tenant_, folder.user, folder.app, store::Blob{row.path}, kind, entry.mode, entry.mtime_us,
        entry.size, store::Blob{entry.hash}, store::Blob{entry.target}, row.revision, operation,
        store::Blob{entry.attributes});
    if (!now.ok()) {
        return now.error();
    }
    // The rule's time goes on where a clock went back: else the next pass would find it long gone.
    auto before = db_.execute(
        "UPDATE files_versions SET ended = ?5, ended_us = MAX(?6, COALESCE((SELECT "
        "MAX(rule_now_us, rule_ended_us) FROM content_state WHERE tenant = ?1), 0)), removed = ?7 "
        "WHERE tenant = ?1 AND user = ?2 AND app = ?3 AND path = ?4 AND ended = 0",
        tenant_, folder.user, folder.app, store::Blob{row.path}, row.revision, at_us,
        row.entry ? 0 : 1);
    if (!before.ok()) {
        return before.error();
    }
    return store::done(db_.execute(
        "INSERT INTO files_versions (tenant, user, app, path, kind, mode, mtime_us, size, hash, "
        "target, revision, operation, at_us, who, attributes) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, "
        "?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
        tenant_, folder.user, folder.app, store::Blob{row.path}, kind, entry.mode, entry.mtime_us,
        entry.size, store::Blob{entry.hash}, store::Blob{entry.target}, row.revision, operation,
        at_us, who, store::Blob{entry.attributes}));
}

Result<std::optional<HomeStore::Batch>> HomeStore::batch(const FolderId& folder,
                                                         const std::string& id) {
    return db_.first(
        "SELECT number, verdicts FROM files_batches WHERE tenant = ?1 AND user = ?2 AND app = ?3 "
        "AND batch = ?4",
        [](const store::Statement& s) {
            return Batch{static_cast<std::uint64_t>(s.integer(0)), s.blob(1)};
        },
        tenant_, folder.user, folder.app, id);
}

Status HomeStore::put_batch(const FolderId& folder, const std::string& id, const Batch& batch,
                            std::int64_t at_us) {
    return store::done(db_.execute(
        "INSERT INTO files_batches (tenant, user, app, batch, number, verdicts, at_us) VALUES (?1, "
        "?2, ?3, ?4, ?5, ?6, ?7)",
        tenant_, folder.user, folder.app, id, batch.number, store::Blob{batch.verdicts}, at_us));
}

Status HomeStore::drop_batches(std::int64_t before_us) {
    return store::done(db_.execute("DELETE FROM files_batches WHERE tenant = ?1 AND at_us < ?2",
                                   tenant_, before_us));
}

} // namespace hasp::sync
