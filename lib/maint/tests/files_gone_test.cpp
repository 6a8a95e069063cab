// What becomes of the files of an account that was removed, at the tiers that have copies of them.
#include "base/clock.h"
#include "base/files.h"
#include "base/text.h"
#include "store/db.h"
#include "tree.h"

#include <filesystem>
#include <gmock/gmock.h>

namespace hasp::maint::tests {

namespace {

using testing::HasSubstr;

std::string users_path(const Node& at, const std::string& name = {}) {
    return at.state + "/data/users/anna" + (name.empty() ? "" : "/notes/" + name);
}
bool has_copy(const Node& at) {
    return std::filesystem::exists(users_path(at));
}
std::string content(const Node& at, const std::string& name) {
    auto text = read_file(users_path(at, name), 1 << 24);
    return text.ok() ? *text : "(" + std::string(code_name(text.error().code)) + ")";
}

// The center with two tiers below, and anna's account at one of the three.
struct Removed {
    Tree tree;
    Node& center = tree.top();
    Node& tokyo = tree.below(center, "tokyo");
    Node& osaka = tree.below(center, "osaka");

    explicit Removed(const std::string& home = "center") {
        make_account(home == "center" ? center : home == "tokyo" ? tokyo : osaka);
        tree.add_app(center, "notes", {"center", "tokyo", "osaka"}, {{"personal", true}});
        tree.pass_s(5);
    }
    void make_account(Node& home) { tree.add_user(home, "anna", good_password, {"notes"}); }
    void remove_account(Node& home) {
        ASSERT_TRUE(home.admin("user.remove", {{"name", "anna"}}).ok());
        tree.pass_s(5);
    }
    // Until the disk's clock has gone on: what changed this instant may change in it again.
    static void settle_on_disk(const Node& at) {
        const std::string probe = at.state + "/probe";
        const auto now = [&probe] {
            EXPECT_TRUE(write_file_durably(probe, "", 0600).ok());
            return std::filesystem::last_write_time(probe);
        };
        const auto before = now();
        for (int i = 0; i < 1'000'000 && now() == before; ++i) {
        }
    }
    void log_in(Node& at) {
        ASSERT_EQ(at.log_in("anna", good_password)->status, 303);
        tree.pass_s(2);
    }
    void compare(Node& at) {
        ASSERT_TRUE(at.admin("sync.begin", {{"user", "anna"}}).ok());
        tree.pass_s(2);
    }
    static void put(Node& at, const std::string& name, const std::string& text) {
        ASSERT_TRUE(make_folders(users_path(at, ".")).ok());
        ASSERT_TRUE(write_file_durably(users_path(at, name), text, 0644).ok());
    }
    // She logs in, and writes.
    void works(Node& at) {
        log_in(at);
        put(at, "today", "three patients");
        compare(at);
    }
    static Json copy(Node& at) {
        const auto status = at.admin("sync.status", Json::object());
        const Json& folders = member(*status, "folders");
        return folders.empty() ? Json() : folders.front();
    }
};

} // namespace

TEST(FilesOfARemovedAccount, GoFromEveryTierThatHasACopy) {
    Removed r;
    r.works(r.tokyo);
    r.log_in(r.osaka);
    r.log_in(r.center);
    for (Node* at : {&r.center, &r.tokyo, &r.osaka}) {
        ASSERT_EQ(content(*at, "today"), "three patients");
    }
    r.tree.cut(r.osaka);
    Removed::settle_on_disk(r.tokyo);
    Removed::put(r.center, "late", "not sent to anybody, where it is removed");
    r.remove_account(r.center);
    EXPECT_FALSE(has_copy(r.center));
    EXPECT_FALSE(has_copy(r.tokyo));
    EXPECT_TRUE(has_copy(r.osaka)) << "it was not told";
    ASSERT_TRUE(r.tree.link(r.osaka));
    r.tree.pass_s(1500, 10);
    EXPECT_FALSE(has_copy(r.osaka));
}

TEST(FilesOfARemovedAccount, GoAlsoWhereItsHomeWasStartedAgain) {
    Removed r;
    r.works(r.tokyo);
    r.tree.cut(r.tokyo);
    r.remove_account(r.center);
    r.tree.restart(r.center);
    ASSERT_TRUE(r.tree.link(r.tokyo));
    r.tree.pass_s(1500, 10);
    EXPECT_FALSE(has_copy(r.tokyo));
}

TEST(FilesOfARemovedAccount, StayAsLongAsSomethingInThemWasNeverSentAndNobodySaysThatItMayGo) {
    Removed r;
    r.works(r.tokyo);
    const Json discard{{"user", "anna"}, {"app", "notes"}, {"discard", true}};
    EXPECT_EQ(r.tokyo.admin("sync.begin", discard).error().code, Code::refused)
        << "nobody has removed the account";
    r.tree.cut(r.tokyo);
    Removed::put(r.tokyo, "tomorrow", "five patients");
    r.compare(r.tokyo);
    r.remove_account(r.center);
    EXPECT_EQ(r.tokyo.admin("sync.begin", discard).error().code, Code::refused)
        << "its home has not said so";
    ASSERT_TRUE(r.tree.link(r.tokyo));
    const auto asked = [&r] {
        return std::count_if(r.tree.crossed.begin(), r.tree.crossed.end(), [](const auto& one) {
            return one.from == "tokyo" && text_of(one.head, "t") == "files.push";
        });
    };
    r.tree.pass_s(60);
    const auto before = asked();
    r.tree.pass_s(3 * day_s, 100);
    r.tree.restart(r.tokyo);
    ASSERT_TRUE(r.tree.linked(r.tokyo) || r.tree.link(r.tokyo));
    r.tree.pass_s(700, 10);
    EXPECT_EQ(asked(), before) << "its home has said all that there is to say";
    EXPECT_EQ(content(r.tokyo, "tomorrow"), "five patients");
    const Json copy = Removed::copy(r.tokyo);
    EXPECT_EQ(int_of(copy, "unsent_files"), 1) << dump(copy);
    EXPECT_THAT(text_of(copy, "error"), HasSubstr("the account of anna was removed"));
    const auto begun = r.tokyo.admin("sync.begin", discard);
    ASSERT_TRUE(begun.ok()) << begun.error().message;
    r.tree.pass_s(5);
    EXPECT_FALSE(has_copy(r.tokyo));
    const auto seen = r.tokyo.admin("sync.look", {{"round", int_of(*begun, "round")}});
    ASSERT_TRUE(seen.ok()) << seen.error().message;
    EXPECT_TRUE(true_of(member(*seen, "folders").at(0), "removed")) << dump(*seen);
}

TEST(FilesOfARemovedAccount, AreNotFoundByWhoeverGetsTheNameNext) {
    Removed r;
    r.works(r.tokyo);
    r.tree.cut(r.tokyo);
    r.remove_account(r.center);
    r.make_account(r.center);
    r.tree.pass_s(5);
    r.log_in(r.center);
    Removed::put(r.center, "hers", "another anna");
    r.compare(r.center);
    ASSERT_TRUE(r.tree.link(r.tokyo));
    r.log_in(r.tokyo);
    r.tree.pass_s(1500, 10);
    EXPECT_EQ(content(r.tokyo, "today"), "(not_found)");
    EXPECT_EQ(content(r.tokyo, "hers"), "another anna") << dump(Removed::copy(r.center));
    EXPECT_EQ(content(r.center, "hers"), "another anna");
}

TEST(FilesOfARemovedAccount, GoAlsoWhereTheAccountWasAtATierBelowOrBeside) {
    Removed r("tokyo");
    r.works(r.tokyo);
    r.log_in(r.center);
    r.log_in(r.osaka);
    ASSERT_EQ(content(r.center, "today"), "three patients");
    ASSERT_EQ(content(r.osaka, "today"), "three patients");
    r.remove_account(r.tokyo);
    r.tree.pass_s(1500, 10);
    for (Node* at : {&r.tokyo, &r.center, &r.osaka}) {
        EXPECT_FALSE(has_copy(*at)) << at->name << dump(Removed::copy(*at));
    }
}

TEST(FilesOfARemovedAccount, GoAlsoWhereAnotherTierHasGivenTheNameAgain) {
    Removed r("tokyo");
    r.works(r.tokyo);
    r.log_in(r.osaka);
    r.tree.cut(r.osaka);
    Removed::settle_on_disk(r.osaka);
    r.remove_account(r.tokyo);
    r.make_account(r.center);
    r.tree.pass_s(5);
    r.log_in(r.center);
    Removed::put(r.center, "hers", "another anna");
    r.compare(r.center);
    ASSERT_EQ(content(r.osaka, "today"), "three patients");
    ASSERT_TRUE(r.tree.link(r.osaka));
    r.tree.pass_s(5);
    r.log_in(r.osaka);
    r.tree.pass_s(20);
    EXPECT_EQ(content(r.osaka, "today"), "(not_found)");
    EXPECT_EQ(content(r.osaka, "hers"), "another anna");
    EXPECT_EQ(content(r.center, "today"), "(not_found)");
}

TEST(FilesOfARemovedAccount, GoFromATierTwoLinksAwayWhenTheUpperOneIsBack) {
    Tree tree;
    const std::vector<Node*> line = tree.chain(3);
    tree.add_user(*line[0], "anna", good_password, {"notes"});
    tree.add_app(*line[0], "notes", {line[2]->name}, {{"personal", true}});
    tree.pass_s(5);
    ASSERT_EQ(line[2]->log_in("anna", good_password)->status, 303);
    tree.pass_s(2);
    Removed::put(*line[2], "today", "three patients");
    ASSERT_TRUE(line[2]->admin("sync.begin", {{"user", "anna"}}).ok());
    tree.pass_s(2);
    ASSERT_EQ(int_of(Removed::copy(*line[2]), "unsent_files"), 0);
    Removed::settle_on_disk(*line[2]);
    tree.cut(*line[1]);
    ASSERT_TRUE(line[0]->admin("user.remove", {{"name", "anna"}}).ok());
    tree.pass_s(5);
    ASSERT_TRUE(has_copy(*line[2]));
    ASSERT_TRUE(tree.link(*line[1]));
    tree.pass_s(10);
    EXPECT_FALSE(has_copy(*line[2]));
}

TEST(FilesOfARemovedAccount, AreOpenedByNoProgramOfWhoeverGetsTheNameNext) {
    Removed r;
    r.works(r.tokyo);
    r.tree.cut(r.tokyo);
    Removed::put(r.tokyo, "tomorrow", "never sent");
    r.compare(r.tokyo);
    r.remove_account(r.center);
    r.make_account(r.center);
    ASSERT_TRUE(r.tree.link(r.tokyo));
    r.tree.pass_s(5);
    r.log_in(r.tokyo);
    r.tokyo.ask({{"t", "start"}, {"app", "notes"}, {"user", "anna"}});
    r.tree.pass_s(30);
    EXPECT_TRUE(r.tokyo.process("notes.anna").empty());
    r.log_in(r.center);
    r.tree.pass_s(30);
    EXPECT_EQ(content(r.center, "tomorrow"), "(not_found)") << "nor is it sent to her";
}

TEST(FilesOfARemovedAccount, AreNotLeftToAProgramThatRunsOnThem) {
    Removed r;
    r.works(r.tokyo);
    r.tokyo.ask({{"t", "start"}, {"app", "notes"}, {"user", "anna"}});
    r.tree.pass_s(2);
    const std::string process = r.tokyo.process("notes.anna");
    ASSERT_FALSE(process.empty());
    r.tokyo.event(process, "ready");
    r.tree.cut(r.tokyo);
    Removed::put(r.tokyo, "tomorrow", "never sent");
    r.compare(r.tokyo);
    r.remove_account(r.center);
    ASSERT_TRUE(r.tree.link(r.tokyo));
    r.tree.pass_s(60);
    const auto& orders = r.tokyo.to_spawner;
    EXPECT_TRUE(std::any_of(orders.begin(), orders.end(), [&](const Json& one) {
        return text_of(one, "t") == "stop" && text_of(one, "instance") == process;
    }));
}

TEST(FilesOfARemovedAccount, StayUnsentAlsoWhereTheNameWasOnceThatOfTheTierItself) {
    Removed r;
    r.remove_account(r.center); // which had an account of that name
    r.make_account(r.tokyo);
    r.tree.pass_s(5);
    r.works(r.tokyo);
    r.log_in(r.center);
    ASSERT_EQ(content(r.center, "today"), "three patients");
    r.tree.cut(r.tokyo);
    Removed::put(r.center, "never", "sent");
    r.compare(r.center);
    r.remove_account(r.tokyo);
    ASSERT_TRUE(r.tree.link(r.tokyo));
    r.tree.pass_s(60);
    const Json anna{{"name", "anna"}, {"password", good_password}};
    const auto added = r.center.admin("user.add", anna);
    ASSERT_FALSE(added.ok());
    EXPECT_EQ(added.error().code, Code::try_later);
    r.tree.pass_s(30);
    EXPECT_EQ(content(r.center, "never"), "sent");
    ASSERT_TRUE(
        r.center.admin("sync.begin", {{"user", "anna"}, {"app", "notes"}, {"discard", true}}).ok());
    r.tree.pass_s(5);
    EXPECT_TRUE(r.center.admin("user.add", anna).ok());
}

TEST(FilesOfARemovedAccount, GoBeforeTheNameIsClaimedAgainByTheSameTier) {
    Removed r("tokyo");
    r.works(r.tokyo);
    r.log_in(r.center);
    r.center.hold_background = true;
    static_cast<void>(r.tokyo.admin("user.remove", {{"name", "anna"}}));
    static_cast<void>(r.tokyo.admin("user.add", {{"name", "anna"}, {"password", good_password}}));
    r.center.hold_background = false;
    for (auto& job : std::exchange(r.center.held, {})) {
        r.tree.post(std::move(job));
    }
    r.tree.settle(); // before any report says it anew
    EXPECT_TRUE(r.tokyo.admin("user.show", {{"name", "anna"}}).ok());
    EXPECT_EQ(r.center.log_in("anna", good_password)->status, 303)
        << "the center knows where she is";
    EXPECT_FALSE(r.center.admin("user.add", {{"name", "anna"}}).ok());
}

TEST(FilesOfARemovedAccount, AreNotWhatAChildSaysOfFoldersFromBeforeItHadTheName) {
    Removed r;
    r.works(r.tokyo);
    const Json revision = member(Removed::copy(r.tokyo), "revision");
    const auto says = [&](const Json& epoch) {
        r.tree.forge(r.osaka, {{"t", "account.claim"}, {"user", "anna"}});
        r.tree.pass_s(1);
        r.tree.forge(r.osaka, {{"t", "account.release"},
                               {"user", "anna"},
                               {"gone", Json::array({{{"app", "notes"}, {"epoch", epoch}}})}});
        r.tree.pass_s(5);
    };
    says(member(revision, "epoch"));
    EXPECT_EQ(content(r.tokyo, "today"), "three patients") << "the name is not its own";
    // The center has lost its accounts, and the copy is the last.
    const Json allowed{{"name", "tokyo"}, {"users", {"anna"}}};
    ASSERT_TRUE(r.center.admin("local.allow", allowed).ok());
    r.tree.pass_s(2 * day_s, 600);
    ASSERT_EQ(content(r.tokyo, "today"), "three patients");
    auto db = store::Db::open(r.center.state + "/keeper.db");
    ASSERT_TRUE(db.ok());
    ASSERT_TRUE((*db)
                    ->run_script("DELETE FROM signon_accounts; "
                                 "DELETE FROM signon_account_counters;")
                    .ok());
    r.tree.restart(r.center);
    ASSERT_TRUE(r.tree.linked(r.osaka) || r.tree.link(r.osaka));
    says(member(revision, "epoch"));
    ASSERT_TRUE(r.tree.linked(r.tokyo) || r.tree.link(r.tokyo));
    r.tree.pass_s(60);
    EXPECT_EQ(content(r.tokyo, "today"), "three patients");
}

} // namespace hasp::maint::tests
