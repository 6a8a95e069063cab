// What a home makes of contents that are damaged, or that its disk does not give.
#include "engine_fixture.h"

#include "trust/hash.h"

namespace hasp::sync {
namespace {

class Damage : public Engine {
  protected:
    std::string segment() const { return folder_ + "/center/contents/0/1"; }
    std::uint64_t end_of_segment() const {
        auto bytes = read_file(segment(), 64 << 20);
        return bytes.ok() ? bytes->size() : 0;
    }
    void bend(std::uint64_t at) {
        std::string bytes = read_file(segment(), 64 << 20).value();
        ASSERT_LT(at, bytes.size());
        bytes[at] = static_cast<char>(bytes[at] ^ 4);
        ASSERT_TRUE(write_file_durably(segment(), bytes, 0600).ok());
    }
    // Exchanges until one comes through.
    int tries(Machine& at) {
        full_ = true;
        bool again = false;
        int out = 1;
        while (!exchange(at, again) && out < 10) {
            ++out;
        }
        full_ = false;
        return out;
    }
};

TEST_F(Damage, OfWhatADifferenceIsMadeAgainstHoldsUpNothing) {
    int number = 0;
    for (const unsigned format : {batch_format_first, batch_format_newest}) {
        for (const std::uint64_t at : {std::uint64_t{100}, std::uint64_t{140'000},
                                       std::uint64_t{300'000}, std::uint64_t{700'000}}) {
            format_ = format;
            const std::string name = "note" + std::to_string(number++);
            const std::string before = noise(900'000);
            const std::uint64_t from = end_of_segment();
            tokyo_->write(name, before);
            sync(*tokyo_);
            sync(*osaka_);
            std::string after = before;
            after.replace(450'000, 10, noise(2000));
            tokyo_->write(name, after);
            sync(*tokyo_);
            bend(from + at);
            EXPECT_LE(tries(*osaka_), 2) << format << " " << at << ": " << last_error_;
            sync(*osaka_);
            EXPECT_EQ(osaka_->content(name), after) << format << " " << at;
        }
    }
}

TEST_F(Damage, OfAFileThatStandsLetsNoTierForgetItsCopy) {
    const auto asks = [&](const std::string& app) {
        Home::Question question{{"anna", app}, "", {}, "anna@tokyo"};
        question.verdicts_only = true;
        return home_->home->exchange(question);
    };
    tokyo_->write("other", "a letter");
    sync(*tokyo_);
    const std::uint64_t from = end_of_segment();
    tokyo_->write("note", noise(200'000));
    sync(*tokyo_);
    EXPECT_TRUE(asks(tokyo_->folder.id.app).ok());
    bend(from + 1000);
    while (home_->home->upkeep({}).value()) {
    }
    ASSERT_EQ(home_->home->damage(10)->contents, 1U);
    const auto said = asks(tokyo_->folder.id.app);
    ASSERT_FALSE(said.ok());
    EXPECT_EQ(said.error().code, Code::try_later);
    EXPECT_TRUE(asks("another").ok()) << "it is in no file of that folder";
    tokyo_->write("note", "it is short now");
    sync(*tokyo_);
    EXPECT_TRUE(asks(tokyo_->folder.id.app).ok()) << "it is of an older version";
}

TEST_F(Damage, OfAContentInQuarantineKeepsItThere) {
    scans_ = true;
    const std::string bad = noise(200'000);
    scanner_[trust::sha256(bad)] = "Epiz";
    tokyo_->write("letter", "a letter");
    sync(*tokyo_);
    const std::uint64_t from = end_of_segment();
    tokyo_->write("invoice", bad);
    sync(*tokyo_);
    auto held = home_->home->quarantine(10);
    ASSERT_EQ(held.value_or({}).size(), 1U);
    bend(from + 1000);
    while (home_->home->upkeep({}).value()) {
    }
    ASSERT_EQ(home_->home->damage(10)->contents, 1U);
    EXPECT_EQ(home_->home->release_quarantined(held->front().id).error().code, Code::refused);
    EXPECT_EQ(home_->home->quarantine(10).value_or({}).size(), 1U) << "it was not released";
    EXPECT_EQ(home_->home->tree(home_->folder.id).value_or({}).size(), 1U);
}

TEST_F(Damage, OfOnePlaceOnTheDiskHoldsUpNothingElseAndIsGoneWithIt) {
    tokyo_->write("apart", noise(2 << 20));
    sync(*tokyo_);
    tokyo_->write("bent", noise(200'000)); // the first in its segment
    tokyo_->write("note", "hello");
    sync(*tokyo_);
    FullDisk& disk = home_->disk();
    for (const std::string& file : {std::string("contents/0/1"), std::string("contents/0/2")}) {
        const std::string bytes = read_file(folder_ + "/center/" + file, 64 << 20).value();
        if (bytes.size() < (1 << 20)) {
            disk.bad = file;
        }
    }
    disk.bad_from = 150'000; // not where it begins
    disk.bad_to = disk.bad_from + 512;
    EXPECT_LE(tries(*osaka_), 2) << last_error_;
    sync(*osaka_);
    EXPECT_EQ(osaka_->content("note"), "hello");
    EXPECT_EQ(osaka_->content("bent"), "(not_found)");
    EXPECT_EQ(home_->home->damage(10)->files.at(0).path, "bent");
    const Home::UpkeepRule rule;
    while (home_->home->upkeep(rule).value()) {
    }
    EXPECT_EQ(home_->home->damage(10)->contents, 1U);
    EXPECT_TRUE(home_->home->changed_beside().empty());
    home_->start(); // on a disk that gives it again
    while (home_->home->upkeep(rule).value()) {
    }
    EXPECT_EQ(home_->home->damage(10)->contents, 0U);
    const auto told = home_->home->changed_beside();
    ASSERT_EQ(told.size(), 1U);
    EXPECT_EQ(told[0].folder, osaka_->folder.id);
    EXPECT_EQ(told[0].revision, home_->home->revision(osaka_->folder.id).value());
    sync(*osaka_);
    EXPECT_EQ(osaka_->content("bent"), tokyo_->content("bent"));
}

TEST_F(Damage, FoundByReadingEverythingIsThatOfOneContentWhereTheOthersAreGiven) {
    tokyo_->write("apart", noise(2 << 20));
    tokyo_->write("bent", noise(5000));
    sync(*tokyo_);
    FullDisk& disk = home_->disk();
    for (const std::string& file : {std::string("contents/0/1"), std::string("contents/0/2")}) {
        if (read_file(folder_ + "/center/" + file, 64 << 20)->size() > (1 << 20)) {
            disk.bad = file;
        }
    }
    disk.bad_from = 1 << 20;
    disk.bad_to = disk.bad_from + 512;
    while (home_->home->upkeep({}).value()) {
    }
    EXPECT_EQ(home_->home->damage(10)->contents, 1U);
    EXPECT_EQ(home_->home->damage(10)->files.at(0).path, "apart");
}

TEST_F(Damage, OfABasisThatTheDiskDoesNotGiveMakesTheWholeContentAskedFor) {
    const std::string before = noise(200'000);
    tokyo_->write("apart", noise(2 << 20));
    tokyo_->write("note", before);
    sync(*tokyo_);
    sync(*osaka_);
    FullDisk& disk = home_->disk();
    for (const std::string& file : {std::string("contents/0/1"), std::string("contents/0/2")}) {
        if (read_file(folder_ + "/center/" + file, 64 << 20)->size() < (1 << 20)) {
            disk.bad = file;
        }
    }
    disk.bad_from = 100'000;
    disk.bad_to = disk.bad_from + 512;
    tokyo_->write("note", before + "and more");
    sync(*tokyo_);
    EXPECT_EQ(tokyo_->client->status()->front().unsent_files, 0U);
    sync(*osaka_);
    EXPECT_EQ(osaka_->content("note"), before + "and more");
}

} // namespace
} // namespace hasp::sync
