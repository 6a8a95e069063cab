#include "store/moment.h"

#include "sqlite_error.h"

#include <cerrno>
#include <fcntl.h>
#include <poll.h>
#include <sqlite3.h>
#include <unistd.h>

namespace hasp::store {

namespace {

struct Closing {
    void operator()(sqlite3* handle) const { sqlite3_close_v2(handle); }
};
using Handle = std::unique_ptr<sqlite3, Closing>;

Error error_of(const Handle& handle, int code, const std::string& path) {
    return sqlite_error(code, handle != nullptr ? sqlite3_errmsg(handle.get()) : "out of memory",
                        path + ": taking a snapshot");
}

Result<Handle> open(const std::string& path, int patience_ms) {
    if (::access(path.c_str(), F_OK) != 0) {
        return errno_error(errno, "cannot open the database " + path);
    }
    sqlite3* raw = nullptr;
    const int code = sqlite3_open_v2(
        path.c_str(), &raw, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
        nullptr);
    Handle handle(raw);
    if (code != SQLITE_OK) {
        return error_of(handle, code, path);
    }
    sqlite3_busy_timeout(handle.get(), patience_ms);
    sqlite3_db_config(handle.get(), SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
    sqlite3_db_config(handle.get(), SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
    return handle;
}

// Whoever writes to several of them may hold one while it waits for another: nobody is made to wait
// for one that we hold while we wait ourselves.
Status lock_all(const std::vector<Handle>& locks, const std::vector<std::string>& paths,
                int patience_ms) {
    constexpr int gap_ms = 20;
    for (;; patience_ms -= gap_ms) {
        std::size_t held = 0;
        int code = SQLITE_OK;
        for (; held < locks.size(); ++held) {
            sqlite3_busy_timeout(locks[held].get(), 0);
            code = sqlite3_exec(locks[held].get(), "BEGIN IMMEDIATE", nullptr, nullptr, nullptr);
            if (code != SQLITE_OK) {
                break;
            }
        }
        if (held == locks.size()) {
            return {};
        }
        const Error why = error_of(locks[held], code, paths[held]);
        for (std::size_t i = 0; i < held; ++i) {
            sqlite3_exec(locks[i].get(), "ROLLBACK", nullptr, nullptr, nullptr);
        }
        if (why.code != Code::try_later || patience_ms <= 0) {
            return why;
        }
        ::poll(nullptr, 0, gap_ms);
    }
}

} // namespace

struct Moment::Snapshot {
    std::string path;
    Handle reader;
};

Moment::Moment(std::vector<std::unique_ptr<Snapshot>> snapshots)
    : snapshots_(std::move(snapshots)) {}
Moment::~Moment() = default;
Moment::Moment(Moment&&) noexcept = default;
Moment& Moment::operator=(Moment&&) noexcept = default;

Result<Moment> Moment::take(const std::vector<std::string>& paths, int patience_ms) {
    std::vector<std::unique_ptr<Snapshot>> snapshots;
    std::vector<Handle> locks; // each writes nothing, and lets nobody else write
    for (const std::string& path : paths) {
        auto lock = open(path, patience_ms);
        auto reader = lock ? open(path, patience_ms) : Result<Handle>(lock.error());
        if (!reader) {
            return reader.error();
        }
        snapshots.push_back(std::make_unique<Snapshot>(Snapshot{path, *std::move(reader)}));
        locks.push_back(*std::move(lock));
    }
    if (Status locked = lock_all(locks, paths, patience_ms); !locked) {
        return locked.error();
    }
    for (const auto& one : snapshots) {
        // Reading begins with the first statement that reads, and ends with the connection.
        if (const int code =
                sqlite3_exec(one->reader.get(), "BEGIN; SELECT count(*) FROM sqlite_schema",
                             nullptr, nullptr, nullptr);
            code != SQLITE_OK) {
            return error_of(one->reader, code, one->path);
        }
    }
    return Moment(std::move(snapshots));
}

Status Moment::copy(std::size_t which, const std::string& to) {
    Snapshot& from = *snapshots_.at(which);
    const int fd = ::open(to.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        return errno_error(errno, "cannot create the copy " + to);
    }
    ::close(fd);
    auto into = open(to, 0);
    if (!into) {
        return into.error();
    }
    sqlite3_exec(into->get(), "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF", nullptr, nullptr,
                 nullptr);
    sqlite3_backup* backup = sqlite3_backup_init(into->get(), "main", from.reader.get(), "main");
    if (backup == nullptr) {
        return error_of(*into, sqlite3_errcode(into->get()), to);
    }
    const int code = sqlite3_backup_step(backup, -1);
    sqlite3_backup_finish(backup);
    if (code != SQLITE_DONE) {
        ::unlink(to.c_str());
        return sqlite_error(code, sqlite3_errstr(code), "copying " + from.path + " to " + to);
    }
    return {};
}

} // namespace hasp::store
