// A8: a parent says where it is; its child uses and keeps that, and is stranded by no mistake in
// it.
#include "parent_addresses.h"
#include "tree.h"

#include "base/text.h"
#include "store/db.h"

#include <gmock/gmock.h>

namespace hasp::maint::tests {

namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

const std::string invited = "192.0.2.1:8490"; // as Tree::invite() has it

struct Learnt : testing::Test {
    Tree tree;
    Node& center = tree.top("center");
    Node& tokyo = tree.below(center, "tokyo");

    // What front dials.
    static std::vector<std::string> dialled(const Node& node) {
        return texts_of(node.credentials, "addresses");
    }
    std::vector<std::string> from() {
        std::vector<std::string> out;
        const Json status = tokyo.status();
        for (const Json& one : member(member(status, "link"), "addresses")) {
            out.push_back(text_of(one, "from") + " " + text_of(one, "address"));
        }
        return out;
    }
    // Front says that the parent has answered there.
    void reached(const std::string& address) {
        tokyo.keeper->on_front({dump({{"t", "parent"},
                                      {"up", true},
                                      {"address", address},
                                      {"since_us", tree.clock.wall_us()},
                                      {"why", ""},
                                      {"reached", address}}),
                                {},
                                {}});
        tree.settle();
    }
    void tell(const std::vector<std::string>& addresses) {
        center.config.link.addresses = addresses;
        tree.restart(center);
    }
};

} // namespace

TEST_F(Learnt, WhatTheParentSaysIsTriedFirstAndWhatWasKnownStaysBehindIt) {
    EXPECT_THAT(dialled(tokyo), ElementsAre(invited)) << "it has said nothing";
    EXPECT_THAT(from(), ElementsAre("invitation " + invited));
    tell({"192.0.2.7:8490", "[2001:db8::7]:8490"});
    EXPECT_THAT(dialled(tokyo), ElementsAre("192.0.2.7:8490", "[2001:db8::7]:8490", invited));
    EXPECT_THAT(from(), ElementsAre("parent 192.0.2.7:8490", "parent [2001:db8::7]:8490",
                                    "invitation " + invited));
    reached(invited);
    EXPECT_EQ(dialled(tokyo).size(), 3U) << "none of the new ones has answered";
}

TEST_F(Learnt, WhatWasKnownIsForgottenOnceTheParentHasAnsweredWhereItSaidButNotTheInvitations) {
    tell({"192.0.2.7:8490", "[2001:db8::7]:8490"});
    reached("[2001:db8::7]:8490");
    EXPECT_THAT(dialled(tokyo), ElementsAre("192.0.2.7:8490", "[2001:db8::7]:8490", invited));
    tell({"192.0.2.9:8490"});
    EXPECT_THAT(from(), ElementsAre("parent 192.0.2.9:8490", "before 192.0.2.7:8490",
                                    "before [2001:db8::7]:8490", "invitation " + invited));
    reached("192.0.2.9:8490");
    EXPECT_THAT(from(), ElementsAre("parent 192.0.2.9:8490", "invitation " + invited));
}

TEST_F(Learnt, WhereTheParentAnsweredLastIsTriedAfterAllElseWhateverElseIsKnown) {
    reached("198.51.100.77:8490"); // what a name stood for
    tell({"192.0.2.7:8490"});
    EXPECT_THAT(dialled(tokyo), ElementsAre("192.0.2.7:8490", invited, "198.51.100.77:8490"));
    EXPECT_THAT(from(), ElementsAre("parent 192.0.2.7:8490", "invitation " + invited,
                                    "before 198.51.100.77:8490"));
    tell({"no-such-name.invalid:8490"});
    tree.power_cut();
    EXPECT_THAT(dialled(tokyo), ElementsAre(invited, "198.51.100.77:8490"))
        << "names that are not found leave numbers to dial";
}

TEST_F(Learnt, WhatWasKeptAndIsDamagedIsLeftOut) {
    tell({"192.0.2.7:8490"});
    tokyo.close();
    {
        auto db = store::Db::open(tokyo.state + "/keeper.db");
        ASSERT_TRUE(db.ok());
        auto facts = TierStore::open(**db, "clinics");
        ASSERT_TRUE(facts.ok());
        const Json damaged{{"invitation", {invited}},
                           {"told", {"192.0.2.7:8490", "host", "host:", ":1", "[::1:5", ""}},
                           {"before", {"192.0.2.8:99999"}},
                           {"reached", "nowhere"}};
        ASSERT_TRUE(facts->set_fact("parent.addresses", dump(damaged)).ok());
    }
    tokyo.open();
    tree.settle();
    EXPECT_THAT(dialled(tokyo), ElementsAre("192.0.2.7:8490", invited));
}

TEST_F(Learnt, ItIsKeptOverARestartAndAPowerCut) {
    tell({"192.0.2.7:8490"});
    tree.cut(tokyo);
    tokyo.close();
    tokyo.open();
    tree.settle();
    EXPECT_THAT(dialled(tokyo), ElementsAre("192.0.2.7:8490", invited));
    EXPECT_TRUE(tree.link(tokyo));
    reached("192.0.2.7:8490");
    tree.power_cut();
    EXPECT_THAT(dialled(tokyo), ElementsAre("192.0.2.7:8490", invited));
}

TEST_F(Learnt, OneMistakeAfterAnotherLeavesTheAddressThatWorks) {
    reached(invited);
    for (int i = 1; i < 20; ++i) {
        const std::string wrong = "198.51.100." + std::to_string(i) + ":1";
        tell({wrong});
        EXPECT_THAT(dialled(tokyo), ElementsAre(wrong, invited));
    }
    tell({"198.51.100.1:1", invited});
    EXPECT_THAT(from(), ElementsAre("parent 198.51.100.1:1", "parent " + invited));
}

TEST_F(Learnt, AParentThatSaysNothingMoreChangesNothing) {
    tell({"192.0.2.7:8490"});
    reached("192.0.2.7:8490");
    tell({});
    EXPECT_THAT(dialled(tokyo), ElementsAre("192.0.2.7:8490", invited));
}

TEST_F(Learnt, WhatIsNoAddressIsRefusedWithAllThatComesWithIt) {
    const Json wrong[] = {
        Json::array(),         {"192.0.2.7:8490", "192.0.2.8"},
        {"192.0.2.7:8490", 7}, {"user@host:1"},
        {"[::1:8490"},         Json(std::vector<std::string>(9, "192.0.2.7:8490")),
        "192.0.2.7:8490"};
    for (const Json& list : wrong) {
        EXPECT_FALSE(read_addresses({{"t", "addresses"}, {"addresses", list}}).ok()) << list;
        tree.whisper(tokyo, {{"t", "addresses"}, {"addresses", list}});
        EXPECT_THAT(dialled(tokyo), ElementsAre(invited)) << list;
    }
    EXPECT_FALSE(read_addresses({{"t", "addresses"}}).ok());
    EXPECT_TRUE(tree.linked(tokyo));
}

TEST_F(Learnt, NoChildSaysWhereItsParentIs) {
    tree.forge(tokyo, {{"t", "addresses"}, {"addresses", {"198.51.100.1:1"}}});
    EXPECT_THAT(dialled(center), IsEmpty());
    EXPECT_THAT(dialled(tokyo), ElementsAre(invited));
}

TEST_F(Learnt, AnOperatorsWordAtTheChildStandsInThePlaceOfAll) {
    tell({"192.0.2.7:8490"});
    tokyo.config.link.parent = {"203.0.113.1:9000"};
    tree.restart(tokyo);
    EXPECT_THAT(dialled(tokyo), ElementsAre("203.0.113.1:9000"));
    EXPECT_THAT(from(), ElementsAre("config 203.0.113.1:9000"));
    tokyo.config.link.parent.clear();
    tree.restart(tokyo);
    EXPECT_THAT(dialled(tokyo), ElementsAre("192.0.2.7:8490", invited))
        << "what it was told is kept";
}

TEST_F(Learnt, ANameIsDialledByWhatItStandsFor) {
    tell({"localhost:8490"});
    tree.pass_s(1);
    EXPECT_THAT(dialled(tokyo), ::testing::Contains("127.0.0.1:8490"));
    reached("127.0.0.1:8490");
    EXPECT_THAT(from(), ElementsAre("parent localhost:8490", "invitation " + invited));
}

TEST(AddressBook, HasEachAddressOnceAndNoMoreThanTwoLists) {
    AddressBook book{{}, {"a:1", "b:1"}};
    EXPECT_TRUE(book.take({"b:1", "c:1"}));
    EXPECT_FALSE(book.take({"b:1", "c:1"}));
    EXPECT_THAT(book.in_order(), ElementsAre("b:1", "c:1", "a:1"));
    EXPECT_TRUE(book.proved());
    EXPECT_FALSE(book.proved());
    EXPECT_TRUE(book.take({"d:1"}));
    EXPECT_THAT(book.in_order(), ElementsAre("d:1", "b:1", "c:1"));
}

} // namespace hasp::maint::tests
