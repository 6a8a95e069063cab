// What issuing and verifying a lease share. Private to lib/trust.
#pragma once

#include "trust/certificate.h"
#include "trust/lease.h"

#include <string_view>

namespace hasp::trust::detail {

// No grant outlives the lease, each origin is the issuer or above it, each verifier fits its log-in
// grant. Code::refused.
Status check_grants(const Grants& grants, const TierName& issuer, const TierName& holder,
                    std::int64_t not_after_us);

Result<Opened> open_lease(std::string_view envelope, const CaKey& issuer, const TierName& audience,
                          std::string_view realm_id, std::int64_t now_us);

} // namespace hasp::trust::detail
