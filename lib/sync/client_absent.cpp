// Client: files whose content comes later than they do.
#include "client_staging.h"

#include <algorithm>

namespace hasp::sync {

Status ClientStore::put_to_come(const FolderId& folder, const ToCome& content) {
    return store::done(db_.execute(
        "INSERT INTO sync_absent (tenant, user, app, hash, size, mtime_us) VALUES (?1, ?2, ?3, ?4, "
        "?5, ?6) ON CONFLICT DO UPDATE SET mtime_us = max(mtime_us, excluded.mtime_us)",
        tenant_, folder.user, folder.app, store::Blob{content.hash}, content.size,
        content.mtime_us));
}

Status ClientStore::drop_to_come(const FolderId& folder, const std::string& hash) {
    return store::done(db_.execute(
        "DELETE FROM sync_absent WHERE tenant = ?1 AND user = ?2 AND app = ?3 AND hash = ?4",
        tenant_, folder.user, folder.app, store::Blob{hash}));
}

Result<std::optional<ClientStore::ToCome>>
ClientStore::next_to_come(const FolderId& folder, const std::optional<ToCome>& after) {
    constexpr std::int64_t newest = std::numeric_limits<std::int64_t>::max();
    return db_.first(
        "SELECT hash, size, mtime_us FROM sync_absent WHERE tenant = ?1 AND user = ?2 AND app = ?3 "
        "AND (mtime_us < ?4 OR (mtime_us = ?4 AND hash > ?5)) ORDER BY mtime_us DESC, hash LIMIT 1",
        [](const store::Statement& s) {
            return ToCome{s.blob(0), static_cast<std::uint64_t>(s.integer(1)), s.integer(2)};
        },
        tenant_, folder.user, folder.app, after ? after->mtime_us : newest,
        store::Blob{after ? after->hash : ""});
}

Status ClientStore::count_to_come(FolderStatus& status) {
    return db_.each(
        "SELECT count(*), coalesce(sum(size), 0) FROM sync_absent WHERE tenant = ?1 AND user = ?2 "
        "AND app = ?3",
        [&status](const store::Statement& s) {
            status.to_come_files = static_cast<std::uint64_t>(s.integer(0));
            status.to_come_bytes = static_cast<std::uint64_t>(s.integer(1));
        },
        tenant_, status.folder.user, status.folder.app);
}

std::string Client::copy_path(std::uint64_t number) {
    return std::string(client_temporary) + "/c" + std::to_string(number);
}

Status Client::stage_absent(const WorkingFolder& folder, const Record& record,
                            StagedChange& change) {
    const std::string path = reader_->temporary_path();
    const Absent absent{folder.id.user, folder.id.app, record.entry.hash, record.entry.size};
    if (Status made = disk_.make_absent(path, 0600, folder.owner, absent); !made) {
        return made;
    }
    change.staged = path;
    change.absent = true;
    // Before it has a name by which anybody could open it.
    Status done = gate_->hold(path);
    if (done && !change.attributes.empty()) {
        done = disk_.set_attributes(path, "", change.attributes);
    }
    return done ? disk_.set_meta(path, record.entry.mode, record.entry.mtime_us) : done;
}

// Where files stand that wait for this content, by what was agreed on.
Result<std::vector<std::string>> Client::absent_paths(const WorkingFolder& folder,
                                                      const std::string& name) {
    auto paths = store_->paths_with(folder.id, name);
    if (!paths) {
        return paths;
    }
    std::erase_if(*paths, [&](const std::string& path) {
        const auto absent = disk_.absent(folder.path + "/" + path);
        return !absent || !*absent || (*absent)->name != name;
    });
    return paths;
}

Result<bool> Client::is_to_come(const WorkingFolder& folder, const std::string& path,
                                const std::string& name) {
    const auto here = disk_.absent(folder.path + "/" + path);
    if (here && *here && (*here)->name == name) {
        return true;
    }
    auto paths = absent_paths(folder, name);
    return paths ? Result<bool>(!paths->empty()) : paths.error();
}

namespace {

// All that stand at `path` and beneath it, with where.
Status each_absent(Disk& disk, const std::string& path,
                   const std::function<Status(const std::string&, const Absent&)>& each) {
    auto list = disk.list(path);
    if (!list) {
        return list.error().code == Code::failed ? Status(list.error()) : Status{};
    }
    for (const DirEntry& entry : *list) {
        const std::string name = path + "/" + entry.name;
        Status done;
        if (entry.stat.kind == FileKind::folder) {
            done = each_absent(disk, name, each);
        } else if (entry.stat.kind == FileKind::file) {
            auto absent = disk.absent(name);
            done = absent && *absent                                ? each(name, **absent)
                   : !absent && absent.error().code == Code::failed ? Status(absent.error())
                                                                    : Status{};
        }
        if (!done) {
            return done;
        }
    }
    return {};
}

} // namespace

Status Client::hold_opens(const WorkingFolder& folder) {
    FolderStatus status;
    status.folder = folder.id;
    Status counted = store_->count_to_come(status);
    if (!counted || status.to_come_files == 0) {
        return counted;
    }
    return each_absent(disk_, folder.path, [this](const std::string& path, const Absent&) {
        Status held = gate_->hold(path);
        return held || disk_.stat(path) ? held : Status{}; // it went away meanwhile
    });
}

Result<std::unique_ptr<Filling>> Client::next_to_come(const WorkingFolder& folder, bool in_use,
                                                      std::uint64_t number) {
    std::set<std::string> vanished;
    for (std::optional<ClientStore::ToCome> after;;) {
        auto next = store_->next_to_come(folder.id, after);
        if (!next) {
            return next.error();
        }
        if (!*next) {
            break;
        }
        after = **next;
        auto paths = absent_paths(folder, after->hash);
        if (!paths) {
            return paths.error();
        }
        for (const std::string& path : *paths) {
            auto file = disk_.open_absent(folder.path + "/" + path);
            if (file) {
                return std::make_unique<Filling>(*std::move(file), disk_, copy_path(number));
            }
            if (file.error().code != Code::not_found && file.error().code != Code::refused) {
                return file.error();
            }
        }
        vanished.insert(after->hash);
    }
    // Gone, or moved by an app since the last look: as long as one runs, nobody can say which.
    if (vanished.empty() || in_use) {
        return std::unique_ptr<Filling>();
    }
    std::string moved;
    Status looked =
        each_absent(disk_, folder.path, [&](const std::string& path, const Absent& absent) {
            vanished.erase(absent.name);
            moved = moved.empty() ? path : moved;
            return Status{};
        });
    if (!looked) {
        return looked.error();
    }
    for (const std::string& hash : vanished) {
        if (Status dropped = store_->drop_to_come(folder.id, hash); !dropped) {
            return dropped.error();
        }
    }
    auto file = moved.empty() ? Result<std::unique_ptr<AbsentFile>>(std::unique_ptr<AbsentFile>())
                              : disk_.open_absent(moved);
    return file && *file != nullptr
               ? std::make_unique<Filling>(*std::move(file), disk_, copy_path(number))
               : std::unique_ptr<Filling>();
}

Status Client::came(const WorkingFolder& folder, Filling& filling) {
    const std::string copy = filling.take_copy();
    const std::string& name = filling.digest().hash;
    std::string signature;
    Status done = keep_copy(folder.id, filling, copy, signature);
    [[maybe_unused]] const Status gone = copy.empty() ? Status{} : disk_.remove(copy);
    auto transaction =
        done ? store::Transaction::begin(store_->db()) : Result<store::Transaction>(done.error());
    if (!transaction) {
        return transaction.error();
    }
    auto paths = store_->paths_with(folder.id, name);
    if (!paths) {
        return paths.error();
    }
    bool more = false;
    for (const std::string& path : *paths) {
        auto row = store_->base_row(folder.id, path);
        if (!row) {
            return row.error();
        }
        if (*row && (*row)->seen.stat.inode == filling.inode()) {
            // What was cut by its name is changed here. No more is known than of that moment.
            if (filling.stat().size == filling.absent().size) {
                Seen seen = (*row)->seen;
                seen.stat = filling.stat();
                seen.at_us = filling.stat().ctime_ns / 1000;
                done = store_->put_seen(folder.id, path, seen);
            }
        } else {
            const auto absent = disk_.absent(folder.path + "/" + path);
            more = more || (absent && *absent && (*absent)->name == name);
        }
        if (!done) {
            return done;
        }
    }
    if (!signature.empty()) {
        done = store_->put_signature(folder.id, name, signature);
    }
    done = done ? bases_->write() : done;
    done = done && !more ? store_->drop_to_come(folder.id, name) : done;
    return done ? transaction->commit() : done;
}

// Where there is no room for it, what a difference is made from is its signature.
Status Client::keep_copy(const FolderId& folder, const Filling& filling, const std::string& copy,
                         std::string& made) {
    auto file = copy.empty() ? Result<std::unique_ptr<ReadFile>>(std::unique_ptr<ReadFile>())
                             : disk_.open(copy);
    if (!file || *file == nullptr) {
        return {};
    }
    const Digest& digest = filling.digest();
    bases_->remember(digest);
    auto kept = bases_->keep(folder, digest.hash, **file, {copy, true});
    if (!kept || *kept || digest.size < signature_worth_bytes) {
        return kept ? Status{} : Status(kept.error());
    }
    auto signature = sync::signature(**file);
    made = signature ? *std::move(signature) : "";
    return signature ? Status{} : Status(signature.error());
}

} // namespace hasp::sync
