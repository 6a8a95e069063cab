// Building and reading of certificates, shared by the tier's and the browsers' authorities. Private
// to lib/trust.
#pragma once

#include "base/random.h"
#include "crypto.h"
#include "trust/certificate.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hasp::trust::detail {

struct CertSpec {
    std::vector<std::pair<const char*, std::string>>
        subject;           // attribute and value, outermost first
    std::string alt_names; // as OpenSSL's configuration writes them; may be empty
    bool is_ca = false;
    const char* extended_usage = nullptr;
    EVP_PKEY* public_key = nullptr;
    Validity validity;
};

// Signs with `issuer_key`; a null issuer makes it self-signed. DER.
Result<std::string> build(const CertSpec& spec, const X509* issuer, EVP_PKEY* issuer_key,
                          Random& random);

// Exactly one certificate within the limit, nothing behind it.
Result<Cert> parse(std::string_view der);

std::int64_t time_us(const ASN1_TIME* time);

} // namespace hasp::trust::detail
