#include "direct_pending.h"

#include <gtest/gtest.h>

namespace hasp::maint {
namespace {

struct Pending : testing::Test {
    ManualClock clock;
    SeededRandom random{1};
    DirectPending pending{clock, random};
    const std::string sid = std::string(32, 'a');
    const std::string other = std::string(32, 'b');
    const std::string url = "https://{app}.center.example";
    DirectPending::Journey journey() const {
        return {"wiki", url, "https://tokyo.example", "/x", "/apps/wiki/x"};
    }
};

TEST_F(Pending, WhoWasSentComesBackOnceAndInHisOwnSession) {
    const std::string state = pending.set_out(sid, journey());
    EXPECT_FALSE(pending.come_back(other, state));
    const auto back = pending.come_back(sid, state);
    ASSERT_TRUE(back);
    EXPECT_EQ(back->target, "/x");
    EXPECT_FALSE(pending.come_back(sid, state));
    EXPECT_FALSE(pending.come_back(sid, std::string(32, '0')));
}

TEST_F(Pending, ItIsGoodForAMinute) {
    const std::string state = pending.set_out(sid, journey());
    clock.advance_us(direct_pending_us);
    EXPECT_FALSE(pending.come_back(sid, state));
}

TEST_F(Pending, WhoDidNotComeBackIsNotSentAgainForAWhile) {
    pending.reaches(sid, url);
    pending.set_out(sid, journey());
    EXPECT_FALSE(pending.paused(sid, url)) << "he may be on his way";
    clock.advance_us(direct_return_us);
    EXPECT_TRUE(pending.paused(sid, url));
    EXPECT_FALSE(pending.does_reach(sid, url));
    EXPECT_FALSE(pending.paused(other, url));
    EXPECT_FALSE(pending.paused(sid, "https://{app}.upper.example"));
    clock.advance_us(direct_pause_us);
    EXPECT_FALSE(pending.paused(sid, url));
}

TEST_F(Pending, WhoNeverAskedAgainIsNotSentEither) {
    pending.set_out(sid, journey());
    clock.advance_us(direct_pending_us);
    pending.set_out(other, journey());
    EXPECT_TRUE(pending.paused(sid, url));
}

TEST_F(Pending, WhatWasForgottenSaysNothingOfTheBrowser) {
    pending.forget(sid, pending.set_out(sid, journey()));
    clock.advance_us(direct_pending_us);
    EXPECT_FALSE(pending.paused(sid, url));
}

TEST_F(Pending, TheProbesWordEndsAPauseAndEndsItself) {
    pending.pause(sid, url);
    pending.reaches(sid, url);
    EXPECT_FALSE(pending.paused(sid, url));
    EXPECT_TRUE(pending.does_reach(sid, url));
    clock.advance_us(direct_reach_us);
    EXPECT_FALSE(pending.does_reach(sid, url));
}

TEST_F(Pending, WhoComesBackLateIsLedOnAllTheSame) {
    const std::string state = pending.set_out(sid, journey());
    clock.advance_us(direct_return_us);
    EXPECT_TRUE(pending.paused(sid, url));
    EXPECT_TRUE(pending.come_back(sid, state));
}

TEST_F(Pending, OneSessionCannotTakeThePlacesOfOthers) {
    for (std::size_t i = 0; i < direct_pending_max_each; ++i) {
        EXPECT_NE(pending.set_out(other, journey()), "");
    }
    EXPECT_EQ(pending.set_out(other, journey()), "");
    const std::string state = pending.set_out(sid, journey());
    EXPECT_TRUE(pending.come_back(sid, state));
    EXPECT_FALSE(pending.paused(other, url)) << "that says nothing of the browser";
}

TEST_F(Pending, BeyondThePlacesThereAreNobodyIsSent) {
    for (std::size_t i = 0; i < direct_pending_max; ++i) {
        EXPECT_NE(pending.set_out("s" + std::to_string(i), journey()), "");
    }
    EXPECT_EQ(pending.set_out(sid, journey()), "");
    clock.advance_us(direct_pending_us);
    EXPECT_NE(pending.set_out(sid, journey()), "");
}

TEST_F(Pending, WhoIsNeverLetInThereIsNotSentForAWhile) {
    for (std::size_t i = 0; i < direct_entries_max; ++i) {
        EXPECT_TRUE(pending.goes(sid, "wiki", url));
    }
    EXPECT_FALSE(pending.goes(sid, "wiki", url));
    EXPECT_TRUE(pending.paused(sid, url));
    EXPECT_TRUE(pending.goes(other, "wiki", url));
    clock.advance_us(direct_entries_us);
    EXPECT_TRUE(pending.goes(sid, "wiki", url));
}

TEST_F(Pending, WhereNobodySaidHowToGoItIsTriedAgainSoon) {
    pending.reaches(sid, url);
    pending.rest(sid, url);
    EXPECT_TRUE(pending.paused(sid, url));
    clock.advance_us(direct_rest_us);
    EXPECT_FALSE(pending.paused(sid, url));
    EXPECT_TRUE(pending.does_reach(sid, url));
}

} // namespace
} // namespace hasp::maint
