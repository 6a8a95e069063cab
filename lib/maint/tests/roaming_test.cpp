// Who arrives by another tier is told what the one where he was has not sent, and chooses.
#include "base/clock.h"
#include "base/files.h"
#include "base/text.h"
#include "tree.h"

#include <filesystem>
#include <gmock/gmock.h>

namespace hasp::maint::tests {

namespace {

using testing::HasSubstr;
using testing::Not;

struct Arrival {
    Tree tree;
    std::vector<Node*> line;
    Node* tokyo = nullptr;
    Node* osaka = nullptr;

    explicit Arrival(std::size_t depth) {
        line = tree.chain(depth);
        tokyo = line.back();
        osaka = &tree.below(*line[depth - 2], "osaka");
        tree.add_user(*line[0], "anna", good_password, {"notes"});
        tree.add_app(*line[depth - 2], "notes", {tokyo->name, "osaka"}, {{"personal", true}});
        tree.pass_s(5);
    }
    std::string log_in(Node& at) {
        const auto page = at.log_in("anna", good_password);
        EXPECT_EQ(page->status, 303);
        tree.pass_s(2);
        return page->cookie();
    }
    static std::string sid(Node& at, const std::string& cookie) {
        return text_of(at.who_cookie(cookie), "sid");
    }
    std::string portal(Node& at, const std::string& sid, const std::string& target = "/") {
        auto page = at.get(target, {{"sid", sid}});
        for (int i = 0; i < 3 && !page; ++i) { // it waits for an answer from above
            tree.pass_s(1);
            page = at.get(target, {{"sid", sid}});
        }
        EXPECT_TRUE(page && page->status == 200);
        return page ? page->body : std::string();
    }
    std::optional<PageSeen> choose(Node& at, const std::string& sid, const std::string& choice,
                                   const std::string& origin = "http://portal.example:8480") {
        return at.page({{"method", "POST"},
                        {"target", "/hasp/files"},
                        {"sid", sid},
                        {"headers", {{"origin", origin}}}},
                       "choice=" + choice);
    }
    // As front is told it: he may only read.
    static bool reads(Node& at, const std::string& cookie) {
        const auto answer = at.ask(
            {{"t", "who"}, {"kind", "cookie"}, {"secret", cookie}, {"host", "portal.example"}});
        return answer && true_of(parse_object(answer->head), "reads");
    }
    void write(Node& at, const std::string& name, const std::string& content) {
        const std::string folder = at.state + "/data/users/anna/notes";
        ASSERT_TRUE(make_folders(folder).ok());
        ASSERT_TRUE(write_file_durably(folder + "/" + name, content, 0644).ok());
        ASSERT_TRUE(at.admin("sync.begin", {{"user", "anna"}}).ok());
        tree.settle();
    }
};

} // namespace

class RoamingAtDepth : public testing::TestWithParam<std::size_t> {};

TEST_P(RoamingAtDepth, AUserIsToldOfATierThatIsOutOfReachAndMayHaveSomething) {
    Arrival a(GetParam());
    a.log_in(*a.tokyo);
    a.write(*a.tokyo, "today", "three patients");
    a.tree.pass_s(30);
    const std::string at_osaka = Arrival::sid(*a.osaka, a.log_in(*a.osaka));
    EXPECT_THAT(a.portal(*a.osaka, at_osaka), Not(HasSubstr("/hasp/files"))) << "nothing is owed";
    EXPECT_TRUE(member(a.osaka->status(), "owed").is_null());

    a.tree.cut(*a.tokyo);
    a.write(*a.tokyo, "today", "four patients");
    a.tree.pass_s(20);
    const std::string page = a.portal(*a.osaka, at_osaka);
    EXPECT_THAT(page, HasSubstr("was last heard of "));
    EXPECT_THAT(page, HasSubstr("It has had your files since "));
    EXPECT_THAT(page, HasSubstr("value=\"wait\""));
    EXPECT_THAT(page, HasSubstr("value=\"read\""));
    EXPECT_THAT(page, HasSubstr("value=\"go-on\""));
    const Json owed = member(a.osaka->status(), "owed");
    ASSERT_EQ(owed.size(), 1U) << dump(owed);
    EXPECT_TRUE(text_of(owed[0], "tier").ends_with("/" + a.tokyo->name)) << dump(owed);
    EXPECT_EQ(text_of(owed[0], "user"), "anna");
    EXPECT_FALSE(true_of(owed[0], "up", true));
    EXPECT_THAT(text_of(owed[0], "text"), HasSubstr("anna's files"));
    EXPECT_EQ(dump(member(*a.osaka->admin("sync.owed"), "owed")), dump(owed));

    ASSERT_TRUE(a.tree.link(*a.tokyo));
    a.tree.pass_s(60);
    EXPECT_THAT(a.portal(*a.osaka, at_osaka), Not(HasSubstr("/hasp/files")));
    EXPECT_TRUE(member(a.osaka->status(), "owed").is_null());
}

TEST_P(RoamingAtDepth, ARestartOfTheTiersAboveForgetsNothingOfIt) {
    Arrival a(GetParam());
    a.log_in(*a.tokyo);
    a.write(*a.tokyo, "today", "three patients");
    a.tree.pass_s(30);
    a.tree.cut(*a.tokyo);
    for (Node* at : a.line) {
        if (at != a.tokyo) {
            a.tree.restart(*at);
        }
    }
    for (std::size_t i = 1; i + 1 < a.line.size(); ++i) {
        ASSERT_TRUE(a.tree.linked(*a.line[i]) || a.tree.link(*a.line[i]));
    }
    ASSERT_TRUE(a.tree.linked(*a.osaka) || a.tree.link(*a.osaka));
    a.tree.pass_s(20);
    const std::string at_osaka = Arrival::sid(*a.osaka, a.log_in(*a.osaka));
    EXPECT_THAT(a.portal(*a.osaka, at_osaka), HasSubstr("was last heard of "));
}

TEST_P(RoamingAtDepth, ARestartForgetsNothingOfUsersWhoHaveLoggedOut) {
    Arrival a(GetParam());
    const std::string at_tokyo = Arrival::sid(*a.tokyo, a.log_in(*a.tokyo));
    a.write(*a.tokyo, "today", "three patients");
    a.tree.pass_s(30);
    a.tokyo->page({{"method", "POST"},
                   {"target", "/hasp/logout"},
                   {"sid", at_tokyo},
                   {"headers", {{"origin", "http://portal.example:8480"}}}});
    a.tree.pass_s(30);
    a.tree.cut(*a.tokyo);
    Node& above = *a.line[a.line.size() - 2];
    a.tree.restart(above);
    ASSERT_TRUE(&above == a.line[0] || a.tree.linked(above) || a.tree.link(above));
    ASSERT_TRUE(a.tree.linked(*a.osaka) || a.tree.link(*a.osaka));
    a.tree.pass_s(20);
    const std::string at_osaka = Arrival::sid(*a.osaka, a.log_in(*a.osaka));
    EXPECT_THAT(a.portal(*a.osaka, at_osaka), HasSubstr("was last heard of "));
}

INSTANTIATE_TEST_SUITE_P(Depth, RoamingAtDepth, testing::Values(2, 3, 4));

TEST(Roaming, WhatATierKnowsThatItHasNotSentIsSaidWithSinceWhenAndHowMuch) {
    Arrival a(3); // upper, center, tokyo; the home is the upper one
    a.log_in(*a.tokyo);
    const std::string at_osaka = Arrival::sid(*a.osaka, a.log_in(*a.osaka));
    a.tree.cut(*a.line[1]);
    a.write(*a.tokyo, "today", "three patients");
    a.tree.pass_s(15);
    EXPECT_THAT(a.portal(*a.osaka, at_osaka), Not(HasSubstr("/hasp/files")))
        << "it may be on its way yet";
    a.tree.pass_s(40);
    EXPECT_THAT(a.portal(*a.osaka, at_osaka), HasSubstr("has not yet sent changes to your files "
                                                        "since "));
    EXPECT_THAT(a.portal(*a.osaka, at_osaka), HasSubstr("(1 file, 14 bytes)."));
    ASSERT_TRUE(a.tree.link(*a.line[1]));
    a.tree.pass_s(60);
    EXPECT_THAT(a.portal(*a.osaka, at_osaka), Not(HasSubstr("/hasp/files")));
}

TEST(Roaming, WhoeverWaitsReadsOrGoesOnIsHeldToItUntilTheChangesAreThere) {
    Arrival a(2);
    a.log_in(*a.tokyo);
    a.tree.pass_s(30);
    a.tree.cut(*a.tokyo);
    const std::string cookie = a.log_in(*a.osaka);
    const std::string sid = Arrival::sid(*a.osaka, cookie);
    EXPECT_THAT(a.portal(*a.osaka, sid), Not(HasSubstr("http-equiv=\"refresh\"")));
    EXPECT_FALSE(Arrival::reads(*a.osaka, cookie));

    EXPECT_EQ(a.choose(*a.osaka, sid, "wait")->header("location"), "/?files=wait");
    EXPECT_THAT(a.portal(*a.osaka, sid, "/?files=wait"),
                HasSubstr("<meta http-equiv=\"refresh\" content=\"10\">"));

    a.osaka->to_front.clear();
    EXPECT_EQ(a.choose(*a.osaka, sid, "read")->header("location"), "/");
    EXPECT_TRUE(Arrival::reads(*a.osaka, cookie));
    const bool dropped =
        std::any_of(a.osaka->to_front.begin(), a.osaka->to_front.end(), [&](const Json& order) {
            return text_of(order, "t") == "drop" && texts_of(order, "sids").at(0) == sid;
        });
    EXPECT_TRUE(dropped) << "front asks anew who he is";
    EXPECT_THAT(a.portal(*a.osaka, sid), HasSubstr("You only read until they are here"));
    const auto notice = a.osaka->page(
        {{"method", "GET"}, {"target", "notice?kind=read-only&app=notes"}, {"sid", sid}});
    ASSERT_TRUE(notice.has_value());
    EXPECT_EQ(notice->status, 409);
    EXPECT_THAT(notice->body, HasSubstr("You chose to read only"));

    EXPECT_EQ(a.choose(*a.osaka, sid, "go-on")->status, 303);
    EXPECT_FALSE(Arrival::reads(*a.osaka, cookie));
    EXPECT_THAT(a.portal(*a.osaka, sid), HasSubstr("You went on without them"));

    EXPECT_EQ(a.choose(*a.osaka, sid, "read", "http://evil.example")->status, 403);
    EXPECT_EQ(a.choose(*a.osaka, sid, "sing")->status, 400);
    EXPECT_EQ(a.choose(*a.osaka, "", "read")->header("location").substr(0, 11), "/hasp/login");
    EXPECT_FALSE(Arrival::reads(*a.osaka, cookie));

    EXPECT_EQ(a.choose(*a.osaka, sid, "read")->status, 303);
    ASSERT_TRUE(a.tree.link(*a.tokyo));
    a.tree.pass_s(60);
    EXPECT_FALSE(Arrival::reads(*a.osaka, cookie)) << "there is nothing to wait for any more";
}

TEST(Roaming, WhatATierSaysOfUsersWhoseFilesItMayNotHaveIsToldToNobody) {
    Arrival a(2);
    Node& center = *a.line[0];
    a.tree.add_user(center, "bo", good_password, {"notes"});
    const std::string anna = Arrival::sid(center, a.log_in(center));
    const auto bo = center.log_in("bo", good_password);
    a.tree.pass_s(15);
    Json copies = Json::array();
    for (const char* user : {"anna", "bo"}) {
        copies.push_back({{"user", user},
                          {"since", "2023-11-14T22:00:00.000Z"},
                          {"files", 7},
                          {"bytes", 70},
                          {"unsent_since", "2023-11-14T22:00:00.000Z"}});
    }
    const auto lie = [&] {
        a.tree.forge(*a.osaka, {{"t", "report"},
                                {"apps", Json::array()},
                                {"accounts", Json::array()},
                                {"generation", 0},
                                {"lease", 0},
                                {"rollouts", Json::array()},
                                {"status", {{"copies", copies}}}});
        a.tree.settle();
        a.tree.clock.advance_us(11 * second_us);
    };
    lie();
    EXPECT_THAT(a.portal(center, Arrival::sid(center, bo->cookie())), Not(HasSubstr("7 files")));
    EXPECT_THAT(a.portal(center, anna), Not(HasSubstr("7 files")));
    a.log_in(*a.osaka); // anna's files may be there since
    lie();
    EXPECT_THAT(a.portal(center, Arrival::sid(center, bo->cookie())), Not(HasSubstr("7 files")));
    EXPECT_THAT(a.portal(center, anna), HasSubstr("7 files"));
}

TEST(Roaming, ATierMayNotAskAboutUsersWhoAreNotThere) {
    Arrival a(2);
    a.log_in(*a.tokyo);
    a.tree.pass_s(30);
    a.tree.cut(*a.tokyo);
    a.tree.crossed.clear();
    a.tree.forge(*a.osaka, {{"t", "files.owed"},
                            {"q", 901},
                            {"user", "anna"},
                            {"tier", "hasp://clinics/center/osaka"}});
    a.tree.settle();
    const auto answer =
        std::find_if(a.tree.crossed.begin(), a.tree.crossed.end(), [](const Crossed& one) {
            return int_of(one.head, "q") == 901 && text_of(one.head, "t") == "re";
        });
    ASSERT_NE(answer, a.tree.crossed.end());
    EXPECT_EQ(text_of(member(answer->head, "error"), "code"), "refused") << dump(answer->head);
}

TEST(Roaming, WhereNothingIsOwedALogInAsksOnceAndNobodyAsksAgain) {
    Arrival a(2);
    a.log_in(*a.tokyo);
    a.tree.pass_s(60);
    a.tree.crossed.clear();
    const std::string sid = Arrival::sid(*a.osaka, a.log_in(*a.osaka));
    a.portal(*a.osaka, sid);
    EXPECT_EQ(a.tree.count("files.owed"), 1U);
    a.tree.pass_s(3600, 10);
    EXPECT_EQ(a.tree.count("files.owed"), 1U);
}

} // namespace hasp::maint::tests
