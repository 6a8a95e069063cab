#include "embedded/odd_files.h"
#include "store/db.h"
#include "store/test_db.h"
#include "store/transaction.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace hasp::store {
namespace {

class DbTest : public testing::Test {
  protected:
    void SetUp() override {
        ASSERT_TRUE(db->run_script(
            "CREATE TABLE t (k TEXT NOT NULL PRIMARY KEY, n INTEGER, b BLOB) STRICT"));
    }
    std::int64_t count() {
        auto n = db->first("SELECT count(*) FROM t",
                           [](const Statement& row) { return row.integer(0); });
        return n.ok() && *n ? **n : -1;
    }
    void put(const std::string& key) {
        ASSERT_TRUE(db->execute("INSERT INTO t (k) VALUES (?1)", key));
    }
    std::string pragma(std::string_view sql) {
        auto text = db->first(sql, [](const Statement& row) { return row.text(0); });
        return text.ok() && *text ? **text : "?";
    }
    TestDb db;
};

TEST_F(DbTest, ADatabaseIsOpenedDurablyAndStrictly) {
    EXPECT_EQ(pragma("PRAGMA journal_mode"), "wal");
    EXPECT_EQ(pragma("PRAGMA synchronous"), "2");
    EXPECT_EQ(pragma("PRAGMA foreign_keys"), "1");
    EXPECT_EQ(pragma("PRAGMA trusted_schema"), "0");
}

TEST_F(DbTest, TheFileIsReadableByItsOwnerOnly) {
    struct stat info {};
    ASSERT_EQ(::stat(db.path().c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777U, 0600U);
}

TEST_F(DbTest, ValuesComeBackAsTheyWentIn) {
    const std::string bytes("\0\xff\x00z", 4);
    const std::string text("a\0b", 3);
    ASSERT_TRUE(
        db->execute("INSERT INTO t (k, n, b) VALUES (?1, ?2, ?3)", text, INT64_MIN, Blob{bytes}));
    ASSERT_TRUE(db->execute("INSERT INTO t (k, n, b) VALUES (?1, ?2, ?3)", "",
                            std::optional<std::int64_t>{}, Blob{{}}));
    int rows = 0;
    ASSERT_TRUE(db->each("SELECT k, n, b FROM t ORDER BY k DESC", [&](const Statement& row) {
        if (rows++ == 0) {
            EXPECT_EQ(row.text(0), text);
            EXPECT_EQ(row.integer(1), INT64_MIN);
            EXPECT_EQ(row.blob(2), bytes);
        } else {
            EXPECT_EQ(row.maybe_text(0), "");
            EXPECT_EQ(row.maybe_integer(1), std::nullopt);
            EXPECT_FALSE(row.is_null(2));
        }
    }));
    EXPECT_EQ(rows, 2);
}

TEST_F(DbTest, WhatWasBoundIsCopiedUnlessItWasLent) {
    std::string text(100, 'a');
    {
        auto bound = db->prepare("INSERT INTO t (k, b) VALUES (?1, ?2)");
        ASSERT_TRUE(bound);
        ASSERT_TRUE(bound->bind_all(text, Blob{text}));
        text.assign(100, 'b');
        ASSERT_TRUE(bound->run());
    }
    ASSERT_TRUE(db->execute("INSERT INTO t (k, b) VALUES (?1, ?2)", text, Blob{text}));
    text.assign(100, 'c');
    std::string seen;
    ASSERT_TRUE(db->each("SELECT k, b FROM t ORDER BY k", [&](const Statement& row) {
        EXPECT_EQ(row.text(0), row.blob(1));
        seen += row.text(0).front();
    }));
    EXPECT_EQ(seen, "ab");
}

TEST_F(DbTest, ARowThatIsNotThereIsNoError) {
    auto none = db->first(
        "SELECT k FROM t WHERE k = ?1", [](const Statement& row) { return row.text(0); }, "x");
    ASSERT_TRUE(none);
    EXPECT_FALSE(none->has_value());
}

TEST_F(DbTest, ExecuteAnswersTheRowsItChangedAndNoEarlierCount) {
    put("a");
    put("b");
    EXPECT_EQ(db->execute("UPDATE t SET n = 1").value_or(-1), 2);
    EXPECT_EQ(db->execute("UPDATE t SET n = 1 WHERE k = 'z'").value_or(-1), 0);
    EXPECT_EQ(db->execute("CREATE TABLE u (x INTEGER) STRICT").value_or(-1), 0);
}

TEST_F(DbTest, ARefusedRowIsAConflict) {
    put("a");
    auto again = db->execute("INSERT INTO t (k) VALUES (?1)", "a");
    ASSERT_FALSE(again);
    EXPECT_EQ(again.error().code, Code::conflict);
    EXPECT_NE(again.error().message.find("UNIQUE"), std::string::npos);
}

TEST_F(DbTest, AStrictTableRefusesAnotherType) {
    EXPECT_FALSE(db->execute("INSERT INTO t (k, n) VALUES ('a', 'text')"));
}

TEST_F(DbTest, AWrongNumberOfValuesIsUsage) {
    auto wrong = db->execute("INSERT INTO t (k, n) VALUES (?1, ?2)", "a");
    ASSERT_FALSE(wrong);
    EXPECT_EQ(wrong.error().code, Code::usage);
}

TEST_F(DbTest, TwoStatementsInOneTextAreRefused) {
    EXPECT_EQ(db->execute("DELETE FROM t; DELETE FROM t").error().code, Code::usage);
    EXPECT_EQ(db->execute("").error().code, Code::usage);
}

TEST_F(DbTest, AStatementGivenBackKeepsNoBindings) {
    {
        auto statement = db->prepare("INSERT INTO t (k, n) VALUES (?1, ?2)");
        ASSERT_TRUE(statement);
        ASSERT_TRUE(statement->bind_all("a", 7));
        ASSERT_TRUE(statement->run());
    }
    auto statement = db->prepare("INSERT INTO t (k, n) VALUES (?1, ?2)");
    ASSERT_TRUE(statement->bind(1, "b"));
    ASSERT_TRUE(statement->run());
    auto n = db->first("SELECT n FROM t WHERE k = 'b'",
                       [](const Statement& row) { return row.maybe_integer(0); });
    EXPECT_EQ(**n, std::nullopt);
}

TEST_F(DbTest, OneTextMayBeInUseTwice) {
    put("a");
    put("b");
    int pairs = 0;
    ASSERT_TRUE(db->each("SELECT k FROM t", [&](const Statement&) {
        EXPECT_TRUE(db->each("SELECT k FROM t", [&](const Statement&) { ++pairs; }));
    }));
    EXPECT_EQ(pairs, 4);
}

TEST_F(DbTest, MoreTextsThanTheCacheHoldsStillWork) {
    for (std::size_t i = 0; i < cached_statements_max * 2; ++i) {
        ASSERT_TRUE(db->execute("INSERT INTO t (k) VALUES ('" + std::to_string(i) + "')"));
    }
    EXPECT_EQ(count(), static_cast<std::int64_t>(cached_statements_max * 2));
}

TEST_F(DbTest, AnUncommittedTransactionIsUndone) {
    {
        auto transaction = Transaction::begin(*db);
        ASSERT_TRUE(transaction);
        put("a");
        EXPECT_TRUE(db->in_transaction());
    }
    EXPECT_FALSE(db->in_transaction());
    EXPECT_EQ(count(), 0);
}

TEST_F(DbTest, ACommittedTransactionOutlivesTheProcess) {
    {
        auto transaction = Transaction::begin(*db);
        put("a");
        ASSERT_TRUE(transaction->commit());
        EXPECT_EQ(transaction->commit().error().code, Code::usage);
    }
    db.reopen();
    EXPECT_EQ(count(), 1);
}

TEST_F(DbTest, AnInnerTransactionIsUndoneAloneAndLastsOnlyWithTheOuter) {
    {
        auto outer = Transaction::begin(*db);
        put("outer");
        {
            auto inner = Transaction::begin(*db);
            put("undone");
        }
        EXPECT_EQ(count(), 1);
        {
            auto inner = Transaction::begin(*db);
            put("kept");
            ASSERT_TRUE(inner->commit());
        }
        EXPECT_EQ(count(), 2);
    }
    EXPECT_EQ(count(), 0);
}

// As SQLite does when the disk fails or is full; a conflict can be made without one.
TEST_F(DbTest, NothingOfATransactionThatSqliteUndidByItselfIsKept) {
    put("before");
    {
        auto transaction = Transaction::begin(*db);
        ASSERT_TRUE(transaction);
        put("a");
        EXPECT_FALSE(db->execute("INSERT OR ROLLBACK INTO t (k) VALUES ('before')"));
        EXPECT_EQ(db->execute("INSERT INTO t (k) VALUES ('b')").error().code, Code::failed);
        EXPECT_FALSE(db->run_script("INSERT INTO t (k) VALUES ('c')"));
        EXPECT_FALSE(Transaction::begin(*db));
        EXPECT_FALSE(transaction->commit());
    }
    EXPECT_EQ(count(), 1);
    put("after");
    EXPECT_EQ(count(), 2);
}

TEST_F(DbTest, ASecondWriterIsToldToTryLater) {
    auto other = Db::open(db.path(), {.busy_timeout_ms = 0});
    ASSERT_TRUE(other);
    auto mine = Transaction::begin(*db);
    ASSERT_TRUE(mine);
    auto theirs = Transaction::begin(**other);
    ASSERT_FALSE(theirs);
    EXPECT_EQ(theirs.error().code, Code::try_later);
    ASSERT_TRUE(mine->commit());
    EXPECT_TRUE(Transaction::begin(**other));
}

// Else the next process that closes it takes itself for the last one, and removes the journal.
TEST_F(DbTest, ASecondConnectionLeavesTheFirstOneItsLocks) {
    const auto others_see_a_lock = [this] {
        const pid_t child = ::fork();
        if (child == 0) {
            const int fd = ::open(db.path().c_str(), O_RDWR | O_CLOEXEC);
            struct flock lock {};
            lock.l_type = F_WRLCK;
            lock.l_whence = SEEK_SET; // all of it
            ::_exit(fd >= 0 && ::fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK ? 0 : 1);
        }
        int status = 1;
        return ::waitpid(child, &status, 0) == child && WIFEXITED(status) &&
               WEXITSTATUS(status) == 0;
    };
    put("a");
    ASSERT_TRUE(others_see_a_lock());
    for (const bool read_only : {false, true}) {
        auto other = Db::open(db.path(), {.read_only = read_only});
        ASSERT_TRUE(other);
        EXPECT_TRUE(others_see_a_lock());
        other->reset();
        EXPECT_TRUE(others_see_a_lock());
    }
}

TEST_F(DbTest, ACopyIsWholeAndNeverReplacesAFile) {
    put("a");
    const std::string path = db.folder() + "/copy.db";
    ASSERT_TRUE(db->copy_to(path));
    EXPECT_EQ(db->copy_to(path).error().code, Code::conflict);
    auto copy = Db::open(path, {.create = false});
    ASSERT_TRUE(copy);
    auto key = (*copy)->first("SELECT k FROM t", [](const Statement& row) { return row.text(0); });
    EXPECT_EQ(**key, "a");
    EXPECT_TRUE((*copy)->check());
}

TEST_F(DbTest, AMissingFileIsNotFoundWhenItMustExist) {
    EXPECT_EQ(Db::open(db.folder() + "/none.db", {.create = false}).error().code, Code::not_found);
}

TEST_F(DbTest, AFileThatIsNoDatabaseIsRefused) {
    const std::string path = db.folder() + "/text.db";
    FILE* file = std::fopen(path.c_str(), "w");
    ASSERT_NE(file, nullptr);
    for (int i = 0; i < 200; ++i) {
        std::fputs("this is no database\n", file);
    }
    std::fclose(file);
    EXPECT_EQ(Db::open(path).error().code, Code::refused);
}

TEST_F(DbTest, TheCheckFindsARowThatRefersToNothing) {
    ASSERT_TRUE(db->run_script("CREATE TABLE c (k TEXT REFERENCES t (k)) STRICT; PRAGMA "
                               "foreign_keys=OFF; INSERT INTO c VALUES ('gone')"));
    EXPECT_EQ(db->check().error().code, Code::refused);
}

TEST(Embed, FilesAreEmbeddedByteForByteInTheOrderGiven) {
    const auto files = embedded::odd_files();
    ASSERT_EQ(files.size(), 2U);
    EXPECT_EQ(files[0].name, "odd.txt");
    EXPECT_EQ(
        files[0].text,
        "semicolons; [brackets] @NOT_A_VARIABLE@ ${NOR_THIS} \\backslash \"quotes\" $<1:genex>\n"
        "# unbalanced [[ ]\nUmlaut ä\n");
    EXPECT_EQ(files[1].text, "");
}

} // namespace
} // namespace hasp::store
