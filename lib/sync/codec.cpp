#include "sync/codec.h"

#include "effort.h"
#include "trust/hash.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <librsync.h>
#include <vector>

namespace hasp::sync {

namespace {

constexpr std::size_t step_bytes = std::size_t{64} * 1024;

using Job = std::unique_ptr<rs_job_t, decltype(&rs_job_free)>;

// librsync writes its errors to stderr; ours go to the caller.
void quiet() {
    static const bool once = (rs_trace_set_level(RS_LOG_EMERG), true);
    static_cast<void>(once);
}

Error rsync_error(rs_result result, const std::string& doing) {
    return fail(result == RS_MEM_ERROR ? Code::failed : Code::refused,
                doing + ": " + rs_strerror(result));
}

// Drives a job from `in` to `out`.
Status drive(rs_job_t* job, const Pull& in, const Sink& out, const std::string& doing) {
    quiet();
    std::vector<char> input(step_bytes);
    std::vector<char> output(step_bytes);
    rs_buffers_t buffers{};
    buffers.next_in = input.data();
    for (;;) {
        if (buffers.avail_in < step_bytes / 2 && buffers.eof_in == 0) {
            std::copy_n(buffers.next_in, buffers.avail_in, input.data());
            buffers.next_in = input.data();
            const std::size_t room = input.size() - buffers.avail_in;
            auto got = in(std::span(input.data() + buffers.avail_in, room));
            if (!got) {
                return got.error();
            }
            buffers.avail_in += *got;
            buffers.eof_in = *got == 0 ? 1 : 0;
        }
        buffers.next_out = output.data();
        buffers.avail_out = output.size();
        const std::size_t before = buffers.avail_in;
        const rs_result result = rs_job_iter(job, &buffers);
        const std::size_t made = output.size() - buffers.avail_out;
        if (made > 0 && out) {
            if (Status taken = out({output.data(), made}); !taken) {
                return taken;
            }
        }
        if (result == RS_DONE) {
            return {};
        }
        if (result != RS_BLOCKED) {
            return rsync_error(result, doing);
        }
        if (made == 0 && before == buffers.avail_in && buffers.eof_in != 0) {
            return fail(Code::refused, doing + ": it ends too early");
        }
    }
}

struct Basis {
    ReadFile& file;
    std::optional<Error> error;
    Effort effort;
    std::uint64_t made = 0; // at least: with what librsync may not have given out yet
};

rs_result read_basis(void* opaque, rs_long_t position, std::size_t* length, void** buffer) {
    auto* basis = static_cast<Basis*>(opaque);
    if (position < 0) {
        return RS_CORRUPT;
    }
    auto got = basis->file.read(static_cast<std::uint64_t>(position),
                                std::span(static_cast<char*>(*buffer), *length));
    if (!got) {
        basis->error = got.error();
        return RS_IO_ERROR;
    }
    if (!basis->effort.step(basis->made) ||
        !basis->effort.copy(static_cast<std::uint64_t>(position), *got, basis->made)) {
        basis->error = fail(Code::refused, "applying a difference: it takes too little from each "
                                           "of too many places");
        return RS_IO_ERROR;
    }
    *length = *got;
    return *got == 0 ? RS_INPUT_ENDED : RS_DONE;
}

} // namespace

Result<std::size_t> MemoryFile::read(std::uint64_t offset, std::span<char> into) {
    if (offset >= content_.size()) {
        return std::size_t{0};
    }
    const std::size_t n = std::min<std::size_t>(into.size(), content_.size() - offset);
    std::copy_n(content_.data() + offset, n, into.data());
    return n;
}

Result<FileStat> MemoryFile::stat() {
    FileStat stat;
    stat.kind = FileKind::file;
    stat.size = content_.size();
    return stat;
}

Pull pull_from(ReadFile& file) {
    return [&file, offset = std::uint64_t{0}](std::span<char> into) mutable {
        auto got = file.read(offset, into);
        if (got) {
            offset += *got;
        }
        return got;
    };
}

Result<Digest> digest(ReadFile& file, const Sink& also) {
    trust::Sha256 hash;
    Digest out;
    std::vector<char> buffer(step_bytes);
    for (;;) {
        auto got = file.read(out.size, buffer);
        if (!got) {
            return got.error();
        }
        if (*got == 0) {
            out.hash = hash.finish();
            return out;
        }
        const std::string_view bytes(buffer.data(), *got);
        hash.update(bytes);
        out.size += bytes.size();
        if (out.size > file_bytes_max) {
            return fail(Code::refused,
                        "a file is larger than " + std::to_string(file_bytes_max >> 30) + " GiB");
        }
        if (also) {
            if (Status taken = also(bytes); !taken) {
                return taken.error();
            }
        }
    }
}

Result<std::string> signature(ReadFile& file) {
    auto stat = file.stat();
    if (!stat) {
        return stat.error();
    }
    std::size_t block = signature_block_bytes;
    while (stat->size / block > signature_blocks_max) {
        block *= 2;
    }
    const Job job(rs_sig_begin(block, signature_strong_bytes, RS_RK_BLAKE2_SIG_MAGIC),
                  &rs_job_free);
    std::string out;
    const Sink keep = [&out](std::string_view bytes) -> Status {
        out.append(bytes);
        return {};
    };
    if (Status made = drive(job.get(), pull_from(file), keep, "making a signature"); !made) {
        return made.error();
    }
    return out;
}

Status delta_from_signature(std::string_view text, ReadFile& file, const Sink& out) {
    rs_signature_t* loaded = nullptr;
    Status read;
    {
        const Job job(rs_loadsig_begin(&loaded), &rs_job_free);
        const Pull in = [&text](std::span<char> into) -> Result<std::size_t> {
            const std::size_t n = std::min(into.size(), text.size());
            std::copy_n(text.data(), n, into.data());
            text.remove_prefix(n);
            return n;
        };
        read = drive(job.get(), in, {}, "reading a signature");
    }
    const std::unique_ptr<rs_signature_t, decltype(&rs_free_sumset)> sums(loaded, &rs_free_sumset);
    if (!read) {
        return read;
    }
    if (const rs_result built = rs_build_hash_table(sums.get()); built != RS_DONE) {
        return rsync_error(built, "reading a signature");
    }
    const Job job(rs_delta_begin(sums.get()), &rs_job_free);
    return drive(job.get(), pull_from(file), out, "making a difference");
}

Status patch(ReadFile& base, const Pull& delta, std::uint64_t size_max, const Sink& out) {
    Basis basis{base, std::nullopt, {}, step_bytes};
    const Job job(rs_patch_begin(&read_basis, &basis), &rs_job_free);
    std::uint64_t size = 0;
    const Sink bounded = [&](std::string_view bytes) -> Status {
        size += bytes.size();
        basis.made = size + step_bytes;
        if (size > size_max) {
            return fail(Code::refused, "applying a difference: it makes more than was announced");
        }
        return out(bytes);
    };
    Status done = drive(job.get(), delta, bounded, "applying a difference");
    return !done && basis.error ? Status(*basis.error) : done;
}

} // namespace hasp::sync
