// The simulator finds what it is there for: each of these bugs is planted in the world around the
// product (its disk, its network, its tables), and must be found within the budget, under the name
// of an invariant that it breaks.
#include "store/db.h"
#include "world.h"

#include <gtest/gtest.h>

namespace hasp::sim {

namespace {

constexpr std::uint64_t seeds_budget = 60;

struct Planted {
    const char* name;
    std::function<void(World&)> plant;
    std::set<std::string> breaks; // any of these
    // Where to begin: one that shows in few seeds is not looked for in those before it every time.
    std::uint64_t first_seed = 1;
};

// A table that does not do what it is told: SQL run on the machine's store before it starts.
void bend_table(World& world, const std::string& machine, const std::string& sql,
                const std::string& store = "keeper.db") {
    auto db = store::Db::open(world.machine(machine).state + "/" + store);
    ASSERT_TRUE(db.ok()) << db.error().message;
    const Status done = (*db)->run_script(sql);
    ASSERT_TRUE(done.ok()) << done.error().message;
}

const std::vector<Planted>& planted() {
    static const std::vector<Planted> all{
        {"AMissingSync",
         [](World& world) {
             for (const auto& machine : world.machines) {
                 machine->disk().lie_about_sync(
                     [](const std::string& path) { return path.ends_with("-wal"); });
             }
         },
         {"no acknowledged act is lost", "a child never goes back to a lower lease",
          "a generation never falls", "a lease's number is given once",
          "a parent never offers a lower lease", "who logged out stays logged out",
          "a session lasts", "only a right password opens", "a right password opens",
          "a new password ends the sessions of the old", "no acknowledged file is lost",
          "what was removed or replaced does not come back",
          "after peace files are equal everywhere", "no kept usage is lost",
          "a tier starts after every crash"}},
        {"ANumberThatIsNotKept",
         [](World& world) {
             bend_table(world, "center",
                        "CREATE TRIGGER planted AFTER UPDATE ON maint_children WHEN "
                        "NEW.lease_number <> OLD.lease_number BEGIN UPDATE maint_children SET "
                        "lease_number = OLD.lease_number WHERE name = NEW.name; END;");
         },
         {"a lease's number is given once", "no acknowledged act is lost",
          "after peace every level agrees"}},
        {"ALeaseThatIsNotKept",
         [](World& world) {
             bend_table(world, "tokyo",
                        "CREATE TRIGGER planted BEFORE INSERT ON maint_leases WHEN NEW.child = '' "
                        "BEGIN SELECT RAISE(IGNORE); END;");
         },
         {"a child never goes back to a lower lease"}},
        {"AGrantThatDoesNotEnd",
         [](World& world) {
             bend_table(world, "center",
                        "CREATE TRIGGER planted BEFORE DELETE ON signon_grants BEGIN SELECT "
                        "RAISE(IGNORE); END;");
         },
         {"who logged out stays logged out", "a new password ends the sessions of the old"}},
        {"ARingWhoseMarkIsNotKept",
         [](World& world) {
             for (const auto& machine : world.machines) {
                 bend_table(world, machine->name,
                            "CREATE TRIGGER planted BEFORE INSERT ON billing_rings BEGIN SELECT "
                            "RAISE(IGNORE); END;",
                            "ledger.db");
             }
         },
         {"no usage is counted twice"}},
        {"UsageThatIsConfirmedAndNotSynced",
         [](World& world) {
             for (const auto& machine : world.machines) {
                 machine->disk().lie_about_sync(
                     [](const std::string& path) { return path.ends_with("ledger.db-wal"); });
             }
         },
         {"no kept usage is lost", "no chain is forked", "after peace every level agrees",
          "the stores are whole", "a tier starts after every crash"}},
        {"AnAcknowledgementThatNobodyGave",
         [](World& world) {
             // The child says that it took every lease that was on its way, also the lost ones.
             world.tamper = [&world](Message& message) {
                 const std::string type = text_of(message.head, "t");
                 if (type == "report") {
                     const auto highest = world.watched[message.from.name].offered_highest;
                     if (highest > 0) {
                         message.head["lease"] = highest;
                     }
                 }
                 return true;
             };
         },
         {"after peace every level agrees", "no acknowledged act is lost"},
         280},
        {"AFileThatIsPutInPlaceAndNotSynced",
         [](World& world) {
             for (const auto& machine : world.machines) {
                 machine->disk().lie_about_sync([](const std::string& path) {
                     return path.starts_with("/sync/client/tmp/") ||
                            path.starts_with("/data/users/");
                 });
             }
         },
         {"no file is made up or torn", "no acknowledged file is lost"}},
        {"AContentThatTheHomeDoesNotSync",
         [](World& world) {
             world.machine("center").disk().lie_about_sync([](const std::string& path) {
                 return path.starts_with("/sync/home/tmp/") || path.starts_with("/contents/");
             });
         },
         {"no acknowledged file is lost", "after peace files are equal everywhere"}},
        {"ADeletionThatNobodyMade",
         [](World& world) {
             bend_table(world, "center",
                        "CREATE TRIGGER planted AFTER INSERT ON files_rows WHEN NEW.kind = 1 AND "
                        "NEW.revision % 5 = 0 BEGIN UPDATE files_rows SET kind = 0 WHERE user = "
                        "NEW.user AND app = NEW.app AND path = NEW.path; END;",
                        "files.db");
         },
         {"no acknowledged file is lost", "after peace files are equal everywhere"}},
        {"ARemovalThatIsUndone",
         [](World& world) {
             bend_table(world, "center",
                        "CREATE TRIGGER planted AFTER INSERT ON files_rows WHEN NEW.kind = 0 BEGIN "
                        "UPDATE files_rows SET (kind, mode, size, hash) = (SELECT kind, mode, "
                        "size, hash FROM files_versions v WHERE v.user = NEW.user AND v.app = "
                        "NEW.app AND v.path = NEW.path AND v.kind = 1 ORDER BY revision DESC "
                        "LIMIT 1) WHERE user = NEW.user AND app = NEW.app AND path = NEW.path AND "
                        "EXISTS (SELECT 1 FROM files_versions v WHERE v.user = NEW.user AND v.app "
                        "= NEW.app AND v.path = NEW.path AND v.kind = 1); END;",
                        "files.db");
         },
         {"what was removed or replaced does not come back",
          "after peace files are equal everywhere"}},
        {"AJournalThatLosesALine",
         [](World& world) {
             bend_table(world, "tokyo",
                        "CREATE TRIGGER planted AFTER INSERT ON sync_operations WHEN NEW.position "
                        "= 2 BEGIN DELETE FROM sync_operations WHERE user = NEW.user AND app = "
                        "NEW.app AND position = NEW.position; END;",
                        "sync.db");
         },
         // Its rounds end with what it does not know: nothing of it goes up any more.
         {"after peace files are equal everywhere", "no acknowledged file is lost",
          "what was removed or replaced does not come back"}},
        {"AnEmptiedFolderThatNobodyHolds",
         [](World& world) {
             for (const auto& machine : world.machines) {
                 bend_table(world, machine->name,
                            "CREATE TRIGGER planted AFTER INSERT ON sync_folders WHEN "
                            "NEW.released = 0 BEGIN UPDATE sync_folders SET released = 1 WHERE "
                            "user = NEW.user AND app = NEW.app; END;",
                            "sync.db");
             }
         },
         {"a mass deletion waits for an operator"}},
        {"AnOverflowThatIsIgnored",
         [](World& world) {
             for (const auto& machine : world.machines) {
                 machine->watch_hides_lost_track = true;
             }
         },
         {"after peace files are equal everywhere", "no acknowledged file is lost",
          "what was removed or replaced does not come back",
          "a mass deletion waits for an operator"}},
        {"AChunkThatIsLost",
         [](World& world) {
             // The end of every long batch, as if the rest had been all.
             world.tamper = [](Message& message) {
                 if (text_of(message.head, "t") == "files.push" && message.body.size() > 1000) {
                     message.body.resize(message.body.size() - 100);
                     message.head["total"] = int_of(message.head, "total") - 100;
                 }
                 return true;
             };
         },
         {"after peace files are equal everywhere", "no acknowledged file is lost"}},
    };
    return all;
}

} // namespace

class PlantedBug : public testing::TestWithParam<std::size_t> {};

TEST_P(PlantedBug, IsFoundAndNamed) {
    const Planted& bug = planted()[GetParam()];
    for (std::uint64_t seed = bug.first_seed; seed < bug.first_seed + seeds_budget; ++seed) {
        Scenario scenario;
        scenario.seed = seed;
        scenario.length_us = 5 * minute; // longer and calmer: some need that much to show
        scenario.act_every_us = 2 * second;
        scenario.fault_every_us = 20 * second;
        World world(scenario);
        bug.plant(world);
        if (const auto violation = world.run(); violation) {
            EXPECT_TRUE(bug.breaks.contains(violation->invariant))
                << bug.name << " was found under another name:\n"
                << world.report();
            RecordProperty("seeds", static_cast<int>(seed));
            std::printf("%s: found by seed %d: %s: %s\n", bug.name, static_cast<int>(seed),
                        violation->invariant.c_str(), violation->what.c_str());
            return;
        }
    }
    FAIL() << bug.name << " was not found by " << seeds_budget << " seeds";
}

INSTANTIATE_TEST_SUITE_P(Bugs, PlantedBug, testing::Range(std::size_t{0}, planted().size()),
                         [](const auto& at) { return std::string(planted()[at.param].name); });

} // namespace hasp::sim
