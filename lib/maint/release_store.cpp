#include "maint/release_store.h"

#include "base/files.h"
#include "base/text.h"
#include "release_hash.h"
#include "release_repo.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <sys/stat.h>
#include <tuple>
#include <unistd.h>
#include <unordered_map>

namespace hasp::maint {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view manifest_ending = ".release";
constexpr std::string_view stage_prefix = ".stage-";

Error damaged(const std::string& path, const std::string& why) {
    return fail(Code::refused, "the release is damaged: " + path + " " + why,
                "remove it and let it be fetched again");
}

Status verify_entry(const fs::path& at, const struct stat& st, const ReleaseFile& file) {
    if (file.mode == FileMode::symlink) {
        std::error_code ec;
        const std::string target = S_ISLNK(st.st_mode) ? fs::read_symlink(at, ec).string() : "";
        return !target.empty() && sha256_hex(target) == file.sha256
                   ? Status()
                   : Status(damaged(file.path, "is another symlink or none"));
    }
    if (!S_ISREG(st.st_mode) ||
        ((st.st_mode & S_IXUSR) != 0) != (file.mode == FileMode::executable)) {
        return damaged(file.path, "has another kind or mode");
    }
    const Fd fd(::open(at.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
    if (!fd) {
        return errno_error(errno, "cannot open " + at.string());
    }
    const Result<HashedFile> hashed = hash_file(fd.get(), file.size, at.string());
    if (!hashed.ok()) {
        return hashed.error();
    }
    return hashed->bytes == file.size && hashed->sha256 == file.sha256
               ? Status()
               : Status(damaged(file.path, "has another content"));
}

// One pack of what the kept commits need takes the place of all others.
Status compact(const std::string& repo, const std::vector<std::string>& commits) {
    const GitLibrary git;
    Result<GitRepo> opened = open_repo(repo, false);
    if (!opened.ok()) {
        return opened.error();
    }
    std::vector<fs::path> old;
    std::error_code ec;
    for (const auto& entry : fs::recursive_directory_iterator(repo + "/objects", ec)) {
        if (entry.is_regular_file(ec)) {
            old.push_back(entry.path());
        }
    }
    git_packbuilder* made = nullptr;
    int code = git_packbuilder_new(&made, opened->get());
    const GitPackBuilder builder(made);
    for (const std::string& commit : commits) {
        const Result<git_oid> id = oid_of(commit);
        code = code == 0 && id.ok() ? git_packbuilder_insert_commit(builder.get(), &*id) : code;
    }
    code = code == 0 ? git_packbuilder_write(builder.get(), nullptr, 0400, nullptr, nullptr) : code;
    if (code != 0) {
        return git_error_of(code, "cannot pack the objects of " + repo + " anew");
    }
    const std::string kept = std::string("pack-") + git_packbuilder_name(builder.get());
    const Fd disk(::open(repo.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!disk || ::syncfs(disk.get()) != 0) {
        return errno_error(errno, "cannot sync " + repo);
    }
    for (const fs::path& path : old) {
        if (path.stem() != kept) {
            fs::remove(path, ec);
        }
    }
    return {};
}

} // namespace

std::string ReleaseStore::tree_path(const std::string& app, const std::string& id) const {
    return folder_ + "/" + app + "/" + id;
}
std::string ReleaseStore::repo_path(const std::string& app) const {
    return folder_ + "/" + app + "/objects.git";
}

bool ReleaseStore::holds(const std::string& app, const std::string& id) const {
    struct stat st {};
    return valid_name(app) && valid_release_id(id) &&
           ::lstat(tree_path(app, id).c_str(), &st) == 0 && S_ISDIR(st.st_mode);
}

Result<Release> ReleaseStore::manifest(const std::string& app, const std::string& id) const {
    if (!holds(app, id)) {
        return fail(Code::not_found, "this tier does not hold the release " + id + " of " + app);
    }
    Result<std::string> text =
        read_file(tree_path(app, id) + std::string(manifest_ending), release_manifest_bytes_max);
    if (!text.ok()) {
        return text.error();
    }
    Result<Release> release = decode_release(*text);
    if (release.ok() && (release->app != app || release_id(*release) != id)) {
        return damaged(id + std::string(manifest_ending), "belongs to another release");
    }
    return release;
}

Result<std::vector<HeldRelease>> ReleaseStore::list(const std::string& app) const {
    std::vector<HeldRelease> out;
    std::error_code ec;
    for (const auto& entry : fs::directory_iterator(folder_ + "/" + app, ec)) {
        const std::string id = entry.path().stem().string();
        if (entry.path().extension() != manifest_ending || !holds(app, id)) {
            continue;
        }
        const Result<Release> release = manifest(app, id);
        if (!release.ok()) {
            continue;
        }
        HeldRelease held{
            app, id, release->epoch, release->number, release->commit, release->files.size(), 0};
        for (const ReleaseFile& file : release->files) {
            held.bytes += file.size;
        }
        out.push_back(std::move(held));
    }
    if (ec && ec != std::errc::no_such_file_or_directory) {
        return errno_error(ec.value(), "cannot list " + folder_ + "/" + app);
    }
    std::sort(out.begin(), out.end(), [](const HeldRelease& a, const HeldRelease& b) {
        return std::tie(a.epoch, a.number, a.id) < std::tie(b.epoch, b.number, b.id);
    });
    return out;
}

Result<std::vector<HeldRelease>> ReleaseStore::list() const {
    std::vector<std::string> apps;
    std::error_code ec;
    for (const auto& entry : fs::directory_iterator(folder_, ec)) {
        if (valid_name(entry.path().filename().string())) {
            apps.push_back(entry.path().filename().string());
        }
    }
    if (ec && ec != std::errc::no_such_file_or_directory) {
        return errno_error(ec.value(), "cannot list " + folder_);
    }
    std::sort(apps.begin(), apps.end());
    std::vector<HeldRelease> out;
    for (const std::string& app : apps) {
        Result<std::vector<HeldRelease>> held = list(app);
        if (!held.ok()) {
            return held.error();
        }
        out.insert(out.end(), held->begin(), held->end());
    }
    return out;
}

Status ReleaseStore::verify(const std::string& app, const std::string& id) const {
    const Result<Release> release = manifest(app, id);
    if (!release.ok()) {
        return release.error();
    }
    std::unordered_map<std::string, const ReleaseFile*> left;
    for (const ReleaseFile& file : release->files) {
        left.emplace(file.path, &file);
    }
    const fs::path root = tree_path(app, id);
    std::error_code ec;
    for (auto at = fs::recursive_directory_iterator(root, ec);
         !ec && at != fs::recursive_directory_iterator(); at.increment(ec)) {
        struct stat st {};
        if (::lstat(at->path().c_str(), &st) != 0) {
            return errno_error(errno, "cannot read " + at->path().string());
        }
        if (S_ISDIR(st.st_mode)) {
            continue;
        }
        const std::string path = at->path().string().substr(root.string().size() + 1);
        const auto found = left.find(path);
        if (found == left.end()) {
            return damaged(percent_encode(path), "does not belong to it");
        }
        if (Status good = verify_entry(at->path(), st, *found->second); !good.ok()) {
            return good;
        }
        left.erase(found);
    }
    if (ec) {
        return errno_error(ec.value(), "cannot list " + root.string());
    }
    return left.empty() ? Status() : Status(damaged(left.begin()->first, "is missing"));
}

Status ReleaseStore::remove_release(const std::string& app, const std::string& id) {
    if (!valid_name(app) || !valid_release_id(id)) {
        return fail(Code::usage, "`" + app + "` `" + id + "` names no release");
    }
    if (!holds(app, id)) {
        return {};
    }
    // Out of sight with one rename, so that a crash leaves the release whole or a stage to sweep.
    const std::string away =
        folder_ + "/" + app + "/" + std::string(stage_prefix) + "removed-" + id;
    if (::rename(tree_path(app, id).c_str(), away.c_str()) != 0) {
        return errno_error(errno, "cannot remove " + tree_path(app, id));
    }
    ::unlink((tree_path(app, id) + std::string(manifest_ending)).c_str());
    if (Status gone = remove_read_only_tree(away); !gone.ok()) {
        return gone;
    }
    const Result<std::vector<HeldRelease>> held = list(app);
    if (!held.ok()) {
        return held.error();
    }
    if (held->empty()) {
        return remove_read_only_tree(folder_ + "/" + app);
    }
    std::vector<std::string> commits;
    for (const HeldRelease& release : *held) {
        commits.push_back(release.commit);
    }
    return compact(repo_path(app), commits);
}

Status ReleaseStore::sweep() {
    std::error_code ec;
    std::vector<std::string> stages;
    for (const auto& app : fs::directory_iterator(folder_, ec)) {
        std::error_code inner;
        for (const auto& entry : fs::directory_iterator(app.path(), inner)) {
            const std::string name = entry.path().filename().string();
            const bool lost = entry.path().extension() == manifest_ending &&
                              !holds(app.path().filename().string(), entry.path().stem().string());
            if (name.starts_with(stage_prefix) || name.starts_with(unfinished_prefix) || lost) {
                stages.push_back(entry.path().string());
            }
        }
    }
    for (const std::string& stage : stages) {
        if (Status gone = remove_read_only_tree(stage); !gone.ok()) {
            return gone;
        }
    }
    return {};
}

} // namespace hasp::maint
