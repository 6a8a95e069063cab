// The content store takes over what older versions of hasp kept in STATE/blobs.
#include "base/text.h"
#include "content_suite.h"
#include "trust/hash.h"

namespace hasp::sync {

TEST_P(ContentSuite, TakesOverWhatOlderVersionsKept) {
    // As an older version left it: rows and files, and nothing of the store.
    ASSERT_TRUE(keep("anna", {}).ok());
    ASSERT_TRUE(db_->run_script("DELETE FROM content_state").ok());
    const std::vector<std::string> contents{"old", "older", random(2 << 20), "of both"};
    for (const std::string& content : contents) {
        put_legacy(content);
        for (const char* user : {"anna", "bert"}) {
            ASSERT_TRUE(db_->execute("INSERT INTO files_versions (tenant, user, app, path, "
                                     "revision, kind, mode, mtime_us, size, hash, target, "
                                     "operation, at_us, who) VALUES ('clinics', ?1, 'wiki', ?2, 1, "
                                     "1, 420, 0, 0, ?3, x'', '', 0, '')",
                                     user, store::Blob{content.substr(0, 5)},
                                     store::Blob{trust::sha256(content)})
                            .ok());
        }
    }
    put_legacy("nobody's");
    start();
    const auto all_there = [&] {
        for (const std::string& content : contents) {
            EXPECT_TRUE(store_->has("anna", trust::sha256(content)).value());
            EXPECT_EQ(read("anna", trust::sha256(content)), content);
            EXPECT_EQ(read("bert", trust::sha256(content)), content);
        }
        EXPECT_EQ(read("carl", trust::sha256("old")), "(not_found)");
        EXPECT_EQ(read("anna", trust::sha256("nobody's")), "(not_found)");
    };
    all_there();
    int steps = 0;
    while (take_over().value()) {
        ASSERT_LT(++steps, 30);
        all_there();
        start();
        all_there();
    }
    all_there();
    EXPECT_EQ(world_->disk().stat(legacy_folder).error().code, Code::not_found);
    EXPECT_FALSE(take_over().value());
}

TEST_P(ContentSuite, SaysWhichContentOfAnOlderVersionIsDamaged) {
    ASSERT_TRUE(keep("anna", {}).ok());
    ASSERT_TRUE(db_->run_script("DELETE FROM content_state").ok());
    put_legacy("whole");
    put_legacy("bent");
    ASSERT_TRUE(keep("anna", {}).ok());
    const std::string hex = to_hex(trust::sha256("bent"));
    put_bytes("blobs/" + hex.substr(0, 2) + "/" + hex.substr(2), "not what it was");
    for (const char* content : {"whole", "bent", "lost"}) {
        ASSERT_TRUE(
            db_->execute("INSERT INTO files_versions (tenant, user, app, path, revision, kind, "
                         "mode, mtime_us, size, hash, target, operation, at_us, who) VALUES "
                         "('clinics', 'anna', 'wiki', ?1, 1, 1, 420, 0, 0, ?2, x'', '', 0, '')",
                         store::Blob{content}, store::Blob{trust::sha256(content)})
                .ok());
    }
    start();
    while (take_over().value()) {
    }
    EXPECT_EQ(read("anna", trust::sha256("whole")), "whole");
    EXPECT_EQ(read("anna", trust::sha256("bent")), "(refused)");
    EXPECT_EQ(store_->damaged_count().value(), 2U);
    // Whoever has them puts them back: they are tried again with each start.
    EXPECT_EQ(legacy_blobs(), 1U);
    start();
    while (take_over().value()) {
    }
    EXPECT_EQ(legacy_blobs(), 1U);
    put_legacy("bent");
    put_legacy("lost");
    start();
    while (take_over().value()) {
    }
    EXPECT_EQ(healed_, 2U);
    for (const char* content : {"whole", "bent", "lost"}) {
        EXPECT_EQ(read("anna", trust::sha256(content)), content);
    }
    EXPECT_EQ(store_->damaged_count().value(), 0U);
    EXPECT_EQ(world_->disk().stat(legacy_folder).error().code, Code::not_found);
}

TEST_P(ContentSuite, GivesBackTheRoomOfAnOlderVersionsContentWithItsTakingOver) {
    ASSERT_TRUE(keep("anna", {}).ok());
    ASSERT_TRUE(db_->run_script("DELETE FROM content_state").ok());
    for (int i = 0; i < 30; ++i) {
        const std::string content = random(1 << 20);
        put_legacy(content);
        ASSERT_TRUE(
            db_->execute("INSERT INTO files_versions (tenant, user, app, path, revision, kind, "
                         "mode, mtime_us, size, hash, target, operation, at_us, who) VALUES "
                         "('clinics', 'anna', 'wiki', ?1, 1, 1, 420, 0, 1048576, ?2, x'', '', 0, "
                         "'')",
                         store::Blob{std::to_string(i)}, store::Blob{trust::sha256(content)})
                .ok());
    }
    start();
    ASSERT_TRUE(take_over().value());
    const std::size_t left = legacy_blobs();
    EXPECT_LT(left, 25U);
    EXPECT_GT(left, 15U);
}

} // namespace hasp::sync
