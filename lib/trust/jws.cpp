#include "trust/jws.h"

#include "base/text.h"
#include "crypto.h"
#include "trust/hash.h"

#include <openssl/bn.h>
#include <openssl/ec.h>

namespace hasp::trust {

namespace {
using detail::data_of;
using detail::must;
using detail::Owned;

constexpr std::size_t coordinate_bytes = 32;

// r and s of fixed length (RFC 7518 §3.4), where OpenSSL gives a DER sequence.
std::string sign(const TlsKey& key, std::string_view message) {
    const Owned<EVP_MD_CTX, EVP_MD_CTX_free> ctx(EVP_MD_CTX_new());
    must(ctx && EVP_DigestSignInit(ctx.get(), nullptr, EVP_sha256(), nullptr,
                                   key.handle().pkey.get()) == 1);
    std::size_t size = 0;
    must(EVP_DigestSign(ctx.get(), nullptr, &size, data_of(message), message.size()) == 1);
    std::string der(size, '\0');
    must(EVP_DigestSign(ctx.get(), data_of(der), &size, data_of(message), message.size()) == 1);
    const unsigned char* at = data_of(std::string_view(der));
    const Owned<ECDSA_SIG, ECDSA_SIG_free> signature(
        d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(size)));
    std::string out(2 * coordinate_bytes, '\0');
    must(signature &&
         BN_bn2binpad(ECDSA_SIG_get0_r(signature.get()), data_of(out), coordinate_bytes) > 0 &&
         BN_bn2binpad(ECDSA_SIG_get0_s(signature.get()), data_of(out) + coordinate_bytes,
                      coordinate_bytes) > 0);
    return out;
}
} // namespace

std::string jwk_of(const TlsKey& key) {
    // A P-256 SubjectPublicKeyInfo ends in the uncompressed point (RFC 5480 §2.2).
    const std::string spki = key.spki_der();
    const std::string point = spki.substr(spki.size() - 2 * coordinate_bytes);
    return R"({"crv":"P-256","kty":"EC","x":")" + to_base64url(point.substr(0, coordinate_bytes)) +
           R"(","y":")" + to_base64url(point.substr(coordinate_bytes)) + "\"}";
}

std::string jwk_thumbprint(const TlsKey& key) {
    return to_base64url(sha256(jwk_of(key)));
}

std::string jws_es256(const TlsKey& key, std::string_view protected_head,
                      std::string_view payload) {
    const std::string head = to_base64url(protected_head);
    const std::string body = to_base64url(payload);
    return R"({"payload":")" + body + R"(","protected":")" + head + R"(","signature":")" +
           to_base64url(sign(key, head + "." + body)) + "\"}";
}

} // namespace hasp::trust
