#include "trust/lease.h"

#include "test_realm.h"
#include "trust/verifier.h"

#include <algorithm>
#include <functional>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace hasp::trust {
namespace {

using ::testing::HasSubstr;
using testing::now_us;
using testing::Realm;
using testing::year_us;

std::string why(const Result<VerifiedLease>& result) {
    return result ? "accepted" : result.error().message;
}

// Four tiers: upper grants to center, center hands on to tokyo, tokyo to ward.
struct Leases : ::testing::Test {
    Realm realm{{"upper", "center", "tokyo", "ward"}};
    TierName upper = realm.tiers[0].name;
    TierName center = realm.tiers[1].name;
    TierName tokyo = realm.tiers[2].name;
    std::int64_t until = now_us + grant_default_us;

    // What upper gives to center; the same may be handed on unchanged.
    Grants given() const {
        Grants g;
        g.run = {{"wiki", "v1", upper, AtExpiry::go_on, until},
                 {"agenda", "v7", upper, AtExpiry::read_only, until}};
        g.use = {{"nurse", "wiki", upper, until}, {"reception", "agenda", upper, until}};
        g.login = {
            {"nurse", "Nurse", "nurse@example.org", {"staff"}, {"agenda", "wiki"}, upper, until},
            {"boss", "Boss", "boss@example.org", {"heads"}, {"wiki"}, upper, until}};
        g.keep = {{"nurse", upper, until}};
        g.write = {{"agenda", upper, {1, 3}, until}};
        return g;
    }
    // Only the wiki and its nurse.
    Grants handed() const {
        Grants g = given();
        g.run.resize(1);
        g.use.resize(1);
        g.login.resize(1);
        g.keep.clear();
        g.write.clear();
        return g;
    }
    Lease issue(std::size_t holder, const Grants& grants, std::uint64_t number = 1) const {
        auto lease =
            issue_lease(realm.lease_params(holder, number), grants, realm.tiers[holder - 1].key);
        EXPECT_TRUE(lease) << lease.error().message;
        return std::move(lease).value();
    }
    LeaseExpectation expect(std::size_t holder,
                            std::optional<Counter> current = std::nullopt) const {
        return {realm.id, realm.tiers[holder].name, current};
    }
    // The honest chain for a lease of `holder`, each tier above having handed on grants[i] to tier
    // i + 1.
    LeaseChain chain_for(std::size_t holder, const std::vector<Grants>& grants) const {
        LeaseChain chain =
            enclose(upper, grants[0], nullptr, nullptr, realm.tiers[0].ca_chain).value();
        for (std::size_t i = 1; i < holder; ++i) {
            const Lease own = issue(i, grants[i - 1]);
            auto next =
                enclose(realm.tiers[i].name, grants[i], &own, &chain, realm.tiers[i].ca_chain);
            EXPECT_TRUE(next) << next.error().message;
            chain = std::move(next).value();
        }
        return chain;
    }
};

TEST_F(Leases, OfTheTopAreAcceptedByItsChild) {
    const auto verified =
        verify_lease(issue(1, given()), chain_for(1, {given()}), expect(1), now_us);
    ASSERT_TRUE(verified) << verified.error().message;
    EXPECT_EQ(verified->grants.count(), given().count());
    EXPECT_EQ(verified->header.counter, (Counter{1, 1}));
}

TEST_F(Leases, AreAcceptedAtDepthThreeWithOnlyTheNeededLinesShown) {
    const LeaseChain chain = chain_for(3, {given(), given(), handed()});
    ASSERT_EQ(chain.links.size(), 2U);
    const auto verified = verify_lease(issue(3, handed()), chain, expect(3), now_us);
    ASSERT_TRUE(verified) << verified.error().message;
    EXPECT_EQ(verified->grants, handed());
    // The chain tells ward nothing of who else may log in above it.
    EXPECT_EQ(encode_chain(chain).find("boss"), std::string::npos);
    EXPECT_EQ(encode_chain(chain).find("reception"), std::string::npos);
}

TEST_F(Leases, AreByteStable) {
    EXPECT_EQ(issue(1, given()).envelope, issue(1, given()).envelope);
}

TEST_F(Leases, ATiersOwnGrantsNeedNoLeaseAboveIt) {
    Grants own;
    own.run = {{"camera", "v1", tokyo, AtExpiry::stop, until}};
    const LeaseChain chain = enclose(tokyo, own, nullptr, nullptr, realm.tiers[2].ca_chain).value();
    EXPECT_TRUE(chain.links.empty());
    EXPECT_EQ(why(verify_lease(issue(3, own), chain, expect(3), now_us)), "accepted");
}

// A tier in the middle (center or tokyo) hands on more than it holds: each way is refused by
// enclose() at an honest issuer, and by the holder when the issuer cheats.
TEST_F(Leases, AGrantBeyondTheIssuersOwnIsRefusedAtDepthThree) {
    struct Case {
        const char* what;
        std::function<void(Grants&)> widen;
    };
    const std::vector<Case> cases = {
        {"another app",
         [&](Grants& g) {
             g.run.push_back({"payroll", "v1", upper, AtExpiry::stop, until});
         }},
        {"another release", [](Grants& g) { g.run[0].release = "v2"; }},
        {"a longer run", [](Grants& g) { g.run[0].expires_us += 1; }},
        {"another user",
         [&](Grants& g) {
             g.use.push_back({"boss", "wiki", upper, until});
         }},
        {"another group",
         [](Grants& g) {
             g.login[0].groups = {"heads", "staff"};
         }},
        {"another app to log in for",
         [](Grants& g) {
             g.login[0].apps = {"payroll", "wiki"};
         }},
        {"another e-mail address", [](Grants& g) { g.login[0].email = "boss@example.org"; }},
        {"another fence",
         [&](Grants& g) {
             g.write = {{"agenda", upper, {1, 4}, until}};
         }},
        {"another origin", [&](Grants& g) { g.use[0].origin = center; }},
    };
    const Lease own = issue(2, given());
    const LeaseChain above = chain_for(2, {given(), given()});
    for (const Case& c : cases) {
        Grants wide = handed();
        c.widen(wide);
        EXPECT_FALSE(enclose(tokyo, wide, &own, &above, realm.tiers[2].ca_chain)) << c.what;
        // The cheat sends everything it has.
        LeaseChain chain = above;
        chain.ca_der = realm.tiers[2].ca_chain;
        Link whole{own.envelope, own.sections};
        std::erase_if(whole.sections, [](const Section& s) { return s.name == "verifier"; });
        chain.links.insert(chain.links.begin(), whole);
        EXPECT_THAT(why(verify_lease(issue(3, wide), chain, expect(3), now_us)),
                    HasSubstr("in its own lease"))
            << c.what;
    }
}

TEST_F(Leases, AGrantWidenedTwoTiersUpIsRefusedBelow) {
    // center cheats tokyo's child: it gives tokyo more than upper gave it. tokyo is honest toward
    // ward.
    Grants wide = handed();
    wide.run[0].expires_us = until + day_us;
    const Lease centers = issue(1, given());
    const Lease tokyos = issue(2, wide);
    LeaseChain chain;
    chain.ca_der = realm.tiers[2].ca_chain;
    const auto without_verifiers = [](const Lease& lease) {
        Link link{lease.envelope, lease.sections};
        std::erase_if(link.sections, [](const Section& s) { return s.name == "verifier"; });
        return link;
    };
    chain.links = {without_verifiers(tokyos), without_verifiers(centers)};
    EXPECT_THAT(why(verify_lease(issue(3, wide), chain, expect(3), now_us)),
                HasSubstr("lasts longer, than what hasp://clinics/upper/center"));
    EXPECT_EQ(why(verify_lease(issue(3, handed()), chain, expect(3), now_us)),
              "the grant 'run wiki/v1' gives more, or lasts longer, than what "
              "hasp://clinics/upper/center holds in its own lease");
}

// Property, from seeds: whatever a tier hands on of what it holds, cut down at random, is accepted
// at depth three; the same with one grant lasting longer than above is not.
TEST_F(Leases, AnySubsetIsAcceptedAndNoneThatOutlivesItsSource) {
    for (std::uint64_t seed = 1; seed <= 60; ++seed) {
        SeededRandom random(seed);
        const auto shrink = [&](Grants g) {
            const auto cut = [&](auto& list) {
                std::erase_if(list, [&](const auto&) { return random.below(4) == 0; });
                for (auto& grant : list) {
                    grant.expires_us -= static_cast<std::int64_t>(random.below(1'000'000));
                }
            };
            cut(g.run);
            cut(g.use);
            cut(g.login);
            cut(g.keep);
            cut(g.write);
            for (LoginGrant& login : g.login) {
                std::erase_if(login.apps, [&](const std::string&) { return random.below(3) == 0; });
            }
            return g;
        };
        const Grants centers = shrink(given());
        const Grants tokyos = shrink(centers);
        Grants wards = shrink(tokyos);
        const LeaseChain chain = chain_for(3, {centers, tokyos, wards});
        const auto verified = verify_lease(issue(3, wards), chain, expect(3), now_us);
        ASSERT_TRUE(verified) << seed << ": " << verified.error().message;
        if (wards.use.empty()) {
            continue;
        }
        const auto source =
            std::find_if(tokyos.use.begin(), tokyos.use.end(),
                         [&](const UseGrant& g) { return g.user == wards.use[0].user; });
        wards.use[0].expires_us = source->expires_us + 1;
        EXPECT_THAT(why(verify_lease(issue(3, wards), chain, expect(3), now_us)),
                    HasSubstr("lasts longer"))
            << seed;
    }
}

TEST_F(Leases, AChainThatEndsTooEarlyIsRefused) {
    LeaseChain chain = chain_for(3, {given(), given(), handed()});
    chain.links.pop_back();
    EXPECT_THAT(why(verify_lease(issue(3, handed()), chain, expect(3), now_us)),
                HasSubstr("chain ends before"));
    chain.links.clear();
    EXPECT_THAT(why(verify_lease(issue(3, handed()), chain, expect(3), now_us)),
                HasSubstr("chain ends before"));
}

TEST_F(Leases, NoGrantOutlivesItsLease) {
    Grants g = handed();
    g.run[0].expires_us = now_us + lease_default_us + 1;
    const auto refused = issue_lease(realm.lease_params(1), g, realm.tiers[0].key);
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().message, HasSubstr("outlives its lease"));
    // A cheating issuer: sections and manifest of one lease under the shorter life of another
    // envelope.
    LeaseParams longer = realm.lease_params(1);
    longer.not_after_us += day_us;
    Lease lease = issue_lease(longer, g, realm.tiers[0].key).value();
    const Opened opened =
        open(lease.envelope, realm.tiers[0].key.public_key(),
             {std::string(lease_type), realm.id, upper, center, envelope_bytes_max}, now_us)
            .value();
    Header shorter = opened.header;
    shorter.not_after_us = now_us + lease_default_us;
    lease.envelope = seal(shorter, opened.body, realm.tiers[0].key).value();
    EXPECT_THAT(why(verify_lease(lease, chain_for(1, {given()}), expect(1), now_us)),
                HasSubstr("outlives its lease"));
}

TEST_F(Leases, ALowerOrEqualNumberIsRefusedAndAnotherEpochStops) {
    const LeaseChain chain = chain_for(1, {given()});
    const Lease lease = issue(1, given(), 5);
    EXPECT_EQ(why(verify_lease(lease, chain, expect(1, Counter{1, 4}), now_us)), "accepted");
    EXPECT_THAT(why(verify_lease(lease, chain, expect(1, Counter{1, 5}), now_us)),
                HasSubstr("held already"));
    EXPECT_THAT(why(verify_lease(lease, chain, expect(1, Counter{1, 6}), now_us)),
                HasSubstr("held already"));
    const auto mismatch = verify_lease(lease, chain, expect(1, Counter{2, 1}), now_us);
    ASSERT_FALSE(mismatch);
    EXPECT_EQ(mismatch.error().code, Code::conflict);
}

TEST_F(Leases, ATamperedMissingOrSwappedSectionIsRefused) {
    const LeaseChain chain = chain_for(1, {given()});
    const Lease lease = issue(1, given());
    for (std::size_t i = 0; i < section_names.size(); ++i) {
        Lease other = lease;
        if (other.sections[i].text.empty()) {
            other.sections[i].text = "x\n";
        } else {
            other.sections[i].text[other.sections[i].text.find(':') + 1] ^= 1;
        }
        EXPECT_NE(why(verify_lease(other, chain, expect(1), now_us)), "accepted")
            << section_names[i];
        other = lease;
        other.sections.erase(other.sections.begin() + static_cast<std::ptrdiff_t>(i));
        EXPECT_NE(why(verify_lease(other, chain, expect(1), now_us)), "accepted")
            << section_names[i];
    }
    Lease fewer = lease;
    fewer.sections[2].text.clear();
    EXPECT_THAT(why(verify_lease(fewer, chain, expect(1), now_us)), HasSubstr("not the one that"));
}

TEST_F(Leases, ATamperedLineInTheChainIsRefused) {
    LeaseChain chain = chain_for(2, {given(), handed()});
    ASSERT_EQ(why(verify_lease(issue(2, handed()), chain, expect(2), now_us)), "accepted");
    for (Section& s : chain.links[0].sections) {
        const std::size_t at = s.text.find("expires_us\":1");
        ASSERT_NE(at, std::string::npos);
        s.text[at + 12] = '2';
    }
    EXPECT_THAT(why(verify_lease(issue(2, handed()), chain, expect(2), now_us)),
                HasSubstr("not the one that"));
}

TEST_F(Leases, OfAForeignRealmAreRefused) {
    const Realm theirs({"upper", "center", "tokyo", "ward"}, 99);
    const Lease lease = issue_lease(theirs.lease_params(1), given(), theirs.tiers[0].key).value();
    LeaseChain chain;
    chain.ca_der = theirs.tiers[0].ca_chain;
    EXPECT_THAT(why(verify_lease(lease, chain, expect(1), now_us)), HasSubstr("another realm"));
    EXPECT_THAT(why(verify_lease(lease, chain_for(1, {given()}), expect(1), now_us)),
                HasSubstr("signature"));
}

TEST_F(Leases, OnlyTheDirectParentMayIssue) {
    // upper's own chain in front of ward: not its parent, whatever it signed.
    EXPECT_THAT(why(verify_lease(issue(1, given()), chain_for(1, {given()}), expect(3), now_us)),
                HasSubstr("not the parent"));
    LeaseParams far = realm.lease_params(1);
    far.audience = tokyo;
    EXPECT_FALSE(issue_lease(far, given(), realm.tiers[0].key));
    // A lease for a sibling.
    const Realm osaka({"upper", "center", "osaka"});
    EXPECT_FALSE(verify_lease(issue(2, handed()), chain_for(2, {given(), handed()}),
                              {realm.id, osaka.tiers[2].name, {}}, now_us));
}

TEST_F(Leases, AnExpiredLinkInTheChainIsRefused) {
    LeaseParams brief = realm.lease_params(1);
    brief.not_after_us = until;
    const Lease centers = issue_lease(brief, given(), realm.tiers[0].key).value();
    const LeaseChain top =
        enclose(upper, given(), nullptr, nullptr, realm.tiers[0].ca_chain).value();
    const LeaseChain chain =
        enclose(center, handed(), &centers, &top, realm.tiers[1].ca_chain).value();
    const Lease lease = issue(2, handed());
    EXPECT_EQ(why(verify_lease(lease, chain, expect(2), until - 1)), "accepted");
    EXPECT_THAT(why(verify_lease(lease, chain, expect(2), until)), HasSubstr("in the chain"));
    EXPECT_THAT(why(verify_lease(lease, chain, expect(2), until)), HasSubstr("expired"));
    EXPECT_THAT(why(verify_lease(lease, chain, expect(2), now_us + 2 * year_us)),
                HasSubstr("expired"));
}

TEST_F(Leases, AVerifierGoesWithItsLogInGrantAndNeverIntoTheChain) {
    const std::string v0(32, 'v');
    const std::string k(32, 'k');
    const VerifierGrant home{"nurse", upper, 1, "saltsalt", 65536, 3, 1, v0, {}};
    Grants centers = given();
    centers.verifier = {hand_down(home, upper, center, k).value()};
    Grants tokyos = handed();
    tokyos.verifier = {hand_down(centers.verifier[0], center, tokyo, k).value()};
    const LeaseChain chain = chain_for(2, {centers, tokyos});
    const auto verified = verify_lease(issue(2, tokyos), chain, expect(2), now_us);
    ASSERT_TRUE(verified) << verified.error().message;
    EXPECT_TRUE(matches(verified->grants.verifier[0], tokyo, v0));
    EXPECT_EQ(encode_chain(chain).find("salt"), std::string::npos);
    tokyos.verifier = centers.verifier; // one key too few
    EXPECT_FALSE(issue_lease(realm.lease_params(2), tokyos, realm.tiers[1].key));
    tokyos = handed();
    tokyos.login.clear();
    tokyos.verifier = {hand_down(centers.verifier[0], center, tokyo, k).value()};
    EXPECT_FALSE(issue_lease(realm.lease_params(2), tokyos, realm.tiers[1].key));
}

TEST_F(Leases, OnlyChangedSectionsTravel) {
    Grants changed = given();
    changed.use.pop_back();
    const LeaseChain chain = chain_for(1, {given()});
    const Manifest before =
        verify_lease_envelope(issue(1, given()).envelope, chain, expect(1), now_us).value();
    const Manifest after = verify_lease_envelope(issue(1, changed, 2).envelope, chain,
                                                 expect(1, Counter{1, 1}), now_us)
                               .value();
    EXPECT_EQ(missing_sections(after, before), std::vector<std::string>{"use"});
    EXPECT_TRUE(missing_sections(after, after).empty());
    EXPECT_EQ(missing_sections(after, Manifest()).size(), section_names.size());
}

TEST_F(Leases, MoreThanAQuarterGoneIsTooMuch) {
    const auto with_users = [&](int count) {
        Grants g;
        for (int i = 0; i < count; ++i) {
            g.keep.push_back({"u" + std::to_string(i), upper, until});
        }
        return g;
    };
    EXPECT_FALSE(drops_too_much(with_users(8), with_users(6)));
    EXPECT_TRUE(drops_too_much(with_users(8), with_users(5)));
    EXPECT_TRUE(drops_too_much(with_users(8), Grants()));
    EXPECT_FALSE(drops_too_much(Grants(), Grants()));
    EXPECT_FALSE(drops_too_much(Grants(), with_users(8)));
    Grants replaced = with_users(8);
    for (KeepGrant& g : replaced.keep) {
        g.user += "x";
    }
    EXPECT_TRUE(drops_too_much(with_users(8), replaced));
    Grants release;
    release.run = {{"wiki", "v1", upper, AtExpiry::stop, until}};
    Grants next = release;
    next.run[0].release = "v2";
    EXPECT_FALSE(drops_too_much(release, next));
}

TEST_F(Leases, AChainComesBackAsItWas) {
    const LeaseChain chain = chain_for(3, {given(), given(), handed()});
    const std::string bytes = encode_chain(chain);
    const auto again = decode_chain(bytes);
    ASSERT_TRUE(again);
    EXPECT_EQ(encode_chain(*again), bytes);
    EXPECT_EQ(why(verify_lease(issue(3, handed()), *again, expect(3), now_us)), "accepted");
    for (const std::size_t size :
         {std::size_t{0}, std::size_t{7}, std::size_t{20}, bytes.size() - 1}) {
        EXPECT_FALSE(decode_chain(std::string_view(bytes).substr(0, size))) << size;
    }
    EXPECT_FALSE(decode_chain(bytes + "x"));
}

TEST(Manifest, AnythingButTheCanonicalTextIsRefused) {
    EXPECT_FALSE(parse_manifest(""));
    EXPECT_FALSE(parse_manifest("{}"));
    EXPECT_FALSE(parse_manifest("{\"sections\":[]}"));
    EXPECT_FALSE(parse_manifest(
        "{\"sections\":[{\"bytes\":-1,\"count\":0,\"name\":\"keep\",\"sha256\":\"\"}]}"));
}

} // namespace
} // namespace hasp::trust
