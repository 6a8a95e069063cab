// The dialer: the first program inside an app's sandbox. It starts the app as its child, and hands
// out sockets that are connected to the app, so that the app's private network can be reached from
// outside without a byte being copied. PROTOCOL.md in lib/run has the bytes. One thread; runs until
// the app has ended.
#pragma once

#include "run/manifest.h"

#include <string>
#include <vector>

namespace hasp::run {

inline constexpr int dial_timeout_ms = 5000;  // how long one connect to the app may take
inline constexpr int dials_pending_max = 256; // more wait in the listening socket's queue
inline constexpr std::size_t dial_error_bytes_max = 200;

// The hidden subcommand with which the binary is executed inside the sandbox:
//     BINARY dialer LISTEN_FD CONTROL_FD TARGET LIMITS -- COMMAND…
// cmd/hasp calls dialer_command() when argv[1] is this word, before it does anything else.
inline constexpr const char* dialer_word = "dialer";

struct DialerOptions {
    int listen_fd = -1;  // unix stream socket that listens; -1: hand out nothing (the init command)
    int control_fd = -1; // seqpacket socket to the spawner; its end means that the spawner is gone
    bool unix_socket = false;
    std::uint16_t port = 0;  // TCP: 127.0.0.1:port
    std::string socket_path; // unix: the app's socket
    Limits limits;           // set on the app (never on the dialer)
    bool limit_data =
        false; // hold each process's data to limits.memory_mb (where no cgroup limits memory)
    bool landlocked = false; // no PID namespace: the dialer ends the app's descendants itself
};

// Runs the app; returns its exit status, 128 + N when signal N ended it, 126/127 when it could not
// be executed. Never returns before every descendant it can see was told to end.
int dialer_main(const DialerOptions& options, const std::vector<std::string>& command);

// Parses the arguments after dialer_word and runs dialer_main. The caller passes the value to
// _exit().
int dialer_command(int argc, char** argv);

} // namespace hasp::run
