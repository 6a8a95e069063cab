#include "maint/restoration.h"

#include "base/clock.h"
#include "json_tools.h"
#include "maint/tier_store.h"
#include "signon/schema.h"
#include "store/db.h"
#include "store/transaction.h"
#include "sync/home.h"
#include "trust/name.h"

#include <algorithm>
#include <array>
#include <filesystem>

namespace hasp::maint {

namespace {

constexpr const char* fact = "restored";

Status in_keeper(store::Db& db, const NewLife& life, const Restored& restored) {
    if (Status migrated = signon::migrate_tables(db); !migrated.ok()) {
        return migrated;
    }
    auto store = TierStore::open(db, life.realm);
    if (!store.ok()) {
        return store.error();
    }
    return store->transact([&]() -> Status {
        // Numbers in a child's epoch, which it has from its enrolment and keeps: they only have to
        // be higher than any that it can have seen, and the time is.
        auto children =
            db.execute("UPDATE maint_children SET lease_number = max(lease_number + 1, ?2), "
                       "desired_generation = max(desired_generation + 1, ?2), "
                       "reached_lease = 0, reached_generation = 0, report = '' WHERE tenant = ?1",
                       life.realm, restored.at_us);
        // Signed anew before they are offered.
        auto leases = db.execute(
            "UPDATE maint_leases SET granted_us = 0 WHERE tenant = ?1 AND child <> ''", life.realm);
        for (const Result<std::int64_t>* done : {&children, &leases}) {
            if (!done->ok()) {
                return done->error();
            }
        }
        for (const char* sql : {"DELETE FROM signon_cookies WHERE tenant = ?1",
                                "DELETE FROM signon_sessions WHERE tenant = ?1",
                                "DELETE FROM signon_grants WHERE tenant = ?1"}) {
            if (auto gone = db.execute(sql, life.realm); !gone.ok()) {
                return gone.error();
            }
        }
        return store->set_fact(fact, dump(Json{{"at_us", restored.at_us},
                                               {"backup_us", restored.backup_us},
                                               {"backup", restored.backup}}));
    });
}

Result<std::unique_ptr<store::Db>> open_restored(const std::string& path) {
    return store::Db::open(path, {5000, false, false});
}

} // namespace

Result<Restored> restored_fact(TierStore& store) {
    auto text = store.fact(fact);
    if (!text.ok()) {
        return text.error();
    }
    const Json json = parse_object(*text);
    return Restored{int_of(json, "at_us"), int_of(json, "backup_us"), text_of(json, "backup")};
}

Result<NewLife> new_life(const std::string& tier_json, std::int64_t now_us) {
    Json json = parse_object(tier_json);
    auto name = trust::TierName::parse(text_of(json, "name"));
    if (!name.ok()) {
        return fail(Code::refused, "the keys are not those of a tier: " + name.error().message);
    }
    NewLife out{"", name->text(), name->realm(), !name->is_top()};
    if (!out.has_parent) {
        // In seconds: it stands in every sequence that people read.
        json["epoch"] = std::max(int_of(json, "epoch", 1) + 1, now_us / second_us);
    }
    out.tier_json = dump(json, 2) + "\n";
    return out;
}

Status begin_new_life(const std::string& state, const NewLife& life, const Restored& restored) {
    auto keeper = open_restored(state + "/keeper.db");
    Status done = keeper.ok() ? in_keeper(**keeper, life, restored) : Status(keeper.error());
    if (!done.ok() || !std::filesystem::exists(state + "/files.db")) {
        return done;
    }
    auto files = open_restored(state + "/files.db");
    return files.ok()
               ? sync::begin_restored(**files, life.realm, restored.backup_us, restored.at_us)
               : Status(files.error());
}

} // namespace hasp::maint
