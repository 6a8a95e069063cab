// How far tiers are with their releases: kept, said upward, and shown as the word of whom it is.
#include "rollouts.h"
#include "tree.h"

namespace hasp::maint::tests {

namespace {

struct Rolled : testing::Test {
    Tree tree;
    std::vector<Node*> tiers = tree.chain(3);
    Node& upper = *tiers[0];
    Node& center = *tiers[1];
    Node& tokyo = *tiers[2];

    Json rollouts(Node& at, const Json& args = Json::object()) {
        const auto answer = at.admin("app.rollouts", args);
        return answer.ok() ? member(*answer, "rollouts") : Json();
    }
    static std::string place(const Json& rollout) {
        return text_of(rollout, "tier") + " " + text_of(rollout, "app") + " " +
               text_of(rollout, "state");
    }
};

} // namespace

TEST_F(Rolled, EachTierSaysItsOwnUpwardAndAParentKnowsThemAll) {
    const std::string release = tree.add_app(upper, "leaflets", {"upper", "center", "tokyo"});
    tree.pass_s(5);
    const Json all = rollouts(upper);
    ASSERT_EQ(all.size(), 3U);
    EXPECT_EQ(place(all[0]), "hasp://clinics/upper leaflets serving");
    EXPECT_EQ(place(all[1]), "hasp://clinics/upper/center leaflets serving");
    EXPECT_EQ(place(all[2]), "hasp://clinics/upper/center/tokyo leaflets serving");
    EXPECT_EQ(all[2]["serves"], release);
    EXPECT_EQ(rollouts(tokyo).size(), 1U);
    EXPECT_EQ(upper.status()["rollouts"], all);
    EXPECT_TRUE(rollouts(upper, {{"app", "atlas"}}).empty());
    EXPECT_TRUE(rollouts(upper, {{"release", "another"}}).empty());
    EXPECT_EQ(rollouts(upper, {{"app", "leaflets"}, {"release", release}}), all);
}

TEST_F(Rolled, WhatATierSaidLastIsKnownAfterARestartWithoutIt) {
    tree.add_app(upper, "leaflets", {"tokyo"});
    tree.pass_s(5);
    const Json before = rollouts(upper);
    ASSERT_EQ(before.size(), 1U);
    tree.cut(tokyo);
    tree.cut(center);
    tree.restart(upper);
    tree.restart(tokyo);
    EXPECT_EQ(rollouts(upper), before);
    EXPECT_EQ(rollouts(tokyo), before);
    ASSERT_TRUE(upper.admin("local.revoke", {{"name", "center"}}).ok());
    EXPECT_TRUE(rollouts(upper).empty());
}

TEST_F(Rolled, ATierWaitsAndSaysForWhatAndItsOldReleaseServes) {
    const std::string old = tree.add_app(upper, "leaflets", {"tokyo"}, {{"text", "0"}});
    tree.pass_s(5);
    tree.cut_at("release.get", 1); // between center and tokyo
    const std::string next = tree.add_app(upper, "leaflets", {"tokyo"}, {{"text", "1"}});
    tree.pass_s(2);
    const Json waiting = rollouts(tokyo);
    ASSERT_EQ(waiting.size(), 1U);
    EXPECT_EQ(waiting[0]["release"], next);
    EXPECT_EQ(waiting[0]["state"], "waiting");
    EXPECT_EQ(waiting[0]["serves"], old);
    EXPECT_NE(text_of(waiting[0], "why"), "");
    ASSERT_TRUE(tree.link(tokyo));
    tree.pass_s(15);
    EXPECT_EQ(rollouts(upper)[0]["state"], "serving");
    EXPECT_EQ(rollouts(upper)[0]["serves"], next);
}

TEST_F(Rolled, ARemovedAppHasNoRollout) {
    tree.add_app(upper, "leaflets", {"tokyo"});
    tree.pass_s(5);
    ASSERT_TRUE(upper.admin("app.remove", {{"name", "leaflets"}}).ok());
    tree.pass_s(5);
    EXPECT_TRUE(rollouts(upper).empty());
    EXPECT_TRUE(rollouts(tokyo).empty());
}

TEST_F(Rolled, OneThatIsNotToComeAnyMoreIsNotWaitedFor) {
    tree.cut_at("release.get", 1);
    tree.add_app(upper, "leaflets", {"tokyo"});
    tree.pass_s(2);
    EXPECT_EQ(rollouts(tokyo).size(), 1U);
    ASSERT_TRUE(upper.admin("app.remove", {{"name", "leaflets"}}).ok());
    ASSERT_TRUE(tree.link(tokyo));
    tree.pass_s(15);
    EXPECT_TRUE(rollouts(tokyo).empty());
    EXPECT_TRUE(rollouts(upper).empty());
}

TEST_F(Rolled, AChildSpeaksForItselfAndThoseBelowItAlone) {
    const auto said = [](const std::string& tier, const Json& more = Json::object()) {
        Json one{{"tier", tier},           {"app", "leaflets"}, {"release", "r1"},
                 {"state", "rolled_back"}, {"serves", ""},      {"at", "2026-11-23T16:02:16Z"}};
        one.update(more);
        return one;
    };
    const std::string below = "hasp://clinics/upper/center";
    tree.forge(center,
               {{"t", "report"},
                {"apps", Json::array()},
                {"accounts", Json::array()},
                {"generation", 0},
                {"lease", 0},
                {"status", Json::object()},
                {"rollouts",
                 {said(below, {{"why", std::string(10'000, 'y')},
                               {"last_lines", std::string(5'000, 'x') + "\nthe end"}}),
                  said("hasp://clinics/upper"), said("hasp://clinics/upper/centerpiece"),
                  said(below + "/x", {{"state", "best"}}), said(below + "/x", {{"app", "../x"}}),
                  said(below + "/x", {{"at", 5}}), Json(7)}}});
    const Json all = rollouts(upper);
    ASSERT_EQ(all.size(), 1U) << dump(all, 1);
    EXPECT_EQ(all[0]["tier"], below);
    EXPECT_EQ(text_of(all[0], "why").size(), rollout_text_bytes_max);
    EXPECT_EQ(all[0]["last_lines"], "the end");
}

} // namespace hasp::maint::tests
