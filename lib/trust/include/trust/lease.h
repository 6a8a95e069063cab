// Leases: an envelope of type "lease" whose body is the manifest of the sections, so that only
// changed sections travel. With it comes the chain: the leases of the tiers above (only the lines
// that matter, the others as hashes) and their CA certificates up to the realm's root, so that the
// holder can check every grant without asking. Pure; any thread.
#pragma once

#include "base/clock.h"
#include "base/result.h"
#include "trust/envelope.h"
#include "trust/grants.h"
#include "trust/keys.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hasp::trust {

inline constexpr std::string_view lease_type = "lease";
inline constexpr std::int64_t grant_default_us = 7 * day_us;
inline constexpr std::int64_t run_grant_default_us = 30 * day_us;
inline constexpr std::int64_t lease_default_us =
    30 * day_us; // the envelope: no grant may outlive it
inline constexpr std::size_t lease_chain_bytes_max = std::size_t{64} << 20;
static_assert(run_grant_default_us <= lease_default_us && grant_default_us <= lease_default_us);

struct SectionInfo {
    std::string name;
    std::string sha256;      // section_digest(), 32 raw bytes
    std::uint64_t count = 0; // lines
    std::uint64_t bytes = 0;
    friend bool operator==(const SectionInfo&, const SectionInfo&) = default;
};
struct Manifest {
    std::vector<SectionInfo> sections; // all of section_names, in that order
};

// One tier's lease as its children see it: sections in which lines may be hidden behind '#'.
struct Link {
    std::string envelope;
    std::vector<Section> sections; // only those that the next lease draws on; may be empty
};
struct LeaseChain {
    std::vector<std::string> ca_der; // the issuer's CA certificate first, the root last
    std::vector<Link> links; // the issuer's own lease, then that of its parent …; only as far up as
                             // grants come from
};
struct Lease {
    std::string envelope;
    std::vector<Section> sections;
};

struct LeaseParams {
    std::string realm_id;
    TierName issuer;
    TierName audience; // a direct child of the issuer
    Counter counter;
    std::int64_t issued_at_us = 0;
    std::int64_t not_after_us = 0;
};
// Code::usage for grants that no holder would accept: outliving the lease, of an origin that is
// neither the issuer nor above it, a verifier without its login grant. Containment in the issuer's
// own lease is the job of enclose().
Result<Lease> issue_lease(const LeaseParams& params, const Grants& grants, const SigningKey& key);

// The chain to send with a lease of `grants`: `own` is the issuer's lease and `above` the chain
// that it came with (both absent for the top), ca_der the issuer's CA certificate and those above
// it. Code::refused, naming the grant, when one comes from above and is not within the issuer's own
// lease.
Result<LeaseChain> enclose(const TierName& issuer, const Grants& grants, const Lease* own,
                           const LeaseChain* above, std::vector<std::string> ca_der);

// What the manifest in a lease's body says. Call it on what open() returned, never on unverified
// bytes.
Result<Manifest> parse_manifest(std::string_view body);
// Names of the sections of `wanted` that a holder of `held` lacks, by hash.
std::vector<std::string> missing_sections(const Manifest& wanted, const Manifest& held);

struct LeaseExpectation {
    std::string realm_id;
    TierName holder;                // this tier: the audience; the issuer must be its parent
    std::optional<Counter> current; // of the lease held now; nullopt when none is held, or when
                                    // that very lease is loaded again
};
struct VerifiedLease {
    Header header;
    Manifest manifest;
    Grants grants;
};
// Signature by the key that the certificate chain proves for the holder's parent, number above the
// held one, every section as the manifest says, no grant outliving the lease, and each grant from
// above contained, without outliving it, in the lease of every tier between. Code::refused
// otherwise, Code::conflict for an epoch mismatch, each with its own words. All or nothing.
Result<VerifiedLease> verify_lease(const Lease& lease, const LeaseChain& chain,
                                   const LeaseExpectation& expectation, std::int64_t now_us);

// The envelope alone, before its sections are fetched: what the manifest wants, once signature,
// parent and number hold.
Result<Manifest> verify_lease_envelope(std::string_view envelope, const LeaseChain& chain,
                                       const LeaseExpectation& expectation, std::int64_t now_us);

// True when more than a quarter of the grants of `before` have no successor (same kind and key) in
// `after`. The issuer then refuses to sign unless an operator says so: a center restored with an
// empty table must not switch everyone off.
bool drops_too_much(const Grants& before, const Grants& after);

// One byte string for a chain, for the wire and the store.
std::string encode_chain(const LeaseChain& chain);
Result<LeaseChain> decode_chain(std::string_view bytes);

} // namespace hasp::trust
