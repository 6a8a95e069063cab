// What one backup holds: a head, its files in the order in which they are put back, and an end that
// says how many and what all of it hashes to. As text: one JSON object a line (PROTOCOL.md).
// Values; any thread. Nothing is allocated by a length that is merely announced.
#pragma once

#include "base/result.h"
#include "sync/codec.h"
#include "trust/hash.h"

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hasp::backup {

// SHA-256 of a chunk's plain bytes, which is the name that it is kept under.
using ChunkName = std::array<char, trust::sha256_bytes>;

inline constexpr std::uint32_t chunk_bytes_max = 1U << 20;
// Pages change here and there; of a large database the list would be what grows.
constexpr std::uint32_t database_chunk_bytes(std::uint64_t size) {
    return size <= std::uint64_t{8} << 30U ? 64U << 10U : chunk_bytes_max;
}
// The names of a file's chunks: 512 GiB.
inline constexpr std::size_t manifest_line_bytes_max = std::size_t{32} << 20;
inline constexpr std::uint64_t items_max = 10'000'000;

struct Head {
    std::string id;         // valid_backup_id()
    std::int64_t at_us = 0; // wall clock: the moment that its databases show
    std::string tier;       // hasp://…
    std::string version;    // of hasp
    std::string keys;       // fingerprint of the keys that it needs, which are not in it
};

enum class ItemKind : unsigned char { file, folder, symlink };

// How a file looked when it was read: as long as it looks so, it is not read again.
struct Seen {
    std::int64_t mtime_ns = 0;
    std::int64_t ctime_ns = 0;
    std::uint64_t inode = 0;
    friend bool operator==(const Seen&, const Seen&) = default;
};

struct Item {
    ItemKind kind = ItemKind::file;
    std::string path; // beneath the state folder (sync/disk.h: valid_path), any bytes
    std::uint32_t mode = 0;
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
    std::string target; // of a symlink
    // Of a file:
    std::uint64_t size = 0;
    std::uint32_t chunk_bytes = 0; // each chunk but the last has so many
    std::vector<ChunkName> chunks;
    Seen seen;
};

// 20261129T210005Z-1f2e3d4c: the time in UTC, and chance.
bool valid_backup_id(std::string_view id);
std::string make_backup_id(std::int64_t at_us, std::string_view four_random_bytes);

// Writes lines to `out`. Items come sorted by nothing in particular; each path once.
class ManifestWriter {
  public:
    explicit ManifestWriter(sync::Sink out, std::uint64_t at_most = items_max)
        : out_(std::move(out)), items_max_(at_most) {}
    Status head(const Head& head);
    // refused: a reader would refuse so many.
    Status add(const Item& item);
    Status end();

  private:
    Status line(std::string text, bool last);
    sync::Sink out_;
    std::uint64_t items_max_;
    trust::Sha256 hash_;
    std::uint64_t items_ = 0;
};

// Code::refused for anything that a writer does not write, for bytes that are cut short or behind
// the end, and for a wrong hash.
class ManifestReader {
  public:
    explicit ManifestReader(sync::Pull in) : in_(std::move(in)) {}
    Result<Head> head();
    // Nothing behind the last, when the end was as it must be.
    Result<std::optional<Item>> next();

  private:
    Result<std::string> line();
    sync::Pull in_;
    std::string buffer_;
    std::size_t at_ = 0;
    trust::Sha256 hash_;
    std::uint64_t items_ = 0;
};

} // namespace hasp::backup
