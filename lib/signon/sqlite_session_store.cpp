#include "signon/session_store.h"

#include "base/clock.h"
#include "base/random.h"
#include "base/text.h"
#include "store/db.h"
#include "store/transaction.h"
#include "text_rules.h"

#include <algorithm>

namespace hasp::signon {

namespace {

using store::Blob;
using store::Statement;
using store::Transaction;

constexpr std::size_t host_bytes_max = 300;

Error no_session() {
    return fail(Code::not_found, "the session has ended", "log in again");
}

// Values of our own making; a row that cannot be read counts as no row, so that one damaged row
// locks out one session.
std::optional<Identity> read_identity(std::string_view json, std::int64_t until_us) {
    auto identity = decode_identity(json);
    if (!identity) {
        return std::nullopt;
    }
    identity->until_us = until_us;
    return std::move(*identity);
}

// identity, origin, online, created_us, renewed_us, until_us from column 0 on.
std::optional<Session> read_session(const Statement& row) {
    auto identity = read_identity(row.view(0), row.integer(5));
    if (!identity) {
        return std::nullopt;
    }
    return Session{std::move(*identity), row.view(1) == "parent" ? Origin::parent : Origin::home,
                   row.truth(2), row.integer(3), row.integer(4)};
}

// child, identity, until_us from column 0 on.
std::optional<Grant> read_grant(const Statement& row) {
    auto identity = read_identity(row.view(1), row.integer(2));
    if (!identity) {
        return std::nullopt;
    }
    return Grant{row.text(0), std::move(*identity)};
}

Status status_of(const Result<std::int64_t>& changed) {
    return changed.ok() ? Status{} : Status{changed.error()};
}

class SqliteSessionStore final : public SessionStore {
  public:
    SqliteSessionStore(store::Db& db, const Clock& clock, Random& random, std::string tenant)
        : db_(db), clock_(clock), random_(random), tenant_(std::move(tenant)) {}

    Result<Opened> open(const Identity& who, Origin origin, bool online,
                        std::string_view host) override {
        return open_as(to_hex(random_.bytes(16)), who, origin, online, host);
    }
    Result<Opened> open_as(const std::string& sid, const Identity& who, Origin origin, bool online,
                           std::string_view host) override;
    Result<std::string> add_cookie(const std::string& sid, std::string_view host) override;
    Result<std::optional<Session>> by_cookie(std::string_view cookie,
                                             std::string_view host) override;
    Result<std::optional<Session>> by_sid(std::string_view sid) override;
    Result<std::vector<Session>> of_user(const std::string& user) override;
    Result<std::vector<Session>> all() override { return of_user(""); }
    Result<std::int64_t> renew(const std::string& sid) override;
    Result<std::vector<std::string>> refresh(const Identity& who) override;
    Status set_online(const std::string& sid, bool online) override;
    Status end(const std::string& sid) override;
    Result<std::vector<std::string>> end_user(const std::string& user) override;
    Status put_grant(const Grant& grant) override;
    Result<std::optional<Identity>> grant(const std::string& child, std::string_view sid) override;
    Result<std::vector<Grant>> grants_of_user(const std::string& user) override;
    Result<std::vector<Grant>> grants_of_child(const std::string& child) override;
    Result<std::int64_t> renew_grant(const std::string& child, const std::string& sid) override;
    Status end_grant(const std::string& child, const std::string& sid) override;
    Result<std::vector<Grant>> end_grants_of_user(const std::string& user) override;
    Result<std::vector<Grant>> end_grants_of_child(const std::string& child) override;
    Result<std::vector<std::string>> expire() override;

  private:
    Result<std::vector<std::string>> make_room(const std::string& user);
    Result<std::string> insert_cookie(const std::string& sid, std::string_view host);
    Result<std::vector<Grant>> grants(std::string_view sql, const std::string& key);
    template <typename... Values>
    Result<std::vector<std::string>> sids(std::string_view sql, const Values&... values);

    store::Db& db_;
    const Clock& clock_;
    Random& random_;
    std::string tenant_;
};

template <typename... Values>
Result<std::vector<std::string>> SqliteSessionStore::sids(std::string_view sql,
                                                          const Values&... values) {
    std::vector<std::string> found;
    Status read = db_.each(
        sql, [&](const Statement& row) { found.push_back(row.text(0)); }, tenant_, values...);
    if (!read) {
        return read.error();
    }
    return found;
}

Result<std::vector<std::string>> SqliteSessionStore::make_room(const std::string& user) {
    return sids(
        "DELETE FROM signon_sessions WHERE tenant = ?1 AND sid IN (SELECT sid FROM signon_sessions "
        "WHERE tenant = ?1 AND user = ?2 ORDER BY renewed_us DESC, sid LIMIT -1 OFFSET ?3) "
        "RETURNING sid",
        user, sessions_per_user_max - 1);
}

Result<std::string> SqliteSessionStore::insert_cookie(const std::string& sid,
                                                      std::string_view host) {
    if (host.size() > host_bytes_max) {
        return fail(Code::usage, "the host of a cookie is too long");
    }
    const std::string cookie = to_base64url(random_.bytes(32));
    // A host has one cookie of a session: a new one replaces it, so that their number is bounded by
    // the hosts.
    auto old =
        db_.execute("DELETE FROM signon_cookies WHERE tenant = ?1 AND sid = ?2 AND host = ?3",
                    tenant_, sid, to_lower(host));
    if (!old) {
        return old.error();
    }
    auto added = db_.execute(
        "INSERT INTO signon_cookies (tenant, cookie_sha256, host, sid) VALUES (?1, ?2, ?3, ?4)",
        tenant_, Blob{sha256(cookie)}, to_lower(host), sid);
    if (!added) {
        return added.error();
    }
    return cookie;
}

Result<Opened> SqliteSessionStore::open_as(const std::string& sid, const Identity& who,
                                           Origin origin, bool online, std::string_view host) {
    const std::int64_t now_us = clock_.wall_us();
    Session session{who, origin, online, now_us, now_us};
    session.identity.sid = sid;
    session.identity.until_us = now_us + session_idle_us;
    normalise(session.identity);
    if (Status valid = validate(session.identity); !valid) {
        return valid.error();
    }
    auto transaction = Transaction::begin(db_);
    if (!transaction) {
        return transaction.error();
    }
    auto displaced = make_room(who.user);
    if (!displaced) {
        return displaced.error();
    }
    auto added = db_.execute("INSERT INTO signon_sessions (tenant, sid, user, identity, origin, "
                             "online, created_us, renewed_us, until_us) "
                             "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, ?8)",
                             tenant_, sid, who.user, encode(session.identity),
                             origin == Origin::parent ? "parent" : "home", online, now_us,
                             session.identity.until_us);
    if (!added) {
        return added.error();
    }
    auto cookie = insert_cookie(sid, host);
    if (!cookie) {
        return cookie.error();
    }
    if (Status committed = transaction->commit(); !committed) {
        return committed.error();
    }
    return Opened{std::move(session), std::move(*cookie), std::move(*displaced)};
}

Result<std::string> SqliteSessionStore::add_cookie(const std::string& sid, std::string_view host) {
    auto transaction = Transaction::begin(db_);
    if (!transaction) {
        return transaction.error();
    }
    auto session = by_sid(sid);
    if (!session) {
        return session.error();
    }
    if (!*session) {
        return no_session();
    }
    auto cookie = insert_cookie(sid, host);
    if (!cookie) {
        return cookie.error();
    }
    if (Status committed = transaction->commit(); !committed) {
        return committed.error();
    }
    return std::move(*cookie);
}

Result<std::optional<Session>> SqliteSessionStore::by_cookie(std::string_view cookie,
                                                             std::string_view host) {
    auto row =
        db_.first("SELECT s.identity, s.origin, s.online, s.created_us, s.renewed_us, s.until_us "
                  "FROM signon_cookies c "
                  "JOIN signon_sessions s USING (tenant, sid) WHERE c.tenant = ?1 AND "
                  "c.cookie_sha256 = ?2 AND c.host = ?3 AND s.until_us > ?4",
                  read_session, tenant_, Blob{sha256(cookie)}, to_lower(host), clock_.wall_us());
    if (!row) {
        return row.error();
    }
    return row->has_value() ? std::move(**row) : std::nullopt;
}

Result<std::optional<Session>> SqliteSessionStore::by_sid(std::string_view sid) {
    auto row = db_.first(
        "SELECT identity, origin, online, created_us, renewed_us, until_us FROM signon_sessions "
        "WHERE tenant = ?1 AND sid = ?2 AND until_us > ?3",
        read_session, tenant_, sid, clock_.wall_us());
    if (!row) {
        return row.error();
    }
    return row->has_value() ? std::move(**row) : std::nullopt;
}

Result<std::vector<Session>> SqliteSessionStore::of_user(const std::string& user) {
    std::vector<Session> sessions;
    Status read = db_.each(
        "SELECT identity, origin, online, created_us, renewed_us, until_us FROM signon_sessions "
        "WHERE tenant = ?1 AND (?2 = '' OR user = ?2) AND until_us > ?3 ORDER BY user, created_us, "
        "sid",
        [&](const Statement& row) {
            if (auto session = read_session(row)) {
                sessions.push_back(std::move(*session));
            }
        },
        tenant_, user, clock_.wall_us());
    if (!read) {
        return read.error();
    }
    return sessions;
}

Result<std::int64_t> SqliteSessionStore::renew(const std::string& sid) {
    auto session = by_sid(sid);
    if (!session) {
        return session.error();
    }
    if (!*session) {
        return no_session();
    }
    const std::int64_t now_us = clock_.wall_us();
    const std::int64_t old_us = (*session)->identity.until_us;
    const std::int64_t new_us =
        std::min(now_us + session_idle_us, (*session)->created_us + session_age_max_us);
    if (new_us - old_us <= session_renew_step_us) {
        return old_us;
    }
    auto renewed = db_.execute(
        "UPDATE signon_sessions SET renewed_us = ?3, until_us = ?4 WHERE tenant = ?1 AND sid = ?2",
        tenant_, sid, now_us, new_us);
    if (!renewed) {
        return renewed.error();
    }
    return new_us;
}

Result<std::vector<std::string>> SqliteSessionStore::refresh(const Identity& who) {
    auto transaction = Transaction::begin(db_);
    if (!transaction) {
        return transaction.error();
    }
    auto found = sids("SELECT sid FROM signon_sessions WHERE tenant = ?1 AND user = ?2 UNION "
                      "SELECT sid FROM signon_grants "
                      "WHERE tenant = ?1 AND user = ?2 ORDER BY 1",
                      who.user);
    if (!found) {
        return found.error();
    }
    Identity identity = who;
    identity.until_us = 0;
    normalise(identity);
    for (const std::string& sid : *found) {
        identity.sid = sid;
        if (Status valid = validate(identity); !valid) {
            return valid.error();
        }
        const std::string json = encode(identity);
        for (const char* sql : {"UPDATE signon_sessions SET identity = ?3 WHERE tenant = ?1 AND "
                                "sid = ?2 AND user = ?4",
                                "UPDATE signon_grants SET identity = ?3 WHERE tenant = ?1 AND sid "
                                "= ?2 AND user = ?4"}) {
            if (auto set = db_.execute(sql, tenant_, sid, json, who.user); !set) {
                return set.error();
            }
        }
    }
    if (Status committed = transaction->commit(); !committed) {
        return committed.error();
    }
    return std::move(*found);
}

Status SqliteSessionStore::set_online(const std::string& sid, bool online) {
    auto set = db_.execute("UPDATE signon_sessions SET online = ?3 WHERE tenant = ?1 AND sid = ?2",
                           tenant_, sid, online);
    if (!set) {
        return set.error();
    }
    return *set > 0 ? Status{} : Status{no_session()};
}

Status SqliteSessionStore::end(const std::string& sid) {
    return status_of(
        db_.execute("DELETE FROM signon_sessions WHERE tenant = ?1 AND sid = ?2", tenant_, sid));
}

Result<std::vector<std::string>> SqliteSessionStore::end_user(const std::string& user) {
    return sids("DELETE FROM signon_sessions WHERE tenant = ?1 AND user = ?2 RETURNING sid", user);
}

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
    auto put = db_.execute("INSERT INTO signon_grants (tenant, child, sid, user, identity, "
                           "until_us, put_us) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) "
                           "ON CONFLICT (tenant, child, sid) DO UPDATE SET user = excluded.user, "
                           "identity = excluded.identity, until_us = excluded.until_us, "
                           "put_us = excluded.put_us",
                           tenant_, grant.child, identity.sid, identity.user, encode(identity),
                           identity.until_us, clock_.wall_us());
    return put ? transaction->commit() : Status{put.error()};
}

Result<std::optional<Identity>> SqliteSessionStore::grant(const std::string& child,
                                                          std::string_view sid) {
    auto row = db_.first("SELECT child, identity, until_us FROM signon_grants WHERE tenant = ?1 "
                         "AND child = ?2 AND sid = ?3 AND until_us > ?4",
                         read_grant, tenant_, child, sid, clock_.wall_us());
    if (!row) {
        return row.error();
    }
    return row->has_value() && (*row)->has_value() ? std::optional(std::move((**row)->identity))
                                                   : std::nullopt;
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
    return grants("SELECT child, identity, until_us FROM signon_grants WHERE tenant = ?1 AND user "
                  "= ?2 ORDER BY child, sid",
                  user);
}
Result<std::vector<Grant>> SqliteSessionStore::grants_of_child(const std::string& child) {
    return grants("SELECT child, identity, until_us FROM signon_grants WHERE tenant = ?1 AND child "
                  "= ?2 ORDER BY user, sid",
                  child);
}
Result<std::vector<Grant>> SqliteSessionStore::end_grants_of_user(const std::string& user) {
    return grants("DELETE FROM signon_grants WHERE tenant = ?1 AND user = ?2 RETURNING child, "
                  "identity, until_us",
                  user);
}
Result<std::vector<Grant>> SqliteSessionStore::end_grants_of_child(const std::string& child) {
    return grants("DELETE FROM signon_grants WHERE tenant = ?1 AND child = ?2 RETURNING child, "
                  "identity, until_us",
                  child);
}

Result<std::int64_t> SqliteSessionStore::renew_grant(const std::string& child,
                                                     const std::string& sid) {
    auto identity = grant(child, sid);
    if (!identity) {
        return identity.error();
    }
    if (!*identity) {
        return no_session();
    }
    auto put_us = db_.first(
        "SELECT put_us FROM signon_grants WHERE tenant = ?1 AND child = ?2 AND sid = ?3",
        [](const Statement& row) { return row.integer(0); }, tenant_, child, sid);
    if (!put_us) {
        return put_us.error();
    }
    const std::int64_t new_us =
        std::min(clock_.wall_us() + session_idle_us, put_us->value_or(0) + session_age_max_us);
    if (new_us - (*identity)->until_us <= session_renew_step_us) {
        return (*identity)->until_us;
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

Result<std::vector<std::string>> SqliteSessionStore::expire() {
    const std::int64_t now_us = clock_.wall_us();
    auto transaction = Transaction::begin(db_);
    if (!transaction) {
        return transaction.error();
    }
    if (auto gone = db_.execute("DELETE FROM signon_grants WHERE tenant = ?1 AND until_us <= ?2",
                                tenant_, now_us);
        !gone) {
        return gone.error();
    }
    auto ended = sids(
        "DELETE FROM signon_sessions WHERE tenant = ?1 AND until_us <= ?2 RETURNING sid", now_us);
    if (!ended) {
        return ended.error();
    }
    if (Status committed = transaction->commit(); !committed) {
        return committed.error();
    }
    return std::move(*ended);
}

} // namespace

std::unique_ptr<SessionStore> make_sqlite_session_store(store::Db& db, const Clock& clock,
                                                        Random& random, std::string tenant) {
    return std::make_unique<SqliteSessionStore>(db, clock, random, std::move(tenant));
}

} // namespace hasp::signon
