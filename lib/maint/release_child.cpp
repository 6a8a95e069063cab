// The process that reads packs. What a pack may make it do is bounded before the first byte is
// read: memory, time, file sizes by rlimits; the size of an object and the number of objects by
// what the manifest says. Every name, mode, size and hash is then compared with the manifest; git's
// own hashes are not relied on.
#include "base/files.h"
#include "base/text.h"
#include "maint/release_git.h"
#include "maint/release_store.h"
#include "release_hash.h"
#include "release_job.h"
#include "release_repo.h"
#include "release_scan.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <filesystem>
#include <linux/openat2.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <unordered_map>
#include <unordered_set>

namespace hasp::maint {

namespace {

constexpr rlim_t memory_bytes_max = rlim_t{3}
                                    << 30; // the largest file twice, and libgit2's windows
constexpr rlim_t cpu_s_max = 900;
constexpr rlim_t open_files_max = 512;
constexpr rlim_t written_file_bytes_max = rlim_t{2} * pack_bytes_max;
constexpr std::size_t window_bytes = std::size_t{32} << 20;
constexpr std::size_t windows_bytes_max = std::size_t{512} << 20;
constexpr int backend_priority = 1;

Error not_the_release(const std::string& path, const std::string& why) {
    return fail(Code::refused,
                "the pack does not hold the release: `" + percent_encode(path) + "` " + why);
}

int open_beneath(int folder, const std::string& name, int flags, mode_t mode) {
    open_how how{};
    how.flags = static_cast<__u64>(flags | O_NOFOLLOW | O_CLOEXEC);
    how.mode = (flags & O_CREAT) != 0 ? mode : 0;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
    return static_cast<int>(::syscall(SYS_openat2, folder, name.c_str(), &how, sizeof how));
}

PackLimits limits_of(const Release& expected) {
    std::uint64_t largest = 0;
    std::unordered_set<std::string_view> folders;
    for (const ReleaseFile& file : expected.files) {
        largest = std::max(largest, file.size);
        const std::string_view path = file.path;
        for (std::size_t at = path.find('/'); at != std::string_view::npos;
             at = path.find('/', at + 1)) {
            folders.insert(path.substr(0, at));
        }
    }
    // A tree is shorter than the manifest's lines of what it names. A delta may exceed what it
    // makes by an opcode each 127 bytes.
    largest = std::max<std::uint64_t>(largest, encode_release(expected).size());
    return {largest + largest / 64 + 4096, expected.files.size() + folders.size() + 2};
}

Status set_git_limits(const PackLimits& limits) {
    // The scan held the pack's own objects to what the release needs. Bases that are here already
    // may be larger.
    constexpr std::size_t object_bytes_max =
        release_file_bytes_max + (release_file_bytes_max >> 6) + 4096;
    const auto objects_max = static_cast<std::size_t>(limits.objects_max);
    const bool good = git_libgit2_opts(GIT_OPT_SET_PACK_MAX_OBJECT_SIZE, object_bytes_max) == 0 &&
                      git_libgit2_opts(GIT_OPT_SET_PACK_MAX_OBJECTS, objects_max) == 0 &&
                      git_libgit2_opts(GIT_OPT_SET_MWINDOW_SIZE, window_bytes) == 0 &&
                      git_libgit2_opts(GIT_OPT_SET_MWINDOW_MAPPED_LIMIT, windows_bytes_max) == 0 &&
                      git_libgit2_opts(GIT_OPT_ENABLE_STRICT_HASH_VERIFICATION, 1) == 0;
    return good ? Status() : Status(git_error_of(-1, "cannot limit libgit2"));
}

// Copies the pack into STAGE/pack, checked and with its index; gives the index's path.
Result<std::string> index_pack(const ImportJob& job, const PackLimits& limits, git_odb* bases) {
    if (Status scanned = scan_pack(job.pack, limits); !scanned.ok()) {
        return scanned.error();
    }
    const std::string folder = job.stage + "/pack";
    if (::mkdir(folder.c_str(), 0700) != 0) {
        return errno_error(errno, "cannot create " + folder);
    }
    const Fd pack(::open(job.pack.c_str(), O_RDONLY | O_CLOEXEC));
    if (!pack) {
        return errno_error(errno, "cannot open the pack " + job.pack);
    }
    git_indexer_options options{};
    git_indexer_options_init(&options, GIT_INDEXER_OPTIONS_VERSION);
    git_indexer* made = nullptr;
    if (const int code = git_indexer_new(&made, folder.c_str(), 0400, bases, &options); code != 0) {
        return git_error_of(code, "cannot read the pack");
    }
    const GitIndexer indexer(made);
    git_indexer_progress progress{};
    char buffer[65536];
    for (;;) {
        const ssize_t n = ::read(pack.get(), buffer, sizeof buffer);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return errno_error(errno, "cannot read the pack " + job.pack);
        }
        if (n == 0) {
            break;
        }
        if (const int code =
                git_indexer_append(indexer.get(), buffer, static_cast<std::size_t>(n), &progress);
            code != 0) {
            return fail(Code::refused,
                        git_error_of(code, "the pack is damaged or hostile").message);
        }
    }
    if (const int code = git_indexer_commit(indexer.get(), &progress); code != 0) {
        return fail(Code::refused, git_error_of(code, "the pack is damaged or hostile").message);
    }
    return folder + "/pack-" + git_indexer_name(indexer.get()) + ".idx";
}

// Writes the tree of a commit and compares each part with the manifest before it is written.
class Checkout {
  public:
    Checkout(git_odb* odb, const Release& expected) : odb_(odb) {
        for (const ReleaseFile& file : expected.files) {
            files_.emplace(file.path, &file);
            const std::string_view path = file.path;
            for (std::size_t at = path.find('/'); at != std::string_view::npos;
                 at = path.find('/', at + 1)) {
                folders_.insert(path.substr(0, at));
            }
        }
    }

    Status write(const git_oid& tree, const Fd& root) {
        if (Status good = write_folder(tree, root, ""); !good.ok()) {
            return good;
        }
        for (const auto& [path, file] : files_) {
            if (!done_.contains(std::string(path))) {
                return not_the_release(std::string(path), "is missing");
            }
        }
        return {};
    }

  private:
    Status write_folder(const git_oid& tree, const Fd& folder, const std::string& path) {
        Result<RawObject> raw = read_object(odb_, tree, GIT_OBJECT_TREE);
        if (!raw.ok()) {
            return fail(Code::refused, raw.error().message);
        }
        Result<std::vector<TreeEntry>> entries = parse_tree(raw->bytes);
        if (!entries.ok()) {
            return entries.error();
        }
        for (const TreeEntry& entry : *entries) {
            const std::string name(entry.name);
            const std::string inner = path.empty() ? name : path + "/" + name;
            if (name.find('/') != std::string::npos) {
                return not_the_release(inner, "has a name with a slash");
            }
            if (const std::string reason = unsafe_path_reason(inner); !reason.empty()) {
                return not_the_release(inner, reason);
            }
            if (!done_.insert(inner).second) {
                return not_the_release(inner, "is there twice");
            }
            Status written = entry.mode == GIT_FILEMODE_TREE
                                 ? write_subfolder(entry, folder, name, inner)
                                 : write_entry(entry, folder, name, inner);
            if (!written.ok()) {
                return written;
            }
        }
        return {};
    }

    Status write_subfolder(const TreeEntry& entry, const Fd& folder, const std::string& name,
                           const std::string& path) {
        if (!folders_.contains(path)) {
            return not_the_release(path, "is a folder that the manifest does not have");
        }
        if (::mkdirat(folder.get(), name.c_str(), 0700) != 0) {
            return errno_error(errno, "cannot create the folder " + path);
        }
        const Fd inner(open_beneath(folder.get(), name, O_RDONLY | O_DIRECTORY, 0));
        if (!inner) {
            return errno_error(errno, "cannot open the folder " + path);
        }
        if (Status good = write_folder(entry.id, inner, path); !good.ok()) {
            return good;
        }
        return ::fchmod(inner.get(), 0555) == 0
                   ? Status()
                   : Status(errno_error(errno, "cannot protect the folder " + path));
    }

    Status write_entry(const TreeEntry& entry, const Fd& folder, const std::string& name,
                       const std::string& path) {
        const auto found = files_.find(path);
        if (found == files_.end()) {
            return not_the_release(path, "is not in the manifest");
        }
        const ReleaseFile& file = *found->second;
        const unsigned mode = file.mode == FileMode::symlink      ? GIT_FILEMODE_LINK
                              : file.mode == FileMode::executable ? GIT_FILEMODE_BLOB_EXECUTABLE
                                                                  : GIT_FILEMODE_BLOB;
        if (entry.mode != mode) {
            return not_the_release(path, "has another kind or mode than in the manifest");
        }
        Result<RawObject> raw = read_object(odb_, entry.id, GIT_OBJECT_BLOB);
        if (!raw.ok()) {
            return fail(Code::refused, raw.error().message);
        }
        if (raw->bytes.size() != file.size || sha256_hex(raw->bytes) != file.sha256) {
            return not_the_release(path, "has another content than in the manifest");
        }
        if (file.mode == FileMode::symlink) {
            if (const std::string reason = unsafe_symlink_reason(path, raw->bytes);
                !reason.empty()) {
                return not_the_release(path, reason);
            }
            const std::string target(raw->bytes);
            return ::symlinkat(target.c_str(), folder.get(), name.c_str()) == 0
                       ? Status()
                       : Status(errno_error(errno, "cannot create the symlink " + path));
        }
        const Fd out(open_beneath(folder.get(), name, O_WRONLY | O_CREAT | O_EXCL, 0600));
        if (!out) {
            return errno_error(errno, "cannot create " + path);
        }
        if (Status good = write_all(out.get(), raw->bytes); !good.ok()) {
            return fail(good.error().code, path + ": " + good.error().message);
        }
        return ::fchmod(out.get(), file.mode == FileMode::executable ? 0555 : 0444) == 0
                   ? Status()
                   : Status(errno_error(errno, "cannot protect " + path));
    }

    git_odb* odb_;
    std::unordered_map<std::string_view, const ReleaseFile*> files_;
    std::unordered_set<std::string_view> folders_;
    std::unordered_set<std::string> done_;
};

Status limit_process() {
    // Before the sanitizers' shadow memory no limit of the address space can stand.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    const rlimit memory{memory_bytes_max, memory_bytes_max};
    if (::setrlimit(RLIMIT_AS, &memory) != 0) {
        return errno_error(errno, "cannot limit memory");
    }
#endif
    const rlimit cpu{cpu_s_max, cpu_s_max};
    rlimit files{};
    if (::getrlimit(RLIMIT_NOFILE, &files) != 0) {
        return errno_error(errno, "cannot read the limit of open files");
    }
    files.rlim_cur = files.rlim_max =
        std::min(files.rlim_max, open_files_max); // never to be raised
    const rlimit written{written_file_bytes_max, written_file_bytes_max};
    const rlimit core{0, 0};
    if (::setrlimit(RLIMIT_CPU, &cpu) != 0 || ::setrlimit(RLIMIT_NOFILE, &files) != 0 ||
        ::setrlimit(RLIMIT_FSIZE, &written) != 0 || ::setrlimit(RLIMIT_CORE, &core) != 0 ||
        ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) {
        return errno_error(errno, "cannot limit the process");
    }
    return {};
}

Status import_from_stdin() {
    if (Status limited = limit_process(); !limited.ok()) {
        return limited;
    }
    Result<std::string> text = read_file("/dev/stdin", release_manifest_bytes_max + 65'536);
    if (!text.ok()) {
        return text.error();
    }
    Result<ImportJob> job = decode_job(*text);
    return job.ok() ? run_import(*job) : Status(job.error());
}

} // namespace

Status run_import(const ImportJob& job) {
    const GitLibrary git;
    const PackLimits limits = limits_of(job.expected);
    if (Status limited = set_git_limits(limits); !limited.ok()) {
        return limited;
    }
    Result<GitRepo> repo = open_repo(job.repo, false);
    if (!repo.ok()) {
        return repo.error();
    }
    Result<GitOdb> odb = open_odb(repo->get());
    if (!odb.ok()) {
        return odb.error();
    }
    if (!job.pack.empty()) {
        Result<std::string> index = index_pack(job, limits, odb->get());
        if (!index.ok()) {
            return index.error();
        }
        git_odb_backend* backend = nullptr;
        int code = git_odb_backend_one_pack(&backend, index->c_str());
        code = code == 0 ? git_odb_add_alternate(odb->get(), backend, backend_priority) : code;
        if (code != 0) {
            return git_error_of(code, "cannot open the pack's index");
        }
    }
    Result<git_oid> commit = oid_of(job.expected.commit);
    if (!commit.ok()) {
        return commit.error();
    }
    Result<RawObject> raw = read_object(odb->get(), *commit, GIT_OBJECT_COMMIT);
    if (!raw.ok()) {
        return fail(Code::refused, "the pack does not hold the release: " + raw.error().message);
    }
    Result<git_oid> tree = parse_commit(raw->bytes);
    if (!tree.ok()) {
        return tree.error();
    }
    const std::string target = job.stage + "/tree";
    if (::mkdir(target.c_str(), 0755) != 0) {
        return errno_error(errno, "cannot create " + target);
    }
    const Fd root(::open(target.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!root) {
        return errno_error(errno, "cannot open " + target);
    }
    if (Status written = Checkout(odb->get(), job.expected).write(*tree, root); !written.ok()) {
        return written;
    }
    return ::syncfs(root.get()) == 0 ? Status()
                                     : Status(errno_error(errno, "cannot sync " + target));
}

int import_child_main() {
    Status done;
    try {
        done = import_from_stdin();
    } catch (const std::exception& e) {
        done = fail(Code::refused,
                    std::string("the pack needs more than the limits allow: ") + e.what());
    }
    if (!write_all(STDOUT_FILENO, encode_report(done)).ok()) {
        return exit_code(Code::failed);
    }
    return done.ok() ? 0 : exit_code(done.error().code);
}

} // namespace hasp::maint
