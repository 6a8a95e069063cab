#include "names.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace hasp::cmd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

std::vector<std::string> texts(const std::vector<DnsName>& names) {
    std::vector<std::string> out;
    for (const DnsName& name : names) {
        out.push_back(name.text());
    }
    return out;
}

std::vector<std::string> texts(const NamePlan& plan) {
    std::vector<std::string> out;
    for (const HostName& host : plan.names) {
        out.push_back(host.name.text());
    }
    return out;
}

Json app(const std::string& name, const std::vector<std::string>& hosts = {},
         const std::string& mount = "both") {
    return {{"name", name}, {"where", "center"}, {"mount", mount}, {"hosts", hosts}};
}

Json clinic(const std::vector<Json>& apps) {
    return {{"app_host", "{app}.clinic.example"},
            {"portal_hosts", Json::array()},
            {"listen", {"192.0.2.10:80"}},
            {"apps", apps}};
}

ZoneData data_of(const Json& tier, bool wildcard = false) {
    return {plan_names(tier, wildcard),
            {*IpAddress::parse("192.0.2.10"), *IpAddress::parse("2001:db8::10")},
            300,
            7};
}

// The lines without comments and without empty ones.
std::string lines(const std::string& text) {
    std::string out;
    std::size_t start = 0;
    while (start < text.size()) {
        const std::size_t end = text.find('\n', start);
        const std::string line = text.substr(start, end - start + 1);
        out += line.size() > 1 && line.front() != '#' && line.front() != ';' ? line : "";
        start = end + 1;
    }
    return out;
}

TEST(DnsName, IsLettersDigitsAndHyphensInLowerCaseWithoutTheDotAtItsEnd) {
    EXPECT_EQ(DnsName::parse("Wiki.Clinic.EXAMPLE.")->text(), "wiki.clinic.example");
    EXPECT_EQ(DnsName::parse("xn--bcher-kva.example")->text(), "xn--bcher-kva.example");
    EXPECT_EQ(DnsName::parse("4.clinic.example")->text(), "4.clinic.example");
    EXPECT_EQ(DnsName::parse("wiki")->text(), "wiki");
}

TEST(DnsName, HasAtMost63BytesALabelAnd253InAll) {
    const std::string label(63, 'a');
    EXPECT_TRUE(DnsName::parse(label + ".example").ok());
    EXPECT_FALSE(DnsName::parse(label + "a.example").ok());
    const std::string long_name = label + "." + label + "." + label + "." + std::string(61, 'b');
    ASSERT_EQ(long_name.size(), 253U);
    EXPECT_TRUE(DnsName::parse(long_name).ok());
    EXPECT_FALSE(DnsName::parse(long_name + "b").ok());
}

TEST(DnsName, RefusesWhatCouldBreakOutOfAFormat) {
    for (const std::string& hostile : {std::string("a\nhost-record=bank.example,192.0.2.66"),
                                       std::string("a'; Remove-Item C:\\"),
                                       std::string("a\" redirect"),
                                       std::string("a b"),
                                       std::string("a/192.0.2.66"),
                                       std::string("a,b"),
                                       std::string("a;b"),
                                       std::string("a(b"),
                                       std::string("$(id).example"),
                                       std::string("@"),
                                       std::string("*"),
                                       std::string("*.example"),
                                       std::string("a\0b", 3),
                                       std::string("a#b"),
                                       std::string("a\\b"),
                                       std::string("a_b"),
                                       std::string("bücher.example"),
                                       std::string("{app}.example"),
                                       std::string(""),
                                       std::string("."),
                                       std::string("a..b"),
                                       std::string(".a"),
                                       std::string("-a.example"),
                                       std::string("a-.example"),
                                       std::string("xn--.example"),
                                       std::string("xn--"),
                                       std::string("192.0.2.1"),
                                       std::string("a\r"),
                                       std::string("\xe2\x80\x99")}) {
        const auto name = DnsName::parse(hostile);
        ASSERT_FALSE(name.ok()) << hostile;
        EXPECT_EQ(name.error().code, Code::usage);
        EXPECT_THAT(name.error().message, Not(HasSubstr("\n")));
    }
    EXPECT_THAT(DnsName::parse("bücher.example").error().hint, HasSubstr("xn--"));
}

TEST(DnsName, IsInADomainByWholeLabels) {
    const DnsName domain = *DnsName::parse("clinic.example");
    EXPECT_TRUE(DnsName::parse("wiki.clinic.example")->is_in(domain));
    EXPECT_TRUE(domain.is_in(domain));
    EXPECT_FALSE(DnsName::parse("myclinic.example")->is_in(domain));
    EXPECT_EQ(DnsName::parse("a.b.clinic.example")->below(domain), "a.b");
    EXPECT_EQ(domain.below(domain), "@");
}

TEST(IpAddress, IsAnAddressThatANameMayLeadTo) {
    EXPECT_EQ(IpAddress::parse("192.0.2.10")->text(), "192.0.2.10");
    EXPECT_EQ(IpAddress::parse("2001:DB8:0::10")->text(), "2001:db8::10");
    EXPECT_EQ(IpAddress::parse("fd00::1")->text(), "fd00::1");
    EXPECT_TRUE(IpAddress::parse("127.0.0.53")->is_loopback());
    EXPECT_TRUE(IpAddress::parse("::1")->is_loopback());
    for (const char* none : {"", "0.0.0.0", "::", "224.0.0.1", "ff02::1", "fe80::1", "fe80::1%eth0",
                             "192.0.2", "[::1]", "192.0.2.1:80", "wiki.example", "1.2.3.4'"}) {
        EXPECT_FALSE(IpAddress::parse(none).ok()) << none;
    }
    EXPECT_FALSE(IpAddress::parse(std::string("192.0.2.1\0x", 11)).ok());
}

TEST(PlanOfNames, HasThePortalAndEveryAppsOwnHostName) {
    Json tier = clinic({app("wiki", {"notes.example"}), app("calendar")});
    EXPECT_THAT(texts(plan_names(tier, false)),
                ElementsAre("calendar.clinic.example", "clinic.example", "notes.example",
                            "wiki.clinic.example"));
    tier["portal_hosts"] = {"start.clinic.example", "hasp.example"};
    EXPECT_THAT(texts(plan_names(tier, false)),
                ElementsAre("calendar.clinic.example", "hasp.example", "notes.example",
                            "start.clinic.example", "wiki.clinic.example"));
}

TEST(PlanOfNames, LeavesOutAppsThatAreReachedByPathAlone) {
    const Json tier = clinic({app("wiki", {"notes.example"}, "path"), app("chat", {}, "host")});
    EXPECT_THAT(texts(plan_names(tier, false)),
                ElementsAre("chat.clinic.example", "clinic.example"));
}

TEST(PlanOfNames, HasOnlyTheAppsOwnHostsWhereAppHostIsEmpty) {
    Json tier = clinic({app("wiki", {"notes.example"})});
    tier["app_host"] = "";
    const NamePlan plan = plan_names(tier, true);
    EXPECT_THAT(texts(plan), ElementsAre("notes.example"));
    EXPECT_THAT(plan.wildcards, IsEmpty());
    EXPECT_THAT(plan.notes, ElementsAre(HasSubstr("--wildcard")));
}

TEST(PlanOfNames, KeepsWhatStandsAroundTheAppsNameInItsLabel) {
    Json tier = clinic({app("wiki")});
    tier["app_host"] = "app-{app}-x.clinic.example";
    EXPECT_THAT(texts(plan_names(tier, true)),
                ElementsAre("app-wiki-x.clinic.example", "clinic.example"));
    EXPECT_THAT(texts(plan_names(tier, true).wildcards), ElementsAre("clinic.example"));
}

TEST(PlanOfNames, LeavesOutAHostileNameWithANoteAndKeepsTheOthers) {
    const NamePlan plan =
        plan_names(clinic({app("wiki", {"a\nb.example", "good.example"}), app("../x")}), false);
    EXPECT_THAT(texts(plan), ElementsAre("clinic.example", "good.example", "wiki.clinic.example"));
    EXPECT_THAT(plan.notes, ElementsAre(HasSubstr("app wiki")));
    EXPECT_THAT(plan.notes.front(), Not(HasSubstr("\n")));
}

TEST(PlanOfNames, TakesNoMoreThanItsLimit) {
    std::vector<Json> apps;
    for (std::size_t i = 0; i <= names_max; ++i) {
        apps.push_back(app("a" + std::to_string(i)));
    }
    const NamePlan plan = plan_names(clinic(apps), false);
    EXPECT_EQ(plan.names.size(), names_max);
    EXPECT_THAT(plan.notes, ElementsAre(HasSubstr("left out beyond the first 20000 names: 2")));
}

TEST(PlanOfNames, SaysWhereUsersTypeThem) {
    Json tier = clinic({app("aaa")});
    EXPECT_THAT(urls_of(plan_names(tier, false), tier),
                ElementsAre("http://clinic.example/", "http://aaa.clinic.example/"));
    tier["tls_listen"] = {"[::]:8443", "192.0.2.10:443"};
    EXPECT_THAT(urls_of(plan_names(tier, false), tier),
                ElementsAre("https://clinic.example:8443/", "https://aaa.clinic.example:8443/"));
}

TEST(NamesForAResolver, AreNoneOfLocalhost) {
    Json tier = clinic({app("wiki", {"notes.example"})});
    tier["app_host"] = "{app}.localhost";
    const auto some = names_for_resolver(plan_names(tier, true), std::nullopt);
    ASSERT_TRUE(some.ok());
    EXPECT_THAT(texts(*some), ElementsAre("notes.example"));
    EXPECT_THAT(some->wildcards, IsEmpty());
    tier["apps"] = Json::array({app("wiki")});
    const auto none = names_for_resolver(plan_names(tier, false), std::nullopt);
    ASSERT_FALSE(none.ok());
    EXPECT_EQ(none.error().code, Code::not_found);
    EXPECT_THAT(none.error().hint, HasSubstr("app_host"));
}

TEST(NamesForAResolver, AreThoseOfTheZoneThatWasNamed) {
    const NamePlan plan = plan_names(clinic({app("wiki", {"notes.example"})}), false);
    const auto in = names_for_resolver(plan, *DnsName::parse("clinic.example"));
    ASSERT_TRUE(in.ok());
    EXPECT_THAT(texts(*in), ElementsAre("clinic.example", "wiki.clinic.example"));
    EXPECT_THAT(in->notes, ElementsAre(HasSubstr("left out as not in clinic.example: 1")));
    EXPECT_EQ(names_for_resolver(plan, *DnsName::parse("other.example")).error().code,
              Code::not_found);
}

TEST(Zones, ClaimNothingThatIsNotATiersName) {
    Json tier = clinic({app("wiki", {"notes.example"}), app("calendar")});
    EXPECT_THAT(texts(zones_of(plan_names(tier, false))),
                ElementsAre("clinic.example", "notes.example"));
    tier["portal_hosts"] = {"start.clinic.example"};
    EXPECT_THAT(texts(zones_of(plan_names(tier, false))),
                ElementsAre("calendar.clinic.example", "notes.example", "start.clinic.example",
                            "wiki.clinic.example"));
    EXPECT_THAT(texts(zones_of(plan_names(tier, true))),
                ElementsAre("clinic.example", "notes.example"));
}

TEST(Dnsmasq, GivesEachNameItsAddressesAndAsksNobodyElseForIt) {
    EXPECT_EQ(lines(*render_names(Resolver::dnsmasq, data_of(clinic({app("wiki")})))),
              "host-record=clinic.example,192.0.2.10,2001:db8::10,300\n"
              "local=/clinic.example/\n"
              "server=/*.clinic.example/#\n"
              "host-record=wiki.clinic.example,192.0.2.10,2001:db8::10,300\n"
              "local=/wiki.clinic.example/\n"
              "server=/*.wiki.clinic.example/#\n");
}

TEST(Dnsmasq, HasALineForEachFurtherAddress) {
    ZoneData data = data_of(clinic({}));
    data.addresses = {*IpAddress::parse("192.0.2.10"), *IpAddress::parse("192.0.2.11")};
    EXPECT_EQ(lines(*render_names(Resolver::dnsmasq, data)),
              "host-record=clinic.example,192.0.2.10,300\n"
              "host-record=clinic.example,192.0.2.11,300\n"
              "local=/clinic.example/\n"
              "server=/*.clinic.example/#\n");
}

TEST(Dnsmasq, LeadsAllBelowADomainHereWithAWildcard) {
    EXPECT_EQ(lines(*render_names(Resolver::dnsmasq,
                                  data_of(clinic({app("wiki", {"notes.example"})}), true))),
              "address=/clinic.example/192.0.2.10\n"
              "address=/clinic.example/2001:db8::10\n"
              "local=/clinic.example/\n"
              "host-record=notes.example,192.0.2.10,2001:db8::10,300\n"
              "local=/notes.example/\n"
              "server=/*.notes.example/#\n");
}

TEST(Unbound, AnswersANameWhollyAndLeavesTheOthersAsTheyWere) {
    EXPECT_EQ(lines(*render_names(Resolver::unbound, data_of(clinic({app("wiki")})))),
              "server:\n"
              "    local-zone: \"clinic.example.\" transparent\n"
              "    local-data: \"clinic.example. 300 IN A 192.0.2.10\"\n"
              "    local-data: \"clinic.example. 300 IN AAAA 2001:db8::10\"\n"
              "    local-zone: \"wiki.clinic.example.\" transparent\n"
              "    local-data: \"wiki.clinic.example. 300 IN A 192.0.2.10\"\n"
              "    local-data: \"wiki.clinic.example. 300 IN AAAA 2001:db8::10\"\n");
}

TEST(Unbound, RedirectsADomainWithAWildcardWithoutNamesInIt) {
    EXPECT_EQ(lines(*render_names(Resolver::unbound, data_of(clinic({app("wiki")}), true))),
              "server:\n"
              "    local-zone: \"clinic.example.\" redirect\n"
              "    local-data: \"clinic.example. 300 IN A 192.0.2.10\"\n"
              "    local-data: \"clinic.example. 300 IN AAAA 2001:db8::10\"\n");
}

TEST(Bind, IsAZoneFileWithTheLinesOfNamedConfBesideIt) {
    const auto text = render_names(Resolver::bind, data_of(clinic({app("wiki")})));
    EXPECT_EQ(lines(*text), "$TTL 300\n"
                            "@ IN SOA localhost. root.localhost. (\n"
                            "    7 ; serial\n"
                            "    3600 ; refresh\n"
                            "    600 ; retry\n"
                            "    604800 ; expire\n"
                            "    300 ) ; how long it is remembered that there is none\n"
                            "@ IN NS localhost.\n"
                            "@ IN A 192.0.2.10\n"
                            "@ IN AAAA 2001:db8::10\n"
                            "wiki IN A 192.0.2.10\n"
                            "wiki IN AAAA 2001:db8::10\n");
    EXPECT_THAT(*text, HasSubstr(";   zone \"clinic.example\" {\n;       type primary;\n"));
}

TEST(Bind, HasTheDomainItselfBesideTheWildcard) {
    Json tier = clinic({});
    tier["portal_hosts"] = {"start.clinic.example"};
    EXPECT_THAT(*render_names(Resolver::bind, data_of(tier, true)),
                HasSubstr("* IN A 192.0.2.10\n* IN AAAA 2001:db8::10\n@ IN A 192.0.2.10\n"));
}

TEST(Bind, RefusesNamesOfSeveralZonesAndSaysWhich) {
    ZoneData data = data_of(clinic({app("wiki", {"notes.example"})}));
    const auto several = render_names(Resolver::bind, data);
    ASSERT_FALSE(several.ok());
    EXPECT_EQ(several.error().code, Code::usage);
    EXPECT_THAT(several.error().message, HasSubstr("clinic.example, notes.example"));
    data.zone = DnsName::parse("notes.example").value();
    EXPECT_THAT(*render_names(Resolver::bind, data), HasSubstr("\n@ IN A 192.0.2.10\n"));
}

TEST(Bind, MakesALargerZoneWhenItIsNamed) {
    ZoneData data = data_of(clinic({app("wiki")}), true);
    data.zone = DnsName::parse("example").value();
    const std::string text = lines(*render_names(Resolver::bind, data));
    EXPECT_THAT(text, HasSubstr("\n*.clinic IN A 192.0.2.10\n"));
    EXPECT_THAT(text, HasSubstr("\nclinic IN A 192.0.2.10\n"));
    EXPECT_THAT(text, HasSubstr("\nwiki.clinic IN A 192.0.2.10\n"));
}

TEST(Windows, IsPowerShellThatMakesZonesAndRecords) {
    ZoneData data = data_of(clinic({app("wiki", {"notes.example"})}));
    data.ttl_s = 90'061;
    EXPECT_EQ(
        lines(*render_names(Resolver::windows, data)),
        "Add-DnsServerPrimaryZone -Name 'clinic.example' -ZoneFile 'clinic.example.dns'\n"
        "Add-DnsServerResourceRecordA -ZoneName 'clinic.example' -Name '@' -IPv4Address "
        "'192.0.2.10' -TimeToLive '1.01:01:01'\n"
        "Add-DnsServerResourceRecordAAAA -ZoneName 'clinic.example' -Name '@' -IPv6Address "
        "'2001:db8::10' -TimeToLive '1.01:01:01'\n"
        "Add-DnsServerResourceRecordA -ZoneName 'clinic.example' -Name 'wiki' -IPv4Address "
        "'192.0.2.10' -TimeToLive '1.01:01:01'\n"
        "Add-DnsServerResourceRecordAAAA -ZoneName 'clinic.example' -Name 'wiki' -IPv6Address "
        "'2001:db8::10' -TimeToLive '1.01:01:01'\n"
        "Add-DnsServerPrimaryZone -Name 'notes.example' -ZoneFile 'notes.example.dns'\n"
        "Add-DnsServerResourceRecordA -ZoneName 'notes.example' -Name '@' -IPv4Address "
        "'192.0.2.10' -TimeToLive '1.01:01:01'\n"
        "Add-DnsServerResourceRecordAAAA -ZoneName 'notes.example' -Name '@' -IPv6Address "
        "'2001:db8::10' -TimeToLive '1.01:01:01'\n");
}

TEST(Windows, HasAWildcardRecord) {
    EXPECT_THAT(*render_names(Resolver::windows, data_of(clinic({}), true)),
                HasSubstr("-Name '*' -IPv4Address '192.0.2.10' -TimeToLive '0.00:05:00'\n"));
}

TEST(EveryResolver, GetsAsciiAloneAndRefusesNamesThatLeadNowhere) {
    ZoneData data = data_of(clinic({app("wiki")}), true);
    for (const Resolver one :
         {Resolver::dnsmasq, Resolver::unbound, Resolver::bind, Resolver::windows}) {
        const std::string text = *render_names(one, data);
        for (const char c : text) {
            EXPECT_TRUE(c == '\n' || (c >= ' ' && c <= '~'));
        }
    }
    data.addresses.clear();
    EXPECT_EQ(render_names(Resolver::dnsmasq, data).error().code, Code::usage);
}

} // namespace
} // namespace hasp::cmd
