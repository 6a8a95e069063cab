// The heart of a simulated run: one queue of events in true time, one source of chance, and the
// trace of everything that happened. The same seed gives the same trace, byte for byte.
#pragma once

#include "base/random.h"

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace hasp::sim {

inline constexpr std::int64_t ms = 1'000; // times are in microseconds
inline constexpr std::int64_t second = 1'000'000;
inline constexpr std::int64_t minute = 60 * second;
inline constexpr std::int64_t hour = 60 * minute;
inline constexpr std::int64_t day = 24 * hour;

// True time at which a run begins; the machines believe what their clocks say.
inline constexpr std::int64_t begin_us = 1'700'000'000 * second;
// A run that does not end is a bug of its own: this many events end it.
inline constexpr std::uint64_t events_max = 20'000'000;

class Engine {
  public:
    explicit Engine(std::uint64_t seed, bool print = false) : random_(seed), print_(print) {}

    std::int64_t now_us() const { return now_us_; }
    Random& random() { return random_; }
    std::uint64_t below(std::uint64_t bound) { return random_.below(bound); }
    std::int64_t between(std::int64_t least, std::int64_t most) {
        return least + static_cast<std::int64_t>(
                           random_.below(static_cast<std::uint64_t>(most - least) + 1));
    }
    bool chance(std::uint64_t percent) { return random_.below(100) < percent; }
    template <typename List>
    auto& one_of(List& list) {
        return list[random_.below(list.size())];
    }

    // Events at the same time run in the order in which they were asked for.
    void at(std::int64_t when_us, std::function<void()> event);
    void after(std::int64_t delay_us, std::function<void()> event) {
        at(now_us_ + delay_us, std::move(event));
    }
    // Runs what is due until `when_us`, or until stop().
    void run_until(std::int64_t when_us);
    void stop() { stopped_ = true; }
    bool stopped() const { return stopped_; }

    void note(std::string_view who, std::string_view what);
    std::uint64_t trace_hash() const { return hash_; }
    std::uint64_t trace_lines() const { return lines_; }
    // The last lines, oldest first: what a report of a violation shows.
    std::vector<std::string> last_lines() const;
    bool prints() const { return print_; }

  private:
    static constexpr std::size_t lines_kept_max = 60;
    std::multimap<std::int64_t, std::function<void()>> queue_;
    std::int64_t now_us_ = begin_us;
    SeededRandom random_;
    bool print_;
    bool stopped_ = false;
    std::uint64_t events_ = 0;
    std::uint64_t hash_ = 1469598103934665603ULL;
    std::uint64_t lines_ = 0;
    std::vector<std::string> kept_;
};

} // namespace hasp::sim
