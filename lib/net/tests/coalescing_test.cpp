#include "net/coalescing.h"

#include "base/clock.h"
#include "net/reactor.h"

#include <algorithm>
#include <array>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace hasp::net {
namespace {

// A loop whose every event takes `work_us`, told of `events` after each wait of `wait_us` at least.
struct Loop {
    Coalescing coalescing{100};
    std::int64_t now_us = 1'000'000;

    // Returns how many of the waits were with a pause.
    int run(std::int64_t for_us, std::int64_t work_us, std::int64_t wait_us, std::int64_t events,
            std::int64_t events_after_a_pause) {
        int pauses = 0;
        for (const std::int64_t end = now_us + for_us; now_us < end;) {
            const std::int64_t pause = coalescing.pause_us();
            const std::int64_t since = now_us;
            const std::int64_t got = pause > 0 ? events_after_a_pause : events;
            now_us += std::max(wait_us, pause);
            coalescing.waited(since, now_us, got, pause > 0);
            now_us += got * work_us;
            pauses += pause > 0 ? 1 : 0;
        }
        return pauses;
    }
};

TEST(Coalescing, IsOffWhereTheLoopHasLittleToDo) {
    Loop loop;
    EXPECT_EQ(loop.run(1'000'000, 20, 100, 3, 3), 0); // 37 %
    EXPECT_EQ(loop.run(1'000'000, 20, 2'000, 1, 1), 0);
}

TEST(Coalescing, BeginsWhereTheLoopIsBusyAndEndsWhenItIsNot) {
    Loop loop;
    EXPECT_GT(loop.run(100'000, 20, 20, 2, 6), 100);
    EXPECT_LE(loop.run(1'000'000, 20, 2'000, 1, 1), 20); // the window in which that shows
    EXPECT_EQ(loop.run(1'000'000, 20, 2'000, 1, 1), 0);
}

TEST(Coalescing, GoesOnWhilePausesMakeTheLoopWorkLess) {
    Loop loop;
    loop.run(100'000, 20, 20, 2, 2);
    EXPECT_GT(loop.run(1'000'000, 20, 20, 2, 2), 6'000); // 28 % in pauses of 100 us
}

TEST(Coalescing, IsOffWhereEventsComeSeldomHoweverBusyTheyMakeTheLoop) {
    Loop loop;
    EXPECT_EQ(loop.run(1'000'000, 200, 10, 1, 1), 0); // 4,800 a second
}

TEST(Coalescing, StopsForAWhileWherePausesGatherNothing) {
    Loop loop;
    const int pauses = loop.run(10'000'000, 20, 10, 1, 1); // one client, 33,000 answers a second
    EXPECT_GT(pauses, 0);
    EXPECT_LT(pauses * 100, 10'000'000 / 20); // less than a twentieth of the time
}

TEST(Coalescing, IsNeverWhereItIsNotConfigured) {
    Loop loop{Coalescing{0}};
    EXPECT_FALSE(loop.coalescing.configured());
    EXPECT_EQ(loop.run(1'000'000, 20, 20, 2, 6), 0);
}

TEST(Coalescing, TakesNoLongerPauseThanItsBound) {
    Loop loop{Coalescing{60'000'000}};
    loop.run(100'000, 20, 20, 2, 120);
    EXPECT_EQ(loop.coalescing.pause_us(), Coalescing::pause_us_max);
}

TEST(Coalescing, SurvivesAClockThatStandsOrFallsBack) {
    Coalescing coalescing{100};
    coalescing.waited(5'000'000, 5'000'000, 1, false);
    coalescing.waited(5'000'000, 5'000'000, 1, false);
    coalescing.waited(1'000'000, 1'000'000, 1, false);
    coalescing.waited(1'000'000, 1'000'000, 1, false);
    EXPECT_EQ(coalescing.pause_us(), 0);
}

// Answers each byte that it gets by the same byte, which takes it a while by the reactor's clock.
struct Echo final : Handler {
    ManualClock& clock;
    int in, out;
    int served = 0;
    Echo(ManualClock& c, int i, int o) : clock(c), in(i), out(o) {}
    void on_edges(Edges edges) override {
        std::array<char, 64> bytes{};
        if (!edges.readable) {
            return;
        }
        const ssize_t got = ::read(in, bytes.data(), bytes.size());
        served += static_cast<int>(got);
        clock.advance_us(1'000);
        EXPECT_EQ(::write(out, bytes.data(), static_cast<std::size_t>(got)), got);
    }
};

TEST(Reactor, ServesEverythingWhetherItPausesOrNot) {
    for (const std::int64_t pause_us : {0, 100, 1'000}) {
        ManualClock clock;
        const auto reactor = std::move(Reactor::create(clock, pause_us)).value();
        int there[2], back[2];
        ASSERT_EQ(::pipe2(there, O_NONBLOCK), 0);
        ASSERT_EQ(::pipe2(back, O_NONBLOCK), 0);
        const Fd ends[]{Fd{there[0]}, Fd{there[1]}, Fd{back[0]}, Fd{back[1]}};
        Echo one{clock, there[0], back[1]}, other{clock, back[0], there[1]};
        ASSERT_TRUE(reactor->add(there[0], one).ok());
        ASSERT_TRUE(reactor->add(back[0], other).ok());
        ASSERT_EQ(::write(there[1], "ab", 2), 2);
        for (int i = 0; i < 500; ++i) {
            reactor->run_once(1'000);
        }
        EXPECT_GE(one.served + other.served, 500) << pause_us;
        reactor->remove(there[0], one);
        reactor->remove(back[0], other);
    }
}

} // namespace
} // namespace hasp::net
