#include "loop_group.h"

#include <algorithm>
#include <cassert>

namespace hasp::passon {

std::shared_ptr<LoopGroup> make_loop_group(std::size_t loops) {
    return loops < 2 ? nullptr : std::make_shared<LoopGroup>(std::min(loops, loops_max));
}

std::optional<std::size_t> Shelf::idle_elsewhere(std::size_t than) const {
    for (std::size_t i = 0; i < cells_.size(); ++i) {
        if (i != than && cells_[i].idle.load() > 0) {
            return i;
        }
    }
    return {};
}

std::optional<std::size_t> Shelf::longest_waiting(std::size_t asking) const {
    std::optional<std::size_t> longest;
    std::int64_t since_ms = 0;
    for (std::size_t n = 0; n < cells_.size(); ++n) {
        const std::size_t i = (asking + n) % cells_.size();
        const std::int64_t its_ms = cells_[i].waiting_since_ms.load();
        if (its_ms > 0 && (!longest || its_ms < since_ms)) {
            longest = i;
            since_ms = its_ms;
        }
    }
    return longest;
}

void add(EngineCounters& into, const EngineCounters& more) {
    const auto both = [](LinkBytes& sum, const LinkBytes& one) {
        sum.in += one.in;
        sum.out += one.out;
    };
    into.connections += more.connections;
    into.requests += more.requests;
    into.refused_connections += more.refused_connections;
    into.bad_requests += more.bad_requests;
    into.log_bytes_dropped += more.log_bytes_dropped;
    into.upstream_opened += more.upstream_opened;
    into.upstream_reused += more.upstream_reused;
    into.retries += more.retries;
    into.tunnels += more.tunnels;
    into.exchanges += more.exchanges;
    into.identities += more.identities;
    into.parked += more.parked;
    both(into.parent, more.parent);
    both(into.children, more.children);
    both(into.peers, more.peers);
    into.cache.hits += more.cache.hits;
    into.cache.confirmed += more.cache.confirmed;
    into.cache.stale += more.cache.stale;
    into.cache.stored += more.cache.stored;
    into.cache.collapsed += more.cache.collapsed;
    into.cache.refreshed += more.cache.refreshed;
    // What is in it, each says of the same store.
}

LoopGroup::LoopGroup(std::size_t loops) : members_(loops), reports_(loops) {
    assert(loops >= 2 && loops <= loops_max);
}

std::size_t LoopGroup::join(net::Reactor& reactor, Core& core) {
    assert(joined_ < members_.size());
    members_[joined_].reactor = &reactor;
    members_[joined_].core = &core;
    return joined_++;
}

void LoopGroup::leave(std::size_t loop) {
    members_[loop].core = nullptr;
    members_[loop].reactor = nullptr;
}

void LoopGroup::post(std::size_t to, std::function<void(Core&)> what) {
    Member& member = members_[to];
    if (member.reactor == nullptr) {
        return; // nothing has begun yet, or all is over
    }
    member.reactor->post_from_any_thread([&member, what = std::move(what)] {
        if (member.core != nullptr) {
            what(*member.core);
        }
    });
}

void LoopGroup::post_others(std::size_t from, const std::function<void(Core&)>& what) {
    for (std::size_t i = 0; i < members_.size(); ++i) {
        if (i != from) {
            post(i, what);
        }
    }
}

void LoopGroup::change_connections(std::size_t loop, std::size_t now, std::size_t before) {
    members_[loop].connections.store(now, std::memory_order_relaxed);
    connections_.fetch_add(now - before, std::memory_order_relaxed); // modulo 2^64
}

bool LoopGroup::enter(const std::string& address, const AddressLimits& most, std::size_t all_max) {
    const std::lock_guard lock(addresses_mutex_);
    if (connections() >= all_max || !addresses_.enter(address, most)) {
        return false;
    }
    connections_.fetch_add(1, std::memory_order_relaxed);
    return true;
}

bool LoopGroup::enter(std::size_t all_max) {
    const std::lock_guard lock(addresses_mutex_);
    if (connections() >= all_max) {
        return false;
    }
    connections_.fetch_add(1, std::memory_order_relaxed);
    return true;
}

void LoopGroup::leave_address(const std::string& address) {
    const std::lock_guard lock(addresses_mutex_);
    addresses_.leave(address);
}

std::size_t LoopGroup::choose_loop() {
    std::size_t best = 0;
    std::size_t fewest = SIZE_MAX;
    // From the one behind the last, so that equals take turns.
    for (std::size_t i = 1; i <= members_.size(); ++i) {
        const std::size_t loop = (last_chosen_ + i) % members_.size();
        const Member& member = members_[loop];
        const std::size_t count = member.connections.load(std::memory_order_relaxed) +
                                  member.coming.load(std::memory_order_relaxed);
        if (count < fewest) {
            fewest = count;
            best = loop;
        }
    }
    last_chosen_ = best;
    members_[best].coming.fetch_add(1);
    return best;
}

std::shared_ptr<Shelf> LoopGroup::shelf(const std::string& key) {
    const std::lock_guard lock(shelves_mutex_);
    std::weak_ptr<Shelf>& known = shelves_[key];
    if (std::shared_ptr<Shelf> found = known.lock()) {
        return found;
    }
    auto made = std::make_shared<Shelf>(members_.size());
    known = made;
    if (shelves_.size() > sweep_at_) {
        std::erase_if(shelves_, [](const auto& one) { return one.second.expired(); });
        sweep_at_ = 2 * shelves_.size() + 64;
    }
    return made;
}

void LoopGroup::end_era(const std::string& key) {
    const std::lock_guard lock(shelves_mutex_);
    if (const auto known = shelves_.find(key); known != shelves_.end()) {
        if (const std::shared_ptr<Shelf> found = known->second.lock()) {
            ++found->era;
        }
    }
}

void LoopGroup::report(std::size_t loop, LoopReport report) {
    const std::lock_guard lock(reports_mutex_);
    reports_[loop] = std::move(report);
}

void LoopGroup::others(std::size_t than, const std::function<void(const LoopReport&)>& what) const {
    const std::lock_guard lock(reports_mutex_);
    for (std::size_t i = 0; i < reports_.size(); ++i) {
        if (i != than) {
            what(reports_[i]);
        }
    }
}

} // namespace hasp::passon
