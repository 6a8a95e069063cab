// A deflate stream (RFC 1951) as what is packed in it, and packed again by zlib with parameters
// that give the same bytes. Pure but for files and sinks; any thread. Private to lib/sync.
#pragma once

#include "sync/codec.h"
#include "sync/members.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace hasp::sync {

// What a deflate stream at [from, from + length) has packed: `size` bytes exactly, and it ends with
// the last of its own. refused: it is none. Memory grows with what comes out, up to `size`, which
// the caller bounds.
Result<std::string> inflate_range(ReadFile& file, std::uint64_t from, std::uint64_t length,
                                  std::uint64_t size);

// Packs one member after the other. In pieces of one size, so that what comes out depends on the
// member alone.
class Deflater {
  public:
    Deflater();
    ~Deflater();
    Deflater(const Deflater&) = delete;
    Deflater& operator=(const Deflater&) = delete;
    Status begin(const Packing& how);
    Status write(std::string_view bytes, const Sink& out);
    Status finish(const Sink& out);
    std::uint64_t taken() const; // of the member, so far

  private:
    struct State;
    Status put(std::string_view bytes, bool last, const Sink& out);
    std::unique_ptr<State> state_;
};

// The parameters with which `plain` becomes `packed` again; `likely` first. Nothing: there are none
// among those that are tried, or `work` is at its end. Each try ends with the first byte that
// differs.
std::optional<Packing> find_packing(std::string_view plain, std::string_view packed, Packing likely,
                                    MembersWork& work);

} // namespace hasp::sync
