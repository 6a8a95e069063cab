#include "signon/account_store.h"

#include "base/clock.h"
#include "base/text.h"
#include "store/db.h"
#include "store/transaction.h"
#include "text_rules.h"

#include <functional>
#include <map>

namespace hasp::signon {

namespace {

using store::Blob;
using store::Statement;
using store::Transaction;

const char* kind_name(HolderKind kind) {
    return kind == HolderKind::user ? "user" : "group";
}

Error no_account(const std::string& user) {
    return fail(Code::not_found, "there is no account " + user,
                "hasp user list shows the accounts");
}

Status check_name(std::string_view name, const char* what) {
    if (!valid_name(name)) {
        return fail(Code::usage, std::string("not a name of ") + what,
                    "a name has 1 to 40 characters of a-z, 0-9 and -, and begins with a letter");
    }
    return {};
}

Status check_fields(const AccountFields& fields) {
    if (Status named = check_name(fields.name, "an account"); !named) {
        return named;
    }
    if (fields.display_name.size() > display_name_bytes_max ||
        !printable_utf8(fields.display_name)) {
        return fail(Code::usage,
                    "the display name of " + fields.name + " is too long or not plain text",
                    "at most " + std::to_string(display_name_bytes_max) + " bytes of UTF-8");
    }
    if (!plausible_email(fields.email)) {
        return fail(Code::usage, "the email address of " + fields.name + " is malformed");
    }
    return {};
}

class SqliteAccountStore final : public AccountStore {
  public:
    SqliteAccountStore(store::Db& db, const Clock& clock, std::string tenant)
        : db_(db), clock_(clock), tenant_(std::move(tenant)) {}

    Status add(const AccountFields& fields) override;
    Status change(const AccountFields& fields) override;
    Status set_disabled(const std::string& user, bool disabled) override;
    Status remove(const std::string& user) override;
    Result<Account> show(const std::string& user) override;
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
    Status mark_group_changed(const std::string& group);
    // Code::conflict when an account would have more apps than an identity carries.
    Status check_app_counts();
    Result<std::vector<Account>> read(const std::string& user_or_empty);
    Result<std::vector<std::string>> names(std::string_view sql, const std::string& key);

    store::Db& db_;
    const Clock& clock_;
    std::string tenant_;
};

Status status_of(const Result<std::int64_t>& changed) {
    return changed.ok() ? Status{} : Status{changed.error()};
}

Status SqliteAccountStore::transact(const std::function<Status()>& act) {
    auto transaction = Transaction::begin(db_);
    if (!transaction) {
        return transaction.error();
    }
    if (Status done = act(); !done) {
        return done;
    }
    return transaction->commit();
}

Status SqliteAccountStore::must_exist(const std::string& user) {
    auto row = db_.first(
        "SELECT 1 FROM signon_accounts WHERE tenant = ?1 AND user = ?2",
        [](const Statement&) { return true; }, tenant_, user);
    if (!row) {
        return row.error();
    }
    return *row ? Status{} : Status{no_account(user)};
}

Status SqliteAccountStore::mark_changed(const std::string& user) {
    auto counted = db_.execute("UPDATE signon_account_counters SET generation = generation + 1 "
                               "WHERE tenant = ?1 AND user = ?2",
                               tenant_, user);
    if (!counted) {
        return counted.error();
    }
    return status_of(
        db_.execute("UPDATE signon_accounts SET changed_us = ?3 WHERE tenant = ?1 AND user = ?2",
                    tenant_, user, clock_.wall_us()));
}

Status SqliteAccountStore::mark_group_changed(const std::string& group) {
    auto users = members(group);
    if (!users) {
        return users.error();
    }
    for (const std::string& user : *users) {
        if (Status marked = mark_changed(user); !marked) {
            return marked;
        }
    }
    return {};
}

Status SqliteAccountStore::check_app_counts() {
    auto over = db_.first(
        "SELECT user FROM (SELECT holder AS user, app FROM signon_entitlements WHERE tenant = ?1 "
        "AND kind = 'user' "
        "UNION SELECT m.user, e.app FROM signon_members m JOIN signon_entitlements e "
        "ON e.tenant = m.tenant AND e.kind = 'group' AND e.holder = m.group_name WHERE m.tenant = "
        "?1) "
        "GROUP BY user HAVING count(*) > ?2 LIMIT 1",
        [](const Statement& row) { return row.text(0); }, tenant_, identity_apps_max);
    if (!over) {
        return over.error();
    }
    if (*over) {
        return fail(Code::conflict, "the account " + **over + " would have more than " +
                                        std::to_string(identity_apps_max) + " apps");
    }
    return {};
}

Status SqliteAccountStore::add(const AccountFields& fields) {
    if (Status checked = check_fields(fields); !checked) {
        return checked;
    }
    return transact([&]() -> Status {
        const std::int64_t now_us = clock_.wall_us();
        auto added = db_.execute("INSERT INTO signon_accounts (tenant, user, display_name, email, "
                                 "role, disabled, created_us, changed_us) "
                                 "VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6, ?6) ON CONFLICT DO NOTHING",
                                 tenant_, fields.name, fields.display_name, fields.email,
                                 role_name(fields.role), now_us);
        if (!added) {
            return added.error();
        }
        if (*added == 0) {
            return fail(Code::conflict, "there is an account " + fields.name + " already");
        }
        return status_of(db_.execute("INSERT INTO signon_account_counters (tenant, user, "
                                     "password_version, generation) VALUES (?1, ?2, 0, 1) "
                                     "ON CONFLICT DO UPDATE SET generation = generation + 1",
                                     tenant_, fields.name));
    });
}

Status SqliteAccountStore::change(const AccountFields& fields) {
    if (Status checked = check_fields(fields); !checked) {
        return checked;
    }
    return transact([&]() -> Status {
        auto changed = db_.execute("UPDATE signon_accounts SET display_name = ?3, email = ?4, role "
                                   "= ?5 WHERE tenant = ?1 AND user = ?2",
                                   tenant_, fields.name, fields.display_name, fields.email,
                                   role_name(fields.role));
        if (!changed) {
            return changed.error();
        }
        return *changed == 0 ? Status{no_account(fields.name)} : mark_changed(fields.name);
    });
}

Status SqliteAccountStore::set_disabled(const std::string& user, bool disabled) {
    return transact([&]() -> Status {
        auto changed =
            db_.execute("UPDATE signon_accounts SET disabled = ?3 WHERE tenant = ?1 AND user = ?2",
                        tenant_, user, disabled);
        if (!changed) {
            return changed.error();
        }
        return *changed == 0 ? Status{no_account(user)} : mark_changed(user);
    });
}

Status SqliteAccountStore::remove(const std::string& user) {
    return transact([&]() -> Status {
        if (Status marked = mark_changed(user); !marked) {
            return marked;
        }
        auto removed = db_.execute("DELETE FROM signon_accounts WHERE tenant = ?1 AND user = ?2",
                                   tenant_, user);
        if (!removed) {
            return removed.error();
        }
        if (*removed == 0) {
            return no_account(user);
        }
        return status_of(db_.execute(
            "DELETE FROM signon_entitlements WHERE tenant = ?1 AND kind = 'user' AND holder = ?2",
            tenant_, user));
    });
}

Result<std::vector<Account>> SqliteAccountStore::read(const std::string& user) {
    std::map<std::string, std::vector<std::string>> groups;
    Status status = db_.each(
        "SELECT user, group_name FROM signon_members WHERE tenant = ?1 AND (?2 = '' OR user = ?2) "
        "ORDER BY user, group_name",
        [&](const Statement& row) { groups[row.text(0)].push_back(row.text(1)); }, tenant_, user);
    if (!status) {
        return status.error();
    }
    std::vector<Account> accounts;
    status = db_.each(
        "SELECT a.user, a.display_name, a.email, a.role, a.disabled, a.verifier IS NOT NULL, "
        "c.password_version, "
        "a.created_us, a.changed_us, c.generation FROM signon_accounts a JOIN "
        "signon_account_counters c USING (tenant, user) "
        "WHERE a.tenant = ?1 AND (?2 = '' OR a.user = ?2) ORDER BY a.user LIMIT ?3",
        [&](const Statement& row) {
            Account account;
            account.fields = {row.text(0), row.text(1), row.text(2),
                              row.view(3) == "operator" ? Role::operator_ : Role::user};
            account.disabled = row.truth(4);
            account.has_password = row.truth(5);
            account.password_version = row.integer(6);
            account.created_us = row.integer(7);
            account.changed_us = row.integer(8);
            account.generation = row.integer(9);
            account.groups = std::move(groups[account.fields.name]);
            accounts.push_back(std::move(account));
        },
        tenant_, user, accounts_listed_max);
    if (!status) {
        return status.error();
    }
    return accounts;
}

Result<Account> SqliteAccountStore::show(const std::string& user) {
    if (user.empty()) {
        return no_account(user);
    }
    auto accounts = read(user);
    if (!accounts) {
        return accounts.error();
    }
    return accounts->empty() ? Result<Account>(no_account(user)) : std::move(accounts->front());
}

Result<std::vector<Account>> SqliteAccountStore::list() {
    return read("");
}

Result<std::int64_t> SqliteAccountStore::next_password_version(const std::string& user) {
    auto account = show(user);
    return account ? Result<std::int64_t>(account->password_version + 1) : account.error();
}

Status SqliteAccountStore::set_verifier(const std::string& user, const Verifier& verifier) {
    if (verifier.salt.size() != salt_bytes || verifier.value.size() != verifier_bytes) {
        return fail(Code::usage, "a password verifier of the wrong size");
    }
    return transact([&]() -> Status {
        if (Status there = must_exist(user); !there) {
            return there;
        }
        auto next = db_.execute("UPDATE signon_account_counters SET password_version = ?3 WHERE "
                                "tenant = ?1 AND user = ?2 AND password_version + 1 = ?3",
                                tenant_, user, verifier.version);
        if (!next) {
            return next.error();
        }
        if (*next == 0) {
            return fail(Code::conflict,
                        "the password of " + user + " was changed by somebody else meanwhile",
                        "try again");
        }
        auto set = db_.execute("UPDATE signon_accounts SET verifier = ?3, salt = ?4, memory_kib = "
                               "?5, passes = ?6, lanes = ?7 WHERE tenant = ?1 AND user = ?2",
                               tenant_, user, Blob{verifier.value}, Blob{verifier.salt},
                               verifier.cost.memory_kib, verifier.cost.passes, verifier.cost.lanes);
        return set ? mark_changed(user) : Status{set.error()};
    });
}

Result<std::optional<Verifier>> SqliteAccountStore::verifier(const std::string& user) {
    return db_.first(
        "SELECT c.password_version, a.memory_kib, a.passes, a.lanes, a.salt, a.verifier FROM "
        "signon_accounts a "
        "JOIN signon_account_counters c USING (tenant, user) WHERE a.tenant = ?1 AND a.user = ?2 "
        "AND a.disabled = 0 AND a.verifier IS NOT NULL",
        [](const Statement& row) {
            const auto small = [&](int column) {
                return static_cast<std::uint32_t>(row.integer(column));
            };
            return Verifier{
                row.integer(0), {small(1), small(2), small(3)}, row.blob(4), row.blob(5)};
        },
        tenant_, user);
}

Result<std::optional<LoginMaterial>> SqliteAccountStore::login_material(const std::string& user) {
    auto found = verifier(user);
    if (!found) {
        return found.error();
    }
    return *found ? std::optional(material_of(**found)) : std::nullopt;
}

Status SqliteAccountStore::join(const std::string& user, const std::string& group) {
    if (Status named = check_name(group, "a group"); !named) {
        return named;
    }
    return transact([&]() -> Status {
        if (Status there = must_exist(user); !there) {
            return there;
        }
        auto joined = db_.execute("INSERT INTO signon_members (tenant, group_name, user) VALUES "
                                  "(?1, ?2, ?3) ON CONFLICT DO NOTHING",
                                  tenant_, group, user);
        if (!joined) {
            return joined.error();
        }
        if (*joined == 0) {
            return {};
        }
        auto account = show(user);
        if (!account) {
            return account.error();
        }
        if (account->groups.size() > identity_groups_max) {
            return fail(Code::conflict, user + " is in " + std::to_string(identity_groups_max) +
                                            " groups already, which is the limit");
        }
        Status counted = check_app_counts();
        return counted ? mark_changed(user) : counted;
    });
}

Status SqliteAccountStore::leave(const std::string& user, const std::string& group) {
    return transact([&]() -> Status {
        if (Status there = must_exist(user); !there) {
            return there;
        }
        auto left = db_.execute(
            "DELETE FROM signon_members WHERE tenant = ?1 AND group_name = ?2 AND user = ?3",
            tenant_, group, user);
        if (!left) {
            return left.error();
        }
        return *left == 0 ? Status{} : mark_changed(user);
    });
}

Result<std::vector<std::string>> SqliteAccountStore::names(std::string_view sql,
                                                           const std::string& key) {
    std::vector<std::string> found;
    Status read = db_.each(
        sql, [&](const Statement& row) { found.push_back(row.text(0)); }, tenant_, key);
    if (!read) {
        return read.error();
    }
    return found;
}

Result<std::vector<std::string>> SqliteAccountStore::members(const std::string& group) {
    return names(
        "SELECT user FROM signon_members WHERE tenant = ?1 AND group_name = ?2 ORDER BY user",
        group);
}

Status SqliteAccountStore::entitle(const Entitlement& entitlement) {
    if (Status app = check_name(entitlement.app, "an app"); !app) {
        return app;
    }
    if (Status holder = check_name(entitlement.holder,
                                   entitlement.kind == HolderKind::user ? "an account" : "a group");
        !holder) {
        return holder;
    }
    return transact([&]() -> Status {
        if (entitlement.kind == HolderKind::user) {
            if (Status there = must_exist(entitlement.holder); !there) {
                return there;
            }
        }
        auto added =
            db_.execute("INSERT INTO signon_entitlements (tenant, kind, holder, app) VALUES (?1, "
                        "?2, ?3, ?4) ON CONFLICT DO NOTHING",
                        tenant_, kind_name(entitlement.kind), entitlement.holder, entitlement.app);
        if (!added) {
            return added.error();
        }
        if (*added == 0) {
            return {};
        }
        if (Status counted = check_app_counts(); !counted) {
            return counted;
        }
        return entitlement.kind == HolderKind::user ? mark_changed(entitlement.holder)
                                                    : mark_group_changed(entitlement.holder);
    });
}

Status SqliteAccountStore::withdraw(const Entitlement& entitlement) {
    return transact([&]() -> Status {
        if (entitlement.kind == HolderKind::user) {
            if (Status there = must_exist(entitlement.holder); !there) {
                return there;
            }
        }
        auto gone =
            db_.execute("DELETE FROM signon_entitlements WHERE tenant = ?1 AND kind = ?2 AND "
                        "holder = ?3 AND app = ?4",
                        tenant_, kind_name(entitlement.kind), entitlement.holder, entitlement.app);
        if (!gone) {
            return gone.error();
        }
        if (*gone == 0) {
            return {};
        }
        return entitlement.kind == HolderKind::user ? mark_changed(entitlement.holder)
                                                    : mark_group_changed(entitlement.holder);
    });
}

Result<std::vector<Entitlement>> SqliteAccountStore::entitlements() {
    std::vector<Entitlement> found;
    Status read = db_.each(
        "SELECT kind, holder, app FROM signon_entitlements WHERE tenant = ?1 ORDER BY kind DESC, "
        "holder, app",
        [&](const Statement& row) {
            found.push_back({row.view(0) == "user" ? HolderKind::user : HolderKind::group,
                             row.text(1), row.text(2)});
        },
        tenant_);
    if (!read) {
        return read.error();
    }
    return found;
}

Result<std::vector<std::string>> SqliteAccountStore::apps_of(const std::string& user) {
    if (Status there = must_exist(user); !there) {
        return there.error();
    }
    return names(
        "SELECT app FROM signon_entitlements WHERE tenant = ?1 AND kind = 'user' AND holder = ?2 "
        "UNION SELECT e.app FROM signon_members m JOIN signon_entitlements e "
        "ON e.tenant = m.tenant AND e.kind = 'group' AND e.holder = m.group_name "
        "WHERE m.tenant = ?1 AND m.user = ?2 ORDER BY 1",
        user);
}

Result<Identity> SqliteAccountStore::identity_of(const std::string& user) {
    auto account = show(user);
    if (!account) {
        return account.error();
    }
    if (account->disabled) {
        return fail(Code::refused, "the account " + user + " is disabled",
                    "hasp user enable " + user);
    }
    auto apps = apps_of(user);
    if (!apps) {
        return apps.error();
    }
    Identity identity;
    identity.user = user;
    identity.name = account->fields.display_name;
    identity.email = account->fields.email;
    identity.role = account->fields.role;
    identity.groups = std::move(account->groups);
    identity.apps = std::move(*apps);
    normalise(identity);
    return identity;
}

} // namespace

std::unique_ptr<AccountStore> make_sqlite_account_store(store::Db& db, const Clock& clock,
                                                        std::string tenant) {
    return std::make_unique<SqliteAccountStore>(db, clock, std::move(tenant));
}

} // namespace hasp::signon
