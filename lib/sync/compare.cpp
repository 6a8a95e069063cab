#include "compare.h"

#include "effort.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <utility>
#include <vector>

namespace hasp::sync {

namespace {

constexpr std::size_t window_bytes = std::size_t{256} * 1024;
constexpr std::size_t before_bytes = 4096; // kept in front of what is asked for: matches grow back
constexpr std::size_t compared_at_once_bytes = std::size_t{64} * 1024;
constexpr std::size_t nearest_bytes = std::size_t{4} * 1024;
constexpr std::size_t nearer_bytes = std::size_t{16} * 1024;
constexpr std::uint64_t sure_bytes = 4096;
constexpr std::size_t scored_bytes = std::size_t{32} * 1024;
constexpr std::size_t tries_max = 32;
// A search looks through what it has at hand in a millisecond at worst: more than so many, and a
// file has next to nothing of the other in one piece.
constexpr std::uint64_t searches_least = 500;
constexpr std::uint64_t bytes_a_search = std::uint64_t{32} * 1024;
// Each try of it may have to read a window elsewhere, which a sealed base has to be unsealed for.
constexpr std::uint64_t tries_read_least = 4 * searches_least;
constexpr std::uint64_t bytes_a_try_read = bytes_a_search / 4;
constexpr std::size_t near_block = match_bytes_least;
constexpr std::size_t near_slots = 8192; // for compared_at_once_bytes / near_block entries
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

static_assert(block_bytes_max < compared_at_once_bytes);
static_assert(compared_at_once_bytes + before_bytes <= window_wanted_max &&
              window_wanted_max < window_bytes);

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

using Word = std::uint64_t;

Word word_at(const char* at) {
    Word out = 0;
    std::memcpy(&out, at, sizeof out);
    return out;
}

// Of two equally long texts.
std::size_t equal_bytes(const char* a, const char* b, std::size_t size) {
    constexpr std::size_t stride = 512;
    std::size_t same = 0;
    // Most texts that are held against each other differ at once, and calls would take longer than
    // that.
    for (const std::size_t few = std::min(size, stride); same + sizeof(Word) <= few;
         same += sizeof(Word)) {
        if (word_at(a + same) != word_at(b + same)) {
            break;
        }
    }
    if (same + sizeof(Word) > stride) {
        while (same + stride <= size && std::memcmp(a + same, b + same, stride) == 0) {
            same += stride;
        }
        while (same + sizeof(Word) <= size && word_at(a + same) == word_at(b + same)) {
            same += sizeof(Word);
        }
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
            // First, since what cannot be read looks like what has changed.
            for (const Window* one : {&base_, &probe_, &file_}) {
                if (one->error()) {
                    return *one->error();
                }
            }
            if (!stepped) {
                return stepped;
            }
        }
        return literal_ < at_ || file_.size() == 0 ? out_({literal_, at_, 0, 0}) : Status{};
    }

  private:
    struct Match {
        std::uint64_t base = 0;
        std::uint64_t file = 0;
        std::size_t score = 0; // of the bytes that follow, how many are equal in runs; 0: none
        std::uint64_t run = 0; // of them, equal in one; 0: not counted
    };

    // The next match behind at_, or a step on without one.
    Status find_on() {
        const std::string_view fresh = file_.at(at_, compared_at_once_bytes);
        const std::size_t size = fresh.size();
        const std::string_view old = base_.at(base_at_, compared_at_once_bytes);
        if (fresh.empty()) {
            at_ = file_.size(); // the file is shorter than it was, or cannot be read
            return file_.error() ? Status(*file_.error())
                                 : fail(Code::try_later, "a file changed while it was read");
        }
        best_ = {};
        if (goes_on(fresh, old, base_at_)) {
            return copy_best();
        }
        // As the last long match would go on, where a short one since has led elsewhere.
        if (const std::uint64_t other = at_ + shift_; other != base_at_) {
            const std::string there(probe_.at(other, compared_at_once_bytes));
            if (goes_on(std::string(file_.at(at_, compared_at_once_bytes)), there, other)) {
                return copy_best();
            }
        }
        // What a window gave may be gone with the next call.
        ++searches_;
        const bool worth = !futile_ && searches_ <= searches_least + at_ / bytes_a_search &&
                           tries_read_ <= tries_read_least + at_ / bytes_a_try_read;
        if (worth && found(std::string(file_.at(at_, compared_at_once_bytes)),
                           std::string(base_.at(base_at_, compared_at_once_bytes)))) {
            return copy_best();
        }
        // A match that begins at the end of this piece is found in the next one.
        const bool last = at_ + size == file_.size();
        const std::size_t on = last || !worth ? size : size - block_;
        at_ += on;
        base_at_ += on;
        return {};
    }

    // The file goes on at `from` of the base after a few bytes, as one that was changed in place.
    bool goes_on(std::string_view fresh, std::string_view old, std::uint64_t from) {
        const auto ahead = aligned(fresh, old);
        if (!ahead) {
            return false;
        }
        Match here{from + *ahead, at_ + *ahead};
        const bool trusted = at_ < trusted_ && from == base_at_;
        here.run = trusted ? 0 : equal_run(probe_, here.base, here.file);
        if (trusted || here.run >= sure_bytes) {
            best_ = here;
            return true;
        }
        consider(here);
        if (best_.file == here.file && best_.base == here.base && best_.score >= scored_bytes / 2) {
            trusted_ = at_ + scored_bytes / 2;
            return true;
        }
        return false;
    }

    bool found(std::string_view fresh, std::string_view old) {
        // A line or a few are all that most insertions and deletions are. What does not go on for
        // long from there counts for nothing: the wider look finds it again, or better.
        const Match had = best_;
        if (near(fresh.substr(0, nearest_bytes), old.substr(0, nearest_bytes)) &&
            best_.score >= std::min(fresh.size(), scored_bytes) / 4 * 3) {
            return true;
        }
        best_ = had;
        near(fresh, old);
        // What stands before a match that is not so near may be from elsewhere in the base.
        const std::uint64_t before = best_.score == 0 ? fresh.size() : best_.file - at_;
        if (best_.score == 0 || before > nearer_bytes) {
            const Match nearest = std::exchange(best_, Match{});
            far(fresh.substr(0, static_cast<std::size_t>(before)));
            if (best_.score < std::min(nearest.score, scored_bytes / 2)) {
                best_ = nearest;
            }
        }
        return best_.score > 0;
    }

    // The two are equal there for match_bytes_least at least. What counts is how much of what
    // follows is: texts repeat themselves and pages of a database look alike, and what follows a
    // false match is another false one. True: so much that there is no need to look on.
    bool consider(Match match) {
        const std::string_view b = file_.at(match.file, scored_bytes);
        const std::string_view a = probe_.at(match.base, scored_bytes);
        const std::size_t size = std::min(a.size(), b.size());
        for (std::size_t i = 0; i < size;) {
            const std::size_t same = equal_bytes(a.data() + i, b.data() + i, size - i);
            if (same < match_bytes_least && i + same < size) {
                return false; // the first; of those behind it aligned() has compared as much
            }
            match.score += same;
            i += same;
            const auto next = aligned(b.substr(i), a.substr(i));
            if (!next) {
                break;
            }
            i += *next;
        }
        if (match.score > best_.score) {
            best_ = match;
        }
        return match.score >= std::min<std::size_t>(b.size(), scored_bytes) / 4 * 3;
    }

    // The same alignment holds again after a few bytes. Of match_bytes_least that are equal, one in
    // the middle of every so many is.
    static std::optional<std::size_t> aligned(std::string_view fresh, std::string_view old) {
        constexpr std::size_t every = match_bytes_least - sizeof(Word);
        const std::size_t size = std::min(fresh.size(), old.size());
        for (std::size_t at = 0; at + sizeof(Word) <= size; at += every) {
            if (word_at(fresh.data() + at) != word_at(old.data() + at)) {
                continue;
            }
            std::size_t from = at;
            while (from > 0 && at - from < every && fresh[from - 1] == old[from - 1]) {
                --from;
            }
            const std::size_t to = std::min(size, from + match_bytes_least);
            if (to - from == match_bytes_least &&
                fresh.substr(at, to - at) == old.substr(at, to - at)) {
                return from;
            }
        }
        return std::nullopt;
    }

    // What follows in the base comes a little later in the file, or the reverse.
    // True: what was found is so good that there is no need to look on.
    bool near(std::string_view fresh, std::string_view old) {
        if (fresh.size() < near_block || old.size() < near_block) {
            return false;
        }
        near_.clear();
        for (std::size_t at = 0; at + near_block <= old.size(); at += near_block) {
            near_.add(sum_of(old.substr(at, near_block)), static_cast<std::uint32_t>(at));
        }
        std::size_t tries = tries_max;
        bool sure = false;
        roll(fresh, near_block, near_leading_, [&](std::uint64_t sum, std::size_t at) {
            const auto offset = near_.find(sum);
            if (!offset || old.compare(*offset, near_block, fresh, at, near_block) != 0) {
                return false;
            }
            sure = consider({base_at_ + *offset, at_ + at});
            return sure || --tries == 0;
        });
        return sure;
    }

    void far(std::string_view fresh) {
        if (unfound() < block_ || fresh.size() < block_) {
            return;
        }
        if (!table_) {
            index();
        }
        std::size_t tries = tries_max;
        roll(fresh, block_, leading_, [&](std::uint64_t sum, std::size_t at) {
            const auto number = table_->find(sum);
            if (!number) {
                return false;
            }
            const std::uint64_t from = std::uint64_t{*number} * block_;
            const std::uint64_t reads = probe_.reads();
            const bool sure = consider({from, at_ + at});
            tries_read_ += probe_.reads() - reads;
            return sure || --tries == 0;
        });
        if (best_.score == 0) {
            vain_ += fresh.size();
            futile_ = vain_ > futile_bytes && copied_ < vain_ / futile_share;
        }
    }

    // Bytes of the base that stand in no match so far.
    std::uint64_t unfound() const { return base_.size() - std::min(base_.size(), copied_); }

    // Until one fits, or to the end.
    template <class Try>
    static void roll(std::string_view bytes, std::size_t block, std::uint64_t leading,
                     const Try& fits) {
        std::uint64_t sum = sum_of(bytes.substr(0, block));
        for (std::size_t at = 0;; ++at) {
            if (fits(sum, at) || at + block >= bytes.size()) {
                return;
            }
            sum = (sum - static_cast<unsigned char>(bytes[at]) * leading) * prime +
                  static_cast<unsigned char>(bytes[at + block]);
        }
    }

    void index() {
        const std::uint64_t blocks = std::min<std::uint64_t>(base_.size() / block_, blocks_max);
        table_.emplace(static_cast<std::size_t>(blocks));
        leading_ = power(block_ - 1);
        const std::size_t together = std::max(block_, compared_at_once_bytes / block_ * block_);
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
            const std::string_view a = base.at(from + run, compared_at_once_bytes);
            const std::string_view b = file_.at(to + run, compared_at_once_bytes);
            const std::size_t n = std::min(a.size(), b.size());
            const std::size_t same = equal_bytes(a.data(), b.data(), n);
            run += same;
            if (same < n || n == 0) {
                return run;
            }
        }
    }

    // best_, grown back as far as it goes.
    Status copy_best() {
        const std::uint64_t forward =
            best_.run > 0 ? best_.run : equal_run(probe_, best_.base, best_.file);
        const std::uint64_t room =
            std::min({best_.base, best_.file - literal_, std::uint64_t{before_bytes}});
        const std::string_view a = probe_.at(best_.base - room, room);
        const std::string_view b = file_.at(best_.file - room, room);
        std::uint64_t back = 0;
        while (back < std::min(a.size(), b.size()) &&
               a[a.size() - 1 - back] == b[b.size() - 1 - back]) {
            ++back;
        }
        at_ = best_.file - back;
        return copy(best_.base - back, forward + back);
    }

    Status copy(std::uint64_t from, std::uint64_t length) {
        if (length == 0) {
            return fail(Code::try_later, "a file changed while it was read");
        }
        const Step step{literal_, at_, from, length};
        const bool worth = effort_.copy(from, length, at_ + length);
        at_ += length;
        base_at_ = from + length;
        if (!worth) {
            return {}; // new bytes, as what stands before it
        }
        literal_ = at_;
        if (length >= sure_bytes) {
            shift_ = from - step.to;
        }
        copied_ += length;
        return out_(step);
    }

    Window base_;
    Window probe_; // of the base as well, where it is not read in order
    Window file_;
    const std::function<Status(const Step&)>& out_;
    Table near_;
    std::uint64_t near_leading_ = power(near_block - 1);
    std::optional<Table> table_;
    std::size_t block_ = block_bytes;
    std::uint64_t leading_ = 1;
    Match best_;
    bool futile_ = false;
    Effort effort_; // of whoever makes the file again
    std::uint64_t searches_ = 0;
    std::uint64_t tries_read_ = 0; // windows, for tries of searches
    std::uint64_t shift_ = 0;      // base = file + shift where the last long match was, modulo 2^64
    std::uint64_t trusted_ = 0;    // up to here in the file the alignment was compared
    std::uint64_t vain_ = 0;       // looked through in the table without a match
    std::uint64_t copied_ = 0;     // bytes in matches
    std::uint64_t at_ = 0;         // in the file
    std::uint64_t base_at_ = 0;    // where the base would go on at at_
    std::uint64_t literal_ = 0;    // begin of what has not been told yet
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
        ++reads_;
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
