#include "disk.h"

#include <cerrno>
#include <gtest/gtest.h>
#include <set>

namespace hasp::sim {

namespace {

constexpr std::uint64_t seeds = 200;

std::string content(const Disk& disk, const std::string& path) {
    const File file = disk.find(path);
    return file == nullptr ? "(none)" : file->seen;
}

// A durable file /d/a with `text`.
File durable_file(Disk& disk, const std::string& text) {
    File file;
    EXPECT_EQ(disk.make_folder("/d"), 0);
    EXPECT_EQ(disk.open("/d/a", true, true, file), 0);
    EXPECT_EQ(disk.write(file, 0, text), 0);
    EXPECT_EQ(disk.sync(file), 0);
    EXPECT_EQ(disk.sync_folder("/d"), 0);
    EXPECT_EQ(disk.sync_folder("/"), 0);
    return file;
}

struct SimDisk : testing::Test {
    static std::unique_ptr<Disk> fresh(std::uint64_t seed) {
        auto disk = std::make_unique<Disk>(seed);
        disk->plant_folder("/");
        return disk;
    }
};

} // namespace

TEST_F(SimDisk, KeepsWhatWasSyncedThroughEveryCrash) {
    for (std::uint64_t seed = 0; seed < seeds; ++seed) {
        auto disk = fresh(seed);
        durable_file(*disk, "kept");
        disk->crash();
        ASSERT_EQ(content(*disk, "/d/a"), "kept");
    }
}

TEST_F(SimDisk, LosesOfUnsyncedWritesNothingAllOrAnySectors) {
    std::set<std::string> outcomes;
    for (std::uint64_t seed = 0; seed < seeds; ++seed) {
        auto disk = fresh(seed);
        const File file = durable_file(*disk, std::string(2 * sector_bytes, 'o'));
        ASSERT_EQ(disk->write(file, 0, std::string(2 * sector_bytes, 'n')), 0);
        ASSERT_EQ(content(*disk, "/d/a"), std::string(2 * sector_bytes, 'n'));
        disk->crash();
        const std::string after = content(*disk, "/d/a");
        ASSERT_EQ(after.size(), 2 * sector_bytes);
        for (std::size_t i = 0; i < after.size(); ++i) {
            ASSERT_EQ(after[i], after[i / sector_bytes * sector_bytes]) << "a sector is torn";
        }
        outcomes.insert({after.front(), after.back()});
    }
    EXPECT_EQ(outcomes, (std::set<std::string>{"oo", "nn", "on", "no"}));
}

TEST_F(SimDisk, NeverHurtsBytesOutsideAWrite) {
    for (std::uint64_t seed = 0; seed < seeds; ++seed) {
        auto disk = fresh(seed);
        const File file = durable_file(*disk, "abcdef");
        ASSERT_EQ(disk->write(file, 2, "XY"), 0);
        disk->crash();
        const std::string after = content(*disk, "/d/a");
        ASSERT_TRUE(after == "abcdef" || after == "abXYef") << after;
    }
}

TEST_F(SimDisk, KeepsANewNameOnlyWhenItsFolderWasSynced) {
    std::set<std::string> outcomes;
    for (std::uint64_t seed = 0; seed < seeds; ++seed) {
        auto disk = fresh(seed);
        durable_file(*disk, "old");
        File file;
        ASSERT_EQ(disk->open("/d/b", true, true, file), 0);
        ASSERT_EQ(disk->write(file, 0, "new"), 0);
        ASSERT_EQ(disk->sync(file), 0);
        disk->crash();
        outcomes.insert(content(*disk, "/d/b"));
    }
    EXPECT_EQ(outcomes, (std::set<std::string>{"(none)", "new"}));
}

TEST_F(SimDisk, RenamesWholeOrNotAtAll) {
    std::set<std::string> outcomes;
    for (std::uint64_t seed = 0; seed < seeds; ++seed) {
        auto disk = fresh(seed);
        durable_file(*disk, "old");
        File file;
        ASSERT_EQ(disk->open("/d/b", true, true, file), 0);
        ASSERT_EQ(disk->write(file, 0, "new"), 0);
        ASSERT_EQ(disk->sync(file), 0);
        ASSERT_EQ(disk->rename("/d/b", "/d/a"), 0);
        disk->crash();
        outcomes.insert(content(*disk, "/d/a") + "+" + content(*disk, "/d/b"));
    }
    // The name b may not have been durable either.
    EXPECT_EQ(outcomes, (std::set<std::string>{"old+(none)", "old+new", "new+(none)"}));
}

TEST_F(SimDisk, NeverLosesAFileOfAFolderToANewFolderOfItsName) {
    std::set<std::string> outcomes;
    for (std::uint64_t seed = 0; seed < seeds; ++seed) {
        auto disk = fresh(seed);
        durable_file(*disk, "old");
        ASSERT_EQ(disk->rename("/d", "/moved"), 0);
        ASSERT_EQ(disk->make_folder("/d"), 0);
        File file;
        ASSERT_EQ(disk->open("/d/a", true, true, file), 0);
        ASSERT_EQ(disk->write(file, 0, "new"), 0);
        ASSERT_EQ(disk->sync(file), 0);
        disk->crash();
        outcomes.insert(content(*disk, "/d/a") + "+" + content(*disk, "/moved/a"));
    }
    EXPECT_EQ(outcomes, (std::set<std::string>{"old+(none)", "(none)+old", "new+old"}));
}

TEST_F(SimDisk, RenamedWithoutSyncOfTheBytesMayBeEmpty) {
    std::set<std::string> outcomes;
    for (std::uint64_t seed = 0; seed < seeds; ++seed) {
        auto disk = fresh(seed);
        durable_file(*disk, "old");
        File file;
        ASSERT_EQ(disk->open("/d/b", true, true, file), 0);
        ASSERT_EQ(disk->write(file, 0, "new"), 0);
        ASSERT_EQ(disk->rename("/d/b", "/d/a"), 0);
        ASSERT_EQ(disk->sync_folder("/d"), 0);
        disk->crash();
        outcomes.insert(content(*disk, "/d/a"));
    }
    EXPECT_EQ(outcomes, (std::set<std::string>{"", "new"}));
}

TEST_F(SimDisk, AfterAFailedSyncALaterSyncPromisesNothingForTheEarlierBytes) {
    std::set<std::string> outcomes;
    for (std::uint64_t seed = 0; seed < seeds; ++seed) {
        auto disk = fresh(seed);
        const File file = durable_file(*disk, "old");
        ASSERT_EQ(disk->write(file, 0, "new"), 0);
        disk->fail_after(0);
        ASSERT_EQ(disk->sync(file), EIO);
        ASSERT_EQ(disk->sync(file), 0);
        disk->crash();
        outcomes.insert(content(*disk, "/d/a"));
    }
    EXPECT_EQ(outcomes, (std::set<std::string>{"old", "new"}));
}

TEST_F(SimDisk, RefusesWhatDoesNotFitAndKeepsTheRest) {
    auto disk = fresh(1);
    const File file = durable_file(*disk, "1234");
    disk->set_capacity(6);
    EXPECT_EQ(disk->write(file, 4, "567"), ENOSPC);
    EXPECT_EQ(disk->write(file, 4, "56"), 0);
    EXPECT_EQ(disk->write(file, 0, "abcdef"), 0) << "writing over takes no room";
    EXPECT_EQ(content(*disk, "/d/a"), "abcdef");
}

TEST_F(SimDisk, DoesNothingMoreFromTheMomentThatThePowerIsGone) {
    auto disk = fresh(1);
    const File file = durable_file(*disk, "old");
    disk->die_after(1);
    EXPECT_EQ(disk->write(file, 0, "one"), 0);
    EXPECT_EQ(disk->write(file, 0, "two"), EIO);
    EXPECT_TRUE(disk->dead());
    EXPECT_EQ(disk->sync(file), EIO);
    EXPECT_EQ(disk->unlink("/d/a"), EIO);
    disk->kill();
    EXPECT_EQ(content(*disk, "/d/a"), "one") << "only the process was gone";
}

TEST_F(SimDisk, RunsTheSameFromTheSameSeed) {
    const auto run = [](std::uint64_t seed) {
        auto disk = fresh(seed);
        const File file = durable_file(*disk, std::string(8 * sector_bytes, 'o'));
        for (int i = 0; i < 8; ++i) {
            EXPECT_EQ(disk->write(file, static_cast<std::uint64_t>(i) * sector_bytes,
                                  std::string(sector_bytes, 'n')),
                      0);
        }
        disk->crash();
        return disk->digest();
    };
    std::set<std::uint64_t> digests;
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
        EXPECT_EQ(run(seed), run(seed));
        digests.insert(run(seed));
    }
    EXPECT_GT(digests.size(), 5U);
}

} // namespace hasp::sim
