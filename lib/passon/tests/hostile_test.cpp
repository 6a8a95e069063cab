// Requests that must be refused, end to end, each with its rule. The backend must never see one.
#include "harness.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace hasp::passon::testing {
namespace {

struct Hostile {
    const char* rule;
    std::string bytes;
    int status; // 0: any refusal
};

std::string get(const std::string& lines, const std::string& target = "/apps/open/") {
    return "GET " + target + " HTTP/1.1\r\nHost: localhost\r\n" + lines + "\r\n";
}
std::string post(const std::string& lines, const std::string& body) {
    return "POST /apps/open/ HTTP/1.1\r\nHost: localhost\r\n" + lines + "\r\n" + body;
}

const std::vector<Hostile>& hostile() {
    static const std::vector<Hostile> all{
        {"RFC 9112 §6.1: Content-Length with Transfer-Encoding",
         post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), 400},
        {"RFC 9112 §6.3: two different lengths",
         post("Content-Length: 5\r\nContent-Length: 6\r\n", "hello"), 400},
        {"RFC 9110 §8.6: a list of different lengths", post("Content-Length: 5, 6\r\n", "hello"),
         400},
        {"RFC 9110 §8.6: a negative length", post("Content-Length: -1\r\n", ""), 400},
        {"RFC 9110 §8.6: a signed length", post("Content-Length: +5\r\n", "hello"), 400},
        {"RFC 9110 §8.6: a hexadecimal length", post("Content-Length: 0x5\r\n", "hello"), 400},
        {"RFC 9110 §8.6: an overflowing length",
         post("Content-Length: 99999999999999999999\r\n", "hello"), 400},
        {"RFC 9110 §8.6: an empty length", post("Content-Length: \r\n", "hello"), 400},
        {"RFC 9112 §6.1: an unknown coding", post("Transfer-Encoding: gzip\r\n", ""), 0},
        {"RFC 9112 §6.1: chunked twice",
         post("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n"), 0},
        {"RFC 9112 §6.1: chunked not last",
         post("Transfer-Encoding: chunked, gzip\r\n", "0\r\n\r\n"), 0},
        {"RFC 9112 §6.1: a coding that only looks like chunked",
         post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"), 0},
        {"RFC 9112 §6.1: a vertical tab in the coding",
         post("Transfer-Encoding: \x0b"
              "chunked\r\n",
              "0\r\n\r\n"),
         400},
        {"RFC 9112 §7.1: a chunk size that is no number",
         post("Transfer-Encoding: chunked\r\n", "zz\r\nab\r\n0\r\n\r\n"), 400},
        {"RFC 9112 §7.1: an overflowing chunk size",
         post("Transfer-Encoding: chunked\r\n", "fffffffffffffffff\r\nab\r\n0\r\n\r\n"), 400},
        {"RFC 9112 §7.1: a chunk that is longer than it said",
         post("Transfer-Encoding: chunked\r\n", "1\r\nab\r\n0\r\n\r\n"), 400},
        {"RFC 9112 §7.1: a bare LF after a chunk size",
         post("Transfer-Encoding: chunked\r\n", "2\nab\r\n0\r\n\r\n"), 400},
        {"RFC 9112 §2.2: a bare CR in a value", get("X: a\rb\r\n"), 400},
        {"RFC 9112 §2.2: a bare LF as line end", "GET /apps/open/ HTTP/1.1\nHost: localhost\n\n",
         400},
        {"RFC 9112 §5.2: a folded line", get("X: a\r\n b\r\n"), 400},
        {"RFC 9112 §5.1: a space before the colon", get("X : a\r\n"), 400},
        {"RFC 9112 §5.1: a space before the name", get(" X: a\r\n"), 400},
        {"RFC 9110 §5.6.2: a name that is no token", get("X(y): a\r\n"), 400},
        {"RFC 9110 §5.1: an empty name", get(": a\r\n"), 400},
        {"RFC 9112 §5: a line without a colon", get("nonsense\r\n"), 400},
        {"RFC 9110 §5.5: a NUL in a value", get(std::string("X: a\0b\r\n", 8)), 400},
        {"RFC 9110 §5.5: a control character in a value",
         get("X: a\x01"
             "b\r\n"),
         400},
        {"RFC 9112 §3.2: no Host", "GET /apps/open/ HTTP/1.1\r\n\r\n", 400},
        {"RFC 9112 §3.2: two Hosts", get("Host: other\r\n"), 400},
        {"RFC 9110 §7.2: a Host with a path",
         "GET /apps/open/ HTTP/1.1\r\nHost: local/host\r\n\r\n", 400},
        {"RFC 9110 §7.2: a Host with user information",
         "GET /apps/open/ HTTP/1.1\r\nHost: a@localhost\r\n\r\n", 400},
        {"RFC 9110 §7.2: a Host with a space", "GET /apps/open/ HTTP/1.1\r\nHost: a b\r\n\r\n",
         400},
        {"RFC 9110 §7.2: a Host with a wrong port",
         "GET /apps/open/ HTTP/1.1\r\nHost: localhost:99999\r\n\r\n", 400},
        {"RFC 9112 §3: two spaces in the request line",
         "GET  /apps/open/ HTTP/1.1\r\nHost: localhost\r\n\r\n", 400},
        {"RFC 9112 §3: no version", "GET /apps/open/\r\nHost: localhost\r\n\r\n", 0},
        {"RFC 9112 §2.3: a version in small letters",
         "GET /apps/open/ http/1.1\r\nHost: localhost\r\n\r\n", 0},
        {"RFC 9112 §2.3: HTTP/2 by HTTP/1", "GET /apps/open/ HTTP/2.0\r\nHost: localhost\r\n\r\n",
         505},
        {"RFC 9110 §9.1: a method that is no token",
         "G(T /apps/open/ HTTP/1.1\r\nHost: localhost\r\n\r\n", 400},
        {"RFC 9110 §9.3.6: CONNECT", "CONNECT localhost:80 HTTP/1.1\r\nHost: localhost:80\r\n\r\n",
         501},
        {"RFC 9112 §3.2: a target without a slash", get("", "apps/open/"), 400},
        {"RFC 3986 §6: dot segments", get("", "/apps/open/../x"), 400},
        {"RFC 3986 §2.1: encoded dot segments", get("", "/apps/open/%2e%2e/x"), 400},
        {"RFC 3986 §5.2.4: dots behind an encoded slash", get("", "/apps/open/a%2f..%2fb"), 400},
        {"RFC 3986 §2.1: an encoded backslash", get("", "/apps/open/a%5cb"), 400},
        {"RFC 3986 §2.1: an encoded NUL", get("", "/apps/open/%00"), 400},
        {"RFC 3986 §2.1: a broken escape", get("", "/apps/open/%zz"), 400},
        {"RFC 3986 §3.5: a fragment in the target", get("", "/apps/open/#x"), 400},
        {"RFC 9110 §15.5.15: a target without end", get("", "/apps/open/" + std::string(9000, 'a')),
         414},
        {"RFC 6585 §5: a head without end", get("X: " + std::string(40000, 'a') + "\r\n"), 431},
        {"RFC 6585 §5: more fields than can be meant",
         [] {
             std::string lines;
             for (int i = 0; i < 150; ++i) {
                 lines += "X-" + std::to_string(i) + ": a\r\n";
             }
             return get(lines);
         }(),
         431},
        {"RFC 9110 §7.6.1: more nominated names than can be meant", get([] {
             std::string line = "Connection: a0";
             for (int i = 1; i < 40; ++i) {
                 line += ", a" + std::to_string(i);
             }
             return line + "\r\n";
         }()),
         400},
        {"RFC 8586 §2: a circle", get("CDN-Loop: tokyo, a, tokyo\r\n"), 508},
        {"house rule: Origin of another site",
         post("Origin: http://evil.example\r\nContent-Length: 0\r\n", ""), 403},
        {"house rule: an opaque Origin", post("Origin: null\r\nContent-Length: 0\r\n", ""), 403},
        {"house rule: a name that no app can have", get("", "/apps/Open/"), 404},
        {"house rule: an app by the other's mount", get("", "/apps/hosted/"), 404},
    };
    return all;
}

TEST(HostileRequests, AreRefusedAndNeverReachAnApp) {
    std::atomic<int> seen{0};
    Backend backend([&seen](Backend::Peer& peer) {
        std::string head;
        std::string body;
        while (peer.request(head, body)) {
            ++seen;
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
    });
    Tier tier("tokyo");
    tier.add_upstream("open", backend.port(), registry::Access::open);
    tier.add_upstream("hosted", backend.port(), registry::Access::open).mount =
        registry::Mount::host;
    tier.publish();
    EXPECT_GE(hostile().size(), 50U);
    for (const Hostile& one : hostile()) {
        Client client(tier.port());
        client.try_send(one.bytes);
        // Whatever follows must not be taken for a second request of the same connection when the
        // first was malformed.
        const Answer answer = client.read();
        EXPECT_GE(answer.status, 400) << one.rule;
        if (one.status != 0) {
            EXPECT_EQ(answer.status, one.status) << one.rule;
        }
        if (one.status == 400) {
            EXPECT_TRUE(client.closed()) << one.rule;
        }
    }
    EXPECT_EQ(seen, 0);
    EXPECT_EQ(Client(tier.port()).get("/apps/open/").status, 200) << "the tier lives";
}

} // namespace
} // namespace hasp::passon::testing
