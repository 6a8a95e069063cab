// A working copy ends where its home has all of it, and comes again with the next round.
#include "engine_fixture.h"

namespace hasp::sync {
namespace {

bool is_there(Machine& at) {
    return at.disk().stat(at.folder.path).ok();
}

std::optional<Code> code_of(const Status& status) {
    return status.ok() ? std::nullopt : std::optional(status.error().code);
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
    const Status left = tokyo_->client->leave(tokyo_->folder);
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
    EXPECT_EQ(code_of(tokyo_->client->leave(tokyo_->folder)), Code::conflict) << "nothing was sent";
    sync(*tokyo_);
    const auto stays = [&](const char* why) {
        const Status left = tokyo_->client->leave(tokyo_->folder);
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
    EXPECT_TRUE(tokyo_->client->leave(tokyo_->folder).ok());
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
    EXPECT_EQ(code_of(tokyo_->client->leave(tokyo_->folder)), Code::conflict)
        << "the folder is as it was agreed, but the home may have taken the batch";
    sync(*tokyo_);
    ASSERT_TRUE(remove_tree(tokyo_->path("")).ok());
    sync(*tokyo_);
    EXPECT_GT(tokyo_->client->status()->at(0).held_files, 0U);
    EXPECT_EQ(code_of(tokyo_->client->leave(tokyo_->folder)), Code::conflict)
        << "an operator has not said what became of the folder";
    sync(*osaka_);
    EXPECT_EQ(osaka_->content("notes/monday"), "three patients");
}

TEST_F(Engine, ARemovalThatAnythingCutsShortIsFinishedAndDeletesNothingAtTheHome) {
    furnish(*tokyo_, noise(3'000'000));
    sync(*tokyo_);
    int cuts = 0;
    for (bool done = false; !done; ++cuts) {
        ASSERT_LT(cuts, 50);
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
