// What makes a new content out of an old one that both sides have: which of its bytes go on, and
// what is new between them, compressed with the bytes that it replaces as its dictionary. Format
// and limits: PROTOCOL.md, "difference".
//
// A difference is never trusted: whoever applies one compares the digest of what came out.
// Errors: refused (bytes that are no difference, output beyond its limit), try_later (the file
// changed while it was read), and what files and sinks return. Pure but for them; any thread.
#pragma once

#include "sync/codec.h"

#include <cstdint>
#include <vector>

namespace hasp::sync {

inline constexpr std::size_t difference_steps_bytes_max = std::size_t{256} * 1024;
inline constexpr std::size_t difference_new_bytes_max = std::size_t{1} << 20;
inline constexpr std::size_t difference_prefix_bytes_max = std::size_t{1} << 20;
// Below this a base is not worth its hash.
inline constexpr std::uint64_t difference_worth_bytes = 64;

Status make_difference(ReadFile& base, ReadFile& file, const Sink& out);

struct Step; // compare.h
// As what was found before, of all of the file, says.
Status make_difference(ReadFile& base, ReadFile& file, const std::vector<Step>& steps,
                       const Sink& out);

// What a difference makes, in order, each piece behind the one before.
class Assembly {
  public:
    virtual ~Assembly() = default;
    virtual Status fresh(std::string_view bytes) = 0;
    // What stands in the base from `from` on, which nobody has read yet.
    virtual Status copied(std::uint64_t from, std::uint64_t length) = 0;
};

// Bytes [from, from + length) of it, in pieces. refused: it ends before.
Status read_range(ReadFile& file, std::uint64_t from, std::uint64_t length, const Sink& out);

// Ends with refused as soon as it would make more than `size_max`. Reads to the difference's own
// end and not beyond.
Status apply_difference(ReadFile& base, const Pull& difference, std::uint64_t size_max,
                        Assembly& out);
Status apply_difference(ReadFile& base, const Pull& difference, std::uint64_t size_max,
                        const Sink& out);

} // namespace hasp::sync
