// Who opens a file whose content is to come waits for it: other processes, as apps are.
#include "sync/open_gate.h"

#include "absent_files.h"
#include "base/files.h"
#include "sync/filling.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace hasp::sync {
namespace {

class Gate : public ::testing::Test {
  protected:
    void SetUp() override {
        root_ = ::testing::TempDir() + "gate_XXXXXX";
        ASSERT_NE(::mkdtemp(root_.data()), nullptr);
        ASSERT_TRUE(make_folders(root_ + "/sync/client").ok());
        disk_ = *open_disk(root_);
        if (const std::string why = no_absent_files(*disk_); !why.empty()) {
            GTEST_SKIP() << why;
        }
        auto group = open_gate_group();
        if (!group) {
            GTEST_SKIP() << group.error().message;
        }
        group_ = *std::move(group);
        open();
    }
    void TearDown() override {
        gate_.reset();
        group_.reset();
        EXPECT_TRUE(remove_tree(root_).ok());
    }
    void open() {
        gate_.reset();
        auto opened = open_gate(Fd(::fcntl(group_.get(), F_DUPFD_CLOEXEC, 0)), root_);
        ASSERT_TRUE(opened.ok()) << opened.error().message;
        gate_ = *std::move(opened);
    }
    void absent(const std::string& name) {
        ASSERT_TRUE(disk_
                        ->make_absent(name, 0644, {},
                                      {"anna", "wiki", trust::sha256(whole_), whole_.size()})
                        .ok());
        ASSERT_TRUE(gate_->hold(name).ok());
    }
    // What a process reads there: its first bytes, or the number of the error.
    struct Reader {
        pid_t pid = -1;
        Fd says;
    };
    Reader read(const std::string& name) {
        std::array<int, 2> pair{};
        EXPECT_EQ(::pipe2(pair.data(), O_CLOEXEC), 0);
        const std::string path = root_ + "/" + name;
        Reader out{::fork(), Fd(pair[0])};
        if (out.pid == 0) {
            const int fd = ::open(path.c_str(), O_RDWR);
            std::array<char, 10> bytes{};
            const std::string number = std::to_string(errno);
            const ssize_t got = fd < 0 ? -1 : ::read(fd, bytes.data(), bytes.size());
            const ssize_t said = got < 0 ? ::write(pair[1], number.data(), number.size())
                                         : ::write(pair[1], bytes.data(), bytes.size());
            ::_exit(said > 0 ? 0 : 1);
        }
        ::close(pair[1]);
        return out;
    }
    static std::string said(const Reader& reader, int wait_ms = 10'000) {
        pollfd fd{reader.says.get(), POLLIN, 0};
        if (::poll(&fd, 1, wait_ms) != 1) {
            return "(waits)";
        }
        std::array<char, 100> bytes{};
        const ssize_t got = ::read(reader.says.get(), bytes.data(), bytes.size());
        int status = 0;
        ::waitpid(reader.pid, &status, 0);
        return {bytes.data(), static_cast<std::size_t>(std::max<ssize_t>(got, 0))};
    }
    std::vector<OpenGate::Opening> openings() {
        pollfd fd{gate_->fd(), POLLIN, 0};
        EXPECT_EQ(::poll(&fd, 1, 10'000), 1);
        return gate_->take();
    }
    void fill(OpenGate::Opening& opening) {
        Filling filling(std::move(opening.file), *disk_, "");
        ASSERT_TRUE(filling.take(whole_).ok());
        ASSERT_TRUE(filling.finish().ok());
    }
    void answer_one(const Reader& reader) {
        auto openings = this->openings();
        ASSERT_EQ(openings.size(), 1U);
        fill(openings[0]);
        gate_->answer(openings[0].number, 0);
        EXPECT_EQ(said(reader), begin_);
    }
    const std::string whole_ = several_blocks('a');
    const std::string begin_ = whole_.substr(0, 10);
    // Of a kernel that says why, and of an older one.
    const std::vector<std::string> refused_{std::to_string(EIO), std::to_string(EPERM)};
    std::string root_;
    std::unique_ptr<Disk> disk_;
    Fd group_;
    std::shared_ptr<OpenGate> gate_;
};

TEST_F(Gate, LetsGoOnWhenTheContentIsThere) {
    absent("f");
    const Reader reader = read("f");
    auto openings = this->openings();
    ASSERT_EQ(openings.size(), 1U);
    EXPECT_EQ(openings[0].file->absent().name, trust::sha256(whole_));
    EXPECT_EQ(openings[0].file->inode(), disk_->stat("f")->inode);
    EXPECT_EQ(said(reader, 100), "(waits)");
    fill(openings[0]);
    EXPECT_EQ(said(reader, 100), "(waits)");
    gate_->answer(openings[0].number, 0);
    EXPECT_EQ(said(reader), begin_);
    EXPECT_EQ(said(read("f")), begin_) << "and nobody waits from then on";
    EXPECT_TRUE(gate_->take().empty());
}

TEST_F(Gate, SaysWhatIsWrong) {
    absent("f");
    const Reader reader = read("f");
    auto openings = this->openings();
    ASSERT_EQ(openings.size(), 1U);
    gate_->answer(openings[0].number, EIO);
    EXPECT_THAT(refused_, ::testing::Contains(said(reader)));
    answer_one(read("f")); // and the next one waits as the first did
}

TEST_F(Gate, IsOpenForWhoeverKeepsIt) {
    absent("f");
    EXPECT_TRUE(Fd(::open((root_ + "/f").c_str(), O_RDONLY | O_CLOEXEC)));
    EXPECT_TRUE(disk_->set_meta("f", 0600, 1).ok());
    EXPECT_TRUE(disk_->open_absent("f").ok());
    EXPECT_TRUE(gate_->take().empty());
}

TEST_F(Gate, HoldsAFileWhereverItIsMoved) {
    absent("f");
    ASSERT_TRUE(disk_->make_folder("d", 0755, {}).ok());
    ASSERT_TRUE(disk_->rename("f", "d/g").ok());
    ASSERT_EQ(::link((root_ + "/d/g").c_str(), (root_ + "/h").c_str()), 0);
    const Reader reader = read("h");
    auto openings = this->openings();
    ASSERT_EQ(openings.size(), 1U);
    const Reader second = read("d/g");
    EXPECT_EQ(said(second, 100), "(waits)");
    fill(openings[0]);
    gate_->answer(openings[0].number, 0);
    EXPECT_EQ(said(reader), begin_);
    for (OpenGate::Opening& one : this->openings()) {
        EXPECT_FALSE(one.file->still().value_or(true));
        gate_->answer(one.number, 0);
    }
    EXPECT_EQ(said(second), begin_);
}

TEST_F(Gate, IsHeldWhileNobodyAnswers) {
    absent("f");
    const Reader asked = read("f");
    ASSERT_EQ(this->openings().size(), 1U);
    gate_.reset(); // in order
    EXPECT_THAT(refused_, ::testing::Contains(said(asked)));
    const Reader reader = read("f");
    EXPECT_EQ(said(reader, 200), "(waits)");
    open();
    answer_one(reader);
}

TEST_F(Gate, AnswersForWhatWasHeldWhereNothingMoreCanBe) {
    absent("f");
    gate_.reset();
    const Reader reader = read("f");
    ASSERT_TRUE(disk_->remove_folder("sync/client").ok()); // what is tried there fails
    open();
    EXPECT_FALSE(gate_->can_hold().ok());
    answer_one(reader);
}

TEST_F(Gate, NobodyReadsZerosWhereItsKeeperWasKilled) {
    absent("f");
    gate_.reset();
    std::array<int, 2> pair{};
    ASSERT_EQ(::pipe2(pair.data(), O_CLOEXEC), 0);
    const pid_t keeper = ::fork();
    if (keeper == 0) {
        open();
        const ssize_t ready = ::write(pair[1], "o", 1);
        auto taken = openings(); // and it says nothing
        const ssize_t said = ready == 1 && taken.size() == 1 ? ::write(pair[1], "t", 1) : 0;
        ::pause();
        ::_exit(said == 1 ? 0 : 1);
    }
    char byte = 0;
    ASSERT_EQ(::read(pair[0], &byte, 1), 1);
    const Reader reader = read("f");
    ASSERT_EQ(::read(pair[0], &byte, 1), 1);
    ASSERT_EQ(::kill(keeper, SIGKILL), 0);
    int status = 0;
    ::waitpid(keeper, &status, 0);
    ::close(pair[0]);
    ::close(pair[1]);
    EXPECT_EQ(said(reader, 200), "(waits)");
    open();
    EXPECT_THAT(refused_, ::testing::Contains(said(reader)));
}

} // namespace
} // namespace hasp::sync
