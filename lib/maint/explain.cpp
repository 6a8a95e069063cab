#include "explain.h"

#include "base/text.h"

#include <algorithm>
#include <set>

namespace hasp::maint {

namespace {

Json& not_served(Json& out, const std::string& cause, const std::string& next) {
    out["served"] = false;
    out["cause"] = cause;
    out["next"] = next;
    return out;
}

const Json* find_named(const Json& list, const char* key, const std::string& name) {
    for (const Json& one : list) {
        if (text_of(one, key) == name) {
            return &one;
        }
    }
    return nullptr;
}

// Of a tier that is dark: what its last report says of one app.
Json why_from_report(const Json& status, const std::string& app) {
    Json out{{"app", app}};
    const Json* entry = find_named(member(status, "apps"), "name", app);
    if (entry == nullptr) {
        out["served"] = nullptr;
        out["rule"] = "the tier did not hold it when it was last heard";
        out["cause"] = "what is passed on needs its link, and that is down";
        return out;
    }
    const std::string state = text_of(*entry, "state");
    const bool well = state == "ready" || state == "starts on first use" || state == "starting";
    out["served"] = well;
    out["from"] = "here";
    out["rule"] = "the tier held it when it was last heard" +
                  (text_of(*entry, "lease_expires").empty()
                       ? std::string()
                       : ", by a lease until " + text_of(*entry, "lease_expires"));
    if (!well) {
        out["cause"] = state;
    }
    for (const Json& instance : member(*entry, "instances")) {
        if (!text_of(instance, "last_lines").empty()) {
            out["last_lines"] = text_of(instance, "last_lines");
        }
    }
    return out;
}

} // namespace

Explain::Explain(World world) : world_(std::move(world)) {
    const auto down = [this](const std::string& from, const Message& m, const Links::Answer& answer,
                             const std::function<void(const trust::TierName&, const Answer&)>& go) {
        auto at = trust::TierName::parse(text_of(m.head, "at"));
        if (from != to_parent || !at.ok() || !at->is_in_subtree(world_.me.name)) {
            answer(
                fail(Code::refused, "only a tier above may ask that, and only of what is below"));
            return;
        }
        go(*at, [answer](Result<Json> said) {
            answer(said.ok() ? Result<Message>(Message{{{"said", *said}}, {}})
                             : Result<Message>(said.error()));
        });
    };
    world_.links.on("why", [this, down](const std::string& from, const Message& m,
                                        const Links::Answer& a) {
        down(from, m, a, [this, &m](const trust::TierName& at, const Answer& answer) {
            const std::string app = text_of(m.head, "app");
            const std::string user = text_of(m.head, "user");
            if (at == world_.me.name) {
                answer(why_here(app, user,
                                m.head.contains("entitled")
                                    ? std::optional<bool>(true_of(m.head, "entitled"))
                                    : std::nullopt));
                return;
            }
            Json question = m.head;
            question.erase("q");
            ask_below(
                at, question,
                [app](const ChildRow&, const Json& status) { return why_from_report(status, app); },
                answer);
        });
    });
    world_.links.on("offline.report", [this, down](const std::string& from, const Message& m,
                                                   const Links::Answer& a) {
        down(from, m, a, [this](const trust::TierName& at, const Answer& answer) {
            offline_report(at, answer);
        });
    });
}

std::string Explain::link_words() const {
    std::string text = "the link to '" + world_.me.name.parent().leaf() + "' is down";
    if (world_.parent.since_us > 0 && !world_.parent.up) {
        text += " since " + rfc3339(world_.parent.since_us);
    }
    return text + (world_.parent.why.empty() ? "" : " (" + world_.parent.why + ")");
}

Json Explain::link_json() const {
    if (!world_.me.has_parent()) {
        return nullptr;
    }
    return {{"parent", world_.me.name.parent().text()},
            {"state", link_up() ? "up" : "down"},
            {"since", world_.parent.since_us > 0 ? Json(rfc3339(world_.parent.since_us)) : Json()}};
}

void Explain::ask_below(
    const trust::TierName& at, Json question,
    const std::function<Json(const ChildRow& child, const Json& status)>& from_report,
    const Answer& answer) {
    const std::string name = at.at_depth(world_.me.name.depth() + 1).leaf();
    auto row = world_.store.child(name);
    if (!row.ok() || !*row || (*row)->state != "enrolled") {
        answer(row.ok() ? fail(Code::not_found, "there is no tier '" + name + "' below this one",
                               "hasp local list shows those that are")
                        : row.error());
        return;
    }
    const auto last_word = [this, at, from_report](const ChildRow& child) {
        // Down to the tier that is meant, through what those between said of it.
        Json status = member(parse_object(child.report), "status");
        for (std::size_t depth = world_.me.name.depth() + 2; depth <= at.depth(); ++depth) {
            const Json* below =
                find_named(member(status, "children"), "name", at.at_depth(depth).leaf());
            status = below == nullptr ? Json() : member(*below, "status");
        }
        Json said = from_report(child, status);
        said["tier"] = at.text();
        said["live"] = false;
        said["as_of"] = member(status, "as_of");
        said["dark_since"] = child.seen_us > 0 ? Json(rfc3339(child.seen_us)) : Json();
        return said;
    };
    if (!world_.links.connected(name)) {
        answer(last_word(**row));
        return;
    }
    question["at"] = at.text();
    world_.links.ask(name, question, {}, [answer, last_word, row = **row](Result<Message> said) {
        if (said.ok()) {
            answer(member(said->head, "said"));
        } else if (said.error().code == Code::unreachable || said.error().code == Code::timed_out) {
            answer(last_word(row));
        } else {
            answer(said.error());
        }
    });
}

void Explain::why(const trust::TierName& at, const std::string& app, const std::string& user,
                  const Answer& answer) {
    std::optional<bool> entitled;
    if (auto who = world_.accounts.identity_of(user); !user.empty() && who.ok()) {
        entitled = signon::may_use(*who, app);
    }
    if (at == world_.me.name) {
        answer(why_here(app, user, entitled));
        return;
    }
    Json question{{"t", "why"}, {"app", app}, {"user", user}};
    if (entitled) {
        question["entitled"] = *entitled;
    }
    ask_below(
        at, question,
        [app](const ChildRow&, const Json& status) { return why_from_report(status, app); },
        answer);
}

bool Explain::user_may(Json& out, const std::string& app, const std::string& user,
                       std::optional<bool> entitled) const {
    const auto account = world_.accounts.show(user);
    if (account.ok() && account->disabled) {
        not_served(out, "the account '" + user + "' is disabled",
                   "hasp user disable " + user + " --enable");
        return false;
    }
    auto sessions = world_.sessions.of_user(user);
    const bool has_session = sessions.ok() && !sessions->empty();
    const auto lent = world_.delegation.lent_login(user);
    if (account.ok()) {
        auto who = world_.accounts.identity_of(user);
        entitled = who.ok() && signon::may_use(*who, app);
    } else if (has_session) {
        entitled = signon::may_use(sessions->front().identity, app);
    } else if (!entitled && lent) {
        entitled = signon::may_use(lent->who, app);
    }
    if (entitled && !*entitled) {
        not_served(out, "'" + user + "' is not entitled to '" + app + "'",
                   "where the account is kept: hasp user entitle " + user + " " + app);
        return false;
    }
    out["entitled"] = entitled ? Json(*entitled) : Json();
    auto below = world_.store.directory(user);
    const bool above = !account.ok() && below.ok() && below->empty();
    if (above && !has_session && !lent && world_.me.has_parent() && !link_up()) {
        not_served(out,
                   "'" + user + "' has no session at this tier and is not on its list, and " +
                       link_words() + ": nobody can check the log-in",
                   "at the tier above: hasp local allow " + world_.me.name.leaf() + " " + user +
                       " (it counts from the next contact on)");
        return false;
    }
    if (above && lent && !link_up()) {
        out["log_in"] = "by the lease's verifier until " + rfc3339(lent->who.until_us);
    }
    return true;
}

void Explain::where_passed(Json& out, const std::string& app, const std::string& child) const {
    const bool up = child.empty() ? link_up() : world_.links.connected(child);
    const std::string name = child.empty() ? world_.me.name.parent().leaf() : child;
    out["from"] = child.empty() ? "parent" : "child";
    out["through"] = name;
    if (up) {
        out["served"] = true;
        return;
    }
    not_served(out,
               child.empty()
                   ? "'" + app + "' is reached through the tier above, and " + link_words()
                   : "'" + app + "' is reached through '" + child +
                         "', which cannot be reached now",
               child.empty() ? "hasp doctor says what is wrong with the link"
                             : "on the machine of " + child + ": hasp doctor");
}

void Explain::where_aside(Json& out, const std::string& app, const std::string& peer) const {
    const Json now = world_.peers.json(peer);
    out["from"] = "peer";
    out["through"] = text_of(now, "name");
    out["rule"] =
        "neither this tier nor one above or below holds it: it is asked for at the peer " +
        text_of(now, "tier");
    if (text_of(now, "state") != "down") {
        out["served"] = true;
        return;
    }
    out["since"] = member(now, "since");
    not_served(out,
               "'" + app + "' is asked for at the peer '" + text_of(now, "name") +
                   "', which cannot be reached since " + text_of(now, "since") + ": " +
                   text_of(now, "reason"),
               "ask its operator; hasp tries it again by itself");
}

// Of an upstream app: what of its addresses is down.
void Explain::where_addresses(Json& out, const std::string& app) const {
    const std::vector<Apps::Address> addresses = world_.apps.addresses(app);
    const Apps::Address* last = nullptr;
    std::size_t down = 0;
    for (const Apps::Address& one : addresses) {
        if (!one.up) {
            ++down;
            last = last == nullptr || one.since_us > last->since_us ? &one : last;
        }
    }
    if (last == nullptr) {
        return;
    }
    const std::string reason = last->address + " is down: " + last->why;
    if (down == addresses.size()) {
        not_served(out, "none of its addresses serves; " + reason,
                   "look at the server there; hasp tries it again by itself");
    } else {
        out["cause"] = std::to_string(down) + " of its " + std::to_string(addresses.size()) +
                       " addresses is down, the others serve; " + reason;
    }
    out["since"] = rfc3339(last->since_us);
}

void Explain::where_held(Json& out, const AppRow& row, const std::string& user) const {
    if (!row.data_home.empty() && row.data_home != world_.me.name.text()) {
        const auto home = trust::TierName::parse(row.data_home);
        const bool below = home.ok() && home->is_in_subtree(world_.me.name);
        out["rule"] = "it has one dataset, and its home is " + row.data_home;
        where_passed(out, row.name, below ? home->at_depth(world_.me.name.depth() + 1).leaf() : "");
        return;
    }
    const auto authority = world_.delegation.authority(row);
    out["from"] = "here";
    out["release"] = row.release_id;
    if (!authority) {
        not_served(out,
                   "the tier holds release " + row.release_id.substr(0, 12) +
                       ", but no lease lets it run that",
                   "hasp lease show says what the lease has; the next contact with the tier above "
                   "brings a newer one");
        return;
    }
    out["rule"] = authority->expires_us == 0
                      ? "the tier holds it by its own right"
                      : "the tier holds it by a lease until " + rfc3339(authority->expires_us);
    if (const auto over = world_.apps.ended(row.name)) {
        const std::string next = "at the tier above, with the link up: hasp lease extend " +
                                 world_.me.name.leaf() + " --app " + row.name + " --days 7";
        const std::string ended = "its lease ended " + rfc3339(authority->expires_us);
        if (*over == trust::AtExpiry::stop) {
            not_served(out, ended + ", and its at_expiry is stop", next);
            return;
        }
        out["served"] = true;
        out["cause"] = ended + (*over == trust::AtExpiry::read_only
                                    ? ": it is served for reading only"
                                    : ": only sessions that began before go on");
        out["next"] = next;
    }
    if (const Rollout* rollout = world_.apps.rollout(row.name);
        rollout != nullptr && rollout->state == RolloutState::rolled_back) {
        out["cause"] = "the release " + rollout->release_id.substr(0, 12) +
                       (rollout->serves.empty()
                            ? " did not come up when it was tried, and there was none before it: "
                            : " was rolled back, and the one before it serves: ") +
                       rollout->why;
        out["next"] = "push another release; this one is not tried again";
        out["since"] = rfc3339(rollout->at_us);
        out["last_lines"] = rollout->last_lines;
    }
    const auto manifest = world_.apps.manifests().find(row.name);
    if (manifest == world_.apps.manifests().end() || manifest->second.kind != run::Kind::process) {
        out["served"] = true;
        where_addresses(out, row.name);
        return;
    }
    const bool per_user = manifest->second.instance == run::Instance::user;
    const auto instance = world_.apps.instance(row.name, per_user ? user : "");
    out["instance"] = instance ? instance->state : "starts on first use";
    if (instance && instance->state == "failing") {
        not_served(out, "its process failed: " + instance->reason,
                   "read its log: STATE/log/" + row.name + (per_user ? "." + user : "") + ".log");
        out["since"] = rfc3339(instance->since_us);
        out["last_lines"] = instance->last_lines;
        return;
    }
    out["served"] = true;
}

Json Explain::why_here(const std::string& app, const std::string& user,
                       std::optional<bool> entitled) const {
    Json out{{"tier", world_.me.name.text()},
             {"app", app},
             {"user", user.empty() ? Json() : Json(user)},
             {"served", nullptr},
             {"live", true},
             {"as_of", rfc3339(world_.clock.wall_us())},
             {"link", link_json()}};
    const std::vector<AppFacts> known = world_.apps.known();
    const auto facts =
        std::find_if(known.begin(), known.end(), [&](const AppFacts& f) { return f.name == app; });
    const bool open = facts != known.end() && facts->open;
    if (!user.empty() && !open && !user_may(out, app, user, entitled)) {
        return out;
    }
    if (const AppRow* row = world_.apps.row(app); row != nullptr) {
        where_held(out, *row, user);
        return out;
    }
    if (const auto waits = world_.delegation.waits_for(app)) {
        out["assigned"] = *waits;
    }
    if (const std::string peer = world_.apps.peer_of(app); !peer.empty()) {
        where_aside(out, app, peer);
    } else if (facts != known.end()) {
        const std::string child = world_.apps.child_of(app);
        const bool through_child = !child.empty() && world_.apps.parent_has(app) == false;
        out["rule"] = "the tier does not hold it; it is at '" + facts->where + "'";
        where_passed(out, app, through_child ? child : "");
    } else if (!world_.me.has_parent() || link_up()) {
        not_served(out, "no tier that this one knows of holds '" + app + "'",
                   "hasp app list shows what there is; hasp app add DIR --to TIER installs");
    } else {
        out["rule"] = "names that are not known here are the tier above's";
        where_passed(out, app, "");
    }
    if (out.contains("assigned") && !true_of(out, "served")) {
        out["cause"] =
            text_of(out, "cause") + "; it is assigned to this tier: " + text_of(out, "assigned");
    }
    return out;
}

void Explain::offline_report(const trust::TierName& at, const Answer& answer) {
    if (at == world_.me.name) {
        answer(report_here());
        return;
    }
    ask_below(
        at, {{"t", "offline.report"}},
        [this, at](const ChildRow& child, const Json& status) {
            // Dark: what it holds by the lease that it was given, and what it said last.
            Json out{{"link", {{"state", "down"}, {"since", rfc3339(child.seen_us)}}},
                     {"certificate", member(status, "browser_certificate")},
                     {"unsent", member(status, "unsent")},
                     {"budgets", member(status, "budgets")}};
            Json holds = Json::array();
            for (const Json& app : member(status, "apps")) {
                holds.push_back({{"app", text_of(app, "name")},
                                 {"title", text_of(app, "name")},
                                 {"until", member(app, "lease_expires")}});
            }
            Json logins = Json::array();
            for (const Json& line : member(status, "leases")) {
                if (text_of(line, "kind") == "log-in") {
                    logins.push_back(
                        {{"user", text_of(line, "what")}, {"until", text_of(line, "expires")}});
                }
            }
            out["goes_on"] = holds;
            out["log_in"] = logins;
            out["stops"] = Json();
            return out;
        },
        answer);
}

Json Explain::report_here() const {
    Json stops = Json::array();
    Json goes_on = Json::array();
    Json datasets = Json::array();
    const std::int64_t now_us = world_.time.wall_us();
    for (const AppFacts& facts : world_.apps.known()) {
        const AppRow* row = world_.apps.row(facts.name);
        const auto home = row == nullptr || row->data_home.empty()
                              ? Result<trust::TierName>(world_.me.name)
                              : trust::TierName::parse(row->data_home);
        const bool served_above =
            row == nullptr
                ? world_.apps.child_of(facts.name).empty() || world_.apps.parent_has(facts.name)
                : home.ok() && !home->is_in_subtree(world_.me.name);
        if (served_above) {
            Json one{{"app", facts.name}, {"title", facts.title}, {"at", facts.where}};
            if (row != nullptr) {
                one["at"] = home->leaf();
                one["why"] = "its one dataset has its home there";
            }
            stops.push_back(std::move(one));
            continue;
        }
        if (row == nullptr) {
            goes_on.push_back({{"app", facts.name},
                               {"title", facts.title},
                               {"until", nullptr},
                               {"at", facts.where}});
            continue;
        }
        const auto authority = world_.delegation.authority(*row);
        if (!authority || (authority->expires_us != 0 && authority->expires_us <= now_us)) {
            stops.push_back({{"app", facts.name},
                             {"title", facts.title},
                             {"at", world_.me.name.leaf()},
                             {"why", "its lease has ended already"}});
            continue;
        }
        Json one{
            {"app", facts.name},
            {"title", facts.title},
            {"at", world_.me.name.leaf()},
            {"until", authority->expires_us == 0 ? Json() : Json(rfc3339(authority->expires_us))}};
        if (authority->expires_us != 0) {
            one["then"] = authority->at_expiry == trust::AtExpiry::go_on       ? "continue"
                          : authority->at_expiry == trust::AtExpiry::read_only ? "read-only"
                                                                               : "stop";
        }
        if (!row->data_home.empty()) {
            datasets.push_back({{"app", facts.name}, {"until", one["until"]}});
        }
        goes_on.push_back(std::move(one));
    }
    Json logins = Json::array();
    std::set<std::string> listed;
    for (const GrantLine& line : world_.delegation.held()) {
        if (line.kind == "log-in" && line.expires_us > now_us) {
            logins.push_back({{"user", line.what}, {"until", rfc3339(line.expires_us)}});
            listed.insert(line.what);
        }
    }
    // Those whose home is above: logged in now, and not on the list.
    std::map<std::string, std::int64_t> only_session;
    auto sessions = world_.sessions.all();
    for (const signon::Session& session :
         sessions.ok() ? *sessions : std::vector<signon::Session>{}) {
        const std::string& user = session.identity.user;
        if (session.origin == signon::Origin::parent && !listed.contains(user)) {
            only_session[user] = std::max(only_session[user], session.identity.until_us);
        }
    }
    Json in_session = Json::array();
    for (const auto& [user, until_us] : only_session) {
        in_session.push_back({{"user", user}, {"until", rfc3339(until_us)}});
    }
    auto own = world_.accounts.list();
    return {{"tier", world_.me.name.text()},
            {"live", true},
            {"as_of", rfc3339(world_.clock.wall_us())},
            {"link", link_json()},
            {"stops", stops},
            {"goes_on", goes_on},
            {"datasets_here", datasets},
            {"log_in", logins},
            {"only_session", in_session},
            {"own_accounts", own.ok() ? own->size() : 0},
            {"certificate", world_.certificate()},
            {"unsent", world_.unsent()},
            {"budgets", world_.budgets()}};
}

} // namespace hasp::maint
