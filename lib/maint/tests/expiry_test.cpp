// When what a lease lends ends, what that means for each app, and how an operator lengthens it.
#include "tree.h"

#include "base/clock.h"
#include "base/text.h"
#include "registry/decide.h"

namespace hasp::maint::tests {

namespace {

using registry::Verdict;

struct Ending : testing::Test {
    Tree tree;
    Node& center = tree.top();
    Node& tokyo = tree.below(center, "tokyo");

    void add(const std::string& app, const std::string& at_expiry) {
        tree.add_app(center, app, {"tokyo"},
                     {{"dataset", true}, {"manifest", "at_expiry = \"" + at_expiry + "\"\n"}});
        tree.pass_s(5);
    }
    // As front decides at this moment for a session that began `ago_s` before; -1: not known.
    Verdict asked(const std::string& app, std::int64_t ago_s = 60) {
        const registry::Snapshot& snapshot = *tokyo.snapshot;
        const std::int64_t now_us = tree.clock.boot_us() + snapshot.clock_offset_us();
        const std::uint64_t may = registry::name_hash(app);
        registry::Viewer viewer;
        viewer.signed_on = true;
        viewer.entitled = {&may, 1};
        viewer.since_us = ago_s < 0 ? 0 : now_us - ago_s * second_us;
        return registry::decide(snapshot, app, viewer, now_us, registry::Source::below).verdict;
    }
    std::string start(const std::string& app) {
        auto answer = tokyo.ask({{"t", "start"}, {"app", app}, {"user", "anna"}});
        return answer ? text_of(member(parse_object(answer->head), "error"), "message")
                      : "none yet";
    }
    void to_the_end(const std::string& app, std::int64_t short_of_s) {
        const std::int64_t left_s =
            (tokyo.app(app).lease_expires_us() - tree.clock.wall_us()) / second_us - short_of_s;
        tree.pass_s(left_s / 600 * 600, 600);
        tree.pass_s(left_s % 600);
    }
    std::int64_t days_left(const std::string& app) {
        return (tokyo.app(app).lease_expires_us() - tree.clock.wall_us()) / second_us / day_s;
    }
};

} // namespace

TEST_F(Ending, IsExactToTheSecondAlsoWhenTheClockIsSetBackWhileItRuns) {
    add("wiki", "stop");
    tree.cut(tokyo);
    to_the_end("wiki", 2);
    EXPECT_EQ(asked("wiki"), Verdict::here);
    tree.clock.wall -= 3 * day_s * second_us;
    EXPECT_EQ(asked("wiki"), Verdict::here);
    tree.clock.advance_us(3 * second_us); // no turn of the keeper: front alone decides
    EXPECT_EQ(asked("wiki"), Verdict::expired);
    tree.pass_s(5);
    EXPECT_EQ(asked("wiki"), Verdict::expired);
    tree.power_cut();
    tree.pass_s(2);
    EXPECT_EQ(asked("wiki"), Verdict::expired) << "also after a reboot with the wrong clock";
    tree.clock.wall += 3 * day_s * second_us;
    ASSERT_TRUE(tree.link(tokyo));
    tree.pass_s(5);
    EXPECT_EQ(asked("wiki"), Verdict::here) << "renewed at the first contact";
}

TEST_F(Ending, WithContinueSessionsGoOnAndNothingBegins) {
    add("wiki", "continue");
    EXPECT_EQ(start("wiki"), "none yet");
    tree.cut(tokyo);
    to_the_end("wiki", 2);
    tokyo.to_spawner.clear();
    tree.pass_s(20);
    EXPECT_EQ(asked("wiki", 60), Verdict::here);
    EXPECT_EQ(asked("wiki", 10), Verdict::expired) << "it began after the end";
    EXPECT_EQ(asked("wiki", -1), Verdict::expired);
    EXPECT_TRUE(tokyo.to_spawner.empty()) << "what runs is not stopped";
    EXPECT_NE(start("wiki").find("is over"), std::string::npos);
}

TEST_F(Ending, WithReadOnlyTheAppIsServedForReading) {
    add("wiki", "read-only");
    tree.cut(tokyo);
    to_the_end("wiki", -20);
    EXPECT_EQ(asked("wiki"), Verdict::read_only);
    EXPECT_EQ(start("wiki"), "none yet") << "it may be started, to be read";
}

TEST_F(Ending, WithStopItsProcessesAreStopped) {
    add("wiki", "stop");
    EXPECT_EQ(start("wiki"), "none yet");
    tree.cut(tokyo);
    to_the_end("wiki", 2);
    tokyo.to_spawner.clear();
    tree.pass_s(5);
    EXPECT_EQ(asked("wiki"), Verdict::expired);
    ASSERT_EQ(tokyo.to_spawner.size(), 1U);
    EXPECT_EQ(text_of(tokyo.to_spawner[0], "t"), "stop");
}

TEST_F(Ending, ATierThatIsStartedAfterTheEndStillKnowsWhatItMeans) {
    add("wiki", "read-only");
    tree.cut(tokyo);
    to_the_end("wiki", -20);
    tree.restart(tokyo);
    tree.pass_s(2);
    EXPECT_EQ(asked("wiki"), Verdict::read_only);
    EXPECT_EQ(text_of(tokyo.status()["apps"][0], "state"), "lease expired");
}

TEST_F(Ending, ThePortalSaysWhatHasEnded) {
    add("wiki", "stop");
    tree.add_user(center, "anna", good_password, {"wiki"});
    tree.pass_s(2);
    tree.cut(tokyo);
    to_the_end("wiki", -20);
    const auto notice = tokyo.get("notice?kind=read-only&app=wiki");
    EXPECT_EQ(notice->status, 409);
    EXPECT_NE(notice->body.find("The wiki can only be read now"), std::string::npos);
}

TEST_F(Ending, AnExtensionReachesAnOnlineChildAtOnceAndOutlivesTheRenewal) {
    add("wiki", "stop");
    const auto extended =
        center.admin("lease.extend", {{"name", "tokyo"}, {"days", 90}, {"app", "wiki"}});
    ASSERT_TRUE(extended.ok()) << extended.error().message;
    EXPECT_EQ(member(*extended, "extended").size(), 2U) << "run, and write of its dataset";
    EXPECT_EQ(days_left("wiki"), 90);
    tree.pass_s(10 * day_s, 3600);
    EXPECT_EQ(days_left("wiki"), 80) << "renewed since, and not shortened";
    tree.cut(tokyo);
    tree.pass_s(70 * day_s, 3600);
    EXPECT_EQ(asked("wiki"), Verdict::here);
    tree.pass_s(10 * day_s, 3600);
    EXPECT_EQ(asked("wiki"), Verdict::expired);
}

TEST_F(Ending, AnExtensionOfAUserLengthensHisLogInAndNothingElse) {
    add("wiki", "stop");
    tree.add_user(center, "anna", good_password, {"wiki"});
    tree.add_user(center, "ben", good_password, {"wiki"});
    ASSERT_TRUE(center.admin("local.allow", {{"name", "tokyo"}, {"users", {"anna", "ben"}}}).ok());
    tree.pass_s(3);
    ASSERT_TRUE(
        center.admin("lease.extend", {{"name", "tokyo"}, {"days", 30}, {"user", "anna"}}).ok());
    tree.pass_s(1);
    tree.cut(tokyo);
    tree.pass_s(20 * day_s, 3600);
    EXPECT_EQ(tokyo.log_in("anna", good_password)->status, 303);
    EXPECT_EQ(tokyo.log_in("ben", good_password)->status, 401);
}

TEST_F(Ending, ADryRunOfAnExtensionSaysWhatItWouldDoAndDoesNothing) {
    add("wiki", "stop");
    const auto would = center.admin(
        "lease.extend", {{"name", "tokyo"}, {"days", 90}, {"app", "wiki"}, {"dry_run", true}});
    ASSERT_TRUE(would.ok());
    EXPECT_EQ(member(*would, "extended").size(), 2U);
    tree.pass_s(5);
    EXPECT_EQ(days_left("wiki"), 29);
    EXPECT_TRUE(member(*center.admin("lease.show", {{"name", "tokyo"}}), "extended").empty());
}

TEST_F(Ending, AnExtensionOfWhatIsNotLentOrBeyondTheLimitIsRefused) {
    add("wiki", "stop");
    const auto code = [&](const Json& args) {
        const auto done = center.admin("lease.extend", args);
        return done.ok() ? std::nullopt : std::optional<Code>(done.error().code);
    };
    EXPECT_EQ(code({{"name", "tokyo"}, {"days", 0}}), Code::usage);
    EXPECT_EQ(code({{"name", "tokyo"}, {"days", 367}}), Code::usage);
    EXPECT_EQ(code({{"name", "osaka"}, {"days", 9}}), Code::not_found);
    EXPECT_EQ(code({{"name", "tokyo"}, {"days", 9}, {"app", "mail"}}), Code::not_found);
    EXPECT_EQ(code({{"name", "tokyo"}, {"days", 9}, {"user", "anna"}}), Code::not_found);
}

TEST_F(Ending, WhatIsLentIsShownAtTheParentAndWhatIsHeldAtTheChild) {
    add("wiki", "read-only");
    tree.add_user(center, "anna", good_password, {"wiki"});
    ASSERT_TRUE(center.admin("local.allow", {{"name", "tokyo"}, {"users", {"anna"}}}).ok());
    tree.pass_s(3);
    const Json lent = *center.admin("lease.show", {{"name", "tokyo"}});
    const Json held = *tokyo.admin("lease.show");
    EXPECT_EQ(member(lent, "grants"), member(held, "grants"));
    EXPECT_TRUE(true_of(lent, "taken"));
    EXPECT_EQ(text_of(member(lent, "grants")[0], "at_expiry"), "read-only");
    const Json stolen = member(*center.admin("local.show", {{"name", "tokyo"}}), "holds");
    EXPECT_EQ(text_of(member(stolen, "log_ins")[0], "name"), "anna");
    EXPECT_EQ(text_of(member(stolen, "files_of")[0], "name"), "anna");
    EXPECT_EQ(text_of(member(stolen, "apps")[0], "name"), "wiki");
    EXPECT_EQ(text_of(member(stolen, "datasets")[0], "name"), "wiki");
}

TEST(ExtendedAtDepth, NothingOutlivesTheGrantOfTheTierAbove) {
    Tree tree;
    const std::vector<Node*> tiers = tree.chain(3);
    tree.add_app(*tiers[0], "leaflets", {"tokyo"});
    tree.pass_s(5);
    ASSERT_TRUE(tiers[1]->admin("lease.extend", {{"name", "tokyo"}, {"days", 90}}).ok());
    tree.pass_s(2);
    const auto left = [&] {
        return (tiers[2]->app("leaflets").lease_expires_us() - tree.clock.wall_us()) / second_us /
               day_s;
    };
    EXPECT_EQ(left(), 29);
    ASSERT_TRUE(tiers[0]->admin("lease.extend", {{"name", "center"}, {"days", 90}}).ok());
    tree.pass_s(2);
    EXPECT_EQ(left(), 89);
}

} // namespace hasp::maint::tests
