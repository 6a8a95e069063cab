// What was noticed, as pure values, and both ways to hear it from the kernel.
#include "../settling.h"
#include "base/fd.h"
#include "base/files.h"
#include "base/random.h"
#include "sync/watch.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

namespace hasp::sync {
namespace {

using Change = Settling::Change;
using Paths = std::set<std::string>;
constexpr std::int64_t ms = 1000;

TEST(Settling, GivesAClosedFileSoonAndAnOpenOneWhenItIsQuiet) {
    Settling settling;
    settling.note("closed", Change::closed, 0);
    settling.note("open", Change::written, 0);
    EXPECT_TRUE(settling.take(settled_closed_us - 1, Take::settled).empty());
    EXPECT_EQ(settling.take(settled_closed_us, Take::settled).paths, Paths{"closed"});
    EXPECT_EQ(settling.due_us(), settled_open_us);
    settling.note("open", Change::written, 200 * ms);
    EXPECT_TRUE(settling.take(settled_open_us, Take::settled).empty());
    EXPECT_EQ(settling.take(200 * ms + settled_open_us, Take::settled).paths, Paths{"open"});
    EXPECT_FALSE(settling.due_us().has_value());
}

TEST(Settling, KeepsNoFileBackThatIsWrittenAllTheTimeNorOthersForIt) {
    Settling settling;
    std::int64_t given = 0;
    std::int64_t other = 0;
    for (std::int64_t now = 0; now < 3'000 * ms && given == 0; now += ms) {
        settling.note("log", now % (2 * ms) == 0 ? Change::written : Change::closed, now);
        if (now == 100 * ms) {
            settling.note("letter", Change::closed, now);
        }
        const auto due = settling.due_us();
        if (due && *due <= now) {
            const Noticed noticed = settling.take(now, Take::settled);
            given = noticed.paths.contains("log") ? now : given;
            other = noticed.paths.contains("letter") ? now : other;
        }
    }
    EXPECT_EQ(given, settled_latest_us);
    EXPECT_GT(other, 0);
    EXPECT_LE(other, 100 * ms + burst_us + settled_closed_us);
}

TEST(Settling, TakesABurstTogether) {
    Settling settling;
    for (int i = 0; i < 10; ++i) {
        settling.note("f" + std::to_string(i), Change::closed, i * 5 * ms);
    }
    EXPECT_EQ(settling.due_us(), 45 * ms + settled_closed_us);
    EXPECT_EQ(settling.take(55 * ms, Take::settled).paths.size(), 10U);
}

TEST(Settling, KnowsAMoveOnlyWhileNothingElseHappenedToTheFile) {
    Settling settling;
    settling.moved("a", "b", 0);
    settling.moved("written before", "c", 0);
    settling.note("c", Change::closed, 1);
    settling.note("d", Change::closed, 1);
    settling.moved("d", "e", 2);
    Noticed noticed = settling.take(ms, Take::all);
    ASSERT_EQ(noticed.moves.size(), 1U);
    EXPECT_EQ(noticed.moves[0].from, "a");
    EXPECT_EQ(noticed.moves[0].to, "b");
    EXPECT_EQ(noticed.paths, (Paths{"a", "b", "c", "d", "e", "written before"}));
    noticed.add({false, {"b"}, {}, {}});
    EXPECT_TRUE(noticed.moves.empty());
}

TEST(Settling, SaysEverythingOnceWhenTrackWasLostOrThereIsTooMuch) {
    Settling settling;
    settling.note("a", Change::closed, 0);
    settling.lose_track(1);
    EXPECT_TRUE(settling.take(2, Take::all).everything);
    EXPECT_TRUE(settling.take(3, Take::all).empty());
    for (std::size_t i = 0; i <= noticed_max; ++i) {
        settling.note("n" + std::to_string(i), Change::closed, 0);
    }
    const Noticed all = settling.take(1, Take::all);
    EXPECT_TRUE(all.everything);
    EXPECT_TRUE(all.paths.empty());
}

class KernelWatch : public ::testing::TestWithParam<WatchBy> {
  protected:
    void SetUp() override {
        folder_ = ::testing::TempDir() + "/hasp_watch_XXXXXX";
        ASSERT_NE(::mkdtemp(folder_.data()), nullptr);
        ASSERT_TRUE(hasp::make_folders(folder_ + "/data/deep/er").ok());
        auto watch = open_watch(folder_, clock_, GetParam());
        if (!watch.ok() && GetParam() == WatchBy::fanotify) {
            GTEST_SKIP() << "this kernel, or this user, has no fanotify: " << watch.error().message;
        }
        ASSERT_TRUE(watch.ok()) << watch.error().message;
        watch_ = *std::move(watch);
        auto added = watch_->add("data");
        ASSERT_TRUE(added.ok() && *added) << (added.ok() ? "" : added.error().message);
    }
    void TearDown() override {
        watch_.reset();
        EXPECT_TRUE(remove_tree(folder_).ok());
    }
    std::string at(const std::string& name) const { return folder_ + "/data/" + name; }
    void write(const std::string& name) const {
        const Fd fd(::open(at(name).c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
        ASSERT_TRUE(fd && write_all(fd.get(), "text").ok());
    }
    Noticed all() { return watch_->take("data", Take::all); }

    SystemClock clock_;
    std::string folder_;
    std::unique_ptr<Watch> watch_;
};

TEST_P(KernelWatch, NamesWhatWasWrittenRenamedRemovedAndGivenAnotherMode) {
    EXPECT_TRUE(all().empty());
    write("one");
    write("deep/er/two");
    EXPECT_EQ(all().paths, (Paths{"one", "deep/er/two"}));
    ASSERT_EQ(::rename(at("one").c_str(), at("deep/three").c_str()), 0);
    const Noticed moved = all();
    EXPECT_EQ(moved.paths, (Paths{"one", "deep/three"}));
    ASSERT_EQ(moved.moves.size(), 1U);
    EXPECT_EQ(moved.moves[0].to, "deep/three");
    ASSERT_EQ(::chmod(at("deep/three").c_str(), 0600), 0);
    ASSERT_EQ(::unlink(at("deep/er/two").c_str()), 0);
    ASSERT_EQ(::chmod(at("deep/er").c_str(), 0700), 0);
    EXPECT_EQ(all().paths, (Paths{"deep/three", "deep/er", "deep/er/two"}));
    EXPECT_TRUE(all().empty());
}

TEST_P(KernelWatch, FollowsFoldersThatComeMoveAndGo) {
    ASSERT_TRUE(hasp::make_folders(at("new/est")).ok());
    EXPECT_TRUE(all().trees.contains("new"));
    write("new/est/one");
    EXPECT_TRUE(all().paths.contains("new/est/one"));
    ASSERT_EQ(::rename(at("new").c_str(), at("deep/moved").c_str()), 0);
    EXPECT_EQ(all().trees, (Paths{"new", "deep/moved"}));
    write("deep/moved/est/two");
    EXPECT_TRUE(all().paths.contains("deep/moved/est/two"));
    ASSERT_EQ(::rename(at("deep/moved").c_str(), (folder_ + "/outside").c_str()), 0);
    EXPECT_EQ(all().trees, Paths{"deep/moved"});
    const Fd fd(
        ::open((folder_ + "/outside/est/three").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
    EXPECT_TRUE(all().empty());
    ASSERT_EQ(::rename((folder_ + "/outside").c_str(), at("back").c_str()), 0);
    EXPECT_EQ(all().trees, Paths{"back"});
    write("back/est/four");
    EXPECT_TRUE(all().paths.contains("back/est/four"));
}

TEST_P(KernelWatch, SaysThatAFolderIsAnotherOneOrGone) {
    auto again = watch_->add("data");
    EXPECT_TRUE(again.ok() && !*again);
    ASSERT_EQ(::rename((folder_ + "/data").c_str(), (folder_ + "/away").c_str()), 0);
    EXPECT_TRUE(all().everything);
    EXPECT_FALSE(watch_->watches("data"));
    EXPECT_EQ(watch_->add("data").ok(), false);
    ASSERT_TRUE(hasp::make_folders(folder_ + "/data").ok());
    auto anew = watch_->add("data");
    EXPECT_TRUE(anew.ok() && *anew);
    write("one");
    EXPECT_TRUE(all().paths.contains("one"));
}

TEST_P(KernelWatch, WakesItsOwnerOnceWhenAFileIsSettled) {
    write("one");
    pollfd wait{watch_->fd(), POLLIN, 0};
    ASSERT_EQ(::poll(&wait, 1, 10'000), 1);
    EXPECT_EQ(watch_->ready(), std::vector<std::string>{"data"});
    EXPECT_TRUE(watch_->ready().empty()) << "until it is taken";
    EXPECT_EQ(watch_->take("data", Take::settled).paths, Paths{"one"});
    write("two");
    ASSERT_EQ(::poll(&wait, 1, 10'000), 1);
    EXPECT_EQ(watch_->ready(), std::vector<std::string>{"data"});
}

TEST_P(KernelWatch, LosesNothingOfWhatManyFoldersAndFilesBring) {
    SeededRandom random(7);
    Paths made;
    for (int i = 0; i < 300; ++i) {
        const std::string folder =
            "d" + std::to_string(random.below(20)) + "/e" + std::to_string(random.below(5));
        ASSERT_TRUE(hasp::make_folders(at(folder)).ok());
        const std::string file = folder + "/f" + std::to_string(i);
        write(file);
        made.insert(file);
    }
    const Noticed noticed = all();
    for (const std::string& file : made) {
        bool covered = noticed.paths.contains(file);
        for (std::size_t slash = file.find('/'); slash != std::string::npos;
             slash = file.find('/', slash + 1)) {
            covered = covered || noticed.trees.contains(file.substr(0, slash));
        }
        EXPECT_TRUE(covered) << file;
    }
}

INSTANTIATE_TEST_SUITE_P(Both, KernelWatch, ::testing::Values(WatchBy::fanotify, WatchBy::inotify),
                         [](const auto& at) {
                             return at.param == WatchBy::fanotify ? "Fanotify" : "Inotify";
                         });

} // namespace
} // namespace hasp::sync
