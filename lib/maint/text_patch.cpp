#include "text_patch.h"

#include <algorithm>
#include <bit>
#include <memory>
#include <zstd.h>

namespace hasp::maint {

namespace {

constexpr int level = 12;
constexpr int window_log_min = 17;
constexpr int window_log_max = 27; // both texts at their largest

Error failed(const char* what, std::size_t code) {
    return fail(Code::refused, std::string(what) + ": " + ZSTD_getErrorName(code));
}

} // namespace

Result<std::string> make_patch(std::string_view base, std::string_view text) {
    if (base.size() > text_patch_bytes_max || text.size() > text_patch_bytes_max) {
        return fail(Code::refused, "a text of more than " + std::to_string(text_patch_bytes_max) +
                                       " bytes cannot be sent");
    }
    const std::unique_ptr<ZSTD_CCtx, decltype(&ZSTD_freeCCtx)> context{ZSTD_createCCtx(),
                                                                       &ZSTD_freeCCtx};
    // A match reaches no further back than the window: it must hold both texts.
    const int window_log = std::clamp(static_cast<int>(std::bit_width(base.size() + text.size())),
                                      window_log_min, window_log_max);
    ZSTD_CCtx_setParameter(context.get(), ZSTD_c_compressionLevel, level);
    ZSTD_CCtx_setParameter(context.get(), ZSTD_c_windowLog, window_log);
    ZSTD_CCtx_setParameter(context.get(), ZSTD_c_enableLongDistanceMatching, 1);
    ZSTD_CCtx_setParameter(context.get(), ZSTD_c_checksumFlag, 1);
    ZSTD_CCtx_refPrefix(context.get(), base.data(), base.size());
    std::string out(ZSTD_compressBound(text.size()), '\0');
    const std::size_t size =
        ZSTD_compress2(context.get(), out.data(), out.size(), text.data(), text.size());
    if (ZSTD_isError(size) != 0) {
        return failed("cannot compress a text", size);
    }
    out.resize(size);
    return out;
}

Result<std::string> apply_patch(std::string_view base, std::string_view patch,
                                std::size_t bytes_max) {
    const unsigned long long size = ZSTD_getFrameContentSize(patch.data(), patch.size());
    if (size == ZSTD_CONTENTSIZE_ERROR || size == ZSTD_CONTENTSIZE_UNKNOWN) {
        return fail(Code::refused, "the compressed text is damaged");
    }
    if (size > bytes_max) {
        return fail(Code::refused, "the compressed text is one of " + std::to_string(size) +
                                       " bytes; at most " + std::to_string(bytes_max) +
                                       " are taken");
    }
    const std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> context{ZSTD_createDCtx(),
                                                                       &ZSTD_freeDCtx};
    ZSTD_DCtx_setParameter(context.get(), ZSTD_d_windowLogMax, window_log_max);
    ZSTD_DCtx_refPrefix(context.get(), base.data(), base.size());
    std::string out(static_cast<std::size_t>(size), '\0');
    const std::size_t got =
        ZSTD_decompressDCtx(context.get(), out.data(), out.size(), patch.data(), patch.size());
    if (ZSTD_isError(got) != 0 || got != out.size()) {
        return ZSTD_isError(got) != 0 ? failed("the compressed text does not fit its base", got)
                                      : fail(Code::refused, "the compressed text is cut short");
    }
    return out;
}

} // namespace hasp::maint
