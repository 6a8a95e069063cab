// Making a difference.
#include "difference.h"

#include "compare.h"
#include "numbers.h"

#include <algorithm>
#include <bit>

namespace hasp::sync {

namespace {

// Beside a prefix the levels above 6 first index all of it, which takes ten times as long for an
// edited line and makes it no smaller; those above 9 take ten times as long again where a kilobyte
// is new, for 1 to 4 % less.
constexpr std::size_t few_bytes = 512;
constexpr int level_few = 6;
constexpr int level_some = 9;
constexpr int level_many = 3;
// After so many new bytes, processor counts more.
constexpr std::uint64_t some_bytes = std::uint64_t{2} << 20;
// What stands around new bytes is read and indexed before they are packed: so many times as much.
constexpr std::uint64_t context_of_new = 32;
constexpr std::uint64_t context_least = 128;
constexpr std::size_t alone_bytes = 4096;
constexpr std::size_t packing_worth = 24;

class Writer {
  public:
    Writer(ReadFile& base, ReadFile& file, const Sink& out) : base_(base), file_(file), out_(out) {}

    Status add(const Step& step) {
        std::uint64_t from = step.from;
        while (step.to - from > difference_new_bytes_max - fresh_.size()) {
            const std::uint64_t n = difference_new_bytes_max - fresh_.size();
            Status put = put_step({n, 0, 0}, from);
            if (put) {
                put = flush();
            }
            if (!put) {
                return put;
            }
            from += n;
        }
        Status put = put_step({step.to - from, step.base, step.length}, from);
        return put && steps_.size() >= difference_steps_bytes_max / 2 ? flush() : put;
    }

    Status finish() {
        Status flushed = flush();
        return flushed ? out_(std::string_view("\0", 1)) : flushed;
    }

  private:
    Status put_step(const ChunkStep& step, std::uint64_t from) {
        put_number(steps_, step.added);
        put_number(steps_, step.length);
        if (step.length > 0) {
            put_number(steps_, zigzag(static_cast<std::int64_t>(step.base) -
                                      static_cast<std::int64_t>(base_at_ + step.added)));
        }
        if (step.added > 0) {
            runs_.push_back(replaced_by(base_at_, step));
            const std::size_t had = fresh_.size();
            fresh_.resize(had + static_cast<std::size_t>(step.added));
            auto got = file_.read(from, std::span(fresh_).subspan(had));
            if (!got) {
                return got.error();
            }
            if (*got < step.added) {
                return fail(Code::try_later, "a file changed while it was read");
            }
        }
        base_at_ = base_after(base_at_, step);
        return {};
    }

    Status flush() {
        if (steps_.empty()) {
            return {};
        }
        std::string head(1, '\1');
        put_number(head, steps_.size());
        head += steps_;
        put_number(head, fresh_.size());
        std::string packed;
        std::uint64_t context = 0;
        if (fresh_.size() >= packing_worth) {
            const std::uint64_t most = std::min<std::uint64_t>(difference_prefix_bytes_max,
                                                               fresh_.size() * context_of_new);
            const std::uint64_t share =
                std::min<std::uint64_t>(most / (runs_.size() * 2), fresh_.size() * 8);
            context = std::bit_floor(std::max(context_least, share));
            auto prefix = prefix_of(base_, runs_, context);
            if (!prefix) {
                return prefix.error();
            }
            const int level = fresh_.size() <= few_bytes ? level_few
                              : packed_ <= some_bytes    ? level_some
                                                         : level_many;
            auto made = pack_with_prefix(fresh_, *prefix, level);
            if (!made) {
                return made.error();
            }
            packed_ += fresh_.size();
            auto worth = limit_of_worth();
            if (!worth) {
                return worth.error();
            }
            if (made->size() < *worth) {
                packed = *std::move(made);
            }
        }
        put_number(head, packed.size());
        if (!packed.empty()) {
            put_number(head, context);
        }
        Status sent = out_(head);
        if (sent && !fresh_.empty()) {
            sent = out_(packed.empty() ? fresh_ : packed);
        }
        steps_.clear();
        fresh_.clear();
        runs_.clear();
        return sent;
    }

    // What stays plain is compressed by the stream around it, and a little with all that came
    // before.
    Result<std::size_t> limit_of_worth() {
        if (fresh_.size() < alone_bytes) {
            return fresh_.size() * 2 / 5;
        }
        auto alone = pack_with_prefix(fresh_, {}, level_many);
        return alone ? Result<std::size_t>(alone->size() * 15 / 16) : alone.error();
    }

    ReadFile& base_;
    ReadFile& file_;
    const Sink& out_;
    std::string steps_;
    std::string fresh_;
    std::vector<NewRun> runs_;
    std::uint64_t base_at_ = 0;
    std::uint64_t packed_ = 0;
};

} // namespace

Status make_difference(ReadFile& base, ReadFile& file, const Sink& out) {
    Writer writer(base, file, out);
    Status compared = compare(base, file, [&writer](const Step& step) { return writer.add(step); });
    return compared ? writer.finish() : compared;
}

Status make_difference(ReadFile& base, ReadFile& file, const std::vector<Step>& steps,
                       const Sink& out) {
    Writer writer(base, file, out);
    for (const Step& step : steps) {
        if (Status added = writer.add(step); !added) {
            return added;
        }
    }
    return writer.finish();
}

} // namespace hasp::sync
