// When a tier reports to its parent: what matters at once, the rest seldom, so that an idle site
// costs its link next to nothing. Pure; times by the boot clock; one thread.
#pragma once

#include <cstdint>
#include <string>

namespace hasp::maint {

// How often a tier looks whether it has something to report.
inline constexpr std::int64_t report_look_us = 10'000'000;
// A report in which nothing changed but clocks and counters of bytes: with bytes that were of use
// to somebody, and without.
inline constexpr std::int64_t report_busy_us = 60'000'000;
inline constexpr std::int64_t report_idle_us = 1800'000'000;
// After the parent has asked everything is reported for so long: tiers below answer later.
inline constexpr std::int64_t report_asked_for_us = 10'000'000;
// Every report of a child makes one of ours: a center of a thousand locals must not make a hundred
// a second of them.
inline constexpr std::int64_t report_step_us = 1'000'000;

class ReportPace {
  public:
    // Something may be new.
    void changed() { stale_ = true; }
    // The first report on a link is sent at once, whatever it says.
    void parent_connected() {
        stale_ = true;
        told_us_ = 0;
    }
    // The next one is sent even if nothing is new: the parent may have lost the last.
    void forget_told() {
        stale_ = true;
        told_.clear();
    }
    void asked(std::int64_t now_us) {
        stale_ = true;
        asked_until_us_ = now_us + report_asked_for_us;
    }
    void tick(std::int64_t now_us) { stale_ = stale_ || now_us - looked_us_ >= report_look_us; }

    // While the parent is connected: whether to make a report now. It counts as made.
    bool look(std::int64_t now_us);
    // Whether to send the one that was made. `matters`: what is told at once where it differs;
    // `useful_bytes`: moved for somebody until now. It counts as sent.
    bool tell(std::int64_t now_us, std::string matters, std::uint64_t useful_bytes);

  private:
    bool stale_ = true;
    std::int64_t looked_us_ = 0;
    std::int64_t asked_until_us_ = 0;
    std::int64_t told_us_ = 0; // 0: nothing on this link
    std::string told_;
    std::uint64_t told_bytes_ = 0;
};

} // namespace hasp::maint
