// Networks of IP addresses, as an operator names them. A value; pure.
#pragma once

#include "base/result.h"
#include "net/address.h"

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

namespace hasp::net {

class Networks {
  public:
    // "10.0.0.0/8", "2001:db8::/32", or an address alone. IPv4 stands for itself mapped into IPv6
    // as well. usage: anything else, and bits set behind the prefix (10.0.0.1/8).
    Status add(std::string_view text);
    bool empty() const { return list_.empty(); }
    // False for unix sockets.
    bool contains(const Address& address) const;
    // The same for an address as text, without port and brackets; false for what is none.
    bool contains(std::string_view text) const;
    static bool is_address(std::string_view text);

  private:
    // IPv4 as ::ffff:a.b.c.d.
    using Bytes = std::array<std::uint8_t, 16>;
    struct Network {
        Bytes bytes;
        unsigned bits;
    };
    static bool read(std::string_view text, Bytes& out, bool& v4);
    bool covers(const Bytes& address) const;
    std::vector<Network> list_;
};

} // namespace hasp::net
