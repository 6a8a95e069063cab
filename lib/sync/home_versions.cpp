// The rows of versions: what is kept, and what goes.
#include "home_store.h"

#include <algorithm>
#include <limits>

namespace hasp::sync {

namespace {

constexpr const char* version_columns = "path, revision, kind, mode, mtime_us, size, hash, target, "
                                        "at_us, ended, ended_us, removed, who, attributes, "
                                        "attributes IS NOT NULL";

Version read_version(const store::Statement& s) {
    Version out;
    out.path = s.blob(0);
    out.revision = static_cast<std::uint64_t>(s.integer(1));
    if (s.integer(2) != 0) {
        out.entry = Entry{static_cast<FileKind>(s.integer(2)),
                          static_cast<std::uint32_t>(s.integer(3)),
                          s.integer(4),
                          static_cast<std::uint64_t>(s.integer(5)),
                          s.blob(6),
                          s.blob(7),
                          out.revision,
                          s.blob(13)};
    }
    out.at_us = s.integer(8);
    out.until_us = s.integer(9) == 0 ? 0 : s.integer(10);
    out.removed = s.truth(11);
    out.who = s.text(12);
    out.attributes_known = s.truth(14);
    return out;
}

// Above the names of all that is beneath a folder; of "", above all names.
std::string behind_all(const std::string& path) {
    return path.empty() ? std::string(path_bytes_max + 1, '\xff')
                        : path + "0"; // the byte behind '/'
}

} // namespace

Result<std::vector<Row>> HomeStore::paths(const FolderId& folder, const std::string& path,
                                          const std::string* behind, std::size_t max) {
    std::vector<Row> out;
    const std::string from = behind != nullptr ? *behind + '\0' : path;
    Status read = db_.each(
        "SELECT path, kind, mode, mtime_us, size, hash, target, revision, attributes FROM "
        "files_rows WHERE "
        "tenant = ?1 AND user = ?2 AND app = ?3 AND path >= ?4 AND path < ?7 AND (?5 = x'' OR path "
        "= ?5 OR path > ?6) ORDER BY path LIMIT ?8",
        [&](const store::Statement& s) { out.push_back(read_row(s)); }, tenant_, folder.user,
        folder.app, store::Blob{from}, store::Blob{path}, store::Blob{path + "/"},
        store::Blob{behind_all(path)}, max);
    if (!read) {
        return read.error();
    }
    return out;
}

Result<std::optional<Version>> HomeStore::version_for(const FolderId& folder,
                                                      const std::string& path,
                                                      std::optional<std::int64_t> at_us,
                                                      std::optional<std::uint64_t> revision) {
    static const std::string sql =
        std::string("SELECT ") + version_columns +
        " FROM files_versions WHERE tenant = ?1 AND user = ?2 AND app = ?3 AND path = ?4 AND at_us "
        "<= ?5 AND revision <= ?6 AND (?7 = 0 OR kind <> 0) ORDER BY revision DESC LIMIT 1";
    constexpr std::int64_t any = std::numeric_limits<std::int64_t>::max();
    return db_.first(
        sql, read_version, tenant_, folder.user, folder.app, store::Blob{path}, at_us.value_or(any),
        static_cast<std::int64_t>(std::min(revision.value_or(static_cast<std::uint64_t>(any)),
                                           static_cast<std::uint64_t>(any))),
        at_us || revision ? 0 : 1);
}

Result<std::vector<Version>> HomeStore::versions(const FolderId& folder, const std::string& path,
                                                 bool removed_only, const std::string& behind_path,
                                                 std::uint64_t behind_revision, std::size_t max) {
    static const std::string sql =
        std::string("SELECT ") + version_columns +
        " FROM files_versions WHERE tenant = ?1 AND user = ?2 AND app = ?3 AND path >= ?4 AND path "
        "< "
        "?8 AND (path > ?4 OR revision < ?5) AND (?6 = x'' OR path = ?6 OR path > ?7) AND (?9 = 0 "
        "OR removed = 1) ORDER BY path, revision DESC LIMIT ?10";
    constexpr std::int64_t any = std::numeric_limits<std::int64_t>::max();
    const bool first = behind_path.empty();
    const std::string& from = first ? path : behind_path;
    const std::int64_t below = first ? any : static_cast<std::int64_t>(behind_revision);
    std::vector<Version> out;
    Status read = db_.each(
        sql, [&](const store::Statement& s) { out.push_back(read_version(s)); }, tenant_,
        folder.user, folder.app, store::Blob{from}, below, store::Blob{path},
        store::Blob{path + "/"}, store::Blob{behind_all(path)}, removed_only ? 1 : 0, max);
    if (!read) {
        return read.error();
    }
    return out;
}

Result<std::vector<std::string>> HomeStore::apps(const std::string& user) {
    std::vector<std::string> out;
    Status read = db_.each(
        "SELECT app FROM files_folders WHERE tenant = ?1 AND user = ?2 ORDER BY app",
        [&](const store::Statement& s) { out.push_back(s.text(0)); }, tenant_, user);
    if (!read) {
        return read.error();
    }
    return out;
}

Result<std::vector<HomeStore::Ended>> HomeStore::versions_from(const VersionAt& at,
                                                               std::size_t max) {
    std::vector<Ended> out;
    Status read = db_.each(
        "SELECT user, app, path, revision, ended, at_us, ended_us, removed, hash FROM "
        "files_versions WHERE tenant = ?1 AND (user, app, path, revision) > (?2, ?3, ?4, ?5) ORDER "
        "BY user, app, path, revision LIMIT ?6",
        [&](const store::Statement& s) {
            out.push_back(
                {{s.text(0), s.text(1), s.blob(2), static_cast<std::uint64_t>(s.integer(3))},
                 static_cast<std::uint64_t>(s.integer(4)),
                 {s.integer(5), s.integer(6), s.truth(7)},
                 s.blob(8)});
        },
        tenant_, at.user, at.app, store::Blob{at.path}, at.revision, max);
    if (!read) {
        return read.error();
    }
    return out;
}

Status HomeStore::drop_version(const VersionAt& at) {
    return store::done(db_.execute("DELETE FROM files_versions WHERE tenant = ?1 AND user = ?2 AND "
                                   "app = ?3 AND path = ?4 AND revision = ?5",
                                   tenant_, at.user, at.app, store::Blob{at.path}, at.revision));
}

Result<HomeStore::Pass> HomeStore::pass() {
    auto found = db_.first(
        "SELECT rule_now_us, rule_ended_us, rule_user, rule_app, rule_path, rule_revision FROM "
        "content_state WHERE tenant = ?1",
        [](const store::Statement& s) {
            return Pass{
                s.integer(0),
                s.integer(1),
                {s.text(2), s.text(3), s.blob(4), static_cast<std::uint64_t>(s.integer(5))}};
        },
        tenant_);
    if (!found) {
        return found.error();
    }
    return found->value_or(Pass{});
}

Status HomeStore::put_pass(const Pass& pass) {
    return store::done(db_.execute(
        "UPDATE content_state SET rule_now_us = ?2, rule_ended_us = ?3, rule_user = ?4, rule_app = "
        "?5, rule_path = ?6, rule_revision = ?7 WHERE tenant = ?1",
        tenant_, pass.now_us, pass.ended_us, pass.at.user, pass.at.app, store::Blob{pass.at.path},
        pass.at.revision));
}

Status HomeStore::begin_passes(std::int64_t now_us) {
    return store::done(db_.execute(
        "UPDATE content_state SET rule_ended_us = ?2 WHERE tenant = ?1 AND rule_ended_us = 0",
        tenant_, now_us));
}

Result<std::vector<Home::DamagedFile>>
HomeStore::files_of(const std::string& user, const std::string& hash, std::size_t max) {
    std::vector<Home::DamagedFile> out;
    Status read = db_.each(
        "SELECT app, path, revision, ended FROM files_versions WHERE tenant = ?1 AND user = ?2 AND "
        "hash = ?3 ORDER BY ended <> 0, revision DESC LIMIT ?4",
        [&](const store::Statement& s) {
            out.push_back({{user, s.text(0)},
                           s.blob(1),
                           static_cast<std::uint64_t>(s.integer(2)),
                           s.integer(3) == 0});
        },
        tenant_, user, store::Blob{hash}, max);
    if (!read) {
        return read.error();
    }
    return out;
}

Result<bool> HomeStore::stands(const FolderId& folder, const std::string& hash) {
    auto found = db_.first(
        "SELECT 1 FROM files_versions WHERE tenant = ?1 AND user = ?2 AND hash = ?3 AND app = ?4 "
        "AND ended = 0 LIMIT 1",
        [](const store::Statement& s) { return s.truth(0); }, tenant_, folder.user,
        store::Blob{hash}, folder.app);
    return found ? Result<bool>(found->has_value()) : found.error();
}

} // namespace hasp::sync
