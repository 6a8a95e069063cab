#include "own_addresses.h"

#include "base/files.h"
#include "base/text.h"

#include <algorithm>
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <linux/if_addr.h>
#include <memory>
#include <net/if.h>
#include <set>
#include <sstream>

namespace hasp::cmd {

namespace {

constexpr std::size_t table_bytes_max = 1 << 20;

// Flags of IPv6 addresses, which getifaddrs(3) does not tell: lines of "ADDRESS INDEX LENGTH SCOPE
// FLAGS NAME", in hex.
std::set<std::string> passing_v6() {
    std::set<std::string> out;
    auto table = read_file("/proc/net/if_inet6", table_bytes_max);
    std::istringstream lines(table.ok() ? *table : "");
    std::string address, index, length, scope, flags, name;
    while (lines >> address >> index >> length >> scope >> flags >> name) {
        const unsigned long set = std::strtoul(flags.c_str(), nullptr, 16);
        const auto bytes = from_hex(address);
        char text[INET6_ADDRSTRLEN] = {};
        if ((set & (IFA_F_TEMPORARY | IFA_F_DEPRECATED | IFA_F_TENTATIVE | IFA_F_DADFAILED)) != 0 &&
            bytes && bytes->size() == 16 &&
            ::inet_ntop(AF_INET6, bytes->data(), text, sizeof text) != nullptr) {
            out.insert(text);
        }
    }
    return out;
}

std::string ip_of(const std::string& listen) {
    std::string host = listen.substr(0, listen.rfind(':'));
    return host.starts_with('[') && host.ends_with(']') ? host.substr(1, host.size() - 2) : host;
}

} // namespace

std::vector<MachineAddress> machine_addresses() {
    ifaddrs* first = nullptr;
    if (::getifaddrs(&first) != 0) {
        return {};
    }
    const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> list(first, ::freeifaddrs);
    const std::set<std::string> passing = passing_v6();
    std::vector<MachineAddress> out;
    for (const ifaddrs* one = first; one != nullptr; one = one->ifa_next) {
        if (one->ifa_addr == nullptr || (one->ifa_flags & IFF_UP) == 0) {
            continue;
        }
        char text[INET6_ADDRSTRLEN] = {};
        const int family = one->ifa_addr->sa_family;
        if (family == AF_INET) {
            const auto* at = reinterpret_cast<const sockaddr_in*>(one->ifa_addr);
            ::inet_ntop(family, &at->sin_addr, text, sizeof text);
        } else if (family == AF_INET6) {
            const auto* at = reinterpret_cast<const sockaddr_in6*>(one->ifa_addr);
            ::inet_ntop(family, &at->sin6_addr, text, sizeof text);
        } else {
            continue;
        }
        out.push_back({text, passing.contains(text)});
    }
    return out;
}

OwnAddresses own_addresses(const std::vector<std::string>& listen,
                           const std::vector<MachineAddress>& machine) {
    std::vector<IpAddress> all;
    const auto add = [&](const std::string& ip) {
        auto address = IpAddress::parse(ip);
        if (address.ok() && std::find(all.begin(), all.end(), *address) == all.end()) {
            all.push_back(*address);
        }
    };
    for (const std::string& one : listen) {
        const std::string ip = ip_of(one);
        if (ip != "0.0.0.0" && ip != "::") {
            add(ip);
            continue;
        }
        for (const MachineAddress& have : machine) {
            const bool v6 = have.ip.find(':') != std::string::npos;
            if (!have.passes && (ip == "::" || !v6)) {
                add(have.ip);
            }
        }
    }
    std::stable_partition(all.begin(), all.end(), [](const IpAddress& a) { return !a.v6(); });
    OwnAddresses out;
    const bool only_loopback =
        std::all_of(all.begin(), all.end(), [](const IpAddress& a) { return a.is_loopback(); });
    if (!only_loopback) {
        std::erase_if(all, [](const IpAddress& a) { return a.is_loopback(); });
    } else if (!all.empty()) {
        out.notes.push_back("the tier listens on loopback alone: nobody but this machine reaches "
                            "it; set listen or tls_listen under [web] in hasp.toml, or give "
                            "--address");
    }
    if (all.size() > addresses_max) {
        out.notes.push_back("of " + std::to_string(all.size()) + " addresses the first " +
                            std::to_string(addresses_max) + " are taken: give --address");
        all.resize(addresses_max, all.front());
    }
    const auto v6 =
        std::count_if(all.begin(), all.end(), [](const IpAddress& a) { return a.v6(); });
    if (v6 > 1 || static_cast<std::ptrdiff_t>(all.size()) - v6 > 1) {
        out.notes.push_back("there are several addresses of one family, and users get them in any "
                            "order: where not all of them lead here, give --address");
    }
    out.addresses = std::move(all);
    return out;
}

} // namespace hasp::cmd
