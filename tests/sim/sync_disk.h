// lib/sync's disk over a simulated one, its root is "/" there, and where working copies lie on it.
#pragma once

#include "disk.h"
#include "sync/disk.h"
#include "sync/working_copies.h"

#include <memory>

namespace hasp::sim {

// `disk` must outlive it and every file opened from it.
std::unique_ptr<sync::Disk> make_sync_disk(Disk& disk);
// `state` is what "/" is called outside. Everything belongs to whoever runs hasp.
std::unique_ptr<sync::WorkingCopies> make_working_copies(Disk& disk, std::string state);

} // namespace hasp::sim
