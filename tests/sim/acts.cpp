// What people and operators do, and what their answers teach the oracle.
#include "realm.h"
#include "world.h"

namespace hasp::sim {

namespace {

constexpr int page_logged_in = 303;
constexpr int page_wrong = 401;

std::string text(const std::optional<Result<Json>>& answer) {
    return !answer ? "no answer" : answer->ok() ? "done" : answer->error().message;
}

} // namespace

void World::act() {
    Account& account = engine.one_of(accounts);
    Machine& local = *machines[1 + engine.below(2)];
    switch (engine.below(27)) {
    case 0:
    case 1:
        entitle(account, engine.one_of(Realm::apps()), engine.chance(50));
        break;
    case 2:
        change_password(account);
        break;
    case 3:
        allow(local, account, engine.chance(60));
        break;
    case 4:
        if (engine.chance(10)) {
            take_app_away(local, engine.one_of(Realm::apps()));
        }
        break;
    case 5:
        if (!sessions.empty()) {
            log_out(engine.one_of(sessions));
        }
        break;
    case 6:
    case 7:
    case 8:
        if (!sessions.empty()) {
            visit(engine.one_of(sessions));
        }
        break;
    case 9:
        log_in(account, *engine.one_of(machines),
               account.past.empty() ? "never a word of his" : engine.one_of(account.past));
        break;
    case 10:
    case 11:
    case 12:
    case 13:
        use(*engine.one_of(machines), account, engine.one_of(Realm::apps()), 1 + engine.below(20));
        break;
    case 20:
    case 21:
    case 22:
    case 23:
    case 24:
    case 25:
    case 26:
        work_on_files();
        break;
    default:
        log_in(account, *engine.one_of(machines), *account.password.now().rbegin());
        break;
    }
}

void World::log_in(Account& account, Machine& at, const std::string& password) {
    const Moment asked = moment();
    engine.note(account.name, "logs in at " + at.name + " with '" + password + "'");
    at.log_in(account.name, password, [this, &account, &at, password, asked](const Page& page) {
        engine.note(account.name, "log-in at " + at.name + ": " + std::to_string(page.status));
        judge_log_in(account, at, password, asked, page);
    });
}

void World::judge_log_in(Account& account, Machine& at, const std::string& password,
                         const Moment& asked, const Page& page) {
    const std::int64_t now = engine.now_us();
    const std::string what = account.name + " at " + at.name + " with '" + password + "'";
    const bool asked_home = account.home == &at || (asked.joined && asked.links == links_changed());
    if (page.status == page_logged_in) {
        // Without the home, a lease decides, as old as it may be: by any password that it had since
        // it was first lent to this tier.
        const bool right = account.password.possible(password, asked.at_us, now);
        const auto may = allowed.find({at.name, account.name});
        const bool lent = !asked_home && may != allowed.end() &&
                          may->second.during(INT64_MIN, now).contains(true);
        hold(right || (lent && account.password.possible(password, INT64_MIN, now)),
             "only a right password opens", what);
        sessions.push_back(
            {&at, &account, page.cookie(), {}, asked.at_us, now, !asked_home, !right});
        ++acts_done;
        return;
    }
    // The home can be asked, and nothing went wrong meanwhile.
    const bool reachable = at.up() && smooth_since(asked) && asked_home;
    if (reachable) {
        hold(!account.password.certain(password, asked.at_us, now), "a right password opens",
             what + " answered " + std::to_string(page.status));
        hold(page.status == page_wrong || account.password.possible(password, asked.at_us, now),
             "a wrong password is told so", what + " answered " + std::to_string(page.status));
    }
}

void World::visit(Session& session) {
    const std::int64_t asked_us = engine.now_us();
    session.at->who_cookie(session.cookie, [this, &session, asked_us](std::optional<Json> who) {
        if (who) {
            if (who->is_object()) {
                session.sid = text_of(*who, "sid");
            }
            engine.note(session.account->name, "visits " + session.at->name + ": " +
                                                   (who->is_object() ? "known" : "unknown"));
            judge_visit(session, asked_us, who->is_object(), text_of(*who, "user"));
        }
    });
}

void World::judge_visit(Session& session, std::int64_t asked_us, bool somebody,
                        const std::string& user) {
    const Account& account = *session.account;
    const std::string what = account.name + " at " + session.at->name;
    if (somebody) {
        hold(user == account.name, "a session is its own user's", what + " is " + user);
        hold(!session.ended.certain(true, asked_us, engine.now_us()),
             "who logged out stays logged out", what);
        // Elsewhere the news may still be on its way.
        hold(session.at != account.home || session.opened_us > account.replaced_us ||
                 asked_us < account.replaced_us,
             "a new password ends the sessions of the old", what);
    } else {
        // What a lease began is held against the home when it can be asked again: it ends if the
        // password was a former one, or its user has no place on the list any more.
        const auto may = allowed.find({session.at->name, account.name});
        const bool off_list =
            may != allowed.end() && may->second.possible(false, session.asked_us, engine.now_us());
        const bool touched = account.touched_us >= session.asked_us ||
                             (session.offline && (session.former_password || off_list));
        hold(session.ended.possible(true, asked_us, engine.now_us()) || touched ||
                 disturbed(*session.at, asked_us) ||
                 engine.now_us() - session.opened_us > 11 * hour ||
                 // A box that starts with a clock of months ahead believes it until it is told.
                 stepped_.contains(session.at) || disk_fault_us_.contains(session.at),
             "a session lasts",
             what + ", logged in at " + std::to_string(session.opened_us / second) +
                 " s, is unknown");
    }
}

void World::log_out(Session& session) {
    const std::int64_t asked_us = engine.now_us();
    if (session.sid.empty() || !session.at->up()) {
        return;
    }
    engine.note(session.account->name, "logs out at " + session.at->name);
    session.ended.may_be(asked_us, true);
    session.at->log_out(session.sid, [this, &session](const Page& page) {
        engine.note(session.account->name, "log-out: " + std::to_string(page.status));
        if (page.status == 200) {
            session.ended.is(engine.now_us(), true);
            ++acts_done;
        }
    });
}

void World::entitle(Account& account, const std::string& app, bool give) {
    if (account.busy || !account.home->up()) {
        return;
    }
    account.busy = true;
    account.touched_us = engine.now_us();
    Possible<bool>& has = account.apps.at(app);
    has.may_be(engine.now_us(), give);
    engine.note("operator", (give ? "entitles " : "withdraws ") + account.name + " " + app);
    const std::int64_t asked_us = engine.now_us();
    account.home->admin(give ? "user.entitle" : "user.withdraw",
                        {{"user", account.name}, {"apps", {app}}},
                        [this, &account, &has, give, asked_us](std::optional<Result<Json>> answer) {
                            engine.note("operator", text(answer));
                            account.busy = false;
                            account.touched_us = engine.now_us();
                            if (answer && answer->ok()) {
                                has.is(engine.now_us(), give);
                                ++acts_done;
                            } else if (answer) {
                                hold(disk_fault_us_.contains(account.home),
                                     "a command fails for a reason", text(answer));
                            }
                            static_cast<void>(asked_us);
                        });
}

void World::change_password(Account& account) {
    if (account.busy || !account.home->up()) {
        return;
    }
    account.busy = true;
    account.touched_us = engine.now_us();
    const std::string word = "word " + std::to_string(++account.words) + " of " + account.name;
    const std::set<std::string> before = account.password.now();
    account.password.may_be(engine.now_us(), word);
    engine.note("operator", "gives " + account.name + " '" + word + "'");
    account.home->admin("user.password", {{"name", account.name}, {"password", word}},
                        [this, &account, word, before](std::optional<Result<Json>> answer) {
                            engine.note("operator", text(answer));
                            account.busy = false;
                            account.touched_us = engine.now_us();
                            if (answer && answer->ok()) {
                                account.password.is(engine.now_us(), word);
                                account.past.assign(before.begin(), before.end());
                                account.replaced_us = engine.now_us();
                                ++acts_done;
                            } else if (answer) {
                                hold(disk_fault_us_.contains(account.home),
                                     "a command fails for a reason", text(answer));
                            }
                        });
}

void World::allow(Machine& child, Account& account, bool may) {
    Machine& center = machine("center");
    if (!center.up() || account.home != &center) {
        return;
    }
    Possible<bool>& is = allowed.at({child.name, account.name});
    is.may_be(engine.now_us(), may);
    engine.note("operator",
                (may ? "lends " : "does not lend ") + account.name + " to " + child.name);
    center.admin("local.allow", {{"name", child.name}, {"users", {account.name}}, {"remove", !may}},
                 [this, &is, may, &center](std::optional<Result<Json>> answer) {
                     engine.note("operator", text(answer));
                     if (answer && answer->ok()) {
                         is.is(engine.now_us(), may);
                         ++acts_done;
                     } else if (answer) {
                         hold(disk_fault_us_.contains(&center), "a command fails for a reason",
                              text(answer));
                     }
                 });
}

void World::use(Machine& at, Account& account, const std::string& app, std::uint64_t requests) {
    if (!at.up()) {
        return;
    }
    engine.note(account.name, "uses " + app + " at " + at.name + ": " + std::to_string(requests));
    for (std::uint64_t i = 0; i < requests; ++i) {
        billing::UsageRecord record;
        record.status = 200;
        record.time_us = at.clock.wall_us();
        record.bytes_out = engine.below(100'000);
        billing::set_name(record.app, app);
        billing::set_name(record.user, account.name);
        engine.random().fill(record.rid.data(), record.rid.size());
        usage[std::string(record.rid.begin(), record.rid.end())] = {&at, false};
        at.use(record);
    }
}

// Where somebody is logged in, his app does some things with his files.
void World::work_on_files() {
    std::vector<Session*> open;
    for (Session& session : sessions) {
        if (session.ended.certain_now(false)) {
            open.push_back(&session);
        }
    }
    if (!open.empty()) {
        const Session& session = *engine.one_of(open);
        for (std::uint64_t deeds = 1 + engine.below(3); deeds > 0; --deeds) {
            files.act(*session.account, *session.at);
        }
    }
}

void World::take_app_away(Machine& child, const std::string& app) {
    Machine& center = machine("center");
    Possible<bool>& is = assigned.at({child.name, app});
    if (!center.up() || !is.certain_now(true)) {
        return;
    }
    is.may_be(engine.now_us(), false);
    engine.note("operator", "takes " + app + " away from " + child.name);
    center.admin("app.remove", {{"name", app}, {"from", {child.name}}},
                 [this, &is, &center](std::optional<Result<Json>> answer) {
                     engine.note("operator", text(answer));
                     if (answer && answer->ok()) {
                         is.is(engine.now_us(), false);
                         ++acts_done;
                     } else if (answer) {
                         hold(disk_fault_us_.contains(&center), "a command fails for a reason",
                              text(answer));
                     }
                 });
}

} // namespace hasp::sim
