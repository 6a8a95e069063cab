// X.509 certificates between tiers (RFC 5280). The root is the self-signed CA of the top tier's
// Ed25519 key; every tier's Ed25519 key is the CA of its direct children and of nobody else.
// Certificates are DER in a std::string. Pure; any thread.
#pragma once

#include "base/random.h"
#include "base/result.h"
#include "trust/keys.h"
#include "trust/name.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace hasp::trust {

inline constexpr std::size_t certificate_bytes_max = 8192;
// Leaf excluded: one CA certificate a tier, the root included.
inline constexpr std::size_t chain_length_max = tier_depth_max;
// Certificates start this much before they are issued, since a child's clock may be behind.
inline constexpr std::int64_t certificate_backdate_us = 3'600LL * 1'000'000;

// Wall times in microseconds; certificates hold whole seconds, rounded outward.
struct Validity {
    std::int64_t from_us = 0;
    std::int64_t to_us = 0;
};
// `now - certificate_backdate_us` to `now + lifetime`.
Validity valid_for(std::int64_t now_us, std::int64_t lifetime_us);

// The realm's root. `top` must be a top (Code::usage).
Result<std::string> issue_root(const TierName& top, const SigningKey& key, const Validity& validity,
                               Random& random);

// What a tier issues with: its name, its own CA certificate and the key of that certificate.
struct Issuer {
    TierName name;
    std::string ca_der;
    SigningKey key;
};
// A child's CA certificate, for its Ed25519 key. `child` must be a direct child of the issuer
// (Code::refused).
Result<std::string> issue_ca(const Issuer& issuer, const TierName& child, const PublicKey& key,
                             const Validity& validity, Random& random);
// A TLS certificate (serverAuth and clientAuth) for a P-256 public key in SPKI DER. `tier` must be
// a direct child of the issuer, or the issuer itself if that is the top; other key types are
// refused.
Result<std::string> issue_tls(const Issuer& issuer, const TierName& tier,
                              std::string_view tls_spki_der, const Validity& validity,
                              Random& random);

enum class Relation : unsigned char { child, parent, peer };
struct PeerExpectation {
    std::string realm_id;                // fingerprint of the root's Ed25519 key, 32 bytes
    TierName me;                         // this side's name; of a peer, the name that it must have
    Relation relation = Relation::child; // what the other side must be to us
};
struct Peer {
    TierName name;
    std::string tls_fingerprint; // SHA-256 of the leaf's SPKI: compare it with the table of
                                 // enrolled children
    std::int64_t not_after_us = 0;
};
// Accepts a peer's TLS certificate only if its chain (nearest issuer first, the root last; all of
// it must be there) leads to the pinned root, every signature and constraint holds at `now_us`,
// each CA vouches for a direct child, and the leaf's name is a direct child of `me`, exactly the
// parent of `me`, or, for a peer, `me` itself. Everything else is Code::refused with a message of
// its own: foreign realm, expired, not yet valid, wrong neighbour, broken chain. Bytes beyond the
// limits are refused before they are parsed.
Result<Peer> verify_peer(std::string_view leaf_der, const std::vector<std::string>& chain_der,
                         const PeerExpectation& expectation, std::int64_t now_us);

struct CaKey {
    TierName name;
    PublicKey key;
    std::int64_t not_after_us = 0;
};
// The same checks for CA certificates alone (nearest first, the root last): who may sign envelopes,
// and with which key.
Result<std::vector<CaKey>> verify_ca_chain(const std::vector<std::string>& chain_der,
                                           std::string_view realm_id, std::int64_t now_us);

// When the certificate ends, by its own word: nothing is verified. Refused when it is none.
Result<std::int64_t> certificate_end_us(std::string_view der);

// PEM in and out, for TLS contexts and files. Several certificates in one text; limits as above.
std::string to_pem(const std::vector<std::string>& certificates_der);
Result<std::vector<std::string>> from_pem(std::string_view pem);

} // namespace hasp::trust
