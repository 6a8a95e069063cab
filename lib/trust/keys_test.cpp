#include "trust/keys.h"

#include "base/files.h"
#include "base/text.h"
#include "trust/hash.h"

#include <cstdlib>
#include <gtest/gtest.h>
#include <sys/stat.h>

namespace hasp::trust {
namespace {

TEST(Keys, Ed25519SignsAsPublished) {
    // RFC 8032 §7.1, test 2.
    const SigningKey key =
        SigningKey::from_seed(
            *from_hex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"))
            .value();
    EXPECT_EQ(to_hex(key.public_key().raw()),
              "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
    EXPECT_EQ(to_hex(key.sign("\x72")),
              "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
              "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00");
}

TEST(Keys, ASignatureIsGoodForItsMessageAndKeyOnly) {
    SeededRandom random(1);
    const SigningKey key = SigningKey::generate(random);
    const std::string signature = key.sign("message");
    EXPECT_TRUE(key.public_key().verify("message", signature));
    EXPECT_FALSE(key.public_key().verify("messagf", signature));
    EXPECT_FALSE(key.public_key().verify("message", signature.substr(1)));
    EXPECT_FALSE(SigningKey::generate(random).public_key().verify("message", signature));
}

TEST(Keys, PemComesBackAsTheSameKey) {
    SeededRandom random(2);
    const SigningKey signing = SigningKey::generate(random);
    EXPECT_EQ(SigningKey::from_pem(signing.pem()).value().public_key(), signing.public_key());
    const TlsKey tls = TlsKey::generate(random);
    EXPECT_EQ(TlsKey::from_pem(tls.pem()).value().spki_der(), tls.spki_der());
    EXPECT_EQ(tls.fingerprint(), sha256(tls.spki_der()));
    EXPECT_EQ(PublicKey::from_spki(signing.public_key().spki_der()).value(), signing.public_key());
}

TEST(Keys, EachKindRefusesTheOther) {
    SeededRandom random(3);
    const SigningKey signing = SigningKey::generate(random);
    const TlsKey tls = TlsKey::generate(random);
    EXPECT_FALSE(SigningKey::from_pem(tls.pem()));
    EXPECT_FALSE(TlsKey::from_pem(signing.pem()));
    EXPECT_FALSE(PublicKey::from_spki(tls.spki_der()));
    EXPECT_FALSE(PublicKey::from_spki(signing.public_key().spki_der() + "x"));
    EXPECT_FALSE(PublicKey::from_raw("short"));
    EXPECT_FALSE(SigningKey::from_pem("-----BEGIN PRIVATE KEY-----\nrubbish"));
    EXPECT_FALSE(SigningKey::from_pem("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"));
}

TEST(Keys, TheSameSeedGivesTheSameKeys) {
    SeededRandom a(4);
    SeededRandom b(4);
    EXPECT_EQ(SigningKey::generate(a).public_key(), SigningKey::generate(b).public_key());
    EXPECT_EQ(TlsKey::generate(a).spki_der(), TlsKey::generate(b).spki_der());
}

TEST(Keys, AFileThatOthersMayReadIsRefused) {
    std::string folder = ::testing::TempDir() + "hasp-keys-XXXXXX";
    ASSERT_NE(::mkdtemp(folder.data()), nullptr);
    const std::string path = folder + "/key.pem";
    SeededRandom random(5);
    const TlsKey key = TlsKey::generate(random);
    ASSERT_TRUE(save_private(path, key.pem()));
    EXPECT_EQ(load_tls_key(path).value().spki_der(), key.spki_der());
    EXPECT_FALSE(load_signing_key(path));
    ASSERT_EQ(::chmod(path.c_str(), 0640), 0);
    const auto open_to_group = load_tls_key(path);
    ASSERT_FALSE(open_to_group);
    EXPECT_EQ(open_to_group.error().code, Code::refused);
    EXPECT_EQ(load_tls_key(folder + "/none").error().code, Code::not_found);
    EXPECT_TRUE(remove_tree(folder));
}

} // namespace
} // namespace hasp::trust
