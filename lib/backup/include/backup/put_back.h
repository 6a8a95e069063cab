// A backup as a state folder again.
#pragma once

#include "backup/repository.h"

#include <functional>
#include <string>

namespace hasp::backup {

struct PutBack {
    std::uint64_t files = 0;
    std::uint64_t bytes = 0;
};

// Into `target`, an empty folder. Run by root, owners are as they were where the tier gave out
// their numbers (users and groups of apps, sync/working_copies.h), else `target`'s; otherwise ours.
// Modes as they were. `target` is root's and 0700 meanwhile. Everything is durable at the end. On
// an error what it made is still there: the caller removes it. refused: damaged, with the file's
// name.
using OnBytes = std::function<void(std::uint64_t bytes, std::uint64_t of)>;
Result<PutBack> put_back(Repository& repository, const std::string& id, const std::string& target,
                         const OnBytes& progress);

// The newest whole backup at `at_us` or before it; nothing: there is none.
Result<std::optional<std::string>> backup_at(Repository& repository, std::int64_t at_us);

} // namespace hasp::backup
