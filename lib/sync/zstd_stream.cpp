#include "sync/codec.h"
#include "zstd_context.h"

#include <vector>
#include <zstd.h>

namespace hasp::sync {

namespace {
constexpr int window_log_max = 23; // 8 MiB, on both sides
// A stream that ends before it is longer than this is packed in one go: its size is known then, and
// tables and window need be no larger than it.
constexpr std::size_t held_max = std::size_t{64} << 10;
} // namespace

struct Compressor::State {
    Sink out;
    CompressionContext context = compression_context();
    std::vector<char> buffer;
    std::string held; // while the stream may still be a short one
    bool begun = false;

    Status write(std::string_view bytes) {
        if (!begun && held.size() + bytes.size() <= held_max) {
            held += bytes;
            return {};
        }
        if (!begun) {
            if (Status first = begin(ZSTD_e_continue); !first) {
                return first;
            }
            held = std::string();
        }
        return run(bytes, ZSTD_e_continue);
    }
    Status finish() {
        if (begun) {
            return run({}, ZSTD_e_end);
        }
        ZSTD_CCtx_setPledgedSrcSize(context.get(), held.size());
        return begin(ZSTD_e_end);
    }
    Status begin(ZSTD_EndDirective end) {
        begun = true;
        buffer.resize(end == ZSTD_e_end ? ZSTD_compressBound(held.size()) : ZSTD_CStreamOutSize());
        return run(held, end);
    }
    Status run(std::string_view bytes, ZSTD_EndDirective end) {
        ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
        for (;;) {
            ZSTD_outBuffer made{buffer.data(), buffer.size(), 0};
            const std::size_t left = ZSTD_compressStream2(context.get(), &made, &in, end);
            if (ZSTD_isError(left) != 0) {
                return fail(Code::failed, std::string("compressing: ") + ZSTD_getErrorName(left));
            }
            if (made.pos > 0) {
                if (Status taken = out({buffer.data(), made.pos}); !taken) {
                    return taken;
                }
            }
            if (end == ZSTD_e_end ? left == 0 : in.pos == in.size) {
                return {};
            }
        }
    }
};

Compressor::Compressor(Sink out, int level) : state_(std::make_unique<State>()) {
    state_->out = std::move(out);
    ZSTD_CCtx_setParameter(state_->context.get(), ZSTD_c_compressionLevel, level);
    ZSTD_CCtx_setParameter(state_->context.get(), ZSTD_c_checksumFlag, 1);
}
Compressor::~Compressor() = default;

Status Compressor::write(std::string_view bytes) {
    return state_->write(bytes);
}
Status Compressor::finish() {
    return state_->finish();
}

struct Decompressor::State {
    Pull in;
    DecompressionContext context = decompression_context();
    std::vector<char> buffer = std::vector<char>(ZSTD_DStreamInSize());
    ZSTD_inBuffer have{nullptr, 0, 0};
    bool ended = false;
};

Decompressor::Decompressor(Pull in) : state_(std::make_unique<State>()) {
    state_->in = std::move(in);
    ZSTD_DCtx_setParameter(state_->context.get(), ZSTD_d_windowLogMax, window_log_max);
}
Decompressor::~Decompressor() = default;

Result<std::size_t> Decompressor::read(std::span<char> into) {
    State& s = *state_;
    ZSTD_outBuffer out{into.data(), into.size(), 0};
    while (out.pos < out.size && !s.ended) {
        if (s.have.pos == s.have.size) {
            auto got = s.in(s.buffer);
            if (!got) {
                return got.error();
            }
            if (*got == 0) {
                return fail(Code::refused, "the compressed bytes are cut short");
            }
            s.have = {s.buffer.data(), *got, 0};
        }
        const std::size_t left = ZSTD_decompressStream(s.context.get(), &out, &s.have);
        if (ZSTD_isError(left) != 0) {
            return fail(Code::refused, std::string("the compressed bytes are damaged: ") +
                                           ZSTD_getErrorName(left));
        }
        s.ended = left == 0;
    }
    if (s.ended && s.have.pos < s.have.size) {
        return fail(Code::refused, "there are bytes behind the compressed ones");
    }
    return out.pos;
}

} // namespace hasp::sync
