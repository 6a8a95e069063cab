// Making a difference of members.
#include "sync/members.h"

#include "numbers.h"
#include "repack.h"
#include "unpacked.h"
#include "zip_members.h"

#include <algorithm>
#include <map>
#include <string_view>

namespace hasp::sync {

namespace {

constexpr std::size_t compared_bytes = std::size_t{64} * 1024;
// What of this size fits no parameters was packed by another program than zlib, as all of its file.
constexpr std::uint64_t telling_bytes = 4096;

struct Member {
    std::uint64_t from = 0; // packed, in its file
    std::uint64_t length = 0;
    std::uint64_t size = 0;
};

struct Pair {
    Member old;
    Member now;
    unsigned effort = 0; // what the packer of `now` says
};

using MaybePairs = Result<std::optional<std::vector<Pair>>>;

Result<std::optional<Member>> locate(ReadFile& file, const ZipMember& member) {
    auto data = zip_data(file, member);
    if (!data || !*data) {
        return data ? Result<std::optional<Member>>(std::nullopt) : data.error();
    }
    return std::optional(Member{**data, member.packed, member.size});
}

bool bearable(const Member& member) {
    return member.size > 0 && member.length > 0 &&
           member.length <= members_packed_bytes_max(member.size);
}

// Those of both that have a name and not the content in common, as they lie in the new one.
MaybePairs differing(ReadFile& base, ReadFile& file) {
    const std::optional<std::vector<Pair>> none;
    auto now = zip_members(file);
    auto old = now && *now ? zip_members(base) : now;
    if (!now || !old) {
        return now ? old.error() : now.error();
    }
    if (!*now || !*old) {
        return none;
    }
    std::map<std::string_view, const ZipMember*> before;
    for (const ZipMember& one : **old) {
        before[one.name] = &one;
    }
    std::vector<Pair> out;
    std::uint64_t of_old = 0;
    std::uint64_t of_now = 0;
    for (const ZipMember& one : **now) {
        const auto found = before.find(one.name);
        if (found == before.end() || !one.deflated || !found->second->deflated) {
            continue;
        }
        const ZipMember& then = *found->second;
        const bool same = then.crc == one.crc && then.size == one.size && then.packed == one.packed;
        if (same || out.size() >= members_unpacked_max || one.size > members_bytes_max - of_now ||
            then.size > members_bytes_max - of_old) {
            continue;
        }
        auto from = locate(base, then);
        auto to = from && *from ? locate(file, one) : from;
        if (!from || !to) {
            return from ? to.error() : from.error();
        }
        if (*from && *to && bearable(**from) && bearable(**to)) {
            of_old += then.size;
            of_now += one.size;
            out.push_back({**from, **to, one.effort});
        }
    }
    return out.empty() ? none : std::optional(std::move(out));
}

// How many bytes of the new member stand behind those with which both begin.
Result<std::uint64_t> packed_bytes_that_differ(ReadFile& base, ReadFile& file, const Pair& pair) {
    const std::uint64_t both = std::min(pair.old.length, pair.now.length);
    std::uint64_t same = 0;
    while (same < both) {
        const auto n =
            static_cast<std::size_t>(std::min<std::uint64_t>(compared_bytes, both - same));
        auto old = read_bytes(base, pair.old.from + same, n);
        auto now = old ? read_bytes(file, pair.now.from + same, n) : old;
        if (!now) {
            return now.error();
        }
        const auto at = static_cast<std::uint64_t>(
            std::mismatch(old->begin(), old->end(), now->begin(), now->end()).first - old->begin());
        same += at;
        if (at < n) {
            break;
        }
    }
    return pair.now.length - same;
}

Packing likely_of(unsigned effort) {
    constexpr unsigned maximum = 1;
    constexpr unsigned fast = 2;
    constexpr unsigned super_fast = 3;
    return {effort == maximum ? 9U : effort == fast || effort == super_fast ? 1U : 6U, 8};
}

struct Unpacking {
    std::vector<UnpackedPart> of_base;
    std::vector<UnpackedPart> of_file;
    std::vector<Packing> packings; // of of_file
};

// Nothing: not one of them can be packed again.
Result<std::optional<Unpacking>> unpack(ReadFile& base, ReadFile& file,
                                        const std::vector<Pair>& pairs, MembersWork& work) {
    Unpacking out;
    std::optional<Packing> last;
    for (const Pair& pair : pairs) {
        if (!work.unpack(pair.now.size) || !work.unpack(pair.old.size)) {
            break;
        }
        auto now = inflate_range(file, pair.now.from, pair.now.length, pair.now.size);
        auto packed =
            now ? read_bytes(file, pair.now.from, static_cast<std::size_t>(pair.now.length)) : now;
        if (!packed) {
            if (packed.error().code == Code::refused) {
                continue;
            }
            return packed.error();
        }
        const auto how = find_packing(*now, *packed, last ? *last : likely_of(pair.effort), work);
        if (!how) {
            if (pair.now.size >= telling_bytes) {
                break;
            }
            continue;
        }
        auto old = inflate_range(base, pair.old.from, pair.old.length, pair.old.size);
        if (!old) {
            if (old.error().code == Code::refused) {
                continue;
            }
            return old.error();
        }
        last = how;
        out.of_base.push_back({pair.old.from, pair.old.length, *std::move(old)});
        out.of_file.push_back({pair.now.from, pair.now.length, *std::move(now)});
        out.packings.push_back(*how);
    }
    std::sort(out.of_base.begin(), out.of_base.end(),
              [](const UnpackedPart& a, const UnpackedPart& b) { return a.from < b.from; });
    return out.packings.empty() ? std::optional<Unpacking>() : std::optional(std::move(out));
}

std::string written(const Unpacking& unpacking) {
    std::string out;
    put_number(out, unpacking.of_base.size());
    std::uint64_t at = 0;
    for (const UnpackedPart& part : unpacking.of_base) {
        put_number(out, part.from - at);
        put_number(out, part.length);
        put_number(out, part.plain.size());
        at = part.from + part.length;
    }
    put_number(out, unpacking.of_file.size());
    at = 0;
    for (std::size_t i = 0; i < unpacking.of_file.size(); ++i) {
        const UnpackedPart& part = unpacking.of_file[i];
        put_number(out, part.from - at);
        put_number(out, part.plain.size());
        put_number(out, unpacking.packings[i].level);
        put_number(out, unpacking.packings[i].memory);
        at = part.from + part.length;
    }
    return out;
}

} // namespace

Result<std::optional<std::string>> members_difference(ReadFile& base, ReadFile& file,
                                                      MembersWork& work) {
    const std::optional<std::string> none;
    auto old_stat = base.stat();
    auto now_stat = old_stat ? file.stat() : old_stat;
    if (!now_stat) {
        return now_stat.error();
    }
    const auto fits = [](std::uint64_t size) {
        return size >= members_file_bytes_least && size <= members_file_bytes_max;
    };
    auto pairs = fits(old_stat->size) && fits(now_stat->size) ? differing(base, file)
                                                              : MaybePairs(std::nullopt);
    if (!pairs || !*pairs) {
        return pairs ? Result<std::optional<std::string>>(none) : pairs.error();
    }
    std::uint64_t differs = 0;
    for (const Pair& pair : **pairs) {
        auto bytes = packed_bytes_that_differ(base, file, pair);
        if (!bytes) {
            return bytes.error();
        }
        differs += *bytes;
    }
    auto unpacking = differs >= members_worth_bytes
                         ? unpack(base, file, **pairs, work)
                         : Result<std::optional<Unpacking>>(std::optional<Unpacking>());
    if (!unpacking || !*unpacking) {
        return unpacking ? Result<std::optional<std::string>>(none) : unpacking.error();
    }
    std::string out = written(**unpacking);
    UnpackedFile from(base, old_stat->size, std::move((*unpacking)->of_base));
    UnpackedFile to(file, now_stat->size, std::move((*unpacking)->of_file));
    bool worth = true;
    Status made = make_difference(from, to, [&](std::string_view bytes) -> Status {
        worth = out.size() + bytes.size() < differs;
        if (!worth) {
            return fail(Code::refused, "the members differ in as much as their archives");
        }
        out.append(bytes);
        return {};
    });
    if (!worth) {
        return none;
    }
    return made ? Result<std::optional<std::string>>(std::move(out)) : made.error();
}

} // namespace hasp::sync
