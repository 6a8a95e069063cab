#include "base/clock.h"
#include "base/random.h"
#include "signon/handover.h"

#include <gtest/gtest.h>
#include <set>

namespace hasp::signon {
namespace {

class HandoverTest : public testing::Test {
  protected:
    ManualClock clock;
    SeededRandom random{1};
    HandoverCodes codes{clock, random};
    const std::string sid = std::string(32, 'a');
};

TEST_F(HandoverTest, ACodeIsGoodOnce) {
    const std::string code = codes.issue(sid, "wiki.example");
    EXPECT_EQ(code.size(), 43U);
    EXPECT_EQ(codes.redeem(code, "Wiki.Example").value_or(""), sid);
    EXPECT_EQ(codes.size(), 0U);
    EXPECT_EQ(codes.redeem(code, "wiki.example").error().code, Code::refused);
}

TEST_F(HandoverTest, ACodeIsGoodForThirtySeconds) {
    const std::string in_time = codes.issue(sid, "wiki.example");
    const std::string late = codes.issue(sid, "wiki.example");
    clock.advance_us(handover_life_us - 1);
    EXPECT_TRUE(codes.redeem(in_time, "wiki.example"));
    clock.advance_us(1);
    EXPECT_FALSE(codes.redeem(late, "wiki.example"));
}

TEST_F(HandoverTest, AStepOfTheWallClockDoesNotLengthenIt) {
    const std::string code = codes.issue(sid, "wiki.example");
    clock.boot += handover_life_us;
    clock.wall -= 10 * handover_life_us;
    EXPECT_FALSE(codes.redeem(code, "wiki.example"));
}

TEST_F(HandoverTest, ATryAtAnotherHostVoidsTheCode) {
    const std::string code = codes.issue(sid, "wiki.example");
    EXPECT_FALSE(codes.redeem(code, "evil.example"));
    EXPECT_FALSE(codes.redeem(code, "wiki.example"));
}

TEST_F(HandoverTest, AnInventedCodeIsRefused) {
    EXPECT_FALSE(codes.redeem("", "wiki.example"));
    EXPECT_FALSE(codes.redeem(std::string(43, 'A'), "wiki.example"));
}

TEST_F(HandoverTest, TheOldestGiveWayWhenThereAreTooMany) {
    const std::string oldest = codes.issue(sid, "wiki.example");
    std::set<std::string> seen{oldest};
    for (std::size_t i = 0; i < handover_codes_max; ++i) {
        seen.insert(codes.issue(sid, "wiki.example"));
    }
    EXPECT_EQ(seen.size(), handover_codes_max + 1);
    EXPECT_EQ(codes.size(), handover_codes_max);
    EXPECT_FALSE(codes.redeem(oldest, "wiki.example"));
    clock.advance_us(handover_life_us);
    static_cast<void>(codes.issue(sid, "wiki.example"));
    EXPECT_EQ(codes.size(), 1U);
}

} // namespace
} // namespace hasp::signon
