// A difference found by comparing with the base itself, in librsync's delta format, which any
// patch() applies.
#include "compare.h"

#include <algorithm>

namespace hasp::sync {

namespace {

constexpr std::size_t literal_bytes_max = std::size_t{64} * 1024;

void put_big_endian(std::string& out, std::uint64_t value, int width_log) {
    for (int shift = 8 * ((1 << width_log) - 1); shift >= 0; shift -= 8) {
        out.push_back(static_cast<char>(value >> static_cast<unsigned>(shift)));
    }
}

int width_log_of(std::uint64_t value) {
    return value <= 0xFF ? 0 : value <= 0xFFFF ? 1 : value <= 0xFFFFFFFFULL ? 2 : 3;
}

Status put_literal(ReadFile& file, std::uint64_t from, std::uint64_t to, const Sink& out) {
    while (from < to) {
        const std::uint64_t n = std::min<std::uint64_t>(to - from, literal_bytes_max);
        std::string op;
        if (n <= 64) {
            op.push_back(static_cast<char>(n));
        } else {
            const int size = width_log_of(n);
            op.push_back(static_cast<char>(0x41 + size));
            put_big_endian(op, n, size);
        }
        const std::size_t head = op.size();
        op.resize(head + n);
        auto got = file.read(from, std::span(op).subspan(head));
        if (!got) {
            return got.error();
        }
        if (*got < n) {
            return fail(Code::try_later, "a file changed while it was read");
        }
        if (Status sent = out(op); !sent) {
            return sent;
        }
        from += n;
    }
    return {};
}

} // namespace

Status delta_from_base(ReadFile& base, ReadFile& file, const Sink& out) {
    if (Status begun = out(std::string_view("\x72\x73\x02\x36", 4)); !begun) {
        return begun;
    }
    Status compared = compare(base, file, [&](const Step& step) -> Status {
        if (Status put = put_literal(file, step.from, step.to, out); !put || step.length == 0) {
            return put;
        }
        const int where = width_log_of(step.base);
        const int size = width_log_of(step.length);
        std::string op(1, static_cast<char>(0x45 + 4 * where + size));
        put_big_endian(op, step.base, where);
        put_big_endian(op, step.length, size);
        return out(op);
    });
    return compared ? out(std::string_view("\0", 1)) : compared;
}

} // namespace hasp::sync
