#include "disk.h"
#include "store/db.h"
#include "store/transaction.h"
#include "vfs.h"

#include <gtest/gtest.h>

namespace hasp::sim {

namespace {

constexpr const char* folder = "/simulated/state";

struct Box {
    explicit Box(std::uint64_t seed) : disk(seed) { disk.plant_folder("/"); }
    Result<std::unique_ptr<store::Db>> open(const std::string& name = "test.db") {
        return store::Db::open(std::string(folder) + "/" + name);
    }
    Disk disk;
    Mount mount{folder, disk};
};

// Adds (1), (2), … one a transaction, until one fails or `rows` are there. Gives how many were
// acknowledged.
std::int64_t add_rows(store::Db& db, std::int64_t rows) {
    if (!db.run_script("CREATE TABLE IF NOT EXISTS t (n INTEGER PRIMARY KEY, b BLOB)")) {
        return -1;
    }
    const std::string block(700, 'x');
    for (std::int64_t n = 1; n <= rows; ++n) {
        auto transaction = store::Transaction::begin(db);
        if (!transaction || !db.execute("INSERT INTO t VALUES (?1, ?2)", n, store::Blob{block}) ||
            !transaction->commit()) {
            return n - 1;
        }
    }
    return rows;
}

std::int64_t rows_in(store::Db& db) {
    auto count =
        db.first("SELECT COALESCE(MAX(n), 0), COUNT(*) FROM t", [](const store::Statement& s) {
            EXPECT_EQ(s.integer(0), s.integer(1)) << "rows without a gap";
            return s.integer(1);
        });
    return count.ok() && *count ? **count : -1;
}

} // namespace

TEST(SqliteOnTheSimulatedDisk, KeepsEveryCommittedTransactionWhereverThePowerGoes) {
    std::uint64_t crashes = 0;
    for (std::uint64_t at = 1; at < 1'500; at += 7) {
        for (std::uint64_t seed = 0; seed < 3; ++seed) {
            Box box(at * 10 + seed);
            std::int64_t acknowledged = -1;
            {
                box.disk.die_after(at);
                if (auto db = box.open(); db.ok()) {
                    acknowledged = add_rows(**db, 60);
                }
                crashes += box.disk.dead() ? 1 : 0;
            }
            box.disk.crash();
            auto db = box.open();
            ASSERT_TRUE(db.ok()) << db.error().message << " after " << at << " changes";
            ASSERT_TRUE((*db)->check().ok());
            const std::int64_t rows = rows_in(**db);
            ASSERT_GE(rows, acknowledged) << "after " << at << " changes, seed " << seed;
            ASSERT_LE(rows, acknowledged < 0 ? 0 : acknowledged + 1);
        }
    }
    EXPECT_GT(crashes, 50U);
}

TEST(SqliteOnTheSimulatedDisk, LosesCommittedTransactionsWhenTheDiskLiesAboutSync) {
    std::int64_t lost = 0;
    for (std::uint64_t seed = 0; seed < 30; ++seed) {
        Box box(seed);
        box.disk.lie_about_sync([](const std::string& path) { return path.ends_with("-wal"); });
        std::int64_t acknowledged = 0;
        {
            auto db = box.open();
            ASSERT_TRUE(db.ok());
            acknowledged = add_rows(**db, 20);
            box.disk.die();
        }
        box.disk.crash();
        auto db = box.open();
        lost += !db.ok() || rows_in(**db) < acknowledged ? 1 : 0;
    }
    EXPECT_GT(lost, 10);
}

TEST(SqliteOnTheSimulatedDisk, KeepsEverythingWhenOnlyTheProcessDies) {
    Box box(1);
    {
        auto db = box.open();
        ASSERT_TRUE(db.ok());
        EXPECT_EQ(add_rows(**db, 30), 30);
        box.disk.die();
    }
    box.disk.kill();
    auto db = box.open();
    ASSERT_TRUE(db.ok());
    EXPECT_EQ(rows_in(**db), 30);
}

TEST(SqliteOnTheSimulatedDisk, KeepsThroughAPowerCutWhatWasReadAfterAKill) {
    std::int64_t not_acknowledged = 0;
    for (std::uint64_t at = 1; at < 400; at += 3) {
        Box box(at);
        std::int64_t acknowledged = -1;
        {
            box.disk.die_after(at);
            if (auto db = box.open(); db.ok()) {
                acknowledged = add_rows(**db, 60);
            }
        }
        box.disk.kill();
        std::int64_t seen = -1;
        {
            auto db = box.open();
            ASSERT_TRUE(db.ok()) << db.error().message << " after " << at << " changes";
            seen = rows_in(**db);
            not_acknowledged += seen > acknowledged ? 1 : 0;
            box.disk.die();
        }
        box.disk.crash();
        auto db = box.open();
        ASSERT_TRUE(db.ok());
        ASSERT_GE(rows_in(**db), seen) << "after " << at << " changes";
    }
    EXPECT_GT(not_acknowledged, 10) << "killed between the writing and the sync";
}

TEST(SqliteOnTheSimulatedDisk, RefusesOnAFullDiskAndGoesOnWhenThereIsRoom) {
    Box box(1);
    auto db = box.open();
    ASSERT_TRUE(db.ok());
    ASSERT_EQ(add_rows(**db, 3), 3);
    box.disk.set_capacity(box.disk.used() + 2'000);
    EXPECT_FALSE((*db)->execute("INSERT INTO t VALUES (99, NULL)").ok());
    EXPECT_EQ(rows_in(**db), 3);
    box.disk.set_capacity(0);
    EXPECT_TRUE((*db)->execute("INSERT INTO t VALUES (4, NULL)").ok());
    EXPECT_EQ(rows_in(**db), 4);
}

TEST(SqliteOnTheSimulatedDisk, SurvivesAFailedOperationAnywhere) {
    for (std::uint64_t at = 0; at < 400; at += 3) {
        Box box(at);
        auto db = box.open();
        ASSERT_TRUE(db.ok());
        ASSERT_EQ(add_rows(**db, 2), 2);
        ASSERT_TRUE((*db)->run_script("DELETE FROM t").ok());
        box.disk.fail_after(at);
        const std::int64_t acknowledged = add_rows(**db, 20);
        box.disk.die();
        db->reset();
        box.disk.crash();
        auto again = box.open();
        ASSERT_TRUE(again.ok()) << again.error().message << " at " << at;
        ASSERT_TRUE((*again)->check().ok()) << "at " << at;
        EXPECT_GE(rows_in(**again), acknowledged) << "at " << at;
    }
}

TEST(SqliteOnTheSimulatedDisk, ShowsTheCommitsOfOneConnectionToAnother) {
    Box box(1);
    auto writer = box.open();
    ASSERT_TRUE(writer.ok());
    ASSERT_EQ(add_rows(**writer, 3), 3);
    auto reader = box.open();
    ASSERT_TRUE(reader.ok());
    EXPECT_EQ(rows_in(**reader), 3);
    auto transaction = store::Transaction::begin(**writer);
    ASSERT_TRUE(transaction.ok());
    ASSERT_TRUE((*writer)->execute("INSERT INTO t VALUES (4, NULL)").ok());
    EXPECT_EQ(rows_in(**reader), 3);
    EXPECT_FALSE(store::Transaction::begin(**reader).ok()) << "one writer at a time";
    ASSERT_TRUE(transaction->commit().ok());
    EXPECT_EQ(rows_in(**reader), 4);
}

TEST(SqliteOnTheSimulatedDisk, KeepsTheDatabasesOfTwoDisksApart) {
    Disk other(2);
    other.plant_folder("/");
    const Mount mount("/simulated/other", other);
    Box box(1);
    auto here = box.open();
    auto there = store::Db::open("/simulated/other/test.db");
    ASSERT_TRUE(here.ok() && there.ok());
    EXPECT_EQ(add_rows(**here, 3), 3);
    EXPECT_EQ(add_rows(**there, 5), 5);
    EXPECT_EQ(rows_in(**here), 3);
    EXPECT_FALSE(store::Db::open("/elsewhere/test.db").ok()) << "no disk is there";
}

} // namespace hasp::sim
