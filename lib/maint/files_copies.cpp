#include "files_copies.h"

#include "embedded/maint_copies_sql.h"
#include "store/migrate.h"

namespace hasp::maint {

Status FilesCopies::load() {
    if (Status migrated = store::migrate(db_, "maint_copies", embedded::maint_copies_sql());
        !migrated) {
        return migrated;
    }
    return db_.each(
        "SELECT user, since_us, used_us, kept FROM maint_copies WHERE tenant = ?1",
        [this](const store::Statement& s) {
            copies_[s.text(0)] = {s.integer(1), s.integer(2), s.truth(3)};
        },
        tenant_);
}

Status FilesCopies::put(const std::string& user, const Copy& copy) {
    auto put = db_.execute("INSERT OR REPLACE INTO maint_copies (tenant, user, since_us, used_us, "
                           "kept) VALUES (?1, ?2, ?3, ?4, ?5)",
                           tenant_, user, copy.since_us, copy.used_us, copy.kept);
    if (!put) {
        return put.error();
    }
    copies_[user] = copy;
    return {};
}

Status FilesCopies::there(const std::string& user, std::int64_t now_us, bool kept) {
    return copies_.contains(user) ? Status{} : put(user, {now_us, now_us, kept});
}

Status FilesCopies::used(const std::string& user, std::int64_t now_us) {
    const auto at = copies_.find(user);
    if (at == copies_.end() || now_us - at->second.used_us < copy_used_step_us) {
        return {};
    }
    Copy copy = at->second;
    copy.used_us = now_us;
    return put(user, copy);
}

Status FilesCopies::kept(const std::string& user) {
    const auto at = copies_.find(user);
    if (at == copies_.end() || at->second.kept) {
        return {};
    }
    Copy copy = at->second;
    copy.kept = true;
    return put(user, copy);
}

Status FilesCopies::forget(const std::string& user) {
    auto gone =
        db_.execute("DELETE FROM maint_copies WHERE tenant = ?1 AND user = ?2", tenant_, user);
    if (!gone) {
        return gone.error();
    }
    copies_.erase(user);
    return {};
}

} // namespace hasp::maint
