#include "backup/put_back.h"

#include "sync/working_copies.h"

#include <algorithm>
#include <cerrno>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

namespace hasp::backup {

namespace {

constexpr std::uint64_t room_left_bytes = 64U << 20;

// A folder's mode may forbid what is yet to be put into it.
struct Folder {
    std::string path;
    std::uint32_t mode = 0;
};

// Numbers that the tier itself gives out mean the same anywhere; others are of people on the
// machine where the backup was made.
std::uint32_t id_here(std::uint32_t then, std::uint32_t ours) {
    return then >= sync::app_uid_first && then <= sync::app_uid_last ? then : ours;
}

Status give(const std::string& target, const Item& item, const struct stat& ours) {
    if (::geteuid() != 0) {
        return {};
    }
    const std::string path = target + "/" + item.path;
    return ::lchown(path.c_str(), id_here(item.uid, ours.st_uid), id_here(item.gid, ours.st_gid)) ==
                   0
               ? Status{}
               : Status(errno_error(errno, "cannot give away " + path));
}

Status put_file(Repository& repository, sync::Disk& disk, const Item& item,
                const std::function<void(std::uint64_t)>& wrote) {
    auto file = disk.create(item.path, 0600, {});
    if (!file) {
        return file.error();
    }
    for (std::size_t i = 0; i < item.chunks.size(); ++i) {
        const std::uint64_t expected = std::min<std::uint64_t>(
            item.chunk_bytes, item.size - std::uint64_t{i} * item.chunk_bytes);
        auto bytes = repository.chunk(item.chunks[i]);
        if (!bytes || bytes->size() != expected) {
            return fail(bytes ? Code::refused : bytes.error().code,
                        item.path + ": " +
                            (bytes ? "a part has another length" : bytes.error().message),
                        "take another backup; `hasp backup check` says what is damaged");
        }
        if (Status written = (*file)->write(*bytes); !written) {
            return written;
        }
        wrote(expected);
    }
    return {};
}

Result<PutBack> put_back_closed(Repository& repository, const std::string& id,
                                const std::string& target, const struct stat& ours,
                                const OnBytes& progress) {
    auto disk = sync::open_disk(target);
    auto there = disk ? (*disk)->list("") : Result<std::vector<sync::DirEntry>>(disk.error());
    if (!there) {
        return there.error();
    }
    if (!there->empty()) {
        return fail(Code::conflict, target + " is not empty",
                    "give a folder that is empty or does not exist yet");
    }
    std::uint64_t all = 0;
    auto head = repository.read(id, [&all](const Item& item) {
        all += item.size;
        return Status{};
    });
    auto room = head ? (*disk)->free_bytes() : Result<std::uint64_t>(head.error());
    if (!room) {
        return room.error();
    }
    if (*room < all + room_left_bytes) {
        return fail(Code::failed,
                    "the backup needs " + std::to_string((all + room_left_bytes) >> 20U) +
                        " MiB, and " + std::to_string(*room >> 20U) + " MiB are free for " + target,
                    "make room, or restore to another disk");
    }
    PutBack out;
    std::vector<Folder> folders;
    auto done = repository.read(id, [&](const Item& item) -> Status {
        Status made;
        switch (item.kind) {
        case ItemKind::folder:
            made = (*disk)->make_folder(item.path, 0700, {});
            folders.push_back({item.path, item.mode});
            break;
        case ItemKind::symlink:
            made = (*disk)->make_symlink(item.path, item.target, {});
            break;
        case ItemKind::file:
            made = put_file(repository, **disk, item, [&](std::uint64_t bytes) {
                out.bytes += bytes;
                if (progress) {
                    progress(out.bytes, all);
                }
            });
            ++out.files;
            break;
        }
        made = made ? give(target, item, ours) : made;
        if (made && item.kind == ItemKind::file) {
            // After the owner: giving away drops bits.
            made = (*disk)->set_meta(item.path, item.mode, item.seen.mtime_ns / 1000);
        }
        return made;
    });
    if (!done) {
        return done.error();
    }
    for (auto folder = folders.rbegin(); folder != folders.rend(); ++folder) {
        const std::string path = target + "/" + folder->path;
        if (::chmod(path.c_str(), folder->mode) != 0) {
            return errno_error(errno, "cannot set the mode of " + path);
        }
    }
    Status durable = (*disk)->sync_all();
    return durable ? Result<PutBack>(out) : durable.error();
}

} // namespace

// Nobody but who restores gets in meanwhile: those whose folders are given away already could put
// symlinks where the next file goes.
Result<PutBack> put_back(Repository& repository, const std::string& id, const std::string& target,
                         const OnBytes& progress) {
    struct stat ours {};
    const bool root = ::geteuid() == 0;
    if (::stat(target.c_str(), &ours) != 0 || (root && ::chown(target.c_str(), 0, 0) != 0) ||
        ::chmod(target.c_str(), 0700) != 0) {
        return errno_error(errno, "cannot make " + target + " ours alone");
    }
    auto done = put_back_closed(repository, id, target, ours, progress);
    if ((root && ::chown(target.c_str(), ours.st_uid, ours.st_gid) != 0) ||
        ::chmod(target.c_str(), ours.st_mode & 07777U) != 0) {
        const Error why = errno_error(errno, "cannot open " + target + " again");
        return done.ok() ? Result<PutBack>(why) : std::move(done);
    }
    return done;
}

Result<std::optional<std::string>> backup_at(Repository& repository, std::int64_t at_us) {
    auto all = repository.list();
    if (!all) {
        return all.error();
    }
    std::optional<std::string> out;
    for (const Repository::Listed& one : *all) {
        if (one.problem.empty() && one.head.at_us <= at_us) {
            out = one.id;
        }
    }
    return out;
}

} // namespace hasp::backup
