#include "world.h"

#include "realm.h"
#include "trust/envelope.h"

#include <algorithm>

namespace hasp::sim {

namespace {
constexpr std::int64_t disk_fault_most = 2 * minute; // a full disk gets room again by then
}

World::World(const Scenario& scenario)
    : engine(scenario.seed, scenario.print), scenario_(scenario) {
    seed_sqlite(scenario.seed);
    const Realm& realm = Realm::get();
    for (const RealmMachine& held : realm.machines()) {
        machines.push_back(
            std::make_unique<Machine>(engine, *this, held.name, realm.fresh_files(held.name),
                                      held.disk->clone(engine.random().u64()), Realm::config()));
        if (!held.parent.empty()) {
            network.add(*machines.back(), machine(held.parent));
            for (const RealmAccount& account : Realm::accounts()) {
                allowed.emplace(std::pair{held.name, account.name},
                                Possible<bool>(account.home == "center"));
            }
            for (const std::string& app : Realm::apps()) {
                assigned.emplace(std::pair{held.name, app},
                                 Possible<bool>(app == "wiki" || held.name == "tokyo"));
            }
        }
    }
    for (const RealmAccount& known : Realm::accounts()) {
        Account account{known.name,
                        &machine(known.home),
                        Possible<std::string>(known.password),
                        {},
                        false,
                        1,
                        {},
                        INT64_MIN,
                        INT64_MIN};
        for (const std::string& app : Realm::apps()) {
            account.apps.emplace(
                app, Possible<bool>(std::count(known.apps.begin(), known.apps.end(), app) != 0));
        }
        accounts.push_back(std::move(account));
    }
    network.on_message([this](Message& message) { return watch(message); });
}

World::~World() = default;

Machine& World::machine(const std::string& name) {
    for (const auto& held : machines) {
        if (held->name == name) {
            return *held;
        }
    }
    std::abort();
}

void World::violate(const std::string& invariant, const std::string& what) {
    engine.note("VIOLATION", invariant + ": " + what);
    if (!violation_) {
        violation_ = Violation{invariant, what};
    }
    engine.stop();
}

std::string World::report() const {
    std::string text;
    if (violation_) {
        text = "seed " + std::to_string(scenario_.seed) + " violates '" + violation_->invariant +
               "': " + violation_->what + "\n";
    }
    const std::string replay = scenario_.replay.empty()
                                   ? "HASP_SIM_SEED=" + std::to_string(scenario_.seed) +
                                         " HASP_SIM_TRACE=1 build/dev/tests/sim/sim_test "
                                         "--gtest_filter='*OneSeed*'"
                                   : scenario_.replay;
    text += "replay: " + replay + "\n";
    for (const std::string& line : engine.last_lines()) {
        text += "  " + line + "\n";
    }
    return text;
}

void World::start() {
    for (const auto& held : machines) {
        held->start();
    }
}

void World::act_later() {
    engine.after(engine.between(1, 2 * scenario_.act_every_us), [this] {
        if (!peace_) {
            act();
            act_later();
        }
    });
}

void World::fault_later() {
    engine.after(engine.between(1, 2 * scenario_.fault_every_us), [this] {
        if (!peace_) {
            fault();
            fault_later();
        }
    });
}

std::optional<Violation> World::run() {
    start();
    engine.run_until(engine.now_us() + 20 * second);
    act_later();
    if (scenario_.faults) {
        fault_later();
    }
    engine.run_until(begin_us + scenario_.length_us);
    heal();
    if (!engine.stopped()) {
        check_converged();
    }
    return violation_;
}

// Links, disks and clocks are right again, and every tier runs. Then they have some minutes: the
// longest wait between two tries in the product is one.
void World::heal() {
    peace_ = true;
    engine.note("world", "peace");
    for (const auto& held : machines) {
        held->disk().calm();
        held->crash_before_freeing(std::nullopt);
        held->clock.set_right();
        if (held->name != "center") {
            network.allow(*held, true);
        }
        held->start();
    }
    engine.run_until(engine.now_us() + 2 * minute);
    for (const auto& held : machines) {
        if (held->name != "center") {
            // That much is withdrawn at a time is what the operator meant.
            machine("center").admin("lease.sign", {{"name", held->name}},
                                    [](std::optional<Result<Json>>) {});
        }
    }
    engine.run_until(engine.now_us() + 3 * minute);
}

void World::disturb(const Machine& which) {
    disturbed_us_[&which] = engine.now_us();
}

bool World::disturbed(const Machine& which, std::int64_t since_us) const {
    const auto at = disturbed_us_.find(&which);
    return !which.up() || (at != disturbed_us_.end() && at->second >= since_us);
}

std::uint64_t World::links_changed() const {
    std::uint64_t sum = 0;
    for (const auto& held : machines) {
        sum += held->name == "center" ? 0 : network.changes(*held);
    }
    return sum;
}

std::uint64_t World::disks_failed() const {
    std::uint64_t sum = 0;
    for (const auto& held : machines) {
        sum += held->disk().stats().failures;
    }
    return sum;
}

bool World::smooth_since(const Moment& then) const {
    return disks_failed() == then.failures &&
           std::none_of(machines.begin(), machines.end(),
                        [&](const auto& held) { return disturbed(*held, then.at_us); });
}

void World::link_bytes(Machine& from, std::int64_t link, const std::string& bytes) {
    network.carry(from, link, bytes);
}

void World::cut_neighbour(Machine& from, const std::string& neighbour) {
    network.cut_neighbour(from, neighbour);
}

void World::went_down(Machine& which) {
    disturb(which);
    network.went_down(which);
    engine.after(peace_ ? second : engine.between(100 * ms, 20 * second),
                 [&which] { which.start(); });
}

void World::came_up(Machine& which) {
    disturb(which);
}

void World::power_went(Machine& which) {
    files.power_went(which);
}

void World::kept_usage(Machine&, std::span<const billing::UsageRecord> records) {
    for (const billing::UsageRecord& record : records) {
        usage.at(std::string(record.rid.begin(), record.rid.end())).kept = true;
        ++acts_done;
    }
}

void World::failed_to_start(Machine& which, const Error& error) {
    // A full or failing disk may be why; a crash alone never is.
    const auto fault = disk_fault_us_.find(&which);
    if (error.code == Code::refused || fault == disk_fault_us_.end() ||
        fault->second < engine.now_us() - disk_fault_most) {
        violate("a tier starts after every crash", which.name + ": " + error.message);
    }
}

// What a parent offers was signed and is durable: its number means this lease, for ever.
void World::watch_lease(const Message& message) {
    const maint::TierIdentity& parent = message.from.keeper().identity();
    const auto audience = parent.name.child(message.to.name);
    const auto bytes = static_cast<std::size_t>(int_of(message.head, "envelope_bytes"));
    const std::string envelope = message.body.substr(0, bytes);
    const auto opened = trust::open(envelope, parent.envelope_key.public_key(),
                                    {"lease", parent.realm_id, parent.name, *audience}, 0);
    if (!opened.ok()) {
        violate("what a parent offers is signed", opened.error().message);
        return;
    }
    Watched& child = watched[message.to.name];
    const auto number = static_cast<std::int64_t>(opened->header.counter.number);
    hold(number >= child.offered_highest, "a parent never offers a lower lease",
         message.to.name + " is offered " + std::to_string(number) + " after " +
             std::to_string(child.offered_highest));
    hold(child.lease_offered.emplace(number, envelope).first->second == envelope,
         "a lease's number is given once",
         "two leases for " + message.to.name + " have the number " + std::to_string(number));
    child.offered_highest = std::max(child.offered_highest, number);
}

bool World::watch(Message& message) {
    const std::string type = text_of(message.head, "t");
    if (tamper && !tamper(message)) {
        return false;
    }
    if (type == "report") {
        Watched& child = watched[message.from.name];
        const std::int64_t lease = int_of(message.head, "lease");
        const std::int64_t generation = int_of(message.head, "generation");
        hold(lease >= child.lease_reported, "a child never goes back to a lower lease",
             message.from.name + " reports lease " + std::to_string(lease) + " after " +
                 std::to_string(child.lease_reported));
        hold(generation >= child.generation_reported, "a generation never falls",
             message.from.name + " reports generation " + std::to_string(generation) + " after " +
                 std::to_string(child.generation_reported));
        child.lease_reported = lease;
        child.generation_reported = generation;
    } else if (type == "lease") {
        watch_lease(message);
    }
    return true;
}

} // namespace hasp::sim
