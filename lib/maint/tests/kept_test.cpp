// What was acknowledged is kept: over full disks, links that die under a message, and restarts with
// a wrong clock. Each was found by tests/sim.
#include "base/clock.h"
#include "store/db.h"
#include "tree.h"
#include "trust/envelope.h"

namespace hasp::maint::tests {

namespace {

constexpr const char* right = "correct horse";

struct Kept : testing::Test {
    Tree tree;
    Node& center = tree.top();
    Node& tokyo = tree.below(center, "tokyo");

    // As a disk that is full for this table.
    static void refuse_deletes(Node& node, const std::string& table) {
        auto db = store::Db::open(node.state + "/keeper.db");
        ASSERT_TRUE(db.ok());
        ASSERT_TRUE((*db)
                        ->run_script("CREATE TRIGGER full BEFORE DELETE ON " + table +
                                     " BEGIN SELECT RAISE(ABORT, 'full'); END")
                        .ok());
    }
    static void allow_deletes(Node& node) {
        auto db = store::Db::open(node.state + "/keeper.db");
        ASSERT_TRUE(db.ok() && (*db)->run_script("DROP TRIGGER full").ok());
    }
    static std::optional<PageSeen> log_out(Node& at, const std::string& sid) {
        return at.page({{"method", "POST"},
                        {"target", "/hasp/logout"},
                        {"sid", sid},
                        {"headers", {{"origin", "http://portal.example:8480"}}}});
    }
    std::string open_session(const std::string& user) {
        const auto page = tokyo.log_in(user, right);
        EXPECT_EQ(page->status, 303);
        cookie = page->cookie();
        return text_of(tokyo.who_cookie(cookie), "sid");
    }
    std::string cookie;
};

} // namespace

TEST_F(Kept, ALeaseThatHasEndedStillFencesOffLowerNumbersAfterARestart) {
    tree.add_app(center, "leaflets", {"tokyo"});
    tree.pass_s(3);
    const std::int64_t number = int_of(*tokyo.admin("lease.show"), "number");
    ASSERT_GT(number, 0);
    tree.cut(tokyo);
    tree.clock.wall += 400LL * 24 * hour_us;
    tree.restart(tokyo);
    EXPECT_EQ(int_of(*tokyo.admin("lease.show"), "number"), number);
    EXPECT_EQ(tokyo.status()["apps"][0]["state"], "lease expired");
}

TEST_F(Kept, ALogOutThatCannotBeKeptIsNotAcknowledged) {
    tree.add_user(center, "anna", right);
    const std::string sid = open_session("anna");
    refuse_deletes(tokyo, "signon_sessions");
    EXPECT_EQ(log_out(tokyo, sid)->status, 503);
    allow_deletes(tokyo);
    EXPECT_EQ(log_out(tokyo, sid)->status, 200);
    EXPECT_TRUE(tokyo.who_cookie(cookie).is_null());
}

TEST_F(Kept, ANewPasswordAndTheEndOfTheOldSessionsAreOneChange) {
    tree.add_user(tokyo, "carl", right);
    open_session("carl");
    refuse_deletes(tokyo, "signon_sessions");
    EXPECT_FALSE(
        tokyo.admin("user.password", {{"name", "carl"}, {"password", "battery staple"}}).ok());
    EXPECT_EQ(tokyo.log_in("carl", right)->status, 303) << "a command that failed changed nothing";
    EXPECT_EQ(tokyo.log_in("carl", "battery staple")->status, 401);
}

TEST_F(Kept, TheEndOfASessionArrivesThoughTheLinkDiesUnderTheNews) {
    tree.add_user(center, "anna", right);
    const std::string sid = open_session("anna");
    ASSERT_FALSE(center.who_link("tokyo", sid).is_null());
    tree.cut_at("session.end", 0);
    EXPECT_EQ(log_out(tokyo, sid)->status, 200);
    ASSERT_FALSE(tree.linked(tokyo));
    EXPECT_FALSE(center.who_link("tokyo", sid).is_null()) << "it was lost on the way";
    tree.restart(tokyo);
    ASSERT_TRUE(tree.link(tokyo));
    EXPECT_TRUE(center.who_link("tokyo", sid).is_null());
}

TEST_F(Kept, TheEndOfASessionIsSaidAgainUntilTheParentKeepsIt) {
    tree.add_user(center, "anna", right);
    const std::string sid = open_session("anna");
    refuse_deletes(center, "signon_grants");
    EXPECT_EQ(log_out(tokyo, sid)->status, 200);
    EXPECT_FALSE(center.who_link("tokyo", sid).is_null());
    allow_deletes(center);
    tree.pass_s(130);
    EXPECT_TRUE(center.who_link("tokyo", sid).is_null());
}

} // namespace hasp::maint::tests
