// The usage ring of a tier in a test of several keepers.
#pragma once

#include "tree.h"

#include <cstring>

namespace hasp::maint::tests {

// A tier's usage ring, as the keeper's process would hand it over.
struct Ring {
    explicit Ring(std::uint8_t id) { place.ring.fill(id); }

    billing::RingPlace place;
    std::vector<billing::UsageRecord> waiting;

    void use(Tree& tree, std::size_t count, const std::string& user = "nurse") {
        for (std::size_t i = 0; i < count; ++i) {
            billing::UsageRecord r;
            r.time_us = tree.clock.wall_us();
            r.status = 200;
            r.flags = billing::usage_final;
            billing::set_name(r.app, "wiki");
            billing::set_name(r.user, user);
            const std::uint64_t n = place.first + waiting.size();
            std::memcpy(r.rid.data(), &n, sizeof n);
            waiting.push_back(r);
        }
    }
    // One harvest; `take` false: the keeper dies before it takes them out.
    std::size_t harvest(Node& node, bool take = true) {
        const std::size_t durable = node.keeper->on_usage(place, waiting);
        node.keeper->flush();
        if (take) {
            waiting.erase(waiting.begin(), waiting.begin() + static_cast<long>(durable));
            place.first += durable;
        }
        return durable;
    }
};

} // namespace hasp::maint::tests
