// A home and two clients in one process, whose rounds a test takes step by step.
#pragma once

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
#include "trust/hash.h"

#include <fcntl.h>
#include <filesystem>
#include <functional>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace hasp::sync {

inline constexpr std::size_t chunk_bytes = 1000; // small, so that there are many messages

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
            home->bound_answers(answers);
        } else {
            auto opened = Client::open(*db_, *disk_, "clinics", clock_, random_,
                                       [this](const std::string& path) {
                                           return store::settle_copy(state_ + "/" + path);
                                       });
            ASSERT_TRUE(opened.ok()) << opened.error().message;
            client = *std::move(opened);
            client->bound_batches(batches);
        }
    }
    std::string path(const std::string& name) const {
        return state_ + "/data/users/anna/wiki/" + name;
    }
    void write(const std::string& name, const std::string& content) {
        // Not by a temporary name: some names are as long as they may be.
        const Fd fd(::open(path(name).c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
        ASSERT_TRUE(fd && write_all(fd.get(), content).ok());
        struct stat st {};
        ASSERT_EQ(::fstat(fd.get(), &st), 0);
        disk_->unsynced.insert(st.st_ino);
    }
    // The power goes and comes back: of what no sync covered, 0 bytes are left.
    void cut_power() {
        const std::set<std::uint64_t> lost = disk_->unsynced;
        stop();
        for (const auto& one : std::filesystem::recursive_directory_iterator(state_)) {
            struct stat st {};
            ASSERT_EQ(::lstat(one.path().c_str(), &st), 0);
            if (S_ISREG(st.st_mode) && lost.contains(st.st_ino)) {
                ASSERT_EQ(::truncate(one.path().c_str(), 0), 0);
            }
        }
        start();
    }
    // As if nobody had ever been here: its database is gone, the files are not.
    void forget_everything() {
        stop();
        for (const char* part : {"", "-wal", "-shm"}) {
            std::filesystem::remove(state_ + "/files.db" + part);
        }
        start();
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
    // As if all versions were from before attributes were kept.
    void forget_attributes_of_versions() {
        ASSERT_TRUE(db_->run_script("UPDATE files_versions SET attributes = NULL").ok());
    }
    // A client's, as if all it has agreed on were from before attributes were kept.
    void forget_attributes_of_rows() {
        ASSERT_TRUE(db_->run_script("UPDATE sync_base SET attributes = x'', seen_attributes = x''; "
                                    "UPDATE sync_folders SET attributes_told = 0")
                        .ok());
        start();
    }
    // While it holds, no small content can be kept; SQLite then undoes all that was not committed,
    // as where the disk is full, or that alone.
    void keep_nothing(bool holds, bool undoes_all) {
        const std::string trigger =
            holds ? "CREATE TRIGGER full BEFORE INSERT ON sync_bases BEGIN SELECT RAISE(" +
                        std::string(undoes_all ? "ROLLBACK" : "ABORT") + ", 'full'); END"
                  : "DROP TRIGGER full";
        ASSERT_TRUE(db_->run_script(trigger).ok());
    }

    // Takes effect with start().
    AnswerBounds answers;
    BatchBounds batches;
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
        folder_ = place() + "/hasp_engine_XXXXXX";
        ASSERT_NE(::mkdtemp(folder_.data()), nullptr);
        timespec now{};
        ::clock_gettime(CLOCK_REALTIME, &now);
        clock_.wall = now.tv_sec * 1'000'000;
        home_ = std::make_unique<Machine>(folder_ + "/center", clock_, random_, true);
        tokyo_ = std::make_unique<Machine>(folder_ + "/tokyo", clock_, random_, false);
        osaka_ = std::make_unique<Machine>(folder_ + "/osaka", clock_, random_, false);
        // It was met, and has not said how new it is since.
        for (Machine* at : {tokyo_.get(), osaka_.get()}) {
            ASSERT_TRUE(at->client->home_takes(at->folder.id, batch_format_first).ok());
        }
    }
    void TearDown() override {
        home_.reset();
        tokyo_.reset();
        osaka_.reset();
        EXPECT_TRUE(remove_tree(folder_).ok());
    }

    // In memory where there is such a place: each round is many fsyncs.
    virtual std::string place() const {
        return ::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : ::testing::TempDir();
    }

    struct Round {
        std::uint64_t up = 0;
        std::uint64_t down = 0;
        std::uint64_t conflicts = 0;
        std::uint64_t skipped = 0;
        std::uint64_t files = 0;
        std::uint64_t exchanges = 0;
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
        auto out = at.client->prepare(at.folder, std::exchange(again, false));
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
        Home::Question question{at.folder.id,
                                out->batch,
                                out->since,
                                "anna@" + name_of(at),
                                out->whole,
                                verdicts_only_,
                                std::min(format_, out->reads),
                                out->after,
                                out->met};
        changes_on_the_way("in");
        if (scans_) {
            question.scanned = scanned(question);
            if (forgets_scanned_) {
                question.scanned = Scanned{{}, {}, lets_by_, scan_bytes_max_};
            }
        }
        auto answer = home_->home->exchange(question);
        last_error_ = answer.ok() ? "" : answer.error().message;
        if (!answer || !message()) {
            return std::nullopt; // the answer was lost
        }
        if (const auto bytes = changes_on_the_way("out")) {
            answer->bytes = *bytes;
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
        if (dies_before_apply_ || ends_before_apply_) {
            if (dies_before_apply_) {
                at.start();
            }
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

    // What the home's scanner says of what a batch brings.
    Scanned scanned(const Home::Question& question) {
        Scanned out{{}, {}, lets_by_, scan_bytes_max_};
        auto to_scan = home_->home->to_scan(question, scan_bytes_max_,
                                            [](const std::string&) { return false; });
        EXPECT_TRUE(to_scan.ok());
        if (!to_scan || to_scan->file.empty()) {
            return out;
        }
        auto file = home_->disk().open(to_scan->file);
        EXPECT_TRUE(file.ok());
        for (const ToScan::Part& part : to_scan->parts) {
            std::string content(part.bytes, '\0');
            EXPECT_EQ((*file)->read(part.at, content).value_or(0), part.bytes);
            EXPECT_EQ(trust::sha256(content), part.hash);
            const auto found = scanner_.find(part.hash);
            if (scanner_gone_) {
                out.unknown.insert(part.hash);
            } else {
                out.found[part.hash] = found == scanner_.end() ? "" : found->second;
            }
        }
        EXPECT_TRUE(home_->disk().remove(to_scan->file).ok());
        return out;
    }

    Round sync(Machine& at) {
        clock_.advance_us(1000);
        Round sum;
        bool again = false;
        for (int i = 0; i < 100; ++i) {
            auto round = exchange(at, again);
            EXPECT_TRUE(round.has_value());
            if (!round) {
                return sum;
            }
            sum.up += round->up;
            sum.down += round->down;
            sum.conflicts += round->conflicts;
            sum.files += round->files;
            ++sum.exchanges;
            sum.skipped = round->skipped;
            if (!again) {
                return sum;
            }
        }
        ADD_FAILURE() << "it never ends";
        return sum;
    }

    // Of what lies at the home, a batch or an answer; its size then.
    std::optional<std::uint64_t> changes_on_the_way(const std::string& direction) {
        std::optional<std::uint64_t> bytes;
        const std::string folder = folder_ + "/center/sync/home/" + direction;
        for (const auto& one : std::filesystem::directory_iterator(folder)) {
            if (on_the_way_) {
                const std::string path = one.path().string();
                const std::string changed = on_the_way_(read_file(path, 64 << 20).value());
                EXPECT_TRUE(write_file_durably(path, changed, 0600).ok());
                bytes = changed.size();
            }
        }
        return bytes;
    }

    std::string name_of(const Machine& at) { return &at == tokyo_.get() ? "tokyo" : "osaka"; }

    std::string noise(std::size_t size) { return random_.bytes(size); }

    std::string folder_;
    ManualClock clock_;
    SeededRandom random_{5};
    int messages_left_ = -1;
    std::function<std::string(const std::string&)> on_the_way_; // what becomes of it
    bool dies_before_apply_ = false;
    bool ends_before_apply_ = false;
    bool verdicts_only_ = false;            // nothing of the files is given
    unsigned format_ = batch_format_newest; // of batches, that both sides take
    bool scans_ = false;                    // at the home
    bool scanner_gone_ = false;
    bool forgets_scanned_ = false; // before the batch is taken
    bool lets_by_ = false;
    std::uint64_t scan_bytes_max_ = std::uint64_t{25} << 20;
    std::map<std::string, std::string> scanner_; // hash → what it finds there
    bool full_ = false;                          // a disk: errors are expected
    std::string last_error_;
    std::unique_ptr<Machine> home_, tokyo_, osaka_;
};

} // namespace hasp::sync
