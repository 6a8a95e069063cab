// Client: the end of a working copy, which its home has and can bring again.
#include "sync/client.h"

#include "client_parts.h"
#include "client_store.h"

#include <algorithm>
#include <limits>
#include <map>
#include <utility>
#include <vector>

namespace hasp::sync {

namespace {

constexpr std::uint32_t open_mode = 0700;

// Not there is as good as gone.
Status gone_or(const Status& removed) {
    return !removed && removed.error().code == Code::not_found ? Status{} : removed;
}

// What is removed of a working copy: what stands there since before `looked_ns`.
class Removal {
  public:
    Removal(Disk& disk, std::int64_t looked_ns) : disk_(disk), looked_ns_(looked_ns) {}
    // All of it. What an app closed to its owner is opened first, where hasp is not root.
    Status remove(const std::string& folder);
    bool left() const { return left_; } // something is newer, or came while it was removed

  private:
    Status remove_file(const std::string& folder, const std::string& name);

    Disk& disk_;
    std::int64_t looked_ns_;
    bool left_ = false;
    // Names of files that have others, too, by inode: that one goes changes the rest of them, which
    // whoever goes on after a crash cannot tell from a write. So they go last, and together.
    std::map<std::uint64_t, std::vector<std::pair<std::string, std::string>>> named_;
};

Status Removal::remove_file(const std::string& folder, const std::string& name) {
    const std::string path = folder + "/" + name;
    Status removed = gone_or(disk_.remove(path));
    if (!removed) {
        [[maybe_unused]] const Status opened = disk_.set_meta(folder, open_mode, 0);
        removed = gone_or(disk_.remove(path));
    }
    return removed;
}

Status Removal::remove(const std::string& folder) {
    std::vector<std::string> folders{folder};
    for (std::size_t i = 0; i < folders.size(); ++i) {
        const std::string at = folders[i];
        auto entries = disk_.list(at);
        if (!entries && entries.error().code != Code::not_found) {
            [[maybe_unused]] const Status opened = disk_.set_meta(at, open_mode, 0);
            entries = disk_.list(at);
        }
        if (!entries) {
            if (entries.error().code == Code::not_found) {
                continue;
            }
            return entries.error();
        }
        for (const DirEntry& entry : *entries) {
            if (entry.stat.kind == FileKind::folder) {
                folders.push_back(at + "/" + entry.name);
            } else if (entry.stat.ctime_ns >= looked_ns_) {
                left_ = true;
            } else if (entry.stat.links > 1) {
                named_[entry.stat.inode].emplace_back(at, entry.name);
            } else if (Status removed = remove_file(at, entry.name); !removed) {
                return removed;
            }
        }
    }
    for (const auto& [inode, names] : named_) {
        const auto stat = disk_.stat(names.front().first + "/" + names.front().second);
        if (stat && stat->ctime_ns >= looked_ns_) {
            left_ = true;
            continue;
        }
        for (const auto& [at, name] : names) {
            if (Status removed = remove_file(at, name); !removed) {
                return removed;
            }
        }
    }
    for (auto at = folders.rbegin(); at != folders.rend(); ++at) {
        const Status removed = gone_or(disk_.remove_folder(*at));
        if (!removed && removed.error().code != Code::conflict) {
            return removed;
        }
        left_ = left_ || !removed;
    }
    return {};
}

std::string parent_of(const std::string& path) {
    return path.substr(0, path.rfind('/'));
}

} // namespace

Status ClientStore::begin_leaving(const FolderId& folder, std::int64_t looked_ns) {
    Status done = store::done(db_.execute("INSERT OR REPLACE INTO sync_leaving (tenant, user, app, "
                                          "looked_ns) VALUES (?1, ?2, ?3, ?4)",
                                          tenant_, folder.user, folder.app, looked_ns));
    for (const char* table : {"sync_folders", "sync_base", "sync_batches", "sync_operations",
                              "sync_placing", "sync_noted", "sync_refused", "sync_absent"}) {
        if (done) {
            done = store::done(db_.execute(std::string("DELETE FROM ") + table +
                                               " WHERE tenant = ?1 AND user = ?2 AND app = ?3",
                                           tenant_, folder.user, folder.app));
        }
    }
    return done;
}

Result<std::map<FolderId, std::int64_t>> ClientStore::folders_leaving() {
    std::map<FolderId, std::int64_t> out;
    Status read = db_.each(
        "SELECT user, app, looked_ns FROM sync_leaving WHERE tenant = ?1",
        [&](const store::Statement& s) {
            out[{s.text(0), s.text(1)}] = s.integer(2);
        },
        tenant_);
    return read ? Result<std::map<FolderId, std::int64_t>>(std::move(out)) : read.error();
}

Status ClientStore::put_ended(const FolderId& folder, bool wholly) {
    return store::done(db_.execute("INSERT INTO sync_ended (tenant, user, app, wholly) VALUES (?1, "
                                   "?2, ?3, ?4) ON CONFLICT (tenant, user, app) DO UPDATE SET "
                                   "wholly = max(wholly, excluded.wholly)",
                                   tenant_, folder.user, folder.app, wholly));
}

Result<std::map<FolderId, bool>> ClientStore::ended() {
    std::map<FolderId, bool> out;
    Status read = db_.each(
        "SELECT user, app, wholly FROM sync_ended WHERE tenant = ?1",
        [&](const store::Statement& s) {
            out[{s.text(0), s.text(1)}] = s.truth(2);
        },
        tenant_);
    return read ? Result<std::map<FolderId, bool>>(std::move(out)) : read.error();
}

Status ClientStore::drop_ended(const FolderId& folder) {
    return store::done(
        db_.execute("DELETE FROM sync_ended WHERE tenant = ?1 AND user = ?2 AND app = ?3", tenant_,
                    folder.user, folder.app));
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
          "SELECT user, SUM(taken) FROM sync_bases WHERE tenant = ?1 GROUP BY user",
          "SELECT user, -SUM(size) FROM sync_absent WHERE tenant = ?1 GROUP BY user"}) {
        Status read = db_.each(
            sql,
            [&](const store::Statement& s) {
                std::uint64_t& bytes = out[s.text(0)];
                const std::int64_t all = static_cast<std::int64_t>(bytes) + s.integer(1);
                bytes = static_cast<std::uint64_t>(std::max<std::int64_t>(0, all));
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

// Of the file system, as it writes it down: whatever changes from now on is not older.
Result<std::int64_t> Client::disk_time_ns() {
    const std::string probe = std::string(client_temporary) + "/now";
    [[maybe_unused]] const Status old = disk_.remove(probe);
    auto file = disk_.create(probe, 0600, {});
    auto stat = file ? disk_.stat(probe) : Result<FileStat>(file.error());
    [[maybe_unused]] const Status gone = disk_.remove(probe);
    return stat ? Result<std::int64_t>(stat->ctime_ns) : stat.error();
}

Status Client::end(const FolderId& folder, bool wholly) {
    return store_->put_ended(folder, wholly);
}

Status Client::forget_end(const FolderId& folder) {
    return store_->drop_ended(folder);
}

Result<std::map<FolderId, bool>> Client::ended() {
    return store_->ended();
}

// Nothing in it is unsent or held. By the disk's clock, when that was so.
Result<std::int64_t> Client::look_before_leaving(const WorkingFolder& folder) {
    note(folder.id, {true, {}, {}, {}});
    auto looked_ns = disk_time_ns();
    auto look = looked_ns ? look_at(folder) : Result<Look>(looked_ns.error());
    if (!look) {
        return look.error();
    }
    if (Status put = store_->put_folder(look->row); !put) {
        return put.error();
    }
    auto batch = store_->batch(folder.id);
    if (!batch) {
        return batch.error();
    }
    const FolderStatus& status = look->row.status;
    const bool unsent = *batch || !look->operations.empty() || !look->waiting.empty() ||
                        !look->scan.changing.empty() || !look->refused.empty() ||
                        !status.held.empty() || look->scan.unnamed > 0 ||
                        status.attributes_left > 0 || attention(folder.id).untold_attributes;
    if (unsent) {
        return fail(Code::conflict, "what is in " + folder.id.app + " of " + folder.id.user +
                                        " is not all at its home");
    }
    const bool fresh =
        std::any_of(look->scan.seen.begin(), look->scan.seen.end(),
                    [&](const auto& one) { return one.second.stat.ctime_ns >= *looked_ns; });
    if (fresh) {
        return fail(Code::conflict, folder.id.app + " of " + folder.id.user + " is being changed");
    }
    return looked_ns;
}

Status Client::leave(const WorkingFolder& folder, Unsent of_it) {
    auto older_than_ns = of_it == Unsent::stays
                             ? look_before_leaving(folder)
                             : Result<std::int64_t>(std::numeric_limits<std::int64_t>::max());
    if (!older_than_ns) {
        return older_than_ns.error();
    }
    auto transaction = store::Transaction::begin(store_->db());
    if (!transaction) {
        return transaction.error();
    }
    if (Status begun = store_->begin_leaving(folder.id, *older_than_ns); !begun) {
        return begun;
    }
    if (Status begun = transaction->commit(); !begun) {
        return begun;
    }
    attention_.erase(folder.id);
    return finish_leaving(folder);
}

Result<std::vector<FolderId>> Client::leaving() {
    auto folders = store_->folders_leaving();
    if (!folders) {
        return folders.error();
    }
    std::vector<FolderId> out;
    for (const auto& [folder, looked_ns] : *folders) {
        out.push_back(folder);
    }
    return out;
}

Status Client::stop_leaving(const FolderId& folder) {
    attention_.erase(folder);
    return store_->drop_leaving(folder);
}

Status Client::finish_leaving(const WorkingFolder& folder) {
    auto folders = store_->folders_leaving();
    if (!folders) {
        return folders.error();
    }
    const auto looked = folders->find(folder.id);
    if (looked == folders->end()) {
        return fail(Code::not_found, "no removal of it was begun");
    }
    if (Status dropped = bases_->drop_folder(folder.id); !dropped) {
        return dropped;
    }
    for (const std::string& file : {client_batch_path(folder.id), client_answer_path(folder.id)}) {
        if (Status removed = gone_or(disk_.remove(file)); !removed) {
            return removed;
        }
    }
    Removal removal(disk_, looked->second);
    if (Status removed = removal.remove(folder.path); !removed) {
        return removed;
    }
    if (removal.left()) {
        Status stopped = stop_leaving(folder.id);
        return stopped ? fail(Code::conflict, "something was written in " + folder.id.app + " of " +
                                                  folder.id.user + " while it was removed")
                       : stopped;
    }
    // Of the user's folder what is in it decides; that it is gone must be durable before the rest.
    const std::string users = parent_of(folder.path);
    const Status emptied = disk_.remove_folder(users);
    if (Status synced = gone_or(disk_.sync_folder(emptied ? parent_of(users) : users)); !synced) {
        return synced;
    }
    auto transaction = store::Transaction::begin(store_->db());
    Status done = transaction ? store_->drop_leaving(folder.id) : Status(transaction.error());
    done = done ? store_->drop_ended(folder.id) : done;
    return done ? transaction->commit() : done;
}

} // namespace hasp::sync
