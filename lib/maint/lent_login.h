// What a lease says of one user's log-in at the tier that holds it.
#pragma once

#include "signon/identity.h"
#include "trust/grants.h"

namespace hasp::maint {

struct LentLogin {
    signon::Identity who; // without sid; until_us is the grant's end (trusted time)
    trust::VerifierGrant verifier;
};

} // namespace hasp::maint
