#include "posix_attributes.h"

#include "posix_file.h"
#include "sync/attributes.h"

#include <cerrno>
#include <optional>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <vector>

namespace hasp::sync {

namespace {

constexpr int list_tries_max = 8; // of a list or a value that grows while it is read

bool unsupported(int error) {
    return error == ENOTSUP || error == ENOSYS || error == EOPNOTSUPP;
}

// The file system takes no more of them, or none.
bool no_room(int error) {
    return error == ENOSPC || error == EDQUOT || error == E2BIG || error == ERANGE ||
           error == EPERM || unsupported(error);
}

struct Names {
    std::vector<std::string> names; // of users' attributes
    int error = 0;
};

Names names_of(int fd) {
    std::string list;
    bool complete = false;
    for (int i = 0; i < list_tries_max; ++i) {
        const ssize_t size = ::flistxattr(fd, nullptr, 0);
        if (size <= 0) {
            return {{}, size < 0 ? errno : 0};
        }
        list.resize(static_cast<std::size_t>(size));
        const ssize_t got = ::flistxattr(fd, list.data(), list.size());
        if (got < 0 && errno != ERANGE) {
            return {{}, errno};
        }
        if (got >= 0) {
            list.resize(static_cast<std::size_t>(got));
            complete = true;
            break;
        }
    }
    if (!complete) {
        return {{}, EAGAIN};
    }
    Names out;
    for (std::size_t at = 0; at < list.size();) {
        const std::string name(list.c_str() + at);
        at += name.size() + 1;
        if (valid_attribute_name(name)) {
            out.names.push_back(name);
        }
    }
    return out;
}

// Nothing: it is gone, or longer than all may be together.
std::optional<std::string> value_of(int fd, const std::string& name, int& error) {
    std::string value(attributes_bytes_max + 1, '\0');
    const ssize_t got = ::fgetxattr(fd, name.c_str(), value.data(), value.size());
    error = got < 0 ? errno : 0;
    if (got < 0) {
        return std::nullopt;
    }
    value.resize(static_cast<std::size_t>(got));
    return value;
}

} // namespace

Result<FoundAttributes> attributes_of(int fd, const std::string& path) {
    const Names names = names_of(fd);
    if (names.error == E2BIG) {
        return FoundAttributes{"", false, true};
    }
    if (unsupported(names.error)) {
        return FoundAttributes{"", true, false};
    }
    if (names.error == EAGAIN) {
        return fail(Code::try_later, path + ": its attributes change while they are read");
    }
    if (names.error != 0) {
        return disk_error(names.error, "cannot read the attributes of", path);
    }
    AttributeMap found;
    std::size_t bytes = 0;
    for (const std::string& name : names.names) {
        int error = 0;
        auto value = value_of(fd, name, error);
        if (error == ENODATA) {
            continue; // gone since
        }
        if (error != 0 && error != ERANGE && error != E2BIG) {
            return disk_error(error, "cannot read the attribute " + name + " of", path);
        }
        bytes += name.size() + (value ? value->size() : 0);
        if (!value || bytes > attributes_bytes_max) {
            return FoundAttributes{"", false, true};
        }
        found[name] = *std::move(value);
    }
    std::string written = write_attributes(found);
    return written.size() > attributes_bytes_max ? FoundAttributes{"", false, true}
                                                 : FoundAttributes{std::move(written), true, true};
}

Status change_attributes(int fd, const std::string& path, const std::string& before,
                         const std::string& after) {
    auto old = read_attributes(before);
    auto wanted = read_attributes(after);
    if (!old || !wanted) {
        return old ? wanted.error() : old.error();
    }
    // Who owns a file that he may not write may write it for a moment.
    struct stat st {};
    const bool locked = ::geteuid() != 0 && ::fstat(fd, &st) == 0 && (st.st_mode & S_IWUSR) == 0;
    const auto unlock = [&] { return !locked || ::fchmod(fd, st.st_mode | S_IWUSR) == 0; };
    Status done;
    bool unlocked = false;
    for (const auto& [name, value] : *old) {
        int error = 0;
        if (wanted->contains(name) || (!value_of(fd, name, error) && error == ENODATA)) {
            continue;
        }
        unlocked = unlocked || unlock();
        if (::fremovexattr(fd, name.c_str()) != 0 && errno != ENODATA && !no_room(errno)) {
            done = disk_error(errno, "cannot remove the attribute " + name + " of", path);
        }
    }
    for (const auto& [name, value] : *wanted) {
        const auto was = old->find(name);
        if (was != old->end() && was->second == value) {
            continue;
        }
        int error = 0;
        if (const auto now = value_of(fd, name, error); now && *now == value) {
            continue;
        }
        unlocked = unlocked || unlock();
        if (::fsetxattr(fd, name.c_str(), value.data(), value.size(), 0) != 0 && !no_room(errno)) {
            done = disk_error(errno, "cannot set the attribute " + name + " of", path);
        }
    }
    if (locked && unlocked && ::fchmod(fd, st.st_mode & 07777U) != 0) {
        done = disk_error(errno, "cannot set the mode of", path);
    }
    return done;
}

} // namespace hasp::sync
