// The loops of a front beside its first, the home: each has a thread, a reactor, an engine and what
// that needs. The home's thread makes them, orders them about and ends them.
#pragma once

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "billing/usage_ring.h"
#include "net/reactor.h"
#include "passon/engine.h"
#include "passon/keeper_port.h"

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace hasp::cmd {

class FrontLoops {
  public:
    // All outlive it; `port` is the home's.
    FrontLoops(net::Reactor& home, passon::KeeperPort& port, const Clock& clock, const Log& log);
    ~FrontLoops();
    FrontLoops(const FrontLoops&) = delete;
    FrontLoops& operator=(const FrontLoops&) = delete;

    // One more, after the home's engine was made with the same group and before start(). `log`: a
    // descriptor of its own.
    Status add(const std::shared_ptr<passon::LoopGroup>& group, const passon::Settings& settings,
               const std::string& tier, Fd log, billing::UsageLane lane, std::int64_t pause_us);
    Status start();
    std::size_t count() const { return loops_.size(); }
    // Ends the threads: after it no engine does anything any more. Before the home's engine ends.
    void stop();

    // On each loop's thread, in the order of the calls.
    void each(const std::function<void(passon::Engine&)>& what);
    void reopen_log(int fd); // each gets a descriptor of its own, or keeps what it has
    // Each drains, or leaves and leaves the cache; from then on these say how far all of them were
    // within a tenth of a second.
    void drain();
    void leave();
    // Has each look at once, and calls `then` when all have: ended() is what they saw. Once they
    // drain or leave.
    void look_now(const std::function<void()>& then);
    bool ended() const; // what is to end: Engine::idle(), left()
    bool left_cache() const;

  private:
    struct Loop;
    void watch(bool (passon::Engine::*is)() const, bool cache);
    net::Reactor& home_;
    passon::KeeperPort& port_;
    const Clock& clock_;
    const Log& log_;
    std::vector<std::unique_ptr<Loop>> loops_;
};

} // namespace hasp::cmd
