#include "stage.h"

#include "base/fd.h"

#include <cerrno>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

namespace hasp::run {
namespace {

Status bind(const Fd& from, const std::string& to) {
    const std::string source = "/proc/self/fd/" + std::to_string(from.get());
    if (::mount(source.c_str(), to.c_str(), nullptr, MS_BIND, nullptr) != 0) {
        return errno_error(errno, "cannot bind " + to);
    }
    return {};
}

} // namespace

Status stage(StagedPaths& paths) {
    if (::unshare(CLONE_NEWNS) != 0) {
        if (errno == EPERM) {
            return {}; // a container's root: then the paths have to be open to the app's uid as
                       // they are
        }
        return errno_error(errno, "cannot make a mount namespace");
    }
    if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
        return errno_error(errno, "cannot make the mounts private");
    }
    // Opened before /tmp is covered, since they may lie in it.
    const Fd code(::open(paths.code.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!code) {
        return errno_error(errno, "cannot open the release " + paths.code);
    }
    Fd data;
    if (!paths.data.empty()) {
        data.reset(::open(paths.data.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
        if (!data) {
            return errno_error(errno, "cannot open the data folder " + paths.data);
        }
    }
    const Fd binary(::open(paths.binary.c_str(), O_PATH | O_CLOEXEC));
    if (!binary) {
        return errno_error(errno, "cannot open " + paths.binary);
    }
    if (::mount("tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,size=64k") != 0) {
        return errno_error(errno, "cannot mount over /tmp");
    }
    const Fd place(::open("/tmp/binary", O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
    if (!place || ::mkdir("/tmp/app", 0755) != 0 || ::mkdir("/tmp/data", 0755) != 0) {
        return errno_error(errno, "cannot make the places to bind to");
    }
    if (Status s = bind(code, "/tmp/app"); !s) {
        return s;
    }
    if (Status s = bind(binary, "/tmp/binary"); !s) {
        return s;
    }
    if (data) {
        if (Status s = bind(data, "/tmp/data"); !s) {
            return s;
        }
        paths.data = "/tmp/data";
    }
    paths.code = "/tmp/app";
    paths.binary = "/tmp/binary";
    return {};
}

} // namespace hasp::run
