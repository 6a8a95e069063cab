// Which child may, and might, keep whose files: by the leases that this tier signed. One thread.
#pragma once

#include "base/result.h"
#include "store/db.h"
#include "trust/grants.h"

#include <optional>
#include <string>
#include <vector>

namespace hasp::maint {

class FilesKeeps {
  public:
    FilesKeeps(store::Db& db, std::string tenant) : db_(db), tenant_(std::move(tenant)) {}
    Status migrate();
    // What is left out has ended at `now_us`; in the caller's transaction.
    Status put(const std::string& child, const std::vector<trust::KeepGrant>& keeps,
               std::int64_t now_us);
    // Until when (trusted time); nothing when it never might.
    Result<std::optional<std::int64_t>> until(const std::string& child, const std::string& user);
    Status forget(const std::string& child);

  private:
    store::Db& db_;
    std::string tenant_;
};

} // namespace hasp::maint
