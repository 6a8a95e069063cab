// Sockets between tiers: a cut cable must show within seconds, not after the kernel's quarter of an
// hour.
#pragma once

#include <cstdint>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string_view>
#include <sys/socket.h>

namespace hasp::passon {

inline constexpr std::string_view parent_key = "^parent";

inline void set_link_options(int fd, std::int64_t silence_ms) {
    const auto timeout = static_cast<unsigned>(silence_ms);
    const int on = 1;
    const int idle_s = static_cast<int>(silence_ms / 2000 > 0 ? silence_ms / 2000 : 1);
    const int probes = 2;
    ::setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, sizeof timeout);
    ::setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
    ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &idle_s, sizeof idle_s);
    ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
}

} // namespace hasp::passon
