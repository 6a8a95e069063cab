// A PROXY header's meaning does not depend on how its bytes arrive, nor on what follows it.
#include "net/proxy_header.h"

#include <cstdint>
#include <cstdlib>
#include <string>

using namespace hasp::net;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string bytes(reinterpret_cast<const char*>(data), size);
    const ProxyHeader whole = parse_proxy_header(bytes);
    for (const std::size_t cut : {size / 2, size - (size > 0 ? 1 : 0)}) {
        const ProxyHeader part = parse_proxy_header(std::string_view(bytes).substr(0, cut));
        if ((part.state != ProxyHeader::State::need_more && part.state != whole.state) ||
            (part.state == ProxyHeader::State::done && part.size != whole.size)) {
            std::abort();
        }
    }
    if (whole.state == ProxyHeader::State::done) {
        const ProxyHeader alone = parse_proxy_header(std::string_view(bytes).substr(0, whole.size));
        if (whole.size > size || whole.size > proxy_header_bytes_max ||
            alone.state != ProxyHeader::State::done ||
            alone.client.has_value() != whole.client.has_value()) {
            std::abort();
        }
        if (whole.client && whole.client->host().empty()) {
            std::abort();
        }
    }
    return 0;
}
