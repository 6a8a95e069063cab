// The tables of releases and of those who publish them.
#include "maint/tier_store.h"
#include "store/db.h"

namespace hasp::maint {

namespace {
trust::Counter counter_at(const store::Statement& s, int column) {
    return {static_cast<std::uint64_t>(s.integer(column)),
            static_cast<std::uint64_t>(s.integer(column + 1))};
}
std::int64_t signed_of(std::uint64_t number) {
    return static_cast<std::int64_t>(number);
}
ReleaseRow read_release(const store::Statement& s) {
    return {s.text(0),        s.text(1), s.text(2), s.text(3), s.integer(4),
            counter_at(s, 5), s.blob(7), s.blob(8), s.text(9)};
}
} // namespace

Status TierStore::put_release(const ReleaseRow& r) {
    return store::done(db_->execute(
        "INSERT INTO maint_releases (tenant, app, release_id, manifest, commit_id, created_us, "
        "epoch, number, signature, key, source) "
        "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) "
        "ON CONFLICT (tenant, app, release_id) DO UPDATE SET manifest = excluded.manifest, "
        "created_us = excluded.created_us, epoch = excluded.epoch, number = excluded.number, "
        "signature = excluded.signature, key = excluded.key, source = excluded.source "
        "WHERE (excluded.epoch, excluded.number) > (epoch, number)",
        tenant_, r.app, r.release_id, r.manifest, r.commit_id, r.created_us,
        signed_of(r.sequence.epoch), signed_of(r.sequence.number), store::Blob{r.signature},
        store::Blob{r.key}, r.source));
}

Result<std::optional<ReleaseRow>> TierStore::release(const std::string& app,
                                                     const std::string& release_id) {
    return db_->first("SELECT app, release_id, manifest, commit_id, created_us, epoch, number, "
                      "signature, key, source FROM maint_releases "
                      "WHERE tenant = ?1 AND app = ?2 AND release_id = ?3",
                      read_release, tenant_, app, release_id);
}

Result<std::vector<ReleaseRow>> TierStore::releases(const std::string& app) {
    std::vector<ReleaseRow> rows;
    const Status read = db_->each(
        "SELECT app, release_id, '', commit_id, created_us, epoch, number, signature, key, source "
        "FROM maint_releases WHERE tenant = ?1 AND app = ?2 "
        "ORDER BY epoch DESC, number DESC, release_id",
        [&](const store::Statement& s) { rows.push_back(read_release(s)); }, tenant_, app);
    if (!read.ok()) {
        return read.error();
    }
    return rows;
}

Status TierStore::drop_release(const std::string& app, const std::string& release_id) {
    return store::done(db_->execute(
        "DELETE FROM maint_releases WHERE tenant = ?1 AND app = ?2 AND release_id = ?3", tenant_,
        app, release_id));
}

Result<std::optional<PublishersRow>> TierStore::publishers(const std::string& app) {
    return db_->first(
        "SELECT app, origin, statement, epoch, number, release_id FROM maint_publishers WHERE "
        "tenant = ?1 AND app = ?2",
        [](const store::Statement& s) {
            return PublishersRow{s.text(0), s.text(1), s.blob(2), counter_at(s, 3), s.text(5)};
        },
        tenant_, app);
}

Status TierStore::put_publishers(const PublishersRow& r) {
    return store::done(db_->execute(
        "INSERT INTO maint_publishers (tenant, app, origin, statement, epoch, number, release_id) "
        "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (tenant, app) DO UPDATE SET "
        "origin = excluded.origin, statement = excluded.statement, epoch = excluded.epoch, "
        "number = excluded.number, release_id = excluded.release_id",
        tenant_, r.app, r.origin, store::Blob{r.statement}, signed_of(r.newest.epoch),
        signed_of(r.newest.number), r.release_id));
}

} // namespace hasp::maint
