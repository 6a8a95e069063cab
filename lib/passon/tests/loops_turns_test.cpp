// Whose turn it is, and what the keeper is told, where a front has several loops.
#include "../loop_group.h"
#include "looped.h"

#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <sys/socket.h>
#include <thread>
#include <vector>

namespace hasp::passon::testing {
namespace {

TEST(LoopTurns, AConnectionGoesToTheLoopWhereSomebodyHasWaitedLongest) {
    Shelf shelf(loops);
    EXPECT_EQ(shelf.longest_waiting(1), std::nullopt);
    shelf.set_waiting(1, 200);
    EXPECT_EQ(shelf.longest_waiting(1), 1U);
    shelf.set_waiting(3, 100);
    EXPECT_EQ(shelf.longest_waiting(1), 3U) << "before those that wait where it is";
    shelf.set_waiting(2, 100);
    EXPECT_EQ(shelf.longest_waiting(3), 3U) << "none is moved for one that waits no longer";
    shelf.set_waiting(3, 0);
    EXPECT_EQ(shelf.longest_waiting(3), 2U);
}

} // namespace
} // namespace hasp::passon::testing
