// Who writes which lane of the usage ring.
#include "lanes.h"

#include <gtest/gtest.h>

namespace hasp::cmd {

TEST(Lanes, AFrontGetsOneOfTheFirstAndARowBehindThemForItsOtherLoops) {
    EXPECT_EQ(choose_lanes({}, lanes_all, 3), (FrontLanes{0, MoreLanes{8, 3}}));
    EXPECT_EQ(choose_lanes({{0, MoreLanes{8, 3}}}, lanes_all, 3),
              (FrontLanes{1, MoreLanes{11, 3}}));
    EXPECT_EQ(choose_lanes({{1, MoreLanes{11, 3}}}, lanes_all, 3), (FrontLanes{0, MoreLanes{8, 3}}))
        << "what is free again is used again";
    EXPECT_EQ(choose_lanes({}, lanes_all, 0), (FrontLanes{0, MoreLanes{}}));
}

TEST(Lanes, ThereAreFewerWhereNoRowIsLongEnough) {
    EXPECT_EQ(choose_lanes({{0, MoreLanes{8, 54}}}, lanes_all, 4),
              (FrontLanes{1, MoreLanes{62, 2}}));
    EXPECT_EQ(choose_lanes({}, fronts_max, 3), (FrontLanes{0, MoreLanes{}}))
        << "the ring of a program from before has no more";
}

// Such a front may still write lanes that its first supervisor gave it.
TEST(Lanes, NoneBehindTheFirstIsGivenWhileAFrontLivesOfWhichNobodyKnowsTheLanes) {
    EXPECT_EQ(choose_lanes({{0, {}}}, lanes_all, 3), (FrontLanes{1, MoreLanes{}}));
    EXPECT_EQ(choose_lanes({{1, MoreLanes{}}, {0, {}}}, lanes_all, 3),
              (FrontLanes{2, MoreLanes{}}));
    EXPECT_EQ(choose_lanes({{1, MoreLanes{}}}, lanes_all, 3), (FrontLanes{0, MoreLanes{8, 3}}));
}

} // namespace hasp::cmd
