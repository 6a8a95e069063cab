#include "store/db.h"
#include "store/migrate.h"
#include "store/test_db.h"

#include <gtest/gtest.h>

namespace hasp::store {
namespace {

const EmbeddedFile first_step{
    "0001_start.sql", "CREATE TABLE a (x INTEGER) STRICT; CREATE TABLE b (y INTEGER) STRICT;"};
const EmbeddedFile second_step{"0002_more.sql",
                               "ALTER TABLE a ADD COLUMN z TEXT; INSERT INTO a VALUES (1, 'z');"};
const EmbeddedFile broken_step{"0002_broken.sql",
                               "INSERT INTO a VALUES (2); CREATE TABLE nonsense"};

std::vector<std::string> steps(TestDb& db) {
    return applied_migrations(*db).value_or({});
}
bool has_table(TestDb& db, const std::string& name) {
    auto row = db->first(
        "SELECT 1 FROM sqlite_schema WHERE name = ?1", [](const Statement&) { return true; }, name);
    return row.ok() && row->has_value();
}

TEST(Migrate, ANewDatabaseGetsEveryStep) {
    TestDb db;
    const EmbeddedFile files[] = {first_step, second_step};
    ASSERT_TRUE(migrate(*db, "test", files));
    EXPECT_EQ(steps(db), (std::vector<std::string>{"test/0001", "test/0002"}));
}

TEST(Migrate, AnOlderDatabaseGetsWhatItLacksAndASecondRunDoesNothing) {
    TestDb db;
    const EmbeddedFile files[] = {first_step, second_step};
    ASSERT_TRUE(migrate(*db, "test", std::span(files, 1)));
    db.reopen();
    ASSERT_TRUE(migrate(*db, "test", files));
    ASSERT_TRUE(migrate(*db, "test", files));
    auto rows =
        db->first("SELECT count(*) FROM a", [](const Statement& row) { return row.integer(0); });
    EXPECT_EQ(**rows, 1);
}

TEST(Migrate, ADatabaseOfANewerVersionIsRefusedWithBothVersions) {
    TestDb db;
    const EmbeddedFile files[] = {first_step, second_step};
    ASSERT_TRUE(migrate(*db, "test", files));
    const Status older = migrate(*db, "test", std::span(files, 1));
    ASSERT_FALSE(older);
    EXPECT_EQ(older.error().code, Code::refused);
    EXPECT_NE(older.error().message.find("test/0002"), std::string::npos);
    EXPECT_NE(older.error().message.find("up to 0001"), std::string::npos);
    EXPECT_FALSE(older.error().hint.empty());
}

TEST(Migrate, AStepThatFailsLeavesNothingOfItselfAndKeepsTheOnesBefore) {
    TestDb db;
    const EmbeddedFile files[] = {first_step, broken_step};
    const Status failed = migrate(*db, "test", files);
    ASSERT_FALSE(failed);
    EXPECT_NE(failed.error().message.find("0002_broken.sql"), std::string::npos);
    EXPECT_EQ(steps(db), (std::vector<std::string>{"test/0001"}));
    auto rows =
        db->first("SELECT count(*) FROM a", [](const Statement& row) { return row.integer(0); });
    EXPECT_EQ(**rows, 0);
}

TEST(Migrate, LibrariesDoNotSeeEachOthersSteps) {
    TestDb db;
    const EmbeddedFile mine[] = {first_step};
    const EmbeddedFile yours[] = {{"0001_c.sql", "CREATE TABLE c (x INTEGER) STRICT"}};
    ASSERT_TRUE(migrate(*db, "test", mine));
    ASSERT_TRUE(migrate(*db, "test2", yours));
    ASSERT_TRUE(migrate(*db, "test", mine));
    EXPECT_TRUE(has_table(db, "c"));
}

TEST(Migrate, AStepWhoseTextWasChangedAfterwardsIsRefused) {
    TestDb db;
    const EmbeddedFile before[] = {first_step};
    const EmbeddedFile after[] = {{"0001_start.sql", "CREATE TABLE other (x INTEGER) STRICT"}};
    ASSERT_TRUE(migrate(*db, "test", before));
    EXPECT_EQ(migrate(*db, "test", after).error().code, Code::refused);
}

TEST(Migrate, GapsInTheNumbersAreRefused) {
    TestDb db;
    const EmbeddedFile files[] = {first_step, {"0003_gap.sql", ""}};
    EXPECT_EQ(migrate(*db, "test", files).error().code, Code::usage);
    EXPECT_FALSE(has_table(db, "a"));
}

} // namespace
} // namespace hasp::store
