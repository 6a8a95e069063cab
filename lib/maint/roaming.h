// Users who arrive by another tier: what a tier where they were before has not sent of their files,
// or may not have sent, and what they chose to do about it. The tiers' reports say what each has;
// every tier on the way to the highest that can be reached adds what it knows. One thread.
#pragma once

#include "base/clock.h"
#include "files.h"
#include "links.h"
#include "maint/tier_identity.h"
#include "maint/tier_store.h"
#include "owing.h"
#include "signon/session_store.h"

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace hasp::maint {

inline constexpr std::size_t owed_users_max = 10'000; // whose answers are remembered
inline constexpr std::size_t choices_max = 100'000;   // sessions
inline constexpr std::int64_t owed_fresh_us = 10'000'000;
inline constexpr std::int64_t owed_wait_us = 1'000'000; // of a page for an answer
// While something is owed to somebody who is here.
inline constexpr std::int64_t owed_again_us = 30'000'000;

class Roaming {
  public:
    struct World {
        Links& links;
        const Clock& clock;
        const TierIdentity& me;
        TierStore& store;
        signon::SessionStore& sessions;
        Files& files;
        // Front is to ask anew who this session is.
        std::function<void(const std::string& sid)> forget_session;
    };
    explicit Roaming(World world);
    // Takes the reports that were kept. Once, at the start.
    void load();

    void reported(const std::string& child, const Json& report);
    void child_revoked(const std::string& child) { below_.erase(child); }
    // He has logged in here, or at a tier below.
    void arrived(const std::string& user);
    void tick();

    // What is owed to this user elsewhere: as it is, or where that takes longer than a page may
    // wait, as it was known last. `told` is called once.
    using Told = std::function<void(const std::vector<Owing>&)>;
    void owed(const std::string& user, Told told);
    // [{user, tier, up, heard?, since, files?, bytes?, unsent_since?, text}] of those who are here.
    Json json() const;

    // Of a session, in memory: whoever is asked again after a restart loses nothing.
    enum class Choice : unsigned char { none, read, go_on };
    Choice choice(const std::string& sid) const;
    void choose(const std::string& sid, const std::string& user, Choice choice);

  private:
    struct Answer {
        std::vector<Owing> owing;
        std::int64_t at_us = 0; // boot clock; 0: there is none yet
        bool asking = false;
    };
    struct Waiting {
        std::string user;
        Told told;
        std::int64_t until_us = 0; // boot clock
    };
    struct Chosen {
        std::string user;
        Choice choice = Choice::none;
    };
    void on_question(const std::string& from, const Message& message, const Links::Answer& answer);
    std::vector<Owing> known_here(const std::string& user, const std::string& asker);
    // The same, with what was said above of tiers elsewhere, where that was said.
    std::vector<Owing> with_known_here(const Result<Message>& above, const std::string& user,
                                       const std::string& asker);
    void ask(const std::string& user);
    void take(const std::string& user, std::vector<Owing> owing, bool whole);
    void ask_again();
    bool is_here(const std::string& user) const;

    World world_;
    std::map<std::string, Copies> below_; // by child
    std::map<std::string, Answer> answers_;
    std::vector<Waiting> waiting_;
    std::map<std::string, Chosen> choices_; // by sid
    std::set<std::string> arrived_;
    std::int64_t asked_again_us_ = 0;
};

} // namespace hasp::maint
