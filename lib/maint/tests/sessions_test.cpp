// What ends a session ends it everywhere.
#include "tree.h"

#include "base/text.h"

namespace hasp::maint::tests {

namespace {

struct Everywhere : testing::Test {
    Everywhere() {
        tree.add_user(*tiers[0], "anna", good_password, {"wiki", "mail"});
        const auto page = ward.log_in("anna", good_password);
        cookie = page->cookie();
        sid = text_of(ward.who_cookie(cookie), "sid");
    }
    Json at_parent(std::size_t depth) {
        return tiers[depth]->who_link(tiers[depth + 1]->name, sid);
    }
    void expect_gone() {
        EXPECT_TRUE(ward.who_cookie(cookie).is_null());
        for (std::size_t depth = 0; depth < 3; ++depth) {
            EXPECT_TRUE(at_parent(depth).is_null()) << depth;
        }
    }
    Tree tree;
    std::vector<Node*> tiers = tree.chain(4);
    Node& ward = *tiers[3];
    std::string cookie;
    std::string sid;
};

} // namespace

TEST_F(Everywhere, LogOutEndsTheSessionAtEveryTier) {
    const auto page = ward.page({{"method", "POST"}, {"target", "/hasp/logout"}, {"sid", sid}});
    EXPECT_EQ(page->status, 200);
    expect_gone();
}

TEST_F(Everywhere, DisablingTheAccountEndsTheSessionAtEveryTier) {
    ASSERT_TRUE(tiers[0]->admin("user.disable", {{"name", "anna"}}).ok());
    expect_gone();
}

TEST_F(Everywhere, RemovingTheAccountEndsTheSessionAtEveryTier) {
    ASSERT_TRUE(tiers[0]->admin("user.remove", {{"name", "anna"}}).ok());
    expect_gone();
}

TEST_F(Everywhere, APasswordChangeEndsTheSessionAtEveryTier) {
    ASSERT_TRUE(
        tiers[0]->admin("user.password", {{"name", "anna"}, {"password", "another one"}}).ok());
    expect_gone();
    EXPECT_EQ(ward.log_in("anna", good_password)->status, 401);
    EXPECT_EQ(ward.log_in("anna", "another one")->status, 303);
}

TEST_F(Everywhere, AWithdrawnAppIsGoneFromTheIdentityAtEveryTier) {
    ASSERT_TRUE(tiers[0]->admin("user.withdraw", {{"user", "anna"}, {"apps", {"mail"}}}).ok());
    const std::vector<std::string> left{"wiki"};
    EXPECT_EQ(texts_of(ward.who_cookie(cookie), "apps"), left);
    for (std::size_t depth = 0; depth < 3; ++depth) {
        EXPECT_EQ(texts_of(at_parent(depth), "apps"), left) << depth;
    }
    bool dropped = false;
    for (const Json& frame : ward.to_front) {
        for (const std::string& user : texts_of(frame, "users")) {
            dropped = dropped || user == "anna";
        }
    }
    EXPECT_TRUE(dropped) << "front's cache is told";
}

TEST_F(Everywhere, RevokingATierEndsWhatWasGrantedThroughIt) {
    ASSERT_TRUE(tiers[1]->admin("local.revoke", {{"name", "tokyo"}}).ok());
    EXPECT_TRUE(at_parent(0).is_null());
    EXPECT_TRUE(at_parent(1).is_null());
}

TEST_F(Everywhere, WhatEndedWhileTheLinkWasCutEndsWhenItIsBack) {
    tree.cut(*tiers[1]);
    ASSERT_TRUE(tiers[0]->admin("user.disable", {{"name", "anna"}}).ok());
    EXPECT_FALSE(ward.who_cookie(cookie).is_null());
    ASSERT_TRUE(tree.link(*tiers[1]));
    expect_gone();
}

TEST_F(Everywhere, WhatWasWithdrawnWhileTheLinkWasCutIsGoneWhenItIsBack) {
    tree.cut(*tiers[1]);
    ASSERT_TRUE(tiers[0]->admin("user.withdraw", {{"user", "anna"}, {"apps", {"mail"}}}).ok());
    ASSERT_TRUE(tree.link(*tiers[1]));
    EXPECT_EQ(texts_of(ward.who_cookie(cookie), "apps"), std::vector<std::string>{"wiki"});
}

TEST_F(Everywhere, ALogOutWhileTheLinkWasCutIsSaidWhenItIsBackAlsoAfterARestart) {
    tree.cut(ward);
    ward.page({{"method", "POST"}, {"target", "/hasp/logout"}, {"sid", sid}});
    EXPECT_FALSE(at_parent(0).is_null());
    tree.restart(ward);
    ASSERT_TRUE(tree.link(ward));
    expect_gone();
}

TEST_F(Everywhere, ASessionThatStandsSurvivesALostLinkAndARestart) {
    tree.cut(ward);
    ASSERT_TRUE(tree.link(ward));
    tree.restart(*tiers[1]);
    tree.restart(ward);
    EXPECT_EQ(text_of(ward.who_cookie(cookie), "user"), "anna");
    EXPECT_EQ(text_of(at_parent(0), "user"), "anna");
}

TEST(SessionsOfAccountsBelow, SurviveWhenTheTiersOwnParentComesBack) {
    Tree tree;
    const std::vector<Node*> tiers = tree.chain(3);
    tree.add_user(*tiers[2], "mei", good_password);
    const auto page = tiers[1]->log_in("mei", good_password);
    ASSERT_EQ(page->status, 303);
    tree.cut(*tiers[1]);
    ASSERT_TRUE(tree.link(*tiers[1]));
    EXPECT_EQ(text_of(tiers[1]->who_cookie(page->cookie()), "user"), "mei");
}

TEST(SessionsOfAccountsBelow, EndAboveWhenTheAccountChangedWhileTheLinkWasCut) {
    Tree tree;
    const std::vector<Node*> tiers = tree.chain(3);
    tree.add_user(*tiers[2], "mei", good_password);
    const auto page = tiers[0]->log_in("mei", good_password);
    ASSERT_EQ(page->status, 303);
    tree.cut(*tiers[2]);
    ASSERT_TRUE(tiers[2]->admin("user.disable", {{"name", "mei"}}).ok());
    ASSERT_TRUE(tree.link(*tiers[2]));
    EXPECT_TRUE(tiers[0]->who_cookie(page->cookie()).is_null());
}

TEST(SessionsOfATiersOwnUsers, AreVouchedForUpwardByTheTierAlone) {
    Tree tree;
    const std::vector<Node*> tiers = tree.chain(4);
    tree.add_user(*tiers[3], "mei", good_password, {"wiki"});
    const auto page = tiers[3]->log_in("mei", good_password);
    const std::string sid = text_of(tiers[3]->who_cookie(page->cookie()), "sid");
    for (std::size_t depth = 3; depth-- > 0;) {
        EXPECT_EQ(text_of(tiers[depth]->who_link(tiers[depth + 1]->name, sid), "user"), "mei");
    }
}

TEST(NewsOfAnAccount, GiveATokenNothingThatItWasNotMadeFor) {
    Tree tree;
    const std::vector<Node*> tiers = tree.chain(3);
    tree.add_user(*tiers[0], "anna", good_password, {"wiki", "mail"});
    const auto made =
        tiers[0]->admin("token.create", {{"user", "anna"}, {"label", "cron"}, {"apps", {"wiki"}}});
    ASSERT_TRUE(made.ok());
    const std::vector<std::string> only{"wiki"};
    const Json who = tiers[2]->who_token(text_of(*made, "token"));
    ASSERT_EQ(texts_of(who, "apps"), only);
    ASSERT_TRUE(tiers[0]->admin("user.entitle", {{"user", "anna"}, {"apps", {"xray"}}}).ok());
    for (std::size_t depth = 0; depth < 2; ++depth) {
        const Json above = tiers[depth]->who_link(tiers[depth + 1]->name, text_of(who, "sid"));
        EXPECT_TRUE(above.is_null() || texts_of(above, "apps") == only) << depth << dump(above);
    }
}

TEST(NewsOfAnAccount, ReachesOnlyTheTiersWhereItsUserIs) {
    Tree tree;
    Node& center = tree.top();
    Node& tokyo = tree.below(center, "tokyo");
    tree.below(center, "osaka");
    tree.add_user(center, "anna", good_password, {"wiki"});
    tokyo.log_in("anna", good_password);
    tree.crossed.clear();
    ASSERT_TRUE(center.admin("user.entitle", {{"user", "anna"}, {"apps", {"mail"}}}).ok());
    for (const Crossed& message : tree.crossed) {
        if (text_of(message.head, "t") == "identity.changed") {
            EXPECT_EQ(message.to, "tokyo");
        }
    }
    EXPECT_EQ(tree.count("identity.changed"), 1U);
}

TEST(AccountNames, AreUniqueInTheRealm) {
    Tree tree;
    const std::vector<Node*> tiers = tree.chain(3);
    Node& east = tree.below(*tiers[0], "east");
    tree.add_user(*tiers[0], "anna", good_password);
    tree.add_user(*tiers[2], "mei", good_password);
    for (const auto& [at, name] : {std::pair{tiers[2], "anna"},
                                   {tiers[0], "mei"},
                                   {tiers[1], "mei"},
                                   {&east, "mei"},
                                   {&east, "anna"}}) {
        const auto added = at->admin("user.add", {{"name", name}, {"password", good_password}});
        ASSERT_FALSE(added.ok()) << at->name << " " << name;
        EXPECT_EQ(added.error().code, Code::conflict) << added.error().message;
    }
}

TEST(AccountNames, CannotBeClaimedWhileTheParentCannotBeReached) {
    Tree tree;
    const std::vector<Node*> tiers = tree.chain(3);
    tree.cut(*tiers[1]);
    const auto added = tiers[2]->admin("user.add", {{"name", "mei"}, {"password", good_password}});
    ASSERT_FALSE(added.ok());
    EXPECT_EQ(added.error().code, Code::unreachable);
    EXPECT_FALSE(tiers[2]->admin("user.show", {{"name", "mei"}}).ok());
}

TEST(AccountNames, AreFreeAgainWhenTheAccountIsRemovedAlsoWithoutALink) {
    Tree tree;
    const std::vector<Node*> tiers = tree.chain(3);
    tree.add_user(*tiers[2], "mei", good_password);
    tree.cut(*tiers[2]);
    ASSERT_TRUE(tiers[2]->admin("user.remove", {{"name", "mei"}}).ok());
    ASSERT_TRUE(tree.link(*tiers[2]));
    EXPECT_TRUE(tiers[0]->admin("user.add", {{"name", "mei"}, {"password", good_password}}).ok());
}

} // namespace hasp::maint::tests
