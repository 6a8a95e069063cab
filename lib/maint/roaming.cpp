#include "roaming.h"

#include "base/text.h"
#include "signon/pages.h"

#include <algorithm>
#include <ctime>
#include <utility>

namespace hasp::maint {

Roaming::Roaming(World world) : world_(std::move(world)) {
    world_.links.on("files.owed",
                    [this](const std::string& from, const Message& message,
                           const Links::Answer& answer) { on_question(from, message, answer); });
}

void Roaming::load() {
    auto children = world_.store.children();
    for (const ChildRow& child : children.ok() ? *children : std::vector<ChildRow>{}) {
        if (child.state == "enrolled" && !child.report.empty()) {
            reported(child.name, parse_object(child.report));
        }
    }
}

// A name that it may not speak of is left out when it first comes; what it once might say it may
// go on saying, though its right has ended.
void Roaming::reported(const std::string& child, const Json& report) {
    Copies copies = copies_in(world_.me.name.text() + "/" + child, report);
    const Copies& before = below_[child];
    const bool news = std::any_of(copies.begin(), copies.end(),
                                  [&](const auto& one) { return !before.contains(one.first); });
    const auto may = news ? world_.files.may_be_at(child) : std::set<std::string>();
    std::erase_if(copies, [&](const auto& one) {
        return !before.contains(one.first) && !(may.ok() && may->contains(one.first));
    });
    below_[child] = std::move(copies);
}

void Roaming::arrived(const std::string& user) {
    if (arrived_.size() < owed_users_max) {
        arrived_.insert(user);
    }
}

bool Roaming::is_here(const std::string& user) const {
    auto sessions = world_.sessions.of_user(user);
    return sessions.ok() && !sessions->empty();
}

void Roaming::tick() {
    const std::int64_t now = world_.clock.boot_us();
    for (const std::string& user : std::exchange(arrived_, {})) {
        if (is_here(user)) {
            ask(user);
        }
    }
    std::vector<Waiting> late;
    std::erase_if(waiting_, [&](Waiting& one) {
        if (one.until_us > now) {
            return false;
        }
        late.push_back(std::move(one));
        return true;
    });
    for (const Waiting& one : late) {
        one.told(answers_[one.user].owing);
    }
    if (now - asked_again_us_ >= owed_again_us) {
        asked_again_us_ = now;
        ask_again();
    }
}

void Roaming::ask_again() {
    std::erase_if(choices_, [this](const auto& one) {
        auto session = world_.sessions.by_sid(one.first);
        return session.ok() && !*session;
    });
    std::set<std::string> users;
    for (const auto& [sid, chosen] : choices_) {
        users.insert(chosen.user);
    }
    std::erase_if(answers_, [&](const auto& one) {
        const auto& [user, answer] = one;
        if (!answer.asking && (answer.owing.empty() || !is_here(user))) {
            return world_.clock.boot_us() - answer.at_us >= owed_fresh_us;
        }
        if (!answer.owing.empty()) {
            users.insert(user);
        }
        return false;
    });
    for (const std::string& user : users) {
        ask(user);
    }
}

void Roaming::on_question(const std::string& from, const Message& message,
                          const Links::Answer& answer) {
    const std::string user = text_of(message.head, "user");
    const std::string tier = text_of(message.head, "tier");
    if (from == to_parent || !valid_name(user) || !trust::TierName::parse(tier).ok()) {
        answer(fail(Code::usage, "a malformed question about what is owed"));
        return;
    }
    if (!world_.files.may_ask_about(from, user)) {
        answer(fail(Code::refused, "'" + from + "' may not ask about the files of '" + user + "'"));
        return;
    }
    const auto say = [answer](const std::vector<Owing>& owing) {
        answer(Message{{{"owed", to_json(owing)}}, {}});
    };
    if (!world_.me.has_parent() || !world_.links.connected(to_parent)) {
        say(known_here(user, tier));
        return;
    }
    Json head = message.head;
    head.erase("q");
    world_.links.ask(to_parent, std::move(head), {},
                     [this, user, tier, say](const Result<Message>& reply) {
                         say(with_known_here(reply, user, tier));
                     });
}

std::vector<Owing> Roaming::known_here(const std::string& user, const std::string& asker) {
    std::vector<Owing> out;
    const std::string me = world_.me.name.text();
    for (const CopyReport& copy :
         asker == me ? std::vector<CopyReport>{} : world_.files.copies(user)) {
        if (copy.files > 0) {
            out.push_back({me, true, 0, copy});
        }
    }
    const bool any = std::any_of(below_.begin(), below_.end(),
                                 [&](const auto& one) { return one.second.contains(user); });
    auto children =
        any ? world_.store.children() : Result<std::vector<ChildRow>>(std::vector<ChildRow>());
    for (const ChildRow& child : children.ok() ? *children : std::vector<ChildRow>{}) {
        const auto of_child = below_.find(child.name);
        if (child.state != "enrolled" || of_child == below_.end()) {
            continue;
        }
        const auto copies = of_child->second.find(user);
        const bool linked = world_.links.connected(child.name);
        for (Owing one : copies == of_child->second.end() ? std::vector<Owing>{} : copies->second) {
            // Whoever is out of reach behind it was heard of when it was, at the latest.
            one.heard_us = one.up && !linked ? child.seen_us : one.heard_us;
            one.up = one.up && linked;
            if (one.owes() && one.tier != asker && out.size() < owing_told_max) {
                out.push_back(std::move(one));
            }
        }
    }
    return out;
}

// What is below this tier it knows best, and all of it: a report has room for so many.
std::vector<Owing> Roaming::with_known_here(const Result<Message>& above, const std::string& user,
                                            const std::string& asker) {
    std::vector<Owing> out = known_here(user, asker);
    const std::string me = world_.me.name.text();
    for (Owing& one : above.ok() ? owing_of(member(above->head, "owed")) : std::vector<Owing>{}) {
        if (one.tier != me && !one.tier.starts_with(me + "/") && out.size() < owing_told_max) {
            out.push_back(std::move(one));
        }
    }
    return out;
}

void Roaming::ask(const std::string& user) {
    if (answers_.size() >= owed_users_max && !answers_.contains(user)) {
        return;
    }
    const bool above = world_.me.has_parent() && world_.links.connected(to_parent);
    const std::string me = world_.me.name.text();
    if (!above) {
        take(user, known_here(user, me), !world_.me.has_parent());
        return;
    }
    if (std::exchange(answers_[user].asking, true)) {
        return;
    }
    world_.links.ask(to_parent, {{"t", "files.owed"}, {"user", user}, {"tier", me}}, {},
                     [this, user, me](const Result<Message>& reply) {
                         answers_[user].asking = false;
                         take(user, with_known_here(reply, user, me), reply.ok());
                     });
}

// `whole`: the top has said so, as far as this tier can know.
void Roaming::take(const std::string& user, std::vector<Owing> owing, bool whole) {
    Answer& answer = answers_[user];
    answer.at_us = std::max<std::int64_t>(1, world_.clock.boot_us());
    if (whole || !owing.empty()) {
        answer.owing = std::move(owing);
    }
    if (whole && answer.owing.empty()) { // there is nothing to wait for any more
        std::vector<std::string> sids;
        for (const auto& [sid, chosen] : choices_) {
            if (chosen.user == user) {
                sids.push_back(sid);
            }
        }
        for (const std::string& sid : sids) {
            choose(sid, user, Choice::none);
        }
    }
    std::vector<Waiting> told;
    std::erase_if(waiting_, [&](Waiting& one) {
        const bool his = one.user == user;
        if (his) {
            told.push_back(std::move(one));
        }
        return his;
    });
    const std::vector<Owing> now = answer.owing;
    for (const Waiting& one : told) {
        one.told(now);
    }
}

void Roaming::owed(const std::string& user, Told told) {
    const auto known = answers_.find(user);
    const std::int64_t now = world_.clock.boot_us();
    if (known != answers_.end() && known->second.at_us != 0 &&
        now - known->second.at_us < owed_fresh_us) {
        told(std::vector<Owing>(known->second.owing));
        return;
    }
    if (answers_.size() >= owed_users_max && known == answers_.end()) {
        told({});
        return;
    }
    waiting_.push_back({user, std::move(told), now + owed_wait_us});
    ask(user);
}

Json Roaming::json() const {
    Json out = Json::array();
    const std::int64_t now_us = world_.clock.wall_us();
    const std::time_t seconds = now_us / second_us;
    std::tm local{};
    localtime_r(&seconds, &local);
    for (const auto& [user, answer] : answers_) {
        Json list = to_json(answer.owing);
        for (std::size_t i = 0; i < list.size(); ++i) {
            Json& one = list[i];
            one["user"] = user;
            one["text"] =
                owing_text(answer.owing[i], user + "'s", now_us, static_cast<int>(local.tm_gmtoff));
            out.push_back(std::move(one));
        }
    }
    return out;
}

Roaming::Choice Roaming::choice(const std::string& sid) const {
    const auto chosen = choices_.find(sid);
    return chosen == choices_.end() ? Choice::none : chosen->second.choice;
}

void Roaming::choose(const std::string& sid, const std::string& user, Choice choice) {
    const Choice before = this->choice(sid);
    const auto known = answers_.find(user);
    const bool owed = known != answers_.end() && !known->second.owing.empty();
    if (choice == Choice::none || !owed) { // on a page of before: it is all there by now
        choices_.erase(sid);
    } else if (choices_.size() < choices_max || choices_.contains(sid)) {
        choices_[sid] = {user, choice};
    }
    if ((before == Choice::read) != (this->choice(sid) == Choice::read)) {
        world_.forget_session(sid);
    }
}

} // namespace hasp::maint
