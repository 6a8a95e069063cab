// Where a socket listens or connects to, as text and as the kernel wants it.
#pragma once

#include "base/fd.h"
#include "base/result.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <sys/socket.h>

namespace hasp::net {

// A value: an IPv4 or IPv6 address with port, or the path of a unix socket. Never a host name.
class Address {
  public:
    Address() = default;
    // "127.0.0.1:8443", "[::1]:8443", "unix:/run/x.sock"; usage on anything else (a name, a missing
    // or too large port, a relative or too long path).
    static Result<Address> parse(std::string_view text);
    static Address from_kernel(const sockaddr_storage& storage, socklen_t size);
    static Result<Address> of_socket(int fd); // getsockname(2)

    const sockaddr* data() const { return reinterpret_cast<const sockaddr*>(&storage_); }
    socklen_t size() const { return size_; }
    int family() const { return storage_.ss_family; }
    bool is_unix() const { return family() == AF_UNIX; }
    bool is_loopback() const;
    std::uint16_t port() const; // 0 for unix
    // The IP alone, without port and brackets ("::ffff:1.2.3.4" as "1.2.3.4"); "unix" for unix
    // sockets.
    std::string host() const;
    // What parse() reads back; "unix:" for an unnamed peer.
    std::string to_string() const;

    bool operator==(const Address& other) const;

  private:
    sockaddr_storage storage_{};
    socklen_t size_ = 0;
};

// Of an IP, as Address::host() writes it, what is one site to limits that count per address: of
// IPv6 the /64, "2001:db8::/64", since whoever has one address there has all of them; else the
// address.
std::string site_of(const std::string& host);

} // namespace hasp::net
