// Whatever an app's host name, a text for a resolver has lines of known shapes alone: nothing in a
// name ends a line, a quotation or a zone.
#include "names.h"

#include <cstdlib>
#include <cstring>

namespace {

using namespace hasp;
using namespace hasp::cmd;

void check_line(std::string_view line) {
    constexpr const char* beginnings[] = {"#",
                                          ";",
                                          "host-record=",
                                          "address=/",
                                          "local=/",
                                          "server=/*.",
                                          "server:",
                                          "    local-zone: \"",
                                          "    local-data: \"",
                                          "$TTL ",
                                          "@ IN ",
                                          "* IN ",
                                          "    ",
                                          "Add-DnsServer"};
    for (const char c : line) {
        if (c < ' ' || c > '~') {
            std::abort();
        }
    }
    bool known = line.empty() || line.find(" IN A") != std::string_view::npos;
    for (const char* beginning : beginnings) {
        known = known || line.starts_with(beginning);
    }
    if (!known) {
        std::abort();
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string host(size > 0 ? reinterpret_cast<const char*>(data) : "", size);
    const bool wildcard = size > 0 && (data[0] & 1U) != 0;
    const Json tier{{"app_host", "{app}." + host},
                    {"portal_hosts", Json::array({host, "clinic.example"})},
                    {"apps", Json::array({{{"name", host},
                                           {"where", host},
                                           {"mount", "both"},
                                           {"hosts", Json::array({host})}}})}};
    ZoneData all{plan_names(tier, wildcard), {*IpAddress::parse("192.0.2.10")}};
    for (const Resolver resolver :
         {Resolver::dnsmasq, Resolver::unbound, Resolver::bind, Resolver::windows}) {
        const auto text = render_names(resolver, all);
        std::size_t start = 0;
        while (text.ok() && start < text->size()) {
            const std::size_t end = text->find('\n', start);
            if (end == std::string::npos) {
                std::abort();
            }
            check_line(std::string_view(*text).substr(start, end - start));
            start = end + 1;
        }
    }
    const auto name = DnsName::parse(host);
    if (name.ok() && *DnsName::parse(name->text()) != *name) {
        std::abort();
    }
    return 0;
}
