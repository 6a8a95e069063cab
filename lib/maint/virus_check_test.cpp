// The virus check: what is not asked twice, and what becomes of what could not be asked.
#include "virus_check.h"

#include "base/files.h"

#include <functional>
#include <gtest/gtest.h>
#include <unistd.h>

namespace hasp::maint {
namespace {

using VerdictKind = ScanVerdict::Kind;

struct Told {
    ScanVerdict verdict = ScanVerdict::clean();
    std::string version = "1";
    int scans = 0;
    std::function<void()> meanwhile; // while a content is looked at
};

class ToldScanner final : public VirusScanner {
  public:
    explicit ToldScanner(Told& told) : told_(told) {}
    ScanVerdict scan(const sync::Pull& content) override {
        std::string buffer(1000, '\0');
        std::string whole;
        for (auto got = content(buffer); got.ok() && *got > 0; got = content(buffer)) {
            whole += buffer.substr(0, *got);
        }
        ++told_.scans;
        if (told_.meanwhile) {
            told_.meanwhile();
        }
        return whole == "bad" ? ScanVerdict::infected("Epiz") : told_.verdict;
    }
    Result<std::string> version() override { return told_.version; }
    std::string name() const override { return "a test's scanner"; }
    void stop() override { told_.verdict = ScanVerdict::unreachable("stopped"); }

  private:
    Told& told_;
};

const sync::Pull no_content = [](std::span<char>) -> Result<std::size_t> { return 0; };

class Virus : public ::testing::Test {
  protected:
    std::unique_ptr<VirusCheck> make(bool closed) {
        return std::make_unique<VirusCheck>(std::make_unique<ToldScanner>(told_),
                                            VirusCheck::Rules{closed, 1000}, clock_, log_);
    }
    Told told_;
    ManualClock clock_;
    Log log_{-1, clock_, "test", false};
};

TEST_F(Virus, IsNotAskedTwiceAboutAContentOfOneOwner) {
    auto check = make(true);
    EXPECT_FALSE(check->known("anna", "hash"));
    EXPECT_EQ(check->check("anna", "hash", no_content).kind, VerdictKind::clean);
    EXPECT_EQ(check->check("anna", "hash", no_content).kind, VerdictKind::clean);
    EXPECT_EQ(told_.scans, 1);
    EXPECT_EQ(check->known("anna", "hash")->kind, VerdictKind::clean);
    EXPECT_FALSE(check->known("ito", "hash")) << "nobody learns what others have";
    check->check("ito", "hash", no_content);
    EXPECT_EQ(told_.scans, 2);
    clock_.advance_us(scan_known_us);
    EXPECT_FALSE(check->known("anna", "hash"));
}

TEST_F(Virus, IsAskedAgainWithOtherSignatures) {
    auto check = make(true);
    check->check("anna", "hash", no_content);
    told_.version = "2";
    clock_.advance_us(scan_version_every_us);
    told_.verdict = ScanVerdict::infected("New");
    EXPECT_EQ(check->check("anna", "hash", no_content).text, "New");
    EXPECT_EQ(check->state().version, "2");
}

TEST_F(Virus, IsLeftAloneForAMomentWhenItIsGone) {
    auto check = make(true);
    told_.verdict = ScanVerdict::unreachable("nobody answers");
    EXPECT_TRUE(check->check("anna", "1", no_content).gone);
    EXPECT_TRUE(check->check("anna", "2", no_content).gone);
    EXPECT_EQ(told_.scans, 1);
    EXPECT_EQ(check->state().problem, "nobody answers");
    EXPECT_EQ(check->state().since_us, clock_.wall_us());
    told_.verdict = ScanVerdict::clean();
    clock_.advance_us(scan_gone_us);
    EXPECT_EQ(check->check("anna", "1", no_content).kind, VerdictKind::clean)
        << "nothing of it is kept";
    EXPECT_EQ(check->state().problem, "");
}

TEST_F(Virus, IsAskedAsSoonAsAnotherContentWasLookedAt) {
    auto check = make(true);
    // Two at once: one of them meets a scanner that was gone for a moment.
    told_.meanwhile = [&] {
        told_.meanwhile = nullptr;
        told_.verdict = ScanVerdict::unreachable("nobody answers");
        EXPECT_TRUE(check->check("anna", "1", no_content).gone);
        told_.verdict = ScanVerdict::clean();
    };
    EXPECT_EQ(check->check("anna", "2", no_content).kind, VerdictKind::clean);
    EXPECT_EQ(check->check("anna", "1", no_content).kind, VerdictKind::clean);
    EXPECT_EQ(check->state().problem, "");
}

TEST_F(Virus, GoesOnBesideAContentThatCannotBeLookedAt) {
    auto check = make(true);
    told_.verdict = ScanVerdict::unknown("too deep");
    EXPECT_FALSE(check->check("anna", "1", no_content).gone);
    told_.verdict = ScanVerdict::clean();
    EXPECT_EQ(check->check("anna", "2", no_content).kind, VerdictKind::clean);
    EXPECT_EQ(check->check("anna", "1", no_content).kind, VerdictKind::unknown);
    clock_.advance_us(scan_unknown_us);
    EXPECT_EQ(check->check("anna", "1", no_content).kind, VerdictKind::clean);
}

class VirusInRelease : public Virus {
  protected:
    void SetUp() override {
        folder_ = ::testing::TempDir() + "hasp_release_XXXXXX";
        ASSERT_NE(::mkdtemp(folder_.data()), nullptr);
        release_.app = "wiki";
        put("index.html", "sound");
        put("run.sh", "also sound");
    }
    void TearDown() override { EXPECT_TRUE(remove_tree(folder_).ok()); }
    void put(const std::string& name, const std::string& content) {
        ASSERT_TRUE(write_file_durably(folder_ + "/" + name, content, 0600).ok());
        release_.files.push_back({name, FileMode::plain, content.size(), "hash of " + content});
    }
    Release release_;
    std::string folder_;
};

TEST_F(VirusInRelease, IsRefusedWithTheFileAndWhatWasFound) {
    EXPECT_TRUE(make(true)->check_release(folder_, release_).ok());
    put("tool.exe", "bad");
    const Status said = make(false)->check_release(folder_, release_);
    EXPECT_EQ(said.error().code, Code::refused);
    EXPECT_EQ(said.error().message, "tool.exe in the release of 'wiki' is infected: Epiz");
}

TEST_F(VirusInRelease, WaitsForAScannerThatIsGoneOrGoesOnWithoutIt) {
    told_.verdict = ScanVerdict::unreachable("nobody answers");
    const Status said = make(true)->check_release(folder_, release_);
    EXPECT_EQ(said.error().code, Code::try_later);
    EXPECT_NE(said.error().message.find("nobody answers"), std::string::npos);
    auto open = make(false);
    EXPECT_TRUE(open->check_release(folder_, release_).ok());
    EXPECT_EQ(open->state().let_by, 2U);
}

TEST_F(VirusInRelease, IsNotPutInPlaceByAStopWhateverTheRules) {
    for (const bool closed : {true, false}) {
        told_ = {};
        auto check = make(closed);
        told_.meanwhile = [&] { check->stop(); };
        const Status said = check->check_release(folder_, release_);
        ASSERT_FALSE(said.ok());
        EXPECT_EQ(said.error().code, Code::try_later);
        EXPECT_EQ(check->check_release(folder_, release_).error().code, Code::try_later);
        EXPECT_EQ(check->state().let_by, 0U);
        EXPECT_EQ(check->state().problem, "") << "it is not the scanner that is gone";
    }
}

TEST_F(VirusInRelease, IsNotLookedForInLinksAndLargeFiles) {
    put("large", std::string(1001, 'x'));
    release_.files.push_back({"link", FileMode::symlink, 5, "hash"});
    auto check = make(true);
    EXPECT_TRUE(check->check_release(folder_, release_).ok());
    EXPECT_EQ(told_.scans, 2);
    EXPECT_EQ(check->state().let_by, 1U);
}

} // namespace
} // namespace hasp::maint
