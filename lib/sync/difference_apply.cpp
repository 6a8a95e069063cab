// Applying a difference, and what making one shares with it.
#include "difference.h"

#include "effort.h"
#include "numbers.h"
#include "zstd_context.h"

#include <algorithm>
#include <array>
#include <bit>
#include <zstd.h>

namespace hasp::sync {

namespace {

constexpr std::size_t copy_bytes = std::size_t{64} * 1024;
constexpr std::string_view zstd_magic("\x28\xB5\x2F\xFD", 4);
constexpr int delta_window_log_max = 22; // prefix and new bytes together
constexpr int delta_window_log_least = 10;
// A gap in the base that is this much longer than what stands in it now has been deleted.
constexpr std::uint64_t gap_bytes_max = std::uint64_t{64} * 1024;

static_assert(difference_prefix_bytes_max + difference_new_bytes_max <=
              1ULL << delta_window_log_max);

Error damaged_difference(const std::string& what) {
    return fail(Code::refused, "applying a difference: " + what);
}

class Reading {
  public:
    Reading(ReadFile& base, std::uint64_t base_size, const Pull& in, std::uint64_t size_max,
            Assembly& out)
        : base_(base), base_size_(base_size), in_(in), size_max_(size_max), out_(out) {}

    Status run() {
        for (;;) {
            std::array<char, 1> tag{};
            if (Status read = exactly(tag); !read) {
                return read;
            }
            if (tag[0] == 0) {
                return {};
            }
            if (tag[0] != 1) {
                return damaged_difference("a chunk of an unknown kind");
            }
            if (Status done = chunk(); !done) {
                return done;
            }
        }
    }

  private:
    Status exactly(std::span<char> into) {
        while (!into.empty()) {
            auto got = in_(into);
            if (!got) {
                return got.error();
            }
            if (*got == 0) {
                return damaged_difference("it ends too early");
            }
            into = into.subspan(*got);
        }
        return {};
    }
    Result<std::string> bytes(std::uint64_t limit, const char* what) {
        auto size = number(limit, what);
        if (!size) {
            return size.error();
        }
        return some(static_cast<std::size_t>(*size));
    }
    // As they come: what was only announced takes no memory.
    Result<std::string> some(std::size_t size) {
        std::string out;
        while (out.size() < size) {
            const std::size_t had = out.size();
            out.resize(had + std::min(copy_bytes, size - had));
            if (Status read = exactly(std::span(out).subspan(had)); !read) {
                return read.error();
            }
        }
        return out;
    }
    Result<std::uint64_t> number(std::uint64_t limit, const char* what) {
        NumberReader reader;
        for (;;) {
            std::array<char, 1> byte{};
            if (Status read = exactly(byte); !read) {
                return read.error();
            }
            const auto more = reader.add(byte[0]);
            if (more == NumberReader::State::bad ||
                (more == NumberReader::State::done && reader.value() > limit)) {
                return damaged_difference(std::string(what) + " is beyond its limit");
            }
            if (more == NumberReader::State::done) {
                return reader.value();
            }
        }
    }

    Status chunk() {
        auto told = bytes(difference_steps_bytes_max, "the length of steps");
        if (!told) {
            return told.error();
        }
        auto added = number(difference_new_bytes_max, "the number of new bytes");
        if (!added) {
            return added.error();
        }
        std::vector<ChunkStep> steps;
        std::vector<NewRun> runs;
        if (Status read = read_steps(*told, *added, steps, runs); !read) {
            return read;
        }
        auto packed_size = number(difference_new_bytes_max, "the size of packed bytes");
        if (!packed_size) {
            return packed_size.error();
        }
        Result<std::string> fresh{std::string()};
        if (*packed_size == 0) {
            fresh = some(static_cast<std::size_t>(*added));
        } else if (!effort_.pack(made_)) {
            return damaged_difference("it is cut into too many chunks");
        } else {
            auto context = number(difference_prefix_bytes_max, "the context");
            auto packed = context ? some(static_cast<std::size_t>(*packed_size))
                                  : Result<std::string>(context.error());
            auto prefix = packed ? prefix_of(base_, runs, *context) : packed;
            fresh = prefix ? unpack_with_prefix(*packed, *prefix, static_cast<std::size_t>(*added))
                           : prefix;
        }
        return fresh ? put(steps, *fresh) : Status(fresh.error());
    }

    Status read_steps(std::string_view told, std::uint64_t added, std::vector<ChunkStep>& steps,
                      std::vector<NewRun>& runs) {
        std::uint64_t total = 0;
        while (!told.empty()) {
            ChunkStep step;
            const auto fresh = take_number(told);
            const auto length = fresh ? take_number(told) : fresh;
            if (!length || *fresh > added - total || *length > base_size_) {
                return damaged_difference("a step that there is not");
            }
            step.added = *fresh;
            step.length = *length;
            if (step.length > 0) {
                const auto shift = take_number(told);
                if (!shift) {
                    return damaged_difference("a step that is cut");
                }
                step.base = base_at_ + step.added + static_cast<std::uint64_t>(unzigzag(*shift));
                if (step.base > base_size_ || step.length > base_size_ - step.base) {
                    return damaged_difference("a copy from beyond the old content");
                }
            }
            total += step.added;
            if (step.added > size_max_ - made_ || step.length > size_max_ - made_ - step.added) {
                return damaged_difference("it makes more than was announced");
            }
            made_ += step.added + step.length;
            if (!effort_.step(made_) || !effort_.copy(step.base, step.length, made_)) {
                return damaged_difference("it takes too little from each of too many places");
            }
            if (step.added > 0) {
                runs.push_back(replaced_by(base_at_, step));
            }
            steps.push_back(step);
            base_at_ = base_after(base_at_, step);
        }
        return total == added ? Status{}
                              : damaged_difference("its steps do not agree with its new bytes");
    }

    Status put(const std::vector<ChunkStep>& steps, std::string_view fresh) {
        for (const ChunkStep& step : steps) {
            if (step.added > 0) {
                if (Status sent = out_.fresh(fresh.substr(0, step.added)); !sent) {
                    return sent;
                }
                fresh.remove_prefix(static_cast<std::size_t>(step.added));
            }
            if (Status sent = step.length > 0 ? out_.copied(step.base, step.length) : Status{};
                !sent) {
                return sent;
            }
        }
        return {};
    }

    ReadFile& base_;
    std::uint64_t base_size_;
    const Pull& in_;
    std::uint64_t size_max_;
    Assembly& out_;
    std::uint64_t base_at_ = 0;
    std::uint64_t made_ = 0; // of the new content, with the steps that were read
    Effort effort_;
};

} // namespace

Status read_range(ReadFile& file, std::uint64_t from, std::uint64_t length, const Sink& out) {
    std::string buffer;
    for (std::uint64_t done = 0; done < length;) {
        buffer.resize(static_cast<std::size_t>(std::min<std::uint64_t>(copy_bytes, length - done)));
        auto got = file.read(from + done, buffer);
        if (!got) {
            return got.error();
        }
        if (*got == 0) {
            return damaged_difference("the old content is shorter than it says");
        }
        if (Status sent = out(std::string_view(buffer).substr(0, *got)); !sent) {
            return sent;
        }
        done += *got;
    }
    return {};
}

std::uint64_t base_after(std::uint64_t base_at, const ChunkStep& step) {
    return step.length > 0 ? step.base + step.length : base_at + step.added;
}

NewRun replaced_by(std::uint64_t base_at, const ChunkStep& step) {
    const bool gap = step.length > 0 && step.base >= base_at &&
                     step.base - base_at <= step.added + gap_bytes_max;
    return {base_at, gap ? step.base : base_at + step.added};
}

Result<std::string> prefix_of(ReadFile& base, const std::vector<NewRun>& runs,
                              std::uint64_t context) {
    auto stat = base.stat();
    if (!stat) {
        return stat.error();
    }
    std::string out;
    std::uint64_t begun = 0; // of what the last run brought
    std::uint64_t reached = 0;
    for (const NewRun& run : runs) {
        std::uint64_t from = run.from - std::min(run.from, context);
        const std::uint64_t to = std::min(stat->size, run.to + context);
        if (from >= begun && from < reached) {
            from = reached;
        } else {
            begun = from;
        }
        if (from >= to) {
            continue;
        }
        const std::size_t had = out.size();
        const std::uint64_t room = difference_prefix_bytes_max - had;
        out.resize(had + static_cast<std::size_t>(std::min(room, to - from)));
        auto got = base.read(from, std::span(out).subspan(had));
        if (!got) {
            return got.error();
        }
        out.resize(had + *got);
        reached = to;
        if (out.size() >= difference_prefix_bytes_max) {
            break;
        }
    }
    return out;
}

Result<std::string> pack_with_prefix(std::string_view bytes, std::string_view prefix, int level) {
    const CompressionContext context = compression_context();
    const int window = std::clamp(static_cast<int>(std::bit_width(bytes.size() + prefix.size())),
                                  delta_window_log_least, delta_window_log_max);
    ZSTD_CCtx_setParameter(context.get(), ZSTD_c_compressionLevel, level);
    ZSTD_CCtx_setParameter(context.get(), ZSTD_c_windowLog, window);
    ZSTD_CCtx_setParameter(context.get(), ZSTD_c_contentSizeFlag, 0);
    ZSTD_CCtx_refPrefix(context.get(), prefix.data(), prefix.size());
    std::string out(ZSTD_compressBound(bytes.size()), '\0');
    const std::size_t n =
        ZSTD_compress2(context.get(), out.data(), out.size(), bytes.data(), bytes.size());
    if (ZSTD_isError(n) != 0) {
        return fail(Code::failed, std::string("compressing: ") + ZSTD_getErrorName(n));
    }
    out.resize(n);
    return out.substr(zstd_magic.size());
}

Result<std::string> unpack_with_prefix(std::string_view packed, std::string_view prefix,
                                       std::size_t size) {
    const DecompressionContext context = decompression_context();
    ZSTD_DCtx_setParameter(context.get(), ZSTD_d_windowLogMax, delta_window_log_max);
    ZSTD_DCtx_refPrefix(context.get(), prefix.data(), prefix.size());
    const std::string framed = std::string(zstd_magic).append(packed);
    std::string out(size, '\0'); // bounded by difference_new_bytes_max
    const std::size_t n =
        ZSTD_decompressDCtx(context.get(), out.data(), out.size(), framed.data(), framed.size());
    if (ZSTD_isError(n) != 0 || n != size) {
        return damaged_difference("its packed bytes are damaged");
    }
    return out;
}

Status apply_difference(ReadFile& base, const Pull& difference, std::uint64_t size_max,
                        const Sink& out) {
    PlainAssembly plain(base, out);
    return apply_difference(base, difference, size_max, plain);
}

Status apply_difference(ReadFile& base, const Pull& difference, std::uint64_t size_max,
                        Assembly& out) {
    auto stat = base.stat();
    if (!stat) {
        return stat.error();
    }
    return Reading(base, stat->size, difference, size_max, out).run();
}

} // namespace hasp::sync
