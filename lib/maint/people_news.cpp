// News of sessions and accounts: what ended or changed is told along the links, and kept while a
// link is down.
#include "base/text.h"
#include "people.h"
#include "people_words.h"

#include <algorithm>
#include <set>

namespace hasp::maint {

namespace {

constexpr std::size_t told_used_max = 100'000;
constexpr std::size_t check_batch_max = 500;  // sessions in one question to the parent
constexpr std::size_t new_accounts_max = 100; // of one report; the rest with the next

} // namespace

// Sessions that the parent vouched for, being held against what it says now.
struct People::Check {
    std::vector<std::string> sids; // those still to be asked for
    std::map<std::string, signon::Identity> users;
};

Status People::log_out(const std::string& sid) {
    if (Status ended = stores_.sessions.end(sid); !ended.ok()) {
        world_.log.error("session.end", ended.error().message);
        return ended;
    }
    told_used_us_.erase(sid);
    drop_sids({sid});
    tell_parent({{"t", "session.end"}, {"sid", sid}});
    // Of a tier below, whose user came directly: it ends there too.
    end_from_above(sid);
    return {};
}

Status People::on_end(const std::string& from, const std::string& sid) {
    if (from == to_parent) {
        end_from_above(sid);
        return {};
    }
    // A child ends what was granted to it, and nothing of others.
    auto held = stores_.sessions.grant(from, sid);
    if (!held.ok() || !*held) {
        return held.ok() ? Status{} : Status{held.error()};
    }
    if (Status ended = stores_.sessions.end_grant(from, sid); !ended.ok()) {
        world_.log.error("session.end", ended.error().message);
        return ended; // the child says it again
    }
    drop_sids({sid});
    tell_parent({{"t", "session.end"}, {"sid", sid}});
    return {};
}

void People::end_from_above(const std::string& sid) {
    Status ended = stores_.sessions.end(sid);
    auto children = stores_.tier.children();
    for (const ChildRow& child : children.ok() ? *children : std::vector<ChildRow>{}) {
        if (auto held = stores_.sessions.grant(child.name, sid); held.ok() && *held) {
            const Status gone = stores_.sessions.end_grant(child.name, sid);
            ended = ended.ok() ? gone : ended;
            world_.links.tell(child.name, {{"t", "session.end"}, {"sid", sid}});
        }
    }
    check_due_ = check_due_ || !ended.ok();
    drop_sids({sid});
}

// Whoever was locked out here must not go on above because a cable was out.
void People::tell_parent(Json message) {
    if (has_parent_) {
        unsaid_.say(std::move(message));
    }
}

void People::parent_connected() {
    unsaid_.parent_connected();
    offline_unchecked_ = true;
    check_offline();
    check_sessions();
}

void People::check_sessions() {
    check_due_ = false;
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
                    if (!grant.asked_again) {
                        add(grant.identity);
                    }
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
                     [this, user, done](Result<Message> answer) {
                         if (answer.ok()) {
                             unsaid_.drop("account.release", user); // it is ours again
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
    if (adding_.contains(user)) {
        answer(
            fail(Code::try_later, "the account name '" + user + "' is being given at this tier"));
        return;
    }
    if (const auto releasing = releasing_.find(user); releasing != releasing_.end()) {
        releasing->second.push_back([this, from, user, answer] { on_claim(from, user, answer); });
        return;
    }
    claim(user, [this, from, user, answer](Status agreed) {
        Status claimed =
            agreed.ok() ? stores_.tier.claim(user, from, world_.clock.wall_us()) : agreed;
        answer(claimed.ok() ? Result<Message>(Message{}) : Result<Message>(claimed.error()));
    });
}

void People::release(const std::string& user, const Json& gone) {
    Json message{{"t", "account.release"}, {"user", user}};
    if (!gone.empty()) {
        message["gone"] = gone;
    }
    tell_parent(std::move(message));
}

// A folder that began before the child had the name is not its to speak of.
void People::on_release(const std::string& from, const Json& head, const Links::Answer& answer) {
    const std::string user = text_of(head, "user");
    auto owner = stores_.tier.directory(user);
    auto claimed_us = stores_.tier.claimed_us(user);
    if (!owner.ok() || !claimed_us.ok()) {
        answer(owner.ok() ? claimed_us.error() : owner.error());
        return;
    }
    if (from == to_parent || *owner != from) {
        answer(Message{});
        return;
    }
    Json gone = Json::array();
    const std::uint64_t since_us = gone_since_us(*claimed_us);
    for (const Json& one : member(head, "gone")) {
        if (valid_name(text_of(one, "app")) && count_of(one, "epoch") >= since_us &&
            gone.size() < gone_told_max) {
            gone.push_back({{"app", text_of(one, "app")}, {"epoch", count_of(one, "epoch")}});
        }
    }
    if (!releasing_.emplace(user, std::vector<std::function<void()>>()).second) {
        answer(fail(Code::try_later, "the name is being given up"));
        return;
    }
    const auto noted = [this, from, user, gone, answer](const Status& note) {
        const Status freed = note.ok() ? stores_.tier.unclaim(user, from) : note;
        if (freed.ok()) {
            release(user, gone);
        }
        answer(freed.ok() ? Result<Message>(Message{}) : Result<Message>(freed.error()));
        const auto waiting = std::move(releasing_[user]);
        releasing_.erase(user);
        for (const auto& claim_again : waiting) {
            claim_again();
        }
    };
    if (gone.empty() || !on_given_up_) {
        noted({});
    } else {
        on_given_up_(user, gone, noted);
    }
}

signon::AccountNews People::news_of(const std::string& user) {
    signon::AccountNews news{user, std::nullopt, {}};
    if (auto who = stores_.accounts.identity_of(user); who.ok()) {
        news.identity = *std::move(who);
    }
    // Where it cannot be read, the news is true of every session: too many end, and none stays.
    if (auto state = stores_.accounts.state_of(user); state.ok()) {
        news.state = *state;
    }
    return news;
}

void People::account_changed(const std::string& user) {
    static_cast<void>(spread("-", news_of(user))); // said in the log
}

Status People::spread(const std::string& except, const signon::AccountNews& news) {
    const std::set<std::string> children = children_with(news.user);
    const Status kept = stores_.sessions.follow(news);
    if (!kept.ok()) {
        world_.log.error("session.change", kept.error().message, {{"user", news.user}});
    }
    tell_change(except, news, children);
    return kept;
}

// Below, it concerns only the tiers where the user is: no other learns of him.
std::set<std::string> People::children_with(const std::string& user) {
    std::set<std::string> children;
    if (auto grants = stores_.sessions.grants_of_user(user); grants.ok()) {
        for (const signon::Grant& held : *grants) {
            children.insert(held.child);
        }
    }
    // And where he may log in without us: he may be there though no grant says so.
    if (auto rows = stores_.tier.children(); rows.ok()) {
        for (const ChildRow& child : *rows) {
            if (lent_users_(child.name).contains(user)) {
                children.insert(child.name);
            }
        }
    }
    return children;
}

void People::tell_change(const std::string& except, const signon::AccountNews& news,
                         const std::set<std::string>& children) {
    const Json message = news_json(news);
    drop_users(news.user);
    if (except != to_parent) {
        tell_parent(message);
    }
    for (const std::string& child : children) {
        if (child != except) {
            world_.links.tell(child, message);
        }
    }
}

Status People::on_changed(const std::string& from, const Json& head) {
    const std::string user = text_of(head, "user");
    if (stores_.accounts.show(user).ok()) {
        return {}; // ours: nobody else decides about it
    }
    auto owner = stores_.tier.directory(user);
    if (!owner.ok()) {
        return owner.error();
    }
    if ((from == to_parent ? !owner->empty() : *owner != from)) {
        return {};
    }
    const auto news = news_in(from, head);
    if (!news.ok()) {
        world_.log.warn("identity.changed", "a neighbour sent an identity that is not valid",
                        {{"neighbour", from}});
        return {};
    }
    const Status kept = spread(from, *news);
    check_due_ = check_due_ || (!kept.ok() && from == to_parent);
    return kept; // a child says it again
}

Status People::end_everywhere_with(const std::string& user, const std::function<Status()>& change) {
    const std::set<std::string> children = children_with(user);
    const Status done = stores_.tier.transact([&]() -> Status {
        if (Status changed = change(); !changed.ok()) {
            return changed;
        }
        return stores_.sessions.follow({user, std::nullopt, {}});
    });
    if (done.ok()) {
        // Without the identity: to a tier that counts no generations it would say that all go on.
        signon::AccountNews news = news_of(user);
        news.identity.reset();
        tell_change("-", news, children);
    }
    return done;
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
            static_cast<void>(spread("-", {user, std::nullopt, {}})); // said in the log
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
                const auto before = now.ok() ? check->users.find(now->user) : check->users.end();
                if (before == check->users.end()) {
                    continue;
                }
                signon::Identity same = *now;
                same.sid = before->second.sid;
                same.until_us = before->second.until_us;
                if (same != before->second) {
                    const signon::AccountNews news{now->user, *now, {now->generation, 0}};
                    check_due_ = !spread(to_parent, news).ok() || check_due_;
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
            // A token's says nothing of the account.
            if (!(*held)->asked_again) {
                identities.emplace((*held)->identity.user, identity_json((*held)->identity));
            }
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
    unsaid_.retry();
    if (check_due_ && world_.links.connected(to_parent)) {
        check_sessions();
    }
    // A link further up may have come back, of which we hear nothing.
    check_offline();
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

} // namespace hasp::maint
