#include "base/random.h"
#include "base/text.h"
#include "signon/password.h"
#include "trust/verifier.h"

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
const std::string right = "correct horse";

class PasswordTest : public testing::Test {
  protected:
    LoginMaterial material() { return material_of(*make_verifier(right, 1, cheap, random)); }
    bool opens(const std::optional<LoginMaterial>& known, std::string_view password) {
        auto answer = checker.check("anna", known, password);
        EXPECT_TRUE(answer);
        return answer.value_or(false);
    }
    // The grant of a tier two below the account's home.
    static Result<trust::VerifierGrant> lent(const Verifier& v) {
        const trust::VerifierGrant own{"anna",
                                       *trust::TierName::parse("hasp://r/top"),
                                       static_cast<std::uint64_t>(v.version),
                                       v.salt,
                                       v.cost.memory_kib,
                                       v.cost.passes,
                                       v.cost.lanes,
                                       v.value,
                                       {}};
        auto center = trust::hand_down(own, own.home, local.parent(), std::string(32, 'c'));
        return center.ok() ? trust::hand_down(*center, local.parent(), local, std::string(32, 'l'))
                           : center;
    }
    inline static const trust::TierName local =
        *trust::TierName::parse("hasp://r/top/center/local");
    SeededRandom random{7};
    PasswordChecker checker{std::string(32, 'k'), cheap};
};

TEST_F(PasswordTest, OnlyTheRightPasswordOpensTheAccount) {
    const LoginMaterial known = material();
    EXPECT_TRUE(opens(known, right));
    EXPECT_FALSE(opens(known, "correct horsE"));
    EXPECT_FALSE(opens(known, right + " "));
    EXPECT_FALSE(opens(known, ""));
    EXPECT_FALSE(opens(known, std::string_view("correct horse\0", 14)));
}

TEST_F(PasswordTest, EveryPathRunsArgon2idOnceWithTheSameWork) {
    const LoginMaterial known = material();
    const LoginMaterial below = material_of(*lent(*make_verifier(right, 1, cheap, random)), local);
    const std::string too_long(password_bytes_max + 1, 'x');
    for (const std::optional<LoginMaterial>& account :
         {std::optional<LoginMaterial>(), std::optional(known), std::optional(below)}) {
        for (const std::string& password :
             {right, std::string("wrong password"), std::string(), too_long}) {
            runs.clear();
            static_cast<void>(checker.check("anna", account, password));
            EXPECT_EQ(runs, (std::vector<Work>{{cheap.passes, cheap.memory_kib, cheap.lanes}}));
        }
    }
}

TEST_F(PasswordTest, NothingOpensAnUnknownAccount) {
    EXPECT_FALSE(opens(std::nullopt, right));
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
    EXPECT_TRUE(acceptable_password("demo", 4));
    EXPECT_FALSE(acceptable_password("", 1));
    EXPECT_FALSE(make_verifier("demo", 1, cheap, random));
    EXPECT_TRUE(make_verifier("demo", 1, cheap, random, 4));
    EXPECT_TRUE(acceptable_password(std::string(password_bytes_max, ' ')));
    EXPECT_FALSE(acceptable_password(std::string(password_bytes_max + 1, ' ')));
    EXPECT_EQ(make_verifier("short", 1, cheap, random).error().code, Code::usage);
}

TEST_F(PasswordTest, EqualPasswordsHaveDifferentVerifiers) {
    EXPECT_NE(make_verifier(right, 1, cheap, random)->value,
              make_verifier(right, 1, cheap, random)->value);
}

// The expected value was computed with OpenSSL's Argon2id, which shares no code with libargon2:
// password "password", salt "somesaltsomesalt", t=3, m=65536 KiB, p=1, 32 bytes.
TEST_F(PasswordTest, TheDefaultWorkIsArgon2idAsAnotherImplementationComputesIt) {
    LoginMaterial known;
    known.salt = "somesaltsomesalt";
    known.expected =
        from_hex("7664ad4ba1a3c999fcdd0991ffc2270f78302d2383233db5e7befc85d1bb1819").value_or("");
    EXPECT_TRUE(opens(known, "password"));
}

TEST_F(PasswordTest, ATierBelowChecksWithTheGrantOfItsLeaseAtAnyDepth) {
    const trust::VerifierGrant grant = *lent(*make_verifier(right, 3, cheap, random));
    ASSERT_EQ(grant.keys.size(), 2U);
    EXPECT_TRUE(opens(material_of(grant, local), right));
    EXPECT_FALSE(opens(material_of(grant, local), "wrong password"));
    EXPECT_FALSE(opens(material_of(grant, local.parent()), right));
    trust::VerifierGrant other = grant;
    other.version = 4;
    EXPECT_FALSE(opens(material_of(other, local), right));
    other = grant;
    other.keys.pop_back();
    EXPECT_FALSE(opens(material_of(other, local), right));
}

TEST_F(PasswordTest, WorkBeyondTheLimitsIsRefusedAndNotDone) {
    LoginMaterial known = material();
    runs.clear();
    known.cost.memory_kib = 1u << 31;
    EXPECT_EQ(checker.check("anna", known, right).error().code, Code::refused);
    EXPECT_TRUE(runs.empty());
    known = material();
    runs.clear();
    known.cost.passes = 0;
    EXPECT_EQ(checker.check("anna", known, right).error().code, Code::refused);
    EXPECT_TRUE(runs.empty());
    known = material();
    known.salt = "short";
    EXPECT_EQ(checker.check("anna", known, right).error().code, Code::refused);
}

TEST_F(PasswordTest, AVerifierWithoutAValueOpensNothing) {
    LoginMaterial known = material();
    known.expected.clear();
    EXPECT_FALSE(opens(known, right));
}

} // namespace
} // namespace hasp::signon
