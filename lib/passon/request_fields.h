// Small helpers of the places that write heads.
#pragma once

#include "net/head.h"
#include "net/write_head.h"

namespace hasp::passon {

// What an answer must say about the connection to this client.
inline void write_connection_field(net::HeadWriter& out, const net::RequestHead& head, bool keep) {
    if (!keep) {
        out.trusted("Connection", "close");
    } else if (head.version_minor == 0) {
        out.trusted("Connection", "keep-alive");
    }
}

// Hop-by-hop by their own name (RFC 9110 §7.6.1), in requests and answers.
inline bool is_hop_by_hop(net::Name id) {
    switch (id) {
    case net::Name::connection:
    case net::Name::keep_alive:
    case net::Name::proxy_authenticate:
    case net::Name::proxy_authorization:
    case net::Name::proxy_connection:
    case net::Name::te:
    case net::Name::trailer:
    case net::Name::transfer_encoding:
    case net::Name::upgrade:
    case net::Name::http2_settings:
        return true;
    default:
        return false;
    }
}

} // namespace hasp::passon
