#include "store/transaction.h"

#include "store/db.h"

#include <string>
#include <utility>

namespace hasp::store {

namespace {

std::string savepoint(int depth) {
    return "hasp_" + std::to_string(depth);
}

} // namespace

Result<Transaction> Transaction::begin(Db& db) {
    const int depth = db.transaction_depth_ + 1;
    // Prepared once, like every statement: a small transaction is mostly its beginning and its end.
    auto begun =
        depth == 1 ? db.execute("BEGIN IMMEDIATE") : db.execute("SAVEPOINT " + savepoint(depth));
    if (!begun) {
        return begun.error();
    }
    db.transaction_depth_ = depth;
    return Transaction(db, depth);
}

Transaction::Transaction(Transaction&& other) noexcept
    : db_(std::exchange(other.db_, nullptr)), depth_(other.depth_) {}

Transaction::~Transaction() {
    roll_back();
}

Status Transaction::commit() {
    if (db_ == nullptr || db_->transaction_depth_ != depth_) {
        return fail(Code::usage, "a transaction was committed twice or out of order");
    }
    auto done = depth_ == 1 ? db_->execute("COMMIT") : db_->execute("RELEASE " + savepoint(depth_));
    if (!done) {
        roll_back();
        return done.error();
    }
    db_->transaction_depth_ = depth_ - 1;
    db_ = nullptr;
    return {};
}

void Transaction::roll_back() {
    if (db_ == nullptr) {
        return;
    }
    // Nothing can be done about an error here, and SQLite may have rolled back by itself (disk
    // full, I/O error).
    if (depth_ == 1) {
        static_cast<void>(db_->run_script("ROLLBACK"));
    } else {
        static_cast<void>(
            db_->run_script("ROLLBACK TO " + savepoint(depth_) + "; RELEASE " + savepoint(depth_)));
    }
    db_->transaction_depth_ = depth_ - 1;
    db_ = nullptr;
}

} // namespace hasp::store
