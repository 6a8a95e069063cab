#include "trusted_clock.h"

#include "base/files.h"
#include "base/text.h"
#include "json_tools.h"

namespace hasp::maint {

namespace {
constexpr std::int64_t save_every_us = 300'000'000;
// Not at each heartbeat: that would be a write to the disk each time. In this boot nothing is lost
// by it, since the boot clock goes on from what was saved; over a reboot at most this much is.
constexpr std::int64_t save_signed_every_us = 60'000'000;

trust::TimeState saved_time(TierStore& store) {
    auto text = store.fact("time");
    const Json json = parse_object(text.ok() ? *text : "");
    return {int_of(json, "signed_floor_us"), int_of(json, "offline_us"),
            int_of(json, "saved_boot_us"), text_of(json, "boot_id")};
}
} // namespace

TrustedClock::TrustedClock(const Clock& machine, TierStore& store, const Log& log,
                           std::int64_t budget_us)
    : machine_(machine), store_(store), log_(log),
      guard_(saved_time(store), budget_us, machine.boot_us(), machine.boot_id()) {}

trust::TrustedTime TrustedClock::now() const {
    return guard_.now(machine_.wall_us(), machine_.boot_us());
}

void TrustedClock::heard_parent_time(std::int64_t wall_us) {
    guard_.observe_signed(wall_us, machine_.boot_us());
    if (saved_us_ == 0 || machine_.boot_us() - saved_us_ >= save_signed_every_us) {
        save();
    }
}

void TrustedClock::tick() {
    if (machine_.boot_us() - saved_us_ >= save_every_us) {
        save();
    }
}

void TrustedClock::save() {
    saved_us_ = machine_.boot_us();
    const trust::TimeState state = guard_.state(saved_us_);
    const Json json{{"signed_floor_us", state.signed_floor_us},
                    {"offline_us", state.offline_us},
                    {"saved_boot_us", state.saved_boot_us},
                    {"boot_id", state.boot_id}};
    if (const Status kept = store_.set_fact("time", dump(json)); !kept.ok()) {
        log_.error("time.keep", kept.error().message);
    }
}

} // namespace hasp::maint
