// What a supervisor leaves to the program that takes its place by exec: numbers of open descriptors
// and processes, as one JSON text in a memory file. Pure but for the two that pass descriptors on.
//
// The format is a promise between versions: a program that does not know it says so in its trial,
// before anything has changed, and the one that was there goes on.
#pragma once

#include "base/result.h"
#include "lanes.h"
#include "listening.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

namespace hasp::cmd {

inline constexpr int handover_format = 1;
inline constexpr std::size_t handover_bytes_max = 256 * 1024;
inline constexpr std::size_t handover_items_max = 4'096; // of listening sockets, of processes

struct Handover {
    struct Process {
        std::string role; // "front", "keeper" or "spawner"
        pid_t pid = -1;
        int control = -1;
        std::uint32_t number = 0;  // of a front
        std::uint32_t lane = 0;    // of a front
        bool leaving = false;      // a front that another has followed
        std::int64_t until_us = 0; // boot clock: when a leaving one is to end
        // Of a front with several loops. nullopt: a program from before them left it out, also of a
        // front that has some, from the program before that one.
        std::optional<MoreLanes> more = MoreLanes{};
        bool operator==(const Process&) const = default;
    };
    struct Socket {
        std::string kind;
        std::string spec;
        std::string address;
        int fd = -1;
        bool operator==(const Socket&) const = default;
    };
    int lock = -1;
    int ring = -1;
    int gate = -1;    // sync/open_gate.h: marks end with it; -1: there is none
    int program = -1; // the binary that was there before: what is gone back to
    int client = -1;  // who gave the command and waits for its answer; -1: nobody
    std::uint32_t next_number = 1;
    std::uint32_t cache_holder = 0; // the front that has the file of kept answers; 0: none
    std::string program_path;       // what `hasp restart` starts
    std::string config;             // text of the config that was in effect
    std::string failure;            // why the other program is gone back to; empty: it is not
    std::vector<Socket> listening;
    std::vector<Process> processes;
    bool operator==(const Handover&) const = default;
};

std::string pack(const Handover& handover);
// Code::usage: it is no handover; refused: of another format.
Result<Handover> unpack_handover(std::string_view text);

// Every descriptor in it, without -1.
std::vector<int> descriptors_of(const Handover& handover);

} // namespace hasp::cmd
