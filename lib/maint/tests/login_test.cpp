// Log-in at any tier with the account's home above, below and here.
#include "tree.h"

namespace hasp::maint::tests {

namespace {

constexpr const char* right = "correct horse";
constexpr const char* wrong = "battery staple";

int runs(const std::vector<Node*>& tiers) {
    int sum = 0;
    for (const Node* tier : tiers) {
        sum += tier->background_runs;
    }
    return sum;
}

} // namespace

class LoginAtDepth : public testing::TestWithParam<std::size_t> {};

TEST_P(LoginAtDepth, WorksWithTheAccountsHomeAboveBelowAndHere) {
    Tree tree;
    const std::vector<Node*> tiers = tree.chain(GetParam());
    for (Node* home : tiers) {
        tree.add_user(*home, "user-of-" + home->name, right, {"wiki"});
    }
    tree.pass_s(3);
    for (Node* home : tiers) {
        for (Node* at : tiers) {
            const int before = runs(tiers);
            const auto good = at->log_in("user-of-" + home->name, right);
            ASSERT_TRUE(good.has_value());
            EXPECT_EQ(good->status, 303) << at->name << " for " << home->name << good->body;
            EXPECT_EQ(runs(tiers) - before, 1) << "Argon2id runs exactly once";
            const Json who = at->who_cookie(good->cookie());
            EXPECT_EQ(text_of(who, "user"), "user-of-" + home->name);
            EXPECT_EQ(texts_of(who, "apps"), std::vector<std::string>{"wiki"});

            const int after = runs(tiers);
            const auto bad = at->log_in("user-of-" + home->name, wrong);
            ASSERT_TRUE(bad.has_value());
            EXPECT_EQ(bad->status, 401);
            EXPECT_EQ(runs(tiers) - after, 1) << "a wrong password costs the same";
        }
    }
}

TEST_P(LoginAtDepth, APasswordThatIsReplacedWhileItIsCheckedOpensNothing) {
    Tree tree;
    const std::vector<Node*> tiers = tree.chain(GetParam());
    Node& home = *tiers.front();
    Node& local = *tiers.back();
    tree.add_user(home, "anna", right);
    home.hold_background = true;
    // The new password is made first, and so it is there when the old one has been checked.
    static_cast<void>(home.admin("user.password", {{"name", "anna"}, {"password", wrong}}));
    EXPECT_FALSE(local.log_in("anna", right).has_value());
    home.let_background_go();
    const auto late = local.late_answer();
    ASSERT_TRUE(late.has_value());
    EXPECT_EQ(int_of(parse_object(late->head), "status"), 401);
    EXPECT_EQ(local.log_in("anna", wrong)->status, 303);
}

TEST_P(LoginAtDepth, AnUnknownUserCostsOneRunAndIsToldTheSame) {
    Tree tree;
    const std::vector<Node*> tiers = tree.chain(GetParam());
    tree.add_user(*tiers.front(), "anna", right);
    const auto wrong_password = tiers.back()->log_in("anna", wrong);
    const int before = runs(tiers);
    const auto unknown = tiers.back()->log_in("nobody", wrong);
    EXPECT_EQ(runs(tiers) - before, 1);
    EXPECT_EQ(unknown->status, wrong_password->status);
    const auto said = [](const PageSeen& page) {
        const std::size_t at = page.body.find("is not right");
        return at == std::string::npos ? "" : page.body.substr(at, 12);
    };
    EXPECT_EQ(said(*unknown), "is not right");
    EXPECT_EQ(said(*unknown), said(*wrong_password));
    const int again = runs(tiers);
    EXPECT_EQ(tiers.back()->log_in("No Name At All", wrong)->status, 401);
    EXPECT_EQ(runs(tiers) - again, 1);
}

TEST_P(LoginAtDepth, EveryTierOnTheWayUpGrantsTheSession) {
    Tree tree;
    const std::vector<Node*> tiers = tree.chain(GetParam());
    tree.add_user(*tiers.front(), "anna", right, {"wiki"});
    const auto page = tiers.back()->log_in("anna", right);
    const std::string sid = text_of(tiers.back()->who_cookie(page->cookie()), "sid");
    ASSERT_EQ(sid.size(), 32U);
    tree.crossed.clear();
    for (std::size_t i = 0; i + 1 < tiers.size(); ++i) {
        EXPECT_EQ(text_of(tiers[i]->who_link(tiers[i + 1]->name, sid), "user"), "anna");
    }
    EXPECT_EQ(tree.count("session.who"), 0U) << "a grant is there: nobody is asked";
}

INSTANTIATE_TEST_SUITE_P(Depths, LoginAtDepth, testing::Values(1, 2, 3, 4));

TEST(LoginAcrossBranches, WorksForAnAccountOfASibling) {
    Tree tree;
    Node& center = tree.top();
    Node& tokyo = tree.below(center, "tokyo");
    Node& osaka = tree.below(center, "osaka");
    tree.add_user(tokyo, "reception", right, {"wiki"});
    const auto page = osaka.log_in("reception", right);
    ASSERT_EQ(page->status, 303) << page->body;
    EXPECT_EQ(text_of(osaka.who_cookie(page->cookie()), "user"), "reception");
}

TEST(LoginWithoutALink, SaysThatTheHomeCannotBeAskedAndHoldsNothingAgainstTheAccountThere) {
    Tree tree;
    Node& center = tree.top();
    Node& tokyo = tree.below(center, "tokyo");
    tree.add_user(center, "anna", right);
    tree.cut(tokyo);
    for (int i = 0; i < 20; ++i) {
        const int status = tokyo.log_in("anna", right)->status;
        EXPECT_TRUE(status == 401 || status == 429) << status;
    }
    ASSERT_TRUE(tree.link(tokyo));
    EXPECT_EQ(tokyo.log_in("anna", right)->status, 303);
}

TEST(LoginWhileTheLinkIsCut, IsAnsweredWhenTheQuestionIsLost) {
    Tree tree;
    Node& center = tree.top();
    Node& tokyo = tree.below(center, "tokyo");
    tree.add_user(center, "anna", right);
    tree.cut_at("login", 0);
    const auto page = tokyo.log_in("anna", right);
    ASSERT_TRUE(page.has_value());
    EXPECT_EQ(page->status, 401);
    EXPECT_NE(page->body.find("cannot be checked now"), std::string::npos);
}

TEST(Guessing, IsSlowedDownPerAccount) {
    Config config;
    config.login.failures_before_delay = 3;
    Tree tree;
    Node& center = tree.top("center", config);
    tree.add_user(center, "anna", right);
    std::optional<PageSeen> page;
    for (int i = 0; i < 6; ++i) {
        page = center.log_in("anna", wrong);
    }
    EXPECT_EQ(page->status, 429);
    EXPECT_FALSE(page->header("retry-after").empty());
    const int before = center.background_runs;
    EXPECT_EQ(center.log_in("anna", right)->status, 429);
    EXPECT_EQ(center.background_runs, before);
}

TEST(TooManyLoginsAtOnce, AreRefusedInsteadOfQueuedWithoutEnd) {
    Config config;
    config.login.attempts_per_minute_per_address = 100'000;
    Tree tree;
    Node& center = tree.top("center", config);
    center.hold_background = true;
    std::size_t refused = 0;
    for (int i = 0; i < 260; ++i) {
        const auto page = center.log_in("user" + std::to_string(i), wrong, "/",
                                        {{"client", "192.0.2." + std::to_string(i % 200)}});
        refused += page && page->status == 429 ? 1 : 0;
    }
    EXPECT_LE(center.held.size(), 200U);
    EXPECT_GT(refused, 0U);
    center.held.clear();
}

TEST(TooManyLoginsAtOnce, ThatWaitedTooLongAreNotCheckedAnyMoreAndNotHeldAgainstTheAccount) {
    Tree tree;
    Node& center = tree.top("center");
    tree.add_user(center, "anna", right);
    center.hold_background = true;
    EXPECT_FALSE(center.log_in("anna", right)) << "it waits";
    tree.clock.advance_us(11'000'000);
    center.let_background_go();
    const auto late = center.late_answer();
    ASSERT_TRUE(late);
    EXPECT_EQ(int_of(parse_object(late->head), "status"), 429);
    EXPECT_EQ(center.log_in("anna", right)->status, 303);
}

TEST(Tokens, OpenAtAnyDepthAndEndWhenTheyAreRevoked) {
    Tree tree;
    const std::vector<Node*> tiers = tree.chain(4);
    tree.add_user(*tiers[0], "robot", right, {"calendar"});
    const Json made = *tiers[0]->admin("token.create", {{"user", "robot"}, {"label", "phone"}});
    const std::string text = text_of(made, "token");
    for (Node* at : tiers) {
        const Json who = at->who_token(text, "robot");
        EXPECT_EQ(text_of(who, "user"), "robot") << at->name;
        EXPECT_EQ(texts_of(who, "apps"), std::vector<std::string>{"calendar"});
        EXPECT_TRUE(at->who_token(text, "somebody").is_null());
    }
    const std::string sid = text_of(made, "id");
    EXPECT_EQ(text_of(tiers[2]->who_link("ward", sid), "user"), "robot");
    for (Node* at : tiers) {
        at->to_front.clear();
    }
    ASSERT_TRUE(tiers[0]->admin("token.revoke", {{"id", sid}}).ok());
    for (Node* at : tiers) {
        EXPECT_TRUE(at->who_token(text, "robot").is_null()) << at->name;
        bool dropped = false;
        for (const Json& frame : at->to_front) {
            for (const std::string& gone : texts_of(frame, "sids")) {
                dropped = dropped || gone == sid;
            }
        }
        EXPECT_TRUE(dropped) << at->name;
    }
    EXPECT_TRUE(tiers[2]->who_link("ward", sid).is_null());
}

TEST(Tokens, OfAnAccountBelowOpenAtTheTierAboveUnderItsName) {
    Tree tree;
    const std::vector<Node*> tiers = tree.chain(3);
    tree.add_user(*tiers[2], "robot", right, {"calendar"});
    const Json made = *tiers[2]->admin("token.create", {{"user", "robot"}});
    EXPECT_EQ(text_of(tiers[0]->who_token(text_of(made, "token"), "robot"), "user"), "robot");
}

} // namespace hasp::maint::tests
