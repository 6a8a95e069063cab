// What a proxy in front of us says about the connection that it passes on: the header of the PROXY
// protocol, version 2 ("The PROXY protocol", HAProxy, section 2.2). Pure.
#pragma once

#include "net/address.h"

#include <cstddef>
#include <optional>
#include <string_view>

namespace hasp::net {

// The longest that is taken: the addresses and a proxy's usual extras (TLVs).
inline constexpr std::size_t proxy_header_bytes_max = 4096;

struct ProxyHeader {
    enum class State : unsigned char { need_more, done, bad };
    State state = State::need_more;
    std::size_t size = 0; // done: bytes of the header; the connection's own follow
    // Whose connection it is. Nothing: the proxy's own (LOCAL, a health check), or one of no IP.
    std::optional<Address> client;
    const char* reason = ""; // bad: a static sentence
};

// Of the bytes that a connection begins with. Extras are skipped, but a checksum among them
// (PP2_TYPE_CRC32C) must be right.
ProxyHeader parse_proxy_header(std::string_view bytes);

} // namespace hasp::net
