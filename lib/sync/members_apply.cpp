// Applying a difference of members.
#include "difference.h"
#include "numbers.h"
#include "repack.h"
#include "sync/members.h"
#include "unpacked.h"

#include <algorithm>
#include <array>
#include <vector>

namespace hasp::sync {

namespace {

constexpr unsigned level_max = 9;
constexpr unsigned memory_least = 8;
constexpr unsigned memory_max = 9;
// By level, what the worst content costs of what it costs at level 6.
constexpr std::array<std::uint64_t, level_max + 1> cost{0, 1, 1, 1, 1, 1, 1, 2, 5, 16};
constexpr std::uint64_t unpacking_is_cheaper = 4;

Error damaged_members(const std::string& what) {
    return fail(Code::refused, "applying a difference of members: " + what);
}

struct PackedPart {
    std::uint64_t gap = 0; // bytes before it that are as they are
    std::uint64_t size = 0;
    Packing how;
};

class Told {
  public:
    explicit Told(const Pull& in) : in_(in) {}

    Result<std::uint64_t> number(std::uint64_t least, std::uint64_t most) {
        NumberReader reader;
        for (;;) {
            std::array<char, 1> byte{};
            auto got = in_(byte);
            if (!got || *got == 0) {
                return got ? damaged_members("it ends too early") : got.error();
            }
            const auto state = reader.add(byte[0]);
            if (state == NumberReader::State::bad ||
                (state == NumberReader::State::done &&
                 (reader.value() < least || reader.value() > most))) {
                return damaged_members("a number is beyond its limits");
            }
            if (state == NumberReader::State::done) {
                return reader.value();
            }
        }
    }

  private:
    const Pull& in_;
};

Result<std::vector<UnpackedPart>> unpack_base(Told& told, ReadFile& base, std::uint64_t base_size,
                                              MembersWork& work) {
    std::vector<UnpackedPart> out;
    auto count = told.number(1, members_unpacked_max);
    if (!count) {
        return count.error();
    }
    std::uint64_t at = 0;
    std::uint64_t left = members_bytes_max;
    while (out.size() < *count) {
        auto gap = told.number(0, base_size - at);
        auto length = gap ? told.number(1, base_size - at - *gap) : gap;
        auto size = length ? told.number(1, left) : length;
        if (!size) {
            return size.error();
        }
        if (*length > members_packed_bytes_max(*size) || !work.unpack(*size)) {
            return damaged_members("members cost more than they may");
        }
        auto plain = inflate_range(base, at + *gap, *length, *size);
        if (!plain) {
            return plain.error();
        }
        out.push_back({at + *gap, *length, *std::move(plain)});
        at += *gap + *length;
        left -= *size;
    }
    return out;
}

Result<std::vector<PackedPart>> packed_parts(Told& told, std::uint64_t size_max) {
    std::vector<PackedPart> out;
    auto count = told.number(1, members_unpacked_max);
    if (!count) {
        return count.error();
    }
    std::uint64_t left = members_bytes_max;
    while (out.size() < *count) {
        auto gap = told.number(0, size_max);
        auto size = gap ? told.number(1, left) : gap;
        auto level = size ? told.number(1, level_max) : size;
        auto memory = level ? told.number(memory_least, memory_max) : level;
        if (!memory) {
            return memory.error();
        }
        out.push_back(
            {*gap, *size, {static_cast<unsigned>(*level), static_cast<unsigned>(*memory)}});
        left -= *size;
    }
    return out;
}

// What comes of the unpacked new archive is packed where it has to be.
class Packer final : public Assembly {
  public:
    Packer(UnpackedFile& base, std::vector<PackedPart> parts, std::uint64_t size_max,
           MembersWork& work, Assembly& out)
        : base_(base), parts_(std::move(parts)), size_left_(size_max), work_(work), out_(out) {}

    Status fresh(std::string_view bytes) override {
        while (!bytes.empty()) {
            if (Status begun = begin(); !begun) {
                return begun;
            }
            const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), left_));
            const std::string_view some = bytes.substr(0, n);
            Status put = in_member_ ? deflater_.write(some, sink_) : plain(some);
            put = put ? on(n) : put;
            if (!put) {
                return put;
            }
            bytes.remove_prefix(n);
        }
        return {};
    }

    Status copied(std::uint64_t from, std::uint64_t length) override {
        while (length > 0) {
            if (Status begun = begin(); !begun) {
                return begun;
            }
            const UnpackedFile::Run run = base_.run_at(from);
            const std::uint64_t n = std::min({run.length, length, left_});
            Status put;
            if (!run.in_file()) {
                put = fresh(
                    std::string_view(base_.parts()[run.part].plain)
                        .substr(static_cast<std::size_t>(run.from), static_cast<std::size_t>(n)));
            } else if (in_member_) {
                put = read_range(base_, from, n,
                                 [this](std::string_view bytes) { return fresh(bytes); });
            } else {
                put = within(n);
                put = put ? out_.copied(run.from, n) : put;
                put = put ? on(n) : put;
            }
            if (!put) {
                return put;
            }
            from += n;
            length -= n;
        }
        return {};
    }

    Status finish() const {
        return next_ == parts_.size() && !in_member_
                   ? Status{}
                   : damaged_members("it ends before its last member");
    }

  private:
    Status within(std::uint64_t size) {
        if (size > size_left_) {
            return damaged_members("it makes more than was announced");
        }
        size_left_ -= size;
        return {};
    }
    Status plain(std::string_view bytes) {
        Status fits = within(bytes.size());
        return fits ? out_.fresh(bytes) : fits;
    }

    // What comes next belongs to a gap or a member, of which left_ bytes are to come.
    Status begin() {
        if (left_ > 0) {
            return {};
        }
        const bool last = next_ == parts_.size();
        if (!begun_gap_) {
            begun_gap_ = true;
            left_ = last ? UINT64_MAX : parts_[next_].gap;
            if (left_ > 0) {
                return {};
            }
        }
        const PackedPart& part = parts_[next_];
        if (!work_.may_pack(part.size, part.how.level)) {
            return damaged_members("members cost more than they may");
        }
        work_.packed(part.size, part.how.level);
        in_member_ = true;
        left_ = part.size;
        return deflater_.begin(part.how);
    }

    Status on(std::uint64_t size) {
        left_ -= size;
        if (left_ > 0 || !in_member_) {
            return {};
        }
        in_member_ = false;
        begun_gap_ = false;
        ++next_;
        return deflater_.finish(sink_);
    }

    UnpackedFile& base_;
    std::vector<PackedPart> parts_;
    std::uint64_t size_left_;
    MembersWork& work_;
    Assembly& out_;
    Deflater deflater_;
    Sink sink_ = [this](std::string_view bytes) { return plain(bytes); };
    std::size_t next_ = 0;   // of parts_: the member that comes, or is being packed
    std::uint64_t left_ = 0; // of its gap, or of it
    bool begun_gap_ = false;
    bool in_member_ = false;
};

} // namespace

bool MembersWork::unpack(std::uint64_t size) {
    const std::uint64_t costs = size / unpacking_is_cheaper + bytes_a_member;
    const bool fits = size <= members_bytes_max && costs <= bytes_max - std::min(bytes_max, done_);
    done_ += fits ? costs : 0;
    return fits;
}

bool MembersWork::may_pack(std::uint64_t size, unsigned level) const {
    return size <= members_bytes_max && level <= level_max &&
           size * cost[level] + bytes_a_member <= bytes_max - std::min(bytes_max, done_);
}

void MembersWork::packed(std::uint64_t size, unsigned level) {
    done_ += size * cost[std::min(level, level_max)] + bytes_a_member;
}

Status apply_members(ReadFile& base, const Pull& difference, std::uint64_t size_max,
                     MembersWork& work, Assembly& out) {
    auto stat = base.stat();
    if (!stat) {
        return stat.error();
    }
    if (stat->size > members_file_bytes_max || size_max > members_file_bytes_max) {
        return damaged_members("an archive that is too large");
    }
    Told told(difference);
    auto parts = unpack_base(told, base, stat->size, work);
    auto packed =
        parts ? packed_parts(told, size_max) : Result<std::vector<PackedPart>>(parts.error());
    if (!packed) {
        return packed.error();
    }
    std::uint64_t plain_max = size_max;
    for (const PackedPart& part : *packed) {
        plain_max += part.size;
    }
    UnpackedFile unpacked(base, stat->size, *std::move(parts));
    Packer packer(unpacked, *std::move(packed), size_max, work, out);
    Status applied = apply_difference(unpacked, difference, plain_max, packer);
    return applied ? packer.finish() : applied;
}

Status apply_members(ReadFile& base, const Pull& difference, std::uint64_t size_max,
                     MembersWork& work, const Sink& out) {
    PlainAssembly plain(base, out);
    return apply_members(base, difference, size_max, work, plain);
}

} // namespace hasp::sync
