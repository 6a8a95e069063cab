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

// Where an app is pushed from: a commit of a repository, or a folder without git.
struct PushSource {
    std::string folder;   // DIR as it was given; what is read when there is no repository
    std::string git;      // the repository; empty: none
    std::string sub_path; // of the app inside the commit, "" or "apps/wiki"
    std::string commit;   // 40 hex digits
    bool dirty = false;   // DIR holds what that commit does not
};
// `dir` is a work tree, a folder inside one (its sub-tree is the app), a bare repository, or a
// folder without git. `rev` is a commit, tag or branch; empty: HEAD. not_found when there is no
// such commit: the message names the refs that are nearest. Reads, and changes nothing there.
Result<PushSource> find_source(const std::string& dir, const std::string& rev);

// The text of one file of the source; not_found names the commit.
Result<std::string> read_source_file(const PushSource& source, const std::string& name,
                                     std::size_t bytes_max);

// As make_release_from_folder, from the source. The repository at `repo` is made if missing and
// borrows the objects of the source's, so it is good for write_pack as long as that one is there.
// The release's commit is one without history: that of the source stays where it is. Refused as
// there, and folders without files.
Result<Release> make_release_from_source(const PushSource& source, const std::string& repo,
                                         const std::string& app);
// Makes the release's commit that another commit of the source gave, so that a pack can be a delta
// against it. False: the source does not have it (a shallow clone, or the app was elsewhere then).
Result<bool> add_source_base(const PushSource& source, const std::string& repo,
                             const std::string& app, const std::string& commit);

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

// What is uploaded by a push: the pack as write_pack makes it, and behind it the release's text (of
// sequence 0) as its difference to `base_text`, the text of a release that the receiver holds (of
// sequence 0 too; empty: none). `size` and `sha256` are those of both.
struct UploadInfo {
    std::uint64_t size = 0;
    std::string sha256;
    std::uint64_t text_bytes = 0; // of the difference
};
Result<UploadInfo> write_upload(const std::string& repo, const Release& release,
                                const std::vector<std::string>& have, std::string_view base_text,
                                const std::string& out);

} // namespace hasp::maint
