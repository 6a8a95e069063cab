#include "tree.h"

#include "base/clock.h"
#include "signon/account_store.h"
#include "signon/password.h"
#include "store/db.h"
#include "trust/envelope.h"
#include "trust/verifier.h"

namespace hasp::maint::tests {

namespace {

std::int64_t number(Node& node) {
    return int_of(*node.admin("lease.show"), "number");
}

std::size_t grants(Node& node, const std::string& kind) {
    std::size_t n = 0;
    for (const Json& grant : member(*node.admin("lease.show"), "grants")) {
        n += text_of(grant, "kind") == kind ? 1U : 0U;
    }
    return n;
}

struct Lent : testing::Test {
    Tree tree;
    std::vector<Node*> tiers = tree.chain(4);
    void allow(std::size_t at, const std::string& child, const std::string& group) {
        ASSERT_TRUE(tiers[at]->admin("local.allow", {{"name", child}, {"groups", {group}}}).ok());
    }
};

} // namespace

TEST_F(Lent, OnlyTheSectionsThatChangedTravel) {
    tree.add_app(*tiers[0], "leaflets", {"center"});
    tree.pass_s(3);
    tree.crossed.clear();
    tree.add_user(*tiers[0], "anna", good_password);
    ASSERT_TRUE(tiers[0]->admin("local.allow", {{"name", "center"}, {"users", {"anna"}}}).ok());
    tree.pass_s(3);
    EXPECT_EQ(grants(*tiers[1], "log-in"), 1U);
    EXPECT_EQ(grants(*tiers[1], "run"), 1U);
    // log-in, keep and verifier; run, use and write are held already.
    EXPECT_EQ(tree.count("lease.section"), 3U);
}

TEST_F(Lent, NothingTravelsWhenNothingChanged) {
    tree.add_app(*tiers[0], "leaflets", {"center"});
    tree.pass_s(5);
    tree.crossed.clear();
    tree.pass_s(3600, 20);
    EXPECT_EQ(tree.count("lease"), 0U);
    EXPECT_EQ(tree.count("desired"), 0U);
}

TEST(LentForADay, ALeaseIsRenewedAtTheConfiguredFractionOfItsTime) {
    Tree tree;
    Config config;
    config.lease.days = 1;
    config.lease.renew_percent = 25;
    Node& center = tree.top("center", config);
    Node& tokyo = tree.below(center, "tokyo");
    tree.add_app(center, "leaflets", {"tokyo"});
    tree.pass_s(3);
    const std::int64_t first = number(tokyo);
    tree.pass_s(5 * 3600, 40);
    EXPECT_EQ(number(tokyo), first);
    tree.pass_s(2 * 3600, 40); // 25 percent of a day: 6 hours
    EXPECT_EQ(number(tokyo), first + 1);
}

TEST_F(Lent, TheExpiryOfARunGrantStandsInTheSnapshot) {
    tree.add_app(*tiers[0], "leaflets", {"tokyo"});
    tree.pass_s(3);
    const registry::App app = tiers[2]->app("leaflets");
    ASSERT_TRUE(app);
    EXPECT_EQ(app.route(), registry::Route::here);
    const std::int64_t days_us = app.lease_expires_us() - tree.clock.wall_us();
    EXPECT_GT(days_us, 29 * 24 * hour_us);
    EXPECT_LE(days_us, 30 * 24 * hour_us);
}

TEST_F(Lent, WithoutTheLinkTheRunGrantEnds) {
    tree.add_app(*tiers[0], "leaflets", {"center"});
    tree.pass_s(3);
    tree.cut(*tiers[1]);
    tree.pass_s(31 * 24 * 3600, 3600);
    EXPECT_LE(tiers[1]->app("leaflets").lease_expires_us(), tree.clock.wall_us());
    EXPECT_EQ(tiers[1]->status()["apps"][0]["state"], "lease expired");
    ASSERT_TRUE(tree.link(*tiers[1]));
    tree.pass_s(3);
    EXPECT_GT(tiers[1]->app("leaflets").lease_expires_us(), tree.clock.wall_us());
}

TEST_F(Lent, AtDepthThreeATierHoldsASubsetThatNeverOutlivesItsParents) {
    for (const char* user : {"anna", "ben", "carl"}) {
        tree.add_user(*tiers[0], user, good_password, {"wiki"});
        ASSERT_TRUE(tiers[0]->admin("user.join", {{"name", user}, {"groups", {"staff"}}}).ok());
    }
    ASSERT_TRUE(tiers[0]->admin("user.join", {{"name", "anna"}, {"groups", {"night"}}}).ok());
    allow(0, "center", "staff");
    allow(1, "tokyo", "staff");
    allow(2, "ward", "night");
    tree.pass_s(3);
    EXPECT_EQ(grants(*tiers[1], "log-in"), 3U);
    EXPECT_EQ(grants(*tiers[2], "log-in"), 3U);
    EXPECT_EQ(grants(*tiers[3], "log-in"), 1U);
    EXPECT_EQ(grants(*tiers[3], "use"), 1U);
    const auto end = [](Node& node) {
        return text_of(member(*node.admin("lease.show"), "grants")[0], "expires");
    };
    EXPECT_LE(end(*tiers[3]), end(*tiers[2]));
    EXPECT_LE(end(*tiers[2]), end(*tiers[1]));
}

TEST_F(Lent, AnOperatorIsNeverLent) {
    ASSERT_TRUE(
        tiers[0]
            ->admin("user.add", {{"name", "boss"}, {"password", good_password}, {"operator", true}})
            .ok());
    ASSERT_TRUE(tiers[0]->admin("local.allow", {{"name", "center"}, {"users", {"boss"}}}).ok());
    tree.pass_s(3);
    EXPECT_EQ(grants(*tiers[1], "log-in"), 0U);
}

TEST_F(Lent, ALowerNumberIsRefusedAndTheHeldLeaseStands) {
    tree.add_app(*tiers[0], "leaflets", {"center"});
    tree.pass_s(3);
    const std::int64_t first = number(*tiers[1]);
    const trust::Header header{"lease",
                               tiers[0]->keeper->identity().realm_id,
                               tiers[0]->keeper->identity().name,
                               tiers[1]->keeper->identity().name,
                               {1, 0},
                               tree.clock.wall_us(),
                               tree.clock.wall_us() + hour_us};
    auto sealed = trust::seal(header, "{}", tiers[0]->keeper->identity().envelope_key);
    ASSERT_TRUE(sealed.ok());
    tree.whisper(*tiers[1], {{"t", "lease"}, {"envelope_bytes", sealed->size()}}, *sealed);
    tree.pass_s(2);
    EXPECT_EQ(number(*tiers[1]), first);
    EXPECT_EQ(grants(*tiers[1], "run"), 1U);
}

TEST_F(Lent, DroppingOverAQuarterIsRefusedUntilAnOperatorSaysSo) {
    for (const char* user : {"anna", "ben", "carl"}) {
        tree.add_user(*tiers[0], user, good_password);
        ASSERT_TRUE(tiers[0]->admin("local.allow", {{"name", "center"}, {"users", {user}}}).ok());
    }
    tree.pass_s(3);
    const std::int64_t before = number(*tiers[1]);
    ASSERT_TRUE(tiers[0]
                    ->admin("local.allow",
                            {{"name", "center"}, {"users", {"anna", "ben"}}, {"remove", true}})
                    .ok());
    tree.pass_s(130);
    EXPECT_EQ(number(*tiers[1]), before);
    ASSERT_EQ(tiers[0]->errors().size(), 1U) << "said once, however often it is tried";
    EXPECT_TRUE(tiers[0]->errors()[0].starts_with("lease.sign: "));
    ASSERT_TRUE(tiers[0]->admin("lease.sign", {{"name", "center"}}).ok());
    tree.pass_s(3);
    EXPECT_EQ(number(*tiers[1]), before + 1);
    EXPECT_EQ(grants(*tiers[1], "log-in"), 1U);
}

TEST_F(Lent, OfflineVerifiersTravelToDepthThreeAndMatchThePasswordThere) {
    tree.add_user(*tiers[0], "anna", good_password);
    ASSERT_TRUE(tiers[0]->admin("user.join", {{"name", "anna"}, {"groups", {"staff"}}}).ok());
    allow(0, "center", "staff");
    allow(1, "tokyo", "staff");
    allow(2, "ward", "staff");
    tree.pass_s(3);
    std::string section;
    for (const Crossed& message : tree.crossed) {
        if (message.to == "ward" && message.body.find("\"salt\"") != std::string::npos) {
            section = message.body;
        }
    }
    ASSERT_FALSE(section.empty());
    trust::Grants held;
    ASSERT_TRUE(trust::decode_section({"verifier", section}, held).ok());
    ASSERT_EQ(held.verifier.size(), 1U);
    const trust::VerifierGrant& grant = held.verifier[0];
    auto db = store::Db::open(tiers[0]->state + "/keeper.db");
    ASSERT_TRUE(db.ok());
    auto accounts = signon::make_sqlite_account_store(**db, tree.clock, "clinics");
    const signon::Verifier home = **accounts->verifier("anna"); // Argon2id(password)
    EXPECT_EQ(grant.salt, home.salt);
    EXPECT_TRUE(trust::matches(grant, tiers[3]->keeper->identity().name, home.value));
    EXPECT_FALSE(trust::matches(grant, tiers[2]->keeper->identity().name, home.value));
    EXPECT_FALSE(trust::matches(grant, tiers[3]->keeper->identity().name, std::string(32, 'x')));
}

TEST_F(Lent, ARestartForgetsNoLease) {
    tree.add_app(*tiers[0], "leaflets", {"ward"});
    tree.pass_s(5);
    const std::int64_t before = number(*tiers[3]);
    tree.cut(*tiers[3]);
    tree.restart(*tiers[3]);
    EXPECT_EQ(number(*tiers[3]), before);
    EXPECT_EQ(tiers[3]->route("leaflets"), registry::Route::here);
    EXPECT_GT(tiers[3]->app("leaflets").lease_expires_us(), tree.clock.wall_us());
}

} // namespace hasp::maint::tests
