// Log-in while the account's home cannot be asked, and what becomes of such a session.
#include "tree.h"

#include "base/text.h"

#include <set>

namespace hasp::maint::tests {

namespace {

constexpr const char* right = "correct horse";
constexpr const char* wrong = "battery staple";

} // namespace

// A chain with "nurse" at the top, on the lists of all tiers below, never logged in anywhere.
class Offline : public testing::TestWithParam<std::size_t> {
  protected:
    void SetUp() override {
        tiers = tree.chain(GetParam());
        tree.add_user(home(), "nurse", right, {"wiki", "xray"});
        tree.add_user(home(), "zoe", right, {"wiki"});
        allow("nurse");
        tree.pass_s(5);
    }
    void allow(const std::string& user) {
        for (std::size_t i = 0; i + 1 < tiers.size(); ++i) {
            ASSERT_TRUE(
                tiers[i]
                    ->admin("local.allow", {{"name", tiers[i + 1]->name}, {"users", {user}}})
                    .ok());
        }
    }
    Node& home() { return *tiers.front(); }
    Node& local() { return *tiers.back(); }
    // The link at which the chain breaks: the highest, so that the local's own stays up at depth.
    Node& broken() { return *tiers[1]; }
    std::string log_in_offline() {
        const auto page = local().log_in("nurse", right);
        EXPECT_EQ(page->status, 303) << page->body;
        return page->cookie();
    }
    int runs() const {
        int sum = 0;
        for (const Node* tier : tiers) {
            sum += tier->background_runs;
        }
        return sum;
    }
    Tree tree;
    std::vector<Node*> tiers;
};
INSTANTIATE_TEST_SUITE_P(Depths, Offline, testing::Values(2, 3, 4));

TEST_P(Offline, WhoNeverLoggedInAnywhereLogsInAndMayUseWhatTheGrantSays) {
    tree.cut(broken());
    const int before = runs();
    const Json who = local().who_cookie(log_in_offline());
    EXPECT_EQ(runs() - before, 1) << "Argon2id runs exactly once";
    EXPECT_EQ(text_of(who, "user"), "nurse");
    EXPECT_EQ(texts_of(who, "apps"), (std::vector<std::string>{"wiki", "xray"}));
}

TEST_P(Offline, EveryFailureCostsOneRunAndIsAnsweredAlike) {
    tree.cut(broken());
    std::set<std::string> said;
    for (const auto& [user, password] : {std::pair{"nurse", wrong}, std::pair{"zoe", right},
                                         std::pair{"zoe", wrong}, std::pair{"nobody", wrong}}) {
        const int before = runs();
        const auto page = local().log_in(user, password);
        EXPECT_EQ(runs() - before, 1) << user;
        EXPECT_EQ(page->status, 401);
        std::string text = page->body;
        for (std::size_t at = text.find(user); at != std::string::npos; at = text.find(user)) {
            text.erase(at, std::string(user).size());
        }
        said.insert(text);
    }
    EXPECT_EQ(said.size(), 1U);
    EXPECT_NE(said.begin()->find("cannot be checked now"), std::string::npos);
}

TEST_P(Offline, LogInWorksToTheLastSecondOfTheGrantAndTheSessionEndsWithIt) {
    std::int64_t until_us = 0;
    const Json lease = *local().admin("lease.show");
    for (const Json& grant : member(lease, "grants")) {
        if (text_of(grant, "kind") == "log-in") {
            until_us = tree.clock.wall_us() + 8 * day_s * 1'000'000;
            const std::string end = text_of(grant, "expires");
            while (rfc3339(until_us) > end) {
                until_us -= 1'000'000;
            }
        }
    }
    ASSERT_GT(until_us, 0);
    tree.cut(broken());
    const std::int64_t left_s = (until_us - tree.clock.wall_us()) / 1'000'000 - 2;
    tree.pass_s(left_s / 3600 * 3600, 3600);
    tree.pass_s(left_s % 3600 / 60 * 60, 60);
    tree.pass_s(left_s % 60);
    const std::string cookie = log_in_offline();
    EXPECT_LE(int_of(local().who_cookie(cookie), "until_us"), until_us + 1'000'000);
    tree.pass_s(3);
    EXPECT_EQ(local().log_in("nurse", right)->status, 401);
    EXPECT_TRUE(local().who_cookie(cookie).is_null());
}

TEST_P(Offline, SettingTheClockBackLengthensNoGrantAlsoOverAReboot) {
    tree.cut(broken());
    tree.pass_s(6 * day_s, 3600);
    tree.clock.wall -= 5 * day_s * 1'000'000;
    tree.pass_s(600, 60);
    EXPECT_EQ(local().log_in("nurse", right)->status, 303) << "the seventh day has begun";
    tree.power_cut();
    tree.pass_s(day_s, 3600);
    EXPECT_EQ(local().log_in("nurse", right)->status, 401) << "by uptime the seven days are over";
}

TEST_P(Offline, AClockThatIsSetForwardEndsGrantsOnlyWhereNoSignedTimeIsKnown) {
    tree.cut(broken());
    tree.clock.wall += 30 * day_s * 1'000'000;
    tree.pass_s(2);
    EXPECT_EQ(local().log_in("nurse", right)->status, 303)
        << "the parent said what time it is, in this boot";
    tree.power_cut();
    EXPECT_EQ(local().log_in("nurse", right)->status, 401) << "nobody says so after the reboot";
    tree.clock.wall -= 30 * day_s * 1'000'000;
    tree.power_cut();
    EXPECT_EQ(local().log_in("nurse", right)->status, 303) << "no tier has believed it for good";
}

TEST_P(Offline, APasswordThatTheLeaseReplacesWhileItIsCheckedOpensNothing) {
    tree.cut(broken());
    local().hold_background = true;
    EXPECT_FALSE(local().log_in("nurse", right).has_value());
    ASSERT_TRUE(
        home().admin("user.password", {{"name", "nurse"}, {"password", "another horse"}}).ok());
    ASSERT_TRUE(tree.link(broken()));
    tree.pass_s(5);
    local().let_background_go();
    const auto late = local().late_answer();
    ASSERT_TRUE(late.has_value());
    EXPECT_EQ(int_of(parse_object(late->head), "status"), 401);
}

TEST_P(Offline, TheTierAboveAsksWhoBeganOfflineToLogIn) {
    tree.cut(broken());
    const std::string cookie = log_in_offline();
    const std::string sid = text_of(local().who_cookie(cookie), "sid");
    ASSERT_TRUE(tree.link(broken()));
    tree.pass_s(70);
    EXPECT_EQ(text_of(local().who_cookie(cookie), "user"), "nurse") << "it goes on here";
    EXPECT_TRUE(tiers[tiers.size() - 2]->who_link(local().name, sid).is_null());
    const auto portal = local().get("/", {{"sid", sid}});
    EXPECT_NE(portal->body.find("ask you to log in again"), std::string::npos);
    const auto page = local().log_in("nurse", right);
    ASSERT_EQ(page->status, 303);
    const std::string again = text_of(local().who_cookie(page->cookie()), "sid");
    EXPECT_EQ(text_of(tiers[tiers.size() - 2]->who_link(local().name, again), "user"), "nurse");
}

TEST_P(Offline, AfterTheReturnAChangedPasswordEndsTheSession) {
    tree.cut(broken());
    const std::string cookie = log_in_offline();
    ASSERT_TRUE(
        home().admin("user.password", {{"name", "nurse"}, {"password", "another horse"}}).ok());
    EXPECT_EQ(text_of(local().who_cookie(cookie), "user"), "nurse");
    ASSERT_TRUE(tree.link(broken()));
    tree.pass_s(70);
    EXPECT_TRUE(local().who_cookie(cookie).is_null());
}

TEST_P(Offline, AfterTheReturnADisabledAccountsSessionEnds) {
    tree.cut(broken());
    const std::string cookie = log_in_offline();
    ASSERT_TRUE(home().admin("user.disable", {{"name", "nurse"}}).ok());
    ASSERT_TRUE(tree.link(broken()));
    tree.pass_s(70);
    EXPECT_TRUE(local().who_cookie(cookie).is_null());
    tree.cut(broken());
    EXPECT_EQ(local().log_in("nurse", right)->status, 401) << "the lease has forgotten it too";
}

TEST_P(Offline, AfterTheReturnARemovedAccountsSessionEnds) {
    tree.cut(broken());
    const std::string cookie = log_in_offline();
    ASSERT_TRUE(home().admin("user.remove", {{"name", "nurse"}}).ok());
    ASSERT_TRUE(tree.link(broken()));
    tree.pass_s(70);
    EXPECT_TRUE(local().who_cookie(cookie).is_null());
}

TEST_P(Offline, AfterTheReturnAWithdrawnAppIsGoneFromTheSession) {
    tree.cut(broken());
    const std::string cookie = log_in_offline();
    ASSERT_TRUE(home().admin("user.withdraw", {{"user", "nurse"}, {"apps", {"xray"}}}).ok());
    ASSERT_TRUE(tree.link(broken()));
    tree.pass_s(70);
    EXPECT_EQ(texts_of(local().who_cookie(cookie), "apps"), std::vector<std::string>{"wiki"});
}

TEST_P(Offline, NewsReachASessionBegunOfflineAlsoWhenTheLinkIsUp) {
    tree.cut(broken());
    const std::string cookie = log_in_offline();
    ASSERT_TRUE(tree.link(broken()));
    tree.pass_s(70);
    ASSERT_FALSE(local().who_cookie(cookie).is_null());
    ASSERT_TRUE(
        home().admin("user.password", {{"name", "nurse"}, {"password", "another horse"}}).ok());
    tree.settle();
    EXPECT_TRUE(local().who_cookie(cookie).is_null());
}

TEST_P(Offline, AnOperatorNeverLogsInBelowWithoutHisHome) {
    ASSERT_TRUE(
        home().admin("user.add", {{"name", "boss"}, {"password", right}, {"operator", true}}).ok());
    allow("boss");
    tree.pass_s(5);
    tree.cut(broken());
    EXPECT_EQ(local().log_in("boss", right)->status, 401);
}

TEST_P(Offline, ARestartWithoutTheLinkForgetsNeitherTheLeaseNorTheSession) {
    tree.cut(broken());
    const std::string cookie = log_in_offline();
    tree.restart(local());
    EXPECT_EQ(text_of(local().who_cookie(cookie), "user"), "nurse");
    EXPECT_EQ(local().log_in("nurse", right)->status, 303);
}

TEST(OfflineLog, GuessesAreSlowedDownOnTheListAndOffItAlike) {
    Config config;
    config.login.failures_before_delay = 3;
    Tree tree;
    Node& center = tree.top();
    Node& tokyo = tree.below(center, "tokyo", config);
    tree.add_user(center, "nurse", right, {"wiki"});
    ASSERT_TRUE(center.admin("local.allow", {{"name", "tokyo"}, {"users", {"nurse"}}}).ok());
    tree.pass_s(3);
    tree.cut(tokyo);
    for (const char* user : {"nurse", "zoe"}) {
        std::vector<int> said;
        for (int i = 0; i < 4; ++i) {
            said.push_back(tokyo.log_in(user, wrong)->status);
        }
        EXPECT_EQ(said, (std::vector<int>{401, 401, 401, 429})) << user;
    }
}

TEST(OfflineLog, AChildLearnsNothingOfUsersWhoAreNotOnItsList) {
    Tree tree;
    Node& center = tree.top();
    Node& tokyo = tree.below(center, "tokyo");
    tree.add_user(center, "zoe", right, {"wiki"});
    tree.pass_s(3);
    tree.crossed.clear();
    tree.forge(
        tokyo,
        {{"t", "session.offline"}, {"q", 77}, {"users", {{{"user", "zoe"}, {"version", 1}}}}});
    for (const Crossed& message : tree.crossed) {
        EXPECT_EQ(message.head.dump().find("wiki"), std::string::npos);
    }
    ASSERT_FALSE(tree.crossed.empty());
}

} // namespace hasp::maint::tests
