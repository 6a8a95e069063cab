// What the keeper's logic needs from the process around it. Implemented by cmd/hasp, and by tests.
#pragma once

#include "base/result.h"

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hasp::maint {

// A control stream to a neighbour, numbered by front.
using LinkId = std::uint64_t;

// A request to a server that is no tier.
struct OutsideCall {
    std::string url;
    std::string method = "GET"; // or HEAD, POST
    std::string content_type;
    std::string body;
    std::string ca_file; // PEM; empty: the system's authorities
};
struct OutsideAnswer {
    int status = 0;
    std::vector<std::pair<std::string, std::string>> headers; // names in lower case
    std::string body;
};
inline constexpr std::size_t outside_answer_bytes_max = 256 * 1024;
inline constexpr std::int64_t outside_limit_s = 30; // of a call, and of a command

// One thread: every call comes from, and every callback goes to, the keeper's own. Calls must not
// block and may be made while the other side is absent: what is sent then is dropped (states are
// sent again when it comes back).
class KeeperPorts {
  public:
    virtual ~KeeperPorts() = default;
    // A frame (lib/ipc) to front or spawner; the descriptors stay the caller's.
    virtual void send_front(std::string_view head, std::string_view body,
                            std::span<const int> fds) = 0;
    virtual void send_spawner(std::string_view head, std::string_view body) = 0;
    // An answer to a command on the admin socket.
    virtual void answer_admin(std::uint64_t client, std::string_view head,
                              std::string_view body) = 0;
    // Runs `work` on a worker thread, then `done` on the keeper's thread. Order is not kept.
    virtual void background(std::function<void()> work, std::function<void()> done) = 0;
    // HTTP to the outside. `done` is called once, on the keeper's thread, with an answer of any
    // status, or unreachable or timed_out. Redirects are not followed. Where there is no outside,
    // that is the answer.
    virtual void outside_http(OutsideCall, std::function<void(Result<OutsideAnswer>)> done) {
        done(fail(Code::unreachable, "nothing outside is reached from here"));
    }
    // Runs an operator's program: no shell, the first of `arguments` is its path. `done` as above;
    // an error has the last of what it said.
    virtual void outside_command(std::vector<std::string>, std::function<void(Status)> done) {
        done(fail(Code::unreachable, "no program is run from here"));
    }
};

} // namespace hasp::maint
