// lib/sync's disk over a simulated one: its root is "/" there.
#pragma once

#include "disk.h"
#include "sync/disk.h"

#include <memory>

namespace hasp::sim {

// `disk` must outlive it and every file opened from it.
std::unique_ptr<sync::Disk> make_sync_disk(Disk& disk);

} // namespace hasp::sim
