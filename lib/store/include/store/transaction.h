// A transaction that is rolled back unless it was committed.
#pragma once

#include "base/result.h"

namespace hasp::store {

class Db;

// The outermost one is BEGIN IMMEDIATE, so that a writer fails at the start and not half-way. One
// begun inside another is a savepoint of it: its commit becomes durable with the outermost commit,
// its roll-back undoes only its own part. They must end in the reverse order of their beginning,
// which scopes give for nothing.
class Transaction {
  public:
    static Result<Transaction> begin(Db& db);
    Transaction(Transaction&& other) noexcept;
    Transaction& operator=(Transaction&&) = delete;
    Transaction(const Transaction&) = delete;
    ~Transaction();

    // Durable (fsync) on success when outermost. On error nothing of it stays. At most one call.
    Status commit();

  private:
    Transaction(Db& db, int depth) : db_(&db), depth_(depth) {}
    void roll_back();

    Db* db_; // null once ended or moved from
    int depth_;
};

} // namespace hasp::store
