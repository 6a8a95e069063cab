// What the keeper's logic needs from the process around it. Implemented by cmd/hasp, and by tests.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace hasp::maint {

// A control stream to a neighbour, numbered by front.
using LinkId = std::uint64_t;

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
};

} // namespace hasp::maint
