#include "vfs.h"

#include "vfs_file.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

namespace hasp::sim {

namespace {

constexpr int path_bytes_max = 512;

struct State {
    std::map<std::string, Disk*> mounts;
    Disk scratch{0}; // of temporary files, which have no name
    SeededRandom random{0};
    std::uint64_t scratch_files = 0;
};

State& state() {
    static State only;
    return only;
}

struct Place {
    Disk* disk = nullptr;
    std::string path; // on that disk
};

Place place_of(const std::string& path) {
    Place found;
    std::size_t longest = 0;
    for (const auto& [prefix, disk] : state().mounts) {
        if (path.starts_with(prefix + "/") && prefix.size() >= longest) {
            found = {disk, path.substr(prefix.size())};
            longest = prefix.size();
        }
    }
    return found;
}

int open_file(sqlite3_vfs*, const char* name, sqlite3_file* raw, int flags, int* flags_out) {
    auto* file = new (raw) VfsFile();
    const bool temporary = name == nullptr;
    const auto [disk, path] =
        temporary ? Place{&state().scratch, "/t" + std::to_string(++state().scratch_files)}
                  : place_of(name);
    if (disk == nullptr) {
        return SQLITE_CANTOPEN;
    }
    if (temporary && disk->find("/") == nullptr) {
        disk->plant_folder("/");
    }
    auto open = std::make_unique<OpenFile>();
    const int error = disk->open(path, (flags & SQLITE_OPEN_CREATE) != 0,
                                 (flags & SQLITE_OPEN_EXCLUSIVE) != 0, open->file);
    if (error != 0) {
        return disk->dead() ? SQLITE_IOERR : SQLITE_CANTOPEN;
    }
    open->disk = disk;
    open->path = path;
    open->life = disk->lives();
    // As SQLite's own: by what was asked for, whether it was there or not. One that was killed
    // between making its journal and syncing it leaves a name that the next one must sync.
    open->name_unsynced =
        (flags & SQLITE_OPEN_CREATE) != 0 &&
        (flags & (SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_SUPER_JOURNAL | SQLITE_OPEN_WAL)) != 0;
    open->delete_on_close = temporary || (flags & SQLITE_OPEN_DELETEONCLOSE) != 0;
    open->locks = locks_of(*disk, path);
    file->open = open.release();
    file->base.pMethods = file_methods();
    if (flags_out != nullptr) {
        *flags_out = flags;
    }
    return SQLITE_OK;
}

int delete_file(sqlite3_vfs*, const char* name, int sync_dir) {
    const auto [disk, path] = place_of(name);
    if (disk == nullptr || disk->find(path) == nullptr) {
        return SQLITE_IOERR_DELETE_NOENT;
    }
    if (disk->unlink(path) != 0) {
        return SQLITE_IOERR_DELETE;
    }
    return sync_dir != 0 && disk->sync_folder(folder_of(path)) != 0 ? SQLITE_IOERR_DIR_FSYNC
                                                                    : SQLITE_OK;
}

int access_file(sqlite3_vfs*, const char* name, int what, int* answer) {
    const auto [disk, path] = place_of(name);
    const File found = disk == nullptr ? nullptr : disk->find(path);
    // As SQLite's own: an empty file does not exist.
    *answer = found != nullptr && (what != SQLITE_ACCESS_EXISTS || !found->seen.empty()) ? 1 : 0;
    return SQLITE_OK;
}

int full_path(sqlite3_vfs*, const char* name, int size, char* out) {
    const int length = std::snprintf(out, static_cast<std::size_t>(size), "%s", name);
    return name[0] == '/' && length < size ? SQLITE_OK : SQLITE_CANTOPEN;
}

int randomness(sqlite3_vfs*, int size, char* out) {
    state().random.fill(out, static_cast<std::size_t>(size));
    return size;
}

int pass_time(sqlite3_vfs*, int microseconds) {
    return microseconds; // nobody else could give up a lock meanwhile
}

int current_time(sqlite3_vfs*, sqlite3_int64* out) {
    *out = 212'000'000'000'000; // no store asks SQLite for the time
    return SQLITE_OK;
}

int last_error(sqlite3_vfs*, int, char*) {
    return 0;
}

sqlite3_vfs make_vfs() {
    sqlite3_vfs vfs{};
    vfs.iVersion = 2;
    vfs.szOsFile = sizeof(VfsFile);
    vfs.mxPathname = path_bytes_max;
    vfs.zName = "hasp-sim";
    vfs.xOpen = open_file;
    vfs.xDelete = delete_file;
    vfs.xAccess = access_file;
    vfs.xFullPathname = full_path;
    vfs.xRandomness = randomness;
    vfs.xSleep = pass_time;
    vfs.xGetLastError = last_error;
    vfs.xCurrentTimeInt64 = current_time;
    return vfs;
}

} // namespace

Mount::Mount(std::string prefix, Disk& disk) : prefix_(std::move(prefix)) {
    static sqlite3_vfs vfs = make_vfs();
    static const int registered = sqlite3_vfs_register(&vfs, 1);
    if (registered != SQLITE_OK) {
        std::abort();
    }
    state().mounts[prefix_] = &disk;
}

Mount::~Mount() {
    if (const auto at = state().mounts.find(prefix_); at != state().mounts.end()) {
        forget_locks(*at->second);
        state().mounts.erase(at);
    }
}

void seed_sqlite(std::uint64_t seed) {
    state().random = SeededRandom(seed);
    sqlite3_randomness(0, nullptr); // draws a new seed at its next use
}

} // namespace hasp::sim
