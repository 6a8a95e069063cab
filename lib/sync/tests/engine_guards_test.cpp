// What waits for an operator: deletions that nobody may have meant, a home that is another.
#include "engine_fixture.h"

namespace hasp::sync {
namespace {

TEST_F(Engine, HoldsAMassDeletionUntilAnOperatorReleasesIt) {
    for (int i = 0; i < 60; ++i) {
        tokyo_->write("f" + std::to_string(i), std::to_string(i));
    }
    sync(*tokyo_);
    sync(*osaka_);
    for (int i = 0; i < 55; ++i) {
        ASSERT_EQ(::unlink(tokyo_->path("f" + std::to_string(i)).c_str()), 0);
    }
    tokyo_->write("new", "goes on");
    sync(*tokyo_);
    sync(*osaka_);
    EXPECT_EQ(osaka_->content("f3"), "3");
    EXPECT_EQ(osaka_->content("new"), "goes on");
    auto status = tokyo_->client->status();
    ASSERT_TRUE(status.ok());
    EXPECT_EQ(status->at(0).held_files, 55U);
    EXPECT_FALSE(status->at(0).held.empty());
    ASSERT_TRUE(tokyo_->client->release_deletions(tokyo_->folder.id).ok());
    sync(*tokyo_);
    sync(*osaka_);
    EXPECT_EQ(osaka_->content("f3"), "(not_found)");
    EXPECT_EQ(osaka_->content("f57"), "57");
    EXPECT_EQ(tokyo_->client->status()->at(0).held_files, 0U);
}

TEST_F(Engine, EachDeletionWaitsForMoreAlsoWhereOneDidBefore) {
    for (const char* name : {"a", "b", "c"}) {
        tokyo_->write(name, name);
    }
    Client& client = *tokyo_->client;
    const FolderId& id = tokyo_->folder.id;
    client.watch_begins(id);
    client.patient(id, true);
    sync(*tokyo_);
    sync(*osaka_);
    const auto lose = [&](const char* name) {
        ASSERT_EQ(::unlink(tokyo_->path(name).c_str()), 0);
        client.note(id, {false, {name}, {}, {}});
    };
    lose("a");
    EXPECT_TRUE(client.prepare(tokyo_->folder)->batch.empty()) << "it waits";
    clock_.advance_us(1'000'000);
    sync(*tokyo_);
    sync(*osaka_);
    EXPECT_EQ(osaka_->content("a"), "(not_found)");
    clock_.advance_us(10'000'000);
    // Both go, and are noticed one after the other.
    lose("b");
    EXPECT_TRUE(client.prepare(tokyo_->folder)->batch.empty()) << "it waits as the first one did";
    lose("c");
    clock_.advance_us(1'000'000);
    sync(*tokyo_);
    sync(*osaka_);
    EXPECT_EQ(osaka_->content("b"), "b");
    EXPECT_EQ(client.status()->at(0).held_files, 2U);
}

TEST_F(Engine, AFolderOfFewFilesThatLosesAllIsHeldHoweverFewOfThemWereNoticed) {
    tokyo_->write("a", "a");
    tokyo_->write("b", "b");
    Client& client = *tokyo_->client;
    const FolderId& id = tokyo_->folder.id;
    client.watch_begins(id);
    sync(*tokyo_);
    sync(*osaka_);
    ASSERT_EQ(::unlink(tokyo_->path("a").c_str()) + ::unlink(tokyo_->path("b").c_str()), 0);
    client.note(id, {false, {"a"}, {}, {}});
    sync(*tokyo_);
    sync(*osaka_);
    EXPECT_EQ(osaka_->content("a"), "a");
    EXPECT_EQ(client.status()->at(0).held_files, 2U);
}

TEST_F(Engine, GoesOnHoldingWhenSomethingComesIntoTheEmptiedFolder) {
    tokyo_->write("a", "1");
    tokyo_->write("b", "2");
    sync(*tokyo_);
    sync(*osaka_);
    ASSERT_EQ(::unlink(tokyo_->path("a").c_str()) + ::unlink(tokyo_->path("b").c_str()), 0);
    sync(*tokyo_);
    osaka_->write("c", "3");
    sync(*osaka_);
    sync(*tokyo_);
    EXPECT_EQ(tokyo_->content("c"), "3");
    sync(*tokyo_);
    sync(*osaka_);
    EXPECT_EQ(osaka_->content("a"), "1");
    EXPECT_EQ(tokyo_->client->status()->at(0).held_files, 2U);
    ASSERT_TRUE(tokyo_->client->release_deletions(tokyo_->folder.id).ok());
    sync(*tokyo_);
    sync(*osaka_);
    EXPECT_EQ(osaka_->content("a"), "(not_found)");
    EXPECT_EQ(osaka_->content("c"), "3");
}

TEST_F(Engine, HoldsNoFolderThatIsAllThatIsLeftOfAMassDeletion) {
    ASSERT_EQ(::mkdir(tokyo_->path("notes").c_str(), 0755), 0);
    tokyo_->write("notes/a", noise(500));
    tokyo_->write("b", noise(500));
    sync(*tokyo_);
    sync(*osaka_);
    ASSERT_EQ(::unlink(tokyo_->path("notes/a").c_str()) + ::unlink(tokyo_->path("b").c_str()) +
                  ::rmdir(tokyo_->path("notes").c_str()),
              0);
    sync(*tokyo_);
    EXPECT_EQ(tokyo_->client->status()->at(0).held_files, 2U);
    ASSERT_EQ(::rename(osaka_->path("notes/a").c_str(), osaka_->path("list").c_str()), 0);
    sync(*osaka_);
    ASSERT_EQ(::unlink(osaka_->path("b").c_str()), 0);
    sync(*osaka_);
    for (int i = 0; i < 3; ++i) {
        sync(*tokyo_);
        sync(*osaka_);
    }
    EXPECT_EQ(tokyo_->client->status()->at(0).held, "");
    EXPECT_EQ(osaka_->content("list"), tokyo_->content("list"));
    for (Machine* at : {tokyo_.get(), osaka_.get()}) {
        EXPECT_NE(::access(at->path("notes").c_str(), F_OK), 0);
    }
}

TEST_F(Engine, NeverSendsAVanishedFolderAsDeletions) {
    tokyo_->write("only", "x");
    sync(*tokyo_);
    ASSERT_TRUE(remove_tree(tokyo_->path("")).ok());
    sync(*tokyo_);
    EXPECT_EQ(home_->home->tree({"anna", "wiki"})->size(), 1U);
    EXPECT_EQ(tokyo_->client->status()->at(0).held, "the folder is gone");
    // A program fills the empty folder: still nothing goes, until an operator says how it is.
    ASSERT_TRUE(hasp::make_folders(tokyo_->path("")).ok());
    tokyo_->write("only", "what the program ships");
    tokyo_->write("more", "y");
    tokyo_->write("other", "z");
    ASSERT_EQ(::unlink(tokyo_->path("only").c_str()), 0);
    sync(*tokyo_);
    EXPECT_EQ(home_->home->tree({"anna", "wiki"})->size(), 1U);
    ASSERT_TRUE(tokyo_->client->begin_anew(tokyo_->folder.id).ok());
    sync(*tokyo_);
    EXPECT_EQ(tokyo_->content("only"), "x") << "the home had it";
    EXPECT_EQ(home_->home->tree({"anna", "wiki"})->size(), 3U);
}

TEST_F(Engine, NeverSendsAsDeletedWhatAFolderMadeAnewByWhomeverDoesNotHave) {
    tokyo_->write("only", "x");
    sync(*tokyo_);
    ASSERT_TRUE(remove_tree(tokyo_->path("")).ok());
    ASSERT_TRUE(hasp::make_folders(tokyo_->path("")).ok());
    tokyo_->start(); // who made it remembers nothing of it
    sync(*tokyo_);
    EXPECT_EQ(home_->home->tree({"anna", "wiki"})->size(), 1U);
    EXPECT_EQ(tokyo_->client->status()->at(0).held, "the folder is gone");
    ASSERT_TRUE(tokyo_->client->release_deletions(tokyo_->folder.id).ok());
    sync(*tokyo_);
    EXPECT_EQ(home_->home->tree({"anna", "wiki"})->size(), 0U)
        << "an operator said that it is meant";
}

TEST_F(Engine, TakesAFolderThatWasPutInPlaceOfAnotherWithAllThatWasThere) {
    tokyo_->write("only", "x");
    sync(*tokyo_);
    ASSERT_TRUE(remove_tree(tokyo_->path("")).ok());
    ASSERT_TRUE(hasp::make_folders(tokyo_->path("")).ok());
    tokyo_->write("only", "x, from a backup");
    sync(*tokyo_);
    EXPECT_EQ(tokyo_->client->status()->at(0).held, "");
    ASSERT_EQ(::unlink(tokyo_->path("only").c_str()), 0);
    sync(*tokyo_);
    EXPECT_EQ(home_->home->tree({"anna", "wiki"})->size(), 0U)
        << "that is a deletion like any other";
}

TEST_F(Engine, StopsAndAsksWhenTheHomeBeganAnew) {
    tokyo_->write("note", "hello");
    sync(*tokyo_);
    home_.reset();
    ASSERT_TRUE(remove_tree(folder_ + "/center").ok());
    clock_.advance_us(5);
    home_ = std::make_unique<Machine>(folder_ + "/center", clock_, random_, true);
    osaka_->write("other", "from osaka");
    sync(*osaka_);
    tokyo_->write("more", "unsent");
    bool again = false;
    EXPECT_FALSE(exchange(*tokyo_, again).has_value());
    EXPECT_NE(last_error_.find("begun anew"), std::string::npos) << last_error_;
    EXPECT_EQ(tokyo_->content("note"), "hello");
    ASSERT_TRUE(tokyo_->client->begin_anew(tokyo_->folder.id).ok());
    sync(*tokyo_);
    EXPECT_EQ(home_->home->tree({"anna", "wiki"})->size(), 3U);
    EXPECT_EQ(tokyo_->content("other"), "from osaka");
}

TEST_F(Engine, StopsAndAsksWhenTheHomeWasRestoredFromABackup) {
    tokyo_->write("old", "1");
    sync(*tokyo_);
    const std::filesystem::path center = folder_ + "/center";
    const std::filesystem::path backup = folder_ + "/backup";
    home_->stop();
    std::filesystem::copy(center, backup, std::filesystem::copy_options::recursive);
    home_->start();
    tokyo_->write("new", "2");
    ASSERT_EQ(::unlink(tokyo_->path("old").c_str()), 0);
    sync(*tokyo_);
    home_->stop();
    std::filesystem::remove_all(center);
    std::filesystem::rename(backup, center);
    home_->start();
    tokyo_->write("newer", "3");
    bool again = false;
    EXPECT_FALSE(exchange(*tokyo_, again).has_value());
    EXPECT_NE(last_error_.find("was restored from a backup"), std::string::npos) << last_error_;
    EXPECT_EQ(tokyo_->content("new"), "2");
    EXPECT_EQ(home_->home->tree({"anna", "wiki"})->size(), 1U) << "nothing was taken";
    ASSERT_TRUE(tokyo_->client->begin_anew(tokyo_->folder.id).ok());
    sync(*tokyo_);
    EXPECT_EQ(tokyo_->content("new"), "2");
    EXPECT_EQ(tokyo_->content("old"), "1") << "what the backup has is deleted by nobody";
    EXPECT_EQ(home_->home->tree({"anna", "wiki"})->size(), 3U);
}

TEST_F(Engine, KnowsWhomARestoredHomeMetBeforeAndWhomNot) {
    tokyo_->write("old", "1");
    sync(*tokyo_);
    const FolderId folder{"anna", "wiki"};
    const std::uint64_t before = home_->home->revision(folder)->epoch;
    clock_.advance_us(10);
    const std::int64_t backup_us = clock_.wall_us();
    clock_.advance_us(10);
    const auto during = static_cast<std::uint64_t>(clock_.wall_us());
    clock_.advance_us(10);
    home_->stop();
    {
        auto db = store::Db::open(folder_ + "/center/files.db");
        ASSERT_TRUE(db.ok());
        ASSERT_TRUE(begin_restored(**db, "clinics", backup_us, clock_.wall_us()).ok());
    }
    home_->start();
    Home& home = *home_->home;
    const std::uint64_t now = home.revision(folder)->epoch;
    EXPECT_GT(now, before);
    EXPECT_TRUE(*home.was_restored(folder, before));
    EXPECT_FALSE(*home.was_restored(folder, now));
    EXPECT_FALSE(*home.was_restored(folder, 0)) << "who knows none begins anyhow";
    EXPECT_FALSE(*home.was_restored(folder, now + 1)) << "a stranger";
    EXPECT_FALSE(*home.was_restored(folder, before - 1)) << "a history from before";
    // Of a folder that the backup does not know: it began between the backup and the restore.
    EXPECT_TRUE(*home.was_restored({"anna", "notes"}, during));
    EXPECT_FALSE(*home.was_restored({"anna", "notes"}, before));
    // Once more from the same backup.
    clock_.advance_us(10);
    home_->stop();
    {
        auto db = store::Db::open(folder_ + "/center/files.db");
        ASSERT_TRUE(begin_restored(**db, "clinics", backup_us, clock_.wall_us()).ok());
    }
    home_->start();
    EXPECT_TRUE(*home_->home->was_restored(folder, now));
    EXPECT_GT(home_->home->revision(folder)->epoch, now);
}

} // namespace
} // namespace hasp::sync
