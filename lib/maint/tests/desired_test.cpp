#include "tree.h"

#include <algorithm>
#include <filesystem>

namespace hasp::maint::tests {

namespace {

struct Ordered : testing::Test {
    Tree tree;
    std::vector<Node*> tiers = tree.chain(3);
    Node& center = *tiers[1];
    Node& tokyo = *tiers[2];
    Json child(Node& node) { return node.status()["children"][0]; }
};

} // namespace

TEST_F(Ordered, ATargetTwoLevelsDownIsReachedAndReported) {
    const std::string release = tree.add_app(*tiers[0], "leaflets", {"tokyo"});
    tree.pass_s(5);
    EXPECT_EQ(tokyo.route("leaflets"), registry::Route::here);
    EXPECT_EQ(tokyo.status()["apps"][0]["release"], release);
    EXPECT_EQ(tokyo.status()["apps"][0]["origin"], "hasp://clinics/upper");
    for (Node* at : {tiers[0], &center}) {
        const Json below = child(*at);
        EXPECT_EQ(below["desired"]["generation"], below["reached"]["generation"]) << at->name;
        EXPECT_EQ(at->route("leaflets"), registry::Route::child) << at->name;
    }
}

TEST_F(Ordered, TheSameOrderAgainMovesNoGeneration) {
    tree.add_app(*tiers[0], "leaflets", {"tokyo"});
    tree.pass_s(5);
    const Json before = child(*tiers[0])["desired"];
    tree.add_app(*tiers[0], "leaflets", {"tokyo"});
    tree.pass_s(5);
    EXPECT_EQ(child(*tiers[0])["desired"], before);
}

TEST_F(Ordered, AnExplicitRemovalIsObeyedTwoLevelsDown) {
    tree.add_app(*tiers[0], "leaflets", {"tokyo"});
    tree.pass_s(5);
    ASSERT_TRUE(tiers[0]->admin("app.remove", {{"name", "leaflets"}}).ok());
    tree.pass_s(5);
    EXPECT_FALSE(tokyo.app("leaflets"));
    EXPECT_TRUE(tokyo.status()["apps"].empty());
}

TEST_F(Ordered, ALostLinkRemovesNothing) {
    tree.add_app(*tiers[0], "leaflets", {"tokyo"});
    tree.pass_s(5);
    tree.cut(center);
    tree.cut(tokyo);
    tree.restart(tokyo);
    tree.pass_s(7200, 60);
    EXPECT_EQ(tokyo.route("leaflets"), registry::Route::here);
}

TEST_F(Ordered, AReleaseComesInChunksAndGoesOnWhereALostLinkStoppedIt) {
    tree.cut_at("pack.get", 3);
    tree.add_app(*tiers[0], "atlas", {"center"}, Json::object(), 2 << 20);
    EXPECT_FALSE(tree.linked(center));
    EXPECT_FALSE(center.route("atlas") == registry::Route::here);
    const std::filesystem::directory_iterator spool(center.state + "/spool");
    const auto here = static_cast<std::int64_t>(std::filesystem::file_size(spool->path()));
    EXPECT_GT(here, 0);
    tree.crossed.clear();
    ASSERT_TRUE(tree.link(center));
    tree.pass_s(5);
    EXPECT_EQ(center.route("atlas"), registry::Route::here);
    std::int64_t first = -1;
    for (const Crossed& message : tree.crossed) {
        if (text_of(message.head, "t") == "pack.get" && first < 0) {
            first = int_of(message.head, "offset");
        }
    }
    EXPECT_EQ(first, here);
    EXPECT_FALSE(std::filesystem::exists(center.state + "/spool"));
}

TEST_F(Ordered, TheReleaseThatIsHeldGoesOnUntilItsSuccessorIsThere) {
    std::string release = tree.add_app(*tiers[0], "leaflets", {"tokyo"}, {{"text", "0"}});
    tree.pass_s(5);
    // The lease for the next one arrives, and the link breaks before that does: at each tier.
    for (int broken = 0; broken < 2; ++broken) {
        tree.cut_at("release.get", broken);
        const std::string next =
            tree.add_app(*tiers[0], "leaflets", {"tokyo"}, {{"text", std::to_string(broken + 1)}});
        tree.pass_s(5);
        EXPECT_FALSE(tree.linked(broken == 0 ? center : tokyo));
        tree.restart(tokyo);
        tree.pass_s(5);
        const Json app = tokyo.status()["apps"][0];
        EXPECT_EQ(app["release"], release);
        EXPECT_EQ(app["state"], "ready") << broken;
        for (Node* node : {&center, &tokyo}) {
            if (!tree.linked(*node)) {
                ASSERT_TRUE(tree.link(*node));
            }
        }
        tree.pass_s(5);
        EXPECT_EQ(tokyo.status()["apps"][0]["release"], next);
        release = next;
    }
}

TEST_F(Ordered, ANewOrderWhileAReleaseIsTakenInStartsNoSecondDownload) {
    center.hold_background = true;
    tree.add_app(*tiers[0], "atlas", {"center"}, Json::object(), 1 << 20);
    tree.pass_s(70);
    EXPECT_EQ(center.held.size(), 1U);
    tree.cut(center);
    ASSERT_TRUE(tree.link(center));
    tree.add_app(*tiers[0], "leaflets", {"center"});
    tree.pass_s(70);
    EXPECT_EQ(center.held.size(), 1U) << "one import at a time";
    EXPECT_EQ(tree.count("release.get"), 1U);
    center.let_background_go();
    tree.pass_s(5);
    EXPECT_EQ(center.route("atlas"), registry::Route::here);
    EXPECT_EQ(center.route("leaflets"), registry::Route::here);
}

TEST_F(Ordered, APackThatTookTooLongToMakeCrossesTheLinkOnce) {
    Node& top = *tiers[0];
    tree.cut(center);
    tree.add_app(top, "atlas", {"center"}, Json::object(), 20'000);
    top.hold_background = true;
    ASSERT_TRUE(tree.link(center));
    tree.pass_s(20);
    EXPECT_EQ(tree.count("release.get"), 1U);
    EXPECT_EQ(top.held.size(), 1U) << "its pack is being made";
    tree.crossed.clear();
    top.let_background_go();
    tree.pass_s(60);
    EXPECT_EQ(center.route("atlas"), registry::Route::here);
    EXPECT_EQ(std::count_if(tree.crossed.begin(), tree.crossed.end(),
                            [](const Crossed& one) { return one.body.size() > 20'000; }),
              1)
        << "the first question is answered to nobody";
}

TEST_F(Ordered, OnePackServesChildrenThatHoldTheSameAndAnotherThoseThatDoNot) {
    Node& osaka = tree.below(center, "osaka");
    Node& kyoto = tree.below(center, "kyoto");
    tree.add_app(center, "atlas", {"tokyo"}, {{"text", "one"}}, 1 << 20);
    tree.pass_s(5);
    const int before = center.background_runs;
    tree.add_app(center, "atlas", {"tokyo", "osaka", "kyoto"}, {{"text", "two"}}, 1 << 20);
    tree.pass_s(5);
    for (Node* at : {&tokyo, &osaka, &kyoto}) {
        EXPECT_EQ(at->route("atlas"), registry::Route::here) << at->name;
    }
    // The import here, one pack against the first release, one whole one, and a text for each
    // child.
    EXPECT_EQ(center.background_runs - before, 6);
}

TEST_F(Ordered, AnAppThatCannotBeHadDoesNotHoldUpTheOthers) {
    tree.add_app(tokyo, "alpha", {"tokyo"});
    tree.cut(tokyo); // nobody above knows yet that the name is taken
    tree.restart(tokyo);
    tree.cut(center);
    tree.add_app(*tiers[0], "beta", {"tokyo"});
    ASSERT_TRUE(tree.link(center));
    ASSERT_TRUE(tree.link(tokyo));
    tree.pass_s(5);
    EXPECT_EQ(tokyo.route("beta"), registry::Route::here);
    EXPECT_EQ(tokyo.route("alpha"), registry::Route::here);
}

TEST_F(Ordered, AnAppWithOneDatasetIsServedAtItsHomeAlone) {
    tree.add_app(*tiers[0], "calendar", {"upper", "center", "tokyo"},
                 {{"dataset", true}, {"home", "center"}});
    tree.pass_s(5);
    EXPECT_EQ(center.route("calendar"), registry::Route::here);
    EXPECT_EQ(tiers[0]->route("calendar"), registry::Route::child);
    EXPECT_EQ(tiers[0]->app("calendar").child(), "center");
    EXPECT_EQ(tokyo.route("calendar"), registry::Route::parent);
}

TEST_F(Ordered, ARestartForgetsNothing) {
    tree.add_app(*tiers[0], "leaflets", {"tokyo"});
    tree.add_user(tokyo, "mei", "correct horse", {"leaflets"});
    tree.pass_s(5);
    Json before = tokyo.status();
    for (Node* at : tiers) {
        tree.restart(*at);
    }
    tree.pass_s(3);
    Json after = tokyo.status();
    for (const char* changing : {"as_of", "link", "errors", "wan"}) {
        before.erase(changing);
        after.erase(changing);
    }
    EXPECT_EQ(before, after);
    EXPECT_EQ(tiers[0]->route("leaflets"), registry::Route::child);
    EXPECT_EQ(tiers[0]->log_in("mei", "correct horse")->status, 303);
}

} // namespace hasp::maint::tests
