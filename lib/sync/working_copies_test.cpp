#include "sync/working_copies.h"

#include "base/files.h"

#include <gtest/gtest.h>
#include <set>
#include <sys/stat.h>
#include <unistd.h>

namespace hasp::sync {
namespace {

class Copies : public ::testing::Test {
  protected:
    void SetUp() override {
        state_ = ::testing::TempDir() + "sync_XXXXXX";
        ASSERT_NE(::mkdtemp(state_.data()), nullptr);
        auto opened = WorkingCopies::open(state_);
        ASSERT_TRUE(opened.ok()) << opened.error().message;
        copies_.emplace(std::move(*opened));
    }
    void TearDown() override { EXPECT_TRUE(remove_tree(state_).ok()); }

    WorkingCopy ensured(Scope scope, const std::string& user, const std::string& app) {
        auto copy = copies_->ensure(scope, user, app);
        EXPECT_TRUE(copy.ok()) << copy.error().message;
        return copy.ok() ? *copy : WorkingCopy{};
    }

    std::string state_;
    std::optional<WorkingCopies> copies_;
};

TEST_F(Copies, LieWhereTheArchitectureSays) {
    EXPECT_EQ(ensured(Scope::user, "anna", "wiki").path, state_ + "/data/users/anna/wiki");
    EXPECT_EQ(ensured(Scope::app, "", "calendar").path, state_ + "/data/apps/calendar");
    EXPECT_EQ(ensured(Scope::none, "", "clock").path, "");
}

TEST_F(Copies, AreMadeOnceWithTheirOwnerAndModeAndStayTheSame) {
    const WorkingCopy first = ensured(Scope::user, "anna", "wiki");
    const WorkingCopy again = ensured(Scope::user, "anna", "wiki");
    EXPECT_TRUE(first.created);
    EXPECT_FALSE(again.created);
    EXPECT_EQ(first.uid, again.uid);
    struct stat st {};
    ASSERT_EQ(::stat(first.path.c_str(), &st), 0);
    EXPECT_EQ(st.st_mode & 07777U, 0700U);
    EXPECT_EQ(st.st_uid, ::geteuid() == 0 ? first.uid : ::geteuid());
    ASSERT_EQ(::stat((state_ + "/data/users/anna").c_str(), &st), 0);
    EXPECT_EQ(st.st_mode & 07777U, 0711U);
    const auto found = copies_->find(Scope::user, "anna", "wiki");
    ASSERT_TRUE(found.ok());
    EXPECT_EQ(found->uid, first.uid);
}

TEST_F(Copies, OfDifferentUsersAndAppsHaveDifferentOwnersAlsoAfterARestart) {
    if (::geteuid() != 0) {
        EXPECT_EQ(ensured(Scope::app, "", "wiki").uid, 0U);
        return;
    }
    std::set<uid_t> uids = {
        ensured(Scope::user, "anna", "wiki").uid, ensured(Scope::user, "ben", "wiki").uid,
        ensured(Scope::user, "anna", "mail").uid, ensured(Scope::app, "", "wiki").uid};
    copies_.emplace(std::move(WorkingCopies::open(state_).value()));
    uids.insert(ensured(Scope::none, "", "wiki").uid);
    EXPECT_EQ(uids.size(), 5U);
    EXPECT_GE(*uids.begin(), app_uid_first);
}

TEST_F(Copies, AreRefusedForNamesThatAreNoNames) {
    for (const char* bad : {"", "..", "a/b", "A", ".x"}) {
        const auto app = copies_->ensure(Scope::app, "", bad);
        ASSERT_FALSE(app.ok());
        EXPECT_EQ(app.error().code, Code::usage);
        EXPECT_FALSE(copies_->ensure(Scope::user, bad, "wiki").ok());
    }
}

TEST_F(Copies, AreNeverReachedThroughALink) {
    ASSERT_TRUE(make_folders(state_ + "/elsewhere/wiki").ok());
    ASSERT_TRUE(make_folders(state_ + "/data/users").ok());
    ASSERT_EQ(::symlink((state_ + "/elsewhere").c_str(), (state_ + "/data/users/anna").c_str()), 0);
    const auto through = copies_->ensure(Scope::user, "anna", "wiki");
    ASSERT_FALSE(through.ok());
    EXPECT_EQ(through.error().code, Code::refused);
    EXPECT_FALSE(copies_->find(Scope::user, "anna", "wiki").ok());
}

TEST_F(Copies, ThatWereNeverMadeAreNotFound) {
    const auto found = copies_->find(Scope::app, "", "wiki");
    ASSERT_FALSE(found.ok());
    EXPECT_EQ(found.error().code, Code::not_found);
}

TEST_F(Copies, AreRefusedWhenTheListOfOwnersIsDamaged) {
    if (::geteuid() != 0) {
        GTEST_SKIP() << "owners are given out as root only";
    }
    ensured(Scope::app, "", "wiki");
    ASSERT_TRUE(write_file_durably(state_ + "/data/uids", "0 apps/wiki\n", 0600).ok());
    EXPECT_EQ(copies_->ensure(Scope::app, "", "wiki").error().code, Code::refused);
}

} // namespace
} // namespace hasp::sync
