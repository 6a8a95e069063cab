#include "store/db.h"
#include "sync/content_store.h"

namespace hasp::sync {

Result<std::vector<ContentExtent>> content_extents(const std::string& database) {
    auto db = store::Db::open(database, {5000, false, true});
    if (!db) {
        return db.error();
    }
    std::vector<ContentExtent> out;
    auto known = (*db)->first("SELECT 1 FROM sqlite_schema WHERE name = 'content_files'",
                              [](const store::Statement& s) { return s.integer(0); });
    if (!known || !*known) { // of a hasp before there were any
        return known ? Result<std::vector<ContentExtent>>(std::move(out)) : known.error();
    }
    Status read = (*db)->each(
        "SELECT number, bytes FROM content_files ORDER BY number", [&](const store::Statement& s) {
            const auto number = static_cast<std::uint64_t>(s.integer(0));
            out.push_back({content_path(number), static_cast<std::uint64_t>(s.integer(1))});
        });
    return read ? Result<std::vector<ContentExtent>>(std::move(out)) : read.error();
}

std::string content_path(std::uint64_t number) {
    return std::string(contents_folder) + "/" + std::to_string(number / files_a_folder) + "/" +
           std::to_string(number);
}

} // namespace hasp::sync
