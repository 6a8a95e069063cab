// Private: sessions and grants on SQLite. Sessions are in sqlite_session_store.cpp, grants in
// sqlite_grants.cpp.
#pragma once

#include "signon/session_store.h"
#include "status_of.h"
#include "store/db.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hasp::signon {

class SqliteSessionStore final : public SessionStore {
  public:
    SqliteSessionStore(store::Db& db, const Clock& clock, Random& random, std::string tenant,
                       const SessionTimes& times)
        : db_(db), clock_(clock), random_(random), tenant_(std::move(tenant)), times_(times) {}

    Result<Opened> open(const Identity& who, Origin origin, bool online,
                        std::string_view host) override;
    Result<Opened> open_as(const std::string& sid, const Identity& who, Origin origin, bool online,
                           std::string_view host) override;
    Result<Opened> open_offline(const std::string& sid, const Identity& who,
                                std::int64_t password_version, std::string_view host) override;
    Result<std::string> add_cookie(const std::string& sid, std::string_view host) override;
    Result<std::optional<Session>> by_cookie(std::string_view cookie,
                                             std::string_view host) override;
    Result<std::optional<Session>> by_sid(std::string_view sid) override;
    Result<std::vector<Session>> of_user(const std::string& user) override;
    Result<std::vector<Session>> all() override { return of_user(""); }
    Result<std::int64_t> renew(const std::string& sid) override;
    Result<std::vector<std::string>> refresh(const Identity& who) override;
    Status follow(const AccountNews& news) override;
    Status end(const std::string& sid) override;
    Status put_grant(const Grant& grant) override;
    Result<std::optional<Grant>> grant(const std::string& child, std::string_view sid) override;
    Result<std::vector<Grant>> grants_of_user(const std::string& user) override;
    Result<std::vector<Grant>> grants_of_child(const std::string& child) override;
    Result<std::int64_t> renew_grant(const std::string& child, const std::string& sid) override;
    Status end_grant(const std::string& child, const std::string& sid) override;
    Result<std::vector<Grant>> end_grants_of_child(const std::string& child) override;
    Result<std::vector<std::string>> expire() override;

  private:
    // Of `session`, what open() and its kin leave to it: identity's sid and end, and the times.
    Result<Opened> add(const std::string& sid, Session session, std::string_view host);
    Result<std::vector<std::string>> make_room(const std::string& user);
    Result<std::string> insert_cookie(const std::string& sid, std::string_view host);
    Result<std::vector<Grant>> grants(std::string_view sql, const std::string& key);
    Status end_outdated(const AccountNews& news);
    template <typename... Values>
    Result<std::vector<std::string>> sids(std::string_view sql, const Values&... values);

    store::Db& db_;
    const Clock& clock_;
    Random& random_;
    std::string tenant_;
    SessionTimes times_;
};

template <typename... Values>
Result<std::vector<std::string>> SqliteSessionStore::sids(std::string_view sql,
                                                          const Values&... values) {
    std::vector<std::string> found;
    Status read = db_.each(
        sql, [&](const store::Statement& row) { found.push_back(row.text(0)); }, tenant_,
        values...);
    if (!read) {
        return read.error();
    }
    return found;
}

// Shared by the two files.
Error no_session();
// Values of our own making; a row that cannot be read counts as no row, so that one damaged row
// locks out one session.
std::optional<Identity> read_identity(std::string_view json, std::int64_t until_us);

} // namespace hasp::signon
