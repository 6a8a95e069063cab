// Who reads slowly and steadily gets everything; who stops is cut. Over sockets with large send
// buffers, that have room again long after the last byte was read.
#include "proxy_fixture.h"

#include "base/files.h"

#include <gmock/gmock.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>

namespace hasp::passon::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::int64_t window_ms = 400;
constexpr std::size_t body_bytes = 4'000'000;
constexpr std::size_t huge_bytes = 24'000'000; // more than all buffers between two tiers hold
// A third of it is read in seconds, at the pace below.
constexpr int large_buffer = 1'500'000;
constexpr std::size_t bite_bytes = 6'000;
constexpr int bite_ms = 20;
constexpr int steady_bites = 60; // three windows

// A client on whose side little waits.
class Reader {
  public:
    explicit Reader(int port, int room = 32 * 1024)
        : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        const int segment = 1'400; // as on a LAN, not as on loopback
        ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
        ::setsockopt(fd_.get(), IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof segment);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(static_cast<std::uint16_t>(port));
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        EXPECT_EQ(::connect(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
                  0);
    }
    void ask(const std::string& path, const std::string& version = "1.1") {
        const std::string text = "GET " + path + " HTTP/" + version + "\r\nHost: localhost\r\n\r\n";
        EXPECT_EQ(::send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL),
                  static_cast<ssize_t>(text.size()));
    }
    // False: the connection has ended, or was reset.
    bool bite(std::size_t bytes) {
        std::string into(bytes, '\0');
        const ssize_t got = ::recv(fd_.get(), into.data(), into.size(), 0);
        text_.append(into.data(), static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
        reset_ = got < 0;
        return got > 0;
    }
    bool steadily(int bites, std::size_t bytes = bite_bytes) {
        bool goes_on = true;
        for (int i = 0; i < bites && goes_on; ++i) {
            goes_on = bite(bytes);
            ::poll(nullptr, 0, bite_ms);
        }
        return goes_on;
    }
    // Bytes of the body, of which so many are expected; fewer if the connection ends before.
    std::size_t rest(std::size_t body) {
        while (taken() < body && bite(1 << 20)) {
        }
        return taken();
    }
    std::size_t taken() const {
        const std::size_t end = text_.find("\r\n\r\n");
        return end == std::string::npos ? 0 : text_.size() - end - 4;
    }
    bool reset() const { return reset_; }

  private:
    Fd fd_;
    std::string text_;
    bool reset_ = false;
};

void give_much(Backend::Peer& peer) {
    std::string head;
    while (peer.head(head)) {
        const bool small = head.find("/small ") != std::string::npos;
        const bool huge = head.find("/huge ") != std::string::npos;
        const std::string body(small ? 60'000 : huge ? huge_bytes : body_bytes, 'b');
        peer.send("HTTP/1.1 200 OK\r\nCache-Control: public, max-age=600\r\nContent-Length: " +
                  std::to_string(body.size()) + "\r\n\r\n" + body);
    }
}

class SlowReader : public Proxy {
  protected:
    static Settings hasty() {
        Settings settings;
        settings.body_idle_ms = window_ms;
        settings.keep_alive_ms = 2 * window_ms;
        return settings;
    }
    SlowReader() : Proxy(give_much, hasty()) {
        char name[] = "/tmp/hasp-passon-XXXXXX";
        folder_ = ::mkdtemp(name);
        EXPECT_TRUE(
            write_file_durably(folder_ + "/big.bin", std::string(body_bytes, 'f'), 0644).ok());
        registry::AppSpec app;
        app.name = "site";
        app.route = registry::Route::here;
        app.kind = registry::Kind::static_files;
        app.access = registry::Access::open;
        app.static_root = folder_;
        tier_.add(app);
        tier_.publish();
        port_ = tier_.listen_with_buffer(large_buffer);
    }
    ~SlowReader() override { (void)remove_tree(folder_).ok(); }
    void keep_answers() {
        tier_.on_loop([](Engine& engine) {
            EXPECT_TRUE(engine.set_cache(Fd(::memfd_create("cache", MFD_CLOEXEC)), 64 << 20).ok());
        });
        Client first(tier_.port());
        EXPECT_EQ(first.get("/apps/open/x").body.size(), body_bytes);
    }
    // One of two who ask for the same reads on.
    void gets_all_or_is_cut(const std::string& path) {
        Reader stops(port_);
        stops.ask(path);
        Reader steady(port_);
        steady.ask(path);
        ASSERT_TRUE(stops.bite(100));
        EXPECT_TRUE(steady.steadily(steady_bites));
        EXPECT_EQ(steady.rest(body_bytes), body_bytes);
        for (int i = 0; i < wait_ms / 10 && tier_.counters().exchanges > 0; ++i) {
            ::poll(nullptr, 0, 10);
        }
        EXPECT_EQ(tier_.counters().exchanges, 0U);
        const std::string log = tier_.access_log();
        const std::size_t cut = log.find("the client reads or writes too slowly");
        EXPECT_NE(cut, std::string::npos);
        EXPECT_EQ(log.find("too slowly", cut + 40), std::string::npos) << "one of them, not both";
        EXPECT_LT(stops.rest(body_bytes), body_bytes);
        EXPECT_TRUE(stops.reset()) << "what came is not to be taken for the whole";
    }
    std::string folder_;
    int port_ = 0;
};

TEST_F(SlowReader, OfAnAppsAnswerGetsAllWhileItReadsAndIsCutWhenItStops) {
    gets_all_or_is_cut("/apps/open/");
}

TEST_F(SlowReader, OfAFileGetsAllWhileItReadsAndIsCutWhenItStops) {
    gets_all_or_is_cut("/apps/site/big.bin");
}

TEST_F(SlowReader, OfAStoredAnswerGetsAllWhileItReadsAndIsCutWhenItStops) {
    keep_answers();
    gets_all_or_is_cut("/apps/open/x");
    EXPECT_EQ(backend_.connections, 1);
}

// The tier that serves has another tier for its client, which takes nothing while its own client
// reads what is in its buffers.
TEST(SlowReaderBehindAnotherTier, GetsAllWhileItReadsAndIsCutByItsOwnTierWhenItStops) {
    Settings hasty;
    hasty.body_idle_ms = window_ms;
    hasty.link_silence_ms = window_ms;
    TestRealm realm;
    Backend backend(give_much);
    Tier center("center", hasty, &realm);
    Tier tokyo("tokyo", hasty, &realm);
    tokyo.spec.has_parent = true;
    center.add_upstream("all", backend.port(), registry::Access::open);
    center.publish();
    tokyo.publish();
    tokyo.join(center.link_port());
    ASSERT_TRUE(tokyo.keeper.wait([](FakeKeeper& k) { return k.up(); }));
    const int port = tokyo.listen_with_buffer(large_buffer);
    Reader stops(port);
    stops.ask("/apps/all/huge");
    Reader steady(port);
    steady.ask("/apps/all/huge");
    ASSERT_TRUE(stops.bite(100));
    EXPECT_TRUE(steady.steadily(2 * steady_bites));
    EXPECT_EQ(steady.rest(huge_bytes), huge_bytes);
    for (int i = 0; i < wait_ms / 10 && center.counters().exchanges > 0; ++i) {
        ::poll(nullptr, 0, 10);
    }
    EXPECT_EQ(center.counters().exchanges, 0U);
    EXPECT_THAT(center.access_log(), Not(HasSubstr("too slowly")));
    EXPECT_THAT(tokyo.access_log(), HasSubstr("the client reads or writes too slowly"));
    EXPECT_LT(stops.rest(huge_bytes), huge_bytes);
}

// The exchange is over when its last bytes wait for the socket.
TEST_F(SlowReader, OfTheRestOfAnAnswerGetsItAndIsCutWhenItStops) {
    constexpr std::size_t small = 60'000;
    port_ = tier_.listen_with_buffer(2'300);
    constexpr int little_room = 4'096;
    for (const char* version : {"1.0", "1.1"}) {
        Reader stops(port_, little_room);
        stops.ask("/apps/open/small", version);
        {
            Reader steady(port_, little_room);
            steady.ask("/apps/open/small", version);
            EXPECT_TRUE(steady.steadily(steady_bites, 400)) << version;
            EXPECT_EQ(steady.rest(small), small) << version;
        }
        for (int i = 0; i < wait_ms / 10 && tier_.counters().connections > 0; ++i) {
            ::poll(nullptr, 0, 10);
        }
        EXPECT_LT(stops.rest(small), small) << version;
        EXPECT_TRUE(stops.reset()) << version;
    }
}

} // namespace
} // namespace hasp::passon::testing
