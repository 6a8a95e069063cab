// The content store: what becomes of contents that are no longer needed, and work in the
// background.
#include "base/text.h"
#include "sealed.h"
#include "store/db.h"
#include "store/transaction.h"
#include "sync/content_store.h"
#include "trust/hash.h"

#include <algorithm>
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
    auto found = db_.first(
        "SELECT 1 FROM files_versions WHERE tenant = ?1 AND user = ?2 AND hash = ?3 LIMIT 1",
        first_integer, tenant_, user, store::Blob{hash});
    return found ? Result<bool>(found->has_value()) : found.error();
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
    return release(**found);
}

Status ContentStore::mark_damaged(const std::string& user, const std::string& hash) {
    return done(db_.execute(
        "INSERT INTO contents (tenant, user, hash, file, at, bytes, size, damaged) VALUES (?1, ?2, "
        "?3, 0, 0, 0, 0, 1) ON CONFLICT DO UPDATE SET damaged = 1",
        tenant_, user, store::Blob{hash}));
}

Status ContentStore::look_at(const std::string& user, const std::string& hash) {
    const Status whole = check({user, hash}, 0, file_bytes_max);
    return !whole && whole.error().code == Code::refused ? mark_damaged(user, hash) : Status{};
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
        "SELECT number FROM content_files WHERE tenant = ?1 AND live * 2 < bytes AND number <> "
        "(SELECT segment FROM content_state WHERE tenant = ?1) ORDER BY number LIMIT 1",
        first_integer, tenant_);
    if (!sparse || !*sparse) {
        return sparse ? Result<bool>(false) : sparse.error();
    }
    struct Moved {
        Name name;
        Place from;
        Place to;
    };
    std::vector<Moved> moved;
    std::uint64_t sum = 0;
    Status status = db_.each(
        "SELECT file, at, bytes, size, damaged, user, hash FROM contents WHERE tenant = ?1 AND "
        "file = ?2 ORDER BY at LIMIT ?3",
        [&](const store::Statement& s) {
            Place place = read_place(s);
            if (sum < step_bytes_max) {
                sum += place.bytes;
                moved.push_back({{s.text(5), s.blob(6)}, place, place});
            }
        },
        tenant_, **sparse, step_rows_max);
    drop_staged();
    status = status ? begin_batch() : status;
    const auto number = static_cast<std::uint64_t>(**sparse);
    auto file = disk_.open(path_of(number));
    for (Moved& one : moved) {
        if (!status) {
            break;
        }
        std::string sealed(static_cast<std::size_t>(one.from.bytes), '\0');
        auto got = file ? (*file)->read(one.from.at, sealed) : Result<std::size_t>(file.error());
        if (!got && got.error().code != Code::not_found) {
            status = got.error();
        } else if (!got || *got != sealed.size()) {
            one.to = {}; // its place is gone: damaged, and noted as such
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
            auto put = record_one(one.name, one.to);
            status = put ? Status{} : Status(put.error());
        }
        if (status && (one.to.file == 0 || one.from.damaged)) {
            status = mark_damaged(one.name.first, one.name.second);
        }
        if (status && one.to.file == 0) {
            status = release(one.from);
            status = status
                         ? done(db_.execute("UPDATE contents SET file = 0, bytes = 0 WHERE "
                                            "tenant = ?1 AND user = ?2 AND hash = ?3",
                                            tenant_, one.name.first, store::Blob{one.name.second}))
                         : status;
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
    if (status = transaction->commit(); !status) {
        commit_failed();
        return status.error();
    }
    recorded();
    status = remove_gone();
    return status ? Result<bool>(true) : status.error();
}

// -- scrub

// `bytes` of it from `offset` on; of all of it the hash, too.
Status ContentStore::check(const Damaged& name, std::uint64_t offset, std::uint64_t bytes) {
    auto content = read(name.user, name.hash);
    auto stat = content ? (*content)->stat() : Result<FileStat>(content.error());
    if (!stat) {
        return stat.error();
    }
    if (offset == 0 && bytes >= stat->size) {
        auto found = digest(**content);
        return !found                     ? Status(found.error())
               : found->hash == name.hash ? Status{}
                                          : fail(Code::refused, "it is another content");
    }
    std::string buffer(sealed_frame_bytes, '\0');
    for (std::uint64_t end = offset + bytes; offset < end;) {
        auto got = (*content)->read(offset, buffer);
        if (!got || *got == 0) {
            return got ? Status{} : Status(got.error());
        }
        offset += *got;
    }
    return {};
}

Result<ContentStore::Scrub> ContentStore::scrub() {
    auto found = db_.first(
        "SELECT scrub_began_us, scrub_ended_us FROM content_state WHERE tenant = ?1",
        [](const store::Statement& s) {
            return Scrub{s.integer(0), s.integer(1)};
        },
        tenant_);
    return found ? Result<Scrub>(found->value_or(Scrub{})) : found.error();
}

// A large content takes more than one step; each of its frames says whether it is whole.
Result<bool> ContentStore::scrub_some(std::int64_t now_us) {
    struct At {
        Damaged name;
        std::uint64_t offset = 0;
    };
    auto at = db_.first(
        "SELECT scrub_user, scrub_hash, scrub_offset FROM content_state WHERE tenant = ?1",
        [](const store::Statement& s) {
            return At{{s.text(0), s.blob(1)}, static_cast<std::uint64_t>(s.integer(2))};
        },
        tenant_);
    if (!at || !*at) {
        return at ? Result<bool>(false) : at.error();
    }
    struct One {
        Damaged name;
        Place place;
    };
    std::vector<One> some;
    std::uint64_t sum = 0;
    Status status = db_.each(
        "SELECT file, at, bytes, size, damaged, user, hash FROM contents WHERE tenant = ?1 AND "
        "(user, hash) > (?2, ?3) ORDER BY user, hash LIMIT ?4",
        [&](const store::Statement& s) {
            if (sum < step_bytes_max) {
                some.push_back({{s.text(5), s.blob(6)}, read_place(s)});
                sum += some.back().place.size;
            }
        },
        tenant_, (*at)->name.user, store::Blob{(*at)->name.hash}, step_rows_max);
    if (!status) {
        return status.error();
    }
    std::vector<Damaged> found;
    At next = **at;
    for (const One& one : some) {
        const std::uint64_t from = next.offset;
        const bool whole = one.place.size <= step_bytes_max;
        if (!whole && &one != &some.front()) {
            break; // in a step of its own
        }
        status = one.place.damaged ? Status{}
                 : whole           ? check(one.name, 0, one.place.size)
                                   : check(one.name, from, step_bytes_max);
        const bool damaged = !status && status.error().code == Code::refused;
        if (damaged) {
            found.push_back(one.name);
        } else if (!status) {
            return status.error(); // it cannot be read now: the disk is asked again later
        }
        if (!whole && !damaged && !one.place.damaged && from + step_bytes_max < one.place.size) {
            next.offset = from + step_bytes_max;
            break;
        }
        next = {one.name, 0};
    }
    auto transaction = store::Transaction::begin(db_);
    if (!transaction) {
        return transaction.error();
    }
    for (const Damaged& one : found) {
        if (status = mark_damaged(one.user, one.hash); !status) {
            return status.error();
        }
    }
    const bool more = !some.empty();
    status = more
                 ? done(db_.execute(
                       "UPDATE content_state SET scrub_user = ?2, scrub_hash = ?3, scrub_offset = "
                       "?4, scrub_began_us = CASE scrub_began_us WHEN 0 THEN ?5 ELSE "
                       "scrub_began_us END WHERE tenant = ?1",
                       tenant_, next.name.user, store::Blob{next.name.hash}, next.offset, now_us))
                 : done(db_.execute(
                       "UPDATE content_state SET scrub_user = '', scrub_hash = x'', scrub_offset = "
                       "0, scrub_began_us = 0, scrub_ended_us = ?2 WHERE tenant = ?1",
                       tenant_, now_us));
    status = status ? transaction->commit() : status;
    return status ? Result<bool>(more) : status.error();
}

} // namespace hasp::sync
