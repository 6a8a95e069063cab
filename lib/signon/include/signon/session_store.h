// Sessions of users at this tier, and what this tier granted to sessions at its children. On disk:
// a restart forgets nobody.
//
// One thread; may block on the disk; each call is one transaction. Times are wall clock
// microseconds of the clock that it was given.
#pragma once

#include "base/result.h"
#include "signon/identity.h"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hasp {
class Clock;
class Random;
} // namespace hasp
namespace hasp::store {
class Db;
}

namespace hasp::signon {

// The usual times; an operator may choose others.
inline constexpr std::int64_t session_idle_us = std::int64_t{12} * 3600 * 1'000'000;
inline constexpr std::int64_t session_age_max_us = std::int64_t{30} * 24 * 3600 * 1'000'000;
// A use writes to the disk only when it would move the end by more than this.
inline constexpr std::int64_t session_renew_step_us = std::int64_t{10} * 60 * 1'000'000;
static_assert(session_renew_step_us < session_idle_us && session_idle_us < session_age_max_us);
struct SessionTimes {
    std::int64_t idle_us = session_idle_us;       // ends when unused for so long
    std::int64_t age_max_us = session_age_max_us; // and so long after log-in in any case
};
// Opening one more ends the one that was longest unused.
inline constexpr std::size_t sessions_per_user_max = 100;
inline constexpr std::size_t grants_per_child_max = 100'000;

// How this tier knows who the user is.
enum class Origin : unsigned char {
    home,   // the account lives here
    parent, // by the parent's word, or (not `online`) by the verifier in the parent's lease
};

struct Session {
    Identity identity; // sid and until_us included
    Origin origin = Origin::home;
    bool online = true;                // false: begun while the account's home could not be reached
    std::int64_t password_version = 0; // that opened it, when it was not online; else 0
    std::int64_t created_us = 0;
    std::int64_t renewed_us = 0;
};

struct Opened {
    Session session;
    // 43 characters of base64url: 256 random bits. The store keeps only their SHA-256.
    std::string cookie;
    // Sids of the same user's sessions that were ended to keep to sessions_per_user_max.
    std::vector<std::string> displaced;
};

// What a parent holds for a session at a child.
struct Grant {
    std::string child;
    Identity identity; // sid is the child's session, until_us the grant's end
    // Of a token, or by a child's word: it is short, and may be for less than the account may do.
    // So news of the account end it instead of refreshing it, and it is asked for anew.
    bool asked_again = false;
};

// What the home of an account says after a change of it.
struct AccountNews {
    std::string user;
    // Who the user is now; its generation is that of `state`. Without one nothing is known but that
    // whatever was true before is not any more.
    std::optional<Identity> identity;
    AccountState state; // zeros: true of the account now, whenever it is heard
};

class SessionStore {
  public:
    virtual ~SessionStore() = default;

    // A new session with a new sid and a cookie that is good at `host` only ("" is a host like any
    // other: the tier's portal). `who.sid` and `who.until_us` are ignored, the rest must validate.
    virtual Result<Opened> open(const Identity& who, Origin origin, bool online,
                                std::string_view host) = 0;
    // A session made elsewhere in this tier's name (the parent gave the sid) takes the given sid.
    // Code::conflict when in use.
    virtual Result<Opened> open_as(const std::string& sid, const Identity& who, Origin origin,
                                   bool online, std::string_view host) = 0;
    // Begun while the account's home could not be asked, by the lease's verifier of that password.
    virtual Result<Opened> open_offline(const std::string& sid, const Identity& who,
                                        std::int64_t password_version, std::string_view host) = 0;
    // A further cookie of the same session for another host (an app's own). Code::not_found when
    // the session has ended.
    virtual Result<std::string> add_cookie(const std::string& sid, std::string_view host) = 0;

    // nullopt: no such cookie at this host, or ended. Does not renew.
    virtual Result<std::optional<Session>> by_cookie(std::string_view cookie,
                                                     std::string_view host) = 0;
    virtual Result<std::optional<Session>> by_sid(std::string_view sid) = 0;
    virtual Result<std::vector<Session>> of_user(const std::string& user) = 0;
    virtual Result<std::vector<Session>> all() = 0;

    // It was used now: the end moves to now + idle_us, never beyond created +
    // age_max_us. Answers the session's end. Code::not_found when it has ended.
    virtual Result<std::int64_t> renew(const std::string& sid) = 0;
    // The user's name, email, groups, apps and role are now these: in every session and grant of
    // who.user but those whose identity is of a later generation or is asked for anew. Answers the
    // sids of both, so that front's cache can drop them.
    virtual Result<std::vector<std::string>> refresh(const Identity& who) = 0;
    // All sessions and grants of the user follow the news, however late and however often it comes:
    // those that were begun before `sessions_from` end; with an identity the others are refreshed,
    // without one those end whose identity is of an earlier generation, as do in any case grants
    // that are asked for anew. So what was begun at the news' generation or a later one stays. News
    // of no generation is true of all of them. A session of which it is not known at which
    // generation it was begun ends with any news without an identity, and goes on with the others.
    virtual Status follow(const AccountNews& news) = 0;

    // Ended already is success.
    virtual Status end(const std::string& sid) = 0;

    // Makes or replaces the grant of (child, identity.sid) until identity.until_us. Code::try_later
    // beyond grants_per_child_max.
    virtual Status put_grant(const Grant& grant) = 0;
    virtual Result<std::optional<Grant>> grant(const std::string& child, std::string_view sid) = 0;
    virtual Result<std::vector<Grant>> grants_of_user(const std::string& user) = 0;
    virtual Result<std::vector<Grant>> grants_of_child(const std::string& child) = 0;
    // Used now: as renew, counted from the last put_grant. Code::not_found when there is none (or
    // it has ended).
    virtual Result<std::int64_t> renew_grant(const std::string& child, const std::string& sid) = 0;
    virtual Status end_grant(const std::string& child, const std::string& sid) = 0;
    // Answers what it ended, so that the news can be sent along the links.
    virtual Result<std::vector<Grant>> end_grants_of_child(const std::string& child) = 0;

    // Deletes what has ended by time. Answers the sids of sessions. Every few minutes.
    virtual Result<std::vector<std::string>> expire() = 0;
};

std::unique_ptr<SessionStore> make_sqlite_session_store(store::Db& db, const Clock& clock,
                                                        Random& random, std::string tenant = "main",
                                                        const SessionTimes& times = {});

} // namespace hasp::signon
