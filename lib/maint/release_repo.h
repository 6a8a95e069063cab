// libgit2 behind a narrow fence: owned handles, errors as values, and git's tree and commit texts
// read by hand, since what comes from outside is judged by our own rules.
#pragma once

#include "base/result.h"

#include <git2.h>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace hasp::maint {

// Makes libgit2 ready, once for the process and without the configuration of this machine. Make one
// before anything else here.
class GitLibrary {
  public:
    GitLibrary();
};

template <auto Free>
struct GitFree {
    template <typename T>
    void operator()(T* p) const {
        Free(p);
    }
};
using GitRepo = std::unique_ptr<git_repository, GitFree<git_repository_free>>;
using GitOdb = std::unique_ptr<git_odb, GitFree<git_odb_free>>;
using GitObject = std::unique_ptr<git_odb_object, GitFree<git_odb_object_free>>;
using GitStream = std::unique_ptr<git_odb_stream, GitFree<git_odb_stream_free>>;
using GitPackBuilder = std::unique_ptr<git_packbuilder, GitFree<git_packbuilder_free>>;
using GitIndexer = std::unique_ptr<git_indexer, GitFree<git_indexer_free>>;

// "CONTEXT: what libgit2 said". GIT_ENOTFOUND becomes not_found.
Error git_error_of(int code, const std::string& context);

// Opens a bare repository; with `make` it is made when missing.
Result<GitRepo> open_repo(const std::string& path, bool make);
Result<GitOdb> open_odb(git_repository* repo);

std::string hex_of(const git_oid& id);
Result<git_oid> oid_of(const std::string& hex);

struct RawObject {
    GitObject object; // owns the bytes
    std::string_view bytes;
    git_object_t type = GIT_OBJECT_INVALID;
};
// refused when the object is of another type.
Result<RawObject> read_object(git_odb* odb, const git_oid& id, git_object_t type);

struct TreeEntry {
    unsigned mode = 0;     // as in git: 040000, 0100644, 0100755, 0120000, 0160000 …
    std::string_view name; // into the tree's bytes; not empty, otherwise unchecked
    git_oid id{};
};
// The entries of a raw tree, in its order. refused when the bytes are no tree.
Result<std::vector<TreeEntry>> parse_tree(std::string_view bytes);

// The tree that a raw commit names.
Result<git_oid> parse_commit(std::string_view bytes);

// The commit of a release: without history, and with a fixed author and time, so that the same tree
// has the same commit.
Result<git_oid> write_release_commit(git_odb* odb, const git_oid& tree, const std::string& app);

// chmod u+w for every folder beneath, then removal; for read-only trees when not root. A missing
// path is success.
Status remove_read_only_tree(const std::string& path);

} // namespace hasp::maint
