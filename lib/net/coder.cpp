// The three codings' libraries behind Coder. Levels and windows are those of a server that codes
// each answer once: small tables, and more speed than ratio.
#include "net/content_coding.h"

#include <algorithm>
#include <bit>
#include <brotli/encode.h>
#include <zlib.h>
#include <zstd.h>

namespace hasp::net {
namespace {

constexpr int gzip_level = 5;
constexpr int gzip_memory_level = 8;
constexpr int zstd_level = 3;
constexpr int zstd_table_log_max = 15;
// 4 makes what it gives a fortieth smaller, and takes 2.6 MB where this takes 1.
constexpr int brotli_quality = 3;
constexpr int zstd_window_log_min = 10;
constexpr int zstd_window_log_max = 16;   // its buffers are several times that
constexpr int brotli_window_log_max = 17; // its ring buffer is twice that
constexpr std::uint64_t brotli_hint_max = (std::uint64_t{1} << 20) - 1;

// The binary logarithm of a window that holds `length` bytes; 0: of any length.
int window_log(std::uint64_t length, int least, int most) {
    if (length == 0) {
        return most;
    }
    return std::clamp(static_cast<int>(std::bit_width(length - 1)), least, most);
}

class GzipCoder final : public Coder {
  public:
    explicit GzipCoder(std::uint64_t length) {
        // 16 more: with the head and the end of gzip (RFC 1952).
        const int window = window_log(length, 9, MAX_WBITS);
        good_ = ::deflateInit2(&stream_, gzip_level, Z_DEFLATED, window + 16,
                               std::min(window - 7, gzip_memory_level), Z_DEFAULT_STRATEGY) == Z_OK;
    }
    ~GzipCoder() override {
        if (good_) {
            ::deflateEnd(&stream_);
        }
    }
    GzipCoder(const GzipCoder&) = delete;
    GzipCoder& operator=(const GzipCoder&) = delete;
    bool good() const { return good_; }

    Step step(std::string_view in, std::span<char> out, Until until) override {
        stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(in.data()));
        stream_.avail_in = static_cast<uInt>(in.size());
        stream_.next_out = reinterpret_cast<Bytef*>(out.data());
        stream_.avail_out = static_cast<uInt>(out.size());
        const int flush = until == Until::end       ? Z_FINISH
                          : until == Until::flushed ? Z_SYNC_FLUSH
                                                    : Z_NO_FLUSH;
        const int result = ::deflate(&stream_, flush);
        Step step;
        step.consumed = in.size() - stream_.avail_in;
        step.produced = out.size() - stream_.avail_out;
        step.failed = result == Z_STREAM_ERROR;
        // Room that was left tells that nothing more would come; Z_BUF_ERROR, that nothing was due.
        step.complete = until == Until::end ? result == Z_STREAM_END
                                            : stream_.avail_in == 0 && stream_.avail_out != 0;
        return step;
    }

  private:
    z_stream stream_{};
    bool good_ = false;
};

class ZstdCoder final : public Coder {
  public:
    explicit ZstdCoder(std::uint64_t length) : context_(::ZSTD_createCCtx()) {
        const int window = window_log(length, zstd_window_log_min, zstd_window_log_max);
        const int table = std::min(window, zstd_table_log_max);
        const auto set = [this](ZSTD_cParameter which, int value) {
            good_ = good_ && ::ZSTD_isError(::ZSTD_CCtx_setParameter(context_, which, value)) == 0;
        };
        good_ = context_ != nullptr;
        set(ZSTD_c_compressionLevel, zstd_level);
        set(ZSTD_c_windowLog, window);
        set(ZSTD_c_hashLog, table);
        set(ZSTD_c_chainLog, table);
    }
    ~ZstdCoder() override { ::ZSTD_freeCCtx(context_); }
    ZstdCoder(const ZstdCoder&) = delete;
    ZstdCoder& operator=(const ZstdCoder&) = delete;
    bool good() const { return good_; }

    Step step(std::string_view in, std::span<char> out, Until until) override {
        ZSTD_inBuffer from{in.data(), in.size(), 0};
        ZSTD_outBuffer to{out.data(), out.size(), 0};
        const ZSTD_EndDirective how = until == Until::end       ? ZSTD_e_end
                                      : until == Until::flushed ? ZSTD_e_flush
                                                                : ZSTD_e_continue;
        const std::size_t left = ::ZSTD_compressStream2(context_, &to, &from, how);
        Step step;
        step.consumed = from.pos;
        step.produced = to.pos;
        step.failed = ::ZSTD_isError(left) != 0;
        step.complete = !step.failed && from.pos == in.size() &&
                        (until == Until::full ? to.pos < out.size() : left == 0);
        return step;
    }

  private:
    ZSTD_CCtx* context_ = nullptr;
    bool good_ = false;
};

class BrotliCoder final : public Coder {
  public:
    explicit BrotliCoder(std::uint64_t length)
        : state_(::BrotliEncoderCreateInstance(nullptr, nullptr, nullptr)) {
        const auto set = [this](BrotliEncoderParameter which, int value) {
            good_ = good_ && ::BrotliEncoderSetParameter(
                                 state_, which, static_cast<std::uint32_t>(value)) == BROTLI_TRUE;
        };
        good_ = state_ != nullptr;
        set(BROTLI_PARAM_QUALITY, brotli_quality);
        set(BROTLI_PARAM_LGWIN, window_log(length, BROTLI_MIN_WINDOW_BITS, brotli_window_log_max));
        // From a megabyte on it leads to a table of megabytes.
        set(BROTLI_PARAM_SIZE_HINT,
            static_cast<int>(length == 0 ? brotli_hint_max
                                         : std::min<std::uint64_t>(length, brotli_hint_max)));
    }
    ~BrotliCoder() override {
        if (state_ != nullptr) {
            ::BrotliEncoderDestroyInstance(state_);
        }
    }
    BrotliCoder(const BrotliCoder&) = delete;
    BrotliCoder& operator=(const BrotliCoder&) = delete;
    bool good() const { return good_; }

    Step step(std::string_view in, std::span<char> out, Until until) override {
        const auto* next_in = reinterpret_cast<const std::uint8_t*>(in.data());
        auto* next_out = reinterpret_cast<std::uint8_t*>(out.data());
        std::size_t in_left = in.size();
        std::size_t out_left = out.size();
        const BrotliEncoderOperation how = until == Until::end       ? BROTLI_OPERATION_FINISH
                                           : until == Until::flushed ? BROTLI_OPERATION_FLUSH
                                                                     : BROTLI_OPERATION_PROCESS;
        Step step;
        step.failed = ::BrotliEncoderCompressStream(state_, how, &in_left, &next_in, &out_left,
                                                    &next_out, nullptr) == BROTLI_FALSE;
        step.consumed = in.size() - in_left;
        step.produced = out.size() - out_left;
        step.complete =
            !step.failed &&
            (until == Until::end
                 ? ::BrotliEncoderIsFinished(state_) == BROTLI_TRUE
                 : in_left == 0 && ::BrotliEncoderHasMoreOutput(state_) == BROTLI_FALSE);
        return step;
    }

  private:
    BrotliEncoderState* state_ = nullptr;
    bool good_ = false;
};

template <class Which>
std::unique_ptr<Coder> made(std::uint64_t length) {
    auto coder = std::make_unique<Which>(length);
    return coder->good() ? std::move(coder) : nullptr;
}

} // namespace

std::unique_ptr<Coder> Coder::make(Coding coding, std::uint64_t length) {
    switch (coding) {
    case Coding::identity:
        break;
    case Coding::gzip:
        return made<GzipCoder>(length);
    case Coding::zstd:
        return made<ZstdCoder>(length);
    case Coding::br:
        return made<BrotliCoder>(length);
    }
    return nullptr;
}

} // namespace hasp::net
