// Pairs of connections on one loop, and certificates made on the spot.
#pragma once

#include "base/clock.h"
#include "net/conn.h"
#include "net/reactor.h"
#include "net/tls.h"

#include <functional>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <sys/socket.h>

namespace hasp::net {

struct TestCertificate {
    std::string pem;
    std::string key_pem;
};
// A self-signed authority, and a certificate signed by it for `name` (a DNS name).
TestCertificate make_authority(const std::string& name);
TestCertificate make_certificate(const std::string& name, const TestCertificate& authority);

// Drives a loop until `done`, at most `limit_ms`; false when the limit was reached.
bool run_until(Reactor& reactor, const std::function<bool()>& done, int limit_ms = 10'000);

struct LoopTest : testing::Test {
    SystemClock clock;
    std::unique_ptr<Reactor> reactor = std::move(Reactor::create(clock)).value();
};

// An owner that collects what comes, unless told to leave it, and sends what it is given.
struct Peer final : ConnOwner {
    explicit Peer(Reactor& reactor) : conn(reactor, *this) {}
    Conn conn;
    bool opened = false, failed = false, reading = true;
    Io last = Io::again;
    std::string received;
    std::string to_send;
    std::size_t sent = 0;
    std::size_t reads = 0;

    void go() {
        while (reading && conn.readable()) {
            char room[8192];
            const IoResult got = conn.read(room);
            ++reads;
            if (got.state == Io::again) {
                break;
            }
            last = got.state;
            if (got.state != Io::ok) {
                break;
            }
            received.append(room, got.bytes);
        }
        while (conn.writable() && sent < to_send.size()) {
            // Three pieces, to look at the gathering.
            const std::size_t left = to_send.size() - sent;
            const std::size_t a = std::min<std::size_t>(left, 10),
                              b = std::min<std::size_t>(left - a, 300);
            char* at = to_send.data() + sent;
            const iovec pieces[] = {{at, a}, {at + a, b}, {at + a + b, left - a - b}};
            const IoResult put = conn.write(pieces);
            if (put.state != Io::ok) {
                break;
            }
            sent += put.bytes;
        }
    }
    void on_open(Conn&) override {
        opened = true;
        go();
    }
    void on_ready(Conn&) override { go(); }
    void on_fail(Conn&) override { failed = true; }
};

struct SocketPair {
    Fd a, b;
};
inline SocketPair make_pair_of_sockets() {
    int fds[2] = {-1, -1};
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    return {Fd{fds[0]}, Fd{fds[1]}};
}

} // namespace hasp::net
