#include "sqlite_session_store.h"

#include "base/clock.h"
#include "base/random.h"
#include "base/text.h"
#include "store/transaction.h"
#include "text_rules.h"

#include <algorithm>

namespace hasp::signon {

using store::Blob;
using store::Statement;
using store::Transaction;

Error no_session() {
    return fail(Code::not_found, "the session has ended", "log in again");
}

std::optional<Identity> read_identity(std::string_view json, std::int64_t until_us) {
    auto identity = decode_identity(json);
    if (!identity) {
        return std::nullopt;
    }
    identity->until_us = until_us;
    return std::move(*identity);
}

namespace {

constexpr std::size_t host_bytes_max = 300;

// identity, origin, online, created_us, renewed_us, until_us, password_version from column 0 on.
std::optional<Session> read_session(const Statement& row) {
    auto identity = read_identity(row.view(0), row.integer(5));
    if (!identity) {
        return std::nullopt;
    }
    return Session{std::move(*identity), row.view(1) == "parent" ? Origin::parent : Origin::home,
                   row.truth(2),         row.integer(6),
                   row.integer(3),       row.integer(4)};
}

} // namespace

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

Result<Opened> SqliteSessionStore::open(const Identity& who, Origin origin, bool online,
                                        std::string_view host) {
    return open_as(to_hex(random_.bytes(16)), who, origin, online, host);
}

Result<Opened> SqliteSessionStore::open_as(const std::string& sid, const Identity& who,
                                           Origin origin, bool online, std::string_view host) {
    return add(sid, {who, origin, online}, host);
}

Result<Opened> SqliteSessionStore::open_offline(const std::string& sid, const Identity& who,
                                                std::int64_t password_version,
                                                std::string_view host) {
    return add(sid, {who, Origin::parent, false, password_version}, host);
}

Result<Opened> SqliteSessionStore::add(const std::string& sid, Session session,
                                       std::string_view host) {
    const std::int64_t now_us = clock_.wall_us();
    session.created_us = session.renewed_us = now_us;
    session.identity.sid = sid;
    session.identity.until_us = now_us + times_.idle_us;
    normalise(session.identity);
    if (Status valid = validate(session.identity); !valid) {
        return valid.error();
    }
    auto transaction = Transaction::begin(db_);
    if (!transaction) {
        return transaction.error();
    }
    const std::string user = session.identity.user;
    auto displaced = make_room(user);
    if (!displaced) {
        return displaced.error();
    }
    auto added = db_.execute("INSERT INTO signon_sessions (tenant, sid, user, identity, origin, "
                             "online, created_us, renewed_us, until_us, password_version, "
                             "begun_generation, generation) "
                             "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, ?8, ?9, ?10, ?10)",
                             tenant_, sid, user, encode(session.identity),
                             session.origin == Origin::parent ? "parent" : "home", session.online,
                             now_us, session.identity.until_us, session.password_version,
                             session.identity.generation);
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
        db_.first("SELECT s.identity, s.origin, s.online, s.created_us, s.renewed_us, s.until_us, "
                  "s.password_version "
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
    auto row = db_.first("SELECT identity, origin, online, created_us, renewed_us, until_us, "
                         "password_version FROM signon_sessions "
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
        "SELECT identity, origin, online, created_us, renewed_us, until_us, password_version FROM "
        "signon_sessions "
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
        std::min(now_us + times_.idle_us, (*session)->created_us + times_.age_max_us);
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
    auto found = sids("SELECT sid FROM signon_sessions WHERE tenant = ?1 AND user = ?2 AND "
                      "generation <= ?3 UNION SELECT sid FROM signon_grants "
                      "WHERE tenant = ?1 AND user = ?2 AND generation <= ?3 AND asked_again = 0 "
                      "ORDER BY 1",
                      who.user, who.generation > 0 ? who.generation : INT64_MAX);
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
        for (const char* sql : {"UPDATE signon_sessions SET identity = ?3, generation = ?5 WHERE "
                                "tenant = ?1 AND sid = ?2 AND user = ?4",
                                "UPDATE signon_grants SET identity = ?3, generation = ?5 WHERE "
                                "tenant = ?1 AND sid = ?2 AND user = ?4 AND asked_again = 0"}) {
            if (auto set = db_.execute(sql, tenant_, sid, json, who.user, who.generation); !set) {
                return set.error();
            }
        }
    }
    if (Status committed = transaction->commit(); !committed) {
        return committed.error();
    }
    return std::move(*found);
}

Status SqliteSessionStore::follow(const AccountNews& news) {
    auto transaction = Transaction::begin(db_);
    if (!transaction) {
        return transaction.error();
    }
    if (Status ended = end_outdated(news); !ended) {
        return ended;
    }
    if (news.identity) {
        Identity who = *news.identity;
        who.generation = news.state.generation;
        if (auto refreshed = refresh(who); !refreshed) {
            return refreshed.error();
        }
    }
    return transaction->commit();
}

Status SqliteSessionStore::end_outdated(const AccountNews& news) {
    const bool all = news.state.generation == 0;
    auto short_ones = db_.execute("DELETE FROM signon_grants WHERE tenant = ?1 AND user = ?2 AND "
                                  "asked_again = 1 AND generation < ?3",
                                  tenant_, news.user, all ? INT64_MAX : news.state.generation);
    if (!short_ones || (all && news.identity)) {
        return status_of(short_ones);
    }
    for (const char* table : {"signon_sessions", "signon_grants"}) {
        const std::string those =
            "DELETE FROM " + std::string(table) + " WHERE tenant = ?1 AND user = ?2";
        Result<std::int64_t> ended = 0;
        if (all) {
            ended = db_.execute(those, tenant_, news.user);
        } else if (news.identity) {
            ended = db_.execute(those + " AND begun_generation > 0 AND begun_generation < ?3",
                                tenant_, news.user, news.state.sessions_from);
        } else {
            ended = db_.execute(those + " AND (begun_generation < ?3 OR generation < ?4)", tenant_,
                                news.user, news.state.sessions_from, news.state.generation);
        }
        if (!ended) {
            return ended.error();
        }
    }
    return {};
}

Status SqliteSessionStore::end(const std::string& sid) {
    return status_of(
        db_.execute("DELETE FROM signon_sessions WHERE tenant = ?1 AND sid = ?2", tenant_, sid));
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

std::unique_ptr<SessionStore> make_sqlite_session_store(store::Db& db, const Clock& clock,
                                                        Random& random, std::string tenant,
                                                        const SessionTimes& times) {
    return std::make_unique<SqliteSessionStore>(db, clock, random, std::move(tenant), times);
}

} // namespace hasp::signon
