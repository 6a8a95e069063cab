// SQLite over simulated disks: a VFS that becomes the default of this program, so that every store
// runs on it unchanged, WAL and its shared memory included. A database's path decides its disk:
// that of the longest mounted prefix. A path without a disk cannot be opened.
//
// One thread. Locks count between connections of this program alone.
#pragma once

#include "disk.h"

#include <string>

namespace hasp::sim {

// While it lives, PREFIX/a is the file /a of `disk`. The first one registers the VFS.
class Mount {
  public:
    Mount(std::string prefix, Disk& disk);
    ~Mount();
    Mount(const Mount&) = delete;
    Mount& operator=(const Mount&) = delete;

  private:
    std::string prefix_;
};

// SQLite's own randomness (salts of the WAL) goes on from this seed.
void seed_sqlite(std::uint64_t seed);

} // namespace hasp::sim
