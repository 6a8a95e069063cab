// A center that was lost and came back from a backup, as those below it see it.
#include "maint/restoration.h"

#include "base/files.h"
#include "store/db.h"
#include "tree.h"
#include "usage_ring_fixture.h"

#include <filesystem>
#include <gmock/gmock.h>

namespace hasp::maint::tests {
namespace {

namespace fs = std::filesystem;

class AfterARestore : public testing::Test {
  protected:
    Tree tree_;
    std::vector<Node*> tiers_ = tree_.chain(3);
    Node& top_ = *tiers_[0];
    Node& center_ = *tiers_[1];
    Node& tokyo_ = *tiers_[2];
    std::int64_t backup_us_ = 0;
    std::string backup_;

    void back_up() {
        backup_ = top_.state + ".backup";
        backup_us_ = tree_.clock.wall_us();
        top_.close();
        fs::remove_all(backup_);
        fs::copy(top_.state, backup_, fs::copy_options::recursive);
        top_.open();
        ASSERT_TRUE(tree_.link(center_));
        tree_.pass_s(5);
    }
    void restore(bool stays_linked = true) {
        top_.close();
        fs::remove_all(top_.state);
        fs::copy(backup_, top_.state, fs::copy_options::recursive);
        const std::string file = top_.state + "/keys/tier.json";
        auto life = new_life(*read_file(file, 4096), tree_.clock.wall_us());
        ASSERT_TRUE(life.ok());
        EXPECT_FALSE(life->has_parent);
        ASSERT_TRUE(write_file_durably(file, life->tier_json, 0600).ok());
        for (int twice = 0; twice < 2; ++twice) { // as after a crash
            const Status begun =
                begin_new_life(top_.state, *life,
                               {tree_.clock.wall_us(), backup_us_, "20261129T210005Z-0a1b2c3d"});
            ASSERT_TRUE(begun.ok()) << begun.error().message;
        }
        top_.open();
        ASSERT_EQ(tree_.link(center_), stays_linked);
        tree_.pass_s(10);
    }
    static std::int64_t events(Node& node) {
        auto db = store::Db::open(node.state + "/ledger.db");
        auto sum =
            (*db)->first("SELECT coalesce(sum(count), 0) FROM billing_batches WHERE tier NOT "
                         "LIKE '%/upper'",
                         [](const store::Statement& s) { return s.integer(0); });
        return **sum;
    }
    static std::int64_t lease(Node& node) { return int_of(*node.admin("lease.show"), "number"); }
};

TEST_F(AfterARestore, UsageThatTheBackupLacksIsSentAgainOnceAndWithoutANewEvent) {
    Ring ring(1);
    ring.use(tree_, 10);
    EXPECT_EQ(ring.harvest(tokyo_), 10U);
    tree_.pass_s(5);
    back_up();
    ring.use(tree_, 20);
    EXPECT_EQ(ring.harvest(tokyo_), 20U);
    tree_.pass_s(5);
    ASSERT_EQ(events(top_), 30);
    restore();
    EXPECT_EQ(events(top_), 30);
    EXPECT_EQ(member(member(top_.status(), "usage"), "forks"), Json::array());
    ring.use(tree_, 5);
    EXPECT_EQ(ring.harvest(tokyo_), 5U);
    tree_.pass_s(5);
    EXPECT_EQ(events(top_), 35);
}

TEST_F(AfterARestore, UsageIsSentAgainAlsoWhenTheLinkIsCutInBetween) {
    Ring ring(1);
    ring.use(tree_, 10);
    EXPECT_EQ(ring.harvest(tokyo_), 10U);
    tree_.pass_s(5);
    back_up();
    ring.use(tree_, 20);
    EXPECT_EQ(ring.harvest(tokyo_), 20U);
    tree_.pass_s(5);
    ASSERT_EQ(events(top_), 30);
    // The question is answered, and what is sent then does not arrive.
    tree_.cut_at("usage", 1);
    restore(false);
    EXPECT_EQ(events(top_), 10);
    ASSERT_TRUE(tree_.link(center_));
    tree_.pass_s(10);
    EXPECT_EQ(events(top_), 30);
}

TEST_F(AfterARestore, AChainThatTheBackupDoesNotKnowComesWhole) {
    back_up();
    Ring ring(1);
    ring.use(tree_, 20);
    EXPECT_EQ(ring.harvest(tokyo_), 20U);
    tree_.pass_s(5);
    ASSERT_EQ(events(top_), 20);
    restore();
    EXPECT_EQ(events(top_), 20);
}

TEST_F(AfterARestore, LeasesAndOrdersOfTheNewLifeAreTakenAndThoseBelowAreTold) {
    tree_.add_app(top_, "leaflets", {"center"});
    tree_.pass_s(5);
    back_up();
    for (const char* user : {"anna", "bert", "carl"}) {
        tree_.add_user(top_, user, good_password);
        ASSERT_TRUE(top_.admin("local.allow", {{"name", "center"}, {"users", {user}}}).ok());
        tree_.pass_s(5);
    }
    const std::int64_t seen = lease(center_);
    tree_.clock.advance_us(60'000'000);
    restore();
    EXPECT_GT(lease(center_), seen);
    tree_.add_app(top_, "wiki", {"center"});
    tree_.pass_s(10);
    EXPECT_EQ(center_.route("wiki"), registry::Route::here);
    EXPECT_EQ(center_.route("leaflets"), registry::Route::here);
    EXPECT_THAT(center_.errors(), testing::Contains(testing::HasSubstr("restored from a backup")));
    EXPECT_THAT(tokyo_.errors(),
                testing::Not(testing::Contains(testing::HasSubstr("restored from a backup"))));
    // And a second time from the same backup.
    const std::int64_t again = lease(center_);
    tree_.clock.advance_us(60'000'000);
    restore();
    EXPECT_GT(lease(center_), again);
}

TEST_F(AfterARestore, ATierThatTheBackupDoesNotKnowComesBackByAnInvitationWithItsKeys) {
    back_up();
    Node& osaka = tree_.below(top_, "osaka");
    for (const char* user : {"anna", "bert"}) {
        tree_.add_user(top_, user, good_password);
        ASSERT_TRUE(top_.admin("local.allow", {{"name", "osaka"}, {"users", {user}}}).ok());
        tree_.pass_s(5);
    }
    tree_.add_app(top_, "leaflets", {"osaka"});
    tree_.pass_s(10);
    ASSERT_EQ(osaka.route("leaflets"), registry::Route::here);
    const std::int64_t seen = lease(osaka);
    ASSERT_GT(seen, 1);
    osaka.close();
    tree_.clock.advance_us(60'000'000);
    restore();

    const std::string invitation = tree_.invite(top_, "osaka");
    const PageSeen answer =
        tree_.enrol(top_, tree_.request_of(invitation, osaka.state + "/keys", tree_.random));
    ASSERT_EQ(answer.status, 200) << answer.body;
    Node& again = tree_.make_node(top_, invitation, osaka.state, answer.body);
    ASSERT_TRUE(tree_.link(again));
    tree_.add_user(top_, "carl", good_password);
    ASSERT_TRUE(top_.admin("local.allow", {{"name", "osaka"}, {"users", {"carl"}}}).ok());
    tree_.add_app(top_, "wiki", {"osaka"});
    tree_.pass_s(10);
    EXPECT_GT(lease(again), seen);
    EXPECT_EQ(again.route("wiki"), registry::Route::here);
}

TEST_F(AfterARestore, ACopyOfFilesThatTheBackupDoesNotHaveStaysUntilTheHomeHasThem) {
    tree_.add_user(top_, "anna", good_password, {"notes"});
    tree_.add_app(top_, "notes", {"upper", "center"}, {{"personal", true}});
    tree_.pass_s(5);
    back_up();
    tree_.clock.advance_us(60'000'000);
    const auto path = [](const Node& at) { return at.state + "/data/users/anna/notes"; };
    const auto content = [&](const Node& at) {
        auto text = read_file(path(at) + "/today", 1 << 20);
        return text.ok() ? *text : std::string(code_name(text.error().code));
    };
    const auto allow = [&] {
        ASSERT_TRUE(top_.admin("local.allow", {{"name", "center"}, {"users", {"anna"}}}).ok());
        tree_.pass_s(5);
    };
    allow();
    ASSERT_TRUE(make_folders(path(center_)).ok());
    ASSERT_TRUE(write_file_durably(path(center_) + "/today", "three patients", 0644).ok());
    ASSERT_EQ(center_.log_in("anna", good_password)->status, 303);
    ASSERT_TRUE(center_.admin("sync.begin", {{"user", "anna"}}).ok());
    tree_.pass_s(5);
    ASSERT_EQ(center_.admin("sync.status")->at("folders")[0]["unsent_files"], 0);
    ASSERT_NE(center_.admin("sync.status")->at("folders")[0]["synced"], Json());
    restore(); // which says that nobody's files may be kept at the center
    EXPECT_TRUE(center_.who_cookie("").is_null());
    tree_.pass_s(26 * 3600, 120);
    EXPECT_EQ(content(center_), "three patients") << "the only copy that there is";
    tree_.cut(center_);
    tree_.pass_s(3600, 30);
    EXPECT_EQ(content(center_), "three patients");
    ASSERT_TRUE(tree_.link(center_));
    allow();
    tree_.pass_s(1000, 10);
    ASSERT_EQ(top_.log_in("anna", good_password)->status, 303);
    tree_.pass_s(5);
    EXPECT_EQ(content(top_), "three patients");
}

TEST_F(AfterARestore, SessionsOfBeforeAreOver) {
    tree_.add_user(top_, "anna", good_password);
    tree_.pass_s(5);
    const auto page = top_.log_in("anna", good_password);
    ASSERT_TRUE(page && !page->cookie().empty());
    back_up();
    restore();
    EXPECT_TRUE(top_.who_cookie(page->cookie()).is_null());
    const auto anew = top_.log_in("anna", good_password);
    EXPECT_TRUE(anew && !anew->cookie().empty());
}

TEST(NewLife, RaisesTheEpochOfATopTierAlone) {
    const auto top = new_life(R"({"name":"hasp://r/c","epoch":3})", 1'800'000'000'000'000);
    ASSERT_TRUE(top.ok());
    EXPECT_EQ(int_of(parse_object(top->tier_json), "epoch"), 1'800'000'000);
    const auto later = new_life(top->tier_json, 5);
    EXPECT_EQ(int_of(parse_object(later->tier_json), "epoch"), 1'800'000'001);
    const auto below = new_life(R"({"name":"hasp://r/c/t","epoch":3})", 1'800'000'000'000'000);
    ASSERT_TRUE(below.ok());
    EXPECT_TRUE(below->has_parent);
    EXPECT_EQ(int_of(parse_object(below->tier_json), "epoch"), 3);
    EXPECT_FALSE(new_life("{}", 5).ok());
}

} // namespace
} // namespace hasp::maint::tests
