// Private: the accounts on SQLite. The accounts themselves are in sqlite_account_store.cpp, groups
// and entitlements in sqlite_entitlements.cpp.
#pragma once

#include "signon/account_store.h"
#include "status_of.h"

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace hasp::signon {

class SqliteAccountStore final : public AccountStore {
  public:
    SqliteAccountStore(store::Db& db, const Clock& clock, std::string tenant)
        : db_(db), clock_(clock), tenant_(std::move(tenant)) {}

    Status add(const AccountFields& fields) override;
    Status change(const AccountFields& fields) override;
    Status set_disabled(const std::string& user, bool disabled) override;
    Status remove(const std::string& user) override;
    Result<Account> show(const std::string& user) override;
    Result<AccountState> state_of(const std::string& user) override;
    Result<std::vector<Account>> list() override;
    Result<std::int64_t> next_password_version(const std::string& user) override;
    Status set_verifier(const std::string& user, const Verifier& verifier) override;
    Result<std::optional<LoginMaterial>> login_material(const std::string& user) override;
    Result<std::optional<Verifier>> verifier(const std::string& user) override;
    Status join(const std::string& user, const std::string& group) override;
    Status leave(const std::string& user, const std::string& group) override;
    Result<std::vector<std::string>> members(const std::string& group) override;
    Status entitle(const Entitlement& entitlement) override;
    Status withdraw(const Entitlement& entitlement) override;
    Result<std::vector<Entitlement>> entitlements() override;
    Result<std::vector<std::string>> apps_of(const std::string& user) override;
    Result<Identity> identity_of(const std::string& user) override;

  private:
    // One transaction around `act`, which answers whether anything changed (then the users are
    // marked).
    Status transact(const std::function<Status()>& act);
    Status must_exist(const std::string& user);
    Status mark_changed(const std::string& user);
    // A change after which no session of before is good.
    Status mark_changed_for_all(const std::string& user);
    // What a generation is at least.
    std::int64_t least_generation() const;
    Status mark_group_changed(const std::string& group);
    // Code::conflict when an account would have more apps than an identity carries.
    Status check_app_counts();
    Result<std::vector<Account>> read(const std::string& user_or_empty);
    Result<std::vector<std::string>> names(std::string_view sql, const std::string& key);

    store::Db& db_;
    const Clock& clock_;
    std::string tenant_;
};

// Shared by the two files.
Error no_account(const std::string& user);
Status check_name(std::string_view name, const char* what);

} // namespace hasp::signon
