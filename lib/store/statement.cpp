#include "store/statement.h"

#include "sqlite_error.h"
#include "store/db.h"

#include <sqlite3.h>

namespace hasp::store {

Statement::Statement(Statement&& other) noexcept
    : db_(other.db_), sql_(std::move(other.sql_)), handle_(std::exchange(other.handle_, nullptr)) {}

Statement::~Statement() {
    if (handle_ != nullptr) {
        reset();
        db_->give_back(std::move(sql_), handle_);
    }
}

void Statement::reset() {
    sqlite3_reset(handle_);
    sqlite3_clear_bindings(handle_);
}

Status Statement::bound(int code) const {
    if (code != SQLITE_OK) {
        return sqlite_error(code, sqlite3_errstr(code),
                            db_->path() + ": binding a value of \"" + sql_ + "\"");
    }
    return {};
}

Status Statement::bind(int position, std::int64_t value) {
    return bound(sqlite3_bind_int64(handle_, position, value));
}

Status Statement::bind(int position, std::string_view text) {
    // An empty view may have a null pointer, which SQLite would take for NULL.
    const char* data = text.data() != nullptr ? text.data() : "";
    return bound(sqlite3_bind_text64(handle_, position, data, text.size(),
                                     copies_ ? SQLITE_TRANSIENT : SQLITE_STATIC, SQLITE_UTF8));
}

Status Statement::bind(int position, Blob blob) {
    const char* data = blob.bytes.data() != nullptr ? blob.bytes.data() : "";
    return bound(sqlite3_bind_blob64(handle_, position, data, blob.bytes.size(),
                                     copies_ ? SQLITE_TRANSIENT : SQLITE_STATIC));
}

Status Statement::bind(int position, std::nullopt_t) {
    return bound(sqlite3_bind_null(handle_, position));
}

Status Statement::expect_parameters(int count) const {
    if (const int wanted = sqlite3_bind_parameter_count(handle_); wanted != count) {
        return fail(Code::usage, db_->path() + ": \"" + sql_ + "\" takes " +
                                     std::to_string(wanted) + " values, not " +
                                     std::to_string(count));
    }
    return {};
}

Result<bool> Statement::step() {
    if (Status open = db_->transaction_open(); !open) {
        return open.error();
    }
    switch (sqlite3_step(handle_)) {
    case SQLITE_ROW:
        return true;
    case SQLITE_DONE:
        return false;
    default:
        return db_->error("\"" + sql_ + "\"");
    }
}

Result<std::int64_t> Statement::run() {
    // sqlite3_changes would answer the count of an earlier statement when this one changes nothing
    // by nature.
    const std::int64_t before = sqlite3_total_changes64(db_->handle_);
    for (;;) {
        auto row = step();
        if (!row) {
            return row.error();
        }
        if (!*row) {
            break;
        }
    }
    return sqlite3_total_changes64(db_->handle_) == before ? 0 : sqlite3_changes64(db_->handle_);
}

std::int64_t Statement::integer(int column) const {
    return sqlite3_column_int64(handle_, column);
}

std::string_view Statement::view(int column) const {
    // Not column_text: it would stop at nothing, but converts blobs. The length must be asked for
    // after the bytes.
    const void* data = sqlite3_column_blob(handle_, column);
    const auto size = static_cast<std::size_t>(sqlite3_column_bytes(handle_, column));
    return data == nullptr ? std::string_view{}
                           : std::string_view(static_cast<const char*>(data), size);
}

bool Statement::is_null(int column) const {
    return sqlite3_column_type(handle_, column) == SQLITE_NULL;
}

std::optional<std::int64_t> Statement::maybe_integer(int column) const {
    return is_null(column) ? std::nullopt : std::optional(integer(column));
}

std::optional<std::string> Statement::maybe_text(int column) const {
    return is_null(column) ? std::nullopt : std::optional(text(column));
}

} // namespace hasp::store
