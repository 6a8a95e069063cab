// Who a request is made by: the one identity type of the project. It travels from the keeper to
// front, and between tiers.
#pragma once

#include "base/result.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace hasp::signon {

enum class Role : unsigned char { user, operator_ };

// "user" or "operator".
const char* role_name(Role role);
Result<Role> role_from_name(std::string_view name);

// A value. `groups` and `apps` are sorted and without duplicates (normalise() makes them so).
struct Identity {
    std::string user;                // valid_name
    std::string name;                // display name, UTF-8, may be empty
    std::string email;               // may be empty
    std::vector<std::string> groups; // valid_names
    std::vector<std::string>
        apps;                  // what the account's home entitles it to, resolved through groups
    std::string sid;           // 32 hex digits: names the session, is no secret
    std::int64_t until_us = 0; // wall clock; void from then on
    Role role = Role::user;
    std::int64_t generation = 0; // of the account when this was true of it; 0: not known

    bool operator==(const Identity&) const = default;
};

// How far an account has come. The numbers never fall for a name; 0: not known, as from a tier of a
// release that did not count.
struct AccountState {
    std::int64_t generation = 0;
    // Sessions that were begun at a lower generation have ended: since then the password changed,
    // or the account was disabled, removed or made anew.
    std::int64_t sessions_from = 0;

    bool operator==(const AccountState&) const = default;
};

inline constexpr std::size_t identity_groups_max = 64;
inline constexpr std::size_t identity_apps_max = 1000;
inline constexpr std::size_t display_name_bytes_max = 200;
inline constexpr std::size_t email_bytes_max = 254;
// More than any valid identity encodes to.
inline constexpr std::size_t identity_json_bytes_max = 128 * 1024;

// Logarithmic in the number of apps; allocates nothing. An operator may use what he is entitled to,
// no more.
bool may_use(const Identity& identity, std::string_view app);

// Sorts groups and apps and drops duplicates.
void normalise(Identity& identity);

// Code::usage with what is wrong: names, sid, lengths, counts, order, control characters in the
// display name or address, negative numbers.
Status validate(const Identity& identity);

// JSON text of one object, keys in a fixed order; a generation that is not known is left out.
// Precondition: validate(identity) is ok.
std::string encode(const Identity& identity);
// The reverse, for bytes from another process or tier. Unknown keys are skipped (a newer peer),
// everything else must be right: Code::usage. The result is normalised and valid.
Result<Identity> decode_identity(std::string_view json);

} // namespace hasp::signon
