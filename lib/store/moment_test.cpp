#include "store/moment.h"

#include "store/db.h"

#include <filesystem>
#include <gtest/gtest.h>
#include <thread>

namespace hasp::store {
namespace {

class MomentTest : public ::testing::Test {
  protected:
    void SetUp() override {
        std::string name = testing::TempDir() + "moment.XXXXXX";
        ASSERT_NE(::mkdtemp(name.data()), nullptr);
        folder_ = name;
        for (const char* file : {"/a.db", "/b.db"}) {
            auto db = Db::open(folder_ + file);
            ASSERT_TRUE(db.ok());
            ASSERT_TRUE(
                (*db)->run_script("CREATE TABLE t (n INTEGER); INSERT INTO t VALUES (1)").ok());
            dbs_.push_back(*std::move(db));
        }
    }
    void TearDown() override {
        dbs_.clear();
        std::filesystem::remove_all(folder_);
    }
    Result<Moment> take(int patience_ms = 1000) {
        return Moment::take({folder_ + "/a.db", folder_ + "/b.db"}, patience_ms);
    }
    static std::int64_t rows(const std::string& path) {
        auto db = Db::open(path, {5000, false, false});
        EXPECT_TRUE(db.ok());
        auto count =
            (*db)->first("SELECT count(*) FROM t", [](const Statement& s) { return s.integer(0); });
        EXPECT_TRUE((*db)->check().ok());
        return **count;
    }
    std::string folder_;
    std::vector<std::unique_ptr<Db>> dbs_;
};

TEST_F(MomentTest, CopiesAllAsTheyWereWhenItWasTakenWhileTheyAreWrittenTo) {
    auto moment = take();
    ASSERT_TRUE(moment.ok()) << moment.error().message;
    for (auto& db : dbs_) { // they go on
        ASSERT_TRUE(db->run_script("INSERT INTO t VALUES (2), (3)").ok());
    }
    ASSERT_TRUE(moment->copy(0, folder_ + "/a.copy").ok());
    ASSERT_TRUE(dbs_[1]->run_script("DELETE FROM t").ok());
    ASSERT_TRUE(moment->copy(1, folder_ + "/b.copy").ok());
    EXPECT_EQ(rows(folder_ + "/a.copy"), 1);
    EXPECT_EQ(rows(folder_ + "/b.copy"), 1);
    EXPECT_EQ(rows(folder_ + "/a.db"), 3);
}

TEST_F(MomentTest, IsNotTakenInTheMiddleOfAnotherTransaction) {
    ASSERT_TRUE(dbs_[1]->run_script("BEGIN IMMEDIATE; INSERT INTO t VALUES (2)").ok());
    auto moment = take(10);
    ASSERT_FALSE(moment.ok());
    EXPECT_EQ(moment.error().code, Code::try_later);
    ASSERT_TRUE(dbs_[1]->run_script("COMMIT").ok());
    ASSERT_TRUE(dbs_[0]->run_script("INSERT INTO t VALUES (4)").ok()); // its lock is gone again
    EXPECT_TRUE(take().ok());
}

TEST_F(MomentTest, WaitsForAWriterAndLetsItHaveTheOthersMeanwhile) {
    ASSERT_TRUE(dbs_[1]->run_script("BEGIN IMMEDIATE; INSERT INTO t VALUES (2)").ok());
    std::thread writer([this] {
        // It holds b and wants a.
        for (int i = 0; i < 5; ++i) {
            EXPECT_TRUE(dbs_[0]->run_script("INSERT INTO t VALUES (5)").ok());
        }
        EXPECT_TRUE(dbs_[1]->run_script("COMMIT").ok());
    });
    auto moment = take(60'000);
    writer.join();
    ASSERT_TRUE(moment.ok()) << moment.error().message;
    ASSERT_TRUE(moment->copy(0, folder_ + "/a.copy").ok());
    ASSERT_TRUE(moment->copy(1, folder_ + "/b.copy").ok());
    EXPECT_EQ(rows(folder_ + "/a.copy"), 6);
    EXPECT_EQ(rows(folder_ + "/b.copy"), 2);
}

TEST_F(MomentTest, SaysWhichDatabaseIsMissingAndOverwritesNothing) {
    EXPECT_EQ(Moment::take({folder_ + "/none.db"}).error().code, Code::not_found);
    auto moment = take();
    ASSERT_TRUE(moment.ok());
    EXPECT_EQ(moment->copy(0, folder_ + "/b.db").error().code, Code::conflict);
}

} // namespace
} // namespace hasp::store
