// Releases that this tier holds: STATE/releases.
//
//   APP/ID/          the read-only tree; it exists only when it is whole
//   APP/ID.release   its manifest, in the text of release.h
//   APP/objects.git  a bare repository of what is held: bases of deltas from above, source of packs
//   for below APP/.stage-…     an import under way; swept by sweep()
//
// Blocking: worker threads only. One writer at a time for an app (the keeper's queue sees to it);
// readers any time.
#pragma once

#include "base/result.h"
#include "maint/release.h"

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace hasp::maint {

// A pack being downloaded into a file, in order and in chunks. Resume: give a new PackSpool the
// same values and call open(); have_bytes() is then where to go on. One thread.
class PackSpool {
  public:
    PackSpool(std::string path, std::uint64_t expected_size, std::string expected_sha256)
        : path_(std::move(path)), expected_size_(expected_size),
          expected_sha256_(std::move(expected_sha256)) {}
    // Creates the file or finds how much of it is there. refused: expected_size above
    // pack_bytes_max; a file that is longer than expected is emptied.
    Status open();
    // `offset` must be have_bytes() (conflict otherwise); refused when it would exceed the expected
    // size.
    Status append(std::uint64_t offset, std::string_view bytes);
    bool complete() const { return have_bytes_ == expected_size_; }
    // Syncs and compares size and SHA-256. refused on a mismatch, and the file is then emptied, so
    // that it is fetched anew.
    Status finish();
    Status remove();

    const std::string& path() const { return path_; }
    std::uint64_t have_bytes() const { return have_bytes_; }
    std::uint64_t expected_size() const { return expected_size_; }
    const std::string& expected_sha256() const { return expected_sha256_; }

  private:
    std::string path_;
    std::uint64_t expected_size_;
    std::string expected_sha256_;
    std::uint64_t have_bytes_ = 0;
};

// How the child process that reads packs is started: PROGRAM ARGS…, which must call
// import_child_main(). hasp serves itself:
// {"/proc/self/exe", {"import-pack"}}.
struct ImportChild {
    std::string program = "/proc/self/exe";
    std::vector<std::string> arguments = {"import-pack"};
    std::int64_t wall_s_max = 900;
};

// The hidden command: limits itself by rlimits, reads its job from standard input, reports on
// standard output. Gives the exit code.
int import_child_main();

struct HeldRelease {
    std::string app;
    std::string id;
    std::uint64_t epoch = 0;
    std::uint64_t number = 0;
    std::string commit;
    std::uint64_t files = 0;
    std::uint64_t bytes = 0;
};

class ReleaseStore {
  public:
    // Of a release whose tree is verified and complete, before it is put in place: an error refuses
    // it, and nothing is left behind. Blocking; whichever thread imports.
    using Inspect = std::function<Status(const std::string& tree, const Release& release)>;
    explicit ReleaseStore(std::string folder, ImportChild child = {}, Inspect inspect = {})
        : folder_(std::move(folder)), child_(std::move(child)), inspect_(std::move(inspect)) {}

    std::string tree_path(const std::string& app, const std::string& id) const;
    std::string repo_path(const std::string& app) const;
    bool holds(const std::string& app, const std::string& id) const;

    // Reads a finished pack in a child process, checks every file against `expected` by SHA-256 and
    // own rules, and puts the tree in place with one rename. Gives the ID. The pack's objects join
    // repo_path(). Held already: success (the manifest's sequence is renewed). refused: anything
    // that does not verify, with nothing left behind; timed_out; failed.
    Result<std::string> import_pack(const std::string& pack, const Release& expected);
    // The same without a pack, from objects that are already in repo_path(): push-app on this
    // machine.
    Result<std::string> import_from_repo(const Release& expected);

    Result<Release> manifest(const std::string& app, const std::string& id) const;
    // Every release held, by app and sequence. Damaged entries are left out here and refused by
    // verify().
    Result<std::vector<HeldRelease>> list() const;
    Result<std::vector<HeldRelease>> list(const std::string& app) const;
    // Hashes every file again; refused names the first that differs, is missing or is too many.
    Status verify(const std::string& app, const std::string& id) const;
    // Absent: success. Objects that no held release needs go too.
    Status remove_release(const std::string& app, const std::string& id);
    // At start: throws away stages that a crash left behind.
    Status sweep();

  private:
    Result<std::string> import(const std::string& pack, const Release& expected);
    std::string folder_;
    ImportChild child_;
    Inspect inspect_;
};

} // namespace hasp::maint
