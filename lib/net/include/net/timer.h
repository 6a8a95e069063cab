// Coarse time limits for many connections: a hashed wheel whose operations are all O(1).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace hasp::net {

class TimerWheel;

// One time limit inside the object that it guards. Fires at most once per arm(), never early, at
// most one tick plus the loop's delay late. Destruction cancels. One thread: that of its wheel.
class Timer {
  public:
    using Fire = void (*)(void* context);

    Timer(TimerWheel& wheel, Fire fire, void* context)
        : wheel_(wheel), fire_(fire), context_(context) {}
    ~Timer() { cancel(); }
    Timer(const Timer&) = delete;
    Timer& operator=(const Timer&) = delete;

    // Fires `ms` from the loop's cached time; replaces an earlier deadline. Moving a deadline
    // further away costs one store, so it may be done at every read.
    void arm(std::int64_t ms);
    // Nothing happens when it is not armed. Allowed inside fire functions, its own included.
    void cancel();
    bool armed() const { return armed_; }
    // Boot milliseconds at which it is due. Precondition: armed().
    std::int64_t due_ms() const { return due_ms_; }

  private:
    friend class TimerWheel;
    TimerWheel& wheel_;
    Fire fire_;
    void* context_;
    Timer* previous_ = nullptr;
    Timer* next_ = nullptr;
    std::int64_t due_ms_ = 0;
    std::int64_t slot_tick_ = 0;
    bool armed_ = false;
};

// `timer_call<&Session::on_idle>` is a Fire function for a Session* context.
template <auto Method>
struct TimerCall;
template <typename T, void (T::*Method)()>
struct TimerCall<Method> {
    static void call(void* context) { (static_cast<T*>(context)->*Method)(); }
};
template <auto Method>
inline constexpr Timer::Fire timer_call = &TimerCall<Method>::call;

// Owned by a Reactor; stands alone in tests. Never allocates.
class TimerWheel {
  public:
    static constexpr std::int64_t tick_ms = 64;
    static constexpr std::size_t slots = 512; // one turn is 32.8 s; longer limits go round again

    explicit TimerWheel(std::int64_t now_ms);

    // What now_ms() gives, and what arm() counts from. Time that goes backwards is ignored.
    void set_now(std::int64_t now_ms) { now_ms_ = now_ms > now_ms_ ? now_ms : now_ms_; }
    // set_now(), and fires what is due. Fire functions may arm, cancel and
    // destroy any timers.
    void advance(std::int64_t now_ms);
    std::int64_t now_ms() const { return now_ms_; }
    // How long a loop may sleep without being late by more than a tick; -1 when nothing is armed.
    int sleep_ms() const;
    std::size_t armed_count() const { return linked_; }

  private:
    friend class Timer;
    void link(Timer& timer);
    void unlink(Timer& timer);

    std::array<Timer*, slots> heads_{};
    std::array<std::uint64_t, slots / 64> occupied_{}; // one bit a slot that is not empty
    std::int64_t now_ms_;
    std::int64_t tick_; // last tick that was worked off
    std::size_t linked_ = 0;
    Timer* next_to_visit_ = nullptr; // keeps advance() safe while timers are unlinked
};

} // namespace hasp::net
