// Whose turn it is, and what the keeper is told, where a front has several loops.
#include "../loop_group.h"
#include "looped.h"

#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <atomic>
#include <future>
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

// It may be in the middle of something long: the others have a way of their own.
TEST(LoopTurns, ALoopThatDoesNotAnswerKeepsNoRequestOfAnotherFromDialling) {
    Backend backend(echo_head());
    Settings settings;
    settings.connect_ms = 500;
    settings.park_wait_ms = 500;
    Looped front(settings);
    front.add_app("open", {backend.port()}, registry::Access::open);
    auto clients = front.clients(2 * loops);
    ASSERT_EQ(clients[0]->get("/apps/open/x").status, 200);
    front.settle();
    std::size_t holder = 0;
    for (std::size_t i = 1; i < loops; ++i) {
        holder = front.counters(i).requests > 0 ? i : holder;
    }
    std::promise<void> go_on;
    std::promise<void> is_stuck;
    std::thread stuck([&] {
        front.on_loop(holder, [&](Engine&) {
            is_stuck.set_value();
            go_on.get_future().wait();
        });
    });
    is_stuck.get_future().wait();
    std::vector<int> answers;
    for (std::size_t i = 1; i < loops; ++i) { // each at a loop of its own
        answers.push_back(clients[i]->get("/apps/open/x").status);
    }
    go_on.set_value();
    stuck.join();
    EXPECT_EQ(answers, std::vector<int>(loops - 1, 200));
}

TEST(LoopTurns, AsManyConnectionsAsMayBeAreTakenAndNotOneMoreWhenAllLoopsAskAtOnce) {
    constexpr std::size_t most = 50;
    LoopGroup group(loops);
    std::atomic<std::size_t> taken{0};
    std::vector<std::thread> askers;
    for (std::size_t i = 0; i < loops; ++i) {
        askers.emplace_back([&, i] {
            for (int n = 0; n < 100; ++n) {
                const bool in = i % 2 == 0 ? group.enter(most)
                                           : group.enter("192.0.2.1", {SIZE_MAX, SIZE_MAX}, most);
                taken += in ? 1 : 0;
            }
        });
    }
    for (std::thread& one : askers) {
        one.join();
    }
    EXPECT_EQ(taken, most);
    EXPECT_EQ(group.connections(), most);
}

TEST(LoopTurns, TheEndOfALinkToNobodyEndsNoConnectionOfAUser) {
    Backend backend(echo_head());
    Looped front;
    front.add_app("open", {backend.port()}, registry::Access::open);
    auto clients = front.clients(loops);
    for (const auto& one : clients) {
        ASSERT_EQ(one->get("/apps/open/x").status, 200);
    }
    front.everywhere([](Engine& engine) { engine.close_link(""); });
    for (const auto& one : clients) {
        EXPECT_EQ(one->get("/apps/open/x").status, 200);
    }
}

// Bound and not listened on: nobody answers, and nobody else gets the port.
struct DeadPort {
    DeadPort() : socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof address;
        EXPECT_EQ(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), size), 0);
        EXPECT_EQ(::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
        port = ntohs(address.sin_port);
    }
    Fd socket;
    int port = 0;
};

// Each loop finds one address down by itself; what any of them knows alone would be wrong.
TEST(LoopTurns, TheKeeperIsToldWhatAllLoopsKnowOfAnAppByTheHomeAlone) {
    const DeadPort one;
    const DeadPort two;
    Looped front;
    front.add_app("wiki", {one.port, two.port});
    auto clients = front.clients(2 * loops);
    std::vector<std::thread> users;
    for (const auto& client : clients) {
        users.emplace_back([&] { client->get("/apps/wiki/x", session_cookie); });
    }
    for (std::thread& user : users) {
        user.join();
    }
    front.settle();
    ASSERT_TRUE(front.keeper.upstreams.contains("wiki"));
    const auto& told = front.keeper.upstreams["wiki"].addresses;
    ASSERT_EQ(told.size(), 2U);
    EXPECT_FALSE(told[0].up || told[1].up);
}

} // namespace
} // namespace hasp::passon::testing
