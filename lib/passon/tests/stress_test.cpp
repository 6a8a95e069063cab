// Peers that leave, cut and dribble at random, from a seed: the engine lives, and nothing of them
// stays.
#include "proxy_fixture.h"

#include <sys/socket.h>

#include <random>

namespace hasp::passon::testing {
namespace {

constexpr int rounds = 300;

void moody(Backend::Peer& peer) {
    std::string head;
    std::string body;
    thread_local std::mt19937 dice(static_cast<unsigned>(peer.fd) * 7919U);
    while (true) {
        if (dice() % 10 == 0) {
            return; // before the request
        }
        if (!peer.head(head)) {
            return;
        }
        switch (dice() % 8) {
        case 0:
            return;
        case 1:
            peer.send("HTTP/1.1 200 OK\r\nContent-Le");
            return;
        case 2:
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" +
                      std::string(50000, 'x'));
            return;
        case 3:
            peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel");
            return;
        case 4:
            peer.send("HTTP/1.1 500 Early\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            return;
        case 5:
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" +
                      std::string(200000, 'y'));
            break;
        case 6:
            if (head.find("Upgrade:") != std::string::npos) {
                peer.send(websocket_answer + "hello");
                peer.head(head);
                return;
            }
            [[fallthrough]];
        default:
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            break;
        }
        if (head.starts_with("POST")) {
            return; // without having read the body
        }
    }
}

std::string request_of(std::mt19937& dice) {
    switch (dice() % 5) {
    case 0:
        return "POST /apps/open/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n" +
               std::string(dice() % 100000, 'z');
    case 1:
        return "GET /apps/open/ws HTTP/1.1\r\nHost: localhost\r\n" + websocket_lines + "\r\n";
    case 2:
        return "GET /apps/wiki/ HTTP/1.1\r\nHost: localhost\r\n" + cookie +
               "\r\nGET /apps/open/ HTTP/1.1\r\nHost: localhost\r\n\r\n";
    case 3:
        return "GET /hasp/page HTTP/1.1\r\nHost: localhost\r\n\r\nGET /apps/o";
    default:
        return "GET /apps/open/ HTTP/1.1\r\nHost: localhost\r\n\r\n";
    }
}

class Stress : public Proxy {
  protected:
    Stress() : Proxy(moody) {}
};

TEST_F(Stress, PeersThatBreakAtRandomNeverBreakTheEngine) {
    std::mt19937 dice(4711);
    for (int i = 0; i < rounds; ++i) {
        std::vector<std::unique_ptr<Client>> clients;
        std::vector<Client*> answered;
        for (auto n = 1 + dice() % 6; n > 0; --n) {
            clients.push_back(std::make_unique<Client>(tier_.port()));
            const std::string request = request_of(dice);
            const bool whole = dice() % 4 != 0;
            clients.back()->try_send(whole ? request : request.substr(0, dice() % request.size()));
            if (whole && request.starts_with("GET") && dice() % 2 == 0) {
                answered.push_back(clients.back().get());
            }
        }
        for (Client* client : answered) {
            EXPECT_EQ(client->read_bytes(9), "HTTP/1.1 ");
        }
        for (auto& client : clients) {
            // Some read a little, some reset, some just leave.
            if (dice() % 3 == 0) {
                char bytes[4096];
                (void)::recv(client->fd(), bytes, sizeof bytes,
                             dice() % 2 == 0 ? MSG_DONTWAIT : MSG_PEEK | MSG_DONTWAIT);
            } else if (dice() % 3 == 0) {
                const linger now{1, 0};
                ::setsockopt(client->fd(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
            }
        }
        if (i % 50 == 0) {
            tier_.on_loop([](Engine& engine) { engine.drop_identities({}); });
            tier_.publish();
        }
    }
    for (int i = 0; i < 1'000'000 && tier_.counters().exchanges > 0; ++i) {
        std::this_thread::yield();
    }
    EXPECT_EQ(tier_.counters().exchanges, 0U);
    EXPECT_EQ(tier_.counters().tunnels, 0U);
    Client last(tier_.port());
    EXPECT_EQ(last.get("/hasp/page").status, 200);
}

} // namespace
} // namespace hasp::passon::testing
