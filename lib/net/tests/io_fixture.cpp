#include "io_fixture.h"

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

namespace hasp::net {
namespace {

std::string text_of(BIO* bio) {
    char* data = nullptr;
    const long size = BIO_get_mem_data(bio, &data);
    std::string out(data, static_cast<std::size_t>(size));
    BIO_free(bio);
    return out;
}

void extend(X509* certificate, X509* issuer, int id, const std::string& value) {
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, id, value.c_str());
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
}

TestCertificate issue(const std::string& name, const TestCertificate* authority) {
    EVP_PKEY* key = EVP_EC_gen("P-256");
    X509* certificate = X509_new();
    X509_set_version(certificate, 2);
    static long serial = 1;
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_set_pubkey(certificate, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_UTF8,
                               reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
    X509* issuer = certificate;
    EVP_PKEY* issuer_key = key;
    if (authority != nullptr) {
        BIO* pem = BIO_new_mem_buf(authority->pem.data(), -1);
        issuer = PEM_read_bio_X509(pem, nullptr, nullptr, nullptr);
        BIO_free(pem);
        pem = BIO_new_mem_buf(authority->key_pem.data(), -1);
        issuer_key = PEM_read_bio_PrivateKey(pem, nullptr, nullptr, nullptr);
        BIO_free(pem);
    }
    X509_set_issuer_name(certificate, X509_get_subject_name(issuer));
    extend(certificate, issuer, NID_basic_constraints,
           authority == nullptr ? "critical,CA:TRUE" : "critical,CA:FALSE");
    if (authority != nullptr) {
        extend(certificate, issuer, NID_subject_alt_name, "DNS:" + name);
    }
    X509_sign(certificate, issuer_key, EVP_sha256());
    TestCertificate out;
    BIO* bio = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(bio, certificate);
    out.pem = text_of(bio);
    bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr);
    out.key_pem = text_of(bio);
    if (issuer != certificate) {
        X509_free(issuer);
        EVP_PKEY_free(issuer_key);
    }
    X509_free(certificate);
    EVP_PKEY_free(key);
    return out;
}

} // namespace

TestCertificate make_authority(const std::string& name) {
    return issue(name, nullptr);
}
TestCertificate make_certificate(const std::string& name, const TestCertificate& authority) {
    return issue(name, &authority);
}

bool run_until(Reactor& reactor, const std::function<bool()>& done, int limit_ms) {
    const std::int64_t limit = reactor.clock().boot_us() + limit_ms * std::int64_t{1000};
    while (!done()) {
        if (reactor.clock().boot_us() > limit) {
            return false;
        }
        reactor.run_once(100);
    }
    return true;
}

} // namespace hasp::net
