#include "base/files.h"

#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <filesystem>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

namespace hasp {

void Fd::reset(int fd) {
    if (fd_ >= 0) {
        ::close(fd_);
    }
    fd_ = fd;
}

Result<std::string> read_file(const std::string& path, std::size_t limit_bytes) {
    const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) {
        return errno_error(errno, "cannot open " + path);
    }
    return read_all(fd.get(), limit_bytes, path);
}

Result<std::string> read_all(int fd, std::size_t limit_bytes, const std::string& what) {
    std::string out;
    char buffer[65536];
    for (;;) {
        const ssize_t n = ::read(fd, buffer, sizeof buffer);
        if (n < 0) {
            if (errno == EINTR) {
                continue;
            }
            return errno_error(errno, "cannot read " + what);
        }
        if (n == 0) {
            return out;
        }
        out.append(buffer, static_cast<std::size_t>(n));
        if (out.size() > limit_bytes) {
            return fail(Code::refused, what + " is larger than the limit of " +
                                           std::to_string(limit_bytes) + " bytes");
        }
    }
}

Status write_all(int fd, std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t n = ::write(fd, bytes.data(), bytes.size());
        if (n < 0) {
            if (errno == EINTR) {
                continue;
            }
            return errno_error(errno, "cannot write");
        }
        bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return {};
}

Status write_file_durably(const std::string& path, std::string_view content, mode_t mode) {
    const std::size_t slash = path.rfind('/');
    const std::string folder =
        slash == std::string::npos ? "." : path.substr(0, slash == 0 ? 1 : slash);
    std::string temporary = folder + "/" + std::string(unfinished_prefix) + "XXXXXX";
    const Fd fd(::mkostemp(temporary.data(), O_CLOEXEC));
    if (!fd) {
        return errno_error(errno, "cannot create a file in " + folder);
    }
    Status written = write_all(fd.get(), content);
    if (written.ok() && (::fchmod(fd.get(), mode) != 0 || ::fsync(fd.get()) != 0 ||
                         ::rename(temporary.c_str(), path.c_str()) != 0)) {
        written = errno_error(errno, "cannot replace " + path);
    }
    if (!written.ok()) {
        ::unlink(temporary.c_str());
        return fail(written.error().code, "cannot write " + path + ": " + written.error().message);
    }
    const Fd dir(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!dir || ::fsync(dir.get()) != 0) {
        return errno_error(errno, "cannot sync the folder " + folder);
    }
    return {};
}

Status remove_unfinished_files(const std::string& folder) {
    std::error_code ec;
    std::vector<std::string> left;
    for (const auto& entry : std::filesystem::directory_iterator(folder, ec)) {
        if (entry.path().filename().string().starts_with(unfinished_prefix)) {
            left.push_back(entry.path().string());
        }
    }
    if (ec && ec != std::errc::no_such_file_or_directory) {
        return errno_error(ec.value(), "cannot list " + folder);
    }
    for (const std::string& path : left) {
        if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
            return errno_error(errno, "cannot remove " + path);
        }
    }
    return {};
}

Status make_folders(const std::string& path, mode_t mode) {
    for (std::size_t at = 1; at != std::string::npos;) {
        at = path.find('/', at + 1);
        const std::string part = path.substr(0, at);
        if (::mkdir(part.c_str(), mode) != 0 && errno != EEXIST) {
            return errno_error(errno, "cannot create the folder " + part);
        }
    }
    struct stat st {};
    if (::stat(path.c_str(), &st) != 0 || !S_ISDIR(st.st_mode)) {
        return fail(Code::conflict, path + " exists and is not a folder");
    }
    return {};
}

Status remove_tree(const std::string& path) {
    std::error_code ec;
    std::filesystem::remove_all(path, ec);
    if (ec) {
        return errno_error(ec.value(), "cannot remove " + path);
    }
    return {};
}

} // namespace hasp
