// The members of a zip archive, as far as office programs and common tools write them: one disk, no
// zip64, no encryption, a central directory that ends right before the end record. Everything else
// is not one of these, and is a file like any other. What is said here is not trusted further than
// that the places lie within the file, apart from one another: whoever packs a member again
// compares the bytes. Source: PKWARE's APPNOTE.TXT 6.3.10, sections 4.3 and 4.4. Pure but for the
// file; any thread. Memory: the central directory. Private to lib/sync.
#pragma once

#include "base/result.h"
#include "sync/disk.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace hasp::sync {

inline constexpr std::size_t zip_members_max = 4096;
inline constexpr std::uint64_t zip_directory_bytes_max = std::uint64_t{1} << 20;
inline constexpr std::size_t zip_comment_bytes_max = 1024; // of the archive

struct ZipMember {
    std::string name;
    bool deflated = false; // else it is stored, or packed in a way that is not known here
    unsigned effort = 0;   // what its packer says: 0 normal, 1 maximum, 2 fast, 3 super fast
    std::uint32_t crc = 0;
    std::uint64_t packed = 0; // bytes, as the central directory says
    std::uint64_t size = 0;
    std::uint64_t head = 0; // where its local header begins
    std::uint64_t end = 0;  // where what follows begins: nothing of it lies beyond
};

// By where they lie; their names differ. Nothing: it is none of these. Errors: those of the file.
Result<std::optional<std::vector<ZipMember>>> zip_members(ReadFile& file);

// Where the packed bytes of a member begin. Nothing: its local header is another one, or they would
// not end where they have to.
Result<std::optional<std::uint64_t>> zip_data(ReadFile& file, const ZipMember& member);

// All `size` bytes from `from` on, or fewer where the file ends. `size` is bounded by the caller.
Result<std::string> read_bytes(ReadFile& file, std::uint64_t from, std::size_t size);

} // namespace hasp::sync
