#include "signon/password.h"

#include "base/random.h"
#include "base/text.h"
#include "text_rules.h"
#include "trust/hash.h"
#include "trust/verifier.h"

#include <argon2.h>

namespace hasp::signon {

namespace {

// What a verifier from elsewhere (a lease) may ask of this machine.
constexpr std::uint32_t memory_kib_max = 1024 * 1024;
constexpr std::uint32_t passes_max = 32;
constexpr std::uint32_t lanes_max = 16;
constexpr std::size_t salt_bytes_min = 8;
constexpr std::size_t salt_bytes_max = 64;
static_assert(salt_bytes >= salt_bytes_min && salt_bytes <= salt_bytes_max);
constexpr std::string_view fake_salt_label = "hasp salt of an unknown user";

void append_u32(std::string& out, std::size_t value) {
    for (int shift = 24; shift >= 0; shift -= 8) {
        out.push_back(static_cast<char>((value >> shift) & 0xffU));
    }
}

void append_part(std::string& out, std::string_view part) {
    append_u32(out, part.size());
    out += part;
}

bool within_limits(const Argon2Cost& cost) {
    return cost.lanes >= 1 && cost.lanes <= lanes_max && cost.passes >= 1 &&
           cost.passes <= passes_max && cost.memory_kib >= 8 * cost.lanes &&
           cost.memory_kib <= memory_kib_max;
}

Result<std::string> run_argon2id(std::string_view password, std::string_view salt,
                                 const Argon2Cost& cost) {
    if (!within_limits(cost) || salt.size() < salt_bytes_min || salt.size() > salt_bytes_max) {
        return fail(Code::refused, "a password verifier asks for work beyond the limits");
    }
    std::string value(verifier_bytes, '\0');
    const int code =
        argon2id_hash_raw(cost.passes, cost.memory_kib, cost.lanes, password.data(),
                          password.size(), salt.data(), salt.size(), value.data(), value.size());
    if (code == ARGON2_MEMORY_ALLOCATION_ERROR || code == ARGON2_THREAD_FAIL) {
        return fail(Code::try_later, "there is not enough memory to check a password",
                    "give the machine more memory, or lower the number of log-ins at a time");
    }
    if (code != ARGON2_OK) {
        return fail(Code::failed, std::string("Argon2id: ") + argon2_error_message(code));
    }
    return value;
}

} // namespace

LoginMaterial material_of(const Verifier& verifier) {
    return {verifier.version, verifier.cost, verifier.salt, verifier.value, std::nullopt};
}

LoginMaterial material_of(const trust::VerifierGrant& grant, const trust::TierName& holder) {
    return {static_cast<std::int64_t>(grant.version),
            {grant.memory_kib, grant.passes, grant.lanes},
            grant.salt,
            {},
            LoginMaterial::Lent{grant, holder}};
}

Status acceptable_password(std::string_view password, std::size_t bytes_min) {
    if (password.size() < bytes_min) {
        return fail(Code::usage, "the password is too short",
                    "use at least " + std::to_string(bytes_min) +
                        " characters; a few words are good");
    }
    if (password.size() > password_bytes_max) {
        return fail(Code::usage, "the password is too long",
                    "use at most " + std::to_string(password_bytes_max) + " bytes");
    }
    return {};
}

Result<Verifier> make_verifier(std::string_view password, std::int64_t version,
                               const Argon2Cost& cost, Random& random, std::size_t bytes_min) {
    if (Status acceptable = acceptable_password(password, bytes_min); !acceptable) {
        return acceptable.error();
    }
    Verifier verifier{version, cost, random.bytes(salt_bytes), {}};
    auto value = run_argon2id(password, verifier.salt, cost);
    if (!value) {
        return value.error();
    }
    verifier.value = std::move(*value);
    return verifier;
}

PasswordChecker::PasswordChecker(std::string tier_secret, Argon2Cost cost_for_unknown)
    : tier_secret_(std::move(tier_secret)), cost_for_unknown_(cost_for_unknown) {}

std::string PasswordChecker::fake_salt(std::string_view user) const {
    std::string message;
    append_part(message, fake_salt_label);
    append_part(message, user);
    return hmac_sha256(tier_secret_, message).substr(0, salt_bytes);
}

Result<bool> PasswordChecker::check(std::string_view user,
                                    const std::optional<LoginMaterial>& known,
                                    std::string_view password) const {
    // A password beyond the limit costs as much as one within it, and never matches.
    const bool too_long = password.size() > password_bytes_max;
    const std::string salt = known ? known->salt : fake_salt(user);
    auto value = run_argon2id(password.substr(0, password_bytes_max), salt,
                              known ? known->cost : cost_for_unknown_);
    if (!value) {
        return value.error();
    }
    if (!known) {
        trust::wipe(*value);
        return false;
    }
    const bool equal = known->lent ? trust::matches(known->lent->grant, known->lent->holder, *value)
                                   : known->expected.size() == verifier_bytes &&
                                         equal_constant_time(*value, known->expected);
    trust::wipe(*value);
    return equal && !too_long;
}

} // namespace hasp::signon
