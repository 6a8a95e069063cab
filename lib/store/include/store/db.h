// A thin layer over SQLite that a library's store is written in. It never shows through a library's
// own interface.
//
// Threads: a Db and everything made from it belong to one thread. Every call may block on the disk.
// Errors: conflict = a constraint refused the row; try_later = another process holds the file
// beyond busy_timeout_ms; refused = the file is damaged or is no database; failed = the rest (disk
// full, I/O), with a hint where one helps.
#pragma once

#include "base/result.h"
#include "store/statement.h"

#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

struct sqlite3;

namespace hasp::store {

struct DbOptions {
    int busy_timeout_ms = 5000;
    bool create = true;     // false: a missing file is Code::not_found
    bool read_only = false; // nothing is written, not even the choice of WAL; for looking
};

class Db {
  public:
    // Opens or creates (mode 0600) the file: WAL, synchronous=FULL, foreign keys on, untrusted
    // schema. What is in it then is durable, also what a killed process had not synced.
    static Result<std::unique_ptr<Db>> open(const std::string& path, const DbOptions& options = {});
    // A database in memory: for tests.
    static Result<std::unique_ptr<Db>> open_memory();
    ~Db();
    Db(const Db&) = delete;
    Db& operator=(const Db&) = delete;

    // Runs one or more statements without values ("CREATE …; CREATE …").
    Status run_script(const std::string& sql);

    // A prepared statement from the cache. One statement per text; `sql` should be a literal,
    // values go in by bind.
    Result<Statement> prepare(std::string_view sql);

    // Prepares, binds ?1 ?2 … and runs to the end. Success: the number of rows changed.
    template <typename... Values>
    Result<std::int64_t> execute(std::string_view sql, const Values&... values);

    // Calls on_row(const Statement&) for each row. The callback must not run the same text again.
    template <typename OnRow, typename... Values>
    Status each(std::string_view sql, OnRow&& on_row, const Values&... values);

    // The first row as read(const Statement&) → T; nullopt when there is none.
    template <typename Read, typename... Values>
    auto first(std::string_view sql, Read&& read, const Values&... values)
        -> Result<std::optional<decltype(read(std::declval<const Statement&>()))>>;

    // A consistent copy into a new file (which must not exist), while the database is in use: for
    // backup.
    Status copy_to(const std::string& path);
    // Integrity and foreign keys of the whole file. Code::refused with the first finding. Reads
    // everything: for doctor.
    Status check();
    // The same without comparing indexes with their tables: for large files in a hurry.
    Status quick_check();

    const std::string& path() const { return path_; }
    bool in_transaction() const { return transaction_depth_ > 0; }

  private:
    friend class Statement;
    friend class Transaction;
    struct Cached {
        std::string sql;
        sqlite3_stmt* handle;
    };
    Db(sqlite3* handle, std::string path) : handle_(handle), path_(std::move(path)) {}
    static Result<std::unique_ptr<Db>> open_with(const std::string& path, const DbOptions& options,
                                                 bool in_memory);
    Error error(const std::string& doing) const;
    // SQLite undoes a transaction by itself when the disk fails or is full, and would run its other
    // statements each on its own.
    Status transaction_open() const;
    Status whole(std::string_view pragma);
    void give_back(std::string sql, sqlite3_stmt* handle);

    sqlite3* handle_;
    std::string path_;
    int transaction_depth_ = 0;
    // Idle prepared statements, most recently used first.
    std::list<Cached> idle_;
    std::unordered_map<std::string_view, std::list<Cached>::iterator> idle_by_sql_;
};

inline constexpr std::size_t cached_statements_max = 256;

// For a change whose number of rows does not matter.
inline Status done(const Result<std::int64_t>& changed) {
    return changed.ok() ? Status{} : Status{changed.error()};
}

template <typename... Values>
Result<std::int64_t> Db::execute(std::string_view sql, const Values&... values) {
    auto statement = prepare(sql);
    if (!statement) {
        return statement.error();
    }
    // The values outlive the statement, which ends here.
    if (Status bound = statement->lend_all(values...); !bound) {
        return bound.error();
    }
    return statement->run();
}

template <typename OnRow, typename... Values>
Status Db::each(std::string_view sql, OnRow&& on_row, const Values&... values) {
    auto statement = prepare(sql);
    if (!statement) {
        return statement.error();
    }
    if (Status bound = statement->bind_all(values...); !bound) {
        return bound;
    }
    for (;;) {
        auto row = statement->step();
        if (!row) {
            return row.error();
        }
        if (!*row) {
            return {};
        }
        on_row(static_cast<const Statement&>(*statement));
    }
}

template <typename Read, typename... Values>
auto Db::first(std::string_view sql, Read&& read, const Values&... values)
    -> Result<std::optional<decltype(read(std::declval<const Statement&>()))>> {
    using Value = decltype(read(std::declval<const Statement&>()));
    auto statement = prepare(sql);
    if (!statement) {
        return statement.error();
    }
    if (Status bound = statement->bind_all(values...); !bound) {
        return bound.error();
    }
    auto row = statement->step();
    if (!row) {
        return row.error();
    }
    if (!*row) {
        return std::optional<Value>{};
    }
    return std::optional<Value>{read(static_cast<const Statement&>(*statement))};
}

} // namespace hasp::store
