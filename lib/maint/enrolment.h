// Children coming and going: invitations, the enrolment of a box that shows one, revocation. The
// parent's side. One thread.
#pragma once

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "json_tools.h"
#include "maint/tier_identity.h"
#include "maint/tier_store.h"

#include <functional>
#include <string>
#include <vector>

namespace hasp::maint {

class Enrolment {
  public:
    struct World {
        const Clock& clock;
        Random& random;
        const Log& log;
        const TierIdentity& me;
        TierStore& store;
        std::function<void()> enrolled; // front must learn the new key
    };
    explicit Enrolment(World world) : world_(world) {}

    // The line to give to the box. Code::conflict when a tier of that name is enrolled; a name that
    // was revoked may come back, with a new epoch. Earlier invitations for the name are void.
    Result<std::string> invite(const std::string& name, const std::vector<std::string>& addresses,
                               std::int64_t lifetime_us);

    // What a box sent to POST /hasp/link/enrol, and what it is answered. The box that asks again
    // with the same keys and invitation gets the same answer. Errors say no more to the box than
    // that the invitation is not valid; the log says why.
    Result<std::string> enrol(const std::string& request);

    // What a linked child asks for when its certificates come to their end: new ones for the keys
    // that it was enrolled with, of which it names the TLS key. What was signed within the last
    // hour by the certificates that we have now is given again.
    Result<std::string> renew(const std::string& name, const std::string& tls_spki);

    Status revoke(const std::string& name);

  private:
    Result<std::string> certify(const ChildRow& child, const trust::TierName& name,
                                const trust::PublicKey& key, const std::string& tls_spki);
    bool signed_lately(const std::string& certificates) const;
    // The answer's text.
    Result<std::string> sign_certificates(const ChildRow& child, const trust::TierName& name,
                                          const trust::PublicKey& key, const std::string& tls_spki);
    World world_;
};

// The request's text, and the bytes that its proof of possession signs.
std::string enrol_proof_bytes(const std::string& token_id, const std::string& tls_spki);

} // namespace hasp::maint
