// What becomes of the files of an account that was removed, at the tiers that have copies of them.
#include "base/clock.h"
#include "base/files.h"
#include "base/text.h"
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
    Removed::put(r.center, "late", "not sent to anybody, where it is removed");
    r.remove_account(r.center);
    EXPECT_FALSE(has_copy(r.center));
    r.tree.pass_s(1500, 10); // looked at again, if they changed just now
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
    r.tree.pass_s(1500, 10);
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

} // namespace hasp::maint::tests
