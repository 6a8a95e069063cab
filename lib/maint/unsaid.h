// News for the parent (a session ended, an account changed) that must arrive: stored before it is
// sent, and kept until the parent has answered that it holds, over cut links, restarts and a
// parent's full disk. Said again it changes nothing. One thread.
#pragma once

#include "base/log.h"
#include "json_tools.h"
#include "links.h"
#include "maint/tier_store.h"

#include <deque>

namespace hasp::maint {

inline constexpr std::size_t unsaid_max = 10'000; // the oldest give way

class Unsaid {
  public:
    Unsaid(Links& links, TierStore& store, const Log& log)
        : links_(links), store_(store), log_(log) {}

    // Said at once where there is a link. What has to be said again is said without the identity
    // that it brought: whose account changed meanwhile is then logged out there, which is always
    // safe. Of an account that changes again before that, only the last is kept.
    void say(Json message);
    // Not true any more.
    void drop(const std::string& type, const std::string& user);
    // The link is there again.
    void parent_connected() { say_again(); }
    // Once a minute: the parent did not keep it, or did not answer.
    void retry();

  private:
    struct Entry {
        std::int64_t number = 0;
        Json message;
        bool asked = false; // an answer is on its way
    };
    void load();
    void save();
    void say_again();
    void ask(std::int64_t number, const Json& message);
    Entry* find(std::int64_t number);
    // What waits and says nothing that this does not say too.
    Entry* covered_by(const Json& message);

    Links& links_;
    TierStore& store_;
    const Log& log_;
    bool loaded_ = false;
    std::deque<Entry> entries_;
    std::int64_t next_ = 1;
};

} // namespace hasp::maint
