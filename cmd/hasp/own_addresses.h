// Which addresses of this machine users can connect to: what a name of the tier may lead to.
#pragma once

#include "names.h"

#include <cstdint>
#include <string>
#include <vector>

namespace hasp::cmd {

// One address of an interface of this machine.
struct MachineAddress {
    std::string ip;      // without brackets and zone
    bool passes = false; // an IPv6 address that is temporary, deprecated or not yet usable
};

// Of every interface that is up; empty when they cannot be listed. Blocks on nothing but the
// kernel.
std::vector<MachineAddress> machine_addresses();

struct OwnAddresses {
    std::vector<IpAddress> addresses; // as listened on: IPv4 first, each once; may be empty
    std::vector<std::string> notes;   // sentences, for people
};

// Pure. `listen`: IP:PORT of the tier's web listeners. Listeners on 0.0.0.0 stand for the machine's
// IPv4 addresses, those on [::] for both families. Loopback is given only when nothing else is
// there, with a note. Link-local addresses and those that pass are left out.
OwnAddresses own_addresses(const std::vector<std::string>& listen,
                           const std::vector<MachineAddress>& machine);

} // namespace hasp::cmd
