// The store's side of an import: starts the child, waits for it, and puts in place what it
// verified.
#include "maint/release_store.h"

#include "base/files.h"
#include "release_job.h"
#include "release_repo.h"

#include <cerrno>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace hasp::maint {

namespace {

constexpr std::size_t report_bytes_max = 65'536;

Status start(const ImportChild& child, int in, int out, pid_t& pid) {
    std::vector<char*> argv = {const_cast<char*>(child.program.c_str())};
    for (const std::string& argument : child.arguments) {
        argv.push_back(const_cast<char*>(argument.c_str()));
    }
    argv.push_back(nullptr);
    // Nothing of our environment is the child's business: it could change what libgit2 does.
    // Only a build with AddressSanitizer must go on knowing how it is to run.
    std::vector<char*> environment;
#ifdef __SANITIZE_ADDRESS__
    std::string options = "ASAN_OPTIONS=";
    if (const char* ours = std::getenv("ASAN_OPTIONS"); ours != nullptr) {
        environment.push_back(options.append(ours).data());
    }
#endif
    environment.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
    const int code = ::posix_spawn(&pid, child.program.c_str(), &actions, nullptr, argv.data(),
                                   environment.data());
    posix_spawn_file_actions_destroy(&actions);
    return code == 0 ? Status() : Status(errno_error(code, "cannot start " + child.program));
}

// Waits for the child; ends it when it takes too long. Gives waitpid's status.
Result<int> wait_for(pid_t pid, std::int64_t wall_s_max) {
    const Fd handle(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    bool late = false;
    if (handle) {
        pollfd poll{handle.get(), POLLIN, 0};
        int ready = 0;
        do {
            ready = ::poll(&poll, 1, static_cast<int>(wall_s_max * 1000));
        } while (ready < 0 && errno == EINTR);
        late = ready == 0;
    }
    if (late || !handle) {
        ::kill(pid, SIGKILL);
    }
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR) {
            return errno_error(errno, "cannot wait for the process that reads packs");
        }
    }
    if (late) {
        return fail(Code::timed_out,
                    "reading the pack took more than " + std::to_string(wall_s_max) + " seconds");
    }
    return status;
}

Status run_child(const ImportChild& child, const ImportJob& job) {
    const Fd in(::memfd_create("import-job", MFD_CLOEXEC));
    const Fd out(::memfd_create("import-report", MFD_CLOEXEC));
    if (!in || !out) {
        return errno_error(errno, "cannot make memory files");
    }
    if (Status written = write_all(in.get(), encode_job(job));
        !written.ok() || ::lseek(in.get(), 0, SEEK_SET) != 0) {
        return fail(Code::failed, "cannot write the import job");
    }
    pid_t pid = -1;
    if (Status started = start(child, in.get(), out.get(), pid); !started.ok()) {
        return started;
    }
    Result<int> status = wait_for(pid, child.wall_s_max);
    if (!status.ok()) {
        return status.error();
    }
    if (WIFSIGNALED(*status)) {
        return fail(Code::refused,
                    "the pack ended the process that read it (signal " +
                        std::to_string(WTERMSIG(*status)) + ")",
                    "the pack may need more memory or time than it is given");
    }
    std::string report(report_bytes_max, '\0');
    const ssize_t size = ::pread(out.get(), report.data(), report.size(), 0);
    report.resize(size < 0 ? 0 : static_cast<std::size_t>(size));
    Status told = decode_report(report);
    if (told.ok() && (!WIFEXITED(*status) || WEXITSTATUS(*status) != 0)) {
        return fail(Code::failed, "the process that reads packs failed");
    }
    return told;
}

Status sync_folder(const std::string& path) {
    const Fd folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    return folder && ::fsync(folder.get()) == 0
               ? Status()
               : Status(errno_error(errno, "cannot sync the folder " + path));
}

// The new pack joins the repository: the index last, since a pack is looked for by its index.
Status keep_pack(const std::string& stage, const std::string& repo) {
    namespace fs = std::filesystem;
    const std::string target = repo + "/objects/pack";
    if (Status made = make_folders(target); !made.ok()) {
        return made;
    }
    std::error_code ec;
    for (const char* ending : {".pack", ".idx"}) {
        for (const auto& entry : fs::directory_iterator(stage + "/pack", ec)) {
            if (entry.path().extension() == ending) {
                fs::rename(entry.path(), target + "/" + entry.path().filename().string(), ec);
                if (ec) {
                    return errno_error(ec.value(), "cannot keep the pack in " + target);
                }
            }
        }
    }
    return ec ? Status(errno_error(ec.value(), "cannot list " + stage)) : sync_folder(target);
}

} // namespace

Result<std::string> ReleaseStore::import_pack(const std::string& pack, const Release& expected) {
    return pack.empty() ? Result<std::string>(fail(Code::usage, "no pack was named"))
                        : import(pack, expected);
}

Result<std::string> ReleaseStore::import_from_repo(const Release& expected) {
    return import("", expected);
}

Result<std::string> ReleaseStore::import(const std::string& pack, const Release& expected) {
    if (Status good = check_release(expected); !good.ok()) {
        return good.error();
    }
    const std::string id = release_id(expected);
    const std::string app_folder = folder_ + "/" + expected.app;
    const std::string manifest_path = app_folder + "/" + id + ".release";
    const std::string stage = app_folder + "/.stage-" + id;
    if (holds(expected.app, id)) {
        Status renewed = write_file_durably(manifest_path, encode_release(expected), 0600);
        return renewed.ok() ? Result<std::string>(id) : Result<std::string>(renewed.error());
    }
    // Passed through by front, which serves files, and by apps: each runs as another user.
    Status done = make_folders(app_folder, 0711);
    if (done.ok()) {
        const GitLibrary git;
        const Result<GitRepo> repo = open_repo(repo_path(expected.app), true);
        done = repo.ok() ? remove_read_only_tree(stage) : Status(repo.error());
    }
    if (done.ok()) {
        done = make_folders(stage);
    }
    if (done.ok()) {
        done = run_child(child_, {pack, stage, repo_path(expected.app), expected});
    }
    if (done.ok() && inspect_) {
        done = inspect_(stage + "/tree", expected);
    }
    if (done.ok() && !pack.empty()) {
        done = keep_pack(stage, repo_path(expected.app));
    }
    if (done.ok()) {
        done = write_file_durably(manifest_path, encode_release(expected), 0600);
    }
    if (done.ok()) {
        const std::string tree = tree_path(expected.app, id);
        if (::rename((stage + "/tree").c_str(), tree.c_str()) != 0 ||
            ::chmod(tree.c_str(), 0555) != 0) {
            done = errno_error(errno, "cannot put the release in place at " + tree);
        } else {
            done = sync_folder(app_folder);
        }
    }
    const Status swept = remove_read_only_tree(stage);
    if (!done.ok()) {
        if (!holds(expected.app, id)) {
            ::unlink(manifest_path.c_str());
        }
        return done.error();
    }
    return swept.ok() ? Result<std::string>(id) : Result<std::string>(swept.error());
}

} // namespace hasp::maint
