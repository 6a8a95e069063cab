// A commit of somebody's repository becomes a release. The repository is only read: what a release
// needs beside its objects is written into one of our own, which borrows them.
#include "maint/release_git.h"

#include "base/files.h"
#include "base/text.h"
#include "release_hash.h"
#include "release_repo.h"
#include "text_patch.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <unistd.h>

namespace hasp::maint {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t refs_shown_max = 5;

using GitAny = std::unique_ptr<git_object, GitFree<git_object_free>>;
using GitStatus = std::unique_ptr<git_status_list, GitFree<git_status_list_free>>;

Error refused(const std::string& path, const std::string& why) {
    return fail(Code::refused, "`" + path + "` " + why + ", so it cannot be part of a release",
                "take it out of the repository, commit, and push again");
}

Error no_commit(git_repository* repo, const std::string& rev) {
    std::vector<std::string> names;
    git_strarray list{};
    if (git_reference_list(&list, repo) == 0) {
        for (std::size_t i = 0; i < list.count; ++i) {
            std::string name = list.strings[i];
            for (const char* prefix : {"refs/heads/", "refs/tags/", "refs/remotes/"}) {
                name = name.starts_with(prefix) ? name.substr(std::string(prefix).size()) : name;
            }
            names.push_back(name);
        }
        git_strarray_dispose(&list);
    }
    const std::string near = nearest(rev, names);
    std::string hint;
    for (std::size_t i = 0; near.empty() && i < std::min(names.size(), refs_shown_max); ++i) {
        hint += (hint.empty() ? "there are: " : ", ") + names[i];
    }
    return fail(Code::not_found, "the repository has no commit '" + rev + "'",
                !near.empty()  ? "did you mean '" + near + "'?"
                : hint.empty() ? "it has no branch and no tag: commit first"
                               : hint);
}

Result<GitRepo> open_source(const std::string& path, unsigned flags) {
    git_repository* repo = nullptr;
    if (const int code = git_repository_open_ext(&repo, path.c_str(), flags, nullptr); code != 0) {
        return git_error_of(code, "cannot open the repository of " + path);
    }
    return GitRepo(repo);
}

Result<git_oid> commit_of(git_repository* repo, const std::string& rev) {
    git_object* found = nullptr;
    git_object* peeled = nullptr;
    if (git_revparse_single(&found, repo, rev.c_str()) != 0) {
        return no_commit(repo, rev);
    }
    const GitAny any(found);
    if (git_object_peel(&peeled, found, GIT_OBJECT_COMMIT) != 0) {
        return no_commit(repo, rev);
    }
    const GitAny commit(peeled);
    return *git_object_id(peeled);
}

// Where `dir` is beneath the work tree.
Result<std::string> sub_path_of(git_repository* repo, const std::string& dir) {
    const char* top = git_repository_workdir(repo);
    std::error_code ec;
    const fs::path here = fs::canonical(dir, ec);
    const fs::path root = top == nullptr || ec ? here : fs::canonical(top, ec);
    if (ec) {
        return errno_error(ec.value(), "cannot open the folder " + dir);
    }
    const std::string below = here.lexically_relative(root).generic_string();
    return below == "." || top == nullptr ? std::string() : below;
}

bool has_changes(git_repository* repo, const std::string& sub_path) {
    std::string path = sub_path;
    char* paths[] = {path.data()};
    git_status_options options{};
    git_status_options_init(&options, GIT_STATUS_OPTIONS_VERSION);
    options.show = GIT_STATUS_SHOW_INDEX_AND_WORKDIR;
    options.flags = GIT_STATUS_OPT_INCLUDE_UNTRACKED | GIT_STATUS_OPT_EXCLUDE_SUBMODULES |
                    GIT_STATUS_OPT_DISABLE_PATHSPEC_MATCH;
    if (!path.empty()) {
        options.pathspec = {paths, 1};
    }
    git_status_list* made = nullptr;
    if (git_status_list_new(&made, repo, &options) != 0) {
        return false; // it is a warning, not a condition
    }
    const GitStatus list(made);
    return git_status_list_entrycount(list.get()) > 0;
}

// The tree that holds the app in a commit.
Result<git_oid> tree_of(git_odb* odb, const PushSource& source, const git_oid& commit) {
    Result<RawObject> raw = read_object(odb, commit, GIT_OBJECT_COMMIT);
    if (!raw.ok()) {
        return raw.error();
    }
    Result<git_oid> tree = parse_commit(raw->bytes);
    for (const std::string_view name : split(source.sub_path, '/')) {
        if (!tree.ok() || name.empty()) {
            break;
        }
        Result<RawObject> bytes = read_object(odb, *tree, GIT_OBJECT_TREE);
        Result<std::vector<TreeEntry>> entries =
            bytes.ok() ? parse_tree(bytes->bytes) : Result<std::vector<TreeEntry>>(bytes.error());
        if (!entries.ok()) {
            return entries.error();
        }
        const auto at = std::find_if(entries->begin(), entries->end(), [&](const TreeEntry& e) {
            return e.name == name && e.mode == GIT_FILEMODE_TREE;
        });
        if (at == entries->end()) {
            return fail(Code::not_found,
                        "the commit " + hex_of(commit).substr(0, 12) + " has no folder " +
                            source.sub_path,
                        "commit it first, or name another commit with --rev");
        }
        tree = at->id;
    }
    return tree;
}

// Every file beneath a tree, held to the rules of release.h before it is read.
class Walk {
  public:
    Walk(git_odb* odb, Release& release) : odb_(odb), release_(release) {}

    Status folder(const git_oid& tree, const std::string& path) {
        if (++folders_ > release_files_max) {
            return fail(Code::refused, "the commit has more than " +
                                           std::to_string(release_files_max) + " folders");
        }
        Result<RawObject> raw = read_object(odb_, tree, GIT_OBJECT_TREE);
        Result<std::vector<TreeEntry>> entries =
            raw.ok() ? parse_tree(raw->bytes) : Result<std::vector<TreeEntry>>(raw.error());
        if (!entries.ok()) {
            return entries.error();
        }
        if (entries->empty()) {
            return path.empty() ? fail(Code::refused, "the commit has no files")
                                : refused(path, "is an empty folder");
        }
        for (const TreeEntry& entry : *entries) {
            const std::string name(entry.name);
            const std::string inner = path.empty() ? name : path + "/" + name;
            if (const std::string reason = unsafe_path_reason(inner); !reason.empty()) {
                return refused(percent_encode(inner), reason);
            }
            if (name.find('/') != std::string::npos) {
                return refused(percent_encode(inner), "has a name with a slash");
            }
            Status good =
                entry.mode == GIT_FILEMODE_TREE ? folder(entry.id, inner) : file(entry, inner);
            if (!good.ok()) {
                return good;
            }
        }
        return {};
    }

  private:
    Status file(const TreeEntry& entry, const std::string& path) {
        ReleaseFile file{path, FileMode::plain, 0, {}};
        switch (entry.mode) {
        case GIT_FILEMODE_BLOB:
            break;
        case GIT_FILEMODE_BLOB_EXECUTABLE:
            file.mode = FileMode::executable;
            break;
        case GIT_FILEMODE_LINK:
            file.mode = FileMode::symlink;
            break;
        case GIT_FILEMODE_COMMIT:
            return refused(path, "is a submodule");
        default:
            return refused(path, "has a mode that no release has");
        }
        std::size_t size = 0;
        git_object_t type = GIT_OBJECT_INVALID;
        if (const int code = git_odb_read_header(&size, &type, odb_, &entry.id); code != 0) {
            return git_error_of(code, "cannot read " + path);
        }
        total_ += size;
        if (size > release_file_bytes_max || total_ > release_total_bytes_max ||
            release_.files.size() == release_files_max) {
            return fail(
                Code::refused,
                path + " is beyond a limit of releases: " + std::to_string(release_file_bytes_max) +
                    " bytes a file, " + std::to_string(release_total_bytes_max) + " bytes and " +
                    std::to_string(release_files_max) + " files in all");
        }
        Result<RawObject> raw = read_object(odb_, entry.id, GIT_OBJECT_BLOB);
        if (!raw.ok()) {
            return raw.error();
        }
        if (file.mode == FileMode::symlink) {
            if (const std::string reason = unsafe_symlink_reason(path, raw->bytes);
                !reason.empty()) {
                return refused(path, reason);
            }
        }
        file.size = raw->bytes.size();
        file.sha256 = sha256_hex(raw->bytes);
        release_.files.push_back(std::move(file));
        return {};
    }

    git_odb* odb_;
    Release& release_;
    std::uint64_t total_ = 0;
    std::size_t folders_ = 0;
};

// Our repository with the source's objects lent to it.
Result<GitOdb> borrowing_odb(const PushSource& source, const std::string& repo) {
    Result<GitRepo> made = open_repo(repo, true);
    Result<GitRepo> lender = open_source(source.git, GIT_REPOSITORY_OPEN_NO_SEARCH);
    if (!made.ok() || !lender.ok()) {
        return made.ok() ? lender.error() : made.error();
    }
    const std::string objects = std::string(git_repository_commondir(lender->get())) + "objects";
    if (Status info = make_folders(repo + "/objects/info"); !info.ok()) {
        return info.error();
    }
    if (Status lent = write_file_durably(repo + "/objects/info/alternates", objects + "\n", 0600);
        !lent.ok()) {
        return lent.error();
    }
    Result<GitRepo> again = open_repo(repo, false);
    return again.ok() ? open_odb(again->get()) : Result<GitOdb>(again.error());
}

} // namespace

Result<PushSource> find_source(const std::string& dir, const std::string& rev) {
    const GitLibrary git;
    std::error_code ec;
    if (!fs::is_directory(dir, ec)) {
        return fail(Code::not_found, dir + " is no folder", "name the folder of a repository");
    }
    PushSource source{dir, {}, {}, {}, false};
    Result<GitRepo> repo = open_source(dir, 0);
    if (!repo.ok()) {
        if (repo.error().code != Code::not_found || !rev.empty()) {
            return repo.error();
        }
        return source;
    }
    source.git = git_repository_path(repo->get());
    Result<std::string> below = sub_path_of(repo->get(), dir);
    Result<git_oid> commit = commit_of(repo->get(), rev.empty() ? "HEAD" : rev);
    if (!below.ok() || !commit.ok()) {
        return below.ok() ? commit.error() : below.error();
    }
    source.sub_path = *below;
    source.commit = hex_of(*commit);
    if (git_repository_is_bare(repo->get()) == 0) {
        const Result<git_oid> head = commit_of(repo->get(), "HEAD");
        source.dirty = head.ok() && git_oid_equal(&*head, &*commit) != 0 &&
                       has_changes(repo->get(), source.sub_path);
    }
    return source;
}

Result<std::string> read_source_file(const PushSource& source, const std::string& name,
                                     std::size_t bytes_max) {
    if (source.git.empty()) {
        return read_file(source.folder + "/" + name, bytes_max);
    }
    const GitLibrary git;
    Result<GitRepo> repo = open_source(source.git, GIT_REPOSITORY_OPEN_NO_SEARCH);
    Result<GitOdb> odb = repo.ok() ? open_odb(repo->get()) : Result<GitOdb>(repo.error());
    if (!odb.ok()) {
        return odb.error();
    }
    Result<git_oid> commit = oid_of(source.commit);
    Result<git_oid> tree =
        commit.ok() ? tree_of(odb->get(), source, *commit) : Result<git_oid>(commit.error());
    Result<RawObject> raw = tree.ok() ? read_object(odb->get(), *tree, GIT_OBJECT_TREE)
                                      : Result<RawObject>(tree.error());
    if (!raw.ok()) {
        return raw.error();
    }
    Result<std::vector<TreeEntry>> entries = parse_tree(raw->bytes);
    for (const TreeEntry& entry : entries.ok() ? *entries : std::vector<TreeEntry>{}) {
        std::size_t size = 0;
        git_object_t type = GIT_OBJECT_INVALID;
        if (entry.name != name || git_odb_read_header(&size, &type, odb->get(), &entry.id) != 0) {
            continue;
        }
        if (size > bytes_max) {
            return fail(Code::refused, name + " has " + std::to_string(size) +
                                           " bytes; the limit is " + std::to_string(bytes_max));
        }
        Result<RawObject> bytes = read_object(odb->get(), entry.id, GIT_OBJECT_BLOB);
        return bytes.ok() ? Result<std::string>(std::string(bytes->bytes))
                          : Result<std::string>(bytes.error());
    }
    return fail(Code::not_found,
                "there is no " + name + " in " +
                    (source.sub_path.empty() ? "" : source.sub_path + " of ") + "the commit " +
                    source.commit.substr(0, 12),
                "commit it first, or name the folder that has it");
}

Result<Release> make_release_from_source(const PushSource& source, const std::string& repo,
                                         const std::string& app) {
    if (source.git.empty()) {
        return make_release_from_folder(source.folder, repo, app, 0, 0);
    }
    if (!valid_name(app)) {
        return fail(Code::usage, "`" + app + "` is no name of an app",
                    "use 1 to 40 of a-z, 0-9 and -, beginning with a letter");
    }
    const GitLibrary git;
    Result<GitOdb> odb = borrowing_odb(source, repo);
    Result<git_oid> commit = oid_of(source.commit);
    if (!odb.ok() || !commit.ok()) {
        return odb.ok() ? commit.error() : odb.error();
    }
    Result<git_oid> tree = tree_of(odb->get(), source, *commit);
    if (!tree.ok()) {
        return tree.error();
    }
    Release release{app, 0, 0, {}, {}};
    if (Status walked = Walk(odb->get(), release).folder(*tree, ""); !walked.ok()) {
        return walked.error();
    }
    Result<git_oid> made = write_release_commit(odb->get(), *tree, app);
    if (!made.ok()) {
        return made.error();
    }
    release.commit = hex_of(*made);
    std::sort(release.files.begin(), release.files.end(),
              [](const ReleaseFile& a, const ReleaseFile& b) { return a.path < b.path; });
    if (Status good = check_release(release); !good.ok()) {
        return good.error();
    }
    return release;
}

Result<bool> add_source_base(const PushSource& source, const std::string& repo,
                             const std::string& app, const std::string& commit) {
    if (source.git.empty() || commit.empty()) {
        return false;
    }
    const GitLibrary git;
    Result<GitOdb> odb = borrowing_odb(source, repo);
    Result<git_oid> id = oid_of(commit);
    if (!odb.ok() || !id.ok()) {
        return odb.ok() ? id.error() : odb.error();
    }
    Result<git_oid> tree = tree_of(odb->get(), source, *id);
    if (!tree.ok()) {
        return false;
    }
    const Result<git_oid> made = write_release_commit(odb->get(), *tree, app);
    return made.ok() ? Result<bool>(true) : Result<bool>(made.error());
}

Result<UploadInfo> write_upload(const std::string& repo, const Release& release,
                                const std::vector<std::string>& have, std::string_view base_text,
                                const std::string& out) {
    const Result<PackInfo> info = write_pack(repo, release.commit, have, out);
    const Fd fd(info.ok() ? ::open(out.c_str(), O_RDWR | O_APPEND | O_CLOEXEC) : -1);
    if (!info.ok() || !fd) {
        return info.ok() ? errno_error(errno, "cannot open " + out) : info.error();
    }
    const Result<std::string> text = make_patch(base_text, encode_release(release));
    if (!text.ok()) {
        return text.error();
    }
    if (Status written = write_all(fd.get(), *text); !written.ok()) {
        return written.error();
    }
    if (::lseek(fd.get(), 0, SEEK_SET) != 0) {
        return errno_error(errno, "cannot read " + out);
    }
    const Result<HashedFile> hashed = hash_file(fd.get(), pack_bytes_max, out);
    if (!hashed.ok()) {
        return hashed.error();
    }
    return UploadInfo{hashed->bytes, hashed->sha256, text->size()};
}

} // namespace hasp::maint
