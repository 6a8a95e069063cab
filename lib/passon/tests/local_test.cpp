// What a tier serves itself: static files and processes behind a dial socket.
#include "dialer.h"
#include "harness.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <future>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

namespace hasp::passon::testing {
namespace {

using ::testing::HasSubstr;

std::string numbers(std::size_t bytes) {
    std::string out;
    for (std::size_t i = 0; out.size() < bytes; ++i) {
        out += std::to_string(i) + ' ';
    }
    return out.substr(0, bytes);
}

class Static : public ::testing::Test {
  protected:
    Static() : tier_("tokyo") {
        folder_.put("site/index.html", "<h1>home</h1>");
        folder_.put("site/a b.txt", "0123456789");
        folder_.put("site/sub/index.html", "sub");
        folder_.put("site/.hidden", "secret");
        folder_.put("outside.txt", "secret");
        EXPECT_EQ(::symlink("../outside.txt", (folder_.path + "/site/out").c_str()), 0);
        EXPECT_EQ(::symlink("a b.txt", (folder_.path + "/site/inside").c_str()), 0);
        EXPECT_EQ(::mkfifo((folder_.path + "/site/fifo").c_str(), 0644), 0);
        folder_.put("site/big.bin", numbers(3'000'000));
        registry::AppSpec app;
        app.name = "site";
        app.route = registry::Route::here;
        app.kind = registry::Kind::static_files;
        app.access = registry::Access::open;
        app.static_root = folder_.path + "/site";
        tier_.add(app);
        tier_.publish();
    }
    Folder folder_;
    Tier tier_;
};

TEST_F(Static, FilesHaveTheirTypeLengthAndValidators) {
    Client client(tier_.port());
    const Answer index = client.get("/apps/site/");
    EXPECT_EQ(index.status, 200);
    EXPECT_EQ(index.body, "<h1>home</h1>");
    EXPECT_EQ(index.header("content-type"), "text/html; charset=utf-8");
    EXPECT_EQ(client.get("/", "", "site.localhost").body, "<h1>home</h1>");
    EXPECT_EQ(client.get("/apps/site/a%20b.txt").body, "0123456789");
    EXPECT_EQ(client.get("/apps/site/inside").body, "0123456789") << "a symlink within the tree";
    EXPECT_EQ(client.get("/apps/site/sub/").body, "sub");
    EXPECT_EQ(client.get("/apps/site/sub?x=1").header("location"), "/apps/site/sub/?x=1");
    EXPECT_EQ(client.get("/apps/site").header("location"), "/apps/site/");
    EXPECT_EQ(client.get("/apps/site/big.bin").body, numbers(3'000'000));
}

TEST_F(Static, NothingOutsideOfTheTreeIsServed) {
    Client client(tier_.port());
    for (const char* path : {"/apps/site/out", "/apps/site/.hidden", "/apps/site/fifo",
                             "/apps/site/none", "/apps/site//etc/passwd"}) {
        EXPECT_EQ(client.get(path).status, 404) << path;
    }
    for (const char* path : {"/apps/site/../outside.txt", "/apps/site/%2e%2e/outside.txt",
                             "/apps/site/..%2foutside.txt", "/apps/site/a%00"}) {
        EXPECT_EQ(Client(tier_.port()).get(path).status, 400) << path;
    }
}

TEST_F(Static, ConditionsAndRangesAreFollowed) {
    Client client(tier_.port());
    const Answer first = client.get("/apps/site/inside");
    const std::string etag = first.header("etag");
    EXPECT_EQ(client.get("/apps/site/inside", "If-None-Match: " + etag + "\r\n").status, 304);
    EXPECT_EQ(client.get("/apps/site/inside", "If-None-Match: \"x\"\r\n").status, 200);
    EXPECT_EQ(client
                  .get("/apps/site/inside",
                       "If-Modified-Since: " + first.header("last-modified") + "\r\n")
                  .status,
              304);
    EXPECT_EQ(client.get("/apps/site/inside", "If-Match: \"x\"\r\n").status, 412);
    const Answer part = client.get("/apps/site/inside", "Range: bytes=2-4\r\n");
    EXPECT_EQ(part.status, 206);
    EXPECT_EQ(part.body, "234");
    EXPECT_EQ(part.header("content-range"), "bytes 2-4/10");
    EXPECT_EQ(client.get("/apps/site/inside", "Range: bytes=-3\r\n").body, "789");
    EXPECT_EQ(client.get("/apps/site/inside", "Range: bytes=2-4\r\nIf-Range: \"old\"\r\n").status,
              200);
    const Answer beyond = client.get("/apps/site/inside", "Range: bytes=20-\r\n");
    EXPECT_EQ(beyond.status, 416);
    EXPECT_EQ(beyond.header("content-range"), "bytes */10");
    client.send("HEAD /apps/site/big.bin HTTP/1.1\r\nHost: localhost\r\n\r\n");
    EXPECT_EQ(client.read(true).header("content-length"), "3000000");
    client.send("POST /apps/site/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
    EXPECT_EQ(client.read().header("allow"), "GET, HEAD");
}

TEST_F(Static, ALongFileComesByteForByteAlsoToWhoReadsLate) {
    const std::string all = numbers(3'000'000);
    Client client(tier_.port());
    const std::string one = "GET /apps/site/big.bin HTTP/1.1\r\nHost: localhost\r\n";
    client.send(one + "\r\n" + one + "Range: bytes=999999-2000000\r\n\r\n" + one + "\r\n");
    ::poll(nullptr, 0, 200); // the socket is full by now
    EXPECT_EQ(client.read().body, all);
    EXPECT_EQ(client.read().body, all.substr(999'999, 1'000'002));
    EXPECT_EQ(client.read().body, all);
    EXPECT_EQ(client.get("/apps/site/a%20b.txt").body, "0123456789");
}

TEST_F(Static, AFileThatBecomesShorterMeanwhileIsNotTakenForAWholeOne) {
    const std::string path = folder_.path + "/site/huge.bin";
    folder_.put("site/huge.bin", "");
    ASSERT_EQ(::truncate(path.c_str(), 64'000'000), 0);
    Client client(tier_.port());
    client.send("GET /apps/site/huge.bin HTTP/1.1\r\nHost: localhost\r\n\r\n");
    EXPECT_EQ(client.read_bytes(15), "HTTP/1.1 200 OK");
    ASSERT_EQ(::truncate(path.c_str(), 1'000'000), 0);
    std::size_t got = 0;
    std::array<char, 65'536> piece{};
    for (ssize_t n = 1; n > 0; got += static_cast<std::size_t>(std::max<ssize_t>(n, 0))) {
        n = ::recv(client.fd(), piece.data(), piece.size(), 0);
    }
    EXPECT_LT(got, 64'000'000U);
    EXPECT_THAT(tier_.access_log(), HasSubstr("could not be read to its end"));
}

class Process : public ::testing::Test {
  protected:
    Process() : backend_(echo_head()), tier_("tokyo") {
        registry::AppSpec app;
        app.name = "notes";
        app.route = registry::Route::here;
        app.kind = registry::Kind::process;
        app.instance = registry::Instance::user;
        app.dial_path = folder_.path;
        EXPECT_TRUE(make_folders(folder_.path + "/notes").ok());
        tier_.add(app);
        tier_.publish();
        tier_.keeper.know("cookie:secret", person("anna", {"notes"}));
    }
    Folder folder_;
    Backend backend_;
    std::unique_ptr<Dialer> dialer_;
    Tier tier_;
};

TEST_F(Process, IsStartedByTheFirstRequestAndThenReachedThroughItsDialer) {
    tier_.keeper.on_start = [this](const StartQuestion& question) -> StartAnswer {
        EXPECT_EQ(question.app, "notes");
        EXPECT_EQ(question.user, "anna");
        dialer_ = std::make_unique<Dialer>(folder_.path + "/notes/anna.sock", backend_.port());
        return {};
    };
    Client client(tier_.port());
    for (int i = 0; i < 3; ++i) {
        const Answer answer = client.get("/apps/notes/", session_cookie);
        ASSERT_EQ(answer.status, 200) << answer.body;
        EXPECT_THAT(answer.body, HasSubstr("Remote-User: anna"));
    }
    EXPECT_EQ(tier_.keeper.start_questions, 1);
}

// Its end is seen by who dials it before the spawner, which has it as running, sees it.
TEST_F(Process, ThatIsSaidToRunAndDoesNotAnswerIsAskedForAgain) {
    tier_.keeper.on_start = [this](const StartQuestion&) -> StartAnswer {
        if (tier_.keeper.start_questions == 3) {
            dialer_ = std::make_unique<Dialer>(folder_.path + "/notes/anna.sock", backend_.port());
        }
        return {};
    };
    Client client(tier_.port());
    const Answer answer = client.get("/apps/notes/", session_cookie);
    EXPECT_EQ(answer.status, 200) << answer.body;
    EXPECT_EQ(tier_.keeper.start_questions, 3);
}

TEST_F(Process, ThatIsSaidToRunAndNeverAnswersIsGivenUp) {
    tier_.keeper.on_start = [](const StartQuestion&) -> StartAnswer { return {}; };
    Client client(tier_.port());
    EXPECT_EQ(client.get("/apps/notes/", session_cookie).status, 503);
    EXPECT_EQ(tier_.keeper.start_questions, 6);
}

// The connection of a request that waits for its answer; the next ones are answered at once.
TEST_F(Process, ThatIsReplacedFinishesWhatItHasAndGetsNothingNew) {
    std::promise<void> arrived;
    std::promise<void> go_on;
    Backend slow([&](Backend::Peer& peer) {
        std::string head;
        std::string body;
        for (int n = 0; peer.request(head, body); ++n) {
            if (n == 1) {
                arrived.set_value();
                go_on.get_future().wait();
            }
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nold");
        }
    });
    const std::string path = folder_.path + "/notes/anna.sock";
    dialer_ = std::make_unique<Dialer>(path, slow.port());
    Client client(tier_.port());
    ASSERT_EQ(client.get("/apps/notes/", session_cookie).body, "old");
    std::thread last([&] { EXPECT_EQ(client.get("/apps/notes/", session_cookie).body, "old"); });
    arrived.get_future().wait();
    dialer_.reset();
    ::unlink(path.c_str());
    Dialer next(path, backend_.port());
    std::promise<void> retired;
    tier_.on_loop(
        [&](Engine& engine) { engine.retire(path, false, [&] { retired.set_value(); }); });
    std::future<void> over = retired.get_future();
    Client other(tier_.port());
    for (int i = 0; i < 3; ++i) {
        EXPECT_THAT(other.get("/apps/notes/", session_cookie).body, HasSubstr("Remote-User: anna"));
    }
    EXPECT_EQ(over.wait_for(std::chrono::seconds(0)), std::future_status::timeout)
        << "a request is still under way there";
    go_on.set_value();
    last.join();
    EXPECT_EQ(over.wait_for(std::chrono::seconds(20)), std::future_status::ready);
    EXPECT_THAT(client.get("/apps/notes/", session_cookie).body, HasSubstr("Remote-User: anna"));
    EXPECT_EQ(slow.connections, 1);
}

TEST_F(Process, ThatNobodyIsConnectedToIsReplacedAtOnce) {
    bool retired = false;
    tier_.on_loop([&](Engine& engine) {
        engine.retire(folder_.path + "/notes/anna.sock", true, [&] { retired = true; });
    });
    EXPECT_TRUE(retired);
}

TEST_F(Process, ThatDoesNotStartIsToldWithWhatTheKeeperSaid) {
    tier_.keeper.on_start = [](const StartQuestion&) -> StartAnswer {
        return fail(Code::failed, "the app ended with status 1",
                    "last lines: cannot open <notes.db>");
    };
    Client client(tier_.port());
    const Answer answer = client.get("/apps/notes/", session_cookie + "Accept: text/html\r\n");
    EXPECT_EQ(answer.status, 503);
    EXPECT_THAT(answer.body, HasSubstr("the app ended with status 1"));
    EXPECT_THAT(answer.body, HasSubstr("cannot open &lt;notes.db&gt;"));
    EXPECT_NE(answer.header("retry-after"), "");
}

TEST_F(Process, ThatWaitsForItsUsersFilesIsToldSo) {
    tier_.keeper.on_start = [](const StartQuestion&) -> StartAnswer {
        return fail(Code::partial, "12 MB have come so far");
    };
    Client client(tier_.port());
    const Answer answer = client.get("/apps/notes/", session_cookie + "Accept: text/html\r\n");
    EXPECT_EQ(answer.status, 503);
    EXPECT_THAT(answer.body, HasSubstr("starts when your files are here"));
    EXPECT_THAT(answer.body, HasSubstr("12 MB have come so far"));
    EXPECT_NE(answer.header("retry-after"), "");
}

TEST_F(Static, EveryAnswerOfItToASignedOnUserIsMeteredAndAPageOfHaspsOwnIsNot) {
    registry::AppSpec app;
    app.name = "staff";
    app.route = registry::Route::here;
    app.kind = registry::Kind::static_files;
    app.access = registry::Access::users;
    app.static_root = folder_.path + "/site";
    tier_.add(app);
    tier_.publish();
    tier_.keeper.know("cookie:secret", person("anna", {"staff"}));
    Client client(tier_.port());
    const Answer whole = client.get("/apps/staff/", session_cookie);
    ASSERT_EQ(whole.status, 200);
    EXPECT_EQ(client.get("/apps/staff/sub", session_cookie).status, 308);
    EXPECT_EQ(
        client
            .get("/apps/staff/", session_cookie + "If-None-Match: " + whole.header("etag") + "\r\n")
            .status,
        304);
    EXPECT_EQ(client.get("/apps/staff/none", session_cookie).status, 404) << "a page of hasp's";
    EXPECT_EQ(client.get("/apps/site/").status, 200) << "nobody is signed on";
    std::vector<int> seen;
    for (const billing::UsageRecord& record : tier_.usage()) {
        seen.push_back(record.status);
        EXPECT_EQ(record.flags & billing::usage_aborted, 0) << record.status;
    }
    EXPECT_EQ(seen, (std::vector<int>{200, 308, 304}));
}

} // namespace
} // namespace hasp::passon::testing
