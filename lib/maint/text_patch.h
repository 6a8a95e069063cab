// A text as its difference to one that the other side has already, or compressed when it has none:
// a Zstandard frame (RFC 8878) whose prefix is the base, with size and checksum of the content.
// Pure; any thread.
#pragma once

#include "base/result.h"

#include <cstddef>
#include <string>
#include <string_view>

namespace hasp::maint {

// Neither text may be larger than text_patch_bytes_max.
inline constexpr std::size_t text_patch_bytes_max = 64U << 20;

Result<std::string> make_patch(std::string_view base, std::string_view text);

// Code::refused: damaged, cut short, made for another base, or of a text above `bytes_max`; no more
// memory than that is taken for it, beside zstd's window (at most 128 MiB).
Result<std::string> apply_patch(std::string_view base, std::string_view patch,
                                std::size_t bytes_max);

} // namespace hasp::maint
