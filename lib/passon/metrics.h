// What Prometheus reads (text format 0.0.4): counters of this engine and how long answers took. The
// names are documented in doc/metrics.md. One thread; nothing is allocated for an app that is
// known.
#pragma once

#include "passon/access_log.h"
#include "passon/engine.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace hasp::passon {

class Metrics {
  public:
    // Upper ends of the buckets, in microseconds; one more holds what took longer.
    static constexpr std::array<std::int64_t, 14> bucket_us{
        1'000,   2'500,   5'000,     10'000,    25'000,    50'000,     100'000,
        250'000, 500'000, 1'000'000, 2'500'000, 5'000'000, 10'000'000, 60'000'000};
    // Apps with figures of their own; those that come later share one row, "(others)".
    static constexpr std::size_t apps_max = 200;

    // A finished exchange. Its app counts by name only where the registry has it (`known`): other
    // names are what clients made up. `tunnel`: how long it stayed says nothing about speed.
    void count(const AccessLine& line, bool known, bool tunnel);
    // One address of an upstream app. Of these addresses_max are shown.
    struct AddressRow {
        std::string app;
        std::string address;
        bool up;
        std::uint64_t requests, failures, checks, checks_failed;
    };
    static constexpr std::size_t addresses_max = 1'000;
    std::string text(const EngineCounters& now, std::string_view tier,
                     const std::vector<AddressRow>& addresses) const;
    // What another loop counted of the same addresses; whether they are up is known here.
    static void add(std::vector<AddressRow>& into, const std::vector<AddressRow>& more);

    struct Route {
        std::array<std::uint64_t, bucket_us.size() + 1> durations{};
        std::array<std::uint64_t, 6> by_class{}; // index 2: 2xx; 0: no answer
        std::uint64_t duration_us = 0;
        std::uint64_t bytes_in = 0;
        std::uint64_t bytes_out = 0;
    };
    struct Hash {
        using is_transparent = void;
        std::size_t operator()(std::string_view text) const {
            return std::hash<std::string_view>()(text);
        }
    };
    // "app\nserved"
    using Routes = std::unordered_map<std::string, Route, Hash, std::equal_to<>>;
    const Routes& routes() const { return routes_; }
    // What another loop counted.
    void add(const Routes& more);

  private:
    Route& route_of(std::string_view app, std::string_view served);

    Routes routes_;
    std::string key_;
    // Most requests are of the app of the one before.
    Route* last_ = nullptr;
    std::string last_app_;
    std::string last_served_;
};

} // namespace hasp::passon
