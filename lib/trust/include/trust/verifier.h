// Password verifiers for tiers below an account's home. The home keeps V0 = Argon2id(password);
// each tier below gets
//   V_child = HMAC-SHA-256(k_child, V_parent ‖ user ‖ tier ‖ version)
// and the list of k's from the home down, so that it can check a password typed at it, and holds
// nothing of any tier above. Pure; any thread. 32-byte values are raw bytes.
#pragma once

#include "base/result.h"
#include "trust/grants.h"
#include "trust/name.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace hasp::trust {

inline constexpr std::size_t verifier_bytes = 32;

// Code::usage unless both byte strings have 32 bytes and user is a valid_name(). Encoding in
// PROTOCOL.md.
Result<std::string> derive_verifier(std::string_view k_child, std::string_view v_parent,
                                    std::string_view user, const TierName& tier,
                                    std::uint64_t version);

// Does this V0, made from a typed password with the grant's salt and parameters, belong to the
// grant of `holder`? Walks the list of keys from the home down; compares in constant time. False
// also for a grant whose list does not fit the two names.
bool matches(const VerifierGrant& grant, const TierName& holder, std::string_view v0);

// The grant for a direct child of the tier that holds `mine`, under a fresh k_child. `holder` is
// the tier of `mine`.
Result<VerifierGrant> hand_down(const VerifierGrant& mine, const TierName& holder,
                                const TierName& child, std::string_view k_child);

} // namespace hasp::trust
