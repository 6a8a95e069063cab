// The content store: contents of versions of hasp that kept them as STATE/blobs/ab/cdef…, zstd and
// not encrypted.
#include "base/text.h"
#include "store/db.h"
#include "store/transaction.h"
#include "sync/content_store.h"
#include "trust/hash.h"

#include <set>

namespace hasp::sync {

namespace {
constexpr std::uint64_t legacy_reserve_bytes = std::uint64_t{64} << 20; // stays free
}

std::string ContentStore::legacy_path(const std::string& hash) const {
    const std::string hex = to_hex(hash);
    return std::string(legacy_folder) + "/" + hex.substr(0, 2) + "/" + hex.substr(2);
}

// Given: the disk gave all that there is of it.
Result<std::unique_ptr<ReadFile>> ContentStore::read_legacy(const std::string& hash, bool& given) {
    auto file = disk_.open(legacy_path(hash));
    if (!file) {
        given = file.error().code == Code::not_found;
        return file.error();
    }
    const Pull packed = pull_from(**file);
    Decompressor in([&packed, &given](std::span<char> into) {
        auto got = packed(into);
        given = given && got.ok();
        return got;
    });
    Scratch out(disk_, temporary_ + "/plain" + std::to_string(next_temporary_++));
    trust::Sha256 sum;
    std::vector<char> buffer(std::size_t{64} * 1024);
    for (;;) {
        auto got = in.read(buffer);
        if (!got) {
            return got.error();
        }
        if (*got == 0) {
            break;
        }
        sum.update({buffer.data(), *got});
        if (Status written = out.write({buffer.data(), *got}); !written) {
            return written.error();
        }
    }
    if (sum.finish() != hash) {
        return fail(Code::refused, "the stored content " + to_hex(hash) + " is damaged",
                    "restore it from a backup");
    }
    return out.finish();
}

// An error is one of this disk's room, of the database or the key.
Result<ContentStore::Look> ContentStore::take_over(const std::string& user, const std::string& hash,
                                                   std::uint64_t& bytes) {
    bool given = true;
    auto content = read_legacy(hash, given);
    if (!content && !given) {
        return Look::unreadable;
    }
    if (!content) {
        const Code code = content.error().code;
        return code == Code::refused || code == Code::not_found ? Result<Look>(Look::damaged)
                                                                : content.error();
    }
    auto stat = (*content)->stat();
    if (!stat) {
        return stat.error();
    }
    bytes += stat->size;
    Status staged = stage(user, hash, pull_from(**content));
    return staged ? Result<Look>(Look::whole) : staged.error();
}

// Plain on its way, sealed then.
Status ContentStore::room_for(std::uint64_t size) {
    auto room = disk_.free_bytes();
    if (!room) {
        return room.error();
    }
    return *room >= 2 * size + legacy_reserve_bytes
               ? Status{}
               : fail(Code::failed,
                      "the disk has no room to take over STATE/blobs of an older version: " +
                          std::to_string(*room >> 20) + " MiB are free",
                      "make room: it goes on by itself");
}

Result<bool> ContentStore::take_over_some(const Healed& healed) {
    struct At {
        std::int64_t legacy = 0;
        Damaged name;
    };
    auto at = db_.first(
        "SELECT legacy, taken_user, taken_hash FROM content_state WHERE tenant = ?1",
        [](const store::Statement& s) {
            return At{s.integer(0), {s.text(1), s.blob(2)}};
        },
        tenant_);
    if (!at || !*at || (*at)->legacy == 0) {
        return at ? Result<bool>(false) : at.error();
    }
    if ((*at)->legacy == 2 || legacy_swept_) {
        return remove_legacy();
    }
    struct Old {
        Damaged name;
        std::uint64_t size = 0;
    };
    std::vector<Old> some;
    Status status = db_.each(
        "SELECT user, hash, MAX(size) FROM files_versions v WHERE tenant = ?1 AND (user, hash) > "
        "(?2, ?3) AND hash <> x'' AND NOT EXISTS (SELECT 1 FROM contents c WHERE c.tenant = ?1 AND "
        "c.user = v.user AND c.hash = v.hash AND c.file <> 0) GROUP BY user, hash ORDER BY user, "
        "hash LIMIT ?4",
        [&](const store::Statement& s) {
            some.push_back({{s.text(0), s.blob(1)}, static_cast<std::uint64_t>(s.integer(2))});
        },
        tenant_, (*at)->name.user, store::Blob{(*at)->name.hash}, step_rows_max);
    drop_staged();
    std::optional<Error> problem;
    std::vector<Damaged> not_had;
    std::vector<Damaged> not_given;
    std::uint64_t bytes = 0;
    std::size_t taken = 0;
    while (status && taken < some.size() && bytes < step_bytes_max) {
        const Old& one = some[taken];
        if (Status room = room_for(one.size); !room) {
            problem = room.error();
            break;
        }
        ++taken;
        auto got = take_over(one.name.user, one.name.hash, bytes);
        status = got ? Status{} : Status(got.error());
        if (got && *got != Look::whole) {
            (*got == Look::damaged ? not_had : not_given).push_back(one.name);
        }
    }
    if (status && !not_given.empty() && staged_.empty()) {
        auto others = others_read({});
        if (!others || !*others) {
            drop_staged();
            return !others ? others.error()
                           : fail(Code::failed, "STATE/blobs of an older version cannot be read",
                                  "check the disk: it goes on by itself");
        }
    }
    if (status && taken == 0 && problem) {
        drop_staged();
        return *problem;
    }
    status = status ? keep_all() : status;
    auto transaction =
        status ? store::Transaction::begin(db_) : Result<store::Transaction>(status.error());
    if (!transaction) {
        drop_staged();
        return transaction.error();
    }
    std::vector<Damaged> whole;
    for (const auto& [name, where] : staged_) {
        whole.push_back({name.first, name.second});
    }
    auto again = record();
    status = again ? healed(*again) : Status(again.error());
    for (const auto* marked : {&not_had, &not_given}) {
        for (const Damaged& one : *marked) {
            status = status ? mark_damaged(one.user, one.hash) : status;
        }
    }
    if (status && taken > 0) {
        status = store::done(db_.execute(
            "UPDATE content_state SET taken_user = ?2, taken_hash = ?3 WHERE tenant = ?1", tenant_,
            some[taken - 1].name.user, store::Blob{some[taken - 1].name.hash}));
    } else if (status) {
        // What could not be taken over is tried again with each start: its blob stays.
        status = store::done(db_.execute(
            "UPDATE content_state SET legacy = 2 WHERE tenant = ?1 AND NOT EXISTS (SELECT 1 FROM "
            "contents WHERE tenant = ?1 AND damaged = 1 AND file = 0)",
            tenant_));
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
    legacy_swept_ = taken == 0;
    status = remove_taken(whole);
    if (status && problem) {
        return *problem;
    }
    return status ? Result<bool>(true) : status.error();
}

// Blobs that nobody else needs, so that there is room for the next. By a look for each user:
// nothing else needs an index by hash alone.
Status ContentStore::remove_taken(const std::vector<Damaged>& whole) {
    for (const Damaged& one : whole) {
        auto needed = db_.first(
            "WITH RECURSIVE u (user) AS (SELECT MIN(user) FROM files_versions WHERE tenant = ?1 "
            "UNION "
            "ALL SELECT (SELECT MIN(user) FROM files_versions WHERE tenant = ?1 AND user > u.user) "
            "FROM u WHERE u.user IS NOT NULL) SELECT 1 FROM u WHERE EXISTS (SELECT 1 FROM "
            "files_versions v WHERE v.tenant = ?1 AND v.user = u.user AND "
            "v.hash = ?2) AND NOT EXISTS (SELECT 1 FROM contents c WHERE c.tenant = ?1 AND c.user "
            "= u.user AND c.hash = ?2 AND c.file <> 0) LIMIT 1",
            [](const store::Statement&) { return true; }, tenant_, store::Blob{one.hash});
        if (!needed) {
            return needed.error();
        }
        Status gone = *needed ? Status{} : disk_.remove(legacy_path(one.hash));
        if (!gone && gone.error().code != Code::not_found) {
            return gone;
        }
    }
    return {};
}

// One of its folders a step, but for blobs that were not taken over.
Result<bool> ContentStore::remove_legacy() {
    auto folders = disk_.list(legacy_folder);
    if (!folders && folders.error().code != Code::not_found) {
        return folders.error();
    }
    std::set<std::string> stay; // paths
    Status read = db_.each(
        "SELECT hash FROM contents INDEXED BY contents_damaged WHERE tenant = ?1 AND damaged = 1 "
        "AND file = 0",
        [&](const store::Statement& s) { stay.insert(legacy_path(s.blob(0))); }, tenant_);
    if (!read) {
        return read.error();
    }
    legacy_ = !stay.empty();
    for (const DirEntry& entry : folders ? *folders : std::vector<DirEntry>{}) {
        if (entry.name <= legacy_swept_to_) {
            continue;
        }
        legacy_swept_to_ = entry.name;
        const std::string folder = std::string(legacy_folder) + "/" + entry.name;
        auto files = disk_.list(folder);
        bool all = true;
        for (const DirEntry& file : files ? *files : std::vector<DirEntry>{}) {
            if (stay.contains(folder + "/" + file.name)) {
                all = false;
            } else if (Status gone = disk_.remove(folder + "/" + file.name); !gone) {
                return gone.error();
            }
        }
        Status gone = !all ? Status{} : files ? disk_.remove_folder(folder) : disk_.remove(folder);
        return gone ? Result<bool>(true) : gone.error();
    }
    if (!stay.empty()) {
        return false;
    }
    Status gone = folders ? disk_.remove_folder(legacy_folder) : Status{};
    gone = gone ? store::done(
                      db_.execute("UPDATE content_state SET legacy = 0 WHERE tenant = ?1", tenant_))
                : gone;
    return gone ? Result<bool>(false) : gone.error();
}

} // namespace hasp::sync
