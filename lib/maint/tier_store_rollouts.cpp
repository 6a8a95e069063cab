// The rows of rollouts and of what they go back to.
#include "tier_rows.h"

namespace hasp::maint {

Result<std::vector<AppRow>> TierStore::apps_kept(const std::string& role) {
    std::vector<AppRow> rows;
    const Status read = db_->each(
        "SELECT name, release_id, origin, manifest, data_home, since_us FROM maint_apps_kept WHERE "
        "tenant = ?1 AND role = ?2 ORDER BY name",
        [&](const store::Statement& s) { rows.push_back(read_app(s)); }, tenant_, role);
    if (!read.ok()) {
        return read.error();
    }
    return rows;
}

Result<std::optional<AppRow>> TierStore::app_kept(const std::string& role,
                                                  const std::string& name) {
    return db_->first("SELECT name, release_id, origin, manifest, data_home, since_us FROM "
                      "maint_apps_kept WHERE tenant = ?1 AND role = ?2 AND name = ?3",
                      read_app, tenant_, role, name);
}

Status TierStore::put_app_kept(const std::string& role, const AppRow& r) {
    return store::done(db_->execute(
        "INSERT INTO maint_apps_kept (tenant, role, name, release_id, origin, "
        "manifest, data_home, since_us) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, "
        "?8) ON CONFLICT (tenant, role, name) DO UPDATE SET release_id = "
        "excluded.release_id, origin = excluded.origin, manifest = "
        "excluded.manifest, data_home = excluded.data_home, since_us = "
        "excluded.since_us",
        tenant_, role, r.name, r.release_id, r.origin, r.manifest, r.data_home, r.since_us));
}

Status TierStore::drop_app_kept(const std::string& role, const std::string& name) {
    return store::done(
        db_->execute("DELETE FROM maint_apps_kept WHERE tenant = ?1 AND role = ?2 AND "
                     "name = ?3",
                     tenant_, role, name));
}

Result<std::vector<RolloutRow>> TierStore::rollouts() {
    std::vector<RolloutRow> rows;
    const Status read = db_->each(
        "SELECT app, release_id, state, serves, why, last_lines, at_us FROM maint_rollouts WHERE "
        "tenant = ?1 ORDER BY app",
        [&](const store::Statement& s) {
            rows.push_back(
                {s.text(0), s.text(1), s.text(2), s.text(3), s.text(4), s.text(5), s.integer(6)});
        },
        tenant_);
    if (!read.ok()) {
        return read.error();
    }
    return rows;
}

Status TierStore::put_rollout(const RolloutRow& r) {
    return store::done(db_->execute(
        "INSERT INTO maint_rollouts (tenant, app, release_id, state, serves, why, last_lines, "
        "at_us) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (tenant, app) DO UPDATE SET "
        "release_id = excluded.release_id, state = excluded.state, serves = excluded.serves, why = "
        "excluded.why, last_lines = excluded.last_lines, at_us = excluded.at_us",
        tenant_, r.app, r.release_id, r.state, r.serves, r.why, r.last_lines, r.at_us));
}

Status TierStore::drop_rollout(const std::string& app) {
    return store::done(
        db_->execute("DELETE FROM maint_rollouts WHERE tenant = ?1 AND app = ?2", tenant_, app));
}

} // namespace hasp::maint
