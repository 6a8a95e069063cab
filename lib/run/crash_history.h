// When an instance that keeps failing may be started again. Pure; times are Clock::boot_us().
#pragma once

#include "run/spawner.h"

#include <cstdint>
#include <deque>

namespace hasp::run {

class CrashHistory {
  public:
    void crashed(std::int64_t now_us);
    // It has run well for so long: a window without a crash ends the growing of the pauses.
    void ran_well(std::int64_t for_us);
    // 0: may start now; else the time until which it may not.
    std::int64_t refused_until_us(std::int64_t now_us) const {
        return until_us_ > now_us ? until_us_ : 0;
    }
    std::int64_t pause_s() const { return pause_s_; }
    void forget() { *this = CrashHistory(); }

  private:
    std::deque<std::int64_t> times_us_;
    std::int64_t until_us_ = 0;
    std::int64_t pause_s_ = 0;
};

} // namespace hasp::run
