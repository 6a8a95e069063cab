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
// Before the name of a peer, in which "@" comes first.
inline constexpr std::string_view peer_key = "n:";

// Of a connection that carries requests: what is sent must be acknowledged within `silence_ms`, and
// one on which nothing moves is tested in half of that.
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

// Of one that waits, perhaps for weeks: the control stream, whose heartbeats test the whole link,
// and parked ones. Tests at the pace of those in use would cost an idle site hundreds of megabytes
// a month. `every_s` 0: none by the kernel.
inline void set_waiting_link_options(int fd, std::int64_t silence_ms, int every_s) {
    set_link_options(fd, silence_ms);
    const int on = every_s > 0 ? 1 : 0;
    ::setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    if (every_s > 0) {
        ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &every_s, sizeof every_s);
    }
}

// While a neighbour's own reader makes it wait, it takes nothing for as long as that needs, and it
// is no silence: but TCP_USER_TIMEOUT also ends a connection whose window stays closed, though each
// probe of it is answered.
inline void set_window_may_close(int fd, bool may, std::int64_t silence_ms) {
    const auto timeout = static_cast<unsigned>(may ? 0 : silence_ms);
    ::setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, sizeof timeout);
}

// The kernel has sent, or has probed a closed window, several times since it heard anything.
inline bool is_silent(int fd) {
    tcp_info info{};
    socklen_t size = sizeof info;
    return ::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 &&
           (info.tcpi_probes >= 3 || info.tcpi_retransmits >= 5);
}

// A parked connection is tested by its child, often enough for a router between to remember it
// (RFC 5382, REQ-5: not less than two hours and four minutes; many keep them for five minutes).
inline constexpr int parked_test_s = 280;

} // namespace hasp::passon
