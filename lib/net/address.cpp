#include "net/address.h"

#include "base/text.h"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <netinet/in.h>
#include <sys/un.h>

namespace hasp::net {
namespace {

constexpr std::string_view unix_prefix = "unix:";

Error malformed(std::string_view text, const char* why) {
    return fail(Code::usage, "\"" + std::string(text) + "\" is not an address: " + why,
                "write 127.0.0.1:8443, [::1]:8443 or unix:/path");
}

template <typename T>
T as(const sockaddr_storage& storage) {
    T value{};
    std::memcpy(&value, &storage, sizeof value);
    return value;
}

} // namespace

Result<Address> Address::parse(std::string_view text) {
    Address out;
    if (text.substr(0, unix_prefix.size()) == unix_prefix) {
        const std::string_view path = text.substr(unix_prefix.size());
        sockaddr_un un{};
        un.sun_family = AF_UNIX;
        if (path.empty() || path.front() != '/' || path.find('\0') != std::string_view::npos) {
            return malformed(text, "the path of a unix socket is absolute");
        }
        if (path.size() >= sizeof un.sun_path) {
            return malformed(text, "the path of a unix socket has at most 107 bytes");
        }
        std::copy(path.begin(), path.end(), un.sun_path);
        std::memcpy(&out.storage_, &un, sizeof un);
        out.size_ = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + 1);
        return out;
    }
    const std::size_t colon = text.rfind(':');
    const auto port =
        colon == std::string_view::npos ? std::nullopt : parse_u64(text.substr(colon + 1));
    if (!port || *port > 65'535) {
        return malformed(text, "the port is missing or not in 0 to 65535");
    }
    std::string host{text.substr(0, colon)};
    const auto port_bytes = htons(static_cast<std::uint16_t>(*port));
    if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
        sockaddr_in6 v6{};
        v6.sin6_family = AF_INET6;
        v6.sin6_port = port_bytes;
        if (inet_pton(AF_INET6, host.substr(1, host.size() - 2).c_str(), &v6.sin6_addr) != 1) {
            return malformed(text, "no IPv6 address between the brackets");
        }
        std::memcpy(&out.storage_, &v6, sizeof v6);
        out.size_ = sizeof v6;
        return out;
    }
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = port_bytes;
    if (host.find('\0') != std::string::npos ||
        inet_pton(AF_INET, host.c_str(), &v4.sin_addr) != 1) {
        return malformed(text, "no IP address before the port");
    }
    std::memcpy(&out.storage_, &v4, sizeof v4);
    out.size_ = sizeof v4;
    return out;
}

Address Address::from_kernel(const sockaddr_storage& storage, socklen_t size) {
    Address out;
    out.storage_ = storage;
    out.size_ = std::min<socklen_t>(size, sizeof storage);
    return out;
}

Result<Address> Address::of_socket(int fd) {
    sockaddr_storage storage{};
    socklen_t size = sizeof storage;
    if (getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &size) != 0) {
        return errno_error(errno, "getsockname");
    }
    return from_kernel(storage, size);
}

bool Address::is_loopback() const {
    switch (family()) {
    case AF_UNIX:
        return true;
    case AF_INET:
        return (ntohl(as<sockaddr_in>(storage_).sin_addr.s_addr) >> 24U) == 127;
    case AF_INET6: {
        const std::string text = host();
        return text == "::1" || text.substr(0, 4) == "127.";
    }
    default:
        return false;
    }
}

std::uint16_t Address::port() const {
    if (family() == AF_INET) {
        return ntohs(as<sockaddr_in>(storage_).sin_port);
    }
    return family() == AF_INET6 ? ntohs(as<sockaddr_in6>(storage_).sin6_port) : std::uint16_t{0};
}

std::string Address::host() const {
    char text[INET6_ADDRSTRLEN] = "";
    if (family() == AF_INET) {
        const auto v4 = as<sockaddr_in>(storage_);
        inet_ntop(AF_INET, &v4.sin_addr, text, sizeof text);
        return text;
    }
    if (family() == AF_INET6) {
        const auto v6 = as<sockaddr_in6>(storage_);
        if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
            inet_ntop(AF_INET, &v6.sin6_addr.s6_addr[12], text, sizeof text);
        } else {
            inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text);
        }
        return text;
    }
    return "unix";
}

std::string Address::to_string() const {
    if (family() == AF_INET) {
        return host() + ":" + std::to_string(port());
    }
    if (family() == AF_INET6) {
        char text[INET6_ADDRSTRLEN] = "";
        const auto v6 = as<sockaddr_in6>(storage_);
        inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text);
        return "[" + std::string(text) + "]:" + std::to_string(port());
    }
    const auto un = as<sockaddr_un>(storage_);
    const std::size_t room =
        size_ > offsetof(sockaddr_un, sun_path) ? size_ - offsetof(sockaddr_un, sun_path) : 0;
    return std::string(unix_prefix) +
           std::string(un.sun_path, strnlen(un.sun_path, std::min(room, sizeof un.sun_path)));
}

bool Address::operator==(const Address& other) const {
    return size_ == other.size_ && std::memcmp(&storage_, &other.storage_, size_) == 0;
}

std::string site_of(const std::string& host) {
    in6_addr address{};
    if (host.find(':') == std::string::npos || ::inet_pton(AF_INET6, host.c_str(), &address) != 1) {
        return host;
    }
    std::memset(&address.s6_addr[8], 0, 8);
    std::array<char, INET6_ADDRSTRLEN> text{};
    ::inet_ntop(AF_INET6, &address, text.data(), text.size());
    return std::string(text.data()) + "/64";
}

} // namespace hasp::net
