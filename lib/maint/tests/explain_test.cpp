// hasp why, hasp offline-report and the parts of status that speak of tiers below.
#include "tree.h"

#include <algorithm>

namespace hasp::maint::tests {

namespace {

struct Asked : testing::Test {
    Tree tree;
    Node& center = tree.top();
    Node& tokyo = tree.below(center, "tokyo");

    Json why(Node& at, const std::string& app, const std::string& user = {},
             const std::string& tier = "tokyo") {
        auto said = at.admin("why", {{"app", app}, {"at", tier}, {"user", user}});
        EXPECT_TRUE(said.ok()) << said.error().message;
        return said.ok() ? *said : Json();
    }
    // The spawner says that the app's process failed.
    void break_app(const std::string& app) {
        tokyo.ask({{"t", "start"}, {"app", app}, {"user", ""}});
        tree.post([this, app] {
            tokyo.keeper->on_spawner({dump({{"t", "event"},
                                            {"instance", tokyo.process(app)},
                                            {"kind", "failed"},
                                            {"state", "failing"},
                                            {"reason", "it ended with status 3"},
                                            {"last_lines", "reading config\nno such table\n"},
                                            {"since_us", tree.clock.wall_us()}}),
                                      {},
                                      {}});
            tokyo.keeper->flush();
        });
        tree.pass_s(5);
    }
};

} // namespace

TEST_F(Asked, AnAppThatIsHeldIsServedHereByItsLease) {
    tree.add_app(center, "leaflets", {"tokyo"});
    tree.add_user(center, "anna", good_password, {"leaflets"});
    tree.pass_s(5);
    const Json said = why(center, "leaflets", "anna");
    EXPECT_TRUE(true_of(said, "served")) << said.dump();
    EXPECT_EQ(text_of(said, "from"), "here");
    EXPECT_NE(text_of(said, "rule").find("by a lease until"), std::string::npos);
    EXPECT_TRUE(true_of(said, "live"));
}

TEST_F(Asked, AnAppOfTheTierAboveIsServedThroughTheLinkAndNotWithoutIt) {
    tree.add_app(center, "tickets", {"center"});
    tree.pass_s(5);
    Json said = why(center, "tickets");
    EXPECT_TRUE(true_of(said, "served"));
    EXPECT_EQ(text_of(said, "from"), "parent");
    tree.cut(tokyo);
    said = why(tokyo, "tickets");
    EXPECT_FALSE(true_of(said, "served"));
    EXPECT_NE(text_of(said, "cause").find("is down since"), std::string::npos);
    EXPECT_FALSE(text_of(said, "next").empty());
}

TEST_F(Asked, AnAppElsewhereIsServedWhileOneOfItsAddressesIsUp) {
    tree.add_app(center, "shop", {"tokyo"}, {{"url", "http://127.0.0.1:8080"}});
    tree.pass_s(5);
    const std::int64_t since_us = tree.clock.wall_us();
    const auto tell = [&](const Json& addresses) {
        tree.post([this, addresses] {
            tokyo.keeper->on_front(
                {dump({{"t", "upstream"}, {"app", "shop"}, {"addresses", addresses}}), {}, {}});
            tokyo.keeper->flush();
        });
        tree.pass_s(1);
    };
    const auto say = [&](bool second_up) {
        const Json first{{"address", "127.0.0.1:8080"},
                         {"up", false},
                         {"since_us", since_us},
                         {"why", "Connection refused"}};
        const Json second{{"address", "127.0.0.1:8081"},
                          {"up", second_up},
                          {"since_us", second_up ? 0 : since_us + 1},
                          {"why", second_up ? "" : "the check was not answered in time"}};
        tell(Json::array({first, second}));
    };
    const auto state = [&] {
        const auto status = tokyo.admin("status", {});
        EXPECT_TRUE(status.ok());
        return member(*status, "apps")[0];
    };
    EXPECT_FALSE(state().contains("addresses"));
    say(true);
    Json said = why(tokyo, "shop");
    EXPECT_TRUE(true_of(said, "served"));
    EXPECT_EQ(text_of(said, "cause"), "1 of its 2 addresses is down, the others serve; "
                                      "127.0.0.1:8080 is down: Connection refused");
    EXPECT_EQ(text_of(state(), "state"), "ready");
    EXPECT_EQ(member(state(), "addresses").size(), 2U);
    say(false);
    said = why(tokyo, "shop");
    EXPECT_FALSE(true_of(said, "served"));
    EXPECT_NE(text_of(said, "cause").find("none of its addresses serves"), std::string::npos);
    EXPECT_FALSE(text_of(said, "since").empty());
    EXPECT_EQ(text_of(state(), "state"), "down");
    tell(Json::array());
    EXPECT_FALSE(state().contains("addresses"));
}

TEST_F(Asked, AUserWhoIsNotEntitledIsTheCause) {
    tree.add_app(center, "leaflets", {"tokyo"});
    tree.add_user(center, "anna", good_password);
    tree.pass_s(5);
    const Json said = why(center, "leaflets", "anna");
    EXPECT_FALSE(true_of(said, "served"));
    EXPECT_EQ(text_of(said, "cause"), "'anna' is not entitled to 'leaflets'");
    EXPECT_NE(text_of(said, "next").find("hasp user entitle anna leaflets"), std::string::npos);
}

TEST_F(Asked, AUserWhoIsOnNoListCannotLogInWithoutTheLink) {
    tree.add_app(center, "leaflets", {"tokyo"});
    tree.add_user(center, "anna", good_password, {"leaflets"});
    tree.add_user(center, "nurse", good_password, {"leaflets"});
    ASSERT_TRUE(center.admin("local.allow", {{"name", "tokyo"}, {"users", {"nurse"}}}).ok());
    tree.pass_s(5);
    tree.cut(tokyo);
    EXPECT_NE(text_of(why(tokyo, "leaflets", "anna"), "cause").find("not on its list"),
              std::string::npos);
    const Json nurse = why(tokyo, "leaflets", "nurse");
    EXPECT_TRUE(true_of(nurse, "served"));
    EXPECT_NE(text_of(nurse, "log_in").find("until"), std::string::npos);
}

TEST_F(Asked, AnEndedLeaseIsTheCauseWithItsTime) {
    tree.add_app(center, "leaflets", {"tokyo"}, {{"manifest", "at_expiry = \"stop\"\n"}});
    tree.pass_s(5);
    tree.cut(tokyo);
    tree.pass_s(31 * day_s, 3600);
    const Json said = why(tokyo, "leaflets");
    EXPECT_FALSE(true_of(said, "served"));
    EXPECT_NE(text_of(said, "cause").find("its lease ended 20"), std::string::npos);
    EXPECT_NE(text_of(said, "next").find("hasp lease extend tokyo --app leaflets"),
              std::string::npos);
}

TEST_F(Asked, AFailingProcessIsTheCauseWithItsLastLines) {
    tree.add_app(center, "calendar", {"tokyo"}, {{"dataset", true}});
    tree.pass_s(5);
    break_app("calendar");
    const Json said = why(center, "calendar");
    EXPECT_FALSE(true_of(said, "served"));
    EXPECT_NE(text_of(said, "cause").find("it ended with status 3"), std::string::npos);
    EXPECT_NE(text_of(said, "last_lines").find("no such table"), std::string::npos);
}

TEST_F(Asked, WhatNobodyHoldsIsSaidPlainly) {
    const Json said = why(center, "mail");
    EXPECT_FALSE(true_of(said, "served"));
    EXPECT_EQ(text_of(said, "cause"), "no tier that this one knows of holds 'mail'");
}

TEST_F(Asked, ADarkTierIsAnsweredForFromItsLastReportWithItsAge) {
    tree.add_app(center, "leaflets", {"tokyo"});
    tree.pass_s(15);
    tree.cut(tokyo);
    tree.pass_s(3600, 10);
    const Json said = why(center, "leaflets");
    EXPECT_FALSE(true_of(said, "live"));
    EXPECT_TRUE(true_of(said, "served"));
    EXPECT_LT(text_of(said, "as_of"), text_of(center.status(), "as_of"));
    EXPECT_FALSE(text_of(said, "dark_since").empty());
}

TEST(AskedAtDepth, TheQuestionTravelsToTheTierThatIsMeant) {
    Tree tree;
    const std::vector<Node*> tiers = tree.chain(4);
    tree.add_app(*tiers[0], "leaflets", {"ward"});
    tree.pass_s(30);
    const auto live = tiers[0]->admin("why", {{"app", "leaflets"}, {"at", "ward"}});
    ASSERT_TRUE(live.ok()) << live.error().message;
    EXPECT_TRUE(true_of(*live, "live"));
    EXPECT_EQ(text_of(*live, "tier"), tiers[3]->keeper->identity().name.text());
    tree.cut(*tiers[3]);
    const Json dark = *tiers[0]->admin("why", {{"app", "leaflets"}, {"at", "ward"}});
    EXPECT_FALSE(true_of(dark, "live"));
    EXPECT_TRUE(true_of(dark, "served"));
    tree.cut(*tiers[1]);
    EXPECT_FALSE(true_of(*tiers[0]->admin("offline.report", {{"at", "ward"}}), "live"));
}

TEST_F(Asked, TheOfflineReportSaysWhatStopsWhatGoesOnAndWhoCanLogIn) {
    tree.add_app(center, "leaflets", {"tokyo"}, {{"manifest", "at_expiry = \"read-only\"\n"}});
    tree.add_app(center, "tickets", {"center"});
    tree.add_app(center, "calendar", {"center", "tokyo"}, {{"dataset", true}, {"home", "center"}});
    tree.add_user(center, "anna", good_password, {"leaflets"});
    tree.add_user(center, "nurse", good_password, {"leaflets"});
    ASSERT_TRUE(center.admin("local.allow", {{"name", "tokyo"}, {"users", {"nurse"}}}).ok());
    tree.pass_s(5);
    ASSERT_EQ(tokyo.log_in("anna", good_password)->status, 303);
    const Json said = *center.admin("offline.report", {{"at", "tokyo"}});
    const auto names = [&](const char* list, const char* key) {
        std::vector<std::string> out;
        for (const Json& one : member(said, list)) {
            out.push_back(text_of(one, key));
        }
        std::sort(out.begin(), out.end());
        return out;
    };
    EXPECT_EQ(names("stops", "app"), (std::vector<std::string>{"calendar", "tickets"}));
    EXPECT_EQ(names("goes_on", "app"), std::vector<std::string>{"leaflets"});
    EXPECT_EQ(names("goes_on", "then"), std::vector<std::string>{"read-only"});
    EXPECT_EQ(names("log_in", "user"), std::vector<std::string>{"nurse"});
    EXPECT_EQ(names("only_session", "user"), std::vector<std::string>{"anna"});
}

TEST_F(Asked, ErrorsOfATierBelowAreShownAboveWithTheirLastLinesAndOutliveARestart) {
    tree.add_app(center, "calendar", {"tokyo"}, {{"dataset", true}});
    tree.pass_s(5);
    break_app("calendar");
    tree.pass_s(15);
    tree.cut(tokyo);
    tree.restart(center);
    const Json errors = member(center.status(), "errors_below");
    ASSERT_EQ(errors.size(), 1U);
    EXPECT_EQ(text_of(errors[0], "tier"), "tokyo");
    EXPECT_EQ(text_of(errors[0], "id"), "app.failed");
    EXPECT_FALSE(text_of(errors[0], "at").empty());
    EXPECT_NE(text_of(errors[0], "last_lines").find("no such table"), std::string::npos);
}

TEST_F(Asked, BytesOnTheLinkAreCountedByWhatTheyWereFor) {
    const auto bytes = [&](Node& node, const char* side, const char* purpose, const char* way) {
        return int_of(member(member(member(node.status(), "wan"), side), purpose), way);
    };
    const std::int64_t before = bytes(tokyo, "parent", "packs", "in");
    tree.add_app(center, "leaflets", {"tokyo"}, Json::object(), 100'000);
    tree.pass_s(10);
    EXPECT_GT(bytes(tokyo, "parent", "packs", "in") - before, 100'000);
    EXPECT_GT(bytes(center, "children", "packs", "out"), 100'000);
    EXPECT_GT(bytes(tokyo, "parent", "control", "out"), 0);
    tokyo.ask({{"t", "traffic"},
               {"parent", {{"in", 700}, {"out", 70}}},
               {"children", {{"in", 0}, {"out", 0}}}});
    EXPECT_EQ(bytes(tokyo, "parent", "requests", "in"), 700);
    EXPECT_TRUE(member(member(center.status(), "wan"), "parent").is_null());
}

TEST_F(Asked, WhatIsNotYetSentIsCountedWhereThereIsAParent) {
    const Json below = member(tokyo.status(), "unsent");
    EXPECT_EQ(int_of(below, "events", -1), 0);
    EXPECT_TRUE(member(member(center.status(), "unsent"), "events").is_null());
}

} // namespace hasp::maint::tests
