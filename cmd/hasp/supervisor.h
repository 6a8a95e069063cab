// The parent of the processes: makes what they share (listening sockets, the usage ring, the file
// of kept answers), starts them from the same binary, restarts each that dies and gives the
// survivors new ends of the socket pairs between them. `hasp reload` puts a new front beside the
// old one, `hasp restart` another binary in this one's place (doc/decisions/0020).
#pragma once

#include "base/fd.h"
#include "base/log.h"
#include "base/result.h"
#include "handover.h"
#include "maint/config.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace hasp::cmd {

struct SupervisorOptions {
    std::string state;   // absolute
    std::string config;  // absolute; where `read` reads, for the program that comes after this one
    std::string program; // absolute: what `hasp restart` starts
    std::function<Result<maint::Config>()> read; // the config as it is on the disk now
    Fd lock;                                     // of STATE
    bool json_log = false;
    std::int64_t drain_ms = 10'000;
    std::uint32_t usage_records = 16'384; // a lane; a power of two
    std::optional<Handover> from;         // of the program that was here before, with its processes
};

// Runs until SIGTERM or SIGINT. 0 after a drained stop, 1 when the tier never became ready. Errors,
// before anything was started: conflict (an address is in use), usage (no address, a bad config).
// Prints `ready http://ADDRESS` on stdout when the first snapshot is served. One thread.
Result<int> run_supervisor(SupervisorOptions options, const Clock& clock);

} // namespace hasp::cmd
