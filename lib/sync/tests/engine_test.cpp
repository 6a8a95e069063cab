// Clients and the home in one process: rounds, conflicts, cuts at every message.
#include "engine_fixture.h"

#include "trust/hash.h"

#include <algorithm>

namespace hasp::sync {
namespace {

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

TEST_F(Engine, SendsABlockOfALargeFileWhereItsOldContentIsNotKept) {
    ASSERT_TRUE(tokyo_->client->set_base_bytes_max(0).ok());
    std::string big = noise(2'000'000);
    tokyo_->write("big", big);
    sync(*tokyo_);
    ASSERT_TRUE(tokyo_->disk().list("sync/client/base")->empty());
    big.insert(1'000'000, "a line in the middle\n");
    tokyo_->write("big", big);
    const Round up = sync(*tokyo_);
    EXPECT_LT(up.up, 2'500U) << "a block of 1 KB and what stands around it";
    EXPECT_GT(up.up, 1'000U);
    sync(*osaka_);
    EXPECT_TRUE(osaka_->content("big") == big);
}

TEST_F(Engine, SendsABlockOfALargeFileWhoseOldContentMadeRoomForOthers) {
    // Kept as files, and as rows.
    for (const std::size_t size : {std::size_t{1'500'000}, std::size_t{300'000}}) {
        ASSERT_TRUE(tokyo_->client->set_base_bytes_max(size * 3 / 2).ok());
        const std::string name = "first" + std::to_string(size);
        std::string big = noise(size);
        tokyo_->write(name, big);
        sync(*tokyo_);
        tokyo_->write("second", noise(size));
        sync(*tokyo_);
        big.insert(size / 2, "a line in the middle\n");
        tokyo_->write(name, big);
        const Round up = sync(*tokyo_);
        EXPECT_LT(up.up, 2'500U) << "by its signature";
        EXPECT_GT(up.up, 1'000U);
        sync(*osaka_);
        EXPECT_TRUE(osaka_->content(name) == big);
    }
}

TEST_F(Engine, SendsALargeFileWholeWhereItsKeptContentIsNotWhatItWas) {
    std::string big = noise(2'000'000);
    tokyo_->write("big", big);
    sync(*tokyo_);
    auto bases = tokyo_->disk().list("sync/client/base");
    ASSERT_TRUE(bases.ok());
    ASSERT_EQ(bases->size(), 1U);
    auto file = tokyo_->disk().append("sync/client/base/" + bases->front().name, 1'000'000);
    ASSERT_TRUE(file.ok() && (*file)->write(noise(1'000'000)).ok());
    for (const bool damaged : {true, false}) {
        big.insert(1'000'000, "a line in the middle\n");
        tokyo_->write("big", big);
        EXPECT_EQ(sync(*tokyo_).up > big.size(), damaged);
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

TEST_F(Engine, NamesTheContentThatADifferenceIsOfWhereTheHomeDecidedOtherwise) {
    const std::string text = noise(5'000);
    tokyo_->write("plan", text);
    sync(*tokyo_);
    sync(*osaka_);
    tokyo_->write("plan", text + "by tokyo");
    sync(*tokyo_);
    osaka_->write("plan", text + "by osaka");
    ends_before_apply_ = true;
    bool again = false;
    EXPECT_FALSE(exchange(*osaka_, again).has_value());
    ends_before_apply_ = false;
    osaka_->write("plan", text + "by osaka, once more");
    auto out = osaka_->client->prepare(osaka_->folder);
    ASSERT_TRUE(out.ok());
    MemoryFile bytes(osaka_->client->read(osaka_->folder.id, 0, 1 << 20).value_or(""));
    BatchReader reader(pull_from(bytes));
    Record record;
    ASSERT_TRUE(reader.head().ok());
    ASSERT_TRUE(reader.next(record).value_or(false));
    EXPECT_EQ(record.path, "plan");
    EXPECT_EQ(record.codec, Codec::compared);
    MemoryFile before(text + "by osaka");
    EXPECT_EQ(to_hex(record.basis), to_hex(digest(before)->hash));
    sync(*osaka_);
    // Where they agree again, the home knows what it is of.
    sync(*osaka_);
    const std::string agreed = osaka_->content("plan");
    osaka_->write("plan", agreed + "!");
    sync(*osaka_);
    sync(*tokyo_);
    EXPECT_EQ(tokyo_->content("plan"), agreed + "!");
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

TEST_F(Engine, LosesNoEditWhicheverLookAtTheFileItComesBefore) {
    int before = 1;
    for (bool came = true; came; ++before) {
        tokyo_->write("note", "from tokyo " + std::to_string(before));
        sync(*tokyo_);
        const std::string mine = "written while a change comes, " + std::to_string(before);
        int looks = 0;
        bool again = false;
        sync(*tokyo_);
        osaka_->disk().before_stat = [&](const std::string& path) {
            if (path == osaka_->folder.path + "/note" && ++looks == before) {
                osaka_->write("note", mine);
            }
        };
        ASSERT_TRUE(exchange(*osaka_, again).has_value());
        osaka_->disk().before_stat = nullptr;
        came = looks >= before;
        sync(*osaka_);
        sync(*tokyo_);
        const auto tree = home_->home->tree({"anna", "wiki"});
        ASSERT_TRUE(tree.ok());
        const std::string hash = trust::sha256(mine);
        const bool kept = std::any_of(tree->begin(), tree->end(),
                                      [&](const auto& one) { return one.second.hash == hash; });
        EXPECT_EQ(kept, came) << before;
    }
    EXPECT_GT(before, 4);
}

TEST_F(Engine, BringsAFileThatTakesThePlaceOfAFolderWithFiles) {
    ASSERT_TRUE(hasp::make_folders(tokyo_->path("d")).ok());
    tokyo_->write("d/x", "in it");
    tokyo_->write("other", "beside it");
    sync(*tokyo_);
    sync(*osaka_);
    ASSERT_EQ(::unlink(tokyo_->path("d/x").c_str()), 0);
    ASSERT_EQ(::rmdir(tokyo_->path("d").c_str()), 0);
    tokyo_->write("d", "a file now");
    sync(*tokyo_);
    sync(*osaka_);
    EXPECT_EQ(osaka_->content("d"), "a file now");
}

TEST_F(Engine, SaysThatABatchWasMadeBeforeTheLastLook) {
    tokyo_->write("a", "1");
    const auto first = tokyo_->client->prepare(tokyo_->folder);
    ASSERT_TRUE(first.ok());
    EXPECT_FALSE(first->resumed);
    tokyo_->write("b", "2");
    ASSERT_TRUE(tokyo_->client->look(tokyo_->folder).ok());
    const auto second = tokyo_->client->prepare(tokyo_->folder);
    ASSERT_TRUE(second.ok());
    EXPECT_EQ(second->batch, first->batch);
    EXPECT_TRUE(second->resumed) << "whoever sends it looks again afterwards";
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

} // namespace
} // namespace hasp::sync
