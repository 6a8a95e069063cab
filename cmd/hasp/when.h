// Times as people give them on the command line.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace hasp::cmd {

// 2026-11-20, 2026-11-20T10:00, 2026-11-20T10:00:30, with Z or without: UTC; a space does for T.
// Microseconds since 1970.
std::optional<std::int64_t> time_of(std::string_view text);

} // namespace hasp::cmd
