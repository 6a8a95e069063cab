// A realm for tests: a line of tiers with keys from a seed. Private to lib/trust's tests.
#pragma once

#include "trust/certificate.h"
#include "trust/lease.h"

#include <string>
#include <vector>

namespace hasp::trust::testing {

inline constexpr std::int64_t now_us = 1'700'000'000'000'000;
inline constexpr std::int64_t year_us = 365 * day_us;

struct Tier {
    TierName name;
    SigningKey key;
    TlsKey tls;
    std::string ca_der;
    std::string tls_der;
    std::vector<std::string> ca_chain; // its own CA certificate first, the root last
};

struct Realm {
    SeededRandom random;
    std::string id;
    std::vector<Tier> tiers; // from the top down

    explicit Realm(const std::vector<std::string>& path, std::uint64_t seed = 1,
                   const std::string& realm = "clinics",
                   Validity validity = valid_for(now_us, year_us))
        : random(seed) {
        for (const std::string& element : path) {
            const bool top = tiers.empty();
            Tier t{top ? TierName::make_top(realm, element).value()
                       : tiers.back().name.child(element).value(),
                   SigningKey::generate(random),
                   TlsKey::generate(random),
                   {},
                   {},
                   {}};
            if (top) {
                t.ca_der = issue_root(t.name, t.key, validity, random).value();
                t.tls_der =
                    issue_tls({t.name, t.ca_der, t.key}, t.name, t.tls.spki_der(), validity, random)
                        .value();
                id = t.key.public_key().fingerprint();
            } else {
                t.ca_der =
                    issue_ca(issuer(tiers.size() - 1), t.name, t.key.public_key(), validity, random)
                        .value();
                t.tls_der =
                    issue_tls(issuer(tiers.size() - 1), t.name, t.tls.spki_der(), validity, random)
                        .value();
                t.ca_chain = tiers.back().ca_chain;
            }
            t.ca_chain.insert(t.ca_chain.begin(), t.ca_der);
            tiers.push_back(std::move(t));
        }
    }
    Issuer issuer(std::size_t i) const { return {tiers[i].name, tiers[i].ca_der, tiers[i].key}; }
    // The chain behind tier i's TLS certificate.
    const std::vector<std::string>& tls_chain(std::size_t i) const {
        return tiers[i == 0 ? 0 : i - 1].ca_chain;
    }
    LeaseParams lease_params(std::size_t holder, std::uint64_t number = 1) const {
        return {id,     tiers[holder - 1].name,   tiers[holder].name, {1, number},
                now_us, now_us + lease_default_us};
    }
};

} // namespace hasp::trust::testing
