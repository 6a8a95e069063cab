// The cache between users and apps: what it keeps, for whom, and for how long.
#include "proxy_fixture.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <mutex>
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

namespace hasp::passon::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const std::string anna = "Cookie: hasp-session=secret\r\n";
const std::string bert = "Cookie: hasp-session=other\r\n";
const std::string carl = "Cookie: hasp-session=third\r\n"; // may use nothing

std::string ok(const std::string& fields, const std::string& body = "body") {
    return "HTTP/1.1 200 OK\r\n" + fields + "Content-Length: " + std::to_string(body.size()) +
           "\r\n\r\n" + body;
}

std::string field_of(const std::string& head, const std::string& name) {
    const std::size_t at = head.find("\r\n" + name + ": ");
    if (at == std::string::npos) {
        return "";
    }
    const std::size_t from = at + name.size() + 4;
    return head.substr(from, head.find("\r\n", from) - from);
}

// An app whose answers the test writes; it keeps the heads of the requests that it got.
class Cached : public ::testing::Test {
  protected:
    Cached()
        : backend_(std::make_unique<Backend>([this](Backend::Peer& peer) { serve(peer); })),
          tier_("tokyo"), file_(::memfd_create("cache", MFD_CLOEXEC)) {
        tier_.on_loop([this](Engine& engine) {
            EXPECT_TRUE(engine.set_cache(Fd(::dup(file_.get())), 8 << 20).ok());
        });
        tier_.add_upstream("wiki", backend_->port(), registry::Access::users);
        tier_.add_upstream("open", backend_->port(), registry::Access::open);
        for (registry::AppSpec& app : tier_.spec.apps) {
            app.release = "r1";
        }
        tier_.publish();
        tier_.keeper.know("cookie:secret", person("anna", {"wiki"}));
        tier_.keeper.know("cookie:other", person("bert", {"wiki"}));
        tier_.keeper.know("cookie:third", person("carl", {}));
    }
    void answer(std::function<std::string(const std::string& head)> with) {
        const std::lock_guard lock(mutex_);
        answer_ = std::move(with);
    }
    void answer(const std::string& text) {
        answer([text](const std::string&) { return text; });
    }
    Answer get(const std::string& path, const std::string& more = {}) {
        return Client(tier_.port()).get(path, more);
    }
    Answer ask(const std::string& method, const std::string& path, const std::string& more = {}) {
        Client client(tier_.port());
        client.send(method + " " + path + " HTTP/1.1\r\nHost: localhost\r\n" + more + "\r\n");
        return client.read(method == "HEAD");
    }
    int asked() {
        const std::lock_guard lock(mutex_);
        return static_cast<int>(heads_.size());
    }
    std::string last_head() {
        const std::lock_guard lock(mutex_);
        return heads_.empty() ? "" : heads_.back();
    }
    bool wait_asked(int times) {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, std::chrono::milliseconds(wait_ms),
                                 [&] { return static_cast<int>(heads_.size()) >= times; });
    }
    void serve(Backend::Peer& peer) {
        std::string head;
        std::string body;
        while (peer.request(head, body)) {
            std::function<std::string(const std::string&)> with;
            {
                const std::lock_guard lock(mutex_);
                heads_.push_back(head);
                with = answer_;
                changed_.notify_all();
            }
            const std::string text = with(head);
            if (text.empty()) {
                return;
            }
            peer.send(text);
        }
    }
    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<std::string> heads_;
    std::function<std::string(const std::string&)> answer_ = [](const std::string&) {
        return ok("Cache-Control: max-age=60\r\n");
    };
    std::unique_ptr<Backend> backend_;
    Tier tier_;
    Fd file_;
};

TEST_F(Cached, AFreshAnswerIsGivenAgainWithItsAge) {
    answer(ok("Cache-Control: max-age=60\r\nETag: \"a\"\r\nX-App: 1\r\n"));
    const Answer first = get("/apps/open/a?x=1");
    EXPECT_EQ(first.header("cache-status"), "tokyo; fwd=uri-miss; stored");
    const Answer second = get("/apps/open/a?x=1");
    EXPECT_EQ(second.body, "body");
    EXPECT_EQ(second.header("x-app"), "1");
    EXPECT_EQ(second.header("age"), "0");
    EXPECT_THAT(second.header("cache-status"), HasSubstr("tokyo; hit; ttl="));
    EXPECT_EQ(asked(), 1);
    get("/apps/open/a?x=2");
    EXPECT_EQ(asked(), 2);
    EXPECT_THAT(tier_.access_log(), HasSubstr("\"cache\":\"hit\""));
    EXPECT_EQ(tier_.counters().cache.hits, 1U);
}

TEST_F(Cached, TwoUsersNeverSeeEachOthersAnswers) {
    answer([](const std::string& head) {
        return ok("Cache-Control: max-age=60\r\n", field_of(head, "Remote-User"));
    });
    for (int round = 0; round < 2; ++round) {
        EXPECT_EQ(get("/apps/wiki/me", anna).body, "anna");
        EXPECT_EQ(get("/apps/wiki/me", bert).body, "bert");
    }
    EXPECT_EQ(asked(), 2);
}

TEST_F(Cached, WhatIsPublicForUsersIsStillForThoseAloneWhoMayUseTheApp) {
    answer(ok("Cache-Control: max-age=60, public\r\n", "for users"));
    EXPECT_EQ(get("/apps/wiki/a", anna).body, "for users");
    EXPECT_EQ(get("/apps/wiki/a", bert).body, "for users");
    EXPECT_EQ(asked(), 1);
    EXPECT_EQ(get("/apps/wiki/a").status, 401);
    EXPECT_EQ(get("/apps/wiki/a", carl).status, 404);
    EXPECT_EQ(asked(), 1);
}

TEST_F(Cached, AnAnswerThatVariesOnWhoAsksIsNotShared) {
    answer([](const std::string& head) {
        return ok("Cache-Control: max-age=60, public\r\nVary: Remote-User\r\n",
                  field_of(head, "Remote-User"));
    });
    EXPECT_EQ(get("/apps/wiki/me", anna).body, "anna");
    EXPECT_EQ(get("/apps/wiki/me", bert).body, "bert");
}

TEST_F(Cached, AnAnswerToCredentialsOrACookieOfTheAppIsNotKept) {
    for (const char* own : {"Authorization: App x\r\n", "Cookie: shop=1\r\n"}) {
        const std::string path = std::string("/apps/open/") + own[0];
        get(path, own);
        const int before = asked();
        get(path);
        EXPECT_EQ(asked(), before + 1) << own;
    }
}

TEST_F(Cached, AnAnswerThatSetsACookieIsNotKept) {
    answer(ok("Cache-Control: max-age=60\r\nSet-Cookie: shop=1\r\n"));
    get("/apps/open/a");
    get("/apps/open/a");
    EXPECT_EQ(asked(), 2);
}

TEST_F(Cached, AnotherHostOrMountIsAnotherAnswer) {
    get("/apps/open/a");
    Client(tier_.port()).get("/apps/open/a", {}, "127.0.0.1");
    Client(tier_.port()).get("/a", {}, "open.localhost");
    EXPECT_EQ(asked(), 3);
}

TEST_F(Cached, AStaleAnswerIsConfirmedWithItsValidators) {
    answer(ok("Cache-Control: max-age=0\r\nETag: \"a\"\r\nX-App: 1\r\n"));
    get("/apps/open/a");
    answer("HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nX-App: 2\r\n"
           "Cache-Control: max-age=60\r\n\r\n");
    const Answer second = get("/apps/open/a", "If-None-Match: \"z\"\r\n");
    EXPECT_EQ(second.status, 200);
    EXPECT_EQ(second.body, "body");
    EXPECT_EQ(second.header("x-app"), "2");
    EXPECT_EQ(second.header("cache-status"), "tokyo; fwd=stale; fwd-status=304");
    EXPECT_EQ(field_of(last_head(), "If-None-Match"), "\"a\"");
    EXPECT_EQ(get("/apps/open/a", "If-None-Match: \"a\"\r\n").status, 304);
    EXPECT_EQ(asked(), 2);
}

TEST_F(Cached, AConfirmationOfAnotherContentIsNoneAndTheWholeAnswerIsFetched) {
    answer(ok("Cache-Control: max-age=0\r\nETag: \"a\"\r\n", "old"));
    get("/apps/open/a");
    answer([](const std::string& head) {
        return head.find("If-None-Match") != std::string::npos
                   ? "HTTP/1.1 304 Not Modified\r\nETag: \"b\"\r\n\r\n"
                   : ok("Cache-Control: max-age=60\r\nETag: \"b\"\r\n", "new");
    });
    for (int i = 0; i < 2; ++i) {
        const Answer now = get("/apps/open/a");
        EXPECT_EQ(now.body, "new");
        EXPECT_EQ(field_of(now.head, "ETag"), "\"b\"");
    }
    EXPECT_EQ(asked(), 3);
}

TEST_F(Cached, AConfirmationOfAnotherContentIsNoneForAClientThatHasTheOldOneEither) {
    answer(ok("Cache-Control: max-age=0\r\nETag: \"a\"\r\n", "old"));
    get("/apps/open/a");
    // It looks at the time alone, and both are of the same second.
    answer([](const std::string& head) {
        return head.find("If-Modified-Since") != std::string::npos ||
                       head.find("If-None-Match") != std::string::npos
                   ? "HTTP/1.1 304 Not Modified\r\nETag: \"b\"\r\n\r\n"
                   : ok("Cache-Control: max-age=60\r\nETag: \"b\"\r\n", "new");
    });
    const Answer now = get("/apps/open/a", "If-None-Match: \"a\"\r\nIf-Modified-Since: Sun, 06 "
                                           "Nov 1994 08:49:37 GMT\r\n");
    EXPECT_EQ(now.status, 200);
    EXPECT_EQ(now.body, "new");
    EXPECT_EQ(asked(), 3);
    EXPECT_EQ(get("/apps/open/a").body, "new");
    EXPECT_EQ(asked(), 3);
}

TEST_F(Cached, ThoseWhoWaitForAConfirmationOfAnotherContentWaitForTheWholeAnswer) {
    answer(ok("Cache-Control: max-age=0\r\nETag: \"a\"\r\n", "old"));
    get("/apps/open/a");
    std::promise<void> go;
    const std::shared_future<void> gone = go.get_future().share();
    answer([gone](const std::string& head) {
        gone.wait();
        return head.find("If-None-Match") != std::string::npos
                   ? "HTTP/1.1 304 Not Modified\r\nETag: \"b\"\r\n\r\n"
                   : ok("Cache-Control: max-age=60\r\nETag: \"b\"\r\n", "new");
    });
    std::vector<std::future<Answer>> all;
    for (int i = 0; i < 8; ++i) {
        all.push_back(std::async(std::launch::async, [this] { return get("/apps/open/a"); }));
    }
    for (int tries = 0; tries < 1'000 && tier_.counters().cache.collapsed < 7; ++tries) {
        ::poll(nullptr, 0, 10);
    }
    go.set_value();
    for (auto& one : all) {
        EXPECT_EQ(one.get().body, "new");
    }
    EXPECT_EQ(asked(), 3) << "the old one, the confirmation, and the new one";
}

TEST_F(Cached, AnAnswerToOneClientsConditionsIsNotGivenToOthers) {
    answer([](const std::string& head) {
        return head.find("If-Match") != std::string::npos
                   ? "HTTP/1.1 412 Precondition Failed\r\nCache-Control: max-age=60\r\n"
                     "Content-Length: 0\r\n\r\n"
                   : ok("Cache-Control: max-age=60\r\n");
    });
    EXPECT_EQ(get("/apps/open/a", "If-Match: \"z\"\r\n").status, 412);
    EXPECT_EQ(get("/apps/open/a").status, 200);
}

TEST_F(Cached, AConfirmationThatIsForOneUserIsSharedWithNobody) {
    answer(ok("Cache-Control: max-age=0\r\nETag: \"a\"\r\n"));
    get("/apps/open/a");
    answer("HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nCache-Control: max-age=60\r\n"
           "Set-Cookie: sid=of-another\r\n\r\n");
    const Answer confirmed = get("/apps/open/a");
    EXPECT_EQ(confirmed.status, 200);
    EXPECT_EQ(confirmed.body, "body");
    answer(ok("Cache-Control: max-age=60\r\nETag: \"a\"\r\n"));
    EXPECT_EQ(get("/apps/open/a").header("set-cookie"), "");
    EXPECT_EQ(asked(), 3);
}

TEST_F(Cached, AConfirmationThatForbidsSharingEndsIt) {
    answer(ok("Cache-Control: max-age=0\r\nETag: \"a\"\r\n"));
    get("/apps/open/a");
    answer(
        "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nCache-Control: private, max-age=60\r\n\r\n");
    EXPECT_EQ(get("/apps/open/a").body, "body");
    answer(ok("Cache-Control: max-age=60\r\n"));
    get("/apps/open/a");
    EXPECT_EQ(asked(), 3);
}

TEST_F(Cached, WhatAnotherEngineMayHaveChangedIsConfirmedOnceThoughTheAppIsHere) {
    answer(ok("Cache-Control: max-age=60\r\nETag: \"a\"\r\n"));
    get("/apps/open/a");
    get("/apps/open/a");
    ASSERT_EQ(asked(), 1);
    tier_.on_loop([](Engine& engine) { engine.confirm_answers(); });
    answer("HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nCache-Control: max-age=60\r\n\r\n");
    EXPECT_EQ(get("/apps/open/a").body, "body");
    EXPECT_EQ(asked(), 2);
    // Times in the file are whole seconds: as of the next one it counts as confirmed.
    int before = 0;
    for (int i = 0; i < 300 && before != asked(); ++i) {
        before = asked();
        ::poll(nullptr, 0, 10);
        EXPECT_EQ(get("/apps/open/a").body, "body");
    }
    EXPECT_EQ(before, asked());
}

TEST_F(Cached, WhoHasGivenItAwayTellsOfWhatIsChangedByWayOfIt) {
    get("/apps/open/a");
    Client kept(tier_.port());
    ASSERT_EQ(kept.get("/apps/open/a").status, 200);
    Client other(tier_.port());
    ASSERT_EQ(other.get("/apps/open/a").status, 200);
    bool given = false;
    tier_.on_loop([&](Engine& engine) {
        engine.leave();
        given = engine.leave_cache();
    });
    ASSERT_TRUE(given);
    EXPECT_EQ(other.get("/apps/open/a").status, 200);
    EXPECT_EQ(tier_.keeper.changes, 0) << "it only read";
    kept.send("POST /apps/open/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
    EXPECT_EQ(kept.read().status, 200);
    EXPECT_EQ(tier_.keeper.changes, 1);
}

TEST_F(Cached, WhatWasReadStaysReadableWhenTheAppCannotBeReached) {
    answer(ok("Cache-Control: max-age=0\r\nETag: \"a\"\r\n", "kept"));
    get("/apps/open/a");
    get("/apps/wiki/a", anna);
    answer(ok("Cache-Control: max-age=0, must-revalidate\r\n"));
    get("/apps/open/strict");
    backend_.reset();
    const Answer open = get("/apps/open/a");
    EXPECT_EQ(open.status, 200);
    EXPECT_EQ(open.body, "kept");
    EXPECT_EQ(open.header("cache-status"), "tokyo; fwd=stale; detail=stand-in");
    EXPECT_EQ(get("/apps/wiki/a", anna).body, "kept");
    EXPECT_EQ(get("/apps/wiki/a", bert).status, 503);
    EXPECT_EQ(get("/apps/open/strict").status, 503);
}

TEST_F(Cached, AServersErrorIsCoveredOnlyWithStaleIfError) {
    answer(ok("Cache-Control: max-age=0, stale-if-error=60\r\n", "kept"));
    get("/apps/open/covered");
    answer(ok("Cache-Control: max-age=0\r\nETag: \"a\"\r\n"));
    get("/apps/open/bare");
    answer("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nsick");
    EXPECT_EQ(get("/apps/open/covered").body, "kept");
    EXPECT_EQ(get("/apps/open/bare").status, 503);
}

TEST_F(Cached, AStaleAnswerIsGivenAtOnceWhileANewOneIsFetched) {
    answer(ok("Cache-Control: max-age=0, stale-while-revalidate=60\r\n", "old"));
    get("/apps/open/a");
    answer(ok("Cache-Control: max-age=60\r\n", "new"));
    EXPECT_EQ(get("/apps/open/a").body, "old");
    ASSERT_TRUE(wait_asked(2));
    for (int tries = 0; tries < 500 && tier_.counters().cache.refreshed == 0; ++tries) {
        ::poll(nullptr, 0, 10);
    }
    EXPECT_EQ(get("/apps/open/a").body, "new");
    EXPECT_EQ(asked(), 2);
}

TEST_F(Cached, AnUnsafeRequestMakesAnEndOfWhatIsStored) {
    get("/apps/open/a");
    answer("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n");
    ask("DELETE", "/apps/open/a");
    get("/apps/open/a");
    EXPECT_EQ(asked(), 2) << "a request that failed changed nothing";
    answer("HTTP/1.1 204 No Content\r\n\r\n");
    ask("DELETE", "/apps/open/a");
    answer(ok("Cache-Control: max-age=60\r\n"));
    get("/apps/open/a");
    EXPECT_EQ(asked(), 4);
}

TEST_F(Cached, APathInContentLocationMayBeginAtTheApp) {
    get("/apps/open/items/5");
    answer("HTTP/1.1 204 No Content\r\nContent-Location: /items/5\r\n\r\n");
    ask("POST", "/apps/open/items", "Content-Length: 0\r\n");
    answer(ok("Cache-Control: max-age=60\r\n"));
    get("/apps/open/items/5");
    EXPECT_EQ(asked(), 3);
}

TEST_F(Cached, ANewReleaseAnswersForItself) {
    get("/apps/open/a");
    for (registry::AppSpec& app : tier_.spec.apps) {
        app.release = "r2";
    }
    tier_.publish();
    get("/apps/open/a");
    EXPECT_EQ(asked(), 2);
}

TEST_F(Cached, PartsAndHeadsComeFromTheWholeAnswer) {
    answer(ok("Cache-Control: max-age=60\r\nETag: \"a\"\r\n", "0123456789"));
    get("/apps/open/a");
    const Answer part = get("/apps/open/a", "Range: bytes=2-4\r\n");
    EXPECT_EQ(part.status, 206);
    EXPECT_EQ(part.body, "234");
    EXPECT_EQ(part.header("content-range"), "bytes 2-4/10");
    EXPECT_EQ(get("/apps/open/a", "Range: bytes=-1\r\nIf-Range: \"a\"\r\n").body, "9");
    EXPECT_EQ(get("/apps/open/a", "Range: bytes=1-\r\nIf-Range: \"b\"\r\n").body, "0123456789");
    EXPECT_EQ(get("/apps/open/a", "Range: bytes=10-\r\n").status, 416);
    const Answer head = ask("HEAD", "/apps/open/a");
    EXPECT_EQ(head.header("content-length"), "10");
    EXPECT_EQ(asked(), 1);
}

TEST_F(Cached, AHeadWithoutALengthRenewsWhatIsStored) {
    const std::string text = "Content-Type: text/plain\r\nETag: \"a\"\r\nCache-Control: max-age=";
    answer([text](const std::string& head) {
        return head.starts_with("HEAD") ? "HTTP/1.1 200 OK\r\nX-Seen: 2\r\n" + text + "60\r\n\r\n"
                                        : ok(text + "0\r\n");
    });
    const std::string zipped = "Accept-Encoding: gzip\r\n";
    EXPECT_EQ(get("/apps/open/a", zipped).body, "body");
    EXPECT_EQ(ask("HEAD", "/apps/open/a", zipped).header("content-encoding"), "");
    const Answer stored = get("/apps/open/a", zipped);
    EXPECT_EQ(stored.body, "body");
    EXPECT_EQ(stored.header("x-seen"), "2");
    EXPECT_EQ(stored.header("etag"), "\"a\"");
    EXPECT_EQ(asked(), 2);
}

TEST_F(Cached, RequestsForTheSameWaitForOneAnswer) {
    std::promise<void> go;
    const std::shared_future<void> gone = go.get_future().share();
    answer([gone](const std::string&) {
        gone.wait();
        return ok("Cache-Control: max-age=60\r\n", "one");
    });
    std::vector<std::future<Answer>> all;
    for (int i = 0; i < 8; ++i) {
        all.push_back(std::async(std::launch::async, [this] { return get("/apps/open/a"); }));
    }
    for (int tries = 0; tries < 1'000 && tier_.counters().cache.collapsed < 7; ++tries) {
        ::poll(nullptr, 0, 10);
    }
    go.set_value();
    for (auto& one : all) {
        EXPECT_EQ(one.get().body, "one");
    }
    EXPECT_EQ(asked(), 1);
}

TEST_F(Cached, SignedOnUsersWaitForOneAnswerWhereOthersOfItsKindWereForEverybody) {
    std::promise<void> go;
    const std::shared_future<void> gone = go.get_future().share();
    answer([gone](const std::string& head) {
        if (head.starts_with("GET /assets/first.js ")) {
            return ok("Cache-Control: public, max-age=60\r\n", "first");
        }
        gone.wait();
        return ok("Cache-Control: public, max-age=60\r\n", "one");
    });
    EXPECT_EQ(get("/apps/wiki/assets/first.js", cookie).body, "first");
    std::vector<std::future<Answer>> all;
    for (int i = 0; i < 8; ++i) {
        all.push_back(std::async(std::launch::async,
                                 [&] { return get("/apps/wiki/assets/next.js?v=2", cookie); }));
    }
    for (int tries = 0; tries < 1'000 && tier_.counters().cache.collapsed < 7; ++tries) {
        ::poll(nullptr, 0, 10);
    }
    go.set_value();
    for (auto& one : all) {
        EXPECT_EQ(one.get().body, "one");
    }
    EXPECT_EQ(asked(), 2);
}

TEST_F(Cached, SignedOnUsersDoNotWaitForWhatIsOfNoKnownKind) {
    std::promise<void> go;
    const std::shared_future<void> gone = go.get_future().share();
    answer([gone](const std::string&) {
        gone.wait();
        return ok("Cache-Control: private, max-age=60\r\n", "own");
    });
    std::vector<std::future<Answer>> all;
    for (int i = 0; i < 3; ++i) {
        all.push_back(
            std::async(std::launch::async, [&] { return get("/apps/wiki/inbox", cookie); }));
    }
    EXPECT_TRUE(wait_asked(3)) << "each asks at once";
    go.set_value();
    for (auto& one : all) {
        EXPECT_EQ(one.get().body, "own");
    }
    EXPECT_EQ(tier_.counters().cache.collapsed, 0U);
}

TEST_F(Cached, ThoseWhoWaitedForWhatMayNotBeStoredAskForThemselves) {
    std::promise<void> go;
    const std::shared_future<void> gone = go.get_future().share();
    answer([gone](const std::string&) {
        gone.wait();
        return ok("Cache-Control: no-store\r\n", "own");
    });
    auto first = std::async(std::launch::async, [this] { return get("/apps/open/a"); });
    ASSERT_TRUE(wait_asked(1));
    auto second = std::async(std::launch::async, [this] { return get("/apps/open/a"); });
    for (int tries = 0; tries < 1'000 && tier_.counters().cache.collapsed < 1; ++tries) {
        ::poll(nullptr, 0, 10);
    }
    go.set_value();
    EXPECT_EQ(first.get().body, "own");
    EXPECT_EQ(second.get().body, "own");
    EXPECT_EQ(asked(), 2);
}

TEST_F(Cached, AnAnswerThatBrokeOffIsNotKept) {
    answer([](const std::string&) {
        return std::string("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n"
                           "Connection: close\r\nContent-Length: 100\r\n\r\nhalf");
    });
    Client client(tier_.port());
    client.send("GET /apps/open/a HTTP/1.1\r\nHost: localhost\r\n\r\n");
    EXPECT_EQ(client.read_bytes(15), "HTTP/1.1 200 OK");
    backend_.reset(); // the connection of the half answer ends with it
    EXPECT_TRUE(client.closed());
    EXPECT_EQ(tier_.counters().cache.entries, 0U);
}

TEST_F(Cached, ALongAnswerComesBackByteForByteInChunksAndAsAWhole) {
    std::string text;
    for (int i = 0; text.size() < 900'000; ++i) {
        text += std::to_string(i);
    }
    answer([&](const std::string&) {
        std::string out = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n"
                          "Transfer-Encoding: chunked\r\n\r\n";
        for (std::size_t at = 0; at < text.size(); at += 7'001) {
            const std::string part = text.substr(at, 7'001);
            char size[16];
            std::snprintf(size, sizeof size, "%zx\r\n", part.size());
            out += size + part + "\r\n";
        }
        return out + "0\r\n\r\n";
    });
    EXPECT_EQ(get("/apps/open/long").body, text);
    EXPECT_EQ(get("/apps/open/long").body, text);
    EXPECT_EQ(get("/apps/open/long", "Range: bytes=500000-500009\r\n").body,
              text.substr(500'000, 10));
    EXPECT_EQ(asked(), 1);
}

TEST_F(Cached, OnlyIfCachedIsAnsweredWithoutAskingAnybody) {
    EXPECT_EQ(get("/apps/open/a", "Cache-Control: only-if-cached\r\n").status, 504);
    EXPECT_EQ(asked(), 0);
}

TEST_F(Cached, AHitOfASignedOnUserIsMeteredAsOneServedHere) {
    answer(ok("Cache-Control: max-age=60\r\n"));
    get("/apps/wiki/a", anna);
    get("/apps/wiki/a", anna);
    const auto usage = tier_.usage();
    ASSERT_EQ(usage.size(), 2U);
    EXPECT_EQ(usage[1].bytes_out, 4U);
    EXPECT_EQ(asked(), 1);
}

TEST_F(Cached, HintsBeforeTheAnswerArePassedAndNotStored) {
    answer("HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n" +
           ok("Cache-Control: max-age=60\r\n"));
    Client client(tier_.port());
    client.send("GET /apps/open/a HTTP/1.1\r\nHost: localhost\r\n\r\n");
    const Answer first = client.read();
    ASSERT_EQ(first.interim.size(), 1U);
    EXPECT_NE(first.interim[0].find("Link: </a.css>; rel=preload\r\n"), std::string::npos);
    EXPECT_EQ(first.body, "body");
    const Answer second = get("/apps/open/a");
    EXPECT_TRUE(second.interim.empty());
    EXPECT_EQ(second.status, 200);
    EXPECT_EQ(asked(), 1);
}

TEST_F(Cached, AnAppThatSaysNothingIsAskedEachTime) {
    answer(ok(""));
    EXPECT_EQ(get("/apps/open/a").header("cache-status"), "tokyo; fwd=uri-miss");
    get("/apps/open/a");
    EXPECT_EQ(asked(), 2);
}

} // namespace
} // namespace hasp::passon::testing
