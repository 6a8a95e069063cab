#include "people.h"

#include "base/text.h"
#include "trust/hash.h"

#include <algorithm>
#include <set>

namespace hasp::maint {

namespace {

constexpr std::int64_t second_us = 1'000'000;
// How long a child's word about a user of its own is kept before it is asked again.
constexpr std::int64_t child_word_us = 900 * second_us;
constexpr std::int64_t told_used_step_us = 600 * second_us;
constexpr std::size_t told_used_max = 100'000;
constexpr std::size_t check_batch_max = 500; // sessions in one question to the parent
constexpr std::size_t unsaid_max = 10'000;
// More than can be checked before those who wait have given up (each takes about 0.15 s of a core).
constexpr std::size_t checking_max = 200;
constexpr std::size_t new_accounts_max = 100; // of one report; the rest with the next

Error wrong_login() {
    return fail(Code::refused, "The user name or the password is not right.");
}

signon::GuessLimits limits_of(const Config& config) {
    signon::GuessLimits limits;
    limits.account_free_failures = static_cast<unsigned>(config.login.failures_before_delay);
    limits.address_burst = static_cast<double>(config.login.attempts_per_minute_per_address);
    limits.address_per_s = limits.address_burst / 60;
    return limits;
}

Json identity_json(const signon::Identity& identity) {
    return Json::parse(signon::encode(identity), nullptr, false);
}

Result<signon::Identity> identity_in(const Json& head) {
    const Json& identity = member(head, "identity");
    if (!identity.is_object()) {
        return fail(Code::refused, "the answer names nobody");
    }
    return signon::decode_identity(dump(identity));
}

// What a neighbour says of one user. Nobody is an operator above his home.
Result<signon::Identity> word_of(const std::string& neighbour, const Json& head,
                                 const std::optional<std::string>& user) {
    auto who = identity_in(head);
    if (who.ok() && user && who->user != *user) {
        return fail(Code::refused, "the other tier answered for another user");
    }
    if (who.ok() && neighbour != to_parent) {
        who->role = signon::Role::user;
    }
    return who;
}

} // namespace

People::People(Stores stores, World world, std::string tier_secret, bool has_parent)
    : stores_(stores), world_(world), checker_(std::move(tier_secret)),
      limiter_(world.clock, limits_of(world.config)), handover_(world.clock, world.random),
      has_parent_(has_parent) {
    serve_neighbours();
}

// Sessions that the parent vouched for, being held against what it says now.
struct People::Check {
    std::vector<std::string> sids; // those still to be asked for
    std::map<std::string, signon::Identity> users;
};

bool People::lives_above(const std::string& user) {
    auto below = stores_.tier.directory(user);
    return has_parent_ && below.ok() && below->empty() && !stores_.accounts.show(user).ok();
}

void People::identify(const Json& question, std::function<void(Json)> answer) {
    const std::string kind = text_of(question, "kind");
    const Found found = [answer](Result<signon::Identity> who) {
        answer(who.ok() ? Json{{"identity", identity_json(*who)}}
                        : Json{{"error", error_json(who.error())}});
    };
    if (kind == "cookie") {
        auto session =
            stores_.sessions.by_cookie(text_of(question, "secret"), text_of(question, "host"));
        if (!session.ok() || !*session) {
            found(session.ok() ? fail(Code::refused, "no such session") : session.error());
            return;
        }
        signon::Session live = **session;
        if (auto until = stores_.sessions.renew(live.identity.sid); until.ok()) {
            live.identity.until_us = *until;
        }
        if (live.origin == signon::Origin::parent && has_parent_) {
            std::int64_t& told = told_used_us_[live.identity.sid];
            if (world_.clock.boot_us() - told > told_used_step_us || told == 0) {
                told = world_.clock.boot_us();
                world_.links.tell(to_parent, {{"t", "session.used"}, {"sid", live.identity.sid}});
            }
        }
        found(live.identity);
    } else if (kind == "token") {
        std::optional<std::string> basic_user;
        if (question.contains("user")) {
            basic_user = text_of(question, "user");
        }
        const std::string client = text_of(question, "client");
        const std::string text = text_of(question, "secret");
        if (!signon::looks_like_token(text)) {
            found(fail(Code::refused, "not a token"));
            return;
        }
        const std::string guessed = basic_user.value_or("token");
        if (const auto verdict = limiter_.begin(guessed, signon::client_key(client));
            !verdict.allowed) {
            found(fail(Code::try_later, signon::retry_sentence(verdict.retry_after_s)));
            return;
        }
        verify_token("-", text, basic_user,
                     [this, found, guessed, client](Result<signon::Identity> who) {
                         if (who.ok()) {
                             limiter_.succeeded(guessed, signon::client_key(client));
                         } else if (who.error().code == Code::unreachable) {
                             limiter_.undecided(guessed, signon::client_key(client));
                         }
                         found(std::move(who));
                     });
    } else if (kind == "link") {
        identify_child(text_of(question, "child"), text_of(question, "sid"), found);
    } else {
        found(fail(Code::usage, "unknown kind of session question"));
    }
}

void People::identify_child(const std::string& child, const std::string& sid, Found found) {
    auto held = stores_.sessions.grant(child, sid);
    if (!held.ok()) {
        found(held.error());
        return;
    }
    if (*held) {
        found(**held);
        return;
    }
    // A user of the child's own: its word counts, for accounts that live in its subtree.
    world_.links.ask(child, {{"t", "session.who"}, {"sid", sid}}, {},
                     [this, child, sid, found](Result<Message> answer) {
                         if (!answer.ok()) {
                             found(answer.error());
                             return;
                         }
                         auto who = identity_in(answer->head);
                         if (!who.ok()) {
                             found(who.error());
                             return;
                         }
                         auto owner = stores_.tier.directory(who->user);
                         if (!owner.ok() || *owner != child || who->sid != sid) {
                             world_.log.warn("session.claim",
                                             "a tier vouched for an account that is not its own",
                                             {{"tier", child}, {"user", who->user}});
                             found(fail(Code::refused,
                                        "the tier '" + child + "' may not speak for this account"));
                             return;
                         }
                         who->until_us =
                             std::min(who->until_us, world_.clock.wall_us() + child_word_us);
                         who->role = signon::Role::user; // nobody is an operator above his home
                         grant(child, *who);
                         found(*who);
                     });
}

void People::grant(const std::string& child, const signon::Identity& identity) {
    if (const Status put = stores_.sessions.put_grant({child, identity}); !put.ok()) {
        world_.log.error("session.grant", put.error().message, {{"child", child}});
    }
}

void People::log_in(const LoginAttempt& attempt, std::function<void(Result<signon::Opened>)> done) {
    const std::string client = signon::client_key(attempt.client);
    const auto verdict = limiter_.begin(attempt.user, client);
    if (!verdict.allowed) {
        done(fail(Code::try_later, signon::retry_sentence(verdict.retry_after_s),
                  std::to_string(verdict.retry_after_s)));
        return;
    }
    const std::string sid = to_hex(world_.random.bytes(16));
    authenticate(
        "-", attempt, sid,
        [this, user = attempt.user, host = attempt.host, client, sid,
         done](Result<signon::Identity> who) {
            if (!who.ok()) {
                if (who.error().code != Code::refused) {
                    limiter_.undecided(user, client);
                }
                done(who.error());
                return;
            }
            limiter_.succeeded(user, client);
            const bool home = stores_.accounts.show(user).ok();
            auto opened = stores_.sessions.open_as(
                sid, *who, home ? signon::Origin::home : signon::Origin::parent, true, host);
            if (opened.ok()) {
                drop_sids(opened->displaced);
                for (const std::string& old : opened->displaced) {
                    tell_parent({{"t", "session.end"}, {"sid", old}});
                }
            }
            done(std::move(opened));
        });
}

// Exactly one Argon2id run on the way, wherever the account is or is not.
void People::authenticate(const std::string& from, const LoginAttempt& attempt,
                          const std::string& sid, const Found& found) {
    if (!valid_name(attempt.user) || stores_.accounts.show(attempt.user).ok()) {
        verify_here(attempt, found);
        return;
    }
    const auto below = stores_.tier.directory(attempt.user);
    if (below.ok() && !below->empty() && *below != from) {
        ask_home(*below, attempt, sid, found);
    } else if (has_parent_ && from != to_parent) {
        ask_home(to_parent, attempt, sid, found);
    } else {
        verify_here(attempt, found);
    }
}

void People::verify_here(const LoginAttempt& attempt, const Found& found) {
    if (checking_ >= checking_max) {
        found(fail(Code::try_later, "Too many people are logging in at once. Try again in a moment",
                   "10"));
        return;
    }
    std::optional<signon::LoginMaterial> material;
    if (valid_name(attempt.user)) {
        auto known = stores_.accounts.login_material(attempt.user);
        if (!known.ok()) {
            found(known.error());
            return;
        }
        material = *known;
    }
    ++checking_;
    auto password = std::make_shared<std::string>(attempt.password);
    auto right = std::make_shared<Result<bool>>(false);
    world_.ports.background(
        [this, user = attempt.user, password, material, right] {
            *right = checker_.check(user, material, *password);
            trust::wipe(*password);
        },
        [this, user = attempt.user, right, found] {
            --checking_;
            if (!right->ok()) {
                found(right->error());
            } else if (!**right) {
                found(wrong_login());
            } else {
                auto who = stores_.accounts.identity_of(user);
                found(who.ok() ? who : Result<signon::Identity>(wrong_login()));
            }
        });
}

void People::ask_home(const std::string& neighbour, const LoginAttempt& attempt,
                      const std::string& sid, const Found& found) {
    const Json question{{"t", "login"},
                        {"user", attempt.user},
                        {"password", attempt.password},
                        {"client", attempt.client},
                        {"sid", sid}};
    world_.links.ask(neighbour, question, {},
                     [neighbour, user = attempt.user, found](Result<Message> answer) {
                         found(answer.ok() ? word_of(neighbour, answer->head, user)
                                           : Result<signon::Identity>(answer.error()));
                     });
}

void People::on_login(const std::string& from, const Message& message,
                      const Links::Answer& answer) {
    const LoginAttempt attempt{text_of(message.head, "user"), text_of(message.head, "password"),
                               text_of(message.head, "client"), ""};
    const std::string sid = text_of(message.head, "sid");
    const std::string client = from + "/" + signon::client_key(attempt.client);
    const auto verdict = limiter_.begin(attempt.user, client);
    if (!verdict.allowed) {
        answer(fail(Code::try_later, signon::retry_sentence(verdict.retry_after_s),
                    std::to_string(verdict.retry_after_s)));
        return;
    }
    authenticate(
        from, attempt, sid,
        [this, from, sid, client, user = attempt.user, answer](Result<signon::Identity> who) {
            if (!who.ok()) {
                if (who.error().code != Code::refused) {
                    limiter_.undecided(user, client);
                }
                answer(who.error());
                return;
            }
            limiter_.succeeded(user, client);
            who->sid = sid;
            who->until_us = world_.clock.wall_us() + world_.config.session.hours * 3600 * second_us;
            if (const Status valid = signon::validate(*who); !valid.ok()) {
                answer(valid.error());
                return;
            }
            if (from != to_parent) {
                grant(from, *who);
            }
            answer(Message{{{"identity", identity_json(*who)}}, {}});
        });
}

void People::verify_token(const std::string& from, const std::string& text,
                          const std::optional<std::string>& basic_user, Found found) {
    auto who = stores_.tokens.verify(text, basic_user ? std::optional<std::string_view>(*basic_user)
                                                      : std::nullopt);
    if (who.ok() || who.error().code != Code::refused) {
        found(std::move(who));
        return;
    }
    std::string neighbour = to_parent;
    bool ask = has_parent_ && from != to_parent;
    if (basic_user) {
        if (const auto below = stores_.tier.directory(*basic_user); below.ok() && !below->empty()) {
            neighbour = *below;
            ask = *below != from;
        }
    }
    if (!ask) {
        found(std::move(who));
        return;
    }
    Json question{{"t", "token"}, {"text", text}};
    if (basic_user) {
        question["user"] = *basic_user;
    }
    world_.links.ask(neighbour, question, {},
                     [neighbour, basic_user, found](Result<Message> answer) {
                         found(answer.ok() ? word_of(neighbour, answer->head, basic_user)
                                           : Result<signon::Identity>(answer.error()));
                     });
}

void People::on_token(const std::string& from, const Message& message,
                      const Links::Answer& answer) {
    std::optional<std::string> basic_user;
    if (message.head.contains("user")) {
        basic_user = text_of(message.head, "user");
    }
    verify_token(from, text_of(message.head, "text"), basic_user,
                 [this, from, answer](Result<signon::Identity> who) {
                     if (!who.ok()) {
                         answer(who.error());
                         return;
                     }
                     if (from != to_parent) {
                         grant(from, *who);
                     }
                     answer(Message{{{"identity", identity_json(*who)}}, {}});
                 });
}

Result<signon::Identity> People::own_word(const std::string& sid) {
    auto session = stores_.sessions.by_sid(sid);
    if (session.ok() && *session) {
        return (*session)->identity;
    }
    auto children = stores_.tier.children();
    if (children.ok()) {
        for (const ChildRow& child : *children) {
            auto held = stores_.sessions.grant(child.name, sid);
            if (held.ok() && *held) {
                return **held;
            }
        }
    }
    // A token's sid is its id: its identity was made when the token was shown, and is made anew
    // from the token's owner.
    auto tokens = stores_.tokens.list("");
    if (tokens.ok()) {
        for (const signon::Token& token : *tokens) {
            if (token.id == sid &&
                (!token.expires_us || *token.expires_us > world_.clock.wall_us())) {
                auto who = stores_.accounts.identity_of(token.user);
                if (!who.ok()) {
                    return who.error();
                }
                if (token.scope.kind != signon::ScopeKind::all) {
                    std::erase_if(who->apps, [&](const std::string& app) {
                        return std::find(token.scope.apps.begin(), token.scope.apps.end(), app) ==
                               token.scope.apps.end();
                    });
                }
                who->sid = sid;
                who->role = signon::Role::user;
                who->until_us = world_.clock.wall_us() + signon::token_identity_us;
                return who;
            }
        }
    }
    return fail(Code::refused, "no such session");
}

void People::log_out(const std::string& sid) {
    if (const Status ended = stores_.sessions.end(sid); !ended.ok()) {
        world_.log.error("session.end", ended.error().message);
    }
    told_used_us_.erase(sid);
    drop_sids({sid});
    tell_parent({{"t", "session.end"}, {"sid", sid}});
}

void People::on_end(const std::string& from, const std::string& sid) {
    if (from == to_parent) {
        end_from_above(sid);
        return;
    }
    // A child ends what was granted to it, and nothing of others.
    if (auto held = stores_.sessions.grant(from, sid); !held.ok() || !*held) {
        return;
    }
    if (const Status ended = stores_.sessions.end_grant(from, sid); !ended.ok()) {
        world_.log.error("session.end", ended.error().message);
    }
    drop_sids({sid});
    tell_parent({{"t", "session.end"}, {"sid", sid}});
}

void People::end_from_above(const std::string& sid) {
    [[maybe_unused]] const Status ended = stores_.sessions.end(sid);
    if (auto children = stores_.tier.children(); children.ok()) {
        for (const ChildRow& child : *children) {
            if (auto held = stores_.sessions.grant(child.name, sid); held.ok() && *held) {
                [[maybe_unused]] const Status gone = stores_.sessions.end_grant(child.name, sid);
                world_.links.tell(child.name, {{"t", "session.end"}, {"sid", sid}});
            }
        }
    }
    drop_sids({sid});
}

// What cannot be said now is kept: whoever was locked out here must not go on above because a
// cable was out. Whose identity changed is then logged out there, which is always safe.
void People::tell_parent(Json message) {
    if (!has_parent_) {
        return;
    }
    if (world_.links.connected(to_parent)) {
        world_.links.tell(to_parent, std::move(message));
        return;
    }
    message.erase("identity");
    auto kept = stores_.tier.fact("unsaid");
    Json unsaid = kept.ok() ? member(parse_object(*kept), "messages") : Json();
    if (!unsaid.is_array()) {
        unsaid = Json::array();
    }
    if (std::find(unsaid.begin(), unsaid.end(), message) != unsaid.end()) {
        return;
    }
    if (unsaid.size() >= unsaid_max) {
        unsaid.erase(unsaid.begin());
    }
    unsaid.push_back(std::move(message));
    if (const Status put = stores_.tier.set_fact("unsaid", dump({{"messages", unsaid}}));
        !put.ok()) {
        world_.log.error("unsaid.keep", put.error().message);
    }
}

void People::parent_connected() {
    if (auto kept = stores_.tier.fact("unsaid"); kept.ok() && !kept->empty()) {
        for (const Json& message : member(parse_object(*kept), "messages")) {
            world_.links.tell(to_parent, message);
        }
        if (const Status done = stores_.tier.set_fact("unsaid", ""); !done.ok()) {
            world_.log.error("unsaid.keep", done.error().message);
        }
    }
    auto check = std::make_shared<Check>();
    const auto add = [&](const signon::Identity& who) {
        if (check->users.contains(who.user) || lives_above(who.user)) {
            check->users.emplace(who.user, who);
            check->sids.push_back(who.sid);
        }
    };
    if (auto sessions = stores_.sessions.all(); sessions.ok()) {
        for (const signon::Session& session : *sessions) {
            if (session.origin == signon::Origin::parent && session.online) {
                add(session.identity);
            }
        }
    }
    if (auto children = stores_.tier.children(); children.ok()) {
        for (const ChildRow& child : *children) {
            if (auto grants = stores_.sessions.grants_of_child(child.name); grants.ok()) {
                for (const signon::Grant& grant : *grants) {
                    add(grant.identity);
                }
            }
        }
    }
    check_batch(check);
}

void People::claim(const std::string& user, std::function<void(Status)> done) {
    if (!has_parent_) {
        done({});
        return;
    }
    world_.links.ask(to_parent, {{"t", "account.claim"}, {"user", user}}, {},
                     [done](Result<Message> answer) {
                         if (answer.ok()) {
                             done({});
                         } else if (answer.error().code == Code::unreachable ||
                                    answer.error().code == Code::timed_out) {
                             done(fail(Code::unreachable,
                                       "the parent cannot be reached, and it must agree that the "
                                       "account name is free in the realm",
                                       "try again when `hasp status` shows the link up"));
                         } else {
                             done(answer.error());
                         }
                     });
}

void People::on_claim(const std::string& from, const std::string& user,
                      const Links::Answer& answer) {
    if (from == to_parent) {
        answer(fail(Code::refused, "account names are claimed from below"));
        return;
    }
    if (!valid_name(user)) {
        answer(fail(Code::usage, "'" + user + "' is not a valid account name"));
        return;
    }
    if (stores_.accounts.show(user).ok()) {
        answer(fail(Code::conflict, "the account name '" + user + "' is in use in this realm",
                    "account names are unique in a realm: choose another"));
        return;
    }
    claim(user, [this, from, user, answer](Status agreed) {
        Status claimed = agreed.ok() ? stores_.tier.claim(user, from) : agreed;
        answer(claimed.ok() ? Result<Message>(Message{}) : Result<Message>(claimed.error()));
    });
}

void People::account_changed(const std::string& user) {
    auto who = stores_.accounts.identity_of(user);
    const std::optional<signon::Identity> identity =
        who.ok() ? std::optional<signon::Identity>(*who) : std::nullopt;
    spread("-", user, identity);
}

void People::spread(const std::string& except, const std::string& user,
                    const std::optional<signon::Identity>& identity) {
    Json news{{"t", "identity.changed"}, {"user", user}};
    if (identity) {
        // The news is about the account: sid and end are those of whatever session it meets.
        news["identity"] = identity_json(*identity);
    }
    // Below, it concerns only the tiers where the user is: no other learns of him.
    std::set<std::string> children;
    if (auto grants = stores_.sessions.grants_of_user(user); grants.ok()) {
        for (const signon::Grant& held : *grants) {
            children.insert(held.child);
        }
    }
    if (identity) {
        [[maybe_unused]] auto refreshed = stores_.sessions.refresh(*identity);
    } else {
        [[maybe_unused]] auto sessions = stores_.sessions.end_user(user);
        [[maybe_unused]] auto grants = stores_.sessions.end_grants_of_user(user);
    }
    drop_users(user);
    if (except != to_parent) {
        tell_parent(news);
    }
    for (const std::string& child : children) {
        if (child != except) {
            world_.links.tell(child, news);
        }
    }
}

void People::on_changed(const std::string& from, const Json& head) {
    const std::string user = text_of(head, "user");
    if (stores_.accounts.show(user).ok()) {
        return; // ours: nobody else decides about it
    }
    auto owner = stores_.tier.directory(user);
    if (!owner.ok() || (from == to_parent ? !owner->empty() : *owner != from)) {
        return;
    }
    std::optional<signon::Identity> identity;
    if (head.contains("identity")) {
        Json shown = member(head, "identity");
        if (shown.is_object()) {
            shown["sid"] = std::string(32, '0');
            shown["until_us"] = 1;
        }
        auto who = signon::decode_identity(dump(shown));
        if (!who.ok() || who->user != user) {
            world_.log.warn("identity.changed", "a neighbour sent an identity that is not valid",
                            {{"neighbour", from}});
            return;
        }
        identity = *who;
        if (from != to_parent) {
            identity->role = signon::Role::user; // nobody is an operator above his home
        }
    }
    spread(from, user, identity);
}

void People::end_everywhere(const std::string& user) {
    spread("-", user, std::nullopt);
}

void People::token_ended(const std::string& id) {
    tell_parent({{"t", "session.end"}, {"sid", id}});
    end_from_above(id);
}

void People::reported(const std::string& child, const std::vector<std::string>& names) {
    auto known = stores_.tier.directory_of(child);
    if (!known.ok()) {
        return;
    }
    std::size_t fresh = 0;
    for (const std::string& user : names) {
        if (known->contains(user) || ++fresh > new_accounts_max) {
            continue;
        }
        on_claim(child, user, [this, child](Result<Message> claimed) {
            if (!claimed.ok() && claimed.error().code == Code::conflict) {
                world_.log.warn("account.conflict", claimed.error().message, {{"tier", child}});
                [[maybe_unused]] const Status kept = stores_.tier.add_error(
                    {world_.clock.wall_us(), "account.conflict",
                     "The tier '" + child + "' has an account of a name that is not its own: " +
                         claimed.error().message});
            }
        });
    }
}

void People::child_revoked(const std::string& child) {
    auto ended = stores_.sessions.end_grants_of_child(child);
    std::vector<std::string> sids;
    if (ended.ok()) {
        for (const signon::Grant& held : *ended) {
            sids.push_back(held.identity.sid);
            tell_parent({{"t", "session.end"}, {"sid", held.identity.sid}});
        }
    }
    drop_sids(sids);
    // Its own accounts were known by its word alone.
    if (auto users = stores_.tier.directory_of(child); users.ok()) {
        for (const std::string& user : *users) {
            spread("-", user, std::nullopt);
        }
    }
}

void People::check_batch(const std::shared_ptr<Check>& check) {
    if (check->sids.empty()) {
        return;
    }
    const std::size_t n = std::min(check->sids.size(), check_batch_max);
    const auto from = check->sids.end() - static_cast<std::ptrdiff_t>(n);
    const std::vector<std::string> sids(from, check->sids.end());
    check->sids.erase(from, check->sids.end());
    world_.links.ask(
        to_parent, {{"t", "session.check"}, {"sids", sids}}, {},
        [this, check](Result<Message> answer) {
            if (!answer.ok()) {
                return; // asked again when the link is back
            }
            for (const std::string& sid : texts_of(answer->head, "gone")) {
                end_from_above(sid);
            }
            for (const Json& json : member(answer->head, "identities")) {
                auto now = signon::decode_identity(dump(json));
                const auto before =
                    now.ok() ? check->users.find(now->user) : check->users.end();
                if (before == check->users.end()) {
                    continue;
                }
                signon::Identity same = *now;
                same.sid = before->second.sid;
                same.until_us = before->second.until_us;
                if (same != before->second) {
                    spread(to_parent, now->user, *now);
                }
            }
            check_batch(check);
        });
}

void People::on_check(const std::string& from, const Json& head, const Links::Answer& answer) {
    Json gone = Json::array();
    std::map<std::string, Json> identities;
    std::size_t looked = 0;
    for (const std::string& sid : texts_of(head, "sids")) {
        if (++looked > check_batch_max) {
            break;
        }
        auto held = stores_.sessions.grant(from, sid);
        if (held.ok() && *held) {
            identities.emplace((*held)->user, identity_json(**held));
        } else if (held.ok()) {
            gone.push_back(sid);
        }
    }
    Json shown = Json::array();
    for (auto& [user, identity] : identities) {
        shown.push_back(std::move(identity));
    }
    answer(Message{{{"gone", gone}, {"identities", shown}}, {}});
}

void People::expire() {
    if (auto gone = stores_.sessions.expire(); gone.ok() && !gone->empty()) {
        drop_sids(*gone);
    }
    if (told_used_us_.size() > told_used_max) {
        told_used_us_.clear();
    }
}

void People::drop_users(const std::string& user) {
    world_.ports.send_front(dump({{"t", "drop"}, {"users", Json::array({user})}}), {}, {});
}

void People::drop_sids(const std::vector<std::string>& sids) {
    if (!sids.empty()) {
        world_.ports.send_front(dump({{"t", "drop"}, {"sids", sids}}), {}, {});
    }
}

void People::serve_neighbours() {
    Links& links = world_.links;
    links.on("login", [this](const std::string& from, const Message& m, const Links::Answer& a) {
        on_login(from, m, a);
    });
    links.on("token", [this](const std::string& from, const Message& m, const Links::Answer& a) {
        on_token(from, m, a);
    });
    links.on("session.who",
             [this](const std::string& from, const Message& m, const Links::Answer& a) {
                 if (from != to_parent) {
                     a(fail(Code::refused, "only a parent may ask whose a session is"));
                     return;
                 }
                 auto who = own_word(text_of(m.head, "sid"));
                 a(who.ok() ? Result<Message>(Message{{{"identity", identity_json(*who)}}, {}})
                            : Result<Message>(who.error()));
             });
    links.on("session.end", [this](const std::string& from, const Message& m,
                                   const Links::Answer&) { on_end(from, text_of(m.head, "sid")); });
    links.on("session.used",
             [this](const std::string& from, const Message& m, const Links::Answer&) {
                 const std::string sid = text_of(m.head, "sid");
                 if (from != to_parent && stores_.sessions.renew_grant(from, sid).ok()) {
                     world_.links.tell(to_parent, {{"t", "session.used"}, {"sid", sid}});
                 }
             });
    links.on("session.check",
             [this](const std::string& from, const Message& m, const Links::Answer& a) {
                 on_check(from, m.head, a);
             });
    links.on("identity.changed", [this](const std::string& from, const Message& m,
                                        const Links::Answer&) { on_changed(from, m.head); });
    links.on("account.claim",
             [this](const std::string& from, const Message& m, const Links::Answer& a) {
                 on_claim(from, text_of(m.head, "user"), a);
             });
    links.on("account.release",
             [this](const std::string& from, const Message& m, const Links::Answer&) {
                 const std::string user = text_of(m.head, "user");
                 auto owner = stores_.tier.directory(user);
                 if (from != to_parent && owner.ok() && *owner == from &&
                     stores_.tier.unclaim(user, from).ok()) {
                     release(user);
                 }
             });
}

} // namespace hasp::maint
