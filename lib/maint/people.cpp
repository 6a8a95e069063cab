#include "people.h"

#include "base/clock.h"
#include "base/text.h"
#include "people_words.h"
#include "trust/hash.h"

#include <algorithm>

namespace hasp::maint {

namespace {

// How long a child's word about a user of its own is kept before it is asked again.
constexpr std::int64_t child_word_us = 900 * second_us;
constexpr std::int64_t told_used_step_us = 600 * second_us;
// More than can be checked before those who wait have given up (each takes about 0.15 s of a core).
constexpr std::size_t checking_max = 200;
// Nobody waits longer for an answer (Links gives up after 15 s): a password that waited so long is
// not checked any more, or a burst would keep all who come after it waiting in vain.
constexpr std::int64_t check_wait_max_us = 10'000'000;

bool home_unknown(const Error& error) {
    return error.code == Code::unreachable || error.code == Code::timed_out;
}

Error wrong_login() {
    return fail(Code::refused, "The user name or the password is not right.");
}

Result<Message> answer_of(const Status& status) {
    return status.ok() ? Result<Message>(Message{}) : Result<Message>(status.error());
}

signon::GuessLimits limits_of(const Config& config) {
    signon::GuessLimits limits;
    limits.account_free_failures = static_cast<unsigned>(config.login.failures_before_delay);
    limits.address_burst = static_cast<double>(config.login.attempts_per_minute_per_address);
    limits.address_per_s = limits.address_burst / 60;
    return limits;
}

} // namespace

People::People(Stores stores, World world, std::string tier_secret, bool has_parent)
    : stores_(stores), world_(world),
      checker_(std::move(tier_secret), world.config.login.password_cost),
      limiter_(world.clock, limits_of(world.config)), handover_(world.clock, world.random),
      has_parent_(has_parent), unsaid_(world.links, stores.tier, world.log) {
    serve_neighbours();
}
bool People::lives_above(const std::string& user) {
    auto below = stores_.tier.directory(user);
    return has_parent_ && below.ok() && below->empty() && !stores_.accounts.show(user).ok();
}

void People::identify(const Json& question, std::function<void(Json)> answer) {
    const std::string kind = text_of(question, "kind");
    const Found found = [this, answer, token = kind == "token"](Result<signon::Identity> who) {
        if (!who.ok()) {
            answer({{"error", error_json(who.error())}});
            return;
        }
        Json known{{"identity", identity_json(*who)}};
        if (token) {
            known["since_us"] = token_since(*who);
        }
        answer(std::move(known));
    };
    if (kind == "cookie") {
        auto session =
            stores_.sessions.by_cookie(text_of(question, "secret"), text_of(question, "host"));
        if (!session.ok()) {
            found(session.error());
            return;
        }
        if (!*session) {
            by_direct_cookie_(text_of(question, "secret"), text_of(question, "host"), found);
            return;
        }
        signon::Session live = **session;
        if (!live.online) {
            const auto lent = lent_login_(live.identity.user);
            if (!lent ||
                lent->verifier.version != static_cast<std::uint64_t>(live.password_version)) {
                end_offline(live.identity.user);
                found(fail(Code::refused, "the grant of a session begun offline has ended"));
                return;
            }
        }
        if (auto until = stores_.sessions.renew(live.identity.sid); until.ok()) {
            live.identity.until_us = *until;
        }
        if (!live.online) { // never longer than the grant that it stands on
            live.identity.until_us =
                std::min(live.identity.until_us, lent_login_(live.identity.user)->who.until_us);
        }
        if (live.online && live.origin == signon::Origin::parent && has_parent_) {
            std::int64_t& told = told_used_us_[live.identity.sid];
            if (world_.clock.boot_us() - told > told_used_step_us || told == 0) {
                told = world_.clock.boot_us();
                world_.links.tell(to_parent, {{"t", "session.used"}, {"sid", live.identity.sid}});
            }
        }
        answer({{"identity", identity_json(live.identity)}, {"since_us", live.created_us}});
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

// When a token of this tier was made; 0 for one of another tier.
std::int64_t People::token_since(const signon::Identity& who) {
    auto tokens = stores_.tokens.list(who.user);
    for (const signon::Token& token : tokens.ok() ? *tokens : std::vector<signon::Token>{}) {
        if (token.id == who.sid) {
            return token.created_us;
        }
    }
    return 0;
}

void People::identify_child(const std::string& child, const std::string& sid, Found found) {
    auto held = stores_.sessions.grant(child, sid);
    if (!held.ok()) {
        found(held.error());
        return;
    }
    if (*held) {
        found((*held)->identity);
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
                         [[maybe_unused]] const Status kept = grant(child, *who, true);
                         found(*who);
                     });
}

Status People::grant(const std::string& child, const signon::Identity& identity, bool asked_again) {
    Status put = stores_.sessions.put_grant({child, identity, asked_again});
    if (!put.ok()) {
        world_.log.error("session.grant", put.error().message, {{"child", child}});
    }
    if (put.ok() && on_arrival_) {
        on_arrival_(identity, child);
    }
    return put;
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
    authenticate("-", attempt, sid,
                 [this, attempt, user = attempt.user, host = attempt.host, client, sid,
                  done](Result<signon::Identity> who) {
                     if (!who.ok() && home_unknown(who.error())) {
                         limiter_.undecided(user, client);
                         log_in_offline(attempt, sid, who.error(), done);
                         return;
                     }
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
                         sid, *who, home ? signon::Origin::home : signon::Origin::parent, true,
                         host);
                     if (opened.ok() && on_arrival_) {
                         on_arrival_(*who, "");
                     }
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
    std::optional<signon::LoginMaterial> material;
    if (valid_name(attempt.user)) {
        auto known = stores_.accounts.login_material(attempt.user);
        if (!known.ok()) {
            found(known.error());
            return;
        }
        material = *known;
    }
    const std::int64_t version = material ? material->version : 0;
    check(attempt.user, std::move(material), attempt.password,
          [this, user = attempt.user, version, found](Result<bool> right) {
              if (!right.ok()) {
                  found(right.error());
                  return;
              }
              // A password that was replaced while it was checked is wrong by now.
              auto now = stores_.accounts.login_material(user);
              if (!now.ok()) {
                  found(now.error());
                  return;
              }
              auto who = *right && *now && (*now)->version == version
                             ? stores_.accounts.identity_of(user)
                             : Result<signon::Identity>(wrong_login());
              found(who.ok() ? who : Result<signon::Identity>(wrong_login()));
          });
}

void People::check(const std::string& user, std::optional<signon::LoginMaterial> material,
                   const std::string& password, std::function<void(Result<bool>)> done) {
    const Error crowded = fail(
        Code::try_later, "Too many people are logging in at once. Try again in a moment", "10");
    if (checking_ >= checking_max) {
        done(crowded);
        return;
    }
    ++checking_;
    auto typed = std::make_shared<std::string>(password);
    auto right = std::make_shared<Result<bool>>(false);
    world_.ports.background(
        [this, user, typed, material = std::move(material), right, crowded,
         until_us = world_.clock.boot_us() + check_wait_max_us] {
            if (world_.clock.boot_us() < until_us) {
                *right = checker_.check(user, material, *typed);
            } else {
                *right = crowded;
            }
            trust::wipe(*typed);
        },
        [this, right, done = std::move(done)] {
            --checking_;
            done(std::move(*right));
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
            // A session that we did not know would end at the child's next contact.
            if (const Status granted = from == to_parent ? Status{} : grant(from, *who, false);
                !granted.ok()) {
                answer(fail(Code::try_later,
                            "the session cannot be kept: " + granted.error().message));
                return;
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
                     if (const Status granted =
                             from == to_parent ? Status{} : grant(from, *who, true);
                         !granted.ok()) {
                         answer(fail(Code::try_later, "the token's session cannot be kept: " +
                                                          granted.error().message));
                         return;
                     }
                     answer(Message{{{"identity", identity_json(*who)}}, {}});
                 });
}

Result<signon::Identity> People::own_word(const std::string& sid) {
    auto session = stores_.sessions.by_sid(sid);
    if (session.ok() && *session) {
        if (!(*session)->online) {
            // Its home has not seen this log-in: above, it opens nothing.
            return fail(Code::refused, "the session was begun offline");
        }
        return (*session)->identity;
    }
    auto children = stores_.tier.children();
    if (children.ok()) {
        for (const ChildRow& child : *children) {
            auto held = stores_.sessions.grant(child.name, sid);
            if (held.ok() && *held) {
                return (*held)->identity;
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
                        return token.scope.kind != signon::ScopeKind::apps ||
                               std::find(token.scope.apps.begin(), token.scope.apps.end(), app) ==
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
    links.on("session.end",
             [this](const std::string& from, const Message& m, const Links::Answer& a) {
                 a(answer_of(on_end(from, text_of(m.head, "sid"))));
             });
    links.on("session.used",
             [this](const std::string& from, const Message& m, const Links::Answer&) {
                 const std::string sid = text_of(m.head, "sid");
                 if (from != to_parent && stores_.sessions.renew_grant(from, sid).ok()) {
                     world_.links.tell(to_parent, {{"t", "session.used"}, {"sid", sid}});
                 }
             });
    links.on("session.check", [this](const std::string& from, const Message& m,
                                     const Links::Answer& a) { on_check(from, m.head, a); });
    links.on("session.offline",
             [this](const std::string& from, const Message& m, const Links::Answer& a) {
                 on_check_offline(from, m.head, a);
             });
    links.on("identity.changed",
             [this](const std::string& from, const Message& m, const Links::Answer& a) {
                 a(answer_of(on_changed(from, m.head)));
             });
    links.on("account.claim",
             [this](const std::string& from, const Message& m, const Links::Answer& a) {
                 on_claim(from, text_of(m.head, "user"), a);
             });
    links.on("account.release", [this](const std::string& from, const Message& m,
                                       const Links::Answer& a) { on_release(from, m.head, a); });
}

} // namespace hasp::maint
