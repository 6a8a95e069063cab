// Groups and entitlements.
#include "base/text.h"
#include "sqlite_account_store.h"
#include "store/db.h"

namespace hasp::signon {

using store::Statement;

namespace {

const char* kind_name(HolderKind kind) {
    return kind == HolderKind::user ? "user" : "group";
}

} // namespace

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

} // namespace hasp::signon
