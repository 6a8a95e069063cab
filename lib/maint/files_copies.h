// Of whom this tier has working copies: since when, and when each was of use last. On the disk, so
// that a restart makes nobody's copy newer or older. One thread; the keeper's database.
#pragma once

#include "base/result.h"
#include "store/db.h"

#include <cstdint>
#include <map>
#include <string>

namespace hasp::maint {

// A use writes to the disk only when it is so much later than the last that was written.
inline constexpr std::int64_t copy_used_step_us = std::int64_t{600} * 1'000'000;

class FilesCopies {
  public:
    struct Copy {
        std::int64_t since_us = 0; // wall clock
        std::int64_t used_us = 0;
        bool kept = false; // a lease has let this tier keep his files
    };
    FilesCopies(store::Db& db, std::string tenant) : db_(db), tenant_(std::move(tenant)) {}
    // Once, at the start.
    Status load();

    const std::map<std::string, Copy>& all() const { return copies_; }
    // There is a folder of his: known from now on, if he is not. `kept`: as above.
    Status there(const std::string& user, std::int64_t now_us, bool kept);
    // Of somebody of whom there is no copy: nothing.
    Status used(const std::string& user, std::int64_t now_us);
    Status kept(const std::string& user);
    Status forget(const std::string& user);

  private:
    Status put(const std::string& user, const Copy& copy);

    store::Db& db_;
    std::string tenant_;
    std::map<std::string, Copy> copies_;
};

} // namespace hasp::maint
