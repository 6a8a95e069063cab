#include "store/settle.h"

#include "sqlite_error.h"

#include <sqlite3.h>

namespace hasp::store {

Status settle_copy(const std::string& path) {
    sqlite3* handle = nullptr;
    int code = sqlite3_open_v2(path.c_str(), &handle,
                               SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE |
                                   SQLITE_OPEN_NOFOLLOW,
                               nullptr);
    if (code == SQLITE_OK) {
        sqlite3_db_config(handle, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
        sqlite3_db_config(handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
        // Reading the schema rolls a hot journal back; the checkpoint plays a WAL in and empties
        // it.
        code =
            sqlite3_exec(handle, "SELECT count(*) FROM sqlite_schema", nullptr, nullptr, nullptr);
    }
    if (code == SQLITE_OK) {
        code = sqlite3_wal_checkpoint_v2(handle, nullptr, SQLITE_CHECKPOINT_TRUNCATE, nullptr,
                                         nullptr);
    }
    Status done;
    if (code != SQLITE_OK) {
        done = sqlite_error(code, handle != nullptr ? sqlite3_errmsg(handle) : "out of memory",
                            "a copied database");
    }
    sqlite3_close_v2(handle);
    return done;
}

} // namespace hasp::store
