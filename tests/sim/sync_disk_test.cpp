// What lib/sync's disk promises holds for the simulated one (the promises: sync/disk.h).
#include "sync_disk.h"

#include <gtest/gtest.h>

namespace hasp::sim {

namespace {

struct SyncDisk : testing::Test {
    void SetUp() override {
        disk.plant_folder("/");
        disk.set_clock([this] { return ++now_ns; });
    }
    void put(const std::string& path, const std::string& content) {
        auto made = files->create(path, 0640, {});
        ASSERT_TRUE(made.ok()) << made.error().message;
        ASSERT_TRUE((*made)->write(content).ok() && (*made)->sync().ok());
    }
    std::string content(const std::string& path) {
        auto opened = files->open(path);
        if (!opened.ok()) {
            return code_name(opened.error().code);
        }
        std::string out(100, '\0');
        out.resize((*opened)->read(0, out).value_or(0));
        return out;
    }
    std::int64_t now_ns = 0;
    Disk disk{1};
    std::unique_ptr<sync::Disk> files = make_sync_disk(disk);
};

} // namespace

TEST_F(SyncDisk, WritesReadsListsAndRemoves) {
    ASSERT_TRUE(files->make_folder("d", 0750, {}).ok());
    put("d/b", "two");
    put("d/a", "one");
    auto list = files->list("d");
    ASSERT_TRUE(list.ok());
    ASSERT_EQ(list->size(), 2U);
    EXPECT_EQ(list->at(0).name, "a");
    EXPECT_EQ(list->at(1).stat.size, 3U);
    EXPECT_EQ(list->at(0).stat.mode, 0640U);
    EXPECT_EQ(files->create("d/a", 0600, {}).error().code, Code::conflict);
    EXPECT_EQ(files->remove_folder("d").error().code, Code::conflict);
    ASSERT_TRUE(files->rename("d/a", "d/b").ok());
    EXPECT_EQ(content("d/b"), "one");
    ASSERT_TRUE(files->remove("d/b").ok() && files->remove_folder("d").ok());
    EXPECT_EQ(files->stat("d").error().code, Code::not_found);
}

TEST_F(SyncDisk, GoesOnWithAFileWhereItWasCut) {
    put("f", "12345");
    auto more = files->append("f", 3);
    ASSERT_TRUE(more.ok() && (*more)->write("xy").ok());
    EXPECT_EQ(content("f"), "123xy");
    EXPECT_EQ(files->append("f", 6).error().code, Code::refused);
}

TEST_F(SyncDisk, PassesNoSymlinkAndReadsNone) {
    ASSERT_TRUE(files->make_symlink("s", "elsewhere", {}).ok());
    EXPECT_EQ(*files->read_symlink("s"), "elsewhere");
    EXPECT_EQ(content("s"), "refused");
    EXPECT_EQ(content("s/f"), "refused");
    EXPECT_EQ(files->stat("../x").error().code, Code::refused);
}

TEST_F(SyncDisk, ChangesAFilesTimesWithItsContent) {
    put("f", "one");
    const auto before = files->stat("f");
    auto more = files->append("f", 0);
    ASSERT_TRUE(more.ok() && (*more)->write("two").ok());
    EXPECT_FALSE(*before == *files->stat("f"));
    ASSERT_TRUE(files->set_meta("f", 0600, 5).ok());
    EXPECT_EQ(files->stat("f")->mtime_ns, 5'000);
    EXPECT_EQ(files->stat("f")->mode, 0600U);
}

TEST_F(SyncDisk, KeepsThroughACrashWhatSyncAllCovered) {
    ASSERT_TRUE(files->make_folder("d", 0700, {}).ok());
    auto made = files->create("d/f", 0600, {});
    ASSERT_TRUE(made.ok() && (*made)->write("kept").ok());
    ASSERT_TRUE(files->sync_all().ok());
    disk.crash();
    EXPECT_EQ(content("d/f"), "kept");
    EXPECT_FALSE((*made)->write("more").ok()) << "its process is gone";
}

} // namespace hasp::sim
