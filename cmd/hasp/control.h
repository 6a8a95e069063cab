// What the supervisor and a process say to each other over a SOCK_SEQPACKET pair: one short text a
// message, at most one descriptor with it. The first word is the verb:
//   to a process    listen KIND ADDRESS +fd | ring +fd | access-log +fd | peer ROLE +fd | pids
//   ROLE=PID … | start | drain to the supervisor   ready TEXT | drained
// A closed socket means that the other side is gone: a process then ends.
#pragma once

#include "base/fd.h"
#include "base/result.h"

#include <cstddef>
#include <optional>
#include <string>

namespace hasp::cmd {

inline constexpr int control_fd = 3; // where a process finds its end
inline constexpr std::size_t control_message_bytes_max = 4096;

struct ControlMessage {
    std::string verb;
    std::string rest;
    Fd fd;
};

// Non-blocking. A full socket is an error: the other side has stopped reading.
Status send_control(int socket, const std::string& text, int fd = -1);

// nullopt: nothing to read now. Code::unreachable: the other side is gone.
Result<std::optional<ControlMessage>> receive_control(int socket);

// Waits for the next message (start-up of a process).
Result<ControlMessage> wait_control(int socket);

} // namespace hasp::cmd
