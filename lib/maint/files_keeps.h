// Which child may, and might, keep whose files: by the leases that this tier signed, and by who was
// logged in there. One thread.
#pragma once

#include "base/result.h"
#include "store/db.h"
#include "trust/grants.h"

#include <cstdint>
#include <set>
#include <string>
#include <vector>

namespace hasp::maint {

// For so long a tier gives what somebody wrote there while he was logged in: an app writes after a
// log-out too, and the link may be down.
inline constexpr std::int64_t visit_gives_us = std::int64_t{60} * 24 * 3600 * 1'000'000;
// A visit that goes on is written down so often.
inline constexpr std::int64_t visit_step_us = std::int64_t{3600} * 1'000'000;

class FilesKeeps {
  public:
    FilesKeeps(store::Db& db, std::string tenant) : db_(db), tenant_(std::move(tenant)) {}
    Status migrate();
    // What is left out has ended at `now_us`; in the caller's transaction.
    Status put(const std::string& child, const std::vector<trust::KeepGrant>& keeps,
               std::int64_t now_us);
    // Trusted time; 0: never.
    struct Kept {
        std::int64_t until_us = 0;   // by a lease
        std::int64_t visited_us = 0; // he was logged in there, at the latest
        // What was written while it might keep them is taken.
        bool gives(std::int64_t now_us) const {
            return until_us != 0 || (visited_us != 0 && now_us - visited_us < visit_gives_us);
        }
    };
    Result<Kept> of(const std::string& child, const std::string& user);
    // He is logged in there now.
    Status visited(const std::string& child, const std::string& user, std::int64_t now_us);
    // Of whom it may have files.
    Result<std::set<std::string>> users(const std::string& child, std::int64_t now_us);
    Status forget(const std::string& child);

  private:
    store::Db& db_;
    std::string tenant_;
};

} // namespace hasp::maint
