#include "zip_members.h"

#include <algorithm>
#include <set>
#include <string_view>

namespace hasp::sync {

namespace {

constexpr std::string_view local_mark("PK\3\4", 4);
constexpr std::string_view entry_mark("PK\1\2", 4);
constexpr std::string_view end_mark("PK\5\6", 4);
constexpr std::size_t local_bytes = 30;
constexpr std::size_t entry_bytes = 46;
constexpr std::size_t end_bytes = 22;
constexpr std::size_t name_bytes_max = 1024;
constexpr unsigned method_deflated = 8;
// Encrypted, patched, strongly encrypted, or with a masked directory.
constexpr unsigned flags_of_others = 0x0001U | 0x0020U | 0x0040U | 0x2000U;
constexpr std::uint32_t short_is_elsewhere = 0xFFFF; // in zip64's fields
constexpr std::uint32_t long_is_elsewhere = 0xFFFFFFFF;

std::uint32_t number_at(std::string_view bytes, std::size_t at, std::size_t width) {
    std::uint32_t out = 0;
    for (std::size_t i = width; i > 0; --i) {
        out = (out << 8U) | static_cast<unsigned char>(bytes[at + i - 1]);
    }
    return out;
}
std::uint32_t short_at(std::string_view bytes, std::size_t at) {
    return number_at(bytes, at, 2);
}
std::uint32_t long_at(std::string_view bytes, std::size_t at) {
    return number_at(bytes, at, 4);
}

struct Directory {
    std::uint64_t from = 0;
    std::uint64_t bytes = 0;
    std::size_t entries = 0;
};

// `tail` ends with the file, and begins at `from` of it.
std::optional<Directory> find_directory(std::string_view tail, std::uint64_t from) {
    for (std::size_t comment = 0; comment + end_bytes <= tail.size(); ++comment) {
        const std::size_t at = tail.size() - end_bytes - comment;
        const std::string_view end = tail.substr(at);
        if (!end.starts_with(end_mark) || short_at(end, 20) != comment) {
            continue;
        }
        const std::uint32_t entries = short_at(end, 10);
        const Directory out{long_at(end, 16), long_at(end, 12), entries};
        const bool here = short_at(end, 4) == 0 && short_at(end, 6) == 0 &&
                          short_at(end, 8) == entries && entries != short_is_elsewhere &&
                          out.bytes != long_is_elsewhere && out.from != long_is_elsewhere;
        // What stands between the two would be zip64's, or nobody's.
        const bool right_before = out.from + out.bytes == from + at;
        return here && right_before ? std::optional(out) : std::nullopt;
    }
    return std::nullopt;
}

// The next entry of `bytes`, which loses it.
std::optional<ZipMember> take_entry(std::string_view& bytes) {
    if (bytes.size() < entry_bytes || !bytes.starts_with(entry_mark)) {
        return std::nullopt;
    }
    const std::string_view entry = bytes;
    const std::size_t name = short_at(entry, 28);
    const std::size_t more = name + short_at(entry, 30) + short_at(entry, 32);
    const unsigned flags = short_at(entry, 8);
    const std::uint32_t packed = long_at(entry, 20);
    const std::uint32_t size = long_at(entry, 24);
    const std::uint32_t head = long_at(entry, 42);
    if (entry.size() - entry_bytes < more || name == 0 || name > name_bytes_max ||
        (flags & flags_of_others) != 0 || short_at(entry, 34) != 0 || packed == long_is_elsewhere ||
        size == long_is_elsewhere || head == long_is_elsewhere) {
        return std::nullopt;
    }
    bytes.remove_prefix(entry_bytes + more);
    ZipMember out;
    out.name = entry.substr(entry_bytes, name);
    out.deflated = short_at(entry, 10) == method_deflated;
    out.effort = (flags >> 1U) & 3U;
    out.crc = long_at(entry, 16);
    out.packed = packed;
    out.size = size;
    out.head = head;
    return out;
}

} // namespace

Result<std::string> read_bytes(ReadFile& file, std::uint64_t from, std::size_t size) {
    std::string out(size, '\0');
    auto got = file.read(from, out);
    if (!got) {
        return got.error();
    }
    out.resize(*got);
    return out;
}

Result<std::optional<std::vector<ZipMember>>> zip_members(ReadFile& file) {
    const std::optional<std::vector<ZipMember>> none;
    auto stat = file.stat();
    if (!stat) {
        return stat.error();
    }
    auto begin = read_bytes(file, 0, local_mark.size());
    if (!begin || *begin != local_mark) {
        return begin ? Result<std::optional<std::vector<ZipMember>>>(none) : begin.error();
    }
    const std::uint64_t tail_bytes =
        std::min<std::uint64_t>(stat->size, end_bytes + zip_comment_bytes_max);
    auto tail = read_bytes(file, stat->size - tail_bytes, static_cast<std::size_t>(tail_bytes));
    if (!tail) {
        return tail.error();
    }
    const auto directory =
        tail->size() == tail_bytes ? find_directory(*tail, stat->size - tail_bytes) : std::nullopt;
    if (!directory || directory->bytes > zip_directory_bytes_max ||
        directory->entries > zip_members_max) {
        return none;
    }
    auto entries = read_bytes(file, directory->from, static_cast<std::size_t>(directory->bytes));
    if (!entries) {
        return entries.error();
    }
    std::vector<ZipMember> out;
    std::set<std::string_view> names;
    std::string_view left = *entries;
    out.reserve(directory->entries);
    while (out.size() < directory->entries) {
        auto member = take_entry(left);
        if (!member) {
            return none;
        }
        out.push_back(*std::move(member));
    }
    std::sort(out.begin(), out.end(),
              [](const ZipMember& a, const ZipMember& b) { return a.head < b.head; });
    for (std::size_t i = 0; i < out.size(); ++i) {
        ZipMember& one = out[i];
        one.end = i + 1 < out.size() ? out[i + 1].head : directory->from;
        if (one.end < one.head || one.end - one.head < local_bytes + one.name.size() + one.packed ||
            !names.insert(one.name).second) {
            return none;
        }
    }
    return left.empty() ? std::optional(std::move(out)) : none;
}

Result<std::optional<std::uint64_t>> zip_data(ReadFile& file, const ZipMember& member) {
    auto head = read_bytes(file, member.head, local_bytes + member.name.size());
    if (!head) {
        return head.error();
    }
    const bool right = head->size() == local_bytes + member.name.size() &&
                       head->starts_with(local_mark) && short_at(*head, 26) == member.name.size() &&
                       head->ends_with(member.name);
    if (!right) {
        return std::optional<std::uint64_t>();
    }
    const std::uint64_t data = member.head + head->size() + short_at(*head, 28);
    return data <= member.end && member.packed <= member.end - data
               ? std::optional(data)
               : std::optional<std::uint64_t>();
}

} // namespace hasp::sync
