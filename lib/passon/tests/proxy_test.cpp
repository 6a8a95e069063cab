#include "proxy_fixture.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/resource.h>
#include <sys/socket.h>

namespace hasp::passon::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST_F(Proxy, AnAppGetsTheIdentityAndNothingThatAUserCouldForge) {
    Client client(tier_.port());
    const Answer answer = client.get(
        "/apps/wiki/page?x=1",
        cookie + "Remote-User: root\r\nRemote_User: root\r\nX-Forwarded-For: "
                 "6.6.6.6\r\nX-Remote-User: root\r\nForwarded: for=6.6.6.6\r\n"
                 "hasp-user: root\r\nX-Hasp-User: root\r\nX-Auth-User: root\r\nX-Real-IP: "
                 "6.6.6.6\r\nX-Request-Id: mine\r\n"
                 "Connection: keep-alive, x-secret\r\nX-Secret: nominated\r\nProxy-Connection: "
                 "keep-alive\r\nTE: trailers\r\nAccept: a/b\r\n");
    ASSERT_EQ(answer.status, 200);
    EXPECT_THAT(answer.body, ::testing::StartsWith("GET /page?x=1 HTTP/1.1\r\n"));
    EXPECT_THAT(answer.body, HasSubstr("Remote-User: anna\r\n"));
    EXPECT_THAT(answer.body, HasSubstr("Remote-Name: Zo%C3%AB anna\r\n"));
    EXPECT_THAT(answer.body, HasSubstr("Remote-Groups: desk,ward\r\n"));
    EXPECT_THAT(answer.body, HasSubstr("X-Forwarded-For: 127.0.0.1\r\n"));
    EXPECT_THAT(answer.body, HasSubstr("Cookie: theme=dark\r\n"));
    EXPECT_THAT(answer.body, HasSubstr("Accept: a/b\r\n"));
    EXPECT_THAT(answer.body, HasSubstr("CDN-Loop: tokyo\r\n"));
    for (const char* gone : {"root", "6.6.6.6", "secret", "nominated", "Proxy-Connection",
                             "TE:", "X-Request-Id: mine"}) {
        EXPECT_THAT(answer.body, Not(HasSubstr(gone)));
    }
}

// What the app was told of the trace, without the span of this tier.
std::string trace_of(const Answer& answer) {
    const std::size_t at = answer.body.find("traceparent: ") + 13;
    return answer.body.substr(at, 35) + "…" + answer.body.substr(at + 52, 3);
}

TEST_F(Proxy, ATraceGoesOnWithASpanOfTheTierAndBeginsWithTheRequestsId) {
    Client client(tier_.port());
    const std::string trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-";
    const Answer given = client.get(
        "/apps/open/", "traceparent: " + trace + "00f067aa0ba902b7-01\r\ntracestate: a=b\r\n");
    EXPECT_EQ(trace_of(given), trace.substr(0, 35) + "…-01");
    EXPECT_THAT(given.body, Not(HasSubstr("00f067aa0ba902b7")));
    EXPECT_THAT(given.body, HasSubstr("tracestate: a=b\r\n"));
    const Answer begun = client.get("/apps/open/", "tracestate: a=b\r\n");
    const std::size_t at = begun.body.find("X-Request-Id: ") + 14;
    EXPECT_EQ(trace_of(begun), "00-" + begun.body.substr(at, 32) + "…-00");
    EXPECT_THAT(begun.body, Not(HasSubstr("tracestate")));
    const Answer twice =
        client.get("/apps/open/", "traceparent: " + trace + "00f067aa0ba902b7-01\r\n" +
                                      "traceparent: " + trace + "00f067aa0ba902b8-01\r\n");
    EXPECT_THAT(trace_of(twice), Not(HasSubstr("4bf92f35")));
}

TEST_F(Proxy, AKnownSessionAsksTheKeeperOnceAndTheBackendConnectionIsReused) {
    Client client(tier_.port());
    for (int i = 0; i < 20; ++i) {
        ASSERT_EQ(client.get("/apps/wiki/", cookie).status, 200);
    }
    EXPECT_EQ(tier_.keeper.who_questions, 1);
    EXPECT_EQ(backend_.connections, 1);
}

TEST_F(Proxy, WithoutASessionABrowserIsSentToLogInAndAProgramIsTold) {
    Client client(tier_.port());
    const Answer page = client.get("/apps/wiki/a?b=c", "Accept: text/html\r\n");
    EXPECT_EQ(page.status, 303);
    EXPECT_EQ(page.header("location"), "/hasp/login?next=%2Fapps%2Fwiki%2Fa%3Fb%3Dc");
    const Answer at_host = client.get("/a", "Accept: text/html\r\n", "wiki.localhost:8080");
    EXPECT_EQ(at_host.header("location"),
              "http://localhost:8080/hasp/login?next=http%3A%2F%2Fwiki.localhost%3A8080%2Fa");
    const Answer program = client.get("/apps/wiki/");
    EXPECT_EQ(program.status, 401);
    EXPECT_THAT(program.header("www-authenticate"), HasSubstr("Basic realm="));
    EXPECT_EQ(client.get("/apps/open/").status, 200);
}

TEST_F(Proxy, WhatIsNotYoursLooksExactlyLikeWhatDoesNotExist) {
    tier_.add_upstream("payroll", backend_.port(), registry::Access::users);
    tier_.publish();
    Client client(tier_.port());
    Answer hidden = client.get("/apps/payroll/", cookie + "Accept: text/html\r\n");
    Answer missing = client.get("/apps/nothing/", cookie + "Accept: text/html\r\n");
    EXPECT_EQ(hidden.status, 404);
    EXPECT_EQ(hidden.body, missing.body);
    const auto without = [](std::string head, const char* name) {
        const std::size_t at = head.find(name);
        return at == std::string::npos ? head : head.erase(at, head.find("\r\n", at) - at);
    };
    const auto same = [&](const Answer& answer) {
        return without(without(answer.head, "Date:"), "X-Request-Id:");
    };
    EXPECT_EQ(same(hidden), same(missing));
}

TEST_F(Proxy, ATokenWorksAsBearerAndAsPasswordAndIsNotShownToTheApp) {
    tier_.keeper.know("bearer:tok", person("anna", {"wiki"}));
    tier_.keeper.know("basic:anna:tok", person("anna", {"wiki"}));
    Client client(tier_.port());
    for (const char* line :
         {"Authorization: Bearer tok\r\n", "Authorization: Basic YW5uYTp0b2s=\r\n"}) {
        const Answer answer = client.get("/apps/wiki/", line);
        ASSERT_EQ(answer.status, 200) << line;
        EXPECT_THAT(answer.body, HasSubstr("Remote-User: anna"));
        EXPECT_THAT(answer.body, Not(HasSubstr("Authorization")));
    }
    EXPECT_EQ(client.get("/apps/wiki/", "Authorization: Bearer wrong\r\n").status, 401);
}

TEST_F(Proxy, ADroppedIdentityIsAskedForAgain) {
    Client client(tier_.port());
    ASSERT_EQ(client.get("/apps/wiki/", cookie).status, 200);
    tier_.keeper.forget("cookie:secret");
    IdentityFilter filter;
    filter.user = "anna";
    tier_.on_loop([&](Engine& engine) { engine.drop_identities(filter); });
    EXPECT_EQ(client.get("/apps/wiki/", cookie).status, 401);
}

class Stale : public Proxy {
  protected:
    static Settings settings() {
        Settings out;
        out.identity_fresh_ms = 0;
        return out;
    }
    Stale() : Proxy(echo_head(), settings()) {}
};

TEST_F(Stale, ASessionThatIsToBeAskedForAgainDoesNotWaitForTheKeeper) {
    Client client(tier_.port());
    ASSERT_EQ(client.get("/apps/wiki/", cookie).status, 200);
    tier_.keeper.silent = true;
    for (int i = 0; i < 5; ++i) {
        EXPECT_EQ(client.get("/apps/wiki/", cookie).status, 200);
    }
    EXPECT_EQ(tier_.keeper.who_questions, 2) << "asked once beside the requests";
}

TEST_F(Proxy, EveryRequestOfASignedOnUserIsMeteredOnceAndLoggedWithItsId) {
    Client client(tier_.port());
    const Answer answer = client.get("/apps/wiki/", cookie);
    client.get("/apps/open/");
    client.get("/hasp/x", cookie);
    const auto usage = tier_.usage();
    ASSERT_EQ(usage.size(), 1U);
    EXPECT_EQ(billing::name_of(usage[0].app), "wiki");
    EXPECT_EQ(billing::name_of(usage[0].user), "anna");
    EXPECT_EQ(usage[0].status, 200);
    EXPECT_EQ(usage[0].bytes_out, answer.body.size());
    const std::string log = tier_.access_log();
    const std::size_t at = answer.body.find("X-Request-Id: ") + 14;
    EXPECT_THAT(log, HasSubstr("\"request\":\"" + answer.body.substr(at, 32) + "\""));
    EXPECT_EQ(std::count(log.begin(), log.end(), '\n'), 3);
}

TEST_F(Proxy, LinesThatTheAccessLogCouldNotTakeAreCountedAndHoldUpNobody) {
    tier_.log_to("/dev/full");
    Client client(tier_.port());
    EXPECT_EQ(client.get("/apps/open/").status, 200);
    EXPECT_THAT(tier_.access_log(), Not(HasSubstr("/apps/open/")));
    EXPECT_EQ(client.get("/apps/open/").status, 200);
    const std::string text = tier_.metrics();
    const std::size_t at = text.find("\nhasp_access_log_dropped_bytes_total ");
    ASSERT_NE(at, std::string::npos);
    EXPECT_GT(std::stoul(text.substr(text.find(' ', at) + 1)), 0U);
}

TEST_F(Proxy, PipelinedRequestsAreAnsweredInOrder) {
    Client client(tier_.port());
    std::string all;
    for (int i = 0; i < 5; ++i) {
        all += "GET /apps/open/" + std::to_string(i) + " HTTP/1.1\r\nHost: localhost\r\n\r\n";
    }
    client.send(all);
    for (int i = 0; i < 5; ++i) {
        EXPECT_THAT(client.read().body, ::testing::StartsWith("GET /" + std::to_string(i) + " "));
    }
}

TEST_F(Proxy, HeadHasTheLengthAndNoBody) {
    Client client(tier_.port());
    client.send("HEAD /apps/open/ HTTP/1.1\r\nHost: localhost\r\n\r\n");
    const Answer answer = client.read(true);
    EXPECT_EQ(answer.status, 200);
    EXPECT_NE(answer.header("content-length"), "");
    EXPECT_EQ(client.get("/apps/open/").status, 200) << "the connection stands at the next answer";
}

TEST_F(Proxy, AnOldClientGetsAnOldAnswer) {
    Client client(tier_.port());
    client.send("GET /apps/open/ HTTP/1.0\r\nHost: localhost\r\n\r\n");
    EXPECT_EQ(client.read().header("connection"), "close");
    EXPECT_TRUE(client.closed());
}

TEST_F(Proxy, HaspsOwnPagesAreAskedOfTheKeeperWithTheBody) {
    tier_.keeper.on_page = [](const PageQuestion& question) -> Result<PageAnswer> {
        return PageAnswer{200,
                          {{"Set-Cookie", "hasp-session=new; Path=/"}},
                          question.method + " " + question.target + " " + question.body};
    };
    Client client(tier_.port());
    client.send("POST /hasp/login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 7\r\nExpect: "
                "100-continue\r\n\r\n");
    client.send("user=me");
    const Answer answer = client.read();
    EXPECT_EQ(answer.body, "POST /hasp/login user=me");
    EXPECT_EQ(answer.header("set-cookie"), "hasp-session=new; Path=/");
    client.send("POST /hasp/login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999999\r\n\r\n");
    EXPECT_EQ(client.read().status, 413);
}

TEST_F(Proxy, AnUnsafeRequestFromAnotherSiteIsRefused) {
    Client client(tier_.port());
    client.send("POST /apps/wiki/ HTTP/1.1\r\nHost: localhost\r\nOrigin: "
                "http://evil.example\r\nContent-Length: 0\r\n" +
                cookie + "\r\n");
    EXPECT_EQ(client.read().status, 403);
}

TEST_F(Proxy, AnEndedLeaseIsSaidSo) {
    tier_.spec.apps[0].lease_expires_us = 1;
    tier_.publish();
    Client client(tier_.port());
    EXPECT_EQ(client.get("/apps/wiki/", cookie).status, 503);
}

TEST_F(Proxy, AnAppThatNobodyServesIsABadGatewayAndAtOnceTheNextTime) {
    Fd listener;
    const int dead = listen_loopback(listener);
    listener.reset();
    tier_.add_upstream("dead", dead, registry::Access::open);
    tier_.publish();
    Client client(tier_.port());
    EXPECT_EQ(client.get("/apps/dead/").status, 503);
    EXPECT_EQ(client.get("/apps/dead/").status, 503);
}

class EchoBody : public Proxy {
  protected:
    EchoBody() : Proxy(echo_body()) {}
};

TEST_F(EchoBody, BodiesOfEveryFramingArriveWhole) {
    Client client(tier_.port());
    const std::string big(300'000, 'x');
    client.send("POST /apps/open/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 300000\r\n\r\n");
    client.send(big);
    EXPECT_EQ(client.read().body, big);
    client.send("POST /apps/open/ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: "
                "chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n"
                "0\r\nRemote-User: root\r\n\r\n");
    EXPECT_EQ(client.read().body, "hello world");
    client.send("PUT /apps/open/ HTTP/1.1\r\nHost: localhost\r\nExpect: "
                "100-continue\r\nContent-Length: 3\r\n\r\n");
    EXPECT_EQ(client.read_bytes(25), "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("abc");
    EXPECT_EQ(client.read().body, "abc");
}

class Odd : public Proxy {
  protected:
    Odd()
        : Proxy([](Backend::Peer& peer) {
              std::string head;
              std::string body;
              while (peer.head(head)) {
                  const std::string path =
                      head.substr(head.find(' ') + 1, head.find(' ', 5) - head.find(' ') - 1);
                  if (path == "/old") {
                      peer.send("HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nuntil close");
                      return;
                  }
                  if (path == "/chunked") {
                      peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: "
                                "X\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n");
                  } else if (path == "/trailers") {
                      peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: "
                                "X-Sum\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 6\r\nSet-Cookie: a=b\r\n"
                                "Hasp-Notice: nowhere\r\nLocation: /\r\n\r\n");
                  } else if (path == "/cut") {
                      peer.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this");
                      return;
                  } else if (path == "/garbage") {
                      peer.send("nonsense\r\n\r\n");
                      return;
                  } else if (path == "/cookies") {
                      peer.send("HTTP/1.1 302 Found\r\nSet-Cookie: a=1; Domain=localhost; "
                                "Path=/\r\nSet-Cookie: hasp-session=stolen\r\n"
                                "Location: /next\r\nConnection: x-hop\r\nX-Hop: 1\r\nHasp-Notice: "
                                "nowhere\r\nContent-Length: 0\r\n\r\n");
                  } else if (path == "/interim") {
                      peer.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 "
                                "OK\r\nContent-Length: 2\r\n\r\nok");
                  } else if (path == "/early") {
                      peer.send("HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: "
                                "close\r\n\r\nbig");
                      return;
                  } else if (path == "/once") {
                      peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
                      return; // closes although it had promised to stay
                  } else if (path == "/events") {
                      peer.send(
                          "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n");
                      peer.head(head); // silence until the proxy leaves
                      return;
                  } else if (path == "/forge") {
                      peer.send(
                          "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab");
                      return;
                  }
              }
          }) {}
};

TEST_F(Odd, AnswersOfEveryFramingArriveWhole) {
    Client client(tier_.port());
    EXPECT_EQ(client.get("/apps/open/old").body, "until close");
    const Answer chunked = client.get("/apps/open/chunked");
    EXPECT_EQ(chunked.body, "abc");
    EXPECT_EQ(chunked.header("trailer"), "");
    client.send("GET /apps/open/interim HTTP/1.1\r\nHost: localhost\r\n\r\n");
    const Answer hinted = client.read();
    ASSERT_EQ(hinted.interim.size(), 1U);
    EXPECT_NE(hinted.interim[0].find("Link: </a>\r\n"), std::string::npos);
    EXPECT_EQ(hinted.body, "ok");
    Client old(tier_.port());
    old.send("GET /apps/open/chunked HTTP/1.0\r\nHost: localhost\r\n\r\n");
    EXPECT_EQ(old.read().body, "abc");
    Client older(tier_.port()); // to HTTP/1.0 no hints are sent
    older.send("GET /apps/open/interim HTTP/1.0\r\nHost: localhost\r\n\r\n");
    EXPECT_EQ(older.read().body, "ok");
}

TEST_F(Odd, TrailersOfAnAnswerReachThoseWhoTakeThem) {
    Client client(tier_.port());
    const std::string get = "GET /apps/open/trailers HTTP/1.1\r\nHost: localhost\r\n";
    client.send(get + "Connection: te\r\nTE: trailers\r\n\r\n");
    EXPECT_EQ(client.read(true).header("trailer"), "X-Sum");
    const std::string body = "3\r\nabc\r\n0\r\nx-sum: 6\r\n\r\n";
    EXPECT_EQ(client.read_bytes(body.size()), body);
    client.send(get + "\r\n");
    EXPECT_EQ(client.read(true).header("trailer"), "");
    const std::string bare = "3\r\nabc\r\n0\r\n\r\n";
    EXPECT_EQ(client.read_bytes(bare.size()), bare);
}

TEST_F(Odd, ABrokenAnswerIsNeverTakenForAWholeOne) {
    EXPECT_TRUE(Client(tier_.port()).get("/apps/open/cut").closed);
    EXPECT_EQ(Client(tier_.port()).get("/apps/open/garbage").status, 502);
    EXPECT_EQ(Client(tier_.port()).get("/apps/open/forge").status, 502);
}

TEST_F(Odd, AnAppCannotSetHaspsCookiesNorLeadAway) {
    const Answer answer = Client(tier_.port()).get("/apps/open/cookies");
    EXPECT_EQ(answer.header("set-cookie"), "a=1; Path=/apps/open/");
    EXPECT_EQ(answer.header("location"), "/apps/open/next");
    EXPECT_THAT(answer.head, Not(HasSubstr("stolen")));
    EXPECT_EQ(answer.header("x-hop"), "");
    EXPECT_EQ(answer.header("hasp-notice"), "");
}

TEST_F(Proxy, ATierWithoutDescriptorsSaysThatItIsBusyAndDoesNotHoldItAgainstTheApp) {
#ifdef __SANITIZE_ADDRESS__
    GTEST_SKIP() << "UBSan opens a pipe to look at a vptr, and takes EMFILE for a bad object";
#endif
    Client client(tier_.port());
    ASSERT_EQ(client.get("/apps/none/").status, 404) << "the client's connection is there";
    rlimit before{};
    ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
    const rlimit none{3, before.rlim_max};
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
    const Answer without = client.get("/apps/open/");
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
    EXPECT_EQ(without.status, 503);
    EXPECT_THAT(without.body, HasSubstr("Too many requests wait here"));
    EXPECT_EQ(client.get("/apps/open/").status, 200) << "at once";
}

TEST_F(Odd, AConnectionThatEndedIsNotTheUsersConcern) {
    Client client(tier_.port());
    for (int i = 0; i < 20; ++i) {
        EXPECT_EQ(client.get("/apps/open/once").body, "ok");
    }
}

TEST_F(Odd, AnEarlyAnswerReachesTheClientWhoStillSends) {
    Client client(tier_.port());
    client.send("POST /apps/open/early HTTP/1.1\r\nHost: localhost\r\nContent-Length: "
                "1000000000\r\n\r\nsome");
    const Answer answer = client.read();
    EXPECT_EQ(answer.status, 413);
    EXPECT_EQ(answer.body, "big");
}

TEST_F(Odd, EventsAreNotDelayedAndALeavingClientEndsThemAtTheApp) {
    {
        Client client(tier_.port());
        client.send("GET /apps/open/events HTTP/1.1\r\nHost: localhost\r\n\r\n");
        ASSERT_EQ(client.read(true).status, 200);
        EXPECT_EQ(client.read_bytes(14), "9\r\ndata: 1\n\n\r\n");
    }
    for (int i = 0; i < 100'000 && tier_.counters().exchanges > 0; ++i) {
        std::this_thread::yield();
    }
    EXPECT_EQ(tier_.counters().exchanges, 0U);
    EXPECT_EQ(Client(tier_.port()).get("/apps/open/chunked").status, 200);
}

} // namespace
} // namespace hasp::passon::testing
