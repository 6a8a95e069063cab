// Contents that come later than their files: between tiers, for whoever opens one and for whoever
// waits for all.
#include "base/clock.h"
#include "base/files.h"
#include "base/text.h"
#include "files.h"
#include "sync/filling.h"
#include "tree.h"
#include "trust/hash.h"

#include <cerrno>
#include <filesystem>
#include <gmock/gmock.h>
#include <sys/xattr.h>

namespace hasp::maint::tests {

namespace {

using testing::AllOf;
using testing::Contains;
using testing::Each;
using testing::Ge;
using testing::HasSubstr;
using testing::Not;

std::string place_of(const Node& at, const std::string& name) {
    return at.state + "/data/users/anna/notes/" + name;
}
std::string content_of(const Node& at, const std::string& name) {
    auto text = read_file(place_of(at, name), 1 << 24);
    return text.ok() ? *text : "(" + std::string(code_name(text.error().code)) + ")";
}
std::string many_bytes(char first) {
    std::string out;
    for (int i = 0; out.size() < 1'000'000; ++i) {
        out += first + std::to_string(i);
    }
    return out;
}
bool lacks(const Node& at, const std::string& name) {
    return ::getxattr(place_of(at, name).c_str(), sync::absent_attribute, nullptr, 0) > 0;
}

// In the place of the kernel's: a test says who opens what.
class Doorkeeper final : public sync::OpenGate {
  public:
    int fd() const override { return -1; }
    Status hold(const std::string& path) override {
        ++held;
        return fails ? fail(Code::failed, "no marks for " + path) : Status{};
    }
    Status can_hold() const override { return {}; }
    std::vector<Opening> take() override { return std::exchange(openings_, {}); }
    void answer(std::uint64_t number, int error) override { answers[number] = error; }

    // The number of the answer; 0: nobody has to wait.
    std::uint64_t open(Tree& tree, Node& at, const std::string& name) {
        auto disk = sync::open_disk(at.state);
        auto file = (*disk)->open_absent("data/users/anna/notes/" + name);
        if (!file.ok()) {
            return 0;
        }
        openings_.push_back({*std::move(file), ++last_});
        tree.post([&at] {
            at.keeper->opened();
            at.keeper->flush();
        });
        return last_;
    }
    std::map<std::uint64_t, int> answers;
    int held = 0;
    bool fails = false;

  private:
    std::vector<Opening> openings_;
    std::uint64_t last_ = 0;
};

// Anna's account is at the center, her files come to tokyo; its parent is `parent`.
class Coming : public testing::Test {
  protected:
    void SetUp() override {
        Config config;
        config.files.on_demand = true;
        config.files.along_bytes = 0;
        center_ = &tree_.top("center", config);
        tokyo_ = &tree_.below(*center_, "tokyo", config);
        const std::string probe = tokyo_->state + "/probe";
        ASSERT_TRUE(write_file_durably(probe, "", 0600).ok());
        if (::setxattr(probe.c_str(), sync::absent_attribute, "x", 1, 0) != 0) {
            GTEST_SKIP() << "trusted attributes cannot be set here: only root may";
        }
        tree_.add_user(*center_, "anna", good_password, {"notes"});
        tree_.add_app(*center_, "notes", {"center", "tokyo"}, {{"personal", true}});
        restart();
        tree_.pass_s(5);
    }
    void restart() {
        tokyo_->gate = gate_;
        tree_.restart(*tokyo_);
    }
    static void put(Node& at, const std::string& name, const std::string& text) {
        ASSERT_TRUE(make_folders(at.state + "/data/users/anna/notes").ok());
        ASSERT_TRUE(write_file_durably(place_of(at, name), text, 0644).ok());
    }
    void write_at_center(const std::map<std::string, std::string>& files) {
        ASSERT_EQ(center_->log_in("anna", good_password)->status, 303);
        for (const auto& [name, text] : files) {
            put(*center_, name, text);
        }
        ASSERT_TRUE(center_->admin("sync.begin", {{"user", "anna"}}).ok());
        tree_.pass_s(2);
    }
    // She comes to tokyo; nothing of what may come later has come.
    void come_to_tokyo() {
        tree_.drops_contents = true;
        ASSERT_EQ(tokyo_->log_in("anna", good_password)->status, 303);
        tree_.pass_s(2);
    }
    Json folder() {
        const auto status = tokyo_->admin("sync.status", Json::object());
        const Json& folders = member(*status, "folders");
        return folders.empty() ? Json() : folders.front();
    }
    // Where the pieces begin that tokyo asks for when an earlier keeper of it wrote `begun` of
    // "large".
    std::vector<std::int64_t> asked_after_a_restart_with(const std::string& begun) {
        auto disk = sync::open_disk(tokyo_->state);
        auto file = (*disk)->open_absent("data/users/anna/notes/large");
        EXPECT_TRUE(file.ok());
        EXPECT_TRUE(sync::Filling(*std::move(file), **disk, "").take(begun).ok());
        tree_.cut(*tokyo_);
        restart();
        tree_.drops_contents = false;
        tree_.crossed.clear();
        EXPECT_TRUE(tree_.link(*tokyo_));
        tree_.pass_s(60);
        std::vector<std::int64_t> out;
        for (const Crossed& one : tree_.crossed) {
            if (text_of(one.head, "t") == "files.fetch") {
                out.push_back(int_of(one.head, "offset"));
            }
        }
        EXPECT_FALSE(out.empty());
        return out;
    }
    // Contents come with their files to tokyo, and none of them yet.
    void begin_whole() {
        tokyo_->gate = nullptr;
        tree_.restart(*tokyo_);
        tree_.pass_s(5);
        tree_.drops = "files.fetch";
    }
    // The name of the error that whoever asks for anna's app is told, or "started", or "waits".
    std::string start_after_s(std::int64_t seconds) {
        tokyo_->to_spawner.clear();
        auto answer = tokyo_->ask({{"t", "start"}, {"app", "notes"}, {"user", "anna"}});
        tree_.pass_s(seconds);
        answer = answer ? std::move(answer) : tokyo_->late_answer();
        if (!tokyo_->to_spawner.empty()) {
            return "started";
        }
        return answer ? text_of(member(parse_object(answer->head), "error"), "code") : "waits";
    }
    Tree tree_;
    Node* center_ = nullptr;
    Node* tokyo_ = nullptr;
    std::shared_ptr<Doorkeeper> gate_ = std::make_shared<Doorkeeper>();
    const std::string large_ = many_bytes('a');
};

} // namespace

TEST_F(Coming, AllComesByItselfAndAWishWaitsForIt) {
    write_at_center({{"large", large_}, {"small", "small"}});
    ASSERT_EQ(tokyo_->log_in("anna", good_password)->status, 303);
    tree_.pass_s(5);
    EXPECT_EQ(content_of(*tokyo_, "small"), "small");
    EXPECT_TRUE(content_of(*tokyo_, "large") == large_);
    EXPECT_FALSE(lacks(*tokyo_, "large"));
    EXPECT_EQ(gate_->held, 1);
    EXPECT_EQ(int_of(folder(), "to_come_files", -1), 0);
    EXPECT_EQ(int_of(folder(), "unsent_files", -1), 0);
}

TEST_F(Coming, WhoeverOpensAFileWaitsForIt) {
    write_at_center({{"large", large_}, {"other", many_bytes('b')}});
    tokyo_->hold_background = false;
    come_to_tokyo();
    ASSERT_TRUE(lacks(*tokyo_, "large"));
    tree_.drops_contents = false;
    const std::uint64_t opening = gate_->open(tree_, *tokyo_, "large");
    const std::uint64_t second = gate_->open(tree_, *tokyo_, "large");
    ASSERT_NE(opening, 0U);
    tree_.pass_s(25); // the question that was lost is given up before it is asked again
    ASSERT_TRUE(gate_->answers.contains(opening));
    EXPECT_EQ(gate_->answers[opening], 0);
    EXPECT_EQ(gate_->answers[second], 0);
    EXPECT_TRUE(content_of(*tokyo_, "large") == large_);
    tree_.pass_s(60);
    EXPECT_TRUE(content_of(*tokyo_, "other") == many_bytes('b'));
}

TEST_F(Coming, WithoutALinkHeIsToldAtOnceAndWhatCameStays) {
    write_at_center({{"large", large_}});
    come_to_tokyo();
    tree_.cut(*tokyo_);
    tree_.drops_contents = false;
    const std::uint64_t opening = gate_->open(tree_, *tokyo_, "large");
    tree_.settle();
    EXPECT_EQ(gate_->answers[opening], EIO);
    EXPECT_EQ(int_of(folder(), "to_come_files"), 1);
    EXPECT_EQ(int_of(folder(), "to_come_bytes"), static_cast<std::int64_t>(large_.size()));
    ASSERT_TRUE(tree_.link(*tokyo_));
    tree_.pass_s(60);
    EXPECT_TRUE(content_of(*tokyo_, "large") == large_);
}

TEST_F(Coming, HeWaitsNoLongerThanHalfAMinute) {
    write_at_center({{"large", large_}});
    come_to_tokyo();
    const std::uint64_t opening = gate_->open(tree_, *tokyo_, "large");
    tree_.pass_s(20);
    EXPECT_FALSE(gate_->answers.contains(opening));
    tree_.pass_s(20);
    EXPECT_EQ(gate_->answers[opening], EIO);
    tree_.drops_contents = false;
    tree_.pass_s(90);
    EXPECT_TRUE(content_of(*tokyo_, "large") == large_) << "and it is not given up";
}

TEST_F(Coming, AContentThatTheHomeHasNoMoreIsNewsOfAnother) {
    write_at_center({{"large", large_}});
    come_to_tokyo();
    tree_.cut(*tokyo_);
    put(*center_, "large", many_bytes('b'));
    ASSERT_TRUE(center_->admin("sync.begin", {{"user", "anna"}}).ok());
    tree_.pass_s(2);
    tree_.drops_contents = false;
    ASSERT_TRUE(tree_.link(*tokyo_));
    tree_.pass_s(60);
    EXPECT_TRUE(content_of(*tokyo_, "large") == many_bytes('b'));
    EXPECT_EQ(int_of(folder(), "to_come_files", -1), 0);
}

TEST_F(Coming, AnAppStartsWhenTheRestIsThere) {
    write_at_center({{"large", large_}, {"small", "small"}});
    tree_.drops_contents = true;
    ASSERT_EQ(tokyo_->log_in("anna", good_password)->status, 303);
    tokyo_->to_spawner.clear();
    tokyo_->ask({{"t", "start"}, {"app", "notes"}, {"user", "anna"}});
    tree_.pass_s(2);
    EXPECT_FALSE(tokyo_->to_spawner.empty()) << "it does not wait for what is to come";
    EXPECT_EQ(content_of(*tokyo_, "small"), "small");
    EXPECT_TRUE(lacks(*tokyo_, "large"));
}

TEST_F(Coming, NoAppStartsOnAFolderThatIsOnItsWayForTheFirstTime) {
    write_at_center({{"large", large_}, {"small", "small"}});
    begin_whole();
    ASSERT_EQ(tokyo_->log_in("anna", good_password)->status, 303);
    EXPECT_EQ(start_after_s(10), "partial");
    tree_.cut(*tokyo_); // and back at once: it goes on
    ASSERT_TRUE(tree_.link(*tokyo_));
    EXPECT_EQ(start_after_s(10), "partial");
    tree_.drops.clear();
    tree_.pass_s(30);
    EXPECT_TRUE(content_of(*tokyo_, "large") == large_);
    EXPECT_EQ(start_after_s(1), "started");
}

TEST_F(Coming, WhereNothingComesForAMinuteAnAppStartsOnWhatIsHere) {
    write_at_center({{"large", large_}});
    begin_whole();
    ASSERT_EQ(tokyo_->log_in("anna", good_password)->status, 303);
    EXPECT_EQ(start_after_s(20), "partial");
    tree_.pass_s(45);
    EXPECT_EQ(start_after_s(10), "started");
}

TEST_F(Coming, WhoComesBackWithSomethingForTheFirstTimeWaitsForIt) {
    begin_whole();
    ASSERT_EQ(tokyo_->log_in("anna", good_password)->status, 303);
    tree_.pass_s(5); // there is nothing yet
    write_at_center({{"large", large_}});
    ASSERT_EQ(tokyo_->log_in("anna", good_password)->status, 303);
    EXPECT_EQ(start_after_s(10), "partial");
}

TEST_F(Coming, APageSaysHowMuchHasComeAndLooksAgain) {
    const auto page = center_->get("notice?kind=arriving&app=notes&detail=12%20MB%20have%20come");
    EXPECT_EQ(page->status, 503);
    EXPECT_THAT(page->body, HasSubstr("starts when your files are here"));
    EXPECT_THAT(page->body, HasSubstr("12 MB have come."));
    EXPECT_THAT(page->body, Not(HasSubstr("503")));
    EXPECT_THAT(page->body, HasSubstr("<meta http-equiv=\"refresh\""));
}

TEST_F(Coming, AnAppStartsAgainWhileWhatItMadeGoesUpForTheFirstTime) {
    ASSERT_EQ(tokyo_->log_in("anna", good_password)->status, 303);
    tree_.pass_s(5);
    tree_.drops = "files.push";
    put(*tokyo_, "large", large_);
    ASSERT_TRUE(tokyo_->admin("sync.begin", {{"user", "anna"}}).ok());
    tree_.pass_s(2);
    EXPECT_EQ(start_after_s(10), "started");
}

TEST_F(Coming, WithoutALinkAnAppStartsOnWhatIsHere) {
    write_at_center({{"large", large_}});
    begin_whole();
    ASSERT_EQ(tokyo_->log_in("anna", good_password)->status, 303);
    tree_.pass_s(2);
    tree_.cut(*tokyo_);
    EXPECT_EQ(start_after_s(10), "started");
}

TEST_F(Coming, NoAppStartsWhereOpensCannotBeHeldAgain) {
    write_at_center({{"large", large_}});
    come_to_tokyo();
    ASSERT_TRUE(lacks(*tokyo_, "large"));
    tree_.cut(*tokyo_);
    tokyo_->gate = nullptr; // it runs without the right to it now
    tree_.restart(*tokyo_);
    tokyo_->to_spawner.clear();
    tokyo_->ask({{"t", "start"}, {"app", "notes"}, {"user", "anna"}});
    tree_.pass_s(20);
    EXPECT_TRUE(tokyo_->to_spawner.empty());
    tree_.drops_contents = false;
    ASSERT_TRUE(tree_.link(*tokyo_));
    tree_.pass_s(60);
    EXPECT_TRUE(content_of(*tokyo_, "large") == large_);
    tokyo_->ask({{"t", "start"}, {"app", "notes"}, {"user", "anna"}});
    tree_.pass_s(10);
    EXPECT_FALSE(tokyo_->to_spawner.empty());
}

TEST_F(Coming, OpensAreHeldAgainAfterAStart) {
    write_at_center({{"large", large_}});
    come_to_tokyo();
    EXPECT_EQ(gate_->held, 1);
    restart();
    tree_.pass_s(2);
    EXPECT_EQ(gate_->held, 2);
    tokyo_->to_spawner.clear();
    tokyo_->ask({{"t", "start"}, {"app", "notes"}, {"user", "anna"}});
    tree_.pass_s(10);
    EXPECT_FALSE(tokyo_->to_spawner.empty());
}

TEST_F(Coming, WhatCameBeforeARestartIsNotAskedForAgain) {
    write_at_center({{"large", large_}});
    come_to_tokyo();
    // Not a whole block; what is of whole ones is had.
    EXPECT_THAT(asked_after_a_restart_with(large_.substr(0, 400'001)), Each(Ge(300'000)));
    EXPECT_TRUE(content_of(*tokyo_, "large") == large_);
}

TEST_F(Coming, WhatWasNotWhatWasToComeBeforeARestartComesAnew) {
    write_at_center({{"large", large_}});
    come_to_tokyo();
    const std::string wrong = many_bytes('b').substr(0, 400'001);
    EXPECT_THAT(asked_after_a_restart_with(wrong), AllOf(Contains(Ge(300'000)), Contains(0)));
    EXPECT_TRUE(content_of(*tokyo_, "large") == large_);
}

TEST_F(Coming, OpensAreAnsweredWhereFilesCouldNotBeOpened) {
    write_at_center({{"large", large_}});
    come_to_tokyo();
    ASSERT_TRUE(write_file_durably(tokyo_->state + "/contents.key", "no key", 0600).ok());
    restart();
    ASSERT_TRUE(tokyo_->status().contains("files_problem"));
    const std::uint64_t opening = gate_->open(tree_, *tokyo_, "large");
    tree_.settle();
    EXPECT_EQ(gate_->answers[opening], EIO);
}

TEST_F(Coming, WhoeverOpensOneThatStoppedIsToldAgain) {
    write_at_center({{"large", large_}});
    come_to_tokyo();
    const std::uint64_t first = gate_->open(tree_, *tokyo_, "large");
    tree_.pass_s(40); // it stopped
    EXPECT_EQ(gate_->answers[first], EIO);
    tree_.cut(*tokyo_);
    const std::uint64_t second = gate_->open(tree_, *tokyo_, "large");
    tree_.settle();
    EXPECT_EQ(gate_->answers[second], EIO);
}

TEST_F(Coming, MoreThanMayWaitForALinkAreToldToo) {
    std::map<std::string, std::string> files;
    for (std::size_t i = 0; i < fills_max + 20; ++i) {
        files["f" + std::to_string(i)] = std::to_string(i) + std::string(70'000, 'x');
    }
    write_at_center(files);
    come_to_tokyo();
    tree_.cut(*tokyo_);
    for (const auto& [name, text] : files) {
        const std::uint64_t opening = gate_->open(tree_, *tokyo_, name);
        tree_.settle();
        EXPECT_EQ(gate_->answers[opening], EIO) << name;
    }
    tree_.drops_contents = false;
    ASSERT_TRUE(tree_.link(*tokyo_));
    tree_.settle();
    for (const char* name : {"f3", "f275"}) {
        if (const std::uint64_t opening = gate_->open(tree_, *tokyo_, name); opening != 0) {
            tree_.pass_s(1);
            EXPECT_EQ(gate_->answers[opening], 0) << name;
        }
        EXPECT_TRUE(content_of(*tokyo_, name) == files[name]);
    }
}

TEST_F(Coming, WhoMayNotHaveHisFilesGetsNoContentEither) {
    write_at_center({{"large", large_}});
    Node& osaka = tree_.below(*center_, "osaka");
    tree_.crossed.clear();
    tree_.forge(osaka, {{"t", "files.fetch"},
                        {"user", "anna"},
                        {"app", "notes"},
                        {"content", to_hex(trust::sha256(large_))},
                        {"offset", 0},
                        {"bytes", 100},
                        {"q", 999}});
    tree_.settle();
    const auto said =
        std::find_if(tree_.crossed.begin(), tree_.crossed.end(), [](const Crossed& one) {
            return one.from == "center" && int_of(one.head, "q") == 999;
        });
    ASSERT_NE(said, tree_.crossed.end());
    EXPECT_EQ(text_of(member(said->head, "error"), "code"), "not_found");
    EXPECT_TRUE(said->body.empty());
}

} // namespace hasp::maint::tests
