// Names in certificates for browsers: DNS names and IP addresses, and the sets of them that an
// authority may sign for. Values; pure; any thread.
#pragma once

#include "base/result.h"

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace hasp::trust {

// In one certificate, and in one list of what is permitted.
inline constexpr std::size_t web_names_max = 64;

// A DNS name as in a certificate (RFC 5280 §4.2.1.6, RFC 1035 limits), all lower case; "*." may
// stand before it.
bool is_web_dns_name(std::string_view text);
// v4, or v6 without brackets.
bool is_web_address(std::string_view text);

// DNS subtrees ("clinic.lan": that name and everything below it) and networks ("10.1.0.0/16",
// "fd00::/8", or one address), as RFC 5280 §4.2.1.10 means them.
class WebNames {
  public:
    struct Network {
        std::string text;    // as it was written
        std::string address; // 4 or 16 bytes
        std::string mask;    // as many
    };
    // usage: anything else, bits behind a prefix, more than web_names_max.
    static Result<WebNames> parse(const std::vector<std::string>& texts);

    bool empty() const { return dns_.empty() && networks_.empty(); }
    // `name`: a DNS name, with a wildcard perhaps, or an address. False for what is neither.
    bool covers(std::string_view name) const;
    // Whether all that `inner` covers is covered.
    bool contains(const WebNames& inner) const;
    const std::vector<std::string>& dns() const { return dns_; }
    const std::vector<Network>& networks() const { return networks_; }
    // DNS first, in the order given.
    std::vector<std::string> texts() const;

  private:
    std::vector<std::string> dns_;
    std::vector<Network> networks_;
};

} // namespace hasp::trust
