// What goes wrong around the tiers.
#include "world.h"

namespace hasp::sim {

namespace {
constexpr std::uint64_t changes_within = 60; // of the disk, until the power goes
} // namespace

void World::fault() {
    Machine& any = *engine.one_of(machines);
    Machine& local = *machines[1 + engine.below(2)];
    const auto end = engine.chance(60) ? Machine::End::power_lost : Machine::End::killed;
    switch (engine.below(13)) {
    case 0:
    case 1:
        if (any.up()) {
            any.crash(end);
        }
        break;
    case 2:
    case 3:
    case 4:
        // In the middle of whatever it does next; the world starts it again when it is down.
        engine.note(any.name, "will lose its power soon");
        any.crash_within(end, engine.below(changes_within));
        break;
    case 5:
    case 6:
        network.allow(local, false);
        engine.after(engine.between(second, 40 * second),
                     [this, &local] { network.allow(local, true); });
        break;
    case 7:
        network.cut(local);
        break;
    case 8:
        // The center's clock is a good one: what it says is what its children hold for the time.
        step_clock(any, any.name == "center" ? engine.between(-minute, minute)
                                             : engine.between(-400 * day, 400 * day));
        break;
    case 9:
        fill_disk(any);
        break;
    case 10:
        engine.note(any.name, "an operation of its disk will fail");
        disk_fault_us_[&any] = engine.now_us();
        any.disk().fail_after(engine.below(changes_within));
        break;
    case 11:
        any.crash_before_freeing(end);
        break;
    default:
        if (any.up()) {
            any.stop();
        }
        break;
    }
}

void World::step_clock(Machine& which, std::int64_t by_us) {
    engine.note(which.name, "its clock steps by " + std::to_string(by_us / second) + " s");
    which.clock.step(by_us);
    stepped_.insert(&which);
}

void World::fill_disk(Machine& which) {
    engine.note(which.name, "its disk is full");
    disk_fault_us_[&which] = engine.now_us();
    which.disk().set_capacity(which.disk().used() + engine.below(20'000) + 1);
    engine.after(engine.between(second, minute), [this, &which] {
        engine.note(which.name, "its disk has room");
        disk_fault_us_[&which] = engine.now_us();
        which.disk().set_capacity(0);
    });
}

} // namespace hasp::sim
