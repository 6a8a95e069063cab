#include "net/timer.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace hasp::net {

void Timer::arm(std::int64_t ms) {
    const std::int64_t due_ms = wheel_.now_ms() + std::max<std::int64_t>(ms, 0);
    // No nearer than the slot it is in: found to be early there, and moved on then. On a busy loop
    // many requests have the same millisecond, and so the same deadline.
    const bool stays = armed_ && due_ms >= due_ms_;
    due_ms_ = due_ms;
    if (stays) {
        return;
    }
    cancel();
    armed_ = true;
    wheel_.link(*this);
}

void Timer::cancel() {
    if (armed_) {
        wheel_.unlink(*this);
        armed_ = false;
    }
}

TimerWheel::TimerWheel(std::int64_t now_ms) : now_ms_(now_ms), tick_(now_ms / tick_ms) {}

void TimerWheel::link(Timer& timer) {
    // Rounded up, so that it never fires early; and never into a slot that was worked off.
    timer.slot_tick_ = std::max((timer.due_ms_ + tick_ms - 1) / tick_ms, tick_ + 1);
    const auto slot = static_cast<std::size_t>(timer.slot_tick_) % slots;
    timer.previous_ = nullptr;
    timer.next_ = heads_[slot];
    if (timer.next_ != nullptr) {
        timer.next_->previous_ = &timer;
    }
    heads_[slot] = &timer;
    occupied_[slot / 64] |= std::uint64_t{1} << (slot % 64);
    ++linked_;
}

void TimerWheel::unlink(Timer& timer) {
    if (next_to_visit_ == &timer) {
        next_to_visit_ = timer.next_;
    }
    if (timer.next_ != nullptr) {
        timer.next_->previous_ = timer.previous_;
    }
    if (timer.previous_ != nullptr) {
        timer.previous_->next_ = timer.next_;
    } else {
        const auto slot = static_cast<std::size_t>(timer.slot_tick_) % slots;
        heads_[slot] = timer.next_;
        if (timer.next_ == nullptr) {
            occupied_[slot / 64] &= ~(std::uint64_t{1} << (slot % 64));
        }
    }
    timer.previous_ = timer.next_ = nullptr;
    --linked_;
}

void TimerWheel::advance(std::int64_t now_ms) {
    set_now(now_ms);
    const std::int64_t last = now_ms_ / tick_ms;
    // After a long pause one turn visits every slot.
    tick_ = std::max(tick_, last - static_cast<std::int64_t>(slots));
    while (tick_ < last) {
        ++tick_;
        next_to_visit_ = heads_[static_cast<std::size_t>(tick_) % slots];
        while (next_to_visit_ != nullptr) {
            Timer& timer = *std::exchange(next_to_visit_, next_to_visit_->next_);
            if (timer.due_ms_ > now_ms_) {
                if (timer.slot_tick_ <= tick_) { // its deadline was moved away
                    unlink(timer);
                    link(timer);
                }
                continue;
            }
            unlink(timer);
            timer.armed_ = false;
            timer.fire_(timer.context_); // may destroy the timer
        }
    }
}

int TimerWheel::sleep_ms() const {
    if (linked_ == 0) {
        return -1;
    }
    const auto start = static_cast<std::size_t>(tick_ + 1) % slots;
    for (std::size_t step = 0; step < slots;) {
        const std::size_t slot = (start + step) % slots;
        const std::uint64_t word = occupied_[slot / 64] >> (slot % 64);
        if (word != 0) {
            step += static_cast<std::size_t>(std::countr_zero(word));
            const std::int64_t at_ms = (tick_ + 1 + static_cast<std::int64_t>(step)) * tick_ms;
            return static_cast<int>(std::max<std::int64_t>(at_ms - now_ms_, 0));
        }
        step += 64 - slot % 64;
    }
    return static_cast<int>(tick_ms);
}

} // namespace hasp::net
