// What proxies say is nothing or an address, and what a client wrote before a proxy's own entry
// changes nothing.
#include "net/forwarded.h"
#include "net/head.h"

#include <cstdint>
#include <cstdlib>
#include <string>

using namespace hasp::net;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string given(reinterpret_cast<const char*>(data), size);
    if (!is_field_value(given)) {
        return 0;
    }
    Networks proxies;
    if (!proxies.add("10.0.0.0/8").ok()) {
        std::abort();
    }
    const std::string added = given + ", for=203.0.113.9;proto=https";
    for (const std::string& value : {given, added, given + ", 203.0.113.9"}) {
        Headers headers;
        headers.add("Forwarded", value, Name::forwarded);
        headers.add("X-Forwarded-For", value, Name::x_forwarded_for);
        for (const Forwarded& said :
             {read_forwarded(headers, proxies), read_x_forwarded(headers, proxies)}) {
            if (!said.client.empty() && !Networks::is_address(said.client)) {
                std::abort();
            }
        }
    }
    // Of a field line of its own there is no doubt.
    Headers apart;
    apart.add("Forwarded", given, Name::forwarded);
    apart.add("Forwarded", "for=203.0.113.9", Name::forwarded);
    if (read_forwarded(apart, proxies).client != "203.0.113.9") {
        std::abort();
    }
    // Put behind the client's in one line, a proxy's word is believed or nobody's is.
    Headers together;
    together.add("Forwarded", added, Name::forwarded);
    const std::string_view client = read_forwarded(together, proxies).client;
    if (!client.empty() && client != "203.0.113.9") {
        std::abort();
    }
    return 0;
}
