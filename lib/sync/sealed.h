// A content as it lies in the store: compressed where that helps, encrypted, and readable from any
// offset.
//
//   sealed  = "HSC1" salt frame* table
//   salt      32 random bytes; the key of this content is HMAC-SHA-256(user key, "content" salt)
//   frame   = AES-256-GCM under that key, nonce: its position (8 bytes, big-endian) and 0, or 1 in
//             the last one (4 bytes, big-endian); associated: the content's SHA-256
//   in it     method (1 byte) and 128 KiB of the content, less in the last: 0x00 as they are,
//             0x01 one zstd frame
//   table     for more than one frame: where each ends, counted from the beginning (8 bytes,
//             little-endian)
//
// A nonce is used once, since no two contents have the same salt. What was cut, swapped, put
// elsewhere or taken from another content does not open; the table is not sealed, a false one leads
// to a frame that does not open. Memory: two frames; of a content that is read, the frames that
// were read last, as many as effort.h says.
// Errors: refused (damaged: what was read is not what was written, or it ends too early), and what
// the file returns, which is never refused. Private to lib/sync.
#pragma once

#include "base/random.h"
#include "effort.h"
#include "sync/codec.h"
#include "trust/aead.h"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

struct ZSTD_CCtx_s;
struct ZSTD_DCtx_s;

namespace hasp::sync {

inline constexpr std::size_t sealed_frame_bytes = std::size_t{128} * 1024; // of content
inline constexpr std::size_t sealed_head_bytes = 4 + 32;
inline constexpr std::size_t sealed_frame_overhead = 1 + trust::aead_tag_bytes;
// Of so many frames one is compressed to see whether it helps, after one where it did not.
inline constexpr std::uint64_t sealed_sample_every = 16;

class Sealer {
  public:
    // `user_key` has trust::aead_key_bytes. One content at a time, any number after another.
    Sealer(std::string_view user_key, Random& random);
    ~Sealer();
    Sealer(const Sealer&) = delete;
    Sealer& operator=(const Sealer&) = delete;

    Status begin(std::string hash, Sink out);
    Status write(std::string_view plain);
    Status finish();
    std::uint64_t plain_bytes() const { return plain_bytes_; }
    std::uint64_t sealed_bytes() const { return sealed_bytes_; }

  private:
    Status frame(std::string_view plain, bool last);
    Status give(std::string_view bytes);

    std::string user_key_;
    Random& random_;
    std::unique_ptr<ZSTD_CCtx_s, std::size_t (*)(ZSTD_CCtx_s*)> zstd_;
    std::unique_ptr<trust::Aead> aead_;
    std::string hash_;
    Sink out_;
    std::string waiting_; // of the content: less than two frames
    std::string body_;
    std::string sealed_;
    std::string table_;
    std::uint64_t position_ = 0;
    std::uint64_t plain_bytes_ = 0;
    std::uint64_t sealed_bytes_ = 0;
    bool helps_ = true;
};

// Where a content lies: `bytes` of `file` from `offset` on; `size` is of the plain content.
struct SealedPlace {
    std::uint64_t offset = 0;
    std::uint64_t bytes = 0;
    std::uint64_t size = 0;
};

// Opens it. Nothing is read but its head; a frame is when it is asked for. `at_hand`: so many of
// them are kept. Each frame that is unsealed adds one to `unsealed`, which outlives the reader.
Result<std::unique_ptr<ReadFile>> open_sealed(std::unique_ptr<ReadFile> file, SealedPlace place,
                                              std::string_view user_key, std::string hash,
                                              std::size_t at_hand = stretches_at_hand,
                                              std::uint64_t* unsealed = nullptr);

} // namespace hasp::sync
