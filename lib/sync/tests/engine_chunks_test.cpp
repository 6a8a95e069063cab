// Large contents on their way, called by their chunks, and those who do not know such names.
#include "engine_fixture.h"
#include "sync/chunks.h"

namespace hasp::sync {
namespace {

constexpr std::size_t names_mib = std::size_t{1} << 20;

class ChunkNames : public Engine {
  protected:
    std::string noise(std::size_t bytes) { return random_.bytes(bytes); }
    std::string name_at_home(const std::string& path) {
        auto tree = home_->home->tree(home_->folder.id);
        EXPECT_TRUE(tree.ok() && tree->contains(path)) << path;
        return tree.ok() && tree->contains(path) ? tree->at(path).hash : "";
    }
    Round all_of(Machine& at) {
        Round sum;
        bool again = false;
        for (int i = 0; (again || i == 0) && i < 10; ++i) {
            auto one = exchange(at, again);
            if (!one) {
                ADD_FAILURE() << last_error_;
                break;
            }
            sum.up += one->up;
            sum.down += one->down;
            sum.conflicts += one->conflicts;
        }
        return sum;
    }
    // Stamps prove something only a while after.
    void later() { clock_.wall += 5'000'000; }
};

TEST_F(ChunkNames, AHomeThatWasNeverMetIsAskedFirst) {
    Machine kyoto(folder_ + "/kyoto", clock_, random_, false);
    kyoto.write("large", noise(2 * names_mib));
    auto question = kyoto.client->prepare(kyoto.folder);
    ASSERT_TRUE(question.ok());
    EXPECT_TRUE(question->asks_first);
    EXPECT_TRUE(question->batch.empty());
    EXPECT_TRUE(kyoto.client->prepare(kyoto.folder)->asks_first) << "until there was an answer";
    EXPECT_GT(all_of(kyoto).up, 2 * names_mib);
    EXPECT_TRUE(named_by_chunks(name_at_home("large")));
    EXPECT_FALSE(kyoto.client->prepare(kyoto.folder)->asks_first);
    EXPECT_EQ(kyoto.content("large").size(), 2 * names_mib);
}

TEST_F(ChunkNames, EditsCostWhatIsNewAlsoAfterRestarts) {
    all_of(*tokyo_);
    all_of(*osaka_);
    std::string now = noise(4 * names_mib);
    tokyo_->write("large", now);
    all_of(*tokyo_);
    all_of(*osaka_);
    std::uint64_t up = 0;
    for (int edit = 0; edit < 12; ++edit) {
        later();
        now.insert((edit * 331'337U) % now.size(), noise(500));
        now.erase((edit * 731'311U) % (now.size() - 5000), 300);
        now += noise(100);
        tokyo_->write("large", now);
        up += all_of(*tokyo_).up;
        if (edit % 4 == 3) {
            tokyo_->start();
        }
        const Round down = all_of(*osaka_);
        EXPECT_LT(down.down, 5'000U) << edit;
        ASSERT_TRUE(osaka_->content("large") == now) << edit;
        EXPECT_TRUE(named_by_chunks(name_at_home("large")));
    }
    EXPECT_LT(up, 12U * 2'000U);
    now = noise(3 * names_mib); // nothing of it is left
    later();
    tokyo_->write("large", now);
    all_of(*tokyo_);
    all_of(*osaka_);
    EXPECT_TRUE(osaka_->content("large") == now);
}

TEST_F(ChunkNames, AnEditForAHomeThatKnowsThemNoMoreIsSentAtOnce) {
    all_of(*tokyo_);
    std::string now = noise(4 * names_mib);
    tokyo_->write("large", now);
    all_of(*tokyo_);
    EXPECT_TRUE(named_by_chunks(name_at_home("large")));
    format_ = batch_format_scanned;
    all_of(*tokyo_);                          // and learns what its home takes
    for (const bool edited : {false, true}) { // or written anew as it was
        later();
        now += edited ? noise(100) : "";
        const auto place = tokyo_->path("large");
        tokyo_->write("large", now);
        std::filesystem::last_write_time(place, std::filesystem::last_write_time(place) +
                                                    std::chrono::seconds(5));
        EXPECT_EQ(all_of(*tokyo_).conflicts, 0U);
        EXPECT_EQ(tokyo_->client->status()->at(0).unsent_files, 0U);
        EXPECT_EQ(named_by_chunks(name_at_home("large")), !edited);
        all_of(*osaka_);
        EXPECT_TRUE(osaka_->content("large") == now);
    }
}

TEST_F(ChunkNames, AContentOfBeforeKeepsItsNameUntilItIsEdited) {
    format_ = batch_format_scanned;
    const std::string before = noise(2 * names_mib);
    tokyo_->write("large", before);
    all_of(*tokyo_);
    all_of(*osaka_);
    const std::string name = name_at_home("large");
    EXPECT_EQ(name.size(), hash_bytes);
    format_ = batch_format_newest;
    all_of(*tokyo_);
    all_of(*osaka_);
    later();
    tokyo_->write("large", before); // the same again, at another time
    EXPECT_LT(all_of(*tokyo_).up, 500U);
    EXPECT_EQ(name_at_home("large"), name);
    tokyo_->write("copy", before);
    EXPECT_LT(all_of(*tokyo_).up, 500U) << "the home has it under that name";
    EXPECT_EQ(name_at_home("copy"), name);
    later();
    tokyo_->write("large", before + "more");
    EXPECT_LT(all_of(*tokyo_).up, 1'000U);
    EXPECT_TRUE(named_by_chunks(name_at_home("large")));
    EXPECT_LT(all_of(*osaka_).down, 2'000U);
    EXPECT_TRUE(osaka_->content("large") == before + "more");
    EXPECT_TRUE(osaka_->content("copy") == before);
}

TEST_F(ChunkNames, WhoKnowsNoSuchNamesIsUnderstoodAndUnderstands) {
    all_of(*tokyo_);
    std::string now = noise(2 * names_mib);
    tokyo_->write("large", now);
    all_of(*tokyo_);
    EXPECT_TRUE(named_by_chunks(name_at_home("large")));
    for (int turn = 0; turn < 3; ++turn) {
        format_ = batch_format_scanned; // osaka's is an older version
        EXPECT_EQ(all_of(*osaka_).conflicts, 0U);
        ASSERT_TRUE(osaka_->content("large") == now);
        later();
        now.insert(names_mib, noise(300));
        osaka_->write("large", now);
        Round round = all_of(*osaka_);
        EXPECT_EQ(round.conflicts, 0U);
        EXPECT_LT(round.up, 2'000U) << turn;
        EXPECT_EQ(name_at_home("large").size(), hash_bytes);
        format_ = batch_format_newest;
        EXPECT_LT(all_of(*tokyo_).down, 2'000U) << turn;
        ASSERT_TRUE(tokyo_->content("large") == now);
        later();
        now += noise(200);
        tokyo_->write("large", now);
        round = all_of(*tokyo_);
        EXPECT_EQ(round.conflicts, 0U);
        EXPECT_LT(round.up, 2'000U) << turn;
    }
}

TEST_F(ChunkNames, WhoBeginsAnewWithWhatTheHomeHasUnderTheOtherNameMakesNoCopy) {
    format_ = batch_format_scanned;
    const std::string content = noise(2 * names_mib);
    tokyo_->write("large", content);
    all_of(*tokyo_);
    format_ = batch_format_newest;
    osaka_->write("large", content);
    all_of(*osaka_);
    ASSERT_TRUE(tokyo_->client->begin_anew(tokyo_->folder.id).ok());
    EXPECT_EQ(all_of(*tokyo_).conflicts, 0U);
    EXPECT_EQ(all_of(*osaka_).conflicts, 0U);
    EXPECT_EQ(home_->home->tree(home_->folder.id)->size(), 1U);
}

} // namespace
} // namespace hasp::sync
