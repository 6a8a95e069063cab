// A link of so many bytes a second, with a delay and one queue, on which bulk and users meet.
#include "link_pace.h"

#include "base/clock.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <map>
#include <vector>

namespace hasp::maint {
namespace {

constexpr std::int64_t ms = 1'000;

// The way down of a link. Time goes on from event to event; a millisecond where there is none.
class Line {
  public:
    Line(std::int64_t bytes_s, std::int64_t round_trip_us) : rate_(bytes_s), rtt_(round_trip_us) {}
    // When what is asked for at `now` has arrived.
    std::int64_t arrives(std::int64_t now, std::int64_t bytes) {
        free_ = std::max(free_, now + rtt_ / 2) + bytes * second_us / rate_;
        return free_ + rtt_ / 2;
    }
    std::int64_t waits_us(std::int64_t now) const {
        return std::max<std::int64_t>(0, free_ - now - rtt_ / 2);
    }

  private:
    std::int64_t rate_;
    std::int64_t rtt_;
    std::int64_t free_ = 0;
};

class Moving {
  public:
    Moving(LinkPace::Limits limits, std::int64_t bytes_s, std::int64_t rtt_us)
        : pace(limits), line(bytes_s, rtt_us) {}

    void step() {
        while (!arriving_.empty() && arriving_.begin()->first <= now) {
            const LinkPace::Piece piece = arriving_.begin()->second;
            arriving_.erase(arriving_.begin());
            pace.end(piece, true, now);
            moved[piece.purpose] += static_cast<std::int64_t>(piece.bytes);
        }
        for (const Purpose purpose : {Purpose::files, Purpose::packs}) {
            while (wants[purpose] && pace.may_send_after_us(purpose, LinkWay::down, now) == 0) {
                const LinkPace::Piece piece = pace.begin(
                    purpose, LinkWay::down, pace.piece_bytes(purpose, LinkWay::down), now);
                const std::int64_t late = ++begun_ % 3 == 0 ? late_us : 0;
                arriving_.emplace(line.arrives(now, static_cast<std::int64_t>(piece.bytes)) + late,
                                  piece);
            }
        }
        now += ms;
    }
    void pass(std::int64_t us) {
        for (const std::int64_t until = now + us; now < until;) {
            step();
        }
    }
    // A user asks for so many bytes each so often. How long they stood behind bulk, sorted.
    std::vector<std::int64_t> users(std::int64_t us, std::int64_t every_us, std::int64_t bytes) {
        std::vector<std::int64_t> waited;
        std::int64_t next = now;
        for (const std::int64_t until = now + us; now < until;) {
            if (now >= next) {
                waited.push_back(line.waits_us(now));
                line.arrives(now, bytes);
                users_bytes_ += static_cast<std::uint64_t>(bytes);
                pace.users_moved(users_bytes_, now);
                next += every_us;
            }
            step();
        }
        std::sort(waited.begin(), waited.end());
        return waited;
    }

    LinkPace pace;
    Line line;
    std::int64_t now = second_us;
    std::int64_t late_us = 0; // of every third piece, for another reason
    std::map<Purpose, std::int64_t> moved;
    std::map<Purpose, bool> wants;

  private:
    std::multimap<std::int64_t, LinkPace::Piece> arriving_;
    std::uint64_t users_bytes_ = 0;
    std::uint64_t begun_ = 0;
};

TEST(LinkPace, AReleaseAloneUsesNearlyTheWholeLinkAtAnyRoundTrip) {
    for (const std::int64_t rate : {125'000, 1'000'000, 12'500'000}) {
        for (const std::int64_t rtt : {5 * ms, 40 * ms, 200 * ms}) {
            if (rate * rtt / second_us > static_cast<std::int64_t>(under_way_bytes_max) / 2) {
                continue; // more than may be under way
            }
            Moving link({}, rate, rtt);
            link.wants[Purpose::packs] = true;
            link.pass(5 * second_us); // until it knows the link
            const std::int64_t before = link.moved[Purpose::packs];
            link.pass(150 * second_us);
            EXPECT_GE((link.moved[Purpose::packs] - before) * 100, rate * 150 * 85)
                << rate << " bytes/s, " << rtt << " us";
        }
    }
}

TEST(LinkPace, WhatWaitsInTheLinksQueueIsAtMostTwoHundredMilliseconds) {
    Moving link({}, 1'000'000, 40 * ms);
    link.wants[Purpose::packs] = true;
    link.pass(2 * second_us);
    std::int64_t most = 0;
    for (int i = 0; i < 700'000; ++i) {
        link.step();
        most = std::max(most, link.line.waits_us(link.now));
    }
    EXPECT_LE(most, 200 * ms);
}

TEST(LinkPace, AUsersRequestsWaitBehindBulkForTensOfMilliseconds) {
    Moving link({}, 1'000'000, 40 * ms);
    link.wants[Purpose::packs] = true;
    link.pass(5 * second_us);
    const std::vector<std::int64_t> waited = link.users(20 * second_us, 200 * ms, 2'000);
    EXPECT_LE(waited[waited.size() / 2], 60 * ms);
    EXPECT_LE(waited.back(), 200 * ms) << "the first, while bulk thought to be alone";
    EXPECT_GE(link.moved[Purpose::packs], 10'000'000) << "and it still moves";
}

TEST(LinkPace, AMachineThatIsBusyNowAndThenIsNotTakenForAFullLink) {
    Moving link({}, 1'000'000, 40 * ms);
    link.late_us = 300 * ms;
    link.wants[Purpose::packs] = true;
    link.pass(5 * second_us);
    const std::int64_t before = link.moved[Purpose::packs];
    link.pass(20 * second_us);
    EXPECT_GE(link.moved[Purpose::packs] - before, 17'000'000);
}

TEST(LinkPace, WithUsersWhoTakeAllOfTheLinkBulkStillEnds) {
    Moving link({}, 1'000'000, 40 * ms);
    link.wants[Purpose::packs] = true;
    link.pass(5 * second_us);
    const std::int64_t before = link.moved[Purpose::packs];
    link.users(20 * second_us, 50 * ms, 50'000);
    const std::int64_t moved = link.moved[Purpose::packs] - before;
    EXPECT_LE(moved, 20'000'000 / 3);
    EXPECT_GT(moved, 100'000);
}

TEST(LinkPace, ReleasesMoveAPieceASecondWhilePeoplesFilesMove) {
    Moving link({}, 1'000'000, 40 * ms);
    link.wants[Purpose::packs] = true;
    link.pass(5 * second_us);
    link.wants[Purpose::files] = true;
    link.pass(second_us);
    const std::int64_t before = link.moved[Purpose::packs];
    link.pass(10 * second_us);
    const std::int64_t moved = link.moved[Purpose::packs] - before;
    EXPECT_LE(moved, 10 * static_cast<std::int64_t>(piece_bytes_max));
    EXPECT_GE(moved, 5 * static_cast<std::int64_t>(piece_bytes_min));
    EXPECT_GE(link.moved[Purpose::files], 5'000'000);
    link.wants[Purpose::files] = false;
    link.pass(10 * second_us);
    EXPECT_GE(link.moved[Purpose::packs] - before - moved, 7'000'000) << "then it has the link";
}

TEST(LinkPace, ACapHoldsForEverySecondAndIsUsed) {
    LinkPace::Limits limits;
    limits.releases_bytes_s = 100'000;
    for (const bool yields : {true, false}) {
        limits.yields = yields;
        Moving link(limits, 1'000'000, 40 * ms);
        link.wants[Purpose::packs] = true;
        link.pass(5 * second_us);
        std::int64_t most = 0;
        const std::int64_t before = link.moved[Purpose::packs];
        for (int i = 0; i < 60; ++i) {
            const std::int64_t at = link.moved[Purpose::packs];
            link.pass(second_us);
            most = std::max(most, link.moved[Purpose::packs] - at);
        }
        EXPECT_LE(most, 150'000) << yields;
        EXPECT_NEAR(static_cast<double>(link.moved[Purpose::packs] - before), 6e6, 0.4e6) << yields;
    }
}

TEST(LinkPace, AClockThatJumpsBackStopsNothingAndGivesNothing) {
    LinkPace::Limits limits;
    limits.releases_bytes_s = 100'000;
    Moving link(limits, 1'000'000, 40 * ms);
    link.wants[Purpose::packs] = true;
    link.now = 3600 * second_us;
    link.pass(10 * second_us);
    LinkPace after = link.pace;
    const LinkPace::Piece piece = after.begin(Purpose::packs, LinkWay::down, 25'000, link.now);
    after.end(piece, true, 60 * second_us);
    EXPECT_GT(after.may_send_after_us(Purpose::packs, LinkWay::down, 60 * second_us), 0);
    EXPECT_LE(after.may_send_after_us(Purpose::packs, LinkWay::down, 62 * second_us), ask_again_us);
}

TEST(LinkPace, WhatWasLostMakesRoomAndSaysNothingOfTheLink) {
    LinkPace pace({});
    const std::size_t bytes = pace.piece_bytes(Purpose::packs, LinkWay::down);
    std::vector<LinkPace::Piece> pieces;
    while (pace.may_send_after_us(Purpose::packs, LinkWay::down, second_us) == 0) {
        pieces.push_back(pace.begin(Purpose::packs, LinkWay::down, bytes, second_us));
    }
    EXPECT_GT(pieces.size(), 1U);
    EXPECT_EQ(pace.under_way(Purpose::packs), pieces.size() * bytes);
    for (const LinkPace::Piece& piece : pieces) {
        pace.end(piece, false, 2 * second_us);
    }
    EXPECT_EQ(pace.under_way(Purpose::packs), 0U);
    EXPECT_EQ(pace.piece_bytes(Purpose::packs, LinkWay::down), bytes);
}

// Else the same large piece would be asked for, and given up, for ever.
TEST(LinkPace, APieceThatDidNotComeInItsTimeIsFollowedByASmallOne) {
    LinkPace pace({});
    std::int64_t now = second_us;
    while (pace.piece_bytes(Purpose::packs, LinkWay::down) < piece_bytes_max) {
        std::vector<LinkPace::Piece> pieces;
        while (pace.may_send_after_us(Purpose::packs, LinkWay::down, now) == 0) {
            pieces.push_back(pace.begin(Purpose::packs, LinkWay::down,
                                        pace.piece_bytes(Purpose::packs, LinkWay::down), now));
        }
        now += 5'000; // a quick line
        for (const LinkPace::Piece& piece : pieces) {
            pace.end(piece, true, now);
        }
        ASSERT_LT(now, 60 * second_us);
    }
    const LinkPace::Piece late = pace.begin(Purpose::packs, LinkWay::down, piece_bytes_max, now);
    now += 15 * second_us; // which has become a slow one
    pace.end(late, false, now);
    EXPECT_EQ(pace.piece_bytes(Purpose::packs, LinkWay::down), piece_bytes_min);
    EXPECT_EQ(pace.may_send_after_us(Purpose::packs, LinkWay::down, now), 0);
}

TEST(LinkPace, WithoutYieldingOnePieceOfAReleaseIsUnderWayAsLargeAsItMayBe) {
    LinkPace::Limits limits;
    limits.yields = false;
    LinkPace pace(limits);
    EXPECT_EQ(pace.piece_bytes(Purpose::packs, LinkWay::down), piece_bytes_max);
    EXPECT_EQ(pace.may_send_after_us(Purpose::packs, LinkWay::down, second_us), 0);
    pace.begin(Purpose::packs, LinkWay::down, piece_bytes_max, second_us);
    EXPECT_GT(pace.may_send_after_us(Purpose::packs, LinkWay::down, second_us), 0);
    EXPECT_EQ(pace.may_send_after_us(Purpose::files, LinkWay::up, second_us), 0);
}

} // namespace
} // namespace hasp::maint
