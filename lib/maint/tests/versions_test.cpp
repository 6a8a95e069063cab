// Tiers of different versions of hasp speak with each other, and say that they differ.
#include "tree.h"

namespace hasp::maint::tests {

namespace {

struct Versions : testing::Test {
    Tree tree;
    Node& center = tree.top();
    Node& tokyo = tree.below(center, "tokyo");

    Json hello(const char* name) const {
        return {{"t", "hello"},   {"version", 1},
                {"name", name},   {"now_us", tree.clock.wall_us()},
                {"hasp", "9.9"},  {"features", {"lease", "telepathy"}},
                {"mood", "good"}, {"more", {{"nested", true}}}};
    }
    Json answer_to(std::int64_t q) const {
        for (const Crossed& one : tree.crossed) {
            if (text_of(one.head, "t") == "re" && int_of(one.head, "q") == q) {
                return one.head;
            }
        }
        return {};
    }
};

} // namespace

TEST_F(Versions, TiersOfTheSameVersionSayNothingOfIt) {
    EXPECT_FALSE(tokyo.status()["link"].contains("skew"));
    EXPECT_FALSE(center.status()["children"][0].contains("skew"));
    EXPECT_EQ(text_of(tokyo.status()["link"], "version"), "test");
}

TEST_F(Versions, AnUnknownMessageIsAnsweredAndTheLinkGoesOn) {
    tree.forge(tokyo, {{"t", "telepathy"}, {"q", 901}, {"field", {1, 2, 3}}});
    EXPECT_EQ(text_of(member(answer_to(901), "error"), "code"), "usage");
    tree.whisper(tokyo, {{"t", "telepathy"}, {"q", 902}});
    EXPECT_EQ(text_of(member(answer_to(902), "error"), "code"), "usage");
    // A mere statement needs no answer.
    const std::size_t before = tree.crossed.size();
    tree.forge(tokyo, {{"t", "telepathy"}});
    tree.whisper(tokyo, {{"t", "telepathy"}});
    EXPECT_EQ(tree.crossed.size(), before);
    EXPECT_TRUE(tree.linked(tokyo));
    tree.pass_s(60);
    EXPECT_EQ(center.status()["children"][0]["state"], "up");
}

TEST_F(Versions, FieldsThatAreNotKnownAreSkipped) {
    tree.add_user(center, "anna", "correct horse");
    tree.forge(tokyo, {{"t", "login"},
                       {"q", 903},
                       {"user", "anna"},
                       {"password", "correct horse"},
                       {"client", "192.0.2.1"},
                       {"sid", std::string(32, 'a')},
                       {"mood", "good"},
                       {"second_factor", Json::array({nullptr, 1})}});
    EXPECT_EQ(text_of(member(answer_to(903), "identity"), "user"), "anna");
}

// The link is told anew by a neighbour of the future: each side shows what the other lacks.
TEST_F(Versions, ANewerOrOlderNeighbourIsShownInStatusOnBothSides) {
    tree.cut(tokyo);
    const auto meet = [&](Node& node, const char* neighbour, const char* name) {
        node.keeper->on_front(
            {dump({{"t", "link.open"}, {"link", 77}, {"neighbour", neighbour}}), {}, {}});
        std::string bytes;
        ASSERT_TRUE(ipc::encode_frame(bytes, dump(hello(name)), {}).ok());
        node.keeper->on_front({dump({{"t", "link.data"}, {"link", 77}}), bytes, {}});
    };
    meet(tokyo, "", "hasp://clinics/center");
    const Json up = tokyo.status()["link"];
    EXPECT_EQ(text_of(up, "state"), "up");
    EXPECT_EQ(text_of(up["skew"], "there"), "9.9");
    EXPECT_EQ(text_of(up["skew"], "here"), "test");
    EXPECT_EQ(texts_of(up["skew"], "we_lack"), std::vector<std::string>{"telepathy"});
    const std::vector<std::string> lacks = texts_of(up["skew"], "it_lacks");
    EXPECT_NE(std::find(lacks.begin(), lacks.end(), "desired"), lacks.end());
    EXPECT_EQ(std::find(lacks.begin(), lacks.end(), "lease"), lacks.end());

    meet(center, "tokyo", "hasp://clinics/center/tokyo");
    const Json down = center.status()["children"][0];
    EXPECT_EQ(text_of(down, "state"), "up");
    EXPECT_EQ(text_of(down["skew"], "there"), "9.9");
}

TEST_F(Versions, ANeighbourThatDoesNotSayItsVersionIsShownAsUnknown) {
    tree.cut(tokyo);
    tokyo.keeper->on_front({dump({{"t", "link.open"}, {"link", 77}, {"neighbour", ""}}), {}, {}});
    std::string bytes;
    ASSERT_TRUE(ipc::encode_frame(bytes, dump({{"t", "hello"}, {"version", 1}}), {}).ok());
    tokyo.keeper->on_front({dump({{"t", "link.data"}, {"link", 77}}), bytes, {}});
    EXPECT_EQ(text_of(tokyo.status()["link"]["skew"], "there"), "unknown");
}

TEST_F(Versions, AnEndlessListOfFeaturesIsCut) {
    tree.cut(tokyo);
    Json head = hello("hasp://clinics/center");
    head["features"] = std::vector<std::string>(5000, std::string(2000, 'f'));
    head["hasp"] = std::string(100'000, '9');
    tokyo.keeper->on_front({dump({{"t", "link.open"}, {"link", 77}, {"neighbour", ""}}), {}, {}});
    std::string bytes;
    ASSERT_TRUE(ipc::encode_frame(bytes, dump(head), {}).ok());
    tokyo.keeper->on_front({dump({{"t", "link.data"}, {"link", 77}}), bytes, {}});
    EXPECT_LT(dump(tokyo.status()["link"]).size(), 10'000U);
}

} // namespace hasp::maint::tests
