#include "zstd_context.h"

#include <vector>

namespace hasp::sync {

namespace {

template <typename Context, std::size_t (*release)(Context*)>
class Kept {
  public:
    Kept() { kept_.reserve(contexts_kept); }
    ~Kept() {
        for (Context* one : kept_) {
            release(one);
        }
    }
    Kept(const Kept&) = delete;
    Kept& operator=(const Kept&) = delete;

    Context* take() {
        if (kept_.empty()) {
            return nullptr;
        }
        Context* const one = kept_.back();
        kept_.pop_back();
        return one;
    }
    void put(Context* one, std::size_t bytes) {
        if (kept_.size() == contexts_kept || bytes > context_kept_bytes) {
            release(one);
        } else {
            kept_.push_back(one);
        }
    }

  private:
    std::vector<Context*> kept_;
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
