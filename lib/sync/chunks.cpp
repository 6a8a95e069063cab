#include "sync/chunks.h"

#include "numbers.h"

#include <algorithm>
#include <array>

namespace hasp::sync {

namespace {

constexpr char list_version = 0x01;
constexpr std::uint64_t unscaled_bytes = std::uint64_t{512} << 20;
constexpr std::uint64_t least_bytes = 4096;
constexpr std::uint64_t most_bytes = std::uint64_t{64} * 1024;
constexpr unsigned zero_bits = 13;
constexpr std::size_t named_at_once_bytes = std::size_t{64} * 1024;
// Around an edit: what is read in vain may have to be unsealed.
constexpr std::size_t edit_read_bytes = std::size_t{16} * 1024;

static_assert(unscaled_bytes / least_bytes <= chunks_max);

using Gear = std::array<std::uint64_t, 256>;

const Gear& gear() {
    static const Gear table = [] {
        Gear out{};
        for (std::size_t i = 0; i < out.size(); ++i) {
            const std::string sum = trust::sha256(std::string("hasp gear ") + static_cast<char>(i));
            for (std::size_t byte = 0; byte < sizeof(std::uint64_t); ++byte) {
                out[i] = (out[i] << 8U) | static_cast<unsigned char>(sum[byte]);
            }
        }
        return out;
    }();
    return table;
}

Error damaged_list(const char* what) {
    return fail(Code::refused, std::string("a list of chunks is damaged: ") + what);
}

std::string big_endian(std::uint64_t value) {
    std::string out;
    for (int shift = 56; shift >= 0; shift -= 8) {
        out.push_back(static_cast<char>(value >> static_cast<unsigned>(shift)));
    }
    return out;
}

// Reads a content here and there, and what it has read only once.
class Lookahead {
  public:
    explicit Lookahead(ReadFile& file) : file_(file) {}
    // What follows there, at least a byte; empty: nothing does.
    Result<std::string_view> at(std::uint64_t offset) {
        if (offset < begin_ || offset >= begin_ + bytes_.size()) {
            bytes_.resize(edit_read_bytes);
            auto got = file_.read(offset, bytes_);
            bytes_.resize(got.value_or(0));
            begin_ = offset;
            if (!got) {
                return got.error();
            }
        }
        return std::string_view(bytes_).substr(static_cast<std::size_t>(offset - begin_));
    }

  private:
    ReadFile& file_;
    std::uint64_t begin_ = 0;
    std::string bytes_;
};

} // namespace

bool named_by_chunks(std::string_view name) {
    return name.size() == chunked_name_bytes && name[0] == content_name_mark;
}

bool valid_content_name(std::string_view name) {
    return name.size() == hash_bytes || named_by_chunks(name);
}

ChunkBounds chunk_bounds(std::uint64_t size) {
    unsigned scale = 0;
    while ((unscaled_bytes << scale) < size && scale < 8) {
        ++scale;
    }
    return {least_bytes << scale, most_bytes << scale, zero_bits + scale};
}

std::size_t Cutter::take(std::string_view bytes, bool& ends) {
    const Gear& values = gear();
    std::size_t at = 0;
    if (had_ < bounds_.least) { // nothing is cut there, so nothing is looked at
        at = static_cast<std::size_t>(std::min<std::uint64_t>(bounds_.least - had_, bytes.size()));
        had_ += at;
    }
    const std::size_t end =
        at +
        static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size() - at, bounds_.most - had_));
    const std::size_t first = at;
    const unsigned shift = 64 - bounds_.bits;
    std::uint64_t rolling = rolling_;
    ends = false;
    while (at < end) {
        rolling = (rolling << 1U) + values[static_cast<unsigned char>(bytes[at])];
        ++at;
        if ((rolling >> shift) == 0) {
            ends = true;
            break;
        }
    }
    had_ += at - first;
    ends = ends || had_ == bounds_.most;
    rolling_ = ends ? 0 : rolling;
    had_ = ends ? 0 : had_;
    return at;
}

void ChunkList::add(std::uint64_t bytes, std::string_view hash) {
    ends_.push_back(size() + bytes);
    hashes_.append(hash);
}

std::optional<std::size_t> ChunkList::beginning_at(std::uint64_t offset) const {
    if (offset == 0) {
        return ends_.empty() ? std::nullopt : std::optional<std::size_t>(0);
    }
    const auto end = std::lower_bound(ends_.begin(), ends_.end(), offset);
    const auto next = static_cast<std::size_t>(end - ends_.begin()) + 1;
    return end == ends_.end() || *end != offset || next == ends_.size()
               ? std::nullopt
               : std::optional<std::size_t>(next);
}

std::string ChunkList::name() const {
    trust::Sha256 sum;
    sum.update("hasp content by its chunks 1\n");
    sum.update(big_endian(size()));
    sum.update(hashes_);
    return std::string(1, content_name_mark) + sum.finish();
}

std::string encode_chunks(const ChunkList& chunks) {
    std::string out(1, list_version);
    put_number(out, chunks.count());
    for (std::size_t i = 0; i < chunks.count(); ++i) {
        put_number(out, chunks.bytes(i));
        out += chunks.hash(i);
    }
    return out;
}

Result<ChunkList> decode_chunks(std::string_view bytes, std::string_view name) {
    if (bytes.empty() || bytes[0] != list_version) {
        return damaged_list("it is of another kind");
    }
    bytes.remove_prefix(1);
    const auto count = take_number(bytes);
    // Each has a byte and its hash at least.
    if (!count || *count > chunks_max || *count > bytes.size() / (hash_bytes + 1)) {
        return damaged_list("the number of its chunks");
    }
    ChunkList out;
    for (std::uint64_t i = 0; i < *count; ++i) {
        const auto length = take_number(bytes);
        if (!length || *length == 0 || *length > file_bytes_max - out.size() ||
            bytes.size() < hash_bytes) {
            return damaged_list("a chunk");
        }
        out.add(*length, bytes.substr(0, hash_bytes));
        bytes.remove_prefix(hash_bytes);
    }
    if (!bytes.empty() || out.name() != name) {
        return damaged_list("it is of another content");
    }
    // The name says nothing of where chunks end.
    const ChunkBounds bounds = chunk_bounds(out.size());
    for (std::size_t i = 0; i < out.count(); ++i) {
        const bool last = i + 1 == out.count();
        if (out.bytes(i) > bounds.most || (!last && out.bytes(i) <= bounds.least)) {
            return damaged_list("where a chunk ends");
        }
    }
    return out;
}

Naming::Naming(std::uint64_t size, bool by_chunks)
    : announced_(size),
      chunks_(by_chunks && size >= chunked_bytes_least ? std::make_unique<ChunkList>() : nullptr),
      cutter_(chunk_bounds(size)) {}

void Naming::update(std::string_view bytes) {
    size_ += bytes.size();
    if (chunks_ == nullptr) {
        sum_.update(bytes);
        return;
    }
    if (size_ > announced_) {
        return; // a list of chunks of another size would know no limit
    }
    while (!bytes.empty()) {
        bool ends = false;
        const std::size_t n = cutter_.take(bytes, ends);
        sum_.update(bytes.substr(0, n));
        in_chunk_ += n;
        bytes.remove_prefix(n);
        if (ends) {
            chunks_->add(in_chunk_, sum_.finish());
            in_chunk_ = 0;
        }
    }
}

Digest Naming::finish() {
    if (chunks_ == nullptr) {
        return {sum_.finish(), size_, {}};
    }
    if (in_chunk_ > 0) {
        chunks_->add(in_chunk_, sum_.finish());
    }
    if (size_ != announced_) {
        return {"", size_, {}}; // the bounds of its chunks are those of another size
    }
    std::string name = chunks_->name();
    return {std::move(name), size_, std::move(chunks_)};
}

Result<Digest> identify(ReadFile& file, bool by_chunks, const IsExpected& expected,
                        const Sink& also) {
    auto stat = file.stat();
    if (!stat) {
        return stat.error();
    }
    Naming naming(stat->size, by_chunks);
    std::optional<Naming> otherwise;
    if (stat->size >= chunked_bytes_least && expected) {
        otherwise.emplace(stat->size, !by_chunks);
    }
    std::vector<char> buffer(named_at_once_bytes);
    for (std::uint64_t at = 0;;) {
        auto got = file.read(at, buffer);
        if (!got) {
            return got.error();
        }
        if (*got == 0) {
            break;
        }
        const std::string_view bytes(buffer.data(), *got);
        at += bytes.size();
        if (at > file_bytes_max) {
            return fail(Code::refused,
                        "a file is larger than " + std::to_string(file_bytes_max >> 30) + " GiB");
        }
        naming.update(bytes);
        if (otherwise) {
            otherwise->update(bytes);
        }
        if (Status taken = also ? also(bytes) : Status{}; !taken) {
            return taken.error();
        }
    }
    if (otherwise) {
        Digest other = otherwise->finish();
        if (expected(other.hash)) {
            return other;
        }
    }
    return naming.finish();
}

Result<bool> is_named(ReadFile& file, const std::string& name) {
    auto found = identify(file, named_by_chunks(name));
    return found ? Result<bool>(found->hash == name) : found.error();
}

Result<ChunkList> chunks_of_edit(const std::vector<Piece>& pieces, const ChunkList* basis,
                                 ReadFile& content, std::uint64_t size) {
    const ChunkBounds bounds = chunk_bounds(size);
    const bool comparable = basis != nullptr && chunk_bounds(basis->size()) == bounds;
    ChunkList out;
    Lookahead ahead(content);
    trust::Sha256 sum;
    auto piece = pieces.begin();
    std::uint64_t piece_end = piece == pieces.end() ? 0 : piece->length;
    for (std::uint64_t at = 0; at < size;) {
        while (piece != pieces.end() && piece_end <= at) {
            ++piece;
            piece_end += piece == pieces.end() ? 0 : piece->length;
        }
        if (comparable && piece != pieces.end() && piece->of_basis) {
            const auto same = basis->beginning_at(piece->from + piece->length - (piece_end - at));
            const std::uint64_t bytes = same ? basis->bytes(*same) : 0;
            // The last one of the basis may have ended because the basis did.
            if (same && bytes <= piece_end - at &&
                (*same + 1 < basis->count() || at + bytes == size)) {
                out.add(bytes, basis->hash(*same));
                at += bytes;
                continue;
            }
        }
        Cutter cutter(bounds);
        std::uint64_t end = at;
        for (bool ends = false; !ends && end < size;) {
            auto bytes = ahead.at(end);
            if (!bytes) {
                return bytes.error();
            }
            if (bytes->empty()) {
                return fail(Code::refused, "a content is shorter than its parts");
            }
            const std::string_view left = bytes->substr(
                0, static_cast<std::size_t>(std::min<std::uint64_t>(bytes->size(), size - end)));
            const std::size_t n = cutter.take(left, ends);
            sum.update(left.substr(0, n));
            end += n;
        }
        out.add(end - at, sum.finish());
        at = end;
    }
    return out;
}

} // namespace hasp::sync
