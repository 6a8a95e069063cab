#include "tree.h"

#include "signon/pages.h"

#include <gmock/gmock.h>

namespace hasp::maint::tests {

namespace {

using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

Config with_hosts() {
    Config config;
    config.web.app_host = "{app}.example";
    config.web.portal_hosts = {"portal.example"};
    return config;
}

struct Portal : testing::Test {
    Tree tree;
    Node& center = tree.top("center", with_hosts());
    void SetUp() override {
        tree.add_app(center, "wiki", {"center"});
        tree.add_app(center, "mail", {"center"});
        tree.add_user(center, "anna", good_password, {"wiki"});
    }
    std::string enter_url() {
        const auto page = center.log_in("anna", good_password, "http://wiki.example:8480/page?x=1");
        EXPECT_EQ(page->status, 303);
        return page->header("location");
    }
    std::optional<PageSeen> enter(const std::string& url, const std::string& host) {
        const std::size_t path = url.find("/hasp/enter");
        return center.get(url.substr(path), {{"host", host}, {"authority", host + ":8480"}});
    }
};

} // namespace

TEST_F(Portal, SendsWhoIsNotLoggedInToTheLogInPageAndBack) {
    const auto page = center.get("/");
    EXPECT_EQ(page->status, 303);
    EXPECT_EQ(page->header("location"), "/hasp/login?next=%2F");
    EXPECT_EQ(center.get("/hasp/login?next=%2F")->status, 200);
}

TEST_F(Portal, NeverLeadsElsewhereAfterALogIn) {
    for (const char* next :
         {"//evil.example/", "https://evil.example/", "http://evil.example/", "/\\evil.example",
          "javascript:alert(1)", "http://wiki.example:8480@evil/"}) {
        const auto page = center.log_in("anna", good_password, next);
        EXPECT_EQ(page->status, 303) << next;
        EXPECT_EQ(page->header("location"), "/") << next;
    }
    EXPECT_EQ(center.log_in("anna", good_password, "/apps/wiki/")->header("location"),
              "/apps/wiki/");
}

TEST_F(Portal, HandsOverToAnAppsHostWithACodeThatIsGoodOnce) {
    const std::string url = enter_url();
    EXPECT_THAT(url, StartsWith("http://wiki.example:8480/hasp/enter?code="));
    const auto first = enter(url, "wiki.example");
    EXPECT_EQ(first->header("location"), "/page?x=1");
    EXPECT_EQ(text_of(center.who_cookie(first->cookie(), "wiki.example"), "user"), "anna");
    EXPECT_TRUE(center.who_cookie(first->cookie(), "mail.example").is_null())
        << "a cookie is good at one host";
    EXPECT_TRUE(enter(url, "wiki.example")->cookie().empty());
}

TEST_F(Portal, ACodeIsVoidAtAnotherHostAndAfterHalfAMinute) {
    const std::string first = enter_url();
    EXPECT_TRUE(enter(first, "mail.example")->cookie().empty());
    EXPECT_TRUE(enter(first, "wiki.example")->cookie().empty());
    const std::string second = enter_url();
    tree.pass_s(31);
    EXPECT_TRUE(enter(second, "wiki.example")->cookie().empty());
}

TEST_F(Portal, SetsCookiesThatScriptsAndOtherSitesDoNotGet) {
    const std::string plain = center.log_in("anna", good_password)->header("set-cookie");
    EXPECT_THAT(plain, StartsWith("hasp-center="));
    EXPECT_THAT(plain, HasSubstr("; Path=/; HttpOnly; SameSite=Lax"));
    EXPECT_THAT(plain, Not(HasSubstr("Domain")));
    const std::string tls =
        center
            .log_in("anna", good_password, "/",
                    {{"scheme", "https"}, {"headers", {{"origin", "https://portal.example:8480"}}}})
            ->header("set-cookie");
    EXPECT_THAT(tls, StartsWith("__Host-hasp-center="));
    EXPECT_THAT(tls, HasSubstr("; Secure"));
}

TEST_F(Portal, GivesEveryPageAPolicyThatAllowsNoScriptsAndNoStorage) {
    for (const char* target : {"/hasp/login", "/hasp/nothing", "/hasp/notice?kind=busy"}) {
        const auto page = center.get(target);
        EXPECT_THAT(page->header("content-security-policy"), HasSubstr("default-src 'none'"));
        EXPECT_EQ(page->header("cache-control"), "no-store");
        EXPECT_EQ(page->header("x-content-type-options"), "nosniff");
        EXPECT_EQ(page->header("referrer-policy"), "same-origin");
    }
}

TEST_F(Portal, RefusesALogInThatAnotherSiteSent) {
    const int before = center.background_runs;
    const auto page = center.log_in("anna", good_password, "/",
                                    {{"headers", {{"origin", "http://evil.example"}}}});
    EXPECT_EQ(page->status, 403);
    EXPECT_EQ(center.background_runs, before);
}

TEST_F(Portal, ShowsATileForEachAppThatTheUserMayUseAndNoOther) {
    const auto in = center.log_in("anna", good_password);
    const std::string sid = text_of(center.who_cookie(in->cookie()), "sid");
    const auto page = center.get("/", {{"sid", sid}});
    EXPECT_EQ(page->status, 200);
    EXPECT_THAT(page->body, HasSubstr("The wiki"));
    EXPECT_THAT(page->body, Not(HasSubstr("The mail")));
}

TEST_F(Portal, AnswersFrontsNoticesAndNoUsersQuestionForThem) {
    const auto notice = center.get("notice?kind=unreachable&app=mail&detail=");
    EXPECT_EQ(notice->status, 503);
    EXPECT_THAT(notice->body, HasSubstr("The mail"));
    const auto asked = center.get("/hasp/notice?kind=unreachable&app=mail&detail=call%20555");
    EXPECT_EQ(asked->status, 404);
    EXPECT_THAT(asked->body, Not(HasSubstr("The mail")));
    EXPECT_THAT(asked->body, Not(HasSubstr("call 555")));
}

TEST_F(Portal, SaysSinceWhenATierBelowCannotBeReached) {
    Node& tokyo = tree.below(center, "tokyo");
    tree.add_app(center, "leaflets", {"tokyo"});
    tree.pass_s(5);
    const std::string target = "notice?kind=unreachable&app=leaflets&detail=";
    EXPECT_THAT(center.get(target)->body, Not(HasSubstr("reached through")));
    tree.cut(tokyo);
    const std::string lost = signon::clock_text(tree.clock.wall_us(), tree.clock.wall_us(), 0);
    tree.pass_s(17 * 60);
    const auto page = center.get(target);
    EXPECT_THAT(page->body, HasSubstr("reached through Tokyo"));
    EXPECT_THAT(page->body, ContainsRegex("since [A-Za-z ]*[0-9][0-9]:" + lost.substr(3, 2)))
        << "whatever the time zone";
}

TEST_F(Portal, HasNothingForAStrangerOnALinkButEnrolment) {
    for (const char* target : {"/", "/hasp/login", "/hasp/enter"}) {
        EXPECT_EQ(center.get(target, {{"door", "link"}})->status, 404) << target;
    }
    EXPECT_EQ(center.get("/hasp/link/enrol")->status, 404) << "and that not for users";
}

} // namespace hasp::maint::tests
