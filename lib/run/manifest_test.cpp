#include "run/manifest.h"

#include "base/text.h"

#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace hasp::run {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr const char* process_app = R"([app]
name = "wiki"
kind = "process"
mount = "path"
[process]
command = ["wiki", "--listen", "{port}", "{data}"]
listen = "tcp:8080"
)";

Error refused(const std::string& text) {
    const auto m = parse_manifest(text, "hasp-app.toml");
    EXPECT_FALSE(m.ok()) << "was accepted:\n" << text;
    return m.ok() ? Error{} : m.error();
}

TEST(Manifest, ASmallProcessAppHasTheDocumentedDefaults) {
    const auto m = parse_manifest(process_app, "f");
    ASSERT_TRUE(m.ok()) << m.error().message;
    EXPECT_EQ(m->title, "wiki");
    EXPECT_EQ(m->process.listen.port, 8080);
    EXPECT_EQ(m->data, DataScope::app);
    EXPECT_FALSE(m->strip_prefix);
    EXPECT_TRUE(m->trusted_path);
    EXPECT_EQ(m->process.ready_s, 30);
    EXPECT_EQ(m->process.health_path, "/");
    EXPECT_EQ(m->identity.user, "Remote-User");
    EXPECT_EQ(m->process.limits.processes, 200);
}

TEST(Manifest, AnAppWithoutAHostOfItsOwnSendsNobodyThere) {
    const std::string app = "[app]\nname = \"x\"\nkind = \"static\"\n";
    EXPECT_EQ(parse_manifest(app, "f")->direct, Direct::never);
    EXPECT_EQ(parse_manifest(app + "direct = \"pages\"\n", "f")->direct, Direct::pages);
    EXPECT_EQ(parse_manifest(app + "direct = \"downloads\"\nmount = \"host\"\n", "f")->direct,
              Direct::downloads);
    EXPECT_THAT(refused(app + "direct = \"pages\"\nmount = \"path\"\n").message,
                testing::HasSubstr("no host of its own"));
    refused(app + "direct = true\n");
}

TEST(Manifest, DefaultsInTheTableAreThoseOfTheParser) {
    std::map<std::string, std::string> sections;
    for (const KeyRow& row : manifest_keys()) {
        const bool given = row.limits.starts_with("required");
        if (given || row.default_value.empty()) {
            continue;
        }
        const bool word = row.type == "string" || row.type.find('|') != std::string_view::npos;
        sections[std::string(row.section)] +=
            std::string(row.key) + " = " +
            (word ? "\"" + std::string(row.default_value) + "\"" : std::string(row.default_value)) +
            "\n";
    }
    const auto compare = [&](const std::string& kind, const std::string& required,
                             const std::string& extra) {
        const std::string app = "[app]\nname = \"x\"\nkind = \"" + kind + "\"\n";
        const auto plain = parse_manifest(app + required, "f");
        const auto full = parse_manifest(
            app + sections["app"] + required + extra + "[identity]\n" + sections["identity"], "f");
        ASSERT_TRUE(plain.ok()) << plain.error().message;
        ASSERT_TRUE(full.ok()) << full.error().message;
        EXPECT_EQ(plain->access, full->access);
        EXPECT_EQ(plain->mount, full->mount);
        EXPECT_EQ(plain->trusted_path, full->trusted_path);
        EXPECT_EQ(plain->instance, full->instance);
        EXPECT_EQ(plain->handover, full->handover);
        EXPECT_EQ(plain->on_data_change, full->on_data_change);
        EXPECT_EQ(plain->direct, full->direct);
        EXPECT_EQ(plain->body_mib_max, full->body_mib_max);
        EXPECT_EQ(plain->at_expiry, full->at_expiry);
        EXPECT_EQ(plain->process.ready_path, full->process.ready_path);
        EXPECT_EQ(plain->process.ready_s, full->process.ready_s);
        EXPECT_EQ(plain->process.health_interval_s, full->process.health_interval_s);
        EXPECT_EQ(plain->process.health_timeout_s, full->process.health_timeout_s);
        EXPECT_EQ(plain->process.idle_stop_s, full->process.idle_stop_s);
        EXPECT_EQ(plain->process.stop_grace_s, full->process.stop_grace_s);
        EXPECT_EQ(plain->process.limits.processes, full->process.limits.processes);
        EXPECT_EQ(plain->process.limits.memory_mb, full->process.limits.memory_mb);
        EXPECT_EQ(plain->process.limits.files, full->process.limits.files);
        EXPECT_EQ(plain->process.limits.file_size_mb, full->process.limits.file_size_mb);
        EXPECT_EQ(plain->files.root, full->files.root);
        EXPECT_EQ(plain->files.index, full->files.index);
        EXPECT_EQ(plain->identity.user, full->identity.user);
        EXPECT_EQ(plain->identity.name, full->identity.name);
        EXPECT_EQ(plain->identity.email, full->identity.email);
        EXPECT_EQ(plain->identity.groups, full->identity.groups);
    };
    compare("process", "[process]\ncommand = [\"x\"]\nlisten = \"unix\"\n",
            sections["process"] + "[limits]\n" + sections["limits"]);
    compare("static", "", "[static]\n" + sections["static"]);
}

TEST(Manifest, AnUnknownKeyIsRefusedWithItsLineAndTheNearestOne) {
    const Error e = refused("[app]\nname = \"x\"\nknid = \"static\"\n");
    EXPECT_EQ(e.code, Code::usage);
    EXPECT_THAT(e.message, StartsWith("hasp-app.toml:3: unknown key \"knid\""));
    EXPECT_THAT(e.hint, HasSubstr("\"kind\""));
    EXPECT_THAT(refused("[ap]\nname = \"x\"\n").hint, HasSubstr("\"app\""));
}

TEST(Manifest, AWrongTypeIsRefusedWithItsLineAndKey) {
    const Error e = refused("[app]\nname = \"x\"\nkind = \"static\"\nstrip_prefix = \"yes\"\n");
    EXPECT_THAT(e.message,
                StartsWith("hasp-app.toml:4: [app] strip_prefix: expected true or false"));
    EXPECT_THAT(refused(std::string(process_app) + "ready_s = 0\n").message, HasSubstr("1-600"));
    EXPECT_THAT(refused("[app]\nname = \"x\"\nkind = \"cgi\"\n").message,
                HasSubstr("static | process | upstream, not \"cgi\""));
    EXPECT_THAT(refused("app = 3\n").message, HasSubstr("must be a table"));
}

TEST(Manifest, BrokenTomlIsRefusedWithItsLine) {
    EXPECT_THAT(refused("[app]\nname = \n").message, StartsWith("hasp-app.toml:2: not valid TOML"));
    EXPECT_THAT(refused("[{").message, StartsWith("hasp-app.toml:1: not valid TOML"));
}

TEST(Manifest, AFileOverTheLimitIsNotParsed) {
    EXPECT_THAT(refused(std::string(manifest_bytes_max + 1, '#')).message, HasSubstr("65536"));
}

TEST(Manifest, MissingKeysAreNamed) {
    EXPECT_THAT(refused("[app]\nkind = \"static\"\n").message, HasSubstr("[app] name: is missing"));
    EXPECT_THAT(refused("").message, HasSubstr("[app] name"));
    EXPECT_THAT(refused("[app]\nname = \"x\"\nkind = \"process\"\n").message,
                HasSubstr("[process] command"));
    EXPECT_THAT(refused("[app]\nname = \"x\"\nkind = \"upstream\"\n").message,
                HasSubstr("[upstream] urls"));
}

TEST(Manifest, SectionsOfAnotherKindAreRefused) {
    EXPECT_THAT(refused("[app]\nname = \"x\"\nkind = \"static\"\n[process]\n").message,
                HasSubstr("[process]"));
}

TEST(Manifest, AnAppWithThePrefixOnItsCommandLineCanBeMountedOneWayOnly) {
    std::string text = process_app;
    text.replace(text.find("{data}"), 6, "{prefix}");
    EXPECT_TRUE(parse_manifest(text, "f").ok());
    text.replace(text.find("mount = \"path\""), 14, "mount = \"both\"");
    EXPECT_THAT(refused(text).message, HasSubstr("{prefix}"));
}

TEST(Manifest, WordsInBracesMustBeKnownAndHaveAValue) {
    const auto with = [](const std::string& word) {
        std::string text = process_app;
        return text.replace(text.find("{data}"), 6, word);
    };
    EXPECT_THAT(refused(with("{dta}")).hint, HasSubstr("{data}"));
    EXPECT_THAT(refused(with("{user}")).message, HasSubstr("one process serves all users"));
    EXPECT_THAT(refused(with("{socket}")).message, HasSubstr("{socket}"));
    EXPECT_THAT(refused(with("{data}") + "[data]\nscope = \"none\"\n").message,
                HasSubstr("{data}"));
    EXPECT_TRUE(parse_manifest(with("{ \\\"json\\\": 1 }"), "f").ok());
}

TEST(Manifest, OneProcessForAllUsersCannotHaveOneUsersFolder) {
    EXPECT_THAT(refused(std::string(process_app) + "[data]\nscope = \"user\"\n").message,
                HasSubstr("[data] scope"));
    const auto m = parse_manifest(
        "[app]\nname = \"x\"\nkind = \"process\"\ninstance = \"user\"\n[process]\ncommand = "
        "[\"x\", \"{user}\"]\nlisten = \"unix\"\n",
        "f");
    ASSERT_TRUE(m.ok()) << m.error().message;
    EXPECT_EQ(m->data, DataScope::user);
}

TEST(Manifest, UpstreamAddressesAreTakenApart) {
    const auto m = parse_manifest("[app]\nname = \"x\"\nkind = \"upstream\"\n[upstream]\nurls = "
                                  "[\"http://127.0.0.1:8080/base/\", "
                                  "\"https://[::1]\", \"http://Intranet.Example\"]\n",
                                  "f");
    ASSERT_TRUE(m.ok()) << m.error().message;
    ASSERT_EQ(m->upstream.size(), 3U);
    EXPECT_EQ(m->upstream[0].port, 8080);
    EXPECT_EQ(m->upstream[0].path, "/base");
    EXPECT_EQ(m->upstream[1].host, "::1");
    EXPECT_EQ(m->upstream[1].port, 443);
    EXPECT_TRUE(m->upstream[1].tls);
    EXPECT_EQ(m->upstream[2].host, "intranet.example");
    EXPECT_EQ(m->upstream[2].path, "");
    EXPECT_TRUE(m->strip_prefix);
    for (const char* bad : {"ftp://x", "http://", "http://x:0", "http://x:65536", "http://a b/",
                            "http://x:", "http://u@x/", "http://[::1", "http://[::1]x",
                            "http://x/?q", "http://[zz]/"}) {
        refused(std::string("[app]\nname = \"x\"\nkind = \"upstream\"\n[upstream]\nurls = [\"") +
                bad + "\"]\n");
    }
}

std::string upstream_app(const std::string& more) {
    return "[app]\nname = \"x\"\nkind = \"upstream\"\n[upstream]\nurls = [\"http://a\", "
           "\"https://b/base\"]\n" +
           more;
}

TEST(Manifest, AnUpstreamsDefaultsAreThoseOfTheTable) {
    std::string keys;
    for (const KeyRow& row : manifest_keys()) {
        if (row.section == "upstream" && !row.default_value.empty()) {
            keys += std::string(row.key) + " = " +
                    (row.type == "string" ? "\"" + std::string(row.default_value) + "\""
                                          : std::string(row.default_value)) +
                    "\n";
        }
    }
    const auto plain = parse_manifest(upstream_app("health_path = \"/h\"\n"), "f");
    const auto full = parse_manifest(upstream_app("health_path = \"/h\"\n" + keys), "f");
    ASSERT_TRUE(plain.ok()) << plain.error().message;
    ASSERT_TRUE(full.ok()) << full.error().message;
    for (const auto field :
         {&UpstreamHealth::interval_s, &UpstreamHealth::timeout_s, &UpstreamHealth::fails,
          &UpstreamHealth::passes, &UpstreamHealth::errors, &UpstreamHealth::error_window_s}) {
        EXPECT_EQ(plain->health.*field, full->health.*field);
    }
    EXPECT_EQ(plain->health.status_min, full->health.status_min);
    EXPECT_EQ(plain->health.status_max, full->health.status_max);
    EXPECT_EQ(plain->upstream[1].weight, 1);
}

TEST(Manifest, AddressesHaveWeightsAndChecks) {
    const auto m = parse_manifest(
        upstream_app("weights = [3, 1]\nhealth_path = \"/up\"\nhealth_interval_s = 2\n"
                     "health_status = \"204\"\nhealth_fails = 5\nerrors = 7\n"),
        "f");
    ASSERT_TRUE(m.ok()) << m.error().message;
    EXPECT_EQ(m->upstream[0].weight, 3);
    EXPECT_EQ(m->upstream[1].weight, 1);
    EXPECT_EQ(m->health.path, "/up");
    EXPECT_EQ(m->health.interval_s, 2);
    EXPECT_EQ(m->health.status_min, 204);
    EXPECT_EQ(m->health.status_max, 204);
    EXPECT_EQ(m->health.fails, 5);
    EXPECT_EQ(m->health.errors, 7);
}

TEST(Manifest, WhatDoesNotFitAnUpstreamIsSaidWithItsLineAndWhatToDo) {
    const Error few = refused(upstream_app("weights = [3]\n"));
    EXPECT_THAT(few.message, StartsWith("hasp-app.toml:6: [upstream] weights: has 1 entries, and "
                                        "urls has 2"));
    EXPECT_THAT(few.hint, HasSubstr("in the same order"));
    EXPECT_THAT(refused(upstream_app("weights = [0, 1]\n")).message, HasSubstr("from 1 to 100"));
    EXPECT_THAT(refused(upstream_app("weights = [101, 1]\n")).message, HasSubstr("from 1 to 100"));
    EXPECT_THAT(refused(upstream_app("weights = [\"3\", 1]\n")).message,
                HasSubstr("array of at most 64 integers"));
    EXPECT_THAT(refused(upstream_app("health_interval_s = 5\n")).message,
                HasSubstr("means nothing without health_path"));
    EXPECT_THAT(refused(upstream_app("health_path = \"up\"\n")).message, HasSubstr("'/'"));
    for (const char* range : {"", "199", "600", "300-200", "2xx", "200-", "-300"}) {
        EXPECT_THAT(refused(upstream_app("health_path = \"/\"\nhealth_status = \"" +
                                         std::string(range) + "\"\n"))
                        .message,
                    HasSubstr("[upstream] health_status"));
    }
    EXPECT_THAT(refused(upstream_app("health_pth = \"/\"\n")).hint, HasSubstr("\"health_path\""));
    EXPECT_THAT(refused(upstream_app("health_fails = 0\n")).message, HasSubstr("1-20"));
}

TEST(Manifest, HeadersAreMappedInBothDirections) {
    const auto m = parse_manifest(
        upstream_app("[headers]\nrequest = { Authorization = \"Basic YTpi\", X-Mail = \"{email}\", "
                     "X-Remote-Account = \"{user}\" }\nanswer = { X-Frame-Options = \"DENY\" }\n"
                     "remove = [\"Server\", \"X-Powered-By\"]\n"),
        "f");
    ASSERT_TRUE(m.ok()) << m.error().message;
    ASSERT_EQ(m->headers.request.size(), 3U);
    EXPECT_EQ(m->headers.request[0].name, "Authorization");
    EXPECT_EQ(m->headers.request[1].value, "{email}");
    ASSERT_EQ(m->headers.answer.size(), 1U);
    EXPECT_THAT(m->headers.remove, ElementsAre("Server", "X-Powered-By"));
    EXPECT_TRUE(
        parse_manifest(std::string(process_app) + "[headers]\nremove = [\"Server\"]\n", "f").ok());
}

TEST(Manifest, NoHeaderMapForgesWhoAsksNorTouchesTheConnection) {
    const auto request = [](const std::string& entry) {
        return refused(upstream_app("[headers]\nrequest = { " + entry + " }\n"));
    };
    for (const char* bad :
         {"Host = \"a\"", "Connection = \"close\"", "Transfer-Encoding = \"chunked\"",
          "content-length = \"3\"", "Upgrade = \"h2c\"", "TE = \"trailers\"", "Expect = \"x\"",
          "Cookie = \"a=b\"", "hasp-user = \"root\"", "X-Forwarded-For = \"1.2.3.4\"",
          "Via = \"1.1 x\"", "If-None-Match = \"x\"", "Range = \"bytes=0-\"",
          "Content-Type = \"a/b\"", "X-Request-Id = \"1\"", "Proxy-Connection = \"x\"",
          "Sec-Fetch-Site = \"none\""}) {
        EXPECT_THAT(request(bad).message, HasSubstr("cannot be mapped")) << bad;
    }
    for (const char* forged : {"X-Remote-User = \"root\"", "X-Auth-Request-User = \"root\"",
                               "Remote-Account = \"a{user}\"", "X-User-Id = \"1\""}) {
        EXPECT_THAT(request(forged).message, HasSubstr("who asks")) << forged;
    }
    EXPECT_THAT(request("Remote-User = \"{email}\"").message, HasSubstr("[identity]"));
    EXPECT_THAT(request("X-A = \"1\", x-a = \"2\"").message, HasSubstr("twice"));
    EXPECT_THAT(request("X-A = \"{usr}\"").hint, HasSubstr("{user}"));
    for (const char* value : {"", " a", "a ", "a\\u000d\\u000ab: c", "a\\tb", "ä"}) {
        EXPECT_THAT(request("X-A = \"" + std::string(value) + "\"").message,
                    HasSubstr("printable ASCII"))
            << value;
    }
    EXPECT_THAT(request("X-A = \"" + std::string(1025, 'a') + "\"").message, HasSubstr("1-1024"));
    EXPECT_THAT(request("\"X A\" = \"1\"").message, HasSubstr("no header name"));
    EXPECT_THAT(request("X_A = \"1\"").message, HasSubstr("no header name"));
    for (const char* bad : {"Set-Cookie", "Location", "Cache-Control", "Content-Length",
                            "Transfer-Encoding", "Content-Type", "Hasp-Notice", "Date"}) {
        EXPECT_THAT(
            refused(upstream_app("[headers]\nremove = [\"" + std::string(bad) + "\"]\n")).message,
            HasSubstr("cannot be mapped"));
        EXPECT_THAT(
            refused(upstream_app("[headers]\nanswer = { " + std::string(bad) + " = \"x\" }\n"))
                .message,
            HasSubstr("cannot be mapped"));
    }
    EXPECT_THAT(
        refused(upstream_app("[headers]\nanswer = { X-A = \"1\" }\nremove = [\"x-a\"]\n")).message,
        HasSubstr("set by answer"));
    std::string many = "[headers]\nremove = [";
    for (int i = 0; i < 33; ++i) {
        many += "\"X-" + std::to_string(i) + "\", ";
    }
    EXPECT_THAT(refused(upstream_app(many + "]\n")).message, HasSubstr("more than 32"));
    EXPECT_THAT(refused("[app]\nname = \"x\"\nkind = \"static\"\n[headers]\n").message,
                HasSubstr("[headers]"));
    EXPECT_THAT(refused(upstream_app("[headers]\nreqest = {}\n")).hint, HasSubstr("\"request\""));
}

TEST(Manifest, StaticFilesStayInsideTheRelease) {
    for (const char* root : {"/etc", "../x", "a/../../b", ""}) {
        refused(std::string("[app]\nname = \"x\"\nkind = \"static\"\n[static]\nroot = \"") + root +
                "\"\n");
    }
}

TEST(Manifest, IdentityHeadersAreDistinctAndNotHttpsOwn) {
    const std::string app = "[app]\nname = \"x\"\nkind = \"static\"\n[identity]\n";
    EXPECT_TRUE(
        parse_manifest(app + "user_header = \"X-Remote-User\"\nname_header = \"\"\n", "f").ok());
    for (const char* bad :
         {"user_header = \"Host\"", "user_header = \"hasp-user\"", "user_header = \"a b\"",
          "user_header = \"a_b\"", "user_header = \"Remote-Name\"", "user_header = \"Origin\""}) {
        refused(app + bad + "\n");
    }
}

TEST(Manifest, TheEnvironmentsNamesAreCheckedAndHaspKeepsItsOwn) {
    EXPECT_TRUE(
        parse_manifest(std::string(process_app) + "env = { A_1 = \"{port}\" }\n", "f").ok());
    refused(std::string(process_app) + "env = { HASP_USER = \"x\" }\n");
    refused(std::string(process_app) + "env = { \"A=B\" = \"x\" }\n");
    refused(std::string(process_app) + "env = { A = \"\\u0000\" }\n");
}

TEST(Manifest, WhatItShowsOfABadFileCannotActOnATerminal) {
    const Error e = refused("[app]\n\"\\u001b[2J\" = 1\n");
    EXPECT_EQ(e.message.find('\x1b'), std::string::npos);
}

TEST(Manifest, ALinkInPlaceOfTheFileIsNotFollowed) {
    std::string dir = ::testing::TempDir() + "manifest_XXXXXX";
    ASSERT_NE(::mkdtemp(dir.data()), nullptr);
    std::ofstream(dir + "/real") << process_app;
    ASSERT_EQ(::symlink("real", (dir + "/hasp-app.toml").c_str()), 0);
    const auto m = read_manifest(dir);
    ASSERT_FALSE(m.ok());
    EXPECT_EQ(m.error().code, Code::refused);
    ASSERT_EQ(::rename((dir + "/real").c_str(), (dir + "/hasp-app.toml").c_str()), 0);
    EXPECT_TRUE(read_manifest(dir).ok());
}

TEST(Substitute, ReplacesKnownWordsOnceAndLeavesOtherBraces) {
    Substitutions with;
    with.prefix = "/apps/{user}";
    with.user = "anna";
    with.port = "80";
    EXPECT_EQ(substitute("{prefix}/{user}:{port}{", with), "/apps/{user}/anna:80{");
    EXPECT_EQ(substitute("{\"a\":1}{x}", with), "{\"a\":1}{x}");
}

} // namespace
} // namespace hasp::run
