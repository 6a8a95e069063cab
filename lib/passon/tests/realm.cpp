#include "harness.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

namespace hasp::passon::testing {

struct TestRealm::Keys {
    EVP_PKEY* key = nullptr;
    X509* ca = nullptr;
    ~Keys() {
        EVP_PKEY_free(key);
        X509_free(ca);
    }
};

namespace {

std::string pem_of(const std::function<int(BIO*)>& write) {
    BIO* bio = BIO_new(BIO_s_mem());
    write(bio);
    char* data = nullptr;
    const long size = BIO_get_mem_data(bio, &data);
    std::string out(data, static_cast<std::size_t>(size));
    BIO_free(bio);
    return out;
}

X509* certificate(const std::string& name, EVP_PKEY* key, X509* issuer, EVP_PKEY* issuer_key,
                  bool ca) {
    static std::atomic<long> serial{1};
    X509* out = X509_new();
    X509_set_version(out, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(out), serial++);
    X509_gmtime_adj(X509_getm_notBefore(out), -3600);
    X509_gmtime_adj(X509_getm_notAfter(out), 86400);
    X509_set_pubkey(out, key);
    X509_NAME* subject = X509_get_subject_name(out);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                               reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
    X509_set_issuer_name(out, issuer == nullptr ? subject : X509_get_subject_name(issuer));
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer == nullptr ? out : issuer, out, nullptr, nullptr, 0);
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, NID_basic_constraints,
                                                    ca ? "critical,CA:TRUE" : "critical,CA:FALSE");
    X509_add_ext(out, extension, -1);
    X509_EXTENSION_free(extension);
    X509_sign(out, issuer_key, EVP_sha256());
    return out;
}

} // namespace

TestRealm::TestRealm() : keys_(std::make_unique<Keys>()) {
    keys_->key = EVP_EC_gen("P-256");
    keys_->ca = certificate("test realm", keys_->key, nullptr, keys_->key, true);
    ca_pem = pem_of([this](BIO* bio) { return PEM_write_bio_X509(bio, keys_->ca); });
}
TestRealm::~TestRealm() = default;

TestRealm::Leaf TestRealm::issue(const std::string& common_name) const {
    EVP_PKEY* key = EVP_EC_gen("P-256");
    X509* leaf = certificate(common_name, key, keys_->ca, keys_->key, false);
    Leaf out;
    out.chain_pem = pem_of([&](BIO* bio) { return PEM_write_bio_X509(bio, leaf); });
    out.key_pem = pem_of([&](BIO* bio) {
        return PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr);
    });
    X509_free(leaf);
    EVP_PKEY_free(key);
    return out;
}

Result<std::string> TestRealm::name_of(const std::vector<std::string>& chain) {
    if (chain.empty()) {
        return fail(Code::refused, "no certificate");
    }
    const auto* bytes = reinterpret_cast<const unsigned char*>(chain.front().data());
    X509* leaf = d2i_X509(nullptr, &bytes, static_cast<long>(chain.front().size()));
    char name[100] = {};
    X509_NAME_get_text_by_NID(X509_get_subject_name(leaf), NID_commonName, name, sizeof name);
    X509_free(leaf);
    return std::string(name);
}

} // namespace hasp::passon::testing
