// Reading files that change: what was read while they were looked at.
#include "base/files.h"
#include "base/random.h"
#include "counting_disk.h"
#include "full_disk.h"
#include "scan.h"

#include <filesystem>
#include <gtest/gtest.h>
#include <unistd.h>

namespace hasp::sync {
namespace {

class Reading : public ::testing::Test {
  protected:
    void SetUp() override {
        folder_ = ::testing::TempDir() + "/hasp_reading_XXXXXX";
        ASSERT_NE(::mkdtemp(folder_.data()), nullptr);
        ASSERT_TRUE(hasp::make_folders(folder_ + "/tmp").ok());
        disk_ = std::make_unique<CountingDisk>(open_disk(folder_).value());
        reader_ = std::make_unique<Reader>(*disk_, "tmp", clock_, nullptr);
    }
    void TearDown() override {
        reader_.reset();
        disk_.reset();
        EXPECT_TRUE(remove_tree(folder_).ok());
    }
    void write(const std::string& name, const std::string& content) {
        std::filesystem::remove(folder_ + "/" + name);
        auto file = disk_->create(name, 0600, {});
        ASSERT_TRUE(file.ok() && (*file)->write(content).ok());
    }
    Seen look(const std::string& name) {
        Seen seen;
        EXPECT_TRUE(reader_->entry(name, &before_, &seen).ok());
        return seen;
    }
    std::string text(ReadFile& file) {
        std::string out;
        EXPECT_TRUE(digest(file, [&out](std::string_view part) {
                        out.append(part);
                        return Status{};
                    }).ok());
        return out;
    }
    std::size_t copies() {
        return static_cast<std::size_t>(
            std::distance(std::filesystem::directory_iterator(folder_ + "/tmp"),
                          std::filesystem::directory_iterator()));
    }

    std::string folder_;
    ManualClock clock_;
    SeededRandom random_{9};
    std::unique_ptr<CountingDisk> disk_;
    std::unique_ptr<Reader> reader_;
    const Seen before_{}; // something else
};

TEST_F(Reading, ReadsALargeEditOnceForItsLookAndItsCopy) {
    const std::string content = random_.bytes(3'000'000);
    write("big", content);
    reader_->hold_edits();
    EXPECT_EQ(look("big").size, content.size());
    auto frozen = reader_->freeze("big");
    ASSERT_TRUE(frozen.ok());
    EXPECT_EQ(disk_->read_bytes, content.size());
    EXPECT_TRUE(text(*frozen->file) == content);
    EXPECT_EQ(copies(), 1U);
    frozen->file.reset();
    EXPECT_EQ(copies(), 0U);
    // Given out once.
    EXPECT_TRUE(text(*reader_->freeze("big")->file) == content);
}

TEST_F(Reading, ReadsAgainWhatChangedSinceItWasLookedAt) {
    write("big", random_.bytes(3'000'000));
    reader_->hold_edits();
    look("big");
    const std::string later = random_.bytes(3'000'000);
    write("big", later);
    auto frozen = reader_->freeze("big");
    ASSERT_TRUE(frozen.ok());
    EXPECT_TRUE(text(*frozen->file) == later);
    EXPECT_EQ(copies(), 1U) << "the older copy is gone";
}

TEST_F(Reading, CopiesNothingThatWasOnlyTouched) {
    write("big", random_.bytes(3'000'000));
    Seen known = look("big");
    known.at_us = 0; // too soon after it was written to prove anything
    reader_->hold_edits();
    Seen seen;
    EXPECT_TRUE(reader_->entry("big", &known, &seen).ok());
    EXPECT_EQ(copies(), 0U);
}

TEST_F(Reading, HoldsABoundedNumberOfCopies) {
    reader_->hold_edits();
    const std::string content = random_.bytes(1'100'000);
    for (std::size_t i = 0; i < held_files_max + 5; ++i) {
        write("big" + std::to_string(i), content);
        look("big" + std::to_string(i));
    }
    EXPECT_EQ(copies(), held_files_max);
    EXPECT_TRUE(reader_->freeze("big" + std::to_string(held_files_max + 1)).ok());
}

TEST_F(Reading, GivesUpCopiesThatLeaveNoRoomForWhatIsNeeded) {
    auto full = std::make_unique<FullDisk>(open_disk(folder_).value());
    FullDisk& disk = *full;
    Reader reader(disk, "tmp", clock_, nullptr);
    const std::string content = random_.bytes(3'000'000);
    write("one", content);
    write("two", content.substr(1000));
    reader.hold_edits();
    Seen seen;
    ASSERT_TRUE(reader.entry("one", &before_, &seen).ok());
    ASSERT_EQ(copies(), 1U);
    disk.room = 1'000'000;
    disk.room_returns = true;
    auto frozen = reader.freeze("two");
    ASSERT_TRUE(frozen.ok()) << frozen.error().message;
    EXPECT_TRUE(text(*frozen->file) == content.substr(1000));
    EXPECT_EQ(copies(), 1U);
}

TEST_F(Reading, HoldsNoCopyOfSmallFilesNorBeyondItsTime) {
    write("small", random_.bytes(100'000));
    write("big", random_.bytes(3'000'000));
    look("big");
    EXPECT_EQ(copies(), 0U) << "nobody asked for it";
    reader_->hold_edits();
    look("small");
    EXPECT_EQ(copies(), 0U);
    look("big");
    EXPECT_EQ(copies(), 1U);
    reader_->let_go();
    EXPECT_EQ(copies(), 0U);
}

} // namespace
} // namespace hasp::sync
