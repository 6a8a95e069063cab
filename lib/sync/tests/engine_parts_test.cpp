// Large folders: answers in parts.
#include "engine_parts.h"

namespace hasp::sync {
namespace {

TEST_F(Parts, ARevisionThatIsLargerThanAnAnswerComesInSeveral) {
    fill(*tokyo_);
    in_one_batch(*tokyo_);
    ASSERT_EQ(home_->home->revision({"anna", "wiki"})->number, 1U);
    const Round all = sync(*osaka_);
    EXPECT_EQ(all.files, 34U);
    EXPECT_EQ(all.exchanges, 7U);
    EXPECT_EQ(all.skipped, 0U);
    expect_equal();
}

TEST_F(Parts, ManySmallRevisionsComeTogetherUpToTheBounds) {
    for (int i = 0; i < 23; ++i) {
        tokyo_->write(numbered("file", i), noise(100));
        sync(*tokyo_);
    }
    EXPECT_EQ(sync(*osaka_).exchanges, 5U);
    expect_equal();
}

TEST_F(Parts, AnAnswerEndsWithTheFileThatBringsItToItsContent) {
    home_->answers = {1'000, 10'000};
    home_->start();
    for (int i = 0; i < 10; ++i) {
        tokyo_->write(numbered("file", i), noise(6'000));
    }
    tokyo_->write("large", noise(50'000));
    in_one_batch(*tokyo_);
    EXPECT_EQ(sync(*osaka_).exchanges, 6U);
    expect_equal();
}

TEST_F(Parts, WhoTakesNoPartsGetsAllAtOnce) {
    fill(*tokyo_);
    sync(*tokyo_);
    format_ = batch_format_compared;
    EXPECT_EQ(sync(*osaka_).exchanges, 1U);
    expect_equal();
}

TEST_F(Parts, GoOnWhereTheyWereAfterACrashBetweenAnyTwo) {
    fill(*tokyo_);
    in_one_batch(*tokyo_);
    std::uint64_t parts = 0;
    std::uint64_t down = 0;
    for (bool again = true; again; ++parts) {
        ASSERT_LT(parts, 10U);
        again = false;
        auto round = exchange(*osaka_, again);
        ASSERT_TRUE(round.has_value());
        down += round->down;
        osaka_->start();
        home_->start();
    }
    EXPECT_EQ(parts, 7U) << "none came twice";
    EXPECT_LT(down, 40'000U);
    expect_equal();
}

TEST_F(Parts, GoOnWhereTheyWereAfterACutInAnyOfThem) {
    fill(*tokyo_);
    in_one_batch(*tokyo_);
    std::uint64_t cuts = 0;
    for (bool done = false; !done; ++cuts) {
        ASSERT_LT(cuts, 10U);
        // Enough for one part, but not for two.
        messages_left_ = 10;
        bool again = true;
        bool got = true;
        while (got && again) {
            got = exchange(*osaka_, again).has_value();
        }
        done = got;
        osaka_->start();
    }
    messages_left_ = -1;
    EXPECT_GE(cuts, 4U);
    expect_equal();
}

TEST_F(Parts, GoOnAfterOneThatCouldNotBePutInPlace) {
    fill(*tokyo_);
    in_one_batch(*tokyo_);
    ASSERT_TRUE(one_exchange(*osaka_));
    place_without_noting(*osaka_);
    osaka_->start();
    dies_before_apply_ = true;
    bool again = false;
    EXPECT_FALSE(exchange(*osaka_, again).has_value());
    dies_before_apply_ = false;
    EXPECT_EQ(sync(*osaka_).conflicts, 0U);
    expect_equal();
    EXPECT_EQ(contents(*osaka_).size(), 34U);
}

TEST_F(Parts, WhatChangesAtTheHomeMeanwhileComesToo) {
    for (int turn = 1; turn < 7; ++turn) {
        SCOPED_TRACE(turn);
        fill(*tokyo_);
        in_one_batch(*tokyo_);
        for (int i = 0; i < turn; ++i) {
            ASSERT_TRUE(one_exchange(*osaka_));
        }
        // Of what came and of what did not come yet.
        tokyo_->write("a/deep/er/0", "another");
        tokyo_->write("c9", "another");
        remove(*tokyo_, "a/deep/er/1");
        remove(*tokyo_, "c8");
        remove(*tokyo_, "b");
        tokyo_->write("b", "a file now");
        tokyo_->write("a/new", "new");
        ASSERT_EQ(::chmod(tokyo_->path("a").c_str(), 0700), 0);
        sync(*tokyo_);
        sync(*osaka_);
        EXPECT_EQ(osaka_->content("b"), "a file now");
        expect_equal();
        fresh();
    }
}

TEST_F(Parts, AFolderThatWasChangedAfterWhatIsInItComesWithIt) {
    folder(*tokyo_, "a/b");
    for (int i = 0; i < 12; ++i) {
        tokyo_->write(numbered("a/b/", i), "text");
    }
    in_one_batch(*tokyo_);
    for (const char* name : {"a/b", "a"}) {
        ASSERT_EQ(::chmod(tokyo_->path(name).c_str(), 0750), 0);
        sync(*tokyo_);
    }
    ASSERT_TRUE(one_exchange(*osaka_));
    EXPECT_EQ(osaka_->content("a/b/0"), "text");
    sync(*osaka_);
    expect_equal();
}

TEST_F(Parts, AnotherKindTakesThePlaceOfWhatIsRemovedInAnotherPart) {
    home_->answers.rows = 3;
    home_->start();
    folder(*tokyo_, "a/b");
    for (int i = 0; i < 10; ++i) {
        tokyo_->write(numbered("a/b/", i), "text");
        tokyo_->write(numbered("file", i), "text");
    }
    sync(*tokyo_);
    sync(*osaka_);
    for (int back = 0; back < 2; ++back) {
        remove(*tokyo_, "a");
        tokyo_->write("a", "a file now");
        for (int i = 0; i < 10; ++i) {
            remove(*tokyo_, numbered("file", i));
            folder(*tokyo_, numbered("file", i));
            tokyo_->write(numbered("file", i) + "/in it", "text");
        }
        in_one_batch(*tokyo_);
        const Round round = sync(*osaka_);
        EXPECT_GT(round.exchanges, 3U);
        EXPECT_EQ(round.conflicts + round.skipped, 0U);
        EXPECT_EQ(osaka_->content("a"), "a file now");
        EXPECT_EQ(osaka_->content("file9/in it"), "text");
        expect_equal();
        remove(*tokyo_, "a");
        folder(*tokyo_, "a/b");
        for (int i = 0; i < 10; ++i) {
            tokyo_->write(numbered("a/b/", i), "again");
            remove(*tokyo_, numbered("file", i));
            tokyo_->write(numbered("file", i), "text");
        }
        in_one_batch(*tokyo_);
        EXPECT_EQ(sync(*osaka_).skipped, 0U);
        expect_equal();
    }
}

TEST_F(Parts, WhatMovesGoesWithOneAndComesWithAnotherWithoutItsContent) {
    fill(*tokyo_);
    tokyo_->write("large", noise(2 << 20));
    sync(*tokyo_);
    sync(*osaka_);
    std::filesystem::rename(tokyo_->path("a"), tokyo_->path("moved"));
    std::filesystem::rename(tokyo_->path("large"), tokyo_->path("moved/large"));
    in_one_batch(*tokyo_);
    const Round moved = sync(*osaka_);
    EXPECT_GT(moved.exchanges, 3U);
    EXPECT_LT(moved.down, 5'000U);
    expect_equal();
    // What no file has any more is not kept beyond the last part.
    const auto kept = [this] {
        const std::filesystem::path bases = folder_ + "/osaka/sync/client/base";
        int files = 0;
        for (const auto& one : std::filesystem::recursive_directory_iterator(bases)) {
            files += one.is_regular_file() ? 1 : 0;
        }
        return files;
    };
    EXPECT_EQ(kept(), 1);
    remove(*tokyo_, "moved");
    in_one_batch(*tokyo_);
    EXPECT_GT(sync(*osaka_).exchanges, 2U);
    EXPECT_EQ(kept(), 0);
    expect_equal();
}

TEST_F(Parts, NothingOfOnesOwnIsLostToWhatComes) {
    for (int turn = 0; turn < 6; ++turn) {
        SCOPED_TRACE(turn);
        const std::string mine = numbered("mine", turn);
        fill(*tokyo_);
        in_one_batch(*tokyo_);
        for (int i = 0; i < turn; ++i) {
            ASSERT_TRUE(one_exchange(*osaka_));
        }
        folder(*osaka_, "a/deep/er");
        folder(*osaka_, "b");
        for (const char* name : {"a/deep/er/0", "b/5", "c9", "b/own"}) {
            osaka_->write(name, mine);
        }
        sync(*osaka_);
        expect_equal();
        int kept = 0;
        for (const auto& [path, content] : contents(*tokyo_)) {
            kept += content == mine ? 1 : 0;
        }
        EXPECT_EQ(kept, 4);
        EXPECT_EQ(osaka_->content("b/own"), mine);
        fresh();
    }
}

TEST_F(Parts, WhatHadToWaitInOneOfThemComesAfterTheLast) {
    fill(*tokyo_);
    in_one_batch(*tokyo_);
    auto out = osaka_->client->prepare(osaka_->folder);
    auto answer = home_->home->exchange(
        {osaka_->folder.id, "", out->since, "anna@osaka", false, false, out->reads, out->after});
    auto bytes = home_->home->read(answer->file, 0, 1 << 20);
    ASSERT_TRUE(osaka_->client->take(osaka_->folder.id, 0, *bytes).ok());
    folder(*osaka_, "a/deep/er");
    osaka_->write("a/deep/er/0", "by osaka"); // between the look and what comes
    ASSERT_TRUE(osaka_->client->arrived(osaka_->folder).ok());
    ASSERT_EQ(osaka_->client->apply(osaka_->folder, false)->skipped, 1U);
    EXPECT_EQ(osaka_->content("a/deep/er/0"), "by osaka");
    bool again = true;
    std::uint64_t waits = 0;
    while (again) { // the same round: nobody looks
        auto round = exchange(*osaka_, again);
        ASSERT_TRUE(round.has_value());
        waits = round->skipped;
    }
    EXPECT_GT(waits, 0U) << "the round says that there must be another";
    EXPECT_EQ(sync(*osaka_).conflicts, 1U);
    expect_equal();
    EXPECT_EQ(contents(*osaka_).size(), 35U);
}

TEST_F(Parts, WhatWasSentBetweenThemDoesNotComeBack) {
    fill(*tokyo_);
    in_one_batch(*tokyo_);
    ASSERT_TRUE(one_exchange(*osaka_));
    osaka_->write("own", noise(50'000));
    const Round rest = sync(*osaka_);
    EXPECT_GT(rest.up, 50'000U);
    EXPECT_LT(rest.down, 40'000U);
    expect_equal();
}

TEST_F(Parts, AHomeThatWasRestoredBetweenThemIsNoticed) {
    fill(*tokyo_);
    sync(*tokyo_);
    const std::filesystem::path center = folder_ + "/center";
    home_->stop();
    std::filesystem::copy(center, folder_ + "/backup", std::filesystem::copy_options::recursive);
    home_->start();
    for (int i = 0; i < 20; ++i) {
        tokyo_->write(numbered("later", i), "text");
    }
    sync(*tokyo_);
    for (int i = 0; i < 9; ++i) {
        ASSERT_TRUE(one_exchange(*osaka_));
    }
    home_->stop();
    std::filesystem::remove_all(center);
    std::filesystem::rename(folder_ + "/backup", center);
    home_->start();
    bool again = false;
    EXPECT_FALSE(exchange(*osaka_, again).has_value());
    EXPECT_NE(last_error_.find("was restored from a backup"), std::string::npos) << last_error_;
}

// What was sent between two parts is agreed on, with a number that the parts have not reached.
TEST_F(Parts, AHomeThatLostWhatWasSentBetweenThemIsNoticed) {
    fill(*tokyo_);
    sync(*tokyo_);
    const std::filesystem::path center = folder_ + "/center";
    home_->stop();
    std::filesystem::copy(center, folder_ + "/backup", std::filesystem::copy_options::recursive);
    home_->start();
    ASSERT_TRUE(one_exchange(*osaka_));
    osaka_->write("own", "by osaka");
    ASSERT_TRUE(one_exchange(*osaka_));
    ASSERT_TRUE(home_->home->tree({"anna", "wiki"})->contains("own"));
    home_->stop();
    std::filesystem::remove_all(center);
    std::filesystem::rename(folder_ + "/backup", center);
    home_->start();
    osaka_->start();
    bool again = false;
    EXPECT_FALSE(exchange(*osaka_, again).has_value());
    EXPECT_NE(last_error_.find("was restored from a backup"), std::string::npos) << last_error_;
    ASSERT_TRUE(osaka_->client->begin_anew(osaka_->folder.id).ok());
    sync(*osaka_);
    EXPECT_TRUE(home_->home->tree({"anna", "wiki"})->contains("own"));
    expect_equal();
}

TEST_F(Parts, StayHadWhereVerdictsComeAlone) {
    fill(*tokyo_);
    in_one_batch(*tokyo_);
    ASSERT_TRUE(one_exchange(*osaka_));
    osaka_->write("own", "by osaka");
    auto out = osaka_->client->prepare(osaka_->folder);
    ASSERT_TRUE(out.ok());
    ASSERT_NE(out->after.number, 0U);
    auto bytes = osaka_->client->read(osaka_->folder.id, 0, 1 << 20);
    ASSERT_TRUE(home_->home->receive(osaka_->folder.id, out->batch, 0, out->bytes, *bytes).ok());
    auto answer = home_->home->exchange({osaka_->folder.id, out->batch, out->since, "anna@osaka",
                                         false, true, out->reads, out->after, out->met});
    ASSERT_TRUE(answer.ok()) << answer.error().message;
    bytes = home_->home->read(answer->file, 0, 1 << 20);
    ASSERT_TRUE(osaka_->client->take(osaka_->folder.id, 0, *bytes).ok());
    EXPECT_EQ(osaka_->client->arrived(osaka_->folder)->taken, 1U);
    auto applied = osaka_->client->apply(osaka_->folder, false);
    ASSERT_TRUE(applied.ok());
    EXPECT_FALSE(applied->again);
    EXPECT_EQ(osaka_->client->prepare(osaka_->folder)->after, out->after);
    EXPECT_EQ(sync(*osaka_).exchanges, 6U) << "none comes twice";
    expect_equal();
}

// A batch that was made before a crash says nothing of what was written since then.
TEST_F(Parts, GoOnWithABatchThatWasMadeBefore) {
    fill(*tokyo_);
    in_one_batch(*tokyo_);
    ASSERT_TRUE(one_exchange(*osaka_));
    osaka_->write("own", "by osaka");
    const auto made = osaka_->client->prepare(osaka_->folder);
    ASSERT_TRUE(made.ok() && !made->batch.empty() && !made->resumed);
    osaka_->start();
    osaka_->write("later", "by osaka");
    const auto out = osaka_->client->prepare(osaka_->folder);
    ASSERT_TRUE(out.ok());
    EXPECT_EQ(out->batch, made->batch);
    EXPECT_TRUE(out->resumed);
    EXPECT_EQ(out->after, made->after);
    ASSERT_TRUE(one_exchange(*osaka_));
    EXPECT_EQ(sync(*osaka_).exchanges, 6U) << "none comes twice";
    EXPECT_TRUE(home_->home->tree({"anna", "wiki"})->contains("later"));
    expect_equal();
}

TEST_F(Parts, ADamagedContentHoldsUpNoneAndComesAfterTheLastOnceItIsWhole) {
    fill(*tokyo_);
    in_one_batch(*tokyo_);
    const std::string segment = folder_ + "/center/contents/0/1";
    const std::string whole = read_file(segment, 1 << 20).value();
    std::string bent = whole;
    bent[bent.size() / 2] ^= 4;
    ASSERT_TRUE(write_file_durably(segment, bent, 0600).ok());
    EXPECT_EQ(sync(*osaka_).exchanges, 7U);
    EXPECT_EQ(contents(*osaka_).size(), 33U);
    ASSERT_TRUE(write_file_durably(segment, whole, 0600).ok());
    home_->start();
    while (home_->home->upkeep({}).value()) {
    }
    EXPECT_EQ(sync(*osaka_).files, 1U);
    expect_equal();
    EXPECT_EQ(contents(*osaka_).size(), 34U);
}

TEST_F(Parts, OfAnotherHaspAreHadFromTheBeginningOfTheirRevision) {
    fill(*tokyo_);
    in_one_batch(*tokyo_);
    remove(*tokyo_, "b");
    tokyo_->write("new", "text");
    in_one_batch(*tokyo_);
    const auto bytes = [this](const Position& after) {
        const Revision now = *home_->home->revision({"anna", "wiki"});
        auto answer = home_->home->exchange({osaka_->folder.id,
                                             "",
                                             {now.epoch, 0},
                                             "anna@osaka",
                                             false,
                                             false,
                                             batch_format_newest,
                                             after});
        EXPECT_TRUE(answer.ok());
        return answer ? answer->bytes : 0;
    };
    EXPECT_EQ(bytes({2, "x, and more"}), bytes({2, ""}));
    EXPECT_NE(bytes({2, "pn"}), bytes({2, ""}));
}

} // namespace
} // namespace hasp::sync
