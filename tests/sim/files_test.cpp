// Seeds through lib/sync alone. HASP_SIM_SEED=N runs one (HASP_SIM_TRACE=1 prints everything);
// HASP_SIM_SEEDS=N runs that many.
#include "files_world.h"

#include "base/text.h"

#include <cstdlib>
#include <gtest/gtest.h>

namespace hasp::sim {

namespace {

constexpr std::uint64_t seeds_default = 120;
constexpr std::uint64_t parts = 3;

std::uint64_t number_from(const char* name, std::uint64_t otherwise) {
    const char* text = std::getenv(name);
    return text == nullptr ? otherwise : parse_u64(text).value_or(otherwise);
}

FilesScenario scenario_of(std::uint64_t seed) {
    FilesScenario scenario;
    scenario.seed = seed;
    scenario.print = std::getenv("HASP_SIM_TRACE") != nullptr;
    return scenario;
}

} // namespace

class FilesSimulation : public testing::TestWithParam<std::uint64_t> {};

TEST_P(FilesSimulation, LosesNoAcknowledgedEditAndConvergesInEverySeedOfItsShare) {
    const std::uint64_t seeds = number_from("HASP_SIM_SEEDS", seeds_default);
    const std::uint64_t share = (seeds + parts - 1) / parts;
    const std::uint64_t first = GetParam() * share + 1;
    std::uint64_t edits = 0;
    for (std::uint64_t seed = first; seed < first + share && seed <= seeds; ++seed) {
        FilesWorld world(scenario_of(seed));
        const auto violation = world.run();
        edits += world.edits();
        EXPECT_FALSE(violation.has_value()) << world.report();
    }
    EXPECT_GT(edits, share * 40) << "the scenario does nothing";
}

INSTANTIATE_TEST_SUITE_P(Shares, FilesSimulation, testing::Range(std::uint64_t{0}, parts));

TEST(FilesReplay, OneSeedOfTheEnvironment) {
    FilesWorld world(scenario_of(number_from("HASP_SIM_SEED", 1)));
    const auto violation = world.run();
    EXPECT_FALSE(violation.has_value()) << world.report();
}

TEST(FilesReplay, GivesTheSameTraceFromTheSameSeed) {
    for (std::uint64_t seed = 1; seed <= 3; ++seed) {
        FilesWorld first(scenario_of(seed));
        first.run();
        FilesWorld again(scenario_of(seed));
        again.run();
        EXPECT_EQ(first.engine.trace_hash(), again.engine.trace_hash()) << "seed " << seed;
    }
}

} // namespace hasp::sim
