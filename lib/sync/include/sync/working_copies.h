// Where data of (scope, user, app) lives on this tier's disk, made with the right owner and mode.
// Blocking; one thread (the keeper's). Nothing here follows a symlink: an app may write what it
// likes into its folder, and names are checked.
#pragma once

#include "base/fd.h"
#include "base/result.h"

#include <string>
#include <sys/types.h>

namespace hasp::sync {

enum class Scope : unsigned char { user, app, none };

// Owners of data folders when hasp runs as root: one per (user, app) or app, from this range, never
// given out twice.
inline constexpr uid_t app_uid_first = 200'000;
inline constexpr uid_t app_uid_last = 259'999;

struct WorkingCopy {
    std::string path; // absolute; empty for Scope::none
    uid_t uid =
        0; // owner, and what the app runs as: 0 when hasp is not root (the app runs as hasp's user)
    gid_t gid = 0;
    bool created = false; // this call made it
};

// Those of this machine. A simulated one overrides where they are made.
class WorkingCopies {
  public:
    WorkingCopies(WorkingCopies&&) = default;
    WorkingCopies& operator=(WorkingCopies&&) = default;
    virtual ~WorkingCopies() = default;
    // STATE/data is made (0711, so that owners of folders beneath can reach them) if it is missing.
    static Result<WorkingCopies> open(const std::string& state_dir);

    // The folder, made with mode 0700 and its owner if it is missing. `user` is ignored unless
    // scope is user. Errors: usage (not a valid_name), refused (a symlink or a file stands in the
    // way), failed (disk, no uid left).
    virtual Result<WorkingCopy> ensure(Scope scope, const std::string& user,
                                       const std::string& app);

    // The same without making anything; not_found when it is missing.
    virtual Result<WorkingCopy> find(Scope scope, const std::string& user,
                                     const std::string& app) const;

  protected:
    WorkingCopies() = default;

  private:
    WorkingCopies(std::string root, Fd dir) : root_(std::move(root)), dir_(std::move(dir)) {}
    Result<uid_t> uid_for(const std::string& key, bool make) const;

    std::string root_; // STATE/data
    Fd dir_;
};

} // namespace hasp::sync
