// Two centers of two realms, each with its rows, and the words that go between them.
#include "peers.h"

#include "base/text.h"
#include "store/db.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace hasp::maint {
namespace {

using testing::HasSubstr;

struct NoPorts final : KeeperPorts {
    std::vector<Json> to_front;
    void send_front(std::string_view head, std::string_view, std::span<const int>) override {
        to_front.push_back(parse_object(head));
    }
    void send_spawner(std::string_view, std::string_view) override {}
    void answer_admin(std::uint64_t, std::string_view, std::string_view) override {}
    void background(std::function<void()>, std::function<void()>) override {}
};

struct Center {
    Center(const std::string& realm, const std::string& name, ManualClock& machine, Random& random)
        : me(make_top_identity(realm, name, machine, random).value()), clock(machine),
          db(store::Db::open_memory().value()), rows(TierStore::open(*db, realm).value()),
          time(machine, rows, log, 0), peers(world()) {}
    Peers::World world() {
        return {ports,
                clock,
                time,
                log,
                me,
                rows,
                config,
                [this](const std::string& host, std::uint16_t port) {
                    std::vector<std::string> found;
                    for (const std::string& one : addresses) {
                        found.push_back((one.empty() ? host : one) + ":" + std::to_string(port));
                    }
                    return found;
                },
                [this] { ++changes; },
                [this] { ++moves; }};
    }
    std::string line() { return peers.card({"127.0.0.1:8490"}).value(); }

    TierIdentity me;
    ManualClock& clock;
    Log log{-1, clock, "test", false};
    NoPorts ports;
    std::unique_ptr<store::Db> db;
    TierStore rows;
    TrustedClock time;
    Config config;
    std::vector<std::string> addresses{""}; // of each host; "": as it is called
    int changes = 0;
    int moves = 0;
    Peers peers;
};

class Beside : public testing::Test {
  protected:
    Beside() {
        EXPECT_TRUE(east_.peers.put({"west", west_.line(), {"books", "diary"}, {}}).ok());
        EXPECT_TRUE(west_.peers.put({"east", east_.line(), {}, {"books"}}).ok());
    }
    std::string word(const std::string& user = "mia", const std::string& app = "books") {
        return text_of(east_.peers.assertion({{"peer", "@west"}, {"app", app}, {"user", user}}),
                       "text");
    }
    Json heard(const std::string& said, const std::string& from = "@east") {
        return west_.peers.identify({{"child", from}, {"secret", said}});
    }
    static bool refused(const Json& answer) {
        return error_of(member(answer, "error")).code == Code::refused && !answer.contains("peer");
    }

    ManualClock clock_;
    SeededRandom random_{7};
    Center east_{"sakura", "east", clock_, random_};
    Center west_{"sakura", "west", clock_, random_}; // another realm of the same name
};

TEST_F(Beside, WhoIsSpokenForIsKnownUnderThePeersNameForTheOneAppUntilTheWordEnds) {
    const Json who = member(heard(word()), "peer");
    EXPECT_EQ(text_of(who, "user"), "mia@east");
    EXPECT_EQ(text_of(who, "app"), "books");
    EXPECT_EQ(int_of(who, "until_us"), clock_.wall_us() + trust::assertion_life_us);
}

TEST_F(Beside, AWordIsUsedForHalfOfItsLifeAndRefusedAfterAllOfIt) {
    const Json made = east_.peers.assertion({{"peer", "@west"}, {"app", "books"}, {"user", "mia"}});
    EXPECT_EQ(int_of(made, "until_us"), clock_.wall_us() + trust::assertion_life_us / 2);
    const std::string said = text_of(made, "text");
    clock_.advance_us(trust::assertion_life_us - 1);
    EXPECT_FALSE(refused(heard(said)));
    clock_.advance_us(1);
    EXPECT_TRUE(refused(heard(said)));
}

TEST_F(Beside, NothingIsSaidOfAnAppThatIsNotAskedForThereNorOfAPeersOwnUser) {
    EXPECT_EQ(word("mia", "calendar"), "");
    EXPECT_EQ(word("mia@north"), "");
    EXPECT_TRUE(
        refused(east_.peers.assertion({{"peer", "@north"}, {"app", "books"}, {"user", "mia"}})));
}

TEST_F(Beside, WhatIsNotOfferedIsRefusedThoughThePeerSpeaksForIt) {
    EXPECT_NE(word("mia", "diary"), "");
    EXPECT_TRUE(refused(heard(word("mia", "diary"))));
}

TEST_F(Beside, AWordIsGoodOnlyFromTheCenterThatSignedIt) {
    Center north("sakura", "north", clock_, random_);
    ASSERT_TRUE(west_.peers.put({"north", north.line(), {}, {"books"}}).ok());
    EXPECT_FALSE(refused(heard(word())));
    EXPECT_TRUE(refused(heard(word(), "@north")));
    EXPECT_TRUE(refused(heard(word(), "@nobody")));
    EXPECT_TRUE(refused(heard("")));
    EXPECT_TRUE(refused(heard("not base64url!")));
}

TEST_F(Beside, AWordForAnotherPeerIsRefused) {
    Center north("sakura", "north", clock_, random_);
    ASSERT_TRUE(north.peers.put({"east", east_.line(), {}, {"books"}}).ok());
    EXPECT_TRUE(refused(north.peers.identify({{"child", "@east"}, {"secret", word()}})));
}

TEST_F(Beside, ARemovedPeerIsCutOffAndItsWordsAreWorthNothing) {
    const std::string said = word();
    west_.ports.to_front.clear();
    ASSERT_TRUE(west_.peers.remove("east").ok());
    EXPECT_TRUE(refused(heard(said)));
    EXPECT_TRUE(west_.peers.credentials().empty());
    ASSERT_EQ(west_.ports.to_front.size(), 1U);
    EXPECT_EQ(text_of(west_.ports.to_front[0], "t"), "link.cut");
    EXPECT_EQ(text_of(west_.ports.to_front[0], "neighbour"), "@east");
    EXPECT_EQ(west_.peers.remove("east").error().code, Code::not_found);
    Peers again(west_.world());
    ASSERT_TRUE(again.load().ok());
    EXPECT_TRUE(again.json().empty()) << "nor after a restart";
}

TEST_F(Beside, PeersOutliveARestart) {
    Peers again(west_.world());
    ASSERT_TRUE(again.load().ok());
    EXPECT_FALSE(refused(again.identify({{"child", "@east"}, {"secret", word()}})));
    EXPECT_EQ(again.json(), west_.peers.json());
}

TEST_F(Beside, AChangeWithoutALineKeepsTheLineAndReplacesBothLists) {
    ASSERT_TRUE(west_.peers.put({"east", "", {}, {"diary"}}).ok());
    EXPECT_TRUE(refused(heard(word())));
    EXPECT_FALSE(refused(heard(word("mia", "diary"))));
    EXPECT_EQ(west_.peers.put({"south", "", {}, {}}).error().code, Code::usage);
}

TEST_F(Beside, ATierIsNoPeerOfItselfAndNoPeerTwiceAndAnAppIsAskedForAtOne) {
    EXPECT_EQ(east_.peers.put({"me", east_.line(), {}, {}}).error().code, Code::refused);
    EXPECT_EQ(east_.peers.put({"other", west_.line(), {}, {}}).error().code, Code::conflict);
    Center north("sakura", "north", clock_, random_);
    EXPECT_EQ(east_.peers.put({"north", north.line(), {"books"}, {}}).error().code, Code::conflict);
    for (const char* bad : {"", "West", "a@b", "a-name-of-17-bytes"}) {
        EXPECT_EQ(east_.peers.put({bad, north.line(), {}, {}}).error().code, Code::usage) << bad;
    }
    EXPECT_EQ(east_.peers.put({"north", north.line(), {"no app"}, {}}).error().code, Code::usage);
    EXPECT_EQ(east_.peers.json().size(), 1U) << "a command that failed has changed nothing";
}

TEST_F(Beside, ARootThatCouldBeTakenForAnotherIsRefused) {
    for (const char* name : {"west", "east"}) { // of the peer that is there, and of this tier
        Center shadow("sakura", name, clock_, random_);
        const Status put = east_.peers.put({"shadow", shadow.line(), {}, {}});
        EXPECT_EQ(put.error().code, Code::refused) << name;
        EXPECT_THAT(put.error().message, HasSubstr("the same name")) << name;
    }
    EXPECT_TRUE(east_.peers.put({"west", west_.line(), {}, {}}).ok()) << "its own line again";
}

TEST_F(Beside, AppsAreAskedForOnlyWhereTheyHaveHostNamesOfTheirOwn) {
    east_.config.web.app_host.clear();
    const Status put = east_.peers.put({"west", "", {"books"}, {}});
    EXPECT_EQ(put.error().code, Code::refused);
    EXPECT_THAT(put.error().hint, HasSubstr("app_host"));
    EXPECT_TRUE(east_.peers.put({"west", "", {}, {"diary"}}).ok()) << "offering needs none";
}

TEST_F(Beside, ARowThatCannotBeUsedIsListedAndCanBeRemovedForGood) {
    ASSERT_TRUE(west_.rows.put_peer({"north", "hasp-peer:of-another-time", {"a"}, {}, 0}).ok());
    Peers again(west_.world());
    ASSERT_TRUE(again.load().ok());
    ASSERT_EQ(again.json().size(), 2U);
    EXPECT_EQ(text_of(again.json()[1], "name"), "north");
    EXPECT_EQ(text_of(again.json()[1], "state"), "unusable");
    EXPECT_NE(text_of(again.json()[1], "reason"), "");
    EXPECT_FALSE(again.asked().contains("@north"));
    EXPECT_EQ(again.credentials().size(), 1U);
    EXPECT_EQ(again.put({"north", "", {"b"}, {}}).error().code, Code::usage);
    ASSERT_TRUE(again.remove("@north").ok());
    EXPECT_EQ(again.json().size(), 1U);
    Peers third(west_.world());
    ASSERT_TRUE(third.load().ok());
    EXPECT_EQ(third.json(), again.json());
}

TEST_F(Beside, AClockThatIsWrongAtTheStartLosesNoPeer) {
    clock_.advance_us(200LL * 365 * 24 * hour_us);
    Peers again(west_.world());
    ASSERT_TRUE(again.load().ok());
    EXPECT_EQ(text_of(again.json("east"), "state"), "not asked yet");
}

TEST_F(Beside, FrontIsToldOfOtherAddressesOnceAndNotOfAnotherOrder) {
    east_.addresses = {"10.0.0.1", "10.0.0.2"};
    const int changes = east_.changes;
    east_.peers.tick();
    EXPECT_EQ(east_.moves, 1);
    std::swap(east_.addresses[0], east_.addresses[1]);
    east_.peers.tick();
    EXPECT_EQ(east_.moves, 1);
    east_.addresses.pop_back();
    east_.peers.tick();
    EXPECT_EQ(east_.moves, 2);
    EXPECT_EQ(east_.changes, changes) << "it asks for the same apps";
}

TEST_F(Beside, WhatFrontSaysOfAConnectionIsShownAndOfAStrangerIsNot) {
    EXPECT_EQ(text_of(east_.peers.json("west"), "state"), "not asked yet");
    east_.peers.said({{"name", "@west"}, {"up", false}, {"since_us", 5}, {"why", "no route"}});
    EXPECT_EQ(text_of(east_.peers.json("@west"), "state"), "down");
    EXPECT_THAT(text_of(east_.peers.json("west"), "reason"), HasSubstr("no route"));
    EXPECT_EQ(east_.peers.since_us("@west"), 5);
    east_.peers.said({{"name", "@north"}, {"up", true}});
    EXPECT_EQ(east_.peers.since_us("@north"), std::nullopt);
    EXPECT_TRUE(east_.peers.json("north").is_null());
}

TEST(PeerUser, HasAtMostFortyBytesAndIsNobodyElses) {
    EXPECT_EQ(peer_user("mia", "east"), "mia@east");
    const std::string long_one(40, 'a');
    const std::string long_other = std::string(39, 'a') + "b";
    const std::string peer(peer_name_bytes_max, 'p');
    for (const std::string& user : {long_one, long_other}) {
        EXPECT_EQ(peer_user(user, peer).size(), 40U);
        EXPECT_THAT(peer_user(user, peer), testing::EndsWith("@" + peer));
    }
    EXPECT_NE(peer_user(long_one, peer), peer_user(long_other, peer));
}

} // namespace
} // namespace hasp::maint
