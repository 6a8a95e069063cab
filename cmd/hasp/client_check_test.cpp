#include "client_check.h"

#include "base/clock.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

namespace hasp::cmd {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Not;

constexpr std::int64_t today_us = 1'800'000'000 * second_us;

// A portal with which nothing is wrong.
ClientSeen good() {
    ClientSeen out;
    out.target = *parse_client_target("https://clinic.example");
    out.name = {{"192.0.2.10", "2001:db8::10"}, "", 3};
    out.connects = {{"192.0.2.10", "", 1}, {"2001:db8::10", "", 2}};
    out.tls = TlsSeen{"", "TLSv1.3", "", true, "clinic.example", today_us + 80 * day_us};
    out.http = HttpSeen{"", 200, "00aa", "", true, today_us, today_us, 9};
    return out;
}

std::vector<ClientFinding> judged(const ClientSeen& seen,
                                  const std::vector<std::string>& expected = {}) {
    return judge_client(seen, expected, today_us);
}

// The findings that are not ok, as "check state what → next".
std::string trouble(const std::vector<ClientFinding>& all) {
    std::string out;
    for (const ClientFinding& one : all) {
        if (one.sight != Sight::ok) {
            EXPECT_FALSE(one.next.empty()) << one.what;
            out += one.check + (one.sight == Sight::warn ? " warn " : " fail ") + one.what + " → " +
                   one.next + "\n";
        }
        EXPECT_THAT(one.what, Not(HasSubstr("\n")));
        EXPECT_THAT(one.what, Not(HasSubstr("\x1b")));
    }
    return out;
}

TEST(ClientTarget, IsAUrlOrAHostWithoutItsPath) {
    const auto url = [](const char* text) { return parse_client_target(text)->url(); };
    EXPECT_EQ(url("https://Clinic.Example/wiki?x#y"), "https://clinic.example/");
    EXPECT_EQ(url("http://wiki.localhost:8480"), "http://wiki.localhost:8480/");
    EXPECT_EQ(url("clinic.example"), "https://clinic.example/");
    EXPECT_EQ(url("clinic.example:8443"), "https://clinic.example:8443/");
    EXPECT_EQ(url("clinic.example:80"), "http://clinic.example/");
    EXPECT_EQ(url("[2001:db8::1]:8443"), "https://[2001:db8::1]:8443/");
    EXPECT_EQ(url("http://192.0.2.1"), "http://192.0.2.1/");
    EXPECT_TRUE(parse_client_target("clinic.example")->guessed);
    EXPECT_FALSE(parse_client_target("https://clinic.example")->guessed);
}

TEST(ClientTarget, RefusesWhatIsNone) {
    for (const char* none :
         {"", "ftp://x.example", "https://", "https://me:secret@x.example", "x.example:0",
          "x.example:70000", "x.example:", "[::1", "[wiki]", "a b", "x.example\r\nHost: y",
          "https://[::1]x", "javascript:alert(1)"}) {
        const auto target = parse_client_target(none);
        ASSERT_FALSE(target.ok()) << none;
        EXPECT_EQ(target.error().code, Code::usage);
    }
}

TEST(WhatAClientSees, IsAllRightWhereNothingIsWrong) {
    EXPECT_EQ(trouble(judged(good())), "");
    EXPECT_EQ(trouble(judged(good(), {"192.0.2.10", "2001:db8::10"})), "");
    EXPECT_EQ(judged(good()).size(), 9U);
}

TEST(WhatAClientSees, FailsWhereTheNameDoesNotResolve) {
    ClientSeen seen = good();
    seen.name = {{}, "Name or service not known", 2};
    seen.connects.clear();
    seen.tls.reset();
    seen.http.reset();
    EXPECT_THAT(trouble(judged(seen)), HasSubstr("name fail clinic.example does not resolve"));
    EXPECT_THAT(trouble(judged(seen)), HasSubstr("hasp names --for"));
}

TEST(WhatAClientSees, WarnsWhereTheNameLeadsElsewhereOrTheResolverIsSlow) {
    EXPECT_THAT(trouble(judged(good(), {"192.0.2.10"})),
                HasSubstr("name warn clinic.example is 192.0.2.10 (IPv4) and 2001:db8::10 (IPv6)"));
    ClientSeen seen = good();
    seen.name.took_ms = 4'000;
    EXPECT_THAT(trouble(judged(seen)), HasSubstr("name warn"));
}

TEST(WhatAClientSees, WarnsOfOneAddressThatDoesNotConnectAndFailsWhenNoneDoes) {
    ClientSeen seen = good();
    seen.connects[1].failure = "Connection refused";
    EXPECT_THAT(trouble(judged(seen)), HasSubstr("connect warn 2001:db8::10 port 443"));
    seen.connects[0].failure = "not within 5000 ms";
    EXPECT_THAT(trouble(judged(seen)), HasSubstr("connect fail 192.0.2.10 port 443"));
}

TEST(WhatAClientSees, SaysEverythingThatIsWrongWithACertificate) {
    ClientSeen seen = good();
    seen.tls->distrust = "self-signed certificate";
    seen.tls->name_matches = false;
    seen.tls->not_after_us = today_us - day_us;
    const std::string said = trouble(judged(seen));
    EXPECT_THAT(said, HasSubstr("tls fail its certificate is not trusted: self-signed"));
    EXPECT_THAT(said, HasSubstr("and not for clinic.example"));
    EXPECT_THAT(said, HasSubstr("tls fail its certificate has ended 2027-01-14"));
    seen = good();
    seen.tls->not_after_us = today_us + 5 * day_us;
    EXPECT_THAT(trouble(judged(seen)), HasSubstr("tls warn its certificate is good for 5 days"));
}

TEST(WhatAClientSees, WarnsOfPasswordsWithoutTlsBeyondThisMachine) {
    ClientSeen seen = good();
    seen.target = *parse_client_target("http://clinic.example");
    seen.tls.reset();
    EXPECT_THAT(trouble(judged(seen)), HasSubstr("tls warn without TLS"));
    seen.connects = {{"127.0.0.1", "", 0}};
    EXPECT_EQ(trouble(judged(seen)), "");
}

TEST(WhatAClientSees, FailsWhereAnotherServerAnswers) {
    ClientSeen seen = good();
    seen.http = read_client_answer("HTTP/1.1 302 Found\r\nLocation: http://portal.hotel/\r\n\r\n");
    EXPECT_THAT(trouble(judged(seen)),
                HasSubstr("http fail /hasp/login answers 302 and leads to http://portal.hotel/"));
    seen.http = read_client_answer("HTTP/1.1 200 OK\r\nX-Request-Id: 1\r\n\r\n<h1>It works");
    EXPECT_THAT(trouble(judged(seen)), HasSubstr("not hasp's log-in page"));
    seen.http = read_client_answer("HTTP/1.1 421 Misdirected\r\nX-Request-Id: 1\r\n\r\n");
    EXPECT_THAT(trouble(judged(seen)), HasSubstr("portal_hosts"));
    seen.http = read_client_answer("SSH-2.0-OpenSSH_9.2\r\n");
    EXPECT_THAT(trouble(judged(seen)), HasSubstr("http fail no answer: what came is not HTTP"));
}

TEST(WhatAClientSees, WarnsWhenTheClocksAreMoreThanAMinuteApart) {
    ClientSeen seen = good();
    seen.http->date_us = today_us - 60 * second_us;
    EXPECT_EQ(trouble(judged(seen)), "");
    seen.http->date_us = today_us - 61 * second_us;
    EXPECT_THAT(trouble(judged(seen)), HasSubstr("clock warn this terminal's clock is 61 s ahead"));
    seen.http->date_us = today_us + 3'600 * second_us;
    EXPECT_THAT(trouble(judged(seen)), HasSubstr("3600 s behind"));
}

TEST(WhatAClientSees, ShowsNothingThatATerminalWouldActOn) {
    ClientSeen seen = good();
    seen.http = read_client_answer("HTTP/1.1 302 Found\r\nLocation: \x1b[2J\r\n\r\n");
    seen.tls->names = "\x1b]0;x\a\n";
    EXPECT_THAT(trouble(judged(seen)), HasSubstr("\\u001b[2J"));
}

TEST(AnAnswer, IsReadAsFarAsItCame) {
    const HttpSeen seen = read_client_answer("HTTP/1.1 200 OK\r\nDATE: Sun, 06 Nov 1994 08:49:37 "
                                             "GMT\r\nX-Request-Id:  7f \r\n\r\n"
                                             "<form method=\"post\" action=\"/hasp/login\">");
    EXPECT_EQ(seen.status, 200);
    EXPECT_EQ(seen.request_id, "7f");
    EXPECT_TRUE(seen.log_in_page);
    EXPECT_EQ(seen.date_us, 784'111'777 * second_us);
    for (const char* cut : {"", "HTTP/1.", "HTTP/1.1", "HTTP/1.1 200", "HTTP/1.1 200 OK\r\nDate: ",
                            "HTTP/1.1 2x0 "
                            "OK\r\n\r\n",
                            "HTTP/2 200\r\n\r\n"}) {
        EXPECT_NE(read_client_answer(cut).failure, "") << cut;
    }
}

TEST(AnAnswer, IsWholeWhenItsBodyIsAsLongAsItSays) {
    EXPECT_TRUE(client_answer_is_whole("HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n"));
    EXPECT_TRUE(client_answer_is_whole("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nab"));
    for (const char* part :
         {"", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n", "HTTP/1.1 200 OK\r\n\r\n",
          "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",
          "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nab",
          "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nab"}) {
        EXPECT_FALSE(client_answer_is_whole(part)) << part;
    }
}

TEST(AnHttpDate, IsOfThePreferredFormAlone) {
    EXPECT_EQ(http_date_us("Sun, 06 Nov 1994 08:49:37 GMT"), 784'111'777 * second_us);
    for (const char* none : {"", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 UTC",
                             "Sun, 06 Xxx 1994 08:49:37 GMT", "Sun, 06 Nov 1994 25:49:37 GMT",
                             "Sun, -6 Nov 1994 08:49:37 GMT"}) {
        EXPECT_EQ(http_date_us(none), std::nullopt) << none;
    }
}

ClientFinding proxies(const std::string& url, std::map<std::string, std::string> environment) {
    return judge_proxies(*parse_client_target(url),
                         [environment](const std::string& name) -> std::optional<std::string> {
                             const auto at = environment.find(name);
                             return at == environment.end() ? std::nullopt
                                                            : std::optional(at->second);
                         });
}

TEST(Proxies, OfTheEnvironmentAreNamedWithoutTheirPasswords) {
    const ClientFinding one = proxies("https://wiki.clinic.example",
                                      {{"HTTPS_PROXY", "http://me:secret@proxy.example:3128"}});
    EXPECT_EQ(one.sight, Sight::warn);
    EXPECT_THAT(one.what, HasSubstr("proxy.example:3128"));
    EXPECT_THAT(one.what, Not(HasSubstr("secret")));
    EXPECT_THAT(one.next, HasSubstr("no_proxy"));
}

TEST(Proxies, AreThoseOfTheSchemeAndNotWhatACgiRequestCouldSet) {
    EXPECT_EQ(proxies("http://a.example", {{"https_proxy", "p:1"}}).sight, Sight::ok);
    EXPECT_EQ(proxies("http://a.example", {{"HTTP_PROXY", "p:1"}}).sight, Sight::ok);
    EXPECT_EQ(proxies("http://a.example", {{"http_proxy", "p:1"}}).sight, Sight::warn);
    EXPECT_EQ(proxies("https://a.example", {{"all_proxy", "p:1"}}).sight, Sight::warn);
}

TEST(Proxies, SpareHostsOfNoProxyByWholeLabels) {
    const auto spared = [](const std::string& url, const std::string& list) {
        return proxies(url, {{"https_proxy", "p:1"}, {"no_proxy", list}}).sight == Sight::ok;
    };
    EXPECT_TRUE(spared("https://wiki.clinic.example", "localhost, .clinic.example"));
    EXPECT_TRUE(spared("https://wiki.clinic.example", "clinic.example"));
    EXPECT_TRUE(spared("https://wiki.clinic.example:8443", "wiki.clinic.example:8443"));
    EXPECT_TRUE(spared("https://192.0.2.1", "192.0.2.1"));
    EXPECT_TRUE(spared("https://a.example", "*"));
    EXPECT_FALSE(spared("https://myclinic.example", "clinic.example"));
    EXPECT_FALSE(spared("https://a.example", ""));
}

} // namespace
} // namespace hasp::cmd
