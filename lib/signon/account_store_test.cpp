#include "test_backend.h"

namespace hasp::signon {
namespace {

using Names = std::vector<std::string>;

class AccountSuite : public StoreSuite {
  protected:
    std::int64_t generation(const std::string& user) { return accounts().show(user)->generation; }
    Verifier a_verifier(std::int64_t version) {
        return {
            version, {64, 1, 1}, std::string(salt_bytes, 's'), std::string(verifier_bytes, 'v')};
    }
    Names apps(const std::string& user) { return accounts().apps_of(user).value_or({"error"}); }
};
INSTANTIATE_TEST_SUITE_P(Accounts, AccountSuite, backends(), backend_name);

TEST_P(AccountSuite, AnAccountIsShownAsItWasAddedAlsoAfterARestart) {
    ASSERT_TRUE(accounts().add({"anna", "Anna Müller", "anna@example.org", Role::operator_}));
    backend->restart();
    const auto anna = accounts().show("anna");
    ASSERT_TRUE(anna);
    EXPECT_EQ(anna->fields.display_name, "Anna Müller");
    EXPECT_EQ(anna->fields.email, "anna@example.org");
    EXPECT_EQ(anna->fields.role, Role::operator_);
    EXPECT_EQ(anna->created_us, backend->clock.wall);
    EXPECT_FALSE(anna->disabled);
    EXPECT_FALSE(anna->has_password);
    EXPECT_EQ(anna->password_version, 0);
    EXPECT_EQ(anna->generation, backend->clock.wall / 1'000'000);
}

TEST_P(AccountSuite, ANameIsGivenOnce) {
    add("anna");
    EXPECT_EQ(code_of(accounts().add({"anna", "Other", "", Role::user})), Code::conflict);
    EXPECT_EQ(accounts().show("anna")->fields.display_name, "Name of anna");
}

TEST_P(AccountSuite, MalformedFieldsAreRefused) {
    EXPECT_EQ(code_of(accounts().add({"Anna", "", "", Role::user})), Code::usage);
    EXPECT_EQ(code_of(accounts().add({"", "", "", Role::user})), Code::usage);
    EXPECT_EQ(code_of(accounts().add({"anna", "a\nb", "", Role::user})), Code::usage);
    EXPECT_EQ(code_of(accounts().add({"anna", "\xff", "", Role::user})), Code::usage);
    EXPECT_EQ(code_of(accounts().add({"anna", std::string(201, 'x'), "", Role::user})),
              Code::usage);
    EXPECT_EQ(code_of(accounts().add({"anna", "", "no address", Role::user})), Code::usage);
    EXPECT_TRUE(accounts().list()->empty());
}

TEST_P(AccountSuite, AChangeReplacesTheFieldsAndRaisesTheGeneration) {
    add("anna");
    backend->clock.advance_us(5);
    ASSERT_TRUE(accounts().change({"anna", "Anna B.", "", Role::operator_}));
    const auto anna = accounts().show("anna");
    EXPECT_EQ(anna->fields.display_name, "Anna B.");
    EXPECT_EQ(anna->fields.role, Role::operator_);
    EXPECT_EQ(anna->changed_us, anna->created_us + 5);
    EXPECT_EQ(anna->generation, backend->clock.wall / 1'000'000 + 1);
    EXPECT_EQ(code_of(accounts().change({"bo", "", "", Role::user})), Code::not_found);
}

TEST_P(AccountSuite, WhatIsNotThereIsNotFound) {
    EXPECT_EQ(code_of(accounts().show("bo")), Code::not_found);
    EXPECT_EQ(code_of(accounts().show("")), Code::not_found);
    EXPECT_EQ(code_of(accounts().remove("bo")), Code::not_found);
    EXPECT_EQ(code_of(accounts().set_disabled("bo", true)), Code::not_found);
    EXPECT_EQ(code_of(accounts().join("bo", "staff")), Code::not_found);
    EXPECT_EQ(code_of(accounts().leave("bo", "staff")), Code::not_found);
    EXPECT_EQ(code_of(accounts().entitle({HolderKind::user, "bo", "wiki"})), Code::not_found);
    EXPECT_EQ(code_of(accounts().apps_of("bo")), Code::not_found);
    EXPECT_EQ(code_of(accounts().identity_of("bo")), Code::not_found);
    EXPECT_EQ(code_of(accounts().set_verifier("bo", a_verifier(1))), Code::not_found);
}

TEST_P(AccountSuite, APasswordVersionRisesByOneAndNeverFallsForAName) {
    add("anna");
    EXPECT_EQ(accounts().next_password_version("anna").value_or(-1), 1);
    ASSERT_TRUE(accounts().set_verifier("anna", a_verifier(1)));
    EXPECT_EQ(code_of(accounts().set_verifier("anna", a_verifier(1))), Code::conflict);
    EXPECT_EQ(code_of(accounts().set_verifier("anna", a_verifier(3))), Code::conflict);
    ASSERT_TRUE(accounts().set_verifier("anna", a_verifier(2)));
    ASSERT_TRUE(accounts().remove("anna"));
    add("anna");
    EXPECT_EQ(accounts().next_password_version("anna").value_or(-1), 3);
    EXPECT_FALSE(accounts().show("anna")->has_password);
}

TEST_P(AccountSuite, AGenerationRisesWithEachChangeAndNeverFallsForAName) {
    add("anna");
    std::int64_t last = generation("anna");
    const auto rises = [&] {
        const std::int64_t now = accounts().state_of("anna")->generation;
        EXPECT_GT(now, last);
        last = now;
    };
    ASSERT_TRUE(accounts().join("anna", "staff"));
    rises();
    backend->clock.wall -= 3600LL * 1'000'000;
    ASSERT_TRUE(accounts().set_verifier("anna", a_verifier(1)));
    rises();
    ASSERT_TRUE(accounts().remove("anna"));
    rises();
    backend->restart();
    add("anna");
    rises();
}

TEST_P(AccountSuite, AGenerationIsNeverBelowTheTimeSoThatNoOtherTierOrCopyIsAheadOfIt) {
    add("anna");
    backend->clock.advance_us(3600LL * 1'000'000);
    ASSERT_TRUE(accounts().join("anna", "staff"));
    EXPECT_EQ(generation("anna"), backend->clock.wall / 1'000'000);
}

TEST_P(AccountSuite, SessionsCountFromTheLastChangeThatEndedThem) {
    const auto ends = [&](const Status& changed) {
        EXPECT_TRUE(changed);
        const AccountState state = *accounts().state_of("anna");
        return state.sessions_from == state.generation;
    };
    EXPECT_EQ(*accounts().state_of("anna"), AccountState{});
    EXPECT_TRUE(ends(accounts().add({"anna", "", "", Role::user})));
    EXPECT_TRUE(ends(accounts().set_verifier("anna", a_verifier(1))));
    EXPECT_FALSE(ends(accounts().entitle({HolderKind::user, "anna", "wiki"})));
    EXPECT_FALSE(ends(accounts().change({"anna", "Anna", "", Role::user})));
    EXPECT_TRUE(ends(accounts().set_disabled("anna", true)));
    EXPECT_FALSE(ends(accounts().set_disabled("anna", false)));
    EXPECT_TRUE(ends(accounts().remove("anna")));
    EXPECT_TRUE(ends(accounts().add({"anna", "", "", Role::user})));
}

TEST_P(AccountSuite, TheVerifierComesBackAsItWasSet) {
    add("anna");
    ASSERT_TRUE(accounts().set_verifier("anna", a_verifier(1)));
    backend->restart();
    EXPECT_EQ(accounts().verifier("anna")->value(), a_verifier(1));
    EXPECT_EQ(accounts().login_material("anna")->value().expected, a_verifier(1).value);
}

TEST_P(AccountSuite, ThereIsNoLoginMaterialOfUnknownDisabledOrPasswordlessAccounts) {
    add("anna");
    EXPECT_FALSE(accounts().login_material("anna")->has_value());
    EXPECT_FALSE(accounts().login_material("bo")->has_value());
    ASSERT_TRUE(accounts().set_verifier("anna", a_verifier(1)));
    ASSERT_TRUE(accounts().set_disabled("anna", true));
    EXPECT_FALSE(accounts().login_material("anna")->has_value());
    EXPECT_EQ(code_of(accounts().identity_of("anna")), Code::refused);
    ASSERT_TRUE(accounts().set_disabled("anna", false));
    EXPECT_TRUE(accounts().login_material("anna")->has_value());
}

TEST_P(AccountSuite, AppsComeDirectlyAndThroughGroupsWithoutDuplicates) {
    add("anna");
    add("bo");
    ASSERT_TRUE(accounts().join("anna", "staff"));
    ASSERT_TRUE(accounts().entitle({HolderKind::group, "staff", "wiki"}));
    ASSERT_TRUE(accounts().entitle({HolderKind::group, "staff", "calendar"}));
    ASSERT_TRUE(accounts().entitle({HolderKind::user, "anna", "wiki"}));
    ASSERT_TRUE(accounts().entitle({HolderKind::user, "anna", "xray"}));
    EXPECT_EQ(apps("anna"), (Names{"calendar", "wiki", "xray"}));
    EXPECT_EQ(apps("bo"), Names{});
    ASSERT_TRUE(accounts().withdraw({HolderKind::user, "anna", "wiki"}));
    EXPECT_EQ(apps("anna"), (Names{"calendar", "wiki", "xray"}));
    ASSERT_TRUE(accounts().leave("anna", "staff"));
    EXPECT_EQ(apps("anna"), Names{"xray"});
}

TEST_P(AccountSuite, AGroupDoesNotEntitleAUserOfTheSameName) {
    add("staff");
    ASSERT_TRUE(accounts().entitle({HolderKind::group, "staff", "wiki"}));
    EXPECT_EQ(apps("staff"), Names{});
}

TEST_P(AccountSuite, RepeatingAChangeChangesNothing) {
    add("anna");
    ASSERT_TRUE(accounts().join("anna", "staff"));
    ASSERT_TRUE(accounts().entitle({HolderKind::group, "staff", "wiki"}));
    const auto before = generation("anna");
    ASSERT_TRUE(accounts().join("anna", "staff"));
    ASSERT_TRUE(accounts().entitle({HolderKind::group, "staff", "wiki"}));
    ASSERT_TRUE(accounts().leave("anna", "other"));
    ASSERT_TRUE(accounts().withdraw({HolderKind::user, "anna", "wiki"}));
    EXPECT_EQ(generation("anna"), before);
    EXPECT_EQ(accounts().entitlements()->size(), 1U);
}

TEST_P(AccountSuite, AnEntitlementOfAGroupRaisesTheGenerationOfItsMembersOnly) {
    add("anna");
    add("bo");
    ASSERT_TRUE(accounts().join("anna", "staff"));
    const auto anna = generation("anna");
    const auto bo = generation("bo");
    ASSERT_TRUE(accounts().entitle({HolderKind::group, "staff", "wiki"}));
    EXPECT_EQ(generation("anna"), anna + 1);
    EXPECT_EQ(generation("bo"), bo);
}

TEST_P(AccountSuite, RemovingTakesGroupsAndEntitlementsAlongSoThatANamesakeHasNone) {
    add("anna");
    ASSERT_TRUE(accounts().join("anna", "staff"));
    ASSERT_TRUE(accounts().entitle({HolderKind::user, "anna", "wiki"}));
    ASSERT_TRUE(accounts().remove("anna"));
    EXPECT_TRUE(accounts().members("staff")->empty());
    add("anna");
    EXPECT_EQ(apps("anna"), Names{});
    EXPECT_TRUE(accounts().show("anna")->groups.empty());
}

TEST_P(AccountSuite, TheListHasEveryAccountWithItsGroupsByName) {
    add("bo");
    add("anna");
    ASSERT_TRUE(accounts().join("bo", "staff"));
    ASSERT_TRUE(accounts().join("bo", "doctors"));
    const auto list = accounts().list();
    ASSERT_EQ(list->size(), 2U);
    EXPECT_EQ((*list)[0].fields.name, "anna");
    EXPECT_EQ((*list)[1].groups, (Names{"doctors", "staff"}));
}

TEST_P(AccountSuite, AnIdentityCarriesWhatTheAccountIsEntitledTo) {
    add("anna", Role::operator_);
    ASSERT_TRUE(accounts().join("anna", "staff"));
    ASSERT_TRUE(accounts().entitle({HolderKind::group, "staff", "wiki"}));
    const auto identity = accounts().identity_of("anna");
    ASSERT_TRUE(identity);
    EXPECT_EQ(identity->role, Role::operator_);
    EXPECT_TRUE(may_use(*identity, "wiki"));
    EXPECT_FALSE(may_use(*identity, "xray"));
    EXPECT_EQ(identity->generation, generation("anna"));
}

TEST_P(AccountSuite, MoreGroupsThanAnIdentityCarriesAreRefusedAndNothingStays) {
    add("anna");
    for (std::size_t i = 0; i < identity_groups_max; ++i) {
        ASSERT_TRUE(accounts().join("anna", "g" + std::to_string(i)));
    }
    EXPECT_EQ(code_of(accounts().join("anna", "one-more")), Code::conflict);
    EXPECT_EQ(accounts().show("anna")->groups.size(), identity_groups_max);
}

TEST_P(AccountSuite, MoreAppsThanAnIdentityCarriesAreRefusedAndNothingStays) {
    add("anna");
    for (std::size_t i = 0; i < identity_apps_max; ++i) {
        ASSERT_TRUE(accounts().entitle(
            {HolderKind::group, i % 2 == 0 ? "even" : "odd", "a" + std::to_string(i)}));
    }
    ASSERT_TRUE(accounts().join("anna", "even"));
    ASSERT_TRUE(accounts().join("anna", "odd"));
    EXPECT_EQ(code_of(accounts().entitle({HolderKind::user, "anna", "one-more"})), Code::conflict);
    EXPECT_EQ(apps("anna").size(), identity_apps_max);
}

} // namespace
} // namespace hasp::signon
