#include "release_repo.h"

#include "base/files.h"

#include <filesystem>

namespace hasp::maint {

namespace {

// Settings of libgit2 hold for the process and may not change while it works, so they are made once
// and it is never shut down. No configuration file of the machine or of the user's home may change
// what a release becomes, or stop one from being made.
bool start_git() {
    git_libgit2_init();
    for (const git_config_level_t level : {GIT_CONFIG_LEVEL_PROGRAMDATA, GIT_CONFIG_LEVEL_SYSTEM,
                                           GIT_CONFIG_LEVEL_XDG, GIT_CONFIG_LEVEL_GLOBAL}) {
        git_libgit2_opts(GIT_OPT_SET_SEARCH_PATH, level, "");
    }
    // A state folder is opened by its owner and by root; nothing in it is ever executed by git.
    git_libgit2_opts(GIT_OPT_SET_OWNER_VALIDATION, 0);
    return true;
}

} // namespace

GitLibrary::GitLibrary() {
    static const bool started = start_git();
    static_cast<void>(started);
}

Error git_error_of(int code, const std::string& context) {
    const git_error* last = git_error_last();
    const std::string why = last != nullptr && last->message != nullptr
                                ? last->message
                                : "git error " + std::to_string(code);
    return fail(code == GIT_ENOTFOUND ? Code::not_found : Code::failed, context + ": " + why);
}

Result<GitRepo> open_repo(const std::string& path, bool make) {
    git_repository* repo = nullptr;
    int code = git_repository_open_ext(&repo, path.c_str(),
                                       GIT_REPOSITORY_OPEN_NO_SEARCH | GIT_REPOSITORY_OPEN_BARE |
                                           GIT_REPOSITORY_OPEN_NO_DOTGIT,
                                       nullptr);
    if (code == GIT_ENOTFOUND && make) {
        if (Status made = make_folders(path, 0700); !made.ok()) {
            return made.error();
        }
        code = git_repository_init(&repo, path.c_str(), 1);
    }
    if (code != 0) {
        return git_error_of(code, "cannot open the repository " + path);
    }
    return GitRepo(repo);
}

Result<GitOdb> open_odb(git_repository* repo) {
    git_odb* odb = nullptr;
    if (const int code = git_repository_odb(&odb, repo); code != 0) {
        return git_error_of(code, "cannot open the objects of the repository");
    }
    return GitOdb(odb);
}

std::string hex_of(const git_oid& id) {
    char text[GIT_OID_HEXSZ + 1];
    return git_oid_tostr(text, sizeof text, &id);
}

Result<git_oid> oid_of(const std::string& hex) {
    git_oid id;
    if (hex.size() != GIT_OID_HEXSZ || git_oid_fromstr(&id, hex.c_str()) != 0) {
        return fail(Code::usage, "`" + hex + "` is no commit");
    }
    return id;
}

Result<RawObject> read_object(git_odb* odb, const git_oid& id, git_object_t type) {
    git_odb_object* object = nullptr;
    if (const int code = git_odb_read(&object, odb, &id); code != 0) {
        return git_error_of(code, "cannot read the object " + hex_of(id));
    }
    RawObject out{
        GitObject(object),
        {static_cast<const char*>(git_odb_object_data(object)), git_odb_object_size(object)},
        git_odb_object_type(object)};
    if (out.type != type) {
        return fail(Code::refused, "the object " + hex_of(id) + " is a " +
                                       git_object_type2string(out.type) + ", not a " +
                                       git_object_type2string(type));
    }
    return out;
}

Result<std::vector<TreeEntry>> parse_tree(std::string_view bytes) {
    std::vector<TreeEntry> out;
    while (!bytes.empty()) {
        TreeEntry entry;
        std::size_t digits = 0;
        for (; digits < bytes.size() && bytes[digits] >= '0' && bytes[digits] <= '7' && digits < 7;
             ++digits) {
            entry.mode = entry.mode * 8 + static_cast<unsigned>(bytes[digits] - '0');
        }
        const std::size_t end = bytes.find('\0', digits);
        if (digits == 0 || digits >= bytes.size() || bytes[digits] != ' ' ||
            end == std::string_view::npos || end == digits + 1 ||
            bytes.size() - end <= GIT_OID_RAWSZ) {
            return fail(Code::refused, "a tree of the release is malformed");
        }
        entry.name = bytes.substr(digits + 1, end - digits - 1);
        git_oid_fromraw(&entry.id, reinterpret_cast<const unsigned char*>(bytes.data()) + end + 1);
        out.push_back(entry);
        bytes.remove_prefix(end + 1 + GIT_OID_RAWSZ);
    }
    return out;
}

Result<git_oid> parse_commit(std::string_view bytes) {
    constexpr std::string_view head = "tree ";
    if (!bytes.starts_with(head) || bytes.size() < head.size() + GIT_OID_HEXSZ + 1 ||
        bytes[head.size() + GIT_OID_HEXSZ] != '\n') {
        return fail(Code::refused, "the commit of the release is malformed");
    }
    return oid_of(std::string(bytes.substr(head.size(), GIT_OID_HEXSZ)));
}

Result<git_oid> write_release_commit(git_odb* odb, const git_oid& tree, const std::string& app) {
    constexpr std::string_view person = "hasp <hasp@localhost> 0 +0000";
    const std::string commit = "tree " + hex_of(tree) + "\nauthor " + std::string(person) +
                               "\ncommitter " + std::string(person) + "\n\n" + app + "\n";
    git_oid id;
    if (const int code = git_odb_write(&id, odb, commit.data(), commit.size(), GIT_OBJECT_COMMIT);
        code != 0) {
        return git_error_of(code, "cannot write into the repository of releases");
    }
    return id;
}

Status remove_read_only_tree(const std::string& path) {
    namespace fs = std::filesystem;
    std::error_code ec;
    if (fs::symlink_status(path, ec).type() == fs::file_type::directory) {
        fs::permissions(path, fs::perms::owner_all, ec);
        for (auto at = fs::recursive_directory_iterator(path, ec);
             !ec && at != fs::recursive_directory_iterator(); at.increment(ec)) {
            if (at->symlink_status(ec).type() == fs::file_type::directory) {
                fs::permissions(at->path(), fs::perms::owner_all, ec);
            }
        }
    }
    return remove_tree(path);
}

} // namespace hasp::maint
