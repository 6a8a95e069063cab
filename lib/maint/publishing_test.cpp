// Whose releases are taken, in which order: an origin, and a tier below it that believes nobody
// between.
#include "publishing.h"

#include "base/clock.h"
#include "base/files.h"
#include "base/text.h"
#include "release_hash.h"
#include "store/db.h"
#include "trust/certificate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

namespace hasp::maint {

namespace {

constexpr std::int64_t year_us = 365LL * 24 * 3600 * 1'000'000;

Release release_of(const std::string& content, std::uint64_t number) {
    return {"wiki",
            1,
            number,
            std::string(40, 'a'),
            {{"index.html", FileMode::plain, content.size(), sha256_hex(content)}}};
}

struct Side {
    Side(const Clock& clock, TierIdentity identity)
        : me(std::move(identity)), dir(folder()), db(*store::Db::open(dir + "/keeper.db")),
          rows(*TierStore::open(*db, "clinics")), publishing(clock, me, rows) {}
    ~Side() {
        db.reset();
        EXPECT_TRUE(remove_tree(dir).ok());
    }
    static std::string folder() {
        std::string name = testing::TempDir() + "/hasp_publishing_XXXXXX";
        return ::mkdtemp(name.data()) == nullptr ? std::string() : name;
    }
    TierIdentity me;
    std::string dir;
    std::unique_ptr<store::Db> db;
    TierStore rows;
    Publishing publishing;
};

class Published : public testing::Test {
  protected:
    TierIdentity below() {
        const trust::TierName name = *center.me.name.child("tokyo");
        const trust::SigningKey key = trust::SigningKey::generate(random);
        const trust::Validity validity{clock.wall_us() - 1, clock.wall_us() + year_us};
        return {name,
                center.me.realm_id,
                1,
                key,
                trust::TlsKey::generate(random),
                {*trust::issue_ca(center.me.issuer(), name, key.public_key(), validity, random),
                 center.me.ca_chain_der.front()},
                {},
                {"127.0.0.1:1"}};
    }
    AssignmentRow order(const Release& release) const {
        AssignmentRow row{
            "", tokyo.me.name.text(), "wiki", release_id(release), center.me.name.text(), "", true,
            1};
        row.sequence = {release.epoch, release.number};
        return row;
    }
    // Published at the center by `key`; what the center hands down.
    ReleaseRow publish(const Release& release, const trust::SigningKey& key) {
        const std::string raw = key.public_key().raw();
        auto keys = center.publishing.keys_or_first("wiki", raw);
        EXPECT_TRUE(keys.ok()) << (keys.ok() ? "" : keys.error().message);
        auto signature =
            sign_release(release, {{}, {}, {}, clock.wall_us()}, center.publishing.self(), key);
        auto proof = verify_claim(release, *signature, *keys, center.publishing.self());
        EXPECT_TRUE(proof.ok());
        const ReleaseRow row{"wiki",
                             release_id(release),
                             encode_release(release),
                             release.commit,
                             clock.wall_us(),
                             proof->claim.sequence,
                             *signature,
                             raw,
                             {}};
        EXPECT_TRUE(center.publishing.publish(row).ok());
        return row;
    }
    // What the child makes of it.
    Status offer(const Release& release, const std::string& signature) {
        const std::string statement = *center.publishing.statement("wiki");
        auto proof = tokyo.publishing.prove(order(release), release, signature, statement);
        return proof.ok() ? tokyo.publishing.took(order(release), *proof, statement)
                          : Status{proof.error()};
    }

    ManualClock clock;
    SeededRandom random{7};
    Side center{clock, *make_top_identity("clinics", "center", clock, random)};
    Side tokyo{clock, below()};
    trust::SigningKey otto = trust::SigningKey::generate(random);
    trust::SigningKey mallory = trust::SigningKey::generate(random);
};

} // namespace

TEST_F(Published, ATierBelowTakesWhatThePublisherSignedAndTheCenterListed) {
    const Release one = release_of("one", 1);
    const ReleaseRow row = publish(one, otto);
    EXPECT_FALSE(tokyo.publishing.proven(order(one)));
    ASSERT_TRUE(offer(one, row.signature).ok());
    EXPECT_TRUE(tokyo.publishing.proven(order(one)));
}

TEST_F(Published, AReleaseThatAParentAlteredIsRefused) {
    const ReleaseRow row = publish(release_of("one", 1), otto);
    // Another content under the same signature; the same under another sequence; signed by the
    // parent with a key of its own; without any signature.
    EXPECT_EQ(offer(release_of("evil", 1), row.signature).error().code, Code::refused);
    EXPECT_EQ(offer(release_of("one", 9), row.signature).error().code, Code::refused);
    const Release evil = release_of("evil", 2);
    const std::string forged =
        *sign_release(evil, {{}, {}, {}, 1}, center.publishing.self(), mallory);
    EXPECT_EQ(offer(evil, forged).error().code, Code::refused);
    EXPECT_EQ(offer(evil, "").error().code, Code::refused);
    for (std::size_t at = 0; at < row.signature.size(); at += 7) {
        std::string cut = row.signature;
        cut[at] = static_cast<char>(cut[at] ^ 1);
        EXPECT_FALSE(offer(release_of("one", 1), cut).ok()) << at;
    }
}

TEST_F(Published, AListOfKeysThatIsNotTheOriginsIsRefused) {
    const Release one = release_of("one", 1);
    const std::string signature =
        *sign_release(one, {{}, {}, {}, 1}, center.publishing.self(), mallory);
    const std::string list = *seal_publishers({"wiki", {mallory.public_key().raw()}, {1, 9}},
                                              center.publishing.self(), mallory, clock.wall_us());
    EXPECT_EQ(tokyo.publishing.prove(order(one), one, signature, list).error().code, Code::refused);
    // Nor does a tier that is not above decide about anything here.
    AssignmentRow row = order(one);
    row.origin = "hasp://clinics/other";
    EXPECT_EQ(tokyo.publishing.prove(row, one, signature, list).error().code, Code::refused);
}

TEST_F(Published, AnOldReleaseComesBackOnlyUnderANewSequence) {
    const Release one = release_of("one", 1);
    const ReleaseRow first = publish(one, otto);
    ASSERT_TRUE(offer(one, first.signature).ok());
    const Release two = release_of("two", 2);
    ASSERT_TRUE(offer(two, publish(two, otto).signature).ok());
    EXPECT_FALSE(tokyo.publishing.proven(order(one)));
    const Status again = offer(one, first.signature);
    ASSERT_FALSE(again.ok());
    EXPECT_THAT(again.error().message, testing::HasSubstr("1.1"));
    const Release back = release_of("one", 3);
    EXPECT_EQ(release_id(back), release_id(one));
    ASSERT_TRUE(offer(back, publish(back, otto).signature).ok());
    EXPECT_TRUE(tokyo.publishing.proven(order(back)));
}

TEST_F(Published, AnOlderListOfKeysDoesNotComeBack) {
    const Release one = release_of("one", 1);
    const ReleaseRow row = publish(one, otto);
    const std::string old = *center.publishing.statement("wiki");
    ASSERT_TRUE(center.publishing.allow("wiki", mallory.public_key().raw(), true).ok());
    ASSERT_TRUE(center.publishing.allow("wiki", otto.public_key().raw(), false).ok());
    const Release two = release_of("two", 2);
    ASSERT_TRUE(offer(two, publish(two, mallory).signature).ok());
    const Release three = release_of("three", 3);
    const std::string stale = *sign_release(three, {{}, {}, {}, 1}, center.publishing.self(), otto);
    EXPECT_THAT(tokyo.publishing.prove(order(three), three, stale, old).error().message,
                testing::HasSubstr("older"));
    // Without a list the one that is held counts.
    EXPECT_EQ(tokyo.publishing.prove(order(three), three, stale, "").error().code, Code::refused);
}

TEST_F(Published, TheFirstKeyIsPinnedAndAnotherMustBeAllowed) {
    publish(release_of("one", 1), otto);
    const std::string other = mallory.public_key().raw();
    const auto refused = center.publishing.keys_or_first("wiki", other);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code, Code::refused);
    EXPECT_THAT(refused.error().hint, testing::HasSubstr("hasp app allow wiki"));
    ASSERT_TRUE(center.publishing.allow("wiki", other, true).ok());
    ASSERT_TRUE(center.publishing.allow("wiki", other, true).ok());
    EXPECT_EQ(center.publishing.keys("wiki")->size(), 2U);
    EXPECT_TRUE(center.publishing.keys_or_first("wiki", other).ok());
    ASSERT_TRUE(center.publishing.allow("wiki", other, false).ok());
    EXPECT_FALSE(center.publishing.keys_or_first("wiki", other).ok());
}

TEST_F(Published, AnAppThatTheTierItselfSignsHasNoOtherPublisherUntilOneIsAllowed) {
    publish(release_of("one", 1), center.me.envelope_key);
    EXPECT_TRUE(center.publishing.keys("wiki")->empty());
    EXPECT_FALSE(center.publishing.keys_or_first("wiki", otto.public_key().raw()).ok());
}

TEST_F(Published, TwoReleasesCannotHaveOneSequence) {
    EXPECT_EQ(center.publishing.next_sequence("wiki")->number, 1U);
    const ReleaseRow first = publish(release_of("one", 1), otto);
    ReleaseRow second = first;
    second.release_id = release_id(release_of("two", 1));
    EXPECT_EQ(center.publishing.publish(second).error().code, Code::conflict);
    EXPECT_EQ(center.publishing.next_sequence("wiki")->number, 2U);
    EXPECT_EQ(center.rows.releases("wiki")->size(), 1U);
}

TEST_F(Published, AnAppHasABoundedNumberOfPublishers) {
    publish(release_of("one", 1), otto);
    for (std::size_t i = 1; i < publisher_keys_max; ++i) {
        ASSERT_TRUE(center.publishing
                        .allow("wiki", trust::SigningKey::generate(random).public_key().raw(), true)
                        .ok());
    }
    EXPECT_EQ(center.publishing.allow("wiki", mallory.public_key().raw(), true).error().code,
              Code::usage);
}

TEST_F(Published, OnlyTheNewestAndThoseInUseAreKept) {
    std::vector<std::string> ids;
    for (std::uint64_t n = 1; n <= 13; ++n) {
        ids.push_back(publish(release_of(std::to_string(n), n), otto).release_id);
    }
    EXPECT_THAT(center.publishing.superfluous("wiki", {ids[0]}, releases_kept_max),
                testing::UnorderedElementsAre(ids[1], ids[2]));
}

TEST(ReleaseProof, AListOfKeysHasOneTextAndNothingElseIsAccepted) {
    const Publishers list{"wiki", {std::string(32, 'a'), std::string(32, 'b')}, {}};
    const std::string text = encode_publishers(list);
    EXPECT_EQ(decode_publishers(text).value_or({}), list);
    const Publishers twice{"wiki", {list.keys[0], list.keys[0]}, {}};
    const Publishers turned{"wiki", {list.keys[1], list.keys[0]}, {}};
    const Publishers nameless{"", {}, {}};
    const Publishers cut{"wiki", {std::string(31, 'a')}, {}};
    for (const Publishers& bad : {twice, turned, nameless, cut}) {
        EXPECT_FALSE(decode_publishers(encode_publishers(bad)).ok());
    }
    for (const std::string& bad : {text + "\n", text.substr(0, text.size() - 1), "x" + text,
                                   std::string("hasp-publishers 1\napp wiki\r\n"), std::string()}) {
        EXPECT_FALSE(decode_publishers(bad).ok()) << bad;
    }
}

TEST(ReleaseProof, AClaimNamesADigestAndACommitOrNone) {
    Claim claim;
    claim.manifest_sha256 = std::string(64, '0');
    for (const char* source : {"", "0123456789012345678901234567890123456789"}) {
        claim.source = source;
        ASSERT_TRUE(decode_claim(encode_claim(claim)).ok()) << source;
        EXPECT_EQ(decode_claim(encode_claim(claim))->source, source);
    }
    for (const char* source : {"main", "-", "0123\n"}) {
        claim.source = source;
        EXPECT_EQ(decode_claim(encode_claim(claim)).ok(), std::string(source) == "-") << source;
    }
    EXPECT_FALSE(decode_claim("").ok());
}

TEST(ReleaseProof, APublicKeyIsReadAsOpensslWritesIt) {
    const std::string pem = "-----BEGIN PUBLIC KEY-----\n"
                            "MCowBQYDK2VwAyEAf5n45AVqtJdYfXV9C8giJDESfHAXOYXc0j0XsfmupyY=\n"
                            "-----END PUBLIC KEY-----\n";
    const auto key = public_key_from_pem(pem);
    ASSERT_TRUE(key.ok());
    EXPECT_EQ(public_pem(*key), pem);
    EXPECT_EQ(key_name(key->raw()), "68f5e5fac711");
    for (const std::string& bad :
         {std::string(), pem.substr(1), pem + pem,
          std::string("-----BEGIN PUBLIC KEY----------END PUBLIC KEY-----"),
          std::string("-----BEGIN PRIVATE KEY-----\n")}) {
        EXPECT_EQ(public_key_from_pem(bad).error().code, Code::usage) << bad;
    }
}

} // namespace hasp::maint
