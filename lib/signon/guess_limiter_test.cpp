#include "base/clock.h"
#include "signon/guess_limiter.h"

#include <gtest/gtest.h>

namespace hasp::signon {
namespace {

class GuessTest : public testing::Test {
  protected:
    void advance_s(std::int64_t s) { clock.advance_us(s * 1'000'000); }
    void spend_free_failures(const std::string& user, const std::string& client) {
        for (unsigned i = 0; i < limits.account_free_failures; ++i) {
            ASSERT_TRUE(limiter->begin(user, client).allowed);
        }
    }
    void make(const GuessLimits& with) {
        limits = with;
        limiter = std::make_unique<GuessLimiter>(clock, limits);
    }
    void SetUp() override { make({}); }
    ManualClock clock;
    GuessLimits limits;
    std::unique_ptr<GuessLimiter> limiter;
};

TEST_F(GuessTest, AfterTheFreeFailuresEachTryWaitsTwiceAsLongUpToTheLimit) {
    spend_free_failures("anna", "a");
    for (std::int64_t delay_s = 1; delay_s < limits.account_delay_max_s; delay_s *= 2) {
        const auto refused = limiter->begin("anna", "a");
        EXPECT_FALSE(refused.allowed);
        EXPECT_EQ(refused.retry_after_s, delay_s);
        advance_s(delay_s - 1);
        EXPECT_FALSE(limiter->begin("anna", "a").allowed);
        advance_s(1);
        EXPECT_TRUE(limiter->begin("anna", "a").allowed);
    }
    EXPECT_EQ(limiter->begin("anna", "a").retry_after_s, limits.account_delay_max_s);
}

TEST_F(GuessTest, ARefusedTryDoesNotLengthenTheWait) {
    spend_free_failures("anna", "a");
    for (int i = 0; i < 30; ++i) {
        EXPECT_EQ(limiter->begin("anna", "a").retry_after_s, 1);
    }
}

TEST_F(GuessTest, ASuccessResetsTheAccount) {
    spend_free_failures("anna", "a");
    limiter->succeeded("anna", "a");
    EXPECT_TRUE(limiter->begin("anna", "a").allowed);
    EXPECT_TRUE(limiter->begin("anna", "a").allowed);
}

TEST_F(GuessTest, FailuresAreForgottenAfterADay) {
    spend_free_failures("anna", "a");
    advance_s(limits.account_memory_s + 1);
    spend_free_failures("anna", "a");
}

TEST_F(GuessTest, ChangingTheAddressDoesNotHelpAGuesser) {
    for (unsigned i = 0; i < limits.account_free_failures; ++i) {
        ASSERT_TRUE(limiter->begin("anna", "a" + std::to_string(i)).allowed);
    }
    EXPECT_FALSE(limiter->begin("anna", "another").allowed);
}

TEST_F(GuessTest, AStrangerCannotLockOutAUserAtAKnownAddress) {
    ASSERT_TRUE(limiter->begin("anna", "desk").allowed);
    limiter->succeeded("anna", "desk");
    spend_free_failures("anna", "stranger");
    EXPECT_FALSE(limiter->begin("anna", "stranger").allowed);
    EXPECT_TRUE(limiter->begin("anna", "desk").allowed);
}

TEST_F(GuessTest, AKnownAddressHasLimitsOfItsOwn) {
    ASSERT_TRUE(limiter->begin("anna", "desk").allowed);
    limiter->succeeded("anna", "desk");
    spend_free_failures("anna", "desk");
    EXPECT_FALSE(limiter->begin("anna", "desk").allowed);
}

TEST_F(GuessTest, OneAddressCannotTryManyAccountsFast) {
    for (int i = 0; i < 60; ++i) {
        ASSERT_TRUE(limiter->begin("u" + std::to_string(i), "a").allowed);
    }
    const auto refused = limiter->begin("fresh", "a");
    EXPECT_FALSE(refused.allowed);
    EXPECT_EQ(refused.retry_after_s, 2);
    EXPECT_TRUE(limiter->begin("fresh", "b").allowed);
    advance_s(2);
    EXPECT_TRUE(limiter->begin("fresh2", "a").allowed);
}

TEST_F(GuessTest, TheWholeTierHasALimit) {
    for (int i = 0; i < 200; ++i) {
        ASSERT_TRUE(limiter->begin("u" + std::to_string(i), "a" + std::to_string(i)).allowed);
    }
    const auto refused = limiter->begin("fresh", "fresh");
    EXPECT_FALSE(refused.allowed);
    EXPECT_EQ(refused.retry_after_s, 1);
    advance_s(1);
    EXPECT_TRUE(limiter->begin("fresh", "fresh").allowed);
}

TEST_F(GuessTest, ATryWithoutAnAnswerIsNotHeldAgainstTheAccount) {
    for (int i = 0; i < 20; ++i) {
        ASSERT_TRUE(limiter->begin("anna", "a").allowed);
        limiter->undecided("anna", "a");
    }
    EXPECT_TRUE(limiter->begin("anna", "a").allowed);
}

TEST_F(GuessTest, ParallelTriesAreCountedWhenTheyBegin) {
    for (unsigned i = 0; i < limits.account_free_failures; ++i) {
        ASSERT_TRUE(limiter->begin("anna", "a").allowed);
    }
    EXPECT_FALSE(limiter->begin("anna", "a").allowed);
}

TEST_F(GuessTest, MemoryIsBoundedWhateverIsTried) {
    make({.address_burst = 1e9, .tier_burst = 1e9, .entries_max = 100});
    for (int i = 0; i < 10'000; ++i) {
        limiter->begin(std::to_string(i) + std::string(1000, 'u'), std::to_string(i));
        limiter->begin("u" + std::to_string(i), std::to_string(i));
        limiter->succeeded("u" + std::to_string(i), std::to_string(i));
    }
    EXPECT_LE(limiter->entries(), 300U);
    EXPECT_GT(limiter->entries(), 200U);
}

TEST(ClientKey, IsTheAddressForVersion4AndTheNetworkForVersion6) {
    EXPECT_EQ(client_key("192.0.2.7"), "192.0.2.7");
    EXPECT_EQ(client_key("::ffff:192.0.2.7"), "192.0.2.7");
    EXPECT_EQ(client_key("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
    EXPECT_EQ(client_key("2001:db8:1:2:ffff::1"), "2001:db8:1:2::/64");
    EXPECT_EQ(client_key("nonsense"), "nonsense");
    EXPECT_EQ(client_key(std::string(500, 'x')).size(), 64U);
}

TEST(RetrySentence, SpeaksOfSecondsAndThenOfMinutes) {
    EXPECT_EQ(retry_sentence(0), "Too many attempts. Try again in 1 second.");
    EXPECT_EQ(retry_sentence(59), "Too many attempts. Try again in 59 seconds.");
    EXPECT_EQ(retry_sentence(60), "Too many attempts. Try again in 1 minute.");
    EXPECT_EQ(retry_sentence(61), "Too many attempts. Try again in 2 minutes.");
}

} // namespace
} // namespace hasp::signon
