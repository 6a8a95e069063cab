// A working copy ends where its home has all of it, and comes again with the next round.
#include "engine_fixture.h"

#include <sys/xattr.h>
#include <unistd.h>

namespace hasp::sync {
namespace {

bool is_there(Machine& at) {
    return at.disk().stat(at.folder.path).ok();
}

std::optional<Code> code_of(const Status& status) {
    return status.ok() ? std::nullopt : std::optional(status.error().code);
}

// Until what was written before is older than what is written now, by the file system's clock.
void wait_for_its_clock(Machine& at) {
    const auto now = [&at] {
        EXPECT_TRUE(at.disk().create("clock", 0600, {}).ok());
        auto stat = at.disk().stat("clock");
        EXPECT_TRUE(at.disk().remove("clock").ok());
        return stat.ok() ? stat->ctime_ns : 0;
    };
    const std::int64_t before = now();
    for (int i = 0; i < 1'000'000 && now() == before; ++i) {
    }
}

Status leave(Machine& at) {
    wait_for_its_clock(at);
    return at.client->leave(at.folder);
}

// Of all files whose names begin so.
std::set<std::string> contents_named(Machine& at, const std::string& begin) {
    std::set<std::string> out;
    auto entries = at.disk().list(at.folder.path);
    for (const DirEntry& entry : entries.ok() ? *entries : std::vector<DirEntry>{}) {
        if (entry.name.starts_with(begin)) {
            out.insert(at.content(entry.name));
        }
    }
    return out;
}

void furnish(Machine& at, const std::string& large) {
    ASSERT_EQ(::mkdir(at.path("notes").c_str(), 0755), 0);
    at.write("notes/monday", "three patients");
    at.write("ward", "7");
    at.write("image", large);
}

TEST_F(Engine, AWorkingCopyThatWasRemovedComesAgainAsItWas) {
    const std::string large = noise(3'000'000);
    furnish(*tokyo_, large);
    sync(*tokyo_);
    sync(*osaka_);
    const std::uint64_t before = tokyo_->client->bytes_by_user().value()["anna"];
    EXPECT_GE(before, 2 * large.size()) << "the files, and what is kept of their contents";
    const Status left = leave(*tokyo_);
    ASSERT_TRUE(left.ok()) << left.error().message;
    EXPECT_FALSE(is_there(*tokyo_));
    EXPECT_FALSE(tokyo_->disk().stat("data/users/anna").ok());
    EXPECT_TRUE(tokyo_->client->status()->empty());
    EXPECT_TRUE(tokyo_->client->bytes_by_user()->empty());
    EXPECT_TRUE(tokyo_->client->leaving()->empty());
    EXPECT_TRUE(tokyo_->disk().list("sync/client/base")->empty()) << "no content is left either";

    ASSERT_TRUE(hasp::make_folders(tokyo_->path("")).ok()); // as the first round does
    sync(*tokyo_);
    sync(*osaka_);
    for (Machine* at : {tokyo_.get(), osaka_.get()}) {
        EXPECT_EQ(at->content("notes/monday"), "three patients");
        EXPECT_EQ(at->content("image"), large);
    }
    EXPECT_EQ(tokyo_->client->status()->at(0).conflicts, 0U);
    EXPECT_EQ(tokyo_->client->status()->at(0).held_files, 0U);
}

TEST_F(Engine, AWorkingCopyStaysWhileAnythingInItIsUnsent) {
    furnish(*tokyo_, noise(1000));
    EXPECT_EQ(code_of(leave(*tokyo_)), Code::conflict) << "nothing was sent";
    sync(*tokyo_);
    const auto stays = [&](const char* why) {
        const Status left = leave(*tokyo_);
        EXPECT_EQ(code_of(left), Code::conflict) << why;
        EXPECT_TRUE(is_there(*tokyo_)) << why;
        EXPECT_TRUE(tokyo_->client->leaving()->empty()) << why;
        EXPECT_GT(tokyo_->client->status()->at(0).unsent_files, 0U) << why;
        sync(*tokyo_);
    };
    tokyo_->write("new", "x");
    stays("a new file");
    tokyo_->write("ward", "8");
    stays("an edit");
    ASSERT_EQ(::unlink(tokyo_->path("new").c_str()), 0);
    stays("a deletion");
    ASSERT_EQ(::chmod(tokyo_->path("ward").c_str(), 0600), 0);
    stays("a mode");
    EXPECT_TRUE(leave(*tokyo_).ok());
}

TEST_F(Engine, AWorkingCopyStaysWhileABatchIsOnItsWayOrSomethingIsHeld) {
    furnish(*tokyo_, noise(1000));
    sync(*tokyo_);
    tokyo_->write("new", "x");
    messages_left_ = 0;
    bool again = false;
    EXPECT_FALSE(exchange(*tokyo_, again).has_value()) << "the link was cut";
    messages_left_ = -1;
    ASSERT_EQ(::unlink(tokyo_->path("new").c_str()), 0);
    EXPECT_EQ(code_of(leave(*tokyo_)), Code::conflict)
        << "the folder is as it was agreed, but the home may have taken the batch";
    sync(*tokyo_);
    ASSERT_TRUE(remove_tree(tokyo_->path("")).ok());
    sync(*tokyo_);
    EXPECT_GT(tokyo_->client->status()->at(0).held_files, 0U);
    EXPECT_EQ(code_of(leave(*tokyo_)), Code::conflict)
        << "an operator has not said what became of the folder";
    sync(*osaka_);
    EXPECT_EQ(osaka_->content("notes/monday"), "three patients");
}

TEST_F(Engine, AWorkingCopyThatNobodyNeedsGoesWithWhatIsUnsentOrHeldOrNew) {
    furnish(*tokyo_, noise(1000));
    sync(*tokyo_);
    ASSERT_TRUE(remove_tree(tokyo_->path("")).ok());
    sync(*tokyo_);
    ASSERT_GT(tokyo_->client->status()->at(0).held_files, 0U);
    ASSERT_EQ(::mkdir(tokyo_->path("").c_str(), 0755), 0);
    tokyo_->write("new", "x");
    EXPECT_TRUE(tokyo_->client->leave(tokyo_->folder, Client::Unsent::goes).ok());
    EXPECT_FALSE(is_there(*tokyo_));
    EXPECT_TRUE(tokyo_->client->leaving()->empty());
    EXPECT_TRUE(tokyo_->client->status()->empty());
}

TEST_F(Engine, WhatIsWrittenWhileAWorkingCopyIsRemovedStaysAndIsSent) {
    furnish(*tokyo_, noise(100'000));
    sync(*tokyo_);
    sync(*osaka_);
    bool written = false;
    tokyo_->disk().before_removal = [&] {
        // Behind the look: one that is new, one that is changed in place, one that is replaced.
        if (!written && !tokyo_->client->leaving()->empty()) {
            written = true;
            tokyo_->write("notes/tuesday", "five patients");
            tokyo_->write("ward", "8");
            tokyo_->write("new", "x-ray");
            ASSERT_EQ(::rename(tokyo_->path("new").c_str(), tokyo_->path("image").c_str()), 0);
        }
    };
    const Status left = leave(*tokyo_);
    tokyo_->disk().before_removal = nullptr;
    ASSERT_TRUE(written);
    EXPECT_EQ(code_of(left), Code::conflict);
    EXPECT_TRUE(tokyo_->client->leaving()->empty());
    EXPECT_EQ(tokyo_->content("notes/tuesday"), "five patients");
    sync(*tokyo_);
    sync(*osaka_);
    sync(*tokyo_);
    for (Machine* at : {tokyo_.get(), osaka_.get()}) {
        EXPECT_EQ(at->content("notes/monday"), "three patients") << "nothing was deleted";
        EXPECT_EQ(at->content("notes/tuesday"), "five patients");
        const std::set<std::string> wards = contents_named(*at, "ward");
        EXPECT_EQ(wards, (std::set<std::string>{"7", "8"})) << "both, or the newer alone";
        EXPECT_TRUE(contents_named(*at, "image").contains("x-ray"));
    }
}

TEST_F(Engine, AFolderThatTheHomeKeepsComesAgainAlsoWhereTheVerdictOnItCameAlone) {
    ASSERT_EQ(::mkdir(tokyo_->path("pictures").c_str(), 0755), 0);
    tokyo_->write("pictures/monday", "x-ray");
    sync(*tokyo_);
    sync(*osaka_);
    osaka_->write("pictures/tuesday", "scan");
    sync(*osaka_);
    ASSERT_EQ(::rename(tokyo_->path("pictures").c_str(), tokyo_->path("moved").c_str()), 0);
    verdicts_only_ = true;
    sync(*tokyo_);
    EXPECT_EQ(tokyo_->client->status()->at(0).unsent_files, 0U);
    EXPECT_FALSE(tokyo_->disk().stat(tokyo_->folder.path + "/pictures").ok());
    verdicts_only_ = false;
    sync(*tokyo_);
    sync(*osaka_);
    for (Machine* at : {tokyo_.get(), osaka_.get()}) {
        EXPECT_EQ(at->content("moved/monday"), "x-ray");
        EXPECT_EQ(at->content("pictures/tuesday"), "scan");
    }
}

TEST_F(Engine, AllNamesOfAFileGoWithAWorkingCopy) {
    furnish(*tokyo_, noise(1000));
    ASSERT_EQ(::link(tokyo_->path("ward").c_str(), tokyo_->path("notes/ward").c_str()), 0);
    ASSERT_EQ(::link(tokyo_->path("ward").c_str(), tokyo_->path("zone").c_str()), 0);
    sync(*tokyo_);
    const Status left = leave(*tokyo_);
    EXPECT_TRUE(left.ok()) << left.error().message;
    EXPECT_FALSE(is_there(*tokyo_));
}

TEST_F(Engine, ARemovalThatIsStoppedLeavesAFolderThatBecomesWholeAgain) {
    furnish(*tokyo_, noise(100'000));
    sync(*tokyo_);
    sync(*osaka_);
    wait_for_its_clock(*tokyo_);
    tokyo_->disk().removals_left = 5; // of its own files, and then of what is in the folder
    EXPECT_FALSE(tokyo_->client->leave(tokyo_->folder).ok());
    ASSERT_EQ(tokyo_->client->leaving()->size(), 1U);
    tokyo_->disk().removals_left = -1;
    ASSERT_TRUE(tokyo_->client->stop_leaving(tokyo_->folder.id).ok());
    EXPECT_TRUE(tokyo_->client->leaving()->empty());
    EXPECT_EQ(code_of(tokyo_->client->finish_leaving(tokyo_->folder)), Code::not_found);
    EXPECT_TRUE(is_there(*tokyo_));
    sync(*tokyo_);
    sync(*osaka_);
    for (Machine* at : {tokyo_.get(), osaka_.get()}) {
        EXPECT_EQ(at->content("notes/monday"), "three patients");
        EXPECT_EQ(at->content("ward"), "7");
        EXPECT_EQ(at->content("image").size(), 100'000U);
    }
    EXPECT_EQ(tokyo_->client->status()->at(0).conflicts, 0U);
}

TEST_F(Engine, AWorkingCopyStaysWhereItsHomeTakesNoAttributesAndItHasSome) {
    furnish(*tokyo_, noise(1000));
    sync(*tokyo_);
    ASSERT_TRUE(tokyo_->client->home_takes(tokyo_->folder.id, batch_format_attributes - 1).ok());
    ASSERT_EQ(::setxattr(tokyo_->path("ward").c_str(), "user.colour", "red", 3, 0), 0);
    EXPECT_EQ(code_of(leave(*tokyo_)), Code::conflict);
    EXPECT_TRUE(is_there(*tokyo_));
}

TEST_F(Engine, ARemovalThatAnythingCutsShortIsFinishedAndDeletesNothingAtTheHome) {
    furnish(*tokyo_, noise(3'000'000));
    sync(*tokyo_);
    int cuts = 0;
    for (bool done = false; !done; ++cuts) {
        ASSERT_LT(cuts, 50);
        wait_for_its_clock(*tokyo_);
        tokyo_->disk().removals_left = cuts;
        done = tokyo_->client->leave(tokyo_->folder).ok();
        tokyo_->cut_power();
        auto leaving = tokyo_->client->leaving();
        ASSERT_TRUE(leaving.ok());
        EXPECT_EQ(leaving->size(), done ? 0U : 1U) << cuts;
        for (const FolderId& id : *leaving) {
            EXPECT_EQ(id, tokyo_->folder.id);
            const Status finished = tokyo_->client->finish_leaving(tokyo_->folder);
            EXPECT_TRUE(finished.ok()) << finished.error().message;
        }
        EXPECT_TRUE(tokyo_->client->leaving()->empty());
        EXPECT_FALSE(is_there(*tokyo_)) << cuts;
        ASSERT_TRUE(hasp::make_folders(tokyo_->path("")).ok());
        sync(*tokyo_);
        ASSERT_EQ(tokyo_->content("notes/monday"), "three patients") << cuts;
        EXPECT_EQ(tokyo_->client->status()->at(0).conflicts, 0U);
    }
    EXPECT_GT(cuts, 5) << "files, folders, kept contents";
    sync(*osaka_);
    EXPECT_EQ(osaka_->content("notes/monday"), "three patients");
    EXPECT_EQ(osaka_->content("ward"), "7");
}

} // namespace
} // namespace hasp::sync
