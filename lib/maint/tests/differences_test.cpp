// Levels between tiers go as differences to the last one.
#include "tree.h"

namespace hasp::maint::tests {

namespace {

struct Differences : testing::Test {
    Tree tree;
    Node& center = tree.top();
    Node& tokyo = tree.below(center, "tokyo");

    void SetUp() override {
        for (int i = 0; i < 4; ++i) {
            tree.add_user(tokyo, "user-" + std::to_string(i), "correct horse");
        }
        center.whole_levels = tokyo.whole_levels = false;
        tree.restart(center);
        tree.restart(tokyo);
        tree.crossed.clear();
    }
    std::vector<std::size_t> sizes(const std::string& type) const {
        std::vector<std::size_t> out;
        for (const Crossed& one : tree.crossed) {
            if (text_of(one.head, "t") == type && one.from == "tokyo") {
                out.push_back(dump(one.head).size() + one.body.size());
            }
        }
        return out;
    }
};

} // namespace

TEST_F(Differences, AReportOfOneChangeIsSmallHoweverMuchATierHolds) {
    tree.add_user(tokyo, "nurse", "correct horse");
    tree.add_app(center, "leaflets", {"tokyo"});
    tree.pass_s(3);
    EXPECT_EQ(sizes("report").size(), 0U);
    ASSERT_FALSE(sizes("again").empty());
    for (const std::size_t size : sizes("again")) {
        EXPECT_LT(size, 400U);
    }
    EXPECT_EQ(center.status()["children"][0]["status"]["apps"][0]["name"], "leaflets");
    EXPECT_EQ(tokyo.route("leaflets"), registry::Route::here);
    // The account is known above, so its name can be given to nobody else.
    EXPECT_FALSE(center.admin("user.add", {{"name", "nurse"}, {"password", "correct horse"}}).ok());
}

TEST_F(Differences, AnIdleLinkCostsLessThanTenMegabytesAMonth) {
    tree.add_user(tokyo, "nurse", "correct horse");
    tree.add_app(center, "leaflets", {"tokyo"});
    tree.pass_s(600);
    tree.crossed.clear();
    tree.pass_s(6 * 3600);
    std::size_t bytes = 0;
    for (const Crossed& one : tree.crossed) {
        const std::size_t payload = 8 + dump(one.head).size() + one.body.size();
        // A TLS 1.3 record, a TCP segment over IPv4 with time stamps, and its acknowledgement,
        // which mostly travels with an answer.
        bytes += payload + 22 + 52 + 52;
    }
    EXPECT_LT(bytes * 4 * 30, 10'000'000U) << tree.crossed.size() << " messages in six hours";
    EXPECT_EQ(center.status()["children"][0]["state"], "up");
    EXPECT_EQ(tokyo.status()["link"]["state"], "up");
}

TEST_F(Differences, ANewStreamBeginsWithTheWhole) {
    tree.cut(tokyo);
    ASSERT_TRUE(tree.link(tokyo));
    EXPECT_EQ(sizes("report").size(), 1U);
    EXPECT_GT(sizes("report").front(), 400U);
}

TEST_F(Differences, OneThatDoesNotFitEndsTheStreamAndTheNextStreamGoesOn) {
    for (const Json& head : {Json{{"t", "again"}, {"of", "report"}},
                             Json{{"t", "again"}, {"of", "login"}}, Json{{"t", "again"}}}) {
        tree.forge(tokyo, head, "no patch at all");
        EXPECT_FALSE(tree.linked(tokyo)) << dump(head);
        ASSERT_TRUE(tree.link(tokyo));
    }
    tree.add_app(center, "leaflets", {"tokyo"});
    tree.pass_s(3);
    EXPECT_EQ(tokyo.route("leaflets"), registry::Route::here);
}

TEST_F(Differences, ANeighbourThatDoesNotKnowThemIsToldTheWhole) {
    tokyo.whole_levels = true;
    tree.restart(tokyo);
    tree.crossed.clear();
    tree.add_user(tokyo, "nurse", "correct horse");
    tree.add_app(center, "leaflets", {"tokyo"});
    tree.pass_s(3);
    EXPECT_EQ(tree.count("again"), 0U);
    EXPECT_GT(tree.count("report"), 0U);
    EXPECT_GT(tree.count("desired"), 0U);
}

} // namespace hasp::maint::tests
