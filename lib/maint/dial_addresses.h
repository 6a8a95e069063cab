// Addresses of neighbours as they are written down (HOST:PORT, [IPV6]:PORT), and as front dials
// them. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace hasp::maint {

inline constexpr std::size_t dialled_max = 32; // numeric ones of a neighbour

// Numeric "ip:port" of a host, as far as known (Apps::resolve()).
using ResolveHost =
    std::function<std::vector<std::string>(const std::string& host, std::uint16_t port)>;

// In the order of the addresses, each once; those of one name are sorted, since resolvers give them
// in another order each time, which is no news. At most dialled_max. Precondition: each is
// trust::valid_address().
std::vector<std::string> numeric_addresses(const std::vector<std::string>& addresses,
                                           const ResolveHost& resolve);

} // namespace hasp::maint
