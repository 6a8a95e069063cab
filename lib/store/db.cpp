#include "store/db.h"

#include "sqlite_error.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>
#include <vector>

namespace hasp::store {

Error sqlite_error(int code, const char* detail, const std::string& doing) {
    std::string message = doing + ": " + detail;
    switch (code & 0xff) {
    case SQLITE_CONSTRAINT:
        return fail(Code::conflict, std::move(message));
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return fail(Code::try_later, std::move(message),
                    "another process is using the database: try again");
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return fail(Code::refused, std::move(message),
                    "the database is damaged: see hasp db check and hasp restore");
    case SQLITE_FULL:
        return fail(Code::failed, std::move(message), "the disk is full: make room and try again");
    case SQLITE_CANTOPEN:
        return fail(Code::failed, std::move(message),
                    "check that the folder exists and may be written to");
    case SQLITE_READONLY:
    case SQLITE_PERM:
        return fail(Code::failed, std::move(message), "check who owns the file and its folder");
    case SQLITE_RANGE:
    case SQLITE_MISUSE:
        return fail(Code::usage, std::move(message));
    default:
        return fail(Code::failed, std::move(message));
    }
}

// False where a simulation has put its own disk under SQLite (sqlite3_vfs_register).
static bool on_files_of_the_system() {
    const sqlite3_vfs* vfs = sqlite3_vfs_find(nullptr);
    return vfs != nullptr && std::string_view(vfs->zName).starts_with("unix");
}

// SQLite would create the file with the umask's mode; what is in it concerns nobody else. One that
// is there is never opened here: to close it would drop the locks that other connections of this
// process hold on it (fcntl(2), F_SETLK), and the next process that closes it would take itself for
// the last one and remove the journal under them.
static Status ready_file(const std::string& path, const DbOptions& options) {
    if (options.create && !options.read_only) {
        const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd >= 0) {
            ::close(fd);
            return {};
        }
        if (errno != EEXIST) {
            return errno_error(errno, "cannot open the database " + path);
        }
    }
    const int wanted = options.read_only ? R_OK : R_OK | W_OK;
    return ::faccessat(AT_FDCWD, path.c_str(), wanted, AT_EACCESS) == 0
               ? Status{}
               : Status(errno_error(errno, "cannot open the database " + path));
}

Result<std::unique_ptr<Db>> Db::open_with(const std::string& path, const DbOptions& options,
                                          bool in_memory) {
    if (!in_memory && on_files_of_the_system()) {
        if (Status ready = ready_file(path, options); !ready) {
            return ready.error();
        }
    }
    sqlite3* handle = nullptr;
    const int flags =
        (options.read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE) |
        SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    const int code =
        sqlite3_open_v2(in_memory ? ":memory:" : path.c_str(), &handle, flags, nullptr);
    std::unique_ptr<Db> db(new Db(handle, path));
    if (code != SQLITE_OK) {
        return sqlite_error(code, handle != nullptr ? sqlite3_errmsg(handle) : "out of memory",
                            "cannot open the database " + path);
    }
    sqlite3_busy_timeout(handle, options.busy_timeout_ms);
    // A damaged or planted schema must not run functions with side effects, nor rewrite itself.
    sqlite3_db_config(handle, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
    sqlite3_db_config(handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
    // A double-quoted name that is no column is an error, not a text.
    sqlite3_db_config(handle, SQLITE_DBCONFIG_DQS_DML, 0, nullptr);
    sqlite3_db_config(handle, SQLITE_DBCONFIG_DQS_DDL, 0, nullptr);
    if (options.read_only) {
        return db;
    }
    if (Status set = db->run_script(
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;");
        !set) {
        return set.error();
    }
    // What a killed process had written of its last commits and not synced counts as committed from
    // here on, and would be lost with the power all the same. A checkpoint syncs the journal first.
    // Where it then finds no room to copy it, or another process at it, nothing is lost.
    const int kept =
        sqlite3_wal_checkpoint_v2(handle, nullptr, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
    if (kept != SQLITE_OK && (kept & 0xff) != SQLITE_FULL && (kept & 0xff) != SQLITE_BUSY) {
        return db->error("making durable what the last process left");
    }
    return db;
}

Result<std::unique_ptr<Db>> Db::open(const std::string& path, const DbOptions& options) {
    return open_with(path, options, false);
}

Result<std::unique_ptr<Db>> Db::open_memory() {
    return open_with(":memory:", {}, true);
}

Db::~Db() {
    idle_by_sql_.clear();
    for (const Cached& cached : idle_) {
        sqlite3_finalize(cached.handle);
    }
    sqlite3_close_v2(handle_);
}

Error Db::error(const std::string& doing) const {
    return sqlite_error(sqlite3_extended_errcode(handle_), sqlite3_errmsg(handle_),
                        path_ + ": " + doing);
}

Status Db::transaction_open() const {
    if (transaction_depth_ > 0 && sqlite3_get_autocommit(handle_) != 0) {
        return fail(Code::failed,
                    path_ + ": the transaction was undone after an error of the disk");
    }
    return {};
}

Status Db::run_script(const std::string& sql) {
    if (Status open = transaction_open(); !open) {
        return open;
    }
    if (sqlite3_exec(handle_, sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) {
        return error("running a script");
    }
    return {};
}

Result<Statement> Db::prepare(std::string_view sql) {
    if (const auto found = idle_by_sql_.find(sql); found != idle_by_sql_.end()) {
        const auto position = found->second;
        idle_by_sql_.erase(found);
        Statement statement(*this, std::move(position->sql), position->handle);
        idle_.erase(position);
        return statement;
    }
    sqlite3_stmt* handle = nullptr;
    const char* tail = nullptr;
    if (sqlite3_prepare_v3(handle_, sql.data(), static_cast<int>(sql.size()),
                           SQLITE_PREPARE_PERSISTENT, &handle, &tail) != SQLITE_OK) {
        return error("preparing \"" + std::string(sql) + "\"");
    }
    if (handle == nullptr || tail != sql.data() + sql.size()) {
        sqlite3_finalize(handle);
        return fail(Code::usage,
                    path_ + ": not exactly one statement: \"" + std::string(sql) + "\"");
    }
    return Statement(*this, std::string(sql), handle);
}

void Db::give_back(std::string sql, sqlite3_stmt* handle) {
    if (idle_by_sql_.contains(sql)) { // the same text was in use twice
        sqlite3_finalize(handle);
        return;
    }
    idle_.push_front(Cached{std::move(sql), handle});
    idle_by_sql_.emplace(idle_.front().sql, idle_.begin());
    if (idle_.size() > cached_statements_max) {
        idle_by_sql_.erase(idle_.back().sql);
        sqlite3_finalize(idle_.back().handle);
        idle_.pop_back();
    }
}

Status Db::copy_to(const std::string& path) {
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        return errno_error(errno, "cannot create the copy " + path);
    }
    ::close(fd);
    // VACUUM INTO accepts an empty existing file; it is synced by us, since SQLite does not promise
    // to.
    if (auto copied = execute("VACUUM INTO ?1", path); !copied) {
        ::unlink(path.c_str());
        return copied.error();
    }
    const int copy = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (copy < 0 || ::fsync(copy) != 0) {
        const int reason = errno;
        if (copy >= 0) {
            ::close(copy);
        }
        return errno_error(reason, "cannot write the copy " + path + " to the disk");
    }
    ::close(copy);
    return {};
}

Status Db::whole(std::string_view pragma) {
    auto finding = first(pragma, [](const Statement& row) { return row.text(0); });
    if (!finding) {
        return finding.error();
    }
    if (!*finding || **finding != "ok") {
        return fail(Code::refused, path_ + ": integrity check: " + finding->value_or("no answer"),
                    "restore the newest backup: hasp restore");
    }
    return {};
}

Status Db::quick_check() {
    return whole("PRAGMA quick_check(1)");
}

Status Db::check() {
    if (Status good = whole("PRAGMA integrity_check(1)"); !good) {
        return good;
    }
    auto orphan = first("PRAGMA foreign_key_check",
                        [](const Statement& row) { return row.text(0) + " → " + row.text(2); });
    if (!orphan) {
        return orphan.error();
    }
    if (*orphan) {
        return fail(Code::refused, path_ + ": a row refers to a row that is not there: " + **orphan,
                    "restore the newest backup: hasp restore");
    }
    return {};
}

} // namespace hasp::store
