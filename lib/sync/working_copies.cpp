#include "sync/working_copies.h"

#include "base/files.h"
#include "base/text.h"

#include <cerrno>
#include <fcntl.h>
#include <linux/openat2.h>
#include <map>
#include <optional>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <vector>

namespace hasp::sync {
namespace {

constexpr std::size_t uids_file_bytes_max = 16U * 1024 * 1024;
constexpr mode_t passage_mode = 0711; // owners of folders beneath may pass, not look
constexpr mode_t folder_mode = 0700;

Fd open_beneath(int dir, const std::string& path) {
    struct open_how how {};
    how.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
    return Fd(static_cast<int>(::syscall(SYS_openat2, dir, path.c_str(), &how, sizeof how)));
}

Error open_error(int errno_value, const std::string& path) {
    if (errno_value == ELOOP || errno_value == ENOTDIR || errno_value == EXDEV) {
        return fail(Code::refused,
                    path + ": a symbolic link or a file stands where a folder must be",
                    "nothing of hasp makes such a thing: look at it, and move it away");
    }
    return errno_error(errno_value, "cannot open the folder " + path);
}

// "users/anna/wiki" or "apps/wiki"; empty for none.
Result<std::string> relative_path(Scope scope, const std::string& user, const std::string& app) {
    if (!valid_name(app)) {
        return fail(Code::usage,
                    "\"" + html_escape(app.substr(0, name_length_max)) + "\" is not an app's name");
    }
    if (scope == Scope::user && !valid_name(user)) {
        return fail(Code::usage, "\"" + html_escape(user.substr(0, name_length_max)) +
                                     "\" is not an account's name");
    }
    switch (scope) {
    case Scope::user:
        return "users/" + user + "/" + app;
    case Scope::app:
        return "apps/" + app;
    case Scope::none:
        break;
    }
    return std::string();
}

// Lines "UID KEY". A line that does not read ends it: a uid given out twice would open one app's
// data to another.
Result<std::map<std::string, uid_t>> read_uids(const std::string& path) {
    std::map<std::string, uid_t> uids;
    if (::access(path.c_str(), F_OK) != 0 && errno == ENOENT) {
        return uids;
    }
    const auto text = read_file(path, uids_file_bytes_max);
    if (!text) {
        return text.error();
    }
    std::size_t number = 0;
    for (const std::string_view line : split(*text, '\n')) {
        ++number;
        if (line.empty()) {
            continue;
        }
        const auto space = line.find(' ');
        const auto uid = parse_u64(line.substr(0, space));
        if (space == std::string_view::npos || !uid || *uid < app_uid_first ||
            *uid > app_uid_last) {
            return fail(Code::refused,
                        path + ":" + std::to_string(number) + ": not a line \"UID KEY\"",
                        "restore this file from a backup: it says which folder belongs to whom");
        }
        uids.emplace(line.substr(space + 1), static_cast<uid_t>(*uid));
    }
    return uids;
}

} // namespace

Result<WorkingCopies> WorkingCopies::open(const std::string& state_dir) {
    const std::string root = state_dir + "/data";
    if (::mkdir(root.c_str(), passage_mode) != 0 && errno != EEXIST) {
        return errno_error(errno, "cannot make the folder " + root);
    }
    Fd dir(::open(root.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!dir) {
        return open_error(errno, root);
    }
    if (::fchmod(dir.get(), passage_mode) != 0) {
        return errno_error(errno, "cannot set the mode of " + root);
    }
    return WorkingCopies(root, std::move(dir));
}

Result<uid_t> WorkingCopies::uid_for(const std::string& key, bool make) const {
    if (::geteuid() != 0) {
        return uid_t{0};
    }
    const std::string path = root_ + "/uids";
    auto uids = read_uids(path);
    if (!uids) {
        return uids.error();
    }
    if (const auto found = uids->find(key); found != uids->end()) {
        return found->second;
    }
    if (!make) {
        return fail(Code::not_found, "no data of " + key + " on this tier");
    }
    uid_t next = app_uid_first;
    std::string text;
    for (const auto& [name, uid] : *uids) {
        next = std::max(next, uid + 1);
        text += std::to_string(uid) + " " + name + "\n";
    }
    if (next > app_uid_last) {
        return fail(Code::failed, "all user ids from " + std::to_string(app_uid_first) + " to " +
                                      std::to_string(app_uid_last) + " are given out");
    }
    // The uid is on disk before any folder belongs to it: after a crash it is never given to
    // somebody else.
    text += std::to_string(next) + " " + key + "\n";
    if (Status s = write_file_durably(path, text, 0600); !s) {
        return s.error();
    }
    return next;
}

Result<WorkingCopy> WorkingCopies::ensure(Scope scope, const std::string& user,
                                          const std::string& app) {
    const auto relative = relative_path(scope, user, app);
    if (!relative) {
        return relative.error();
    }
    const auto uid = uid_for(scope == Scope::none ? "none/" + app : *relative, true);
    if (!uid) {
        return uid.error();
    }
    WorkingCopy copy;
    copy.uid = *uid;
    copy.gid = *uid;
    if (scope == Scope::none) {
        return copy;
    }
    copy.path = root_ + "/" + *relative;
    const auto parts = split(*relative, '/');
    std::string walked;
    Fd here;
    for (std::size_t i = 0; i < parts.size(); ++i) {
        const int parent = i == 0 ? dir_.get() : here.get();
        const std::string part(parts[i]);
        const bool leaf = i + 1 == parts.size();
        walked += "/" + part;
        const bool made = ::mkdirat(parent, part.c_str(), folder_mode) == 0;
        if (!made && errno != EEXIST) {
            return errno_error(errno, "cannot make the folder " + root_ + walked);
        }
        Fd next = open_beneath(parent, part);
        if (!next) {
            return open_error(errno, root_ + walked);
        }
        if (made && (!leaf && ::fchmod(next.get(), passage_mode) != 0)) {
            return errno_error(errno, "cannot set the mode of " + root_ + walked);
        }
        if (made && ::fsync(parent) != 0) {
            return errno_error(errno, "cannot write the folder above " + root_ + walked);
        }
        copy.created = leaf && made;
        here = std::move(next);
    }
    if (*uid == 0) {
        return copy;
    }
    struct stat st {};
    if (::fstat(here.get(), &st) != 0) {
        return errno_error(errno, "cannot look at " + copy.path);
    }
    if (st.st_uid != *uid) {
        // Root's own: a crash came between making it and giving it away.
        if (st.st_uid != 0) {
            return fail(Code::refused,
                        copy.path + " belongs to user id " + std::to_string(st.st_uid) +
                            " and not to " + std::to_string(*uid),
                        "give it back with: chown -R " + std::to_string(*uid) + ":" +
                            std::to_string(*uid) + " " + copy.path);
        }
        if (::fchown(here.get(), copy.uid, copy.gid) != 0) {
            return errno_error(errno, "cannot give away the folder " + copy.path);
        }
    }
    return copy;
}

Result<WorkingCopy> WorkingCopies::find(Scope scope, const std::string& user,
                                        const std::string& app) const {
    const auto relative = relative_path(scope, user, app);
    if (!relative) {
        return relative.error();
    }
    const auto uid = uid_for(scope == Scope::none ? "none/" + app : *relative, false);
    if (!uid) {
        return uid.error();
    }
    WorkingCopy copy;
    copy.uid = *uid;
    copy.gid = *uid;
    if (scope == Scope::none) {
        return copy;
    }
    copy.path = root_ + "/" + *relative;
    if (!open_beneath(dir_.get(), *relative)) {
        return open_error(errno, copy.path);
    }
    return copy;
}

} // namespace hasp::sync
