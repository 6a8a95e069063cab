// Several databases as they were at one moment, while they are in use: for backup.
#pragma once

#include "base/result.h"

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace hasp::store {

// Holds a snapshot of each file. Writers wait only while the moment is taken (all files are locked
// for writing then, for as long as it takes to open them); afterwards they go on, and their journal
// (-wal) grows until this is gone. One thread; blocking.
class Moment {
  public:
    // Code::not_found: one of them is missing; try_later: writers left no gap within `patience_ms`.
    static Result<Moment> take(const std::vector<std::string>& paths, int patience_ms = 30'000);
    ~Moment();
    Moment(Moment&&) noexcept;
    Moment& operator=(Moment&&) noexcept;

    // A whole database in a new file (0600), page for page, so that what did not change between two
    // copies lies in the same place. Not synced: the caller reads it and throws it away.
    Status copy(std::size_t which, const std::string& to);

  private:
    struct Snapshot;
    explicit Moment(std::vector<std::unique_ptr<Snapshot>> snapshots);
    std::vector<std::unique_ptr<Snapshot>> snapshots_;
};

} // namespace hasp::store
