// The first process of `hasp serve`: takes the state lock, binds what must be bound, starts front,
// keeper and spawner from this same binary, restarts each that dies and gives the survivors new
// ends of the socket pairs between them. It decides nothing.
#pragma once

#include "base/fd.h"
#include "base/log.h"
#include "base/result.h"

#include <array>
#include <cstdint>
#include <string>
#include <sys/types.h>
#include <vector>

namespace hasp::cmd {

struct ListenSpec {
    std::string kind;    // "web", "web-tls" or "link"
    std::string address; // as in the config; port 0 is resolved in the message to front
};

struct SupervisorOptions {
    std::string state;  // absolute
    std::string config; // absolute
    std::vector<ListenSpec> listen;
    std::string access_log; // empty: none
    std::string cache;      // file of kept answers; empty: none
    std::string tls_cert;   // of browsers' listeners; looked at every few seconds; empty: none
    std::string tls_key;
    bool json_log = false;
    std::int64_t drain_ms = 10'000;
    std::uint32_t usage_records = 16'384; // a lane; a power of two
};

// Runs until SIGTERM or SIGINT. 0 after a drained stop, 1 when the tier never became ready. Errors,
// before anything was started: conflict (an address is in use), usage (no address). Prints `ready
// http://ADDRESS` on stdout when the first snapshot is served. The state lock must be held by the
// caller for as long as this runs. One thread.
Result<int> run_supervisor(const SupervisorOptions& options, const Log& log);

} // namespace hasp::cmd
