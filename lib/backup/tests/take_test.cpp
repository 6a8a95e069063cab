#include "backup/take.h"

#include "../taking.h"
#include "backup/put_back.h"
#include "base/files.h"
#include "full_disk.h"
#include "store/db.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

namespace hasp::backup {
namespace {

class TakeTest : public ::testing::Test {
  protected:
    void SetUp() override {
        std::string name = testing::TempDir() + "take.XXXXXX";
        ASSERT_NE(::mkdtemp(name.data()), nullptr);
        folder_ = name;
        for (const char* each : {"/state", "/state/releases/wiki/one", "/state/data/apps/notes",
                                 "/state/data/users/anna/notes", "/state/keys", "/state/run",
                                 "/state/packs", "/state/contents/0", "/backups", "/back"}) {
            std::filesystem::create_directories(folder_ + each);
        }
        put("releases/wiki/one/index.js", "code");
        put("releases/wiki/one.release", "release");
        put("data/users/anna/notes/plain", "hers");
        put("packs/made-anew.pack", "of a release");
        put("keys/envelope.pem", "secret");
        put("contents.key", "secret");
        put("contents/0/1", "sealed, and more behind it");
        put("contents/0/2", "not known");
        put("hasp.toml", "[web]\n");
        std::filesystem::create_symlink("/etc/passwd", folder_ + "/state/data/apps/notes/link");
        keeper_ = database("keeper.db", "CREATE TABLE t (n INTEGER)");
        files_ = database("files.db", "CREATE TABLE content_files (number INTEGER, bytes INTEGER); "
                                      "INSERT INTO content_files VALUES (1, 6)");
        open();
    }
    void TearDown() override {
        keeper_.reset();
        files_.reset();
        std::filesystem::remove_all(folder_);
    }
    std::unique_ptr<store::Db> database(const std::string& name, const std::string& sql) {
        auto db = store::Db::open(folder_ + "/state/" + name);
        EXPECT_TRUE(db.ok() && (*db)->run_script(sql).ok());
        return *std::move(db);
    }
    void put(const std::string& path, const std::string& text) {
        EXPECT_TRUE(write_file_durably(folder_ + "/state/" + path, text, 0644).ok());
    }
    void open() {
        auto disk = sync::open_disk(folder_ + "/backups");
        ASSERT_TRUE(disk.ok());
        disk_ = *std::move(disk);
        auto opened = Repository::open(*disk_, Repository::Open::make);
        ASSERT_TRUE(opened.ok());
        repository_ = *std::move(opened);
    }
    Wish make_wish() {
        return Wish{folder_ + "/state",
                    folder_ + "/backups/tmp",
                    tier_,
                    "1",
                    [this] { return Result<std::string>(keys_); },
                    {}};
    }
    Result<Taken> make(std::function<void()> meanwhile = {}) {
        if (Status begun = repository_->begin_writing(); !begun) {
            return begun.error();
        }
        clock_.advance_us(1'000'000);
        Wish wish = make_wish();
        if (meanwhile) {
            wish.progress = [meanwhile](const Wish::Progress&) { meanwhile(); };
        }
        return take(wish, *repository_, clock_, random_);
    }
    std::string back(const std::string& id) {
        std::filesystem::remove_all(folder_ + "/back");
        std::filesystem::create_directory(folder_ + "/back");
        auto done = put_back(*repository_, id, folder_ + "/back", {});
        return done ? "" : done.error().message;
    }
    std::string text(const std::string& path) {
        return read_file(folder_ + "/back/" + path, 1 << 20).value_or("(none)");
    }

    std::string folder_;
    std::string tier_ = "hasp://r/c";
    std::string keys_ = std::string(64, '0');
    std::unique_ptr<store::Db> keeper_;
    std::unique_ptr<store::Db> files_;
    std::unique_ptr<sync::Disk> disk_;
    std::unique_ptr<Repository> repository_;
    ManualClock clock_;
    SeededRandom random_{3};
};

TEST_F(TakeTest, HoldsWhatTheTierNeedsAndNeitherKeysNorWorkingCopies) {
    auto taken = make();
    ASSERT_TRUE(taken.ok()) << taken.error().message;
    EXPECT_TRUE(taken->left.empty());
    EXPECT_EQ(taken->rounds, 1);
    ASSERT_EQ(back(taken->head.id), "");
    EXPECT_EQ(text("releases/wiki/one/index.js"), "code");
    EXPECT_EQ(text("contents/0/1"), "sealed"); // as far as it counts
    EXPECT_EQ(text("hasp.toml"), "[web]\n");
    EXPECT_EQ(std::filesystem::read_symlink(folder_ + "/back/data/apps/notes/link"), "/etc/passwd");
    for (const char* none :
         {"contents/0/2", "keys", "contents.key", "data/users", "run", "packs"}) {
        EXPECT_FALSE(std::filesystem::exists(folder_ + "/back/" + none)) << none;
    }
}

TEST_F(TakeTest, ReadsNothingAgainThatIsAsItWasAndGoesOnWhereASegmentEnded) {
    ASSERT_TRUE(make().ok());
    auto same = make();
    ASSERT_TRUE(same.ok());
    EXPECT_EQ(same->written, 0U);
    ASSERT_TRUE(files_->run_script("UPDATE content_files SET bytes = 16").ok());
    put("releases/wiki/one/index.js", "newer");
    auto more = make();
    ASSERT_TRUE(more.ok());
    EXPECT_GT(more->written, 0U);
    ASSERT_EQ(back(more->head.id), "");
    EXPECT_EQ(text("contents/0/1"), "sealed, and more");
    EXPECT_EQ(text("releases/wiki/one/index.js"), "newer");
}

TEST_F(TakeTest, BeginsAgainWhenWhatItsDatabasesNameWasRemovedMeanwhile) {
    int calls = 0;
    auto taken = make([&] {
        // The content moves to another file, as when room is given back, once the databases are in.
        if (++calls == 4) {
            put("contents/0/3", "sealed");
            EXPECT_TRUE(files_->run_script("UPDATE content_files SET number = 3").ok());
            std::filesystem::remove(folder_ + "/state/contents/0/1");
        }
    });
    ASSERT_TRUE(taken.ok()) << taken.error().message;
    EXPECT_EQ(taken->rounds, 2);
    ASSERT_EQ(back(taken->head.id), "");
    EXPECT_EQ(text("contents/0/3"), "sealed");
    EXPECT_FALSE(std::filesystem::exists(folder_ + "/back/contents/0/1"));
}

TEST_F(TakeTest, GoesOnWithoutContentsThatAreLostAndNamesThem) {
    ASSERT_TRUE(make().ok());
    std::filesystem::remove_all(folder_ + "/state/contents/0");
    put("releases/wiki/one/index.js", "newer");
    auto taken = make();
    ASSERT_TRUE(taken.ok()) << taken.error().message;
    EXPECT_EQ(taken->rounds, 2);
    ASSERT_EQ(taken->left.size(), 2U); // its folder, too
    EXPECT_EQ(taken->left[1].path, "contents/0/1");
    ASSERT_EQ(back(taken->head.id), "");
    EXPECT_EQ(text("releases/wiki/one/index.js"), "newer");
}

TEST_F(TakeTest, ReadsContentsAgainThatWereSetBackAndWrittenOnFromThere) {
    ASSERT_TRUE(files_->run_script("UPDATE content_files SET bytes = 2000000").ok());
    const auto write = [this](const std::string& bytes) { // into the same file
        std::ofstream(folder_ + "/state/contents/0/1", std::ios::binary) << bytes;
    };
    const std::string kept(1'500'000, 'a');
    write(kept + std::string(500'000, 'b'));
    ASSERT_TRUE(make().ok());
    char letter = 'c';
    for (const std::size_t bytes : {2'000'000UL, 3'000'000UL}) {
        for (const std::size_t same : {1'500'000UL, 100UL}) {
            const std::string now = kept.substr(0, same) + std::string(bytes - same, letter++);
            write(now);
            ASSERT_TRUE(
                files_->run_script("UPDATE content_files SET bytes = " + std::to_string(bytes))
                    .ok());
            auto taken = make();
            ASSERT_TRUE(taken.ok());
            ASSERT_EQ(back(taken->head.id), "");
            EXPECT_TRUE(read_file(folder_ + "/back/contents/0/1", 4 << 20).value_or("") == now)
                << bytes << " " << same;
        }
    }
}

TEST_F(TakeTest, NamesContentsThatAreShorterThanTheDatabaseSays) {
    ASSERT_TRUE(files_->run_script("UPDATE content_files SET bytes = 1000").ok());
    auto taken = make();
    ASSERT_TRUE(taken.ok());
    ASSERT_EQ(taken->left.size(), 1U);
    EXPECT_EQ(taken->left[0].path, "contents/0/1");
    ASSERT_EQ(back(taken->head.id), "");
    EXPECT_EQ(text("contents/0/1"), "sealed, and more behind it"); // as far as it goes
}

TEST_F(TakeTest, RefusesAFolderWithBackupsOfAnotherTier) {
    ASSERT_TRUE(make().ok());
    tier_ = "hasp://r/other";
    auto refused = make();
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code, Code::conflict);
    EXPECT_EQ(repository_->list()->size(), 1U);
}

TEST_F(TakeTest, BeginsAgainWhenAKeyIsMadeMeanwhile) {
    int calls = 0;
    auto taken = make([&] {
        if (++calls == 4) {
            keys_ = std::string(64, '1');
        }
    });
    ASSERT_TRUE(taken.ok());
    EXPECT_EQ(taken->rounds, 2);
    EXPECT_EQ(taken->head.keys, keys_);
}

TEST_F(TakeTest, BeginsAgainWhenContentsAreTakenOverFromAnEarlierVersionsPlace) {
    std::filesystem::create_directories(folder_ + "/state/blobs/ab");
    put("blobs/ab/cdef", "content");
    int calls = 0;
    auto taken = make([&] {
        if (++calls == 4) { // the databases that name it there are in
            std::filesystem::remove_all(folder_ + "/state/blobs/ab");
        }
    });
    ASSERT_TRUE(taken.ok());
    EXPECT_EQ(taken->rounds, 2);
}

TEST_F(TakeTest, KeepsWhatTheDiskReadsOfContentsAndReadsThemAgainNextTime) {
    const std::string content = std::string(1 << 20, 'a') + std::string(1 << 20, 'b') + "c";
    put("contents/0/1", content);
    ASSERT_TRUE(files_->run_script("UPDATE content_files SET bytes = 2097153").ok());
    ASSERT_TRUE(repository_->begin_writing().ok());
    sync::FullDisk disk(*sync::open_disk(folder_ + "/state"));
    disk.bad = "contents/0/1";
    disk.bad_from = 1000;
    disk.bad_to = 1001;
    const Wish wish = make_wish();
    Taking taking(wish, *repository_, disk);
    const Head head{make_backup_id(clock_.wall_us(), "abcd"), clock_.wall_us(), tier_, "1", keys_};
    const auto whole = taking.round(head);
    ASSERT_TRUE(whole.ok() && *whole && repository_->commit().ok());
    ASSERT_EQ(taking.taken().left.size(), 1U);
    EXPECT_EQ(taking.taken().left[0].path, "contents/0/1");
    ASSERT_EQ(back(head.id), "");
    EXPECT_TRUE(read_file(folder_ + "/back/contents/0/1", 4 << 20).value_or("") ==
                std::string(1 << 20, '\0') + content.substr(1 << 20));
    auto next = make();
    ASSERT_TRUE(next.ok() && next->left.empty());
    ASSERT_EQ(back(next->head.id), "");
    EXPECT_TRUE(read_file(folder_ + "/back/contents/0/1", 4 << 20).value_or("") == content);
}

// Of another number, only root can test it.
TEST_F(TakeTest, GivesFilesToTheFoldersOwnerAndToAppsWhatIsTheirs) {
    if (::geteuid() != 0) {
        GTEST_SKIP() << "owners are root's to give";
    }
    const std::string state = folder_ + "/state/";
    ASSERT_EQ(::chown((state + "hasp.toml").c_str(), 1234, 1234), 0);
    ASSERT_EQ(::chown((state + "data/apps/notes").c_str(), 200'001, 200'001), 0);
    auto taken = make();
    ASSERT_TRUE(taken.ok());
    std::filesystem::remove_all(folder_ + "/back");
    std::filesystem::create_directory(folder_ + "/back");
    ASSERT_EQ(::chown((folder_ + "/back").c_str(), 4321, 4321), 0);
    ASSERT_EQ(::chmod((folder_ + "/back").c_str(), 0711), 0);
    bool closed = true;
    ASSERT_TRUE(put_back(*repository_, taken->head.id, folder_ + "/back",
                         [&](std::uint64_t, std::uint64_t) {
                             struct stat s {};
                             closed = closed && ::stat((folder_ + "/back").c_str(), &s) == 0 &&
                                      s.st_uid == 0 && (s.st_mode & 0777U) == 0700;
                         })
                    .ok());
    EXPECT_TRUE(closed);
    const auto owner = [this](const std::string& path) {
        struct stat s {};
        return ::stat((folder_ + "/back" + path).c_str(), &s) == 0 ? s.st_uid : 0;
    };
    EXPECT_EQ(owner(""), 4321U);
    EXPECT_EQ(owner("/hasp.toml"), 4321U);
    EXPECT_EQ(owner("/data/apps/notes"), 200'001U);
    EXPECT_EQ(static_cast<int>(std::filesystem::status(folder_ + "/back").permissions()), 0711);
}

TEST_F(TakeTest, TakesAnAppsDatabaseWithItsJournal) {
    auto app = database("data/apps/notes/notes.db", "CREATE TABLE n (t TEXT); PRAGMA "
                                                    "wal_autocheckpoint=0; INSERT INTO n VALUES "
                                                    "('only in the journal')");
    ASSERT_TRUE(std::filesystem::exists(folder_ + "/state/data/apps/notes/notes.db-wal"));
    auto taken = make();
    ASSERT_TRUE(taken.ok());
    EXPECT_TRUE(taken->left.empty());
    ASSERT_EQ(back(taken->head.id), "");
    EXPECT_FALSE(std::filesystem::exists(folder_ + "/back/data/apps/notes/notes.db-wal"));
    auto copy = store::Db::open(folder_ + "/back/data/apps/notes/notes.db", {5000, false, false});
    ASSERT_TRUE(copy.ok());
    auto row =
        (*copy)->first("SELECT t FROM n", [](const store::Statement& s) { return s.text(0); });
    ASSERT_TRUE(row.ok() && row->has_value());
    EXPECT_EQ(**row, "only in the journal");
    // Its journal alone changed.
    ASSERT_TRUE(app->run_script("INSERT INTO n VALUES ('later')").ok());
    auto later = make();
    ASSERT_TRUE(later.ok());
    EXPECT_GT(later->written, 0U);
}

TEST_F(TakeTest, SaysThatAFileChangedEachTimeItWasRead) {
    int n = 0;
    put("data/apps/notes/busy", "0");
    auto taken = make([&] {
        std::filesystem::last_write_time(folder_ + "/state/data/apps/notes/busy",
                                         std::filesystem::file_time_type::clock::now() +
                                             std::chrono::seconds(++n));
    });
    ASSERT_TRUE(taken.ok());
    ASSERT_EQ(taken->left.size(), 1U);
    EXPECT_EQ(taken->left[0].path, "data/apps/notes/busy");
}

} // namespace
} // namespace hasp::backup
