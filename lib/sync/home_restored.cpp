// Home: going on after the tier was restored from a backup.
#include "home_store.h"
#include "sync/home.h"

namespace hasp::sync {

Status begin_restored(store::Db& db, const std::string& tenant, std::int64_t backup_us,
                      std::int64_t now_us) {
    HomeStore store(db, tenant);
    Status done = store.migrate();
    return done ? store.begin_restored(backup_us, now_us) : done;
}

Status HomeStore::begin_restored(std::int64_t backup_us, std::int64_t now_us) {
    auto transaction = store::Transaction::begin(db_);
    if (!transaction) {
        return transaction.error();
    }
    Status done = store::done(db_.execute(
        "INSERT OR IGNORE INTO files_epochs (tenant, user, app, epoch) SELECT tenant, user, app, "
        "epoch FROM files_folders WHERE tenant = ?1",
        tenant_));
    done = done ? store::done(db_.execute("UPDATE files_folders SET epoch = max(epoch + 1, ?2) "
                                          "WHERE tenant = ?1",
                                          tenant_, now_us))
                : done;
    done = done ? store::done(db_.execute("INSERT OR REPLACE INTO files_restored (tenant, "
                                          "backup_us, restored_us) VALUES (?1, ?2, ?3)",
                                          tenant_, backup_us, now_us))
                : done;
    // Verdicts speak of revisions of the old epoch, to senders who begin anew.
    done = done ? store::done(db_.execute("DELETE FROM files_batches WHERE tenant = ?1", tenant_))
                : done;
    return done ? transaction->commit() : done;
}

// An epoch is the time when it began: one that began between a backup and the restore was of the
// tier that is gone.
Result<bool> HomeStore::had_epoch(const FolderId& folder, std::uint64_t epoch) {
    auto found = db_.first(
        "SELECT 1 WHERE EXISTS (SELECT 1 FROM files_epochs WHERE tenant = ?1 AND user = ?2 AND app "
        "= ?3 AND epoch = ?4) OR EXISTS (SELECT 1 FROM files_restored WHERE tenant = ?1 AND "
        "backup_us <= ?4 AND ?4 <= restored_us)",
        [](const store::Statement& s) { return s.truth(0); }, tenant_, folder.user, folder.app,
        epoch);
    return found ? Result<bool>(found->has_value()) : found.error();
}

Result<bool> Home::was_restored(const FolderId& folder, std::uint64_t epoch) {
    auto now = store_->revision(folder);
    if (!now || epoch == 0 || now->epoch == epoch) {
        return now ? Result<bool>(false) : now.error();
    }
    return store_->had_epoch(folder, epoch);
}

} // namespace hasp::sync
