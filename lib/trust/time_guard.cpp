#include "trust/time_guard.h"

#include <algorithm>

namespace hasp::trust {

TimeGuard::TimeGuard(TimeState saved, std::int64_t budget_us, std::int64_t boot_us,
                     std::string boot_id)
    : base_(std::move(saved)), budget_us_(budget_us) {
    // In the same boot only the time since the save is new; after a reboot all of this boot's
    // uptime is.
    const bool same_boot = base_.boot_id == boot_id && boot_us >= base_.saved_boot_us;
    base_.offline_us += same_boot ? boot_us - base_.saved_boot_us : boot_us;
    base_.saved_boot_us = boot_us;
    base_.boot_id = std::move(boot_id);
    last_boot_us_ = boot_us;
}

std::int64_t TimeGuard::offline_at(std::int64_t boot_us) const {
    return base_.offline_us + std::max<std::int64_t>(0, boot_us - base_.saved_boot_us);
}

void TimeGuard::observe_signed(std::int64_t signed_us, std::int64_t boot_us) {
    base_.signed_floor_us = std::max(base_.signed_floor_us, signed_us);
    base_.offline_us = 0;
    base_.saved_boot_us = boot_us;
    anchored_ = true;
    last_us_ = base_.signed_floor_us;
    last_boot_us_ = boot_us;
}

TrustedTime TimeGuard::now(std::int64_t wall_us, std::int64_t boot_us) {
    TrustedTime out;
    const std::int64_t elapsed = std::max<std::int64_t>(0, boot_us - last_boot_us_);
    std::int64_t certain = base_.signed_floor_us + offline_at(boot_us);
    if (!anchored_) {
        // The wall clock may be right and was believed once: uptime counts from there.
        certain = std::max(certain, last_us_ == 0 ? 0 : last_us_ + elapsed);
        out.now_us = std::max(certain, wall_us);
    } else {
        out.now_us = certain;
        out.clock_ahead = wall_us > certain + clock_tolerance_us;
    }
    out.anchored = anchored_;
    out.clock_behind = wall_us < certain - clock_tolerance_us;
    out.offline_too_long =
        budget_us_ > 0 && base_.signed_floor_us > 0 && offline_at(boot_us) > budget_us_;
    last_us_ = out.now_us;
    last_boot_us_ = std::max(last_boot_us_, boot_us);
    return out;
}

TimeState TimeGuard::state(std::int64_t boot_us) const {
    TimeState out = base_;
    out.offline_us = offline_at(boot_us);
    out.saved_boot_us = boot_us;
    return out;
}

} // namespace hasp::trust
