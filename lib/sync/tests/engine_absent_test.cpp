// Contents that come later than their files: what a client makes of them, and what it never does.
#include "absent_files.h"
#include "engine_fixture.h"

#include <gmock/gmock.h>

namespace hasp::sync {
namespace {

// Remembers whom it was told to hold. That opens wait is shown of the real one.
class NotedGate final : public OpenGate {
  public:
    int fd() const override { return -1; }
    Status hold(const std::string& path) override {
        held.push_back(path);
        return fails ? fail(Code::failed, "no more marks") : Status{};
    }
    Status can_hold() const override { return {}; }
    std::vector<Opening> take() override { return {}; }
    void answer(std::uint64_t, int) override {}
    std::vector<std::string> held;
    bool fails = false;
};

class ComesLater : public Engine {
  protected:
    void SetUp() override {
        Engine::SetUp();
        if (const std::string why = no_absent_files(tokyo_->disk()); !why.empty()) {
            GTEST_SKIP() << why;
        }
        format_ = batch_format_newest;
        home_->home->bound_along(0);
        osaka_->client->come_later(gate_, true);
    }
    Absent absent(const std::string& name) {
        auto found = osaka_->disk().absent(osaka_->folder.path + "/" + name);
        EXPECT_TRUE(found.ok() && found->has_value()) << name;
        return found.ok() ? found->value_or(Absent{}) : Absent{};
    }
    bool is_absent(const std::string& name) {
        auto found = osaka_->disk().absent(osaka_->folder.path + "/" + name);
        return found.ok() && found->has_value();
    }
    FolderStatus status() { return osaka_->client->status(osaka_->folder.id).value_or({}); }
    // As a tier does: asks the home for it piece by piece.
    Status bring(Filling& filling) {
        while (filling.have() < filling.absent().size) {
            auto piece = home_->home->piece(osaka_->folder.id, filling.absent().name,
                                            filling.have(), 50'000);
            if (!piece.ok()) {
                return piece.error();
            }
            if (Status taken = filling.take(*piece); !taken.ok()) {
                return taken;
            }
        }
        Status done = filling.finish();
        return done.ok() ? osaka_->client->came(osaka_->folder, filling) : done;
    }
    std::unique_ptr<Filling> next(bool in_use = false) {
        auto next = osaka_->client->next_to_come(osaka_->folder, in_use, ++copies_);
        EXPECT_TRUE(next.ok()) << (next.ok() ? "" : next.error().message);
        return next.ok() ? *std::move(next) : nullptr;
    }
    int bring_all() {
        int brought = 0;
        while (auto filling = next()) {
            const Status done = bring(*filling);
            EXPECT_TRUE(done.ok()) << done.error().message;
            if (!done.ok() || ++brought > 100) {
                break;
            }
        }
        return brought;
    }
    const std::string large_ = several_blocks('a');
    const std::string other_ = several_blocks('b');
    std::shared_ptr<NotedGate> gate_ = std::make_shared<NotedGate>();
    std::uint64_t copies_ = 0;
};

TEST_F(ComesLater, WhereItIsLargeAndSmallOnesComeAtOnce) {
    tokyo_->write("large", large_);
    tokyo_->write("small", "small");
    sync(*tokyo_);
    const Round round = sync(*osaka_);
    EXPECT_LT(round.down, 1000U);
    EXPECT_EQ(osaka_->content("small"), "small");
    EXPECT_EQ(absent("large").name, trust::sha256(large_));
    EXPECT_EQ(absent("large").user, "anna");
    EXPECT_EQ(absent("large").app, "wiki");
    EXPECT_EQ(osaka_->disk().stat(osaka_->folder.path + "/large")->mtime_ns / 1000,
              tokyo_->disk().stat(tokyo_->folder.path + "/large")->mtime_ns / 1000);
    ASSERT_EQ(gate_->held.size(), 1U);
    EXPECT_THAT(gate_->held[0], ::testing::StartsWith("sync/client/tmp/")) << "before it is there";
    EXPECT_EQ(status().to_come_files, 1U);
    EXPECT_EQ(status().to_come_bytes, large_.size());
    EXPECT_EQ(bring_all(), 1);
    EXPECT_TRUE(osaka_->content("large") == large_);
    EXPECT_EQ(status().to_come_files, 0U);
    EXPECT_EQ(sync(*osaka_).up, 0U);
}

TEST_F(ComesLater, BehindWhatComesAlong) {
    tokyo_->write("a", large_);
    tokyo_->write("b", other_);
    sync(*tokyo_);
    home_->home->bound_along(large_.size() + 1000);
    sync(*osaka_);
    EXPECT_TRUE(osaka_->content("a") == large_);
    EXPECT_TRUE(is_absent("b"));
}

TEST_F(ComesLater, AndNeverWhereNobodyHoldsWhoOpensIt) {
    osaka_->start(); // without a gate
    tokyo_->write("large", large_);
    sync(*tokyo_);
    sync(*osaka_);
    EXPECT_TRUE(osaka_->content("large") == large_);
    tokyo_->write("large", other_);
    sync(*tokyo_);
    osaka_->client->come_later(gate_, true);
    gate_->fails = true;
    tokyo_->write("new", large_ + "x");
    sync(*tokyo_);
    bool again = false;
    full_ = true; // the round fails
    EXPECT_FALSE(exchange(*osaka_, again).has_value());
    full_ = false;
    EXPECT_EQ(osaka_->content("new"), "(not_found)");
    gate_->fails = false;
    sync(*osaka_);
    EXPECT_TRUE(is_absent("new"));
}

TEST_F(ComesLater, TheNewestFirst) {
    for (const char* name : {"b", "a", "c"}) {
        tokyo_->write(name, several_blocks(name[0]));
        const std::array<timespec, 2> times{timespec{0, UTIME_OMIT}, timespec{1000 + name[0], 0}};
        ASSERT_EQ(::utimensat(AT_FDCWD, tokyo_->path(name).c_str(), times.data(), 0), 0);
    }
    sync(*tokyo_);
    sync(*osaka_);
    std::string order;
    while (auto filling = next()) {
        ASSERT_TRUE(bring(*filling).ok());
        for (const char* name : {"a", "b", "c"}) {
            if (!is_absent(name) && order.find(name) == std::string::npos) {
                order += name;
            }
        }
    }
    EXPECT_EQ(order, "cba");
}

TEST_F(ComesLater, AndIsNoChangeOfAnybodys) {
    tokyo_->write("large", large_);
    sync(*tokyo_);
    sync(*osaka_);
    EXPECT_EQ(sync(*osaka_).up, 0U);
    osaka_->start(); // looks at everything
    osaka_->client->come_later(gate_, true);
    EXPECT_EQ(sync(*osaka_).up, 0U);
    auto filling = next();
    ASSERT_NE(filling, nullptr);
    ASSERT_TRUE(filling->take(large_.substr(0, 70'000)).ok());
    filling.reset(); // a crash in the middle
    osaka_->start();
    osaka_->client->come_later(gate_, true);
    EXPECT_EQ(sync(*osaka_).up, 0U) << "neither its time nor its content";
    // Nor where nothing is known of what was agreed on.
    osaka_->forget_everything();
    osaka_->client->come_later(gate_, true);
    ASSERT_TRUE(osaka_->client->home_takes(osaka_->folder.id, batch_format_newest).ok());
    sync(*osaka_);
    EXPECT_EQ(home_->home->tree(home_->folder.id)->at("large").hash, trust::sha256(large_));
    EXPECT_EQ(home_->home->tree(home_->folder.id)->size(), 1U) << "and no copy beside it";
}

TEST_F(ComesLater, WhereverAnAppMovesIt) {
    tokyo_->write("large", large_);
    sync(*tokyo_);
    sync(*osaka_);
    ASSERT_EQ(::rename(osaka_->path("large").c_str(), osaka_->path("moved").c_str()), 0);
    ASSERT_EQ(::chmod(osaka_->path("moved").c_str(), 0600), 0);
    EXPECT_LT(sync(*osaka_).up, 1000U);
    sync(*tokyo_);
    EXPECT_TRUE(tokyo_->content("moved") == large_);
    EXPECT_EQ(tokyo_->content("large"), "(not_found)");
    EXPECT_EQ(bring_all(), 1);
    EXPECT_TRUE(osaka_->content("moved") == large_);
    EXPECT_EQ(sync(*osaka_).up, 0U);
}

TEST_F(ComesLater, AlsoWhereAnAppMovedItAndNobodyHasLookedSince) {
    tokyo_->write("large", large_);
    sync(*tokyo_);
    sync(*osaka_);
    ASSERT_EQ(::rename(osaka_->path("large").c_str(), osaka_->path("moved").c_str()), 0);
    EXPECT_EQ(next(true), nullptr) << "an app may be moving it just now";
    EXPECT_EQ(status().to_come_files, 1U);
    EXPECT_EQ(bring_all(), 1);
    EXPECT_TRUE(osaka_->content("moved") == large_);
    EXPECT_EQ(status().to_come_files, 0U);
}

TEST_F(ComesLater, NotAnyMoreWhereItIsRemoved) {
    tokyo_->write("large", large_);
    tokyo_->write("stays", "stays");
    sync(*tokyo_);
    sync(*osaka_);
    ASSERT_EQ(::unlink(osaka_->path("large").c_str()), 0);
    sync(*osaka_);
    EXPECT_EQ(bring_all(), 0);
    EXPECT_EQ(status().to_come_files, 0U);
    sync(*tokyo_);
    EXPECT_EQ(tokyo_->content("large"), "(not_found)");
}

TEST_F(ComesLater, AsItIsAtTheHomeByThen) {
    tokyo_->write("large", large_);
    sync(*tokyo_);
    sync(*osaka_);
    tokyo_->write("large", large_ + "and more"); // a difference from what is not here
    sync(*tokyo_);
    const Round round = sync(*osaka_);
    EXPECT_EQ(round.exchanges, 1U) << "it is not asked for whole";
    EXPECT_LT(round.down, 1000U);
    EXPECT_EQ(absent("large").name, trust::sha256(large_ + "and more"));
    ASSERT_EQ(::rename(tokyo_->path("large").c_str(), tokyo_->path("elsewhere").c_str()), 0);
    sync(*tokyo_);
    sync(*osaka_);
    EXPECT_FALSE(is_absent("large"));
    EXPECT_TRUE(is_absent("elsewhere"));
    EXPECT_EQ(bring_all(), 1);
    EXPECT_TRUE(osaka_->content("elsewhere") == large_ + "and more");
    EXPECT_EQ(sync(*osaka_).up, 0U);
}

TEST_F(ComesLater, AndItsNextChangeIsADifferenceBothWays) {
    tokyo_->write("large", large_);
    sync(*tokyo_);
    sync(*osaka_);
    ASSERT_EQ(bring_all(), 1);
    std::string edited = large_;
    edited[100'000] = '!';
    osaka_->write("large", edited);
    EXPECT_LT(sync(*osaka_).up, 500U);
    sync(*tokyo_);
    EXPECT_TRUE(tokyo_->content("large") == edited);
    edited[150'000] = '!';
    tokyo_->write("large", edited);
    sync(*tokyo_);
    EXPECT_LT(sync(*osaka_).down, 500U);
    EXPECT_TRUE(osaka_->content("large") == edited);
}

TEST_F(ComesLater, WhatIsWrittenBeforeThatIsNotedGoesUp) {
    tokyo_->write("large", large_);
    sync(*tokyo_);
    sync(*osaka_);
    auto filling = next();
    ASSERT_NE(filling, nullptr);
    ASSERT_TRUE(filling->take(large_).ok() && filling->finish().ok());
    std::string edited = large_;
    edited[0] = '!';
    osaka_->write("large", edited); // whoever waited for it is at once at work
    ASSERT_TRUE(osaka_->client->came(osaka_->folder, *filling).ok());
    sync(*osaka_);
    sync(*tokyo_);
    EXPECT_TRUE(tokyo_->content("large") == edited);
}

TEST_F(ComesLater, CutByItsNameWhatIsLeftOfItGoesUpWhenItIsHere) {
    tokyo_->write("large", large_);
    sync(*tokyo_);
    sync(*osaka_);
    ASSERT_EQ(::truncate(osaka_->path("large").c_str(), 80'000), 0);
    EXPECT_EQ(sync(*osaka_).up, 0U) << "no zeros";
    EXPECT_EQ(bring_all(), 1);
    sync(*osaka_);
    sync(*tokyo_);
    EXPECT_TRUE(tokyo_->content("large") == large_.substr(0, 80'000));
}

TEST_F(ComesLater, AlsoWhereThatIsNotedMuchLater) {
    tokyo_->write("cut", large_);
    tokyo_->write("edited", other_);
    sync(*tokyo_);
    sync(*osaka_);
    ASSERT_EQ(::truncate(osaka_->path("cut").c_str(), 80'000), 0);
    std::vector<std::unique_ptr<Filling>> fillings;
    for (const auto& [name, content] : {std::pair{"cut", large_}, std::pair{"edited", other_}}) {
        auto file = osaka_->disk().open_absent(osaka_->folder.path + "/" + name);
        ASSERT_TRUE(file.ok());
        fillings.push_back(std::make_unique<Filling>(*std::move(file), osaka_->disk(), ""));
        ASSERT_TRUE(fillings.back()->take(content).ok() && fillings.back()->finish().ok());
    }
    clock_.advance_us(60'000'000); // the client was at something else
    for (const auto& filling : fillings) {
        ASSERT_TRUE(osaka_->client->came(osaka_->folder, *filling).ok());
    }
    sync(*osaka_);
    sync(*tokyo_);
    EXPECT_TRUE(tokyo_->content("cut") == large_.substr(0, 80'000));
    EXPECT_TRUE(tokyo_->content("edited") == other_);
}

TEST_F(ComesLater, OnceForTwoFilesThatHaveIt) {
    tokyo_->write("a", large_);
    tokyo_->write("b", large_);
    sync(*tokyo_);
    sync(*osaka_);
    EXPECT_EQ(status().to_come_files, 1U) << "contents are counted";
    EXPECT_EQ(bring_all(), 2);
    EXPECT_TRUE(osaka_->content("a") == large_);
    EXPECT_TRUE(osaka_->content("b") == large_);
    EXPECT_EQ(sync(*osaka_).up, 0U);
}

TEST_F(ComesLater, OpensAreHeldAgainAfterAStart) {
    ASSERT_TRUE(hasp::make_folders(tokyo_->path("deep/er")).ok());
    tokyo_->write("deep/er/large", large_);
    tokyo_->write("here", other_);
    sync(*tokyo_);
    sync(*osaka_);
    ASSERT_EQ(::rename(osaka_->path("here").c_str(), osaka_->path("deep/moved").c_str()), 0);
    osaka_->start();
    osaka_->client->come_later(gate_, true);
    gate_->held.clear();
    ASSERT_TRUE(osaka_->client->hold_opens(osaka_->folder).ok());
    EXPECT_THAT(gate_->held, ::testing::UnorderedElementsAre("data/users/anna/wiki/deep/er/large",
                                                             "data/users/anna/wiki/deep/moved"));
    gate_->fails = true;
    EXPECT_FALSE(osaka_->client->hold_opens(osaka_->folder).ok());
}

TEST_F(ComesLater, OrNotAtAllWithoutTheRightToIt) {
    tokyo_->write("large", large_);
    sync(*tokyo_);
    EXPECT_EQ(home_->home->piece({"ben", "wiki"}, trust::sha256(large_), 0, 10).error().code,
              Code::not_found);
    EXPECT_EQ(home_->home->piece({"anna", "notes"}, trust::sha256(large_), 0, 10).error().code,
              Code::not_found);
    EXPECT_EQ(home_->home->piece({"anna", "wiki"}, trust::sha256(other_), 0, 10).error().code,
              Code::not_found);
    EXPECT_EQ(home_->home->piece({"anna", "wiki"}, trust::sha256(large_), 10, 10).value_or(""),
              large_.substr(10, 10));
    EXPECT_EQ(home_->home->piece({"anna", "wiki"}, trust::sha256(large_), large_.size(), 10)
                  .value_or("x"),
              "");
}

TEST_F(ComesLater, ACopyThatGoesTakesItAlong) {
    tokyo_->write("large", large_);
    sync(*tokyo_);
    sync(*osaka_);
    // The file system's clock is coarse: what was changed this instant may change in it again.
    const auto now = [this] {
        osaka_->disk().create("clock", 0600, {}).value().reset();
        const std::int64_t now_ns = osaka_->disk().stat("clock")->ctime_ns;
        EXPECT_TRUE(osaka_->disk().remove("clock").ok());
        return now_ns;
    };
    for (const std::int64_t before = now(); now() == before;) {
    }
    const Status left = osaka_->client->leave(osaka_->folder);
    ASSERT_TRUE(left.ok()) << left.error().message;
    EXPECT_EQ(osaka_->content("large"), "(not_found)");
    EXPECT_EQ(status().to_come_files, 0U);
    EXPECT_EQ(next(), nullptr);
}

} // namespace
} // namespace hasp::sync
