// What a home keeps of users' files: versions, the trash, damage, and the end of an account.
#include "base/files.h"
#include "base/text.h"
#include "store/db.h"
#include "tree.h"

#include <filesystem>
#include <unistd.h>

namespace hasp::maint::tests {

namespace {

std::string kept_path(const Node& node, const std::string& name) {
    return node.state + "/data/users/anna/notes/" + name;
}
void put_at(const Node& node, const std::string& name, const std::string& content) {
    const std::string path = kept_path(node, name);
    ASSERT_TRUE(make_folders(std::filesystem::path(path).parent_path().string()).ok());
    ASSERT_TRUE(write_file_durably(path, content, 0644).ok());
}
std::string kept_content(const Node& node, const std::string& name) {
    auto text = read_file(kept_path(node, name), 1 << 20);
    return text.ok() ? *text : "(" + std::string(code_name(text.error().code)) + ")";
}

// anna's account and files at the center, and a tier below that has them too.
struct KeptNotes {
    Tree tree;
    Node& center = tree.top();
    Node& tokyo = tree.below(center, "tokyo");

    KeptNotes() {
        tree.add_user(center, "anna", good_password, {"notes"});
        tree.add_app(center, "notes", {"center", "tokyo"}, {{"personal", true}});
        tree.pass_s(5);
        for (Node* at : {&center, &tokyo}) {
            EXPECT_EQ(at->log_in("anna", good_password)->status, 303);
        }
        tree.pass_s(2);
    }
    void sync() {
        ASSERT_TRUE(tokyo.admin("sync.begin", {{"user", "anna"}}).ok());
        tree.settle();
        tree.pass_s(2);
    }
    void write(const std::string& name, const std::string& content) {
        put_at(tokyo, name, content);
        sync();
    }
    Result<Json> versions(const std::string& path, const Json& more = Json::object()) {
        Json args{{"user", "anna"}, {"app", "notes"}, {"path", path}};
        args.update(more);
        return center.admin("sync.versions", args);
    }
};

TEST(KeptFiles, ComeOutOfTheTrashAndGoDownToAllWhoHoldThem) {
    KeptNotes kept;
    kept.write("plans/today", "three patients");
    ASSERT_EQ(kept_content(kept.center, "plans/today"), "three patients");
    std::filesystem::remove(kept_path(kept.tokyo, "plans/today"));
    kept.sync();
    ASSERT_EQ(kept_content(kept.center, "plans/today"), "(not_found)");
    auto trash = kept.versions("", {{"removed", true}});
    ASSERT_TRUE(trash.ok()) << trash.error().message;
    ASSERT_EQ(member(*trash, "versions").size(), 1U) << dump(*trash);
    EXPECT_EQ(text_of(member(*trash, "versions")[0], "path"), "plans/today");
    const Json wish{{"user", "anna"}, {"app", "notes"}, {"path", "plans"}};
    Json dry = wish;
    dry["dry_run"] = true;
    EXPECT_EQ(int_of(*kept.center.admin("sync.restore", dry), "restored"), 1);
    kept.tree.pass_s(2);
    EXPECT_EQ(kept_content(kept.center, "plans/today"), "(not_found)");
    auto done = kept.center.admin("sync.restore", wish);
    ASSERT_TRUE(done.ok()) << done.error().message;
    EXPECT_EQ(int_of(*done, "restored"), 1) << dump(*done);
    kept.tree.pass_s(3);
    EXPECT_EQ(kept_content(kept.center, "plans/today"), "three patients");
    EXPECT_EQ(kept_content(kept.tokyo, "plans/today"), "three patients");
}

TEST(KeptFiles, WhoseNamesAreNotTextAreListedToTheEndAndRestored) {
    KeptNotes kept;
    const std::string odd = "b\xe9\xff";
    for (int i = 0; i < 500; ++i) {
        put_at(kept.tokyo, "a" + std::to_string(1000 + i), "x");
    }
    put_at(kept.tokyo, odd, "odd");
    kept.write("c", "behind it");
    Json after = Json::object();
    std::size_t listed = 0;
    std::string last;
    for (int page = 0; page < 3; ++page) {
        auto some = kept.versions("", {{"after", after}});
        ASSERT_TRUE(some.ok()) << some.error().message;
        listed += member(*some, "versions").size();
        last = text_of(member(*some, "versions").back(), "path");
        if (!true_of(*some, "more")) {
            break;
        }
        after = member(*some, "next");
    }
    EXPECT_EQ(listed, 502U);
    EXPECT_EQ(last, "c");
    // A page that ends with such a name goes on behind it.
    auto rest = kept.versions("", {{"after", {{"path_hex", to_hex(odd)}, {"revision", 0}}}});
    ASSERT_EQ(member(*rest, "versions").size(), 1U) << dump(*rest);
    std::filesystem::remove(kept_path(kept.tokyo, odd));
    kept.sync();
    auto done = kept.center.admin("sync.restore",
                                  {{"user", "anna"}, {"app", "notes"}, {"path_hex", to_hex(odd)}});
    ASSERT_TRUE(done.ok()) << done.error().message;
    EXPECT_EQ(int_of(*done, "restored"), 1) << dump(*done);
}

TEST(KeptFiles, GoBackToARevisionAndATime) {
    KeptNotes kept;
    kept.write("note", "one");
    const std::int64_t then = kept.tree.clock.wall_us();
    const std::int64_t first = int_of(member(*kept.versions("note"), "versions")[0], "revision");
    kept.tree.pass_s(5);
    kept.write("note", "two");
    const Json wish{{"user", "anna"}, {"app", "notes"}, {"path", "note"}};
    Json by = wish;
    by["revision"] = first;
    ASSERT_EQ(int_of(*kept.center.admin("sync.restore", by), "restored"), 1);
    kept.tree.pass_s(3);
    EXPECT_EQ(kept_content(kept.tokyo, "note"), "one");
    kept.write("note", "three");
    by = wish;
    by["at_us"] = then;
    ASSERT_EQ(int_of(*kept.center.admin("sync.restore", by), "restored"), 1);
    kept.tree.pass_s(3);
    EXPECT_EQ(kept_content(kept.tokyo, "note"), "one");
    EXPECT_EQ(member(*kept.versions("note"), "versions").size(), 5U);
}

TEST(KeptFiles, AreAskedForAtTheTierThatHasTheAccount) {
    KeptNotes kept;
    kept.write("note", "one");
    const Json wish{{"user", "anna"}, {"app", "notes"}};
    for (const char* command : {"sync.versions", "sync.restore"}) {
        auto refused = kept.tokyo.admin(command, wish);
        ASSERT_FALSE(refused.ok());
        EXPECT_EQ(refused.error().code, Code::refused);
        EXPECT_NE(refused.error().message.find("center"), std::string::npos);
        EXPECT_EQ(kept.center.admin(command, {{"user", "nobody"}, {"app", "notes"}}).error().code,
                  Code::not_found);
        EXPECT_EQ(kept.center.admin(command, {{"user", "anna"}, {"app", "other"}}).error().code,
                  Code::not_found);
    }
}

TEST(KeptFiles, AreDestroyedWithTheAccountAlsoWhenTheTierDiesBetween) {
    for (const bool dies : {false, true}) {
        KeptNotes kept;
        kept.write("note", "one");
        kept.center.hold_background = dies;
        kept.center.background_passes = 1; // what is asked before the account goes
        auto removed = kept.center.admin("user.remove", {{"name", "anna"}});
        EXPECT_EQ(removed.ok(), !dies);
        kept.center.hold_background = false;
        kept.center.held.clear();
        if (dies) {
            kept.tree.restart(kept.center);
        }
        kept.tree.add_user(kept.center, "anna", "another person", {"notes"});
        EXPECT_EQ(kept.versions("note").error().code, Code::not_found) << dies;
    }
}

TEST(KeptFiles, AreKeptNoLongerToSendLessEither) {
    KeptNotes kept;
    kept.write("large", std::string((1 << 20) + 1, 'x'));
    const std::filesystem::path bases = kept.center.state + "/sync/client/base";
    ASSERT_FALSE(std::filesystem::is_empty(bases));
    ASSERT_TRUE(kept.center.admin("user.remove", {{"name", "anna"}}).ok());
    kept.tree.settle();
    EXPECT_TRUE(std::filesystem::is_empty(bases));
}

TEST(KeptFiles, OfARemovedAccountAreNeverThoseOfANewOneOfItsName) {
    KeptNotes kept;
    kept.write("note", "one");
    auto db = store::Db::open(kept.center.state + "/files.db");
    ASSERT_TRUE(db.ok() && (*db)
                               ->run_script("CREATE TRIGGER full BEFORE DELETE ON content_keys "
                                            "BEGIN SELECT RAISE(ABORT, 'full'); END")
                               .ok());
    EXPECT_FALSE(kept.center.admin("user.remove", {{"name", "anna"}}).ok());
    const Json anna{{"name", "anna"}, {"password", "another person"}};
    auto refused = kept.center.admin("user.add", anna);
    ASSERT_FALSE(refused.ok());
    EXPECT_NE(refused.error().message.find("before"), std::string::npos) << refused.error().message;
    EXPECT_FALSE(kept.center.admin("user.show", {{"name", "anna"}}).ok());
    ASSERT_TRUE((*db)->run_script("DROP TRIGGER full").ok());
    auto added = kept.center.admin("user.add", anna);
    ASSERT_TRUE(added.ok()) << added.error().message;
    EXPECT_EQ(kept.versions("note").error().code, Code::not_found);
}

TEST(KeptFiles, ThatCannotBeOpenedAreSaidAndTheTierGoesOnWithoutThem) {
    KeptNotes kept;
    kept.write("note", "one");
    const std::string file = kept.center.state + "/contents.key";
    const std::string key = read_file(file, 1000).value();
    ASSERT_TRUE(write_file_durably(file, std::string(64, 'a') + "\n", 0600).ok());
    kept.tree.restart(kept.center);
    const Json status = kept.center.status();
    const Json& problem = member(status, "files_problem");
    ASSERT_TRUE(problem.is_object()) << dump(status);
    EXPECT_NE(text_of(problem, "text").find("contents.key"), std::string::npos) << dump(problem);
    EXPECT_FALSE(text_of(problem, "next").empty());
    EXPECT_EQ(kept.versions("note").error().code, Code::try_later);
    kept.tree.pass_s(700, 10);
    EXPECT_EQ(kept.center.admin("user.remove", {{"name", "anna"}}).error().code, Code::try_later);
    ASSERT_TRUE(write_file_durably(file, key, 0600).ok());
    kept.tree.restart(kept.center);
    EXPECT_FALSE(kept.center.status().contains("files_problem"));
    EXPECT_FALSE(kept.center.status().contains("damaged_files"));
    kept.tree.add_user(kept.center, "anna", "another person", {"notes"});
    EXPECT_EQ(kept.versions("note").error().code, Code::not_found);
}

TEST(KeptFiles, ThatAreDamagedAreSaidInTheStatus) {
    KeptNotes kept;
    kept.write("bent", "a content");
    const std::string segment = kept.center.state + "/contents/0/1";
    std::string bytes = read_file(segment, 1 << 20).value();
    bytes[45] = static_cast<char>(bytes[45] ^ 1);
    ASSERT_TRUE(write_file_durably(segment, bytes, 0600).ok());
    EXPECT_FALSE(kept.center.status().contains("damaged_files"));
    kept.tree.pass_s(620, 10);
    const Json status = kept.center.status();
    const Json& damaged = member(status, "damaged_files");
    ASSERT_EQ(int_of(damaged, "contents"), 1) << dump(status);
    EXPECT_EQ(text_of(member(damaged, "files")[0], "path"), "bent");
    EXPECT_TRUE(true_of(member(damaged, "files")[0], "stands"));
    EXPECT_FALSE(true_of(member(*kept.versions("bent"), "versions")[0], "readable"));
}

} // namespace

} // namespace hasp::maint::tests
