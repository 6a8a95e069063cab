#include "trust/aead.h"

#include "base/text.h"

#include <gtest/gtest.h>

namespace hasp::trust {
namespace {

std::string bytes(const char* hex) {
    return from_hex(hex).value();
}

// Test case 16 of "The Galois/Counter Mode of Operation" (McGrew, Viega), the source of NIST's.
TEST(Aead, SealsAsThePublishedExampleSays) {
    Aead aead(bytes("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308"));
    const std::string nonce = bytes("cafebabefacedbaddecaf888");
    const std::string with = bytes("feedfacedeadbeeffeedfacedeadbeefabaddad2");
    const std::string plain =
        bytes("d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf"
              "0e2449a6b525b16aedf5aa0de657ba637b39");
    std::string sealed = "before";
    aead.seal(nonce, with, plain, sealed);
    EXPECT_EQ(to_hex(sealed.substr(6)),
              "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b0"
              "8b1056828838c5f61e6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853bb2d551b");
    std::string out;
    EXPECT_TRUE(aead.open(nonce, with, sealed.substr(6), out));
    EXPECT_EQ(out, plain);
}

TEST(Aead, OpensNothingThatWasChangedAnywhere) {
    Aead aead(std::string(aead_key_bytes, 'k'));
    Aead other(std::string(aead_key_bytes, 'K'));
    const std::string nonce(aead_nonce_bytes, 'n');
    std::string sealed;
    aead.seal(nonce, "with", "what is written", sealed);
    std::string out;
    EXPECT_FALSE(other.open(nonce, "with", sealed, out));
    EXPECT_FALSE(aead.open(std::string(aead_nonce_bytes, 'm'), "with", sealed, out));
    EXPECT_FALSE(aead.open(nonce, "other", sealed, out));
    EXPECT_FALSE(aead.open(nonce, "with", sealed.substr(1), out));
    EXPECT_FALSE(aead.open(nonce, "with", "short", out));
    for (std::size_t i = 0; i < sealed.size(); ++i) {
        std::string bent = sealed;
        bent[i] = static_cast<char>(bent[i] ^ 1);
        EXPECT_FALSE(aead.open(nonce, "with", bent, out)) << i;
        EXPECT_TRUE(out.empty());
    }
    EXPECT_TRUE(aead.open(nonce, "with", sealed, out));
    EXPECT_EQ(out, "what is written");
}

TEST(Aead, SealsNothingToo) {
    Aead aead(std::string(aead_key_bytes, 'k'));
    const std::string nonce(aead_nonce_bytes, 'n');
    std::string sealed;
    aead.seal(nonce, "", "", sealed);
    EXPECT_EQ(sealed.size(), aead_tag_bytes);
    std::string out = "something";
    EXPECT_TRUE(aead.open(nonce, "", sealed, out));
    EXPECT_EQ(out, "");
}

} // namespace
} // namespace hasp::trust
