// The machine's clock as far as this tier believes it: leases, sessions and grants are judged by
// it, so that setting the wall clock back lengthens nothing. Its state is kept in the store, for a
// reboot without the link. One thread.
#pragma once

#include "base/clock.h"
#include "base/log.h"
#include "maint/tier_store.h"
#include "trust/time_guard.h"

#include <string>

namespace hasp::maint {

class TrustedClock final : public Clock {
  public:
    // `budget_us` as in trust::TimeGuard. The references outlive this.
    TrustedClock(const Clock& machine, TierStore& store, const Log& log, std::int64_t budget_us);

    // Trusted time; never goes back within a run, unless the parent says that it was ahead.
    std::int64_t wall_us() const override { return now().now_us; }
    std::int64_t boot_us() const override { return machine_.boot_us(); }
    std::string boot_id() const override { return machine_.boot_id(); }
    trust::TrustedTime now() const;
    // What the parent's clock says now, over a live link.
    void heard_parent_time(std::int64_t wall_us);
    // At least every few minutes; saves by itself.
    void tick();

  private:
    void save();

    const Clock& machine_;
    TierStore& store_;
    const Log& log_;
    mutable trust::TimeGuard guard_; // asking moves what "never goes back" is measured from
    std::int64_t saved_us_ = 0;      // boot clock
};

} // namespace hasp::maint
