#include "maint/config.h"

#include "base/files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <set>

namespace hasp::maint {
namespace {

using testing::HasSubstr;

Error refusal(const std::string& text) {
    const Result<Config> config = parse_config(text, "hasp.toml");
    if (config.ok()) {
        return fail(Code::failed, "it was accepted");
    }
    EXPECT_EQ(config.error().code, Code::usage);
    return config.error();
}

TEST(Config, AnEmptyFileGivesTheDefaults) {
    const Result<Config> config = parse_config("", "hasp.toml");
    ASSERT_TRUE(config.ok());
    EXPECT_EQ(config->web.listen, (std::vector<std::string>{"127.0.0.1:8480"}));
    EXPECT_EQ(config->lease.days, 7);
    EXPECT_EQ(example_config(*config).find('['), std::string::npos);
}

TEST(Config, TheDefaultsAreWithinTheLimitsOfTheTable) {
    std::string all;
    std::string section;
    for (const TableRow& row : config_rows()) {
        if (row.section != section) {
            section = row.section;
            all += "[" + section + "]\n";
        }
        all += row.key + " = " + row.default_text + "\n";
    }
    const Result<Config> config = parse_config(all, "hasp.toml");
    ASSERT_TRUE(config.ok()) << config.error().message;
    EXPECT_EQ(example_config(*config), example_config(Config()));
}

TEST(Config, EveryTypeIsRead) {
    const Result<Config> config = parse_config(
        "[web]\nlisten = [\"[::1]:80\", \"0.0.0.0:0\"]\nkeepalive_s = 9\napp_host = \"\"\n"
        "[apps]\nisolation = \"none-allowed\"\n[log]\naccess = false\nlevel = \"warn\"\nformat = "
        "\"json\"\n",
        "hasp.toml");
    ASSERT_TRUE(config.ok()) << config.error().message;
    EXPECT_EQ(config->web.listen.size(), 2U);
    EXPECT_EQ(config->web.keepalive_s, 9);
    EXPECT_EQ(config->web.app_host, "");
    EXPECT_EQ(config->apps.isolation, Config::Isolation::none_allowed);
    EXPECT_EQ(config->log.level, Config::LogLevel::warn);
    EXPECT_EQ(config->log.format, Config::LogFormat::json);
    EXPECT_FALSE(config->log.access);
}

TEST(Config, AnUnknownKeyIsRefusedWithItsLineAndTheNearestKey) {
    const Error error = refusal("# top\n[web]\nkeepalive = 3\n");
    EXPECT_EQ(error.message, "hasp.toml:3: there is no key in [web] `keepalive`");
    EXPECT_EQ(error.hint, "did you mean `keepalive_s`?");
    EXPECT_THAT(refusal("[wep]\n").hint, HasSubstr("`web`"));
    EXPECT_THAT(refusal("weird = 1\n").message,
                HasSubstr("hasp.toml:1: there is no key at the top `weird`"));
    EXPECT_THAT(refusal("web = 1\n").message, HasSubstr("must be a section"));
}

TEST(Config, WrongTypesAndValuesOutOfRangeAreRefusedWithTheLine) {
    EXPECT_EQ(refusal("[web]\nkeepalive_s = \"9\"\n").message,
              "hasp.toml:2: web.keepalive_s must be a whole number of seconds");
    EXPECT_EQ(refusal("[web]\nkeepalive_s = 0\n").message,
              "hasp.toml:2: web.keepalive_s is 0, but must be from 1 to 3600 seconds");
    EXPECT_THAT(refusal("[web]\nkeepalive_s = 1.5\n").message, HasSubstr("whole number"));
    EXPECT_THAT(refusal("[web]\nlisten = \"127.0.0.1:1\"\n").message,
                HasSubstr("must be a list of texts"));
    EXPECT_THAT(refusal("[web]\nlisten = [1]\n").message, HasSubstr("must be a list of texts"));
    EXPECT_THAT(refusal("[web]\nlisten = [\"localhost:80\"]\n").message,
                HasSubstr("web.listen `localhost:80` is no IP:PORT"));
    EXPECT_THAT(refusal("[log]\nlevel = \"loud\"\n").message,
                HasSubstr("must be one of \"debug\", \"info\""));
    EXPECT_THAT(refusal("[log]\naccess = 1\n").message, HasSubstr("must be true or false"));
    EXPECT_THAT(refusal("[web]\napp_host = \"app.localhost\"\n").message,
                HasSubstr("must contain {app} once"));
    EXPECT_THAT(refusal("[web]\ntls_cert = \"a\\u0000b\"\n").message,
                HasSubstr("control character"));
    EXPECT_THAT(refusal("[web]\nlisten = [\"\"]\n").message, HasSubstr("is no IP:PORT"));
}

TEST(Config, ADirectUrlIsAnOriginWithTheAppInItsHost) {
    for (const char* good : {"https://{app}.localhost", "http://{app}.localhost:8480"}) {
        EXPECT_TRUE(
            parse_config("[web]\ndirect_url = \"" + std::string(good) + "\"\n", "hasp.toml").ok())
            << good;
    }
    for (const char* bad :
         {"{app}.localhost", "ftp://{app}.localhost", "https://localhost",
          "https://{app}.localhost/", "https://{app}.localhost:0", "https://{app}.localhost:x",
          "https://a@{app}.localhost", "https://{app}.localhost:8480/x"}) {
        EXPECT_THAT(refusal("[web]\ndirect_url = \"" + std::string(bad) + "\"\n").message,
                    HasSubstr("web.direct_url"))
            << bad;
    }
}

TEST(Config, BadTomlIsRefusedWithTheLine) {
    EXPECT_THAT(refusal("[web]\nlisten = [\n").message, HasSubstr("hasp.toml:"));
    EXPECT_THAT(refusal("[web]\na = 1\na = 2\n").message, HasSubstr("hasp.toml:3: "));
    EXPECT_THAT(refusal(std::string("\n[\0", 3)).message,
                HasSubstr("hasp.toml:2: there is a control character"));
    EXPECT_THAT(refusal("\n[ = \n").message, HasSubstr("hasp.toml:2: a section has no name"));
    EXPECT_THAT(refusal(std::string(config_bytes_max + 1, '#')).message,
                HasSubstr("larger than the limit"));
    EXPECT_THAT(refusal("x = " + std::string(10'000, '[')).message, HasSubstr("hasp.toml:1"));
}

TEST(Config, RelationsBetweenKeysAreChecked) {
    EXPECT_THAT(refusal("[web]\ntls_listen = [\"0.0.0.0:443\"]\n").message,
                HasSubstr("needs web.tls_cert"));
    EXPECT_THAT(refusal("[web]\ntls_from = \"lan\"\ntls_cert = \"/a\"\ntls_key = \"/b\"\n").message,
                HasSubstr("are for web.tls_from"));
    EXPECT_THAT(refusal("[web]\ntls_from = \"lan\"\napp_host = \"\"\n").message,
                HasSubstr("needs web.tls_names"));
    EXPECT_THAT(
        refusal("[web_ca]\nnames = [\"clinic.lan\"]\nassign = [\"tokyo=bank.example\"]\n").message,
        HasSubstr("`tokyo=bank.example` is not within names"));
    EXPECT_THAT(refusal("[acme]\ndirectory = \"https://a/d\"\n").message,
                HasSubstr("needs acme.names and acme.dns_hook"));
    EXPECT_THAT(refusal("[acme]\ndirectory = \"http://a/d\"\n").message,
                HasSubstr("begins with https://"));
    EXPECT_THAT(refusal("[acme]\ndns_hook = \"hook\"\n").message, HasSubstr("absolute path"));
    EXPECT_THAT(refusal("[web_ca]\nnames = [\"clinic.lan\"]\nassign = [\"tokyo\"]\n").message,
                HasSubstr("is no TIER=NAME"));
    EXPECT_THAT(refusal("[web]\ndirect_url = \"https://{app}.center.example\"\n").message,
                HasSubstr("the hosts of web.app_host"));
    EXPECT_THAT(refusal("[link]\npark_min = 9\npark_max = 3\n").message,
                HasSubstr("link.park_min"));
    EXPECT_THAT(refusal("[lease]\ndays = 31\n").message, HasSubstr("lease.run_days"));
    EXPECT_THAT(refusal("[scan]\nclamd = \"unix:/run/c\"\ncommand = [\"/bin/true\"]\n").message,
                HasSubstr("two scanners"));
    EXPECT_THAT(refusal("[scan]\ncommand = [\"clamscan\", \"-\"]\n").message,
                HasSubstr("absolute path"));
    for (const char* bad : {"unix:run/c", "unix:", "/run/c", "127.0.0.1", "host:0"}) {
        EXPECT_THAT(refusal("[scan]\nclamd = \"" + std::string(bad) + "\"\n").message,
                    HasSubstr("scan.clamd"))
            << bad;
    }
    EXPECT_THAT(refusal("[session]\nhours = 25\nabsolute_days = 1\n").message,
                HasSubstr("session.hours"));
}

TEST(Config, TheExampleNamesOnlyWhatDiffersAndReadsBack) {
    Config config;
    config.link.listen = {"0.0.0.0:8443"};
    config.link.addresses = {"center.example:8443"};
    config.apps.isolation = Config::Isolation::bwrap;
    config.web.tls_cert = "/a \"b\"\\c";
    config.web.tls_key = "/k";
    config.process.seccomp = false;
    const std::string text = example_config(config);
    EXPECT_EQ(text.find("keepalive_s"), std::string::npos);
    EXPECT_THAT(text, HasSubstr("[link]\n# Where tiers below connect."));
    const Result<Config> again = parse_config(text, "example");
    ASSERT_TRUE(again.ok()) << again.error().message;
    EXPECT_EQ(again->web.tls_cert, config.web.tls_cert);
    EXPECT_EQ(example_config(*again), text);
}

TEST(Config, WhatDiffersIsNamedWithWhoHasToBeginAnew) {
    Config was;
    EXPECT_TRUE(config_changes(was, was).empty());
    Config now;
    now.web.keepalive_s = 5;
    now.web.portal_hosts = {"hub.example"};
    now.web.proxies_say = Config::Web::ProxiesSay::forwarded;
    now.log.access = false;
    now.process.front_user = "www-data";
    now.apps.isolation = Config::Isolation::bwrap;
    std::map<std::string, Takes> seen;
    for (const ConfigChange& one : config_changes(was, now)) {
        seen[one.key] = one.takes;
    }
    const std::map<std::string, Takes> expected{
        {"web.keepalive_s", Takes::front},    {"web.portal_hosts", Takes::keeper},
        {"web.proxies_say", Takes::front},    {"log.access", Takes::front},
        {"process.front_user", Takes::start}, {"apps.isolation", Takes::start}};
    EXPECT_EQ(seen, expected);
}

TEST(Config, WhatNeedsANewStartStaysAsItWasInEffectAndTheRestIsNew) {
    Config was;
    was.process.front_user = "www-data";
    Config now;
    now.web.keepalive_s = 5;
    now.apps.isolation = Config::Isolation::bwrap;
    const Config effect = config_in_effect(was, now);
    EXPECT_EQ(effect.process.front_user, "www-data");
    EXPECT_EQ(effect.apps.isolation, was.apps.isolation);
    EXPECT_EQ(effect.web.keepalive_s, 5);
    const auto read = parse_config(example_config(effect), "hasp.toml");
    ASSERT_TRUE(read.ok()) << read.error().message;
    EXPECT_TRUE(config_changes(effect, *read).empty()) << "so it is handed to the processes";
}

TEST(Config, AMissingFileIsNotFound) {
    EXPECT_EQ(load_config("/nonexistent/hasp.toml").error().code, Code::not_found);
}

TEST(Config, TheTableHasEachKeyOnceWithItsSectionTogetherAndAText) {
    std::set<std::string> seen;
    std::set<std::string> closed;
    std::string section;
    for (const TableRow& row : config_rows()) {
        EXPECT_TRUE(seen.insert(row.section + "." + row.key).second) << row.key;
        EXPECT_TRUE(row.text.ends_with(".")) << row.key;
        if (row.section != section) {
            EXPECT_TRUE(closed.insert(row.section).second) << row.section;
            section = row.section;
        }
    }
    EXPECT_EQ(seen.size(), 98U)
        << "a key was added or taken away: give it an effect, and CHANGELOG a line";
}

TEST(Addresses, AreCheckedByTheirForm) {
    for (const char* good : {"127.0.0.1:0", "0.0.0.0:65535", "[::]:443"}) {
        EXPECT_TRUE(valid_listen_address(good)) << good;
    }
    for (const char* bad : {"", ":80", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:+1",
                            "::1:80", "[127.0.0.1]:80", "a:80", "1.2.3:80", "1.2.3.4:000080"}) {
        EXPECT_FALSE(valid_listen_address(bad)) << bad;
    }
    for (const char* good : {"center.example:8443", "10.0.0.1:1", "[fe80::1]:1"}) {
        EXPECT_TRUE(valid_peer_address(good)) << good;
    }
    for (const char* bad : {"center.example", "center.example:0", "-a.b:1", "a..b:1", "[a.b]:1",
                            "a_b:1", "1.2.3:80", "a b:1"}) {
        EXPECT_FALSE(valid_peer_address(bad)) << bad;
    }
}

} // namespace
} // namespace hasp::maint
