#include "net/reactor.h"

#include "io_fixture.h"

#include <gtest/gtest.h>
#include <optional>
#include <thread>
#include <unistd.h>
#include <vector>

namespace hasp::net {
namespace {

struct Count {
    TimerWheel* wheel = nullptr;
    Timer* again = nullptr;
    std::int64_t fired_at = -1;
    int times = 0;
    void fire() {
        fired_at = wheel->now_ms();
        if (++times < 3 && again != nullptr) {
            again->arm(1'000);
        }
    }
};

TEST(Timer, FiresOnceNeverEarlyAndAtMostATickLate) {
    for (const std::int64_t ms : {0, 1, 63, 64, 65, 1'000, 32'768, 40'000, 100'000, 3'600'000}) {
        TimerWheel wheel{12'345};
        Count count{&wheel};
        Timer timer{wheel, timer_call<&Count::fire>, &count};
        timer.arm(ms);
        for (std::int64_t now = 12'345; now < 12'345 + ms + 1'000; now += 16) {
            wheel.advance(now);
        }
        EXPECT_EQ(count.times, 1) << ms;
        EXPECT_GE(count.fired_at, 12'345 + ms);
        EXPECT_LE(count.fired_at, 12'345 + ms + 2 * TimerWheel::tick_ms);
        EXPECT_EQ(wheel.armed_count(), 0U);
    }
}

TEST(Timer, ThatIsMovedAwayFiresAtItsLastDeadlineOnly) {
    TimerWheel wheel{0};
    Count count{&wheel};
    Timer timer{wheel, timer_call<&Count::fire>, &count};
    timer.arm(500);
    for (std::int64_t now = 0; now <= 5'000; now += 50) {
        wheel.advance(now);
        timer.arm(500);
    }
    EXPECT_EQ(count.times, 0);
    timer.arm(100); // nearer again
    wheel.advance(5'200);
    EXPECT_EQ(count.times, 1);
}

TEST(Timer, MayArmItselfAndSurvivesALongPause) {
    TimerWheel wheel{0};
    Count count{&wheel};
    Timer timer{wheel, timer_call<&Count::fire>, &count};
    count.again = &timer;
    timer.arm(1'000);
    wheel.advance(10'000'000);
    EXPECT_EQ(count.times, 1);
    wheel.advance(10'002'000);
    wheel.advance(10'004'000);
    EXPECT_EQ(count.times, 3);
}

struct Killer {
    std::vector<std::optional<Timer>>* all;
    void fire() {
        for (auto& timer : *all) {
            timer.reset();
        }
    }
};

TEST(Timer, MayBeDestroyedByAnotherThatIsDueWithIt) {
    TimerWheel wheel{0};
    std::vector<std::optional<Timer>> timers(5);
    Killer killer{&timers};
    for (auto& timer : timers) {
        timer.emplace(wheel, timer_call<&Killer::fire>, &killer);
        timer->arm(100);
    }
    wheel.advance(1'000);
    EXPECT_EQ(wheel.armed_count(), 0U);
}

TEST(TimerWheel, SleepsUntilTheNextDeadline) {
    TimerWheel wheel{0};
    Count count{&wheel};
    EXPECT_EQ(wheel.sleep_ms(), -1);
    Timer timer{wheel, timer_call<&Count::fire>, &count};
    timer.arm(10'000);
    EXPECT_GE(wheel.sleep_ms(), 10'000);
    EXPECT_LE(wheel.sleep_ms(), 10'000 + TimerWheel::tick_ms);
}

struct Closer final : Handler {
    Reactor* reactor = nullptr;
    Fd fd;
    Closer* other = nullptr;
    int calls = 0;
    void on_edges(Edges edges) override {
        if (!edges.readable) {
            return;
        }
        ++calls;
        if (other != nullptr && other->fd) {
            reactor->remove(other->fd.get(), *other);
            other->fd.reset();
        }
    }
};

struct ReactorTest : LoopTest {};

TEST_F(ReactorTest, DoesNotCallAHandlerThatAnotherRemovedInTheSameRound) {
    Closer a, b;
    SocketPair pa = make_pair_of_sockets(), pb = make_pair_of_sockets();
    a.fd = std::move(pa.a);
    b.fd = std::move(pb.a);
    a.other = &b;
    b.other = &a;
    a.reactor = b.reactor = reactor.get();
    ASSERT_TRUE(reactor->add(a.fd.get(), a).ok());
    ASSERT_TRUE(reactor->add(b.fd.get(), b).ok());
    reactor->run_once(0); // the first edges: writable
    ASSERT_EQ(write(pa.b.get(), "x", 1), 1);
    ASSERT_EQ(write(pb.b.get(), "x", 1), 1);
    reactor->run_once(1'000);
    EXPECT_EQ(a.calls + b.calls, 1);
    EXPECT_EQ(reactor->handlers(), 1U);
    Closer& left = a.fd ? a : b;
    reactor->remove(left.fd.get(), left);
}

TEST_F(ReactorTest, ReadsWhatOtherThreadsSaidBeforeTheSocketsOfTheSameRound) {
    Closer kept, removed;
    SocketPair pk = make_pair_of_sockets(), pr = make_pair_of_sockets();
    kept.fd = std::move(pk.a);
    removed.fd = std::move(pr.a);
    ASSERT_TRUE(reactor->add(kept.fd.get(), kept).ok());
    ASSERT_TRUE(reactor->add(removed.fd.get(), removed).ok());
    reactor->run_once(0); // the first edges: writable
    ASSERT_EQ(write(pk.b.get(), "x", 1), 1);
    ASSERT_EQ(write(pr.b.get(), "x", 1), 1);
    int calls_before = -1;
    reactor->post_from_any_thread([&] {
        calls_before = kept.calls + removed.calls;
        reactor->remove(removed.fd.get(), removed);
    });
    reactor->run_once(1'000);
    EXPECT_EQ(calls_before, 0);
    EXPECT_EQ(kept.calls, 1);
    EXPECT_EQ(removed.calls, 0) << "a message may end what the round had fetched";
    reactor->remove(kept.fd.get(), kept);
}

TEST_F(ReactorTest, TakesCallbacksAndStopFromOtherThreads) {
    int sum = 0;
    std::thread other([this, &sum] {
        for (int i = 1; i <= 100; ++i) {
            reactor->post_from_any_thread([&sum, i] { sum += i; });
        }
        reactor->stop_from_any_thread();
    });
    reactor->run();
    other.join();
    reactor->run_once(0);
    EXPECT_EQ(sum, 5050);
}

struct Poster {
    Reactor* reactor;
    Task task{timer_call<&Poster::run>, this};
    int runs = 0;
    void run() {
        ++runs;
        reactor->post(task);
    }
};

TEST_F(ReactorTest, RunsAPostedTaskOnceARoundAndForgetsADestroyedOne) {
    Poster poster{reactor.get()};
    reactor->post(poster.task);
    reactor->post(poster.task);
    reactor->run_once(-1);
    EXPECT_EQ(poster.runs, 1);
    reactor->run_once(-1);
    EXPECT_EQ(poster.runs, 2);
    {
        Poster gone{reactor.get()};
        reactor->post(gone.task);
    }
    reactor->run_once(-1);
    EXPECT_EQ(poster.runs, 3);
}

TEST_F(ReactorTest, LendsBuffersAndTakesThemBack) {
    Buffer buffer = reactor->buffers().lend();
    EXPECT_EQ(buffer.space().size(), Buffer::capacity);
    std::copy_n("hello", 5, buffer.space().data());
    buffer.commit(5);
    buffer.consume(2);
    EXPECT_EQ(buffer.readable(), "llo");
    buffer.compact();
    EXPECT_EQ(buffer.readable(), "llo");
    EXPECT_EQ(buffer.space().size(), Buffer::capacity - 3);
    const char* const data = buffer.data();
    buffer.give_back();
    EXPECT_EQ(reactor->buffers().lent(), 0U);
    EXPECT_EQ(reactor->buffers().lend().data(), data);
}

} // namespace
} // namespace hasp::net
