// OpenSSL in small owned pieces. Private to lib/trust.
#pragma once

#include "base/result.h"

#include <memory>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <string>
#include <string_view>

namespace hasp::trust::detail {

template <auto free_function>
struct Free {
    template <typename T>
    void operator()(T* p) const {
        free_function(p);
    }
};
template <typename T, auto free_function>
using Owned = std::unique_ptr<T, Free<free_function>>;

using Pkey = Owned<EVP_PKEY, EVP_PKEY_free>;
using Cert = Owned<X509, X509_free>;
using Bio = Owned<BIO, BIO_free>;

struct KeyHandle {
    Pkey pkey;
};

// For calls that fail only when memory is exhausted or the library is broken: going on would mean
// unsigned or unhashed data.
inline void must(bool ok) {
    if (!ok) {
        __builtin_trap();
    }
}

inline const unsigned char* data_of(std::string_view bytes) {
    return reinterpret_cast<const unsigned char*>(bytes.data());
}
inline unsigned char* data_of(std::string& bytes) {
    return reinterpret_cast<unsigned char*>(bytes.data());
}

// OpenSSL's own words for the last failure, and an empty error queue afterwards (it is per thread,
// and TLS code reads it).
std::string openssl_reason();

// SubjectPublicKeyInfo, DER.
std::string spki_of(const EVP_PKEY* key);
// Refused for trailing bytes; null when it is no public key.
Pkey public_from_spki(std::string_view der);
bool is_p256(const EVP_PKEY* key);

std::string bio_text(BIO* bio);

} // namespace hasp::trust::detail
