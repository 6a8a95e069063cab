// The tier's listening sockets: made by the supervisor, kept by it over every start of front.
#pragma once

#include "base/fd.h"
#include "base/result.h"

#include <string>
#include <vector>

namespace hasp::cmd {

struct ListenSpec {
    std::string kind;    // "web", "web-tls", "metrics" or "link"
    std::string address; // as in the config
    bool operator==(const ListenSpec&) const = default;
};

struct Listening {
    ListenSpec spec;
    std::string address; // with the port that port 0 became
    Fd fd;
};

// The sockets that `wanted` names, in its order: those of `have` that are wanted still, as
// duplicates, and new ones. `have` is left as it is, so that nothing has changed where this fails.
// Errors: conflict (an address is in use), usage (no address).
Result<std::vector<Listening>> listen_as(const std::vector<ListenSpec>& wanted,
                                         const std::vector<Listening>& have);

} // namespace hasp::cmd
