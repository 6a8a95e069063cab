// Clients and the home in one process: rounds, conflicts, cuts at every message, guards.
#include "base/fd.h"
#include "base/files.h"
#include "base/random.h"
#include "base/text.h"
#include "full_disk.h"
#include "store/db.h"
#include "store/settle.h"
#include "sync/bases.h"
#include "sync/client.h"
#include "sync/home.h"

#include <fcntl.h>
#include <filesystem>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

namespace hasp::sync {
namespace {

constexpr std::size_t chunk_bytes = 1000; // small, so that there are many messages

class Machine {
  public:
    Machine(std::string state, const Clock& clock, Random& random, bool is_home)
        : state_(std::move(state)), clock_(clock), random_(random), is_home_(is_home) {
        EXPECT_TRUE(hasp::make_folders(state_ + "/data/users/anna/wiki").ok());
        start();
    }
    void stop() {
        home.reset();
        client.reset();
        db_.reset();
        disk_.reset();
    }
    void start() {
        stop();
        disk_ = std::make_unique<FullDisk>(*open_disk(state_));
        db_ = *store::Db::open(state_ + "/files.db");
        if (is_home_) {
            auto opened = Home::open(*db_, *disk_, "clinics", clock_, random_);
            ASSERT_TRUE(opened.ok()) << opened.error().message;
            home = *std::move(opened);
        } else {
            auto opened = Client::open(*db_, *disk_, "clinics", clock_, random_,
                                       [this](const std::string& path) {
                                           return store::settle_copy(state_ + "/" + path);
                                       });
            ASSERT_TRUE(opened.ok()) << opened.error().message;
            client = *std::move(opened);
        }
    }
    std::string path(const std::string& name) const {
        return state_ + "/data/users/anna/wiki/" + name;
    }
    void write(const std::string& name, const std::string& content) {
        // Not by a temporary name: some names are as long as they may be.
        const Fd fd(::open(path(name).c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
        ASSERT_TRUE(fd && write_all(fd.get(), content).ok());
    }
    std::string content(const std::string& name) const {
        auto text = read_file(path(name), 64 << 20);
        return text.ok() ? *text : "(" + std::string(code_name(text.error().code)) + ")";
    }
    FullDisk& disk() { return *disk_; }
    // While it holds, nothing can be noted as agreed: as if the disk were full just then.
    void note_nothing(bool holds) {
        const std::string trigger =
            holds ? "CREATE TRIGGER full BEFORE INSERT ON sync_base BEGIN SELECT RAISE(ABORT, "
                    "'full'); END"
                  : "DROP TRIGGER full";
        ASSERT_TRUE(db_->run_script(trigger).ok());
    }

    std::unique_ptr<Home> home;
    std::unique_ptr<Client> client;
    const WorkingFolder folder{{"anna", "wiki"}, "data/users/anna/wiki", {}};

  private:
    std::string state_;
    const Clock& clock_;
    Random& random_;
    bool is_home_;
    std::unique_ptr<FullDisk> disk_;
    std::unique_ptr<store::Db> db_;
};

class Engine : public ::testing::Test {
  protected:
    void SetUp() override {
        // In memory where there is such a place: each round is many fsyncs.
        folder_ = (::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : ::testing::TempDir()) +
                  std::string("/hasp_engine_XXXXXX");
        ASSERT_NE(::mkdtemp(folder_.data()), nullptr);
        timespec now{};
        ::clock_gettime(CLOCK_REALTIME, &now);
        clock_.wall = now.tv_sec * 1'000'000;
        home_ = std::make_unique<Machine>(folder_ + "/center", clock_, random_, true);
        tokyo_ = std::make_unique<Machine>(folder_ + "/tokyo", clock_, random_, false);
        osaka_ = std::make_unique<Machine>(folder_ + "/osaka", clock_, random_, false);
    }
    void TearDown() override {
        home_.reset();
        tokyo_.reset();
        osaka_.reset();
        EXPECT_TRUE(remove_tree(folder_).ok());
    }

    struct Round {
        std::uint64_t up = 0;
        std::uint64_t down = 0;
        std::uint64_t conflicts = 0;
        std::uint64_t skipped = 0;
        std::uint64_t files = 0;
    };

    // What comes from the home is put in place, and cannot be noted as agreed.
    void place_without_noting(Machine& at) {
        at.note_nothing(true);
        full_ = true;
        bool again = false;
        EXPECT_FALSE(exchange(at, again).has_value());
        full_ = false;
        at.note_nothing(false);
    }

    // False: the link was cut by `messages_left_`.
    bool message() { return messages_left_ < 0 || messages_left_-- > 0; }

    // One exchange, over a wire that may be cut before any message. Nothing when it was.
    std::optional<Round> exchange(Machine& at, bool& again) {
        Round round;
        again = false;
        auto out = at.client->prepare(at.folder);
        EXPECT_TRUE(out.ok()) << (out.ok() ? "" : out.error().message);
        if (!out) {
            return std::nullopt;
        }
        if (!out->batch.empty()) {
            auto have = home_->home->receive(at.folder.id, out->batch, 0, out->bytes, "");
            std::uint64_t offset = have.value_or(0);
            while (offset < out->bytes) {
                auto bytes = at.client->read(at.folder.id, offset, chunk_bytes);
                EXPECT_TRUE(bytes.ok());
                if (!message()) {
                    return std::nullopt;
                }
                auto got =
                    home_->home->receive(at.folder.id, out->batch, offset, out->bytes, *bytes);
                EXPECT_TRUE(full_ || got.ok()) << (got.ok() ? "" : got.error().message);
                last_error_ = got.ok() ? "" : got.error().message;
                if (!got || *got <= offset) {
                    return std::nullopt;
                }
                offset = *got;
            }
            round.up = out->bytes;
        }
        auto answer = home_->home->exchange({at.folder.id, out->batch, out->since,
                                             "anna@" + name_of(at), out->whole, false, format_});
        last_error_ = answer.ok() ? "" : answer.error().message;
        if (!answer || !message()) {
            return std::nullopt; // the answer was lost
        }
        for (std::uint64_t offset = 0; offset < answer->bytes;) {
            auto bytes = home_->home->read(answer->file, offset, chunk_bytes);
            EXPECT_TRUE(bytes.ok());
            if (!message()) {
                return std::nullopt;
            }
            const Status taken = at.client->take(at.folder.id, offset, *bytes);
            EXPECT_TRUE(full_ || taken.ok());
            if (!taken.ok()) {
                last_error_ = taken.error().message;
                return std::nullopt;
            }
            offset += bytes->size();
        }
        home_->home->forget(answer->file);
        round.down = answer->bytes;
        EXPECT_TRUE(at.client->home_takes(at.folder.id, format_).ok());
        auto arrived = at.client->arrived(at.folder);
        EXPECT_TRUE(full_ || arrived.ok()) << (arrived.ok() ? "" : arrived.error().message);
        if (!arrived) {
            last_error_ = arrived.error().message;
            return std::nullopt;
        }
        round.conflicts = arrived->conflicts;
        if (dies_before_apply_) {
            at.start();
            return std::nullopt;
        }
        auto applied = at.client->apply(at.folder, false);
        EXPECT_TRUE(full_ || applied.ok()) << (applied.ok() ? "" : applied.error().message);
        if (!applied) {
            last_error_ = applied.error().message;
            return std::nullopt;
        }
        round.skipped = applied->skipped;
        round.files = applied->files;
        again = arrived->again || applied->again;
        return round;
    }

    Round sync(Machine& at) {
        clock_.advance_us(1000);
        Round sum;
        for (int i = 0; i < 100; ++i) {
            bool again = false;
            auto round = exchange(at, again);
            EXPECT_TRUE(round.has_value());
            if (!round) {
                return sum;
            }
            sum.up += round->up;
            sum.down += round->down;
            sum.conflicts += round->conflicts;
            sum.files += round->files;
            sum.skipped = round->skipped;
            if (!again) {
                return sum;
            }
        }
        ADD_FAILURE() << "it never ends";
        return sum;
    }

    std::string name_of(const Machine& at) { return &at == tokyo_.get() ? "tokyo" : "osaka"; }

    std::string noise(std::size_t size) { return random_.bytes(size); }

    std::string folder_;
    ManualClock clock_;
    SeededRandom random_{5};
    int messages_left_ = -1;
    bool dies_before_apply_ = false;
    unsigned format_ = batch_format_newest; // of batches, that both sides take
    bool full_ = false;                     // a disk: errors are expected
    std::string last_error_;
    std::unique_ptr<Machine> home_, tokyo_, osaka_;
};

TEST_F(Engine, BringsWhatOneWroteToTheOtherAndLeavesNothingUnsent) {
    tokyo_->write("note", "hello");
    ASSERT_TRUE(hasp::make_folders(tokyo_->path("deep/er"), 0750).ok());
    tokyo_->write("deep/er/empty", "");
    ASSERT_EQ(::symlink("/etc/passwd", tokyo_->path("link").c_str()), 0);
    EXPECT_EQ(tokyo_->client->look(tokyo_->folder)->unsent_files, 5U);
    sync(*tokyo_);
    sync(*osaka_);
    EXPECT_EQ(osaka_->content("note"), "hello");
    EXPECT_EQ(osaka_->content("deep/er/empty"), "");
    struct stat st {};
    ASSERT_EQ(::stat(osaka_->path("deep/er").c_str(), &st), 0);
    EXPECT_EQ(st.st_mode & 07777U, 0750U);
    EXPECT_EQ(osaka_->disk().read_symlink(osaka_->folder.path + "/link").value_or(""),
              "/etc/passwd");
    EXPECT_EQ(tokyo_->client->look(tokyo_->folder)->unsent_files, 0U);
    EXPECT_EQ(osaka_->client->look(osaka_->folder)->unsent_files, 0U);
    const Round idle = sync(*osaka_);
    EXPECT_EQ(idle.files, 0U);
    EXPECT_LT(idle.down, 60U);
}

TEST_F(Engine, MakesDurableWhatAnAppWroteOrRemovedBeforeItIsSent) {
    tokyo_->write("note", "hello");
    sync(*tokyo_);
    tokyo_->disk().synced.clear();
    tokyo_->write("note", "hello again");
    EXPECT_EQ(tokyo_->client->look(tokyo_->folder)->unsent_files, 1U);
    EXPECT_TRUE(tokyo_->disk().synced.empty());
    ASSERT_TRUE(tokyo_->client->prepare(tokyo_->folder).ok());
    EXPECT_TRUE(tokyo_->disk().synced.contains(tokyo_->folder.path + "/note"));
    EXPECT_TRUE(tokyo_->disk().synced.contains(tokyo_->folder.path));
    sync(*tokyo_);
    tokyo_->disk().synced.clear();
    ASSERT_EQ(::unlink(tokyo_->path("note").c_str()), 0);
    ASSERT_TRUE(tokyo_->client->prepare(tokyo_->folder).ok());
    EXPECT_TRUE(tokyo_->disk().synced.contains(tokyo_->folder.path));
}

TEST_F(Engine, SendsASmallChangeOfALargeFileAsADifferenceBothWays) {
    const std::string big = noise(500'000);
    tokyo_->write("big", big);
    sync(*tokyo_);
    sync(*osaka_);
    ASSERT_EQ(osaka_->content("big"), big);
    std::string edited = big;
    edited.insert(250'000, "a line in the middle\n");
    tokyo_->write("big", edited);
    const Round up = sync(*tokyo_);
    const Round down = sync(*osaka_);
    EXPECT_EQ(osaka_->content("big"), edited);
    EXPECT_LT(up.up, 250U) << "the tier compares with what was agreed on";
    EXPECT_LT(down.down, 300U) << "the home compares with the base itself";
}

TEST_F(Engine, SendsASmallChangeInTheFormatThatBothSidesTake) {
    format_ = batch_format_first;
    const std::string big = noise(500'000);
    tokyo_->write("big", big);
    sync(*tokyo_);
    sync(*osaka_);
    std::string edited = big;
    for (const char* line : {"a line in the middle\n", "and one more\n"}) {
        edited.insert(250'000, line);
        tokyo_->write("big", edited);
        EXPECT_LT(sync(*tokyo_).up, 300U);
        EXPECT_LT(sync(*osaka_).down, 300U);
        EXPECT_EQ(osaka_->content("big"), edited);
        format_ = batch_format_newest; // both are newer from here on, and know it after one round
        sync(*tokyo_);
    }
    tokyo_->write("big", edited + "for a home that was put back to an older one");
    auto newer = tokyo_->client->prepare(tokyo_->folder);
    ASSERT_TRUE(newer.ok());
    EXPECT_EQ(newer->format, batch_format_newest);
    ASSERT_TRUE(tokyo_->client->home_refused(tokyo_->folder.id).ok());
    auto older = tokyo_->client->prepare(tokyo_->folder);
    ASSERT_TRUE(older.ok());
    EXPECT_EQ(older->format, batch_format_first);
    EXPECT_NE(older->batch, newer->batch);
    sync(*tokyo_);
    EXPECT_EQ(tokyo_->client->look(tokyo_->folder)->unsent_files, 0U);
}

TEST_F(Engine, SendsABlockOfALargeFileWhereItsOldContentIsNotKeptOrIsNotWhatItWas) {
    for (const bool kept : {false, true}) {
        ASSERT_TRUE(tokyo_->client->set_base_bytes_max(kept ? base_bytes_default : 0).ok());
        std::string big = noise(2'000'000);
        tokyo_->write("big", big);
        sync(*tokyo_);
        auto bases = tokyo_->disk().list("sync/client/base");
        ASSERT_TRUE(bases.ok());
        ASSERT_EQ(bases->size(), kept ? 1U : 0U);
        if (kept) {
            auto file = tokyo_->disk().append("sync/client/base/" + bases->front().name, 1'000'000);
            ASSERT_TRUE(file.ok() && (*file)->write(noise(1'000'000)).ok());
        }
        big.insert(1'000'000, "a line in the middle\n");
        tokyo_->write("big", big);
        const Round up = sync(*tokyo_);
        EXPECT_LT(up.up, 2'500U) << "a block of 1 KB and what stands around it";
        EXPECT_GT(up.up, 1'000U);
        sync(*osaka_);
        EXPECT_TRUE(osaka_->content("big") == big);
    }
}

TEST_F(Engine, KeepsOnlyContentsThatAreAgreedOn) {
    const std::string one = noise(1'500'000);
    const std::string two = noise(1'500'000);
    const auto kept = [](Machine& at) {
        auto list = at.disk().list("sync/client/base");
        return list.ok() ? list->size() : 99;
    };
    tokyo_->write("a", one);
    tokyo_->write("b", two);
    sync(*tokyo_);
    sync(*osaka_);
    EXPECT_EQ(kept(*tokyo_), 2U);
    EXPECT_EQ(kept(*osaka_), 2U);
    tokyo_->write("a", two);
    ASSERT_EQ(::unlink(tokyo_->path("b").c_str()), 0);
    sync(*tokyo_);
    sync(*osaka_);
    EXPECT_EQ(kept(*tokyo_), 1U);
    EXPECT_EQ(kept(*osaka_), 1U);
    ASSERT_EQ(::rename(tokyo_->path("a").c_str(), tokyo_->path("c").c_str()), 0);
    sync(*tokyo_);
    EXPECT_EQ(kept(*tokyo_), 1U);
    ASSERT_EQ(::unlink(tokyo_->path("c").c_str()), 0);
    sync(*tokyo_);
    sync(*osaka_);
    EXPECT_EQ(kept(*tokyo_), 0U);
    EXPECT_EQ(kept(*osaka_), 0U);
}

TEST_F(Engine, SendsAHundredEditedFilesForLittleMoreThanTheirHashes) {
    std::vector<std::string> contents;
    for (int i = 0; i < 100; ++i) {
        std::string text;
        while (text.size() < 6'000) {
            text += "word" + std::to_string(random_.below(5'000)) + " ";
        }
        contents.push_back(text);
        tokyo_->write("f" + std::to_string(i), text);
    }
    sync(*tokyo_);
    for (int i = 0; i < 100; ++i) {
        contents[i].replace(2'000 + static_cast<std::size_t>(i), 10, "an edit of some length");
        tokyo_->write("f" + std::to_string(i), contents[i]);
    }
    EXPECT_LT(sync(*tokyo_).up, 8'000U);
    sync(*osaka_);
    EXPECT_EQ(osaka_->content("f99"), contents[99]);
}

TEST_F(Engine, SendsARenameWithoutItsContent) {
    const std::string big = noise(300'000);
    tokyo_->write("before", big);
    sync(*tokyo_);
    sync(*osaka_);
    ASSERT_EQ(::rename(tokyo_->path("before").c_str(), tokyo_->path("after").c_str()), 0);
    EXPECT_LT(sync(*tokyo_).up, 300U);
    EXPECT_LT(sync(*osaka_).down, 300U);
    EXPECT_EQ(osaka_->content("after"), big);
    EXPECT_EQ(osaka_->content("before"), "(not_found)");
}

TEST_F(Engine, KeepsBothWhenBothSidesEditedAndAllAgreeInTheEnd) {
    tokyo_->write("plan.txt", "first");
    sync(*tokyo_);
    sync(*osaka_);
    tokyo_->write("plan.txt", "by tokyo");
    osaka_->write("plan.txt", "by osaka");
    sync(*tokyo_);
    EXPECT_EQ(sync(*osaka_).conflicts, 1U);
    sync(*tokyo_);
    EXPECT_EQ(osaka_->content("plan.txt"), "by tokyo");
    auto tree = home_->home->tree({"anna", "wiki"});
    ASSERT_TRUE(tree.ok());
    ASSERT_EQ(tree->size(), 2U);
    const std::string copy = tree->begin()->first;
    EXPECT_TRUE(copy.starts_with("plan (conflict anna@osaka ")) << copy;
    for (Machine* at : {tokyo_.get(), osaka_.get()}) {
        EXPECT_EQ(at->content("plan.txt"), "by tokyo");
        EXPECT_EQ(at->content(copy), "by osaka");
    }
}

TEST_F(Engine, LetsAnEditBeatADeletionAndForgetsWhatBothDeleted) {
    for (const char* name : {"edited-here", "edited-there", "both"}) {
        tokyo_->write(name, "1");
    }
    sync(*tokyo_);
    sync(*osaka_);
    tokyo_->write("edited-here", "22");
    ASSERT_EQ(::unlink(osaka_->path("edited-here").c_str()), 0);
    osaka_->write("edited-there", "33");
    ASSERT_EQ(::unlink(tokyo_->path("edited-there").c_str()), 0);
    for (Machine* at : {tokyo_.get(), osaka_.get()}) {
        ASSERT_EQ(::unlink(at->path("both").c_str()), 0);
    }
    for (int i = 0; i < 2; ++i) {
        sync(*tokyo_);
        sync(*osaka_);
    }
    for (Machine* at : {tokyo_.get(), osaka_.get()}) {
        EXPECT_EQ(at->content("edited-here"), "22");
        EXPECT_EQ(at->content("edited-there"), "33");
        EXPECT_EQ(at->content("both"), "(not_found)");
    }
}

TEST_F(Engine, BringsAgainWhatTheHomeKeptWhenItsAnswerWasLostOrNotPutInPlace) {
    for (const bool lost : {false, true}) {
        const std::string notes = lost ? "notes" : "papers";
        ASSERT_EQ(::mkdir(tokyo_->path(notes).c_str(), 0755), 0);
        ASSERT_EQ(::mkdir(tokyo_->path(notes + "/old").c_str(), 0755), 0);
        tokyo_->write(notes + "/a", "1");
        sync(*tokyo_);
        sync(*osaka_);
        // The home keeps the folder for what osaka has put into it; its row is older than what
        // tokyo has.
        osaka_->write(notes + "/b", "2");
        sync(*osaka_);
        ASSERT_EQ(::unlink(tokyo_->path(notes + "/a").c_str()), 0);
        ASSERT_EQ(::rmdir(tokyo_->path(notes + "/old").c_str()), 0);
        ASSERT_EQ(::rmdir(tokyo_->path(notes).c_str()), 0);
        dies_before_apply_ = !lost;
        messages_left_ = lost ? 1 : -1; // the batch, and no answer
        bool again = false;
        EXPECT_FALSE(exchange(*tokyo_, again).has_value());
        dies_before_apply_ = false;
        messages_left_ = -1;
        for (int i = 0; i < 2; ++i) {
            sync(*tokyo_);
            sync(*osaka_);
        }
        for (Machine* at : {tokyo_.get(), osaka_.get()}) {
            EXPECT_EQ(at->content(notes + "/a"), "(not_found)");
            EXPECT_EQ(at->content(notes + "/b"), "2");
        }
        const Round quiet = sync(*tokyo_);
        EXPECT_EQ(quiet.files, 0U);
        EXPECT_LT(quiet.down, 100U);
    }
}

TEST_F(Engine, DoesEverythingOnceWhicheverMessageIsLost) {
    for (int cut = 0; cut < 28; ++cut) {
        const std::string name = "file" + std::to_string(cut);
        tokyo_->write(name, noise(5'000));
        osaka_->write("other" + std::to_string(cut), noise(3'000));
        bool again = false;
        messages_left_ = cut % 14;
        for (Machine* at : {tokyo_.get(), osaka_.get()}) {
            static_cast<void>(exchange(*at, again));
            at->start(); // and the machine with it
        }
        home_->start();
        messages_left_ = -1;
        sync(*tokyo_);
        sync(*osaka_);
        sync(*tokyo_);
        ASSERT_EQ(osaka_->content(name), tokyo_->content(name)) << cut;
        ASSERT_EQ(home_->home->tree({"anna", "wiki"})->size(), 2U * static_cast<unsigned>(cut + 1))
            << "nothing twice, no copies";
    }
}

TEST_F(Engine, TakesABatchOnceHoweverOftenItComes) {
    tokyo_->write("note", "hello");
    auto out = tokyo_->client->prepare(tokyo_->folder);
    ASSERT_TRUE(out.ok());
    auto bytes = tokyo_->client->read(tokyo_->folder.id, 0, 1 << 20);
    ASSERT_EQ(
        home_->home->receive(tokyo_->folder.id, out->batch, 0, out->bytes, *bytes).value_or(0),
        out->bytes);
    const Home::Question question{tokyo_->folder.id, out->batch, out->since, "anna@tokyo", false};
    auto first = home_->home->exchange(question);
    ASSERT_TRUE(first.ok()) << first.error().message;
    EXPECT_TRUE(first->changed);
    for (int i = 0; i < 3; ++i) {
        home_->start();
        EXPECT_EQ(
            home_->home->receive(tokyo_->folder.id, out->batch, 0, out->bytes, "").value_or(0),
            out->bytes);
        auto again = home_->home->exchange(question);
        ASSERT_TRUE(again.ok());
        EXPECT_FALSE(again->changed);
        EXPECT_EQ(again->revision.number, first->revision.number);
    }
}

TEST_F(Engine, HoldsAMassDeletionUntilAnOperatorReleasesIt) {
    for (int i = 0; i < 60; ++i) {
        tokyo_->write("f" + std::to_string(i), std::to_string(i));
    }
    sync(*tokyo_);
    sync(*osaka_);
    for (int i = 0; i < 55; ++i) {
        ASSERT_EQ(::unlink(tokyo_->path("f" + std::to_string(i)).c_str()), 0);
    }
    tokyo_->write("new", "goes on");
    sync(*tokyo_);
    sync(*osaka_);
    EXPECT_EQ(osaka_->content("f3"), "3");
    EXPECT_EQ(osaka_->content("new"), "goes on");
    auto status = tokyo_->client->status();
    ASSERT_TRUE(status.ok());
    EXPECT_EQ(status->at(0).held_files, 55U);
    EXPECT_FALSE(status->at(0).held.empty());
    ASSERT_TRUE(tokyo_->client->release_deletions(tokyo_->folder.id).ok());
    sync(*tokyo_);
    sync(*osaka_);
    EXPECT_EQ(osaka_->content("f3"), "(not_found)");
    EXPECT_EQ(osaka_->content("f57"), "57");
    EXPECT_EQ(tokyo_->client->status()->at(0).held_files, 0U);
}

TEST_F(Engine, GoesOnHoldingWhenSomethingComesIntoTheEmptiedFolder) {
    tokyo_->write("a", "1");
    tokyo_->write("b", "2");
    sync(*tokyo_);
    sync(*osaka_);
    ASSERT_EQ(::unlink(tokyo_->path("a").c_str()) + ::unlink(tokyo_->path("b").c_str()), 0);
    sync(*tokyo_);
    osaka_->write("c", "3");
    sync(*osaka_);
    sync(*tokyo_);
    EXPECT_EQ(tokyo_->content("c"), "3");
    sync(*tokyo_);
    sync(*osaka_);
    EXPECT_EQ(osaka_->content("a"), "1");
    EXPECT_EQ(tokyo_->client->status()->at(0).held_files, 2U);
    ASSERT_TRUE(tokyo_->client->release_deletions(tokyo_->folder.id).ok());
    sync(*tokyo_);
    sync(*osaka_);
    EXPECT_EQ(osaka_->content("a"), "(not_found)");
    EXPECT_EQ(osaka_->content("c"), "3");
}

TEST_F(Engine, HoldsNoFolderThatIsAllThatIsLeftOfAMassDeletion) {
    ASSERT_EQ(::mkdir(tokyo_->path("notes").c_str(), 0755), 0);
    tokyo_->write("notes/a", noise(500));
    tokyo_->write("b", noise(500));
    sync(*tokyo_);
    sync(*osaka_);
    ASSERT_EQ(::unlink(tokyo_->path("notes/a").c_str()) + ::unlink(tokyo_->path("b").c_str()) +
                  ::rmdir(tokyo_->path("notes").c_str()),
              0);
    sync(*tokyo_);
    EXPECT_EQ(tokyo_->client->status()->at(0).held_files, 2U);
    ASSERT_EQ(::rename(osaka_->path("notes/a").c_str(), osaka_->path("list").c_str()), 0);
    sync(*osaka_);
    ASSERT_EQ(::unlink(osaka_->path("b").c_str()), 0);
    sync(*osaka_);
    for (int i = 0; i < 3; ++i) {
        sync(*tokyo_);
        sync(*osaka_);
    }
    EXPECT_EQ(tokyo_->client->status()->at(0).held, "");
    EXPECT_EQ(osaka_->content("list"), tokyo_->content("list"));
    for (Machine* at : {tokyo_.get(), osaka_.get()}) {
        EXPECT_NE(::access(at->path("notes").c_str(), F_OK), 0);
    }
}

TEST_F(Engine, NeverSendsAVanishedFolderAsDeletions) {
    tokyo_->write("only", "x");
    sync(*tokyo_);
    ASSERT_TRUE(remove_tree(tokyo_->path("")).ok());
    sync(*tokyo_);
    EXPECT_EQ(home_->home->tree({"anna", "wiki"})->size(), 1U);
    EXPECT_EQ(tokyo_->client->status()->at(0).held, "the folder is gone");
    // A program fills the empty folder: still nothing goes, until an operator says how it is.
    ASSERT_TRUE(hasp::make_folders(tokyo_->path("")).ok());
    tokyo_->write("only", "what the program ships");
    tokyo_->write("more", "y");
    tokyo_->write("other", "z");
    ASSERT_EQ(::unlink(tokyo_->path("only").c_str()), 0);
    sync(*tokyo_);
    EXPECT_EQ(home_->home->tree({"anna", "wiki"})->size(), 1U);
    ASSERT_TRUE(tokyo_->client->begin_anew(tokyo_->folder.id).ok());
    sync(*tokyo_);
    EXPECT_EQ(tokyo_->content("only"), "x") << "the home had it";
    EXPECT_EQ(home_->home->tree({"anna", "wiki"})->size(), 3U);
}

TEST_F(Engine, NeverSendsAsDeletedWhatAFolderMadeAnewByWhomeverDoesNotHave) {
    tokyo_->write("only", "x");
    sync(*tokyo_);
    ASSERT_TRUE(remove_tree(tokyo_->path("")).ok());
    ASSERT_TRUE(hasp::make_folders(tokyo_->path("")).ok());
    tokyo_->start(); // who made it remembers nothing of it
    sync(*tokyo_);
    EXPECT_EQ(home_->home->tree({"anna", "wiki"})->size(), 1U);
    EXPECT_EQ(tokyo_->client->status()->at(0).held, "the folder is gone");
    ASSERT_TRUE(tokyo_->client->release_deletions(tokyo_->folder.id).ok());
    sync(*tokyo_);
    EXPECT_EQ(home_->home->tree({"anna", "wiki"})->size(), 0U)
        << "an operator said that it is meant";
}

TEST_F(Engine, TakesAFolderThatWasPutInPlaceOfAnotherWithAllThatWasThere) {
    tokyo_->write("only", "x");
    sync(*tokyo_);
    ASSERT_TRUE(remove_tree(tokyo_->path("")).ok());
    ASSERT_TRUE(hasp::make_folders(tokyo_->path("")).ok());
    tokyo_->write("only", "x, from a backup");
    sync(*tokyo_);
    EXPECT_EQ(tokyo_->client->status()->at(0).held, "");
    ASSERT_EQ(::unlink(tokyo_->path("only").c_str()), 0);
    sync(*tokyo_);
    EXPECT_EQ(home_->home->tree({"anna", "wiki"})->size(), 0U)
        << "that is a deletion like any other";
}

TEST_F(Engine, StopsAndAsksWhenTheHomeBeganAnew) {
    tokyo_->write("note", "hello");
    sync(*tokyo_);
    home_.reset();
    ASSERT_TRUE(remove_tree(folder_ + "/center").ok());
    clock_.advance_us(5);
    home_ = std::make_unique<Machine>(folder_ + "/center", clock_, random_, true);
    osaka_->write("other", "from osaka");
    sync(*osaka_);
    tokyo_->write("more", "unsent");
    bool again = false;
    EXPECT_FALSE(exchange(*tokyo_, again).has_value());
    EXPECT_NE(last_error_.find("begun anew"), std::string::npos) << last_error_;
    EXPECT_EQ(tokyo_->content("note"), "hello");
    ASSERT_TRUE(tokyo_->client->begin_anew(tokyo_->folder.id).ok());
    sync(*tokyo_);
    EXPECT_EQ(home_->home->tree({"anna", "wiki"})->size(), 3U);
    EXPECT_EQ(tokyo_->content("other"), "from osaka");
}

TEST_F(Engine, StopsAndAsksWhenTheHomeWasRestoredFromABackup) {
    tokyo_->write("old", "1");
    sync(*tokyo_);
    const std::filesystem::path center = folder_ + "/center";
    const std::filesystem::path backup = folder_ + "/backup";
    home_->stop();
    std::filesystem::copy(center, backup, std::filesystem::copy_options::recursive);
    home_->start();
    tokyo_->write("new", "2");
    ASSERT_EQ(::unlink(tokyo_->path("old").c_str()), 0);
    sync(*tokyo_);
    home_->stop();
    std::filesystem::remove_all(center);
    std::filesystem::rename(backup, center);
    home_->start();
    tokyo_->write("newer", "3");
    bool again = false;
    EXPECT_FALSE(exchange(*tokyo_, again).has_value());
    EXPECT_NE(last_error_.find("was restored from a backup"), std::string::npos) << last_error_;
    EXPECT_EQ(tokyo_->content("new"), "2");
    EXPECT_EQ(home_->home->tree({"anna", "wiki"})->size(), 1U) << "nothing was taken";
    ASSERT_TRUE(tokyo_->client->begin_anew(tokyo_->folder.id).ok());
    sync(*tokyo_);
    EXPECT_EQ(tokyo_->content("new"), "2");
    EXPECT_EQ(tokyo_->content("old"), "1") << "what the backup has is deleted by nobody";
    EXPECT_EQ(home_->home->tree({"anna", "wiki"})->size(), 3U);
}

TEST_F(Engine, LeavesAFileThatChangesWhileAChangeComesDownForTheNextRound) {
    tokyo_->write("note", "1");
    sync(*tokyo_);
    sync(*osaka_);
    tokyo_->write("note", "22");
    sync(*tokyo_);
    bool again = false;
    auto out = osaka_->client->prepare(osaka_->folder);
    auto answer = home_->home->exchange({osaka_->folder.id, "", out->since, "anna@osaka", false});
    auto bytes = home_->home->read(answer->file, 0, 1 << 20);
    ASSERT_TRUE(osaka_->client->take(osaka_->folder.id, 0, *bytes).ok());
    osaka_->write("note", "333"); // between the look and the change
    const auto arrived = osaka_->client->arrived(osaka_->folder);
    ASSERT_TRUE(arrived.ok()) << arrived.error().message;
    auto applied = osaka_->client->apply(osaka_->folder, false);
    ASSERT_TRUE(applied.ok());
    EXPECT_EQ(applied->skipped, 1U);
    EXPECT_EQ(osaka_->content("note"), "333");
    static_cast<void>(again);
    EXPECT_EQ(sync(*osaka_).conflicts, 1U);
    EXPECT_EQ(osaka_->content("note"), "22");
    EXPECT_EQ(home_->home->tree({"anna", "wiki"})->size(), 2U);
}

TEST_F(Engine, BringsOnceWhatWasPutInPlaceThoughOneFileHasToWait) {
    for (int i = 0; i < 100; ++i) {
        tokyo_->write("file" + std::to_string(i), noise(2'000));
    }
    sync(*tokyo_);
    tokyo_->write("note", "by tokyo");
    sync(*tokyo_);
    auto out = osaka_->client->prepare(osaka_->folder);
    ASSERT_TRUE(out.ok());
    auto answer = home_->home->exchange({osaka_->folder.id, "", out->since, "anna@osaka", false});
    ASSERT_TRUE(answer.ok());
    EXPECT_GT(answer->bytes, 200'000U);
    auto bytes = home_->home->read(answer->file, 0, 1 << 20);
    ASSERT_TRUE(osaka_->client->take(osaka_->folder.id, 0, *bytes).ok());
    osaka_->write("note", "by osaka"); // between the look and the change
    ASSERT_TRUE(osaka_->client->arrived(osaka_->folder).ok());
    ASSERT_EQ(osaka_->client->apply(osaka_->folder, false)->skipped, 1U);
    const Round next = sync(*osaka_);
    EXPECT_EQ(next.conflicts, 1U);
    EXPECT_LT(next.up + next.down, 1'000U) << "the hundred are there already";
    EXPECT_EQ(osaka_->content("note"), "by tokyo");
    EXPECT_EQ(osaka_->content("file99"), tokyo_->content("file99"));
    // A line more in one of a hundred: its own bytes and those of no other.
    tokyo_->write("file7", tokyo_->content("file7") + "one line more\n");
    const Round up = sync(*tokyo_);
    EXPECT_LT(up.up + up.down, 2'500U);
    EXPECT_LT(sync(*osaka_).down, 300U);
}

TEST_F(Engine, KeepsOddNamesAndTimes) {
    const std::vector<std::string> names{
        std::string(255, 'n'), "caf\xc3\xa9", "cafe\xcc\x81", "bad\xff\xfe",
        "new\nline",           "-rf",         "a b"};
    for (const std::string& name : names) {
        tokyo_->write(name, name);
    }
    const timespec old[2] = {{0, UTIME_OMIT}, {-1000, 5000}};
    ASSERT_EQ(::utimensat(AT_FDCWD, tokyo_->path("-rf").c_str(), old, 0), 0);
    ASSERT_EQ(::mkfifo(tokyo_->path("pipe").c_str(), 0600), 0);
    sync(*tokyo_);
    sync(*osaka_);
    for (const std::string& name : names) {
        EXPECT_EQ(osaka_->content(name), name);
    }
    struct stat st {};
    ASSERT_EQ(::stat(osaka_->path("-rf").c_str(), &st), 0);
    EXPECT_EQ(st.st_mtim.tv_sec, -1000);
    EXPECT_EQ(tokyo_->client->status()->at(0).skipped, 1U) << "the pipe is said";
}

TEST_F(Engine, AsksForTheWholeFileWhenADifferenceDoesNotFit) {
    const std::string big = noise(100'000);
    tokyo_->write("big", big);
    sync(*tokyo_);
    sync(*osaka_);
    tokyo_->write("big", big + "x");
    sync(*tokyo_);
    // The file at osaka rots under an unchanged stamp.
    struct stat before {};
    ASSERT_EQ(::stat(osaka_->path("big").c_str(), &before), 0);
    clock_.advance_us(10'000'000);
    ASSERT_TRUE(osaka_->client->look(osaka_->folder).ok());
    const int fd = ::open(osaka_->path("big").c_str(), O_WRONLY);
    ASSERT_GE(fd, 0);
    ASSERT_EQ(::pwrite(fd, "rotten", 6, 500), 6);
    ::close(fd);
    const timespec stamp[2] = {{0, UTIME_OMIT}, before.st_mtim};
    ASSERT_EQ(::utimensat(AT_FDCWD, osaka_->path("big").c_str(), stamp, 0), 0);
    for (int i = 0; i < 3; ++i) {
        sync(*osaka_);
    }
    sync(*tokyo_);
    EXPECT_EQ(osaka_->content("big").size(), big.size() + 1);
    EXPECT_EQ(tokyo_->content("big"), osaka_->content("big"));
}

TEST_F(Engine, RefusesABatchThatIsDamagedAndChangesNothing) {
    tokyo_->write("note", "hello");
    auto out = tokyo_->client->prepare(tokyo_->folder);
    auto bytes = tokyo_->client->read(tokyo_->folder.id, 0, 1 << 20);
    (*bytes)[bytes->size() / 2] ^= 0x10;
    ASSERT_TRUE(home_->home->receive(tokyo_->folder.id, out->batch, 0, out->bytes, *bytes).ok());
    auto answer = home_->home->exchange({tokyo_->folder.id, out->batch, out->since, "a@b", false});
    ASSERT_FALSE(answer.ok());
    EXPECT_EQ(answer.error().code, Code::refused);
    EXPECT_TRUE(home_->home->tree({"anna", "wiki"})->empty());
    sync(*tokyo_);
    EXPECT_EQ(home_->home->tree({"anna", "wiki"})->size(), 1U);
}

TEST_F(Engine, TakesADatabaseThatIsInUseAsAWholeOne) {
    auto live = store::Db::open(tokyo_->path("app.db"));
    ASSERT_TRUE(live.ok());
    ASSERT_TRUE((*live)->run_script("CREATE TABLE t (n INTEGER) STRICT").ok());
    for (int i = 0; i < 200; ++i) {
        ASSERT_TRUE((*live)->execute("INSERT INTO t (n) VALUES (?1)", i).ok());
    }
    struct stat st {};
    ASSERT_EQ(::stat(tokyo_->path("app.db-wal").c_str(), &st), 0);
    ASSERT_GT(st.st_size, 0) << "rows are in the journal and not in the file";
    const auto rows = [](const std::string& path) -> std::int64_t {
        auto db = store::Db::open(path);
        auto n = db.ok() ? (*db)->first("SELECT count(*) FROM t",
                                        [](const store::Statement& s) { return s.integer(0); })
                         : Result<std::optional<std::int64_t>>(db.error());
        return n.ok() ? n->value_or(-1) : -2;
    };
    sync(*tokyo_);
    EXPECT_EQ(home_->home->tree({"anna", "wiki"})->size(), 1U)
        << "its journal is no file of its own";
    EXPECT_EQ(sync(*tokyo_).up, 0U) << "nothing changed: nothing is sent again";
    sync(*osaka_);
    EXPECT_EQ(rows(osaka_->path("app.db")), 200);
    ASSERT_TRUE((*live)->execute("INSERT INTO t (n) VALUES (7)").ok());
    EXPECT_LT(sync(*tokyo_).up, 3'000U);
    sync(*osaka_);
    EXPECT_EQ(rows(osaka_->path("app.db")), 201);
}

TEST_F(Engine, SaysThatADiskIsFullLeavesNothingHalfDoneAndGoesOn) {
    tokyo_->write("small", "x");
    sync(*tokyo_);
    tokyo_->write("big", noise(300'000));
    for (Machine* full : {tokyo_.get(), home_.get(), osaka_.get()}) {
        full->disk().room = 100'000;
        bool again = false;
        if (full == tokyo_.get()) {
            auto out = tokyo_->client->prepare(tokyo_->folder);
            ASSERT_FALSE(out.ok());
            EXPECT_NE(out.error().message.find("the disk is full"), std::string::npos);
        } else {
            Machine& at = full == home_.get() ? *tokyo_ : *osaka_;
            const auto tree = home_->home->tree({"anna", "wiki"});
            full_ = true;
            EXPECT_FALSE(exchange(at, again).has_value());
            full_ = false;
            EXPECT_NE(last_error_.find("the disk is full"), std::string::npos) << last_error_;
            EXPECT_EQ(home_->home->tree({"anna", "wiki"})->size(), tree->size());
            EXPECT_EQ(osaka_->content("big"), "(not_found)");
        }
        full->disk().room = -1;
        for (const char* folder : {"sync/client/tmp", "sync/home/tmp"}) {
            auto left = full->disk().list(folder);
            EXPECT_TRUE(!left.ok() || left->empty()) << folder;
        }
        if (full == tokyo_.get()) {
            continue;
        }
        sync(*tokyo_);
        EXPECT_EQ(home_->home->tree({"anna", "wiki"})->size(), 2U);
    }
    sync(*osaka_);
    EXPECT_EQ(osaka_->content("big"), tokyo_->content("big"));
}

TEST_F(Engine, SendsNothingBackThatWasPutInPlaceAndCouldNotBeNoted) {
    tokyo_->write("removed", std::string(5'000, 'r'));
    tokyo_->write("changed", "first");
    sync(*tokyo_);
    for (const bool killed : {false, true}) {
        place_without_noting(*osaka_);
        EXPECT_EQ(osaka_->content("changed"), tokyo_->content("changed"));
        if (killed) {
            osaka_->start();
        }
        static_cast<void>(::unlink(tokyo_->path("removed").c_str()));
        tokyo_->write("changed", "then");
        sync(*tokyo_);
        EXPECT_EQ(sync(*osaka_).conflicts, 0U);
        EXPECT_EQ(osaka_->content("removed"), "(not_found)");
        EXPECT_EQ(osaka_->content("changed"), "then");
        EXPECT_EQ(home_->home->tree({"anna", "wiki"})->size(), 1U);
        tokyo_->write("removed", std::string(5'000, 'r'));
        tokyo_->write("changed", "again the first");
        sync(*tokyo_);
    }
}

TEST_F(Engine, SendsWhatAnAppMadeOfAFileThatWasPutInPlaceAndCouldNotBeNoted) {
    tokyo_->write("note", "hello");
    sync(*tokyo_);
    place_without_noting(*osaka_);
    osaka_->write("note", "hello, and more");
    sync(*osaka_);
    sync(*osaka_);
    bool kept = false;
    const auto tree = home_->home->tree({"anna", "wiki"});
    ASSERT_TRUE(tree.ok());
    for (const auto& [path, entry] : *tree) {
        kept = kept || osaka_->content(path) == "hello, and more";
    }
    EXPECT_TRUE(kept);
}

TEST_F(Engine, SendsAsDeletedWhatWasPutInPlaceBeforeACrashAndRenamedBehindIt) {
    tokyo_->write("note", "hello");
    sync(*tokyo_);
    place_without_noting(*osaka_);
    osaka_->start();
    const auto unsettled = osaka_->client->unsettled();
    ASSERT_TRUE(unsettled.ok());
    ASSERT_EQ(unsettled->size(), 1U);
    ASSERT_TRUE(osaka_->client->settle(osaka_->folder).ok());
    EXPECT_TRUE(osaka_->client->unsettled()->empty());
    ASSERT_EQ(::rename(osaka_->path("note").c_str(), osaka_->path("renamed").c_str()), 0);
    sync(*osaka_);
    EXPECT_EQ(osaka_->content("note"), "(not_found)") << "it does not come back";
    sync(*tokyo_);
    EXPECT_EQ(tokyo_->content("note"), "(not_found)");
    EXPECT_EQ(tokyo_->content("renamed"), "hello");
}

TEST_F(Engine, PutsNothingInPlaceOfAnAnswerThatCannotBeRead) {
    tokyo_->write("note", "hello");
    sync(*tokyo_);
    // It is read for the verdicts, for what is to change, and for the contents of that.
    for (int reading = 0; reading < 3; ++reading) {
        osaka_->disk().unreadable = "sync/client/in/anna.wiki";
        osaka_->disk().unreadable_after = reading;
        full_ = true;
        bool again = false;
        EXPECT_FALSE(exchange(*osaka_, again).has_value()) << reading;
        full_ = false;
        EXPECT_NE(last_error_.find("input/output error"), std::string::npos) << last_error_;
        EXPECT_EQ(osaka_->content("note"), "(not_found)");
    }
    osaka_->disk().unreadable.clear();
    sync(*osaka_);
    EXPECT_EQ(osaka_->content("note"), "hello");
}

TEST_F(Engine, GivesNoDamagedContentHoldsUpNothingElseAndGivesItOnceItIsTakenAgain) {
    tokyo_->write("bent", noise(5000));
    tokyo_->write("note", "hello");
    sync(*tokyo_);
    const std::string segment = folder_ + "/center/contents/0/1";
    std::string bytes = read_file(segment, 1 << 20).value();
    bytes[100] = static_cast<char>(bytes[100] ^ 4);
    ASSERT_TRUE(write_file_durably(segment, bytes, 0600).ok());
    full_ = true; // the first answer finds it
    bool again = false;
    EXPECT_FALSE(exchange(*osaka_, again).has_value());
    EXPECT_NE(last_error_.find("is damaged"), std::string::npos) << last_error_;
    full_ = false;
    sync(*osaka_);
    EXPECT_EQ(osaka_->content("note"), "hello");
    EXPECT_EQ(osaka_->content("bent"), "(not_found)");
    EXPECT_EQ(home_->home->damage(10)->files.at(0).path, "bent");
    // A tier that has it sends it for a reason of its own.
    tokyo_->write("copy", tokyo_->content("bent"));
    sync(*tokyo_);
    EXPECT_EQ(home_->home->damage(10)->contents, 0U);
    sync(*osaka_);
    EXPECT_EQ(osaka_->content("copy"), tokyo_->content("bent"));
    EXPECT_EQ(osaka_->content("bent"), tokyo_->content("bent"));
    EXPECT_EQ(tokyo_->client->status()->front().unsent_files, 0U);
}

TEST_F(Engine, GivesNoContentOfAnotherUserForItsHash) {
    tokyo_->write("secret", "of anna");
    sync(*tokyo_);
    auto tree = home_->home->tree({"anna", "wiki"});
    Entry entry = tree->at("secret");
    std::string bytes;
    entry.revision = 0;
    BatchWriter writer({Direction::up, 0, 0}, [&](std::string_view more) {
        bytes.append(more);
        return Status{};
    });
    Record record;
    record.path = "mine-now";
    record.entry = entry;
    ASSERT_TRUE(writer.add(record).ok() && writer.finish().ok());
    const std::string batch(32, 'a');
    const FolderId mallory{"mallory", "wiki"};
    ASSERT_TRUE(home_->home->receive(mallory, batch, 0, bytes.size(), bytes).ok());
    ASSERT_TRUE(home_->home->exchange({mallory, batch, {}, "mallory@x", false}).ok());
    EXPECT_TRUE(home_->home->tree(mallory)->empty());
    EXPECT_FALSE(home_->home->content(mallory, entry.hash).ok());
}

} // namespace
} // namespace hasp::sync
