// Home: what was destroyed with its user's account, which tiers may have copies of.
#include "home_store.h"
#include "store/transaction.h"
#include "sync/home.h"

namespace hasp::sync {

Status HomeStore::note_gone(const std::string& user, std::int64_t now_us) {
    return store::done(db_.execute(
        "INSERT OR REPLACE INTO files_gone (tenant, user, app, epoch, gone_us, own) "
        "SELECT tenant, user, app, epoch, ?3, 1 FROM files_folders WHERE tenant = ?1 AND user = ?2 "
        "UNION SELECT tenant, user, app, epoch, ?3, 1 FROM files_epochs WHERE tenant = ?1 AND user "
        "= ?2",
        tenant_, user, now_us));
}

Status HomeStore::put_gone(const FolderId& folder, std::uint64_t epoch, std::int64_t now_us) {
    return store::done(db_.execute("INSERT OR IGNORE INTO files_gone (tenant, user, app, epoch, "
                                   "gone_us, own) VALUES (?1, ?2, ?3, ?4, ?5, 0)",
                                   tenant_, folder.user, folder.app, epoch, now_us));
}

Result<std::vector<std::pair<std::string, std::uint64_t>>>
HomeStore::epochs(const std::string& user) {
    std::vector<std::pair<std::string, std::uint64_t>> out;
    Status read = db_.each(
        "SELECT app, epoch FROM files_folders WHERE tenant = ?1 AND user = ?2 UNION SELECT app, "
        "epoch FROM files_epochs WHERE tenant = ?1 AND user = ?2 ORDER BY epoch DESC",
        [&](const store::Statement& s) { out.emplace_back(s.text(0), s.count(1)); }, tenant_, user);
    return read ? Result<std::vector<std::pair<std::string, std::uint64_t>>>(std::move(out))
                : read.error();
}

Result<std::optional<bool>> HomeStore::gone(const FolderId& folder, std::uint64_t epoch) {
    return db_.first(
        "SELECT own FROM files_gone WHERE tenant = ?1 AND user = ?2 AND app = ?3 AND epoch = ?4",
        [](const store::Statement& s) { return s.truth(0); }, tenant_, folder.user, folder.app,
        epoch);
}

Result<std::set<std::string>> HomeStore::users_gone() {
    std::set<std::string> out;
    Status read = db_.each(
        "SELECT DISTINCT user FROM files_gone WHERE tenant = ?1",
        [&](const store::Statement& s) { out.insert(s.text(0)); }, tenant_);
    return read ? Result<std::set<std::string>>(std::move(out)) : read.error();
}

Result<std::vector<GoneFolder>> Home::epochs(const std::string& user) {
    auto known = store_->epochs(user);
    if (!known) {
        return known.error();
    }
    std::vector<GoneFolder> out;
    for (const auto& [app, epoch] : *known) {
        out.push_back({app, epoch});
    }
    return out;
}

Status Home::note_gone(const std::string& user, const std::vector<GoneFolder>& folders) {
    auto transaction = store::Transaction::begin(store_->db());
    if (!transaction) {
        return transaction.error();
    }
    for (const GoneFolder& one : folders) {
        Status put = store_->put_gone({user, one.app}, one.epoch, clock_.wall_us());
        if (!put) {
            return put;
        }
    }
    return transaction->commit();
}

Result<bool> Home::is_gone(const FolderId& folder, std::uint64_t epoch) {
    auto found = store_->gone(folder, epoch);
    return found ? Result<bool>(found->has_value()) : found.error();
}

Result<bool> Home::destroyed(const FolderId& folder, std::uint64_t epoch) {
    auto found = store_->gone(folder, epoch);
    return found ? Result<bool>(found->value_or(false)) : found.error();
}

Result<std::set<std::string>> Home::users_gone() {
    return store_->users_gone();
}

} // namespace hasp::sync
