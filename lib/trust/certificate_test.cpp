#include "trust/certificate.h"

#include "base/text.h"
#include "test_realm.h"
#include "trust/web_ca.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace hasp::trust {
namespace {

using ::testing::HasSubstr;
using testing::now_us;
using testing::Realm;
using testing::year_us;

const std::vector<std::string> four = {"upper", "center", "tokyo", "ward"};

std::string why(const Result<Peer>& result) {
    return result ? "accepted" : result.error().message;
}

TEST(Peers, ADirectNeighbourIsAcceptedAtAnyDepth) {
    const Realm realm(four);
    for (std::size_t i = 0; i + 1 < realm.tiers.size(); ++i) {
        const auto& parent = realm.tiers[i];
        const auto& child = realm.tiers[i + 1];
        const auto below = verify_peer(child.tls_der, realm.tls_chain(i + 1),
                                       {realm.id, parent.name, Relation::child}, now_us);
        ASSERT_TRUE(below) << below.error().message;
        EXPECT_EQ(below->name, child.name);
        EXPECT_EQ(below->tls_fingerprint, child.tls.fingerprint());
        EXPECT_EQ(below->not_after_us, now_us + year_us);
        const auto above = verify_peer(parent.tls_der, realm.tls_chain(i),
                                       {realm.id, child.name, Relation::parent}, now_us);
        ASSERT_TRUE(above) << above.error().message;
        EXPECT_EQ(above->name, parent.name);
    }
}

TEST(Peers, ACertificateSaysWhenItEnds) {
    const Realm realm(four);
    const auto end = certificate_end_us(realm.tiers[2].tls_der);
    ASSERT_TRUE(end) << end.error().message;
    EXPECT_EQ(*end, now_us + year_us);
    EXPECT_FALSE(certificate_end_us("no certificate"));
}

TEST(Peers, AGrandchildOrASiblingIsNotANeighbour) {
    const Realm realm(four);
    const auto grandchild = verify_peer(realm.tiers[3].tls_der, realm.tls_chain(3),
                                        {realm.id, realm.tiers[1].name, Relation::child}, now_us);
    EXPECT_THAT(why(grandchild), HasSubstr("not a direct child"));
    const TierName sibling = realm.tiers[1].name.child("osaka").value();
    const auto from_sibling = verify_peer(realm.tiers[2].tls_der, realm.tls_chain(2),
                                          {realm.id, sibling, Relation::parent}, now_us);
    EXPECT_THAT(why(from_sibling), HasSubstr("not the parent of"));
    const auto child_as_parent =
        verify_peer(realm.tiers[2].tls_der, realm.tls_chain(2),
                    {realm.id, realm.tiers[1].name, Relation::parent}, now_us);
    EXPECT_THAT(why(child_as_parent), HasSubstr("not the parent of"));
    const auto top_to_top = verify_peer(realm.tiers[0].tls_der, realm.tls_chain(0),
                                        {realm.id, realm.tiers[0].name, Relation::parent}, now_us);
    EXPECT_THAT(why(top_to_top), HasSubstr("not the parent of"));
}

TEST(Peers, ACertificateOfAnotherRealmOfTheSameNameIsRefused) {
    const Realm ours(four);
    const Realm theirs(four, 2);
    const auto foreign = verify_peer(theirs.tiers[2].tls_der, theirs.tls_chain(2),
                                     {ours.id, ours.tiers[1].name, Relation::child}, now_us);
    EXPECT_THAT(why(foreign), HasSubstr("another realm"));
    // Their certificates under our root.
    std::vector<std::string> mixed = theirs.tls_chain(2);
    mixed.back() = ours.tiers[0].ca_der;
    const auto grafted = verify_peer(theirs.tiers[2].tls_der, mixed,
                                     {ours.id, ours.tiers[1].name, Relation::child}, now_us);
    EXPECT_THAT(why(grafted), HasSubstr("does not verify"));
}

TEST(Peers, ExpiredAndNotYetValidAreToldApart) {
    const Realm realm(four);
    const PeerExpectation expectation{realm.id, realm.tiers[1].name, Relation::child};
    EXPECT_THAT(why(verify_peer(realm.tiers[2].tls_der, realm.tls_chain(2), expectation,
                                now_us + year_us + 2'000'000)),
                HasSubstr("expired at"));
    EXPECT_THAT(why(verify_peer(realm.tiers[2].tls_der, realm.tls_chain(2), expectation,
                                now_us - certificate_backdate_us - 2'000'000)),
                HasSubstr("valid only from"));
    EXPECT_EQ(why(verify_peer(realm.tiers[2].tls_der, realm.tls_chain(2), expectation,
                              now_us - certificate_backdate_us)),
              "accepted");
}

TEST(Peers, AnExpiredLinkInTheMiddleOfTheChainIsRefused) {
    Realm realm(four);
    const std::string brief =
        issue_ca(realm.issuer(0), realm.tiers[1].name, realm.tiers[1].key.public_key(),
                 valid_for(now_us, 1'000'000), realm.random)
            .value();
    const std::vector<std::string> chain = {brief, realm.tiers[0].ca_der};
    const PeerExpectation expectation{realm.id, realm.tiers[1].name, Relation::child};
    EXPECT_EQ(why(verify_peer(realm.tiers[2].tls_der, chain, expectation, now_us)), "accepted");
    EXPECT_THAT(why(verify_peer(realm.tiers[2].tls_der, chain, expectation, now_us + 10'000'000)),
                HasSubstr("hasp://clinics/upper/center expired"));
}

TEST(Peers, AChainWithAGapABadOrderOrAnExtraIsRefused) {
    const Realm realm(four);
    const PeerExpectation expectation{realm.id, realm.tiers[2].name, Relation::child};
    const std::vector<std::string> whole = realm.tls_chain(3);
    const std::string& leaf = realm.tiers[3].tls_der;
    ASSERT_EQ(why(verify_peer(leaf, whole, expectation, now_us)), "accepted");
    EXPECT_FALSE(verify_peer(leaf, {}, expectation, now_us));
    EXPECT_FALSE(verify_peer(leaf, {whole[0], whole[2]}, expectation, now_us));
    EXPECT_FALSE(verify_peer(leaf, {whole[0], whole[1]}, expectation, now_us));
    EXPECT_FALSE(verify_peer(leaf, {whole[1], whole[0], whole[2]}, expectation, now_us));
    EXPECT_FALSE(verify_peer(leaf, {realm.tiers[3].ca_der, whole[0], whole[1], whole[2]},
                             expectation, now_us));
    EXPECT_FALSE(verify_peer(leaf, std::vector<std::string>(chain_length_max + 1, whole[0]),
                             expectation, now_us));
    EXPECT_FALSE(verify_peer(leaf + "x", whole, expectation, now_us));
    EXPECT_FALSE(
        verify_peer(std::string(certificate_bytes_max + 1, 'x'), whole, expectation, now_us));
}

TEST(Peers, ATierCannotVouchBeyondItsDirectChildren) {
    Realm realm(four);
    const TierName elsewhere = TierName::parse("hasp://clinics/upper/other").value();
    EXPECT_FALSE(issue_ca(realm.issuer(1), elsewhere, realm.tiers[2].key.public_key(),
                          valid_for(now_us, year_us), realm.random));
    EXPECT_FALSE(issue_tls(realm.issuer(1), realm.tiers[3].name, realm.tiers[3].tls.spki_der(),
                           valid_for(now_us, year_us), realm.random));
    // Only the top issues its own TLS certificate.
    EXPECT_FALSE(issue_tls(realm.issuer(1), realm.tiers[1].name, realm.tiers[1].tls.spki_der(),
                           valid_for(now_us, year_us), realm.random));
    // A cheating center that signs as if it were the top: the signature is good for its key, the
    // names do not nest.
    const Issuer cheat{realm.tiers[0].name, realm.tiers[1].ca_der, realm.tiers[1].key};
    const std::string sibling = issue_tls(cheat, elsewhere, realm.tiers[2].tls.spki_der(),
                                          valid_for(now_us, year_us), realm.random)
                                    .value();
    EXPECT_THAT(why(verify_peer(sibling, realm.tiers[1].ca_chain,
                                {realm.id, realm.tiers[0].name, Relation::child}, now_us)),
                HasSubstr("which is not its direct child"));
    const std::string false_ca = issue_ca(cheat, elsewhere, realm.tiers[2].key.public_key(),
                                          valid_for(now_us, year_us), realm.random)
                                     .value();
    const auto keys =
        verify_ca_chain({false_ca, realm.tiers[1].ca_der, realm.tiers[0].ca_der}, realm.id, now_us);
    ASSERT_FALSE(keys);
    EXPECT_THAT(keys.error().message, HasSubstr("which is not its direct child"));
}

TEST(Peers, ATlsCertificateIsNoAuthorityAndAnAuthorityNoTlsCertificate) {
    const Realm realm(four);
    EXPECT_FALSE(
        verify_ca_chain({realm.tiers[1].tls_der, realm.tiers[0].ca_der}, realm.id, now_us));
    EXPECT_THAT(why(verify_peer(realm.tiers[1].ca_der, realm.tls_chain(1),
                                {realm.id, realm.tiers[0].name, Relation::child}, now_us)),
                HasSubstr("not one for links between tiers"));
}

TEST(Peers, TheKeyMustBelongToTheIssuersCertificate) {
    Realm realm(four);
    const Issuer wrong{realm.tiers[1].name, realm.tiers[1].ca_der, realm.tiers[2].key};
    EXPECT_FALSE(issue_ca(wrong, realm.tiers[2].name, realm.tiers[2].key.public_key(),
                          valid_for(now_us, year_us), realm.random));
    // An Ed25519 key is no TLS key.
    EXPECT_FALSE(issue_tls(realm.issuer(1), realm.tiers[2].name,
                           realm.tiers[2].key.public_key().spki_der(), valid_for(now_us, year_us),
                           realm.random));
}

TEST(Peers, TheChainProvesEveryTiersEnvelopeKey) {
    const Realm realm(four);
    const auto keys = verify_ca_chain(realm.tiers[2].ca_chain, realm.id, now_us);
    ASSERT_TRUE(keys) << keys.error().message;
    ASSERT_EQ(keys->size(), 3U);
    for (std::size_t i = 0; i < 3; ++i) {
        EXPECT_EQ((*keys)[i].name, realm.tiers[2 - i].name);
        EXPECT_EQ((*keys)[i].key, realm.tiers[2 - i].key.public_key());
    }
    EXPECT_TRUE(verify_ca_chain({realm.tiers[0].ca_der}, realm.id, now_us));
}

TEST(Peers, TheDeepestTreeWithTheLongestNamesFits) {
    std::vector<std::string> path;
    for (std::size_t i = 0; i < tier_depth_max; ++i) {
        path.push_back(std::string(name_length_max, static_cast<char>('a' + i)));
    }
    const Realm realm(path, 1, std::string(name_length_max, 'r'));
    const std::size_t last = tier_depth_max - 1;
    EXPECT_EQ(why(verify_peer(realm.tiers[last].tls_der, realm.tls_chain(last),
                              {realm.id, realm.tiers[last - 1].name, Relation::child}, now_us)),
              "accepted");
}

TEST(Pem, AChainComesBackAsItWas) {
    const Realm realm(four);
    const std::string pem = to_pem(realm.tiers[3].ca_chain);
    EXPECT_EQ(from_pem(pem).value(), realm.tiers[3].ca_chain);
    EXPECT_FALSE(from_pem(""));
    EXPECT_FALSE(from_pem(pem.substr(0, pem.size() - 40)));
    EXPECT_FALSE(from_pem(realm.tiers[0].tls.pem()));
}

TEST(WebCa, IsAnAuthorityForBrowsersAndNoneForTiers) {
    Realm realm(four);
    const TlsKey ca_key = TlsKey::generate(realm.random);
    const TlsKey key = TlsKey::generate(realm.random);
    const Validity validity = valid_for(now_us, year_us);
    const WebNames lab = WebNames::parse({"localhost", "127.0.0.0/8", "::1"}).value();
    const std::string ca = issue_web_ca(ca_key, "hasp lab", lab, validity, realm.random).value();
    const std::string leaf =
        issue_web_leaf(ca_key, ca, {"localhost", "*.localhost", "127.0.0.1", "::1"}, key.spki_der(),
                       validity, realm.random)
            .value();
    EXPECT_FALSE(verify_peer(leaf, {ca}, {realm.id, realm.tiers[0].name, Relation::child}, now_us));
    EXPECT_FALSE(verify_peer(leaf, {ca},
                             {ca_key.fingerprint(), realm.tiers[0].name, Relation::child}, now_us));
    EXPECT_FALSE(issue_web_leaf(key, ca, {"localhost"}, key.spki_der(), validity, realm.random));
    for (const char* bad :
         {"", "a,URI:hasp://clinics/upper", "a b", "-a", "a..b", "[::1]", "*", "a.*.b"}) {
        EXPECT_FALSE(issue_web_leaf(ca_key, ca, {bad}, key.spki_der(), validity, realm.random))
            << bad;
    }
    EXPECT_FALSE(issue_web_leaf(ca_key, ca, {}, key.spki_der(), validity, realm.random));
}

} // namespace
} // namespace hasp::trust
