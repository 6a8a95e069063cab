// An open file of the VFS, and the locks that connections hold on it. Used by vfs.cpp alone.
#pragma once

#include "disk.h"

#include <array>
#include <deque>
#include <memory>
#include <sqlite3.h>
#include <string>

namespace hasp::sim {

// Of one database file, shared by its connections: SQLite's five lock levels, and the shared memory
// of its WAL, which is no part of the disk and is gone at a crash.
struct Locks {
    int shared = 0; // connections at SHARED or above
    bool reserved = false;
    bool pending = false;
    bool exclusive = false;
    std::deque<std::string> pages;           // a deque: pages never move
    std::array<int, SQLITE_SHM_NLOCK> wal{}; // -1: exclusive, else the number of shared holders
    int wal_users = 0;
};

// Those of this life of the disk.
std::shared_ptr<Locks> locks_of(const Disk& disk, const std::string& path);
void forget_locks(const Disk& disk);

struct OpenFile {
    Disk* disk = nullptr;
    File file;
    std::string path;
    std::uint64_t life = 0;
    bool name_unsynced = false; // a new journal: its first sync makes its name durable
    bool delete_on_close = false;
    std::shared_ptr<Locks> locks;
    int level = SQLITE_LOCK_NONE;
    bool maps_wal = false;
    std::array<int, SQLITE_SHM_NLOCK> wal_held{}; // 0, 1: shared, -1: exclusive
    bool usable() const { return disk->lives() == life && !disk->dead(); }
};

struct VfsFile {
    sqlite3_file base{};
    OpenFile* open = nullptr; // owned: SQLite gives raw memory and calls close
};

const sqlite3_io_methods* file_methods();

} // namespace hasp::sim
