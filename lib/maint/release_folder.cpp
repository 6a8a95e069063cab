// A folder becomes a commit without history. Objects are written by hand, so that the same content
// gives the same bytes whatever the configuration of git on this machine is.
#include "maint/release_git.h"

#include "base/files.h"
#include "base/text.h"
#include "release_hash.h"
#include "release_repo.h"

#include <algorithm>
#include <cerrno>
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace hasp::maint {

namespace {

struct Made {
    unsigned mode = 0;
    std::string name;
    git_oid id{};
};

class Importer {
  public:
    Importer(git_odb* odb, Release& release) : odb_(odb), release_(release) {}

    // The tree of a folder; a folder without files gives an all-zero id.
    Result<git_oid> import_folder(const Fd& folder, const std::string& path) {
        Result<std::vector<std::string>> names = names_in(folder, path);
        if (!names.ok()) {
            return names.error();
        }
        std::vector<Made> entries;
        for (const std::string& name : *names) {
            if (name == ".git") {
                if (path.empty()) {
                    continue;
                }
                return refused(path, "is a submodule or a repository of its own");
            }
            Made entry{0, name, {}};
            if (Status made = import_entry(folder, path.empty() ? name : path + "/" + name, entry);
                !made.ok()) {
                return made.error();
            }
            if (entry.mode != 0) {
                entries.push_back(std::move(entry));
            }
        }
        return entries.empty() ? Result<git_oid>(git_oid{}) : write_tree(std::move(entries));
    }

  private:
    static Error refused(const std::string& path, const std::string& why) {
        return fail(Code::refused, "`" + path + "` " + why + ", so it cannot be part of a release",
                    "remove it from the folder and push again");
    }

    static Result<std::vector<std::string>> names_in(const Fd& folder, const std::string& path) {
        const int copy = ::openat(folder.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR* dir = copy < 0 ? nullptr : ::fdopendir(copy);
        if (dir == nullptr) {
            return errno_error(errno, "cannot list the folder " + path);
        }
        std::vector<std::string> names;
        while (const dirent* entry = ::readdir(dir)) {
            const std::string_view name = entry->d_name;
            if (name != "." && name != "..") {
                names.emplace_back(name);
            }
        }
        ::closedir(dir);
        std::sort(names.begin(), names.end());
        return names;
    }

    Status import_entry(const Fd& folder, const std::string& path, Made& entry) {
        if (const std::string reason = unsafe_path_reason(path); !reason.empty()) {
            return refused(percent_encode(path), reason);
        }
        struct stat st {};
        if (::fstatat(folder.get(), entry.name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
            return errno_error(errno, "cannot read " + path);
        }
        if (S_ISDIR(st.st_mode)) {
            const Fd inner(::openat(folder.get(), entry.name.c_str(),
                                    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
            if (!inner) {
                return errno_error(errno, "cannot open the folder " + path);
            }
            Result<git_oid> tree = import_folder(inner, path);
            if (!tree.ok()) {
                return tree.error();
            }
            entry.id = *tree;
            entry.mode = git_oid_is_zero(&entry.id) != 0 ? 0 : GIT_FILEMODE_TREE;
            return {};
        }
        if (release_.files.size() == release_files_max) {
            return fail(Code::refused,
                        "the folder has more than " + std::to_string(release_files_max) + " files");
        }
        ReleaseFile file{path, FileMode::plain, 0, {}};
        Status imported = S_ISLNK(st.st_mode) ? import_symlink(folder, file, entry)
                          : S_ISREG(st.st_mode)
                              ? import_file(folder, file, entry)
                              : Status(refused(path, "is a device, a pipe or a socket"));
        if (imported.ok()) {
            total_ += file.size;
            if (total_ > release_total_bytes_max) {
                return fail(Code::refused, "the folder has more than " +
                                               std::to_string(release_total_bytes_max) + " bytes");
            }
            release_.files.push_back(std::move(file));
        }
        return imported;
    }

    Status import_symlink(const Fd& folder, ReleaseFile& file, Made& entry) {
        char target[release_symlink_bytes_max + 1];
        const ssize_t size = ::readlinkat(folder.get(), entry.name.c_str(), target, sizeof target);
        if (size < 0) {
            return errno_error(errno, "cannot read the symlink " + file.path);
        }
        const std::string_view text(target, static_cast<std::size_t>(size));
        if (const std::string reason = unsafe_symlink_reason(file.path, text); !reason.empty()) {
            return refused(file.path, reason);
        }
        file.mode = FileMode::symlink;
        file.size = text.size();
        file.sha256 = sha256_hex(text);
        entry.mode = GIT_FILEMODE_LINK;
        return written(git_odb_write(&entry.id, odb_, text.data(), text.size(), GIT_OBJECT_BLOB));
    }

    Status import_file(const Fd& folder, ReleaseFile& file, Made& entry) {
        // Non-blocking, in case the file became a pipe since it was looked at.
        const Fd fd(::openat(folder.get(), entry.name.c_str(),
                             O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
        struct stat st {};
        if (!fd || ::fstat(fd.get(), &st) != 0) {
            return errno_error(errno, "cannot open " + file.path);
        }
        file.size = static_cast<std::uint64_t>(st.st_size);
        if (!S_ISREG(st.st_mode) || file.size > release_file_bytes_max) {
            return fail(Code::refused, file.path + " has " + std::to_string(file.size) +
                                           " bytes; the limit of a file is " +
                                           std::to_string(release_file_bytes_max));
        }
        file.mode = (st.st_mode & S_IXUSR) != 0 ? FileMode::executable : FileMode::plain;
        entry.mode =
            file.mode == FileMode::executable ? GIT_FILEMODE_BLOB_EXECUTABLE : GIT_FILEMODE_BLOB;
        git_odb_stream* opened = nullptr;
        if (Status good = written(git_odb_open_wstream(&opened, odb_, file.size, GIT_OBJECT_BLOB));
            !good.ok()) {
            return good;
        }
        const GitStream stream(opened);
        Sha256 hash;
        std::uint64_t left = file.size;
        char buffer[65536];
        for (;;) {
            const ssize_t n = ::read(fd.get(), buffer, sizeof buffer);
            if (n < 0 && errno == EINTR) {
                continue;
            }
            if (n < 0) {
                return errno_error(errno, "cannot read " + file.path);
            }
            if (static_cast<std::uint64_t>(n) > left || (n == 0 && left > 0)) {
                return fail(Code::conflict, file.path + " changed while it was read",
                            "push again when nothing writes into the folder");
            }
            if (n == 0) {
                break;
            }
            left -= static_cast<std::uint64_t>(n);
            hash.add({buffer, static_cast<std::size_t>(n)});
            if (Status good = written(
                    git_odb_stream_write(stream.get(), buffer, static_cast<std::size_t>(n)));
                !good.ok()) {
                return good;
            }
        }
        file.sha256 = hash.hex();
        return written(git_odb_stream_finalize_write(&entry.id, stream.get()));
    }

    Result<git_oid> write_tree(std::vector<Made> entries) {
        // git compares a folder's name as if it ended in '/'.
        const auto key = [](const Made& e) {
            return e.mode == GIT_FILEMODE_TREE ? e.name + "/" : e.name;
        };
        std::sort(entries.begin(), entries.end(),
                  [&](const Made& a, const Made& b) { return key(a) < key(b); });
        std::string text;
        for (const Made& entry : entries) {
            text += entry.mode == GIT_FILEMODE_TREE   ? "40000"
                    : entry.mode == GIT_FILEMODE_LINK ? "120000"
                    : entry.mode == GIT_FILEMODE_BLOB ? "100644"
                                                      : "100755";
            text += " " + entry.name;
            text += '\0';
            text.append(reinterpret_cast<const char*>(entry.id.id), GIT_OID_RAWSZ);
        }
        git_oid id;
        Status good = written(git_odb_write(&id, odb_, text.data(), text.size(), GIT_OBJECT_TREE));
        return good.ok() ? Result<git_oid>(id) : Result<git_oid>(good.error());
    }

    static Status written(int code) {
        return code == 0 ? Status()
                         : Status(git_error_of(code, "cannot write into the repository"));
    }

    git_odb* odb_;
    Release& release_;
    std::uint64_t total_ = 0;
};

} // namespace

Result<Release> make_release_from_folder(const std::string& folder, const std::string& repo,
                                         const std::string& app, std::uint64_t epoch,
                                         std::uint64_t number) {
    if (!valid_name(app)) {
        return fail(Code::usage, "`" + app + "` is no name of an app",
                    "use 1 to 40 of a-z, 0-9 and -, beginning with a letter");
    }
    const Fd root(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!root) {
        return errno_error(errno, "cannot open the folder " + folder);
    }
    const GitLibrary git;
    Result<GitRepo> opened = open_repo(repo, true);
    if (!opened.ok()) {
        return opened.error();
    }
    Result<GitOdb> odb = open_odb(opened->get());
    if (!odb.ok()) {
        return odb.error();
    }
    Release release{app, epoch, number, {}, {}};
    Result<git_oid> tree = Importer(odb->get(), release).import_folder(root, "");
    if (!tree.ok()) {
        return tree.error();
    }
    if (release.files.empty()) {
        return fail(Code::refused, "the folder " + folder + " has no files");
    }
    Result<git_oid> id = write_release_commit(odb->get(), *tree, app);
    if (!id.ok()) {
        return id.error();
    }
    const Fd disk(::open(repo.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!disk || ::syncfs(disk.get()) != 0) {
        return errno_error(errno, "cannot sync " + repo);
    }
    release.commit = hex_of(*id);
    std::sort(release.files.begin(), release.files.end(),
              [](const ReleaseFile& a, const ReleaseFile& b) { return a.path < b.path; });
    if (Status good = check_release(release); !good.ok()) {
        return good.error();
    }
    return release;
}

} // namespace hasp::maint
