#include "signon/identity.h"

#include <gtest/gtest.h>

namespace hasp::signon {
namespace {

Identity anna() {
    return {"anna",
            "Anna \"M\" Müller",
            "anna@example.org",
            {"doctors", "staff"},
            {"calendar", "wiki"},
            "00112233445566778899aabbccddeeff",
            1'700'000'000'000'000,
            Role::operator_};
}
const char* const anna_json =
    R"({"user":"anna","name":"Anna \"M\" Müller","email":"anna@example.org","groups":["doctors","staff"],"apps":["calendar","wiki"],)"
    R"("sid":"00112233445566778899aabbccddeeff","until_us":1700000000000000,"role":"operator"})";

std::string with(const std::string& from, const std::string& to) {
    std::string text = anna_json;
    const auto at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return text.replace(at, from.size(), to);
}

TEST(Identity, EncodesToTheseBytesAndBack) {
    EXPECT_EQ(encode(anna()), anna_json);
    EXPECT_EQ(decode_identity(anna_json).value_or({}), anna());
}

TEST(Identity, KeysOfANewerPeerAreSkipped) {
    EXPECT_TRUE(decode_identity(with("{", R"({"colour":[1,{}],)")));
}

TEST(Identity, CarriesTheGenerationOfItsAccountWhereItIsKnown) {
    Identity identity = anna();
    identity.generation = 7;
    EXPECT_EQ(encode(identity), with("\"operator\"}", "\"operator\",\"generation\":7}"));
    EXPECT_EQ(decode_identity(encode(identity)).value_or({}), identity);
    EXPECT_EQ(decode_identity(anna_json)->generation, 0);
    EXPECT_FALSE(decode_identity(with("\"operator\"}", "\"operator\",\"generation\":-1}")));
    EXPECT_FALSE(decode_identity(with("\"operator\"}", "\"operator\",\"generation\":\"7\"}")));
}

TEST(Identity, UnsortedListsAreSorted) {
    EXPECT_EQ(decode_identity(with(R"(["calendar","wiki"])", R"(["wiki","calendar","wiki"])"))
                  .value_or({}),
              anna());
}

TEST(Identity, EveryMissingOrMalformedPartIsRefused) {
    EXPECT_FALSE(decode_identity(""));
    EXPECT_FALSE(decode_identity("[]"));
    EXPECT_FALSE(decode_identity(std::string(anna_json) + "x"));
    EXPECT_FALSE(decode_identity(std::string(identity_json_bytes_max + 1, ' ')));
    for (const char* key : {"user", "name", "email", "groups", "apps", "sid", "until_us", "role"}) {
        EXPECT_FALSE(decode_identity(with("\"" + std::string(key) + "\":", "\"other\":"))) << key;
        EXPECT_FALSE(decode_identity(
            with("\"" + std::string(key) + "\":", "\"" + std::string(key) + "\":null,\"x\":")))
            << key;
    }
    EXPECT_FALSE(decode_identity(with("\"anna\"", "\"Anna\"")));
    EXPECT_FALSE(decode_identity(with("\"anna\"", "\"\"")));
    EXPECT_FALSE(decode_identity(with("Anna ", "Anna\\n")));
    EXPECT_FALSE(decode_identity(with("Anna ", "Anna\\u0085")));
    EXPECT_FALSE(decode_identity(with("anna@", "anna ")));
    EXPECT_FALSE(decode_identity(with("\"staff\"", "7")));
    EXPECT_FALSE(decode_identity(with("\"staff\"", "\"no name\"")));
    EXPECT_FALSE(decode_identity(with("0011", "001G")));
    EXPECT_FALSE(decode_identity(with("1700000000000000", "-1")));
    EXPECT_FALSE(decode_identity(with("1700000000000000", "1.5")));
    EXPECT_FALSE(decode_identity(with("1700000000000000", "18446744073709551615")));
    EXPECT_FALSE(decode_identity(with("operator", "root")));
}

TEST(Identity, TheLimitsAreExact) {
    Identity identity = anna();
    identity.groups.clear();
    identity.apps.clear();
    for (std::size_t i = 0; i < identity_groups_max; ++i) {
        identity.groups.push_back("g" + std::to_string(i));
    }
    for (std::size_t i = 0; i < identity_apps_max; ++i) {
        identity.apps.push_back("a" + std::to_string(i));
    }
    normalise(identity);
    EXPECT_TRUE(validate(identity));
    EXPECT_TRUE(decode_identity(encode(identity)));
    Identity more = identity;
    more.groups.push_back("z");
    EXPECT_FALSE(validate(more));
    EXPECT_FALSE(decode_identity(encode(more)));
    identity.apps.push_back("z");
    EXPECT_FALSE(validate(identity));
    EXPECT_FALSE(decode_identity(encode(identity)));
}

TEST(Identity, TheLargestOneFitsTheLimitOfItsText) {
    Identity identity = anna();
    identity.name = std::string(display_name_bytes_max, '"');
    identity.email = "@" + std::string(email_bytes_max - 2, '"') + "x";
    identity.email = "x" + identity.email.substr(0, email_bytes_max - 1);
    identity.groups.clear();
    identity.apps.clear();
    const auto longest = [](std::size_t i) {
        return std::string(36, 'a') + std::to_string(1000 + i);
    };
    for (std::size_t i = 0; i < identity_apps_max; ++i) {
        identity.apps.push_back(longest(i));
        if (i < identity_groups_max) {
            identity.groups.push_back(longest(i));
        }
    }
    ASSERT_TRUE(validate(identity));
    EXPECT_LT(encode(identity).size(), identity_json_bytes_max);
    EXPECT_EQ(decode_identity(encode(identity)).value_or({}), identity);
}

TEST(Identity, AnOperatorMayUseWhatHeIsEntitledToAndNoMore) {
    EXPECT_TRUE(may_use(anna(), "wiki"));
    EXPECT_FALSE(may_use(anna(), "xray"));
    EXPECT_FALSE(may_use(anna(), ""));
}

} // namespace
} // namespace hasp::signon
