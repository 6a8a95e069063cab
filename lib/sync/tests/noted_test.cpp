// A client that is told what changes: it looks there alone, and finds all.
#include "base/fd.h"
#include "base/files.h"
#include "base/random.h"
#include "counting_disk.h"
#include "store/db.h"
#include "store/settle.h"
#include "sync/client.h"
#include "sync/home.h"
#include "sync/watch.h"

#include <atomic>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

namespace hasp::sync {
namespace {

class Noted : public ::testing::Test {
  protected:
    void SetUp() override {
        state_ = (::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : ::testing::TempDir()) +
                 std::string("/hasp_noted_XXXXXX");
        ASSERT_NE(::mkdtemp(state_.data()), nullptr);
        ASSERT_TRUE(hasp::make_folders(state_ + "/" + folder.path).ok());
        ASSERT_TRUE(hasp::make_folders(state_ + "/center").ok());
        home_disk_ = *open_disk(state_ + "/center");
        home_db_ = *store::Db::open(state_ + "/center/files.db");
        home_ = *Home::open(*home_db_, *home_disk_, "clinics", clock_, random_);
        start();
        ASSERT_TRUE(client_->home_takes(folder.id, batch_format_first).ok());
        watch();
    }
    void TearDown() override {
        client_.reset();
        watch_.reset();
        home_.reset();
        EXPECT_TRUE(remove_tree(state_).ok());
    }
    void start() {
        client_.reset();
        db_.reset();
        disk_ = std::make_unique<CountingDisk>(open_disk(state_).value());
        db_ = *store::Db::open(state_ + "/sync.db");
        client_ = *Client::open(
            *db_, *disk_, "clinics", clock_, random_,
            [this](const std::string& path) { return store::settle_copy(state_ + "/" + path); });
    }
    void watch() {
        watch_.reset();
        watch_ = *open_watch(state_, clock_, by_);
        ASSERT_TRUE(watch_->add(folder.path).ok());
        client_->watch_begins(folder.id);
    }
    void hear() { client_->note(folder.id, watch_->take(folder.path, Take::all)); }

    std::string at(const std::string& name) const {
        return state_ + "/" + folder.path + "/" + name;
    }
    void write(const std::string& name, const std::string& content) const {
        const Fd fd(::open(at(name).c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
        EXPECT_TRUE(fd && write_all(fd.get(), content).ok()) << name;
    }
    // What was written long ago, as far as stamps can say: the clock goes on.
    void later() { clock_.skip_us += 5'000'000; }

    // Rounds until nothing is unsent. Bytes that went up.
    std::uint64_t sync() {
        std::uint64_t bytes = 0;
        for (int i = 0; i < 20; ++i) {
            hear();
            auto out = client_->prepare(folder);
            EXPECT_TRUE(out.ok()) << (out.ok() ? "" : out.error().message);
            if (!out || (out->batch.empty() && i > 0)) {
                return bytes;
            }
            bytes += out->bytes;
            for (std::uint64_t offset = 0; offset < out->bytes;) {
                const std::string piece = client_->read(folder.id, offset, 1 << 20).value();
                offset = home_->receive(folder.id, out->batch, offset, out->bytes, piece).value();
            }
            auto answer =
                home_->exchange({folder.id, out->batch, out->since, "anna@tokyo", out->whole});
            EXPECT_TRUE(answer.ok()) << (answer.ok() ? "" : answer.error().message);
            if (!answer) {
                return bytes;
            }
            const std::string all =
                home_->read(answer->file, 0, static_cast<std::size_t>(answer->bytes)).value();
            EXPECT_TRUE(client_->take(folder.id, 0, all).ok());
            EXPECT_TRUE(client_->arrived(folder).ok());
            EXPECT_TRUE(client_->apply(folder, false).ok());
        }
        ADD_FAILURE() << "it never ends";
        return bytes;
    }

    struct Going : Clock {
        std::int64_t wall_us() const override { return real.wall_us() + skip_us; }
        std::int64_t boot_us() const override { return real.boot_us() + skip_boot_us; }
        std::string boot_id() const override { return real.boot_id(); }
        SystemClock real;
        std::int64_t skip_us = 0;
        std::atomic<std::int64_t> skip_boot_us = 0; // the watch's thread reads it
    };

    const WorkingFolder folder{{"anna", "wiki"}, "data/users/anna/wiki", {}};
    Going clock_;
    WatchBy by_ = WatchBy::best;
    SeededRandom random_{11};
    std::string state_;
    std::unique_ptr<Disk> home_disk_;
    std::unique_ptr<store::Db> home_db_;
    std::unique_ptr<Home> home_;
    std::unique_ptr<CountingDisk> disk_;
    std::unique_ptr<store::Db> db_;
    std::unique_ptr<Client> client_;
    std::unique_ptr<Watch> watch_;
};

TEST_F(Noted, LooksAtOneFileWhenOneOfManyChanged) {
    for (int i = 0; i < 500; ++i) {
        ASSERT_TRUE(hasp::make_folders(at("d" + std::to_string(i % 10))).ok());
        write("d" + std::to_string(i % 10) + "/f" + std::to_string(i), std::to_string(i));
    }
    sync();
    disk_->calls = 0;
    hear();
    EXPECT_EQ(client_->look(folder)->unsent_files, 0U);
    EXPECT_LT(disk_->calls, 5U) << "nothing changed";
    write("d3/f13", "changed");
    disk_->calls = 0;
    hear();
    EXPECT_EQ(client_->look(folder)->unsent_files, 1U);
    EXPECT_LT(disk_->calls, 20U);
    EXPECT_EQ(client_->look(folder)->unsent_files, 1U) << "what is unsent stays known";
    sync();
    EXPECT_EQ(home_->tree(folder.id)->at("d3/f13").size, 7U);
    EXPECT_EQ(client_->look(folder)->unsent_files, 0U);
}

class NotedBy : public Noted, public ::testing::WithParamInterface<std::pair<WatchBy, int>> {};

TEST_P(NotedBy, FindsAllThatALookAtEverythingFinds) {
    random_ = SeededRandom(static_cast<std::uint64_t>(GetParam().second));
    by_ = GetParam().first;
    watch();
    const std::vector<std::string> names{"a",     "b",       "c/d",   "c/e",       "c/f/g", "c/f/h",
                                         "i",     "i-wal",   "j/k",   "j",         "c",     "c/f",
                                         "l.txt", "l.txt/m", "n-shm", "n-journal", "n"};
    const auto random_name = [&] { return names[random_.below(names.size())]; };
    for (int step = 0; step < 400; ++step) {
        for (std::uint64_t deeds = random_.below(6); deeds > 0; --deeds) {
            const std::string name = random_name();
            const std::string other = random_name();
            switch (random_.below(7)) {
            case 0:
                static_cast<void>(hasp::make_folders(at(name)).ok());
                break;
            case 1:
                ::rename(at(name).c_str(), at(other).c_str());
                break;
            case 2:
                if (name.find('/') == std::string::npos || random_.below(3) == 0) {
                    static_cast<void>(remove_tree(at(name)).ok());
                }
                break;
            case 3:
                static_cast<void>(::symlink("target", at(name).c_str()) == 0);
                break;
            case 4:
                ::chmod(at(name).c_str(), random_.below(2) == 0 ? 0755 : 0700);
                break;
            default: {
                const Fd fd(::open(at(name).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
                static_cast<void>(fd && write_all(fd.get(), random_.bytes(random_.below(50))).ok());
            }
            }
        }
        hear();
        auto part = client_->look(folder);
        ASSERT_TRUE(part.ok()) << part.error().message;
        client_->note(folder.id, {true, {}, {}, {}});
        auto all = client_->look(folder);
        ASSERT_TRUE(all.ok()) << all.error().message;
        ASSERT_EQ(part->unsent_files, all->unsent_files) << "step " << step;
        ASSERT_EQ(part->unsent_bytes, all->unsent_bytes) << "step " << step;
        ASSERT_EQ(part->held, all->held) << "step " << step;
        if (!all->held.empty()) {
            ASSERT_TRUE(client_->release_deletions(folder.id).ok());
        }
        if (random_.below(3) == 0) {
            sync();
            const auto left = client_->look(folder);
            ASSERT_TRUE(left->held.empty() && left->unsent_files == 0) << "step " << step;
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Both, NotedBy,
                         ::testing::Values(std::pair(WatchBy::best, 1), std::pair(WatchBy::best, 2),
                                           std::pair(WatchBy::inotify, 3),
                                           std::pair(WatchBy::inotify, 4)));

TEST_F(Noted, SendsARenamedFileAndAMovedFolderWithoutReadingThem) {
    const std::string big = random_.bytes(300'000);
    write("big", big);
    ASSERT_TRUE(hasp::make_folders(at("many/deep")).ok());
    for (int i = 0; i < 50; ++i) {
        write("many/deep/f" + std::to_string(i), random_.bytes(2'000));
    }
    sync(); // they were read just after they were written, and not since
    later();
    disk_->read_bytes = 0;
    ASSERT_EQ(::rename(at("big").c_str(), at("bigger").c_str()), 0);
    ASSERT_EQ(::rename(at("many").c_str(), at("moved").c_str()), 0);
    EXPECT_LT(sync(), 5'000U);
    EXPECT_LT(disk_->read_bytes, 20'000U) << "the batch and the answer alone";
    const Tree tree = home_->tree(folder.id).value();
    EXPECT_EQ(tree.at("bigger").size, big.size());
    EXPECT_TRUE(tree.contains("moved/deep/f49"));
    EXPECT_FALSE(tree.contains("many/deep/f49") || tree.contains("big"));
}

TEST_F(Noted, ReadsARenamedFileThatSomebodyWroteWhateverItsTimesSay) {
    write("a", "first");
    sync();
    later();
    client_->note(folder.id, {true, {}, {}, {}});
    ASSERT_EQ(client_->look(folder)->unsent_files, 0U);
    struct stat st {};
    ASSERT_EQ(::stat(at("a").c_str(), &st), 0);
    ASSERT_EQ(::rename(at("a").c_str(), at("b").c_str()), 0);
    write("b", "other");
    const timespec times[2] = {st.st_atim, st.st_mtim};
    ASSERT_EQ(::utimensat(AT_FDCWD, at("b").c_str(), times, 0), 0);
    sync();
    const Entry there = home_->tree(folder.id)->at("b");
    auto content = home_->content(folder.id, there.hash);
    std::string text(5, ' ');
    ASSERT_TRUE((*content)->read(0, text).ok());
    EXPECT_EQ(text, "other");
}

TEST_F(Noted, HoldsAMassDeletionThatItWasOnlyTold) {
    for (int i = 0; i < 200; ++i) {
        write("f" + std::to_string(i), std::to_string(i));
    }
    sync();
    for (int i = 0; i < 40; ++i) {
        ASSERT_EQ(::unlink(at("f" + std::to_string(i)).c_str()), 0);
    }
    hear();
    EXPECT_EQ(client_->look(folder)->held, "");
    for (int i = 40; i < 80; ++i) {
        ASSERT_EQ(::unlink(at("f" + std::to_string(i)).c_str()), 0);
    }
    hear();
    const auto held = client_->look(folder);
    EXPECT_NE(held->held, "");
    EXPECT_EQ(held->held_files, 80U);
    EXPECT_EQ(client_->look(folder)->held_files, 80U);
}

TEST_F(Noted, SeesAFolderThatIsRemovedStepByStepAsAWhole) {
    for (int i = 0; i < 200; ++i) {
        write("f" + std::to_string(i), std::to_string(i));
    }
    sync();
    client_->patient(folder.id, true);
    for (int i = 0; i < 200; ++i) {
        ASSERT_EQ(::unlink(at("f" + std::to_string(i)).c_str()), 0);
        if (i % 20 == 5) { // each of these looks alone would let some go
            hear();
            auto out = client_->prepare(folder);
            ASSERT_TRUE(out.ok() && out->batch.empty());
        }
    }
    hear();
    EXPECT_EQ(client_->look(folder)->held_files, 200U);
}

TEST_F(Noted, SendsFewDeletionsWhenNoMoreCome) {
    for (int i = 0; i < 200; ++i) {
        write("f" + std::to_string(i), std::to_string(i));
    }
    sync();
    client_->patient(folder.id, true);
    ASSERT_EQ(::unlink(at("f1").c_str()), 0);
    ASSERT_EQ(::unlink(at("f2").c_str()), 0);
    hear();
    auto out = client_->prepare(folder);
    ASSERT_TRUE(out.ok() && out->batch.empty());
    EXPECT_EQ(out->changing, 2U);
    clock_.skip_boot_us += 1'000'000;
    EXPECT_EQ(client_->prepare(folder)->operations, 2U);
}

TEST_F(Noted, SendsAFolderThatBecameAFileWithWhatWasInIt) {
    ASSERT_TRUE(hasp::make_folders(at("d")).ok());
    for (int i = 0; i < 10; ++i) {
        write("f" + std::to_string(i), std::to_string(i));
    }
    write("d/x", "in it");
    sync();
    client_->patient(folder.id, true);
    ASSERT_EQ(::unlink(at("d/x").c_str()), 0);
    ASSERT_EQ(::rmdir(at("d").c_str()), 0);
    write("d", "a file now");
    hear();
    auto out = client_->prepare(folder);
    ASSERT_TRUE(out.ok() && out->batch.empty()) << "the deletion waits, and with it the rest";
    clock_.skip_boot_us += 1'000'000;
    sync();
    EXPECT_EQ(client_->status(folder.id)->conflicts, 0U);
    const Tree tree = home_->tree(folder.id).value();
    EXPECT_EQ(tree.at("d").size, 10U);
    EXPECT_EQ(tree.size(), 11U);
}

TEST_F(Noted, LosesNoChangeThatIsLookedAtWhileABatchIsOnItsWay) {
    write("a", "first");
    hear();
    auto out = client_->prepare(folder);
    ASSERT_TRUE(out.ok() && out->operations == 1);
    ASSERT_EQ(::rename(at("a").c_str(), at("b").c_str()), 0);
    hear();
    ASSERT_TRUE(client_->look(folder).ok()) << "as when the link is down";
    sync();
    const Tree tree = home_->tree(folder.id).value();
    EXPECT_TRUE(tree.contains("b"));
    EXPECT_FALSE(tree.contains("a"));
}

TEST_F(Noted, KnowsWhatWasNotedAfterAStopInOrderAndLooksAtEverythingAfterAnother) {
    for (int i = 0; i < 100; ++i) {
        write("f" + std::to_string(i), std::to_string(i));
    }
    sync();
    later();
    client_->note(folder.id, {true, {}, {}, {}});
    ASSERT_TRUE(client_->look(folder).ok());
    write("f7", "unsent");
    hear();
    ASSERT_EQ(client_->look(folder)->unsent_files, 1U);
    write("f8", "noted");
    hear();
    ASSERT_TRUE(client_->close().ok());
    start();
    write("f9", "while nobody watched");
    watch();
    EXPECT_TRUE(client_->unchecked(folder.id));
    disk_->calls = 0;
    EXPECT_EQ(client_->look(folder)->unsent_files, 2U);
    EXPECT_LT(disk_->calls, 50U);
    client_->note(folder.id, {true, {}, {}, {}});
    EXPECT_EQ(client_->look(folder)->unsent_files, 3U);
    EXPECT_FALSE(client_->unchecked(folder.id));
    start(); // killed
    watch();
    EXPECT_FALSE(client_->unchecked(folder.id));
    EXPECT_EQ(client_->look(folder)->unsent_files, 3U);
    sync();
    EXPECT_EQ(home_->tree(folder.id)->at("f9").size, 20U);
}

TEST_F(Noted, LooksAtEverythingWhenAnotherFolderStandsInItsPlace) {
    write("a", "1");
    write("b", "2");
    sync();
    ASSERT_EQ(::rename(at("").c_str(), (state_ + "/away").c_str()), 0);
    ASSERT_TRUE(hasp::make_folders(at("")).ok());
    hear();
    const auto held = client_->look(folder);
    EXPECT_EQ(held->held, "the folder is gone");
    EXPECT_EQ(held->held_files, 2U);
}

} // namespace
} // namespace hasp::sync
