// Making releases and packs where an app is pushed from, or passed to children: libgit2 over bare
// repositories. Blocking and CPU-heavy: worker threads only. One call at a time on one repository;
// different repositories in parallel.
#pragma once

#include "base/result.h"
#include "maint/release.h"

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace hasp::maint {

// Imports a folder (a git work tree or not; its .git at the top is skipped) into the bare
// repository at `repo`, which is made if missing, as one commit without history. Author and time
// are fixed, so the same content gives the same commit and ID. Refused (Code::refused, naming the
// path): submodules, symlinks that leave the folder, devices, sockets, unsafe names, and what
// exceeds the limits of release.h. Empty folders are not part of a release. The folder should stand
// still meanwhile.
Result<Release> make_release_from_folder(const std::string& folder, const std::string& repo,
                                         const std::string& app, std::uint64_t epoch,
                                         std::uint64_t number);

struct PackInfo {
    std::uint64_t size = 0; // bytes
    std::string sha256;     // 64 hex digits, of the whole pack
    std::uint32_t objects = 0;
};
inline constexpr std::uint64_t pack_bytes_max =
    release_total_bytes_max + (std::uint64_t{256} << 20);

// Writes a pack of `commit` and its tree into the file `out` (replaced). Objects reachable from a
// commit in `have` are left out, and changed files travel as deltas against them; commits that this
// repository does not know are ignored. The same arguments give the same bytes with the same
// libgit2. not_found when the repository or the commit is missing.
Result<PackInfo> write_pack(const std::string& repo, const std::string& commit,
                            const std::vector<std::string>& have, const std::string& out);

} // namespace hasp::maint
