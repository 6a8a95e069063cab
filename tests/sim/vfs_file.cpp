#include "vfs_file.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>

namespace hasp::sim {

namespace {

using Key = std::pair<const Disk*, std::string>;

struct Held {
    std::uint64_t life = 0;
    std::weak_ptr<Locks> locks;
};

std::map<Key, Held>& held() {
    static std::map<Key, Held> all;
    return all;
}

OpenFile& of(sqlite3_file* raw) {
    return *reinterpret_cast<VfsFile*>(raw)->open;
}

void release_wal(OpenFile& file) {
    for (std::size_t i = 0; i < file.wal_held.size(); ++i) {
        if (file.wal_held[i] != 0) {
            file.locks->wal[i] = file.wal_held[i] < 0 ? 0 : file.locks->wal[i] - 1;
            file.wal_held[i] = 0;
        }
    }
}

void lower_to(OpenFile& file, int level) {
    Locks& locks = *file.locks;
    if (file.level >= SQLITE_LOCK_RESERVED && level < SQLITE_LOCK_RESERVED) {
        locks.reserved = false;
    }
    if (file.level >= SQLITE_LOCK_PENDING && level < SQLITE_LOCK_PENDING) {
        locks.pending = false;
        locks.exclusive = false;
    }
    if (file.level >= SQLITE_LOCK_SHARED && level < SQLITE_LOCK_SHARED) {
        --locks.shared;
    }
    file.level = std::min(file.level, level);
}

int close_file(sqlite3_file* raw) {
    auto* slot = reinterpret_cast<VfsFile*>(raw);
    if (slot->open == nullptr) {
        return SQLITE_OK;
    }
    OpenFile& file = *slot->open;
    release_wal(file);
    lower_to(file, SQLITE_LOCK_NONE);
    if (file.delete_on_close) {
        file.disk->unlink(file.path);
    }
    delete slot->open;
    slot->open = nullptr;
    return SQLITE_OK;
}

int read_file_at(sqlite3_file* raw, void* out, int size, sqlite3_int64 at) {
    OpenFile& file = of(raw);
    std::size_t got = 0;
    const auto wanted = static_cast<std::size_t>(size);
    if (!file.usable() || file.disk->read(file.file, static_cast<std::uint64_t>(at),
                                          static_cast<char*>(out), wanted, got) != 0) {
        return SQLITE_IOERR_READ;
    }
    if (got < wanted) {
        std::memset(static_cast<char*>(out) + got, 0, wanted - got);
        return SQLITE_IOERR_SHORT_READ;
    }
    return SQLITE_OK;
}

int write_file_at(sqlite3_file* raw, const void* bytes, int size, sqlite3_int64 at) {
    OpenFile& file = of(raw);
    if (!file.usable()) {
        return SQLITE_IOERR_WRITE;
    }
    const int error =
        file.disk->write(file.file, static_cast<std::uint64_t>(at),
                         {static_cast<const char*>(bytes), static_cast<std::size_t>(size)});
    return error == 0 ? SQLITE_OK : error == ENOSPC ? SQLITE_FULL : SQLITE_IOERR_WRITE;
}

int truncate_file(sqlite3_file* raw, sqlite3_int64 size) {
    OpenFile& file = of(raw);
    return file.usable() && file.disk->truncate(file.file, static_cast<std::uint64_t>(size)) == 0
               ? SQLITE_OK
               : SQLITE_IOERR_TRUNCATE;
}

int sync_file(sqlite3_file* raw, int) {
    OpenFile& file = of(raw);
    if (!file.usable() || file.disk->sync(file.file) != 0) {
        return SQLITE_IOERR_FSYNC;
    }
    if (file.name_unsynced) {
        if (file.disk->sync_folder(folder_of(file.path)) != 0) {
            return SQLITE_IOERR_DIR_FSYNC;
        }
        file.name_unsynced = false;
    }
    return SQLITE_OK;
}

int size_of_file(sqlite3_file* raw, sqlite3_int64* size) {
    *size = static_cast<sqlite3_int64>(of(raw).file->seen.size());
    return SQLITE_OK;
}

int lock_file(sqlite3_file* raw, int level) {
    OpenFile& file = of(raw);
    Locks& locks = *file.locks;
    if (file.level >= level) {
        return SQLITE_OK;
    }
    if (level == SQLITE_LOCK_SHARED) {
        if (locks.pending || locks.exclusive) {
            return SQLITE_BUSY;
        }
        ++locks.shared;
    } else if (level == SQLITE_LOCK_RESERVED) {
        if (locks.reserved) {
            return SQLITE_BUSY;
        }
        locks.reserved = true;
    } else {
        if (file.level < SQLITE_LOCK_PENDING) {
            if (locks.pending || (locks.reserved && file.level < SQLITE_LOCK_RESERVED)) {
                return SQLITE_BUSY;
            }
            locks.reserved = true;
            locks.pending = true;
            file.level = SQLITE_LOCK_PENDING;
        }
        if (locks.shared > 1) {
            return SQLITE_BUSY;
        }
        locks.exclusive = true;
    }
    file.level = level;
    return SQLITE_OK;
}

int unlock_file(sqlite3_file* raw, int level) {
    lower_to(of(raw), level);
    return SQLITE_OK;
}

int check_reserved(sqlite3_file* raw, int* answer) {
    *answer = of(raw).locks->reserved ? 1 : 0;
    return SQLITE_OK;
}

int control(sqlite3_file*, int, void*) {
    return SQLITE_NOTFOUND;
}

int sector_size(sqlite3_file*) {
    return static_cast<int>(sector_bytes);
}

int characteristics(sqlite3_file*) {
    return SQLITE_IOCAP_POWERSAFE_OVERWRITE; // as SQLite assumes of disks
}

int map_wal(sqlite3_file* raw, int page, int size, int extend, void volatile** out) {
    OpenFile& file = of(raw);
    *out = nullptr;
    if (!file.usable()) {
        return SQLITE_IOERR_SHMMAP;
    }
    if (!file.maps_wal) {
        file.maps_wal = true;
        ++file.locks->wal_users;
    }
    std::deque<std::string>& pages = file.locks->pages;
    if (pages.size() <= static_cast<std::size_t>(page)) {
        if (extend == 0) {
            return SQLITE_OK;
        }
        while (pages.size() <= static_cast<std::size_t>(page)) {
            pages.emplace_back(static_cast<std::size_t>(size), '\0');
        }
    }
    *out = pages[static_cast<std::size_t>(page)].data();
    return SQLITE_OK;
}

int lock_wal(sqlite3_file* raw, int offset, int count, int flags) {
    OpenFile& file = of(raw);
    const auto first = static_cast<std::size_t>(offset);
    const auto end = first + static_cast<std::size_t>(count);
    std::array<int, SQLITE_SHM_NLOCK>& all = file.locks->wal;
    if ((flags & SQLITE_SHM_UNLOCK) != 0) {
        for (std::size_t i = first; i < end; ++i) {
            if (file.wal_held[i] != 0) {
                all[i] = file.wal_held[i] < 0 ? 0 : all[i] - 1;
                file.wal_held[i] = 0;
            }
        }
        return SQLITE_OK;
    }
    const bool exclusive = (flags & SQLITE_SHM_EXCLUSIVE) != 0;
    for (std::size_t i = first; i < end; ++i) {
        const int others = all[i] - (file.wal_held[i] > 0 ? 1 : 0);
        if (file.wal_held[i] >= 0 && (exclusive ? others != 0 : all[i] < 0)) {
            return SQLITE_BUSY;
        }
    }
    for (std::size_t i = first; i < end; ++i) {
        if (exclusive) {
            all[i] = file.wal_held[i] = -1;
        } else if (file.wal_held[i] == 0) {
            ++all[i];
            file.wal_held[i] = 1;
        }
    }
    return SQLITE_OK;
}

void barrier(sqlite3_file*) {}

int unmap_wal(sqlite3_file* raw, int remove) {
    OpenFile& file = of(raw);
    release_wal(file);
    if (file.maps_wal) {
        file.maps_wal = false;
        if (--file.locks->wal_users == 0 && remove != 0) {
            file.locks->pages.clear();
        }
    }
    return SQLITE_OK;
}

} // namespace

std::shared_ptr<Locks> locks_of(const Disk& disk, const std::string& path) {
    Held& entry = held()[{&disk, path}];
    auto locks = entry.locks.lock();
    if (locks == nullptr || entry.life != disk.lives()) {
        locks = std::make_shared<Locks>();
        entry = {disk.lives(), locks};
    }
    return locks;
}

void forget_locks(const Disk& disk) {
    std::erase_if(held(), [&](const auto& entry) { return entry.first.first == &disk; });
}

const sqlite3_io_methods* file_methods() {
    static const sqlite3_io_methods methods = [] {
        sqlite3_io_methods m{};
        m.iVersion = 2;
        m.xClose = close_file;
        m.xRead = read_file_at;
        m.xWrite = write_file_at;
        m.xTruncate = truncate_file;
        m.xSync = sync_file;
        m.xFileSize = size_of_file;
        m.xLock = lock_file;
        m.xUnlock = unlock_file;
        m.xCheckReservedLock = check_reserved;
        m.xFileControl = control;
        m.xSectorSize = sector_size;
        m.xDeviceCharacteristics = characteristics;
        m.xShmMap = map_wal;
        m.xShmLock = lock_wal;
        m.xShmBarrier = barrier;
        m.xShmUnmap = unmap_wal;
        return m;
    }();
    return &methods;
}

} // namespace hasp::sim
