// The certificates in a real TLS 1.3 handshake, in memory: both sides present their chains and
// judge the other by verify_peer().
#include "test_realm.h"
#include "trust/web_ca.h"

#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

namespace hasp::trust {
namespace {

using testing::now_us;
using testing::Realm;
using testing::year_us;

struct Side {
    PeerExpectation expectation;
    Result<Peer> peer = Error{};
    SSL_CTX* ctx = SSL_CTX_new(TLS_method());
    SSL* ssl = nullptr;

    Side(const Realm& realm, std::size_t i, Relation relation)
        : expectation{realm.id, realm.tiers[i].name, relation} {
        SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION);
        SSL_CTX_set_cert_verify_callback(ctx, &Side::verify, this);
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
        use(read_key(realm.tiers[i].tls.pem()), read_cert(realm.tiers[i].tls_der),
            realm.tls_chain(i));
    }
    Side(const Side&) = delete;
    Side& operator=(const Side&) = delete;
    ~Side() {
        SSL_free(ssl);
        SSL_CTX_free(ctx);
    }

    static EVP_PKEY* read_key(const std::string& pem) {
        BIO* bio = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
        EVP_PKEY* key = PEM_read_bio_PrivateKey(bio, nullptr, nullptr, nullptr);
        BIO_free(bio);
        return key;
    }
    static X509* read_cert(const std::string& der) {
        const auto* at = reinterpret_cast<const unsigned char*>(der.data());
        return d2i_X509(nullptr, &at, static_cast<long>(der.size()));
    }
    static std::string der_of(X509* cert) {
        unsigned char* out = nullptr;
        const int size = i2d_X509(cert, &out);
        std::string der(reinterpret_cast<const char*>(out), static_cast<std::size_t>(size));
        OPENSSL_free(out);
        return der;
    }
    void use(EVP_PKEY* key, X509* cert, const std::vector<std::string>& chain) {
        SSL_CTX_use_certificate(ctx, cert);
        SSL_CTX_use_PrivateKey(ctx, key);
        for (const std::string& der : chain) {
            SSL_CTX_add_extra_chain_cert(ctx, read_cert(der));
        }
        X509_free(cert);
        EVP_PKEY_free(key);
    }
    static int verify(X509_STORE_CTX* store, void* self) {
        auto* side = static_cast<Side*>(self);
        // As TLS hands it over: the leaf first.
        std::vector<std::string> chain;
        STACK_OF(X509)* sent = X509_STORE_CTX_get0_untrusted(store);
        for (int i = 1; i < sk_X509_num(sent); ++i) {
            chain.push_back(der_of(sk_X509_value(sent, i)));
        }
        side->peer =
            verify_peer(der_of(X509_STORE_CTX_get0_cert(store)), chain, side->expectation, now_us);
        return side->peer.ok() ? 1 : 0;
    }
};

bool handshake(Side& child, Side& parent) {
    child.ssl = SSL_new(child.ctx);
    parent.ssl = SSL_new(parent.ctx);
    SSL_set_connect_state(child.ssl);
    SSL_set_accept_state(parent.ssl);
    BIO* a = nullptr;
    BIO* b = nullptr;
    BIO_new_bio_pair(&a, 0, &b, 0);
    SSL_set_bio(child.ssl, a, a);
    SSL_set_bio(parent.ssl, b, b);
    constexpr int flights_max = 10;
    for (int i = 0; i < flights_max; ++i) {
        SSL_do_handshake(child.ssl);
        SSL_do_handshake(parent.ssl);
    }
    return SSL_is_init_finished(child.ssl) == 1 && SSL_is_init_finished(parent.ssl) == 1;
}

TEST(Tls, ChildAndParentKnowEachOtherAfterTheHandshake) {
    const Realm realm({"upper", "center", "tokyo", "ward"});
    for (std::size_t i = 0; i + 1 < realm.tiers.size(); ++i) {
        Side child(realm, i + 1, Relation::parent);
        Side parent(realm, i, Relation::child);
        ASSERT_TRUE(handshake(child, parent));
        EXPECT_EQ(child.peer.value().name, realm.tiers[i].name);
        EXPECT_EQ(parent.peer.value().tls_fingerprint, realm.tiers[i + 1].tls.fingerprint());
    }
}

TEST(Tls, AChildOfAnotherRealmDoesNotGetIn) {
    const Realm ours({"upper", "center"});
    const Realm theirs({"upper", "center"}, 2);
    Side child(theirs, 1, Relation::parent);
    Side parent(ours, 0, Relation::child);
    EXPECT_FALSE(handshake(child, parent));
    EXPECT_FALSE(child.peer.ok());
}

TEST(Tls, ABrowserThatTrustsTheWebCaAcceptsItsNamesOnly) {
    SeededRandom random(7);
    const TlsKey ca_key = TlsKey::generate(random);
    const TlsKey key = TlsKey::generate(random);
    const Validity validity = valid_for(now_us, year_us);
    const WebNames lab = WebNames::parse({"localhost", "127.0.0.0/8", "::1"}).value();
    const std::string ca = issue_web_ca(ca_key, "hasp lab", lab, validity, random).value();
    X509* root = Side::read_cert(ca);
    X509* leaf = Side::read_cert(
        issue_web_leaf(ca_key, ca, {"localhost", "*.clinic.localhost", "127.0.0.1", "::1"},
                       key.spki_der(), validity, random)
            .value());
    X509_STORE* store = X509_STORE_new();
    X509_STORE_add_cert(store, root);
    X509_STORE_CTX* ctx = X509_STORE_CTX_new();
    X509_STORE_CTX_init(ctx, store, leaf, nullptr);
    X509_STORE_CTX_set_default(ctx, "ssl_server");
    X509_VERIFY_PARAM_set_flags(X509_STORE_CTX_get0_param(ctx), X509_V_FLAG_X509_STRICT);
    X509_VERIFY_PARAM_set_time(X509_STORE_CTX_get0_param(ctx), now_us / 1'000'000);
    EXPECT_EQ(X509_verify_cert(ctx), 1)
        << X509_verify_cert_error_string(X509_STORE_CTX_get_error(ctx));
    EXPECT_EQ(X509_check_host(leaf, "wiki.clinic.localhost", 0, 0, nullptr), 1);
    EXPECT_EQ(X509_check_host(leaf, "wiki.localhost", 0, 0, nullptr), 0);
    EXPECT_EQ(X509_check_ip_asc(leaf, "127.0.0.1", 0), 1);
    EXPECT_EQ(X509_check_ip_asc(leaf, "::1", 0), 1);
    EXPECT_EQ(X509_check_ip_asc(leaf, "127.0.0.2", 0), 0);
    X509_STORE_CTX_free(ctx);
    X509_STORE_free(store);
    X509_free(leaf);
    X509_free(root);
}

} // namespace
} // namespace hasp::trust
