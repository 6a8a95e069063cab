// Who somebody is, and until when: log-in at any tier with the account's home wherever it is,
// sessions here, grants to children, tokens, and the news that an account changed. One thread;
// Argon2id runs in the background.
#pragma once

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "json_tools.h"
#include "lent_login.h"
#include "links.h"
#include "maint/config.h"
#include "maint/tier_store.h"
#include "signon/account_store.h"
#include "signon/guess_limiter.h"
#include "signon/handover.h"
#include "signon/password.h"
#include "signon/session_store.h"
#include "signon/token_store.h"
#include "unsaid.h"

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

namespace hasp::maint {

inline constexpr std::size_t gone_told_max = 256;

class People {
  public:
    struct Stores {
        TierStore& tier;
        signon::AccountStore& accounts;
        signon::SessionStore& sessions;
        signon::TokenStore& tokens;
    };
    struct World {
        KeeperPorts& ports;
        Links& links;
        const Clock& clock;
        Random& random;
        const Log& log;
        const Config& config;
    };
    People(Stores stores, World world, std::string tier_secret, bool has_parent);

    // Somebody has logged in here, or at a child with our help; `child` is empty here.
    using OnArrival = std::function<void(const signon::Identity& who, const std::string& child)>;
    void on_arrival(OnArrival callback) { on_arrival_ = std::move(callback); }
    // The child that had the account gives its name up, and says which folders went with it;
    // `noted` is called once. Where that fails, the child says it again.
    using OnGivenUp = std::function<void(const std::string& user, const Json& gone,
                                         std::function<void(Status)> noted)>;
    void on_given_up(OnGivenUp callback) { on_given_up_ = std::move(callback); }

    // Front does not know a cookie, a token or a child's session: {"kind", …} → {"identity": …}, or
    // without one.
    void identify(const Json& question, std::function<void(Json)> answer);

    struct LoginAttempt {
        std::string user;
        std::string password;
        std::string client; // address
        std::string host;   // where the cookie is to be good
    };
    // Code::refused: wrong (one sentence for every cause); try_later: too many attempts. While the
    // account's home cannot be asked, the verifiers of the lease decide, and unreachable is the one
    // answer for everybody whom they do not let in: wrong, on no list or nobody at all.
    void log_in(const LoginAttempt& attempt, std::function<void(Result<signon::Opened>)> done);
    // An error: the session stands, and he must be told so.
    Status log_out(const std::string& sid);

    // A cookie for an app's own host: the portal's session → code → the app's host.
    std::string handover_code(const std::string& sid, const std::string& app_host) {
        return handover_.issue(sid, app_host);
    }
    Result<std::string> handover_sid(const std::string& code, const std::string& app_host) {
        return handover_.redeem(code, app_host);
    }

    // What the lease lends: for log-ins while the home cannot be asked.
    using LentLogins = std::function<std::optional<LentLogin>(const std::string& user)>;
    // The users who may log in at a child without us.
    using LentUsers = std::function<const std::set<std::string>&(const std::string& child)>;
    void on_lent(LentLogins logins, LentUsers users) {
        lent_login_ = std::move(logins);
        lent_users_ = std::move(users);
    }
    // Another lease is in force: sessions begun offline end or shrink with it.
    void lease_changed();

    // Reserves an account name in the whole realm: asks upward to the top.
    void claim(const std::string& user, std::function<void(Status)> done);
    // From before that until the account is there, or will not be: nobody below gets the name.
    // False: it is being given already.
    bool begin_adding(const std::string& user) { return adding_.insert(user).second; }
    void end_adding(const std::string& user) { adding_.erase(user); }
    // After any change of an account homed here: every session and grant of it follows, here and at
    // the neighbours.
    void account_changed(const std::string& user);
    // Makes a change (a new password) after which every session of the user ends, wherever it is:
    // here in one transaction with it, elsewhere as the news spreads. An error: nothing changed.
    Status end_everywhere_with(const std::string& user, const std::function<Status()>& change);
    // A token was revoked: what was known by it is forgotten, here and at the neighbours.
    void token_ended(const std::string& id);
    // The name is free again in the realm. `gone`: [{app, epoch}] of the folders that his home
    // knew him by and that went with the account, at most gone_told_max.
    void release(const std::string& user, const Json& gone = Json::array());
    // The accounts that a child says live under it. What is not known yet is claimed in the whole
    // realm, as if the child had asked: its word alone moves no name.
    void reported(const std::string& child, const std::vector<std::string>& names);
    // A child is no longer ours.
    void child_revoked(const std::string& child);
    // The link to the parent came up: it hears what could not be said meanwhile, and is asked
    // whether our sessions still stand and whom they belong to now.
    void parent_connected();
    // Every few minutes.
    void expire();

    using Found = std::function<void(Result<signon::Identity>)>;
    // Whose session of a child it is: by our grant, else by its word about a user of its own.
    void identify_child(const std::string& child, const std::string& sid, Found found);
    // A cookie that is no session's of ours may be one of direct return.
    using ByDirectCookie =
        std::function<void(const std::string& cookie, const std::string& host, const Found& found)>;
    void on_direct(ByDirectCookie callback) { by_direct_cookie_ = std::move(callback); }

  private:
    void authenticate(const std::string& from, const LoginAttempt& attempt, const std::string& sid,
                      const Found& found);
    void verify_here(const LoginAttempt& attempt, const Found& found);
    // One run of Argon2id in the background; `done` on our thread.
    void check(const std::string& user, std::optional<signon::LoginMaterial> material,
               const std::string& password, std::function<void(Result<bool>)> done);
    void log_in_offline(const LoginAttempt& attempt, const std::string& sid, const Error& why,
                        const std::function<void(Result<signon::Opened>)>& done);
    // Sessions begun offline are held against what the home says now.
    void check_offline();
    void on_check_offline(const std::string& from, const Json& head, const Links::Answer& answer);
    void end_offline(const std::string& user);
    void ask_home(const std::string& neighbour, const LoginAttempt& attempt, const std::string& sid,
                  const Found& found);
    void verify_token(const std::string& from, const std::string& text,
                      const std::optional<std::string>& basic_user, Found found);
    std::int64_t token_since(const signon::Identity& who);
    Result<signon::Identity> own_word(const std::string& sid);
    void serve_neighbours();
    void on_login(const std::string& from, const Message& message, const Links::Answer& answer);
    void on_token(const std::string& from, const Message& message, const Links::Answer& answer);
    Status on_end(const std::string& from, const std::string& sid);
    void end_from_above(const std::string& sid);
    void on_check(const std::string& from, const Json& head, const Links::Answer& answer);
    struct Check;
    // Asks the parent whether our sessions still stand and whom they belong to now.
    void check_sessions();
    void check_batch(const std::shared_ptr<Check>& check);
    bool lives_above(const std::string& user);
    // Until the parent has answered that it holds.
    void tell_parent(Json message);
    void claim_for(const std::string& from, const std::string& user, const Links::Answer& answer);
    void on_release(const std::string& from, const Json& head, const Links::Answer& answer);
    Status on_changed(const std::string& from, const Json& head);
    void on_claim(const std::string& from, const std::string& user, const Links::Answer& answer);
    // What is true now of an account that is homed here, or was.
    signon::AccountNews news_of(const std::string& user);
    // Here and to the neighbours. An error: it is not kept here.
    Status spread(const std::string& except, const signon::AccountNews& news);
    std::set<std::string> children_with(const std::string& user);
    void tell_change(const std::string& except, const signon::AccountNews& news,
                     const std::set<std::string>& children);
    // `asked_again`: see signon::Grant.
    Status grant(const std::string& child, const signon::Identity& identity, bool asked_again);
    void drop_users(const std::string& user);
    void drop_sids(const std::vector<std::string>& sids);

    Stores stores_;
    World world_;
    signon::PasswordChecker checker_;
    signon::GuessLimiter limiter_;
    signon::HandoverCodes handover_;
    bool has_parent_;
    OnArrival on_arrival_;
    OnGivenUp on_given_up_;
    std::set<std::string> adding_; // names that this tier is giving
    // Names that are being given up, and the claims that wait for that.
    std::map<std::string, std::vector<std::function<void()>>> releasing_;
    ByDirectCookie by_direct_cookie_;
    LentLogins lent_login_;
    LentUsers lent_users_;
    Unsaid unsaid_;
    bool check_due_ = false;        // what the parent said was not kept: it is asked again
    bool offline_unchecked_ = true; // a session begun offline was not yet held against its home
    std::size_t checking_ = 0;      // passwords that wait for, or are in, the background
    std::map<std::string, std::int64_t>
        told_used_us_; // by sid: when the parent was last told that the session is in use
};

} // namespace hasp::maint
