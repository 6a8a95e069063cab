// A plan of names as each resolver reads it.
#include "names.h"

#include <algorithm>
#include <cstdio>

namespace hasp::cmd {

namespace {

constexpr const char* anew =
    "After a change of apps or addresses it is to be made and loaded again.";

std::string comment(const std::string& mark, const std::vector<std::string>& lines) {
    std::string out;
    for (const std::string& line : lines) {
        out += mark + (line.empty() ? "" : " ") + line + "\n";
    }
    return out;
}

bool covered(const NamePlan& plan, const DnsName& name) {
    return std::any_of(plan.wildcards.begin(), plan.wildcards.end(),
                       [&](const DnsName& wildcard) { return name.is_in(wildcard); });
}

std::vector<IpAddress> of_family(const std::vector<IpAddress>& all, bool v6) {
    std::vector<IpAddress> out;
    std::copy_if(all.begin(), all.end(), std::back_inserter(out),
                 [v6](const IpAddress& one) { return one.v6() == v6; });
    return out;
}

// One address of each family fits into a line; with several there are several lines.
std::string host_records(const DnsName& name, const ZoneData& data) {
    const std::vector<IpAddress> v4 = of_family(data.addresses, false);
    const std::vector<IpAddress> v6 = of_family(data.addresses, true);
    std::string out;
    for (std::size_t i = 0; i < std::max(v4.size(), v6.size()); ++i) {
        out += "host-record=" + name.text() + (i < v4.size() ? "," + v4[i].text() : "") +
               (i < v6.size() ? "," + v6[i].text() : "") + "," + std::to_string(data.ttl_s) + "\n";
    }
    return out;
}

std::string dnsmasq(const ZoneData& data) {
    std::string out = comment(
        "#",
        {"For dnsmasq: a file in /etc/dnsmasq.d, then  dnsmasq --test  and a restart.", anew,
         "host-record= gives one name its addresses, address=/NAME/ a name and all below it.",
         "local=/NAME/ answers what else is asked of it (the other address family) with nothing,",
         "where a resolver outside would be asked, and waited for if there is none; for a name "
         "with",
         "mail (MX) leave it out. server=/*.NAME/# leaves what is below the name as it was "
         "(2.86)."});
    for (const DnsName& wildcard : data.plan.wildcards) {
        out += "\n";
        for (const IpAddress& address : data.addresses) {
            out += "address=/" + wildcard.text() + "/" + address.text() + "\n";
        }
        out += "local=/" + wildcard.text() + "/\n";
        out += "# address= has no lifetime of its own: local-ttl=" + std::to_string(data.ttl_s) +
               " gives one to all that dnsmasq answers itself\n";
    }
    out += "\n";
    for (const HostName& host : data.plan.names) {
        if (covered(data.plan, host.name)) {
            continue;
        }
        out += host_records(host.name, data);
        out += "local=/" + host.name.text() + "/\nserver=/*." + host.name.text() + "/#\n";
    }
    return out;
}

std::string unbound_zone(const DnsName& name, const std::string& type, const ZoneData& data) {
    std::string out = "    local-zone: \"" + name.text() + ".\" " + type + "\n";
    for (const IpAddress& address : data.addresses) {
        out += "    local-data: \"" + name.text() + ". " + std::to_string(data.ttl_s) + " IN " +
               (address.v6() ? "AAAA " : "A ") + address.text() + "\"\n";
    }
    return out;
}

std::string unbound(const ZoneData& data) {
    std::string out = comment(
        "#", {"For unbound: a file in /etc/unbound/unbound.conf.d, then  unbound-checkconf  and",
              "unbound-control reload.", anew,
              "transparent: what else is asked of a name (the other address family) is answered "
              "with",
              "nothing, and other names as before. typetransparent would ask outside for it, as is",
              "wanted for the mail (MX) of such a name, and waits where there is no way out.",
              "redirect: the name and all below it have these addresses."});
    out += "server:\n";
    for (const DnsName& wildcard : data.plan.wildcards) {
        out += unbound_zone(wildcard, "redirect", data);
    }
    for (const HostName& host : data.plan.names) {
        // In a redirected zone there may be no other data.
        if (!covered(data.plan, host.name)) {
            out += unbound_zone(host.name, "transparent", data);
        }
    }
    return out;
}

// What a zone has to answer: the name before it ("@", "*", "wiki"), in order.
std::vector<std::string> owners_in(const DnsName& zone, const NamePlan& plan) {
    std::vector<std::string> out;
    for (const HostName& host : plan.names) {
        if (host.name.is_in(zone)) {
            out.push_back(host.name.below(zone));
        }
    }
    for (const DnsName& wildcard : plan.wildcards) {
        if (wildcard.is_in(zone)) {
            // A wildcard is not its own domain (RFC 4592 §2.1.3), which dnsmasq's and unbound's is.
            out.push_back(wildcard.below(zone));
            out.push_back(wildcard == zone ? "*" : "*." + wildcard.below(zone));
        }
    }
    std::sort(out.begin(), out.end());
    out.erase(std::unique(out.begin(), out.end()), out.end());
    return out;
}

Result<std::string> bind(const ZoneData& data) {
    const std::vector<DnsName> zones =
        data.zone ? std::vector<DnsName>{*data.zone} : zones_of(data.plan);
    if (zones.size() != 1) {
        std::string list;
        for (std::size_t i = 0; i < zones.size() && i < 10; ++i) {
            list += (i == 0 ? "" : ", ") + zones[i].text();
        }
        return fail(Code::usage,
                    "the names are in " + std::to_string(zones.size()) +
                        " zones, and a zone file holds one: " + list +
                        (zones.size() > 10 ? ", …" : ""),
                    "print each with --zone ZONE, or name one that holds them all");
    }
    const std::string& zone = zones.front().text();
    std::string out = comment(
        ";",
        {"For BIND: the zone " + zone + ", in /etc/bind/" + zone +
             ".zone, and in named.conf.local:",
         "", "  zone \"" + zone + "\" {", "      type primary;",
         "      file \"/etc/bind/" + zone + ".zone\";", "  };", "",
         "Then  named-checkzone " + zone + " /etc/bind/" + zone + ".zone  and  rndc reload.", anew,
         "A zone is answered for wholly: what else there is below " + zone +
             ", mail for example, is to be",
         "added, or it is not found on the LAN any more."});
    const std::string ttl = std::to_string(data.ttl_s);
    out += "$TTL " + ttl + "\n@ IN SOA localhost. root.localhost. (\n    " +
           std::to_string(data.serial) + " ; serial\n    3600 ; refresh\n    600 ; retry\n" +
           "    604800 ; expire\n    " + ttl +
           " ) ; how long it is remembered that there is none\n" + "@ IN NS localhost.\n";
    for (const std::string& owner : owners_in(zones.front(), data.plan)) {
        for (const IpAddress& address : data.addresses) {
            out += owner + " IN " + (address.v6() ? "AAAA " : "A ") + address.text() + "\n";
        }
    }
    return out;
}

// As .NET reads a TimeSpan: d.hh:mm:ss.
std::string time_span(std::uint32_t seconds) {
    char text[32] = {};
    std::snprintf(text, sizeof text, "%u.%02u:%02u:%02u", seconds / 86'400, seconds / 3'600 % 24,
                  seconds / 60 % 60, seconds % 60);
    return text;
}

std::string windows(const ZoneData& data) {
    std::string out = comment(
        "#", {"For Windows DNS: PowerShell as an administrator of the DNS server.", anew,
              "A zone is answered for wholly: what else there is below it, mail for example, is to "
              "be",
              "added, or it is not found on the LAN any more. Where the zone is there already, "
              "leave out",
              "its Add-DnsServerPrimaryZone. On a domain controller -ReplicationScope 'Domain' in "
              "place of",
              "-ZoneFile keeps the zone in the directory."});
    for (const DnsName& zone : data.zone ? std::vector<DnsName>{*data.zone} : zones_of(data.plan)) {
        out += "\nAdd-DnsServerPrimaryZone -Name '" + zone.text() + "' -ZoneFile '" + zone.text() +
               ".dns'\n";
        for (const std::string& owner : owners_in(zone, data.plan)) {
            for (const IpAddress& address : data.addresses) {
                out += std::string("Add-DnsServerResourceRecord") + (address.v6() ? "AAAA" : "A") +
                       " -ZoneName '" + zone.text() + "' -Name '" + owner +
                       (address.v6() ? "' -IPv6Address '" : "' -IPv4Address '") + address.text() +
                       "' -TimeToLive '" + time_span(data.ttl_s) + "'\n";
            }
        }
    }
    return out;
}

} // namespace

Result<std::string> render_names(Resolver resolver, const ZoneData& data) {
    if (data.addresses.empty()) {
        return fail(Code::usage, "no address for the names to lead to",
                    "give it with --address IP");
    }
    switch (resolver) {
    case Resolver::dnsmasq:
        return dnsmasq(data);
    case Resolver::unbound:
        return unbound(data);
    case Resolver::bind:
        return bind(data);
    case Resolver::windows:
        break;
    }
    return windows(data);
}

} // namespace hasp::cmd
