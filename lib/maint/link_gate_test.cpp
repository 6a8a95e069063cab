// The budget of a month and the order of who may move next, over a store as the keeper has it.
#include "link_gate.h"

#include "store/db.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <optional>
#include <utility>
#include <vector>

namespace hasp::maint {
namespace {

constexpr std::int64_t in_november = 1'796'000'000 * second_us; // 2026-11-30T00:53:20Z
constexpr std::int64_t mib = 1 << 20;

class GatePorts final : public KeeperPorts {
  public:
    void send_front(std::string_view head, std::string_view, std::span<const int>) override {
        said.emplace_back(head);
    }
    void send_spawner(std::string_view, std::string_view) override {}
    void answer_admin(std::uint64_t, std::string_view, std::string_view) override {}
    void background(std::function<void()>, std::function<void()>) override {}
    std::vector<std::string> said;
};

class Budgets : public testing::Test {
  protected:
    Budgets()
        : db_(store::Db::open_memory().value()), rows_(TierStore::open(*db_, "clinics").value()) {
        clock_.wall = in_november;
        config_.link.budget_releases_mib = 1;
        begin();
    }
    // A keeper begins; what the one before it had not written is lost.
    void begin() {
        gate_.reset();
        traffic_.emplace(clock_.wall);
        gate_.emplace(LinkGate::World{ports_, clock_, log_, config_, rows_, *traffic_, true});
        ASSERT_TRUE(gate_->load().ok());
        gate_->tick(true);
    }
    // Moves pieces until the gate refuses: how many bytes it let go.
    std::int64_t move_all(Purpose purpose) {
        std::int64_t moved = 0;
        for (bool more = true; more;) {
            std::optional<Result<LinkPace::Piece>> turn;
            gate_->wait_turn(purpose, LinkWay::down, piece_bytes_max,
                             [&](Result<LinkPace::Piece> piece) { turn = std::move(piece); });
            more = turn && turn->ok();
            if (more) {
                const std::size_t bytes = (*turn)->bytes;
                clock_.advance_us(10'000);
                traffic_->frame(true, purpose == Purpose::files ? "files.push" : "pack.get", bytes,
                                0);
                gate_->done(**turn, true);
                moved += static_cast<std::int64_t>(bytes);
            }
        }
        return moved;
    }
    Json releases() const {
        for (const Json& one : gate_->json(7 * mib, 0)) {
            if (text_of(one, "purpose") == "packs") {
                return one;
            }
        }
        return nullptr;
    }

    std::unique_ptr<store::Db> db_;
    TierStore rows_;
    GatePorts ports_;
    ManualClock clock_;
    Log log_{-1, clock_, "test", false};
    Config config_;
    std::optional<Traffic> traffic_;
    std::optional<LinkGate> gate_;
};

TEST_F(Budgets, WhatIsInItMovesAndWhatIsMoreWaitsForTheNextMonth) {
    EXPECT_NEAR(static_cast<double>(move_all(Purpose::packs)), mib, piece_bytes_min);
    const Json waits = member(releases(), "waits");
    EXPECT_EQ(text_of(releases(), "state"), "used_up");
    EXPECT_EQ(int_of(waits, "bytes"), 7 * mib);
    EXPECT_NE(text_of(waits, "text").find("1 MiB"), std::string::npos);
    EXPECT_NE(text_of(waits, "next").find("2026-12-01"), std::string::npos);
    EXPECT_NE(text_of(waits, "next").find("budget_releases_mib"), std::string::npos);
    EXPECT_FALSE(text_of(waits, "since").empty());
    EXPECT_FALSE(gate_->over(Purpose::files)) << "another purpose";
    clock_.advance_us(day_us);
    gate_->tick(true);
    EXPECT_FALSE(gate_->over(Purpose::packs));
    EXPECT_FALSE(releases().contains("waits"));
    EXPECT_NEAR(static_cast<double>(move_all(Purpose::packs)), mib, piece_bytes_min);
}

TEST_F(Budgets, AMonthIsBegunByNoGuessOfTheTime) {
    move_all(Purpose::packs);
    clock_.advance_us(400 * day_us);
    gate_->tick(false);
    EXPECT_TRUE(gate_->over(Purpose::packs));
    clock_.advance_us(-400 * day_us);
    gate_->tick(true);
    EXPECT_TRUE(gate_->over(Purpose::packs));
}

TEST_F(Budgets, AClockThatIsSetBackGivesNothingBack) {
    clock_.advance_us(day_us);
    gate_->tick(true);
    move_all(Purpose::packs);
    clock_.wall -= 10 * day_us;
    gate_->tick(true);
    EXPECT_TRUE(gate_->over(Purpose::packs));
    gate_->keep();
    begin();
    EXPECT_TRUE(gate_->over(Purpose::packs));
}

TEST_F(Budgets, AKeeperThatEndsInOrderForgetsNothing) {
    move_all(Purpose::packs);
    const std::string since = text_of(member(releases(), "waits"), "since");
    gate_->keep();
    clock_.advance_us(second_us);
    begin();
    EXPECT_TRUE(gate_->over(Purpose::packs));
    EXPECT_EQ(text_of(member(releases(), "waits"), "since"), since);
}

TEST_F(Budgets, AKeeperThatCrashesForgetsAtMostFiveMinutes) {
    move_all(Purpose::packs);
    begin();
    EXPECT_FALSE(gate_->over(Purpose::packs)) << "nothing was written yet";
    move_all(Purpose::packs);
    clock_.advance_us(traffic_keep_us);
    gate_->tick(true);
    begin();
    EXPECT_TRUE(gate_->over(Purpose::packs));
}

TEST_F(Budgets, ALargerOneLetsItGoOnAtTheNextStart) {
    move_all(Purpose::packs);
    gate_->keep();
    config_.link.budget_releases_mib = 3;
    begin();
    EXPECT_FALSE(gate_->over(Purpose::packs));
    EXPECT_FALSE(releases().contains("waits"));
    EXPECT_NEAR(static_cast<double>(move_all(Purpose::packs)), 2 * mib, piece_bytes_min);
}

TEST_F(Budgets, ADiskThatIsFullStopsNothingAndIsWrittenLater) {
    ASSERT_TRUE(db_->run_script("PRAGMA query_only = 1").ok());
    move_all(Purpose::packs);
    gate_->keep();
    EXPECT_TRUE(gate_->over(Purpose::packs));
    ASSERT_TRUE(db_->run_script("PRAGMA query_only = 0").ok());
    clock_.advance_us(traffic_keep_us);
    gate_->tick(true);
    begin();
    EXPECT_TRUE(gate_->over(Purpose::packs));
}

TEST_F(Budgets, UsersAreToldOfAndNeverHeld) {
    config_.link.budget_users_mib = 1;
    begin();
    const auto state = [&](std::int64_t bytes) {
        traffic_->requests({{"since_us", 1}, {"parent", {{"in", bytes}, {"out", 0}}}});
        gate_->tick(true);
        return text_of(gate_->json(0, 0)[0], "state");
    };
    EXPECT_EQ(state(mib / 2), "ok");
    EXPECT_EQ(state(mib * 85 / 100), "near");
    EXPECT_EQ(state(2 * mib), "used_up");
    EXPECT_FALSE(gate_->json(0, 0)[0].contains("waits"));
}

TEST_F(Budgets, FilesGoBeforeReleasesAndFrontIsAskedToTellOftenMeanwhile) {
    config_.link = {};
    config_.link.releases_kib_s = config_.link.files_kib_s = 16;
    begin();
    std::vector<Purpose> went;
    std::vector<LinkPace::Piece> pieces;
    const auto ask = [&](Purpose purpose) {
        gate_->wait_turn(purpose, LinkWay::down, 16 << 10,
                         [&, purpose](const Result<LinkPace::Piece>& piece) {
                             went.push_back(purpose);
                             pieces.push_back(*piece);
                         });
    };
    ask(Purpose::packs);
    ask(Purpose::packs);
    ask(Purpose::files);
    EXPECT_EQ(went, (std::vector{Purpose::packs, Purpose::files}))
        << "the second_us is beyond the cap";
    for (int i = 0; i < 20 && went.size() < 3; ++i) {
        for (const LinkPace::Piece& piece : std::exchange(pieces, {})) {
            gate_->done(piece, true);
        }
        clock_.advance_us(200'000);
        gate_->tick(true);
    }
    EXPECT_EQ(went.size(), 3U);
    EXPECT_NE(std::find(ports_.said.begin(), ports_.said.end(), R"({"t":"traffic.often"})"),
              ports_.said.end());
}

TEST_F(Budgets, AFullWayDownHoldsUpNothingThatGoesUp) {
    std::vector<LinkPace::Piece> down;
    for (int i = 0; i < 1'000; ++i) {
        gate_->wait_turn(Purpose::files, LinkWay::down, piece_bytes_max,
                         [&](Result<LinkPace::Piece> piece) { down.push_back(*piece); });
    }
    ASSERT_FALSE(down.empty());
    ASSERT_LT(down.size(), 1'000U) << "it is full";
    bool up = false;
    gate_->wait_turn(Purpose::files, LinkWay::up, piece_bytes_max,
                     [&](Result<LinkPace::Piece> piece) { up = piece.ok(); });
    EXPECT_TRUE(up);
}

TEST_F(Budgets, WithoutAParentThereIsNone) {
    gate_.emplace(LinkGate::World{ports_, clock_, log_, config_, rows_, *traffic_, false});
    EXPECT_TRUE(gate_->json(0, 0).empty());
    EXPECT_FALSE(gate_->over(Purpose::packs));
}

} // namespace
} // namespace hasp::maint
