#include "base/clock.h"
#include "test_backend.h"

namespace hasp::signon {
namespace {

Identity who(const std::string& user = "anna") {
    Identity identity;
    identity.user = user;
    identity.name = "Anna Müller";
    identity.groups = {"staff"};
    identity.apps = {"wiki", "calendar"};
    return identity;
}

class SessionSuite : public StoreSuite {
  protected:
    Opened open(const std::string& user = "anna", std::string_view host = "") {
        auto opened = sessions().open(who(user), Origin::home, true, host);
        EXPECT_TRUE(opened);
        return *opened;
    }
    // Begun when the account was of this generation.
    Opened open_at(std::int64_t generation) {
        Identity anna = who();
        anna.generation = generation;
        auto opened = sessions().open(anna, Origin::parent, true, "");
        EXPECT_TRUE(opened);
        return *opened;
    }
    static Identity with_app(const std::string& app, std::int64_t generation) {
        Identity anna = who();
        anna.apps = {app};
        anna.generation = generation;
        return anna;
    }
    bool lives(const Opened& opened) {
        return sessions().by_cookie(opened.cookie, "").value_or({}).has_value();
    }
    Grant a_grant(const std::string& child, const std::string& user, char digit) {
        Grant grant{child, who(user)};
        grant.identity.sid = std::string(32, digit);
        grant.identity.until_us = backend->clock.wall + session_idle_us;
        return grant;
    }
    bool granted(const Grant& grant) {
        return sessions().grant(grant.child, grant.identity.sid).value_or({}).has_value();
    }
};
INSTANTIATE_TEST_SUITE_P(Sessions, SessionSuite, backends(), backend_name);

TEST_P(SessionSuite, ASessionIsFoundByItsCookieAlsoAfterARestart) {
    const auto opened = sessions().open(who(), Origin::parent, false, "");
    ASSERT_TRUE(opened);
    EXPECT_EQ(opened->cookie.size(), 43U);
    EXPECT_EQ(opened->session.identity.sid.size(), 32U);
    backend->restart();
    const auto found = sessions().by_cookie(opened->cookie, "");
    ASSERT_TRUE(found && *found);
    EXPECT_EQ((*found)->identity, opened->session.identity);
    EXPECT_EQ((*found)->origin, Origin::parent);
    EXPECT_FALSE((*found)->online);
    EXPECT_EQ((*found)->identity.until_us, backend->clock.wall + session_idle_us);
    EXPECT_TRUE(may_use((*found)->identity, "calendar"));
}

TEST_P(SessionSuite, ASidOpensNothing) {
    const Opened opened = open();
    EXPECT_FALSE(sessions().by_cookie(opened.session.identity.sid, "")->has_value());
    EXPECT_TRUE(sessions().by_sid(opened.session.identity.sid)->has_value());
}

TEST_P(SessionSuite, ACookieIsGoodAtItsOwnHostOnly) {
    const Opened opened = open("anna", "portal.example");
    const auto wiki = sessions().add_cookie(opened.session.identity.sid, "Wiki.example");
    ASSERT_TRUE(wiki);
    EXPECT_TRUE(sessions().by_cookie(*wiki, "wiki.example")->has_value());
    EXPECT_FALSE(sessions().by_cookie(*wiki, "portal.example")->has_value());
    EXPECT_FALSE(sessions().by_cookie(opened.cookie, "wiki.example")->has_value());
    ASSERT_TRUE(sessions().end(opened.session.identity.sid));
    EXPECT_FALSE(sessions().by_cookie(*wiki, "wiki.example")->has_value());
    EXPECT_EQ(code_of(sessions().add_cookie(opened.session.identity.sid, "wiki.example")),
              Code::not_found);
}

TEST_P(SessionSuite, ASessionEndsTwelveHoursAfterItsLastUse) {
    const Opened opened = open();
    backend->clock.advance_us(11 * hour_us);
    EXPECT_EQ(sessions().renew(opened.session.identity.sid).value_or(0),
              backend->clock.wall + session_idle_us);
    backend->clock.advance_us(session_idle_us - 1);
    EXPECT_TRUE(lives(opened));
    backend->clock.advance_us(1);
    EXPECT_FALSE(lives(opened));
    EXPECT_EQ(code_of(sessions().renew(opened.session.identity.sid)), Code::not_found);
}

TEST_P(SessionSuite, NoUseKeepsASessionBeyondThirtyDays) {
    const Opened opened = open();
    for (std::int64_t passed = 0; passed + 6 * hour_us < session_age_max_us;
         passed += 6 * hour_us) {
        backend->clock.advance_us(6 * hour_us);
        ASSERT_TRUE(sessions().renew(opened.session.identity.sid));
    }
    EXPECT_EQ(sessions().by_sid(opened.session.identity.sid)->value().identity.until_us,
              opened.session.created_us + session_age_max_us);
}

TEST_P(SessionSuite, AUseSoonAfterAnotherWritesNothing) {
    const Opened opened = open();
    backend->clock.advance_us(session_renew_step_us);
    EXPECT_EQ(sessions().renew(opened.session.identity.sid).value_or(0),
              opened.session.identity.until_us);
    EXPECT_EQ(sessions().by_sid(opened.session.identity.sid)->value().renewed_us,
              opened.session.renewed_us);
}

TEST_P(SessionSuite, AnInvalidIdentityOpensNothing) {
    Identity bad = who();
    bad.user = "Not a name";
    EXPECT_EQ(code_of(sessions().open(bad, Origin::home, true, "")), Code::usage);
    EXPECT_TRUE(sessions().all()->empty());
}

TEST_P(SessionSuite, ASidIsUsedOnce) {
    const std::string sid(32, 'a');
    ASSERT_TRUE(sessions().open_as(sid, who(), Origin::parent, true, ""));
    EXPECT_EQ(code_of(sessions().open_as(sid, who(), Origin::parent, true, "")), Code::conflict);
    EXPECT_EQ(code_of(sessions().open_as("short", who(), Origin::parent, true, "")), Code::usage);
}

TEST_P(SessionSuite, NewsWithoutIdentityAndGenerationEndEverythingOfTheUserAndLeaveOthers) {
    const Opened first = open();
    const Opened second = open_at(1'000'000);
    const Opened other = open("bo");
    const Grant grant = a_grant("local", "anna", 'c');
    ASSERT_TRUE(sessions().put_grant(grant));
    ASSERT_TRUE(sessions().follow({"anna", std::nullopt, {}}));
    EXPECT_FALSE(lives(first));
    EXPECT_FALSE(lives(second));
    EXPECT_FALSE(granted(grant));
    EXPECT_TRUE(lives(other));
    EXPECT_EQ(sessions().all()->size(), 1U);
    EXPECT_TRUE(sessions().follow({"anna", std::nullopt, {}}));
}

TEST_P(SessionSuite, NewsOfAGenerationEndOnlyWhatIsOlder) {
    const Opened old = open_at(6);
    const Opened young = open_at(7);
    Grant old_grant = a_grant("local", "anna", 'c');
    old_grant.identity.generation = 6;
    Grant young_grant = a_grant("local", "anna", 'd');
    young_grant.identity.generation = 7;
    ASSERT_TRUE(sessions().put_grant(old_grant) && sessions().put_grant(young_grant));
    ASSERT_TRUE(sessions().follow({"anna", std::nullopt, {7, 7}}));
    EXPECT_FALSE(lives(old));
    EXPECT_FALSE(granted(old_grant));
    EXPECT_TRUE(lives(young));
    EXPECT_TRUE(granted(young_grant));
}

TEST_P(SessionSuite, NewsWithAnIdentityRefreshWhatIsOlderAndEndWhatWasBegunTooEarly) {
    const Opened before_the_password = open_at(4);
    const Opened old = open_at(6);
    const Opened young = open_at(9);
    ASSERT_TRUE(sessions().follow({"anna", with_app("xray", 8), {8, 5}}));
    EXPECT_FALSE(lives(before_the_password));
    EXPECT_TRUE(may_use(sessions().by_cookie(old.cookie, "")->value().identity, "xray"));
    EXPECT_FALSE(may_use(sessions().by_cookie(young.cookie, "")->value().identity, "xray"));
}

TEST_P(SessionSuite, WhatWasRefreshedIsStillOfThePasswordThatItWasBegunWith) {
    const Opened opened = open_at(4);
    ASSERT_TRUE(sessions().follow({"anna", with_app("xray", 8), {8, 0}}));
    EXPECT_EQ(sessions().by_cookie(opened.cookie, "")->value().identity.generation, 8);
    ASSERT_TRUE(sessions().follow({"anna", std::nullopt, {5, 5}}));
    EXPECT_FALSE(lives(opened));
}

TEST_P(SessionSuite, WhatWasBegunAtNobodyKnowsWhichGenerationEndsAndIsRefreshedAsEver) {
    const Opened opened = open();
    ASSERT_TRUE(sessions().follow({"anna", with_app("xray", 8), {8, 5}}));
    EXPECT_TRUE(may_use(sessions().by_cookie(opened.cookie, "")->value().identity, "xray"));
    ASSERT_TRUE(sessions().follow({"anna", std::nullopt, {8, 5}}));
    EXPECT_FALSE(lives(opened));
}

TEST_P(SessionSuite, ARefreshOfNoGenerationReachesEverySession) {
    const Opened opened = open_at(9);
    ASSERT_TRUE(sessions().follow({"anna", with_app("xray", 0), {}}));
    EXPECT_TRUE(may_use(sessions().by_cookie(opened.cookie, "")->value().identity, "xray"));
    EXPECT_EQ(sessions().by_cookie(opened.cookie, "")->value().identity.generation, 0);
}

TEST_P(SessionSuite, OneTooManyEndsTheSessionLongestUnused) {
    const Opened first = open();
    backend->clock.advance_us(session_renew_step_us + 1);
    const Opened second = open();
    for (std::size_t i = 2; i < sessions_per_user_max; ++i) {
        EXPECT_TRUE(open().displaced.empty());
    }
    ASSERT_TRUE(sessions().renew(first.session.identity.sid));
    backend->clock.advance_us(1);
    const Opened last = open();
    ASSERT_EQ(last.displaced.size(), 1U);
    EXPECT_TRUE(lives(first));
    EXPECT_TRUE(lives(last));
    EXPECT_FALSE(sessions().by_sid(last.displaced[0])->has_value());
    EXPECT_EQ(sessions().of_user("anna")->size(), sessions_per_user_max);
}

TEST_P(SessionSuite, ARefreshReachesEverySessionAndGrantOfTheUserAndKeepsTheirEnds) {
    const Opened opened = open();
    const Opened other = open("bo");
    const Grant grant = a_grant("local", "anna", 'c');
    ASSERT_TRUE(sessions().put_grant(grant));
    Identity changed = who();
    changed.apps = {"xray"};
    const auto sids = sessions().refresh(changed);
    ASSERT_TRUE(sids);
    EXPECT_EQ(sids->size(), 2U);
    const auto session = sessions().by_cookie(opened.cookie, "")->value();
    EXPECT_FALSE(may_use(session.identity, "wiki"));
    EXPECT_TRUE(may_use(session.identity, "xray"));
    EXPECT_EQ(session.identity.until_us, opened.session.identity.until_us);
    EXPECT_EQ(session.identity.sid, opened.session.identity.sid);
    EXPECT_TRUE(may_use(sessions().grant("local", grant.identity.sid)->value().identity, "xray"));
    EXPECT_TRUE(may_use(sessions().by_cookie(other.cookie, "")->value().identity, "wiki"));
}

TEST_P(SessionSuite, AGrantThatIsAskedForAnewEndsWithAnyNewsAndIsNeverRefreshed) {
    Grant grant = a_grant("local", "anna", 'c');
    grant.asked_again = true;
    grant.identity.generation = 6;
    grant.identity.apps = {"wiki"};
    ASSERT_TRUE(sessions().put_grant(grant));
    backend->restart();
    EXPECT_TRUE(sessions().grant("local", grant.identity.sid)->value().asked_again);
    ASSERT_TRUE(sessions().follow({"anna", with_app("xray", 6), {6, 0}}));
    EXPECT_EQ(sessions().grant("local", grant.identity.sid)->value().identity.apps,
              std::vector<std::string>{"wiki"});
    ASSERT_TRUE(sessions().follow({"anna", with_app("xray", 7), {7, 0}}));
    EXPECT_FALSE(granted(grant));
    ASSERT_TRUE(sessions().put_grant(grant));
    ASSERT_TRUE(sessions().follow({"anna", with_app("xray", 0), {}}));
    EXPECT_FALSE(granted(grant));
}

TEST_P(SessionSuite, ASessionBegunOfflineRemembersThePasswordThatOpenedIt) {
    const auto opened = sessions().open_offline(std::string(32, 'a'), who(), 7, "");
    ASSERT_TRUE(opened);
    EXPECT_EQ(opened->session.identity.until_us, backend->clock.wall + session_idle_us);
    backend->restart();
    const Session found = sessions().by_cookie(opened->cookie, "")->value();
    EXPECT_FALSE(found.online);
    EXPECT_EQ(found.origin, Origin::parent);
    EXPECT_EQ(found.password_version, 7);
    EXPECT_EQ(open().session.password_version, 0);
}

TEST_P(SessionSuite, ExpiryDeletesWhatIsOverAndNamesTheSessions) {
    const Opened old = open();
    const Grant grant = a_grant("local", "anna", 'c');
    ASSERT_TRUE(sessions().put_grant(grant));
    backend->clock.advance_us(6 * hour_us);
    const Opened young = open();
    backend->clock.advance_us(6 * hour_us);
    EXPECT_EQ(*sessions().expire(), std::vector<std::string>{old.session.identity.sid});
    EXPECT_TRUE(sessions().expire()->empty());
    EXPECT_TRUE(lives(young));
    EXPECT_TRUE(sessions().grants_of_child("local")->empty());
}

TEST_P(SessionSuite, AGrantIsGoodForItsChildAndSessionOnlyAndOutlivesARestart) {
    const Grant grant = a_grant("local", "anna", 'c');
    ASSERT_TRUE(sessions().put_grant(grant));
    backend->restart();
    EXPECT_EQ(sessions().grant("local", grant.identity.sid)->value().identity.user, "anna");
    EXPECT_FALSE(sessions().grant("other", grant.identity.sid)->has_value());
    EXPECT_FALSE(sessions().grant("local", std::string(32, 'd'))->has_value());
    EXPECT_FALSE(sessions().by_sid(grant.identity.sid)->has_value());
}

TEST_P(SessionSuite, AGrantIsRenewedByUseUpToThirtyDays) {
    const Grant grant = a_grant("local", "anna", 'c');
    ASSERT_TRUE(sessions().put_grant(grant));
    const std::int64_t begun_us = backend->clock.wall;
    for (std::int64_t passed = 0; passed + 6 * hour_us < session_age_max_us;
         passed += 6 * hour_us) {
        backend->clock.advance_us(6 * hour_us);
        ASSERT_TRUE(sessions().renew_grant("local", grant.identity.sid));
    }
    EXPECT_EQ(sessions().grant("local", grant.identity.sid)->value().identity.until_us,
              begun_us + session_age_max_us);
    backend->clock.wall = begun_us + session_age_max_us;
    EXPECT_FALSE(granted(grant));
    EXPECT_EQ(code_of(sessions().renew_grant("local", grant.identity.sid)), Code::not_found);
}

TEST_P(SessionSuite, GrantsEndByOneByUserAndByChild) {
    const Grant one = a_grant("local", "anna", 'a');
    const Grant two = a_grant("local", "bo", 'b');
    const Grant three = a_grant("other", "anna", 'c');
    const Grant four = a_grant("other", "bo", 'd');
    for (const Grant& grant : {one, two, three, four}) {
        ASSERT_TRUE(sessions().put_grant(grant));
    }
    EXPECT_EQ(sessions().grants_of_user("anna")->size(), 2U);
    ASSERT_TRUE(sessions().end_grant("local", one.identity.sid));
    EXPECT_FALSE(granted(one));
    ASSERT_TRUE(sessions().follow({"anna", std::nullopt, {}}));
    EXPECT_FALSE(granted(three));
    EXPECT_EQ(sessions().end_grants_of_child("other")->front().identity.user, "bo");
    EXPECT_FALSE(granted(four));
    EXPECT_TRUE(granted(two));
}

TEST(SessionTimes, AreTheOperatorsChoice) {
    store::TestDb db;
    ManualClock clock;
    SeededRandom random{42};
    ASSERT_TRUE(migrate_tables(*db));
    const auto sessions =
        make_sqlite_session_store(*db, clock, random, "main", {2 * hour_us, 3 * hour_us});
    const auto opened = sessions->open(who(), Origin::home, true, "");
    ASSERT_TRUE(opened);
    const std::string sid = opened->session.identity.sid;
    EXPECT_EQ(opened->session.identity.until_us, clock.wall + 2 * hour_us);
    const std::int64_t end_us = clock.wall + 3 * hour_us;
    clock.advance_us(hour_us + hour_us / 2);
    EXPECT_EQ(sessions->renew(sid).value_or(0), end_us);
    clock.wall = end_us;
    EXPECT_FALSE(sessions->by_sid(sid)->has_value());
}

} // namespace
} // namespace hasp::signon
