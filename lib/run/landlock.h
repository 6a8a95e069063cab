// Landlock: files and TCP ports that a process and what it starts may still use. Private.
#pragma once

#include "base/result.h"

#include <cstdint>
#include <string>
#include <vector>

namespace hasp::run {

// 0: the kernel has none, or it is switched off.
int landlock_abi();

inline constexpr int landlock_abi_network = 4; // from here on TCP ports are held
inline constexpr int landlock_abi_scopes = 6;  // from here on signals and abstract sockets are held

struct LandlockRules {
    std::vector<std::string>
        read; // files or folders that may be read and executed; missing ones are passed over
    std::vector<std::string> write;   // folders that may be changed; all must exist
    std::vector<std::string> devices; // files that may be read and written
    std::uint16_t port = 0;           // the one TCP port to bind and to connect to; 0: none
};

// On this thread, for good. Needs PR_SET_NO_NEW_PRIVS.
Status landlock_here(const LandlockRules& rules);

} // namespace hasp::run
