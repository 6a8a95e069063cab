// Who this tier is: its name, keys and certificates, as they stand in STATE/keys. Loaded once by
// the keeper.
#pragma once

#include "base/clock.h"
#include "base/random.h"
#include "base/result.h"
#include "trust/certificate.h"
#include "trust/keys.h"
#include "trust/name.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace hasp::maint {

// Certificates between tiers. They are renewed over the link to the parent, with the same keys,
// once less than half of this is left; a box that was cut off for all of it needs a new invitation.
inline constexpr std::int64_t certificate_life_us = 730LL * 24 * 3600 * 1'000'000;
inline constexpr std::int64_t renew_before_us = certificate_life_us / 2;
inline constexpr std::int64_t root_life_us = 20LL * 365 * 24 * 3600 * 1'000'000;

struct TierIdentity {
    trust::TierName name;
    std::string realm_id; // 32 raw bytes
    std::uint64_t epoch = 1;
    trust::SigningKey envelope_key;
    trust::TlsKey tls_key;
    std::vector<std::string> ca_chain_der; // our own CA certificate first, the root last
    std::string tls_cert_der;
    std::vector<std::string> parent_addresses; // HOST:PORT, tried in order; empty at the top

    bool has_parent() const { return !name.is_top(); }
    // What we show on a link: the TLS certificate and the CA certificates that vouch for it, PEM.
    std::string tls_chain_pem() const;
    std::string root_pem() const;
    // When the first of the certificates that we show ends; the root, which no tier can renew, is
    // left out. 0: one of them cannot be read.
    std::int64_t certificates_end_us() const;
    trust::Issuer issuer() const { return {name, ca_chain_der.front(), envelope_key}; }

    // What certificates_end_us() found, and for which certificates: a report asks it every second.
    struct KnownEnd {
        std::string tls_cert_der;
        std::vector<std::string> ca_chain_der;
        std::int64_t end_us = 0;
    };
    mutable KnownEnd known_end{};
};

// Keys, the root certificate and the top tier's own TLS certificate. Code::usage for a name that is
// none.
Result<TierIdentity> make_top_identity(const std::string& realm, const std::string& name,
                                       const Clock& clock, Random& random);

// Every file 0600, durable; tier.json last, since its presence says that the others are whole.
Status save_identity(const std::string& keys_folder, const TierIdentity& identity);
// Code::not_found when there is no tier.json: not initialised yet.
Result<TierIdentity> load_identity(const std::string& keys_folder);

// What a parent signed for a child, as it stands in the answers to an enrolment and to a renewal.
struct Certificates {
    std::uint64_t epoch = 1;
    std::vector<std::string> ca_chain_der;
    std::string tls_cert_der;
};
// Reads such an answer. Code::refused unless both certificates are for this name and these keys,
// and lead to the root of this realm, at `now_us`.
Result<Certificates> read_certificates(std::string_view answer, const trust::TierName& name,
                                       std::string_view realm_id,
                                       const trust::SigningKey& envelope_key,
                                       const trust::TlsKey& tls_key, std::int64_t now_us);
// Only what a renewal changes: one file, replaced at once.
Status save_certificates(const std::string& keys_folder, const TierIdentity& identity);

// The keys of a box that is about to join: made at the first call, loaded at the next, so that
// enrolment can be repeated after a lost answer with the same keys.
struct JoinKeys {
    trust::SigningKey envelope_key;
    trust::TlsKey tls_key;
};
Result<JoinKeys> prepare_join_keys(const std::string& keys_folder, Random& random);

} // namespace hasp::maint
