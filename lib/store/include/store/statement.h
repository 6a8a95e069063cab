// A prepared statement, lent by a Db and given back to its cache on destruction. Thread and errors:
// see store/db.h.
#pragma once

#include "base/result.h"

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

struct sqlite3_stmt;

namespace hasp::store {

class Db;

// Bytes that are no text.
struct Blob {
    std::string_view bytes;
};

class Statement {
  public:
    Statement(Statement&& other) noexcept;
    Statement& operator=(Statement&&) = delete;
    Statement(const Statement&) = delete;
    ~Statement();

    // Positions count from 1. Text and blobs are copied. A wrong position is Code::usage.
    Status bind(int position, std::int64_t value);
    Status bind(int position, std::string_view text);
    Status bind(int position, Blob blob);
    Status bind(int position, std::nullopt_t);
    Status bind(int position, bool value) { return bind(position, std::int64_t{value}); }
    Status bind(int position, const char* text) { return bind(position, std::string_view(text)); }
    template <std::integral T>
    Status bind(int position, T value) {
        return bind(position, static_cast<std::int64_t>(value));
    }
    template <typename T>
    Status bind(int position, const std::optional<T>& value) {
        return value ? bind(position, *value) : bind(position, std::nullopt);
    }
    // Binds ?1, ?2, …: as many values as the statement has, else Code::usage.
    template <typename... Values>
    Status bind_all(const Values&... values) {
        if (Status counted = expect_parameters(static_cast<int>(sizeof...(values))); !counted) {
            return counted;
        }
        Status status;
        int position = 0;
        static_cast<void>(((status = bind(++position, values), status.ok()) && ...));
        return status;
    }
    // The same without a copy: text and blobs must stay as they are until reset() or the end of the
    // statement.
    template <typename... Values>
    Status lend_all(const Values&... values) {
        copies_ = false;
        Status status = bind_all(values...);
        copies_ = true;
        return status;
    }

    // true: a row is there; false: done.
    Result<bool> step();
    // Steps to the end. Success: rows changed by INSERT, UPDATE or DELETE.
    Result<std::int64_t> run();
    // Ready to be bound and stepped anew; bindings are cleared.
    void reset();

    // Columns of the current row count from 0. Views live until the next step, reset or the end of
    // the statement.
    std::int64_t integer(int column) const;
    // Of a column that holds bits, or is never negative.
    std::uint64_t count(int column) const { return static_cast<std::uint64_t>(integer(column)); }
    bool truth(int column) const { return integer(column) != 0; }
    std::string_view view(int column) const;
    std::string text(int column) const { return std::string(view(column)); }
    std::string blob(int column) const { return std::string(view(column)); }
    bool is_null(int column) const;
    std::optional<std::int64_t> maybe_integer(int column) const;
    std::optional<std::string> maybe_text(int column) const;

  private:
    friend class Db;
    Statement(Db& db, std::string sql, sqlite3_stmt* handle)
        : db_(&db), sql_(std::move(sql)), handle_(handle) {}
    Status expect_parameters(int count) const;
    Status bound(int code) const;

    Db* db_;
    std::string sql_;
    sqlite3_stmt* handle_;
    bool copies_ = true; // text and blobs that are bound
};

} // namespace hasp::store
