// The accounts whose home is this tier.
//
// An AccountStore belongs to one thread and may block on the disk; each call is one transaction,
// durable when it returns. Errors: Code::usage (malformed value), not_found (the sentence names
// what), conflict (exists already), else the store's.
#pragma once

#include "base/result.h"
#include "signon/identity.h"
#include "signon/password.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace hasp {
class Clock;
}
namespace hasp::store {
class Db;
}

namespace hasp::signon {

struct AccountFields {
    std::string name; // valid_name, unique in the realm; never changes
    std::string display_name;
    std::string email;
    Role role = Role::user;
};

struct Account {
    AccountFields fields;
    bool disabled = false;
    bool has_password = false;
    std::int64_t password_version = 0; // 0: never had one
    std::int64_t created_us = 0;
    std::int64_t changed_us = 0;
    // Rises at every change of the account, its groups or its entitlements (also through a group),
    // to the seconds since 1970 or, where it is there already, by one: so it also rises where an
    // account is made anew at another tier, or its tier's disk comes back from an old copy.
    std::int64_t generation = 0;
    std::vector<std::string> groups; // sorted
};

// Who an entitlement is given to.
enum class HolderKind : unsigned char { user, group };
struct Entitlement {
    HolderKind kind = HolderKind::user;
    std::string holder;
    std::string app;
    bool operator==(const Entitlement&) const = default;
};

inline constexpr std::size_t accounts_listed_max = 100'000;

class AccountStore {
  public:
    virtual ~AccountStore() = default;

    // Without a password: nobody can log in until set_password.
    virtual Status add(const AccountFields& fields) = 0;
    // Replaces display name, email and role.
    virtual Status change(const AccountFields& fields) = 0;
    virtual Status set_disabled(const std::string& user, bool disabled) = 0;
    // With its groups, entitlements and tokens. What it did stays (usage, data); its password
    // version is remembered.
    virtual Status remove(const std::string& user) = 0;
    virtual Result<Account> show(const std::string& user) = 0;
    // Also of a removed account; zeros for a name that never had one here.
    virtual Result<AccountState> state_of(const std::string& user) = 0;
    // By name. Names only make sense with show(); the list has everything.
    virtual Result<std::vector<Account>> list() = 0;

    // The version that the next verifier of this user must have: make_verifier(…, next) on a
    // worker, then set_verifier.
    virtual Result<std::int64_t> next_password_version(const std::string& user) = 0;
    // Code::conflict when verifier.version is not the next one (somebody else changed it
    // meanwhile).
    virtual Status set_verifier(const std::string& user, const Verifier& verifier) = 0;
    // nullopt when unknown *or* disabled *or* without a password: the checker then does the same
    // work and says no.
    virtual Result<std::optional<LoginMaterial>> login_material(const std::string& user) = 0;
    // V0 itself, for making the verifiers of tiers below.
    virtual Result<std::optional<Verifier>> verifier(const std::string& user) = 0;

    // A group exists while it has a member or an entitlement. Joining twice and leaving what one is
    // not in are successes.
    virtual Status join(const std::string& user, const std::string& group) = 0;
    virtual Status leave(const std::string& user, const std::string& group) = 0;
    virtual Result<std::vector<std::string>> members(const std::string& group) = 0;

    // Idempotent as well. A user must exist; a group and an app need not.
    virtual Status entitle(const Entitlement& entitlement) = 0;
    virtual Status withdraw(const Entitlement& entitlement) = 0;
    virtual Result<std::vector<Entitlement>> entitlements() = 0;
    // Direct and through groups, sorted, no duplicates.
    virtual Result<std::vector<std::string>> apps_of(const std::string& user) = 0;

    // Everything of an Identity but sid and until_us. Code::refused for a disabled account.
    virtual Result<Identity> identity_of(const std::string& user) = 0;
};

// Tables are made by migrate_tables (signon/schema.h). `db` and `clock` must outlive the store.
std::unique_ptr<AccountStore> make_sqlite_account_store(store::Db& db, const Clock& clock,
                                                        std::string tenant = "main");

} // namespace hasp::signon
