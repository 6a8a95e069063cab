// What a home keeps of users' files: versions, the trash, damage, and the end of an account.
#include "base/files.h"
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
