#include "crash_history.h"

#include <algorithm>

namespace hasp::run {
namespace {
static_assert(back_off_s_min < back_off_s_max && crash_loop_count > 1);
} // namespace

void CrashHistory::crashed(std::int64_t now_us) {
    times_us_.push_back(now_us);
    while (now_us - times_us_.front() > crash_loop_window_s * second_us) {
        times_us_.pop_front();
    }
    // Once in a loop, each further crash makes a longer pause: pauses soon outgrow the window.
    if (pause_s_ > 0 || times_us_.size() >= static_cast<std::size_t>(crash_loop_count)) {
        pause_s_ = std::clamp<std::int64_t>(pause_s_ * 2, back_off_s_min, back_off_s_max);
        until_us_ = now_us + pause_s_ * second_us;
    }
}

void CrashHistory::ran_well(std::int64_t for_us) {
    if (for_us >= crash_loop_window_s * second_us) {
        forget();
    }
}

} // namespace hasp::run
