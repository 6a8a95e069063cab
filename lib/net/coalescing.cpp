#include "net/coalescing.h"

#include <algorithm>

namespace hasp::net {

Coalescing::Coalescing(std::int64_t pause_us)
    : pause_us_(std::clamp<std::int64_t>(pause_us, 0, pause_us_max)) {}

void Coalescing::waited(std::int64_t since_us, std::int64_t now_us, std::int64_t events,
                        bool paused) {
    waited_us_ += now_us - since_us;
    events_ += events;
    if (paused) {
        ++pauses_;
        gathered_ += events;
    }
    if (const std::int64_t elapsed = now_us - began_us_; elapsed >= window_us || elapsed < 0) {
        decide(elapsed);
        began_us_ = now_us;
        waited_us_ = events_ = pauses_ = gathered_ = 0;
    }
}

void Coalescing::decide(std::int64_t elapsed_us) {
    if (off_windows_left_ > 0) {
        --off_windows_left_;
        return;
    }
    const std::int64_t worked_us = elapsed_us - waited_us_;
    const bool busy = worked_us * 100 >= elapsed_us * (on_ ? ends_pct : begins_pct);
    const bool gathers = pauses_ > 0 ? gathered_ >= gathered_min * pauses_
                                     : events_ * pause_us_ >= gathered_min * elapsed_us;
    if (pauses_ > 0 && !gathers) {
        off_windows_left_ = windows_off;
    }
    on_ = elapsed_us > 0 && busy && gathers;
}

} // namespace hasp::net
