#include "trust/invite.h"

#include "base/text.h"
#include "trust/hash.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace hasp::trust {
namespace {

using ::testing::HasSubstr;

constexpr std::int64_t made_at_us = 1'700'000'000'000'000;
const TierName parent = TierName::parse("hasp://clinics/upper/center").value();

NewInvitation make(std::uint64_t seed = 1) {
    SeededRandom random(seed);
    return make_invitation({"center.example:8443", "192.0.2.7:8443", "[2001:db8::7]:8443"}, parent,
                           "tokyo", sha256("root"), made_at_us + invitation_lifetime_us, random)
        .value();
}

std::string why(std::string_view text) {
    const auto parsed = parse_invitation(text);
    return parsed ? "accepted" : parsed.error().message;
}

TEST(Invitation, IsTheLineThatTheProtocolShows) {
    EXPECT_EQ(make().invitation.text(), "hasp-join:center.example:8443,192.0.2.7:8443,[2001:db8::7]"
                                        ":8443/clinics/upper/center#tokyo."
                                        "SBNJTRN-FjG7owHVrKtue7eqdM4RhdRWVl71HXN2d7I.aG9ou1-9RSJO."
                                        "mkXmeufRgnOOwDV5BdhhBThn_Ow.M8MBKnpR");
}

TEST(Invitation, ComesBackAsItWas) {
    const Invitation made = make().invitation;
    const auto read = parse_invitation("  " + made.text() + "\r\n");
    ASSERT_TRUE(read) << read.error().message;
    EXPECT_EQ(read->addresses, made.addresses);
    EXPECT_EQ(read->parent, parent);
    EXPECT_EQ(read->name, "tokyo");
    EXPECT_EQ(read->realm_id, made.realm_id);
    EXPECT_EQ(read->token_id, made.token_id);
    EXPECT_EQ(read->secret, made.secret);
}

TEST(Invitation, CutShortAnywhereItIsNeverAccepted) {
    const std::string line = make().invitation.text();
    for (std::size_t size = 1; size < line.size(); ++size) {
        EXPECT_THAT(why(line.substr(0, size)), HasSubstr("cut short")) << size;
    }
}

TEST(Invitation, AlteredAnywhereItIsNeverAccepted) {
    const std::string line = make().invitation.text();
    for (std::size_t i = std::string_view("hasp-join:").size(); i < line.size(); ++i) {
        std::string other = line;
        other[i] = other[i] == 'x' ? 'y' : 'x';
        EXPECT_NE(why(other), "accepted") << i;
    }
    std::string other = line;
    other[line.rfind('#') - 1] = 'x';
    EXPECT_THAT(why(other), HasSubstr("altered"));
    EXPECT_THAT(why(line + "A"), HasSubstr("altered"));
}

TEST(Invitation, SomethingElseIsSaidToBeSomethingElse) {
    EXPECT_THAT(why("https://center.example/"), HasSubstr("not an invitation"));
    EXPECT_THAT(why(""), HasSubstr("not an invitation"));
    EXPECT_THAT(why(std::string(invitation_bytes_max + 1, 'a')), HasSubstr("not an invitation"));
}

TEST(Invitation, OnlySensibleOnesAreMade) {
    SeededRandom random(1);
    for (const char* bad : {"", "center.example", "center.example:0", "center.example:65536",
                            "center.example:080", "2001:db8::7:8443", "[2001:db8::7]", "[center]:1",
                            "a b:1", "a/b:1", "a,b:1", "a#b:1", ":1"}) {
        EXPECT_FALSE(make_invitation({bad}, parent, "tokyo", sha256("root"), made_at_us, random))
            << bad;
    }
    EXPECT_FALSE(make_invitation({}, parent, "tokyo", sha256("root"), made_at_us, random));
    EXPECT_FALSE(make_invitation({"a:1"}, parent, "Tokyo", sha256("root"), made_at_us, random));
    EXPECT_FALSE(make_invitation({"a:1"}, parent, "tokyo", "short", made_at_us, random));
}

TEST(Invitation, IsGoodForItsSecretItsNameAndItsTimeOnly) {
    const NewInvitation made = make();
    const std::string& secret = made.invitation.secret;
    EXPECT_TRUE(redeem(made.record, secret, "tokyo", made_at_us));
    EXPECT_THAT(redeem(made.record, secret, "osaka", made_at_us).error().message,
                HasSubstr("not for 'osaka'"));
    EXPECT_THAT(
        redeem(made.record, secret, "tokyo", made_at_us + invitation_lifetime_us).error().message,
        HasSubstr("expired"));
    EXPECT_THAT(redeem(made.record, make(2).invitation.secret, "tokyo", made_at_us).error().message,
                HasSubstr("wrong"));
    EXPECT_FALSE(redeem(made.record, "", "tokyo", made_at_us));
    EXPECT_FALSE(redeem(made.record, made.record.secret_sha256, "tokyo", made_at_us));
}

TEST(Invitation, TheRecordDoesNotHoldTheSecret) {
    const NewInvitation made = make();
    EXPECT_NE(made.record.secret_sha256, made.invitation.secret);
    EXPECT_EQ(made.record.secret_sha256.find(made.invitation.secret), std::string::npos);
}

} // namespace
} // namespace hasp::trust
