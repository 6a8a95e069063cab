// Connections of users by address. A LAN may share one network of IPv6, and a stranger has one to
// himself, or thousands: it gets a few times what an address does. One thread, or a lock around it.
#pragma once

#include "net/address.h"

#include <algorithm>
#include <cstddef>
#include <string>
#include <unordered_map>

namespace hasp::passon {

struct AddressLimits {
    std::size_t an_address = 0;
    std::size_t a_site = 0; // net::site_of()
};

class AddressCounts {
  public:
    // One more; false: a limit is reached, and nothing is counted.
    bool enter(const std::string& host, const AddressLimits& most) {
        const std::string site = net::site_of(host);
        if (of(host) >= most.an_address || (site != host && of(site) >= most.a_site)) {
            return false;
        }
        ++counts_[host];
        if (site != host) {
            ++counts_[site];
        }
        return true;
    }
    void leave(const std::string& host) {
        less(host);
        if (const std::string site = net::site_of(host); site != host) {
            less(site);
        }
    }

  private:
    std::size_t of(const std::string& key) const {
        const auto at = counts_.find(key);
        return at == counts_.end() ? 0 : at->second;
    }
    void less(const std::string& key) {
        const auto at = counts_.find(key);
        if (at != counts_.end() && --at->second == 0) {
            counts_.erase(at);
        }
    }
    std::unordered_map<std::string, std::size_t> counts_;
};

} // namespace hasp::passon
