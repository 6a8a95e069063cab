// What the content store makes of a disk, a database or a key that are not what they were.
#include "content_suite.h"
#include "trust/hash.h"

#include <algorithm>

namespace hasp::sync {

TEST_P(ContentSuite, DeletesNothingForADatabaseThatKnowsNothingOfIt) {
    ASSERT_TRUE(keep("anna", {"of anna", random(2 << 20)}).ok());
    const std::vector<std::string> before = files();
    const std::string key = bytes_of(contents_key_file);
    ASSERT_TRUE(db_->run_script("DELETE FROM contents; DELETE FROM content_files; DELETE FROM "
                                "content_keys; DELETE FROM content_state")
                    .ok());
    for (int again = 0; again < 2; ++again) {
        const Status started = try_start();
        ASSERT_FALSE(started.ok());
        EXPECT_EQ(started.error().code, Code::refused);
        EXPECT_NE(started.error().hint.find("files.db"), std::string::npos);
        EXPECT_EQ(files(), before);
    }
    EXPECT_EQ(bytes_of(contents_key_file), key);
}

TEST_P(ContentSuite, SetsAsideWhatAnOlderDatabaseDoesNotKnowAndCutsNothing) {
    ASSERT_TRUE(keep("anna", {"old"}).ok());
    for (const char* table : {"contents", "content_files", "content_state"}) {
        ASSERT_TRUE(db_->run_script("CREATE TABLE before_" + std::string(table) +
                                    " AS SELECT * FROM " + table)
                        .ok());
    }
    const std::string large = random(2 << 20);
    ASSERT_TRUE(keep("anna", {"newer", large}).ok());
    const std::string segment = bytes_of("contents/0/1");
    const std::string file = bytes_of("contents/0/2");
    for (const char* table : {"contents", "content_files", "content_state"}) {
        for (const char* to : {"newer_", ""}) {
            const std::string name = to + std::string(table);
            ASSERT_TRUE(db_->run_script(*to != '\0'
                                            ? "CREATE TABLE " + name + " AS SELECT * FROM " + table
                                            : "DELETE FROM " + name + "; INSERT INTO " + name +
                                                  " SELECT * FROM before_" + table)
                            .ok());
        }
    }
    start();
    const std::string other = random(2 << 20);
    ASSERT_TRUE(keep("bert", {"since then", other}).ok());
    EXPECT_EQ(bytes_of("contents/0/1"), segment);
    EXPECT_EQ(bytes_of("contents/lost/2"), file);
    EXPECT_EQ(read("anna", trust::sha256("old")), "old");
    EXPECT_EQ(read("bert", trust::sha256(other)), other);
    // Once more, and it does not take the place of what was set aside before.
    for (const char* table : {"contents", "content_files", "content_state"}) {
        ASSERT_TRUE(db_->run_script("DELETE FROM " + std::string(table) + "; INSERT INTO " + table +
                                    " SELECT * FROM before_" + table)
                        .ok());
    }
    start();
    EXPECT_EQ(bytes_of("contents/lost/2"), file);
    EXPECT_FALSE(bytes_of("contents/lost/2.1").empty());
    // The newer database again, with what it knows back in its place.
    for (const char* table : {"contents", "content_files", "content_state"}) {
        ASSERT_TRUE(db_->run_script("DELETE FROM " + std::string(table) + "; INSERT INTO " + table +
                                    " SELECT * FROM newer_" + table)
                        .ok());
    }
    ASSERT_TRUE(world_->disk().rename("contents/lost/2", "contents/0/2").ok());
    start();
    EXPECT_EQ(read("anna", trust::sha256("newer")), "newer");
    EXPECT_EQ(read("anna", trust::sha256(large)), large);
    const std::int64_t now = world_->disk().stat("contents/lost/2.1")->ctime_ns / 1000;
    ASSERT_TRUE(store_->remove_lost(now + (lost_days * day_us) - 1).ok());
    EXPECT_EQ(world_->disk().list(contents_lost_folder)->size(), 2U);
    ASSERT_TRUE(store_->remove_lost(now + (2 * lost_days * day_us)).ok());
    EXPECT_TRUE(world_->disk().list(contents_lost_folder)->empty());
}

TEST_P(ContentSuite, DoesNotStartWithoutTheContentsThatItKnows) {
    ASSERT_TRUE(keep("anna", {"of anna"}).ok());
    ASSERT_TRUE(world_->disk().rename("contents", "elsewhere").ok());
    EXPECT_EQ(start_refused(), "refused");
    ASSERT_TRUE(make_folders(world_->disk(), "contents/lost").ok()); // a mount point
    EXPECT_EQ(start_refused(), "refused");
    ASSERT_TRUE(world_->disk().remove_folder("contents/lost").ok() &&
                world_->disk().remove_folder("contents").ok() &&
                world_->disk().rename("elsewhere", "contents").ok());
    start();
    EXPECT_EQ(store_->damaged_count().value(), 0U);
    EXPECT_EQ(read("anna", trust::sha256("of anna")), "of anna");
}

TEST_P(ContentSuite, StartsWhereTheKeyOfOneOfManyDoesNotOpenAndReadsTheOthers) {
    for (const char* user : {"anna", "bert", "carl"}) {
        ASSERT_TRUE(keep(user, {std::string("of ") + user}).ok());
    }
    ASSERT_TRUE(
        db_->run_script("UPDATE content_keys SET wrapped = x'00' WHERE user = 'anna'").ok());
    start();
    EXPECT_EQ(read("anna", trust::sha256("of anna")), "(failed)");
    EXPECT_FALSE(store_->look_at("anna", trust::sha256("of anna")).ok());
    EXPECT_FALSE(store_->scrub_some(100).ok()); // says so, and goes on
    EXPECT_FALSE(store_->scrub_some(100).value());
    EXPECT_EQ(store_->damaged_count().value(), 0U);
    EXPECT_EQ(read("bert", trust::sha256("of bert")), "of bert");
}

TEST_P(ContentSuite, GivesBackWhatWasMarkedAndIsWholeAgain) {
    const std::string large = random(20 << 20);
    ASSERT_TRUE(keep("anna", {"one", "two", large}).ok());
    const std::string segment = bytes_of("contents/0/1");
    const std::string file = bytes_of("contents/0/2");
    std::string bent = segment;
    bent[50] = static_cast<char>(bent[50] ^ 1);
    put_bytes("contents/0/1", bent);
    ASSERT_TRUE(world_->disk().remove("contents/0/2").ok());
    int steps = 0;
    while (store_->scrub_some(100).value()) {
        ASSERT_LT(++steps, 10);
    }
    EXPECT_EQ(store_->damaged_count().value(), 2U);
    std::vector<std::string> healed;
    const auto tell = [&](const std::vector<ContentStore::Damaged>& some) {
        for (const ContentStore::Damaged& one : some) {
            healed.push_back(one.hash);
        }
        return Status{};
    };
    const auto recheck = [&] {
        for (int i = 0; store_->recheck_some(tell).value(); ++i) {
            ASSERT_LT(i, 10);
        }
    };
    recheck();
    EXPECT_TRUE(healed.empty());
    EXPECT_EQ(read("anna", trust::sha256("one")), "(refused)");
    put_bytes("contents/0/1", segment);
    put_bytes("contents/0/2", file);
    recheck(); // not all the time
    EXPECT_TRUE(healed.empty());
    start();
    recheck();
    std::sort(healed.begin(), healed.end());
    std::vector<std::string> both{trust::sha256("one"), trust::sha256(large)};
    std::sort(both.begin(), both.end());
    EXPECT_EQ(healed, both);
    EXPECT_EQ(store_->damaged_count().value(), 0U);
    EXPECT_EQ(read("anna", trust::sha256("one")), "one");
    EXPECT_EQ(read("anna", trust::sha256(large)), large);
}

TEST_P(ContentSuite, MarksNothingWhileNothingCanBeRead) {
    ASSERT_TRUE(keep("anna", {"one", "two", random(2 << 20)}).ok());
    ASSERT_TRUE(world_->disk().rename("contents/0", "contents/away").ok());
    for (const char* content : {"one", "two"}) {
        EXPECT_FALSE(store_->look_at("anna", trust::sha256(content)).value());
    }
    auto read_all = store_->scrub_some(100);
    ASSERT_FALSE(read_all.ok());
    EXPECT_EQ(read_all.error().code, Code::failed);
    EXPECT_EQ(store_->damaged_count().value(), 0U);
    ASSERT_TRUE(world_->disk().rename("contents/away", "contents/0").ok());
    EXPECT_EQ(read("anna", trust::sha256("one")), "one");
}

TEST_P(ContentSuite, WritesNoFileAnewThatItCannotReadAndGoesOnWithTheOthers) {
    std::vector<std::string> contents;
    for (int i = 0; i < 220; ++i) {
        contents.push_back(random(900'000));
    }
    ASSERT_TRUE(keep("anna", contents).ok());
    ASSERT_EQ(files().size(), 3U);
    for (std::size_t i = 0; i < 140; ++i) {
        if (i % 4 != 0) {
            drop("anna", trust::sha256(contents[i]));
        }
    }
    ASSERT_TRUE(world_->disk().rename("contents/0/1", "away").ok());
    EXPECT_FALSE(store_->compact_some().ok());
    int steps = 0;
    while (store_->compact_some().value()) {
        ASSERT_LT(++steps, 10);
    }
    EXPECT_EQ(world_->disk().stat("contents/0/2").error().code, Code::not_found);
    EXPECT_EQ(store_->damaged_count().value(), 0U);
    ASSERT_TRUE(world_->disk().rename("away", "contents/0/1").ok());
    while (store_->compact_some().value()) {
        ASSERT_LT(++steps, 20);
    }
    EXPECT_EQ(world_->disk().stat("contents/0/1").error().code, Code::not_found);
    for (std::size_t i = 0; i < 140; i += 4) {
        EXPECT_TRUE(read("anna", trust::sha256(contents[i])) == contents[i]) << i;
    }
}

} // namespace hasp::sync
