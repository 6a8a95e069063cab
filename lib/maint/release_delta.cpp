#include "release_delta.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

namespace hasp::maint {

namespace {

constexpr std::size_t block = 16;           // shortest match that is looked for
constexpr std::size_t insert_max = 127;     // by the format
constexpr std::size_t copy_max = 0xff'ffff; // by the format
constexpr std::uint32_t none = 0xffff'ffff;

std::uint64_t block_hash(const char* at) {
    std::uint64_t a = 0;
    std::uint64_t b = 0;
    std::memcpy(&a, at, sizeof a);
    std::memcpy(&b, at + 8, sizeof b);
    return (a * 0x9e3779b97f4a7c15U) ^ (b * 0xc2b2ae3d27d4eb4fU) ^ (a >> 29);
}

void put_size(std::string& out, std::size_t size) {
    for (; size >= 0x80; size >>= 7) {
        out += static_cast<char>((size & 0x7f) | 0x80);
    }
    out += static_cast<char>(size);
}

void put_insert(std::string& out, std::string_view bytes) {
    for (; !bytes.empty(); bytes.remove_prefix(std::min(bytes.size(), insert_max))) {
        const std::string_view part = bytes.substr(0, insert_max);
        out += static_cast<char>(part.size());
        out += part;
    }
}

void put_copy(std::string& out, std::size_t offset, std::size_t size) {
    while (size > 0) {
        const std::size_t part = std::min(size, copy_max);
        const std::size_t head = out.size();
        unsigned flags = 0x80;
        out += '\0';
        for (unsigned i = 0; i < 4; ++i) {
            if (const std::size_t byte = offset >> (8 * i) & 0xff; byte != 0) {
                out += static_cast<char>(byte);
                flags |= 1U << i;
            }
        }
        for (unsigned i = 0; i < 3; ++i) {
            if (const std::size_t byte = part >> (8 * i) & 0xff; byte != 0) {
                out += static_cast<char>(byte);
                flags |= 0x10U << i;
            }
        }
        out[head] = static_cast<char>(flags);
        offset += part;
        size -= part;
    }
}

// Where blocks of the base begin, by hash; the first one wins.
class BlockIndex {
  public:
    explicit BlockIndex(std::string_view base) {
        std::size_t slots = 64;
        while (slots < base.size() / block * 2) {
            slots *= 2;
        }
        slots_.assign(slots, none);
        for (std::size_t at = 0; at + block <= base.size(); at += block) {
            std::uint32_t& slot = slots_[index(base.data() + at)];
            slot = slot == none ? static_cast<std::uint32_t>(at) : slot;
        }
    }
    std::uint32_t find(const char* at) const { return slots_[index(at)]; }

  private:
    std::size_t index(const char* at) const {
        return static_cast<std::size_t>(block_hash(at) >> 20) & (slots_.size() - 1);
    }
    std::vector<std::uint32_t> slots_;
};

} // namespace

std::string make_delta(std::string_view base, std::string_view target) {
    std::string out;
    put_size(out, base.size());
    put_size(out, target.size());
    const BlockIndex index(base);
    std::size_t pending = 0; // from here on, nothing was written yet
    std::size_t at = 0;
    std::size_t expected = 0; // where the last match ended in the base: the likeliest next one
    while (at + block <= target.size()) {
        std::size_t from = none;
        for (const std::size_t candidate :
             {expected + (at - pending),
              static_cast<std::size_t>(index.find(target.data() + at))}) {
            if (candidate + block <= base.size() &&
                std::memcmp(base.data() + candidate, target.data() + at, block) == 0) {
                from = candidate;
                break;
            }
        }
        if (from == none) {
            ++at;
            continue;
        }
        std::size_t size = block;
        while (from + size < base.size() && at + size < target.size() &&
               base[from + size] == target[at + size]) {
            ++size;
        }
        while (at > pending && from > 0 && base[from - 1] == target[at - 1]) {
            --at;
            --from;
            ++size;
        }
        put_insert(out, target.substr(pending, at - pending));
        put_copy(out, from, size);
        at += size;
        pending = at;
        expected = from + size;
    }
    put_insert(out, target.substr(pending));
    return out;
}

} // namespace hasp::maint
