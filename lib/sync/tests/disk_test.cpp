// What every Disk promises; the machine's own here, a simulated one runs the same.
#include "sync/disk.h"

#include "base/fd.h"
#include "base/files.h"
#include "base/random.h"

#include <algorithm>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

namespace hasp::sync {
namespace {

class PosixDisk : public ::testing::Test {
  protected:
    void SetUp() override {
        root_ = ::testing::TempDir() + "disk_XXXXXX";
        ASSERT_NE(::mkdtemp(root_.data()), nullptr);
        auto opened = open_disk(root_);
        ASSERT_TRUE(opened.ok());
        disk_ = *std::move(opened);
    }
    void TearDown() override { EXPECT_TRUE(remove_tree(root_).ok()); }
    void put(const std::string& path, const std::string& content) {
        auto made = disk_->create(path, 0640, {});
        ASSERT_TRUE(made.ok()) << made.error().message;
        ASSERT_TRUE((*made)->write(content).ok() && (*made)->sync().ok());
    }
    std::string content(const std::string& path) {
        auto opened = disk_->open(path);
        if (!opened.ok()) {
            return opened.error().message;
        }
        std::string out(1000, '\0');
        auto n = (*opened)->read(0, out);
        out.resize(n.value_or(0));
        return out;
    }
    std::string root_;
    std::unique_ptr<Disk> disk_;
};

TEST_F(PosixDisk, WritesReadsListsAndRemoves) {
    ASSERT_TRUE(disk_->make_folder("d", 0750, {}).ok());
    put("d/b", "two");
    put("d/a", "one");
    EXPECT_EQ(content("d/a"), "one");
    auto list = disk_->list("d");
    ASSERT_TRUE(list.ok());
    ASSERT_EQ(list->size(), 2U);
    EXPECT_EQ(list->at(0).name, "a");
    EXPECT_EQ(list->at(1).stat.size, 3U);
    EXPECT_EQ(list->at(0).stat.mode, 0640U);
    EXPECT_EQ(disk_->create("d/a", 0600, {}).error().code, Code::conflict);
    EXPECT_EQ(disk_->remove_folder("d").error().code, Code::conflict);
    ASSERT_TRUE(disk_->rename("d/a", "d/b").ok());
    EXPECT_EQ(content("d/b"), "one");
    ASSERT_TRUE(disk_->remove("d/b").ok() && disk_->remove_folder("d").ok());
    EXPECT_EQ(disk_->stat("d").error().code, Code::not_found);
    EXPECT_TRUE(disk_->sync_folder("").ok() && disk_->sync_all().ok());
}

TEST_F(PosixDisk, GoesOnWithAFileWhereItWasCut) {
    put("f", "12345");
    auto more = disk_->append("f", 3);
    ASSERT_TRUE(more.ok() && (*more)->write("xy").ok());
    EXPECT_EQ(content("f"), "123xy");
    EXPECT_EQ(disk_->append("f", 6).error().code, Code::refused);
}

TEST_F(PosixDisk, KeepsOddTimesAndModes) {
    put("f", "");
    for (const std::int64_t us :
         {std::int64_t{-1}, std::int64_t{0}, std::int64_t{253402300799000001}}) {
        if (Status set = disk_->set_meta("f", 0, us); us == 0 || set.ok()) {
            auto stat = disk_->stat("f");
            ASSERT_TRUE(stat.ok());
            EXPECT_EQ(stat->mode, 0U);
            if (us <= 0) { // some file systems end in 2446
                EXPECT_EQ(stat->mtime_ns, us * 1000);
            }
        }
        ASSERT_EQ(::chmod((root_ + "/f").c_str(), 0600), 0);
    }
}

TEST_F(PosixDisk, PassesNoLinkAndOpensNoPipe) {
    ASSERT_TRUE(disk_->make_folder("d", 0700, {}).ok());
    put("d/f", "x");
    ASSERT_TRUE(disk_->make_symlink("link", "d", {}).ok());
    EXPECT_EQ(disk_->read_symlink("link").value_or(""), "d");
    EXPECT_EQ(disk_->open("link/f").error().code, Code::refused);
    EXPECT_EQ(disk_->open("link").error().code, Code::refused);
    EXPECT_EQ(disk_->list("link").error().code, Code::refused);
    EXPECT_EQ(disk_->create("link/g", 0600, {}).error().code, Code::refused);
    EXPECT_EQ(disk_->stat("link")->kind, FileKind::symlink);
    EXPECT_TRUE(disk_->set_meta("link", 0, 5'000'000).ok());
    ASSERT_EQ(::mkfifo((root_ + "/pipe").c_str(), 0600), 0);
    EXPECT_EQ(disk_->open("pipe").error().code, Code::refused);
    EXPECT_EQ(disk_->stat("pipe")->kind, FileKind::other);
}

// Pieces of data and of zeros of any length, written in pieces of any length.
TEST_F(PosixDisk, LeavesLongRunsOfZerosAsHolesAndReadsEveryByteAsItWas) {
    SeededRandom random(11);
    for (int round = 0; round < 30; ++round) {
        const std::string name = "f" + std::to_string(round);
        std::string content;
        std::uint64_t data = 0;
        const std::uint64_t pieces = random.below(12);
        for (std::uint64_t i = 0; i < pieces; ++i) {
            const auto size = static_cast<std::size_t>(random.below(200'000));
            const bool zeros = random.below(2) == 0;
            data += zeros ? 0 : size;
            content += zeros ? std::string(size, '\0') : random.bytes(size);
        }
        auto made = disk_->create(name, 0600, {});
        ASSERT_TRUE(made.ok());
        for (std::size_t at = 0; at < content.size();) {
            if (random.below(8) == 0) { // gone on with, as after a cut
                made = disk_->append(name, at);
                ASSERT_TRUE(made.ok());
            }
            const std::string piece =
                content.substr(at, static_cast<std::size_t>(1 + random.below(150'000)));
            ASSERT_TRUE((*made)->write(piece).ok());
            at += piece.size();
            EXPECT_EQ(disk_->stat(name)->size, at) << "as long as what was written, at any time";
        }
        ASSERT_TRUE((*made)->sync().ok());
        auto file = disk_->open(name);
        ASSERT_TRUE(file.ok());
        std::string read(content.size() + 10, 'x');
        EXPECT_EQ((*file)->read(0, read).value_or(0), content.size());
        read.resize(content.size());
        EXPECT_TRUE(read == content) << round;
        for (int i = 0; i < 20; ++i) {
            const std::uint64_t from = random.below(content.size() + 1);
            std::string part(static_cast<std::size_t>(1 + random.below(100'000)), 'x');
            part.resize((*file)->read(from, part).value_or(0));
            EXPECT_TRUE(part == content.substr(from, std::max<std::size_t>(part.size(), 1)));
        }
    }
}

TEST_F(PosixDisk, KeepsAFileOfOneHoleAndOneWithAByteAtItsEndSmall) {
    for (const bool byte : {false, true}) {
        auto made = disk_->create(byte ? "b" : "a", 0600, {});
        const std::string zeros(std::size_t{1} << 20, '\0');
        for (int i = 0; i < 64; ++i) {
            ASSERT_TRUE((*made)->write(zeros).ok());
        }
        ASSERT_TRUE((*made)->write(byte ? "x" : "").ok() && (*made)->sync().ok());
        struct stat st {};
        ASSERT_EQ(::stat((root_ + (byte ? "/b" : "/a")).c_str(), &st), 0);
        EXPECT_EQ(st.st_size, (64 << 20) + (byte ? 1 : 0));
        EXPECT_LE(st.st_blocks * 512, 64 * 1024);
    }
    auto file = disk_->open("b");
    std::string end(3, 'x');
    EXPECT_EQ((*file)->read((64 << 20) - 1, end).value_or(0), 2U);
    EXPECT_EQ(end.substr(0, 2), std::string("\0x", 2));
}

// Written to after it was opened, as an app does: what was a hole then may be data now.
TEST_F(PosixDisk, ReadsWhatIsWrittenIntoAHoleThatItHasNotComeTo) {
    put("f", "begins");
    ASSERT_EQ(::truncate((root_ + "/f").c_str(), 10 << 20), 0);
    ASSERT_TRUE(disk_->set_meta("f", 0600, 5'000'000).ok());
    auto file = disk_->open("f");
    std::string part(6, 'x');
    EXPECT_EQ((*file)->read(0, part).value_or(0), 6U);
    EXPECT_EQ(part, "begins");
    const auto before = (*file)->stat();
    const Fd app(::open((root_ + "/f").c_str(), O_WRONLY | O_CLOEXEC));
    ASSERT_EQ(::pwrite(app.get(), "middle", 6, 5 << 20), 6);
    EXPECT_FALSE(*before == *(*file)->stat()) << "whoever reads on learns of it";
    auto again = disk_->open("f");
    EXPECT_EQ((*again)->read(5 << 20, part).value_or(0), 6U);
    EXPECT_EQ(part, "middle");
}

TEST_F(PosixDisk, RefusesWhatIsNoPath) {
    for (const char* bad : {"", "/etc/passwd", "..", "a/../b", "a//b", "a/", "."}) {
        EXPECT_EQ(disk_->open(bad).error().code, Code::refused) << bad;
        EXPECT_EQ(disk_->create(bad, 0600, {}).error().code, Code::refused) << bad;
    }
    EXPECT_FALSE(valid_path(std::string("a\0b", 3)));
    EXPECT_FALSE(valid_path(std::string(256, 'x')));
    EXPECT_TRUE(valid_path(std::string(255, '\xff')));
}

} // namespace
} // namespace hasp::sync
