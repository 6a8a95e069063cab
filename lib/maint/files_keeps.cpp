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
        auto put =
            db_.execute("INSERT INTO maint_keeps (tenant, child, user, until_us) "
                        "VALUES (?1, ?2, ?3, ?4) ON CONFLICT (tenant, child, user) DO UPDATE "
                        "SET until_us = excluded.until_us",
                        tenant_, child, user, until_us);
        if (!put) {
            return put.error();
        }
    }
    return {};
}

Result<FilesKeeps::Kept> FilesKeeps::of(const std::string& child, const std::string& user) {
    auto row = db_.first(
        "SELECT until_us, visited_us FROM maint_keeps WHERE tenant = ?1 AND child = ?2 AND user = "
        "?3",
        [](const store::Statement& s) {
            return Kept{s.integer(0), s.integer(1)};
        },
        tenant_, child, user);
    return row ? Result<Kept>(row->value_or(Kept{})) : row.error();
}

Status FilesKeeps::visited(const std::string& child, const std::string& user, std::int64_t now_us) {
    auto put = db_.execute("INSERT INTO maint_keeps (tenant, child, user, until_us, visited_us) "
                           "VALUES (?1, ?2, ?3, 0, ?4) ON CONFLICT (tenant, child, user) DO UPDATE "
                           "SET visited_us = excluded.visited_us",
                           tenant_, child, user, now_us);
    return put ? Status{} : Status(put.error());
}

Result<std::set<std::string>> FilesKeeps::users(const std::string& child, std::int64_t now_us) {
    std::set<std::string> out;
    Status read = db_.each(
        "SELECT user, until_us, visited_us FROM maint_keeps WHERE tenant = ?1 AND child = ?2",
        [&](const store::Statement& s) {
            if (Kept{s.integer(1), s.integer(2)}.gives(now_us)) {
                out.insert(s.text(0));
            }
        },
        tenant_, child);
    return read ? Result<std::set<std::string>>(std::move(out)) : read.error();
}

Status FilesKeeps::forget(const std::string& child) {
    auto gone =
        db_.execute("DELETE FROM maint_keeps WHERE tenant = ?1 AND child = ?2", tenant_, child);
    return gone ? Status{} : Status(gone.error());
}

} // namespace hasp::maint
