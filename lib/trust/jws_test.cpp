#include "trust/jws.h"

#include "base/random.h"
#include "base/text.h"
#include "crypto.h"
#include "trust/hash.h"

#include <gtest/gtest.h>
#include <openssl/bn.h>
#include <openssl/ec.h>

namespace hasp::trust {
namespace {

std::string field(const std::string& json, const std::string& name) {
    const std::size_t from = json.find("\"" + name + "\":\"") + name.size() + 4;
    return json.substr(from, json.find('"', from) - from);
}

// With the public key alone, as a server would.
bool verifies(const TlsKey& key, const std::string& message, const std::string& raw) {
    ECDSA_SIG* signature = ECDSA_SIG_new();
    ECDSA_SIG_set0(signature, BN_bin2bn(detail::data_of(std::string_view(raw)), 32, nullptr),
                   BN_bin2bn(detail::data_of(std::string_view(raw)) + 32, 32, nullptr));
    unsigned char* der = nullptr;
    const int size = i2d_ECDSA_SIG(signature, &der);
    const detail::Pkey pub = detail::public_from_spki(key.spki_der());
    EVP_MD_CTX* ctx = EVP_MD_CTX_new();
    EVP_DigestVerifyInit(ctx, nullptr, EVP_sha256(), nullptr, pub.get());
    const int good = EVP_DigestVerify(ctx, der, static_cast<std::size_t>(size),
                                      detail::data_of(std::string_view(message)), message.size());
    EVP_MD_CTX_free(ctx);
    OPENSSL_free(der);
    ECDSA_SIG_free(signature);
    return good == 1;
}

TEST(Jws, IsSignedOverItsHeadAndItsPayloadInFixedLength) {
    SeededRandom random(9);
    const TlsKey key = TlsKey::generate(random);
    for (int i = 0; i < 300; ++i) { // an r or s with leading zeros comes once in some 128
        const std::string payload = i == 0 ? "" : "{\"i\":" + std::to_string(i) + "}";
        const std::string jws = jws_es256(key, R"({"alg":"ES256"})", payload);
        EXPECT_EQ(from_base64url(field(jws, "payload")), payload);
        EXPECT_EQ(from_base64url(field(jws, "protected")), R"({"alg":"ES256"})");
        const auto raw = from_base64url(field(jws, "signature"));
        ASSERT_TRUE(raw && raw->size() == 64U);
        EXPECT_TRUE(verifies(key, field(jws, "protected") + "." + field(jws, "payload"), *raw));
    }
}

TEST(Jws, AKeyIsNamedByTheMembersThatCountInOrder) {
    SeededRandom random(9);
    const TlsKey key = TlsKey::generate(random);
    const std::string jwk = jwk_of(key);
    const std::string point = *from_base64url(field(jwk, "x")) + *from_base64url(field(jwk, "y"));
    EXPECT_TRUE(key.spki_der().ends_with(std::string(1, '\x04') + point));
    EXPECT_EQ(jwk, R"({"crv":"P-256","kty":"EC","x":")" + field(jwk, "x") + R"(","y":")" +
                       field(jwk, "y") + "\"}");
    EXPECT_EQ(jwk_thumbprint(key), to_base64url(sha256(jwk)));
}

} // namespace
} // namespace hasp::trust
