// Extended attributes: their bytes, and how they go from tier to tier.
#include "sync/attributes.h"

#include "attributes_fixture.h"
#include "sync/restore.h"

namespace hasp::sync {

namespace {

std::string bytes_of(const AttributeMap& attributes) {
    return write_attributes(attributes);
}

} // namespace

TEST(AttributeBytes, ComeBackAsTheyWereWritten) {
    const AttributeMap map{{"user.a", ""}, {"user.b", std::string("\0\xff", 2)}};
    EXPECT_EQ(read_attributes(bytes_of(map)).value(), map);
    EXPECT_EQ(bytes_of({}), "");
    EXPECT_EQ(read_attributes("")->size(), 0U);
}

TEST(AttributeBytes, ThatNothingWritesAreRefused) {
    const std::string good = bytes_of({{"user.a", "1"}, {"user.b", "2"}});
    for (std::size_t end = 1; end < good.size(); ++end) {
        const bool whole = end == good.size() / 2;
        EXPECT_EQ(read_attributes(good.substr(0, end)).ok(), whole) << end;
    }
    const std::string one = bytes_of({{"user.a", "1"}});
    EXPECT_FALSE(read_attributes(one + one).ok()) << "twice";
    EXPECT_FALSE(read_attributes(bytes_of({{"user.b", "1"}}) + one).ok()) << "not in order";
    for (const char* name :
         {"security.capability", "trusted.x", "system.posix_acl_access", "user.", "usera", ""}) {
        EXPECT_FALSE(read_attributes(bytes_of({{name, "1"}})).ok()) << name;
    }
    EXPECT_FALSE(read_attributes(bytes_of({{std::string("user.\0", 6), "1"}})).ok());
    EXPECT_FALSE(read_attributes(bytes_of({{"user." + std::string(251, 'n'), "1"}})).ok());
    EXPECT_TRUE(read_attributes(bytes_of({{"user." + std::string(250, 'n'), "1"}})).ok());
    EXPECT_FALSE(
        read_attributes(bytes_of({{"user.a", std::string(attributes_bytes_max, 'v')}})).ok());
}

TEST(AttributeBytes, OfTwoChangesAreBothAndTheSecondWhereTheyDiffer) {
    const std::string base = bytes_of({{"user.a", "1"}, {"user.b", "1"}, {"user.c", "1"}});
    const std::string mine = bytes_of({{"user.a", "2"}, {"user.b", "2"}, {"user.d", "new"}});
    const std::string theirs = bytes_of({{"user.a", "1"}, {"user.b", "3"}, {"user.c", "1"}});
    EXPECT_EQ(carry_over(base, theirs, mine),
              bytes_of({{"user.a", "2"}, {"user.b", "3"}, {"user.d", "new"}}));
    EXPECT_EQ(carry_over(base, base, mine), mine);
    EXPECT_EQ(carry_over(base, theirs, base), theirs);
    EXPECT_EQ(carry_over(base, "", mine), bytes_of({{"user.d", "new"}}));
    const std::string large = bytes_of({{"user.l", std::string(40'000, 'l')}});
    const std::string other = bytes_of({{"user.m", std::string(40'000, 'm')}});
    EXPECT_EQ(carry_over("", large, other), other) << "both are more than a file has";
}

TEST(AttributeBytes, BeyondTheBoundLoseOnlyWhatIsNewInMine) {
    const std::string base = bytes_of({{"user.a", "1"}, {"user.b", "1"}});
    const std::string mine = bytes_of({{"user.a", "2"}, {"user.m", std::string(40'000, 'm')}});
    const std::string theirs =
        bytes_of({{"user.a", "1"}, {"user.b", "1"}, {"user.t", std::string(40'000, 't')}});
    EXPECT_EQ(merge_attributes(base, mine, theirs),
              bytes_of({{"user.a", "2"}, {"user.t", std::string(40'000, 't')}}));
    EXPECT_EQ(merge_attributes(base, bytes_of({{"user.a", std::string(40'000, 'm')}}), theirs),
              theirs);
    EXPECT_EQ(merge_attributes("", bytes_of({{"user.m", "1"}}), bytes_of({{"user.t", "1"}})),
              bytes_of({{"user.m", "1"}, {"user.t", "1"}}));
}

TEST_F(Attributes, GoWithTheirFilesAndFoldersAndWhenTheyChangeAlone) {
    ASSERT_TRUE(hasp::make_folders(tokyo_->path("papers")).ok());
    tokyo_->write("papers/note", "text");
    set(*tokyo_, "papers/note", "user.comment", "mine");
    set(*tokyo_, "papers/note", "user.binary", std::string("\0\1\xff", 3));
    set(*tokyo_, "papers", "user.color", "red");
    both();
    EXPECT_EQ(get(*osaka_, "papers/note", "user.comment"), "mine");
    EXPECT_EQ(get(*osaka_, "papers/note", "user.binary"), std::string("\0\1\xff", 3));
    EXPECT_EQ(get(*osaka_, "papers", "user.color"), "red");
    quiet();
    struct stat before {};
    ASSERT_EQ(::stat(osaka_->path("papers/note").c_str(), &before), 0);
    clock_.advance_us(60'000'000); // so that stamps count
    quiet();
    set(*tokyo_, "papers/note", "user.comment", "another");
    drop(*tokyo_, "papers/note", "user.binary");
    set(*tokyo_, "papers", "user.color", "blue");
    tokyo_->disk().synced.clear();
    const Round up = sync(*tokyo_);
    EXPECT_LT(up.up, 300U) << "without the content";
    for (const char* path : {"/papers", "/papers/note"}) {
        EXPECT_TRUE(tokyo_->disk().synced.contains(tokyo_->folder.path + path)) << path;
    }
    EXPECT_EQ(sync(*osaka_).files, 2U);
    EXPECT_EQ(get(*osaka_, "papers/note", "user.comment"), "another");
    EXPECT_EQ(get(*osaka_, "papers/note", "user.binary"), "(none)");
    EXPECT_EQ(get(*osaka_, "papers", "user.color"), "blue");
    struct stat after {};
    ASSERT_EQ(::stat(osaka_->path("papers/note").c_str(), &after), 0);
    EXPECT_EQ(after.st_ino, before.st_ino) << "the file stays";
    EXPECT_EQ(after.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
    quiet();
    // With the content, in another file's place; and away again.
    tokyo_->write("papers/note", "another text");
    both();
    EXPECT_EQ(get(*osaka_, "papers/note", "user.comment"), "another");
    drop(*tokyo_, "papers/note", "user.comment");
    tokyo_->write("papers/note", "a third text");
    both();
    EXPECT_EQ(get(*osaka_, "papers/note", "user.comment"), "(none)");
    quiet();
}

TEST_F(Attributes, AreSeenWhereOneFileIsLookedAtAlone) {
    tokyo_->write("note", "text");
    tokyo_->client->watch_begins(tokyo_->folder.id);
    clock_.advance_us(60'000'000);
    both();
    set(*tokyo_, "note", "user.a", "1");
    Noticed noticed;
    noticed.paths.insert("note");
    tokyo_->client->note(tokyo_->folder.id, noticed);
    both();
    EXPECT_EQ(get(*osaka_, "note", "user.a"), "1");
    ASSERT_EQ(::rename(tokyo_->path("note").c_str(), tokyo_->path("renamed").c_str()), 0);
    noticed = {};
    noticed.paths = {"note", "renamed"};
    noticed.moves.push_back({"note", "renamed"});
    tokyo_->client->note(tokyo_->folder.id, noticed);
    both();
    EXPECT_EQ(get(*osaka_, "renamed", "user.a"), "1");
    quiet();
}

TEST_F(Attributes, OfBothSidesAreMerged) {
    tokyo_->write("note", "text");
    set(*tokyo_, "note", "user.a", "1");
    set(*tokyo_, "note", "user.b", "1");
    both();
    set(*tokyo_, "note", "user.a", "by tokyo");
    set(*tokyo_, "note", "user.t", "new");
    set(*osaka_, "note", "user.a", "by osaka");
    drop(*osaka_, "note", "user.b");
    osaka_->write("note", "edited by osaka");
    both();
    sync(*osaka_);
    for (Machine* at : {tokyo_.get(), osaka_.get()}) {
        EXPECT_EQ(get(*at, "note", "user.a"), "by tokyo") << "the home's counts";
        EXPECT_EQ(get(*at, "note", "user.b"), "(none)");
        EXPECT_EQ(get(*at, "note", "user.t"), "new");
        EXPECT_EQ(at->content("note"), "edited by osaka");
    }
    EXPECT_EQ(home_->home->tree({"anna", "wiki"})->size(), 1U) << "no conflict";
    quiet();
}

TEST_F(Attributes, AreKeptWithVersionsAndRestoredWithThem) {
    tokyo_->write("note", "first");
    set(*tokyo_, "note", "user.a", "first");
    both();
    clock_.advance_us(5'000'000);
    const std::int64_t then = clock_.wall_us();
    clock_.advance_us(5'000'000);
    tokyo_->write("note", "second");
    set(*tokyo_, "note", "user.a", "second");
    set(*tokyo_, "note", "user.b", "too");
    both();
    RestoreWish wish;
    wish.user = "anna";
    wish.app = "wiki";
    wish.path = "note";
    wish.at_us = then;
    wish.who = "anna@desk";
    ASSERT_EQ(home_->home->restore(wish)->restored, 1U);
    both();
    for (Machine* at : {tokyo_.get(), osaka_.get()}) {
        EXPECT_EQ(at->content("note"), "first");
        EXPECT_EQ(get(*at, "note", "user.a"), "first");
        EXPECT_EQ(get(*at, "note", "user.b"), "(none)");
    }
    quiet();
}

TEST_F(Attributes, AloneAreRestoredAndWhatHasNotChangedIsLeft) {
    ASSERT_TRUE(hasp::make_folders(tokyo_->path("papers")).ok());
    tokyo_->write("papers/note", "text");
    tokyo_->write("papers/other", "text");
    set(*tokyo_, "papers", "user.a", "first");
    set(*tokyo_, "papers/note", "user.a", "first");
    set(*tokyo_, "papers/other", "user.a", "first");
    both();
    clock_.advance_us(5'000'000);
    RestoreWish wish;
    wish.user = "anna";
    wish.app = "wiki";
    wish.path = "papers";
    wish.at_us = clock_.wall_us();
    wish.who = "anna@desk";
    EXPECT_EQ(home_->home->restore(wish)->restored, 0U) << "nothing has changed";
    clock_.advance_us(5'000'000);
    set(*tokyo_, "papers/note", "user.a", "second");
    both();
    EXPECT_EQ(home_->home->restore(wish)->restored, 1U);
    both();
    EXPECT_EQ(get(*tokyo_, "papers/note", "user.a"), "first");
    EXPECT_EQ(get(*osaka_, "papers/note", "user.a"), "first");
    drop(*osaka_, "papers/note", "user.a");
    both();
    sync(*osaka_);
    both();
    EXPECT_EQ(get(*tokyo_, "papers/note", "user.a"), "(none)");
    EXPECT_EQ(home_->home->restore(wish)->restored, 1U) << "where there are none now";
    both();
    EXPECT_EQ(get(*tokyo_, "papers/note", "user.a"), "first");
    quiet();
}

TEST_F(Attributes, OfAVersionFromBeforeTheyWereKeptAreWhatStandsNow) {
    tokyo_->write("note", "first");
    both();
    clock_.advance_us(5'000'000);
    RestoreWish wish;
    wish.user = "anna";
    wish.app = "wiki";
    wish.path = "note";
    wish.at_us = clock_.wall_us();
    wish.who = "anna@desk";
    clock_.advance_us(5'000'000);
    tokyo_->write("note", "second");
    set(*tokyo_, "note", "user.a", "1");
    both();
    home_->forget_attributes_of_versions();
    ASSERT_EQ(home_->home->restore(wish)->restored, 1U);
    both();
    for (Machine* at : {tokyo_.get(), osaka_.get()}) {
        EXPECT_EQ(at->content("note"), "first");
        EXPECT_EQ(get(*at, "note", "user.a"), "1");
    }
    quiet();
}

TEST_F(Attributes, ThatComeForOneNameOfAFileAreNotThoseOfTheOther) {
    tokyo_->write("one", "text");
    tokyo_->write("two", "text");
    both();
    ASSERT_EQ(::unlink(osaka_->path("two").c_str()), 0);
    ASSERT_EQ(::link(osaka_->path("one").c_str(), osaka_->path("two").c_str()), 0);
    sync(*osaka_);
    both();
    set(*tokyo_, "one", "user.a", "1");
    ASSERT_EQ(::chmod(tokyo_->path("one").c_str(), 0600), 0);
    both();
    both();
    for (Machine* at : {tokyo_.get(), osaka_.get()}) {
        EXPECT_EQ(get(*at, "one", "user.a"), "1");
        EXPECT_EQ(get(*at, "two", "user.a"), "(none)");
        EXPECT_EQ(at->content("one"), "text");
    }
    quiet();
}

TEST_F(Attributes, SetByANameThatIsGoneAreSeenUnderTheOther) {
    tokyo_->write("one", "text");
    ASSERT_EQ(::link(tokyo_->path("one").c_str(), tokyo_->path("two").c_str()), 0);
    tokyo_->client->watch_begins(tokyo_->folder.id);
    clock_.advance_us(60'000'000);
    both();
    set(*tokyo_, "one", "user.a", "1");
    ASSERT_EQ(::unlink(tokyo_->path("one").c_str()), 0);
    Noticed noticed;
    noticed.paths.insert("one");
    tokyo_->client->note(tokyo_->folder.id, noticed);
    both();
    EXPECT_EQ(get(*osaka_, "two", "user.a"), "1");
}

TEST_F(Attributes, AreNotLostToATierThatHasNoneNorToOneThatKnowsNothingOfThem) {
    for (const bool older : {false, true}) {
        const std::string name = older ? "plan" : "note";
        tokyo_->write(name, "first");
        set(*tokyo_, name, "user.a", "1");
        both();
        osaka_->disk().without_attributes = !older;
        if (!older) {
            tokyo_->write("another", "comes to where none can be set");
            set(*tokyo_, "another", "user.b", "1");
            both();
            EXPECT_EQ(get(*osaka_, "another", "user.b"), "(none)");
        }
        format_ = older ? batch_format_scanned : batch_format_newest;
        sync(*osaka_); // and learns what its home takes
        osaka_->write(name, "edited by osaka");
        sync(*osaka_);
        osaka_->write("another", "edited by osaka");
        sync(*osaka_);
        format_ = batch_format_newest;
        sync(*tokyo_);
        EXPECT_EQ(tokyo_->content(name), "edited by osaka");
        EXPECT_EQ(get(*tokyo_, name, "user.a"), "1");
        EXPECT_EQ(tokyo_->content("another"), "edited by osaka");
        EXPECT_EQ(get(*tokyo_, "another", "user.b"), "1");
        // What is set there goes up as soon as it can.
        osaka_->disk().without_attributes = false;
        set(*osaka_, name, "user.o", "by osaka");
        format_ = older ? batch_format_scanned : batch_format_newest;
        tokyo_->write(name, "edited by tokyo");
        sync(*osaka_);
        format_ = batch_format_newest;
        for (int i = 0; i < 3; ++i) {
            both();
        }
        for (Machine* at : {tokyo_.get(), osaka_.get()}) {
            EXPECT_EQ(at->content(name), "edited by tokyo");
            EXPECT_EQ(get(*at, name, "user.o"), "by osaka") << older;
        }
        quiet();
    }
}

TEST_F(Attributes, OfWhatATierHasAlreadyComeToItWhenItIsMetFirst) {
    tokyo_->write("f", "text");
    set(*tokyo_, "f", "user.a", "1");
    both();
    Machine kyoto(folder_ + "/kyoto", clock_, random_, false);
    kyoto.write("f", "text"); // as a copy of files has it that leaves attributes out
    std::filesystem::last_write_time(kyoto.path("f"),
                                     std::filesystem::last_write_time(tokyo_->path("f")));
    sync(kyoto);
    EXPECT_EQ(get(kyoto, "f", "user.a"), "1");
    kyoto.write("f", "edited");
    sync(kyoto);
    both();
    EXPECT_EQ(tokyo_->content("f"), "edited");
    EXPECT_EQ(get(*tokyo_, "f", "user.a"), "1");
}

TEST_F(Attributes, ThatABatchCouldNotSayAreNotTakenForAgreedOn) {
    for (const char* name : {"a", "b"}) {
        tokyo_->write(name, "text");
    }
    both();
    tokyo_->batches.operations = 1;
    tokyo_->start();
    for (const char* name : {"a", "b"}) {
        set(*tokyo_, name, "user.a", "1");
        tokyo_->write(name, "edited");
    }
    // Looked at for a home that knows them; then it is one that does not, and the rest goes there.
    format_ = batch_format_scanned;
    ASSERT_GE(sync(*tokyo_).exchanges, 2U);
    format_ = batch_format_newest;
    sync(*osaka_);
    osaka_->write("b", "edited by osaka");
    sync(*osaka_);
    both();
    for (Machine* at : {tokyo_.get(), osaka_.get()}) {
        EXPECT_EQ(at->content("b"), "edited by osaka");
        for (const char* name : {"a", "b"}) {
            EXPECT_EQ(get(*at, name, "user.a"), "1") << name;
        }
    }
    quiet();
}

TEST_F(Attributes, ThatABatchCouldNotSayAreRemovedAreRemovedByTheNext) {
    for (const char* name : {"a", "b"}) {
        tokyo_->write(name, "text");
        set(*tokyo_, name, "user.a", "1");
        set(*tokyo_, name, "user.b", "1");
    }
    both();
    tokyo_->batches.operations = 1;
    tokyo_->start();
    for (const char* name : {"a", "b"}) {
        drop(*tokyo_, name, "user.a");
        tokyo_->write(name, "edited");
    }
    // Looked at for a home that knows them; then it is one that does not, and the rest goes there.
    format_ = batch_format_scanned;
    ASSERT_GE(sync(*tokyo_).exchanges, 2U);
    clock_.advance_us(60'000'000); // so that stamps count
    sync(*tokyo_);
    tokyo_->start();
    format_ = batch_format_newest;
    for (int i = 0; i < 2; ++i) {
        both();
    }
    for (Machine* at : {tokyo_.get(), osaka_.get()}) {
        for (const char* name : {"a", "b"}) {
            EXPECT_EQ(at->content(name), "edited");
            EXPECT_EQ(get(*at, name, "user.a"), "(none)") << name;
            EXPECT_EQ(get(*at, name, "user.b"), "1") << name;
        }
    }
    quiet();
}

TEST_F(Attributes, ThatChangedWhileTheHomeKnewNoneGoUpWhenItDoes) {
    for (const bool watched : {false, true}) {
        const std::string name = watched ? "plan" : "note";
        tokyo_->write(name, "text");
        set(*tokyo_, name, "user.b", "1");
        tokyo_->write(name + "2", "text");
        both();
        if (watched) {
            tokyo_->client->watch_begins(tokyo_->folder.id);
        }
        clock_.advance_us(60'000'000); // so that stamps count
        both();
        format_ = batch_format_scanned;
        sync(*tokyo_); // and learns what its home takes
        drop(*tokyo_, name, "user.b");
        set(*tokyo_, name, "user.c", "new");
        set(*tokyo_, name + "2", "user.a", "new");
        if (watched) {
            Noticed noticed;
            noticed.paths = {name, name + "2"};
            tokyo_->client->note(tokyo_->folder.id, noticed);
        }
        sync(*tokyo_);
        clock_.advance_us(60'000'000);
        sync(*tokyo_);
        sync(*tokyo_);
        format_ = batch_format_newest;
        both();
        EXPECT_EQ(get(*osaka_, name, "user.b"), "(none)") << watched;
        EXPECT_EQ(get(*osaka_, name, "user.c"), "new") << watched;
        EXPECT_EQ(get(*osaka_, name + "2", "user.a"), "new") << watched;
        quiet();
    }
}

TEST_F(Attributes, ThatCannotBeReadStopNoOtherFile) {
    for (const char* name : {"a", "b"}) {
        tokyo_->write(name, "text");
        set(*tokyo_, name, "user.a", "1");
    }
    both();
    clock_.advance_us(60'000'000);
    for (const Code code : {Code::failed, Code::try_later}) {
        const std::string value = code == Code::failed ? "2" : "3";
        for (const char* name : {"a", "b"}) {
            tokyo_->write(name, "edited " + value);
            set(*tokyo_, name, "user.a", value);
        }
        tokyo_->disk().unreadable_attributes[tokyo_->folder.path + "/a"] = code;
        both();
        EXPECT_EQ(osaka_->content("b"), "edited " + value);
        EXPECT_EQ(get(*osaka_, "b", "user.a"), value);
        EXPECT_EQ(tokyo_->client->status()->at(0).attributes_left, code == Code::failed ? 1U : 0U);
        clock_.advance_us(60'000'000);
        both();
        EXPECT_NE(get(*osaka_, "a", "user.a"), value) << "nobody knows it";
        EXPECT_NE(get(*osaka_, "a", "user.a"), "(none)");
        tokyo_->disk().unreadable_attributes.clear();
        both();
        EXPECT_EQ(osaka_->content("a"), "edited " + value);
        EXPECT_EQ(get(*osaka_, "a", "user.a"), value);
        EXPECT_EQ(tokyo_->client->status()->at(0).attributes_left, 0U);
        quiet();
    }
}

TEST_F(Attributes, BeyondTheirBoundStayWhereTheyAreAndAreCounted) {
    tokyo_->write("note", "text");
    set(*tokyo_, "note", "user.a", "1");
    both();
    EXPECT_EQ(tokyo_->client->status()->at(0).attributes_left, 0U);
    tokyo_->disk().too_many_attributes = tokyo_->folder.path + "/note";
    tokyo_->write("note", "edited");
    both();
    EXPECT_EQ(osaka_->content("note"), "edited");
    EXPECT_EQ(get(*osaka_, "note", "user.a"), "1") << "as they were";
    EXPECT_EQ(tokyo_->client->status()->at(0).attributes_left, 1U);
    tokyo_->disk().too_many_attributes.clear();
    set(*tokyo_, "note", "user.a", "2");
    both();
    EXPECT_EQ(get(*osaka_, "note", "user.a"), "2");
    EXPECT_EQ(tokyo_->client->status()->at(0).attributes_left, 0U);
}

TEST_F(Attributes, BeyondTheirBoundSurviveAChangeOfMetadataFromElsewhere) {
    ASSERT_TRUE(hasp::make_folders(tokyo_->path("papers")).ok());
    tokyo_->write("note", "text");
    for (const char* path : {"note", "papers"}) {
        set(*tokyo_, path, "user.a", "1");
        set(*tokyo_, path, "user.b", "1");
    }
    both();
    for (const char* path : {"note", "papers"}) {
        osaka_->disk().too_many_attributes = osaka_->folder.path + "/" + path;
        set(*osaka_, path, "user.big", "one of many");
        sync(*osaka_);
        ASSERT_EQ(::chmod(tokyo_->path(path).c_str(), 0750), 0);
        both();
        EXPECT_EQ(get(*osaka_, path, "user.a"), "1") << path;
        EXPECT_EQ(get(*osaka_, path, "user.big"), "one of many") << path;
        set(*tokyo_, path, "user.a", "2");
        drop(*tokyo_, path, "user.b");
        both();
        EXPECT_EQ(get(*osaka_, path, "user.a"), "2") << path;
        EXPECT_EQ(get(*osaka_, path, "user.b"), "(none)") << path;
        EXPECT_EQ(get(*osaka_, path, "user.big"), "one of many") << path;
        osaka_->disk().too_many_attributes.clear();
        both();
        sync(*tokyo_);
        EXPECT_EQ(get(*tokyo_, path, "user.big"), "one of many") << path;
        quiet();
    }
}

TEST_F(Attributes, OfAFolderThatAreSetWhileSomethingComesStay) {
    ASSERT_TRUE(hasp::make_folders(tokyo_->path("papers")).ok());
    both();
    set(*tokyo_, "papers", "user.t", "by tokyo");
    sync(*tokyo_);
    sync(*osaka_); // and looks at nothing that differs
    set(*tokyo_, "papers", "user.t", "again");
    sync(*tokyo_);
    // In the look, twice where it is staged, and a last time before it is put in place.
    int stats = 0;
    int last = 0;
    const std::string papers = osaka_->folder.path + "/papers";
    bool again = false;
    osaka_->disk().before_stat = [&](const std::string& path) {
        if (path == papers && ++stats == 4) {
            set(*osaka_, "papers", "user.o", "by osaka");
            last = stats;
        }
    };
    ASSERT_TRUE(exchange(*osaka_, again).has_value());
    osaka_->disk().before_stat = {};
    EXPECT_EQ(last, 4);
    EXPECT_EQ(get(*osaka_, "papers", "user.t"), "again");
    EXPECT_EQ(get(*osaka_, "papers", "user.o"), "by osaka");
    both();
    sync(*tokyo_);
    EXPECT_EQ(get(*tokyo_, "papers", "user.o"), "by osaka");
    quiet();
}

TEST_F(Attributes, CountInWhatABatchAndAPartOfAnAnswerHold) {
    tokyo_->batches.attribute_bytes = 1000;
    tokyo_->start();
    home_->answers.attribute_bytes = 1000;
    home_->start();
    for (const char* name : {"a", "b", "c", "d", "e", "f"}) {
        tokyo_->write(name, std::string("text of ") + name);
        set(*tokyo_, name, "user.a", std::string(600, name[0]));
    }
    sync(*tokyo_); // and learns what its home takes
    EXPECT_EQ(sync(*tokyo_).exchanges, 1U);
    EXPECT_EQ(home_->home->tree({"anna", "wiki"})->size(), 6U);
    EXPECT_GE(sync(*osaka_).exchanges, 3U);
    // All of one revision, too.
    tokyo_->batches.attribute_bytes = 1'000'000;
    tokyo_->start();
    for (const char* name : {"a", "b", "c", "d", "e", "f"}) {
        set(*tokyo_, name, "user.a", std::string(700, name[0]));
    }
    EXPECT_EQ(sync(*tokyo_).exchanges, 1U);
    EXPECT_GE(sync(*osaka_).exchanges, 3U);
    for (const char* name : {"a", "b", "c", "d", "e", "f"}) {
        EXPECT_EQ(get(*osaka_, name, "user.a"), std::string(700, name[0]));
    }
    quiet();
    // And of what a batch met, whatever comes with its verdicts.
    for (const char* name : {"a", "b", "c", "d", "e", "f"}) {
        set(*tokyo_, name, "user.a", std::string(800, 't'));
        set(*osaka_, name, "user.a", std::string(800, 'o'));
        set(*osaka_, name, "user.b", "by osaka");
    }
    sync(*tokyo_);
    EXPECT_GE(sync(*osaka_).exchanges, 2U);
    sync(*tokyo_);
    for (Machine* at : {tokyo_.get(), osaka_.get()}) {
        for (const char* name : {"a", "b", "c", "d", "e", "f"}) {
            EXPECT_EQ(get(*at, name, "user.a"), std::string(800, 't'));
            EXPECT_EQ(get(*at, name, "user.b"), "by osaka");
        }
    }
    quiet();
}

TEST_F(Attributes, ThatAPowerCutUndidBeforeTheyWereNotedAreSetAgain) {
    ASSERT_TRUE(hasp::make_folders(tokyo_->path("papers")).ok());
    tokyo_->write("note", "text");
    for (const char* path : {"note", "papers"}) {
        set(*tokyo_, path, "user.a", "1");
        set(*tokyo_, path, "user.b", "1");
    }
    both();
    for (const char* path : {"note", "papers"}) {
        set(*tokyo_, path, "user.a", "2");
        drop(*tokyo_, path, "user.b");
        set(*tokyo_, path, "user.c", "1");
    }
    sync(*tokyo_);
    place_without_noting(*osaka_);
    for (const char* path : {"note", "papers"}) { // nothing of it reached the disk
        set(*osaka_, path, "user.a", "1");
        set(*osaka_, path, "user.b", "1");
        drop(*osaka_, path, "user.c");
    }
    osaka_->start();
    both();
    for (Machine* at : {tokyo_.get(), osaka_.get()}) {
        for (const char* path : {"note", "papers"}) {
            EXPECT_EQ(get(*at, path, "user.a"), "2") << path;
            EXPECT_EQ(get(*at, path, "user.b"), "(none)") << path;
            EXPECT_EQ(get(*at, path, "user.c"), "1") << path;
        }
    }
    quiet();
}

TEST_F(Attributes, ChangedBeforeTheyWereNotedAreAChangeOfWhoeverDidIt) {
    ASSERT_TRUE(hasp::make_folders(tokyo_->path("papers")).ok());
    tokyo_->write("note", "text");
    for (const char* path : {"note", "papers"}) {
        for (const char* name : {"user.a", "user.b", "user.c"}) {
            set(*tokyo_, path, name, "1");
        }
    }
    sync(*tokyo_);
    place_without_noting(*osaka_);
    for (const char* path : {"note", "papers"}) {
        drop(*osaka_, path, "user.a");
        set(*osaka_, path, "user.b", "2");
        set(*osaka_, path, "user.d", "1");
    }
    sync(*osaka_);
    both();
    for (Machine* at : {tokyo_.get(), osaka_.get()}) {
        for (const char* path : {"note", "papers"}) {
            EXPECT_EQ(get(*at, path, "user.a"), "(none)") << path;
            EXPECT_EQ(get(*at, path, "user.b"), "2") << path;
            EXPECT_EQ(get(*at, path, "user.c"), "1") << path;
            EXPECT_EQ(get(*at, path, "user.d"), "1") << path;
        }
    }
    quiet();
}

TEST_F(Attributes, AreSetOnAFileThatItsOwnerMayNotWriteAndAfterACrash) {
    tokyo_->write("locked", "text");
    set(*tokyo_, "locked", "user.a", "1");
    ASSERT_EQ(::chmod(tokyo_->path("locked").c_str(), 0400), 0);
    sync(*tokyo_);
    place_without_noting(*osaka_);
    osaka_->start();
    sync(*osaka_);
    EXPECT_EQ(get(*osaka_, "locked", "user.a"), "1");
    ASSERT_EQ(::chmod(tokyo_->path("locked").c_str(), 0600), 0);
    set(*tokyo_, "locked", "user.a", "2");
    ASSERT_EQ(::chmod(tokyo_->path("locked").c_str(), 0400), 0);
    both();
    EXPECT_EQ(get(*osaka_, "locked", "user.a"), "2");
    struct stat st {};
    ASSERT_EQ(::stat(osaka_->path("locked").c_str(), &st), 0);
    EXPECT_EQ(st.st_mode & 07777U, 0400U);
    quiet();
}

} // namespace hasp::sync
