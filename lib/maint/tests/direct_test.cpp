// Direct return between keepers: who gets a ticket, for what, and when what it was exchanged for
// ends. tokyo ← center ← upper; the app is at the top.
#include "base/text.h"
#include "tree.h"

#include <gmock/gmock.h>

namespace hasp::maint::tests {

namespace {

using testing::HasSubstr;
using testing::StartsWith;

Config serving() {
    Config config;
    config.web.app_host = "{app}.upper.example";
    config.web.direct_url = "https://{app}.upper.example";
    config.web.direct_networks = {"192.0.2.0/24"};
    return config;
}

Config local() {
    Config config;
    config.web.app_host = "{app}.tokyo.example";
    return config;
}

constexpr const char* there = "https://wiki.upper.example";

struct DirectTree : testing::Test {
    Tree tree;
    Node& upper = tree.top("upper", serving());
    Node& center = tree.below(upper, "center");
    Node& tokyo = tree.below(center, "tokyo", local());
    std::string sid;

    void SetUp() override {
        tree.add_app(upper, "wiki", {"upper"}, {{"manifest", "direct = \"pages\"\n"}});
        tree.add_app(upper, "notes", {"upper"});
        tree.add_user(upper, "anna", good_password, {"wiki", "notes"});
        tree.add_user(upper, "guest", good_password, {"notes"});
        tree.add_user(tokyo, "mei", good_password, {"wiki"});
        tree.pass_s(3);
        sid = session("anna");
    }
    std::string session(const std::string& user) {
        const auto page = tokyo.log_in(user, good_password);
        EXPECT_EQ(page->status, 303);
        return text_of(tokyo.who_cookie(page->cookie()), "sid");
    }
    Json at_tokyo(const std::string& who, const std::string& client = "192.0.2.7") const {
        return {{"sid", who},
                {"scheme", "https"},
                {"host", "tokyo.example"},
                {"authority", "tokyo.example"},
                {"client", client}};
    }
    Json at_upper(const std::string& nonce = {}) const {
        Json out{{"scheme", "https"},
                 {"host", "wiki.upper.example"},
                 {"authority", "wiki.upper.example"}};
        if (!nonce.empty()) {
            out["headers"] = {{"cookie", "__Host-hasp-upper-direct=" + nonce}};
        }
        return out;
    }
    std::optional<PageSeen> ask(const std::string& who, const std::string& app = "wiki",
                                const std::string& target = "/x", const Json& more = {}) {
        Json asked = at_tokyo(who);
        if (more.is_object()) {
            asked.update(more);
        }
        return tokyo.get("direct?app=" + app + "&target=" + percent_encode(target) +
                             "&back=%2Fapps%2Fwiki%2Fx",
                         asked);
    }
    static std::string path_of_location(const std::optional<PageSeen>& page) {
        const std::string to = page ? page->header("location") : "";
        const std::size_t slash = to.find('/', to.find("://") + 3);
        return slash == std::string::npos ? "" : to.substr(slash);
    }
    struct Sent {
        std::string nonce;
        std::string enter; // path at the upper tier
    };
    Sent send(const std::string& who) {
        const auto asked = ask(who);
        EXPECT_EQ(asked->status, 303);
        EXPECT_THAT(asked->header("location"),
                    StartsWith(std::string(there) + "/hasp/direct/begin?pass="));
        const auto begun = upper.get(path_of_location(asked), at_upper());
        EXPECT_THAT(begun->header("location"),
                    StartsWith("https://tokyo.example/hasp/direct/back?state="));
        const std::string set = begun->header("set-cookie");
        EXPECT_THAT(set, StartsWith("__Host-hasp-upper-direct="));
        EXPECT_THAT(set, HasSubstr("; HttpOnly; SameSite=Lax; Secure"));
        const auto back = tokyo.get(path_of_location(begun), at_tokyo(who));
        EXPECT_THAT(back->header("location"),
                    StartsWith(std::string(there) + "/hasp/direct/enter?ticket="));
        return {set.substr(set.find('=') + 1, 43), path_of_location(back)};
    }
    std::string enter(const std::string& who) {
        const Sent sent = send(who);
        const auto entered = upper.get(sent.enter, at_upper(sent.nonce));
        EXPECT_EQ(entered->header("location"), "/x");
        EXPECT_EQ(entered->header("referrer-policy"), "no-referrer");
        return entered->cookie();
    }
    Json known(const std::string& cookie, const std::string& host = "wiki.upper.example") {
        return upper.who_cookie(cookie, host);
    }
};

} // namespace

TEST_F(DirectTree, ATicketFromTheTopBecomesACookieForThatAppAndNoOther) {
    const Json who = known(enter(sid));
    EXPECT_EQ(text_of(who, "user"), "anna");
    EXPECT_EQ(text_of(who, "sid"), sid);
    EXPECT_EQ(who["apps"], Json({"wiki"}));
    EXPECT_TRUE(known(enter(sid), "notes.upper.example").is_null());
    EXPECT_TRUE(known(enter(sid), "upper.example").is_null());
}

TEST_F(DirectTree, AUserWhoseHomeIsBelowIsKnownByItsWord) {
    EXPECT_EQ(text_of(known(enter(session("mei"))), "user"), "mei");
}

TEST_F(DirectTree, NobodyIsSentWhoMayNotOrCannotGoThere) {
    EXPECT_EQ(ask(sid, "notes")->status, 404) << "the app does not allow it";
    EXPECT_EQ(ask(sid, "nothing")->status, 404);
    EXPECT_EQ(ask(session("guest"))->status, 404) << "not entitled";
    EXPECT_EQ(ask("")->status, 404);
    EXPECT_EQ(ask(std::string(32, 'f'))->status, 404);
    EXPECT_EQ(ask(sid, "wiki", "/x", {{"client", "198.51.100.1"}})->status, 404)
        << "of another network";
    for (const char* target : {"/hasp/logout", "/hasp", "//evil.example", "/\\evil", ""}) {
        EXPECT_EQ(ask(sid, "wiki", target)->status, 404) << target;
    }
    EXPECT_EQ(ask(sid, "wiki", "/" + std::string(3'000, 'x'))->status, 404);
    EXPECT_EQ(ask(sid)->status, 303);
}

// The request's host is its sender's word: whoever names his own would have others' browsers come
// back to him.
TEST_F(DirectTree, NobodyIsSentFromAHostThatIsNotThisTiers) {
    for (const char* host : {"evil.example", "tokyo.example.evil.example", "192.0.2.1"}) {
        EXPECT_NE(ask(sid, "wiki", "/x", {{"host", host}, {"authority", host}})->status, 303)
            << host;
    }
    const char* own = "wiki.tokyo.example";
    EXPECT_EQ(ask(sid, "wiki", "/x", {{"host", own}, {"authority", own}})->status, 303);
}

TEST_F(DirectTree, FromHttpsNobodyIsLedToHttp) {
    upper.config.web.direct_url = "http://{app}.upper.example";
    tree.restart(upper);
    ASSERT_TRUE(tree.linked(center) || tree.link(center));
    tree.pass_s(3);
    EXPECT_EQ(ask(sid)->status, 404);
    EXPECT_EQ(ask(sid, "wiki", "/x", {{"scheme", "http"}})->status, 303);
}

TEST_F(DirectTree, ATierMayKeepItsUsers) {
    tokyo.config.web.direct = false;
    tree.restart(tokyo);
    ASSERT_TRUE(tree.linked(tokyo) || tree.link(tokyo));
    tree.pass_s(3);
    EXPECT_EQ(ask(sid)->status, 404);
    EXPECT_EQ(tokyo.app("wiki").direct(), registry::Direct::never);
    EXPECT_EQ(center.app("wiki").direct(), registry::Direct::pages);
}

TEST_F(DirectTree, ATicketIsOverAfterAMinuteAndGoodOnce) {
    const Sent late = send(sid);
    tree.pass_s(60);
    EXPECT_EQ(upper.get(late.enter, at_upper(late.nonce))->status, 403);
    const Sent sent = send(sid);
    EXPECT_EQ(upper.get(sent.enter, at_upper(sent.nonce))->status, 303);
    EXPECT_EQ(upper.get(sent.enter, at_upper(sent.nonce))->status, 403);
}

TEST_F(DirectTree, AnotherBrowserMethodOrHostIsRefusedAndGetsNoCookie) {
    for (const Json& more : {at_upper(), at_upper(std::string(43, 'A'))}) {
        const Sent sent = send(sid);
        const auto page = upper.get(sent.enter, more);
        EXPECT_EQ(page->status, 403);
        EXPECT_EQ(page->cookie(), "");
        EXPECT_EQ(page->header("referrer-policy"), "no-referrer");
    }
    Sent sent = send(sid);
    Json other = at_upper(sent.nonce);
    other["authority"] = other["host"] = "notes.upper.example";
    EXPECT_EQ(upper.get(sent.enter, other)->status, 403);
    sent = send(sid);
    other = at_upper(sent.nonce);
    other["method"] = "HEAD";
    EXPECT_EQ(upper.get(sent.enter, other)->status, 403);
}

TEST_F(DirectTree, TheWayBackIsForTheSessionThatWasSent) {
    const auto begun = upper.get(path_of_location(ask(sid)), at_upper());
    const std::string back = path_of_location(begun);
    EXPECT_EQ(tokyo.get(back, at_tokyo(session("mei")))->status, 403);
    EXPECT_EQ(tokyo.get(back, at_tokyo(""))->status, 403);
    EXPECT_EQ(tokyo.get(back, at_tokyo(sid))->status, 303);
    EXPECT_EQ(tokyo.get(back, at_tokyo(sid))->status, 403);
}

TEST_F(DirectTree, APassOfNobodyLeadsNowhere) {
    EXPECT_EQ(upper.get("/hasp/direct/begin?pass=" + std::string(200, 'A'), at_upper())->status,
              403);
    const std::string good = path_of_location(ask(sid));
    tree.pass_s(60);
    EXPECT_EQ(upper.get(good, at_upper())->status, 403);
}

TEST_F(DirectTree, ATierBelowGetsNoTicketForASessionThatItWasNotGranted) {
    const std::size_t before = tree.crossed.size();
    tree.forge(center, {{"t", "direct.ticket"},
                        {"q", 900},
                        {"sid", std::string(32, 'e')},
                        {"app", "wiki"},
                        {"method", "GET"},
                        {"target", "/"},
                        {"nonce", std::string(64, '0')}});
    tree.settle();
    bool refused = false;
    for (std::size_t i = before; i < tree.crossed.size(); ++i) {
        const Json& head = tree.crossed[i].head;
        EXPECT_FALSE(head.contains("ticket"));
        refused = refused || (int_of(head, "q") == 900 && head.contains("error"));
    }
    EXPECT_TRUE(refused);
}

TEST_F(DirectTree, ALogOutEndsItThroughEveryTierAndOverARestart) {
    const std::string cookie = enter(sid);
    tree.restart(upper);
    ASSERT_TRUE(tree.linked(center) || tree.link(center));
    tree.pass_s(1);
    EXPECT_EQ(text_of(known(cookie), "user"), "anna");
    tokyo.page({{"method", "POST"}, {"target", "/hasp/logout"}, {"sid", sid}});
    tree.pass_s(1);
    EXPECT_TRUE(known(cookie).is_null());
}

TEST_F(DirectTree, ALogOutThereEndsTheSessionBelow) {
    EXPECT_EQ(text_of(known(enter(sid)), "user"), "anna");
    upper.page({{"method", "POST"}, {"target", "/hasp/logout"}, {"sid", sid}});
    tree.pass_s(1);
    EXPECT_EQ(ask(sid)->status, 404);
}

TEST_F(DirectTree, ALostEntitlementANewPasswordAndARevokedTierEndIt) {
    std::string cookie = enter(sid);
    EXPECT_TRUE(upper.admin("user.withdraw", {{"user", "anna"}, {"apps", {"wiki"}}}).ok());
    EXPECT_TRUE(known(cookie).is_null());
    EXPECT_TRUE(upper.admin("user.entitle", {{"user", "anna"}, {"apps", {"wiki"}}}).ok());
    tree.pass_s(1);
    EXPECT_EQ(text_of(known(cookie), "user"), "anna");
    EXPECT_TRUE(upper.admin("user.password", {{"name", "anna"}, {"password", "another one"}}).ok());
    EXPECT_TRUE(known(cookie).is_null());
    cookie = enter(session("mei"));
    EXPECT_FALSE(known(cookie).is_null());
    EXPECT_TRUE(upper.admin("local.revoke", {{"name", "center"}}).ok());
    EXPECT_TRUE(known(cookie).is_null());
}

TEST_F(DirectTree, WhoDoesNotComeBackIsServedFromHereForAWhile) {
    EXPECT_EQ(ask(sid)->status, 303);
    tree.pass_s(10);
    EXPECT_EQ(ask(sid)->status, 404);
    tree.pass_s(600, 60);
    EXPECT_EQ(ask(sid)->status, 303);
}

TEST_F(DirectTree, WithoutTheLinkItIsPassedOnAndWhoIsOnHisWayComesBack) {
    const auto begun = upper.get(path_of_location(ask(sid)), at_upper());
    tree.cut(center);
    const auto back = tokyo.get(path_of_location(begun), at_tokyo(sid));
    EXPECT_EQ(back->header("location"), "https://tokyo.example/apps/wiki/x");
    EXPECT_EQ(ask(sid)->status, 404);
}

TEST_F(DirectTree, ATierBelowSendsNobodyFromHere) {
    tree.forge(tokyo, {{"t", "report"},
                       {"accounts", {"mei"}},
                       {"apps",
                        {{{"name", "bait"},
                          {"title", "Bait"},
                          {"description", ""},
                          {"hosts", Json::array()},
                          {"open", true},
                          {"mount", "both"},
                          {"trusted_path", true},
                          {"where", "tokyo"},
                          {"release", ""},
                          {"direct",
                           {{"how", "pages"},
                            {"url", "https://{app}.evil.example"},
                            {"networks", {"192.0.2.0/24"}}}}}}},
                       {"generation", 0},
                       {"lease", 0},
                       {"rollouts", Json::array()},
                       {"status", Json::object()}});
    tree.pass_s(3);
    EXPECT_EQ(center.route("bait"), registry::Route::child);
    EXPECT_EQ(center.app("bait").direct(), registry::Direct::never);
    EXPECT_THAT(center.get("/hasp/login")->header("content-security-policy"),
                testing::Not(HasSubstr("evil")));
}

TEST_F(DirectTree, ThePortalFindsOutWhoReachesIt) {
    Json away = at_tokyo(sid, "198.51.100.1");
    const auto portal = tokyo.get("/", away);
    EXPECT_THAT(portal->body, HasSubstr("data-reach=\"https://wiki.upper.example\""));
    const std::string policy = portal->header("content-security-policy");
    EXPECT_THAT(policy, HasSubstr("; script-src 'sha256-"));
    EXPECT_THAT(policy, HasSubstr("; connect-src 'self' https://wiki.upper.example"));
    EXPECT_THAT(policy, HasSubstr("form-action 'self'"));
    EXPECT_THAT(policy, HasSubstr(" https://*.upper.example"));
    EXPECT_THAT(tokyo.get("/", at_tokyo(sid))->body, testing::Not(HasSubstr("script")));
    Json said = away;
    said.update({{"method", "POST"}, {"target", "/hasp/direct/reached"}});
    const auto say = [&](const std::string& at) {
        return tokyo.page(said, "at=" + percent_encode(at))->status;
    };
    EXPECT_EQ(say("https://wiki.evil.example"), 204);
    EXPECT_EQ(ask(sid, "wiki", "/x", {{"client", "198.51.100.1"}})->status, 404);
    EXPECT_EQ(say(there), 204);
    EXPECT_EQ(ask(sid, "wiki", "/x", {{"client", "198.51.100.1"}})->status, 303);
    said["headers"] = {{"origin", "https://evil.example"}};
    EXPECT_EQ(say(there), 403);
}

} // namespace hasp::maint::tests
