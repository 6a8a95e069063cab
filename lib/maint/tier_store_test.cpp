// What a tier has to say while its disk takes nothing.
#include "maint/tier_store.h"
#include "rollouts.h"
#include "store/db.h"

#include <gtest/gtest.h>

namespace hasp::maint {
namespace {

class FullDisk : public testing::Test {
  protected:
    FullDisk()
        : db_(store::Db::open_memory().value()), rows_(TierStore::open(*db_, "clinics").value()) {}

    void fill() {
        ASSERT_TRUE(db_->run_script("CREATE TABLE filler (bytes BLOB)").ok());
        const auto pages =
            db_->first("PRAGMA page_count", [](const store::Statement& s) { return s.integer(0); });
        ASSERT_TRUE(pages.ok() && pages->has_value());
        limit(**pages);
        while (db_->execute("INSERT INTO filler VALUES (zeroblob(?1))", 200).ok()) {
        }
    }
    void make_room() {
        limit(1'000'000);
        ASSERT_TRUE(db_->run_script("DELETE FROM filler").ok());
    }

    std::vector<std::string> errors() {
        std::vector<std::string> texts;
        const auto rows = rows_.errors(10);
        for (const ErrorRow& row : *rows) {
            texts.push_back(row.text);
        }
        return texts;
    }

    std::unique_ptr<store::Db> db_;
    TierStore rows_;

  private:
    void limit(std::int64_t pages) {
        ASSERT_TRUE(db_->run_script("PRAGMA max_page_count = " + std::to_string(pages)).ok());
    }
};

TEST_F(FullDisk, HidesNoErrorAndLeavesEachOnceWhenThereIsRoom) {
    const std::string long_text(8000, 'x');
    ASSERT_TRUE(rows_.add_error({1, "desired.delayed", "old"}).ok());
    fill();
    EXPECT_FALSE(rows_.add_error({2, "desired.delayed", long_text}).ok());
    EXPECT_FALSE(rows_.add_error({3, "desired.delayed", "old"}).ok());
    EXPECT_FALSE(rows_.add_error({4, "desired.delayed", long_text}).ok());
    EXPECT_EQ(errors(), (std::vector<std::string>{long_text, "old"}));
    make_room();
    ASSERT_TRUE(rows_.add_error({5, "app.died", "new"}).ok());
    const std::vector<std::string> all{"new", long_text, "old"};
    EXPECT_EQ(errors(), all);
    rows_ = TierStore::open(*db_, "clinics").value();
    EXPECT_EQ(errors(), all);
}

TEST_F(FullDisk, HidesNoRolloutAndLeavesItsStateWhenThereIsRoom) {
    Rollouts rollouts(rows_, "hasp://clinics/center/tokyo");
    int changes = 0;
    const std::string text(rollout_text_bytes_max, 'x');
    rollouts.on_change([&] { ++changes; });
    Rollout last{"", "", "r2", RolloutState::waiting, "r1", text, text, 7};
    fill();
    int written = 0;
    do {
        last.app = "app" + std::to_string(written);
    } while (rollouts.set(last).ok() && ++written < 100);
    ASSERT_LT(written, 100);
    ASSERT_NE(rollouts.own(last.app), nullptr);
    EXPECT_EQ(rollouts.own(last.app)->why, last.why);
    EXPECT_EQ(changes, written + 1);
    make_room();
    EXPECT_TRUE(rollouts.set(last).ok());
    EXPECT_EQ(changes, written + 1) << "the same again";
    Rollouts after(rows_, "hasp://clinics/center/tokyo");
    ASSERT_TRUE(after.load().ok());
    ASSERT_NE(after.own(last.app), nullptr);
    EXPECT_EQ(after.own(last.app)->why, last.why);
}

} // namespace
} // namespace hasp::maint
