// Client: what was noticed, and what of it outlives the process.
#include "client_staging.h"
#include "store/transaction.h"

namespace hasp::sync {

namespace {
constexpr std::int64_t deletions_settle_us = 900'000;
constexpr std::int64_t deletions_latest_us = 30'000'000; // an app that deletes all the time
} // namespace

Client::Attention& Client::attention(const FolderId& folder) {
    auto& held = attention_[folder];
    if (held == nullptr) {
        held = std::make_unique<Attention>();
    }
    return *held;
}

void Client::watch_begins(const FolderId& folder) {
    Attention& at = attention(folder);
    if (at.carried_over) {
        at.unchecked = true;
    } else {
        at.noted = {true, {}, {}, {}};
    }
    at.carried_over = false;
    at.watched = true;
}

void Client::watch_ends(const FolderId& folder) {
    Attention& at = attention(folder);
    at.watched = false;
    at.carried_over = false;
    at.noted = {true, {}, {}, {}};
}

void Client::note(const FolderId& folder, Noticed noticed) {
    attention(folder).noted.add(std::move(noticed));
}

bool Client::unchecked(const FolderId& folder) const {
    const auto at = attention_.find(folder);
    return at != attention_.end() && at->second->unchecked;
}

void Client::patient(const FolderId& folder, bool patient) {
    attention(folder).patient = patient;
}

bool Client::deletions_wait(Attention& at, std::uint64_t deleted) const {
    const std::int64_t now = clock_.boot_us();
    if (!at.patient || deleted == 0) {
        at.deleted = 0;
        at.waits_us = 0;
        return false;
    }
    if (at.waits_us == 0) {
        at.waits_us = now;
    }
    if (deleted != at.deleted) {
        at.deleted = deleted;
        at.deleted_us = now;
    }
    return now - at.deleted_us < deletions_settle_us && now - at.waits_us < deletions_latest_us;
}

void Client::note_changed(const FolderId& folder, const Staging& staging) {
    Noticed noticed;
    noticed.trees = staging.differing;
    note(folder, std::move(noticed));
}

Status Client::close() {
    auto transaction = store::Transaction::begin(store_->db());
    if (!transaction) {
        return transaction.error();
    }
    for (const auto& [folder, at] : attention_) {
        // A folder that was not watched to the end, or not looked at in whole, is one of which
        // nothing is known.
        if (!at->watched || at->unchecked || at->noted.everything) {
            continue;
        }
        Noticed noted = at->noted;
        noted.paths.insert(at->unsent.begin(), at->unsent.end());
        if (Status put = store_->put_noted(folder, noted); !put) {
            return put;
        }
    }
    return transaction->commit();
}

Result<std::map<FolderId, Noticed>> ClientStore::take_noted() {
    std::map<FolderId, Noticed> out;
    Status read = db_.each(
        "SELECT user, app FROM sync_folders WHERE tenant = ?1 AND closed = 1",
        [&](const store::Statement& s) {
            out[{s.text(0), s.text(1)}];
        },
        tenant_);
    if (!read) {
        return read.error();
    }
    if (out.empty()) {
        return out;
    }
    read = db_.each(
        "SELECT user, app, path, tree FROM sync_noted WHERE tenant = ?1",
        [&](const store::Statement& s) {
            Noticed& noted = out[{s.text(0), s.text(1)}];
            (s.truth(3) ? noted.trees : noted.paths).insert(s.blob(2));
        },
        tenant_);
    if (!read) {
        return read.error();
    }
    auto transaction = store::Transaction::begin(db_);
    if (!transaction) {
        return transaction.error();
    }
    for (const char* sql : {"UPDATE sync_folders SET closed = 0 WHERE tenant = ?1 AND closed = 1",
                            "DELETE FROM sync_noted WHERE tenant = ?1"}) {
        if (auto done = db_.execute(sql, tenant_); !done.ok()) {
            return done.error();
        }
    }
    if (Status done = transaction->commit(); !done) {
        return done.error();
    }
    return out;
}

Status ClientStore::put_noted(const FolderId& folder, const Noticed& noted) {
    auto marked = db_.execute(
        "UPDATE sync_folders SET closed = 1 WHERE tenant = ?1 AND user = ?2 AND app = ?3", tenant_,
        folder.user, folder.app);
    if (!marked.ok()) {
        return marked.error();
    }
    for (const bool tree : {false, true}) {
        for (const std::string& path : tree ? noted.trees : noted.paths) {
            auto put = db_.execute("INSERT OR REPLACE INTO sync_noted (tenant, user, app, path, "
                                   "tree) VALUES (?1, ?2, ?3, ?4, ?5)",
                                   tenant_, folder.user, folder.app, store::Blob{path}, tree);
            if (!put.ok()) {
                return put.error();
            }
        }
    }
    return {};
}

} // namespace hasp::sync
