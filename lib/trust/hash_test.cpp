#include "trust/hash.h"

#include "base/text.h"

#include <gtest/gtest.h>

namespace hasp::trust {
namespace {

TEST(Hash, Sha256GivesThePublishedDigests) {
    // FIPS 180-4 examples.
    EXPECT_EQ(to_hex(sha256("abc")),
              "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    EXPECT_EQ(to_hex(sha256("")),
              "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST(Hash, HmacGivesThePublishedDigests) {
    // RFC 4231, test cases 1 and 2.
    EXPECT_EQ(to_hex(hmac_sha256(std::string(20, '\x0b'), "Hi There")),
              "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    EXPECT_EQ(to_hex(hmac_sha256("Jefe", "what do ya want for nothing?")),
              "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

TEST(Hash, AStreamInPiecesHasTheDigestOfTheWhole) {
    Sha256 stream;
    stream.update("a");
    stream.update("");
    stream.update("bc");
    EXPECT_EQ(stream.finish(), sha256("abc"));
    stream.update("abc");
    EXPECT_EQ(stream.finish(), sha256("abc"));
}

} // namespace
} // namespace hasp::trust
