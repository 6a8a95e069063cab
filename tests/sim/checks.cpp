// What must hold when everything was well for some minutes.
#include "billing/ledger_store.h"
#include "realm.h"
#include "store/db.h"
#include "world.h"

#include <set>

namespace hasp::sim {

namespace {

constexpr const char* agree = "after peace every level agrees";

std::string joined_text(const std::set<std::string>& names) {
    std::string out;
    for (const std::string& name : names) {
        out += (out.empty() ? "" : " ") + name;
    }
    return "{" + out + "}";
}

} // namespace

bool World::all_joined() const {
    return std::all_of(machines.begin(), machines.end(), [&](const auto& held) {
        return held->name == "center" || network.joined(*held);
    });
}

// Levels: what the center ordered and lent is what the locals reached and took.
void World::check_levels() {
    const Json status = machine("center").look("status");
    for (const Json& child : member(status, "children")) {
        const std::string name = text_of(child, "name");
        const Json& reached = member(child, "reached");
        hold(text_of(child, "state") == "up", agree, name + " is not linked");
        hold(int_of(reached, "lease") == int_of(child, "lease"), agree,
             name + " has lease " + std::to_string(int_of(reached, "lease")) + " of " +
                 std::to_string(int_of(child, "lease")));
        hold(int_of(reached, "generation") == int_of(member(child, "desired"), "generation"), agree,
             name + " has not reached its desired state");
        const Json lease = machine(name).look("lease.show");
        hold(int_of(lease, "number") == int_of(child, "lease"), agree,
             name + " holds another lease than it says");
        std::set<std::string> lent;
        for (const Json& grant : member(lease, "grants")) {
            if (text_of(grant, "kind") == "log-in") {
                lent.insert(text_of(grant, "what"));
            }
        }
        for (const Account& account : accounts) {
            const Possible<bool>& may = allowed.at({name, account.name});
            hold(may.now().contains(lent.contains(account.name)), "no acknowledged act is lost",
                 name + " is lent " + joined_text(lent) + ": wrong about " + account.name);
        }
        for (const std::string& app : Realm::apps()) {
            const registry::Snapshot* snapshot = machine(name).snapshot();
            const registry::App found = snapshot == nullptr ? registry::App{} : snapshot->find(app);
            const bool here = found && found.route() == registry::Route::here;
            hold(assigned.at({name, app}).now().contains(here), "no acknowledged act is lost",
                 name + (here ? " holds " : " does not hold ") + app);
            hold(!here || found.lease_expires_us() > engine.now_us(), agree,
                 app + " at " + name + " has no lease in force");
        }
    }
}

// People: every word that may be right opens everywhere, every one that is not opens nowhere, and
// who comes in has the apps that he should.
void World::check_people() {
    for (Account& account : accounts) {
        for (const auto& at : machines) {
            bool opened = false;
            std::set<std::string> words = account.password.now();
            for (const std::string& word : words) {
                Page seen;
                at->log_in(account.name, word, [&seen](const Page& page) { seen = page; });
                engine.run_until(engine.now_us() + 3 * second);
                opened = opened || seen.status == 303;
                if (seen.status != 303) {
                    hold(words.size() > 1, "no acknowledged act is lost",
                         account.name + " at " + at->name + " with '" + word + "' answered " +
                             std::to_string(seen.status));
                    continue;
                }
                Json who;
                at->who_cookie(seen.cookie(),
                               [&who](std::optional<Json> found) { who = found.value_or(Json()); });
                engine.run_until(engine.now_us() + 3 * second);
                const std::vector<std::string> apps = texts_of(who, "apps");
                for (const auto& [app, has] : account.apps) {
                    const bool there = std::find(apps.begin(), apps.end(), app) != apps.end();
                    hold(has.now().contains(there), "no acknowledged act is lost",
                         account.name + " at " + at->name +
                             (there ? " may use " : " may not use ") + app);
                }
            }
            hold(opened, "a right password opens", account.name + " at " + at->name);
            for (const std::string& word : account.past) {
                Page seen;
                at->log_in(account.name, word, [&seen](const Page& page) { seen = page; });
                engine.run_until(engine.now_us() + 3 * second);
                hold(seen.status == 401 || words.contains(word), "only a right password opens",
                     account.name + " at " + at->name + " with '" + word + "' answered " +
                         std::to_string(seen.status));
            }
        }
    }
}

// Sessions: those that ended are gone everywhere, also in the grants of the tiers above.
void World::check_sessions() {
    for (Session& session : sessions) {
        const Account& account = *session.account;
        const bool ended = session.ended.certain_now(true);
        const bool replaced = session.opened_us < account.replaced_us || session.former_password;
        const std::string what = account.name + "'s session at " + session.at->name +
                                 (ended ? ", which he ended," : ", of his old password,");
        const char* invariant = ended ? "who logged out stays logged out"
                                      : "a new password ends the sessions of the old";
        if (!ended && !replaced) {
            visit(session);
            engine.run_until(engine.now_us() + 100 * ms);
            continue;
        }
        Json here;
        session.at->who_cookie(
            session.cookie, [&here](std::optional<Json> found) { here = found.value_or(Json()); });
        Json above;
        if (session.at->name != "center" && !session.sid.empty()) {
            machine("center").who(
                {{"kind", "link"}, {"child", session.at->name}, {"sid", session.sid}},
                [&above](std::optional<Json> found) { above = found.value_or(Json()); });
        }
        engine.run_until(engine.now_us() + 2 * second);
        hold(!here.is_object(), invariant, what + " is good there");
        hold(!above.is_object(), invariant, what + " is good at the center");
    }
}

// Usage: everything that a tier kept is in the ledger of the top, once, and in its own chain.
void World::check_usage() {
    std::map<std::string, int> seen;
    auto db = store::Db::open(machine("center").state + "/ledger.db");
    auto ledger = db.ok() ? billing::open_sqlite_ledger_store(**db, "clinics")
                          : Result<std::unique_ptr<billing::LedgerStore>>(db.error());
    if (!ledger.ok()) {
        violate("the stores are whole", ledger.error().message);
        return;
    }
    const Status read =
        (*ledger)->scan(INT64_MIN, INT64_MAX, [&](const billing::StoredBatch& stored) -> Status {
            return billing::decode_events(
                stored.batch.events, [&](std::size_t, const billing::Event& event) {
                    const std::string id(event.rid);
                    ++seen[id];
                    const auto known = usage.find(id);
                    hold(known != usage.end() &&
                             stored.chain.tier.ends_with("/" + known->second.at->name),
                         "no usage is made up", "a record in the chain of " + stored.chain.tier);
                });
        });
    hold(read.ok(), "the stores are whole", read.ok() ? "" : read.error().message);
    for (const auto& [id, one] : usage) {
        const int times = seen[id];
        hold(times <= 1, "no usage is counted twice",
             "a record of " + one.at->name + " is there " + std::to_string(times) + " times");
        hold(times == 1 || !one.kept, "no kept usage is lost",
             "a record of " + one.at->name + " never arrived");
    }
    auto forks = (*ledger)->forks();
    hold(forks.ok() && forks->empty(), "no chain is forked", "there is a fork at the center");
    for (const auto& held : machines) {
        const Json ledger_status = member(held->look("status"), "usage");
        hold(int_of(ledger_status, "unsent_events") == 0 || held->name == "center", agree,
             held->name + " has unsent usage");
    }
}

void World::check_converged() {
    hold(all_joined(), agree, "a link is not up");
    const std::function<void()> parts[] = {[this] { check_levels(); }, [this] { check_sessions(); },
                                           [this] { check_people(); }, [this] { files.check(); },
                                           [this] { check_usage(); }};
    for (const auto& part : parts) {
        if (!engine.stopped()) {
            part();
        }
    }
    for (const auto& held : machines) {
        if (engine.stopped()) {
            return;
        }
        auto db = store::Db::open(held->state + "/keeper.db");
        const Status whole = db.ok() ? (*db)->check() : Status(db.error());
        hold(whole.ok(), "the stores are whole",
             held->name + ": " + (whole.ok() ? "" : whole.error().message));
    }
}

} // namespace hasp::sim
