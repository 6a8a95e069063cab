// Client: the end of a working copy, which its home has and can bring again.
#include "sync/client.h"

#include "client_parts.h"
#include "client_store.h"

#include <algorithm>

namespace hasp::sync {

namespace {

constexpr std::uint32_t open_mode = 0700;

// Not there is as good as gone.
Status gone_or(const Status& removed) {
    return !removed && removed.error().code == Code::not_found ? Status{} : removed;
}

// All of it. What an app closed to its owner is opened first, where hasp is not root.
Status remove_all(Disk& disk, const std::string& folder) {
    std::vector<std::string> folders{folder};
    for (std::size_t i = 0; i < folders.size(); ++i) {
        const std::string at = folders[i];
        auto entries = disk.list(at);
        if (!entries && entries.error().code != Code::not_found) {
            [[maybe_unused]] const Status opened = disk.set_meta(at, open_mode, 0);
            entries = disk.list(at);
        }
        if (!entries) {
            if (entries.error().code == Code::not_found) {
                continue;
            }
            return entries.error();
        }
        for (const DirEntry& entry : *entries) {
            const std::string path = at + "/" + entry.name;
            if (entry.stat.kind == FileKind::folder) {
                folders.push_back(path);
                continue;
            }
            Status removed = gone_or(disk.remove(path));
            if (!removed) {
                [[maybe_unused]] const Status opened = disk.set_meta(at, open_mode, 0);
                removed = gone_or(disk.remove(path));
            }
            if (!removed) {
                return removed;
            }
        }
    }
    for (auto at = folders.rbegin(); at != folders.rend(); ++at) {
        if (Status removed = gone_or(disk.remove_folder(*at)); !removed) {
            return removed;
        }
    }
    return {};
}

std::string parent_of(const std::string& path) {
    return path.substr(0, path.rfind('/'));
}

} // namespace

Status ClientStore::begin_leaving(const FolderId& folder) {
    Status done = store::done(
        db_.execute("INSERT OR REPLACE INTO sync_leaving (tenant, user, app) VALUES (?1, ?2, ?3)",
                    tenant_, folder.user, folder.app));
    for (const char* table : {"sync_folders", "sync_base", "sync_batches", "sync_operations",
                              "sync_placing", "sync_noted", "sync_refused"}) {
        if (done) {
            done = store::done(db_.execute(std::string("DELETE FROM ") + table +
                                               " WHERE tenant = ?1 AND user = ?2 AND app = ?3",
                                           tenant_, folder.user, folder.app));
        }
    }
    return done;
}

Result<std::vector<FolderId>> ClientStore::folders_leaving() {
    std::vector<FolderId> out;
    Status read = db_.each(
        "SELECT user, app FROM sync_leaving WHERE tenant = ?1 ORDER BY user, app",
        [&](const store::Statement& s) {
            out.push_back({s.text(0), s.text(1)});
        },
        tenant_);
    return read ? Result<std::vector<FolderId>>(std::move(out)) : read.error();
}

Status ClientStore::drop_leaving(const FolderId& folder) {
    return store::done(
        db_.execute("DELETE FROM sync_leaving WHERE tenant = ?1 AND user = ?2 AND app = ?3",
                    tenant_, folder.user, folder.app));
}

Result<std::map<std::string, std::uint64_t>> ClientStore::bytes_by_user() {
    std::map<std::string, std::uint64_t> out;
    for (const char* sql :
         {"SELECT user, SUM(size) FROM sync_base WHERE tenant = ?1 AND kind = 1 GROUP BY user",
          "SELECT user, SUM(taken) FROM sync_bases WHERE tenant = ?1 GROUP BY user"}) {
        Status read = db_.each(
            sql,
            [&](const store::Statement& s) {
                out[s.text(0)] +=
                    static_cast<std::uint64_t>(std::max<std::int64_t>(0, s.integer(1)));
            },
            tenant_);
        if (!read) {
            return read.error();
        }
    }
    return out;
}

Result<std::map<std::string, std::uint64_t>> Client::bytes_by_user() {
    Status written = bases_->write();
    return written ? store_->bytes_by_user() : written.error();
}

Status Client::leave(const WorkingFolder& folder) {
    note(folder.id, {true, {}, {}, {}});
    auto look = look_at(folder);
    if (!look) {
        return look.error();
    }
    if (Status put = store_->put_folder(look->row); !put) {
        return put;
    }
    auto batch = store_->batch(folder.id);
    if (!batch) {
        return batch.error();
    }
    const FolderStatus& status = look->row.status;
    const bool unsent = *batch || !look->operations.empty() || !look->waiting.empty() ||
                        !look->scan.changing.empty() || !look->refused.empty() ||
                        !status.held.empty() || look->scan.unnamed > 0 ||
                        status.attributes_left > 0;
    if (unsent) {
        return fail(Code::conflict, "what is in " + folder.id.app + " of " + folder.id.user +
                                        " is not all at its home");
    }
    auto transaction = store::Transaction::begin(store_->db());
    if (!transaction) {
        return transaction.error();
    }
    if (Status begun = store_->begin_leaving(folder.id); !begun) {
        return begun;
    }
    if (Status begun = transaction->commit(); !begun) {
        return begun;
    }
    attention_.erase(folder.id);
    return finish_leaving(folder);
}

Result<std::vector<FolderId>> Client::leaving() {
    return store_->folders_leaving();
}

Status Client::finish_leaving(const WorkingFolder& folder) {
    if (Status dropped = bases_->drop_folder(folder.id); !dropped) {
        return dropped;
    }
    for (const std::string& file : {client_batch_path(folder.id), client_answer_path(folder.id)}) {
        if (Status removed = gone_or(disk_.remove(file)); !removed) {
            return removed;
        }
    }
    if (Status removed = remove_all(disk_, folder.path); !removed) {
        return removed;
    }
    // Of the user's folder what is in it decides; that it is gone must be durable before the rest.
    const std::string users = parent_of(folder.path);
    const Status emptied = disk_.remove_folder(users);
    if (Status synced = gone_or(disk_.sync_folder(emptied ? parent_of(users) : users)); !synced) {
        return synced;
    }
    return store_->drop_leaving(folder.id);
}

} // namespace hasp::sync
