// From one release of an app to the next, with a spawner and a front whose words the tests choose.
#include "tree.h"

#include "base/files.h"

#include <filesystem>

namespace hasp::maint::tests {

namespace {

constexpr const char* exclusive = "handover = \"exclusive\"\n";

struct Switched : testing::Test {
    Tree tree;
    Node& center = tree.top();
    Node& tokyo = tree.below(center, "tokyo");

    std::string add(const std::string& text, const Json& more = Json::object()) {
        Json args{{"dataset", true}, {"home", "tokyo"}, {"text", text}};
        args.update(more);
        const std::string release = tree.add_app(center, "beds", {"tokyo"}, args);
        tree.pass_s(5);
        return release;
    }
    // A request of front's for the app: "none yet", "up", or why it failed.
    std::string start(const std::string& user = "") {
        const auto answer = tokyo.ask({{"t", "start"}, {"app", "beds"}, {"user", user}});
        return answer ? said(*answer) : "none yet";
    }
    static std::string said(const ipc::Frame& answer) {
        const Json head = parse_object(answer.head);
        return head.contains("error") ? text_of(member(head, "error"), "message") : "up";
    }
    std::string late() {
        const auto answer = tokyo.late_answer();
        return answer ? said(*answer) : "none yet";
    }
    void event(const std::string& process, const std::string& kind,
               const Json& more = Json::object()) {
        tokyo.event(process, kind, more);
        tree.settle();
    }
    std::string run(const std::string& user = "") {
        EXPECT_EQ(start(user), "none yet");
        const std::string process = tokyo.process(user.empty() ? "beds" : "beds." + user);
        event(process, "ready");
        EXPECT_EQ(late(), "up");
        return process;
    }
    // Which process front reaches; empty: none.
    std::string reached(const std::string& path = "beds") {
        std::error_code error;
        return std::filesystem::read_symlink(tokyo.state + "/run/apps/" + path + ".sock", error)
            .stem();
    }
    std::string last_order() {
        return tokyo.to_spawner.empty() ? ""
                                        : text_of(tokyo.to_spawner.back(), "t") + " " +
                                              text_of(tokyo.to_spawner.back(), "instance");
    }
    std::string state() {
        const Json rollouts = tokyo.status()["rollouts"];
        return rollouts.empty() ? "none" : text_of(rollouts[0], "state");
    }
    Json rollout() { return tokyo.status()["rollouts"][0]; }
    std::string held() { return text_of(tokyo.status()["apps"][0], "release"); }
};

} // namespace

TEST_F(Switched, TheNewReleaseIsTriedOnAFolderOfItsOwnBeforeAnythingChanges) {
    const std::string first = add("1");
    EXPECT_EQ(state(), "serving");
    tokyo.answer_trials = false;
    tokyo.trials.clear();
    const std::string second = add("2");
    ASSERT_EQ(tokyo.trials.size(), 1U);
    EXPECT_NE(text_of(tokyo.trials[0], "data").find("/run/trial/beds"), std::string::npos);
    EXPECT_EQ(state(), "probing");
    EXPECT_EQ(rollout()["serves"], first);
    EXPECT_EQ(held(), first);
    const std::string trial = text_of(tokyo.trials[0], "instance");
    event(trial, "ready");
    EXPECT_EQ(held(), first) << "the trial is still there";
    event(trial, "stopped");
    EXPECT_EQ(held(), second);
    EXPECT_EQ(rollout()["serves"], second);
    EXPECT_FALSE(std::filesystem::exists(tokyo.state + "/run/trial/" + trial));
}

TEST_F(Switched, OneThatDoesNotComeUpIsRolledBackForGood) {
    const std::string first = add("1");
    tokyo.answer_trials = false;
    tokyo.trials.clear();
    const std::string second = add("2");
    event(text_of(tokyo.trials[0], "instance"), "failed",
          {{"reason", "it ended with exit status 3"}, {"last_lines", "no table\n"}});
    const Json before = rollout();
    EXPECT_EQ(before["state"], "rolled_back");
    EXPECT_EQ(before["release"], second);
    EXPECT_EQ(before["serves"], first);
    EXPECT_EQ(before["why"], "it ended with exit status 3");
    EXPECT_EQ(before["last_lines"], "no table\n");
    EXPECT_EQ(held(), first);
    tree.pass_s(60);
    tree.restart(tokyo);
    tree.pass_s(60);
    EXPECT_EQ(rollout(), before);
    EXPECT_EQ(tokyo.trials.size(), 1U) << "it is not tried again";
    const auto why = center.admin("why", {{"app", "beds"}, {"at", "tokyo"}});
    ASSERT_TRUE(why.ok());
    EXPECT_NE(text_of(*why, "cause").find("was rolled back"), std::string::npos);
    tokyo.answer_trials = true;
    const std::string third = add("3");
    EXPECT_EQ(held(), third);
    EXPECT_EQ(state(), "serving");
}

TEST_F(Switched, WithOverlapTheSuccessorTakesThePathWhenItAnswersAndTheOldOneDrains) {
    const std::string first = add("1");
    const std::string old = run();
    EXPECT_EQ(reached(), old);
    tokyo.hold_retired = true;
    const std::string second = add("2");
    const std::string next = tokyo.process("beds");
    EXPECT_NE(next, old);
    EXPECT_EQ(reached(), old);
    EXPECT_EQ(held(), first);
    event(next, "ready");
    EXPECT_EQ(reached(), next);
    EXPECT_EQ(held(), second);
    EXPECT_EQ(last_order(), "start " + next) << "the old one has requests under way";
    tree.pass_s(31);
    EXPECT_EQ(last_order(), "stop " + old);
    event(old, "stopped");
    EXPECT_EQ(reached(), next);
}

TEST_F(Switched, WithExclusiveWhoAsksWaitsAndTheTwoNeverMeet) {
    add("1", {{"manifest", exclusive}});
    const std::string old = run();
    const std::string second = add("2", {{"manifest", exclusive}});
    EXPECT_EQ(last_order(), "stop " + old);
    EXPECT_EQ(reached(), "");
    EXPECT_EQ(start(), "none yet");
    event(old, "stopped");
    const std::string next = tokyo.process("beds");
    EXPECT_EQ(last_order(), "start " + next);
    EXPECT_NE(next, old);
    event(next, "ready");
    EXPECT_EQ(late(), "up");
    EXPECT_EQ(reached(), next);
    EXPECT_EQ(held(), second);
}

TEST_F(Switched, WithExclusiveTheOldOneComesBackForThoseWhoWait) {
    const std::string first = add("1", {{"manifest", exclusive}});
    const std::string old = run();
    add("2", {{"manifest", exclusive}});
    EXPECT_EQ(start(), "none yet");
    event(old, "stopped");
    event(tokyo.process("beds"), "failed", {{"reason", "cannot read the data"}});
    EXPECT_EQ(last_order(), "start " + old);
    EXPECT_EQ(late(), "none yet");
    event(old, "ready");
    EXPECT_EQ(late(), "up");
    EXPECT_EQ(held(), first);
    EXPECT_EQ(state(), "rolled_back");
}

TEST_F(Switched, OneThatCrashesAgainAndAgainSoonAfterwardsIsRolledBack) {
    const std::string first = add("1");
    event(run(), "stopped");
    const std::string second = add("2");
    EXPECT_EQ(held(), second);
    for (int crash = 0; crash < 3; ++crash) {
        EXPECT_EQ(held(), second) << crash;
        event(run(), "crashed", {{"reason", "it was ended by SIGSEGV"}});
    }
    EXPECT_EQ(held(), first);
    EXPECT_EQ(rollout()["why"], "it was ended by SIGSEGV");
    EXPECT_EQ(rollout()["serves"], first);
    tree.restart(tokyo);
    tree.pass_s(5);
    EXPECT_EQ(held(), first);
}

TEST_F(Switched, WhoAsksWhileAProcessIsDyingWaitsForTheNextOne) {
    add("1");
    tree.pass_s(40);
    const std::string process = run();
    EXPECT_EQ(start(), "none yet");
    const std::size_t orders = tokyo.to_spawner.size();
    event(process, "crashed", {{"reason", "it was ended by SIGKILL"}});
    EXPECT_EQ(late(), "none yet");
    ASSERT_EQ(tokyo.to_spawner.size(), orders + 1);
    EXPECT_EQ(last_order(), "start " + process);
    event(process, "ready");
    EXPECT_EQ(late(), "up");
}

TEST_F(Switched, AfterTheWatchACrashIsACrash) {
    add("1");
    const std::string second = add("2");
    tree.pass_s(40);
    for (int crash = 0; crash < 4; ++crash) {
        event(run(), "crashed", {{"reason", "it was ended by SIGSEGV"}});
    }
    EXPECT_EQ(held(), second);
    EXPECT_EQ(state(), "serving");
}

TEST_F(Switched, UsersAreSwitchedOneAfterAnotherAndOthersStartTheNewOne) {
    const Json personal{{"personal", true}, {"dataset", false}, {"home", ""}};
    add("1", personal);
    const std::string anna = run("anna");
    tree.clock.advance_us(1'000'000);
    const std::string ben = run("ben");
    const std::string second = add("2", personal);
    const std::string bens = tokyo.process("beds.ben");
    EXPECT_NE(bens, ben) << "who used it last is first";
    EXPECT_EQ(tokyo.process("beds.anna"), anna);
    event(bens, "ready");
    EXPECT_EQ(held(), second);
    EXPECT_EQ(reached("beds/ben"), bens);
    EXPECT_EQ(reached("beds/anna"), anna);
    const std::string annas = tokyo.process("beds.anna");
    EXPECT_NE(annas, anna);
    event(annas, "ready");
    EXPECT_EQ(reached("beds/anna"), annas);
    const std::string cara = run("cara");
    EXPECT_NE(cara.find("@" + second.substr(0, 12)), std::string::npos);
}

TEST_F(Switched, ARestartInTheMiddleBeginsTheTrialAnew) {
    const std::string first = add("1");
    tokyo.answer_trials = false;
    const std::string second = add("2");
    tree.cut(tokyo);
    tokyo.trials.clear();
    tree.restart(tokyo);
    EXPECT_EQ(held(), first);
    ASSERT_EQ(tokyo.trials.size(), 1U) << "also without the link";
    event(text_of(tokyo.trials[0], "instance"), "ready");
    event(text_of(tokyo.trials[0], "instance"), "stopped");
    EXPECT_EQ(held(), second);
}

TEST_F(Switched, AKeeperThatComesBackKeepsWhatItWouldStartAndEndsTheRest) {
    add("1");
    const std::string old = run();
    tokyo.answer_trials = false;
    add("2");
    tree.restart(tokyo);
    tokyo.to_spawner.clear();
    event(old, "ready");
    EXPECT_EQ(reached(), old);
    EXPECT_TRUE(tokyo.to_spawner.empty());
    event("beds@0123456789ab", "ready");
    EXPECT_EQ(last_order(), "stop beds@0123456789ab");
    EXPECT_EQ(reached(), old);
}

TEST_F(Switched, AFirstReleaseThatDoesNotComeUpIsThereAndNeverGoneBackTo) {
    tokyo.answer_trials = false;
    const std::string first = add("1");
    EXPECT_EQ(held(), first);
    ASSERT_EQ(tokyo.trials.size(), 1U);
    event(text_of(tokyo.trials[0], "instance"), "failed", {{"reason", "no such file"}});
    EXPECT_EQ(rollout()["state"], "rolled_back");
    EXPECT_EQ(rollout()["serves"], "");
    EXPECT_EQ(held(), first);
    const std::string second = add("2");
    EXPECT_EQ(held(), second) << "nobody is served by the first one";
    event(text_of(tokyo.trials.back(), "instance"), "failed", {{"reason", "no such file"}});
    EXPECT_EQ(held(), second);
    EXPECT_EQ(rollout()["serves"], "");
    run();
    EXPECT_EQ(state(), "serving") << "it came up after all";
}

TEST_F(Switched, AStaticReleaseWithNothingToServeIsRolledBack) {
    const std::string first = tree.add_app(center, "leaflets", {"tokyo"});
    tree.pass_s(5);
    const std::string empty =
        "[app]\nname = \"leaflets\"\nkind = \"static\"\n[static]\nroot = \"site\"\n";
    const std::string dir = tree.folder("empty");
    ASSERT_TRUE(make_folders(dir).ok());
    ASSERT_TRUE(write_file_durably(dir + "/hasp-app.toml", empty, 0644).ok());
    ASSERT_TRUE(center.admin("app.add", {{"dir", dir}, {"to", {"tokyo"}}}).ok());
    tree.pass_s(5);
    EXPECT_EQ(held(), first);
    EXPECT_EQ(state(), "rolled_back");
    EXPECT_TRUE(tokyo.app("leaflets"));
}

TEST_F(Switched, ANewerReleaseThatComesInTheMiddleIsNext) {
    add("1");
    tokyo.answer_trials = false;
    tokyo.trials.clear();
    add("2");
    const std::string third = add("3");
    EXPECT_EQ(rollout()["release"], third);
    ASSERT_EQ(tokyo.trials.size(), 1U);
    event(text_of(tokyo.trials[0], "instance"), "failed", {{"reason", "no such file"}});
    EXPECT_EQ(rollout()["release"], third) << "what became of the second one is not asked any more";
    ASSERT_EQ(tokyo.trials.size(), 2U);
    event(text_of(tokyo.trials[1], "instance"), "ready");
    event(text_of(tokyo.trials[1], "instance"), "stopped");
    EXPECT_EQ(held(), third);
    EXPECT_EQ(state(), "serving");
}

TEST_F(Switched, OldTreesGoAndTheLastGoodOneStays) {
    std::vector<std::string> releases;
    for (int n = 0; n < 4; ++n) {
        releases.push_back(add(std::to_string(n)));
        tree.pass_s(40);
    }
    const auto holds = [&](int n) {
        return std::filesystem::exists(tokyo.state + "/releases/beds/" + releases.at(n));
    };
    EXPECT_FALSE(holds(0) || holds(1));
    EXPECT_TRUE(holds(2) && holds(3));
    EXPECT_TRUE(std::filesystem::exists(center.state + "/releases/beds/" + releases.at(3)));
}

} // namespace hasp::maint::tests
