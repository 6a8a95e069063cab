#include "maint/tier_store.h"

#include "embedded/maint_sql.h"
#include "store/migrate.h"
#include "store/transaction.h"
#include "tier_rows.h"

#include "json_tools.h"
#include <algorithm>

namespace hasp::maint {

namespace {

constexpr const char* child_columns =
    "name, state, envelope_key, tls_key_sha256, certificates, verifier_key, epoch, "
    "desired_generation, reached_generation, "
    "lease_number, reached_lease, since_us, seen_us, report";

ChildRow read_child(const store::Statement& s) {
    return {s.text(0),     s.text(1),     s.blob(2),     s.text(3),    s.text(4),
            s.blob(5),     s.integer(6),  s.integer(7),  s.integer(8), s.integer(9),
            s.integer(10), s.integer(11), s.integer(12), s.text(13)};
}

} // namespace

Result<TierStore> TierStore::open(store::Db& db, std::string tenant) {
    if (Status migrated = store::migrate(db, "maint", embedded::maint_sql()); !migrated.ok()) {
        return migrated.error();
    }
    return TierStore(db, std::move(tenant));
}

Status TierStore::transact(const std::function<Status()>& work) {
    auto transaction = store::Transaction::begin(*db_);
    if (!transaction.ok()) {
        return transaction.error();
    }
    if (Status status = work(); !status.ok()) {
        return status;
    }
    return transaction->commit();
}

Result<std::string> TierStore::fact(const std::string& name) {
    auto found = db_->first(
        "SELECT value FROM maint_facts WHERE tenant = ?1 AND name = ?2",
        [](const store::Statement& s) { return s.text(0); }, tenant_, name);
    if (!found.ok()) {
        return found.error();
    }
    return found->value_or("");
}

Status TierStore::set_fact(const std::string& name, const std::string& value) {
    return store::done(
        db_->execute("INSERT INTO maint_facts (tenant, name, value) VALUES (?1, ?2, ?3) "
                     "ON CONFLICT (tenant, name) DO UPDATE SET value = excluded.value",
                     tenant_, name, value));
}

Result<std::vector<ChildRow>> TierStore::children() {
    std::vector<ChildRow> rows;
    const Status read = db_->each(
        std::string("SELECT ") + child_columns +
            " FROM maint_children WHERE tenant = ?1 ORDER BY name",
        [&](const store::Statement& s) { rows.push_back(read_child(s)); }, tenant_);
    if (!read.ok()) {
        return read.error();
    }
    return rows;
}

Result<std::optional<ChildRow>> TierStore::child(const std::string& name) {
    return db_->first(std::string("SELECT ") + child_columns +
                          " FROM maint_children WHERE tenant = ?1 AND name = ?2",
                      read_child, tenant_, name);
}

Status TierStore::put_child(const ChildRow& r) {
    return store::done(db_->execute(
        "INSERT INTO maint_children (tenant, name, state, envelope_key, tls_key_sha256, "
        "certificates, verifier_key, epoch, "
        "desired_generation, reached_generation, lease_number, reached_lease, since_us, seen_us, "
        "report) "
        "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15) "
        "ON CONFLICT (tenant, name) DO UPDATE SET state = excluded.state, envelope_key = "
        "excluded.envelope_key, "
        "tls_key_sha256 = excluded.tls_key_sha256, certificates = excluded.certificates, "
        "verifier_key = excluded.verifier_key, "
        "epoch = excluded.epoch, desired_generation = excluded.desired_generation, "
        "reached_generation = excluded.reached_generation, lease_number = excluded.lease_number, "
        "reached_lease = excluded.reached_lease, since_us = excluded.since_us, seen_us = "
        "excluded.seen_us, report = excluded.report",
        tenant_, r.name, r.state, store::Blob{r.envelope_key}, r.tls_key_sha256, r.certificates,
        store::Blob{r.verifier_key}, r.epoch, r.desired_generation, r.reached_generation,
        r.lease_number, r.reached_lease, r.since_us, r.seen_us, r.report));
}

Status TierStore::seen(const std::string& child, std::int64_t at_us, std::int64_t generation,
                       std::int64_t lease, const std::string& report) {
    return store::done(
        db_->execute("UPDATE maint_children SET seen_us = ?3, reached_generation = ?4, "
                     "reached_lease = ?5, report = ?6 "
                     "WHERE tenant = ?1 AND name = ?2",
                     tenant_, child, at_us, generation, lease, report));
}

Status TierStore::heard(const std::string& child, std::int64_t at_us) {
    return store::done(db_->execute("UPDATE maint_children SET seen_us = MAX(seen_us, ?3) "
                                    "WHERE tenant = ?1 AND name = ?2",
                                    tenant_, child, at_us));
}

Status TierStore::put_invitation(const InvitationRow& r) {
    return store::done(db_->execute(
        "INSERT INTO maint_invitations (tenant, id, child, secret_sha256, not_after_us, used_by) "
        "VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (tenant, id) DO UPDATE SET used_by = "
        "excluded.used_by",
        tenant_, r.id, r.child, store::Blob{r.secret_sha256}, r.not_after_us,
        store::Blob{r.used_by}));
}

Result<std::optional<InvitationRow>> TierStore::invitation(const std::string& id) {
    return db_->first(
        "SELECT id, child, secret_sha256, not_after_us, used_by FROM maint_invitations WHERE "
        "tenant = ?1 AND id = ?2",
        [](const store::Statement& s) {
            return InvitationRow{s.text(0), s.text(1), s.blob(2), s.integer(3), s.blob(4)};
        },
        tenant_, id);
}

Status TierStore::use_invitation(const std::string& child, const std::string& used_by) {
    return store::done(
        db_->execute("UPDATE maint_invitations SET used_by = ?3 WHERE tenant = ?1 AND child = ?2",
                     tenant_, child, store::Blob{used_by}));
}

Status TierStore::drop_invitations(const std::string& child) {
    return store::done(db_->execute(
        "DELETE FROM maint_invitations WHERE tenant = ?1 AND child = ?2", tenant_, child));
}

Result<std::vector<AppRow>> TierStore::apps() {
    std::vector<AppRow> rows;
    const Status read = db_->each(
        "SELECT name, release_id, origin, manifest, data_home, since_us FROM maint_apps WHERE "
        "tenant = ?1 ORDER BY name",
        [&](const store::Statement& s) { rows.push_back(read_app(s)); }, tenant_);
    if (!read.ok()) {
        return read.error();
    }
    return rows;
}

Result<std::optional<AppRow>> TierStore::app(const std::string& name) {
    return db_->first("SELECT name, release_id, origin, manifest, data_home, since_us FROM "
                      "maint_apps WHERE tenant = ?1 AND name = ?2",
                      read_app, tenant_, name);
}

Status TierStore::put_app(const AppRow& r) {
    return store::done(
        db_->execute("INSERT INTO maint_apps (tenant, name, release_id, origin, manifest, "
                     "data_home, since_us) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) "
                     "ON CONFLICT (tenant, name) DO UPDATE SET release_id = "
                     "excluded.release_id, origin = excluded.origin, "
                     "manifest = excluded.manifest, data_home = excluded.data_home, "
                     "since_us = excluded.since_us",
                     tenant_, r.name, r.release_id, r.origin, r.manifest, r.data_home, r.since_us));
}

Status TierStore::drop_app(const std::string& name) {
    return store::done(
        db_->execute("DELETE FROM maint_apps WHERE tenant = ?1 AND name = ?2", tenant_, name));
}

Status TierStore::assign(const AssignmentRow& r) {
    return transact([&]() -> Status {
        auto changed = db_->execute("INSERT INTO maint_assignments (tenant, child, target, app, "
                                    "release_id, origin, data_home, wanted, generation) "
                                    "SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, desired_generation + 1 "
                                    "FROM maint_children WHERE tenant = ?1 AND name = ?2 "
                                    "ON CONFLICT (tenant, child, target, app) DO UPDATE SET "
                                    "release_id = excluded.release_id, origin = excluded.origin, "
                                    "data_home = excluded.data_home, wanted = excluded.wanted, "
                                    "generation = excluded.generation "
                                    "WHERE release_id != excluded.release_id OR wanted != "
                                    "excluded.wanted OR data_home != excluded.data_home",
                                    tenant_, r.child, r.target, r.app, r.release_id, r.origin,
                                    r.data_home, r.wanted);
        if (!changed.ok()) {
            return changed.error();
        }
        if (*changed == 0) {
            return {};
        }
        return store::done(db_->execute("UPDATE maint_children SET desired_generation = "
                                        "desired_generation + 1 WHERE tenant = ?1 AND name = ?2",
                                        tenant_, r.child));
    });
}

Result<std::vector<AssignmentRow>> TierStore::assignments(const std::string& child) {
    std::vector<AssignmentRow> rows;
    const Status read = db_->each(
        "SELECT child, target, app, release_id, origin, data_home, wanted, generation FROM "
        "maint_assignments "
        "WHERE tenant = ?1 AND child = ?2 ORDER BY target, app",
        [&](const store::Statement& s) {
            rows.push_back({s.text(0), s.text(1), s.text(2), s.text(3), s.text(4), s.text(5),
                            s.truth(6), s.integer(7)});
        },
        tenant_, child);
    if (!read.ok()) {
        return read.error();
    }
    return rows;
}

Status TierStore::allow(const std::string& child, const std::string& kind, const std::string& name,
                        bool allowed) {
    if (allowed) {
        return store::done(db_->execute(
            "INSERT INTO maint_allowed (tenant, child, kind, name) VALUES (?1, ?2, ?3, ?4) "
            "ON CONFLICT (tenant, child, kind, name) DO NOTHING",
            tenant_, child, kind, name));
    }
    return store::done(db_->execute(
        "DELETE FROM maint_allowed WHERE tenant = ?1 AND child = ?2 AND kind = ?3 AND name = ?4",
        tenant_, child, kind, name));
}

Result<std::vector<std::pair<std::string, std::string>>>
TierStore::allowed(const std::string& child) {
    std::vector<std::pair<std::string, std::string>> rows;
    const Status read = db_->each(
        "SELECT kind, name FROM maint_allowed WHERE tenant = ?1 AND child = ?2 ORDER BY kind, name",
        [&](const store::Statement& s) { rows.emplace_back(s.text(0), s.text(1)); }, tenant_,
        child);
    if (!read.ok()) {
        return read.error();
    }
    return rows;
}

Result<std::string> TierStore::directory(const std::string& user) {
    auto found = db_->first(
        "SELECT child FROM maint_directory WHERE tenant = ?1 AND user = ?2",
        [](const store::Statement& s) { return s.text(0); }, tenant_, user);
    if (!found.ok()) {
        return found.error();
    }
    return found->value_or("");
}

Result<std::vector<std::string>> TierStore::directory_names() {
    std::vector<std::string> names;
    const Status read = db_->each(
        "SELECT user FROM maint_directory WHERE tenant = ?1 ORDER BY user",
        [&](const store::Statement& s) { names.push_back(s.text(0)); }, tenant_);
    if (!read.ok()) {
        return read.error();
    }
    return names;
}

Result<std::set<std::string>> TierStore::directory_of(const std::string& child) {
    std::set<std::string> names;
    const Status read = db_->each(
        "SELECT user FROM maint_directory WHERE tenant = ?1 AND child = ?2",
        [&](const store::Statement& s) { names.insert(s.text(0)); }, tenant_, child);
    if (!read.ok()) {
        return read.error();
    }
    return names;
}

Status TierStore::claim(const std::string& user, const std::string& child, std::int64_t now_us) {
    auto owner = directory(user);
    if (!owner.ok()) {
        return owner.error();
    }
    if (*owner == child) {
        return {};
    }
    auto held = db_->first(
        "SELECT count(*) FROM maint_directory WHERE tenant = ?1 AND child = ?2",
        [](const store::Statement& s) { return s.integer(0); }, tenant_, child);
    if (!held.ok()) {
        return held.error();
    }
    if (held->value_or(0) >= accounts_of_child_max) {
        return fail(Code::refused, "the tier '" + child + "' has as many account names as it may");
    }
    if (!owner->empty()) {
        return fail(Code::conflict,
                    "the account name '" + user + "' is in use under the tier '" + *owner + "'",
                    "account names are unique in a realm: choose another");
    }
    return store::done(
        db_->execute("INSERT INTO maint_directory (tenant, user, child, claimed_us) VALUES (?1, "
                     "?2, ?3, ?4) ON CONFLICT (tenant, user) DO NOTHING",
                     tenant_, user, child, now_us));
}

Status TierStore::unclaim(const std::string& user, const std::string& child) {
    return store::done(
        db_->execute("DELETE FROM maint_directory WHERE tenant = ?1 AND user = ?2 AND child = ?3",
                     tenant_, user, child));
}

Result<std::int64_t> TierStore::claimed_us(const std::string& user) {
    auto found = db_->first(
        "SELECT claimed_us FROM maint_directory WHERE tenant = ?1 AND user = ?2",
        [](const store::Statement& s) { return s.integer(0); }, tenant_, user);
    return found.ok() ? Result<std::int64_t>(found->value_or(0)) : found.error();
}

Result<std::optional<LeaseRow>> TierStore::lease(const std::string& child) {
    return db_->first(
        "SELECT child, number, envelope, sections, granted_us, expires_us FROM maint_leases WHERE "
        "tenant = ?1 AND child = ?2",
        [](const store::Statement& s) {
            LeaseRow row{s.text(0), s.integer(1), s.blob(2), {}, s.integer(4), s.integer(5)};
            const auto sections = nlohmann::json::parse(s.text(3), nullptr, false);
            if (sections.is_object()) {
                for (const auto& [name, hash] : sections.items()) {
                    row.sections[name] = hash.is_string() ? hash.get<std::string>() : "";
                }
            }
            return row;
        },
        tenant_, child);
}

Status TierStore::drop_lease(const std::string& child) {
    return store::done(
        db_->execute("DELETE FROM maint_leases WHERE tenant = ?1 AND child = ?2", tenant_, child));
}

Status TierStore::put_lease(const LeaseRow& row, const std::map<std::string, std::string>& bodies) {
    return transact([&]() -> Status {
        for (const auto& [sha256, body] : bodies) {
            if (auto put = db_->execute(
                    "INSERT INTO maint_sections (tenant, sha256, body) VALUES (?1, ?2, ?3) "
                    "ON CONFLICT (tenant, sha256) DO NOTHING",
                    tenant_, sha256, store::Blob{body});
                !put.ok()) {
                return put.error();
            }
        }
        if (auto put =
                db_->execute("INSERT INTO maint_leases (tenant, child, number, envelope, sections, "
                             "granted_us, expires_us) "
                             "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (tenant, child) DO "
                             "UPDATE SET number = excluded.number, "
                             "envelope = excluded.envelope, sections = excluded.sections, "
                             "granted_us = excluded.granted_us, "
                             "expires_us = excluded.expires_us",
                             tenant_, row.child, row.number, store::Blob{row.envelope},
                             nlohmann::json(row.sections).dump(), row.granted_us, row.expires_us);
            !put.ok()) {
            return put.error();
        }
        // Sections that no lease names any more.
        return store::done(
            db_->execute("DELETE FROM maint_sections WHERE tenant = ?1 AND sha256 NOT IN "
                         "(SELECT j.value FROM maint_leases l, "
                         "json_each(l.sections) j WHERE l.tenant = ?1)",
                         tenant_));
    });
}

Result<std::optional<std::string>> TierStore::section(const std::string& sha256) {
    return db_->first(
        "SELECT body FROM maint_sections WHERE tenant = ?1 AND sha256 = ?2",
        [](const store::Statement& s) { return s.blob(0); }, tenant_, sha256);
}

namespace {
// The last whole lines that fit.
std::string tail_of(const std::string& lines) {
    if (lines.size() <= error_lines_bytes_max) {
        return lines;
    }
    const std::string cut = lines.substr(lines.size() - error_lines_bytes_max);
    const std::size_t newline = cut.find('\n');
    return newline == std::string::npos ? cut : cut.substr(newline + 1);
}
} // namespace

Status TierStore::add_error(const ErrorRow& row) {
    std::erase_if(unwritten_errors_,
                  [&](const ErrorRow& old) { return old.id == row.id && old.text == row.text; });
    if (unwritten_errors_.size() == unwritten_errors_max) {
        unwritten_errors_.pop_front();
    }
    unwritten_errors_.push_back(row);
    Status written = transact([&]() -> Status {
        for (const ErrorRow& one : unwritten_errors_) {
            if (Status added = write_error(one); !added.ok()) {
                return added;
            }
        }
        return {};
    });
    if (written.ok()) {
        unwritten_errors_.clear();
    }
    return written;
}

Status TierStore::write_error(const ErrorRow& row) {
    if (auto dropped =
            db_->execute("DELETE FROM maint_errors WHERE tenant = ?1 AND id = ?2 AND text = ?3",
                         tenant_, row.id, row.text);
        !dropped.ok()) {
        return dropped.error();
    }
    if (auto added =
            db_->execute("INSERT INTO maint_errors (tenant, at_us, nonce, id, text, "
                         "last_lines) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                         tenant_, row.at_us, ++nonce_, row.id, row.text, tail_of(row.last_lines));
        !added.ok()) {
        return added.error();
    }
    return store::done(
        db_->execute("DELETE FROM maint_errors WHERE tenant = ?1 AND (at_us, nonce) NOT IN "
                     "(SELECT at_us, nonce FROM maint_errors "
                     "WHERE tenant = ?1 ORDER BY at_us DESC, nonce DESC LIMIT ?2)",
                     tenant_, errors_kept_max));
}

Result<std::vector<ErrorRow>> TierStore::errors(std::int64_t newest) {
    std::vector<ErrorRow> rows(unwritten_errors_.rbegin(), unwritten_errors_.rend());
    const Status read = db_->each(
        "SELECT at_us, id, text, last_lines FROM maint_errors WHERE tenant = ?1 ORDER BY at_us "
        "DESC, nonce "
        "DESC LIMIT ?2",
        [&](const store::Statement& s) {
            const bool newer = std::any_of(
                unwritten_errors_.begin(), unwritten_errors_.end(),
                [&](const ErrorRow& e) { return e.id == s.text(1) && e.text == s.text(2); });
            if (!newer) {
                rows.push_back({s.integer(0), s.text(1), s.text(2), s.text(3)});
            }
        },
        tenant_, newest);
    if (!read.ok()) {
        return read.error();
    }
    std::stable_sort(rows.begin(), rows.end(),
                     [](const ErrorRow& a, const ErrorRow& b) { return a.at_us > b.at_us; });
    rows.resize(std::min(rows.size(), static_cast<std::size_t>(newest)));
    return rows;
}

} // namespace hasp::maint
