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
    if (Status begun =
            db.run_script(depth == 1 ? "BEGIN IMMEDIATE" : "SAVEPOINT " + savepoint(depth));
        !begun) {
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
    if (Status done = db_->run_script(depth_ == 1 ? "COMMIT" : "RELEASE " + savepoint(depth_));
        !done) {
        roll_back();
        return done;
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
