#include "compare.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <vector>

namespace hasp::sync {

namespace {

constexpr std::size_t window_bytes = std::size_t{256} * 1024;
constexpr std::size_t before_bytes = 4096; // kept in front of what is asked for: matches grow back
constexpr std::size_t step_bytes = std::size_t{64} * 1024;
constexpr std::size_t aligned_bytes = 4096; // looked through where the old alignment may hold again
constexpr std::size_t nearer_bytes = std::size_t{16} * 1024;
constexpr std::size_t near_block = match_bytes_least;
constexpr std::size_t near_slots = 8192; // for step_bytes / near_block entries
constexpr std::size_t block_bytes = 64;  // of the table, for small bases; grows with them
constexpr std::size_t block_bytes_max = std::size_t{16} * 1024; // what is behind 8 GiB is not in it
constexpr std::size_t blocks_max = std::size_t{512} * 1024;
constexpr std::size_t probes_max = 8;
constexpr std::uint64_t prime = 0x100000001B3ULL;
constexpr std::uint64_t mix = 0x9E3779B97F4A7C15ULL;
// So much looked through in the table, and next to nothing of it found: the files have nothing to
// do with one another, and looking on would cost more than it finds.
constexpr std::uint64_t futile_bytes = std::uint64_t{4} << 20;
constexpr std::uint64_t futile_share = 64;

static_assert(block_bytes_max < step_bytes);
static_assert(step_bytes + before_bytes <= window_wanted_max && window_wanted_max < window_bytes);

std::uint64_t sum_of(std::string_view bytes) {
    std::uint64_t sum = 0;
    for (const char c : bytes) {
        sum = sum * prime + static_cast<unsigned char>(c);
    }
    return sum;
}

std::uint64_t power(std::size_t exponent) {
    std::uint64_t out = 1;
    for (std::size_t i = 0; i < exponent; ++i) {
        out *= prime;
    }
    return out;
}

// Of two equally long texts.
std::size_t equal_bytes(const char* a, const char* b, std::size_t size) {
    constexpr std::size_t stride = 512;
    std::size_t same = 0;
    while (same + stride <= size && std::memcmp(a + same, b + same, stride) == 0) {
        same += stride;
    }
    while (same < size && a[same] == b[same]) {
        ++same;
    }
    return same;
}

// Blocks of a content by their sums: where each stands.
class Table {
  public:
    explicit Table(std::size_t entries) {
        std::size_t slots = 16;
        while (slots < entries * 2) {
            slots *= 2;
        }
        slots_.resize(slots);
        shift_ = 64 - std::countr_zero(slots);
    }
    void clear() { std::fill(slots_.begin(), slots_.end(), Slot{}); }
    void add(std::uint64_t sum, std::uint32_t number) {
        const std::uint64_t mixed = sum * mix;
        std::size_t at = mixed >> static_cast<unsigned>(shift_);
        for (std::size_t i = 0; i < probes_max; ++i, at = (at + 1) % slots_.size()) {
            if (slots_[at].number == 0) {
                slots_[at] = {static_cast<std::uint32_t>(mixed), number + 1};
                return;
            }
            if (slots_[at].tag == static_cast<std::uint32_t>(mixed)) {
                return; // the same again: the first counts
            }
        }
    }
    // The number, or nothing.
    std::optional<std::uint32_t> find(std::uint64_t sum) const {
        const std::uint64_t mixed = sum * mix;
        std::size_t at = mixed >> static_cast<unsigned>(shift_);
        for (std::size_t i = 0; i < probes_max; ++i, at = (at + 1) % slots_.size()) {
            if (slots_[at].number == 0) {
                return std::nullopt;
            }
            if (slots_[at].tag == static_cast<std::uint32_t>(mixed)) {
                return slots_[at].number - 1;
            }
        }
        return std::nullopt;
    }

  private:
    struct Slot {
        std::uint32_t tag = 0;
        std::uint32_t number = 0; // 0: free
    };
    std::vector<Slot> slots_;
    int shift_ = 0;
};

class Comparison {
  public:
    Comparison(ReadFile& base, std::uint64_t base_size, ReadFile& file, std::uint64_t file_size,
               const std::function<Status(const Step&)>& out)
        : base_(base, base_size), probe_(base, base_size), file_(file, file_size), out_(out),
          near_(near_slots / 2) {
        while (base_size / block_ > blocks_max && block_ < block_bytes_max) {
            block_ *= 2;
        }
    }

    Status run() {
        while (at_ < file_.size()) {
            const std::uint64_t same = equal_run(base_, base_at_, at_);
            Status stepped;
            if (same >= match_bytes_least || (same > 0 && at_ + same == file_.size())) {
                stepped = copy(base_at_, same);
            } else {
                stepped = find_on();
            }
            if (!stepped) {
                return stepped;
            }
            for (const Window* one : {&base_, &probe_, &file_}) {
                if (one->error()) {
                    return *one->error();
                }
            }
        }
        return literal_ < at_ || file_.size() == 0 ? out_({literal_, at_, 0, 0}) : Status{};
    }

  private:
    // The next match behind at_, or a step on without one.
    Status find_on() {
        const std::string_view fresh = file_.at(at_, step_bytes);
        const std::string_view old = base_.at(base_at_, step_bytes);
        if (fresh.empty()) {
            at_ = file_.size(); // the file is shorter than it was, or cannot be read
            return file_.error() ? Status(*file_.error())
                                 : fail(Code::try_later, "a file changed while it was read");
        }
        if (const auto ahead = aligned(fresh, old)) {
            at_ += *ahead;
            return copy(base_at_ + *ahead, equal_run(base_, base_at_ + *ahead, at_));
        }
        if (!futile_ && found(fresh, old)) {
            return copy_grown();
        }
        // A match that begins at the end of this piece is found in the next one.
        const bool last = at_ + fresh.size() == file_.size();
        const std::size_t on = last || futile_ ? fresh.size() : fresh.size() - block_;
        at_ += on;
        base_at_ += on;
        return {};
    }

    bool found(std::string_view fresh, std::string_view old) {
        if (!near(fresh, old)) {
            return far(fresh);
        }
        const Found at = found_;
        // What stands before a match that is not so near may be from elsewhere in the base.
        if (at.file - at_ > nearer_bytes && !far(fresh.substr(0, at.file - at_))) {
            found_ = at;
        }
        return true;
    }

    // The same alignment holds again after a few bytes.
    static std::optional<std::size_t> aligned(std::string_view fresh, std::string_view old) {
        const std::size_t size = std::min({fresh.size(), old.size(), aligned_bytes});
        std::size_t same = 0;
        for (std::size_t i = 0; i < size; ++i) {
            same = fresh[i] == old[i] ? same + 1 : 0;
            if (same == match_bytes_least) {
                return i + 1 - same;
            }
        }
        return std::nullopt;
    }

    // What follows in the base comes a little later in the file, or the reverse.
    bool near(std::string_view fresh, std::string_view old) {
        if (fresh.size() < near_block || old.size() < near_block) {
            return false;
        }
        near_.clear();
        for (std::size_t at = 0; at + near_block <= old.size(); at += near_block) {
            near_.add(sum_of(old.substr(at, near_block)), static_cast<std::uint32_t>(at));
        }
        return roll(fresh, near_block, near_leading_, [&](std::uint64_t sum, std::size_t at) {
            const auto offset = near_.find(sum);
            if (!offset || old.compare(*offset, near_block, fresh, at, near_block) != 0) {
                return false;
            }
            found_ = {base_at_ + *offset, at_ + at};
            return true;
        });
    }

    bool far(std::string_view fresh) {
        if (unfound() < block_ || fresh.size() < block_) {
            return false;
        }
        if (!table_) {
            index();
        }
        const bool hit = roll(fresh, block_, leading_, [&](std::uint64_t sum, std::size_t at) {
            const auto number = table_->find(sum);
            if (!number) {
                return false;
            }
            const std::uint64_t from = std::uint64_t{*number} * block_;
            const std::string_view old = probe_.at(from, block_);
            if (old.size() < block_ || fresh.compare(at, block_, old) != 0) {
                return false;
            }
            found_ = {from, at_ + at};
            return true;
        });
        if (!hit) {
            vain_ += fresh.size();
            futile_ = vain_ > futile_bytes && copied_ < vain_ / futile_share;
        }
        return hit;
    }

    // Bytes of the base that stand in no match so far.
    std::uint64_t unfound() const { return base_.size() - std::min(base_.size(), copied_); }

    template <class Try>
    static bool roll(std::string_view bytes, std::size_t block, std::uint64_t leading,
                     const Try& fits) {
        std::uint64_t sum = sum_of(bytes.substr(0, block));
        for (std::size_t at = 0;; ++at) {
            if (fits(sum, at)) {
                return true;
            }
            if (at + block >= bytes.size()) {
                return false;
            }
            sum = (sum - static_cast<unsigned char>(bytes[at]) * leading) * prime +
                  static_cast<unsigned char>(bytes[at + block]);
        }
    }

    void index() {
        const std::uint64_t blocks = std::min<std::uint64_t>(base_.size() / block_, blocks_max);
        table_.emplace(static_cast<std::size_t>(blocks));
        leading_ = power(block_ - 1);
        const std::size_t together = std::max(block_, step_bytes / block_ * block_);
        for (std::uint64_t at = 0; at < blocks * block_; at += together) {
            const std::string_view bytes = probe_.at(at, together);
            for (std::size_t i = 0; i + block_ <= bytes.size(); i += block_) {
                table_->add(sum_of(bytes.substr(i, block_)),
                            static_cast<std::uint32_t>((at + i) / block_));
            }
        }
    }

    std::uint64_t equal_run(Window& base, std::uint64_t from, std::uint64_t to) {
        std::uint64_t run = 0;
        for (;;) {
            const std::string_view a = base.at(from + run, step_bytes);
            const std::string_view b = file_.at(to + run, step_bytes);
            const std::size_t n = std::min(a.size(), b.size());
            const std::size_t same = equal_bytes(a.data(), b.data(), n);
            run += same;
            if (same < n || n == 0) {
                return run;
            }
        }
    }

    // found_, grown to both sides.
    Status copy_grown() {
        const std::uint64_t forward = equal_run(probe_, found_.base, found_.file);
        const std::uint64_t room =
            std::min({found_.base, found_.file - literal_, std::uint64_t{before_bytes}});
        const std::string_view a = probe_.at(found_.base - room, room);
        const std::string_view b = file_.at(found_.file - room, room);
        std::uint64_t back = 0;
        while (back < std::min(a.size(), b.size()) &&
               a[a.size() - 1 - back] == b[b.size() - 1 - back]) {
            ++back;
        }
        at_ = found_.file - back;
        return copy(found_.base - back, forward + back);
    }

    Status copy(std::uint64_t from, std::uint64_t length) {
        if (length == 0) {
            return fail(Code::try_later, "a file changed while it was read");
        }
        const Step step{literal_, at_, from, length};
        at_ += length;
        literal_ = at_;
        base_at_ = from + length;
        copied_ += length;
        return out_(step);
    }

    struct Found {
        std::uint64_t base = 0;
        std::uint64_t file = 0;
    };
    Window base_;
    Window probe_; // of the base as well, where it is not read in order
    Window file_;
    const std::function<Status(const Step&)>& out_;
    Table near_;
    std::uint64_t near_leading_ = power(near_block - 1);
    std::optional<Table> table_;
    std::size_t block_ = block_bytes;
    std::uint64_t leading_ = 1;
    Found found_;
    bool futile_ = false;
    std::uint64_t vain_ = 0;    // looked through in the table without a match
    std::uint64_t copied_ = 0;  // bytes in matches
    std::uint64_t at_ = 0;      // in the file
    std::uint64_t base_at_ = 0; // where the base would go on at at_
    std::uint64_t literal_ = 0; // begin of what has not been told yet
};

} // namespace

std::string_view Window::at(std::uint64_t offset, std::size_t wanted) {
    if (offset >= size_ || error_) {
        return {};
    }
    const std::size_t n = static_cast<std::size_t>(std::min<std::uint64_t>(wanted, size_ - offset));
    if (offset < begin_ || offset + n > begin_ + bytes_.size()) {
        begin_ = offset - std::min<std::uint64_t>(offset, before_bytes);
        bytes_.resize(
            static_cast<std::size_t>(std::min<std::uint64_t>(window_bytes, size_ - begin_)));
        auto got = file_.read(begin_, bytes_);
        if (!got) {
            error_ = got.error();
            return {};
        }
        bytes_.resize(*got);
    }
    const std::size_t within = static_cast<std::size_t>(offset - begin_);
    return within < bytes_.size() ? std::string_view(bytes_).substr(within, n) : std::string_view();
}

Status compare(ReadFile& base, ReadFile& file, const std::function<Status(const Step&)>& out) {
    auto old_stat = base.stat();
    auto new_stat = file.stat();
    if (!old_stat || !new_stat) {
        return old_stat ? new_stat.error() : old_stat.error();
    }
    return Comparison(base, old_stat->size, file, new_stat->size, out).run();
}

} // namespace hasp::sync
