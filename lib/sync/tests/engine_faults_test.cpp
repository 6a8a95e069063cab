// Damaged bytes, full disks and crashes in the middle of a round.
#include "engine_fixture.h"

namespace hasp::sync {
namespace {

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

TEST_F(Engine, RefusesABatchWithMoreContentThanItsEntrySays) {
    std::string bytes;
    BatchWriter writer({Direction::up, 0, 0}, [&](std::string_view more) {
        bytes.append(more);
        return Status{};
    });
    Record record;
    record.path = "note";
    record.codec = Codec::whole;
    record.entry.kind = FileKind::file;
    record.entry.hash = std::string(hash_bytes, 'h');
    // Without its length, this byte too many reads as the end of the content.
    ASSERT_TRUE(writer.add(record).ok() && writer.content(std::string(1, '\0')).ok());
    ASSERT_TRUE(writer.finish().ok());
    const FolderId folder{"anna", "wiki"};
    const std::string batch(32, 'a');
    ASSERT_TRUE(home_->home->receive(folder, batch, 0, bytes.size(), bytes).ok());
    auto answer = home_->home->exchange({folder, batch, {}, "anna@x", false});
    ASSERT_FALSE(answer.ok()) << "nothing of it counts";
    EXPECT_EQ(answer.error().code, Code::refused);
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

TEST_F(Engine, GoesOnWhereContentsCannotBeKept) {
    for (const bool undoes_all : {false, true}) {
        const std::string name = undoes_all ? "one" : "other";
        tokyo_->write(name, "hello " + name);
        for (Machine* at : {tokyo_.get(), osaka_.get()}) {
            at->keep_nothing(true, undoes_all);
            if (undoes_all) {
                full_ = true; // once
                bool again = false;
                auto out = at->client->prepare(at->folder);
                if (at == osaka_.get()) {
                    EXPECT_TRUE(out.ok());
                    EXPECT_FALSE(exchange(*at, again).has_value());
                } else {
                    EXPECT_FALSE(out.ok());
                }
                full_ = false;
            }
            sync(*at);
            at->keep_nothing(false, undoes_all);
            ASSERT_EQ(at->client->status()->size(), 1U);
            EXPECT_EQ(at->client->status()->front().unsent_files, 0U);
            at->start();
        }
        EXPECT_EQ(osaka_->content(name), "hello " + name);
    }
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
    for (const bool killed : {false, true}) {
        tokyo_->write("note", killed ? "hello again" : "hello");
        sync(*tokyo_);
        place_without_noting(*osaka_);
        if (killed) {
            osaka_->start();
        }
        const std::string more = killed ? "hello again, and more" : "hello, and more";
        osaka_->write("note", more);
        sync(*osaka_);
        sync(*osaka_);
        bool kept = false;
        const auto tree = home_->home->tree({"anna", "wiki"});
        ASSERT_TRUE(tree.ok());
        for (const auto& [path, entry] : *tree) {
            kept = kept || osaka_->content(path) == more;
        }
        EXPECT_TRUE(kept);
        if (!killed) { // else nobody knows whether it was ever there
            EXPECT_EQ(tree->size(), 1U) << "a change of what came, and no conflict";
        }
        sync(*tokyo_);
    }
}

TEST_F(Engine, SendsAsDeletedWhatWasPutInPlaceAndRemovedBeforeItWasNoted) {
    tokyo_->write("note", "hello");
    tokyo_->write("other", "hello");
    sync(*tokyo_);
    place_without_noting(*osaka_);
    static_cast<void>(::unlink(osaka_->path("note").c_str()));
    sync(*osaka_);
    sync(*osaka_);
    EXPECT_EQ(osaka_->content("note"), "(not_found)") << "it does not come back";
    EXPECT_EQ(osaka_->content("other"), "hello");
    sync(*tokyo_);
    EXPECT_EQ(tokyo_->content("note"), "(not_found)");
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

TEST_F(Engine, GoesOnWithoutAKeptContentThatCannotBeReadAnyMore) {
    std::string big = noise(2'000'000);
    tokyo_->write("big", big);
    sync(*tokyo_);
    sync(*osaka_);
    big.insert(1'000'000, "a line in the middle\n");
    tokyo_->write("big", big);
    for (Machine* at : {tokyo_.get(), osaka_.get()}) {
        const auto kept = at->disk().list("sync/client/base");
        ASSERT_TRUE(kept.ok());
        ASSERT_EQ(kept->size(), 1U);
        FullDisk& disk = at->disk();
        disk.bad = "sync/client/base/" + kept->front().name;
        disk.bad_to = kept->front().stat.size;
        disk.bad_from = disk.bad_to - 1;
        // What needs it fails once, in the middle of it.
        bool again = false;
        if (at == tokyo_.get()) {
            auto out = at->client->prepare(at->folder);
            ASSERT_FALSE(out.ok());
            EXPECT_NE(out.error().message.find("input/output error"), std::string::npos);
        } else {
            full_ = true;
            EXPECT_FALSE(exchange(*at, again).has_value());
            full_ = false;
            EXPECT_NE(last_error_.find("input/output error"), std::string::npos) << last_error_;
        }
        const Round round = sync(*at);
        // Without what it could be compared with, it goes as it is.
        EXPECT_EQ(round.up > big.size(), at == tokyo_.get()) << round.up;
        EXPECT_TRUE(osaka_->content("big") == big || at == tokyo_.get());
        EXPECT_EQ(at->client->status()->front().unsent_files, 0U);
    }
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
