#include "dial_addresses.h"

#include "base/text.h"

#include <algorithm>

namespace hasp::maint {

std::vector<std::string> numeric_addresses(const std::vector<std::string>& addresses,
                                           const ResolveHost& resolve) {
    std::vector<std::string> out;
    for (const std::string& address : addresses) {
        const std::size_t colon = address.rfind(':');
        const auto port = parse_u64(std::string_view(address).substr(colon + 1));
        if (colon == std::string::npos || !port) {
            continue;
        }
        std::string host = address.substr(0, colon);
        if (host.starts_with('[')) {
            host = host.substr(1, host.size() - 2);
        }
        std::vector<std::string> found = resolve(host, static_cast<std::uint16_t>(*port));
        std::sort(found.begin(), found.end());
        for (std::string& one : found) {
            if (out.size() < dialled_max && std::find(out.begin(), out.end(), one) == out.end()) {
                out.push_back(std::move(one));
            }
        }
    }
    return out;
}

} // namespace hasp::maint
