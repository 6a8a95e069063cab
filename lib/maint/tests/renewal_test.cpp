// Certificates are renewed over the live link, long before they end, for the same keys.
#include "tree.h"

#include "base/clock.h"
#include "base/files.h"
#include "base/text.h"
#include "maint/tier_identity.h"
#include "usage_ring_fixture.h"

namespace hasp::maint::tests {

namespace {

// Links on which days may pass in few steps: three missed heartbeats cut one.
Config patient() {
    Config config;
    config.link.heartbeat_s = 300;
    return config;
}

struct Renewed : testing::Test {
    Tree tree;
    std::vector<Node*> tiers = tree.chain(3, patient());
    Node& upper = *tiers[0];
    Node& center = *tiers[1];
    Node& tokyo = *tiers[2];

    static const TierIdentity& me(const Node& node) { return node.keeper->identity(); }
    std::int64_t days_left(const Node& node) const {
        return (me(node).certificates_end_us() - tree.clock.wall_us()) / day_us;
    }
    // What the other side of a link would say of the certificates that a tier shows.
    bool accepted(const Node& parent, const Node& child) const {
        return trust::verify_peer(
                   me(child).tls_cert_der,
                   {me(child).ca_chain_der.begin() + 1, me(child).ca_chain_der.end()},
                   {me(child).realm_id, me(parent).name, trust::Relation::child},
                   tree.clock.wall_us())
            .ok();
    }
    void without_a_link_for(std::int64_t days) {
        tree.cut(center);
        tree.cut(tokyo);
        tree.clock.advance_us(days * day_us);
    }
    void link_again() {
        ASSERT_TRUE(tree.link(center));
        ASSERT_TRUE(tree.link(tokyo));
        tree.pass_s(2);
    }
};

} // namespace

TEST_F(Renewed, CertificatesAreAsNewAfterTheFirstContactInTheirSecondHalf) {
    const std::string keys = me(tokyo).tls_key.fingerprint();
    without_a_link_for(366);
    link_again();
    for (const Node* node : tiers) {
        EXPECT_GE(days_left(*node), 729) << node->name;
    }
    EXPECT_EQ(me(tokyo).tls_key.fingerprint(), keys);
    EXPECT_TRUE(accepted(center, tokyo) && accepted(upper, center));
    EXPECT_TRUE(tree.linked(tokyo));
    // Front shows the new ones.
    EXPECT_EQ(text_of(tokyo.credentials, "chain"), me(tokyo).tls_chain_pem());
}

TEST_F(Renewed, NothingIsAskedForInTheFirstHalf) {
    without_a_link_for(360);
    link_again();
    EXPECT_EQ(tree.count("certificates.renew"), 0U);
}

TEST_F(Renewed, ALinkThatNeverEndsIsRenewedOverToo) {
    without_a_link_for(364);
    link_again();
    ASSERT_EQ(tree.count("certificates.renew"), 0U);
    // Where both are due in one moment, the lower one wins nothing before it asks again, a day
    // later.
    tree.pass_s(49 * 3600, 400);
    EXPECT_EQ(tree.count("certificates.renew"), 3U);
    EXPECT_GE(days_left(center), 727);
    EXPECT_GE(days_left(tokyo), 727);
}

TEST_F(Renewed, NewCertificatesAreThoseAfterARestart) {
    without_a_link_for(400);
    link_again();
    const std::string in_use = me(tokyo).tls_cert_der;
    tree.restart(tokyo);
    EXPECT_EQ(me(tokyo).tls_cert_der, in_use);
    EXPECT_TRUE(accepted(center, tokyo));
}

TEST_F(Renewed, ATierThatWasHeardOfOnceAYearIsLinkedForEver) {
    for (int year = 0; year < 6; ++year) {
        without_a_link_for(365);
        link_again();
        ASSERT_TRUE(accepted(center, tokyo)) << year;
        ASSERT_TRUE(accepted(upper, center)) << year;
    }
}

TEST_F(Renewed, AChildWhoseParentsOwnCertificateEndsSoonAsksAgain) {
    // The center is cut off from above: what it signs cannot outlive its own certificate.
    tree.cut(center);
    tree.cut(tokyo);
    tree.clock.advance_us(400 * day_us);
    ASSERT_TRUE(tree.link(tokyo));
    tree.pass_s(2);
    EXPECT_LT(days_left(tokyo), 331);
    EXPECT_EQ(tree.count("certificates.renew"), 1U);
    ASSERT_TRUE(tree.link(center));
    tree.pass_s(25 * 3600, 400);
    EXPECT_GE(days_left(tokyo), 728);
}

TEST_F(Renewed, TheLinkMayBreakAtTheQuestionAndAtTheAnswer) {
    for (const int after : {0, 1}) {
        without_a_link_for(400);
        ASSERT_TRUE(tree.link(center));
        const std::string old = me(tokyo).tls_cert_der;
        if (after == 0) {
            tree.cut_at("certificates.renew", 0);
        } else {
            // The answer is the first the parent gives after the hello.
            tree.cut_at("re", 0);
        }
        tree.link(tokyo);
        tree.settle();
        EXPECT_EQ(me(tokyo).tls_cert_der, old) << "the old one is good until the new one is here";
        ASSERT_TRUE(accepted(center, tokyo));
        link_again();
        EXPECT_NE(me(tokyo).tls_cert_der, old);
        EXPECT_GE(days_left(tokyo), 729);
    }
}

TEST_F(Renewed, UsageGoesOnBeingTakenAfterTheCertificatesWithWhichItBeganHaveEnded) {
    Ring ring(1);
    const auto used = [&] {
        ring.use(tree, 3);
        EXPECT_EQ(ring.harvest(tokyo), 3U);
        tree.pass_s(5);
        EXPECT_EQ(int_of(member(tokyo.status(), "usage"), "unsent_events"), 0);
    };
    used();
    for (int year = 0; year < 3; ++year) {
        without_a_link_for(365);
        link_again();
    }
    tree.restart(upper);
    tree.restart(center);
    tree.restart(tokyo);
    used();
}

TEST_F(Renewed, AChildThatNamesAnotherKeyGetsNothing) {
    const std::string stolen = to_base64url(me(center).tls_key.spki_der());
    const std::size_t before = tree.crossed.size();
    tree.forge(tokyo, {{"t", "certificates.renew"}, {"q", 999}, {"tls_key", stolen}});
    bool refused = false;
    for (std::size_t i = before; i < tree.crossed.size(); ++i) {
        const Crossed& one = tree.crossed[i];
        refused = refused ||
                  (int_of(one.head, "q") == 999 && one.head.contains("error") && one.body.empty());
    }
    EXPECT_TRUE(refused);
}

TEST_F(Renewed, WhatAParentSignedForAnotherNameKeyOrRealmIsNotTaken) {
    const auto answer_of = [&](const Node& node) {
        return dump({{"name", me(node).name.text()},
                     {"epoch", 1},
                     {"tls_cert", trust::to_pem({me(node).tls_cert_der})},
                     {"ca_chain", trust::to_pem(me(node).ca_chain_der)}});
    };
    const auto read = [&](const std::string& answer, const TierIdentity& as,
                          const std::string& realm) {
        return read_certificates(answer, as.name, realm, as.envelope_key, as.tls_key,
                                 tree.clock.wall_us());
    };
    EXPECT_TRUE(read(answer_of(tokyo), me(tokyo), me(tokyo).realm_id).ok());
    EXPECT_FALSE(read(answer_of(center), me(tokyo), me(tokyo).realm_id).ok());
    EXPECT_FALSE(read(answer_of(tokyo), me(tokyo), std::string(32, 'x')).ok());
    EXPECT_FALSE(read("{}", me(tokyo), me(tokyo).realm_id).ok());
    Node& osaka = tree.below(center, "osaka");
    TierIdentity other_keys = me(tokyo);
    other_keys.tls_key = me(osaka).tls_key;
    EXPECT_FALSE(read(answer_of(tokyo), other_keys, me(tokyo).realm_id).ok());
    other_keys = me(tokyo);
    other_keys.envelope_key = me(osaka).envelope_key;
    EXPECT_FALSE(read(answer_of(tokyo), other_keys, me(tokyo).realm_id).ok());
    tree.clock.advance_us(800 * day_us);
    EXPECT_FALSE(read(answer_of(tokyo), me(tokyo), me(tokyo).realm_id).ok()) << "it has ended";
}

TEST_F(Renewed, StatusSaysWhenCertificatesEndAndWhenThatIsSoon) {
    EXPECT_EQ(text_of(tokyo.status(), "certificates_end"),
              rfc3339(me(tokyo).certificates_end_us()));
    EXPECT_FALSE(tokyo.status().contains("certificates_late"));
    without_a_link_for(600);
    EXPECT_TRUE(true_of(tokyo.status(), "certificates_late"));
    link_again();
    EXPECT_FALSE(tokyo.status().contains("certificates_late"));
}

} // namespace hasp::maint::tests
