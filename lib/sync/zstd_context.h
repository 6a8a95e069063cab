// Contexts of zstd, lent: making one anew takes longer than packing a small content with it.
#pragma once

#include <cstddef>
#include <memory>
#include <zstd.h>

namespace hasp::sync {

struct GiveBackContext {
    void operator()(ZSTD_CCtx* context) const;
    void operator()(ZSTD_DCtx* context) const;
};

// As new: without parameters, prefix or dictionary. Each thread keeps a few that were given back to
// it, of up to `context_kept_bytes`; what has grown beyond goes. One that is lent by a thread may
// be given back by another.
using CompressionContext = std::unique_ptr<ZSTD_CCtx, GiveBackContext>;
using DecompressionContext = std::unique_ptr<ZSTD_DCtx, GiveBackContext>;
CompressionContext compression_context();
DecompressionContext decompression_context();

inline constexpr std::size_t contexts_kept = 2; // of each kind
inline constexpr std::size_t context_kept_bytes = std::size_t{512} << 10;

} // namespace hasp::sync
