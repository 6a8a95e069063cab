// What trusted proxies in front of us say of a request: who asks, and by which address he knows us.
// Only to be called for a request that came from one of them: anybody can write these fields. Pure.
#pragma once

#include "net/header.h"
#include "net/networks.h"

#include <string_view>

namespace hasp::net {

// Views into the fields. Empty: nothing was said, or nothing that is understood.
struct Forwarded {
    std::string_view client; // an IP address without port and brackets
    std::string_view scheme; // "http" or "https"
    std::string_view host;   // as in a Host field; not checked
};

// X-Forwarded-For, -Proto and -Host. Every proxy adds the address that it was asked from at the
// end, so the client is the last that is not itself a proxy; what stands before it anybody may have
// written. Of the others the last word counts, the nearest proxy's.
Forwarded read_x_forwarded(const Headers& headers, const Networks& proxies);
// Forwarded (RFC 7239): the element of the last `for` that is not a proxy's.
Forwarded read_forwarded(const Headers& headers, const Networks& proxies);

} // namespace hasp::net
