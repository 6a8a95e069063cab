#include "trust/peer.h"

#include "base/text.h"
#include "test_realm.h"
#include "trust/hash.h"
#include "x509.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace hasp::trust {
namespace {

using ::testing::HasSubstr;
using testing::now_us;
using testing::Realm;
using ::testing::StartsWith;

const SigningKey signer = SigningKey::from_seed(std::string(32, 'k')).value();

AssertionParties parties() {
    return {TierName::parse("hasp://clinics/east").value(), sha256("east"),
            TierName::parse("hasp://labs/west").value(), sha256("west")};
}

// `body` in an envelope like an assertion's, but for what the test changes.
std::string sealed(const std::string& body, std::int64_t from_us = now_us,
                   std::int64_t to_us = now_us + assertion_life_us,
                   const std::string& type = "peer-assertion") {
    const AssertionParties between = parties();
    return seal({type,
                 between.issuer_realm_id,
                 between.issuer,
                 between.audience,
                 {},
                 from_us,
                 to_us},
                body, signer)
        .value();
}

Fault fault_of(std::string_view bytes, const AssertionParties& between = parties(),
               std::int64_t at_us = now_us) {
    Fault why = Fault::none;
    const auto read = read_assertion(bytes, signer.public_key(), between, at_us, &why);
    EXPECT_EQ(read.ok(), why == Fault::none);
    return why;
}

std::string mias() {
    return sign_assertion(parties(), "mia", "wiki", now_us, signer).value();
}

TEST(Assertion, TellsTheAudienceWhoAsksForWhatUntilWhen) {
    const auto read = read_assertion(mias(), signer.public_key(), parties(), now_us);
    ASSERT_TRUE(read.ok()) << read.error().message;
    EXPECT_EQ(*read, (Assertion{"mia", "wiki", now_us + assertion_life_us}));
}

TEST(Assertion, HasTheBytesThatTheProtocolShows) {
    EXPECT_EQ(to_hex(mias()),
              "68617370656e7631000000a30e706565722d617373657274696f6e6bdb262b0201799aef"
              "b0ae4116c6fb88f549425e30cd85a7f75a06be246751cf0013686173703a2f2f636c696e"
              "6963732f656173740010686173703a2f2f6c6162732f7765737400000000000000000000"
              "00000000000000060a24181e400000060a243be186000000002976a796208b71779c0331"
              "e79e8ac17df979c7d2c5bd10b491c94bd1e16d422088036d69610477696b6921d4241f5f"
              "cb5eab6a60da2eb5fb0ab649c5b47e73be7ce632d40a901de02c87f48455254ad20810d8"
              "22d69e42b9740e78fafd58a6c04c840f878499b8446c0a");
}

TEST(Assertion, EndsAtItsTimeAndAClockThatIsBehindByHalfOfItsLifeIsBorneWith) {
    EXPECT_EQ(fault_of(mias(), parties(), now_us + assertion_life_us - 1), Fault::none);
    EXPECT_EQ(fault_of(mias(), parties(), now_us + assertion_life_us), Fault::expired);
    EXPECT_EQ(fault_of(mias(), parties(), now_us - assertion_skew_us), Fault::none);
    EXPECT_EQ(fault_of(mias(), parties(), now_us - assertion_skew_us - 1), Fault::malformed);
}

TEST(Assertion, OfAnotherKeyIssuerAudienceOrRealmIsRefused) {
    SeededRandom random(1);
    const auto other = SigningKey::generate(random);
    EXPECT_EQ(fault_of(sign_assertion(parties(), "mia", "wiki", now_us, other).value()),
              Fault::bad_signature);
    AssertionParties changed = parties();
    changed.issuer = TierName::parse("hasp://clinics/north").value();
    EXPECT_EQ(fault_of(mias(), changed), Fault::wrong_issuer);
    changed = parties();
    changed.audience = TierName::parse("hasp://labs/north").value();
    EXPECT_EQ(fault_of(mias(), changed), Fault::wrong_audience);
    changed = parties();
    changed.audience_realm_id = sha256("another realm whose names are the same");
    EXPECT_EQ(fault_of(mias(), changed), Fault::wrong_audience);
    changed = parties();
    changed.issuer_realm_id = sha256("another");
    EXPECT_EQ(fault_of(mias(), changed), Fault::wrong_realm);
}

TEST(Assertion, AnyChangedByteIsNoticed) {
    const std::string good = mias();
    for (std::size_t at = 0; at < good.size(); ++at) {
        std::string other = good;
        other[at] = static_cast<char>(other[at] ^ 1);
        EXPECT_NE(fault_of(other), Fault::none) << at;
    }
}

TEST(Assertion, AnotherTypeOfEnvelopeIsNoneWhateverItSays) {
    const std::string body = sha256("west") + "\x03mia\x04wiki";
    EXPECT_EQ(fault_of(sealed(body)), Fault::none);
    EXPECT_EQ(fault_of(sealed(body, now_us, now_us + assertion_life_us, "lease")),
              Fault::wrong_type);
}

TEST(Assertion, WhatIsSignedForLongOrMakesNoSenseIsRefused) {
    const std::string realm = sha256("west");
    EXPECT_EQ(fault_of(sealed(realm + "\x03mia\x04wiki", now_us, now_us + assertion_life_us + 1)),
              Fault::malformed);
    EXPECT_EQ(fault_of(sealed(realm + "\x03mia\x04wiki", 0, INT64_MAX)), Fault::malformed);
    for (const std::string rest : {"", "\x03mia", "\x03mia\x04wikis", "\x03mi@\x04wiki",
                                   "\x08mia@west\x04wiki", "\x03mia\x04wik/", "\x04wiki"}) {
        EXPECT_EQ(fault_of(sealed(realm + rest)), Fault::malformed) << rest;
    }
    EXPECT_EQ(fault_of(sealed(std::string(assertion_bytes_max, 'x'))), Fault::oversized);
    EXPECT_FALSE(sign_assertion(parties(), "mia@north", "wiki", now_us, signer).ok())
        << "who came from a peer is not passed on to another";
}

class Cards : public ::testing::Test {
  protected:
    Realm realm_{{"top", "center"}};
    PeerCard card(std::size_t tier) {
        return make_peer_card({"west.example:8490", "[2001:db8::7]:8490"}, realm_.tiers[tier].name,
                              realm_.tiers[0].ca_der, realm_.tiers[tier].key.public_key())
            .value();
    }
};

TEST_F(Cards, ALineIsReadAsItWasWritten) {
    for (const std::size_t tier : {0U, 1U}) {
        const std::string line = card(tier).text();
        EXPECT_THAT(line, StartsWith("hasp-peer:west.example:8490,[2001:db8::7]:8490/clinics/top"));
        const auto read = parse_peer_card(" " + line + "\n");
        ASSERT_TRUE(read.ok()) << read.error().message;
        EXPECT_EQ(read->text(), line);
        EXPECT_EQ(realm_id_of(*read, now_us).value(), realm_.id);
    }
}

TEST_F(Cards, WhatIsAlteredOrCutShortIsRefused) {
    const std::string line = card(1).text();
    for (std::size_t size = 10; size < line.size(); ++size) {
        EXPECT_EQ(parse_peer_card(line.substr(0, size)).error().code, Code::refused) << size;
    }
    for (const std::size_t at : {12U, 60U, 200U}) {
        std::string other = line;
        other[at] = other[at] == 'a' ? 'b' : 'a';
        EXPECT_EQ(parse_peer_card(other).error().code, Code::refused) << at;
    }
    EXPECT_EQ(parse_peer_card("hasp-join:a:1/x/y#z").error().code, Code::usage);
    EXPECT_EQ(parse_peer_card(line + std::string(peer_card_bytes_max, 'x')).error().code,
              Code::usage);
}

TEST_F(Cards, ARootVouchesForItsOwnRealmAloneAndATopForItsOwnKey) {
    PeerCard other = card(1);
    other.name = TierName::parse("hasp://labs/top/center").value();
    EXPECT_EQ(realm_id_of(other, now_us).error().code, Code::refused);
    other = card(0);
    other.key = signer.public_key();
    EXPECT_EQ(realm_id_of(other, now_us).error().code, Code::refused);
    EXPECT_EQ(realm_id_of(card(1), now_us + 2 * testing::year_us).error().code, Code::refused);
}

// As `root`, with another subject key identifier.
std::string renamed(const std::string& root, const SigningKey& its_key, const std::string& id) {
    const detail::Cert cert = std::move(*detail::parse(root));
    for (const int nid : {NID_subject_key_identifier, NID_authority_key_identifier}) {
        X509_EXTENSION_free(X509_delete_ext(cert.get(), X509_get_ext_by_NID(cert.get(), nid, -1)));
    }
    if (!id.empty()) {
        const detail::Owned<ASN1_OCTET_STRING, ASN1_OCTET_STRING_free> octets(
            ASN1_OCTET_STRING_new());
        ASN1_OCTET_STRING_set(octets.get(), detail::data_of(id), static_cast<int>(id.size()));
        X509_add1_ext_i2d(cert.get(), NID_subject_key_identifier, octets.get(), 0,
                          X509V3_ADD_DEFAULT);
    }
    X509_sign(cert.get(), its_key.handle().pkey.get(), nullptr);
    std::string der(static_cast<std::size_t>(i2d_X509(cert.get(), nullptr)), '\0');
    auto* out = reinterpret_cast<unsigned char*>(der.data());
    i2d_X509(cert.get(), &out);
    return der;
}

TEST_F(Cards, ARootWhoseKeyIdentifierIsNotItsKeysIsRefused) {
    const PeerCard good = card(1);
    for (const std::string& id : {std::string(), std::string(20, 'x')}) {
        const std::string root = renamed(good.root_der, realm_.tiers[0].key, id);
        const auto other = make_peer_card(good.addresses, good.name, root, good.key);
        ASSERT_TRUE(other.ok()) << other.error().message;
        EXPECT_THAT(realm_id_of(*other, now_us).error().message, HasSubstr("own key")) << id;
    }
}

TEST_F(Cards, RootsOfOneNameAndDifferentKeysAreTold) {
    const Realm twin({"top"}, 2);
    const Realm other({"top"}, 2, "labs");
    const std::string& mine = realm_.tiers[0].ca_der;
    EXPECT_TRUE(same_root_name(mine, twin.tiers[0].ca_der));
    EXPECT_FALSE(same_root_name(mine, mine));
    EXPECT_FALSE(same_root_name(mine, other.tiers[0].ca_der));
    EXPECT_FALSE(same_root_name(mine, "no certificate"));
}

TEST_F(Cards, APeersCertificateIsAcceptedForItsOwnNameUnderItsOwnRoot) {
    const auto verified = [&](const TierName& expected, const std::string& realm) {
        return verify_peer(realm_.tiers[1].tls_der, realm_.tls_chain(1),
                           {realm, expected, Relation::peer}, now_us)
            .ok();
    };
    EXPECT_TRUE(verified(realm_.tiers[1].name, realm_.id));
    EXPECT_FALSE(verified(realm_.tiers[0].name, realm_.id));
    EXPECT_FALSE(verified(realm_.tiers[1].name, sha256("another")));
    EXPECT_FALSE(verified({}, realm_.id));
}

} // namespace
} // namespace hasp::trust
