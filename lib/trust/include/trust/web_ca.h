// Certificates for browsers: a tier's authority, which can sign for a few names alone (RFC 5280
// name constraints), and the requests for such certificates (PKCS #10, RFC 2986). The authority has
// a P-256 key of its own, knows nothing of tiers, and proves nothing between tiers: verify_peer()
// refuses what it issues. Pure; any thread.
#pragma once

#include "base/random.h"
#include "base/result.h"
#include "trust/certificate.h"
#include "trust/keys.h"
#include "trust/web_names.h"

#include <string>
#include <string_view>
#include <vector>

namespace hasp::trust {

inline constexpr std::size_t web_request_bytes_max = 8192;

// A self-signed CA, DER. `label` (1-64 printable ASCII characters) is what a browser's certificate
// list shows. Whoever trusts it trusts it for `permitted` alone: its constraints are critical, all
// addresses are excluded where no network is permitted, and all DNS names where none is. It may
// sign no further CA, and for servers alone. usage: nothing is permitted.
Result<std::string> issue_web_ca(const TlsKey& key, std::string_view label,
                                 const WebNames& permitted, const Validity& validity,
                                 Random& random);

// What a certificate of an authority permits. refused: it has no such constraints.
Result<WebNames> web_ca_permits(std::string_view ca_der);

// A serverAuth certificate, DER, for DNS names in lower case (a leading "*." is allowed) and IP
// addresses (v4, or v6 without brackets). refused: a name that the authority may not sign for, and
// an end after its own.
// OpenSSL (and so curl) matches a wildcard only above two labels: "*.clinic.localhost", but never
// "*.localhost"; list such hosts.
Result<std::string> issue_web_leaf(const TlsKey& ca_key, std::string_view ca_der,
                                   const std::vector<std::string>& names,
                                   std::string_view tls_spki_der, const Validity& validity,
                                   Random& random);

// What the owner of a key asks for: proven by its signature, and for nothing but these names.
struct WebRequest {
    std::vector<std::string> names;
    std::string tls_spki_der;
};
// DER. usage: no names, or such as issue_web_leaf() would refuse.
Result<std::string> make_web_request(const TlsKey& key, const std::vector<std::string>& names);
// refused: larger than web_request_bytes_max, cut short, bytes behind it, another key than P-256,
// a signature that does not fit, no names, names of other kinds or beyond the limits. Attributes
// and extensions other than the names are not looked at.
Result<WebRequest> read_web_request(std::string_view der);

// What a certificate says of itself: nothing is verified.
struct WebCertificate {
    std::vector<std::string> names; // DNS names and addresses of its subjectAltName
    std::string issuer;             // common name or organisation, for people
    std::string tls_fingerprint;    // SHA-256 of its key's SPKI
    std::int64_t from_us = 0;       // wall time
    std::int64_t to_us = 0;
    bool self_signed = false; // subject and issuer are the same
};
Result<WebCertificate> read_web_certificate(std::string_view der);
// Whether browsers take it for this name: itself, or a wildcard that stands for its first label.
bool is_for(const WebCertificate& certificate, std::string_view name);

} // namespace hasp::trust
