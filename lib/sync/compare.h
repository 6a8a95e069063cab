// Where a new content goes on as an old one does. Pure but for the files; any thread.
//
// What matches is found where the last match would go on first (edits in place, appends), then
// near it (insertions, deletions), then through a table of the old content's blocks (moves). Every
// match is compared byte by byte, so that no strong sums are needed. What would cost whoever makes
// the file again more than it saves (effort.h) is told as new. Memory is bounded whatever the
// files' sizes: two windows and a table of at most 8 MiB, which is made only where something of the
// old content has not been found again.
#pragma once

#include "sync/codec.h"

#include <cstdint>
#include <functional>

namespace hasp::sync {

// A shorter match costs more than it saves.
inline constexpr std::uint64_t match_bytes_least = 32;

// Bytes [from, to) of the new content are new; then `length` bytes follow that stand at `base` in
// the old one. Length 0: it ends with what is new.
struct Step {
    std::uint64_t from = 0;
    std::uint64_t to = 0;
    std::uint64_t base = 0;
    std::uint64_t length = 0;
};

// In the order of the new content, all of it. Errors: those of the files and of `out`.
Status compare(ReadFile& base, ReadFile& file, const std::function<Status(const Step&)>& out);

// A file read by pieces that overlap, so that any few bytes of it stand together.
class Window {
  public:
    explicit Window(ReadFile& file, std::uint64_t size) : file_(file), size_(size) {}
    std::uint64_t size() const { return size_; }
    // Up to `wanted` (at most window_wanted_max) bytes; fewer only at the end of the file. Valid
    // until the next call. Empty after a failed read, whose error stays.
    std::string_view at(std::uint64_t offset, std::size_t wanted);
    const std::optional<Error>& error() const { return error_; }
    std::uint64_t reads() const { return reads_; } // of the file, so far

  private:
    ReadFile& file_;
    std::uint64_t size_;
    std::uint64_t begin_ = 0;
    std::string bytes_;
    std::uint64_t reads_ = 0;
    std::optional<Error> error_;
};
inline constexpr std::size_t window_wanted_max = std::size_t{128} * 1024;

} // namespace hasp::sync
