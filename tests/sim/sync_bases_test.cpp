// What lib/sync keeps of agreed contents, on the simulated disk.
#include "../../lib/sync/tests/bases_checks.h"
#include "sync_disk.h"

namespace hasp::sim {

namespace {

struct SyncBases : testing::Test {
    void SetUp() override {
        disk.plant_folder("/");
        disk.set_clock([this] { return ++now_ns; });
    }
    std::int64_t now_ns = 0;
    Disk disk{1};
    std::unique_ptr<sync::Disk> files = make_sync_disk(disk);
    std::unique_ptr<store::Db> db = *store::Db::open_memory();
    sync::BasesChecks checks{*files, *db};
};

} // namespace

TEST_F(SyncBases, GiveBackWhatWasKeptToItsOwnFolderAlone) {
    checks.gives_back_what_was_kept_to_its_own_folder_alone();
}
TEST_F(SyncBases, TakeALargeFileFromItsPlace) {
    checks.takes_a_large_file_from_its_place();
}
TEST_F(SyncBases, GiveOutNothingThatIsNotWhatWasKept) {
    checks.gives_out_nothing_that_is_not_what_was_kept();
}
TEST_F(SyncBases, ForgetAUserInAllHisFolders) {
    checks.forgets_a_user_in_all_his_folders();
}
TEST_F(SyncBases, KeepLessWhereRowsCannotBeWritten) {
    checks.keeps_less_where_rows_cannot_be_written();
}
TEST_F(SyncBases, KnowWhatIsTakenWhenATransactionAroundItWasUndone) {
    checks.knows_what_is_taken_when_a_transaction_around_it_was_undone();
}
TEST_F(SyncBases, KeepWithinTheirBoundWhatWasKeptLast) {
    checks.keeps_within_its_bound_what_was_kept_last();
}

TEST_F(SyncBases, GiveOutTheContentOrNothingAfterTheDiskLostWhatWasNotSynced) {
    for (unsigned seed = 1; seed <= 20; ++seed) {
        Disk lossy{seed};
        lossy.plant_folder("/");
        lossy.set_clock([this] { return ++now_ns; });
        auto on_disk = make_sync_disk(lossy);
        auto rows = *store::Db::open_memory();
        sync::BasesChecks at{*on_disk, *rows};
        auto bases = at.open();
        sync::BasesChecks::keep(*bases, at.anna, at.large);
        sync::BasesChecks::keep(*bases, at.anna, at.small);
        lossy.crash();
        bases = at.open(); // the rows are durable
        const std::string large = sync::BasesChecks::found(*bases, at.anna, at.large);
        EXPECT_TRUE(large.empty() || large == at.large) << seed;
        EXPECT_EQ(sync::BasesChecks::found(*bases, at.anna, at.small), at.small);
    }
}

} // namespace hasp::sim
