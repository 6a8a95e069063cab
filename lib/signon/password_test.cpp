#include "base/random.h"
#include "base/text.h"
#include "signon/password.h"

#include <gtest/gtest.h>
#include <vector>

// The linker leads the library's calls here (see CMakeLists.txt), so that runs can be counted.
extern "C" {
int __real_argon2id_hash_raw(std::uint32_t, std::uint32_t, std::uint32_t, const void*, std::size_t,
                             const void*, std::size_t, void*, std::size_t);
int __wrap_argon2id_hash_raw(std::uint32_t, std::uint32_t, std::uint32_t, const void*, std::size_t,
                             const void*, std::size_t, void*, std::size_t);
}

namespace {

struct Work {
    std::uint32_t passes, memory_kib, lanes;
    bool operator==(const Work&) const = default;
};
std::vector<Work> runs;

} // namespace

int __wrap_argon2id_hash_raw(std::uint32_t passes, std::uint32_t memory_kib, std::uint32_t lanes,
                             const void* password, std::size_t password_size, const void* salt,
                             std::size_t salt_size, void* out, std::size_t out_size) {
    runs.push_back({passes, memory_kib, lanes});
    return __real_argon2id_hash_raw(passes, memory_kib, lanes, password, password_size, salt,
                                    salt_size, out, out_size);
}

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

TEST_F(PasswordTest, EveryPathRunsArgon2idOnceWithTheSameWork) {
    const LoginMaterial known = material();
    LoginMaterial below = known;
    below.steps = {{"local", std::string(32, 'l')}};
    const std::string too_long(password_bytes_max + 1, 'x');
    for (const std::optional<LoginMaterial>& account :
         {std::optional<LoginMaterial>(), std::optional(known), std::optional(below)}) {
        for (const std::string& password :
             {good, std::string("wrong password"), std::string(), too_long}) {
            runs.clear();
            static_cast<void>(checker.check("anna", account, password));
            EXPECT_EQ(runs, (std::vector<Work>{{cheap.passes, cheap.memory_kib, cheap.lanes}}));
        }
    }
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

// The expected value was computed with OpenSSL's Argon2id, which shares no code with libargon2:
// password "password", salt "somesaltsomesalt", t=3, m=65536 KiB, p=1, 32 bytes.
TEST_F(PasswordTest, TheDefaultWorkIsArgon2idAsAnotherImplementationComputesIt) {
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
    runs.clear();
    known.cost.memory_kib = 1u << 31;
    EXPECT_EQ(checker.check("anna", known, good).error().code, Code::refused);
    EXPECT_TRUE(runs.empty());
    known = material();
    runs.clear();
    known.cost.passes = 0;
    EXPECT_EQ(checker.check("anna", known, good).error().code, Code::refused);
    EXPECT_TRUE(runs.empty());
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
