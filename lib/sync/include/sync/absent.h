// A file that stands in its place with all but its content: as long as the whole, a hole from its
// first byte to its last, and marked. The mark is an attribute of the file itself that only root
// sees (trusted.hasp.absent), so it is true of the file wherever an app moves it, and however hasp
// ends. What reads such a file without hasp in between reads zeros: OpenGate (open_gate.h) holds
// whoever opens it until its content is there, and Disk::open() gives nobody its zeros.
//
// The mark goes last: a file that has it may have some of its content already, and begins anew.
#pragma once

#include "base/result.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace hasp::sync {

inline constexpr char absent_attribute[] = "trusted.hasp.absent";
// Contents of fewer bytes come at once.
inline constexpr std::uint64_t absent_bytes_min = std::uint64_t{64} << 10;
inline constexpr std::size_t absent_text_bytes_max = 512;

// What is to come.
struct Absent {
    std::string user;
    std::string app;
    std::string name;       // of the content, as an Entry has it
    std::uint64_t size = 0; // of the content; the file may have been cut since
    // Its content has begun to come, and the file's time was this then.
    std::optional<std::int64_t> mtime_ns = std::nullopt;
    friend bool operator==(const Absent&, const Absent&) = default;
};

// "1 SIZE USER APP HEX-OF-NAME", and " MTIME" where it has begun.
std::string absent_text(const Absent& absent);
// Nothing: it is none.
std::optional<Absent> parse_absent(std::string_view text);

} // namespace hasp::sync
