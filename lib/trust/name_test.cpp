#include "trust/name.h"

#include <gtest/gtest.h>

namespace hasp::trust {
namespace {

TierName name(const char* text) {
    return TierName::parse(text).value();
}

TEST(TierName, ParsesAndPrintsTheSameText) {
    const TierName n = name("hasp://clinics/upper/center/tokyo");
    EXPECT_EQ(n.realm(), "clinics");
    EXPECT_EQ(n.depth(), 3U);
    EXPECT_EQ(n.leaf(), "tokyo");
    EXPECT_EQ(n.text(), "hasp://clinics/upper/center/tokyo");
    EXPECT_EQ(n.at_depth(1).text(), "hasp://clinics/upper");
}

TEST(TierName, RefusesWhatIsNotExactlyAName) {
    for (const char* bad : {"", "hasp://", "hasp://clinics", "hasp://clinics/", "hasp://clinics//a",
                            "hasp://clinics/a/", "HASP://clinics/a", "hasp://Clinics/a",
                            "hasp://clinics/a b", "hasp://clinics/..", "clinics/a",
                            "https://clinics/a", "hasp://clinics/a?x", "hasp://clinics:80/a"}) {
        EXPECT_FALSE(TierName::parse(bad)) << bad;
    }
    EXPECT_FALSE(TierName::parse(std::string("hasp://clinics/a\0b", 18)));
}

TEST(TierName, TheTreeHasADepthLimit) {
    TierName n = name("hasp://clinics/top");
    while (n.depth() < tier_depth_max) {
        n = n.child("a").value();
    }
    EXPECT_FALSE(n.child("a"));
    EXPECT_TRUE(TierName::parse(n.text()));
    EXPECT_FALSE(TierName::parse(n.text() + "/a"));
}

TEST(TierName, OnlyTheNextElementMakesADirectChild) {
    const TierName center = name("hasp://clinics/upper/center");
    EXPECT_TRUE(name("hasp://clinics/upper/center/tokyo").is_direct_child_of(center));
    EXPECT_FALSE(name("hasp://clinics/upper/center/tokyo/ward").is_direct_child_of(center));
    EXPECT_FALSE(name("hasp://clinics/upper/center2/tokyo").is_direct_child_of(center));
    EXPECT_FALSE(name("hasp://other/upper/center/tokyo").is_direct_child_of(center));
    EXPECT_FALSE(center.is_direct_child_of(center));
    EXPECT_FALSE(name("hasp://clinics/upper").is_direct_child_of(TierName()));
}

TEST(TierName, ASubtreeIncludesItsTopAndNothingBeside) {
    const TierName center = name("hasp://clinics/upper/center");
    EXPECT_TRUE(center.is_in_subtree(center));
    EXPECT_TRUE(name("hasp://clinics/upper/center/a/b").is_in_subtree(center));
    EXPECT_FALSE(name("hasp://clinics/upper/center2").is_in_subtree(center));
    EXPECT_FALSE(name("hasp://clinics/upper").is_in_subtree(center));
    EXPECT_FALSE(center.is_in_subtree(TierName()));
    EXPECT_TRUE(name("hasp://clinics/upper").is_above(center));
    EXPECT_FALSE(center.is_above(center));
}

TEST(TierName, TheTopHasNoParent) {
    EXPECT_TRUE(name("hasp://clinics/upper").parent().empty());
    EXPECT_EQ(name("hasp://clinics/upper/center").parent().text(), "hasp://clinics/upper");
}

} // namespace
} // namespace hasp::trust
