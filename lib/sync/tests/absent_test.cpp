// Files that stand without their content: their marks, and how it comes.
#include "absent_files.h"
#include "base/files.h"
#include "sync/batch.h"
#include "sync/filling.h"
#include "trust/hash.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

namespace hasp::sync {
namespace {

TEST(AbsentText, IsReadAsItWasWritten) {
    Absent absent{"anna", "wiki", trust::sha256("x"), 70'000};
    EXPECT_EQ(parse_absent(absent_text(absent)), absent);
    absent.mtime_ns = -1;
    EXPECT_EQ(parse_absent(absent_text(absent)), absent);
}

TEST(AbsentText, IsNothingElse) {
    const Absent absent{"anna", "wiki", trust::sha256("x"), 70'000};
    const std::string text = absent_text(absent);
    for (const std::string& other :
         {std::string(), text + " ", text + " x", text + " 1 1", "2" + text.substr(1),
          text.substr(0, text.size() - 1), text.substr(0, text.size() - 2),
          "1 99999999999999999999" + text.substr(7), text + std::string(600, '0')}) {
        EXPECT_FALSE(parse_absent(other)) << other;
    }
}

TEST(Batch, LeavesOutAContentOnlyDownAndFromTheNinthFormatOn) {
    Record record;
    record.path = "f";
    record.entry.kind = FileKind::file;
    record.entry.size = 100'000;
    record.entry.hash = trust::sha256("x");
    record.codec = Codec::later;
    for (const auto& [direction, format, reads] :
         {std::tuple{Direction::down, batch_format_later, true},
          std::tuple{Direction::up, batch_format_later, false}}) {
        std::string packed;
        BatchWriter writer({direction, 1, 1, format, {}}, [&packed](std::string_view bytes) {
            packed += bytes;
            return Status{};
        });
        ASSERT_TRUE(writer.add(record).ok() && writer.finish().ok());
        MemoryFile file(packed);
        BatchReader reader(pull_from(file));
        ASSERT_TRUE(reader.head().ok());
        Record read;
        const auto next = reader.next(read);
        EXPECT_EQ(next.ok(), reads);
        EXPECT_TRUE(!next.ok() || read.codec == Codec::later);
    }
    BatchWriter older({Direction::down, 1, 1, batch_format_later - 1, {}},
                      [](std::string_view) { return Status{}; });
    EXPECT_EQ(older.add(record).error().code, Code::failed);
}

class AbsentOnDisk : public ::testing::Test {
  protected:
    void SetUp() override {
        root_ = ::testing::TempDir() + "absent_XXXXXX";
        ASSERT_NE(::mkdtemp(root_.data()), nullptr);
        disk_ = *open_disk(root_);
        if (const std::string why = no_absent_files(*disk_); !why.empty()) {
            GTEST_SKIP() << why;
        }
        ASSERT_TRUE(disk_->make_absent("f", 0640, {}, absent_).ok());
        ASSERT_TRUE(disk_->set_meta("f", 0640, then_us).ok());
    }
    void TearDown() override { EXPECT_TRUE(remove_tree(root_).ok()); }
    std::string content(const std::string& name) {
        return read_file(root_ + "/" + name, 1 << 20).value_or("(none)");
    }
    Filling filling(const std::string& copy = "") {
        auto file = disk_->open_absent("f");
        EXPECT_TRUE(file.ok()) << (file.ok() ? "" : file.error().message);
        return {*std::move(file), *disk_, copy};
    }
    static constexpr std::int64_t then_us = 1'000'000'123'456;
    const std::string whole_ = several_blocks('a');
    const Absent absent_{"anna", "wiki", trust::sha256(whole_), whole_.size()};
    std::string root_;
    std::unique_ptr<Disk> disk_;
};

TEST_F(AbsentOnDisk, IsAsLongAsTheWholeAndTakesNoRoom) {
    struct stat st {};
    ASSERT_EQ(::stat((root_ + "/f").c_str(), &st), 0);
    EXPECT_EQ(static_cast<std::size_t>(st.st_size), whole_.size());
    EXPECT_LE(st.st_blocks, 8) << "of its attributes";
    EXPECT_EQ(*disk_->absent("f"), absent_);
    EXPECT_EQ(disk_->make_absent("f", 0640, {}, absent_).error().code, Code::conflict);
}

TEST_F(AbsentOnDisk, GivesNobodyItsZeros) {
    EXPECT_EQ(disk_->open("f").error().code, Code::try_later);
    EXPECT_EQ(disk_->clone("f", "g").error().code, Code::try_later);
    ASSERT_TRUE(disk_->rename("f", "g").ok());
    ASSERT_EQ(::truncate((root_ + "/g").c_str(), 100), 0);
    EXPECT_EQ(disk_->open("g").error().code, Code::try_later);
    EXPECT_EQ(*disk_->absent("g"), absent_);
}

TEST_F(AbsentOnDisk, IsWholeAndAsOldAsItWasWhenItsContentCame) {
    Filling filling = this->filling("copy");
    for (std::size_t at = 0; at < whole_.size(); at += 10'000) {
        ASSERT_TRUE(filling.take(std::string_view(whole_).substr(at, 10'000)).ok());
    }
    EXPECT_EQ(disk_->open("f").error().code, Code::try_later);
    EXPECT_EQ(disk_->stat("f")->mtime_ns, then_us * 1000) << "for whoever lists the folder";
    ASSERT_TRUE(filling.finish().ok());
    EXPECT_EQ(content("f"), whole_);
    EXPECT_FALSE(disk_->absent("f")->has_value());
    EXPECT_EQ(disk_->open_absent("f").error().code, Code::not_found);
    const FileStat stat = *disk_->stat("f");
    EXPECT_EQ(stat, filling.stat());
    EXPECT_EQ(stat.mtime_ns, then_us * 1000);
    EXPECT_EQ(filling.digest().hash, absent_.name);
    EXPECT_EQ(content(filling.take_copy()), whole_);
}

TEST_F(AbsentOnDisk, BeginsAnewAfterACrash) {
    ASSERT_TRUE(filling().take(whole_.substr(0, 50'000)).ok());
    EXPECT_EQ(disk_->absent("f")->value().mtime_ns, then_us * 1000);
    EXPECT_EQ(disk_->open("f").error().code, Code::try_later);
    Filling filling = this->filling();
    ASSERT_TRUE(filling.take(whole_).ok());
    ASSERT_TRUE(filling.finish().ok());
    EXPECT_EQ(content("f"), whole_);
    EXPECT_EQ(disk_->stat("f")->mtime_ns, then_us * 1000);
}

TEST_F(AbsentOnDisk, GoesOnWithWhatAnEarlierProcessWrote) {
    const std::size_t first = 190'001; // in the middle of a block
    {
        Filling filling = this->filling("copy");
        EXPECT_FALSE(filling.take_up(whole_.size()));
        EXPECT_EQ(filling.have(), 0U);
        ASSERT_TRUE(filling.take(std::string_view(whole_).substr(0, first)).ok());
    }
    Filling filling = this->filling("copy");
    EXPECT_TRUE(filling.take_up(10'000)) << "there is more";
    EXPECT_EQ(filling.have(), 10'000U);
    EXPECT_FALSE(filling.take_up(whole_.size()));
    ASSERT_GT(filling.have(), first - 128 * 1024);
    ASSERT_LE(filling.have(), first);
    ASSERT_TRUE(filling.take(std::string_view(whole_).substr(filling.have())).ok());
    ASSERT_TRUE(filling.finish().ok());
    EXPECT_TRUE(content("f") == whole_);
    EXPECT_TRUE(content(filling.take_copy()) == whole_);
    EXPECT_EQ(disk_->stat("f")->mtime_ns, then_us * 1000);
}

TEST_F(AbsentOnDisk, TakesNothingElseForWhatAnEarlierProcessWrote) {
    for (const std::size_t wrong : {std::size_t{150'000}, whole_.size()}) {
        {
            Filling filling = this->filling();
            ASSERT_TRUE(filling.take(std::string_view(several_blocks('b')).substr(0, wrong)).ok());
        }
        Filling filling = this->filling("copy");
        filling.take_up(whole_.size());
        ASSERT_LT(filling.have(), whole_.size()) << "what comes last shows what it is";
        ASSERT_GT(filling.have(), 0U);
        ASSERT_TRUE(filling.take(std::string_view(whole_).substr(filling.have())).ok());
        EXPECT_EQ(filling.finish().error().code, Code::refused);
        EXPECT_EQ(disk_->open("f").error().code, Code::try_later);
    }
    Filling filling = this->filling("copy");
    filling.take_up(whole_.size());
    filling.begin();
    ASSERT_TRUE(filling.take(whole_).ok());
    ASSERT_TRUE(filling.finish().ok());
    EXPECT_TRUE(content("f") == whole_);
}

TEST_F(AbsentOnDisk, StaysSoWhereSomethingElseCame) {
    Filling filling = this->filling("copy");
    ASSERT_TRUE(filling.take(several_blocks('b')).ok());
    EXPECT_EQ(filling.finish().error().code, Code::refused);
    EXPECT_EQ(disk_->open("f").error().code, Code::try_later);
    EXPECT_EQ(filling.take("x").error().code, Code::refused) << "more than there is";
    filling.begin();
    ASSERT_TRUE(filling.take(whole_).ok());
    ASSERT_TRUE(filling.finish().ok());
    EXPECT_EQ(content("f"), whole_);
}

TEST_F(AbsentOnDisk, HasNoMoreThanWhatItWasCutTo) {
    ASSERT_EQ(::truncate((root_ + "/f").c_str(), 70'001), 0);
    Filling filling = this->filling();
    ASSERT_TRUE(filling.take(whole_).ok());
    ASSERT_TRUE(filling.finish().ok());
    EXPECT_EQ(content("f"), whole_.substr(0, 70'001));
}

TEST_F(AbsentOnDisk, LeavesNoCopyWhereItIsNotWanted) {
    {
        Filling filling = this->filling("copy");
        ASSERT_TRUE(filling.take(whole_).ok());
        ASSERT_TRUE(filling.finish().ok());
    }
    EXPECT_EQ(disk_->stat("copy").error().code, Code::not_found);
}

TEST_F(AbsentOnDisk, IsNotReadAsWholeWhereItsMarkIsOfANewerHasp) {
    const std::string newer = "2 something";
    ASSERT_EQ(::setxattr((root_ + "/f").c_str(), absent_attribute, newer.data(), newer.size(), 0),
              0);
    EXPECT_EQ(disk_->open("f").error().code, Code::failed);
    EXPECT_EQ(disk_->absent("f").error().code, Code::failed);
}

} // namespace
} // namespace hasp::sync
