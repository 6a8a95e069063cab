// What is bulky on the link to the parent: who may move the next piece, and what a month's budget
// leaves. The budget is this tier's own, for both directions of that link, by what was counted in
// this month (traffic.h); what tiers below send through counts, and is held by their own budgets.
// One thread.
//
// Nothing that is held is lost: whoever was refused keeps what he has, and looks at over() now and
// then. Users' requests are never held; their budget only warns. Everything that keeps tiers in
// step (control, leases, revocations, the ledger) knows no budget.
#pragma once

#include "base/clock.h"
#include "base/log.h"
#include "base/result.h"
#include "link_pace.h"
#include "maint/config.h"
#include "maint/keeper_ports.h"
#include "maint/tier_store.h"
#include "traffic.h"

#include <cstdint>
#include <deque>
#include <functional>
#include <string>

namespace hasp::maint {

// Front says what users move only every few seconds, but so often while it is asked to.
inline constexpr std::int64_t traffic_often_us = 1'000'000;
// Percent of a budget for users at which it is told that it goes to its end.
inline constexpr std::uint64_t budget_near_percent = 80;

class LinkGate {
  public:
    struct World {
        KeeperPorts& ports;
        const Clock& clock; // its wall clock is the trusted one
        const Log& log;
        const Config& config;
        TierStore& store;
        Traffic& traffic;
        bool has_parent;
    };
    explicit LinkGate(World world);
    // What earlier keepers counted, from the store. Once, at start.
    Status load();
    // Writes what was counted. By tick() each traffic_keep_us, and before the keeper ends in order.
    void keep();

    // Called once, at once or later, in the order in which it was asked for that way, files before
    // releases: with leave to move a piece of at most `most_bytes`, to be given back by done(), or
    // with what over() says. Whoever waits here must live as long as this.
    using Go = std::function<void(Result<LinkPace::Piece>)>;
    // Whether pieces wait for one another; else as many go at once as are asked for.
    bool paces() const;
    void wait_turn(Purpose purpose, LinkWay way, std::size_t most_bytes, Go go);
    // `tells`: see LinkPace::end().
    void done(const LinkPace::Piece& piece, bool tells);
    void moved_more(Purpose purpose, std::size_t bytes) { pace_.moved_more(purpose, bytes); }

    // Of a piece that comes unasked, with the answer to something else.
    std::size_t piece_bytes(Purpose purpose, LinkWay way) const {
        return pace_.piece_bytes(purpose, way);
    }

    // Nothing while the budget of that purpose (packs or files) leaves something; else try_later,
    // with when it goes on and what to do.
    std::optional<Error> over(Purpose purpose) const;
    // Something of that purpose waits for its budget from now on: status and the log say so.
    void hold(Purpose purpose);
    // Of each budget that is set: {purpose, budget_mib, month_bytes, state: ok | near | used_up}
    // and where it is used up waits: {since, bytes, text, next}, while something does.
    // `waiting_bytes` by purpose: what is known to wait.
    Json json(std::uint64_t packs_waiting, std::uint64_t files_waiting) const;

    // `anchored`: the trusted time is more than a guess, and may begin a month.
    void tick(bool anchored);
    void front_said() { pace_.users_moved(world_.traffic.requests_to_parent(), now()); }

  private:
    struct Waiting {
        LinkWay way = LinkWay::down;
        std::size_t most_bytes = 0;
        Go go;
    };
    std::int64_t now() const { return world_.clock.boot_us(); }
    std::uint64_t budget(Purpose purpose) const; // bytes; 0: none
    std::uint64_t left(Purpose purpose) const;
    bool pass_first(Purpose purpose);
    void pump();
    void look_at_users();
    void forget_waits();

    World world_;
    LinkPace pace_;
    std::deque<Waiting> files_;
    std::deque<Waiting> packs_;
    bool pumping_ = false;
    std::int64_t kept_us_ = 0;
    std::int64_t asked_front_us_ = 0;
    std::string kept_;             // what was written last
    std::uint64_t users_told_ = 0; // percent that was logged
};

} // namespace hasp::maint
