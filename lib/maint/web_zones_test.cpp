#include "web_zones.h"

#include "base/clock.h"
#include "maint/config.h"
#include "web_certificates.h"

#include <gtest/gtest.h>

namespace hasp::maint {
namespace {

trust::TierName tier(const char* path) {
    return trust::TierName::parse(std::string("hasp://clinics/") + path).value();
}

TEST(WebZones, EachTierHasItsOwnPartOfAName) {
    const WebZones zones =
        WebZones::parse({"clinic.lan", "clinic.example", "10.0.0.0/8"}, {}).value();
    const auto may = [&](const char* who, const char* name) {
        return zones.may(tier("center"), tier(who), name);
    };
    EXPECT_TRUE(may("center/tokyo", "tokyo.clinic.lan"));
    EXPECT_TRUE(may("center/tokyo", "*.tokyo.clinic.example"));
    EXPECT_TRUE(may("center/tokyo/desk", "wiki.desk.tokyo.clinic.lan"));
    EXPECT_TRUE(may("center/tokyo", "desk.tokyo.clinic.lan")) << "it speaks for its desk anyhow";
    EXPECT_TRUE(may("center", "clinic.lan") && may("center", "10.1.2.3"));
    for (const char* name :
         {"clinic.lan", "*.clinic.lan", "osaka.clinic.lan", "nottokyo.clinic.lan",
          "tokyo.bank.example", "10.1.2.3", "tokyo", ""}) {
        EXPECT_FALSE(may("center/tokyo", name)) << name;
    }
    EXPECT_FALSE(may("center/tokyo/desk", "tokyo.clinic.lan"));
    EXPECT_FALSE(may("center", "bank.example"));
    EXPECT_FALSE(zones.may(tier("center/tokyo"), tier("center"), "clinic.lan"))
        << "nobody signs for what is above";
}

TEST(WebZones, AnAuthorityInTheMiddleCountsFromItself) {
    const WebZones zones = WebZones::parse({"tokyo.lan"}, {}).value();
    EXPECT_TRUE(zones.may(tier("upper/tokyo"), tier("upper/tokyo/desk"), "desk.tokyo.lan"));
    EXPECT_FALSE(zones.may(tier("upper/tokyo"), tier("upper/osaka"), "osaka.tokyo.lan"));
}

TEST(WebZones, WhatIsAssignedIsForThatTierAlone) {
    const WebZones zones = WebZones::parse({"clinic.lan", "10.0.0.0/8"},
                                           {"tokyo=booking.clinic.lan", "tokyo/desk=10.1.0.0/16"})
                               .value();
    const auto may = [&](const char* who, const char* name) {
        return zones.may(tier("center"), tier(who), name);
    };
    EXPECT_TRUE(may("center/tokyo", "*.booking.clinic.lan"));
    EXPECT_TRUE(may("center/tokyo/desk", "10.1.7.7"));
    EXPECT_FALSE(may("center/osaka", "booking.clinic.lan"));
    EXPECT_FALSE(may("center/tokyo", "10.1.7.7"));
    EXPECT_FALSE(may("center/tokyo/desk", "10.2.7.7"));
    for (const char* bad : {"tokyo", "=clinic.lan", "tokyo=", "Tokyo=clinic.lan", "tokyo=bank.lan",
                            "tokyo=11.0.0.0/8", "tokyo/=clinic.lan", "tokyo=*.clinic.lan"}) {
        EXPECT_FALSE(WebZones::parse({"clinic.lan", "10.0.0.0/8"}, {bad}).ok()) << bad;
    }
}

TEST(WebZones, WhatIsAssignedToATierIsGivenToWhoeverSpeaksForItAndSoTrustsTheTiersBetween) {
    const WebZones zones =
        WebZones::parse({"clinic.lan", "10.0.0.0/8"}, {"tokyo/desk=10.1.0.0/16"}).value();
    // By the names alone; that tokyo did not ask in its desk's name is for tokyo to say.
    EXPECT_TRUE(zones.may(tier("center"), tier("center/tokyo/desk"), "10.1.7.7"));
    EXPECT_FALSE(zones.may(tier("center"), tier("center/tokyo"), "10.1.7.7"));
    EXPECT_FALSE(zones.may(tier("center"), tier("center/osaka/desk"), "10.1.7.7"));
}

TEST(WebZones, NoDnsNameLiesWithinAnotherOfThem) {
    for (const std::vector<std::string>& bad :
         {std::vector<std::string>{"clinic.lan", "tokyo.clinic.lan"},
          {"tokyo.clinic.lan", "clinic.lan"},
          {"clinic.lan", "clinic.lan"}}) {
        EXPECT_FALSE(WebZones::parse(bad, {}).ok()) << bad[0] << " " << bad[1];
    }
    EXPECT_TRUE(WebZones::parse({"clinic.lan", "myclinic.lan", "clinic.example"}, {}).ok());
}

TEST(WebRenewal, ComesAtTwoThirdsOrEarlierForWhoIsOfflineForLong) {
    const std::int64_t life = 48 * day_us;
    EXPECT_EQ(renew_at_us(0, life, 0, 0), 32 * day_us);
    EXPECT_EQ(renew_at_us(0, life, 30 * day_us, 0), 18 * day_us) << "30 days are left then";
    EXPECT_EQ(renew_at_us(0, life, 90 * day_us, 0), 16 * day_us) << "no earlier than a third";
    EXPECT_EQ(always_left_us(life, 90 * day_us), 32 * day_us);
    EXPECT_EQ(always_left_us(life, 0), 16 * day_us);
    EXPECT_LT(renew_at_us(0, life, 0, 999), 32 * day_us);
    EXPECT_GT(renew_at_us(0, life, 0, 999), 29 * day_us) << "the spread is a twentieth of the life";
}

TEST(BrowserNames, AreThoseByWhichUsersReachTheTier) {
    Config config;
    config.web.app_host = "{app}.tokyo.clinic.lan";
    EXPECT_EQ(browser_names(config),
              (std::vector<std::string>{"tokyo.clinic.lan", "*.tokyo.clinic.lan"}));
    config.web.portal_hosts = {"Portal.clinic.lan"};
    EXPECT_EQ(browser_names(config),
              (std::vector<std::string>{"portal.clinic.lan", "*.tokyo.clinic.lan"}));
    config.web.app_host = "app-{app}.clinic.lan";
    EXPECT_EQ(browser_names(config), (std::vector<std::string>{"portal.clinic.lan"}));
    config.web.tls_names = {"a.lan"};
    EXPECT_EQ(browser_names(config), config.web.tls_names);
}

} // namespace
} // namespace hasp::maint
