#include "ledger_keys.h"

#include "trust/envelope.h"
#include "trust/hash.h"

#include <limits>

namespace hasp::maint {

namespace {
// A header, the names around it and the signature.
constexpr std::size_t envelope_bytes_max = 8 * 1024;
} // namespace

Result<trust::PublicKey> LedgerKeys::key_of(const billing::Chain& chain) {
    if (const auto known = keys_.find(chain.key); known != keys_.end()) {
        return known->second;
    }
    auto certificates = trust::from_pem(chain.certificates);
    if (!certificates.ok()) {
        return certificates.error();
    }
    auto vouched = trust::verify_ca_chain(*certificates, me_.realm_id, clock_.wall_us());
    if (!vouched.ok()) {
        return vouched.error();
    }
    if (vouched->front().name.text() != chain.key.tier) {
        return fail(Code::refused, "the certificates with usage of " + chain.key.tier + " are of " +
                                       vouched->front().name.text());
    }
    return keys_.emplace(chain.key, vouched->front().key).first->second;
}

Result<std::string> LedgerKeys::open(const billing::Chain& chain, const std::string& envelope) {
    auto key = key_of(chain);
    auto tier = trust::TierName::parse(chain.key.tier);
    if (!key.ok() || !tier.ok()) {
        return key.ok() ? tier.error() : key.error();
    }
    auto opened = trust::open(
        envelope, *key, {"usage-batch", me_.realm_id, *tier, tier->at_depth(1), envelope_bytes_max},
        clock_.wall_us());
    if (!opened.ok()) {
        return opened.error();
    }
    if (opened->header.counter.epoch != chain.key.epoch) {
        return fail(Code::refused, "a usage batch of " + chain.key.tier + " is of another epoch");
    }
    return std::move(opened->body);
}

billing::Crypto ledger_crypto(const TierIdentity& me) {
    return {trust::sha256, [&me](const billing::BatchHeader& h, std::string_view bytes) {
                return trust::seal({"usage-batch",
                                    me.realm_id,
                                    me.name,
                                    me.name.at_depth(1),
                                    {h.epoch, h.stream},
                                    h.sealed_at_us,
                                    std::numeric_limits<std::int64_t>::max()},
                                   bytes, me.envelope_key);
            }};
}

} // namespace hasp::maint
