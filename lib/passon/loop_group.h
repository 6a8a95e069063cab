// What the engines of one front have in common when it has several loops: each engine lives on its
// own thread, and what passes between two of them is a message to the other's reactor.
//
// The first engine that joins is the home: it has the listeners, the control streams and the
// reversed connections; the cache's store is shared, and the home recovers it. All engines join
// before the first of the threads runs, and all threads have ended before the first engine is
// destroyed: so a message that is run finds its engine, and one that comes too late is destroyed
// with its reactor. Any thread, unless a call says otherwise.
//
// Messages are not counted: each stands for something that has its limit, a connection, a request
// that waits, an order of the keeper, a change of a state.
#pragma once

#include "address_counts.h"
#include "metrics.h"
#include "net/reactor.h"
#include "passon/engine.h"

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace hasp::passon {

class Core;

// Idle connections to one endpoint, and requests that wait for one: how many at each loop, and
// since when. A loop writes its own cell; another that needs a connection reads them all before it
// dials, and one that has a connection to give gives it where somebody has waited longest, so that
// the users of no loop wait while those of another are served in turn.
class Shelf {
  public:
    explicit Shelf(std::size_t loops) : cells_(loops) {}

    // Sequentially consistent where both are told: of a loop that puts one away and one that begins
    // to wait at the same moment, at least one sees the other.
    void set_idle(std::size_t loop, std::size_t count, bool ordered) {
        cells_[loop].idle.store(static_cast<std::uint32_t>(count),
                                ordered ? std::memory_order_seq_cst : std::memory_order_relaxed);
    }
    // Since when the one that waits longest does, boot clock; 0: nobody waits.
    void set_waiting(std::size_t loop, std::int64_t since_ms) {
        cells_[loop].waiting_since_ms.store(since_ms);
    }
    // Another loop that has one idle.
    std::optional<std::size_t> idle_elsewhere(std::size_t than) const;
    // Of all loops the one where somebody waits longest; equals: the one that asks. nullopt: nobody
    // waits.
    std::optional<std::size_t> longest_waiting(std::size_t asking) const;

    // Connections from before a change of it are not used again: see LoopGroup::end_era().
    std::atomic<std::uint64_t> era{0};

  private:
    struct alignas(64) Cell {
        std::atomic<std::uint32_t> idle{0};
        std::atomic<std::int64_t> waiting_since_ms{0};
    };
    std::vector<Cell> cells_;
};

// What one loop tells of itself about once a second.
struct LoopReport {
    EngineCounters counters;
    Metrics::Routes routes;
    std::vector<Metrics::AddressRow> addresses;
};
void add(EngineCounters& into, const EngineCounters& more);

class LoopGroup {
  public:
    static constexpr std::size_t home = 0;

    // Precondition: 2 to loops_max.
    explicit LoopGroup(std::size_t loops);

    // Of the engine's constructor and destructor. The loop's number.
    std::size_t join(net::Reactor& reactor, Core& core);
    void leave(std::size_t loop);

    // Runs `what` on that loop's thread. Order is kept between two loops.
    void post(std::size_t to, std::function<void(Core&)> what);
    void post_others(std::size_t from, const std::function<void(Core&)>& what);

    // All connections of users and neighbours, and of them those of users by address.
    std::size_t connections() const { return connections_.load(std::memory_order_relaxed); }
    void change_connections(std::size_t loop, std::size_t now, std::size_t before);
    // One more of a user; false: a limit is reached, and nothing is counted. It counts among
    // connections() already.
    bool enter(const std::string& address, const AddressLimits& most, std::size_t all_max);
    // The same of one that is no user's, or not yet.
    bool enter(std::size_t all_max);
    void leave_address(const std::string& address);
    // The loop with the fewest connections, those on their way to it included. Counts one more on
    // its way, until arrived(). Home's thread.
    std::size_t choose_loop();
    void arrived(std::size_t loop) { members_[loop].coming.fetch_sub(1); }

    // Made when it is new; gone with its last owner.
    std::shared_ptr<Shelf> shelf(const std::string& key);
    // Connections of this endpoint that are there now, at any loop or between two, take no further
    // request. Home's thread, before the other loops are told why.
    void end_era(const std::string& key);

    void report(std::size_t loop, LoopReport report);
    // Of all but this loop, as they said last.
    void others(std::size_t than, const std::function<void(const LoopReport&)>& what) const;

  private:
    struct alignas(64) Member {
        net::Reactor* reactor = nullptr;
        Core* core = nullptr; // that of its thread
        std::atomic<std::size_t> connections{0};
        std::atomic<std::size_t> coming{0};
    };
    std::vector<Member> members_;
    std::size_t joined_ = 0;
    std::size_t last_chosen_ = 0; // home's
    std::atomic<std::size_t> connections_{0};
    std::mutex addresses_mutex_;
    AddressCounts addresses_;
    std::mutex shelves_mutex_;
    std::unordered_map<std::string, std::weak_ptr<Shelf>> shelves_;
    std::size_t sweep_at_ = 64; // shelves; those without an owner are forgotten then
    mutable std::mutex reports_mutex_;
    std::vector<LoopReport> reports_;
};

} // namespace hasp::passon
