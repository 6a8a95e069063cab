// People while an account's home cannot be asked: log-in by the verifiers of the lease, and what
// becomes of such a session when the home can be asked again. It stays what it is: it reaches what
// this tier holds, and only a new log-in reaches further.
#include "base/text.h"
#include "people.h"
#include "people_words.h"

#include <algorithm>

namespace hasp::maint {

namespace {

constexpr std::size_t offline_batch_max = 500; // users in one question

// A count of failures of its own: what is tried offline counts for nothing at the home.
std::string offline_guess(const std::string& user) {
    return "offline/" + user;
}

} // namespace

void People::log_in_offline(const LoginAttempt& attempt, const std::string& sid, const Error& why,
                            const std::function<void(Result<signon::Opened>)>& done) {
    const std::string client = signon::client_key(attempt.client);
    const std::string guessed = offline_guess(attempt.user);
    if (const auto verdict = limiter_.begin(guessed, client); !verdict.allowed) {
        done(fail(Code::try_later, signon::retry_sentence(verdict.retry_after_s),
                  std::to_string(verdict.retry_after_s)));
        return;
    }
    const auto lent = valid_name(attempt.user) ? lent_login_(attempt.user) : std::nullopt;
    std::optional<signon::LoginMaterial> material;
    if (lent) {
        material = signon::material_of(lent->verifier, world_.links.me());
    }
    const std::uint64_t version = lent ? lent->verifier.version : 0;
    check(attempt.user, std::move(material), attempt.password,
          [this, attempt, sid, client, guessed, version, why, done](Result<bool> right) {
              if (!right.ok()) {
                  limiter_.undecided(guessed, client);
                  done(right.error());
                  return;
              }
              // The lease may have changed while the password was checked, and have another one.
              const auto still = *right ? lent_login_(attempt.user) : std::nullopt;
              if (!still || still->verifier.version != version) {
                  done(fail(Code::unreachable, why.message));
                  return;
              }
              limiter_.succeeded(guessed, client);
              auto opened = stores_.sessions.open_offline(
                  sid, still->who, static_cast<std::int64_t>(still->verifier.version),
                  attempt.host);
              if (opened.ok()) {
                  offline_unchecked_ = true;
                  drop_sids(opened->displaced);
              }
              done(std::move(opened));
          });
}

void People::end_offline(const std::string& user) {
    auto sessions = stores_.sessions.of_user(user);
    std::vector<std::string> ended;
    for (const signon::Session& session :
         sessions.ok() ? *sessions : std::vector<signon::Session>{}) {
        if (!session.online && stores_.sessions.end(session.identity.sid).ok()) {
            ended.push_back(session.identity.sid);
        }
    }
    drop_sids(ended);
}

void People::lease_changed() {
    auto sessions = stores_.sessions.all();
    if (!sessions.ok()) {
        return;
    }
    std::set<std::string> seen;
    for (const signon::Session& session : *sessions) {
        const std::string& user = session.identity.user;
        if (session.online || !seen.insert(user).second) {
            continue;
        }
        const auto lent = lent_login_(user);
        if (!lent ||
            lent->verifier.version != static_cast<std::uint64_t>(session.password_version)) {
            end_offline(user);
            continue;
        }
        signon::Identity narrowed = session.identity;
        std::erase_if(narrowed.apps,
                      [&](const std::string& app) { return !signon::may_use(lent->who, app); });
        if (narrowed != session.identity && stores_.sessions.refresh(narrowed).ok()) {
            drop_users(user);
        }
    }
}

void People::check_offline() {
    if (!offline_unchecked_ || !has_parent_ || !world_.links.connected(to_parent)) {
        return;
    }
    auto sessions = stores_.sessions.all();
    if (!sessions.ok()) {
        return;
    }
    Json users = Json::array();
    std::map<std::string, signon::Identity> asked;
    for (const signon::Session& session : *sessions) {
        if (!session.online && asked.size() < offline_batch_max &&
            asked.emplace(session.identity.user, session.identity).second) {
            users.push_back(
                {{"user", session.identity.user}, {"version", session.password_version}});
        }
    }
    offline_unchecked_ = false; // until the answer says otherwise
    if (users.empty()) {
        return;
    }
    world_.links.ask(to_parent, {{"t", "session.offline"}, {"users", users}}, {},
                     [this, asked](Result<Message> answer) {
                         if (!answer.ok()) {
                             offline_unchecked_ = true;
                             return;
                         }
                         for (const std::string& user : texts_of(answer->head, "ended")) {
                             if (asked.contains(user)) {
                                 end_offline(user);
                             }
                         }
                         for (const Json& json : member(answer->head, "identities")) {
                             auto now = signon::decode_identity(dump(json));
                             const auto before = now.ok() ? asked.find(now->user) : asked.end();
                             if (before == asked.end()) {
                                 continue;
                             }
                             signon::Identity same = *now;
                             same.sid = before->second.sid;
                             same.until_us = before->second.until_us;
                             if (same != before->second && stores_.sessions.refresh(*now).ok()) {
                                 drop_users(now->user);
                             }
                         }
                     });
}

void People::on_check_offline(const std::string& from, const Json& head,
                              const Links::Answer& answer) {
    if (from == to_parent) {
        answer(fail(Code::refused, "a parent has no sessions that we could vouch for"));
        return;
    }
    auto ended = std::make_shared<Json>(Json::array());
    auto identities = std::make_shared<Json>(Json::array());
    Json above = Json::array();
    std::set<std::string> names;
    for (const Json& one : member(head, "users")) {
        const std::string user = text_of(one, "user");
        if (names.size() >= offline_batch_max || !names.insert(user).second) {
            continue;
        }
        // Only of users on its list: of others it learns nothing.
        if (!lent_users_(from).contains(user)) {
            ended->push_back(user);
            continue;
        }
        const auto account = stores_.accounts.show(user);
        if (!account.ok() && has_parent_) {
            above.push_back({{"user", user}, {"version", int_of(one, "version")}});
            continue;
        }
        auto who = stores_.accounts.identity_of(user);
        if (account.ok() && who.ok() && who->role == signon::Role::user &&
            account->password_version == int_of(one, "version")) {
            who->sid = std::string(32, '0'); // it is about the account, not about one session
            who->until_us = 1;
            identities->push_back(identity_json(*who));
        } else {
            ended->push_back(user);
        }
    }
    const auto say = [ended, identities, answer] {
        answer(Message{{{"ended", *ended}, {"identities", *identities}}, {}});
    };
    if (above.empty()) {
        say();
        return;
    }
    world_.links.ask(to_parent, {{"t", "session.offline"}, {"users", above}}, {},
                     [ended, identities, answer, say](Result<Message> heard) {
                         if (!heard.ok()) {
                             answer(heard.error());
                             return;
                         }
                         for (const std::string& user : texts_of(heard->head, "ended")) {
                             ended->push_back(user);
                         }
                         for (const Json& one : member(heard->head, "identities")) {
                             identities->push_back(one);
                         }
                         say();
                     });
}

} // namespace hasp::maint
