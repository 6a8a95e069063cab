#include "net/networks.h"

#include "base/text.h"

#include <algorithm>
#include <arpa/inet.h>
#include <cstring>
#include <netinet/in.h>
#include <string>

namespace hasp::net {
namespace {

constexpr unsigned mapped_bits = 96;
constexpr std::array<std::uint8_t, 12> mapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

} // namespace

bool Networks::read(std::string_view text, Bytes& out, bool& v4) {
    char copy[INET6_ADDRSTRLEN];
    if (text.empty() || text.size() >= sizeof copy || text.find('\0') != std::string_view::npos) {
        return false;
    }
    std::memcpy(copy, text.data(), text.size());
    copy[text.size()] = '\0';
    v4 = text.find(':') == std::string_view::npos;
    if (!v4) {
        return ::inet_pton(AF_INET6, copy, out.data()) == 1;
    }
    std::copy(mapped.begin(), mapped.end(), out.begin());
    return ::inet_pton(AF_INET, copy, out.data() + mapped.size()) == 1;
}

Status Networks::add(std::string_view text) {
    const std::size_t slash = text.find('/');
    Network one{};
    bool v4 = false;
    if (!read(text.substr(0, slash), one.bytes, v4)) {
        return fail(Code::usage, "'" + std::string(text) +
                                     "' is no network, for example 10.0.0.0/8 or 2001:db8::/32");
    }
    const unsigned most = v4 ? 32 : 128;
    std::uint64_t prefix = most;
    if (slash != std::string_view::npos) {
        const auto given = parse_u64(text.substr(slash + 1));
        if (!given || *given > most) {
            return fail(Code::usage, "'" + std::string(text) +
                                         "': the prefix is no number from 0 to " +
                                         std::to_string(most));
        }
        prefix = *given;
    }
    one.bits = static_cast<unsigned>(prefix) + (v4 ? mapped_bits : 0);
    for (unsigned bit = one.bits; bit < 128; ++bit) {
        if ((one.bytes[bit / 8] & (0x80U >> (bit % 8))) != 0) {
            return fail(Code::usage,
                        "'" + std::string(text) +
                            "': the address has bits behind the prefix; is it meant as an "
                            "address alone?");
        }
    }
    list_.push_back(one);
    return {};
}

bool Networks::covers(const Bytes& address) const {
    return std::any_of(list_.begin(), list_.end(), [&address](const Network& one) {
        const unsigned whole = one.bits / 8;
        const unsigned rest = one.bits % 8;
        if (std::memcmp(one.bytes.data(), address.data(), whole) != 0) {
            return false;
        }
        return rest == 0 || (one.bytes[whole] ^ address[whole]) >> (8 - rest) == 0;
    });
}

bool Networks::contains(const Address& address) const {
    Bytes bytes{};
    if (address.family() == AF_INET) {
        sockaddr_in v4{};
        std::memcpy(&v4, address.data(), sizeof v4);
        std::copy(mapped.begin(), mapped.end(), bytes.begin());
        std::memcpy(bytes.data() + mapped.size(), &v4.sin_addr, sizeof v4.sin_addr);
    } else if (address.family() == AF_INET6) {
        sockaddr_in6 v6{};
        std::memcpy(&v6, address.data(), sizeof v6);
        std::memcpy(bytes.data(), &v6.sin6_addr, sizeof v6.sin6_addr);
    } else {
        return false;
    }
    return covers(bytes);
}

bool Networks::is_address(std::string_view text) {
    Bytes bytes{};
    bool v4 = false;
    return read(text, bytes, v4);
}

bool Networks::contains(std::string_view text) const {
    Bytes bytes{};
    bool v4 = false;
    return read(text, bytes, v4) && covers(bytes);
}

} // namespace hasp::net
