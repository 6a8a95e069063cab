#include "proxy_fixture.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <sys/socket.h>

namespace hasp::passon::testing {
namespace {

class Socket : public Proxy {
  protected:
    Socket()
        : Proxy([](Backend::Peer& peer) {
              std::string head;
              peer.head(head);
              if (head.find("Upgrade: websocket") == std::string::npos) {
                  peer.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
                  return;
              }
              peer.send(websocket_answer + "hello");
              char bytes[4096];
              for (ssize_t got = 0; (got = ::recv(peer.fd, bytes, sizeof bytes, 0)) > 0;) {
                  peer.send({bytes, static_cast<std::size_t>(got)});
              }
          }) {}
    void open(Client& client, const std::string& origin = "http://localhost") {
        client.send("GET /apps/wiki/ws HTTP/1.1\r\nHost: localhost\r\n" + websocket_lines +
                    "Origin: " + origin + "\r\n" + cookie + "\r\nearly");
    }
};

TEST_F(Socket, ATunnelCarriesBytesBothWays) {
    Client client(tier_.port());
    open(client);
    ASSERT_EQ(client.read(true).status, 101);
    EXPECT_EQ(client.read_bytes(10), "helloearly");
    client.send("again");
    EXPECT_EQ(client.read_bytes(5), "again");
    client.end_writing();
    EXPECT_TRUE(client.closed());
    std::vector<billing::UsageRecord> usage;
    for (int i = 0; i < 1000 && usage.size() < 2; ++i) {
        usage = tier_.usage();
    }
    ASSERT_EQ(usage.size(), 2U);
    EXPECT_EQ(usage[0].kind, billing::UsageKind::websocket);
    EXPECT_EQ(usage[1].flags & billing::usage_final, billing::usage_final);
    EXPECT_EQ(usage[1].bytes_in, 10U);
}

TEST_F(Socket, AnotherSitesTunnelIsRefused) {
    Client client(tier_.port());
    open(client, "http://wiki.localhost");
    EXPECT_EQ(client.read().status, 403);
}

TEST_F(Socket, ATunnelEndsWithItsSessionAndWithTheRight) {
    Client client(tier_.port());
    open(client);
    ASSERT_EQ(client.read(true).status, 101);
    IdentityFilter filter;
    filter.user = "anna";
    tier_.on_loop([&](Engine& engine) { engine.drop_identities(filter); });
    EXPECT_TRUE(client.closed());
    Client second(tier_.port());
    open(second);
    ASSERT_EQ(second.read(true).status, 101);
    tier_.spec.apps.erase(tier_.spec.apps.begin());
    tier_.publish();
    EXPECT_TRUE(second.closed());
}

Settings impatient() {
    Settings settings;
    settings.head_ms = settings.body_idle_ms = settings.answer_head_ms = settings.keep_alive_ms =
        150;
    return settings;
}

class Impatient : public Proxy {
  protected:
    Impatient()
        : Proxy(
              [](Backend::Peer& peer) {
                  std::string head;
                  std::string body;
                  peer.request(head, body);
                  peer.head(head); // never answers
              },
              impatient()) {}
};

TEST_F(Impatient, SlowHeadsSlowBodiesAndSlowAppsAreCut) {
    Client head(tier_.port());
    head.send("GET /apps/open/ HTTP/1.1\r\nHo");
    EXPECT_EQ(head.read().status, 408);
    Client body(tier_.port());
    body.send("POST /apps/open/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nabc");
    EXPECT_EQ(body.read().status, 408);
    Client app(tier_.port());
    EXPECT_EQ(app.get("/apps/open/").status, 504);
    Client idle(tier_.port());
    EXPECT_TRUE(idle.closed());
}

class Flood : public Proxy {
  protected:
    Flood()
        : Proxy([](Backend::Peer& peer) {
              std::string head;
              peer.head(head);
              peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
              const std::string piece(1 << 16, 'x');
              for (int i = 0; i < 16'000; ++i) {
                  if (::send(peer.fd, piece.data(), piece.size(), MSG_NOSIGNAL) < 0) {
                      return;
                  }
                  peer.buffer.assign(std::to_string(i));
              }
          }) {}
};

// Of this process, in bytes: /proc/self/statm has pages.
std::size_t resident_bytes() {
    std::ifstream in("/proc/self/statm");
    std::size_t all = 0;
    std::size_t resident = 0;
    in >> all >> resident;
    return resident * 4096;
}

TEST_F(Flood, ASlowReaderHoldsTheAppBackInsteadOfFillingMemory) {
    const std::size_t before = resident_bytes();
    std::vector<std::unique_ptr<Client>> readers;
    for (int i = 0; i < 20; ++i) {
        readers.push_back(std::make_unique<Client>(tier_.port()));
        readers.back()->send("GET /apps/open/ HTTP/1.1\r\nHost: localhost\r\n\r\n");
        ASSERT_EQ(readers.back()->read(true).status, 200);
    }
    // 20 GB are offered; an exchange may hold its buffers (the harness a thread and a socket), no
    // more.
    tier_.on_loop([](Engine&) {});
    const std::size_t now = resident_bytes();
    EXPECT_LT(now - std::min(before, now), std::size_t{32} << 20);
    EXPECT_EQ(tier_.counters().exchanges, 20U);
    readers.clear();
    for (int i = 0; i < 100'000 && tier_.counters().exchanges > 0; ++i) {
        std::this_thread::yield();
    }
    EXPECT_EQ(tier_.counters().exchanges, 0U);
}

} // namespace
} // namespace hasp::passon::testing
