// What a link's budget of a month holds, and what it never holds.
#include "base/files.h"
#include "tree.h"

#include <filesystem>

namespace hasp::maint::tests {

namespace {

constexpr std::int64_t mib = 1 << 20;

Json budget_of(Node& node, const char* purpose) {
    for (const Json& one : member(node.status(), "budgets")) {
        if (text_of(one, "purpose") == purpose) {
            return one;
        }
    }
    return nullptr;
}
std::int64_t month_in(Node& node, const char* purpose) {
    return int_of(node.status()["wan"]["month"]["parent"][purpose], "in");
}

// upper, center and tokyo; tokyo's link may move a MiB of releases a month.
struct Capped : testing::Test {
    Tree tree;
    std::vector<Node*> tiers;
    Node& center;
    Node& tokyo;
    Capped() : tiers(tree.chain(3)), center(*tiers[1]), tokyo(*tiers[2]) {
        tree.pass_s(5);
        tokyo.config.link.budget_releases_mib = 1;
        again();
    }
    // As a reload of its config does it.
    void again() {
        tokyo.keeper->finish();
        tree.restart(tokyo);
        ASSERT_TRUE(tree.linked(tokyo) || tree.link(tokyo));
        tree.pass_s(5);
    }
    Json rollout(Node& at, const std::string& app) {
        for (const Json& one : member(at.status(), "rollouts")) {
            if (text_of(one, "app") == app &&
                text_of(one, "tier") == "hasp://clinics/upper/center/tokyo") {
                return one;
            }
        }
        return nullptr;
    }
};

} // namespace

TEST_F(Capped, AReleaseThatIsLargerWaitsIsToldOfAboveAndGoesOnWhereItWasWhenTheBudgetIsRaised) {
    tree.add_app(center, "atlas", {"tokyo"}, Json::object(), 3 * mib);
    tree.pass_s(20);
    EXPECT_NE(tokyo.route("atlas"), registry::Route::here);
    const std::int64_t moved = month_in(tokyo, "packs");
    EXPECT_GE(moved, mib - 64 * 1024);
    EXPECT_LE(moved, mib + 64 * 1024);
    const Json waits = member(budget_of(tokyo, "packs"), "waits");
    EXPECT_NEAR(static_cast<double>(int_of(waits, "bytes")), 2.0 * mib, 0.1 * mib);
    for (Node* at : {&tokyo, &center}) {
        EXPECT_EQ(text_of(rollout(*at, "atlas"), "state"), "waiting") << at->name;
        EXPECT_NE(text_of(rollout(*at, "atlas"), "why").find("budget_releases_mib"),
                  std::string::npos)
            << at->name;
    }
    EXPECT_TRUE(member(tokyo.admin("offline.report", {{"at", ""}}).value(), "budgets")[0].contains(
        "waits"));
    const std::size_t asked = tree.count("release.get");
    tree.pass_s(3600, 5);
    EXPECT_EQ(tree.count("release.get"), asked) << "waiting costs the link nothing";

    tokyo.config.link.budget_releases_mib = 8;
    again();
    tree.pass_s(20);
    EXPECT_EQ(tokyo.route("atlas"), registry::Route::here);
    EXPECT_LE(month_in(tokyo, "packs"), 3 * mib + 128 * 1024) << "no byte came twice";
    EXPECT_FALSE(budget_of(tokyo, "packs").contains("waits"));
}

TEST_F(Capped, WhatDoesNotFitThisMonthGoesOnWithTheNext) {
    tree.add_app(center, "atlas", {"tokyo"}, Json::object(), mib + mib / 2);
    tree.pass_s(20);
    EXPECT_NE(tokyo.route("atlas"), registry::Route::here);
    tree.pass_s(20 * day_s, 3600);
    tree.pass_s(20);
    EXPECT_EQ(tokyo.route("atlas"), registry::Route::here);
    EXPECT_EQ(text_of(tokyo.status()["wan"]["last_month"], "month"), "2023-11");
}

TEST_F(Capped, WhileAReleaseWaitsOrdersLeasesAndWhatIsHereGoOn) {
    tree.add_app(center, "leaflets", {"tokyo"});
    tree.pass_s(5);
    ASSERT_EQ(tokyo.route("leaflets"), registry::Route::here);
    tree.add_app(center, "atlas", {"tokyo"}, Json::object(), 3 * mib);
    tree.pass_s(5);
    ASSERT_TRUE(budget_of(tokyo, "packs").contains("waits"));
    EXPECT_EQ(tokyo.route("leaflets"), registry::Route::here);
    const auto lease = [&] {
        return int_of(member(member(center.status(), "children")[0], "reached"), "lease");
    };
    const std::int64_t before = lease();
    tree.pass_s(8 * day_s, 3600);
    EXPECT_GT(lease(), before);
    ASSERT_TRUE(center.admin("app.remove", {{"name", "leaflets"}}).ok());
    tree.pass_s(5);
    EXPECT_NE(tokyo.route("leaflets"), registry::Route::here) << "a removal needs no budget";
}

TEST_F(Capped, ASmallReleaseComesNeitherWithTheAnswerThatNamesIt) {
    tree.add_app(center, "atlas", {"tokyo"}, Json::object(), 3 * mib);
    tree.pass_s(5);
    const std::int64_t moved = month_in(tokyo, "packs");
    tree.add_app(center, "leaflets", {"tokyo"}, Json::object(), 30'000);
    tree.pass_s(5);
    EXPECT_NE(tokyo.route("leaflets"), registry::Route::here);
    EXPECT_LE(month_in(tokyo, "packs"), moved + 10'000);
    EXPECT_GT(int_of(member(budget_of(tokyo, "packs"), "waits"), "bytes"), 2 * mib);
}

TEST_F(Capped, WhatWasCountedOutlivesAKeeperThatCrashesButForFiveMinutes) {
    tree.add_app(center, "leaflets", {"tokyo"}, Json::object(), 200'000);
    tree.pass_s(400);
    const std::int64_t counted = month_in(tokyo, "packs");
    ASSERT_GT(counted, 200'000);
    tree.restart(tokyo); // nobody told it
    EXPECT_EQ(month_in(tokyo, "packs"), counted);
}

TEST(Budget, FilesWaitAtTheirTierAndGoWithTheNextMonth) {
    Tree tree;
    std::vector<Node*> line = tree.chain(2);
    Node& center = *line[0];
    Node& tokyo = *line[1];
    // To ten minutes before the end of November.
    const std::int64_t until_s = 1'701'388'200 - tree.clock.wall / 1'000'000;
    tree.pass_s(until_s - until_s % 3600, 3600);
    tree.pass_s(until_s % 3600, 20);
    tree.add_user(center, "anna", good_password, {"notes"});
    tree.add_app(center, "notes", {tokyo.name}, {{"personal", true}});
    tree.pass_s(5);
    EXPECT_EQ(tokyo.log_in("anna", good_password)->status, 303);
    tree.pass_s(2);
    tokyo.config.link.budget_files_mib = 1;
    tokyo.keeper->finish();
    tree.restart(tokyo);
    ASSERT_TRUE(tree.linked(tokyo) || tree.link(tokyo));
    tree.pass_s(5);
    const std::string folder = tokyo.state + "/data/users/anna/notes";
    ASSERT_TRUE(make_folders(folder).ok());
    const std::string scan = tree.random.bytes(mib + mib / 2);
    ASSERT_TRUE(write_file_durably(folder + "/scan", scan, 0644).ok());
    const auto begun = tokyo.admin("sync.begin", {{"user", "anna"}});
    tree.pass_s(20);
    const Json seen = tokyo.admin("sync.look", {{"round", int_of(*begun, "round")}}).value();
    const Json error = member(member(seen, "folders")[0], "error");
    EXPECT_EQ(text_of(error, "code"), "try_later");
    EXPECT_NE(text_of(error, "message").find("budget"), std::string::npos);
    EXPECT_GE(int_of(member(budget_of(tokyo, "files"), "waits"), "bytes"), mib + mib / 2);
    EXPECT_FALSE(std::filesystem::exists(center.state + "/data/users/anna/notes/scan"));
    const std::size_t pushes = tree.count("files.push");
    tree.pass_s(300, 5);
    EXPECT_EQ(tree.count("files.push"), pushes);
    tree.pass_s(600, 5);
    EXPECT_EQ(int_of(member(tokyo.status(), "unsent"), "files"), 0);
    EXPECT_FALSE(budget_of(tokyo, "files").contains("waits"));
}

} // namespace hasp::maint::tests
