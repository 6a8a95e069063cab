// The content store: contents of versions of hasp that kept them as STATE/blobs/ab/cdef…, zstd and
// not encrypted.
#include "base/text.h"
#include "store/db.h"
#include "store/transaction.h"
#include "sync/content_store.h"
#include "trust/hash.h"

namespace hasp::sync {

std::string ContentStore::legacy_path(const std::string& hash) const {
    const std::string hex = to_hex(hash);
    return std::string(legacy_folder) + "/" + hex.substr(0, 2) + "/" + hex.substr(2);
}

Result<std::unique_ptr<ReadFile>> ContentStore::read_legacy(const std::string& hash) {
    auto file = disk_.open(legacy_path(hash));
    if (!file) {
        return file.error();
    }
    Decompressor in(pull_from(**file));
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

// Of a content that cannot be had that it is damaged; only a disk that fails ends the step.
Status ContentStore::take_over(const std::string& user, const std::string& hash,
                               std::uint64_t& bytes) {
    auto content = read_legacy(hash);
    if (!content) {
        const Code code = content.error().code;
        return code == Code::refused || code == Code::not_found ? mark_damaged(user, hash)
                                                                : Status(content.error());
    }
    auto stat = (*content)->stat();
    if (!stat) {
        return stat.error();
    }
    bytes += stat->size;
    return stage(user, hash, pull_from(**content));
}

Result<bool> ContentStore::take_over_some() {
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
    if ((*at)->legacy == 2) {
        return remove_legacy();
    }
    std::vector<Damaged> some;
    Status status = db_.each(
        "SELECT DISTINCT user, hash FROM files_versions v WHERE tenant = ?1 AND (user, hash) > "
        "(?2, ?3) AND hash <> x'' AND NOT EXISTS (SELECT 1 FROM contents c WHERE c.tenant = ?1 AND "
        "c.user = v.user AND c.hash = v.hash) ORDER BY user, hash LIMIT ?4",
        [&](const store::Statement& s) {
            some.push_back({s.text(0), s.blob(1)});
        },
        tenant_, (*at)->name.user, store::Blob{(*at)->name.hash}, step_rows_max);
    drop_staged();
    std::uint64_t bytes = 0;
    std::size_t taken = 0;
    while (status && taken < some.size() && bytes < step_bytes_max) {
        const Damaged& one = some[taken++];
        status = take_over(one.user, one.hash, bytes);
    }
    status = status ? keep_all() : status;
    auto transaction =
        status ? store::Transaction::begin(db_) : Result<store::Transaction>(status.error());
    if (!transaction) {
        drop_staged();
        return transaction.error();
    }
    if (auto recorded_all = record(); !recorded_all) {
        status = recorded_all.error();
    }
    if (status) {
        status = taken == 0 ? store::done(db_.execute(
                                  "UPDATE content_state SET legacy = 2 WHERE tenant = ?1", tenant_))
                            : store::done(db_.execute("UPDATE content_state SET taken_user = ?2, "
                                                      "taken_hash = ?3 WHERE tenant = ?1",
                                                      tenant_, some[taken - 1].user,
                                                      store::Blob{some[taken - 1].hash}));
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
    return true;
}

// One of its folders a step.
Result<bool> ContentStore::remove_legacy() {
    legacy_ = false;
    auto folders = disk_.list(legacy_folder);
    if (!folders && folders.error().code != Code::not_found) {
        return folders.error();
    }
    if (folders && !folders->empty()) {
        const std::string folder = std::string(legacy_folder) + "/" + folders->front().name;
        auto files = disk_.list(folder);
        for (const DirEntry& file : files ? *files : std::vector<DirEntry>{}) {
            if (Status gone = disk_.remove(folder + "/" + file.name); !gone) {
                return gone.error();
            }
        }
        Status gone = files ? disk_.remove_folder(folder) : disk_.remove(folder);
        return gone ? Result<bool>(true) : gone.error();
    }
    if (Status gone = folders ? disk_.remove_folder(legacy_folder) : Status{}; !gone) {
        return gone.error();
    }
    Status noted =
        store::done(db_.execute("UPDATE content_state SET legacy = 0 WHERE tenant = ?1", tenant_));
    return noted ? Result<bool>(false) : noted.error();
}

} // namespace hasp::sync
