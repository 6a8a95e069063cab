#include "files_keeps.h"

#include "embedded/maint_keeps_sql.h"
#include "store/migrate.h"

#include <map>

namespace hasp::maint {

Status FilesKeeps::migrate() {
    return store::migrate(db_, "maint_keeps", embedded::maint_keeps_sql());
}

Status FilesKeeps::put(const std::string& child, const std::vector<trust::KeepGrant>& keeps,
                       std::int64_t now_us) {
    std::map<std::string, std::int64_t> known;
    Status read = db_.each(
        "SELECT user, until_us FROM maint_keeps WHERE tenant = ?1 AND child = ?2",
        [&](const store::Statement& s) { known[s.text(0)] = s.integer(1); }, tenant_, child);
    if (!read) {
        return read;
    }
    std::map<std::string, std::int64_t> wanted;
    for (const trust::KeepGrant& keep : keeps) {
        wanted[keep.user] = std::max(wanted[keep.user], keep.expires_us);
    }
    for (const auto& [user, until_us] : known) {
        if (!wanted.contains(user) && until_us > now_us) {
            wanted[user] = now_us;
        }
    }
    for (const auto& [user, until_us] : wanted) {
        const auto before = known.find(user);
        if (before != known.end() && before->second == until_us) {
            continue;
        }
        auto put = db_.execute("INSERT OR REPLACE INTO maint_keeps (tenant, child, user, until_us) "
                               "VALUES (?1, ?2, ?3, ?4)",
                               tenant_, child, user, until_us);
        if (!put) {
            return put.error();
        }
    }
    return {};
}

Result<std::optional<std::int64_t>> FilesKeeps::until(const std::string& child,
                                                      const std::string& user) {
    return db_.first(
        "SELECT until_us FROM maint_keeps WHERE tenant = ?1 AND child = ?2 AND user = ?3",
        [](const store::Statement& s) { return s.integer(0); }, tenant_, child, user);
}

Status FilesKeeps::forget(const std::string& child) {
    auto gone =
        db_.execute("DELETE FROM maint_keeps WHERE tenant = ?1 AND child = ?2", tenant_, child);
    return gone ? Status{} : Status(gone.error());
}

} // namespace hasp::maint
