#include "net/conn.h"

#include "base/files.h"
#include "io_fixture.h"
#include "net/listener.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/resource.h>

namespace hasp::net {
namespace {

const Address nowhere;

std::string pattern(std::size_t size) {
    std::string out(size, '\0');
    for (std::size_t i = 0; i < size; ++i) {
        out[i] = static_cast<char>(i * 2654435761U >> 24U);
    }
    return out;
}

struct ConnTest : LoopTest {
    TestCertificate ca = make_authority("test authority");
    TestCertificate other_ca = make_authority("another authority");
    Peer server{*reactor};
    Peer client{*reactor};

    std::shared_ptr<const TlsContext> server_tls(VerifyPeer verify = {}) {
        const TestCertificate own = make_certificate("center.test", ca);
        ServerTls settings;
        settings.chain_pem = own.pem;
        settings.key_pem = own.key_pem;
        settings.client_ca_pem = ca.pem;
        settings.peer = PeerCertificate::required;
        settings.verify = std::move(verify);
        settings.alpn = {"h2", "http/1.1"};
        settings.between_tiers = true;
        return std::move(TlsContext::server(settings)).value();
    }
    std::shared_ptr<const TlsContext> client_tls(const TestCertificate& issuer,
                                                 const TestCertificate& trusted) {
        const TestCertificate own = make_certificate("local.test", issuer);
        ClientTls settings;
        settings.ca_pem = trusted.pem;
        settings.chain_pem = own.pem;
        settings.key_pem = own.key_pem;
        settings.alpn = {"http/1.1"};
        settings.between_tiers = true;
        return std::move(TlsContext::client(settings)).value();
    }
    void join(std::shared_ptr<const TlsContext> s, std::shared_ptr<const TlsContext> c,
              const std::string& name = "center.test") {
        SocketPair pair = make_pair_of_sockets();
        ASSERT_TRUE(server.conn.adopt(std::move(pair.a), nowhere, std::move(s)).ok());
        ASSERT_TRUE(client.conn.adopt(std::move(pair.b), nowhere, std::move(c), name).ok());
    }
    bool until(const std::function<bool()>& done) { return run_until(*reactor, done); }
    // 3 MB in both directions at once, through full socket buffers.
    void exchange() {
        server.to_send = pattern(3'000'000);
        client.to_send = pattern(3'000'001);
        server.go();
        client.go();
        EXPECT_TRUE(until([this] {
            return server.received.size() == client.to_send.size() &&
                   client.received.size() == server.to_send.size();
        }));
        EXPECT_TRUE(server.received == client.to_send);
        EXPECT_TRUE(client.received == server.to_send);
        EXPECT_TRUE(until([this] { return server.conn.flushed() && client.conn.flushed(); }));
    }
};

TEST_F(ConnTest, AFileGoesOutAsFarAsTheSocketTakesItAndIsHeldBackForNobody) {
    join(nullptr, nullptr);
    ASSERT_TRUE(server.conn.takes_files());
    const std::string content = pattern(3'000'000);
    const Fd file(::memfd_create("file", MFD_CLOEXEC));
    ASSERT_TRUE(write_all(file.get(), content).ok());
    ASSERT_EQ(server.conn.write_before_file("head").state, Io::ok);
    std::size_t sent = 0;
    ASSERT_TRUE(until([&] {
        if (server.conn.writable() && sent < content.size()) {
            const IoResult put = server.conn.send_file(file.get(), sent, content.size() - sent);
            EXPECT_TRUE(put.state == Io::ok || put.state == Io::again);
            sent += put.bytes;
        }
        return client.received.size() == content.size() + 4;
    }));
    EXPECT_TRUE(client.received == "head" + content);
    EXPECT_EQ(server.conn.send_file(file.get(), content.size(), 10).state, Io::end);
}

// From one pair of sockets to another, through a pipe that never comes to this process.
TEST_F(ConnTest, WhatGoesThroughAPipeArrivesAsItWasAndWaitsWhereTheSinkIsFull) {
    join(nullptr, nullptr);
    Peer from(*reactor);
    Peer source(*reactor);
    SocketPair pair = make_pair_of_sockets();
    ASSERT_TRUE(source.conn.adopt(std::move(pair.a), nowhere).ok());
    ASSERT_TRUE(from.conn.adopt(std::move(pair.b), nowhere).ok());
    from.reading = false;
    client.reading = false;
    source.to_send = pattern(3'000'000);
    source.go();
    Pipe pipe = reactor->pipes().lend();
    ASSERT_TRUE(static_cast<bool>(pipe));
    std::size_t moved = 0;
    std::size_t waits = 0;
    ASSERT_TRUE(until([&] {
        if (pipe.held() == 0) {
            moved += from.conn.read_into(pipe, 1'000'000).bytes;
        }
        if (pipe.held() > 0 && server.conn.write_from(pipe).state == Io::again) {
            client.reading = ++waits > 3;
            client.go();
        }
        return client.received.size() == source.to_send.size();
    }));
    EXPECT_GT(waits, 0U);
    EXPECT_EQ(moved, source.to_send.size());
    EXPECT_TRUE(client.received == source.to_send);
    EXPECT_EQ(from.conn.wire_in(), source.to_send.size());
    EXPECT_EQ(server.conn.wire_out(), source.to_send.size());
    EXPECT_EQ(from.conn.read_into(pipe, 10).state, Io::again);
    source.conn.shutdown_write();
    EXPECT_TRUE(until([&] { return from.conn.read_into(pipe, 10).state == Io::end; }));
}

TEST(PipePoolTest, LendsSoManyAndKeepsWhatComesBackEmpty) {
    PipePool pool;
    std::vector<Pipe> lent;
    for (std::size_t i = 0; i < PipePool::lent_max; ++i) {
        lent.push_back(pool.lend());
        ASSERT_TRUE(static_cast<bool>(lent.back()));
    }
    EXPECT_FALSE(static_cast<bool>(pool.lend()));
    lent.pop_back();
    EXPECT_TRUE(static_cast<bool>(pool.lend()));
    EXPECT_EQ(pool.lent(), PipePool::lent_max - 1);
}

TEST_F(ConnTest, PlainCarriesLargeTransfersBothWays) {
    join(nullptr, nullptr);
    EXPECT_TRUE(server.conn.open());
    exchange();
    EXPECT_EQ(server.conn.wire_in(), client.to_send.size());
    EXPECT_EQ(server.conn.wire_out(), server.to_send.size());
}

TEST_F(ConnTest, TlsCarriesLargeTransfersBothWays) {
    join(server_tls(), client_tls(ca, ca));
    ASSERT_TRUE(until([this] { return server.opened && client.opened; }));
    exchange();
    EXPECT_GT(server.conn.wire_in(), client.to_send.size());
    EXPECT_EQ(reactor->buffers().lent(), 0U);
}

TEST_F(ConnTest, AShortMessageTakesOneReadBecauseTheSocketIsKnownToBeDrained) {
    join(server_tls(), client_tls(ca, ca));
    ASSERT_TRUE(until([this] { return server.opened && client.opened; }));
    reactor->run_once(0);
    const std::size_t before = server.reads;
    client.to_send = "hello";
    client.go();
    ASSERT_TRUE(until([this] { return server.received == "hello"; }));
    EXPECT_EQ(server.reads, before + 1);
    EXPECT_FALSE(server.conn.readable());
}

TEST_F(ConnTest, MutualTlsShowsBothSidesWhoTheOtherIs) {
    std::size_t asked = 0;
    join(server_tls([&asked](const PeerChain& peer) -> Status {
             ++asked;
             return peer.chain.size() == 2 ? Status{} : fail(Code::refused, "a strange chain");
         }),
         client_tls(ca, ca));
    ASSERT_TRUE(until([this] { return server.opened && client.opened; }));
    EXPECT_EQ(asked, 1U);
    EXPECT_EQ(server.conn.verified_chain().size(), 2U);
    EXPECT_EQ(server.conn.verified_chain()[0], server.conn.peer_certificate());
    EXPECT_EQ(client.conn.alpn(), "http/1.1");
    EXPECT_EQ(server.conn.alpn(), "http/1.1");
    EXPECT_EQ(server.conn.server_name(), "center.test");
    EXPECT_EQ(public_key_hash_of(server.conn.peer_certificate()).value().size(), 32U);
}

TEST_F(ConnTest, AClientOfAnotherAuthorityIsRefused) {
    join(server_tls(), client_tls(other_ca, ca));
    ASSERT_TRUE(until([this] { return server.failed; }));
    EXPECT_NE(server.conn.failure().find("certificate"), std::string::npos)
        << server.conn.failure();
    // In TLS 1.3 the client learns it with its first read.
    ASSERT_TRUE(until([this] { return client.last == Io::failed || client.last == Io::cut; }));
    EXPECT_TRUE(client.received.empty());
}

TEST_F(ConnTest, APeerThatTheCallerRefusesIsRefusedWithTheCallersWords) {
    join(server_tls([](const PeerChain&) -> Status {
             return fail(Code::refused, "this child was revoked");
         }),
         client_tls(ca, ca));
    ASSERT_TRUE(until([this] { return server.failed; }));
    EXPECT_EQ(server.conn.failure(), "this child was revoked");
    EXPECT_FALSE(server.opened);
}

TEST_F(ConnTest, AServerOfAnotherAuthorityOrNameIsRefused) {
    join(server_tls(), client_tls(ca, other_ca));
    ASSERT_TRUE(until([this] { return client.failed && server.failed; }));
    EXPECT_FALSE(server.opened);
    Peer server2{*reactor}, client2{*reactor};
    SocketPair pair = make_pair_of_sockets();
    ASSERT_TRUE(server2.conn.adopt(std::move(pair.a), nowhere, server_tls()).ok());
    ASSERT_TRUE(
        client2.conn.adopt(std::move(pair.b), nowhere, client_tls(ca, ca), "upper.test").ok());
    ASSERT_TRUE(until([&client2] { return client2.failed; }));
    EXPECT_NE(client2.conn.failure().find("mismatch"), std::string::npos) << client2.conn.failure();
}

TEST_F(ConnTest, AHalfClosedTlsConnectionStillCarriesTheAnswer) {
    join(server_tls(), client_tls(ca, ca));
    ASSERT_TRUE(until([this] { return server.opened && client.opened; }));
    client.to_send = "question";
    client.go();
    client.conn.shutdown_write();
    ASSERT_TRUE(until([this] { return server.last == Io::end; }));
    EXPECT_EQ(server.received, "question");
    server.to_send = pattern(500'000);
    server.go();
    ASSERT_TRUE(until([this] { return client.received.size() == server.to_send.size(); }));
    server.conn.shutdown_write();
    ASSERT_TRUE(until([this] { return client.last == Io::end; }));
}

TEST_F(ConnTest, ATlsConnectionWithoutCloseNotifyIsCut) {
    join(server_tls(), client_tls(ca, ca));
    ASSERT_TRUE(until([this] { return server.opened && client.opened; }));
    client.to_send = "half";
    client.go();
    client.conn.close();
    ASSERT_TRUE(until([this] { return server.last == Io::cut; }))
        << static_cast<int>(server.last) << server.conn.failure() << server.received;
    EXPECT_EQ(server.received, "half");
}

TEST_F(ConnTest, APlainHalfCloseIsTheEndBehindTheData) {
    join(nullptr, nullptr);
    client.to_send = pattern(100'000);
    client.go();
    ASSERT_TRUE(until([this] { return server.received.size() == client.to_send.size(); }));
    client.conn.shutdown_write();
    ASSERT_TRUE(until([this] { return server.last == Io::end; }));
    EXPECT_TRUE(server.conn.writable());
}

TEST_F(ConnTest, AnOwnerThatDoesNotReadHoldsTheSenderBack) {
    join(nullptr, nullptr);
    server.reading = false;
    client.to_send = pattern(5'000'000);
    client.go();
    for (int i = 0; i < 20; ++i) {
        reactor->run_once(0);
    }
    EXPECT_LT(client.sent, client.to_send.size());
    EXPECT_TRUE(server.conn.readable());
    server.reading = true;
    server.go();
    EXPECT_TRUE(until([this] { return server.received.size() == client.to_send.size(); }));
}

TEST_F(ConnTest, APooledConnectionIsQuietUntilPayloadOrAnEndComes) {
    for (const bool secure : {false, true}) {
        Peer a{*reactor}, b{*reactor};
        SocketPair pair = make_pair_of_sockets();
        const auto s = secure ? server_tls() : nullptr;
        const auto c = secure ? client_tls(ca, ca) : nullptr;
        ASSERT_TRUE(a.conn.adopt(std::move(pair.a), nowhere, s).ok());
        ASSERT_TRUE(b.conn.adopt(std::move(pair.b), nowhere, c).ok());
        ASSERT_TRUE(until([&] { return a.conn.open() && b.conn.open(); }));
        a.reading = false;
        reactor->run_once(0);
        EXPECT_TRUE(a.conn.quiet());
        EXPECT_FALSE(a.conn.peer_closed());
        b.to_send = "x";
        b.go();
        ASSERT_TRUE(until([&] { return a.conn.readable(); }));
        EXPECT_FALSE(a.conn.quiet());
        a.reading = true;
        a.go();
        EXPECT_EQ(a.received, "x");
        EXPECT_TRUE(a.conn.quiet());
        a.reading = false;
        b.conn.close();
        ASSERT_TRUE(until([&] { return a.conn.peer_closed(); }));
        EXPECT_FALSE(a.conn.quiet());
    }
}

TEST_F(ConnTest, MovesToAnotherLoop) {
    join(server_tls(), client_tls(ca, ca));
    ASSERT_TRUE(until([this] { return server.opened && client.opened; }));
    auto second = std::move(Reactor::create(clock)).value();
    Peer next{*second};
    server.conn.detach();
    ASSERT_TRUE(server.conn.attach(*second, server).ok());
    client.to_send = "hello";
    client.go();
    EXPECT_TRUE(run_until(*second, [this] { return server.received == "hello"; }));
    server.conn.close();
}

TEST_F(ConnTest, WhatCameWhileItMovedIsSeenAtOnce) {
    join(nullptr, nullptr);
    ASSERT_TRUE(until([this] { return server.conn.open() && client.conn.open(); }));
    reactor->run_once(0);
    auto second = std::move(Reactor::create(clock)).value();
    server.conn.detach();
    client.to_send = "hello";
    client.go();
    ASSERT_TRUE(until([this] {
        pollfd one{server.conn.fd(), POLLIN, 0};
        return ::poll(&one, 1, 0) == 1;
    }));
    ASSERT_TRUE(server.conn.attach(*second, server).ok());
    EXPECT_TRUE(server.conn.readable()) << "before its loop has looked";
    server.conn.close();
}

TEST_F(ConnTest, ConnectsToAListenerOrSaysWhyNot) {
    auto listening = listen_on(*Address::parse("127.0.0.1:0"));
    ASSERT_TRUE(listening.ok());
    Listener listener{*reactor, std::move(*listening), [this](Fd socket, const Address& peer) {
                          ASSERT_TRUE(server.conn.adopt(std::move(socket), peer).ok());
                      }};
    ASSERT_TRUE(listener.start().ok());
    client.to_send = "hello";
    ASSERT_TRUE(client.conn.connect(listener.address()).ok());
    ASSERT_TRUE(until([this] { return server.received == "hello"; }));
    EXPECT_EQ(client.conn.peer(), listener.address());
    EXPECT_EQ(server.conn.peer().host(), "127.0.0.1");
    auto closed = listen_on(*Address::parse("127.0.0.1:0"));
    const Address gone = *Address::of_socket(closed->get());
    closed->reset();
    Peer lost{*reactor};
    const Status begun = lost.conn.connect(gone);
    ASSERT_TRUE(!begun.ok() || until([&lost] { return lost.failed; }));
}

TEST_F(ConnTest, ALingeringCloseLetsThePeerReadTheAnswer) {
    auto listening = listen_on(*Address::parse("127.0.0.1:0"));
    ASSERT_TRUE(listening.ok());
    auto owner = std::make_unique<Peer>(*reactor);
    std::unique_ptr<Conn> refused;
    Listener listener{*reactor, std::move(*listening), [&](Fd socket, const Address& peer) {
                          refused = std::make_unique<Conn>(*reactor, *owner);
                          ASSERT_TRUE(refused->adopt(std::move(socket), peer).ok());
                          refused->write("HTTP/1.1 400 Bad Request\r\n\r\n");
                          close_lingering(std::move(refused));
                      }};
    ASSERT_TRUE(listener.start().ok());
    client.to_send = pattern(200'000);
    ASSERT_TRUE(client.conn.connect(listener.address()).ok());
    ASSERT_TRUE(until([this] { return client.last == Io::end; }));
    EXPECT_EQ(client.received, "HTTP/1.1 400 Bad Request\r\n\r\n");
}

TEST_F(ConnTest, APausedListenerLeavesConnectionsInTheQueue) {
    auto listening = listen_on(*Address::parse("127.0.0.1:0"));
    ASSERT_TRUE(listening.ok());
    std::vector<Fd> accepted;
    Listener listener{*reactor, std::move(*listening), [&accepted](Fd socket, const Address&) {
                          accepted.push_back(std::move(socket));
                      }};
    ASSERT_TRUE(listener.start().ok());
    listener.pause();
    ASSERT_TRUE(client.conn.connect(listener.address()).ok());
    ASSERT_TRUE(until([this] { return client.opened; }));
    EXPECT_TRUE(accepted.empty());
    listener.resume();
    EXPECT_TRUE(until([&accepted] { return accepted.size() == 1; }));
}

TEST_F(ConnTest, AListenerWithoutDescriptorsWaitsAndGoesOn) {
#ifdef __SANITIZE_ADDRESS__
    GTEST_SKIP() << "UBSan opens a pipe to look at a vptr, and takes EMFILE for a bad object";
#endif
    auto listening = listen_on(*Address::parse("127.0.0.1:0"));
    ASSERT_TRUE(listening.ok());
    std::vector<Fd> accepted;
    Listener listener{*reactor, std::move(*listening), [&accepted](Fd socket, const Address&) {
                          accepted.push_back(std::move(socket));
                      }};
    ASSERT_TRUE(listener.start().ok());
    ASSERT_TRUE(client.conn.connect(listener.address()).ok());
    rlimit before{};
    ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
    const rlimit none{3, before.rlim_max};
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
    const bool refused = until([&listener] { return listener.refused_for_descriptors() != 0; });
    const std::uint64_t once = listener.refused_for_descriptors();
    for (int i = 0; i < 50; ++i) {
        reactor->run_once(0);
    }
    EXPECT_LE(listener.refused_for_descriptors(), once + 1);
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
    EXPECT_TRUE(refused);
    EXPECT_TRUE(until([&accepted] { return accepted.size() == 1; }));
}

TEST(TlsContext, RefusesPemThatDoesNotFit) {
    const TestCertificate ca = make_authority("a"), other = make_authority("b");
    ServerTls server;
    EXPECT_EQ(TlsContext::server(server).error().code, Code::usage);
    server.chain_pem = ca.pem;
    server.key_pem = other.key_pem;
    EXPECT_FALSE(TlsContext::server(server).ok());
    server.key_pem = ca.key_pem;
    EXPECT_TRUE(TlsContext::server(server).ok());
    server.peer = PeerCertificate::required;
    EXPECT_FALSE(TlsContext::server(server).ok());
    ClientTls client;
    EXPECT_FALSE(TlsContext::client(client).ok());
    client.system_ca = true;
    EXPECT_TRUE(TlsContext::client(client).ok());
}

} // namespace
} // namespace hasp::net
