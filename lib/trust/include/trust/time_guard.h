// The time to judge leases by, on a box whose clock may lie: a floor of signed times, the boot
// clock, and a budget of uptime without a signed time. No clock is read here: times are passed in.
// One thread; owned by the keeper.
#pragma once

#include <cstdint>
#include <string>

namespace hasp::trust {

// The wall clock may differ from trusted time by this much before it is called wrong.
inline constexpr std::int64_t clock_tolerance_us = 300LL * 1'000'000;

// To be kept over restarts. Save it after observe_signed() and every few minutes.
struct TimeState {
    std::int64_t signed_floor_us = 0; // highest signed time seen; 0: none yet
    std::int64_t offline_us = 0;      // uptime since then, over all boots
    std::int64_t saved_boot_us = 0;   // boot clock when this was made
    std::string boot_id;              // of that boot, opaque
    friend bool operator==(const TimeState&, const TimeState&) = default;
};

struct TrustedTime {
    std::int64_t now_us = 0;
    bool clock_behind =
        false; // the wall clock is behind what is certain: set back, or lost its battery
    bool clock_ahead = false;      // it is ahead of a signed time heard in this boot; ignored
    bool anchored = false;         // a signed time was heard in this run
    bool offline_too_long = false; // the budget of uptime without a signed time is used up
    bool suspect() const { return clock_behind || offline_too_long; }
};

class TimeGuard {
  public:
    // `budget_us`: 0 means no limit (a top has nobody to ask). `boot_us` and `boot_id` are those of
    // now.
    TimeGuard(TimeState saved, std::int64_t budget_us, std::int64_t boot_us, std::string boot_id);

    // A time signed by the parent (or, at the top, a time this tier signed itself) and known to be
    // fresh: from a live link, never from a stored document. A time below the floor resets the
    // budget but never lowers the floor.
    void observe_signed(std::int64_t signed_us, std::int64_t boot_us);

    // Never goes back within one run unless a signed time says that the wall clock was ahead. After
    // a signed time in this run the wall clock does not count; before that it counts where it is
    // later than what is certain.
    TrustedTime now(std::int64_t wall_us, std::int64_t boot_us);

    TimeState state(std::int64_t boot_us) const;

  private:
    std::int64_t offline_at(std::int64_t boot_us) const;

    TimeState base_;
    std::int64_t budget_us_;
    bool anchored_ = false;    // a signed time was heard in this run
    std::int64_t last_us_ = 0; // highest time given out since the last signed time
    std::int64_t last_boot_us_ = 0;
};

} // namespace hasp::trust
