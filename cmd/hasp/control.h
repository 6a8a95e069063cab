// What the supervisor and a process say to each other over a SOCK_SEQPACKET pair: one short text a
// message, at most one descriptor with it. PROTOCOL.md in this folder has the messages. A closed
// socket means that the other side is gone: a process then ends.
#pragma once

#include "base/fd.h"
#include "base/result.h"

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace hasp::cmd {

inline constexpr int control_fd = 3; // where a process finds its end
inline constexpr std::size_t control_message_bytes_max = 4096;

// Every verb there is. A text that begins with another one is not sent.
struct ControlVerb {
    std::string_view word;
    bool to_process; // else to the supervisor
    bool with_fd;
};
inline constexpr std::array control_verbs{
    ControlVerb{"listen", true, true},       ControlVerb{"access-log", true, true},
    ControlVerb{"cache", true, true},        ControlVerb{"web-certificate", true, true},
    ControlVerb{"web-key", true, true},      ControlVerb{"ring", true, true},
    ControlVerb{"gate", true, true},         ControlVerb{"peer", true, true},
    ControlVerb{"pids", true, false},        ControlVerb{"start", true, false},
    ControlVerb{"drain", true, false},       ControlVerb{"gone", true, false},
    ControlVerb{"lead", true, false},        ControlVerb{"leave", true, false},
    ControlVerb{"ready", false, false},      ControlVerb{"failed", false, false},
    ControlVerb{"cache-left", false, false}, ControlVerb{"drained", false, false},
    ControlVerb{"rejoin", false, false},     ControlVerb{"changed", false, false},
    ControlVerb{"confirm", true, false}};

struct ControlMessage {
    std::string verb;
    std::string rest;
    Fd fd;
};

// Non-blocking. A full socket is an error: the other side has stopped reading. Code::usage for a
// verb that is not in the table, too long a text, or a descriptor where none belongs.
Status send_control(int socket, const std::string& text, int fd = -1);

// nullopt: nothing to read now. Code::unreachable: the other side is gone.
Result<std::optional<ControlMessage>> receive_control(int socket);

// Waits for the next message (start-up of a process).
Result<ControlMessage> wait_control(int socket);

} // namespace hasp::cmd
