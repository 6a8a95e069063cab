// Certificates for browsers by the realm's own authority: asked for over the link, for keys that
// stay on the box, for the tier's own names alone.
#include "tree.h"

#include "base/clock.h"
#include "base/files.h"
#include "base/text.h"
#include "trust/web_ca.h"

namespace hasp::maint::tests {

namespace {

Config asking(const std::string& host) {
    Config config;
    config.link.heartbeat_s = 300;
    config.web.tls_listen = {"127.0.0.1:8443"};
    config.web.tls_from = Config::TlsFrom::lan;
    config.web.app_host = "{app}." + host;
    return config;
}

Config signing(const std::string& host) {
    Config config = asking(host);
    config.web_ca.names = {"clinic.lan", "10.0.0.0/8"};
    config.web_ca.assign = {"tokyo=booking.clinic.lan"};
    return config;
}

struct Browsers : testing::Test {
    Tree tree;
    Node& center = tree.top("center", signing("clinic.lan"));

    Browsers() { tree.pass_s(2); }

    // The last that front was given; empty: none.
    static Json shown(const Node& node) {
        Json out = Json::object();
        for (const Json& order : node.to_front) {
            if (text_of(order, "t") == "web.certificate") {
                out = order;
            }
        }
        return out;
    }
    static trust::WebCertificate seen(const Node& node) {
        const auto chain = trust::from_pem(text_of(shown(node), "chain"));
        return chain.ok() ? trust::read_web_certificate(chain->front()).value()
                          : trust::WebCertificate{};
    }
    std::int64_t days_left(const Node& node) const {
        return (seen(node).to_us - tree.clock.wall_us()) / day_us;
    }
    static Json certificate(Node& node) { return member(node.status(), "browser_certificate"); }
    static std::string authority(Node& node) {
        const auto said = node.admin("ca.show");
        return said.ok() ? text_of(*said, "certificate") : said.error().message;
    }
    // What the center answers to a request that the child's keeper did not make.
    Json forged(Node& child, const std::string& tier, const std::vector<std::string>& names) {
        const trust::TlsKey key = trust::TlsKey::generate(tree.random);
        const std::size_t before = tree.crossed.size();
        tree.forge(child, {{"t", "web.certify"},
                           {"q", 999},
                           {"tier", tier},
                           {"from", "lan"},
                           {"request", to_base64url(trust::make_web_request(key, names).value())}});
        for (std::size_t i = before; i < tree.crossed.size(); ++i) {
            if (int_of(tree.crossed[i].head, "q") == 999 &&
                text_of(tree.crossed[i].head, "t") == "re") {
                return tree.crossed[i].head;
            }
        }
        return "no answer";
    }
};

} // namespace

TEST_F(Browsers, ATierAtAnyDepthHasACertificateForItsNamesFromTheFirstContactOn) {
    Node& tokyo = tree.below(center, "tokyo", asking("tokyo.clinic.lan"));
    Node& desk = tree.below(tokyo, "desk", asking("desk.tokyo.clinic.lan"));
    tree.pass_s(2);
    EXPECT_EQ(seen(center).names, (std::vector<std::string>{"clinic.lan", "*.clinic.lan"}));
    EXPECT_EQ(seen(desk).names,
              (std::vector<std::string>{"desk.tokyo.clinic.lan", "*.desk.tokyo.clinic.lan"}));
    EXPECT_GE(days_left(desk), 46);
    EXPECT_EQ(seen(desk).tls_fingerprint,
              trust::TlsKey::from_pem(text_of(shown(desk), "key"))->fingerprint());
    EXPECT_EQ(trust::from_pem(text_of(shown(desk), "chain"))->size(), 1U)
        << "who trusts the authority has it";
    // The same authority is there to be handed out at each of them.
    EXPECT_EQ(authority(desk), authority(center));
    EXPECT_EQ(authority(tokyo), authority(center));
    // The key crossed no link.
    for (const Crossed& one : tree.crossed) {
        EXPECT_EQ((dump(one.head) + one.body).find("PRIVATE"), std::string::npos);
    }
}

TEST_F(Browsers, ItIsRenewedOverTheLinkEarlyEnoughForTheTimeThatIsLentAndNotAtEveryContact) {
    Node& tokyo = tree.below(center, "tokyo", asking("tokyo.clinic.lan"));
    tree.pass_s(2);
    const std::string first = seen(tokyo).tls_fingerprint;
    const std::size_t asked = tree.count("web.certify");
    // Heard of once a day. 30 days are lent: as many are left, until it is renewed.
    for (int day = 1; day < 30; ++day) {
        tree.cut(tokyo);
        tree.clock.advance_us(day_us);
        ASSERT_TRUE(tree.link(tokyo));
        tree.pass_s(2);
        EXPECT_GE(days_left(tokyo), 29) << day;
        if (day < 14) {
            EXPECT_EQ(tree.count("web.certify"), asked) << day;
        }
    }
    EXPECT_EQ(tree.count("web.certify"), asked + 1);
    EXPECT_NE(seen(tokyo).tls_fingerprint, first) << "with another key";
}

TEST_F(Browsers, WhatIsHeldIsShownWithoutTheLinkAfterARestartAndToANewFront) {
    Node& tokyo = tree.below(center, "tokyo", asking("tokyo.clinic.lan"));
    tree.pass_s(2);
    const std::string first = seen(tokyo).tls_fingerprint;
    tree.cut(tokyo);
    tokyo.to_front.clear();
    tree.restart(tokyo);
    EXPECT_EQ(seen(tokyo).tls_fingerprint, first);
    tokyo.to_front.clear();
    tokyo.keeper->front_gone();
    tokyo.keeper->front_connected();
    EXPECT_EQ(seen(tokyo).tls_fingerprint, first);
    // In the second half of the life, after weeks in the dark, the first contact brings the next.
    tree.clock.advance_us(40 * day_us);
    tree.pass_s(2);
    EXPECT_EQ(seen(tokyo).tls_fingerprint, first);
    ASSERT_TRUE(tree.link(tokyo));
    tree.pass_s(2);
    EXPECT_GE(days_left(tokyo), 46);
}

TEST_F(Browsers, AQuestionThatWasCutIsAskedAgainForTheSameKey) {
    Node& tokyo = tree.below(center, "tokyo", asking("other.example"));
    tree.pass_s(2);
    const std::string key = *read_file(tokyo.state + "/keys/web-next-key.pem", 4096);
    tokyo.config.web.app_host = "{app}.tokyo.clinic.lan";
    tree.restart(tokyo);
    tree.pass_s(2);
    EXPECT_EQ(text_of(shown(tokyo), "key"), key);
    EXPECT_FALSE(read_file(tokyo.state + "/keys/web-next-key.pem", 4096).ok());
}

TEST_F(Browsers, NobodyGetsACertificateForAnothersNames) {
    Node& tokyo = tree.below(center, "tokyo", asking("osaka.clinic.lan"));
    tree.pass_s(2);
    EXPECT_TRUE(shown(tokyo).empty());
    const Json said = certificate(tokyo);
    EXPECT_NE(text_of(said, "error").find("'osaka.clinic.lan' is not a name of"), std::string::npos)
        << said.dump();
    const std::string me = "hasp://clinics/center/tokyo";
    EXPECT_FALSE(forged(tokyo, me, {"booking.clinic.lan"}).contains("error")) << "it is assigned";
    for (const char* name : {"clinic.lan", "*.clinic.lan", "bank.example", "10.1.2.3"}) {
        EXPECT_TRUE(forged(tokyo, me, {"tokyo.clinic.lan", name}).contains("error")) << name;
    }
    for (const char* tier : {"hasp://clinics/center", "hasp://clinics/center/osaka",
                             "hasp://other/center/tokyo", "", "tokyo"}) {
        EXPECT_TRUE(forged(tokyo, tier, {"osaka.clinic.lan"}).contains("error")) << tier;
    }
    tree.forge(
        tokyo,
        {{"t", "web.certify"}, {"q", 1000}, {"tier", me}, {"from", "lan"}, {"request", "bm9uZQ"}});
}

TEST_F(Browsers, NamesThatAreNewInTheConfigAreAskedForAtOnce) {
    Config config = asking("tokyo.clinic.lan");
    Node& tokyo = tree.below(center, "tokyo", config);
    tree.pass_s(2);
    const std::string held = seen(tokyo).tls_fingerprint;
    ASSERT_FALSE(held.empty());
    tree.pass_s(2);
    EXPECT_EQ(text_of(certificate(tokyo), "error"), "");
    // Names that are asked for from now on, of which the held one has none.
    tokyo.config.web.tls_names = {"wiki.new.tokyo.clinic.lan"};
    tree.restart(tokyo);
    tree.pass_s(2);
    EXPECT_EQ(seen(tokyo).names, (std::vector<std::string>{"wiki.new.tokyo.clinic.lan"}));
}

TEST_F(Browsers, WithoutAnAuthorityTheReasonIsSaid) {
    Tree other;
    Node& top = other.top("center", asking("clinic.lan"));
    Node& tokyo = other.below(top, "tokyo", asking("tokyo.clinic.lan"));
    other.pass_s(3);
    EXPECT_NE(text_of(certificate(tokyo), "error").find("set names under [web_ca]"),
              std::string::npos);
    EXPECT_EQ(tokyo.admin("ca.show").error().code, Code::not_found);
    EXPECT_EQ(tokyo.admin("ca.renew").error().code, Code::not_found);
    EXPECT_LT(other.count("web.certify"), 3U);
    other.pass_s(3 * 3600, 60);
    EXPECT_LT(other.count("web.certify"), 12U) << "ever more seldom";
}

TEST_F(Browsers, TheNextAuthorityIsMadeBeforeItIsUsedAndSurvivesACutInBetween) {
    const std::string first = authority(center);
    EXPECT_EQ(center.admin("ca.renew", {{"use", true}}).error().code, Code::conflict);
    const auto made = center.admin("ca.renew");
    ASSERT_TRUE(made.ok());
    const std::string next = text_of(*made, "next");
    EXPECT_EQ(text_of(*made, "certificate"), first);
    EXPECT_EQ(center.admin("ca.renew").error().code, Code::conflict);
    tree.restart(center);
    EXPECT_EQ(authority(center), first);
    // A crash between putting the next one's key in place and its certificate.
    const std::string keys = center.state + "/keys/";
    ASSERT_TRUE(write_file_durably(keys + "web-ca-key.pem",
                                   *read_file(keys + "web-ca-next-key.pem", 4096), 0600)
                    .ok());
    tree.restart(center);
    EXPECT_EQ(authority(center), next);
    EXPECT_FALSE(member(*center.admin("ca.show"), "next").is_string());
    tree.restart(center);
    EXPECT_EQ(authority(center), next);
}

TEST_F(Browsers, AnAuthorityWhoseConfigNamesOthersThanItsCertificateSaysSo) {
    const std::string first = authority(center);
    center.config.web_ca.names = {"clinic.lan", "bank.example"};
    tree.restart(center);
    const auto said = center.admin("ca.show");
    ASSERT_TRUE(said.ok());
    EXPECT_EQ(text_of(*said, "certificate"), first);
    EXPECT_EQ(texts_of(*said, "names_differ"), center.config.web_ca.names);
    center.config.web.tls_names = {"bank.example"};
    tree.restart(center);
    tree.pass_s(2);
    EXPECT_NE(text_of(certificate(center), "error").find("may not sign for 'bank.example'"),
              std::string::npos);
    ASSERT_TRUE(center.admin("ca.renew").ok() && center.admin("ca.renew", {{"use", true}}).ok());
    tree.pass_s(400, 10);
    EXPECT_EQ(seen(center).names, (std::vector<std::string>{"bank.example"}));
}

TEST_F(Browsers, TheOfflineReportSaysWhenItEndsAndWhetherThatIsLongEnough) {
    Config config = asking("tokyo.clinic.lan");
    Node& tokyo = tree.below(center, "tokyo", config);
    tree.pass_s(2);
    const auto asked = [&](Node& at) {
        const auto said = at.admin("offline.report", {{"at", "tokyo"}});
        EXPECT_TRUE(said.ok());
        return said.ok() ? member(*said, "certificate") : Json();
    };
    Json said = asked(center);
    EXPECT_EQ(text_of(said, "from"), "lan");
    EXPECT_EQ(text_of(said, "ends"), rfc3339(seen(tokyo).to_us));
    EXPECT_LT(text_of(said, "renews"), text_of(said, "ends"));
    EXPECT_EQ(int_of(said, "wanted_days"), 30);
    EXPECT_EQ(int_of(said, "allows_days"), 30);
    EXPECT_EQ(text_of(said, "short"), "");
    // A realm that wants 90 days, and is told what 47 allow and what to do.
    tokyo.config.web.offline_days = 90;
    tree.restart(tokyo);
    said = asked(center);
    EXPECT_EQ(int_of(said, "allows_days"), 31);
    EXPECT_EQ(text_of(said, "short"),
              "HTTPS ends first: the tier is to do without its link for 90 days, and its "
              "certificate allows 31; set days = 136 or more under [web_ca] at the authority");
    center.config.web_ca.days = 136;
    tree.restart(center);
    tree.cut(tokyo);
    tree.clock.advance_us(20 * day_us);
    ASSERT_TRUE(tree.link(tokyo));
    tree.pass_s(2);
    said = asked(center);
    EXPECT_EQ(text_of(said, "short"), "") << said.dump();
    EXPECT_EQ(int_of(said, "allows_days"), 90);
    // Dark, by its last report.
    tree.pass_s(1900, 100);
    tree.cut(tokyo);
    EXPECT_EQ(text_of(asked(center), "ends"), rfc3339(seen(tokyo).to_us));
}

TEST_F(Browsers, ARenewalThatDoesNotComeIsSaidToBeOverdueAndWhatIsLeftIsTold) {
    Node& tokyo = tree.below(center, "tokyo", asking("tokyo.clinic.lan"));
    tree.pass_s(2);
    ASSERT_EQ(text_of(certificate(tokyo), "short"), "");
    tree.cut(tokyo);
    tree.clock.advance_us(37 * day_us);
    tree.pass_s(2);
    Json said = certificate(tokyo);
    EXPECT_EQ(int_of(said, "allows_days"), 9);
    EXPECT_NE(text_of(said, "short").find("allows 9; its renewal is overdue"), std::string::npos)
        << said.dump();
    tree.clock.advance_us(20 * day_us);
    EXPECT_EQ(int_of(certificate(tokyo), "allows_days"), 0);
    ASSERT_TRUE(tree.link(tokyo));
    tree.pass_s(2);
    said = certificate(tokyo);
    EXPECT_EQ(int_of(said, "allows_days"), 30);
    EXPECT_EQ(text_of(said, "short"), "");
}

TEST_F(Browsers, AKeyOfAQuestionThatWasAnsweredIsNotUsedForTheNextOne) {
    Node& tokyo = tree.below(center, "tokyo", asking("tokyo.clinic.lan"));
    tree.pass_s(2);
    const std::string key = text_of(shown(tokyo), "key");
    // As a crash leaves it, between keeping the certificate and forgetting the question.
    ASSERT_TRUE(write_file_durably(tokyo.state + "/keys/web-next-key.pem", key, 0600).ok());
    tree.restart(tokyo);
    EXPECT_FALSE(read_file(tokyo.state + "/keys/web-next-key.pem", 4096).ok());
}

TEST_F(Browsers, OfFilesTheEndIsToldAndWhatIsShortOfTheLeases) {
    const trust::TlsKey key = trust::TlsKey::generate(tree.random);
    const auto permitted = trust::WebNames::parse({"clinic.example"}).value();
    const auto validity = trust::valid_for(tree.clock.wall_us(), 20 * day_us);
    const std::string file = tree.folder("web.pem");
    const std::string ca =
        trust::issue_web_ca(key, "A public one", permitted, validity, tree.random).value();
    const auto leaf =
        trust::issue_web_leaf(key, ca, {"clinic.example"}, key.spki_der(), validity, tree.random);
    ASSERT_TRUE(write_file_durably(file, trust::to_pem({*leaf, ca}), 0600).ok());
    Config config;
    config.web.tls_listen = {"127.0.0.1:8443"};
    config.web.tls_cert = file;
    config.web.tls_key = file;
    Node& tokyo = tree.below(center, "tokyo", config);
    Json said = certificate(tokyo);
    EXPECT_EQ(text_of(said, "from"), "files");
    EXPECT_EQ(text_of(said, "issuer"), "A public one");
    EXPECT_EQ(text_of(said, "ends"), rfc3339(tree.clock.wall_us() + 20 * day_us));
    EXPECT_NE(text_of(said, "short").find("for 30 days, and its certificate allows 20; replace"),
              std::string::npos);
    EXPECT_TRUE(shown(tokyo).empty()) << "front reads files by itself";
    ASSERT_TRUE(write_file_durably(file, "no certificate", 0600).ok());
    tree.pass_s(61);
    EXPECT_NE(text_of(certificate(tokyo), "error").find(file), std::string::npos);
}

TEST_F(Browsers, WhatAnAuthorityOutsideRefusesIsSaidAtTheBoxAndNotAskedForAgainAtOnce) {
    center.config.acme.directory = "https://acme.test/directory";
    center.config.acme.names = {"clinic.lan"};
    center.config.acme.dns_hook = "/bin/true";
    tree.restart(center);
    int orders = 0;
    center.outside = [&](const OutsideCall& call) -> OutsideAnswer {
        if (call.url.ends_with("/directory")) {
            return {
                200,
                {},
                R"({"newNonce":"https://acme.test/n","newAccount":"https://acme.test/a","newOrder":"https://acme.test/o"})"};
        }
        OutsideAnswer out{200, {{"replay-nonce", "n"}, {"location", "https://acme.test/1"}}, "{}"};
        if (call.url.ends_with("/o")) {
            ++orders;
            out = {429,
                   {{"replay-nonce", "n"}, {"retry-after", "7200"}},
                   R"({"type":"urn:ietf:params:acme:error:rateLimited","detail":"too many"})"};
        }
        return out;
    };
    Config config = asking("tokyo.clinic.lan");
    config.web.tls_from = Config::TlsFrom::acme;
    Node& tokyo = tree.below(center, "tokyo", config);
    tree.pass_s(10);
    EXPECT_EQ(text_of(certificate(tokyo), "error"), "the authority: rateLimited: too many");
    EXPECT_EQ(text_of(member(center.status(), "acme")["orders"][0], "state"), "failed");
    tree.pass_s(7000, 100);
    EXPECT_EQ(orders, 1) << "it waits as long as it was told to, for the same key and names";
    tree.pass_s(3000, 100);
    EXPECT_EQ(orders, 2);
    // Names of others never reach it.
    Node& osaka = tree.below(center, "osaka", config);
    tree.pass_s(10);
    EXPECT_NE(text_of(certificate(osaka), "error").find("is not a name of"), std::string::npos);
    EXPECT_EQ(member(center.status(), "acme")["orders"].size(), 1U);
}

} // namespace hasp::maint::tests
