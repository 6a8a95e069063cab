// What both directions of a difference share.
#pragma once

#include "sync/difference.h"

#include <string>
#include <vector>

namespace hasp::sync {

// New bytes of one chunk, and the base's that they stand in the place of: [from, to).
struct NewRun {
    std::uint64_t from = 0;
    std::uint64_t to = 0;
};

// One step of a chunk as it is told: `added` new bytes, then `length` of the base from `base` on.
struct ChunkStep {
    std::uint64_t added = 0;
    std::uint64_t base = 0;
    std::uint64_t length = 0;
};

// Where the base goes on after a step, if that changed nothing but bytes in their place.
std::uint64_t base_after(std::uint64_t base_at, const ChunkStep& step);
// What the new bytes of a step replace.
NewRun replaced_by(std::uint64_t base_at, const ChunkStep& step);

// What comes is given on, the rest read from the base.
class PlainAssembly final : public Assembly {
  public:
    PlainAssembly(ReadFile& base, const Sink& out) : base_(base), out_(out) {}
    Status fresh(std::string_view bytes) override { return out_(bytes); }
    Status copied(std::uint64_t from, std::uint64_t length) override {
        return read_range(base_, from, length, out_);
    }

  private:
    ReadFile& base_;
    const Sink& out_;
};

// The dictionary of a chunk: what its runs replace, with `context` bytes of the base around each.
Result<std::string> prefix_of(ReadFile& base, const std::vector<NewRun>& runs,
                              std::uint64_t context);

// zstd without its magic; `size` is what must come out.
Result<std::string> pack_with_prefix(std::string_view bytes, std::string_view prefix, int level);
Result<std::string> unpack_with_prefix(std::string_view packed, std::string_view prefix,
                                       std::size_t size);

} // namespace hasp::sync
