#include "base/random.h"
#include "base/text.h"
#include "signon/password.h"

#include <gtest/gtest.h>

namespace hasp::signon {
namespace {

constexpr Argon2Cost cheap{64, 1, 1};
const std::string good = "correct horse";

class PasswordTest : public testing::Test {
  protected:
    LoginMaterial material() { return material_of(*make_verifier(good, 1, cheap, random)); }
    bool opens(const std::optional<LoginMaterial>& known, std::string_view password) {
        auto answer = checker.check("anna", known, password);
        EXPECT_TRUE(answer);
        return answer.value_or(false);
    }
    SeededRandom random{7};
    PasswordChecker checker{std::string(32, 'k'), cheap};
};

TEST_F(PasswordTest, OnlyTheRightPasswordOpensTheAccount) {
    const LoginMaterial known = material();
    EXPECT_TRUE(opens(known, good));
    EXPECT_FALSE(opens(known, "correct horsE"));
    EXPECT_FALSE(opens(known, good + " "));
    EXPECT_FALSE(opens(known, ""));
    EXPECT_FALSE(opens(known, std::string_view("correct horse\0", 14)));
}

TEST_F(PasswordTest, NothingOpensAnUnknownAccount) {
    EXPECT_FALSE(opens(std::nullopt, good));
}

TEST_F(PasswordTest, AnUnknownUsersSaltIsStableAndDiffersByUserAndTier) {
    EXPECT_EQ(checker.fake_salt("bo"), checker.fake_salt("bo"));
    EXPECT_EQ(checker.fake_salt("bo").size(), salt_bytes);
    EXPECT_NE(checker.fake_salt("bo"), checker.fake_salt("anna"));
    EXPECT_NE(checker.fake_salt("bo"),
              PasswordChecker(std::string(32, 'l'), cheap).fake_salt("bo"));
}

TEST_F(PasswordTest, APasswordBeyondTheLimitIsNotCutOffToAMatch) {
    const std::string longest(password_bytes_max, 'x');
    const auto verifier = make_verifier(longest, 1, cheap, random);
    ASSERT_TRUE(verifier);
    EXPECT_TRUE(opens(material_of(*verifier), longest));
    EXPECT_FALSE(opens(material_of(*verifier), longest + "x"));
}

TEST_F(PasswordTest, ANewPasswordHasEightTo1024BytesAndNoOtherRule) {
    EXPECT_FALSE(acceptable_password("1234567"));
    EXPECT_TRUE(acceptable_password("12345678"));
    EXPECT_TRUE(acceptable_password("müllerä"));
    EXPECT_TRUE(acceptable_password(std::string(password_bytes_max, ' ')));
    EXPECT_FALSE(acceptable_password(std::string(password_bytes_max + 1, ' ')));
    EXPECT_EQ(make_verifier("short", 1, cheap, random).error().code, Code::usage);
}

TEST_F(PasswordTest, EqualPasswordsHaveDifferentVerifiers) {
    EXPECT_NE(make_verifier(good, 1, cheap, random)->value,
              make_verifier(good, 1, cheap, random)->value);
}

// argon2id, version 19, t=3, m=65536, p=1 of the argon2 command line tool:
// printf %s password | argon2 somesaltsomesalt -id -t 3 -k 65536 -p 1 -l 32 -r
TEST_F(PasswordTest, TheDefaultWorkIsArgon2idAsThePublicToolComputesIt) {
    LoginMaterial known;
    known.version = 1;
    known.salt = "somesaltsomesalt";
    known.expected =
        from_hex("7664ad4ba1a3c999fcdd0991ffc2270f78302d2383233db5e7befc85d1bb1819").value_or("");
    EXPECT_TRUE(opens(known, "password"));
}

TEST_F(PasswordTest, ATierBelowChecksWithItsOwnValueAtAnyDepth) {
    const Verifier home = *make_verifier(good, 3, cheap, random);
    const VerifierStep center{"center", std::string(32, 'c')};
    const VerifierStep local{"local", std::string(32, 'l')};
    const std::string center_value = derive_child_value(center, home.value, "anna", home.version);
    LoginMaterial known{home.version,
                        home.cost,
                        home.salt,
                        {center, local},
                        derive_child_value(local, center_value, "anna", home.version)};
    EXPECT_TRUE(opens(known, good));
    EXPECT_FALSE(opens(known, "wrong password"));
    known.version = 4;
    EXPECT_FALSE(opens(known, good));
    known.version = 3;
    known.steps.pop_back();
    EXPECT_FALSE(opens(known, good));
}

TEST_F(PasswordTest, PartsOfADerivationCannotBeShiftedIntoOneAnother) {
    const std::string key(32, 'k');
    EXPECT_NE(derive_child_value({"b", key}, "v", "aa", 1),
              derive_child_value({"ab", key}, "v", "a", 1));
    EXPECT_EQ(to_hex(derive_child_value({"local", std::string(32, '\x0b')}, std::string(32, '\x01'),
                                        "anna", 2)),
              "42c04ad3d563e468ea3794c133207f0cb8244aeb0884cbcc69e61c1aace04de1");
}

TEST_F(PasswordTest, WorkBeyondTheLimitsIsRefusedAndNotDone) {
    LoginMaterial known = material();
    known.cost.memory_kib = 1u << 31;
    EXPECT_EQ(checker.check("anna", known, good).error().code, Code::refused);
    known = material();
    known.cost.passes = 0;
    EXPECT_EQ(checker.check("anna", known, good).error().code, Code::refused);
    known = material();
    known.steps.resize(33);
    EXPECT_EQ(checker.check("anna", known, good).error().code, Code::refused);
}

TEST_F(PasswordTest, AVerifierWithoutAValueOpensNothing) {
    LoginMaterial known = material();
    known.expected.clear();
    EXPECT_FALSE(opens(known, good));
}

} // namespace
} // namespace hasp::signon
