#include "trust/envelope.h"

#include "base/text.h"
#include "trust/hash.h"

#include <gtest/gtest.h>

namespace hasp::trust {
namespace {

constexpr std::int64_t sealed_at_us = 1'700'000'000'000'000;
const SigningKey key = SigningKey::from_seed(std::string(32, 'k')).value();
const TierName center = TierName::parse("hasp://clinics/upper/center").value();
const TierName tokyo = TierName::parse("hasp://clinics/upper/center/tokyo").value();
const std::string realm_id = sha256("root");

Header header() {
    return {"lease", realm_id, center, tokyo, {1, 7}, sealed_at_us, sealed_at_us + 1'000'000};
}
Expectation expected() {
    return {"lease", realm_id, center, tokyo, envelope_bytes_max};
}

Fault fault(std::string_view bytes, const Expectation& expectation = expected(),
            std::int64_t at_us = sealed_at_us) {
    Fault why = Fault::none;
    const auto opened = open(bytes, key.public_key(), expectation, at_us, &why);
    EXPECT_EQ(opened.ok(), why == Fault::none);
    if (!opened) {
        EXPECT_EQ(opened.error().code, Code::refused);
    }
    return why;
}

// Signed as PROTOCOL.md says, whatever the payload.
std::string sealed_payload(const std::string& payload) {
    std::string length(4, '\0');
    for (std::size_t i = 0; i < 4; ++i) {
        length[i] = static_cast<char>(payload.size() >> (8 * (3 - i)) & 0xff);
    }
    return "haspenv1" + length + payload +
           key.sign("hasp-envelope-v1" + std::string(5, '\0') + length + payload);
}

TEST(Envelope, HasTheBytesThatTheProtocolShows) {
    const std::string bytes = seal(header(), "body", key).value();
    EXPECT_EQ(to_hex(bytes),
              "68617370656e7631" // magic
              "0000008e"         // payload length
              "05"
              "6c65617365"                                                       // type
              "4813494d137e1631bba301d5acab6e7bb7aa74ce1185d456565ef51d737677b2" // realm
              "001b"
              "686173703a2f2f636c696e6963732f75707065722f63656e746572" // issuer
              "0021"
              "686173703a2f2f636c696e6963732f75707065722f63656e7465722f746f6b796f" // audience
              "0000000000000001"                                                   // epoch
              "0000000000000007"                                                   // number
              "00060a24181e4000"                                                   // issued at
              "00060a24182d8240"                                                   // not after
              "00000004"
              "626f6479"                                                         // body
              "f2196dd57222725e4a6d211525b1d3cba661cd4b652a2ea6060db80974e1311a" // signature
              "864fe73dbe10f530f4dba48d7f3ef7c1284297df54f955e65ffaa26564d17902");
}

TEST(Envelope, OpensToWhatWasSealed) {
    const std::string body("b\0dy", 4);
    const auto opened =
        open(seal(header(), body, key).value(), key.public_key(), expected(), sealed_at_us);
    ASSERT_TRUE(opened) << opened.error().message;
    EXPECT_EQ(opened->header, header());
    EXPECT_EQ(opened->body, body);
}

TEST(Envelope, EveryExpectationHasItsOwnFault) {
    const std::string bytes = seal(header(), "body", key).value();
    Expectation e = expected();
    e.type = "desired-state";
    EXPECT_EQ(fault(bytes, e), Fault::wrong_type);
    e = expected();
    e.realm_id = sha256("other");
    EXPECT_EQ(fault(bytes, e), Fault::wrong_realm);
    e = expected();
    e.issuer = center.parent();
    EXPECT_EQ(fault(bytes, e), Fault::wrong_issuer);
    e = expected();
    e.audience = center.child("osaka").value();
    EXPECT_EQ(fault(bytes, e), Fault::wrong_audience);
    e = expected();
    e.bytes_max = bytes.size() - 1;
    EXPECT_EQ(fault(bytes, e), Fault::oversized);
    EXPECT_EQ(fault(bytes, expected(), header().not_after_us), Fault::expired);
    EXPECT_EQ(fault(bytes, expected(), header().not_after_us - 1), Fault::none);
}

TEST(Envelope, CutShortAnywhereItIsTruncated) {
    const std::string bytes = seal(header(), "body", key).value();
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        EXPECT_EQ(fault(bytes.substr(0, size)), Fault::truncated) << size;
    }
    EXPECT_EQ(fault(bytes + "x"), Fault::truncated);
}

TEST(Envelope, AnyChangedBitIsNoticed) {
    const std::string bytes = seal(header(), "body", key).value();
    for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
        std::string other = bytes;
        other[bit / 8] = static_cast<char>(other[bit / 8] ^ (1 << bit % 8));
        const Fault why = fault(other);
        EXPECT_TRUE(why == (bit < 64   ? Fault::not_envelope
                            : bit < 96 ? Fault::truncated
                                       : Fault::bad_signature))
            << bit;
    }
}

TEST(Envelope, AnotherKeysSignatureIsRefusedBeforeAnythingIsRead) {
    SeededRandom random(1);
    const SigningKey other = SigningKey::generate(random);
    Header h = header();
    h.type = "other";
    EXPECT_EQ(fault(seal(h, "body", other).value()), Fault::bad_signature);
}

TEST(Envelope, ABareSignatureOverThePayloadIsNotEnough) {
    const std::string bytes = seal(header(), "body", key).value();
    const std::string payload = bytes.substr(12, bytes.size() - 12 - 64);
    EXPECT_EQ(fault(bytes.substr(0, bytes.size() - 64) + key.sign(payload)), Fault::bad_signature);
    EXPECT_EQ(fault(sealed_payload(payload)), Fault::none);
}

TEST(Envelope, SignedNonsenseIsTheIssuersFault) {
    const std::string bytes = seal(header(), "body", key).value();
    const std::string payload = bytes.substr(12, bytes.size() - 12 - 64);
    EXPECT_EQ(fault(sealed_payload("")), Fault::malformed);
    EXPECT_EQ(fault(sealed_payload(payload + "x")), Fault::malformed);
    for (std::size_t size = 0; size < payload.size(); ++size) {
        EXPECT_EQ(fault(sealed_payload(payload.substr(0, size))), Fault::malformed) << size;
    }
}

TEST(Envelope, NonsenseIsNotSealed) {
    Header h = header();
    h.type = "Not A Name";
    EXPECT_FALSE(seal(h, "", key));
    h = header();
    h.realm_id = "short";
    EXPECT_FALSE(seal(h, "", key));
    h = header();
    h.not_after_us = h.issued_at_us - 1;
    EXPECT_FALSE(seal(h, "", key));
    h = header();
    h.audience = TierName();
    EXPECT_FALSE(seal(h, "", key));
    EXPECT_FALSE(seal(header(), std::string(envelope_bytes_max, 'x'), key));
}

TEST(Counter, OnlyAHigherNumberOfTheSameEpochIsAccepted) {
    EXPECT_EQ(accept_newer(std::nullopt, {9, 1}), Acceptance::ok);
    EXPECT_EQ(accept_newer(Counter{1, 5}, {1, 6}), Acceptance::ok);
    EXPECT_EQ(accept_newer(Counter{1, 5}, {1, 5}), Acceptance::older);
    EXPECT_EQ(accept_newer(Counter{1, 5}, {1, 4}), Acceptance::older);
    EXPECT_EQ(accept_newer(Counter{1, 5}, {2, 6}), Acceptance::epoch_mismatch);
    EXPECT_EQ(accept_newer(Counter{2, 5}, {1, 6}), Acceptance::epoch_mismatch);
}

} // namespace
} // namespace hasp::trust
