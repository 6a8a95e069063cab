// Contents that are kept, on this machine's disk (tests/sim runs the same on its own).
#include "bases_checks.h"

#include "base/files.h"
#include "full_disk.h"
#include "recipe.h"

namespace hasp::sync {
namespace {

class PosixBases : public ::testing::Test {
  protected:
    void SetUp() override {
        root_ = ::testing::TempDir() + "bases_XXXXXX";
        ASSERT_NE(::mkdtemp(root_.data()), nullptr);
        disk_ = *open_disk(root_);
        db_ = *store::Db::open_memory();
        checks_ = std::make_unique<BasesChecks>(*disk_, *db_);
    }
    void TearDown() override { EXPECT_TRUE(remove_tree(root_).ok()); }
    std::string root_;
    std::unique_ptr<Disk> disk_;
    std::unique_ptr<store::Db> db_;
    std::unique_ptr<BasesChecks> checks_;
};

TEST_F(PosixBases, GiveBackWhatWasKeptToItsOwnFolderAlone) {
    checks_->gives_back_what_was_kept_to_its_own_folder_alone();
}
TEST_F(PosixBases, TakeALargeFileFromItsPlace) {
    checks_->takes_a_large_file_from_its_place();
}
TEST_F(PosixBases, GiveOutNothingThatIsNotWhatWasKept) {
    checks_->gives_out_nothing_that_is_not_what_was_kept();
}
TEST_F(PosixBases, ForgetAUserInAllHisFolders) {
    checks_->forgets_a_user_in_all_his_folders();
}
TEST_F(PosixBases, KeepLessWhereRowsCannotBeWritten) {
    checks_->keeps_less_where_rows_cannot_be_written();
}
TEST_F(PosixBases, KnowWhatIsTakenWhenATransactionAroundItWasUndone) {
    checks_->knows_what_is_taken_when_a_transaction_around_it_was_undone();
}
TEST_F(PosixBases, KeepWithinTheirBoundWhatWasKeptLast) {
    checks_->keeps_within_its_bound_what_was_kept_last();
}

TEST_F(PosixBases, WriteNoSmallContentWhereTheDiskIsAllButFull) {
    FullDisk full(*open_disk(root_));
    Bases bases(*db_, full, "kept", "realm");
    ASSERT_TRUE(bases.open().ok());
    full.free = 100;
    // It would be noticed: nothing is kept after a row that failed.
    ASSERT_TRUE(db_->run_script("CREATE TRIGGER full BEFORE INSERT ON sync_bases BEGIN "
                                "SELECT RAISE(ABORT, 'full'); END")
                    .ok());
    checks_->keep(bases, checks_->anna, checks_->small);
    EXPECT_EQ(checks_->found(bases, checks_->anna, checks_->small), "");
    ASSERT_TRUE(db_->run_script("DROP TRIGGER full").ok());
    full.free = 1'000'000;
    checks_->keep(bases, checks_->anna, checks_->small);
    EXPECT_EQ(checks_->found(bases, checks_->anna, checks_->small), checks_->small);
}

TEST_F(PosixBases, RemoveWhatACrashLeftWithoutARow) {
    auto bases = checks_->open();
    auto made = disk_->create("kept/anna.wiki.00", 0600, {});
    ASSERT_TRUE(made.ok());
    bases = checks_->open();
    EXPECT_TRUE(disk_->list("kept")->empty());
}

TEST_F(PosixBases, RememberNoNameOfAnEditThatIsDropped) {
    auto bases = checks_->open();
    std::string now = checks_->large;
    checks_->keep(*bases, checks_->anna, now);
    EXPECT_EQ(checks_->found(*bases, checks_->anna, now), now);
    for (char edit = 'a'; edit < 'z'; ++edit) {
        const std::string before = now;
        now.push_back(edit);
        const std::vector<Extent> pieces{{0, 0, before.size()}, {1, 0, 1}};
        MemoryFile fresh(std::string(1, edit));
        auto kept = bases->keep_edit(checks_->anna, hash_of(now),
                                     {hash_of(before), &pieces, &fresh, now.size()});
        ASSERT_TRUE(kept.ok() && *kept && bases->write().ok());
        ASSERT_TRUE(bases->drop(checks_->anna, hash_of(before)).ok());
        ASSERT_TRUE(checks_->found(*bases, checks_->anna, now) == now);
        EXPECT_EQ(bases->names_proven(), 1U);
    }
}

} // namespace
} // namespace hasp::sync
