// The home alone: which versions it keeps, what a restore makes of them, and what tiers that come
// from long ago are told.
#include "base/files.h"
#include "base/random.h"
#include "base/text.h"
#include "store/db.h"
#include "sync/home.h"
#include "trust/hash.h"

#include <gtest/gtest.h>
#include <unistd.h>

namespace hasp::sync {
namespace {

const FolderId notes{"anna", "notes"};

class KeptVersions : public ::testing::Test {
  protected:
    void SetUp() override {
        folder_ = (::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : ::testing::TempDir()) +
                  std::string("/hasp_kept_XXXXXX");
        ASSERT_NE(::mkdtemp(folder_.data()), nullptr);
        disk_ = *open_disk(folder_);
        start();
    }
    void TearDown() override {
        home_.reset();
        db_.reset();
        disk_.reset();
        EXPECT_TRUE(remove_tree(folder_).ok());
    }
    void start() {
        home_.reset();
        db_ = *store::Db::open(folder_ + "/files.db");
        auto home = Home::open(*db_, *disk_, "clinics", clock_, random_);
        ASSERT_TRUE(home.ok()) << home.error().message;
        home_ = *std::move(home);
    }

    using Change = std::pair<std::string, std::optional<std::string>>; // nothing: removed
    // As a tier that has everything sends it. The revision then.
    std::uint64_t send(const std::vector<Change>& changes, const FolderId& folder = notes) {
        const Tree stands = home_->tree(folder).value();
        std::string bytes;
        BatchWriter writer({Direction::up, 0, 0}, [&](std::string_view more) {
            bytes.append(more);
            return Status{};
        });
        for (const auto& [path, content] : changes) {
            const auto before = stands.find(path);
            const std::uint64_t base = before == stands.end() ? 0 : before->second.revision;
            Record record;
            record.path = path;
            if (!content) {
                record.type = Record::Type::remove;
                record.revision = base;
                EXPECT_TRUE(writer.add(record).ok());
                continue;
            }
            record.entry.mode = 0644;
            record.entry.size = content->size();
            record.entry.hash = trust::sha256(*content);
            record.entry.revision = base;
            record.codec = Codec::whole;
            EXPECT_TRUE(writer.add(record).ok() && writer.content(*content).ok() &&
                        writer.end_content().ok());
        }
        EXPECT_TRUE(writer.finish().ok());
        const std::string batch = to_hex(random_.bytes(16));
        EXPECT_TRUE(home_->receive(folder, batch, 0, bytes.size(), bytes).ok());
        auto answer = home_->exchange({folder, batch, {}, "anna@tokyo", false});
        EXPECT_TRUE(answer.ok()) << (answer.ok() ? "" : answer.error().message);
        if (answer) {
            home_->forget(answer->file);
        }
        return home_->revision(folder)->number;
    }
    void write(const std::string& path, const std::string& content) { send({{path, content}}); }
    void remove(const std::string& path) { send({{path, std::nullopt}}); }

    // What a tier that was last here at `number` is told of a path.
    std::optional<Record> told(std::uint64_t number, const std::string& path) {
        const Revision since{home_->revision(notes)->epoch, number};
        auto answer = home_->exchange({notes, "", since, "anna@osaka", false});
        EXPECT_TRUE(answer.ok()) << (answer.ok() ? "" : answer.error().message);
        const std::string bytes = home_->read(answer->file, 0, 1 << 20).value();
        home_->forget(answer->file);
        MemoryFile file(bytes);
        BatchReader reader(pull_from(file));
        EXPECT_TRUE(reader.head().ok());
        for (Record record;;) {
            auto more = reader.next(record);
            EXPECT_TRUE(more.ok());
            if (!more || !*more) {
                return std::nullopt;
            }
            if (record.path == path) {
                return record;
            }
        }
    }

    void pass_days(std::int64_t days) { clock_.advance_us(days * day_us); }
    void tidy(const KeepRule& rule = {}) {
        for (int steps = 0; home_->upkeep({rule, 30}).value(); ++steps) {
            ASSERT_LT(steps, 1000);
        }
    }
    std::vector<std::string> kept(const std::string& path) {
        std::vector<std::string> out;
        const std::vector<Version> all = home_->versions(notes, path, false, {}).value();
        for (const Version& one : all) {
            out.push_back(one.path + (one.entry ? " " + content(one.entry->hash) : " removed"));
        }
        return out;
    }
    std::string content(const std::string& hash) {
        auto file = home_->content(notes, hash);
        std::string out;
        auto read = file ? digest(**file,
                                  [&out](std::string_view part) {
                                      out.append(part);
                                      return Status{};
                                  })
                         : Result<Digest>(file.error());
        return read ? out : "(" + std::string(code_name(read.error().code)) + ")";
    }
    std::string stands(const std::string& path, const FolderId& folder = notes) {
        const Tree tree = home_->tree(folder).value();
        const auto found = tree.find(path);
        return found == tree.end()                      ? "-"
               : found->second.kind == FileKind::folder ? "folder"
                                                        : content(found->second.hash);
    }
    RestoreWish wish(const std::string& path) {
        RestoreWish out;
        out.user = "anna";
        out.app = "notes";
        out.path = path;
        out.who = "operator@center";
        return out;
    }

    std::string folder_;
    ManualClock clock_;
    SeededRandom random_{5};
    std::unique_ptr<Disk> disk_;
    std::unique_ptr<store::Db> db_;
    std::unique_ptr<Home> home_;
};

using List = std::vector<std::string>;

TEST_F(KeptVersions, GoByTheRuleAndTheirContentsWithThem) {
    const std::string first(5000, 'a');
    write("note", first);
    clock_.advance_us(second_us);
    write("note", "two");
    write("other", "stays");
    EXPECT_EQ(kept("note"), (List{"note two", "note " + first}));
    pass_days(20);
    tidy();
    EXPECT_EQ(kept("note").size(), 2U);
    for (int day = 0; day < 12; ++day) { // each pass goes on by so much at most
        pass_days(1);
        tidy();
    }
    EXPECT_EQ(kept("note"), (List{"note two"}));
    EXPECT_EQ(content(trust::sha256(first)), "(not_found)");
    EXPECT_EQ(stands("note"), "two");
    EXPECT_EQ(stands("other"), "stays");
}

TEST_F(KeptVersions, StayInTheTrashThirtyDaysAfterTheirRemoval) {
    write("note", "one");
    pass_days(200);
    remove("note");
    const KeepRule only_trash{0, 0, 0, 30};
    pass_days(2);
    tidy(only_trash);
    auto trash = home_->versions(notes, "", true, {});
    ASSERT_EQ(trash->size(), 1U);
    EXPECT_EQ(trash->front().path, "note");
    for (int day = 0; day < 300; day += 5) {
        pass_days(5);
        tidy(only_trash);
    }
    EXPECT_TRUE(home_->versions(notes, "", true, {})->empty());
    EXPECT_EQ(kept(""), (List{"note removed"}));
}

TEST_F(KeptVersions, AreNotEndedByAClockThatIsSetAhead) {
    write("note", "one");
    clock_.advance_us(second_us);
    write("note", "two");
    clock_.wall += 3650 * day_us;
    tidy();
    tidy();
    EXPECT_EQ(kept("note").size(), 2U);
    clock_.boot += 21 * hour_us;
    tidy();
    EXPECT_EQ(kept("note").size(), 2U);
    clock_.wall -= 3650 * day_us;
    for (int day = 0; day < 10; ++day) {
        pass_days(1);
        tidy();
    }
    EXPECT_EQ(kept("note").size(), 2U);
}

TEST_F(KeptVersions, StayAsLongWhereTheyEndWhileAClockIsInThePast) {
    const KeepRule by_age{30, 0, 0, 30};
    for (int day = 0; day < 50; day += 5) {
        pass_days(5);
        tidy(by_age);
    }
    clock_.wall -= 45 * day_us;
    write("note", "one");
    clock_.advance_us(second_us);
    write("note", "two");
    clock_.wall += 45 * day_us;
    for (int day = 0; day < 20; day += 5) {
        pass_days(5);
        tidy(by_age);
    }
    EXPECT_EQ(kept("note"), (List{"note two", "note one"}));
    for (int day = 0; day < 30; day += 5) {
        pass_days(5);
        tidy(by_age);
    }
    EXPECT_EQ(kept("note"), (List{"note two"}));
}

TEST_F(KeptVersions, AreReadAgainThoughTheLastPassEndedInTheFuture) {
    write("note", "one");
    clock_.wall += 3650 * day_us;
    tidy();
    clock_.wall -= 3650 * day_us;
    const std::string segment = folder_ + "/contents/0/1";
    std::string bytes = read_file(segment, 1 << 20).value();
    bytes[45] = static_cast<char>(bytes[45] ^ 1);
    ASSERT_TRUE(write_file_durably(segment, bytes, 0600).ok());
    pass_days(1);
    tidy();
    EXPECT_EQ(home_->damage(10)->contents, 1U);
}

TEST_F(KeptVersions, AreReadThoughNoneCanBeDropped) {
    write("note", "one");
    clock_.advance_us(second_us);
    write("note", "two");
    ASSERT_TRUE(db_->run_script("CREATE TRIGGER stuck BEFORE DELETE ON files_versions BEGIN SELECT "
                                "RAISE(ABORT, 'stuck'); END")
                    .ok());
    const std::string segment = folder_ + "/contents/0/1";
    std::string bytes = read_file(segment, 1 << 20).value();
    bytes.back() = static_cast<char>(bytes.back() ^ 1);
    ASSERT_TRUE(write_file_durably(segment, bytes, 0600).ok());
    pass_days(3);
    EXPECT_FALSE(home_->upkeep({{0, 0, 0, 0}, 30}).ok());
    EXPECT_EQ(home_->damage(10)->contents, 1U);
}

TEST_F(KeptVersions, AreThinnedOutInBoundedStepsThatGoOnAfterARestart) {
    std::vector<Change> many;
    for (int i = 0; i < 1500; ++i) {
        many.emplace_back("f" + std::to_string(i), "old " + std::to_string(i));
    }
    send(many);
    clock_.advance_us(second_us);
    for (auto& [path, content] : many) {
        content = "new " + path;
    }
    send(many);
    const KeepRule nothing{0, 0, 0, 0};
    pass_days(2);
    ASSERT_TRUE(home_->upkeep({nothing, 30}).value()); // there is more than a step
    start();
    pass_days(1);
    tidy(nothing);
    EXPECT_EQ(home_->versions(notes, "f7", false, {})->size(), 1U);
    EXPECT_EQ(home_->versions(notes, "f1499", false, {})->size(), 1U);
    EXPECT_EQ(stands("f1499"), "new f1499");
}

TEST_F(KeptVersions, AreWhatADifferenceIsMadeAgainstAndWithoutThemTheWholeFileIsSent) {
    const std::string one(3000, 'a');
    const std::string two = one + "b";
    const std::uint64_t then = send({{"note", one}});
    clock_.advance_us(second_us);
    write("note", one.substr(0, 2000));
    write("note", two);
    EXPECT_EQ(told(then, "note")->codec, Codec::delta);
    pass_days(5);
    tidy({0, 0, 0, 0});
    ASSERT_EQ(kept("note").size(), 1U);
    EXPECT_EQ(told(then, "note")->codec, Codec::whole);
}

TEST_F(KeptVersions, NeverSayThatATierHasWhatItDoesNotHaveWhenSomeAreGone) {
    // At `then` the path had "two", whose version goes; "one", before it, stays for its trash.
    const std::string one(3000, 'a');
    const std::string two(3000, 'b');
    write("note", one);
    remove("note");
    clock_.advance_us(second_us);
    const std::uint64_t then = send({{"note", two}});
    write("note", "three");
    write("elsewhere", one);
    pass_days(5);
    tidy({0, 0, 0, 30});
    auto told_of = told(then, "elsewhere");
    ASSERT_TRUE(told_of.has_value());
    EXPECT_EQ(told_of->codec, Codec::whole); // not that it has it already
    EXPECT_EQ(told(then, "note")->codec, Codec::whole);
}

TEST_F(KeptVersions, OfATierThatComesFromLongAgoNothingIsLost) {
    write("note", "one");
    const Tree old = home_->tree(notes).value();
    clock_.advance_us(second_us);
    write("note", "two");
    pass_days(5);
    tidy({0, 0, 0, 0});
    // It edited "one", which nobody has any more.
    std::string bytes;
    BatchWriter writer({Direction::up, 0, 0}, [&](std::string_view more) {
        bytes.append(more);
        return Status{};
    });
    Record record;
    record.path = "note";
    record.entry = old.at("note");
    record.entry.hash = trust::sha256("mine");
    record.entry.size = 4;
    record.codec = Codec::whole;
    ASSERT_TRUE(writer.add(record).ok() && writer.content("mine").ok() &&
                writer.end_content().ok() && writer.finish().ok());
    const std::string batch(32, 'b');
    ASSERT_TRUE(home_->receive(notes, batch, 0, bytes.size(), bytes).ok());
    ASSERT_TRUE(home_->exchange({notes, batch, {}, "anna@osaka", false}).ok());
    EXPECT_EQ(stands("note"), "two");
    const Tree now = home_->tree(notes).value();
    ASSERT_EQ(now.size(), 2U);
    EXPECT_EQ(content(now.rbegin()->second.hash), "mine");
}

TEST_F(KeptVersions, AreListedByPathNewestFirstAndPageByPage) {
    std::vector<Change> many;
    for (int i = 0; i < 600; ++i) {
        many.emplace_back("d/" + std::to_string(1000 + i), std::to_string(i));
    }
    send(many);
    write("d/1000", "again");
    write("d-beside", "x");
    auto first = home_->versions(notes, "d", false, {});
    ASSERT_EQ(first->size(), versions_listed_max);
    EXPECT_EQ(first->at(0).path, "d");
    EXPECT_EQ(first->at(1).path, "d/1000");
    EXPECT_EQ(first->at(1).until_us, 0);
    EXPECT_EQ(first->at(2).path, "d/1000");
    EXPECT_GT(first->at(2).until_us, 0);
    EXPECT_EQ(first->at(2).who, "anna@tokyo");
    auto rest = home_->versions(notes, "d", false, {first->back().path, first->back().revision});
    EXPECT_EQ(rest->size(), 602 - versions_listed_max);
    EXPECT_EQ(home_->versions(notes, "d/1000", false, {})->size(), 2U);
    EXPECT_TRUE(home_->versions(notes, "d/1", false, {})->empty());
    EXPECT_TRUE(home_->versions({"bert", "notes"}, "", false, {})->empty());
}

TEST_F(KeptVersions, ArePutBackByTimeAsANewRevisionAndNothingIsLost) {
    send({{"d/a", "a1"}, {"d/b", "b1"}, {"c", "c1"}});
    pass_days(1);
    const std::int64_t then = clock_.wall_us();
    pass_days(1);
    send({{"d/a", "a2"}, {"d/b", std::nullopt}, {"d/new", "n"}, {"c", "c2"}});
    const std::uint64_t before = home_->revision(notes)->number;
    RestoreWish back = wish("d");
    back.at_us = then;
    back.dry_run = true;
    auto would = home_->restore(back);
    ASSERT_TRUE(would.ok());
    EXPECT_EQ(would->restored, 2U);
    EXPECT_EQ(home_->revision(notes)->number, before);
    EXPECT_EQ(stands("d/a"), "a2");
    back.dry_run = false;
    auto done = home_->restore(back);
    ASSERT_TRUE(done.ok());
    ASSERT_EQ(done->items.size(), 2U);
    EXPECT_EQ(done->items[1].path, "d/b");
    ASSERT_EQ(done->changed.size(), 1U);
    EXPECT_EQ(done->changed[0].number, before + 1);
    EXPECT_EQ(stands("d/a"), "a1");
    EXPECT_EQ(stands("d/b"), "b1");
    EXPECT_EQ(stands("d/new"), "n");
    EXPECT_EQ(stands("c"), "c2");
    EXPECT_EQ(kept("d/a"), (List{"d/a a1", "d/a a2", "d/a a1"}));
    EXPECT_TRUE(told(before, "d/b").has_value()); // it goes down as any change
    auto again = home_->restore(back);
    EXPECT_EQ(again->restored, 0U);
    EXPECT_TRUE(again->changed.empty());
}

TEST_F(KeptVersions, ArePutBackByRevisionFromTheTrashAndForAWholeUser) {
    const std::uint64_t first = send({{"note", "one"}});
    write("note", "two");
    send({{"card", "k"}}, {"anna", "cards"});
    send({{"card", std::nullopt}}, {"anna", "cards"});
    remove("note");
    RestoreWish back = wish("note");
    ASSERT_EQ(home_->restore(back)->restored, 1U);
    EXPECT_EQ(stands("note"), "two");
    back.revision = first;
    ASSERT_EQ(home_->restore(back)->restored, 1U);
    EXPECT_EQ(stands("note"), "one");
    remove("note");
    RestoreWish all;
    all.user = "anna";
    auto done = home_->restore(all);
    ASSERT_TRUE(done.ok());
    EXPECT_EQ(done->restored, 2U);
    EXPECT_EQ(done->changed.size(), 2U);
    EXPECT_EQ(stands("note"), "one");
    EXPECT_EQ(stands("card", {"anna", "cards"}), "k");
}

TEST_F(KeptVersions, AreLeftWhereSomethingOfAnotherKindStandsOrTheContentIsGone) {
    write("place", "a file");
    remove("place");
    send({{"place/inside", "x"}});
    write("place2", "y");
    RestoreWish back = wish("place");
    back.revision = 1;
    auto left = home_->restore(back);
    ASSERT_TRUE(left.ok());
    EXPECT_EQ(left->restored, 0U);
    ASSERT_EQ(left->items.size(), 1U);
    EXPECT_EQ(left->items[0].left, "a folder stands there now");
    remove("place2");
    ASSERT_TRUE(db_->execute("UPDATE contents SET damaged = 1 WHERE hash = ?1",
                             store::Blob{trust::sha256("y")})
                    .ok());
    EXPECT_EQ(home_->restore(wish("place2"))->items.at(0).left,
              "its content is damaged or no longer kept");
    EXPECT_EQ(stands("place2"), "-");
    EXPECT_FALSE(home_->versions(notes, "place2", true, {})->at(0).readable);
}

TEST_F(KeptVersions, ComeBackWithTheFoldersAboveThem) {
    send({{"a/b/c", "deep"}});
    send({{"a/b/c", std::nullopt}, {"a/b", std::nullopt}, {"a", std::nullopt}});
    ASSERT_EQ(stands("a"), "-");
    EXPECT_EQ(home_->restore(wish("a/b/c"))->restored, 1U);
    EXPECT_EQ(stands("a"), "folder");
    EXPECT_EQ(stands("a/b"), "folder");
    EXPECT_EQ(stands("a/b/c"), "deep");
}

TEST_F(KeptVersions, SayWhatCannotBeRestoredAndWhy) {
    write("note", "one");
    RestoreWish none = wish("note");
    none.user = "bert";
    EXPECT_EQ(home_->restore(none).error().code, Code::not_found);
    EXPECT_EQ(home_->restore(wish("nothing")).error().code, Code::not_found);
    EXPECT_EQ(home_->restore(wish("../etc")).error().code, Code::usage);
    EXPECT_EQ(home_->restore(wish("note"))->restored, 0U); // it was not removed
}

TEST_F(KeptVersions, OfARemovedAccountAreDestroyed) {
    write("note", "one");
    send({{"note", "of bert"}}, {"bert", "notes"});
    const Tree tree = home_->tree(notes).value();
    ASSERT_TRUE(home_->forget_user("anna").ok());
    ASSERT_TRUE(home_->forget_user("anna").ok());
    EXPECT_EQ(home_->users().value(), List{"bert"});
    EXPECT_EQ(home_->revision(notes)->epoch, 0U);
    EXPECT_FALSE(home_->content(notes, tree.at("note").hash).ok());
    start();
    EXPECT_EQ(stands("note", {"bert", "notes"}), "(not_found)"); // asked as anna
    const Tree berts = home_->tree({"bert", "notes"}).value();
    EXPECT_TRUE(home_->content({"bert", "notes"}, berts.at("note").hash).ok());
}

TEST_F(KeptVersions, OfARemovedAccountAreKnownToBeGoneByTheirEpoch) {
    write("note", "one");
    const std::uint64_t epoch = home_->revision(notes)->epoch;
    EXPECT_FALSE(home_->is_gone(notes, epoch).value());
    EXPECT_TRUE(home_->users_gone()->empty());
    ASSERT_TRUE(home_->forget_user("anna").ok());
    // Another of the same name.
    clock_.advance_us(second_us);
    write("note", "hers");
    const std::uint64_t anew = home_->revision(notes)->epoch;
    ASSERT_NE(anew, epoch);
    start();
    EXPECT_TRUE(home_->is_gone(notes, epoch).value());
    EXPECT_FALSE(home_->is_gone(notes, anew).value());
    EXPECT_FALSE(home_->is_gone({"anna", "mail"}, epoch).value());
    EXPECT_FALSE(home_->is_gone({"bert", "notes"}, epoch).value());
    EXPECT_FALSE(home_->is_gone(notes, 0).value());
    EXPECT_EQ(home_->users_gone().value(), std::set<std::string>{"anna"});
}

TEST_F(KeptVersions, OfARemovedAccountAreGoneAlsoForWhoMetThemBeforeARestore) {
    write("note", "one");
    const std::uint64_t epoch = home_->revision(notes)->epoch;
    home_.reset();
    ASSERT_TRUE(begin_restored(*db_, "clinics", clock_.wall_us(), clock_.wall_us() + 1).ok());
    start();
    ASSERT_TRUE(home_->forget_user("anna").ok());
    EXPECT_TRUE(home_->is_gone(notes, epoch).value());
}

TEST_F(KeptVersions, OfADamagedContentSayWhichFilesItConcerns) {
    write("note", "one");
    write("copy", "one");
    write("copy", "two");
    ASSERT_TRUE(db_->execute("UPDATE contents SET damaged = 1 WHERE hash = ?1",
                             store::Blob{trust::sha256("one")})
                    .ok());
    auto damage = home_->damage(10);
    ASSERT_TRUE(damage.ok());
    EXPECT_EQ(damage->contents, 1U);
    ASSERT_EQ(damage->files.size(), 2U);
    EXPECT_EQ(damage->files[0].path, "note");
    EXPECT_TRUE(damage->files[0].stands);
    EXPECT_EQ(damage->files[1].path, "copy");
    EXPECT_FALSE(damage->files[1].stands);
}

} // namespace
} // namespace hasp::sync
