// The content store: what becomes of contents that are no longer needed, and work in the
// background.
#include "base/clock.h"
#include "store/db.h"
#include "store/transaction.h"
#include "sync/content_store.h"

#include <set>

namespace hasp::sync {

namespace {

using store::done;

std::int64_t first_integer(const store::Statement& s) {
    return s.integer(0);
}
ContentStore::Damaged read_name(const store::Statement& s) {
    return {s.text(0), s.blob(1)};
}

} // namespace

// In a transaction: its bytes are of no use any more. A file without any goes, but for the segment.
Status ContentStore::release(const Place& place) {
    if (place.file == 0) {
        return {};
    }
    if (Status less = done(db_.execute("UPDATE content_files SET live = live - ?3 WHERE tenant = "
                                       "?1 AND number = ?2",
                                       tenant_, place.file, place.bytes));
        !less) {
        return less;
    }
    auto removed = db_.execute(
        "DELETE FROM content_files WHERE tenant = ?1 AND number = ?2 AND live = 0 AND number <> "
        "(SELECT segment FROM content_state WHERE tenant = ?1)",
        tenant_, place.file);
    if (!removed) {
        return removed.error();
    }
    return *removed == 0 ? Status{}
                         : done(db_.execute("INSERT INTO content_gone (tenant, number) VALUES (?1, "
                                            "?2) ON CONFLICT DO NOTHING",
                                            tenant_, place.file));
}

// After the commit of what made them so.
Status ContentStore::remove_gone() {
    std::vector<std::uint64_t> gone;
    Status read = db_.each(
        "SELECT number FROM content_gone WHERE tenant = ?1 LIMIT ?2",
        [&](const store::Statement& s) {
            gone.push_back(static_cast<std::uint64_t>(s.integer(0)));
        },
        tenant_, step_rows_max);
    if (!read || gone.empty()) {
        return read;
    }
    std::set<std::string> folders;
    for (const std::uint64_t number : gone) {
        Status removed = disk_.remove(path_of(number));
        if (!removed && removed.error().code != Code::not_found) {
            return removed;
        }
        folders.insert(folder_of(number));
    }
    // Else a crash may bring a file back that nothing knows any more.
    for (const std::string& folder : folders) {
        Status synced = disk_.sync_folder(folder);
        if (!synced && synced.error().code != Code::not_found) {
            return synced;
        }
    }
    auto transaction = store::Transaction::begin(db_);
    if (!transaction) {
        return transaction.error();
    }
    for (const std::uint64_t number : gone) {
        if (Status noted = done(db_.execute("DELETE FROM content_gone WHERE tenant = ?1 AND number "
                                            "= ?2",
                                            tenant_, number));
            !noted) {
            return noted;
        }
    }
    return transaction->commit();
}

Result<bool> ContentStore::wanted(const std::string& user, const std::string& hash) {
    if (is_chunk_list(hash)) {
        return wanted(user, named_by_list(hash));
    }
    auto found = db_.first(
        "SELECT 1 FROM files_versions WHERE tenant = ?1 AND user = ?2 AND hash = ?3 UNION ALL "
        "SELECT 1 FROM files_quarantine WHERE tenant = ?1 AND user = ?2 AND hash = ?3 LIMIT 1",
        first_integer, tenant_, user, store::Blob{hash});
    return !found ? found.error() : *found ? Result<bool>(true) : is_source({user, hash});
}

Status ContentStore::drop_unneeded(const std::string& user, const std::string& hash) {
    auto needed = wanted(user, hash);
    auto found =
        needed && !*needed ? place(user, hash) : Result<std::optional<Place>>(std::nullopt);
    if (!needed || !found) {
        return needed ? found.error() : needed.error();
    }
    if (!*found) {
        return {};
    }
    if (Status gone =
            done(db_.execute("DELETE FROM contents WHERE tenant = ?1 AND user = ?2 AND hash = ?3",
                             tenant_, user, store::Blob{hash}));
        !gone) {
        return gone;
    }
    std::vector<Name> left;
    Status status = release(**found);
    status = status ? forget_names(user, hash) : status;
    status = status && (*found)->parts != 0 ? forget_parts({user, hash}, left) : status;
    for (const Name& source : left) {
        status = status ? drop_unneeded(source.first, source.second) : status;
    }
    return status;
}

// What is made of it, too. A list of chunks is made anew when the content is read.
Status ContentStore::mark_damaged(const std::string& user, const std::string& hash) {
    if (is_chunk_list(hash)) {
        return drop_list(user, hash);
    }
    auto made_of_it = db_.execute(
        "UPDATE contents SET damaged = 1 WHERE tenant = ?1 AND user = ?2 AND hash IN (SELECT hash "
        "FROM content_parts WHERE tenant = ?1 AND user = ?2 AND source = ?3)",
        tenant_, user, store::Blob{hash});
    if (!made_of_it) {
        return made_of_it.error();
    }
    if (*made_of_it > 0) {
        recheck_ = Recheck{}; // perhaps not what they have of it
    }
    return done(db_.execute(
        "INSERT INTO contents (tenant, user, hash, file, at, bytes, size, damaged) VALUES (?1, ?2, "
        "?3, 0, 0, 0, 0, 1) ON CONFLICT DO UPDATE SET damaged = 1",
        tenant_, user, store::Blob{hash}));
}

Status ContentStore::destroy(const std::string& user) {
    drop_staged();
    struct Part {
        std::uint64_t file = 0;
        std::uint64_t bytes = 0;
    };
    std::vector<Part> parts;
    Status read = db_.each(
        "SELECT file, SUM(bytes) FROM contents WHERE tenant = ?1 AND user = ?2 GROUP BY file",
        [&](const store::Statement& s) {
            parts.push_back({static_cast<std::uint64_t>(s.integer(0)),
                             static_cast<std::uint64_t>(s.integer(1))});
        },
        tenant_, user);
    for (const char* sql : {"DELETE FROM content_keys WHERE tenant = ?1 AND user = ?2",
                            "DELETE FROM content_parts WHERE tenant = ?1 AND user = ?2",
                            "DELETE FROM content_names WHERE tenant = ?1 AND user = ?2",
                            "DELETE FROM contents WHERE tenant = ?1 AND user = ?2"}) {
        if (read) {
            read = done(db_.execute(sql, tenant_, user));
        }
    }
    for (const Part& part : parts) {
        if (read) {
            read = release({part.file, 0, part.bytes, 0, false});
        }
    }
    return read;
}

Status ContentStore::scour() {
    if (Status gone = remove_gone(); !gone) {
        return gone;
    }
    return db_.run_script("PRAGMA wal_checkpoint(TRUNCATE)");
}

Result<std::vector<ContentStore::Damaged>> ContentStore::damaged(std::size_t max) {
    std::vector<Damaged> out;
    Status read = db_.each(
        "SELECT user, hash FROM contents WHERE tenant = ?1 AND damaged = 1 "
        "ORDER BY user, hash LIMIT ?2",
        [&](const store::Statement& s) { out.push_back(read_name(s)); }, tenant_, max);
    return read ? Result<std::vector<Damaged>>(std::move(out)) : read.error();
}

Result<std::vector<std::string>> ContentStore::damaged_of(const std::string& user) {
    std::vector<std::string> out;
    Status read = db_.each(
        "SELECT hash FROM contents INDEXED BY contents_damaged WHERE tenant = ?1 AND user = ?2 AND "
        "damaged = 1",
        [&](const store::Statement& s) { out.push_back(s.blob(0)); }, tenant_, user);
    return read ? Result<std::vector<std::string>>(std::move(out)) : read.error();
}

Result<std::uint64_t> ContentStore::damaged_count() {
    auto count = db_.first("SELECT COUNT(*) FROM contents WHERE tenant = ?1 AND damaged = 1",
                           first_integer, tenant_);
    return count ? Result<std::uint64_t>(static_cast<std::uint64_t>(count->value_or(0)))
                 : count.error();
}

// -- compaction

Result<bool> ContentStore::compact_some() {
    if (Status gone = remove_gone(); !gone) {
        return gone.error();
    }
    auto sparse = db_.first(
        "SELECT number FROM content_files WHERE tenant = ?1 AND live * 2 < bytes AND number > ?2 "
        "AND number <> (SELECT segment FROM content_state WHERE tenant = ?1) ORDER BY number LIMIT "
        "1",
        first_integer, tenant_, compact_behind_);
    if (!sparse || !*sparse) {
        compact_behind_ = 0;
        return sparse ? Result<bool>(false) : sparse.error();
    }
    struct Moved {
        Name name;
        Place from;
        Place to;
        bool cut = false; // the file ends before it
    };
    std::vector<Moved> moved;
    std::uint64_t sum = 0;
    bool more = false;
    // Damaged ones stay where they are: they are read again there.
    Status status = db_.each(
        "SELECT file, at, bytes, size, damaged, parts, user, hash FROM contents WHERE tenant = ?1 "
        "AND file = ?2 AND damaged = 0 ORDER BY at LIMIT ?3",
        [&](const store::Statement& s) {
            Place place = read_place(s);
            more = sum >= step_bytes_max;
            if (!more) {
                sum += place.bytes;
                moved.push_back({{s.text(6), s.blob(7)}, place, place});
                moved.back().to.file = 0; // nowhere yet
            }
        },
        tenant_, **sparse, step_rows_max);
    more = more || moved.size() == step_rows_max;
    drop_staged();
    status = status ? begin_batch() : status;
    const auto number = static_cast<std::uint64_t>(**sparse);
    auto file = moved.empty() ? Result<std::unique_ptr<ReadFile>>(std::unique_ptr<ReadFile>())
                              : disk_.open(path_of(number));
    if (status && !file) {
        compact_behind_ = number;
        status = fail(Code::failed,
                      "cannot write " + path_of(number) + " anew: " + file.error().message);
    }
    std::optional<Error> problem;
    for (Moved& one : moved) {
        if (!status) {
            break;
        }
        std::string sealed(static_cast<std::size_t>(one.from.bytes), '\0');
        auto got = (*file)->read(one.from.at, sealed);
        if (!got) {
            problem = got.error(); // it stays: what the disk gives of the others is moved
        } else if (*got != sealed.size()) {
            one.cut = true;
        } else if (status = append(sealed, one.to); status) {
            staged_[one.name] = one.to;
        }
    }
    status = status ? keep_all() : status;
    auto transaction =
        status ? store::Transaction::begin(db_) : Result<store::Transaction>(status.error());
    if (!transaction) {
        drop_staged();
        return transaction.error();
    }
    status = record_files();
    for (const Moved& one : moved) {
        if (status && one.to.file != 0) {
            auto put = record_one(one.name, one.to, nullptr);
            status = put ? Status{} : Status(put.error());
        } else if (status && one.cut) {
            status = mark_damaged(one.name.first, one.name.second);
        }
    }
    status = status ? release({number, 0, 0, 0, false}) : status;
    for (const Written& one : written_) {
        status = status ? release({one.number, 0, 0, 0, false}) : status;
    }
    if (!status) {
        drop_staged();
        return status.error();
    }
    const bool any = !staged_.empty();
    if (status = transaction->commit(); !status) {
        commit_failed();
        return status.error();
    }
    recorded();
    if (!more || !any) {
        compact_behind_ = number; // it is gone, or what is left of it cannot be moved now
    }
    status = remove_gone();
    if (status && problem) {
        return *problem;
    }
    return status ? Result<bool>(true) : status.error();
}

// A clock that is set ahead ends this sooner: it is what nothing here knows of.
Status ContentStore::remove_lost(std::int64_t now_us) {
    auto files = disk_.list(contents_lost_folder);
    if (!files) {
        return files.error().code == Code::not_found ? Status{} : Status(files.error());
    }
    for (const DirEntry& file : *files) {
        if (now_us - file.stat.ctime_ns / 1000 < lost_days * day_us) {
            continue;
        }
        if (Status gone = disk_.remove(std::string(contents_lost_folder) + "/" + file.name);
            !gone) {
            return gone;
        }
    }
    return {};
}

} // namespace hasp::sync
