// Seeds through the whole scenario. HASP_SIM_SEED=N runs one (HASP_SIM_TRACE=1 prints everything);
// HASP_SIM_SEEDS=A-B runs those instead of 1-300 (1-48 under a sanitizer, which takes four times as
// long; the seeds find what the product does wrong, and a few are enough for what its memory does).
#include "seeds.h"
#include "world.h"

#include "base/text.h"

#include <cstdlib>
#include <gtest/gtest.h>

namespace hasp::sim {

namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr Seeds seeds_default{1, 48};
#else
constexpr Seeds seeds_default{1, 300};
#endif
constexpr std::uint64_t parts = 6; // so that they run side by side

std::uint64_t number_from(const char* name, std::uint64_t otherwise) {
    const char* text = std::getenv(name);
    return text == nullptr ? otherwise : parse_u64(text).value_or(otherwise);
}

Scenario scenario_of(std::uint64_t seed) {
    Scenario scenario;
    scenario.seed = seed;
    scenario.print = std::getenv("HASP_SIM_TRACE") != nullptr;
    return scenario;
}

} // namespace

class Simulation : public testing::TestWithParam<std::uint64_t> {};

TEST_P(Simulation, HoldsEveryInvariantInEverySeedOfItsShare) {
    const Seeds seeds = seeds_from("HASP_SIM_SEEDS", seeds_default);
    const std::uint64_t share = (seeds.last - seeds.first) / parts + 1;
    const std::uint64_t first = seeds.first + GetParam() * share;
    std::uint64_t acts = 0;
    std::uint64_t runs = 0;
    for (std::uint64_t seed = first; seed < first + share && seed <= seeds.last; ++seed) {
        World world(scenario_of(seed));
        const auto violation = world.run();
        acts += world.acts_done;
        ++runs;
        EXPECT_FALSE(violation.has_value()) << world.report();
    }
    RecordProperty("acts", static_cast<int>(acts));
    EXPECT_GE(acts, runs * 20) << "the scenario does nothing";
}

INSTANTIATE_TEST_SUITE_P(Shares, Simulation, testing::Range(std::uint64_t{0}, parts));

TEST(SimulationReplay, OneSeedOfTheEnvironment) {
    const std::uint64_t seed = number_from("HASP_SIM_SEED", 1);
    World world(scenario_of(seed));
    const auto violation = world.run();
    EXPECT_FALSE(violation.has_value()) << world.report();
}

TEST(SimulationReplay, GivesTheSameTraceFromTheSameSeed) {
    std::set<std::uint64_t> traces;
    constexpr std::uint64_t seeds = 3;
    for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
        World first(scenario_of(seed));
        first.run();
        World again(scenario_of(seed));
        again.run();
        EXPECT_EQ(first.engine.trace_hash(), again.engine.trace_hash()) << "seed " << seed;
        EXPECT_EQ(first.engine.trace_lines(), again.engine.trace_lines()) << "seed " << seed;
        traces.insert(first.engine.trace_hash());
    }
    EXPECT_EQ(traces.size(), seeds);
}

} // namespace hasp::sim
