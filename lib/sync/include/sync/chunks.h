// What a content is called. Small ones by the SHA-256 of their bytes, 32 bytes; large ones by their
// chunks, 33 bytes: 0x01 and the SHA-256 of the list of those. Chunks are cut where the bytes alone
// say, so that a content has the same name however it came about, and that of an edit follows from
// the chunks that the edit touched and the list of what it was before. Bytes and limits:
// PROTOCOL.md, "Names of contents". After FastCDC (Xia et al., USENIX ATC 2016).
//
// Contents that were taken before chunks were known keep the name that they have: either name is
// good for any size at whoever has the content under it.
// Memory: a list has 40 bytes for each chunk, at most 128 Ki of them. Pure but for the files; any
// thread. Errors: refused (bytes that are no list) and those of the files.
#pragma once

#include "sync/codec.h"
#include "sync/tree.h"
#include "trust/hash.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hasp::sync {

// From here on a content is called by its chunks.
inline constexpr std::uint64_t chunked_bytes_least = (std::uint64_t{1} << 20) + 1;
inline constexpr std::size_t chunked_name_bytes = hash_bytes + 1;
inline constexpr char content_name_mark = 0x01; // its first byte
inline constexpr std::uint64_t chunks_max = std::uint64_t{128} * 1024;
inline constexpr std::size_t chunk_list_bytes_max = std::size_t{5} << 20; // encoded

bool named_by_chunks(std::string_view name);
bool valid_content_name(std::string_view name);

// For a content of so many bytes. A larger one has larger chunks, so that lists stay small.
struct ChunkBounds {
    std::uint64_t least = 0; // but for the last one
    std::uint64_t most = 0;
    unsigned bits = 0; // of the rolling hash that are 0 where a chunk ends
    friend bool operator==(const ChunkBounds&, const ChunkBounds&) = default;
};
ChunkBounds chunk_bounds(std::uint64_t size);

// Finds where chunks end, in bytes that are given one after the other.
class Cutter {
  public:
    explicit Cutter(ChunkBounds bounds) : bounds_(bounds) {}
    // How many of these belong to the chunk that is under way. `ends`: with the last of them.
    std::size_t take(std::string_view bytes, bool& ends);

  private:
    ChunkBounds bounds_;
    std::uint64_t had_ = 0;
    std::uint64_t rolling_ = 0;
};

class ChunkList {
  public:
    void add(std::uint64_t bytes, std::string_view hash);
    std::size_t count() const { return ends_.size(); }
    std::uint64_t size() const { return ends_.empty() ? 0 : ends_.back(); }
    std::uint64_t begin(std::size_t i) const { return i == 0 ? 0 : ends_[i - 1]; }
    std::uint64_t bytes(std::size_t i) const { return ends_[i] - begin(i); }
    std::string_view hash(std::size_t i) const {
        return std::string_view(hashes_).substr(i * hash_bytes, hash_bytes);
    }
    // The chunk that begins there.
    std::optional<std::size_t> beginning_at(std::uint64_t offset) const;
    // What a content of these is called.
    std::string name() const;
    std::size_t memory() const { return ends_.size() * (sizeof(std::uint64_t) + hash_bytes); }

    friend bool operator==(const ChunkList&, const ChunkList&) = default;

  private:
    std::vector<std::uint64_t> ends_;
    std::string hashes_;
};

std::string encode_chunks(const ChunkList& chunks);
// refused: it is none, or not that of the content of this name.
Result<ChunkList> decode_chunks(std::string_view bytes, std::string_view name);

// The name of a content that is given from its beginning.
class Naming {
  public:
    // `size`: as announced; where it turns out another and was to be named by its chunks, what
    // comes out has no name.
    // `by_chunks`: as a large content is to be called.
    Naming(std::uint64_t size, bool by_chunks);
    void update(std::string_view bytes);
    // Once.
    Digest finish();

  private:
    std::uint64_t announced_;
    std::unique_ptr<ChunkList> chunks_;
    Cutter cutter_;
    trust::Sha256 sum_;
    std::uint64_t in_chunk_ = 0;
    std::uint64_t size_ = 0;
};

// Reads it once, as digest() does. By its chunks where it is large and `by_chunks` is set; in the
// other way where `expected` is given and says so of that name: it was called so before.
using IsExpected = std::function<bool(const std::string& name)>;
Result<Digest> identify(ReadFile& file, bool by_chunks, const IsExpected& expected = {},
                        const Sink& also = {});
// The content has this name. An error: it cannot be read.
Result<bool> is_named(ReadFile& file, const std::string& name);

// A part of a content: of what it is an edit of (`of_basis`), or new.
struct Piece {
    bool of_basis = false;
    std::uint64_t from = 0; // in the basis
    std::uint64_t length = 0;
};
// The chunks of an edit: `content` is what the pieces make, `size` bytes, and is read only around
// what is new. No basis: all of it is.
Result<ChunkList> chunks_of_edit(const std::vector<Piece>& pieces, const ChunkList* basis,
                                 ReadFile& content, std::uint64_t size);

} // namespace hasp::sync
