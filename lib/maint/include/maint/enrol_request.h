// What a box that shows an invitation sends to its parent's POST /hasp/link/enrol. Pure.
#pragma once

#include "trust/invite.h"
#include "trust/keys.h"

#include <string>

namespace hasp::maint {

// JSON text: the invitation's id and secret, both public keys, and a signature by the envelope key
// that binds them (proof of possession; that of the TLS key is shown by the first link).
std::string enrol_request(const trust::Invitation& invitation,
                          const trust::SigningKey& envelope_key, const trust::TlsKey& tls_key);

} // namespace hasp::maint
