// Whether a loop that has nothing left to do pauses before it waits for events, so that one wake-up
// serves several of them. What network cards do with interrupts (ethtool(8), "adaptive-rx"), for
// the same reason: of what a small request costs a busy loop, a good part is being woken for it.
#pragma once

#include <cstdint>

namespace hasp::net {

// Pure: the loop says what happened, with its clock. It pauses only where that saves something and
// is not felt: the loop is busy, events come often enough that several arrive in a pause, and the
// pauses so far did gather several. One client that waits for each answer before it asks again
// gathers nothing, and is not delayed but for a try now and then.
class Coalescing {
  public:
    static constexpr std::int64_t pause_us_max = 1'000;
    // It decides anew each time that this much has passed.
    static constexpr std::int64_t window_us = 20'000;
    // The part of a window in per cent that the loop has worked: it begins above the first and ends
    // below the second. Pauses make the loop work less, hence two.
    static constexpr std::int64_t begins_pct = 40;
    static constexpr std::int64_t ends_pct = 20;
    // Events in a pause, in the mean, below which a pause is not worth its own wake-up.
    static constexpr std::int64_t gathered_min = 2;
    // Windows without pauses after one whose pauses gathered less.
    static constexpr int windows_off = 16;

    // `pause_us`: how long a pause is, at most pause_us_max; 0: there are none.
    explicit Coalescing(std::int64_t pause_us = 0);

    bool configured() const { return pause_us_ > 0; }
    // How long the loop is to pause now that it would wait; 0: it waits at once.
    std::int64_t pause_us() const { return on_ ? pause_us_ : 0; }

    // The loop has waited, a pause included, from `since_us` until `now_us` and got `events`.
    void waited(std::int64_t since_us, std::int64_t now_us, std::int64_t events, bool paused);

  private:
    void decide(std::int64_t elapsed_us);

    std::int64_t pause_us_ = 0;
    bool on_ = false;
    int off_windows_left_ = 0;
    // Of this window.
    std::int64_t began_us_ = 0;
    std::int64_t waited_us_ = 0;
    std::int64_t events_ = 0;
    std::int64_t pauses_ = 0;
    std::int64_t gathered_ = 0; // events of waits with a pause
};

} // namespace hasp::net
