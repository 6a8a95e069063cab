// What a scanner found in files, or has not looked at yet: at the home, and where they are.
#include "engine_fixture.h"

#include "trust/hash.h"

namespace hasp::sync {
namespace {

constexpr const char* bad_content = "a file with something in it";

class Quarantine : public Engine {
  protected:
    void SetUp() override {
        Engine::SetUp();
        scans_ = true;
    }
    std::vector<Quarantined> held() {
        auto list = home_->home->quarantine(100);
        EXPECT_TRUE(list.ok());
        return list.value_or({});
    }
    FolderStatus status(Machine& at) {
        auto now = at.client->status(at.folder.id);
        EXPECT_TRUE(now.ok());
        return now.value_or({});
    }
    Tree home_tree() { return home_->home->tree(home_->folder.id).value_or({}); }
    void found_in(const std::string& content, const std::string& name) {
        scanner_[trust::sha256(content)] = name;
    }
};

TEST_F(Quarantine, HasAnInfectedFileAndNobodyElseIsGivenIt) {
    found_in(bad_content, "Epiz");
    tokyo_->write("invoice", bad_content);
    tokyo_->write("letter", "a letter");
    sync(*tokyo_);
    ASSERT_EQ(held().size(), 1U);
    EXPECT_EQ(held()[0].path, "invoice");
    EXPECT_EQ(held()[0].found, "Epiz");
    EXPECT_EQ(held()[0].who, "anna@tokyo");
    EXPECT_EQ(home_tree().count("letter"), 1U);
    EXPECT_EQ(home_tree().count("invoice"), 0U);
    sync(*osaka_);
    EXPECT_EQ(osaka_->content("letter"), "a letter");
    EXPECT_EQ(osaka_->content("invoice"), "(not_found)");
    // Where it is it stays, is said to be unsent, and is not sent again.
    EXPECT_EQ(tokyo_->content("invoice"), bad_content);
    const FolderStatus now = status(*tokyo_);
    EXPECT_EQ(now.unsent_files, 1U);
    EXPECT_EQ(now.infected, 1U);
    ASSERT_EQ(now.refused.size(), 1U);
    EXPECT_EQ(now.refused[0].path, "invoice");
    EXPECT_EQ(now.refused[0].found, "Epiz");
    EXPECT_EQ(sync(*tokyo_).up, 0U);
    EXPECT_EQ(status(*tokyo_).unsent_files, 1U);
}

TEST_F(Quarantine, IsForTheContentAlone) {
    found_in(bad_content, "Epiz");
    tokyo_->write("invoice", "before");
    sync(*tokyo_);
    tokyo_->write("invoice", bad_content);
    sync(*tokyo_);
    EXPECT_EQ(held().size(), 1U);
    sync(*osaka_);
    EXPECT_EQ(osaka_->content("invoice"), "before") << "what stood there goes on to count";
    tokyo_->write("invoice", "cleaned");
    sync(*tokyo_);
    sync(*osaka_);
    EXPECT_EQ(osaka_->content("invoice"), "cleaned");
    EXPECT_EQ(status(*tokyo_).infected, 0U);
    EXPECT_EQ(status(*tokyo_).unsent_files, 0U);
}

TEST_F(Quarantine, KnowsTheContentUnderAnotherName) {
    found_in(bad_content, "Epiz");
    tokyo_->write("invoice", bad_content);
    sync(*tokyo_);
    scanner_.clear(); // nobody says it again
    scanner_gone_ = true;
    tokyo_->write("copy", bad_content);
    sync(*tokyo_);
    EXPECT_EQ(status(*tokyo_).infected, 2U);
    EXPECT_EQ(home_tree().size(), 0U);
}

TEST_F(Quarantine, KnowsALargeContentUnderTheNameByItsChunks) {
    const std::string large = noise(3 << 20);
    format_ = batch_format_scanned;
    found_in(large, "Epiz");
    tokyo_->write("invoice", large);
    sync(*tokyo_);
    ASSERT_EQ(held().size(), 1U);
    // Its tier and another one are newer from now on, and nobody scans.
    format_ = batch_format_newest;
    scans_ = false;
    osaka_->write("bill", large);
    sync(*osaka_);
    EXPECT_EQ(home_tree().count("bill"), 0U);
    EXPECT_EQ(status(*osaka_).infected, 1U);
}

TEST_F(Quarantine, EndsForAFileThatIsRemovedWhereItIs) {
    found_in(bad_content, "Epiz");
    tokyo_->write("invoice", bad_content);
    sync(*tokyo_);
    std::filesystem::remove(tokyo_->path("invoice"));
    sync(*tokyo_);
    EXPECT_EQ(status(*tokyo_).infected, 0U);
    EXPECT_EQ(status(*tokyo_).unsent_files, 0U);
}

TEST_F(Quarantine, LetsAFileGoWhereItWasWhenItIsReleased) {
    found_in(bad_content, "Epiz");
    tokyo_->write("invoice", "before");
    sync(*tokyo_);
    sync(*osaka_);
    tokyo_->write("invoice", bad_content);
    sync(*tokyo_);
    ASSERT_EQ(held().size(), 1U);
    ASSERT_TRUE(home_->home->release_quarantined(held()[0].id).ok());
    EXPECT_TRUE(held().empty());
    sync(*tokyo_);
    EXPECT_EQ(status(*tokyo_).unsent_files, 0U);
    EXPECT_EQ(status(*tokyo_).infected, 0U);
    sync(*osaka_);
    EXPECT_EQ(osaka_->content("invoice"), bad_content);
    tokyo_->write("copy", bad_content);
    sync(*tokyo_);
    sync(*osaka_);
    EXPECT_EQ(osaka_->content("copy"), bad_content) << "the content is released, wherever it is";
}

TEST_F(Quarantine, LetsAFileGoWhereverItsUserHasIt) {
    found_in(bad_content, "Epiz");
    tokyo_->write("invoice", bad_content);
    tokyo_->write("copy", bad_content);
    sync(*tokyo_);
    sync(*osaka_);
    osaka_->write("osaka's", bad_content);
    sync(*osaka_);
    ASSERT_EQ(held().size(), 3U);
    auto changed = home_->home->release_quarantined(held()[0].id);
    ASSERT_TRUE(changed.ok());
    ASSERT_EQ(changed->size(), 1U);
    EXPECT_EQ((*changed)[0].revision.number,
              home_->home->revision(home_->folder.id).value_or({}).number);
    EXPECT_TRUE(held().empty());
    const Tree there = home_tree();
    EXPECT_EQ(there.count("invoice") + there.count("copy") + there.count("osaka's"), 3U);
    sync(*tokyo_);
    sync(*osaka_);
    EXPECT_EQ(osaka_->content("copy"), bad_content);
    for (Machine* at : {&*tokyo_, &*osaka_}) {
        EXPECT_EQ(status(*at).infected, 0U);
        EXPECT_EQ(status(*at).unsent_files, 0U);
    }
}

TEST_F(Quarantine, IsAskedAboutOnceADayAndByHand) {
    found_in(bad_content, "Epiz");
    tokyo_->write("invoice", noise(20'000));
    found_in(tokyo_->content("invoice"), "Epiz");
    sync(*tokyo_);
    ASSERT_EQ(held().size(), 1U);
    EXPECT_EQ(sync(*tokyo_).up, 0U);
    tokyo_->client->ask_again(tokyo_->folder.id);
    const std::uint64_t asked = sync(*tokyo_).up;
    EXPECT_GT(asked, 0U);
    EXPECT_LT(asked, 200U) << "it is there: asking costs a record";
    EXPECT_EQ(status(*tokyo_).infected, 1U);
    EXPECT_EQ(held().size(), 1U);
    clock_.wall += infected_again_us - 60 * std::int64_t{1'000'000};
    EXPECT_EQ(sync(*tokyo_).up, 0U);
    // Its home knows nothing of it any more, and the scanner knows better.
    ASSERT_TRUE(home_->home->delete_quarantined(held()[0].id).ok());
    scanner_.clear();
    clock_.wall += 60 * std::int64_t{1'000'000};
    sync(*tokyo_);
    sync(*tokyo_);
    EXPECT_EQ(home_tree().count("invoice"), 1U);
    EXPECT_EQ(status(*tokyo_).infected, 0U);
    EXPECT_EQ(status(*tokyo_).unsent_files, 0U);
}

TEST_F(Quarantine, OfAnotherHomeIsForgottenByBeginningAnew) {
    found_in(bad_content, "Epiz");
    tokyo_->write("invoice", bad_content);
    sync(*tokyo_);
    ASSERT_EQ(status(*tokyo_).infected, 1U);
    ASSERT_TRUE(home_->home->forget_user("anna").ok());
    scanner_.clear();
    ASSERT_TRUE(tokyo_->client->begin_anew(tokyo_->folder.id).ok());
    EXPECT_EQ(status(*tokyo_).infected, 0U);
    sync(*tokyo_);
    EXPECT_EQ(home_tree().count("invoice"), 1U);
    EXPECT_EQ(status(*tokyo_).unsent_files, 0U);
}

TEST_F(Quarantine, LetsAFileGoBesideWhatCameMeanwhile) {
    found_in(bad_content, "Epiz");
    tokyo_->write("invoice", "before");
    sync(*tokyo_);
    sync(*osaka_);
    tokyo_->write("invoice", bad_content);
    sync(*tokyo_);
    osaka_->write("invoice", "osaka's");
    sync(*osaka_);
    ASSERT_TRUE(home_->home->release_quarantined(held()[0].id).ok());
    EXPECT_EQ(home_tree().size(), 2U);
    sync(*osaka_);
    EXPECT_EQ(osaka_->content("invoice"), "osaka's");
}

TEST_F(Quarantine, IsEmptiedByNumberAndAfterDays) {
    found_in(bad_content, "Epiz");
    found_in("another", "Other");
    tokyo_->write("invoice", bad_content);
    tokyo_->write("other", "another");
    sync(*tokyo_);
    ASSERT_EQ(held().size(), 2U);
    const std::string hash = held()[0].entry.hash;
    EXPECT_TRUE(home_->home->content(home_->folder.id, hash).ok());
    ASSERT_TRUE(home_->home->delete_quarantined(held()[0].id).ok());
    EXPECT_EQ(home_->home->content(home_->folder.id, hash).error().code, Code::not_found);
    EXPECT_EQ(home_->home->delete_quarantined(4711).error().code, Code::not_found);
    EXPECT_EQ(home_->home->release_quarantined(4711).error().code, Code::not_found);
    ASSERT_EQ(held().size(), 1U);
    clock_.wall += (quarantine_days + 1) * day_us;
    ASSERT_TRUE(home_->home->upkeep({}).ok());
    EXPECT_TRUE(held().empty());
}

TEST_F(Quarantine, KeepsAllThatWaitsAndTheNewestOfTheInfected) {
    constexpr std::size_t files = quarantine_files_max + 3;
    const auto tidy = [&] {
        for (auto more = home_->home->upkeep({}); more.ok() && *more;) {
            more = home_->home->upkeep({});
        }
    };
    scanner_gone_ = true;
    for (std::size_t i = 0; i < files; ++i) {
        tokyo_->write("file" + std::to_string(i), "content " + std::to_string(i));
    }
    sync(*tokyo_);
    tidy();
    EXPECT_EQ(home_->home->quarantine_count()->waiting, files);
    scanner_gone_ = false;
    for (std::size_t i = 0; i < files; ++i) {
        found_in("content " + std::to_string(i), "Epiz");
    }
    tokyo_->client->ask_again(tokyo_->folder.id);
    sync(*tokyo_);
    tidy();
    EXPECT_EQ(home_->home->quarantine_count()->waiting, 0U);
    EXPECT_EQ(home_->home->quarantine_count()->infected, quarantine_files_max);
}

TEST_F(Quarantine, HoldsWhatWaitsForTheScannerAndNothingElse) {
    scanner_gone_ = true;
    tokyo_->write("invoice", noise(20'000));
    sync(*tokyo_);
    EXPECT_EQ(home_->home->quarantine_count()->waiting, 1U);
    EXPECT_EQ(home_tree().size(), 0U);
    EXPECT_EQ(status(*tokyo_).unscanned, 1U);
    EXPECT_EQ(status(*tokyo_).unsent_files, 1U);
    EXPECT_EQ(sync(*tokyo_).up, 0U) << "not asked again at once";
    std::filesystem::create_directory(tokyo_->path("folder"));
    sync(*tokyo_);
    EXPECT_EQ(home_tree().count("folder"), 1U);
    // It is there: asking again costs a record.
    scanner_gone_ = false;
    tokyo_->client->ask_again(tokyo_->folder.id);
    EXPECT_LT(sync(*tokyo_).up, 200U);
    EXPECT_EQ(home_tree().count("invoice"), 1U);
    EXPECT_EQ(home_->home->quarantine_count()->waiting, 0U);
    EXPECT_EQ(status(*tokyo_).unsent_files, 0U);
    sync(*osaka_);
    EXPECT_EQ(osaka_->content("invoice"), tokyo_->content("invoice"));
}

TEST_F(Quarantine, IsWhereWhatWaitedGoesWhenTheScannerFindsSomething) {
    scanner_gone_ = true;
    tokyo_->write("invoice", bad_content);
    sync(*tokyo_);
    scanner_gone_ = false;
    found_in(bad_content, "Epiz");
    clock_.wall += refused_again_us;
    sync(*tokyo_);
    EXPECT_EQ(home_->home->quarantine_count()->infected, 1U);
    EXPECT_EQ(home_->home->quarantine_count()->waiting, 0U);
    EXPECT_EQ(status(*tokyo_).infected, 1U);
}

TEST_F(Quarantine, IsNotForWhatIsLetByOrLarge) {
    scanner_gone_ = true;
    lets_by_ = true;
    tokyo_->write("invoice", bad_content);
    sync(*tokyo_);
    EXPECT_EQ(home_tree().count("invoice"), 1U);
    lets_by_ = false;
    scan_bytes_max_ = 1000;
    tokyo_->write("large", noise(1001));
    tokyo_->write("empty", "");
    sync(*tokyo_);
    EXPECT_EQ(home_tree().count("large"), 1U);
    EXPECT_EQ(home_tree().count("empty"), 1U);
}

TEST_F(Quarantine, TakesNothingThatTheScannerWasNotAskedAbout) {
    lets_by_ = true;
    tokyo_->write("invoice", "sound");
    bool again = false;
    // As if the batch that was looked at had been another.
    forgets_scanned_ = true;
    EXPECT_FALSE(exchange(*tokyo_, again).has_value());
    EXPECT_NE(last_error_.find("other contents"), std::string::npos) << last_error_;
    EXPECT_EQ(home_tree().size(), 0U);
    forgets_scanned_ = false;
    sync(*tokyo_);
    EXPECT_EQ(home_tree().count("invoice"), 1U);
}

TEST_F(Quarantine, IsKeptFromThoseWhoseTierKnowsNothingOfIt) {
    found_in(bad_content, "Epiz");
    format_ = batch_format_compared;
    tokyo_->write("invoice", bad_content);
    tokyo_->write("letter", "a letter");
    sync(*tokyo_);
    EXPECT_EQ(tokyo_->content("invoice"), bad_content);
    EXPECT_EQ(held().size(), 1U);
    EXPECT_EQ(sync(*tokyo_).up, 0U) << "for it the file is done with";
    sync(*osaka_);
    EXPECT_EQ(osaka_->content("invoice"), "(not_found)");
    EXPECT_EQ(osaka_->content("letter"), "a letter");
    tokyo_->write("invoice", "cleaned");
    sync(*tokyo_);
    sync(*osaka_);
    EXPECT_EQ(osaka_->content("invoice"), "cleaned");
}

TEST_F(Quarantine, LetsSuchATierWaitAsAWhole) {
    scanner_gone_ = true;
    format_ = batch_format_compared;
    tokyo_->write("invoice", "sound");
    bool again = false;
    EXPECT_FALSE(exchange(*tokyo_, again).has_value());
    EXPECT_NE(last_error_.find("virus scanner"), std::string::npos) << last_error_;
    EXPECT_EQ(home_tree().size(), 0U);
    scanner_gone_ = false;
    sync(*tokyo_);
    EXPECT_EQ(home_tree().count("invoice"), 1U);
}

TEST_F(Quarantine, GoesWithItsUser) {
    found_in(bad_content, "Epiz");
    tokyo_->write("invoice", bad_content);
    sync(*tokyo_);
    ASSERT_TRUE(home_->home->forget_user("anna").ok());
    EXPECT_TRUE(held().empty());
}

} // namespace
} // namespace hasp::sync
