#include "net/dial.h"

#include "io_fixture.h"
#include "net/listener.h"

#include <filesystem>
#include <gtest/gtest.h>
#include <unistd.h>

namespace hasp::net {
namespace {

struct DialTest : LoopTest {
    std::string folder = [] {
        std::string name = testing::TempDir() + "dialXXXXXX";
        EXPECT_NE(mkdtemp(name.data()), nullptr);
        return name;
    }();
    std::string path = folder + "/s";
    std::optional<Result<Fd>> answer;
    Dial dial{*reactor};

    ~DialTest() override { std::filesystem::remove_all(folder); }
    Listener listen(Listener::Accepted accepted) {
        return {*reactor, std::move(*listen_on(*Address::parse("unix:" + path))),
                std::move(accepted)};
    }
    void go(std::int64_t timeout_ms = 10'000) {
        answer.reset();
        dial.start(path, timeout_ms,
                   [this](Result<Fd> result) { answer.emplace(std::move(result)); });
        EXPECT_FALSE(answer);
        ASSERT_TRUE(run_until(*reactor, [this] { return answer.has_value(); }));
    }
};

TEST_F(DialTest, ReceivesAConnectedSocket) {
    SocketPair pair = make_pair_of_sockets();
    Listener listener = listen([&pair](Fd socket, const Address&) {
        EXPECT_TRUE(answer_dial(socket.get(), pair.a.get()).ok());
    });
    ASSERT_TRUE(listener.start().ok());
    go();
    ASSERT_TRUE(answer->ok()) << answer->error().message;
    Peer peer{*reactor};
    ASSERT_TRUE(peer.conn.adopt(std::move(**answer), Address{}).ok());
    ASSERT_EQ(write(pair.b.get(), "hi", 2), 2);
    EXPECT_TRUE(run_until(*reactor, [&peer] { return peer.received == "hi"; }));
}

TEST_F(DialTest, PassesOnWhyTheAppCannotBeReached) {
    Listener listener = listen([](Fd socket, const Address&) {
        EXPECT_TRUE(refuse_dial(socket.get(), "connect: Connection refused").ok());
    });
    ASSERT_TRUE(listener.start().ok());
    go();
    ASSERT_FALSE(answer->ok());
    EXPECT_EQ(answer->error().code, Code::unreachable);
    EXPECT_NE(answer->error().message.find("connect: Connection refused"), std::string::npos);
}

TEST_F(DialTest, RefusesAnythingElse) {
    std::string word;
    Listener listener = listen([&word](Fd socket, const Address&) {
        EXPECT_EQ(write(socket.get(), word.data(), word.size()), static_cast<ssize_t>(word.size()));
    });
    ASSERT_TRUE(listener.start().ok());
    for (const char* bad : {"", "F", "X", "Fx"}) {
        word = bad;
        go();
        EXPECT_FALSE(answer->ok()) << bad;
    }
}

TEST_F(DialTest, TellsANobodyThereFromATimeOut) {
    go();
    EXPECT_EQ(answer->error().code, Code::not_found);
    std::vector<Fd> kept;
    Listener listener =
        listen([&kept](Fd socket, const Address&) { kept.push_back(std::move(socket)); });
    ASSERT_TRUE(listener.start().ok());
    go(100);
    EXPECT_EQ(answer->error().code, Code::timed_out);
}

TEST_F(DialTest, ReachesAPathLongerThanASocketAddress) {
    const std::string deep = folder + "/" + std::string(120, 'd');
    std::filesystem::create_directory(deep);
    SocketPair pair = make_pair_of_sockets();
    Listener listener = listen([&pair](Fd socket, const Address&) {
        EXPECT_TRUE(answer_dial(socket.get(), pair.a.get()).ok());
    });
    ASSERT_TRUE(listener.start().ok());
    std::filesystem::rename(path, deep + "/s");
    path = deep + "/s";
    go();
    EXPECT_TRUE(answer->ok());
}

TEST(Address, IsReadAndWrittenAlike) {
    for (const char* text : {"127.0.0.1:8443", "[::1]:80", "unix:/run/x.sock", "0.0.0.0:0"}) {
        const auto address = Address::parse(text);
        ASSERT_TRUE(address.ok()) << text;
        EXPECT_EQ(address->to_string(), text);
    }
    EXPECT_EQ(Address::parse("[::ffff:1.2.3.4]:5")->host(), "1.2.3.4");
    EXPECT_TRUE(Address::parse("127.9.9.9:1")->is_loopback());
    for (const char* bad :
         {"", "127.0.0.1", "localhost:80", "127.0.0.1:65536", "127.0.0.1:+1", "::1:80", "[::1]",
          "[::1:80", "unix:", "unix:x", "127.1:80", "1.2.3.4:"}) {
        EXPECT_FALSE(Address::parse(bad).ok()) << bad;
    }
    EXPECT_FALSE(Address::parse("unix:/" + std::string(107, 'a')).ok());
}

TEST(Listening, ReplacesADeadSocketFileButNotALiveOne) {
    std::string folder = testing::TempDir() + "listenXXXXXX";
    ASSERT_NE(mkdtemp(folder.data()), nullptr);
    const Address address = *Address::parse("unix:" + folder + "/s");
    auto first = listen_on(address);
    ASSERT_TRUE(first.ok());
    EXPECT_EQ(listen_on(address).error().code, Code::conflict);
    first->reset();
    EXPECT_TRUE(listen_on(address).ok());
    std::filesystem::remove_all(folder);
}

} // namespace
} // namespace hasp::net
