// A difference found by comparing with the base itself, in librsync's delta format. What matches is
// found at the alignment of the last match first (edits in place, appends), then through a table of
// the base's blocks (insertions, moves); every match is compared byte by byte and grown to both
// sides, so that no strong sums are needed.
#include "sync/codec.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <unordered_map>
#include <vector>

namespace hasp::sync {

namespace {

constexpr std::size_t block_bytes = 64;      // of the table, for small bases; grows with them
constexpr std::size_t blocks_max = 1 << 20;  // of the table: 16 MiB or so
constexpr std::size_t copy_bytes_least = 16; // a shorter copy costs more than its literal
constexpr std::size_t page_bytes = std::size_t{64} * 1024;
constexpr std::size_t pages_max = 64;
constexpr std::size_t literal_bytes_max = std::size_t{64} * 1024;
constexpr std::uint64_t prime = 0x100000001B3ULL;

// A file read by pages, so that bytes can be asked for one by one. A failed read is kept.
class Pages {
  public:
    explicit Pages(ReadFile& file, std::uint64_t size) : file_(file), size_(size) {}
    std::uint64_t size() const { return size_; }
    const std::optional<Error>& error() const { return error_; }

    // At most up to the end of a page; empty beyond the end.
    std::string_view at(std::uint64_t offset) {
        if (offset >= size_ || error_) {
            return {};
        }
        const std::uint64_t number = offset / page_bytes;
        Page& page = pages_[number % pages_max];
        if (page.bytes.empty() || page.number != number) {
            page.number = number;
            page.bytes.resize(page_bytes);
            auto got = file_.read(number * page_bytes, page.bytes);
            if (!got) {
                error_ = got.error();
                return {};
            }
            page.bytes.resize(static_cast<std::size_t>(
                std::min<std::uint64_t>(*got, size_ - number * page_bytes)));
        }
        const std::size_t within = offset % page_bytes;
        return within < page.bytes.size() ? std::string_view(page.bytes).substr(within)
                                          : std::string_view();
    }
    int byte(std::uint64_t offset) {
        const std::string_view bytes = at(offset);
        return bytes.empty() ? -1 : static_cast<unsigned char>(bytes.front());
    }

  private:
    struct Page {
        std::uint64_t number = 0;
        std::string bytes;
    };
    ReadFile& file_;
    std::uint64_t size_;
    std::array<Page, pages_max> pages_;
    std::optional<Error> error_;
};

void put_number(std::string& out, std::uint64_t value, int width_log) {
    for (int shift = 8 * ((1 << width_log) - 1); shift >= 0; shift -= 8) {
        out.push_back(static_cast<char>(value >> static_cast<unsigned>(shift)));
    }
}

int width_log_of(std::uint64_t value) {
    return value <= 0xFF ? 0 : value <= 0xFFFF ? 1 : value <= 0xFFFFFFFFULL ? 2 : 3;
}

class Comparison {
  public:
    Comparison(Pages& base, Pages& file, const Sink& out) : base_(base), file_(file), out_(out) {
        block_ = block_bytes;
        while (base.size() / block_ > blocks_max) {
            block_ *= 2;
        }
        for (std::size_t i = 1; i < block_; ++i) {
            leading_ *= prime;
        }
    }

    Status run() {
        if (Status begun = emit(std::string("\x72\x73\x02\x36", 4)); !begun) {
            return begun;
        }
        while (at_ < file_.size()) {
            if (Status stepped = step(); !stepped) {
                return stepped;
            }
            if (base_.error() || file_.error()) {
                return base_.error() ? *base_.error() : *file_.error();
            }
        }
        if (Status flushed = flush_literal(at_); !flushed) {
            return flushed;
        }
        return emit(std::string(1, '\0'));
    }

  private:
    Status step() {
        if (const std::uint64_t run = equal_run(at_ + shift_, at_); run >= copy_bytes_least) {
            return copy(at_ + shift_, run);
        }
        // Not at the alignment of the last match: look the next block up, byte by byte, until one
        // matches or the old alignment does again.
        if (!indexed_) {
            index();
        }
        if (at_ + block_ > file_.size()) {
            return literal_to(next_aligned(file_.size()));
        }
        std::uint64_t sum = 0;
        for (std::size_t i = 0; i < block_; ++i) {
            sum = sum * prime + static_cast<std::uint64_t>(file_.byte(at_ + i));
        }
        for (;;) {
            if (const auto found = blocks_.find(sum); found != blocks_.end()) {
                std::uint64_t from = found->second;
                if (std::uint64_t run = equal_run(from, at_); run >= block_) {
                    std::uint64_t to = at_;
                    while (to > literal_ && from > 0 &&
                           base_.byte(from - 1) == file_.byte(to - 1)) {
                        --to;
                        --from;
                        ++run;
                    }
                    at_ = to;
                    return copy(from, run);
                }
            }
            const int first = file_.byte(at_);
            const int next = file_.byte(at_ + block_);
            ++at_;
            if (next < 0) {
                return literal_to(next_aligned(file_.size()));
            }
            sum = (sum - static_cast<std::uint64_t>(first) * leading_) * prime +
                  static_cast<std::uint64_t>(next);
            if (aligned_here()) {
                return {};
            }
            if (at_ - literal_ >= literal_bytes_max) {
                return flush_literal(at_);
            }
        }
    }

    // Cheap: eight bytes at the old alignment are equal again.
    bool aligned_here() {
        for (std::uint64_t i = 0; i < 8; ++i) {
            const int byte = base_.byte(at_ + shift_ + i);
            if (byte < 0 || byte != file_.byte(at_ + i)) {
                return false;
            }
        }
        return equal_run(at_ + shift_, at_) >= copy_bytes_least;
    }

    std::uint64_t next_aligned(std::uint64_t end) {
        for (std::uint64_t at = at_; at < end; ++at) {
            const std::uint64_t was = std::exchange(at_, at);
            const bool aligned = aligned_here();
            at_ = was;
            if (aligned) {
                return at;
            }
        }
        return end;
    }

    Status literal_to(std::uint64_t end) {
        at_ = end;
        return {};
    }

    std::uint64_t equal_run(std::uint64_t from, std::uint64_t to) {
        std::uint64_t run = 0;
        for (;;) {
            const std::string_view a = base_.at(from + run);
            const std::string_view b = file_.at(to + run);
            const std::size_t n = std::min(a.size(), b.size());
            if (n == 0) {
                return run;
            }
            if (std::memcmp(a.data(), b.data(), n) != 0) {
                const auto differ =
                    std::mismatch(a.begin(), a.begin() + static_cast<long>(n), b.begin());
                return run + static_cast<std::uint64_t>(differ.first - a.begin());
            }
            run += n;
        }
    }

    void index() {
        indexed_ = true;
        blocks_.reserve(base_.size() / block_ + 1);
        for (std::uint64_t at = 0; at + block_ <= base_.size(); at += block_) {
            std::uint64_t sum = 0;
            for (std::size_t i = 0; i < block_; ++i) {
                sum = sum * prime + static_cast<std::uint64_t>(base_.byte(at + i));
            }
            blocks_.emplace(sum, at);
        }
    }

    Status copy(std::uint64_t from, std::uint64_t length) {
        if (Status flushed = flush_literal(at_); !flushed) {
            return flushed;
        }
        const int where = width_log_of(from);
        const int size = width_log_of(length);
        std::string op(1, static_cast<char>(0x45 + 4 * where + size));
        put_number(op, from, where);
        put_number(op, length, size);
        shift_ = from - at_;
        at_ += length;
        literal_ = at_;
        return emit(op);
    }

    Status flush_literal(std::uint64_t end) {
        while (literal_ < end) {
            const std::uint64_t n = std::min<std::uint64_t>(end - literal_, literal_bytes_max);
            std::string op;
            if (n <= 64) {
                op.push_back(static_cast<char>(n));
            } else {
                const int size = width_log_of(n);
                op.push_back(static_cast<char>(0x41 + size));
                put_number(op, n, size);
            }
            for (std::uint64_t left = n; left > 0;) {
                const std::string_view bytes = file_.at(literal_).substr(0, left);
                if (bytes.empty()) {
                    return file_.error()
                               ? Status(*file_.error())
                               : fail(Code::try_later, "a file changed while it was read");
                }
                op.append(bytes);
                literal_ += bytes.size();
                left -= bytes.size();
            }
            if (Status sent = emit(op); !sent) {
                return sent;
            }
        }
        return {};
    }

    Status emit(const std::string& bytes) { return out_(bytes); }

    Pages& base_;
    Pages& file_;
    const Sink& out_;
    std::size_t block_;
    std::uint64_t leading_ = 1;
    bool indexed_ = false;
    std::unordered_map<std::uint64_t, std::uint64_t> blocks_;
    std::uint64_t at_ = 0;      // in the new file
    std::uint64_t literal_ = 0; // begin of what is not yet emitted
    std::uint64_t shift_ = 0;   // base = new + shift, modulo 2^64
};

} // namespace

Status delta_from_base(ReadFile& base, ReadFile& file, const Sink& out) {
    auto old_stat = base.stat();
    auto new_stat = file.stat();
    if (!old_stat || !new_stat) {
        return old_stat ? new_stat.error() : old_stat.error();
    }
    const auto old_pages = std::make_unique<Pages>(base, old_stat->size);
    const auto new_pages = std::make_unique<Pages>(file, new_stat->size);
    return Comparison(*old_pages, *new_pages, out).run();
}

} // namespace hasp::sync
