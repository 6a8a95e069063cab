// Large bodies between plain sockets, which are moved without being copied.
#include "proxy_fixture.h"

#include <gmock/gmock.h>

#include <poll.h>
#include <sys/socket.h>
#include <thread>

namespace hasp::passon::testing {
namespace {

constexpr std::size_t most_bytes = 9'000'000; // more than the buffers of two sockets

// The beginning of bytes of which no two stretches are alike.
std::string_view pattern(std::size_t bytes) {
    static const std::string all = [] {
        std::string out(most_bytes, '\0');
        std::uint32_t x = 2'463'534'242U;
        for (char& c : out) {
            x ^= x << 13U;
            x ^= x >> 17U;
            x ^= x << 5U;
            c = static_cast<char>(x);
        }
        return out;
    }();
    return std::string_view(all).substr(0, bytes);
}

std::size_t asked_bytes(const std::string& head) {
    return std::strtoull(head.c_str() + head.find(' ') + 2, nullptr, 10);
}

// "/N": N bytes. "/Ncut": the half of them, and the end of the connection.
void give_pattern(Backend::Peer& peer) {
    std::string head;
    std::string body;
    while (peer.request(head, body)) {
        if (!body.empty()) {
            const bool whole = body == pattern(body.size());
            peer.send(std::string("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n") +
                      (whole ? "whole" : "wrong"));
            continue;
        }
        const std::string_view out = pattern(asked_bytes(head));
        const bool cut = head.find("cut ") != std::string::npos;
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(out.size()) + "\r\n\r\n");
        peer.send(out.substr(0, cut ? out.size() / 2 : out.size()));
        if (cut) {
            return;
        }
    }
}

class LargeBodies : public Proxy {
  protected:
    LargeBodies() : Proxy(give_pattern) {}
};

TEST_F(LargeBodies, ComeDownUnchangedOneAfterTheOtherOverTheSameConnections) {
    Client client(tier_.port());
    for (const std::size_t bytes :
         {std::size_t{16'384}, std::size_t{36'864}, std::size_t{53'247}, std::size_t{53'249},
          std::size_t{100'000}, std::size_t{1'000'001}, most_bytes, std::size_t{5}}) {
        const Answer answer = client.get("/apps/open/" + std::to_string(bytes));
        ASSERT_EQ(answer.status, 200);
        ASSERT_TRUE(answer.body == pattern(bytes)) << bytes;
    }
    EXPECT_EQ(backend_.connections, 1);
}

TEST_F(LargeBodies, GoUpUnchanged) {
    Client client(tier_.port());
    for (const std::size_t bytes : {std::size_t{20'000}, std::size_t{100'000}, most_bytes}) {
        const std::string body(pattern(bytes));
        std::thread sender([&] {
            client.send("POST /apps/open/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: " +
                        std::to_string(bytes) + "\r\n\r\n" + body);
        });
        const Answer answer = client.read();
        sender.join();
        ASSERT_EQ(answer.status, 200);
        EXPECT_EQ(answer.body, "whole");
    }
    EXPECT_EQ(backend_.connections, 1);
}

// An app that says something at once and reads more slowly than the client sends.
void read_slowly(Backend::Peer& peer) {
    std::string head;
    peer.head(head);
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nbegun");
    std::string body = peer.buffer;
    std::string bite(64 * 1024, '\0');
    while (body.size() < most_bytes) {
        const ssize_t got = ::recv(peer.fd, bite.data(), bite.size(), 0);
        if (got <= 0) {
            return;
        }
        body.append(bite.data(), static_cast<std::size_t>(got));
        ::poll(nullptr, 0, 1);
    }
    peer.send(body == pattern(most_bytes) ? "whole" : "wrong");
}

class SlowApp : public Proxy {
  protected:
    SlowApp() : Proxy(read_slowly) {}
};

TEST_F(SlowApp, GetsTheEndOfAnUploadThoughItsAnswerHasBegun) {
    Client client(tier_.port());
    std::thread sender([&] {
        client.send("POST /apps/open/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: " +
                    std::to_string(most_bytes) + "\r\n\r\n" + std::string(pattern(most_bytes)));
    });
    EXPECT_EQ(client.read().body, "begunwhole");
    sender.join();
}

TEST_F(LargeBodies, OfAnAppThatEndsInTheMiddleAreCutAndNothingFollows) {
    Client client(tier_.port());
    client.send("GET /apps/open/3000000cut HTTP/1.1\r\nHost: localhost\r\n\r\n");
    const std::string begun = client.read_bytes(1'000'000);
    EXPECT_THAT(begun, ::testing::StartsWith("HTTP/1.1 200 OK\r\n"));
    std::string rest(4'000'000, '\0');
    std::size_t got = begun.size();
    for (ssize_t n = 0; (n = ::recv(client.fd(), rest.data(), rest.size(), 0)) > 0;) {
        got += static_cast<std::size_t>(n);
    }
    EXPECT_LT(got, 1'600'000U);
    Client next(tier_.port());
    EXPECT_EQ(next.get("/apps/open/50000").body.size(), 50'000U);
}

// More clients that stop in the middle of an answer than there are pipes for.
TEST_F(LargeBodies, ReachEveryoneWhenMoreWaitThanThereArePipes) {
    std::vector<std::unique_ptr<Client>> waiting;
    for (std::size_t i = 0; i < net::PipePool::lent_max + 20; ++i) {
        waiting.push_back(std::make_unique<Client>(tier_.port()));
        waiting.back()->send("GET /apps/open/9000000 HTTP/1.1\r\nHost: localhost\r\n\r\n");
    }
    for (int i = 0; i < wait_ms / 10 && tier_.counters().exchanges < waiting.size(); ++i) {
        ::poll(nullptr, 0, 10);
    }
    ASSERT_EQ(tier_.counters().exchanges, waiting.size());
    Client another(tier_.port());
    EXPECT_TRUE(another.get("/apps/open/300000").body == pattern(300'000));
    for (const std::size_t i : {std::size_t{0}, waiting.size() - 1}) {
        EXPECT_TRUE(waiting[i]->read().body == pattern(most_bytes)) << i;
    }
    waiting.clear();
    EXPECT_TRUE(another.get("/apps/open/300000").body == pattern(300'000));
}

} // namespace
} // namespace hasp::passon::testing
