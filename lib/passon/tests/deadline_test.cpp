// The deadline that travels with a request over three tiers, and the limit of a whole exchange.
#include "proxy_fixture.h"

#include <gmock/gmock.h>

#include <chrono>
#include <poll.h>
#include <sys/socket.h>
#include <thread>
#include <vector>

namespace hasp::passon::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// Of the tier where the user is. The others have the default of two minutes: in time, only what it
// passes on can end anything.
constexpr std::int64_t deadline_ms = 1'500;

Settings with_deadline(std::int64_t ms) {
    Settings settings;
    settings.answer_head_ms = ms;
    return settings;
}

std::int64_t now_ms() {
    return std::chrono::duration_cast<std::chrono::milliseconds>(
               std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

// Says nothing to "/silent", else what it got as the body.
void silent_or_echo(Backend::Peer& peer) {
    std::string head;
    std::string body;
    while (peer.request(head, body)) {
        if (head.find("/silent ") != std::string::npos) {
            peer.head(head); // until the tier leaves
            return;
        }
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
                  body);
    }
}

// upper ← center ← tokyo, where the user is.
class Deadline : public ::testing::Test {
  protected:
    Deadline()
        : backend_(silent_or_echo), upper_("upper", {}, &realm_), center_("center", {}, &realm_),
          tokyo_("tokyo", with_deadline(deadline_ms), &realm_) {
        tokyo_.spec.has_parent = center_.spec.has_parent = true;
        upper_.add_upstream("all", backend_.port(), registry::Access::open);
        registry::AppSpec process;
        process.name = "slow";
        process.route = registry::Route::here;
        process.kind = registry::Kind::process;
        process.access = registry::Access::open;
        process.dial_path = "/nonexistent";
        upper_.add(process);
        upper_.add_upstream("wiki", backend_.port(), registry::Access::users);
        upper_.keeper.startless = true;
        for (Tier* tier : {&upper_, &center_, &tokyo_}) {
            tier->publish();
        }
        tokyo_.keeper.know("cookie:secret", person("anna", {"wiki"}));
        center_.keeper.know("link:tokyo:" + person("anna", {}).sid, person("anna", {"wiki"}));
        center_.join(upper_.link_port());
        tokyo_.join(center_.link_port());
        EXPECT_TRUE(center_.keeper.wait([](FakeKeeper& k) { return k.up(); }));
        EXPECT_TRUE(tokyo_.keeper.wait([](FakeKeeper& k) { return k.up(); }));
    }
    // The tier that serves gave up, and before the one below it: its word came over connections
    // that serve the next request too.
    void gave_up_at_the_top(const std::string& why) {
        EXPECT_THAT(upper_.access_log(), HasSubstr(why));
        for (Tier* tier : {&upper_, &center_, &tokyo_}) {
            EXPECT_THAT(tier->access_log(), HasSubstr("\"status\":504"));
            EXPECT_THAT(tier->access_log(), Not(HasSubstr("went away")));
        }
        const std::uint64_t opened = tokyo_.counters().upstream_opened;
        EXPECT_EQ(Client(tokyo_.port()).get("/apps/all/").status, 200);
        EXPECT_EQ(tokyo_.counters().upstream_opened, opened);
    }
    TestRealm realm_;
    Backend backend_;
    Tier upper_;
    Tier center_;
    Tier tokyo_;
};

TEST_F(Deadline, OfAGetIsTheUsersTiersAndTheTierThatServesGivesUpFirst) {
    upper_.keeper.silent = true;
    const std::int64_t from_ms = now_ms();
    std::vector<std::thread> askers;
    for (const char* path : {"/apps/all/silent", "/apps/slow/start", "/apps/wiki/keeper"}) {
        askers.emplace_back([this, path, from_ms] {
            const bool user = std::string_view(path).starts_with("/apps/wiki/");
            const std::string shown = user ? session_cookie : std::string();
            EXPECT_EQ(Client(tokyo_.port()).get(path, shown).status, 504) << path;
            EXPECT_GE(now_ms() - from_ms, deadline_ms * 3 / 4) << path;
        });
    }
    for (std::thread& one : askers) {
        one.join();
    }
    EXPECT_THAT(upper_.access_log(), HasSubstr("no time was left before the request"))
        << "the wait for a start, or for the keeper";
    gave_up_at_the_top("the answer did not begin in time");
}

// What took longer than the app may.
void send_slowly(Client& client, const std::string& path) {
    client.send("POST " + path +
                " HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (const std::int64_t from_ms = now_ms(); now_ms() - from_ms < deadline_ms + 200;) {
        client.send("4\r\nbody\r\n");
        ::poll(nullptr, 0, 100);
    }
    client.send("0\r\n\r\n");
}

TEST_F(Deadline, OfAPostStandsStillWhileTheBodyComesAndIsNoLongerThenEither) {
    std::thread served([this] {
        Client client(tokyo_.port());
        send_slowly(client, "/apps/all/");
        EXPECT_EQ(client.read().status, 200);
    });
    Client client(tokyo_.port());
    send_slowly(client, "/apps/all/silent");
    const std::int64_t whole_ms = now_ms();
    EXPECT_EQ(client.read().status, 504);
    EXPECT_GE(now_ms() - whole_ms, deadline_ms * 3 / 4);
    served.join();
    gave_up_at_the_top("the answer did not begin in time");
}

// Streams without end to "/events", echoes a WebSocket, is silent to the rest.
void endless(Backend::Peer& peer) {
    std::string head;
    peer.head(head);
    if (head.find("/events ") != std::string::npos) {
        peer.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n");
    } else if (head.find("/ws ") != std::string::npos) {
        peer.send(websocket_answer);
        char byte = 0;
        while (::recv(peer.fd, &byte, 1, 0) > 0) {
            peer.send({&byte, 1});
        }
        return;
    }
    peer.head(head);
}

class Whole : public Proxy {
  protected:
    static constexpr std::int64_t whole_ms = 400;
    static Settings short_whole() {
        Settings settings;
        settings.whole_ms = whole_ms;
        return settings;
    }
    Whole() : Proxy(endless, short_whole()) {
        registry::AppSpec process;
        process.name = "slow";
        process.route = registry::Route::here;
        process.kind = registry::Kind::process;
        process.access = registry::Access::open;
        process.dial_path = "/nonexistent";
        tier_.add(process);
        tier_.publish();
        tier_.keeper.startless = true;
    }
};

TEST_F(Whole, AnExchangeWithoutAnAnswerEndsWith504) {
    for (const char* path : {"/apps/open/", "/apps/slow/"}) {
        const std::int64_t from_ms = now_ms();
        EXPECT_EQ(Client(tier_.port()).get(path).status, 504);
        EXPECT_GE(now_ms() - from_ms, whole_ms - 50);
    }
    EXPECT_EQ(tier_.counters().exchanges, 0U);
    Client sender(tier_.port());
    sender.send("POST /apps/open/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nbod");
    EXPECT_EQ(sender.read().status, 504);
    EXPECT_THAT(tier_.access_log(), HasSubstr("the exchange took too long"));
}

TEST_F(Whole, AnAnswerThatHasBegunIsCutAndATunnelIsNot) {
    Client tunnel(tier_.port());
    tunnel.send("GET /apps/open/ws HTTP/1.1\r\nHost: localhost\r\n" + websocket_lines + "\r\n");
    ASSERT_EQ(tunnel.read(true).status, 101);
    Client client(tier_.port());
    client.send("GET /apps/open/events HTTP/1.1\r\nHost: localhost\r\n\r\n");
    ASSERT_EQ(client.read(true).status, 200);
    EXPECT_EQ(client.read_bytes(14), "9\r\ndata: 1\n\n\r\n");
    EXPECT_TRUE(client.closed());
    tunnel.send("still here");
    EXPECT_EQ(tunnel.read_bytes(10), "still here");
}

} // namespace
} // namespace hasp::passon::testing
