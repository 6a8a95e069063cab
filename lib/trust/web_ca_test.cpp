// The authority for browsers signs for its names alone, and what trusts it trusts it no further.
#include "trust/web_ca.h"

#include "base/random.h"
#include "crypto.h"
#include "x509.h"

#include <gtest/gtest.h>
#include <openssl/x509v3.h>

namespace hasp::trust {
namespace {

constexpr std::int64_t signed_us = 1'800'000'000LL * 1'000'000;
constexpr std::int64_t day_us = 86'400LL * 1'000'000;

struct Authority {
    explicit Authority(const std::vector<std::string>& names)
        : permitted(WebNames::parse(names).value()),
          ca(issue_web_ca(key, "The LAN", permitted, valid_for(signed_us, 1000 * day_us), random)
                 .value()) {}
    SeededRandom random{7};
    TlsKey key = TlsKey::generate(random);
    TlsKey leaf_key = TlsKey::generate(random);
    WebNames permitted;
    std::string ca;

    Result<std::string> leaf(const std::vector<std::string>& names, std::int64_t days = 47) {
        return issue_web_leaf(key, ca, names, leaf_key.spki_der(),
                              valid_for(signed_us, days * day_us), random);
    }
    // A certificate that the authority's key signs without looking at its constraints: what a
    // thief of that key would make.
    std::string stolen(const std::string& alt_names, bool is_ca = false) {
        detail::CertSpec spec;
        spec.subject.emplace_back("CN", "thief");
        spec.alt_names = alt_names;
        spec.is_ca = is_ca;
        spec.extended_usage = "serverAuth";
        spec.public_key = leaf_key.handle().pkey.get();
        spec.validity = valid_for(signed_us, day_us);
        return detail::build(spec, detail::parse(ca)->get(), key.handle().pkey.get(), random)
            .value();
    }
    // OpenSSL's verdict on a server's certificate under this root.
    int verify(const std::string& leaf_der, const std::string& between = {}) const {
        const detail::Cert root = detail::parse(ca).value();
        const detail::Cert cert = detail::parse(leaf_der).value();
        const detail::Owned<X509_STORE, X509_STORE_free> store(X509_STORE_new());
        X509_STORE_add_cert(store.get(), root.get());
        STACK_OF(X509)* others = sk_X509_new_null();
        const detail::Cert middle =
            between.empty() ? nullptr : std::move(detail::parse(between)).value();
        if (middle) {
            sk_X509_push(others, middle.get());
        }
        const detail::Owned<X509_STORE_CTX, X509_STORE_CTX_free> ctx(X509_STORE_CTX_new());
        X509_STORE_CTX_init(ctx.get(), store.get(), cert.get(), others);
        X509_STORE_CTX_set_default(ctx.get(), "ssl_server");
        X509_VERIFY_PARAM_set_flags(X509_STORE_CTX_get0_param(ctx.get()), X509_V_FLAG_X509_STRICT);
        X509_VERIFY_PARAM_set_time(X509_STORE_CTX_get0_param(ctx.get()), signed_us / 1'000'000);
        X509_verify_cert(ctx.get());
        sk_X509_free(others);
        return X509_STORE_CTX_get_error(ctx.get());
    }
};

} // namespace

TEST(WebNames, CoverASubtreeAndANetworkAndNothingBeside) {
    const WebNames names =
        WebNames::parse({"clinic.lan", "10.1.0.0/16", "fd00::/8", "192.0.2.7"}).value();
    for (const char* good : {"clinic.lan", "wiki.clinic.lan", "*.clinic.lan", "a.b.clinic.lan",
                             "10.1.2.3", "fd12::1", "192.0.2.7"}) {
        EXPECT_TRUE(names.covers(good)) << good;
    }
    for (const char* bad :
         {"notclinic.lan", "lan", "*.lan", "clinic.lan.evil", "10.2.0.1", "fe80::1", "192.0.2.8",
          "", "*", ".clinic.lan", "a..clinic.lan", "A.clinic.lan", "a,DNS:b.clinic.lan"}) {
        EXPECT_FALSE(names.covers(bad)) << bad;
    }
    for (const char* bad : {"", "*.clinic.lan", "10.1.0.1/16", "10.0.0.0/33", "fd00::/129",
                            "Clinic.lan", "10.0.0", "10.0.0.0/", "a b", "10.0.0.256"}) {
        EXPECT_FALSE(WebNames::parse({bad}).ok()) << bad;
    }
    const auto contains = [&](const char* inner) {
        return names.contains(WebNames::parse({inner}).value());
    };
    EXPECT_TRUE(contains("tokyo.clinic.lan") && contains("10.1.7.0/24") && contains("10.1.0.0/16"));
    EXPECT_FALSE(contains("lan") || contains("10.0.0.0/8") || contains("10.2.0.0/16") ||
                 contains("::/0"));
    EXPECT_EQ(names.texts(),
              (std::vector<std::string>{"clinic.lan", "10.1.0.0/16", "fd00::/8", "192.0.2.7"}));
}

TEST(WebCa, OpensslTakesWhatItSignedForItsNames) {
    Authority lan({"clinic.lan", "10.1.0.0/16", "fd00::/8"});
    const auto leaf = lan.leaf({"clinic.lan", "*.tokyo.clinic.lan", "10.1.2.3", "fd00::7"});
    ASSERT_TRUE(leaf.ok()) << leaf.error().message;
    EXPECT_EQ(lan.verify(*leaf), X509_V_OK);
}

TEST(WebCa, SignsForNoOtherName) {
    Authority lan({"clinic.lan", "10.1.0.0/16"});
    for (const char* bad : {"bank.example", "lan", "*.lan", "10.2.0.1", "::1", "clinic.lan.evil"}) {
        EXPECT_EQ(lan.leaf({"clinic.lan", bad}).error().code, Code::refused) << bad;
    }
    EXPECT_FALSE(lan.leaf({"clinic.lan"}, 1001).ok()) << "it would outlive the authority";
}

TEST(WebCa, OpensslRefusesAnotherNameEvenIfItsKeySignedIt) {
    Authority lan({"clinic.lan", "10.1.0.0/16"});
    EXPECT_EQ(lan.verify(lan.stolen("DNS:wiki.clinic.lan,IP:10.1.0.9")), X509_V_OK);
    EXPECT_EQ(lan.verify(lan.stolen("DNS:bank.example")), X509_V_ERR_PERMITTED_VIOLATION);
    EXPECT_EQ(lan.verify(lan.stolen("IP:10.2.0.9")), X509_V_ERR_PERMITTED_VIOLATION);
    EXPECT_NE(lan.verify(lan.stolen("IP:2001:db8::1")), X509_V_OK);
}

TEST(WebCa, AnAuthorityOfNamesHasNoAddressesAndOneOfAddressesNoNames) {
    Authority names({"clinic.lan"});
    EXPECT_EQ(names.verify(names.stolen("IP:10.1.0.9")), X509_V_ERR_EXCLUDED_VIOLATION);
    EXPECT_EQ(names.verify(names.stolen("IP:2001:db8::1")), X509_V_ERR_EXCLUDED_VIOLATION);
    Authority addresses({"10.1.0.0/16"});
    EXPECT_EQ(addresses.verify(addresses.leaf({"10.1.0.9"}).value()), X509_V_OK);
    EXPECT_EQ(addresses.verify(addresses.stolen("DNS:bank.example")),
              X509_V_ERR_EXCLUDED_VIOLATION);
}

TEST(WebCa, SignsNoFurtherAuthority) {
    Authority lan({"clinic.lan"});
    const std::string middle = lan.stolen("", true);
    detail::CertSpec spec;
    spec.subject.emplace_back("CN", "below");
    spec.alt_names = "DNS:wiki.clinic.lan";
    spec.extended_usage = "serverAuth";
    spec.public_key = lan.leaf_key.handle().pkey.get();
    spec.validity = valid_for(signed_us, day_us);
    const std::string below = detail::build(spec, detail::parse(middle)->get(),
                                            lan.leaf_key.handle().pkey.get(), lan.random)
                                  .value();
    EXPECT_EQ(lan.verify(below, middle), X509_V_ERR_PATH_LENGTH_EXCEEDED);
}

TEST(WebCa, SaysWhatItPermitsAndIsNotMadeWithoutNames) {
    const std::vector<std::string> names{"clinic.lan", "branch.example", "10.1.0.0/16", "fd00::/8"};
    EXPECT_EQ(web_ca_permits(Authority(names).ca)->texts(), names);
    SeededRandom random(1);
    const TlsKey key = TlsKey::generate(random);
    EXPECT_FALSE(issue_web_ca(key, "x", WebNames(), valid_for(signed_us, day_us), random).ok());
    Authority lan({"clinic.lan"});
    EXPECT_FALSE(web_ca_permits(lan.leaf({"clinic.lan"}).value()).ok());
}

TEST(WebRequest, ComesBackWithItsNamesAndItsKey) {
    SeededRandom random(3);
    const TlsKey key = TlsKey::generate(random);
    const std::vector<std::string> names{"*.tokyo.clinic.lan", "tokyo.clinic.lan", "10.1.0.9",
                                         "fd00::9"};
    const std::string der = make_web_request(key, names).value();
    const auto read = read_web_request(der);
    ASSERT_TRUE(read.ok()) << read.error().message;
    EXPECT_EQ(read->names, names);
    EXPECT_EQ(read->tls_spki_der, key.spki_der());
    for (std::size_t cut = 0; cut < der.size(); ++cut) {
        EXPECT_FALSE(read_web_request(der.substr(0, cut)).ok()) << cut;
    }
    EXPECT_FALSE(read_web_request(der + "x").ok());
    for (std::size_t at = 0; at < der.size(); ++at) {
        std::string altered = der;
        altered[at] = static_cast<char>(altered[at] ^ 1);
        EXPECT_FALSE(read_web_request(altered).ok()) << "byte " << at << " is signed for";
    }
    EXPECT_FALSE(make_web_request(key, {}).ok());
    for (const char* bad : {"", "a b", "A.lan", "x@y.lan", "hasp://clinics", "a,b", "*"}) {
        EXPECT_FALSE(make_web_request(key, {bad}).ok()) << bad;
    }
}

TEST(WebCertificate, SaysItsNamesItsEndAndItsKey) {
    Authority lan({"clinic.lan"});
    const auto said =
        read_web_certificate(lan.leaf({"*.tokyo.clinic.lan", "tokyo.clinic.lan"}).value());
    ASSERT_TRUE(said.ok());
    EXPECT_EQ(said->to_us, signed_us + 47 * day_us);
    EXPECT_EQ(said->issuer, "The LAN");
    EXPECT_EQ(said->tls_fingerprint, lan.leaf_key.fingerprint());
    EXPECT_FALSE(said->self_signed);
    EXPECT_TRUE(is_for(*said, "wiki.tokyo.clinic.lan"));
    EXPECT_TRUE(is_for(*said, "TOKYO.clinic.lan"));
    EXPECT_TRUE(is_for(*said, "*.tokyo.clinic.lan"));
    EXPECT_FALSE(is_for(*said, "a.b.tokyo.clinic.lan"));
    EXPECT_FALSE(is_for(*said, "osaka.clinic.lan"));
    EXPECT_TRUE(read_web_certificate(lan.ca)->self_signed);
}

} // namespace hasp::trust
