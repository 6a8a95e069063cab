// Direct return: which requests are answered with a redirect to the tier that serves, and that
// everything else is passed on as ever.
#include "harness.h"

#include "base/text.h"
#include "passon/request_rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace hasp::passon::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const std::string sid = "0123456789abcdef0123456789abcdef";
const std::string navigation = session_cookie + "Sec-Fetch-Mode: navigate\r\n"
                                                "Sec-Fetch-Dest: document\r\n";
const std::string there = "https://wiki.center.example/hasp/direct/begin?pass=x";

Settings quick() {
    Settings settings;
    settings.direct_ms = 100;
    settings.direct_bytes_min = 50'000;
    return settings;
}

// What the app of the test answers: "/big" is a download, everything else a small page.
void serve(Backend::Peer& peer) {
    std::string head;
    std::string body;
    while (peer.request(head, body)) {
        const std::string text(head.find("/big") != std::string::npos ? 60'000 : 20, 'b');
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(text.size()) + "\r\n\r\n" +
                  text);
    }
}

class Direct : public ::testing::Test {
  protected:
    Direct() : backend_(serve), center_("center", {}, &realm_), tokyo_("tokyo", quick(), &realm_) {
        tokyo_.spec.has_parent = true;
        const std::vector<std::string> all{"wiki", "files", "notes"};
        for (const std::string& name : all) {
            center_.add_upstream(name, backend_.port(), registry::Access::users);
            registry::AppSpec app;
            app.name = name;
            app.route = registry::Route::parent;
            app.direct = name == "wiki"    ? registry::Direct::pages
                         : name == "files" ? registry::Direct::downloads
                                           : registry::Direct::never;
            tokyo_.add(app);
        }
        for (Tier* tier : {&center_, &tokyo_}) {
            tier->publish();
        }
        tokyo_.keeper.know("cookie:secret", person("anna", all));
        tokyo_.keeper.know("bearer:token", person("anna", all));
        center_.keeper.know("link:tokyo:" + sid, person("anna", all));
        tokyo_.keeper.on_page = [](const PageQuestion&) {
            return PageAnswer{303, {{"location", there}, {"cache-control", "no-store"}}, ""};
        };
        tokyo_.join(center_.link_port());
        EXPECT_TRUE(tokyo_.keeper.wait([](FakeKeeper& k) { return k.up(); }));
    }
    void refuse() {
        tokyo_.keeper.on_page = [](const PageQuestion&) { return PageAnswer{404, {}, ""}; };
    }

    TestRealm realm_;
    Backend backend_;
    Tier center_;
    Tier tokyo_;
};

TEST_F(Direct, ABrowserThatOpensAPageIsSentToTheTierThatServes) {
    Client client(tokyo_.port());
    const Answer answer = client.get("/apps/wiki/a%20b?c=d&e", navigation);
    EXPECT_EQ(answer.status, 303);
    EXPECT_EQ(answer.header("location"), there);
    EXPECT_TRUE(tokyo_.keeper.wait([](FakeKeeper& k) {
        return k.last_page.target == "direct?app=wiki&target=%2Fa%2520b%3Fc%3Dd%26e&back="
                                     "%2Fapps%2Fwiki%2Fa%2520b%3Fc%3Dd%26e" &&
               k.last_page.identity != nullptr && k.last_page.identity->sid == sid &&
               k.last_page.client_address == "127.0.0.1";
    }));
    EXPECT_THAT(tokyo_.access_log(), HasSubstr("\"served\":\"direct\""));
    EXPECT_THAT(center_.access_log(), Not(HasSubstr("wiki")));
    EXPECT_EQ(backend_.connections, 0);
    EXPECT_EQ(client.get("/", navigation, "wiki.localhost").status, 303) << "at its own host too";
}

TEST_F(Direct, WhatIsNoOpenedPageOfASessionIsPassedOnUnasked) {
    const std::string more[] = {
        session_cookie,
        session_cookie + "Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: iframe\r\n",
        session_cookie + "Sec-Fetch-Mode: cors\r\nSec-Fetch-Dest: empty\r\n",
        session_cookie + "Sec-Fetch-Mode: no-cors\r\nSec-Fetch-Dest: document\r\n",
        navigation + "Sec-Purpose: prefetch\r\n",
        navigation + "Purpose: prefetch\r\n",
        navigation + "Range: bytes=0-3\r\n",
        navigation + "Authorization: Digest x\r\n",
        "Authorization: Bearer token\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n",
    };
    for (const std::string& one : more) {
        EXPECT_EQ(Client(tokyo_.port()).get("/apps/wiki/x", one).status, 200) << one;
    }
    Client client(tokyo_.port());
    for (const char* method : {"HEAD", "POST", "PUT"}) {
        client.send(std::string(method) + " /apps/wiki/x HTTP/1.1\r\nHost: localhost\r\n" +
                    navigation + "Content-Length: 0\r\n\r\n");
        EXPECT_EQ(client.read(std::string(method) == "HEAD").status, 200) << method;
    }
    EXPECT_EQ(client.get("/apps/notes/x", navigation).status, 200) << "the app does not allow it";
    EXPECT_EQ(client.get("/apps/files/x", navigation).status, 200) << "no download";
    EXPECT_EQ(tokyo_.keeper.page_questions, 0);
}

TEST_F(Direct, WhereTheKeeperDoesNotSayWhereToItIsPassedOn) {
    refuse();
    Client client(tokyo_.port());
    EXPECT_EQ(client.get("/apps/wiki/x", navigation).body, std::string(20, 'b'));
    tokyo_.keeper.pageless = true;
    EXPECT_EQ(client.get("/apps/wiki/x", navigation).body, std::string(20, 'b'));
    EXPECT_EQ(tokyo_.keeper.page_questions, 2);
    EXPECT_THAT(tokyo_.access_log(), Not(HasSubstr("\"served\":\"direct\"")));
}

TEST_F(Direct, ALargeDownloadIsSentThereAndASmallAnswerIsNot) {
    Client client(tokyo_.port());
    EXPECT_EQ(client.get("/apps/files/small", navigation).body, std::string(20, 'b'));
    const Answer large = client.get("/apps/files/big", navigation);
    EXPECT_EQ(large.status, 303);
    EXPECT_EQ(large.header("location"), there);
    EXPECT_EQ(client.get("/apps/files/big", session_cookie).body, std::string(60'000, 'b'))
        << "asked for by a script of the page";
    EXPECT_EQ(client.get("/apps/files/small", navigation).body, std::string(20, 'b'))
        << "the connection goes on";
}

TEST_F(Direct, ADownloadArrivesWholeWhereTheKeeperDoesNotSayWhereTo) {
    refuse();
    Client client(tokyo_.port());
    EXPECT_EQ(client.get("/apps/files/big", navigation).body, std::string(60'000, 'b'));
    tokyo_.keeper.pageless = true;
    EXPECT_EQ(client.get("/apps/files/big", navigation).body, std::string(60'000, 'b'));
    EXPECT_EQ(tokyo_.keeper.page_questions, 2);
}

TEST_F(Direct, AClientThatLeavesMeanwhileLeavesNothingBehind) {
    tokyo_.keeper.pageless = true;
    for (const char* path : {"/apps/wiki/x", "/apps/files/big"}) {
        Client client(tokyo_.port());
        client.send(std::string("GET ") + path + " HTTP/1.1\r\nHost: localhost\r\n" + navigation +
                    "\r\n");
        const int asked = path == std::string("/apps/wiki/x") ? 1 : 2;
        EXPECT_TRUE(tokyo_.keeper.wait([&](FakeKeeper& k) { return k.page_questions == asked; }));
    }
    tokyo_.keeper.pageless = false;
    EXPECT_EQ(Client(tokyo_.port()).get("/apps/wiki/x", navigation).status, 303);
}

} // namespace
} // namespace hasp::passon::testing
