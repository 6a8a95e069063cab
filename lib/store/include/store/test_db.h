// Databases for tests: a real file in a folder of its own (so that WAL and re-opening are what they
// are in the product).
#pragma once

#include "store/db.h"

#include <memory>
#include <string>

namespace hasp::store {

// Owns the folder and the open database; both are gone at its end. Ends the process when the folder
// cannot be made.
class TestDb {
  public:
    TestDb();
    ~TestDb();
    TestDb(const TestDb&) = delete;
    TestDb& operator=(const TestDb&) = delete;

    Db& operator*() { return *db_; }
    Db* operator->() { return db_.get(); }
    // Closes and opens anew, as a restart of the process does. References to the old Db are void.
    Db& reopen();
    const std::string& folder() const { return folder_; }
    std::string path() const { return folder_ + "/test.db"; }

  private:
    std::string folder_;
    std::unique_ptr<Db> db_;
};

} // namespace hasp::store
