#include "quarantine_store.h"

#include "sync/home.h"

namespace hasp::sync {

namespace {

constexpr const char* held_columns =
    "id, user, app, path, hash, mode, mtime_us, size, revision, found, "
    "released, who, at_us, attributes";

Quarantined read_held(const store::Statement& s) {
    Quarantined one;
    one.id = s.integer(0);
    one.user = s.text(1);
    one.app = s.text(2);
    one.path = s.blob(3);
    one.entry = {FileKind::file,
                 static_cast<std::uint32_t>(s.integer(5)),
                 s.integer(6),
                 static_cast<std::uint64_t>(s.integer(7)),
                 s.blob(4),
                 "",
                 static_cast<std::uint64_t>(s.integer(8)),
                 s.blob(13)};
    one.found = s.text(9);
    one.released = s.truth(10);
    one.who = s.text(11);
    one.at_us = s.integer(12);
    return one;
}

std::string held_where(const char* where) {
    return std::string("SELECT ") + held_columns + " FROM files_quarantine WHERE tenant = ?1 AND " +
           where;
}

} // namespace

Result<bool> QuarantineStore::empty(const std::string& user) {
    auto found = db_.first(
        "SELECT 1 FROM files_quarantine WHERE tenant = ?1 AND user = ?2 LIMIT 1",
        [](const store::Statement&) { return true; }, tenant_, user);
    return found ? Result<bool>(!found->has_value()) : found.error();
}

Result<std::optional<Quarantined>> QuarantineStore::of(const std::string& user,
                                                       const std::string& hash) {
    static const std::string sql =
        held_where("user = ?2 AND hash = ?3 ORDER BY released DESC, found = '', id LIMIT 1");
    return db_.first(sql, read_held, tenant_, user, store::Blob{hash});
}

Result<std::optional<Quarantined>> QuarantineStore::row(std::int64_t id) {
    static const std::string sql = held_where("id = ?2");
    return db_.first(sql, read_held, tenant_, id);
}

Result<std::vector<std::string>> QuarantineStore::names_of_size(const std::string& user,
                                                                std::uint64_t size) {
    std::vector<std::string> out;
    Status done = db_.each(
        "SELECT DISTINCT hash FROM files_quarantine INDEXED BY files_quarantine_by_hash WHERE "
        "tenant = ?1 AND user = ?2 AND size = ?3",
        [&](const store::Statement& s) { out.push_back(s.blob(0)); }, tenant_, user, size);
    return done ? Result<std::vector<std::string>>(std::move(out)) : done.error();
}

Status QuarantineStore::put(const Quarantined& one) {
    return store::done(db_.execute(
        "INSERT INTO files_quarantine (tenant, user, app, path, hash, mode, mtime_us, size, "
        "revision, found, released, who, at_us, attributes) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, "
        "?8, "
        "?9, ?10, 0, ?11, ?12, ?13) ON CONFLICT (tenant, user, app, path, hash) DO UPDATE SET mode "
        "= excluded.mode, attributes = excluded.attributes, mtime_us = excluded.mtime_us, revision "
        "= excluded.revision, found = "
        "excluded.found, who = excluded.who",
        tenant_, one.user, one.app, store::Blob{one.path}, store::Blob{one.entry.hash},
        one.entry.mode, one.entry.mtime_us, one.entry.size, one.entry.revision, one.found, one.who,
        one.at_us, store::Blob{one.entry.attributes}));
}

Status QuarantineStore::release(const std::string& user, const std::string& hash) {
    return store::done(db_.execute("UPDATE files_quarantine SET released = 1 WHERE tenant = ?1 AND "
                                   "user = ?2 AND hash = ?3",
                                   tenant_, user, store::Blob{hash}));
}

Status QuarantineStore::drop(std::int64_t id) {
    return store::done(
        db_.execute("DELETE FROM files_quarantine WHERE tenant = ?1 AND id = ?2", tenant_, id));
}

Status QuarantineStore::drop_waiting(const std::string& user, const std::string& hash) {
    return store::done(db_.execute("DELETE FROM files_quarantine WHERE tenant = ?1 AND user = ?2 "
                                   "AND hash = ?3 AND found = '' AND released = 0",
                                   tenant_, user, store::Blob{hash}));
}

Result<std::vector<Quarantined>> QuarantineStore::with(const std::string& user,
                                                       const std::string& hash) {
    static const std::string sql =
        held_where("user = ?2 AND hash = ?3 AND released = 0 ORDER BY id");
    std::vector<Quarantined> out;
    Status done = db_.each(
        sql, [&](const store::Statement& s) { out.push_back(read_held(s)); }, tenant_, user,
        store::Blob{hash});
    return done ? Result<std::vector<Quarantined>>(std::move(out)) : done.error();
}

Result<std::vector<Quarantined>> QuarantineStore::list(std::size_t max) {
    static const std::string sql = held_where("released = 0 ORDER BY id LIMIT ?2");
    std::vector<Quarantined> out;
    Status done = db_.each(
        sql, [&](const store::Statement& s) { out.push_back(read_held(s)); }, tenant_, max);
    return done ? Result<std::vector<Quarantined>>(std::move(out)) : done.error();
}

Result<std::vector<Quarantined>> QuarantineStore::superfluous(std::int64_t before_us,
                                                              std::size_t max) {
    static const std::string sql = held_where(
        "(at_us < ?2 OR id IN (SELECT id FROM (SELECT id, row_number() OVER (PARTITION BY user "
        "ORDER BY id DESC) AS place FROM files_quarantine WHERE tenant = ?1 AND found <> '') "
        "WHERE place > ?3)) ORDER BY id LIMIT ?4");
    std::vector<Quarantined> out;
    Status done = db_.each(
        sql, [&](const store::Statement& s) { out.push_back(read_held(s)); }, tenant_, before_us,
        quarantine_files_max, max);
    return done ? Result<std::vector<Quarantined>>(std::move(out)) : done.error();
}

Result<QuarantineStore::Count> QuarantineStore::count() {
    auto found = db_.first(
        "SELECT count(*) FILTER (WHERE found <> ''), count(*) FILTER (WHERE found = '') FROM "
        "files_quarantine WHERE tenant = ?1 AND released = 0",
        [](const store::Statement& s) {
            return Count{static_cast<std::uint64_t>(s.integer(0)),
                         static_cast<std::uint64_t>(s.integer(1))};
        },
        tenant_);
    return found ? Result<Count>(found->value_or(Count{})) : found.error();
}

} // namespace hasp::sync
