// What this tier granted to sessions at its children.
#include "base/clock.h"
#include "base/text.h"
#include "sqlite_session_store.h"
#include "store/transaction.h"

#include <algorithm>

namespace hasp::signon {

using store::Statement;
using store::Transaction;

namespace {

// child, identity, until_us, asked_again from column 0 on.
std::optional<Grant> read_grant(const Statement& row) {
    auto identity = read_identity(row.view(1), row.integer(2));
    if (!identity) {
        return std::nullopt;
    }
    return Grant{row.text(0), std::move(*identity), row.truth(3)};
}

} // namespace

Status SqliteSessionStore::put_grant(const Grant& grant) {
    if (!valid_name(grant.child)) {
        return fail(Code::usage, "a grant to a child without a valid name");
    }
    Identity identity = grant.identity;
    normalise(identity);
    if (Status valid = validate(identity); !valid) {
        return valid;
    }
    auto transaction = Transaction::begin(db_);
    if (!transaction) {
        return transaction.error();
    }
    auto others = db_.first(
        "SELECT count(*) FROM signon_grants WHERE tenant = ?1 AND child = ?2 AND sid <> ?3",
        [](const Statement& row) { return row.integer(0); }, tenant_, grant.child, identity.sid);
    if (!others) {
        return others.error();
    }
    if (*others && static_cast<std::size_t>(**others) >= grants_per_child_max) {
        return fail(Code::try_later, grant.child + " has too many sessions at a time");
    }
    auto put =
        db_.execute("INSERT INTO signon_grants (tenant, child, sid, user, identity, "
                    "until_us, put_us, begun_generation, generation, asked_again) VALUES (?1, "
                    "?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8, ?9) "
                    "ON CONFLICT (tenant, child, sid) DO UPDATE SET user = excluded.user, "
                    "identity = excluded.identity, until_us = excluded.until_us, "
                    "put_us = excluded.put_us, begun_generation = "
                    "excluded.begun_generation, generation = excluded.generation, "
                    "asked_again = excluded.asked_again",
                    tenant_, grant.child, identity.sid, identity.user, encode(identity),
                    identity.until_us, clock_.wall_us(), identity.generation, grant.asked_again);
    return put ? transaction->commit() : Status{put.error()};
}

Result<std::optional<Grant>> SqliteSessionStore::grant(const std::string& child,
                                                       std::string_view sid) {
    auto row = db_.first(
        "SELECT child, identity, until_us, asked_again FROM signon_grants WHERE tenant = ?1 "
        "AND child = ?2 AND sid = ?3 AND until_us > ?4",
        read_grant, tenant_, child, sid, clock_.wall_us());
    if (!row) {
        return row.error();
    }
    return row->has_value() ? std::move(**row) : std::nullopt;
}

Result<std::vector<Grant>> SqliteSessionStore::grants(std::string_view sql,
                                                      const std::string& key) {
    std::vector<Grant> found;
    Status read = db_.each(
        sql,
        [&](const Statement& row) {
            if (auto grant = read_grant(row)) {
                found.push_back(std::move(*grant));
            }
        },
        tenant_, key);
    if (!read) {
        return read.error();
    }
    // One that is over already is no news to anybody.
    std::erase_if(found,
                  [&](const Grant& grant) { return grant.identity.until_us <= clock_.wall_us(); });
    return found;
}

Result<std::vector<Grant>> SqliteSessionStore::grants_of_user(const std::string& user) {
    return grants("SELECT child, identity, until_us, asked_again FROM signon_grants WHERE tenant = "
                  "?1 AND user "
                  "= ?2 ORDER BY child, sid",
                  user);
}

Result<std::vector<Grant>> SqliteSessionStore::grants_of_child(const std::string& child) {
    return grants("SELECT child, identity, until_us, asked_again FROM signon_grants WHERE tenant = "
                  "?1 AND child "
                  "= ?2 ORDER BY user, sid",
                  child);
}

Result<std::vector<Grant>> SqliteSessionStore::end_grants_of_child(const std::string& child) {
    return grants("DELETE FROM signon_grants WHERE tenant = ?1 AND child = ?2 RETURNING child, "
                  "identity, until_us, asked_again",
                  child);
}

Result<std::int64_t> SqliteSessionStore::renew_grant(const std::string& child,
                                                     const std::string& sid) {
    auto held = grant(child, sid);
    if (!held) {
        return held.error();
    }
    if (!*held) {
        return no_session();
    }
    auto put_us = db_.first(
        "SELECT put_us FROM signon_grants WHERE tenant = ?1 AND child = ?2 AND sid = ?3",
        [](const Statement& row) { return row.integer(0); }, tenant_, child, sid);
    if (!put_us) {
        return put_us.error();
    }
    const std::int64_t new_us =
        std::min(clock_.wall_us() + times_.idle_us, put_us->value_or(0) + times_.age_max_us);
    if (new_us - (*held)->identity.until_us <= session_renew_step_us) {
        return (*held)->identity.until_us;
    }
    auto renewed = db_.execute(
        "UPDATE signon_grants SET until_us = ?4 WHERE tenant = ?1 AND child = ?2 AND sid = ?3",
        tenant_, child, sid, new_us);
    if (!renewed) {
        return renewed.error();
    }
    return new_us;
}

Status SqliteSessionStore::end_grant(const std::string& child, const std::string& sid) {
    return status_of(
        db_.execute("DELETE FROM signon_grants WHERE tenant = ?1 AND child = ?2 AND sid = ?3",
                    tenant_, child, sid));
}

} // namespace hasp::signon
