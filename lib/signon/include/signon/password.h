// Password verifiers, and the check of a password against one.
#pragma once

#include "base/result.h"
#include "trust/grants.h"
#include "trust/name.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace hasp {
class Random;
}

namespace hasp::signon {

// Work of one Argon2id run (RFC 9106). The defaults take about 143 ms on the machine of the
// design's measurements.
struct Argon2Cost {
    std::uint32_t memory_kib = 64 * 1024;
    std::uint32_t passes = 3;
    std::uint32_t lanes = 1;
    bool operator==(const Argon2Cost&) const = default;
};

inline constexpr std::size_t verifier_bytes = 32;
inline constexpr std::size_t salt_bytes = 16;
// NIST SP 800-63B §5.1.1.2: at least 8, no rules of composition. Longer ones are cut off by nobody:
// they are refused.
inline constexpr std::size_t password_bytes_min = 8;
inline constexpr std::size_t password_bytes_max = 1024;

// V0 of an account, kept at its home only: value = Argon2id(password, salt, cost). `version` rises
// at each change of password and never falls for a name, not even when the account is removed and
// made anew.
struct Verifier {
    std::int64_t version = 0;
    Argon2Cost cost;
    std::string salt;  // salt_bytes
    std::string value; // verifier_bytes
    bool operator==(const Verifier&) const = default;
};

// What a tier needs to check a password: one salt and cost for the one run of Argon2id, and what
// its outcome V0 must be. At the account's home that is V0 itself; at a tier below, which never has
// V0, it must fit the grant that the tier holds (trust/verifier.h).
struct LoginMaterial {
    std::int64_t version = 0; // of the password
    Argon2Cost cost;
    std::string salt;
    std::string expected; // V0; empty below the home
    struct Lent {
        trust::VerifierGrant grant;
        trust::TierName holder; // this tier
    };
    std::optional<Lent> lent;
};
LoginMaterial material_of(const trust::VerifierGrant& grant, const trust::TierName& holder);
LoginMaterial material_of(const Verifier& verifier);

// Code::usage with a sentence for the user when the length is not within the limits. For a *new*
// password. `bytes_min`: what the tier's config asks for.
Status acceptable_password(std::string_view password, std::size_t bytes_min = password_bytes_min);

// A verifier for a new password. Blocks for one Argon2id run: worker threads only. Code::usage as
// acceptable_password.
Result<Verifier> make_verifier(std::string_view password, std::int64_t version,
                               const Argon2Cost& cost, Random& random,
                               std::size_t bytes_min = password_bytes_min);

// Holds the tier's secret and nothing else; any number of threads may use one. The caller has the
// pool of worker threads.
class PasswordChecker {
  public:
    // `tier_secret`: ≥ 32 random bytes that stay the same over restarts, so that an unknown user's
    // salt does too.
    explicit PasswordChecker(std::string tier_secret, Argon2Cost cost_for_unknown = {});

    // Does this password open this account? Runs Argon2id exactly once on every path: for an
    // unknown user (nullopt), and for passwords beyond the limits, against a stable made-up salt
    // with the same work, answering false. Blocks for that long. Error: only when memory for the
    // run is missing (Code::try_later).
    Result<bool> check(std::string_view user, const std::optional<LoginMaterial>& known,
                       std::string_view password) const;

    // The salt that `user` seems to have when there is no such account.
    std::string fake_salt(std::string_view user) const;

  private:
    std::string tier_secret_;
    Argon2Cost cost_for_unknown_;
};

} // namespace hasp::signon
