// Client: files that the home does not count, because of what its scanner says or has yet to say.
#include "base/clock.h"
#include "client_staging.h"

#include <algorithm>

namespace hasp::sync {

Result<std::vector<RefusedFile>> ClientStore::refused(const FolderId& folder) {
    std::vector<RefusedFile> out;
    Status read = db_.each(
        "SELECT path, hash, size, found, since_us, asked_us FROM sync_refused WHERE tenant = ?1 "
        "AND user = ?2 AND app = ?3 ORDER BY path",
        [&](const store::Statement& s) {
            out.push_back({s.blob(0), s.blob(1), static_cast<std::uint64_t>(s.integer(2)),
                           s.text(3), s.integer(4), s.integer(5)});
        },
        tenant_, folder.user, folder.app);
    return read ? Result<std::vector<RefusedFile>>(std::move(out)) : read.error();
}

Status ClientStore::put_refused(const FolderId& folder, const RefusedFile& file) {
    return store::done(db_.execute(
        "INSERT INTO sync_refused (tenant, user, app, path, hash, size, found, since_us, asked_us) "
        "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT DO UPDATE SET since_us = CASE "
        "hash WHEN excluded.hash THEN since_us ELSE excluded.since_us END, hash = excluded.hash, "
        "size = excluded.size, found = excluded.found, asked_us = excluded.asked_us",
        tenant_, folder.user, folder.app, store::Blob{file.path}, store::Blob{file.hash}, file.size,
        file.found, file.since_us, file.asked_us));
}

Status ClientStore::drop_refused(const FolderId& folder, const std::string& path) {
    return store::done(db_.execute(
        "DELETE FROM sync_refused WHERE tenant = ?1 AND user = ?2 AND app = ?3 AND path = ?4",
        tenant_, folder.user, folder.app, store::Blob{path}));
}

Status ClientStore::drop_all_refused(const FolderId& folder) {
    return store::done(
        db_.execute("DELETE FROM sync_refused WHERE tenant = ?1 AND user = ?2 AND app = ?3",
                    tenant_, folder.user, folder.app));
}

void Client::ask_again(const FolderId& folder) {
    attention(folder).ask_again = true;
}

Status Client::add_refused(FolderStatus& status) {
    auto rows = store_->refused(status.folder);
    if (!rows) {
        return rows.error();
    }
    status.infected = status.unscanned = 0;
    status.refused.clear();
    for (RefusedFile& one : *rows) {
        (one.found.empty() ? status.unscanned : status.infected) += 1;
        if (status.refused.size() < refused_listed_max) {
            status.refused.push_back(std::move(one));
        }
    }
    return {};
}

// Out of what is to be sent goes what the home has refused as it is now. A file that has another
// content since, or that both sides agree on (an operator of the home released it), is refused no
// more.
Status Client::leave_refused(const FolderId& folder, Look& look) {
    Attention& at = attention(folder);
    const bool ask = std::exchange(at.ask_again, false);
    auto rows = store_->refused(folder);
    if (!rows) {
        return rows.error();
    }
    const std::int64_t now = clock_.wall_us();
    std::set<std::string> stay;
    for (const RefusedFile& one : *rows) {
        const auto here = look.scan.tree.find(one.path);
        const auto agreed = look.base.find(one.path);
        const bool there = here != look.scan.tree.end();
        const bool looked = there || look.everywhere || at.unsent.contains(one.path) ||
                            at.noted.paths.contains(one.path);
        const bool changed =
            there ? here->second.hash != one.hash : !look.scan.changing.contains(one.path);
        const bool settled = agreed != look.base.end() && agreed->second.entry.hash == one.hash;
        if ((looked && changed) || settled) {
            if (Status gone = store_->drop_refused(folder, one.path); !gone) {
                return gone;
            }
            continue;
        }
        look.refused.insert(one.path);
        const std::int64_t again_us = one.found.empty() ? refused_again_us : infected_again_us;
        const bool due = ask || now < one.asked_us || now - one.asked_us >= again_us;
        if (due) {
            look.unscanned.insert(one.hash);
        } else {
            stay.insert(one.path);
        }
    }
    std::erase_if(look.operations, [&](const Operation& op) {
        return op.act == Act::put && op.entry.kind == FileKind::file && stay.contains(op.path);
    });
    return rows->empty() ? Status{} : add_refused(look.row.status);
}

// What came from the home for such a file: both sides agree on it now.
Status Client::settle_refused(FolderStatus& status, const Staging& staging) {
    auto rows = store_->refused(status.folder);
    if (!rows) {
        return rows.error();
    }
    for (const RefusedFile& one : *rows) {
        if (!staging.agreed.contains(one.path)) {
            continue;
        }
        if (Status gone = store_->drop_refused(status.folder, one.path); !gone) {
            return gone;
        }
        status.unsent_files -= status.unsent_files > 0 ? 1 : 0;
        status.unsent_bytes -= std::min(status.unsent_bytes, one.size);
    }
    if (status.unsent_files == 0) {
        status.unsent_since_us = 0;
    }
    return {};
}

} // namespace hasp::sync
