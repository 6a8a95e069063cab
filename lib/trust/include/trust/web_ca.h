// A small certificate authority for browsers (tests, labs, a house without another one). It has a
// P-256 key of its own, knows nothing of tiers, and proves nothing between tiers: verify_peer()
// refuses what it issues. Pure; any thread.
#pragma once

#include "base/random.h"
#include "base/result.h"
#include "trust/certificate.h"
#include "trust/keys.h"

#include <string>
#include <string_view>
#include <vector>

namespace hasp::trust {

inline constexpr std::size_t web_names_max = 64;

// A self-signed CA, DER. `label` (1-64 printable ASCII characters) is what a browser's certificate
// list shows.
Result<std::string> issue_web_ca(const TlsKey& key, std::string_view label,
                                 const Validity& validity, Random& random);

// A serverAuth certificate, DER, for DNS names (a leading "*." is allowed) and IP addresses (v4, or
// v6 without brackets).
// OpenSSL (and so curl) matches a wildcard only above two labels: "*.clinic.localhost", but never
// "*.localhost"; list such hosts.
Result<std::string> issue_web_leaf(const TlsKey& ca_key, std::string_view ca_der,
                                   const std::vector<std::string>& names,
                                   std::string_view tls_spki_der, const Validity& validity,
                                   Random& random);

} // namespace hasp::trust
