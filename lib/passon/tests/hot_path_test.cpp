// What a request costs that is passed on with everything switched on: no allocation, and one
// receive and one send on either side. A test of its own, because it replaces functions of the
// whole program.
#include "harness.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <new>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace {

struct Counts {
    std::uint64_t allocations = 0;
    std::uint64_t receives = 0;
    std::uint64_t sends = 0;
    std::uint64_t waits = 0;
    std::uint64_t others = 0; // system calls that no request should need
};
// Of the calling thread, so that a tier's loop is counted alone.
thread_local Counts counts;

} // namespace

// Not inlined: a compiler that sees malloc and free behind a new and its delete warns of a
// mismatch.
[[gnu::noinline]] void* operator new(std::size_t size) {
    ++counts.allocations;
    void* const memory = std::malloc(size == 0 ? 1 : size);
    if (memory == nullptr) {
        throw std::bad_alloc();
    }
    return memory;
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
    std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept {
    std::free(memory);
}

// The C library's, with a count.
extern "C" {
ssize_t recv(int fd, void* into, size_t size, int flags) {
    ++counts.receives;
    return ::syscall(SYS_recvfrom, fd, into, size, flags, nullptr, nullptr);
}
ssize_t send(int fd, const void* from, size_t size, int flags) {
    ++counts.sends;
    return ::syscall(SYS_sendto, fd, from, size, flags, nullptr, 0);
}
ssize_t sendmsg(int fd, const msghdr* message, int flags) {
    ++counts.sends;
    return ::syscall(SYS_sendmsg, fd, message, flags);
}
int epoll_wait(int fd, epoll_event* events, int count, int wait_ms) {
    ++counts.waits;
    return static_cast<int>(::syscall(SYS_epoll_wait, fd, events, count, wait_ms));
}
int epoll_ctl(int fd, int what, int of, epoll_event* event) noexcept {
    ++counts.others;
    return static_cast<int>(::syscall(SYS_epoll_ctl, fd, what, of, event));
}
}

namespace hasp::passon::testing {
namespace {

constexpr std::uint64_t requests = 2'000;

std::string browser_headers() {
    return "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/128.0.0.0\r\n"
           "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"
           "Accept-Language: en-GB,en;q=0.9,ja;q=0.8\r\n"
           "Accept-Encoding: gzip, deflate, br\r\n"
           "Cache-Control: max-age=0\r\n"
           "Upgrade-Insecure-Requests: 1\r\n"
           "Sec-Fetch-Site: same-origin\r\n"
           "Sec-Fetch-Mode: navigate\r\n"
           "Sec-Fetch-Dest: document\r\n"
           "DNT: 1\r\n"
           "Cookie: theme=dark; hasp-session=0123456789abcdef0123456789abcdef0123456789a\r\n";
}

class HotPath : public ::testing::Test {
  protected:
    HotPath()
        : backend_([](Backend::Peer& peer) {
              const std::string answer = "HTTP/1.1 200 OK\r\nServer: backend\r\n"
                                         "Date: Mon, 07 Sep 2026 08:00:00 GMT\r\n"
                                         "Content-Type: text/html; charset=utf-8\r\n"
                                         "Cache-Control: no-store\r\nETag: \"5f1a-17c\"\r\n"
                                         "Content-Length: 1024\r\n\r\n" +
                                         std::string(1024, 'x');
              std::string head;
              std::string body;
              while (peer.request(head, body)) {
                  peer.send(answer);
              }
          }),
          tier_("tokyo") {
        registry::AppSpec& app =
            tier_.add_upstream("bench", backend_.port(), registry::Access::users);
        app.lease_expires_us = SystemClock().wall_us() + 3'600'000'000;
        tier_.publish();
        tier_.keeper.know("cookie:0123456789abcdef0123456789abcdef0123456789a",
                          person("reception", {"bench"}));
    }
    Counts seen() {
        Counts out;
        tier_.on_loop([&](Engine&) { out = counts; });
        return out;
    }
    Backend backend_;
    Tier tier_;
};

// With a cache and without: it looks, and finds that nothing may be kept.
class HotPathOf : public HotPath, public ::testing::WithParamInterface<bool> {};
INSTANTIATE_TEST_SUITE_P(HotPath, HotPathOf, ::testing::Bool(), [](const auto& of) {
    return of.param ? "ATierWithACache" : "ATierWithoutACache";
});

TEST_P(HotPathOf, ARequestOfASignedOnUserAllocatesNothingAndMakesFourSocketCalls) {
    if (GetParam()) {
        tier_.on_loop([](Engine& engine) {
            EXPECT_TRUE(engine.set_cache(Fd(::memfd_create("cache", MFD_CLOEXEC)), 8 << 20).ok());
        });
    }
    Client client(tier_.port());
    const std::string headers = browser_headers();
    const auto ask = [&] { return client.get("/apps/bench/page?id=17", headers).status; };
    for (int i = 0; i < 100; ++i) { // buffers, pools and the identity come into being
        ASSERT_EQ(ask(), 200);
    }
    const Counts before = seen();
    for (std::uint64_t i = 0; i < requests; ++i) {
        ASSERT_EQ(ask(), 200);
    }
    const Counts after = seen();
    EXPECT_EQ(after.allocations - before.allocations, 0U);
    EXPECT_EQ(after.receives - before.receives, 2 * requests);
    EXPECT_EQ(after.sends - before.sends, 2 * requests);
    EXPECT_EQ(after.others - before.others, 0U);
    // Time limits and the log's flush may wake the loop as well.
    EXPECT_LE(after.waits - before.waits, 2 * requests + requests / 4);
    EXPECT_EQ(tier_.keeper.who_questions, 1);
}

} // namespace
} // namespace hasp::passon::testing
