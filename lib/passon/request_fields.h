// Small helpers of the places that write heads.
#pragma once

#include "net/head.h"
#include "net/write_head.h"

#include <array>
#include <cstdint>
#include <cstring>
#include <string_view>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace hasp::passon {

// Two digits for every byte.
inline constexpr std::array<char, 512> hex_pairs = [] {
    constexpr std::string_view digits = "0123456789abcdef";
    std::array<char, 512> out{};
    for (std::size_t byte = 0; byte < 256; ++byte) {
        out[2 * byte] = digits[byte / 16];
        out[2 * byte + 1] = digits[byte % 16];
    }
    return out;
}();

// Sixteen lower-case digits, the bytes in the order in which they lie in memory.
inline void write_hex(char* out, std::uint64_t value) {
#if defined(__SSE2__)
    const __m128i bytes = _mm_cvtsi64_si128(static_cast<long long>(value));
    const __m128i low_bits = _mm_set1_epi8(0x0f);
    const __m128i halves = _mm_unpacklo_epi8(_mm_and_si128(_mm_srli_epi16(bytes, 4), low_bits),
                                             _mm_and_si128(bytes, low_bits));
    const __m128i letters =
        _mm_and_si128(_mm_cmpgt_epi8(halves, _mm_set1_epi8(9)), _mm_set1_epi8('a' - '0' - 10));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out),
                     _mm_add_epi8(_mm_add_epi8(halves, _mm_set1_epi8('0')), letters));
#else
    std::array<std::uint8_t, 8> bytes;
    std::memcpy(bytes.data(), &value, 8);
    for (std::size_t i = 0; i < 8; ++i) {
        std::memcpy(out + 2 * i, &hex_pairs[2U * bytes[i]], 2);
    }
#endif
}

// What an answer must say about the connection to this client.
inline void write_connection_field(net::HeadWriter& out, const net::RequestHead& head, bool keep) {
    if (!keep) {
        out.trusted("Connection", "close");
    } else if (head.version_minor == 0) {
        out.trusted("Connection", "keep-alive");
    }
}

// Hop-by-hop by their own name (RFC 9110 §7.6.1), in requests and answers.
constexpr bool is_hop_by_hop(net::Name id) {
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

// Fields of a request that are never copied: ours to write, or only between the client and us.
inline bool is_rewritten(net::Name id) {
    switch (id) {
    case net::Name::host:
    case net::Name::content_length:
    case net::Name::expect:
    case net::Name::cookie:
    case net::Name::authorization:
    case net::Name::cdn_loop:
    case net::Name::x_request_id:
    case net::Name::traceparent:
    case net::Name::tracestate:
    case net::Name::forwarded:
    case net::Name::x_forwarded_for:
    case net::Name::x_forwarded_host:
    case net::Name::x_forwarded_proto:
        return true;
    default:
        return is_hop_by_hop(id);
    }
}

// Conditions of a client; the cache asks under its own, and judges the client's by what it has.
inline bool is_condition(net::Name id) {
    return id == net::Name::if_match || id == net::Name::if_none_match ||
           id == net::Name::if_modified_since || id == net::Name::if_unmodified_since ||
           id == net::Name::if_range;
}

// Known names whose fields a request takes along as they are, unless its Connection or the app's
// header map says otherwise. `mapped`: those that never come from outside.
inline net::NameSet passing_names(const net::NameSet& mapped) {
    net::NameSet out;
    for (std::size_t i = 1; i < net::names_known; ++i) {
        const auto id = static_cast<net::Name>(i);
        if (!is_rewritten(id) && !is_condition(id) && !mapped.has(id) &&
            id != net::Name::max_forwards) {
            out.add(id);
        }
    }
    return out;
}

} // namespace hasp::passon
