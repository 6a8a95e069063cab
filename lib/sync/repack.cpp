#include "repack.h"

#include <algorithm>
#include <array>
#include <zlib.h>

namespace hasp::sync {

namespace {

constexpr std::size_t piece_bytes = std::size_t{64} * 1024;
constexpr int raw_window = -15; // without zlib's head; 32 KiB, as zip has it
// As programs pack: what they take if nobody says otherwise, then the ends of the scale.
constexpr std::array<unsigned, 9> levels{6, 9, 1, 5, 8, 7, 3, 4, 2};

Error no_stream() {
    return fail(Code::refused, "a member of an archive does not come out as it was told");
}

Bytef* bytes_of(const char* data) {
    return reinterpret_cast<Bytef*>(const_cast<char*>(data)); // zlib does not write there
}

class Inflater {
  public:
    Inflater() { ok_ = inflateInit2(&stream, raw_window) == Z_OK; }
    ~Inflater() { inflateEnd(&stream); }
    Inflater(const Inflater&) = delete;
    Inflater& operator=(const Inflater&) = delete;
    bool ok() const { return ok_; }
    z_stream stream{};

  private:
    bool ok_ = false;
};

} // namespace

Result<std::string> inflate_range(ReadFile& file, std::uint64_t from, std::uint64_t length,
                                  std::uint64_t size) {
    Inflater inflater;
    if (!inflater.ok()) {
        return fail(Code::failed, "zlib has no memory");
    }
    z_stream& stream = inflater.stream;
    std::string out;
    std::string in;
    std::size_t made = 0;
    int state = Z_OK;
    while (state == Z_OK && length > 0) {
        in.resize(static_cast<std::size_t>(std::min<std::uint64_t>(length, piece_bytes)));
        auto got = file.read(from, in);
        if (!got || *got == 0) {
            return got ? no_stream() : got.error();
        }
        from += *got;
        length -= *got;
        stream.next_in = bytes_of(in.data());
        stream.avail_in = static_cast<uInt>(*got);
        // One byte more than there may be tells that there are too many.
        do {
            if (made == out.size()) {
                const std::uint64_t most = std::max<std::uint64_t>(piece_bytes, made * 2);
                out.resize(static_cast<std::size_t>(std::min<std::uint64_t>(size + 1, most)));
            }
            stream.next_out = bytes_of(out.data() + made);
            stream.avail_out = static_cast<uInt>(out.size() - made);
            state = inflate(&stream, Z_NO_FLUSH);
            made = out.size() - stream.avail_out;
        } while (state == Z_OK && stream.avail_out == 0 && made <= size);
        if (state == Z_BUF_ERROR && stream.avail_in == 0) {
            state = Z_OK; // it wants more
        }
    }
    if (state != Z_STREAM_END || stream.avail_in != 0 || length != 0 || made != size) {
        return no_stream();
    }
    out.resize(made);
    return out;
}

struct Deflater::State {
    z_stream stream{};
    Packing how{0, 0};
    std::string piece;
    std::string out = std::string(piece_bytes, '\0');
};

Deflater::Deflater() : state_(std::make_unique<State>()) {}

Deflater::~Deflater() {
    if (state_->how.level != 0) {
        deflateEnd(&state_->stream);
    }
}

Status Deflater::begin(const Packing& how) {
    State& s = *state_;
    s.piece.clear();
    if (s.how == how) {
        return deflateReset(&s.stream) == Z_OK ? Status{}
                                               : fail(Code::failed, "zlib does not begin anew");
    }
    if (s.how.level != 0) {
        deflateEnd(&s.stream);
        s.how = {0, 0};
    }
    s.stream = {};
    if (deflateInit2(&s.stream, static_cast<int>(how.level), Z_DEFLATED, raw_window,
                     static_cast<int>(how.memory), Z_DEFAULT_STRATEGY) != Z_OK) {
        return fail(Code::failed, "zlib has no memory");
    }
    s.how = how;
    return {};
}

Status Deflater::write(std::string_view bytes, const Sink& out) {
    std::string& piece = state_->piece;
    while (!bytes.empty()) {
        if (piece.empty() && bytes.size() >= piece_bytes) {
            if (Status put = this->put(bytes.substr(0, piece_bytes), false, out); !put) {
                return put;
            }
            bytes.remove_prefix(piece_bytes);
            continue;
        }
        const std::size_t n = std::min(bytes.size(), piece_bytes - piece.size());
        piece.append(bytes.substr(0, n));
        bytes.remove_prefix(n);
        if (piece.size() == piece_bytes) {
            Status put = this->put(piece, false, out);
            piece.clear();
            if (!put) {
                return put;
            }
        }
    }
    return {};
}

Status Deflater::finish(const Sink& out) {
    Status put = this->put(state_->piece, true, out);
    state_->piece.clear();
    return put;
}

std::uint64_t Deflater::taken() const {
    return state_->stream.total_in;
}

Status Deflater::put(std::string_view bytes, bool last, const Sink& out) {
    State& s = *state_;
    s.stream.next_in = bytes_of(bytes.data());
    s.stream.avail_in = static_cast<uInt>(bytes.size());
    for (;;) {
        s.stream.next_out = bytes_of(s.out.data());
        s.stream.avail_out = static_cast<uInt>(s.out.size());
        const int state = deflate(&s.stream, last ? Z_FINISH : Z_NO_FLUSH);
        if (state == Z_STREAM_ERROR) {
            return fail(Code::failed, "zlib cannot pack a member");
        }
        const std::size_t made = s.out.size() - s.stream.avail_out;
        if (made > 0) {
            if (Status sent = out(std::string_view(s.out).substr(0, made)); !sent) {
                return sent;
            }
        }
        if (state == Z_STREAM_END || (!last && s.stream.avail_out != 0)) {
            return {};
        }
    }
}

namespace {

bool gives(Deflater& deflater, std::string_view plain, std::string_view packed, Packing how) {
    const Sink compare = [&packed](std::string_view bytes) {
        if (!packed.starts_with(bytes)) {
            return Status(no_stream());
        }
        packed.remove_prefix(bytes.size());
        return Status{};
    };
    Status done = deflater.begin(how);
    done = done ? deflater.write(plain, compare) : done;
    done = done ? deflater.finish(compare) : done;
    return done.ok() && packed.empty();
}

} // namespace

std::optional<Packing> find_packing(std::string_view plain, std::string_view packed, Packing likely,
                                    MembersWork& work) {
    Deflater deflater;
    std::array<Packing, 1 + levels.size() * 2> tries{likely};
    std::size_t count = 1;
    for (const unsigned memory : {8U, 9U}) {
        for (const unsigned level : levels) {
            tries[count++] = {level, memory};
        }
    }
    for (std::size_t i = 0; i < count; ++i) {
        if (i > 0 && tries[i] == likely) {
            continue;
        }
        if (!work.may_pack(plain.size(), tries[i].level)) {
            continue;
        }
        const bool fits = gives(deflater, plain, packed, tries[i]);
        work.packed(deflater.taken(), tries[i].level);
        if (fits) {
            return tries[i];
        }
    }
    return std::nullopt;
}

} // namespace hasp::sync
