#include "net/proxy_header.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <netinet/in.h>

namespace hasp::net {
namespace {

constexpr std::string_view signature("\r\n\r\n\0\r\nQUIT\n", 12);
constexpr std::size_t fixed_size = 16;
constexpr unsigned command_local = 0x20;
constexpr unsigned command_proxy = 0x21;
constexpr unsigned tcp_over_v4 = 0x11;
constexpr unsigned tcp_over_v6 = 0x21;
constexpr std::size_t v4_size = 12; // two addresses, two ports
constexpr std::size_t v6_size = 36;
constexpr std::size_t unix_size = 216;
constexpr unsigned tlv_crc32c = 0x03;
constexpr std::size_t tlv_head = 3;

unsigned byte(std::string_view bytes, std::size_t at) {
    return static_cast<unsigned char>(bytes[at]);
}
std::size_t two_bytes(std::string_view bytes, std::size_t at) {
    return std::size_t{byte(bytes, at)} << 8U | byte(bytes, at + 1);
}

// RFC 3720 appendix B.4; bit by bit, since one header a connection is checked. Bytes in [from, to)
// count as zero.
std::uint32_t crc32c(std::string_view bytes, std::size_t from, std::size_t to) {
    constexpr std::uint32_t polynomial = 0x82f63b78U;
    std::uint32_t crc = ~0U;
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        crc ^= i >= from && i < to ? 0U : byte(bytes, i);
        for (int bit = 0; bit < 8; ++bit) {
            crc = (crc >> 1U) ^ ((crc & 1U) != 0 ? polynomial : 0U);
        }
    }
    return ~crc;
}

ProxyHeader bad(const char* reason) {
    ProxyHeader out;
    out.state = ProxyHeader::State::bad;
    out.reason = reason;
    return out;
}

// `whole` is the header, whose extras begin at `at`. Null: they are well-formed.
const char* check_extras(std::string_view whole, std::size_t at) {
    while (at < whole.size()) {
        if (whole.size() - at < tlv_head) {
            return "the PROXY header ends within an extra field";
        }
        const std::size_t size = two_bytes(whole, at + 1);
        const std::size_t value = at + tlv_head;
        if (whole.size() - value < size) {
            return "an extra field of the PROXY header is longer than the header";
        }
        if (byte(whole, at) == tlv_crc32c) {
            if (size != 4) {
                return "the checksum of the PROXY header is not of four bytes";
            }
            const std::uint32_t said = static_cast<std::uint32_t>(two_bytes(whole, value)) << 16U |
                                       static_cast<std::uint32_t>(two_bytes(whole, value + 2));
            if (said != crc32c(whole, value, value + 4)) {
                return "the checksum of the PROXY header is wrong";
            }
        }
        at = value + size;
    }
    return nullptr;
}

Address v4_at(std::string_view whole) {
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    std::memcpy(&v4.sin_addr, whole.data() + fixed_size, 4);
    std::memcpy(&v4.sin_port, whole.data() + fixed_size + 8, 2);
    sockaddr_storage storage{};
    std::memcpy(&storage, &v4, sizeof v4);
    return Address::from_kernel(storage, sizeof v4);
}

Address v6_at(std::string_view whole) {
    sockaddr_in6 v6{};
    v6.sin6_family = AF_INET6;
    std::memcpy(&v6.sin6_addr, whole.data() + fixed_size, 16);
    std::memcpy(&v6.sin6_port, whole.data() + fixed_size + 32, 2);
    sockaddr_storage storage{};
    std::memcpy(&storage, &v6, sizeof v6);
    return Address::from_kernel(storage, sizeof v6);
}

} // namespace

ProxyHeader parse_proxy_header(std::string_view bytes) {
    const std::size_t begun = std::min(bytes.size(), signature.size());
    if (bytes.substr(0, begun) != signature.substr(0, begun)) {
        return bad("the connection does not begin with a PROXY header of version 2");
    }
    if (bytes.size() < fixed_size) {
        return {};
    }
    const unsigned command = byte(bytes, 12);
    if (command != command_local && command != command_proxy) {
        return bad("a version or a command of the PROXY protocol that is not known");
    }
    const std::size_t size = fixed_size + two_bytes(bytes, 14);
    if (size > proxy_header_bytes_max) {
        return bad("the PROXY header is too long");
    }
    if (bytes.size() < size) {
        return {};
    }
    ProxyHeader out;
    out.state = ProxyHeader::State::done;
    out.size = size;
    const std::string_view whole = bytes.substr(0, size);
    const unsigned family = byte(bytes, 13);
    if (command == command_local) {
        return out; // what follows is to be skipped, whatever it is
    }
    const std::size_t addresses = family == tcp_over_v4       ? v4_size
                                  : family == tcp_over_v6     ? v6_size
                                  : (family & 0xf0U) == 0x30U ? unix_size
                                                              : 0;
    if (addresses > size - fixed_size) {
        return bad("the PROXY header is too short for its addresses");
    }
    if (addresses == 0) {
        return out; // UNSPEC, or datagrams: nothing that could be read
    }
    if (const char* fault = check_extras(whole, fixed_size + addresses)) {
        return bad(fault);
    }
    if (family == tcp_over_v4) {
        out.client = v4_at(whole);
    } else if (family == tcp_over_v6) {
        out.client = v6_at(whole);
    }
    return out;
}

} // namespace hasp::net
