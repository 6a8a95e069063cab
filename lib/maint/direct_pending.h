// What a tier remembers of browsers that it sends to tiers above (direct return,
// doc/decisions/0021): who is on his way, whose browser reaches what, and who did not come back. In
// memory: a restart forgets it, and requests are passed on or sent once more. One thread.
#pragma once

#include "base/clock.h"
#include "base/random.h"

#include <deque>
#include <map>
#include <optional>
#include <string>

namespace hasp::maint {

inline constexpr std::size_t direct_pending_max = 4'096;
inline constexpr std::size_t direct_pending_max_each = 16; // of one session
inline constexpr std::size_t direct_known_max = 20'000;    // of each of the other memories
// A browser is back within that, or is taken not to reach the other tier.
inline constexpr std::int64_t direct_return_us = 5 * second_us;
inline constexpr std::int64_t direct_pending_us = 60 * second_us;
inline constexpr std::int64_t direct_pause_us = 600 * second_us;
// Nobody could say how to go: that may be over soon.
inline constexpr std::int64_t direct_rest_us = 20 * second_us;
// Who got so many tickets for one app in so short a time was not let in there.
inline constexpr std::size_t direct_entries_max = 5;
inline constexpr std::int64_t direct_entries_us = 60 * second_us;
inline constexpr std::int64_t direct_reach_us = 1'800 * second_us;

class DirectPending {
  public:
    DirectPending(const Clock& clock, Random& random) : clock_(clock), random_(random) {}

    struct Journey {
        std::string app;
        std::string url;    // of the tier above, see DirectFacts
        std::string origin; // of this tier, where the browser is to come back to
        std::string target; // at the app's own host
        std::string back;   // path and query here, for when nothing comes of it
    };
    // The word for it, 32 hex digits; good for direct_pending_us. Empty: this session, or all of
    // them, have too many on their way.
    std::string set_out(const std::string& sid, Journey journey);
    // Nothing came of it that says anything of the browser.
    void forget(const std::string& sid, const std::string& state);
    // Once. Nothing: unknown, over, or of another session.
    std::optional<Journey> come_back(const std::string& sid, const std::string& state);

    // Not sent to `url` for direct_pause_us: it did not come back from there, or was not let in.
    // What was known of its reaching it is forgotten.
    void pause(const std::string& sid, const std::string& url);
    // Not sent for direct_rest_us.
    void rest(const std::string& sid, const std::string& url);
    // It has a ticket for this app, and goes. False: it has gone direct_entries_max times within
    // direct_entries_us, and is paused.
    bool goes(const std::string& sid, const std::string& app, const std::string& url);
    // Also finds out that one has not come back; should it after all, it is still led on.
    bool paused(const std::string& sid, const std::string& url);

    // The portal's word, for direct_reach_us.
    void reaches(const std::string& sid, const std::string& url);
    bool does_reach(const std::string& sid, const std::string& url) const;

  private:
    struct Waiting {
        Journey journey;
        std::int64_t since_us;
        bool late = false; // and its session paused for it
    };
    using Known = std::map<std::string, std::int64_t>; // sid and url: until
    void drop_old();
    void remember(Known& into, const std::string& key, std::int64_t until_us) const;

    const Clock& clock_;
    Random& random_;
    std::map<std::string, Waiting> waiting_; // by sid and state
    std::deque<std::string> by_age_;
    Known paused_;
    Known reached_;
    struct Gone {
        std::int64_t since_us;
        std::size_t times;
    };
    std::map<std::string, Gone> gone_; // by sid and app
};

} // namespace hasp::maint
