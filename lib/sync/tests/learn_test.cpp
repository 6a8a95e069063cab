// Tiers that had files before their hasp kept attributes, and then learn those.
#include "attributes_fixture.h"

namespace hasp::sync {

namespace {

// Osaka's hasp is from before attributes were kept, until learns().
class Learning : public Attributes {
  protected:
    void SetUp() override {
        Attributes::SetUp();
        ASSERT_TRUE(hasp::make_folders(tokyo_->path("papers")).ok());
        for (const char* name : {"a", "b", "papers/c"}) {
            tokyo_->write(name, std::string("text of ") + name);
            set(*tokyo_, name, "user.a", name);
        }
        set(*tokyo_, "papers", "user.color", "red");
        tokyo_->write("plain", "without");
        sync(*tokyo_);
        sync(*tokyo_);
        format_ = batch_format_chunked;
        sync(*osaka_);
        format_ = batch_format_newest;
        for (const char* name : {"a", "b", "papers/c"}) {
            ASSERT_EQ(get(*osaka_, name, "user.a"), "(none)");
        }
        clock_.advance_us(60'000'000); // so that stamps count
    }
    void learns() { osaka_->forget_attributes_of_rows(); }
    void expect_all(const Machine& at) {
        for (const char* name : {"a", "b", "papers/c"}) {
            EXPECT_EQ(get(at, name, "user.a"), name);
        }
        EXPECT_EQ(get(at, "papers", "user.color"), "red");
    }
};

// What one answer has.
struct Read {
    BatchHead head;
    std::size_t puts = 0;
    std::size_t attribute_bytes = 0;
};

class Bounded : public Attributes {
  protected:
    Read ask(unsigned format, const Position& after) {
        Home::Question question{{"anna", "wiki"}, "",   {}, "anna@kyoto", false, false,
                                format,           after};
        question.since.epoch = home_->home->revision(question.folder)->epoch;
        Read out;
        auto answer = home_->home->exchange(question);
        EXPECT_TRUE(answer.ok());
        if (!answer) {
            return out;
        }
        MemoryFile file(home_->home->read(answer->file, 0, answer->bytes).value_or(""));
        BatchReader reader(pull_from(file));
        out.head = *reader.head();
        for (Record record; reader.next(record).value_or(false);) {
            out.puts += record.type == Record::Type::put ? 1 : 0;
            out.attribute_bytes += record.entry.attributes.size();
        }
        return out;
    }
};

} // namespace

TEST_F(Bounded, AnAnswerIsCutAmongTheFoldersAboveAFile) {
    std::string path;
    for (int i = 0; i < 40; ++i) {
        path += path.empty() ? "d" : "/d";
    }
    ASSERT_TRUE(hasp::make_folders(tokyo_->path(path)).ok());
    tokyo_->write(path + "/file", "text");
    sync(*tokyo_);
    sync(*tokyo_);
    for (std::string up = path; !up.empty(); up = parent_path(up)) {
        set(*tokyo_, up, "user.a", std::string(600, 'a')); // newer than the file beneath them
    }
    sync(*tokyo_);
    home_->answers.attribute_bytes = 1000;
    home_->start();
    Position after;
    std::size_t puts = 0;
    std::size_t parts = 0;
    for (; parts == 0 || after.number != 0; ++parts) {
        ASSERT_LT(parts, 60U);
        const Read part = ask(batch_format_newest, after);
        EXPECT_LE(part.attribute_bytes, 4000U);
        EXPECT_GT(part.puts, 0U);
        puts += part.puts;
        after = part.head.next;
    }
    EXPECT_GT(parts, 10U);
    EXPECT_GE(puts, 41U);
    EXPECT_GE(sync(*osaka_).exchanges, 10U);
    EXPECT_EQ(osaka_->content(path + "/file"), "text");
    for (std::string up = path; !up.empty(); up = parent_path(up)) {
        EXPECT_EQ(get(*osaka_, up, "user.a"), std::string(600, 'a'));
    }
    // And of what a batch met.
    tokyo_->write(path + "/file", "edited by tokyo");
    set(*tokyo_, path + "/file", "user.a", "1");
    sync(*tokyo_);
    for (std::string up = path; !up.empty(); up = parent_path(up)) {
        set(*tokyo_, up, "user.a", std::string(600, 'b'));
    }
    sync(*tokyo_);
    osaka_->write(path + "/file", "edited by osaka");
    sync(*osaka_);
    both();
    EXPECT_EQ(osaka_->content(path + "/file"), "edited by tokyo");
    quiet();
}

TEST_F(Bounded, AnAnswerWithoutAttributesIsNotCutForThem) {
    for (const char* name : {"a", "b", "c", "d", "e", "f"}) {
        tokyo_->write(name, std::string("text of ") + name);
        set(*tokyo_, name, "user.a", std::string(600, name[0]));
    }
    sync(*tokyo_);
    sync(*tokyo_);
    home_->answers.attribute_bytes = 1000;
    home_->start();
    EXPECT_NE(ask(batch_format_attributes, {}).head.next.number, 0U);
    for (unsigned format = batch_format_first; format < batch_format_attributes; ++format) {
        const Read all = ask(format, {});
        EXPECT_EQ(all.head.next.number, 0U) << format;
        EXPECT_EQ(all.puts, 6U) << format;
        EXPECT_EQ(all.attribute_bytes, 0U) << format;
    }
}

TEST_F(Learning, ComeToATierThatHadTheFilesAndAreNotRemovedByItsEdits) {
    learns();
    osaka_->write("a", "edited by osaka");
    ASSERT_EQ(::chmod(osaka_->path("papers").c_str(), 0750), 0);
    osaka_->disk().synced.clear();
    sync(*osaka_);
    expect_all(*osaka_);
    for (const char* path : {"/a", "/b", "/papers/c", "/papers"}) {
        EXPECT_TRUE(osaka_->disk().synced.contains(osaka_->folder.path + path)) << path;
    }
    both();
    EXPECT_EQ(tokyo_->content("a"), "edited by osaka");
    expect_all(*tokyo_);
    osaka_->write("b", "edited, too");
    drop(*osaka_, "papers/c", "user.a");
    both();
    EXPECT_EQ(get(*tokyo_, "b", "user.a"), "b");
    EXPECT_EQ(get(*tokyo_, "papers/c", "user.a"), "(none)") << "known, and removed";
    quiet();
}

TEST_F(Learning, GoAlongWithWhatWasMovedMeanwhile) {
    learns();
    ASSERT_EQ(::rename(osaka_->path("a").c_str(), osaka_->path("moved").c_str()), 0);
    sync(*osaka_);
    both();
    EXPECT_EQ(get(*tokyo_, "moved", "user.a"), "a");
    quiet();
}

TEST_F(Learning, ThatWereSetAtBothSidesAreBothThere) {
    set(*osaka_, "a", "user.o", "by osaka");
    set(*osaka_, "plain", "user.o", "by osaka");
    set(*osaka_, "papers", "user.color", "blue");
    learns();
    sync(*osaka_);
    both();
    both();
    for (Machine* at : {tokyo_.get(), osaka_.get()}) {
        EXPECT_EQ(get(*at, "a", "user.a"), "a");
        EXPECT_EQ(get(*at, "a", "user.o"), "by osaka");
        EXPECT_EQ(get(*at, "plain", "user.o"), "by osaka");
        EXPECT_EQ(get(*at, "papers", "user.color"), "blue") << "what stands somewhere stays";
    }
    quiet();
}

TEST_F(Learning, IsGoneOnWithAfterACrashAtAnyPoint) {
    home_->answers.rows = 1;
    home_->start();
    for (int stop = 0; stop < 12; ++stop) {
        learns();
        osaka_->write("a", "edited " + std::to_string(stop));
        bool again = false;
        for (int i = 0; i < stop; ++i) { // whole ones, and then one that is cut
            ASSERT_TRUE(exchange(*osaka_, again).has_value());
        }
        if (stop % 2 == 0) {
            dies_before_apply_ = true;
            exchange(*osaka_, again);
            dies_before_apply_ = false;
        } else {
            osaka_->note_nothing(true);
            full_ = true;
            exchange(*osaka_, again);
            full_ = false;
            osaka_->note_nothing(false);
            osaka_->start();
        }
        sync(*osaka_);
        expect_all(*osaka_);
        osaka_->write("b", "edited " + std::to_string(stop));
        both();
        EXPECT_EQ(tokyo_->content("b"), osaka_->content("b"));
        EXPECT_EQ(tokyo_->content("a"), osaka_->content("a"));
        expect_all(*tokyo_);
        quiet();
    }
}

TEST_F(Learning, CostsOneQuestionWhereThereIsNothingToLearn) {
    for (const char* name : {"a", "b", "papers/c"}) {
        drop(*tokyo_, name, "user.a");
    }
    drop(*tokyo_, "papers", "user.color");
    for (int i = 0; i < 200; ++i) {
        tokyo_->write("many" + std::to_string(i), noise(10));
    }
    sync(*tokyo_);
    format_ = batch_format_chunked;
    sync(*osaka_);
    format_ = batch_format_newest;
    learns();
    const Round asked = sync(*osaka_);
    EXPECT_LE(asked.exchanges, 3U);
    EXPECT_LT(asked.down, 200U);
    const Round after = sync(*osaka_);
    EXPECT_EQ(after.exchanges, 1U);
    EXPECT_LT(after.down, 100U);
    osaka_->start();
    EXPECT_EQ(sync(*osaka_).exchanges, 1U) << "and not after a restart";
}

TEST_F(Learning, WaitsForAHomeThatKnowsThem) {
    format_ = batch_format_chunked;
    learns();
    osaka_->write("a", "edited while the home knew none");
    set(*osaka_, "b", "user.o", "by osaka");
    sync(*osaka_);
    clock_.advance_us(60'000'000);
    sync(*osaka_);
    osaka_->write("a", "again");
    sync(*osaka_);
    format_ = batch_format_newest;
    sync(*tokyo_);
    EXPECT_EQ(tokyo_->content("a"), "again");
    expect_all(*tokyo_);
    sync(*osaka_);
    expect_all(*osaka_);
    both();
    EXPECT_EQ(get(*tokyo_, "b", "user.o"), "by osaka");
    quiet();
}

TEST_F(Learning, DoesNotWaitForAFileThatChangesAllTheTime) {
    learns();
    osaka_->write("a", "1");
    int opened = 0;
    osaka_->disk().before_stat = [&](const std::string& path) {
        if (path == osaka_->folder.path + "/a") {
            osaka_->write("a", "changes " + std::to_string(++opened));
        }
    };
    sync(*osaka_);
    EXPECT_EQ(get(*osaka_, "a", "user.a"), "a");
    osaka_->write("b", "edited");
    drop(*osaka_, "b", "user.a");
    sync(*osaka_);
    osaka_->disk().before_stat = {};
    both();
    EXPECT_EQ(get(*tokyo_, "b", "user.a"), "(none)");
    EXPECT_EQ(get(*tokyo_, "a", "user.a"), "a");
    both();
    EXPECT_EQ(tokyo_->content("a"), osaka_->content("a"));
    quiet();
}

TEST_F(Learning, WhereNoneCanBeSetRemovesNoneElsewhere) {
    osaka_->disk().without_attributes = true;
    osaka_->forget_attributes_of_rows();
    osaka_->disk().without_attributes = true;
    sync(*osaka_);
    osaka_->write("a", "edited");
    sync(*osaka_);
    osaka_->disk().without_attributes = false;
    both();
    EXPECT_EQ(tokyo_->content("a"), "edited");
    expect_all(*tokyo_);
}

TEST_F(Learning, BeginsBehindTheBatchThatWasOnItsWay) {
    osaka_->write("a", "sent by the hasp of before");
    format_ = batch_format_chunked;
    dies_before_apply_ = false;
    messages_left_ = 0;
    bool again = false;
    EXPECT_FALSE(exchange(*osaka_, again).has_value());
    messages_left_ = -1;
    format_ = batch_format_newest;
    learns();
    sync(*osaka_);
    osaka_->write("a", "and by the new one");
    sync(*osaka_);
    both();
    EXPECT_EQ(tokyo_->content("a"), "and by the new one");
    expect_all(*tokyo_);
    expect_all(*osaka_);
    quiet();
}

TEST_F(Learning, OfAFileThatHasChangedAtTheHomeSinceKeepsThoseOfItsBothVersions) {
    learns();
    tokyo_->write("a", "edited by tokyo");
    set(*tokyo_, "a", "user.t", "by tokyo");
    sync(*tokyo_);
    osaka_->write("a", "edited by osaka"); // a conflict
    sync(*osaka_);
    both();
    for (Machine* at : {tokyo_.get(), osaka_.get()}) {
        EXPECT_EQ(at->content("a"), "edited by tokyo");
        EXPECT_EQ(get(*at, "a", "user.a"), "a");
        EXPECT_EQ(get(*at, "a", "user.t"), "by tokyo");
    }
    quiet();
}

} // namespace hasp::sync
