// Building and reading of certificates, shared by the tier's and the browsers' authorities. Private
// to lib/trust.
#pragma once

#include "base/random.h"
#include "crypto.h"
#include "trust/certificate.h"

#include <openssl/x509v3.h>
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
    bool no_ca_below = false;
    NAME_CONSTRAINTS* constraints = nullptr; // borrowed; null: none
    const char* extended_usage = nullptr;
    EVP_PKEY* public_key = nullptr;
    Validity validity;
};

// Signs with `issuer_key`; a null issuer makes it self-signed. DER.
Result<std::string> build(const CertSpec& spec, const X509* issuer, EVP_PKEY* issuer_key,
                          Random& random);

// Exactly one certificate within the limit, nothing behind it.
Result<Cert> parse(std::string_view der);

// A DNS name or an address as text, with `network` an address with its mask as "ADDRESS/BITS";
// empty: another kind of name, or one with bytes that belong into no name.
std::string name_text(const GENERAL_NAME* name, bool network);

std::int64_t time_us(const ASN1_TIME* time);

} // namespace hasp::trust::detail
