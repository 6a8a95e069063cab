// The keeper's logic sees one front, however many there are.
#include "front_set.h"

#include "json_tools.h"

#include <gtest/gtest.h>

namespace hasp::cmd {
namespace {

ipc::Frame frame(const Json& head) {
    return {dump(head), {}, {}};
}

using Fronts = std::vector<FrontNumber>;

std::vector<std::string> types(const FrontSet::Frames& frames) {
    std::vector<std::string> out;
    for (const ipc::Frame& one : frames) {
        out.push_back(text_of(parse_object(one.head), "t"));
    }
    return out;
}

using Types = std::vector<std::string>;

} // namespace

TEST(FrontSet, AnAnswerGoesToTheFrontThatAskedAndNowhereWhenThatHasGone) {
    FrontSet set;
    set.connected(7);
    set.connected(8);
    EXPECT_EQ(set.to(dump({{"t", "who"}, {"id", first_question(7) + 5}})), Fronts{7});
    EXPECT_EQ(set.to(dump({{"t", "page"}, {"id", first_question(8)}})), Fronts{8});
    EXPECT_EQ(set.to(dump({{"t", "assertion"}, {"id", first_question(7)}})), Fronts{7});
    set.gone(7);
    EXPECT_EQ(set.to(dump({{"t", "start"}, {"id", first_question(7)}})), Fronts{});
}

TEST(FrontSet, StatesAndOrdersGoToAll) {
    FrontSet set;
    set.connected(1);
    set.connected(2);
    for (const char* type : {"snapshot", "credentials", "drop", "link.cut"}) {
        EXPECT_EQ(set.to(dump({{"t", type}})), (Fronts{1, 2})) << type;
    }
}

TEST(FrontSet, AControlStreamsBytesGoToTheFrontThatHasItAndItEndsWithThatFront) {
    FrontSet set;
    set.connected(1);
    set.connected(2);
    const std::uint64_t link = 0x8000'0000'0000'0001U; // they are random
    EXPECT_EQ(types(set.from(1, frame({{"t", "link.open"}, {"link", link}}))), Types{"link.open"});
    set.from(2, frame({{"t", "link.open"}, {"link", 5}}));
    EXPECT_EQ(set.to(dump({{"t", "link.data"}, {"link", link}})), Fronts{1});
    EXPECT_EQ(set.to(dump({{"t", "link.data"}, {"link", 5}})), Fronts{2});
    EXPECT_EQ(set.to(dump({{"t", "link.data"}, {"link", 6}})), Fronts{});
    const auto ended = set.gone(1);
    ASSERT_EQ(types(ended), Types{"link.close"});
    EXPECT_EQ(static_cast<std::uint64_t>(int_of(parse_object(ended[0].head), "link")), link);
    EXPECT_EQ(set.to(dump({{"t", "link.data"}, {"link", link}})), Fronts{});
}

TEST(FrontSet, WhatIsRetiredIsRetiredOnceNoFrontHoldsItAnyMore) {
    FrontSet set;
    set.connected(1);
    set.connected(2);
    set.connected(3);
    EXPECT_EQ(set.to(dump({{"t", "retire"}, {"ask", 4}})), (Fronts{1, 2, 3}));
    EXPECT_EQ(types(set.from(3, frame({{"t", "retired"}, {"ask", 4}}))), Types{});
    EXPECT_EQ(types(set.gone(2)), Types{});
    EXPECT_EQ(types(set.from(1, frame({{"t", "retired"}, {"ask", 4}}))), Types{"retired"});

    set.to(dump({{"t", "retire"}, {"ask", 5}}));
    set.from(3, frame({{"t", "retired"}, {"ask", 5}}));
    EXPECT_EQ(types(set.gone(1)), Types{"retired"});
}

TEST(FrontSet, OfStatesTheNewestFrontsCountAndItIsNotBelievedBeforeItKnowsThem) {
    FrontSet set;
    set.connected(1);
    const Json unknown{{"t", "parent"}, {"up", false}, {"since_us", 0}};
    const Json up{{"t", "parent"}, {"up", true}, {"since_us", 9}};
    const Json down{{"t", "parent"}, {"up", false}, {"since_us", 9}};
    EXPECT_EQ(types(set.from(1, frame(unknown))), Types{"parent"}) << "there is no other";
    EXPECT_EQ(types(set.from(1, frame(up))), Types{"parent"});
    set.connected(2);
    EXPECT_EQ(types(set.from(2, frame(unknown))), Types{});
    EXPECT_EQ(types(set.from(1, frame(down))), Types{}) << "it has given the link up";
    EXPECT_EQ(types(set.from(2, frame(up))), Types{"parent"});
    EXPECT_EQ(types(set.from(2, frame(down))), Types{"parent"});
    EXPECT_EQ(types(set.from(1, frame({{"t", "traffic"}}))), Types{"traffic"})
        << "each counts its own";
    EXPECT_EQ(types(set.from(1, frame({{"t", "upstream"}}))), Types{});
    EXPECT_EQ(types(set.from(1, frame({{"t", "peer"}}))), Types{});
    EXPECT_EQ(types(set.from(2, frame({{"t", "traffic"}}))), Types{"traffic"});
    EXPECT_EQ(types(set.from(1, frame({{"t", "who"}, {"id", first_question(1)}}))), Types{"who"});
}

TEST(FrontSet, WhoSaidLastThatItLeadsCountsAndNotTheHighestNumber) {
    FrontSet set;
    set.connected(11);
    const Json up{{"t", "parent"}, {"up", true}, {"since_us", 9}};
    EXPECT_EQ(types(set.from(11, frame({{"t", "lead"}}))), Types{}) << "the logic sees one front";
    set.connected(12);
    EXPECT_EQ(types(set.from(12, frame({{"t", "upstream"}}))), Types{}) << "it may never serve";
    EXPECT_EQ(types(set.from(11, frame(up))), Types{"parent"});
    set.connected(13);
    set.from(12, frame({{"t", "lead"}}));
    EXPECT_EQ(types(set.from(12, frame({{"t", "upstream"}}))), Types{"upstream"});
    EXPECT_EQ(types(set.from(13, frame(up))), Types{});
    EXPECT_EQ(types(set.from(11, frame(up))), Types{});
    set.gone(12);
    EXPECT_EQ(types(set.from(13, frame(up))), Types{"parent"}) << "nobody leads: the newest";
}

} // namespace hasp::cmd
