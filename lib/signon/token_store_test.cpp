#include "base/text.h"
#include "test_backend.h"
#include "token_text.h"

namespace hasp::signon {
namespace {

using Names = std::vector<std::string>;

TEST(TokenText, ATokenReadsBackAndAnyChangedCharacterIsNoticed) {
    const TokenParts parts{std::string(32, 'a'), "0123456789abcdef0123456789abcdef"};
    const std::string text = format_token(parts);
    EXPECT_EQ(text.size(), token_text_bytes);
    ASSERT_TRUE(parse_token(text));
    EXPECT_EQ(parse_token(text)->secret, parts.secret);
    for (std::size_t i = 0; i < text.size(); ++i) {
        std::string changed = text;
        changed[i] = changed[i] == '7' ? '8' : '7';
        EXPECT_FALSE(looks_like_token(changed)) << i;
    }
    EXPECT_FALSE(looks_like_token(text + "0"));
    EXPECT_FALSE(looks_like_token(""));
    EXPECT_FALSE(looks_like_token("hasp_"));
}

TEST(TokenText, TheCheckDigitsAreTheCommonCrc32) {
    // Computed with zlib's crc32 over the text without its last eight digits.
    EXPECT_TRUE(format_token({std::string(32, '0'), std::string(32, '1')}).ends_with("6963f70b"));
}

TEST(TokenText, ScopesReadBack) {
    for (const char* text : {"all", "operator", "calendar,wiki", "push:calendar,wiki"}) {
        EXPECT_EQ(format_scope(parse_scope(text).value_or({})), text);
    }
    EXPECT_EQ(format_scope(parse_scope("wiki,calendar,wiki").value_or({})), "calendar,wiki");
    for (const char* text :
         {"", "Wiki", "wiki,", ",", "wiki calendar", "push:", "push:Wiki", "pull:wiki"}) {
        EXPECT_FALSE(parse_scope(text)) << text;
    }
}

class TokenSuite : public StoreSuite {
  protected:
    void SetUp() override {
        StoreSuite::SetUp();
        add("anna", Role::operator_);
        ASSERT_TRUE(accounts().entitle({HolderKind::user, "anna", "wiki"}));
        ASSERT_TRUE(accounts().entitle({HolderKind::user, "anna", "calendar"}));
    }
    IssuedToken issue(const std::string& scope, std::optional<std::int64_t> expires_us = {}) {
        auto issued = tokens().issue("anna", "laptop", *parse_scope(scope), expires_us);
        EXPECT_TRUE(issued);
        return *issued;
    }
};
INSTANTIATE_TEST_SUITE_P(Tokens, TokenSuite, backends(), backend_name);

TEST_P(TokenSuite, ATokenStandsForItsUserAlsoAfterARestart) {
    const IssuedToken issued = issue("all");
    backend->restart();
    const auto identity = tokens().verify(issued.text, {});
    ASSERT_TRUE(identity);
    EXPECT_EQ(identity->user, "anna");
    EXPECT_EQ(identity->apps, (Names{"calendar", "wiki"}));
    EXPECT_EQ(identity->sid, issued.token.id);
    EXPECT_EQ(identity->until_us, backend->clock.wall + token_identity_us);
    EXPECT_TRUE(validate(*identity));
}

TEST_P(TokenSuite, OnlyTheOperatorScopeHasTheOperatorsRoleAndItHasNoApps) {
    EXPECT_EQ(tokens().verify(issue("all").text, {})->role, Role::user);
    EXPECT_EQ(tokens().verify(issue("wiki").text, {})->role, Role::user);
    const auto identity = tokens().verify(issue("operator").text, {});
    EXPECT_EQ(identity->role, Role::operator_);
    EXPECT_TRUE(identity->apps.empty());
}

TEST_P(TokenSuite, ATokenForPushingOpensNothingAndIsAnOperators) {
    const IssuedToken issued = issue("push:wiki");
    const auto identity = tokens().verify(issued.text, {});
    ASSERT_TRUE(identity);
    EXPECT_EQ(identity->role, Role::user);
    EXPECT_TRUE(identity->apps.empty());
    EXPECT_EQ(tokens().list("anna")->front().scope, *parse_scope("push:wiki"));
    ASSERT_TRUE(accounts().change({"anna", "", "", Role::user}));
    EXPECT_EQ(code_of(tokens().verify(issued.text, {})), Code::refused);
    EXPECT_EQ(code_of(tokens().issue("anna", "", *parse_scope("push:wiki"), {})), Code::refused);
}

TEST_P(TokenSuite, AListOfAppsGivesNoAppThatTheUserDoesNotHave) {
    const auto identity = tokens().verify(issue("wiki,xray").text, {});
    EXPECT_EQ(identity->apps, Names{"wiki"});
}

TEST_P(TokenSuite, AnEntitlementThatWasWithdrawnIsGoneFromTheTokenToo) {
    const IssuedToken issued = issue("wiki");
    ASSERT_TRUE(accounts().withdraw({HolderKind::user, "anna", "wiki"}));
    EXPECT_TRUE(tokens().verify(issued.text, {})->apps.empty());
}

TEST_P(TokenSuite, SomebodyWhoIsNoOperatorAnyMoreHasNoOperatorToken) {
    const IssuedToken issued = issue("operator");
    ASSERT_TRUE(accounts().change({"anna", "", "", Role::user}));
    EXPECT_EQ(code_of(tokens().verify(issued.text, {})), Code::refused);
    EXPECT_EQ(code_of(tokens().issue("anna", "", *parse_scope("operator"), {})), Code::refused);
}

TEST_P(TokenSuite, AsABasicPasswordTheUserNameMustMatch) {
    const IssuedToken issued = issue("all");
    EXPECT_TRUE(tokens().verify(issued.text, "anna"));
    EXPECT_EQ(code_of(tokens().verify(issued.text, "bo")), Code::refused);
    EXPECT_EQ(code_of(tokens().verify(issued.text, "")), Code::refused);
}

TEST_P(TokenSuite, EveryRefusalReadsTheSame) {
    const IssuedToken over = issue("all", backend->clock.wall + 10);
    const IssuedToken revoked = issue("all");
    ASSERT_TRUE(tokens().revoke(revoked.token.id));
    const IssuedToken good = issue("all");
    const std::string other_secret = format_token({good.token.id, std::string(32, 'f')});
    backend->clock.advance_us(10);
    ASSERT_TRUE(accounts().set_disabled("anna", true));
    const std::string sentence = tokens().verify("nonsense", {}).error().message;
    for (const std::string& text : {over.text, revoked.text, good.text, other_secret}) {
        const auto refused = tokens().verify(text, {});
        EXPECT_EQ(code_of(refused), Code::refused);
        EXPECT_EQ(refused.error().message, sentence);
    }
    ASSERT_TRUE(accounts().set_disabled("anna", false));
    EXPECT_FALSE(tokens().verify(over.text, {}));
    EXPECT_FALSE(tokens().verify(other_secret, {}));
    EXPECT_TRUE(tokens().verify(good.text, {}));
}

TEST_P(TokenSuite, AnIdentityNeverOutlivesItsToken) {
    const IssuedToken issued = issue("all", backend->clock.wall + 1'000'000);
    EXPECT_EQ(tokens().verify(issued.text, {})->until_us, backend->clock.wall + 1'000'000);
    EXPECT_EQ(code_of(tokens().issue("anna", "", {}, backend->clock.wall)), Code::usage);
}

TEST_P(TokenSuite, TheListTellsLastUseToTenMinutes) {
    const IssuedToken issued = issue("all");
    EXPECT_FALSE(tokens().list("anna")->front().last_used_us);
    const std::int64_t first_us = backend->clock.wall;
    ASSERT_TRUE(tokens().verify(issued.text, {}));
    backend->clock.advance_us(9 * 60'000'000LL);
    ASSERT_TRUE(tokens().verify(issued.text, {}));
    EXPECT_EQ(tokens().list("anna")->front().last_used_us, first_us);
    backend->clock.advance_us(60'000'000LL);
    ASSERT_TRUE(tokens().verify(issued.text, {}));
    EXPECT_EQ(tokens().list("")->front().last_used_us, backend->clock.wall);
}

TEST_P(TokenSuite, RemovingAnAccountEndsItsTokens) {
    const IssuedToken issued = issue("all");
    ASSERT_TRUE(accounts().remove("anna"));
    add("anna");
    EXPECT_FALSE(tokens().verify(issued.text, {}));
    EXPECT_TRUE(tokens().list("")->empty());
}

TEST_P(TokenSuite, AllTokensOfAUserCanBeRevokedAtOnce) {
    add("bo");
    const IssuedToken mine = issue("all");
    const IssuedToken other = issue("wiki");
    ASSERT_TRUE(tokens().issue("bo", "", {}, {}));
    EXPECT_EQ(tokens().revoke_all_of("anna")->size(), 2U);
    EXPECT_FALSE(tokens().verify(mine.text, {}));
    EXPECT_FALSE(tokens().verify(other.text, {}));
    EXPECT_EQ(tokens().list("")->size(), 1U);
    EXPECT_EQ(code_of(tokens().revoke(mine.token.id)), Code::not_found);
}

TEST_P(TokenSuite, AUserHasABoundedNumberOfTokens) {
    for (std::size_t i = 0; i < tokens_per_user_max; ++i) {
        issue("all");
    }
    EXPECT_EQ(code_of(tokens().issue("anna", "", {}, {})), Code::conflict);
}

} // namespace
} // namespace hasp::signon
