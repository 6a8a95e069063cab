// What makes a new zip archive (an office document is one) out of an old one that both sides have.
// A small edit changes most of a member's packed bytes, so the members that differ are compared as
// they were before they were packed. That is done only where zlib gives the very bytes that they
// had, which is tried before anything is sent; all else of an archive stays as it is. Format and
// limits: PROTOCOL.md, "Members"; why: doc/decisions/0031.
//
// As a difference, it is never trusted: whoever applies one compares the digest of what came out,
// and with another zlib it may be another content.
// Errors: refused (bytes that are none, or cost too much), and what files and sinks return. Pure
// but for them; any thread. Memory beside a difference's: 26 MB who makes one, 16 MB who applies
// it.
#pragma once

#include "sync/difference.h"

#include <cstdint>
#include <optional>
#include <string>

namespace hasp::sync {

// Archives beyond these are compared as they are.
inline constexpr std::uint64_t members_file_bytes_least = 512;
inline constexpr std::uint64_t members_file_bytes_max = std::uint64_t{64} << 20;
// Of one archive, those that differ: how many, and unpacked bytes.
inline constexpr std::size_t members_unpacked_max = 256;
inline constexpr std::uint64_t members_bytes_max = std::uint64_t{8} << 20;
// More, and a member would be read for little that comes of it.
constexpr std::uint64_t members_packed_bytes_max(std::uint64_t size) {
    return size + size / 4 + 64;
}
// So many packed bytes have to differ: else the plain difference is small, too.
inline constexpr std::uint64_t members_worth_bytes = 256;

// How zlib packs a member: strategy and window are its defaults.
struct Packing {
    unsigned level = 6;  // 1 to 9
    unsigned memory = 8; // memLevel, 8 or 9
    friend bool operator==(const Packing&, const Packing&) = default;
};

// What unpacking and packing in one batch or answer costs: few bytes of a difference could ask for
// much of it. Counted in bytes that are packed at level 6; the slowest content that was found takes
// a second for 8 MB of them. Who makes differences stays within it, who applies them refuses what
// does not.
class MembersWork {
  public:
    static constexpr std::uint64_t bytes_max = std::uint64_t{32} << 20;
    static constexpr std::uint64_t bytes_a_member = std::uint64_t{16} * 1024;
    // False: it is too much, and is not counted.
    bool unpack(std::uint64_t size);
    bool may_pack(std::uint64_t size, unsigned level) const;
    void packed(std::uint64_t size, unsigned level);

  private:
    std::uint64_t done_ = 0;
};

// Nothing: they are no two archives of which members differ, cannot be packed again, or the
// difference of the archives as they are is worth as much.
Result<std::optional<std::string>> members_difference(ReadFile& base, ReadFile& file,
                                                      MembersWork& work);

// As apply_difference(). What is copied of the base is told of as that where it is outside of the
// members that differ.
Status apply_members(ReadFile& base, const Pull& difference, std::uint64_t size_max,
                     MembersWork& work, Assembly& out);
Status apply_members(ReadFile& base, const Pull& difference, std::uint64_t size_max,
                     MembersWork& work, const Sink& out);

} // namespace hasp::sync
