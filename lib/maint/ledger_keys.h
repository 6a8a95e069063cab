// Whose key signs the batches of a chain: its certificates lead to the realm's root. One thread.
#pragma once

#include "base/clock.h"
#include "billing/ledger_store.h"
#include "maint/tier_identity.h"

#include <map>
#include <string>

namespace hasp::maint {

class LedgerKeys {
  public:
    // Both must outlive it.
    LedgerKeys(const TierIdentity& me, const Clock& clock) : me_(me), clock_(clock) {}

    // Code::refused when the certificates do not verify, or are another tier's.
    Result<trust::PublicKey> key_of(const billing::Chain& chain);
    // The signed header's bytes of a batch of this chain. Code::refused when the signature does not
    // hold, or it is of another chain.
    Result<std::string> open(const billing::Chain& chain, const std::string& envelope);
    void forget(const billing::ChainKey& key) { keys_.erase(key); }

  private:
    const TierIdentity& me_;
    const Clock& clock_;
    std::map<billing::ChainKey, trust::PublicKey> keys_;
};

// Signs batches as this tier, and hashes. `me` must outlive it.
billing::Crypto ledger_crypto(const TierIdentity& me);

} // namespace hasp::maint
