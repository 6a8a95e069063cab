#include "sqlite_account_store.h"

#include "base/clock.h"
#include "base/text.h"
#include "store/db.h"
#include "store/transaction.h"
#include "text_rules.h"

#include <algorithm>
#include <map>

namespace hasp::signon {

using store::Blob;
using store::Statement;
using store::Transaction;

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

namespace {

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

} // namespace

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
    auto counted = db_.execute("UPDATE signon_account_counters SET generation = max(generation + "
                               "1, ?3) WHERE tenant = ?1 AND user = ?2",
                               tenant_, user, least_generation());
    if (!counted) {
        return counted.error();
    }
    return status_of(
        db_.execute("UPDATE signon_accounts SET changed_us = ?3 WHERE tenant = ?1 AND user = ?2",
                    tenant_, user, clock_.wall_us()));
}

Status SqliteAccountStore::mark_changed_for_all(const std::string& user) {
    if (Status marked = mark_changed(user); !marked) {
        return marked;
    }
    return status_of(db_.execute("UPDATE signon_account_counters SET sessions_from = generation "
                                 "WHERE tenant = ?1 AND user = ?2",
                                 tenant_, user));
}

std::int64_t SqliteAccountStore::least_generation() const {
    return std::max<std::int64_t>(1, clock_.wall_us() / 1'000'000);
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
        auto counted = db_.execute("INSERT INTO signon_account_counters (tenant, user, "
                                   "password_version, generation) VALUES (?1, ?2, 0, 0) "
                                   "ON CONFLICT DO NOTHING",
                                   tenant_, fields.name);
        return counted ? mark_changed_for_all(fields.name) : Status{counted.error()};
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
        if (*changed == 0) {
            return no_account(user);
        }
        return disabled ? mark_changed_for_all(user) : mark_changed(user);
    });
}

Status SqliteAccountStore::remove(const std::string& user) {
    return transact([&]() -> Status {
        if (Status marked = mark_changed_for_all(user); !marked) {
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

Result<AccountState> SqliteAccountStore::state_of(const std::string& user) {
    auto state = db_.first(
        "SELECT generation, sessions_from FROM signon_account_counters WHERE tenant = ?1 AND user "
        "= ?2",
        [](const Statement& row) {
            return AccountState{row.integer(0), row.integer(1)};
        },
        tenant_, user);
    if (!state) {
        return state.error();
    }
    return state->value_or(AccountState{});
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
        return set ? mark_changed_for_all(user) : Status{set.error()};
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
    identity.generation = account->generation;
    identity.groups = std::move(account->groups);
    identity.apps = std::move(*apps);
    normalise(identity);
    return identity;
}

std::unique_ptr<AccountStore> make_sqlite_account_store(store::Db& db, const Clock& clock,
                                                        std::string tenant) {
    return std::make_unique<SqliteAccountStore>(db, clock, std::move(tenant));
}

} // namespace hasp::signon
