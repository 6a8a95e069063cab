#include "trust/verifier.h"

#include "base/text.h"
#include "trust/hash.h"

#include <gtest/gtest.h>

namespace hasp::trust {
namespace {

const TierName upper = TierName::parse("hasp://clinics/upper").value();
const TierName center = TierName::parse("hasp://clinics/upper/center").value();
const TierName tokyo = TierName::parse("hasp://clinics/upper/center/tokyo").value();
const std::string v0(32, 'v');
const std::string k1(32, '1');
const std::string k2(32, '2');

// What the home has: V0 itself, no keys.
VerifierGrant at_home() {
    return {"nurse", upper, 3, "saltsalt", 65536, 3, 1, v0, {}};
}

TEST(Verifier, IsTheHmacOfUnambiguousBytes) {
    const std::string message = std::string("hasp-verifier-v1") + '\0' + v0 + "\x05" + "nurse" +
                                std::string("\x00\x1b", 2) + "hasp://clinics/upper/center" +
                                std::string("\0\0\0\0\0\0\0\x03", 8);
    EXPECT_EQ(derive_verifier(k1, v0, "nurse", center, 3).value(), hmac_sha256(k1, message));
    EXPECT_EQ(to_hex(derive_verifier(k1, v0, "nurse", center, 3).value()),
              "7ff019b35636659fbcbdef7214d80cba3ead3ae8a1c81232d88a0556d88069aa");
}

TEST(Verifier, EveryInputChangesIt) {
    const std::string base = derive_verifier(k1, v0, "nurse", center, 3).value();
    EXPECT_NE(derive_verifier(k2, v0, "nurse", center, 3).value(), base);
    EXPECT_NE(derive_verifier(k1, k2, "nurse", center, 3).value(), base);
    EXPECT_NE(derive_verifier(k1, v0, "nursf", center, 3).value(), base);
    EXPECT_NE(derive_verifier(k1, v0, "nurse", tokyo, 3).value(), base);
    EXPECT_NE(derive_verifier(k1, v0, "nurse", center, 4).value(), base);
    EXPECT_FALSE(derive_verifier("short", v0, "nurse", center, 3));
    EXPECT_FALSE(derive_verifier(k1, "short", "nurse", center, 3));
}

TEST(Verifier, APasswordIsCheckedAtAnyDepth) {
    const VerifierGrant below = hand_down(at_home(), upper, center, k1).value();
    const VerifierGrant lowest = hand_down(below, center, tokyo, k2).value();
    EXPECT_TRUE(matches(below, center, v0));
    EXPECT_TRUE(matches(lowest, tokyo, v0));
    EXPECT_FALSE(matches(lowest, tokyo, std::string(32, 'w')));
    EXPECT_EQ(lowest.keys, (std::vector<std::string>{k1, k2}));
}

TEST(Verifier, WhatATierHoldsIsWorthNothingAbove) {
    const VerifierGrant below = hand_down(at_home(), upper, center, k1).value();
    const VerifierGrant lowest = hand_down(below, center, tokyo, k2).value();
    EXPECT_FALSE(matches(below, center, lowest.v));
    EXPECT_FALSE(matches(below, center, below.v));
    EXPECT_NE(lowest.v, below.v);
}

TEST(Verifier, AGrantForAnotherTierDoesNotMatch) {
    const VerifierGrant below = hand_down(at_home(), upper, center, k1).value();
    EXPECT_FALSE(matches(below, tokyo, v0));
    EXPECT_FALSE(matches(below, upper, v0));
    EXPECT_FALSE(matches(below, TierName::parse("hasp://clinics/upper/other").value(), v0));
    EXPECT_FALSE(matches(below, TierName(), v0));
    EXPECT_FALSE(hand_down(at_home(), upper, tokyo, k1));
    EXPECT_FALSE(hand_down(below, tokyo, tokyo.child("ward").value(), k1));
}

} // namespace
} // namespace hasp::trust
