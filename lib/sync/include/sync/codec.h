// A file's content as digest, signature, difference and patch. Everything streams: memory does not
// grow with the file, but for librsync's table of a signature (about 40 bytes for each KB).
//
// Differences are in librsync's delta format, whether they are made against a signature or by
// comparing with the base itself, so that one patch() applies either. A difference is never
// trusted: whoever patches compares the digest of what came out.
// Errors: refused (bytes that are no signature or difference, output beyond its limit), and what
// the files and sinks return. Pure but for them; any thread.
#pragma once

#include "base/result.h"
#include "sync/disk.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace hasp::sync {

inline constexpr std::uint64_t file_bytes_max = std::uint64_t{64} << 30;
// Below this a signature is larger than what it could save.
inline constexpr std::uint64_t signature_worth_bytes = 2048;
inline constexpr std::size_t signature_block_bytes = 1024;
inline constexpr std::size_t signature_strong_bytes = 16;
// Beyond this many blocks they grow instead, which bounds the memory of a difference.
inline constexpr std::uint64_t signature_blocks_max = 256 * 1024;

// A file's content in memory.
class MemoryFile final : public ReadFile {
  public:
    explicit MemoryFile(std::string content) : content_(std::move(content)) {}
    Result<std::size_t> read(std::uint64_t offset, std::span<char> into) override;
    Result<FileStat> stat() override;

  private:
    std::string content_;
};

using Sink = std::function<Status(std::string_view)>;
// Fills as much as it can; 0 at the end.
using Pull = std::function<Result<std::size_t>(std::span<char> into)>;

class ChunkList;

struct Digest {
    std::string hash; // SHA-256, raw; of identify(): what the content is called (chunks.h)
    std::uint64_t size = 0;
    std::shared_ptr<const ChunkList> chunks = {}; // of identify(), where it is called by them
};

// Reads it once. Each given sink gets the content as it is read.
Result<Digest> digest(ReadFile& file, const Sink& also = {});

// RK+BLAKE2 signature of the whole file.
Result<std::string> signature(ReadFile& file);

Status delta_from_signature(std::string_view signature, ReadFile& file, const Sink& out);
Status delta_from_base(ReadFile& base, ReadFile& file, const Sink& out);

// Writes the patched content; ends with refused as soon as it would exceed `size_max`.
Status patch(ReadFile& base, const Pull& delta, std::uint64_t size_max, const Sink& out);

// One zstd stream. write() buffers; finish() ends the frame.
class Compressor {
  public:
    explicit Compressor(Sink out, int level = 3);
    ~Compressor();
    Compressor(const Compressor&) = delete;
    Compressor& operator=(const Compressor&) = delete;
    Status write(std::string_view bytes);
    Status finish();

  private:
    struct State;
    std::unique_ptr<State> state_;
};

// The reverse; windows above 8 MiB, cut frames and bytes behind the frame are refused.
class Decompressor {
  public:
    explicit Decompressor(Pull in);
    ~Decompressor();
    Decompressor(const Decompressor&) = delete;
    Decompressor& operator=(const Decompressor&) = delete;
    // 0: the frame has ended.
    Result<std::size_t> read(std::span<char> into);

  private:
    struct State;
    std::unique_ptr<State> state_;
};

// Reads `file` from its beginning.
Pull pull_from(ReadFile& file);

} // namespace hasp::sync
