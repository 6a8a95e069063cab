#include "zstd_context.h"

#include <array>

namespace hasp::sync {

namespace {

// The thread's end is near: what is given back from here on nobody would release.
thread_local bool ended = false;

template <typename Context, std::size_t (*release)(Context*)>
class Kept {
  public:
    Kept() = default;
    ~Kept() {
        ended = true;
        while (count_ > 0) {
            release(kept_[--count_]);
        }
    }
    Kept(const Kept&) = delete;
    Kept& operator=(const Kept&) = delete;

    Context* take() { return ended || count_ == 0 ? nullptr : kept_[--count_]; }
    void put(Context* one, std::size_t bytes) {
        if (ended || count_ == kept_.size() || bytes > context_kept_bytes) {
            release(one);
        } else {
            kept_[count_++] = one;
        }
    }

  private:
    std::array<Context*, contexts_kept> kept_{};
    std::size_t count_ = 0;
};

thread_local Kept<ZSTD_CCtx, ZSTD_freeCCtx> kept_for_compression;
thread_local Kept<ZSTD_DCtx, ZSTD_freeDCtx> kept_for_decompression;

} // namespace

void GiveBackContext::operator()(ZSTD_CCtx* context) const {
    ZSTD_CCtx_reset(context, ZSTD_reset_session_and_parameters);
    kept_for_compression.put(context, ZSTD_sizeof_CCtx(context));
}
void GiveBackContext::operator()(ZSTD_DCtx* context) const {
    ZSTD_DCtx_reset(context, ZSTD_reset_session_and_parameters);
    kept_for_decompression.put(context, ZSTD_sizeof_DCtx(context));
}

CompressionContext compression_context() {
    ZSTD_CCtx* const kept = kept_for_compression.take();
    return CompressionContext(kept != nullptr ? kept : ZSTD_createCCtx());
}
DecompressionContext decompression_context() {
    ZSTD_DCtx* const kept = kept_for_decompression.take();
    return DecompressionContext(kept != nullptr ? kept : ZSTD_createDCtx());
}

} // namespace hasp::sync
